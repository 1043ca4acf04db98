/* canary.c: `iccm canary [URL]`. Logs a line every second with Godot's logger_log and reads it back with
 * logger_query. An operator leaves it running to detect lost, doubled or late log lines.
 *
 * All lines of a run have the same trace id, which selects them, and a number in their data. Every second it
 * logs one line and reads the latest ones; every minute it reads those of the last hour, since a duplicate
 * may appear late. An accepted line must appear exactly once, within the limit for late lines. A line whose
 * call got no response may be stored or not.
 *
 * Failure: if the first line cannot be logged, this is reported and the command ends. After that only
 * --seconds, SIGINT, SIGTERM or a closed output ends it: an outage of Godot is reported once and counted.
 */
#include <iccm_service.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "canary_stats.h"
#include "check_alloc.h"
#include "commands.h"
#include "exit_codes.h"
#include "print.h"
#include "error_report.h"
#include "log_query.h"
#include "sync_client.h"

enum { TICK_MS = 1000, TICKS_PER_REPORT = 60, PROBLEM_HOLDOFF_TICKS = 10, MAX_LINES = 100000 };

typedef struct canary {
  options_t options;
  const print_t *out;
  sync_client_t sync;
  canary_stats_t stats;
  char run[MCP_UUID_SIZE]; /* the trace id */
  uint64_t number;         /* of the line that is being logged */
  uint64_t problems_reported;
  int ticks, problem_holdoff_ticks; /* since the last report; until the next problem may be reported */
  int stop_signal;                  /* a signal's number; 0: none */
  bool sleeping;
  bool unavailable; /* the last call failed, which was reported */
  int code;
  uv_signal_t interrupt, terminate;
} canary_t;

/* ---- reports --------------------------------------------------------------------------------------- */

static void print_report_json(const canary_t *canary, const char *event) {
  const canary_stats_t *stats = &canary->stats;
  char time[MCP_TIME_SIZE];
  mcp_time_format(mcp_time_now_us(), time);
  fprintf(canary->out->file,
          "{\"time\":\"%s\",\"event\":\"%s\",\"trace_id\":\"%s\",\"logged\":%llu,\"read\":%llu,\"lost\":%llu,"
          "\"doubled\":%llu,\"late\":%llu,\"missing\":%llu,\"refused\":%llu,\"unsure\":%llu,\"slowest_ms\":%"
          "lld}\n",
          time, event, canary->run, (unsigned long long)stats->logged, (unsigned long long)stats->read,
          (unsigned long long)stats->lost, (unsigned long long)stats->doubled,
          (unsigned long long)stats->late, (unsigned long long)stats->missing,
          (unsigned long long)stats->refused, (unsigned long long)stats->unsure,
          (long long)(stats->slowest_us / 1000));
}

static void print_report(const canary_t *canary, const char *event) {
  const canary_stats_t *stats = &canary->stats;
  char time[MCP_TIME_SIZE];
  if (canary->options.json) {
    print_report_json(canary, event);
    return;
  }
  mcp_time_format(mcp_time_now_us(), time);
  fprintf(
      canary->out->file,
      "%.19sZ %s: %llu logged, %llu read, %llu lost, %llu doubled, %llu late, %llu missing, %llu refused, "
      "%llu unsure; slowest %.1f s\n",
      time, event, (unsigned long long)stats->logged, (unsigned long long)stats->read,
      (unsigned long long)stats->lost, (unsigned long long)stats->doubled, (unsigned long long)stats->late,
      (unsigned long long)stats->missing, (unsigned long long)stats->refused,
      (unsigned long long)stats->unsure, (double)stats->slowest_us / 1e6);
}

/* New problems at once, but at most every PROBLEM_HOLDOFF_TICKS; otherwise once a minute. */
static void report_if_due(canary_t *canary) {
  uint64_t problems = canary->stats.late + canary->stats.doubled + canary->stats.lost;
  canary->ticks++;
  if (canary->problem_holdoff_ticks > 0)
    canary->problem_holdoff_ticks--;
  bool has_problem = problems != canary->problems_reported && canary->problem_holdoff_ticks == 0;
  if (!has_problem && canary->ticks < TICKS_PER_REPORT)
    return;
  print_report(canary, has_problem ? "trouble" : "status");
  canary->problems_reported = problems;
  canary->problem_holdoff_ticks = has_problem ? PROBLEM_HOLDOFF_TICKS : canary->problem_holdoff_ticks;
  canary->ticks = has_problem ? canary->ticks : 0;
}

static void report_availability(canary_t *canary, const char *error) { /* NULL: none */
  const print_t err = {.file = stderr};
  if (error != NULL && !canary->unavailable) {
    fputs("iccm: Godot request failed: ", stderr);
    print_line(&err, error, strlen(error), 0);
    fputc('\n', stderr);
  } else if (error == NULL && canary->unavailable) {
    fputs("iccm: Godot responds again\n", stderr);
  }
  canary->unavailable = error != NULL;
}

/* ---- logging and reading --------------------------------------------------------------------------- */

static yyjson_mut_doc *make_line(const canary_t *canary, int64_t now_us) {
  char time[MCP_TIME_SIZE];
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *args = check_alloc(yyjson_mut_obj(doc));
  yyjson_mut_doc_set_root(doc, args);
  mcp_time_format(now_us, time);
  yyjson_mut_obj_add_str(doc, args, "component", "iccm-canary");
  yyjson_mut_obj_add_str(doc, args, "level", "INFO");
  yyjson_mut_obj_add_str(doc, args, "message", "canary");
  yyjson_mut_obj_add_strcpy(doc, args, "trace_id", canary->run);
  yyjson_mut_obj_add_strcpy(doc, args, "created_at", time);
  yyjson_mut_val *data = check_alloc(yyjson_mut_obj_add_obj(doc, args, "data"));
  yyjson_mut_obj_add_uint(doc, data, "number", canary->number);
  return doc;
}

