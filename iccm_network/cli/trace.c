/* trace.c: `iccm trace ID [URL]`. Shows the log lines of one trace as a tree of calls. */
#include <string.h>
#include "commands.h"
#include "exit_codes.h"
#include "print.h"
#include "error_report.h"
#include "log_query.h"
#include "sync_client.h"
#include "trace_tree.h"
#include "trace_view.h"

enum { MAX_LINES = 10000 };

typedef struct trace_state {
  const print_t *out;
  trace_tree_t tree;
  int64_t last_us; /* time of the last row; also used for a row without a time */
  int code;
} trace_state_t;

static void on_failed(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  trace_state_t *state = arg;
  state->code = report_failure(sync->options, state->out, "logger_query", result, sync_client_stage(sync));
}

static void add(yyjson_val *row, void *arg) {
  trace_state_t *state = arg;
  log_query_time(row, &state->last_us);
  trace_tree_add(&state->tree, row, state->last_us);
}

static void show(trace_state_t *state, const log_query_rows_t *rows, const options_t *options,
                 const char *trace_id) {
  const print_t err = {.file = stderr};
  log_query_for_each(rows, add, state);
  trace_tree_build(&state->tree);
  if (rows->more)
    fprintf(stderr, "iccm: only the newest %zu lines of the trace are shown\n", rows->count);
  if (rows->count == 0) {
    state->code = ICCM_USAGE;
    fputs("iccm: no log lines of trace ", stderr);
    print_line(&err, trace_id, strlen(trace_id), 0);
    fputs("; calls are logged only at level TRACE (set it with logger_set_level)\n", stderr);
  }
  if (options->json)
    trace_print_json(state->out, &state->tree, trace_id);
  else
    trace_print(state->out, &state->tree);
  trace_tree_deinit(&state->tree);
}

int trace_run(const options_t *options, const print_t *out) {
  const char *trace_id = options->url; /* the first argument; the URL is the second */
  const options_t godot_options = log_query_options(options);
  const log_query_filter_t filter = {.trace = trace_id, .since_us = INT64_MIN, .until_us = INT64_MAX};
  trace_state_t state = {.out = out};
  sync_client_t sync;
  log_query_rows_t rows;
  int code = sync_client_open(&sync, &godot_options, out);
  if (code != 0)
    return code;
  if (log_query_read(&sync, &filter, MAX_LINES, &rows, on_failed, &state)) {
    show(&state, &rows, options, trace_id);
    log_query_rows_deinit(&rows);
  }
  return sync_client_close(&sync, state.code);
}
