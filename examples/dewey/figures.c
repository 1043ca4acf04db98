/* figures.c: see figures.h. Each value of a label is there from the start, so that a scraper sees it rise. */
#include "figures.h"

static mcp_metric_t *counter(mcp_server_t *server, const char *name, const char *help, const char *label,
                             const char *const *values) {
  mcp_metric_t *metric = mcp_server_metric(server, MCP_COUNTER, name, help, label);
  for (; *values != NULL; values++)
    mcp_metric_add(metric, *values, 0);
  return metric;
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

void figures_make(figures_t *figures, mcp_server_t *server) {
  *figures = (figures_t){
      .entries = counter(server, "dewey_log_entries_total", "Log entries taken, by what became of them.",
                         "outcome", VALUES("stored", "duplicate", "rejected")),
      .batches = mcp_server_metric(server, MCP_COUNTER, "dewey_log_batches_total",
                                   "Batches of log entries stored.", NULL),
      .deleted = counter(server, "dewey_log_deleted_total", "Log lines deleted, by what.", "by",
                         VALUES("retention", "clear")),
      .rows = counter(server, "dewey_rows_total", "Rows given to callers.", "of",
                      VALUES("logs", "conversations", "messages", "contexts")),
      .conversations = counter(server, "dewey_conversations_total", "Conversations begun and deleted.",
                               "change", VALUES("begun", "deleted")),
      .messages = counter(server, "dewey_messages_total", "Messages stored and deleted.", "change",
                          VALUES("stored", "deleted"))};
}

void health_figures_make(health_figures_t *figures, mcp_server_t *server) {
  *figures = (health_figures_t){
      .errors = counter(server, "dewey_store_errors_total", "Work that the store did not do, by kind.",
                        "kind", VALUES("busy", "slow", "failed")),
      .failing = mcp_server_metric(server, MCP_GAUGE, "dewey_store_failing",
                                   "1 while the store does not work, as /readyz says, else 0.", NULL),
      .worked = mcp_server_metric(server, MCP_GAUGE, "dewey_store_worked_timestamp_seconds",
                                  "When work in the store, or a check of it, last succeeded.", NULL)};
}
