/* metrics.c: see metrics.h. */
#include "metrics.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

void metrics_init(metrics_t *metrics, mcp_server_t *server) {
  *metrics = (metrics_t){
      .registrations =
          mcp_server_counter(server, "horace_registrations_total", "Registrations, by outcome.", "outcome",
                             VALUES("new", "changed", "again", "duplicate", "renamed")),
      .versions = mcp_server_counter(server, "horace_versions_total",
                                     "Versions created, restored as new ones, and pruned.", "change",
                                     VALUES("made", "restored", "pruned")),
      .files = mcp_server_counter(server, "horace_files_total", "Files by the status they changed to.", "to",
                                  VALUES("active", "archived", "deleted", "removed")),
      .retention_held =
          mcp_server_metric(server, MCP_GAUGE, "horace_retention_held",
                            "1 while deleted files are kept because the clock may be wrong, else 0.", NULL),
      .rows = mcp_server_counter(server, "horace_rows_total", "Rows returned to callers, by kind.", "of",
                                 VALUES("files", "collections"))};
}
