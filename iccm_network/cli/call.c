/* call.c: `iccm call URL TOOL [ARGUMENTS]`. Calls the tool once and prints its result.
 *
 * Prints the value that the library found in the result, log lines in the format of `iccm logs`. A result
 * that is text but not JSON, or that has several parts, is printed part by part.
 */
#include <iccm_service.h>
#include <string.h>
#include "arguments.h"
#include "commands.h"
#include "logline.h"
#include "apply_schema.h"
#include "print.h"
#include "print_value.h"
#include "progress.h"
#include "error_report.h"
#include "sync_client.h"

typedef struct call_state {
  const print_t *out;
  int code;
  progress_t progress;
} call_state_t;

/* ---- the result ---- */

/* The content parts of an unstructured result; NULL: result->value is the tool's value. */
static yyjson_val *parts_of(const mcp_result_t *result) {
  yyjson_val *parts = yyjson_obj_get(result->value, "content");
  yyjson_val *text = yyjson_obj_get(yyjson_arr_get_first(parts), "text");
  bool whole =
      result->text == NULL ? yyjson_is_arr(parts) : yyjson_equals_strn(text, result->text, result->text_len);
  return whole ? parts : NULL;
}

static void print_result(const print_t *out, const mcp_result_t *result) {
  size_t i, max;
  yyjson_val *part, *parts = parts_of(result);
  if (parts == NULL) {
    if (!logline_print_all(out, result->value))
      print_value(out, result->value);
    return;
  }
  yyjson_arr_foreach(parts, i, max, part) {
    yyjson_val *text = yyjson_obj_get(part, "text");
    print_value(out, yyjson_is_str(text) ? text : part);
  }
}

static void on_progress(mcp_client_t *client, const mcp_progress_t *report, void *arg) {
  call_state_t *state = arg;
  (void)client;
  progress_show(&state->progress, report);
}

static void on_result(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  call_state_t *state = arg;
  progress_end(&state->progress);
  if (result->status != 0 || result->is_error)
    state->code =
        report_failure(sync->options, state->out, sync->options->tool, result, sync_client_stage(sync));
  else if (sync->options->json)
    print_json(state->out, result->value, false);
  else
    print_result(state->out, result);
}

/* The value of --trace, or a new id for "new"; NULL: none. */
static const char *resolve_trace_id(const char *option, char uuid[MCP_UUID_SIZE]) {
  if (option == NULL || strcmp(option, "new") != 0)
    return option;
  mcp_uuid_new(uuid);
  fprintf(stderr, "trace %s\n", uuid);
  return uuid;
}

/* 0, or an exit code; then there is nothing to close. */
static int begin(sync_client_t *sync, const options_t *options, const print_t *out, const char *trace) {
  int code = sync_client_open(sync, options, out);
  if (code == 0 && trace != NULL && mcp_client_set_trace_id(sync->client, trace) != 0)
    code = sync_client_close(sync, report_usage_error(options, out, "--trace takes 1 to 128 bytes of UTF-8"));
  return code;
}

static void call(sync_client_t *sync, call_state_t *state, yyjson_mut_doc *arguments) {
  sync_client_reset_deadline(sync);
  progress_begin(&state->progress);
  sync->progress_cb = sync->options->progress ? on_progress : NULL;
  sync->progress_arg = state;
  sync_client_call(sync, sync->options->tool, arguments, on_result, state);
}

int call_run(const options_t *options, const print_t *out) {
  sync_client_t syncs[2], *sync = syncs; /* the second one if tools/list lost the first connection */
  call_state_t state = {.out = out};
  char error[ARGUMENTS_ERROR_SIZE], uuid[MCP_UUID_SIZE];
  yyjson_mut_doc *arguments = arguments_parse(options->arg_count, options->args, stdin, error);
  if (arguments == NULL)
    return report_usage_error(options, out, "%s", error);
  const char *trace = resolve_trace_id(options->trace, uuid);
  int code = begin(sync, options, out, trace);
  if (code != 0) {
    yyjson_mut_doc_free(arguments);
    return code;
  }
  bool disconnected = false;
  state.code = apply_schema(sync, out, arguments, &disconnected);
  if (disconnected) {
    sync = &syncs[1];
    code = begin(sync, options, out, trace);
  }
  if (code == 0 && state.code == 0)
    call(sync, &state, arguments);
  else
    yyjson_mut_doc_free(arguments);
  if (code == 0)
    code = sync_client_close(sync, state.code);
  /* Last: this may end the process if the peer is slow to close. */
  return disconnected ? sync_client_close(&syncs[0], code) : code;
}
