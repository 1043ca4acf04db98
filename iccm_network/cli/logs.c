/* logs.c: `iccm logs [URL]`. Shows lines of Godot's log, oldest first, and with --follow also new lines.
 *
 * Following uses the order in which lines reach the store, independent of any clock: it takes a cursor before
 * it reads the first lines, and then polls for lines that arrived after the cursor. Lines that are in both
 * results are recognised by their ids.
 *
 * Failure: if one of the first queries fails, it is reported and the command ends. If a later one fails, one
 * line is printed on stderr, and the next attempt with the same cursor follows a second later. The command
 * ends when stdout has no reader.
 */
#include <iccm_service.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "check_alloc.h"
#include "commands.h"
#include "print.h"
#include "relative_time.h"
#include "logline.h"
#include "error_report.h"
#include "log_query.h"
#include "dedup.h"
#include "sync_client.h"

enum {
  DEFAULT_LINES = 100,
  DEFAULT_LINES_SINCE = 10000, /* with --since */
  POLL_MS = 1000
};

typedef struct logs {
  options_t options;
  const print_t *out;
  sync_client_t sync;
  log_query_filter_t filter;
  char *cursor;  /* owned: of the next page to follow */
  dedup_t dedup; /* the first lines, while following may return them again */
  bool dedup_active;
  bool unavailable; /* the last query failed, which was reported */
  int code;
} logs_t;

/* ---- showing --------------------------------------------------------------------------------------- */

static void show(yyjson_val *row, void *arg) {
  logs_t *logs = arg;
  if (logs->dedup_active && !dedup_add(&logs->dedup, logline_string(row, "id"), 0))
    return;
  if (logs->options.json)
    print_json(logs->out, row, false);
  else
    logline_print(logs->out, row);
}

static bool has_reader(const print_t *out) {
  struct pollfd reader = {.fd = STDOUT_FILENO};
  return fflush(out->file) == 0 && (poll(&reader, 1, 0) <= 0 || (reader.revents & POLLERR) == 0);
}

/* ---- reading --------------------------------------------------------------------------------------- */

static void on_failed(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  logs_t *logs = arg;
  logs->code = report_failure(sync->options, logs->out, "logger_query", result, sync_client_stage(sync));
}

static bool show_first(logs_t *logs) {
  bool since = logs->filter.since_us != INT64_MIN;
  int max = logs->options.lines > 0 ? logs->options.lines : since ? DEFAULT_LINES_SINCE : DEFAULT_LINES;
  log_query_rows_t rows;
  if (!log_query_read(&logs->sync, &logs->filter, (size_t)max, &rows, on_failed, logs))
    return false;
  if (since && rows.more)
    fprintf(stderr, "iccm: only the newest %zu lines are shown; use --lines N for more\n", rows.count);
  log_query_for_each(&rows, show, logs);
  log_query_rows_deinit(&rows);
  return true;
}

static void on_follow_error(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  logs_t *logs = arg;
  const print_t err = {.file = stderr};
  (void)sync;
  if (!logs->unavailable) {
    fputs("iccm: no response from Godot, retrying: ", stderr);
    print_line(&err, result->message, strlen(result->message), 0);
    fputc('\n', stderr);
  }
  logs->unavailable = true;
}

static void show_arrived(logs_t *logs) {
  size_t count = 1;
  while (count > 0 && has_reader(logs->out)) {
    sync_client_reset_deadline(&logs->sync);
    if (!log_query_follow(&logs->sync, &logs->filter, &logs->cursor, &count, show, on_follow_error, logs))
      return;
    if (logs->unavailable)
      fputs("iccm: Godot responds again\n", stderr);
    logs->unavailable = false;
  }
  logs->dedup_active = false;
}

/* Until stdout has no reader; SIGINT ends the process. */
static void follow(logs_t *logs) {
  while (has_reader(logs->out)) {
    sync_client_sleep(&logs->sync, POLL_MS);
    show_arrived(logs);
  }
}

static bool start_following(logs_t *logs) {
  size_t count;
  logs->cursor = check_alloc(strdup("arrival"));
  logs->dedup_active = true;
  return log_query_follow(&logs->sync, &logs->filter, &logs->cursor, &count, show, on_failed, logs);
}

/* ---- the command ----------------------------------------------------------------------------------- */

/* Parses a relative time, or an absolute one with parse; text NULL: *us is unchanged. */
static bool read_time(const char *text, int (*parse)(const char *, size_t, int64_t *), int64_t *us) {
  int64_t relative_us;
  if (text == NULL)
    return true;
  if (!relative_time_parse(text, &relative_us))
    return parse(text, strlen(text), us) == 0;
  *us = mcp_time_now_us() - relative_us;
  return true;
}

int logs_run(const options_t *options, const print_t *out) {
  logs_t logs = {.options = log_query_options(options), .out = out};
  int level = mcp_log_level_parse(options->level);
  logs.filter = (log_query_filter_t){.component = options->component,
                                     .level = mcp_log_level_name(level),
                                     .trace = options->trace,
                                     .text = options->text,
                                     .since_us = INT64_MIN,
                                     .until_us = INT64_MAX};
  if (options->level != NULL && level < 0)
    return report_usage_error(options, out, "--level takes TRACE, DEBUG, INFO, WARN or ERROR");
  if (!read_time(options->since, mcp_time_parse, &logs.filter.since_us) ||
      !read_time(options->until, mcp_time_parse_end, &logs.filter.until_us))
    return report_usage_error(options, out, "--since and --until take 15m, 2h, 3d, or " MCP_TIME_FORM);
  int code = sync_client_open(&logs.sync, &logs.options, out);
  if (code != 0)
    return code;
  if ((!options->follow || start_following(&logs)) && show_first(&logs) && options->follow)
    follow(&logs);
  free(logs.cursor);
  dedup_deinit(&logs.dedup);
  return sync_client_close(&logs.sync, logs.code);
}
