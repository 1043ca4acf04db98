/* metrics.c: see metrics.h. */
#include "metrics.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

void metrics_init(metrics_t *metrics, mcp_server_t *server) {
  *metrics = (metrics_t){
      .entries = mcp_server_counter(server, "dewey_log_entries_total", "Log entries received, by outcome.",
                                    "outcome", VALUES("stored", "duplicate", "rejected")),
      .batches =
          mcp_server_counter(server, "dewey_log_batches_total", "Batches of log entries stored.", NULL, NULL),
      .deleted = mcp_server_counter(server, "dewey_log_deleted_total", "Log lines deleted, by cause.", "by",
                                    VALUES("retention", "clear")),
      .retention_held =
          mcp_server_metric(server, MCP_GAUGE, "dewey_retention_held",
                            "1 while old log lines are kept because the clock may be wrong, else 0.", NULL),
      .rows = mcp_server_counter(server, "dewey_rows_total", "Rows returned to callers, by kind.", "of",
                                 VALUES("logs", "conversations", "messages", "contexts")),
      .conversations =
          mcp_server_counter(server, "dewey_conversations_total", "Conversations created and deleted.",
                             "change", VALUES("begun", "deleted")),
      .messages = mcp_server_counter(server, "dewey_messages_total", "Messages stored and deleted.", "change",
                                     VALUES("stored", "deleted"))};
}
