/* list.c: `iccm list URL`. Prints the tools of all pages. */
#include "commands.h"
#include "print.h"
#include "error_report.h"
#include "sync_client.h"
#include "tools_view.h"

typedef struct list_state {
  const print_t *out;
  int code;
} list_state_t;

static void on_tools(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  list_state_t *state = arg;
  if (result->status != 0)
    state->code = report_failure(sync->options, state->out, "tools/list", result, sync_client_stage(sync));
  else if (sync->options->json)
    print_json(state->out, result->value, false);
  else
    print_tools(state->out, result->value);
}

int list_run(const options_t *options, const print_t *out) {
  sync_client_t sync;
  list_state_t state = {.out = out};
  int code = sync_client_open(&sync, options, out);
  if (code != 0)
    return code;
  sync_client_list_tools(&sync, 0, on_tools, &state);
  return sync_client_close(&sync, state.code);
}
