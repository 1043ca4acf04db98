/* trace.c: `iccm trace ID [URL]`. Shows the lines that Godot has of one trace as a tree of calls. */
#include <string.h>
#include "report.h"
#include "log_query.h"
#include "trace_view.h"

enum { MAX_LINES = 10000 };

typedef struct tracing {
  const print_t *out;
  trace_tree_t tree;
  int64_t last_us; /* of a row without a time, the one before it */
  int code;
} tracing_t;

static void on_failed(session_t *session, const mcp_result_t *result, void *arg) {
  tracing_t *tracing = arg;
  tracing->code =
      report_failure(session->options, tracing->out, "logger_query", result, session_reached(session));
}

static void add(yyjson_val *row, void *arg) {
  tracing_t *tracing = arg;
  rows_time(row, &tracing->last_us);
  trace_tree_add(&tracing->tree, row, tracing->last_us);
}

static void show(tracing_t *tracing, const rows_t *rows, const options_t *options, const char *trace_id) {
  const print_t err = {.file = stderr};
  rows_each(rows, add, tracing);
  trace_tree_build(&tracing->tree);
  if (rows->more)
    fprintf(stderr, "iccm: only the newest %zu lines of the trace are shown\n", rows->count);
  if (rows->count == 0) {
    tracing->code = ICCM_USAGE;
    fputs("iccm: there are no lines of trace ", stderr);
    print_line(&err, trace_id, strlen(trace_id), 0);
    fputs("; calls themselves are logged at TRACE, by logger_set_level\n", stderr);
  }
  if (options->json)
    trace_print_json(tracing->out, &tracing->tree, trace_id);
  else
    trace_print(tracing->out, &tracing->tree);
  trace_tree_deinit(&tracing->tree);
}

int trace_run(const options_t *options, const print_t *out) {
  const char *trace_id = options->url; /* the first word; the address is the second */
  const options_t mine = rows_options(options);
  const rows_filter_t filter = {.trace = trace_id, .since_us = INT64_MIN, .until_us = INT64_MAX};
  tracing_t tracing = {.out = out};
  session_t session;
  rows_t rows;
  int code = session_begin(&session, &mine, out);
  if (code != 0)
    return code;
  if (rows_read(&session, &filter, MAX_LINES, &rows, on_failed, &tracing)) {
    show(&tracing, &rows, options, trace_id);
    rows_deinit(&rows);
  }
  return session_end(&session, tracing.code);
}
