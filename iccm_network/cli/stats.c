/* stats.c: `iccm stats URL`. Reads a server's counters at /metrics and shows them as tables. */
#include "commands.h"
#include "exit_codes.h"
#include "fetch.h"
#include "print.h"
#include "report.h"
#include "stats_view.h"

static int fail(const options_t *options, const print_t *out, const fetched_t *fetched) {
  const mcp_result_t result = {.status = fetched->status, .message = fetched->problem};
  return report_failure(options, out, "/metrics", &result, fetched->reached);
}

int stats_run(const options_t *options, const print_t *out) {
  fetched_t fetched;
  int code = ICCM_OK;
  yyjson_doc *stats = NULL;
  bool ok = fetch(options, "/metrics", &fetched);
  if (ok)
    stats = stats_read(fetched.answer.data + fetched.body, fetched.answer.len - fetched.body);
  if (ok && stats == NULL) {
    fetched.status = MCP_EPROTOCOL;
    snprintf(fetched.problem, sizeof fetched.problem, "what came is not the text format of Prometheus");
  }
  if (stats == NULL)
    code = fail(options, out, &fetched);
  else if (options->json)
    print_json(out, yyjson_doc_get_root(stats), false);
  else
    stats_print(out, yyjson_doc_get_root(stats));
  yyjson_doc_free(stats);
  fetch_end(&fetched, code);
  return code;
}
