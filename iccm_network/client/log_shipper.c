/* log_shipper.c: see log_shipper.h.
 *
 * Happy path: the logging thread copies its record into one ring for stderr and one for Godot, under a lock
 * that is held only for the copy, and makes no system call. Every 50 ms the shipper's thread writes to stderr
 * as much as it accepts, and calls logger_log for up to 64 records at a time. Godot may set the level from
 * which on it wants records of this component. Failure: if Godot is unavailable, slow or rejecting, records
 * stay in their ring; when it is full, the oldest are dropped, and a log line reports their number once Godot
 * is back. A record whose response was lost is sent again with the same id. A blocked stderr is handled the
 * same way. Records of the shipper's own thread are never shipped. */
#define _GNU_SOURCE /* PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP */
#include "client/log_shipper.h"

#include "client/client.h"
#include "client/log_subscription.h"
#include "base/log_ring.h"
#include "base/redact.h"
#include "base/utf8.h"
#include "iccm_service.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
  INITIALIZE_PARAMS_BYTES = 256 << 10, /* limit for the component's name, and for its version */
  TRACE_ID_BYTES = 128,                /* limit of Godot */
  STDERR_BUFFER_BYTES = 1 << 20,       /* formatted for stderr */
  STOP_TURN_MS = 5,                    /* while it stops */
  /* Internal errors of Godot for one record before it is dropped: the record may be the cause, and must
   * not block the others. */
  MAX_INTERNAL_ERRORS = 3,
  LEVEL_NONE = MCP_LOG_ERROR + 1
};

/* A record that is being sent to Godot. */
typedef struct line {
  mcp__log_shipper_t *shipper;
  enum { LINE_FREE, LINE_RETRY, LINE_SENT } state; /* LINE_RETRY: was sent, must be sent again */
  char id[MCP_UUID_SIZE];
  mcp__log_record_t record; /* points into memory, or of a drop report into report_text */
  mcp__buf_t memory;
  unsigned internal_errors; /* number of internal errors for this record */
  bool is_drop_report;      /* the record reports drops */
  char report_text[160];
} in_flight_line_t;

/* States of the thread, in this order. */
typedef enum shipper_state {
  RUNNING,
  FLUSHING, /* stopping: writes and ships the remaining records */
  ENDING    /* the client is closing */
} shipper_state_t;

struct mcp__log_shipper {
  mcp__log_shipper_t *next; /* in the registry */
  atomic_uint users;        /* reference count: the owner, the thread, and others */
  char *component, *initialize_params;
  atomic_int level;     /* minimum level for shipping */
  int configured_level; /* minimum level unless Godot sets one */
  pthread_mutex_t lock; /* guards the next three members */
  mcp__log_ring_t stderr_ring, ship_ring;
  bool closed; /* no more records are accepted */
  /* Members used by the thread: */
  uv_loop_t loop;
  uv_timer_t turn;
  mcp_client_t *client; /* NULL: log shipping is off */
  mcp__log_subscription_t subscription;
  bool connected, refusal_logged;
  bool waiting_logged; /* has logged that Godot is unavailable */
  shipper_state_t state;
  uint64_t paused_until_ms, close_deadline_ms;
  uint64_t flush_limit_ms; /* time limit of a stop; the owner sets it before it wakes the thread */
  uint64_t flush_deadline_ms, progress_deadline_ms;
  mcp__buf_t out; /* formatted lines for stderr */
  mcp__buf_t memory;
  in_flight_line_t in_flight_lines[MCP__LOG_SHIPPER_IN_FLIGHT];
  unsigned in_flight_count; /* number of lines that are not LINE_FREE */
  uint64_t reported_drops;  /* total drops at the last drop report */
  int64_t last_report_us;   /* time of the last drop report */
  atomic_ullong shipped_count, refused_count;
  /* Shared by the thread and the owner: */
  pthread_t thread;
  atomic_bool finished, done_sent;
  uv_async_t wake, done; /* wake: on the thread's loop; done: on the owner's */
  void (*on_stopped)(void *arg);
  void *arg;
};

static void set_state(mcp__log_shipper_t *shipper, shipper_state_t state) {
  assert(state > shipper->state); /* a failed start goes to ENDING directly */
  shipper->state = state;
}

static _Thread_local bool muted; /* records of this thread are not shipped */
static pthread_mutex_t registry_lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
static mcp__log_shipper_t *registry;

