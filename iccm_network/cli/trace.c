/* trace.c: `iccm trace ID [URL]`. Shows the lines that Godot has of one trace as a tree of calls. */
#include <string.h>
#include "commands.h"
#include "exit_codes.h"
#include "print.h"
#include "report.h"
#include "log_query.h"
#include "sync_client.h"
#include "trace_tree.h"
#include "trace_view.h"

enum { MAX_LINES = 10000 };

typedef struct tracing {
  const print_t *out;
  trace_tree_t tree;
  int64_t last_us; /* of a row without a time, the one before it */
  int code;
} tracing_t;

static void on_failed(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  tracing_t *tracing = arg;
  tracing->code =
      report_failure(sync->options, tracing->out, "logger_query", result, sync_client_reached(sync));
}

static void add(yyjson_val *row, void *arg) {
  tracing_t *tracing = arg;
  log_query_time(row, &tracing->last_us);
  trace_tree_add(&tracing->tree, row, tracing->last_us);
}

static void show(tracing_t *tracing, const log_query_rows_t *rows, const options_t *options,
                 const char *trace_id) {
  const print_t err = {.file = stderr};
  log_query_each(rows, add, tracing);
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
  const options_t mine = log_query_options(options);
  const log_query_filter_t filter = {.trace = trace_id, .since_us = INT64_MIN, .until_us = INT64_MAX};
  tracing_t tracing = {.out = out};
  sync_client_t sync;
  log_query_rows_t rows;
  int code = sync_client_begin(&sync, &mine, out);
  if (code != 0)
    return code;
  if (log_query_read(&sync, &filter, MAX_LINES, &rows, on_failed, &tracing)) {
    show(&tracing, &rows, options, trace_id);
    log_query_rows_deinit(&rows);
  }
  return sync_client_end(&sync, tracing.code);
}
