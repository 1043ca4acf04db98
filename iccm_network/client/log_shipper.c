/* log_shipper.c: lines from any thread, to stderr and to Godot.
 *
 * Happy path: whoever makes a line copies it into one ring for stderr and one for Godot, under a lock that is
 * held for that copy alone, and goes on; it makes no system call. Every 50 ms a thread of this module's own
 * looks what is there, writes to stderr what it takes, and calls logger_log, 64 lines at a time. Godot tells
 * the level from which on it wants lines of this component. Failure: Godot away, slow or unwilling: lines
 * stay in their ring, the oldest go when it is full, and a line of their own says how many once Godot is
 * back. A line whose answer got lost is sent again with the id it had. stderr that nobody reads: the same.
 * Lines made by this thread itself are never shipped. */
#define _GNU_SOURCE /* locks that spin for a moment first */
#include "client/log_shipper.h"

#include "client/client.h"
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
  HELLO_BYTES = 256 << 10, /* of the component's name in it, and of its version */
  TRACE_ID_BYTES = 128,    /* what Godot takes */
  SHOWN_BYTES = 1 << 20,   /* gathered for stderr */
  BUSY_TURN_MS = 5,        /* while it stops */
  MAX_BROKEN = 3, /* internal errors for one line: it may be the cause, and must not hold up the others */
  LEVEL_NONE = MCP_LOG_ERROR + 1
};

/* A line on its way to Godot. */
typedef struct flight {
  mcp__logger_t *logger;
  enum { FREE, WAITING, SENT } state; /* WAITING: was sent, and has to be again */
  char id[MCP_UUID_SIZE];
  mcp__entry_t entry; /* points into memory; of a report into text */
  mcp__buf_t memory;
  unsigned broken; /* so many internal errors it has met */
  bool is_report;  /* of drops; its text is … */
  char text[160];
} flight_t;

/* Of the thread, in this order. */
typedef enum logger_state {
  RUNNING,
  FLUSHING, /* asked to stop: what is left is shown and shipped */
  ENDING    /* the client closes */
} logger_state_t;

struct mcp__logger {
  mcp__logger_t *next; /* of those that run */
  atomic_uint users;   /* the owner, the thread, and whoever holds it */
  char *component, *hello;
  atomic_int level;     /* from which on lines are shipped */
  int own_level;        /* the same while Godot says nothing */
  pthread_mutex_t lock; /* for these: */
  mcp__lines_t shown, shipped;
  bool closed; /* … no more lines are taken */
  /* the thread's */
  uv_loop_t loop;
  uv_timer_t turn;
  mcp_client_t *client; /* NULL: nothing is shipped */
  bool connected, complained;
  bool waits; /* has said that Godot is not there */
  logger_state_t state;
  uint64_t pause_until_ms, farewell_ms;
  uint64_t flush_ms; /* the limit of a stop, which the owner sets before it wakes the thread */
  uint64_t flush_until_ms, silence_until_ms;
  mcp__buf_t out; /* for stderr, formatted */
  mcp__buf_t memory;
  flight_t flights[MCP__LOGGER_IN_FLIGHT];
  unsigned in_flight; /* that are not FREE */
  uint64_t unseen;    /* drops that had been counted when … */
  int64_t unseen_us;  /* … the last report was made */
  atomic_ullong shipped_count, refused_count;
  /* between thread and owner */
  pthread_t thread;
  atomic_bool finished, done_sent;
  uv_async_t wake, done; /* on the thread's loop, on the owner's */
  void (*on_stopped)(void *arg);
  void *arg;
};

static void enter(mcp__logger_t *logger, logger_state_t state) {
  assert(state > logger->state); /* a start that failed goes to ENDING at once */
  logger->state = state;
}

static _Thread_local bool quiet; /* nothing that this thread says is shipped */
static pthread_mutex_t registry_lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
static mcp__logger_t *registry;

/* ---- which loggers run ------------------------------------------------------------------------------ */

static void route(const mcp__entry_t *entry);

static void publish_levels(void) { /* with the registry locked */
  int lowest = LEVEL_NONE;
  for (mcp__logger_t *each = registry; each != NULL; each = each->next)
    if (atomic_load(&each->level) < lowest)
      lowest = atomic_load(&each->level);
  mcp__log_set_route(registry != NULL ? route : NULL, lowest);
}