/* ---- registry --------------------------------------------------------------------------------------- */

static void route(const mcp__log_record_t *record);

static void publish_levels(void) { /* the registry is locked */
  int lowest = LEVEL_NONE;
  for (mcp__log_shipper_t *each = registry; each != NULL; each = each->next)
    if (atomic_load(&each->level) < lowest)
      lowest = atomic_load(&each->level);
  mcp__log_set_route(registry != NULL ? route : NULL, lowest);
}

static void add_to_registry(mcp__log_shipper_t *shipper) {
  pthread_mutex_lock(&registry_lock);
  mcp__log_shipper_t **last = &registry;
  while (*last != NULL)
    last = &(*last)->next;
  *last = shipper;
  publish_levels();
  pthread_mutex_unlock(&registry_lock);
}

static void remove_from_registry(mcp__log_shipper_t *shipper) {
  pthread_mutex_lock(&registry_lock);
  mcp__log_shipper_t **at = &registry;
  while (*at != NULL && *at != shipper)
    at = &(*at)->next;
  if (*at != NULL)
    *at = shipper->next;
  publish_levels();
  pthread_mutex_unlock(&registry_lock);
}

/* The shipper of that component, else the first one started. */
static mcp__log_shipper_t *find_shipper(const char *part) {
  pthread_mutex_lock(&registry_lock);
  mcp__log_shipper_t *found = registry;
  for (mcp__log_shipper_t *each = registry; each != NULL; each = each->next) {
    if (strcmp(each->component, part) == 0) {
      found = each;
      break;
    }
  }
  mcp__log_shipper_hold(found);
  pthread_mutex_unlock(&registry_lock);
  return found;
}

static void route(const mcp__log_record_t *record) {
  mcp__log_shipper_t *shipper = find_shipper(record->part);
  mcp__log_shipper_log(shipper, record, MCP__LOG_SHOW | MCP__LOG_SHIP);
  mcp__log_shipper_release(shipper);
}

/* ---- accepting records ------------------------------------------------------------------------------ */

bool mcp__log_shipper_wants(const mcp__log_shipper_t *shipper, int level) {
  return level >= mcp__log_threshold() ||
         (shipper != NULL && level >= atomic_load_explicit(&shipper->level, memory_order_relaxed));
}

void mcp__log_shipper_log(mcp__log_shipper_t *shipper, const mcp__log_record_t *record, unsigned where) {
  bool show = (where & MCP__LOG_SHOW) != 0 && record->level >= mcp__log_threshold();
  bool ship = (where & MCP__LOG_SHIP) != 0 && shipper != NULL && !muted &&
              record->level >= atomic_load_explicit(&shipper->level, memory_order_relaxed);
  bool show_now = show && (shipper == NULL || mcp__log_has_handler());
  if (shipper != NULL && (ship || (show && !show_now))) {
    pthread_mutex_lock(&shipper->lock);
    if (ship && !shipper->closed)
      mcp__log_ring_push(&shipper->ship_ring, record);
    if (show && !show_now && !shipper->closed)
      mcp__log_ring_push(&shipper->stderr_ring, record);
    else
      show_now = show;
    pthread_mutex_unlock(&shipper->lock);
  }
  if (show_now)
    mcp__log_show(record);
}

void mcp__log_shipper_mute(bool on) {
  muted = on;
}

const char *mcp__log_shipper_component(const mcp__log_shipper_t *shipper) {
  return shipper->component;
}

static bool pop(mcp__log_shipper_t *shipper, mcp__log_ring_t *ring, mcp__log_record_t *record,
                mcp__buf_t *memory) {
  pthread_mutex_lock(&shipper->lock);
  bool popped = mcp__log_ring_pop(ring, record, memory);
  pthread_mutex_unlock(&shipper->lock);
  return popped;
}

static uint64_t dropped(mcp__log_shipper_t *shipper) {
  pthread_mutex_lock(&shipper->lock);
  uint64_t count = shipper->ship_ring.dropped;
  pthread_mutex_unlock(&shipper->lock);
  return count + atomic_load(&shipper->refused_count);
}

mcp__log_shipper_counts_t mcp__log_shipper_counts(mcp__log_shipper_t *shipper) {
  mcp__log_shipper_counts_t counts = {0};
  if (shipper != NULL)
    counts = (mcp__log_shipper_counts_t){atomic_load(&shipper->shipped_count), dropped(shipper)};
  return counts;
}

