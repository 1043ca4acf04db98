/* ready.c: `iccm ready URL`. Whether a server has all that it needs, as its page /readyz tells it. */
#include <string.h>
#include "commands.h"
#include "exit_codes.h"
#include "fetch.h"
#include "report.h"

/* The reasons stand in lines of their own; here in one, as far as it goes. */
static const char *reasons(fetched_t *fetched) {
  const char *body = fetched->answer.data + fetched->body;
  size_t len = fetched->answer.len - fetched->body, used = 0;
  char *out = fetched->problem;
  while (len > 0 && body[len - 1] == '\n')
    len--;
  for (size_t i = 0; i < len && used < sizeof fetched->problem - 2; i++) {
    out[used++] = body[i];
    if (body[i] == '\n') {
      out[used - 1] = ';';
      out[used++] = ' ';
    }
  }
  out[used] = '\0';
  return out;
}

static int fail(const options_t *options, const print_t *out, fetched_t *fetched) {
  bool lacks = fetched->http == 503;
  const mcp_result_t result = {.status = lacks ? 0 : fetched->status,
                               .is_error = lacks,
                               .message = lacks ? reasons(fetched) : fetched->problem};
  return report_failure(options, out, lacks ? "not ready" : "/readyz", &result, fetched->reached);
}

int ready_run(const options_t *options, const print_t *out) {
  fetched_t fetched;
  int code = ICCM_OK;
  if (!fetch(options, "/readyz", &fetched))
    code = fail(options, out, &fetched);
  else
    fputs(options->json ? "{\"ready\":true}\n" : "ready\n", out->file);
  fetch_end(&fetched, code);
  return code;
}