static void enter_registry(mcp__logger_t *logger) {
  pthread_mutex_lock(&registry_lock);
  mcp__logger_t **last = &registry;
  while (*last != NULL)
    last = &(*last)->next;
  *last = logger;
  publish_levels();
  pthread_mutex_unlock(&registry_lock);
}

static void leave_registry(mcp__logger_t *logger) {
  pthread_mutex_lock(&registry_lock);
  mcp__logger_t **at = &registry;
  while (*at != NULL && *at != logger)
    at = &(*at)->next;
  if (*at != NULL)
    *at = logger->next;
  publish_levels();
  pthread_mutex_unlock(&registry_lock);
}

/* The one of that name, else the one that has run longest. */
static mcp__logger_t *find_logger(const char *part) {
  pthread_mutex_lock(&registry_lock);
  mcp__logger_t *found = registry;
  for (mcp__logger_t *each = registry; each != NULL; each = each->next) {
    if (strcmp(each->component, part) == 0) {
      found = each;
      break;
    }
  }
  mcp__logger_hold(found);
  pthread_mutex_unlock(&registry_lock);
  return found;
}

static void route(const mcp__entry_t *entry) {
  mcp__logger_t *logger = find_logger(entry->part);
  mcp__logger_log(logger, entry, MCP__SHOW | MCP__SHIP);
  mcp__logger_release(logger);
}

/* ---- lines come ------------------------------------------------------------------------------------- */

bool mcp__logger_wants(const mcp__logger_t *logger, int level) {
  return level >= mcp__log_threshold() ||
         (logger != NULL && level >= atomic_load_explicit(&logger->level, memory_order_relaxed));
}

void mcp__logger_log(mcp__logger_t *logger, const mcp__entry_t *entry, unsigned where) {
  bool show = (where & MCP__SHOW) != 0 && entry->level >= mcp__log_threshold();
  bool ship = (where & MCP__SHIP) != 0 && logger != NULL && !quiet &&
              entry->level >= atomic_load_explicit(&logger->level, memory_order_relaxed);
  bool show_now = show && (logger == NULL || mcp__log_is_hooked());
  if (logger != NULL && (ship || (show && !show_now))) {
    pthread_mutex_lock(&logger->lock);
    if (ship && !logger->closed)
      mcp__lines_push(&logger->shipped, entry);
    if (show && !show_now && !logger->closed)
      mcp__lines_push(&logger->shown, entry);
    else
      show_now = show;
    pthread_mutex_unlock(&logger->lock);
  }
  if (show_now)
    mcp__log_show(entry);
}

void mcp__logger_be_quiet(bool on) {
  quiet = on;
}

const char *mcp__logger_component(const mcp__logger_t *logger) {
  return logger->component;
}

static bool pop(mcp__logger_t *logger, mcp__lines_t *lines, mcp__entry_t *entry, mcp__buf_t *memory) {
  pthread_mutex_lock(&logger->lock);
  bool popped = mcp__lines_pop(lines, entry, memory);
  pthread_mutex_unlock(&logger->lock);
  return popped;
}

static uint64_t dropped(mcp__logger_t *logger) {
  pthread_mutex_lock(&logger->lock);
  uint64_t count = logger->shipped.dropped;
  pthread_mutex_unlock(&logger->lock);
  return count + atomic_load(&logger->refused_count);
}

mcp__logger_counts_t mcp__logger_counts(mcp__logger_t *logger) {
  mcp__logger_counts_t counts = {0};
  if (logger != NULL)
    counts = (mcp__logger_counts_t){atomic_load(&logger->shipped_count), dropped(logger)};
  return counts;
}

/* ---- to stderr -------------------------------------------------------------------------------------- */

static void write_out(mcp__logger_t *logger) {
  mcp__buf_consume(&logger->out, mcp__log_put(logger->out.data, logger->out.len, 0));
}

/* As many as may wait, and no more in one turn: who makes lines faster than this must not keep it from Godot.
 */
static void show(mcp__logger_t *logger) {
  mcp__entry_t entry;
  unsigned left = MCP__LOGGER_MAX_LINES;
  write_out(logger);
  while (logger->out.len == 0 && left > 0 && pop(logger, &logger->shown, &entry, &logger->memory)) {
    do {
      left = left > 0 ? left - 1 : 0;
      size_t before = logger->out.len;
      if (mcp__log_write(&logger->out, &entry) != 0)
        logger->out.len = before;
    } while (logger->out.len < PIPE_BUF / 2 && pop(logger, &logger->shown, &entry, &logger->memory));
    write_out(logger);
  }
}