/* ---- to stderr -------------------------------------------------------------------------------------- */

static void flush_out(mcp__log_shipper_t *shipper) {
  mcp__buf_consume(&shipper->out, mcp__log_write_stderr(shipper->out.data, shipper->out.len, 0));
}

/* At most one full ring in one turn: a thread that logs faster than this must not delay shipping. */
static void show(mcp__log_shipper_t *shipper) {
  mcp__log_record_t record;
  unsigned left = MCP__LOG_SHIPPER_MAX_LINES;
  flush_out(shipper);
  while (shipper->out.len == 0 && left > 0 &&
         pop(shipper, &shipper->stderr_ring, &record, &shipper->memory)) {
    do {
      left = left > 0 ? left - 1 : 0;
      size_t before = shipper->out.len;
      if (mcp__log_format_record(&shipper->out, &record) != 0)
        shipper->out.len = before;
    } while (shipper->out.len < PIPE_BUF / 2 &&
             pop(shipper, &shipper->stderr_ring, &record, &shipper->memory));
    flush_out(shipper);
  }
}

/* ---- to Godot --------------------------------------------------------------------------------------- */

/* Sets a member, replacing an existing one. */
static void put_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text) {
  if (text != NULL && *text != '\0' && mcp__utf8_valid(text, strlen(text)))
    yyjson_mut_obj_put(object, yyjson_mut_str(doc, key), yyjson_mut_strcpy(doc, text));
}

/* The data of a record with its secrets redacted; a value that is not an object becomes {"value": …}. */
static yyjson_mut_val *read_data(yyjson_mut_doc *doc, const mcp__log_record_t *record) {
  yyjson_doc *given = NULL;
  mcp__json_error_t error;
  if (record->data != NULL)
    given = mcp__json_read(record->data, record->data_len, &mcp__json_alc, &error);
  yyjson_mut_val *data = given != NULL ? yyjson_val_mut_copy(doc, yyjson_doc_get_root(given)) : NULL;
  if (given == NULL && record->data != NULL) /* beyond a limit of the reader: redact all */
    data = yyjson_mut_str(doc, MCP__REDACTED);
  yyjson_doc_free(given);
  mcp__redact(data);
  if (yyjson_mut_is_obj(data))
    return data;
  yyjson_mut_val *object = yyjson_mut_obj(doc);
  if (data != NULL)
    yyjson_mut_obj_add_val(doc, object, "value", data);
  return object;
}

static yyjson_mut_doc *make_args(const in_flight_line_t *line) {
  const mcp__log_record_t *record = &line->record;
  const char *component = line->shipper->component;
  char time[MCP_TIME_SIZE];
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&mcp__json_alc);
  if (doc == NULL)
    return NULL;
  yyjson_mut_val *args = yyjson_mut_obj(doc), *data = read_data(doc, record);
  yyjson_mut_doc_set_root(doc, args);
  mcp_time_format(record->time_us, time);
  put_text(doc, args, "component", component);
  put_text(doc, args, "level", mcp_log_level_name(record->level));
  yyjson_mut_obj_add_strcpy(doc, args, "message", record->message);
  if (record->trace_id != NULL && strlen(record->trace_id) <= TRACE_ID_BYTES)
    put_text(doc, args, "trace_id", record->trace_id);
  put_text(doc, args, "id", line->id);
  put_text(doc, args, "created_at", time);
  if (strcmp(record->part, component) != 0)
    put_text(doc, data, "part", record->part);
  put_text(doc, data, "span_id", record->span_id);
  put_text(doc, data, "parent_span_id", record->parent_span_id);
  if (yyjson_mut_obj_size(data) > 0)
    yyjson_mut_obj_add_val(doc, args, "data", data);
  return doc;
}

static void ship(mcp__log_shipper_t *shipper);

static void release_line(in_flight_line_t *line) {
  line->state = LINE_FREE;
  line->is_drop_report = false;
  line->internal_errors = 0;
  line->shipper->in_flight_count--;
  mcp__buf_clear(&line->memory, MCP__LOG_SHIPPER_MAX_BYTES / MCP__LOG_SHIPPER_MAX_LINES);
}

