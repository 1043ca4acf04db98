/* stats.c: `iccm stats URL`. Reads a server's metrics with GET /metrics and shows them as tables. */
#include "commands.h"
#include "exit_codes.h"
#include "fetch.h"
#include "print.h"
#include "error_report.h"
#include "stats_view.h"

static int fail(const options_t *options, const print_t *out, const fetch_result_t *fetched) {
  const mcp_result_t result = {.status = fetched->status, .message = fetched->error};
  return report_failure(options, out, "/metrics", &result, fetched->stage);
}

int stats_run(const options_t *options, const print_t *out) {
  fetch_result_t fetched;
  int code = ICCM_OK;
  yyjson_doc *stats = NULL;
  bool ok = fetch(options, "/metrics", &fetched);
  if (ok)
    stats =
        stats_read(fetched.response.data + fetched.body_offset, fetched.response.len - fetched.body_offset);
  if (ok && stats == NULL) {
    fetched.status = MCP_EPROTOCOL;
    snprintf(fetched.error, sizeof fetched.error, "the response is not in the Prometheus text format");
  }
  if (stats == NULL)
    code = fail(options, out, &fetched);
  else if (options->json)
    print_json(out, yyjson_doc_get_root(stats), false);
  else
    stats_print(out, yyjson_doc_get_root(stats));
  yyjson_doc_free(stats);
  fetch_free(&fetched, code);
  return code;
}