/* ---- to Godot --------------------------------------------------------------------------------------- */

/* Instead of a member of that name, where there is one. */
static void put_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text) {
  if (text != NULL && *text != '\0' && mcp__utf8_valid(text, strlen(text)))
    yyjson_mut_obj_put(object, yyjson_mut_str(doc, key), yyjson_mut_strcpy(doc, text));
}

/* What was given, without its secrets; what is no object becomes one. */
static yyjson_mut_val *read_data(yyjson_mut_doc *doc, const mcp__entry_t *entry) {
  yyjson_doc *given = NULL;
  mcp__json_error_t error;
  if (entry->data != NULL)
    given = mcp__json_read(entry->data, entry->data_len, &mcp__json_alc, &error);
  yyjson_mut_val *data = given != NULL ? yyjson_val_mut_copy(doc, yyjson_doc_get_root(given)) : NULL;
  if (given == NULL && entry->data != NULL) /* beyond a limit of the reader: it goes unseen */
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

static yyjson_mut_doc *make_args(const flight_t *flight) {
  const mcp__entry_t *entry = &flight->entry;
  const char *component = flight->logger->component;
  char time[MCP_TIME_SIZE];
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&mcp__json_alc);
  if (doc == NULL)
    return NULL;
  yyjson_mut_val *args = yyjson_mut_obj(doc), *data = read_data(doc, entry);
  yyjson_mut_doc_set_root(doc, args);
  mcp_time_format(entry->time_us, time);
  put_text(doc, args, "component", component);
  put_text(doc, args, "level", mcp_log_level_name(entry->level));
  yyjson_mut_obj_add_strcpy(doc, args, "message", entry->message);
  if (entry->trace_id != NULL && strlen(entry->trace_id) <= TRACE_ID_BYTES)
    put_text(doc, args, "trace_id", entry->trace_id);
  put_text(doc, args, "id", flight->id);
  put_text(doc, args, "created_at", time);
  if (strcmp(entry->part, component) != 0)
    put_text(doc, data, "part", entry->part);
  put_text(doc, data, "span_id", entry->span_id);
  put_text(doc, data, "parent_span_id", entry->parent_span_id);
  if (yyjson_mut_obj_size(data) > 0)
    yyjson_mut_obj_add_val(doc, args, "data", data);
  return doc;
}

static void ship(mcp__logger_t *logger);

static void land(flight_t *flight) {
  flight->state = FREE;
  flight->is_report = false;
  flight->broken = 0;
  flight->logger->in_flight--;
  mcp__buf_clear(&flight->memory, MCP__LOGGER_MAX_BYTES / MCP__LOGGER_MAX_LINES);
}

static void refuse(flight_t *flight, const char *why) {
  mcp__logger_t *logger = flight->logger;
  if (!flight->is_report) /* else a Godot that refuses everything would be told so for ever */
    atomic_fetch_add(&logger->refused_count, 1);
  if (!logger->complained) /* once a connection: it may refuse them all */
    mcp_log(MCP_LOG_WARN, logger->component, "a log line was refused and is lost: %s", why);
  logger->complained = true;
  land(flight);
}

static bool is_final(int status) { /* asking again would bring the same answer */
  return status == MCP_INVALID_PARAMS || status == MCP_INVALID_REQUEST || status == MCP_METHOD_NOT_FOUND ||
         status == MCP_ETOOBIG || status == MCP_EENCODE || status == MCP_PARSE_ERROR;
}

static uint64_t at_least(uint64_t ms) {
  return ms > MCP__LOGGER_FLUSH_MS ? ms : MCP__LOGGER_FLUSH_MS;
}

static void note_progress(mcp__logger_t *logger) { /* which counts once flush_ms is known */
  if (logger->state != RUNNING)
    logger->silence_until_ms = uv_now(&logger->loop) + at_least(logger->flush_ms / 3);
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  flight_t *flight = arg;
  mcp__logger_t *logger = flight->logger;
  (void)client;
  if (result->status == 0 && !result->is_error) {
    atomic_fetch_add(&logger->shipped_count, 1);
    note_progress(logger);
    land(flight);
  } else if (is_final(result->status) ||
             (result->status == MCP_INTERNAL_ERROR && ++flight->broken == MAX_BROKEN)) {
    refuse(flight, result->message);
  } else {
    flight->state = WAITING;
    if (logger->connected)
      logger->pause_until_ms = uv_now(&logger->loop) + MCP__LOGGER_PAUSE_MS;
  }
  ship(logger);
}