static void refuse(in_flight_line_t *line, const char *why) {
  mcp__log_shipper_t *shipper = line->shipper;
  if (!line->is_drop_report) /* otherwise, if Godot rejects everything, it would get reports endlessly */
    atomic_fetch_add(&shipper->refused_count, 1);
  if (!shipper->refusal_logged) /* once per connection: it may reject all records */
    mcp_log(MCP_LOG_WARN, shipper->component, "Godot rejected a log line, which is lost: %s", why);
  shipper->refusal_logged = true;
  release_line(line);
}

static bool is_permanent(int status) { /* a retry would fail the same way */
  return status == MCP_INVALID_PARAMS || status == MCP_INVALID_REQUEST || status == MCP_METHOD_NOT_FOUND ||
         status == MCP_ETOOBIG || status == MCP_EENCODE || status == MCP_PARSE_ERROR;
}

static uint64_t at_least_flush_ms(uint64_t ms) {
  return ms > MCP__LOG_SHIPPER_FLUSH_MS ? ms : MCP__LOG_SHIPPER_FLUSH_MS;
}

/* The deadline is only used after flush_limit_ms is set. */
static void extend_progress_deadline(mcp__log_shipper_t *shipper) {
  if (shipper->state != RUNNING)
    shipper->progress_deadline_ms = uv_now(&shipper->loop) + at_least_flush_ms(shipper->flush_limit_ms / 3);
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  in_flight_line_t *line = arg;
  mcp__log_shipper_t *shipper = line->shipper;
  (void)client;
  if (result->status == 0 && !result->is_error) {
    atomic_fetch_add(&shipper->shipped_count, 1);
    extend_progress_deadline(shipper);
    release_line(line);
  } else if (is_permanent(result->status) ||
             (result->status == MCP_INTERNAL_ERROR && ++line->internal_errors == MAX_INTERNAL_ERRORS)) {
    refuse(line, result->message);
  } else {
    line->state = LINE_RETRY;
    if (shipper->connected)
      shipper->paused_until_ms = uv_now(&shipper->loop) + MCP__LOG_SHIPPER_PAUSE_MS;
  }
  ship(shipper);
}

/* Creates a record with the number of drops since the last report, if there are any. */
static bool take_drop_report(in_flight_line_t *line) {
  mcp__log_shipper_t *shipper = line->shipper;
  uint64_t count = dropped(shipper);
  if (count == shipper->reported_drops)
    return false;
  char since[MCP_TIME_SIZE];
  mcp_time_format(shipper->last_report_us, since);
  line->is_drop_report = true;
  snprintf(line->report_text, sizeof line->report_text,
           "%llu log lines dropped since %s: Godot did not take them",
           (unsigned long long)(count - shipper->reported_drops), since);
  line->record =
      (mcp__log_record_t){.level = MCP_LOG_WARN, .part = shipper->component, .message = line->report_text};
  line->record.time_us = shipper->last_report_us = mcp_time_now_us();
  shipper->reported_drops = count;
  return true;
}

static bool take_line(in_flight_line_t *line) {
  if (line->state == LINE_RETRY)
    return true;
  if (!take_drop_report(line) && !pop(line->shipper, &line->shipper->ship_ring, &line->record, &line->memory))
    return false;
  mcp_uuid_new(line->id);
  line->shipper->in_flight_count++;
  return true;
}

static bool send_line(in_flight_line_t *line) {
  mcp__log_shipper_t *shipper = line->shipper;
  yyjson_mut_doc *args = make_args(line);
  int status = UV_ENOMEM;
  if (args != NULL)
    status = mcp_client_call(shipper->client, "logger_log", args,
                             &(mcp_call_options_t){.timeout_ms = MCP__LOG_SHIPPER_CALL_MS}, on_answer, line);
  line->state = status == 0 ? LINE_SENT : LINE_RETRY;
  if (is_permanent(status))
    refuse(line, mcp_strerror(status));
  else if (status != 0)
    shipper->paused_until_ms = uv_now(&shipper->loop) + MCP__LOG_SHIPPER_PAUSE_MS;
  return status == 0;
}

