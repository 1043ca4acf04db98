/* logs.c: `iccm logs [URL]`. Shows lines of Godot's log, oldest first, and with --follow those that come.
 *
 * Following asks again and again, each time from a little before the newest line on, now and then from much
 * earlier on: a line gets the time of its event, and reaches the store later than that, out of order. What
 * was shown is remembered by id. The newest line decides, not this machine's clock: while nothing is stored,
 * nothing is passed over. Lines from the future, of a clock that is wrong, do not count there.
 *
 * Failure: of the first query: reported, and the end. Later ones: one line on stderr, and the next attempt a
 * second later, for ever; the first that succeeds looks back far. A reader of stdout that has gone ends it.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include "ago.h"
#include "logline.h"
#include "report.h"
#include "rows.h"
#include "seen.h"

enum {
  LINES = 100,
  LINES_SINCE = 10000, /* where --since says how far to go back */
  MAX_NEW_LINES = 100000,
  POLL_MS = 1000,
  POLLS_PER_LOOK_BACK = 30
};

static const int64_t short_look_us = 10000000, long_look_us = 600000000;

typedef struct logs {
  options_t options;
  const print_t *out;
  session_t session;
  rows_filter_t filter;
  seen_t seen;
  int64_t floor_us;  /* what is older was not asked for */
  int64_t newest_us; /* of lines shown; INT64_MIN: none */
  bool away;         /* Godot does not answer, which was told */
  int code;
} logs_t;

/* ---- showing --------------------------------------------------------------------------------------- */

static void show(yyjson_val *row, void *arg) {
  logs_t *logs = arg;
  int64_t time_us = INT64_MIN;
  bool dated = rows_time(row, &time_us);
  if (!seen_add(&logs->seen, logline_text(row, "id"), time_us))
    return;
  if (dated && time_us > logs->newest_us && yyjson_get_num(yyjson_obj_get(row, "age")) >= 0)
    logs->newest_us = time_us;
  if (logs->options.json)
    print_json(logs->out, row, false);
  else
    logline_print(logs->out, row);
}

static bool is_read(const print_t *out) {
  struct pollfd reader = {.fd = STDOUT_FILENO};
  return fflush(out->file) == 0 && (poll(&reader, 1, 0) <= 0 || (reader.revents & POLLERR) == 0);
}

static void tell_left_out(const rows_t *rows, const char *remedy) {
  if (rows->more)
    fprintf(stderr, "iccm: older lines than these %zu are not shown%s\n", rows->count, remedy);
}

/* ---- reading --------------------------------------------------------------------------------------- */

static void on_failed(session_t *session, const mcp_result_t *result, void *arg) {
  logs_t *logs = arg;
  logs->code = report_failure(session->options, logs->out, "logger_query", result, session->connected);
}

static void find_oldest(yyjson_val *row, void *arg) {
  int64_t *oldest_us = arg, time_us;
  if (*oldest_us == INT64_MIN && rows_time(row, &time_us))
    *oldest_us = time_us;
}

static bool show_first(logs_t *logs) {
  bool since = logs->filter.since_us != INT64_MIN;
  int max = logs->options.lines > 0 ? logs->options.lines : since ? LINES_SINCE : LINES;
  rows_t rows;
  if (!rows_read(&logs->session, &logs->filter, (size_t)max, &rows, on_failed, logs))
    return false;
  if (since)
    tell_left_out(&rows, "; --lines N shows more");
  if (rows.more)
    rows_each(&rows, find_oldest, &logs->floor_us);
  else
    logs->floor_us = logs->filter.since_us;
  rows_each(&rows, show, logs);
  rows_deinit(&rows);
  return true;
}

static void on_away(session_t *session, const mcp_result_t *result, void *arg) {
  logs_t *logs = arg;
  const print_t err = {.file = stderr};
  (void)session;
  if (!logs->away) {
    fputs("iccm: no answer from Godot, trying again: ", stderr);
    print_line(&err, result->message, strlen(result->message), 0);
    fputc('\n', stderr);
  }
  logs->away = true;
}

static bool show_new(logs_t *logs, int64_t look_us) {
  rows_filter_t filter = logs->filter;
  rows_t rows;
  filter.since_us = logs->floor_us;
  if (logs->newest_us != INT64_MIN && logs->newest_us - look_us > logs->floor_us)
    filter.since_us = logs->newest_us - look_us;
  session_renew(&logs->session);
  if (!rows_read(&logs->session, &filter, MAX_NEW_LINES, &rows, on_away, logs))
    return false;
  if (logs->away)
    fputs("iccm: Godot answers again\n", stderr);
  logs->away = false;
  tell_left_out(&rows, "");
  rows_each(&rows, show, logs);
  rows_deinit(&rows);
  return true;
}

/* Until nobody reads it any more; SIGINT ends the process. */
static void follow(logs_t *logs) {
  int polls_left = 0; /* until the next look far back */
  while (is_read(logs->out)) {
    session_pause(&logs->session, POLL_MS);
    bool far = logs->away || polls_left == 0;
    bool answered = show_new(logs, far ? long_look_us : short_look_us);
    polls_left = !answered ? 0 : far ? POLLS_PER_LOOK_BACK : polls_left - 1;
    if (far && answered && logs->newest_us != INT64_MIN)
      seen_forget(&logs->seen, logs->newest_us - 2 * long_look_us);
  }
}

/* ---- the command ----------------------------------------------------------------------------------- */

/* A time, or how long ago; NULL leaves *us. */
static bool read_time(const char *text, int64_t *us) {
  int64_t ago_us;
  if (text == NULL)
    return true;
  if (!ago_parse(text, &ago_us))
    return mcp_time_parse(text, strlen(text), us) == 0;
  *us = mcp_time_now_us() - ago_us;
  return true;
}

int logs_run(const options_t *options, const print_t *out) {
  logs_t logs = {.options = rows_options(options), .out = out, .floor_us = INT64_MIN, .newest_us = INT64_MIN};
  logs.filter = (rows_filter_t){.component = options->component,
                                .level = options->level,
                                .trace = options->trace,
                                .text = options->text,
                                .since_us = INT64_MIN,
                                .until_us = INT64_MAX};
  if (options->level != NULL && mcp_log_level(options->level) < 0)
    return report_usage(options, out, "--level takes TRACE, DEBUG, INFO, WARN or ERROR");
  if (!read_time(options->since, &logs.filter.since_us) || !read_time(options->until, &logs.filter.until_us))
    return report_usage(options, out,
                        "--since and --until take 15m, 2h, 3d, or a time as 2026-11-21T07:24:07Z");
  int code = session_begin(&logs.session, &logs.options, out);
  if (code != 0)
    return code;
  if (show_first(&logs) && options->follow)
    follow(&logs);
  seen_deinit(&logs.seen);
  return session_end(&logs.session, logs.code);
}