/* A line that says how many went missing since the last one that did. */
static bool take_report(flight_t *flight) {
  mcp__logger_t *logger = flight->logger;
  uint64_t count = dropped(logger);
  if (count == logger->unseen)
    return false;
  char since[MCP_TIME_SIZE];
  mcp_time_format(logger->unseen_us, since);
  flight->is_report = true;
  snprintf(flight->text, sizeof flight->text, "%llu log lines dropped since %s: Godot did not take them",
           (unsigned long long)(count - logger->unseen), since);
  flight->entry = (mcp__entry_t){.level = MCP_LOG_WARN, .part = logger->component, .message = flight->text};
  flight->entry.time_us = logger->unseen_us = mcp_time_now_us();
  logger->unseen = count;
  return true;
}

static bool take_line(flight_t *flight) {
  if (flight->state == WAITING)
    return true;
  if (!take_report(flight) && !pop(flight->logger, &flight->logger->shipped, &flight->entry, &flight->memory))
    return false;
  mcp_uuid_new(flight->id);
  flight->logger->in_flight++;
  return true;
}

static bool send_line(flight_t *flight) {
  mcp__logger_t *logger = flight->logger;
  yyjson_mut_doc *args = make_args(flight);
  int status = UV_ENOMEM;
  if (args != NULL)
    status = mcp_client_call(logger->client, "logger_log", args,
                             &(mcp_call_options_t){.timeout_ms = MCP__LOGGER_CALL_MS}, on_answer, flight);
  flight->state = status == 0 ? SENT : WAITING;
  if (is_final(status))
    refuse(flight, mcp_strerror(status));
  else if (status != 0)
    logger->pause_until_ms = uv_now(&logger->loop) + MCP__LOGGER_PAUSE_MS;
  return status == 0;
}

static void ship(mcp__logger_t *logger) {
  for (int state = WAITING; state >= FREE;
       state = state == WAITING ? FREE : -1) { /* what was sent before goes first */
    for (int i = 0; i < MCP__LOGGER_IN_FLIGHT; i++) {
      flight_t *flight = &logger->flights[i];
      if (!logger->connected || uv_now(&logger->loop) < logger->pause_until_ms)
        return;
      if ((int)flight->state == state && (!take_line(flight) || !send_line(flight)))
        return;
    }
  }
}

static void on_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  mcp__logger_t *logger = arg;
  (void)client;
  logger->connected = status == 0;
  if (!logger->connected) {
    if (!logger->waits)
      mcp_log(MCP_LOG_WARN, logger->component,
              "log lines wait for Godot: %s; LOGGING_ENABLED=false keeps them here", reason);
    logger->waits = true;
    return;
  }
  if (logger->waits)
    mcp_log(MCP_LOG_INFO, logger->component, "log lines go to Godot");
  logger->waits = false;
  logger->complained = false;
  logger->pause_until_ms = 0;
  ship(logger);
}

static void on_notification(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  mcp__logger_t *logger = arg;
  yyjson_val *component = yyjson_obj_get(params, "component");
  (void)client;
  if (strcmp(method, "notifications/iccm/log_level") != 0 ||
      (component != NULL && !yyjson_equals_str(component, logger->component)))
    return;
  int level = mcp_log_level_from_json(yyjson_obj_get(params, "level"));
  pthread_mutex_lock(&registry_lock);
  atomic_store(&logger->level, level >= 0 ? level : logger->own_level);
  publish_levels();
  pthread_mutex_unlock(&registry_lock);
}

/* ---- its thread ------------------------------------------------------------------------------------- */

static void send_done(mcp__logger_t *logger) {
  if (!atomic_exchange(&logger->done_sent, true))
    uv_async_send(&logger->done);
}

/* The turn goes on while something else holds the loop: a look-up that hangs. */
static void on_client_closed(mcp_client_t *client, void *arg) {
  mcp__logger_t *logger = arg;
  mcp_client_free(client);
  logger->client = NULL;
  uv_unref((uv_handle_t *)&logger->turn);
  uv_unref((uv_handle_t *)&logger->wake);
}

static void close_loop(mcp__logger_t *logger) {
  uv_close((uv_handle_t *)&logger->turn, NULL);
  uv_close((uv_handle_t *)&logger->wake, NULL);
  uv_run(&logger->loop, UV_RUN_DEFAULT);
  uv_loop_close(&logger->loop);
}