static void ship(mcp__log_shipper_t *shipper) {
  for (int state = LINE_RETRY; state >= LINE_FREE;
       state = state == LINE_RETRY ? LINE_FREE : -1) { /* retries first */
    for (int i = 0; i < MCP__LOG_SHIPPER_IN_FLIGHT; i++) {
      in_flight_line_t *line = &shipper->in_flight_lines[i];
      if (!shipper->connected || uv_now(&shipper->loop) < shipper->paused_until_ms)
        return;
      if ((int)line->state == state && (!take_line(line) || !send_line(line)))
        return;
    }
  }
}

static void on_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  mcp__log_shipper_t *shipper = arg;
  (void)client;
  shipper->connected = status == 0;
  if (!shipper->connected) {
    if (!shipper->waiting_logged)
      mcp_log(MCP_LOG_WARN, shipper->component,
              "cannot ship log lines to Godot: %s (set LOGGING_ENABLED=false to disable log shipping)",
              reason);
    shipper->waiting_logged = true;
    return;
  }
  if (shipper->waiting_logged)
    mcp_log(MCP_LOG_INFO, shipper->component, "shipping log lines to Godot");
  shipper->waiting_logged = false;
  shipper->refusal_logged = false;
  shipper->paused_until_ms = 0;
  mcp__log_subscription_open(&shipper->subscription);
  ship(shipper);
}

static void on_notification(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  mcp__log_shipper_t *shipper = arg;
  yyjson_val *component = yyjson_obj_get(params, "component");
  (void)client;
  if (strcmp(method, "notifications/iccm/log_level") != 0 ||
      (component != NULL && !yyjson_equals_str(component, shipper->component)))
    return;
  int level = mcp_log_level_from_json(yyjson_obj_get(params, "level"));
  pthread_mutex_lock(&registry_lock);
  atomic_store(&shipper->level, level >= 0 ? level : shipper->configured_level);
  publish_levels();
  pthread_mutex_unlock(&registry_lock);
}

/* ---- thread ----------------------------------------------------------------------------------------- */

static void send_done(mcp__log_shipper_t *shipper) {
  if (!atomic_exchange(&shipper->done_sent, true))
    uv_async_send(&shipper->done);
}

/* The timer keeps running while something else keeps the loop alive, such as a hanging name look-up. */
static void on_client_closed(mcp_client_t *client, void *arg) {
  mcp__log_shipper_t *shipper = arg;
  mcp_client_free(client);
  shipper->client = NULL;
  uv_unref((uv_handle_t *)&shipper->turn);
  uv_unref((uv_handle_t *)&shipper->wake);
}

static void close_loop(mcp__log_shipper_t *shipper) {
  uv_close((uv_handle_t *)&shipper->turn, NULL);
  uv_close((uv_handle_t *)&shipper->wake, NULL);
  uv_run(&shipper->loop, UV_RUN_DEFAULT);
  uv_loop_close(&shipper->loop);
}

/* Nothing is left, or nothing that can be shipped. */
static bool is_empty(mcp__log_shipper_t *shipper) {
  pthread_mutex_lock(&shipper->lock);
  bool stderr_ring = shipper->stderr_ring.count == 0, ship_ring = shipper->ship_ring.count == 0;
  pthread_mutex_unlock(&shipper->lock);
  return stderr_ring && shipper->out.len == 0 &&
         ((ship_ring && shipper->in_flight_count == 0) || !shipper->connected);
}

static void start_closing(mcp__log_shipper_t *shipper) {
  set_state(shipper, ENDING);
  shipper->close_deadline_ms = uv_now(&shipper->loop) + MCP__LOG_SHIPPER_CLOSE_MS;
  pthread_mutex_lock(&shipper->lock);
  shipper->closed = true;
  pthread_mutex_unlock(&shipper->lock);
  show(shipper);
  if (shipper->client == NULL || mcp_client_close(shipper->client, on_client_closed, shipper) != 0)
    on_client_closed(shipper->client, shipper);
}

static void on_turn(uv_timer_t *timer) {
  mcp__log_shipper_t *shipper = timer->data;
  uint64_t now_ms = uv_now(&shipper->loop);
  show(shipper);
  ship(shipper);
  if (shipper->state == RUNNING)
    mcp__log_subscription_tick(&shipper->subscription);
  if (shipper->state == FLUSHING &&
      (is_empty(shipper) || now_ms >= shipper->flush_deadline_ms || now_ms >= shipper->progress_deadline_ms))
    start_closing(shipper);
  else if (shipper->state == ENDING && now_ms >= shipper->close_deadline_ms)
    send_done(shipper); /* for example a hanging name look-up: the owner need not wait for it */
}