static void on_logged(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  canary_t *canary = arg;
  bool failed = result->status != 0 || result->is_error;
  bool unsure =
      result->status == MCP_ETIMEOUT || result->status == MCP_EDISCONNECTED || result->status == MCP_EBUSY;
  canary_stats_set_result(&canary->stats, canary->number,
                          !failed  ? CANARY_ACCEPTED
                          : unsure ? CANARY_UNSURE
                                   : CANARY_REFUSED);
  if (failed && canary->number == 0)
    canary->code = report_failure(sync->options, canary->out, "logger_log", result, sync_client_stage(sync));
  else
    report_availability(canary, failed ? result->message : NULL);
}

static void log_line(canary_t *canary) {
  int64_t now_us = mcp_time_now_us();
  canary->number = canary_stats_add(&canary->stats, now_us);
  sync_client_reset_deadline(&canary->sync);
  sync_client_call(&canary->sync, "logger_log", make_line(canary, now_us), on_logged, canary);
}

static void count_row(yyjson_val *row, void *arg) {
  canary_t *canary = arg;
  yyjson_val *id = yyjson_obj_get(row, "id"), *number = yyjson_obj_get(yyjson_obj_get(row, "data"), "number");
  if (yyjson_is_str(id) && yyjson_is_uint(number))
    canary_stats_read(&canary->stats, yyjson_get_str(id), yyjson_get_uint(number), mcp_time_now_us());
}

static void on_read_error(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  (void)sync;
  report_availability(arg, result->message);
}

static void read_lines(canary_t *canary, bool full) {
  int64_t now_us = mcp_time_now_us();
  const log_query_filter_t filter = {.trace = canary->run,
                                     .since_us = canary_stats_since(&canary->stats, now_us, full),
                                     .until_us = INT64_MAX};
  log_query_rows_t rows;
  sync_client_reset_deadline(&canary->sync);
  if (log_query_read(&canary->sync, &filter, MAX_LINES, &rows, on_read_error, canary)) {
    log_query_for_each(&rows, count_row, canary);
    log_query_rows_deinit(&rows);
  }
  canary_stats_update(&canary->stats, mcp_time_now_us());
}

/* ---- the run --------------------------------------------------------------------------------------- */

/* The first signal lets a running call finish; a second one ends the process at once. */
static void on_signal(uv_signal_t *handle, int number) {
  canary_t *canary = handle->data;
  if (canary->stop_signal != 0)
    _exit(ICCM_INTERRUPTED);
  canary->stop_signal = number;
  if (canary->sleeping)
    uv_stop(handle->loop);
}

static void handle_signal(canary_t *canary, uv_signal_t *handle, int number) {
  uv_signal_init(&canary->sync.loop, handle);
  handle->data = canary;
  uv_signal_start(handle, on_signal, number);
}

/* Sleeps until the next tick; missed ticks are skipped. */
static void sleep_until_next_tick(canary_t *canary, uint64_t began_ns) {
  uint64_t spent_ms = (uv_hrtime() - began_ns) / 1000000;
  if (canary->stop_signal != 0)
    return;
  canary->sleeping = true;
  sync_client_sleep(&canary->sync, spent_ms < TICK_MS ? TICK_MS - spent_ms : 1);
  canary->sleeping = false;
}

static void run_loop(canary_t *canary) {
  uint64_t end_ns = uv_hrtime() + (uint64_t)(canary->options.seconds * 1e9);
  for (int tick = 1; canary->stop_signal == 0 && fflush(canary->out->file) == 0; tick++) {
    uint64_t began_ns = uv_hrtime();
    if (canary->options.seconds_given && began_ns >= end_ns)
      break;
    log_line(canary);
    if (canary->code != ICCM_OK)
      return;
    read_lines(canary, tick % TICKS_PER_REPORT == 0);
    report_if_due(canary);
    sleep_until_next_tick(canary, began_ns);
  }
}

/* Waits until the last lines are read or late, unless a signal has stopped the run. */
static void finish(canary_t *canary) {
  read_lines(canary, true);
  while (canary->stop_signal == 0 && canary_stats_is_waiting(&canary->stats, mcp_time_now_us())) {
    sleep_until_next_tick(canary, uv_hrtime());
    read_lines(canary, true);
  }
  bool fine = canary_stats_finish(&canary->stats, mcp_time_now_us());
  print_report(canary, "summary");
  if (!fine)
    canary->code = ICCM_TOOL;
  else if (canary->stop_signal == SIGINT)
    canary->code = ICCM_INTERRUPTED;
}

int canary_run(const options_t *options, const print_t *out) {
  canary_t canary = {.options = log_query_options(options), .out = out};
  int code = sync_client_open(&canary.sync, &canary.options, out);
  if (code != 0)
    return code;
  canary_stats_init(&canary.stats, (int64_t)(options->late_seconds * 1e6));
  mcp_uuid_new(canary.run);
  handle_signal(&canary, &canary.interrupt, SIGINT);
  handle_signal(&canary, &canary.terminate, SIGTERM);
  run_loop(&canary);
  if (canary.code == ICCM_OK)
    finish(&canary);
  canary_stats_deinit(&canary.stats);
  uv_close((uv_handle_t *)&canary.interrupt, NULL);
  uv_close((uv_handle_t *)&canary.terminate, NULL);
  return sync_client_close(&canary.sync, canary.code);
}