/* Nothing is left, or nothing that would go. */
static bool is_empty(mcp__logger_t *logger) {
  pthread_mutex_lock(&logger->lock);
  bool shown = logger->shown.count == 0, shipped = logger->shipped.count == 0;
  pthread_mutex_unlock(&logger->lock);
  return shown && logger->out.len == 0 && ((shipped && logger->in_flight == 0) || !logger->connected);
}

static void end(mcp__logger_t *logger) {
  enter(logger, ENDING);
  logger->farewell_ms = uv_now(&logger->loop) + MCP__LOGGER_FAREWELL_MS;
  pthread_mutex_lock(&logger->lock);
  logger->closed = true;
  pthread_mutex_unlock(&logger->lock);
  show(logger);
  if (logger->client == NULL || mcp_client_close(logger->client, on_client_closed, logger) != 0)
    on_client_closed(logger->client, logger);
}

static void on_turn(uv_timer_t *timer) {
  mcp__logger_t *logger = timer->data;
  uint64_t now_ms = uv_now(&logger->loop);
  show(logger);
  ship(logger);
  if (logger->state == FLUSHING &&
      (is_empty(logger) || now_ms >= logger->flush_until_ms || now_ms >= logger->silence_until_ms))
    end(logger);
  else if (logger->state == ENDING && now_ms >= logger->farewell_ms)
    send_done(logger); /* a name is still being looked up, say: whoever stops need not wait for it */
}

static void on_wake(uv_async_t *wake) {
  mcp__logger_t *logger = wake->data;
  enter(logger, FLUSHING);
  logger->flush_until_ms = uv_now(&logger->loop) + at_least(logger->flush_ms);
  note_progress(logger);
  uv_timer_start(&logger->turn, on_turn, 0, BUSY_TURN_MS);
}

static void *thread_main(void *arg) {
  mcp__logger_t *logger = arg;
  quiet = true;
  pthread_setname_np(pthread_self(), "mcp-log");
  uv_run(&logger->loop, UV_RUN_DEFAULT);
  close_loop(logger);
  atomic_store(&logger->finished, true);
  send_done(logger);
  mcp__logger_release(logger);
  return NULL;
}

static void on_done_closed(uv_handle_t *handle) {
  mcp__logger_t *logger = handle->data;
  void (*cb)(void *arg) = logger->on_stopped;
  void *arg = logger->arg;
  mcp__logger_release(logger);
  if (cb != NULL)
    cb(arg);
}

/* A thread that has finished is waited for, which takes no time: one that is just leaving must not meet the
 * end of the process. Any other hangs where it cannot be reached, and is let go. */
static void on_done(uv_async_t *done) {
  mcp__logger_t *logger = done->data;
  if (atomic_load(&logger->finished))
    pthread_join(logger->thread, NULL);
  else
    pthread_detach(logger->thread);
  uv_close((uv_handle_t *)done, on_done_closed);
}

/* ---- life ------------------------------------------------------------------------------------------- */

mcp__logger_t *mcp__logger_hold(mcp__logger_t *logger) {
  if (logger != NULL)
    atomic_fetch_add_explicit(&logger->users, 1, memory_order_relaxed);
  return logger;
}

void mcp__logger_release(mcp__logger_t *logger) {
  if (logger == NULL || atomic_fetch_sub(&logger->users, 1) > 1)
    return;
  for (int i = 0; i < MCP__LOGGER_IN_FLIGHT; i++)
    mcp__buf_deinit(&logger->flights[i].memory);
  mcp__buf_deinit(&logger->out);
  mcp__buf_deinit(&logger->memory);
  mcp__lines_deinit(&logger->shown);
  mcp__lines_deinit(&logger->shipped);
  pthread_mutex_destroy(&logger->lock);
  mcp__free(logger->component);
  mcp__free(logger->hello);
  mcp__free(logger);
}

static char *write_hello(const char *component, const char *version) {
  mcp__buf_t name, hello;
  mcp__buf_init(&name, HELLO_BYTES, NULL);
  mcp__buf_init(&hello, 4 * HELLO_BYTES, NULL);
  int status = mcp__buf_json_string(&name, component, strlen(component));
  status = mcp__buf_join(status, mcp__buf_append(&name, "", 1));
  if (status == 0)
    status =
        mcp__buf_printf(&hello,
                        "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"experimental\":{"
                        "\"iccm/log_level\":{\"component\":%s}}},\"clientInfo\":{\"name\":%s,\"version\":",
                        name.data, name.data);
  status = mcp__buf_join(status, mcp__buf_json_string(&hello, version, strlen(version)));
  status = mcp__buf_join(status, mcp__buf_append(&hello, "}}", 3));
  mcp__buf_deinit(&name);
  if (status == 0)
    return hello.data;
  mcp__buf_deinit(&hello);
  return NULL;
}