static void on_wake(uv_async_t *wake) {
  mcp__log_shipper_t *shipper = wake->data;
  set_state(shipper, FLUSHING);
  shipper->flush_deadline_ms = uv_now(&shipper->loop) + at_least_flush_ms(shipper->flush_limit_ms);
  extend_progress_deadline(shipper);
  uv_timer_start(&shipper->turn, on_turn, 0, STOP_TURN_MS);
}

static void *thread_main(void *arg) {
  mcp__log_shipper_t *shipper = arg;
  muted = true;
  pthread_setname_np(pthread_self(), "mcp-log");
  uv_run(&shipper->loop, UV_RUN_DEFAULT);
  close_loop(shipper);
  atomic_store(&shipper->finished, true);
  send_done(shipper);
  mcp__log_shipper_release(shipper);
  return NULL;
}

static void on_done_closed(uv_handle_t *handle) {
  mcp__log_shipper_t *shipper = handle->data;
  void (*cb)(void *arg) = shipper->on_stopped;
  void *arg = shipper->arg;
  mcp__log_shipper_release(shipper);
  if (cb != NULL)
    cb(arg);
}

/* A finished thread is joined, which takes no time and avoids that it is still exiting when the process ends.
 * A hanging thread is detached. */
static void on_done(uv_async_t *done) {
  mcp__log_shipper_t *shipper = done->data;
  if (atomic_load(&shipper->finished))
    pthread_join(shipper->thread, NULL);
  else
    pthread_detach(shipper->thread);
  uv_close((uv_handle_t *)done, on_done_closed);
}

/* ---- start and stop --------------------------------------------------------------------------------- */

mcp__log_shipper_t *mcp__log_shipper_hold(mcp__log_shipper_t *shipper) {
  if (shipper != NULL)
    atomic_fetch_add_explicit(&shipper->users, 1, memory_order_relaxed);
  return shipper;
}

void mcp__log_shipper_release(mcp__log_shipper_t *shipper) {
  if (shipper == NULL || atomic_fetch_sub(&shipper->users, 1) > 1)
    return;
  for (int i = 0; i < MCP__LOG_SHIPPER_IN_FLIGHT; i++)
    mcp__buf_deinit(&shipper->in_flight_lines[i].memory);
  mcp__buf_deinit(&shipper->out);
  mcp__buf_deinit(&shipper->memory);
  mcp__log_ring_deinit(&shipper->stderr_ring);
  mcp__log_ring_deinit(&shipper->ship_ring);
  pthread_mutex_destroy(&shipper->lock);
  mcp__free(shipper->component);
  mcp__free(shipper->initialize_params);
  mcp__free(shipper);
}

static char *write_initialize_params(const char *component, const char *version) {
  mcp__buf_t name, initialize_params;
  mcp__buf_init(&name, INITIALIZE_PARAMS_BYTES, NULL);
  mcp__buf_init(&initialize_params, 4 * INITIALIZE_PARAMS_BYTES, NULL);
  int status = mcp__buf_json_string(&name, component, strlen(component));
  status = mcp__buf_first_error(status, mcp__buf_append(&name, "", 1));
  if (status == 0)
    status =
        mcp__buf_printf(&initialize_params,
                        "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"experimental\":{"
                        "\"iccm/log_level\":{\"component\":%s}}},\"clientInfo\":{\"name\":%s,\"version\":",
                        name.data, name.data);
  status = mcp__buf_first_error(status, mcp__buf_json_string(&initialize_params, version, strlen(version)));
  status = mcp__buf_first_error(status, mcp__buf_append(&initialize_params, "}}", 3));
  mcp__buf_deinit(&name);
  if (status == 0)
    return initialize_params.data;
  mcp__buf_deinit(&initialize_params);
  return NULL;
}

static int make_client(mcp__log_shipper_t *shipper, const char *version, const char *url) {
  shipper->initialize_params = write_initialize_params(shipper->component, version);
  if (shipper->initialize_params == NULL ||
      mcp__client_new(&shipper->loop, *url != '\0' ? url : NULL, &shipper->client) != 0)
    return UV_ENOMEM;
  shipper->subscription = (mcp__log_subscription_t){
      .client = shipper->client, .loop = &shipper->loop, .component = shipper->component};
  mcp__client_set_initialize_params(shipper->client, shipper->initialize_params);
  mcp__client_set_connect_ms(shipper->client, MCP__LOG_SHIPPER_CONNECT_MS);
  mcp_client_on_state(shipper->client, on_state, shipper);
  mcp_client_on_notification(shipper->client, on_notification, shipper);
  return mcp_client_connect(shipper->client);
}

