/* ready.c: `iccm ready URL`. Checks a server's dependencies with GET /readyz. */
#include <string.h>
#include "commands.h"
#include "exit_codes.h"
#include "fetch.h"
#include "error_report.h"

/* Joins the lines of the response body into one line, truncated to the buffer. */
static const char *reasons(fetch_result_t *fetched) {
  const char *body = fetched->response.data + fetched->body_offset;
  size_t len = fetched->response.len - fetched->body_offset, used = 0;
  char *out = fetched->error;
  while (len > 0 && body[len - 1] == '\n')
    len--;
  for (size_t i = 0; i < len && used < sizeof fetched->error - 2; i++) {
    out[used++] = body[i];
    if (body[i] == '\n') {
      out[used - 1] = ';';
      out[used++] = ' ';
    }
  }
  out[used] = '\0';
  return out;
}

static int fail(const options_t *options, const print_t *out, fetch_result_t *fetched) {
  bool not_ready = fetched->http_status == 503;
  const mcp_result_t result = {.status = not_ready ? 0 : fetched->status,
                               .is_error = not_ready,
                               .message = not_ready ? reasons(fetched) : fetched->error};
  return report_failure(options, out, not_ready ? "not ready" : "/readyz", &result, fetched->stage);
}

int ready_run(const options_t *options, const print_t *out) {
  fetch_result_t fetched;
  int code = ICCM_OK;
  if (!fetch(options, "/readyz", &fetched))
    code = fail(options, out, &fetched);
  else
    fputs(options->json ? "{\"ready\":true}\n" : "ready\n", out->file);
  fetch_free(&fetched, code);
  return code;
}