static int make_client(mcp__logger_t *logger, const char *version, const char *url) {
  logger->hello = write_hello(logger->component, version);
  if (logger->hello == NULL ||
      mcp__client_new(&logger->loop, *url != '\0' ? url : NULL, &logger->client) != 0)
    return UV_ENOMEM;
  mcp__client_set_initialize_params(logger->client, logger->hello);
  mcp__client_set_connect_ms(logger->client, MCP__LOGGER_CONNECT_MS);
  mcp_client_on_state(logger->client, on_state, logger);
  mcp_client_on_notification(logger->client, on_notification, logger);
  return mcp_client_connect(logger->client);
}

static int start_thread(mcp__logger_t *logger) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the program's affair */
  int status = pthread_create(&logger->thread, NULL, thread_main, logger);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return status == 0 ? 0 : uv_translate_sys_error(status);
}

static int open_handles(mcp__logger_t *logger, uv_loop_t *owner_loop) {
  int status = uv_loop_init(&logger->loop);
  if (status != 0)
    return status;
  status = uv_async_init(&logger->loop, &logger->wake, on_wake);
  if (status == 0) {
    uv_timer_init(&logger->loop, &logger->turn);
    uv_timer_start(&logger->turn, on_turn, MCP__LOGGER_TURN_MS, MCP__LOGGER_TURN_MS);
    logger->wake.data = logger->turn.data = logger->done.data = logger;
    status = uv_async_init(owner_loop, &logger->done, on_done);
    if (status == 0) {
      uv_unref((uv_handle_t *)&logger->done);
      return 0;
    }
    close_loop(logger);
    return status;
  }
  uv_loop_close(&logger->loop);
  return status;
}

static int make_parts(mcp__logger_t *logger, const char *component, bool ships) {
  logger->component = mcp__strdup(component);
  logger->own_level = mcp__log_threshold();
  atomic_store(&logger->level, ships ? logger->own_level : LEVEL_NONE);
  mcp__buf_init(&logger->out, SHOWN_BYTES, NULL);
  mcp__buf_init(&logger->memory, MCP__LOGGER_MAX_BYTES, NULL);
  for (int i = 0; i < MCP__LOGGER_IN_FLIGHT; i++) {
    logger->flights[i].logger = logger;
    mcp__buf_init(&logger->flights[i].memory, MCP__LOGGER_MAX_BYTES, NULL);
  }
  int status = mcp__lines_init(&logger->shown, MCP__LOGGER_MAX_BYTES, MCP__LOGGER_MAX_LINES);
  if (status == 0 && ships)
    status = mcp__lines_init(&logger->shipped, MCP__LOGGER_MAX_BYTES, MCP__LOGGER_MAX_LINES);
  return logger->component != NULL ? status : UV_ENOMEM;
}

mcp__logger_t *mcp__logger_new(uv_loop_t *loop, const char *component, const char *version, const char *url) {
  mcp__logger_t *logger = mcp__calloc(sizeof *logger);
  if (logger == NULL)
    return NULL;
  logger->lock =
      (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP; /* held so briefly that waiting costs more */
  atomic_store(&logger->users, 1);
  logger->unseen_us = mcp_time_now_us();
  if (make_parts(logger, component, url != NULL) != 0 || open_handles(logger, loop) != 0) {
    mcp__logger_release(logger);
    return NULL;
  }
  mcp__logger_hold(logger); /* the thread's */
  if ((url == NULL || make_client(logger, version, url) == 0) && start_thread(logger) == 0) {
    enter_registry(logger);
    return logger;
  }
  end(logger);
  thread_main(logger); /* closes what is open; nothing has begun */
  quiet = false;
  uv_close((uv_handle_t *)&logger->done, on_done_closed);
  return NULL;
}

void mcp__logger_stop(mcp__logger_t *logger, uint64_t limit_ms, void (*cb)(void *arg), void *arg) {
  logger->flush_ms = limit_ms;
  logger->on_stopped = cb;
  logger->arg = arg;
  leave_registry(logger);
  uv_ref((uv_handle_t *)&logger->done);
  uv_async_send(&logger->wake);
}
