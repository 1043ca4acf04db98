/* metrics.c: see metrics.h. */
#include "metrics.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

void metrics_init(metrics_t *metrics, mcp_server_t *server) {
  *metrics = (metrics_t){
      .registrations =
          mcp_server_counter(server, "horace_registrations_total", "Files registered, by what became of it.",
                             "outcome", VALUES("new", "changed", "again", "duplicate", "renamed")),
      .versions = mcp_server_counter(server, "horace_versions_total",
                                     "Versions made, restored as a new one, and pruned.", "change",
                                     VALUES("made", "restored", "pruned")),
      .files = mcp_server_counter(server, "horace_files_total", "Files that changed their status.", "to",
                                  VALUES("active", "archived", "deleted", "removed")),
      .retention_held = mcp_server_metric(
          server, MCP_GAUGE, "horace_retention_held",
          "1 while no deleted files are removed, since the clock may be wrong, else 0.", NULL),
      .rows = mcp_server_counter(server, "horace_rows_total", "Rows given to callers.", "of",
                                 VALUES("files", "collections"))};
}