static int start_thread(mcp__log_shipper_t *shipper) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are handled by the program's threads */
  int status = pthread_create(&shipper->thread, NULL, thread_main, shipper);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return status == 0 ? 0 : uv_translate_sys_error(status);
}

static int open_handles(mcp__log_shipper_t *shipper, uv_loop_t *owner_loop) {
  int status = uv_loop_init(&shipper->loop);
  if (status != 0)
    return status;
  status = uv_async_init(&shipper->loop, &shipper->wake, on_wake);
  if (status == 0) {
    uv_timer_init(&shipper->loop, &shipper->turn);
    uv_timer_start(&shipper->turn, on_turn, MCP__LOG_SHIPPER_TURN_MS, MCP__LOG_SHIPPER_TURN_MS);
    shipper->wake.data = shipper->turn.data = shipper->done.data = shipper;
    status = uv_async_init(owner_loop, &shipper->done, on_done);
    if (status == 0) {
      uv_unref((uv_handle_t *)&shipper->done);
      return 0;
    }
    close_loop(shipper);
    return status;
  }
  uv_loop_close(&shipper->loop);
  return status;
}

static int init_members(mcp__log_shipper_t *shipper, const char *component, bool log_shipping) {
  shipper->component = mcp__strdup(component);
  shipper->configured_level = mcp__log_threshold();
  atomic_store(&shipper->level, log_shipping ? shipper->configured_level : LEVEL_NONE);
  mcp__buf_init(&shipper->out, STDERR_BUFFER_BYTES, NULL);
  mcp__buf_init(&shipper->memory, MCP__LOG_SHIPPER_MAX_BYTES, NULL);
  for (int i = 0; i < MCP__LOG_SHIPPER_IN_FLIGHT; i++) {
    shipper->in_flight_lines[i].shipper = shipper;
    mcp__buf_init(&shipper->in_flight_lines[i].memory, MCP__LOG_SHIPPER_MAX_BYTES, NULL);
  }
  int status =
      mcp__log_ring_init(&shipper->stderr_ring, MCP__LOG_SHIPPER_MAX_BYTES, MCP__LOG_SHIPPER_MAX_LINES);
  if (status == 0 && log_shipping)
    status = mcp__log_ring_init(&shipper->ship_ring, MCP__LOG_SHIPPER_MAX_BYTES, MCP__LOG_SHIPPER_MAX_LINES);
  return shipper->component != NULL ? status : UV_ENOMEM;
}

mcp__log_shipper_t *mcp__log_shipper_new(uv_loop_t *loop, const char *component, const char *version,
                                         const char *url) {
  mcp__log_shipper_t *shipper = mcp__calloc(sizeof *shipper);
  if (shipper == NULL)
    return NULL;
  /* held so briefly that sleeping would cost more */
  shipper->lock = (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
  atomic_store(&shipper->users, 1);
  shipper->last_report_us = mcp_time_now_us();
  if (init_members(shipper, component, url != NULL) != 0 || open_handles(shipper, loop) != 0) {
    mcp__log_shipper_release(shipper);
    return NULL;
  }
  mcp__log_shipper_hold(shipper); /* the reference of the thread */
  if ((url == NULL || make_client(shipper, version, url) == 0) && start_thread(shipper) == 0) {
    add_to_registry(shipper);
    return shipper;
  }
  start_closing(shipper);
  thread_main(shipper); /* closes the handles; the thread was not started */
  muted = false;
  uv_close((uv_handle_t *)&shipper->done, on_done_closed);
  return NULL;
}

void mcp__log_shipper_stop(mcp__log_shipper_t *shipper, uint64_t limit_ms, void (*cb)(void *arg), void *arg) {
  shipper->flush_limit_ms = limit_ms;
  shipper->on_stopped = cb;
  shipper->arg = arg;
  remove_from_registry(shipper);
  uv_ref((uv_handle_t *)&shipper->done);
  uv_async_send(&shipper->wake);
}
