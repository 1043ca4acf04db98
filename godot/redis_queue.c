/* redis_queue.c: the queue of log entries in Redis. The only module that knows Redis' protocol; uses the
 * reader of hiredis.
 *
 * Happy path: connect, load the levels; then each step is one script, sent in full (EVAL), so that it does
 * not matter whether Redis has cached it. Replies arrive in the order of the requests. A second connection,
 * if required, subscribes to changes of levels by other Godots.
 *
 * Failure modes: Redis unavailable, loading or disconnected: pending requests end with MCP_EDISCONNECTED, new
 * ones are refused (MCP_ESTATE), and the connection is reestablished. A Redis that sends nothing for
 * QUEUE_SILENCE_MS while a reply is due counts as disconnected. A refusal (out of memory, wrong type) ends
 * only that step, with UV_EPROTO; from then on Redis counts as refusing, until entries were pushed or the
 * metrics script, which pushes and pops one, was run. */
#include "redis_queue.h"

#include "levels.h"
#include "redis_disk.h"
#include "redis_conn.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <iccm_network.h>
#include <iccm_service.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LEVELS_KEY "logger_config:levels"

enum { HEALTH_CHECK_MS = 1000 };

static const char push_script[] =
#include "common.lua.inc"
#include "push.lua.inc"
    ;
static const char claim_script[] =
#include "common.lua.inc"
#include "claim.lua.inc"
    ;
static const char renew_script[] =
#include "common.lua.inc"
#include "renew.lua.inc"
    ;
static const char trim_script[] =
#include "common.lua.inc"
#include "trim.lua.inc"
    ;
static const char unspool_script[] =
#include "common.lua.inc"
#include "unspool.lua.inc"
    ;
static const char dead_letters_script[] =
#include "common.lua.inc"
#include "dead_letters.lua.inc"
    ;
static const char metrics_script[] =
#include "common.lua.inc"
#include "metrics.lua.inc"
    ;
static const char report_drops_script[] =
#include "common.lua.inc"
#include "report_drops.lua.inc"
    ;
static const char set_level_script[] =
#include "set_level.lua.inc"
    ;

/* A request without a reply. */
typedef struct request {
  struct request *next;
  void (*on_reply)(queue_t *queue, const struct request *request, int status, const redisReply *reply);
  union {
    queue_done_cb done;
    queue_claim_cb claim;
    queue_renew_cb renew;
    queue_trim_cb trim;
    queue_metrics_cb metrics;
    queue_dead_letters_cb dead_letters;
    queue_unspool_cb unspool;
  } cb; /* the caller's; NULL: none */
  void *arg;
  bool is_step;        /* a step of the queue; its result shows whether Redis works */
  bool may_be_refused; /* a refusal is not logged */
} request_t;

/* One connection to Redis and its pending requests. */
typedef struct pipeline {
  queue_t *queue;
  redis_conn_t conn;
  redisReader *reader;     /* owned; NULL while disconnected */
  request_t *first, *last; /* owned; in the order of sending */
  unsigned silent_checks;  /* health checks since Redis last sent bytes or the first request was sent */
} pipeline_t;

struct queue {
  uv_loop_t *loop;
  const config_t *config;
  pipeline_t commands, subscriber; /* for steps; for changes of levels */
  queue_levels_cb on_levels;       /* NULL: subscriber is not used */
  bool up;                         /* commands is connected, and the levels are loaded */
  char token[MCP_UUID_SIZE];       /* identifies this process in leases, followed by a sender */
  bool recovered;                  /* no lease is left of an earlier process with this worker name */
  levels_t levels;
  uv_timer_t health_timer;
  queue_state_cb on_state, on_refusal; /* on_refusal may be NULL */
  void *state_arg;
  bool refusing; /* Redis refused a step, and none has succeeded since */
  bool probing;  /* the metrics script in progress tests a push */
  bool closing;
  redis_disk_t disk;
  char reason[160]; /* why it is not connected */
  int open;         /* connections and handles that are not closed yet */
  void (*on_closed)(void *arg);
  void *closed_arg;
};

/* ---- Commands ---- */

typedef struct command {
  char *bytes; /* allocated with malloc; NULL: none yet, or out of memory */
  size_t len, capacity;
  bool failed;
} command_t;

static void append(command_t *command, const char *bytes, size_t len) {
  if (command->len + len >= command->capacity && !command->failed) {
    size_t capacity = 2 * (command->len + len) + 256;
    char *grown = realloc(command->bytes, capacity);
    command->failed = grown == NULL;
    if (grown != NULL) {
      command->bytes = grown;
      command->capacity = capacity;
    }
  }
  if (command->failed)
    return;
  memcpy(command->bytes + command->len, bytes, len);
  command->len += len;
}

static void append_size(command_t *command, char type, size_t size) {
  char text[32];
  append(command, text, (size_t)snprintf(text, sizeof text, "%c%zu\r\n", type, size));
}

static void add_bytes(command_t *command, const char *bytes, size_t len) {
  append_size(command, '$', len);
  append(command, bytes, len);
  append(command, "\r\n", 2);
}

static void add_text(command_t *command, const char *text) {
  add_bytes(command, text, strlen(text));
}

static void add_int(command_t *command, int64_t number) {
  char text[32];
  add_bytes(command, text, (size_t)snprintf(text, sizeof text, "%" PRId64, number));
}

static void add_texts(command_t *command, const mcp_text_t *texts, size_t count) {
  for (size_t i = 0; i < count; i++)
    add_bytes(command, texts[i].ptr, texts[i].len);
}

/* Starts the EVAL of a script with one key; the caller adds the stated number of arguments. */
static command_t script_command(const queue_t *queue, const char *script, size_t arguments) {
  command_t command = {0};
  append_size(&command, '*', 4 + arguments);
  add_text(&command, "EVAL");
  add_text(&command, script);
  add_text(&command, "1");
  add_text(&command, queue->config->queue_name);
  return command;
}

/* ---- Requests and replies ---- */

/* Sends a command, of which it takes ownership, and appends a copy of the template to the pending requests.
 */
static int send_request(pipeline_t *pipeline, command_t *command, const request_t *template) {
  request_t *request = command->failed ? NULL : malloc(sizeof *request);
  int status;
  if (request == NULL) {
    free(command->bytes);
    return MCP_ENOMEM;
  }
  *request = *template;
  request->next = NULL;
  status = redis_conn_send(&pipeline->conn, command->bytes, command->len);
  if (status != 0) {
    free(request);
    return MCP_ESTATE;
  }
  if (pipeline->first == NULL) {
    pipeline->silent_checks = 0;
    pipeline->first = request;
  } else {
    pipeline->last->next = request;
  }
  pipeline->last = request;
  return 0;
}

static int send_step(queue_t *queue, command_t *command, const request_t *template) {
  request_t step = *template;
  step.is_step = true;
  if (queue->up)
    return send_request(&queue->commands, command, &step);
  free(command->bytes);
  return MCP_ESTATE;
}

/* Whether Redis refuses because its disk is full: its message contains the text of errno. */
static bool is_disk_full(const char *refusal) {
  return strstr(refusal, strerror(ENOSPC)) != NULL || strstr(refusal, strerror(EDQUOT)) != NULL;
}

/* Records that Redis refuses steps, with its error message, or (NULL) that a step has succeeded. */
static void set_refusal(queue_t *queue, const char *refusal) {
  bool was_refusing = queue->refusing;
  char reason[160];
  queue->refusing = refusal != NULL;
  if (was_refusing == queue->refusing || queue->on_refusal == NULL)
    return;
  if (refusal != NULL) { /* without the position in the script, which does not help an operator */
    const char *place = strstr(refusal, " script: ");
    snprintf(reason, sizeof reason, "Redis refuses: %s%.*s", is_disk_full(refusal) ? "disk full: " : "",
             (int)(place != NULL ? (size_t)(place - refusal) : strlen(refusal)), refusal);
  }
  queue->on_refusal(refusal != NULL ? reason : NULL, queue->state_arg);
}

/* Removes the oldest request and ends it. reply NULL: disconnected. */
static void complete_first(pipeline_t *pipeline, const redisReply *reply) {
  request_t *request = pipeline->first;
  int status = reply == NULL ? MCP_EDISCONNECTED : 0;
  pipeline->first = request->next;
  if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
    if (!request->may_be_refused)
      mcp_log(MCP_LOG_ERROR, "redis", "%s", reply->str);
    status = UV_EPROTO;
    if (request->is_step)
      set_refusal(pipeline->queue, reply->str);
  }
  request->on_reply(pipeline->queue, request, status, reply);
  free(request);
}

static void fail_all(pipeline_t *pipeline) {
  request_t *request = pipeline->first;
  pipeline->first = NULL; /* callbacks see no pending requests */
  while (request != NULL) {
    pipeline_t lost = {.queue = pipeline->queue, .first = request};
    complete_first(&lost, NULL);
    request = lost.first;
  }
}

static void on_done(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  (void)queue;
  (void)reply;
  if (request->cb.done != NULL)
    request->cb.done(status, request->arg);
}

static int ping(pipeline_t *pipeline) {
  command_t command = {0};
  append_size(&command, '*', 1);
  add_text(&command, "PING");
  return send_request(pipeline, &command, &(request_t){.on_reply = on_done});
}

/* Checks are counted, not time: while this process was stopped or busy with one long message, replies were
 * not read; they are read before the next check. */
static void on_health_timer(uv_timer_t *timer) {
  queue_t *queue = timer->data;
  pipeline_t *pipelines[] = {&queue->commands, &queue->subscriber};
  for (int i = 0; i < 1 + (queue->on_levels != NULL); i++) {
    if (pipelines[i]->first == NULL)
      ping(pipelines[i]);
    else if (++pipelines[i]->silent_checks > QUEUE_SILENCE_MS / HEALTH_CHECK_MS)
      redis_conn_reset(&pipelines[i]->conn, "Redis does not respond");
  }
}

/* ---- Levels ---- */

static int apply_levels(queue_t *queue, const redisReply *reply) {
  int status = levels_reset(&queue->levels, reply->elements / 2);
  for (size_t i = 0; status == 0 && i + 1 < reply->elements; i += 2) {
    const redisReply *component = reply->element[i];
    status = levels_add(&queue->levels, component->str, component->len, reply->element[i + 1]->str);
  }
  levels_sort(&queue->levels);
  if (queue->on_levels != NULL)
    queue->on_levels(queue->state_arg);
  return status;
}

static void on_directory(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  (void)request;
  if (status == 0 && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
    redis_disk_set_directory(&queue->disk, reply->element[1]->str, reply->element[1]->len);
}

static void request_directory(queue_t *queue) {
  command_t command = {0};
  append_size(&command, '*', 3);
  add_text(&command, "CONFIG");
  add_text(&command, "GET");
  add_text(&command, "dir");
  send_request(&queue->commands, &command, &(request_t){.on_reply = on_directory, .may_be_refused = true});
}

/* The first reply on a connection: from now on steps are accepted. */
static void on_levels_loaded(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  (void)request;
  if (status == 0)
    status = apply_levels(queue, reply);
  if (status == 0 && !queue->up) {
    queue->up = true;
    queue->disk.full = false;
    queue->on_state(NULL, queue->state_arg);
    if (redis_disk_is_local(queue->config->redis_host))
      request_directory(queue);
  } else if (status == UV_EPROTO && !queue->up) {
    redis_conn_reset(&queue->commands.conn, reply->str); /* "LOADING …": connected, but not usable yet */
  }
}

static void load_levels(queue_t *queue) {
  command_t command = {0};
  append_size(&command, '*', 2);
  add_text(&command, "HGETALL");
  add_text(&command, LEVELS_KEY);
  send_request(&queue->commands, &command, &(request_t){.on_reply = on_levels_loaded});
}

static void on_level_set(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  if (status == 0)
    status = reply->type == REDIS_REPLY_ARRAY ? apply_levels(queue, reply) : MCP_ELIMIT;
  request->cb.done(status, request->arg);
}

int queue_set_level(queue_t *queue, const char *component, size_t len, const char *level, queue_done_cb cb,
                    void *arg) {
  command_t command = script_command(queue, set_level_script, 3);
  add_bytes(&command, component, len);
  add_text(&command, level);
  add_int(&command, QUEUE_MAX_LEVELS);
  return send_step(queue, &command, &(request_t){.on_reply = on_level_set, .cb.done = cb, .arg = arg});
}

int queue_level(const queue_t *queue, const char *component, size_t len) {
  return levels_get(&queue->levels, component, len);
}

/* ---- Steps ---- */

static void add_bounds(const queue_t *queue, command_t *command) {
  add_int(command, queue->config->max_queue_entries);
  add_int(command, queue->config->max_queue_bytes);
}

static void on_pushed(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  if (status == 0)
    set_refusal(queue, NULL);
  on_done(queue, request, status, reply);
}

int queue_push(queue_t *queue, const mcp_text_t *entries, size_t count, queue_done_cb cb, void *arg) {
  command_t command = script_command(queue, push_script, 2 + count);
  add_bounds(queue, &command);
  add_texts(&command, entries, count);
  return send_step(queue, &command, &(request_t){.on_reply = on_pushed, .cb.done = cb, .arg = arg});
}

static int64_t int_of(const redisReply *reply) {
  return reply->type == REDIS_REPLY_INTEGER ? reply->integer
         : reply->str == NULL               ? 0
                                            : strtoll(reply->str, NULL, 10);
}

/* Reply: batch number, claimed at, instance, sent before, entries. */
static void deliver_batch(const request_t *request, const redisReply *reply) {
  enum { FIXED = 4 };
  queue_batch_t batch = {.claimed_us = int_of(reply->element[1]),
                         .instance = reply->element[2]->str,
                         .sent_before = int_of(reply->element[3]) != 0,
                         .count = reply->elements - FIXED};
  snprintf(batch.number, sizeof batch.number, "%s", reply->element[0]->str);
  batch.entries = calloc(batch.count + 1, sizeof *batch.entries);
  if (batch.entries == NULL) { /* the next claim finds the batch by its token */
    request->cb.claim(MCP_ENOMEM, NULL, 0, request->arg);
    return;
  }
  for (size_t i = 0; i < batch.count; i++)
    batch.entries[i] = (mcp_text_t){reply->element[FIXED + i]->str, reply->element[FIXED + i]->len};
  request->cb.claim(0, &batch, 0, request->arg);
  free(batch.entries);
}

static void on_claimed(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  if (status != 0) {
    request->cb.claim(status, NULL, 0, request->arg);
  } else if (reply->element[0]->type == REDIS_REPLY_INTEGER) {
    queue->recovered = queue->recovered || reply->element[2]->integer != 0;
    request->cb.claim(0, NULL, reply->element[1]->integer, request->arg);
  } else {
    queue->recovered = queue->recovered || int_of(reply->element[3]) == 0;
    deliver_batch(request, reply);
  }
}

static void add_ack(command_t *command, const queue_ack_t *ack) {
  add_text(command, ack->batch_number);
  add_int(command, (int64_t)ack->bytes);
  add_int(command, (int64_t)ack->dead_count);
  add_int(command, (int64_t)ack->stored);
  add_int(command, ack->retried);
  add_int(command, (int64_t)ack->redacted);
  add_texts(command, ack->dead, ack->dead_count);
  add_texts(command, ack->returned, ack->returned_count);
}

/* The token of a lease: "<process>.<sender>". */
static void add_token(const queue_t *queue, command_t *command, int sender) {
  char token[MCP_UUID_SIZE + 16];
  add_bytes(command, token, (size_t)snprintf(token, sizeof token, "%s.%d", queue->token, sender));
}

int queue_claim(queue_t *queue, int sender, const queue_ack_t *ack, int64_t min_entries, int64_t max_entries,
                queue_claim_cb cb, void *arg) {
  static const queue_ack_t none = {.batch_number = ""};
  const queue_ack_t *done = ack == NULL ? &none : ack;
  char instance[MCP_UUID_SIZE];
  command_t command = script_command(queue, claim_script, 18 + done->dead_count + done->returned_count);
  mcp_uuid_new(instance);
  add_text(&command, queue->config->worker_name);
  add_token(queue, &command, sender);
  add_int(&command, !queue->recovered);
  add_int(&command, QUEUE_LEASE_MS * INT64_C(1000));
  add_text(&command, instance);
  add_int(&command, min_entries);
  add_int(&command, max_entries);
  add_int(&command, QUEUE_FULL_BATCH_BYTES);
  add_bounds(queue, &command);
  add_int(&command, QUEUE_MAX_DEAD);
  add_int(&command, QUEUE_MAX_DEAD_BYTES);
  add_ack(&command, done);
  return send_step(queue, &command, &(request_t){.on_reply = on_claimed, .cb.claim = cb, .arg = arg});
}

static command_t lease_command(const queue_t *queue, int sender, const char *batch_number, int64_t lease_ms,
                               bool not_stored) {
  command_t command = script_command(queue, renew_script, 6);
  add_text(&command, batch_number);
  add_token(queue, &command, sender);
  add_int(&command, lease_ms * 1000);
  add_int(&command, not_stored);
  add_bounds(queue, &command);
  return command;
}

static void on_renewed(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  (void)queue;
  if (status == 0)
    request->cb.renew(0, int_of(reply->element[0]), int_of(reply->element[1]), request->arg);
  else
    request->cb.renew(status, 0, 0, request->arg);
}

int queue_renew(queue_t *queue, int sender, const char *batch_number, bool not_stored, queue_renew_cb cb,
                void *arg) {
  command_t command = lease_command(queue, sender, batch_number, QUEUE_LEASE_MS, not_stored);
  return send_step(queue, &command, &(request_t){.on_reply = on_renewed, .cb.renew = cb, .arg = arg});
}

int queue_release(queue_t *queue, int sender, const char *batch_number, queue_done_cb cb, void *arg) {
  command_t command = lease_command(queue, sender, batch_number, 0, false);
  return send_step(queue, &command, &(request_t){.on_reply = on_done, .cb.done = cb, .arg = arg});
}

static void on_unspooled(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  (void)queue;
  request->cb.unspool(status, status == 0 && int_of(reply) != 0, request->arg);
}

int queue_unspool(queue_t *queue, const char *segment, int64_t offset, int64_t max_waiting,
                  const mcp_text_t *entries, size_t count, queue_unspool_cb cb, void *arg) {
  command_t command = script_command(queue, unspool_script, 4 + count);
  add_text(&command, queue->config->worker_name);
  add_text(&command, segment);
  add_int(&command, offset);
  add_int(&command, max_waiting);
  for (size_t i = count; i-- > 0;)
    add_texts(&command, &entries[i], 1);
  return send_step(queue, &command, &(request_t){.on_reply = on_unspooled, .cb.unspool = cb, .arg = arg});
}

static void on_trimmed(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  queue_drops_t drops = {0};
  (void)queue;
  if (status == 0) {
    drops.count = int_of(reply->element[0]);
    drops.first_us = int_of(reply->element[1]);
    drops.last_us = int_of(reply->element[2]);
    drops.has_room = int_of(reply->element[3]) != 0;
    drops.fill_percent = int_of(reply->element[4]);
    drops.has_more = int_of(reply->element[5]) != 0;
  }
  request->cb.trim(status, &drops, request->arg);
}

int queue_trim(queue_t *queue, int64_t spooled, queue_trim_cb cb, void *arg) {
  command_t command = script_command(queue, trim_script, 4);
  add_bounds(queue, &command);
  add_text(&command, queue->config->worker_name);
  add_int(&command, spooled);
  return send_step(queue, &command, &(request_t){.on_reply = on_trimmed, .cb.trim = cb, .arg = arg});
}

static void on_dead_letters(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  enum { FIXED = 3 };
  queue_letters_t letters = {0};
  (void)queue;
  if (status == 0) {
    letters.total = int_of(reply->element[0]);
    letters.examined = int_of(reply->element[1]);
    letters.moved = int_of(reply->element[2]);
    letters.texts = calloc(reply->elements - FIXED + 1, sizeof *letters.texts);
    status = letters.texts == NULL ? MCP_ENOMEM : 0;
  }
  for (size_t i = FIXED; status == 0 && i < reply->elements; i++)
    letters.texts[letters.count++] = (mcp_text_t){reply->element[i]->str, reply->element[i]->len};
  request->cb.dead_letters(status, &letters, request->arg);
  free(letters.texts);
}

int queue_dead_letters(queue_t *queue, const char *action, int64_t max_letters, int64_t offset,
                       int64_t max_bytes, queue_dead_letters_cb cb, void *arg) {
  command_t command = script_command(queue, dead_letters_script, 6);
  add_text(&command, action);
  add_int(&command, max_letters);
  add_int(&command, offset);
  add_int(&command, max_bytes);
  add_bounds(queue, &command);
  return send_step(queue, &command,
                   &(request_t){.on_reply = on_dead_letters, .cb.dead_letters = cb, .arg = arg});
}

static void on_metrics(queue_t *queue, const request_t *request, int status, const redisReply *reply) {
  int64_t values[QUEUE_METRICS] = {0};
  if (status == 0 && queue->probing)
    set_refusal(queue, NULL);
  for (int i = 0; status == 0 && i < QUEUE_METRICS; i++)
    values[i] = int_of(reply->element[i]);
  request->cb.metrics(status, values, request->arg);
}

int queue_metrics(queue_t *queue, queue_metrics_cb cb, void *arg) {
  command_t command = script_command(queue, metrics_script, 1);
  queue->probing = queue->refusing;
  add_int(&command, queue->probing);
  return send_step(queue, &command, &(request_t){.on_reply = on_metrics, .cb.metrics = cb, .arg = arg});
}

int queue_report_drops(queue_t *queue, const queue_drops_t *drops, mcp_text_t report, queue_done_cb cb,
                       void *arg) {
  command_t command = script_command(queue, report_drops_script, 3);
  add_int(&command, drops->count);
  add_int(&command, drops->last_us);
  add_texts(&command, &report, 1);
  return send_step(queue, &command, &(request_t){.on_reply = on_done, .cb.done = cb, .arg = arg});
}

/* ---- Connections ---- */

static void report_unavailable(queue_t *queue) {
  char reason[sizeof queue->reason + 16];
  snprintf(reason, sizeof reason, "%s%s", queue->disk.full ? "disk full: " : "", queue->reason);
  queue->on_state(reason, queue->state_arg);
}

static void release(void *arg);

static void on_disk_checked(void *arg) {
  queue_t *queue = arg;
  if (queue->disk.full && !queue->up && !queue->closing)
    report_unavailable(queue);
  release(queue);
}

static void handle_loss(pipeline_t *pipeline, const char *reason) {
  queue_t *queue = pipeline->queue;
  if (pipeline->reader != NULL)
    redisReaderFree(pipeline->reader);
  pipeline->reader = NULL;
  if (pipeline == &queue->commands) {
    queue->up = queue->refusing = false;
    snprintf(queue->reason, sizeof queue->reason, "%s", reason);
    report_unavailable(queue);
    queue->open += redis_disk_check(&queue->disk, queue->loop, on_disk_checked, queue);
  }
  fail_all(pipeline);
}

static void on_down(const char *reason, void *arg) {
  handle_loss(arg, reason);
}

static void on_command_conn_up(void *arg) {
  pipeline_t *pipeline = arg;
  pipeline->reader = redisReaderCreate();
  if (pipeline->reader == NULL)
    redis_conn_reset(&pipeline->conn, "out of memory");
  else
    load_levels(pipeline->queue);
}

static void on_subscriber_conn_up(void *arg) {
  pipeline_t *pipeline = arg;
  command_t command = {0};
  pipeline->reader = redisReaderCreate();
  append_size(&command, '*', 2);
  add_text(&command, "SUBSCRIBE");
  add_text(&command, LEVELS_KEY);
  if (send_request(pipeline, &command, &(request_t){.on_reply = on_done}) != 0 || pipeline->reader == NULL)
    redis_conn_reset(&pipeline->conn, "out of memory");
  else
    load_levels(pipeline->queue); /* levels may have changed before the subscription */
}

static bool is_message(const redisReply *reply) {
  return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
         reply->element[0]->type == REDIS_REPLY_STRING && strcmp(reply->element[0]->str, "message") == 0;
}

static void on_reply(pipeline_t *pipeline, const redisReply *reply) {
  if (pipeline == &pipeline->queue->subscriber && is_message(reply))
    load_levels(pipeline->queue);
  else if (pipeline->first != NULL)
    complete_first(pipeline, reply);
  else
    redis_conn_reset(&pipeline->conn, "unexpected reply from Redis");
}

static void on_bytes(const char *bytes, size_t len, void *arg) {
  pipeline_t *pipeline = arg;
  void *reply = NULL;
  pipeline->silent_checks = 0;
  redisReaderFeed(pipeline->reader, bytes, len);
  while (pipeline->reader != NULL) { /* until no reply is left, or a reply has caused a disconnect */
    if (redisReaderGetReply(pipeline->reader, &reply) != REDIS_OK) {
      redis_conn_reset(&pipeline->conn, "invalid reply from Redis");
      return;
    }
    if (reply == NULL)
      return;
    on_reply(pipeline, reply);
    freeReplyObject(reply);
  }
}

/* ---- Start and end ---- */

static const redis_conn_events_t command_events = {on_command_conn_up, on_bytes, on_down};
static const redis_conn_events_t subscriber_events = {on_subscriber_conn_up, on_bytes, on_down};

queue_t *queue_new(uv_loop_t *loop, const config_t *config) {
  queue_t *queue = calloc(1, sizeof *queue);
  if (queue == NULL)
    return NULL;
  queue->loop = loop;
  queue->config = config;
  queue->commands.queue = queue->subscriber.queue = queue;
  mcp_uuid_new(queue->token);
  redis_conn_init(&queue->commands.conn, loop, config->redis_host, config->redis_port, &command_events,
                  &queue->commands);
  redis_conn_init(&queue->subscriber.conn, loop, config->redis_host, config->redis_port, &subscriber_events,
                  &queue->subscriber);
  uv_timer_init(loop, &queue->health_timer);
  queue->health_timer.data = queue;
  queue->open = 3;
  return queue;
}

void queue_start(queue_t *queue, queue_state_cb on_state, queue_levels_cb on_levels, void *arg) {
  queue->on_levels = on_levels;
  queue->on_state = on_state;
  queue->state_arg = arg;
  redis_conn_start(&queue->commands.conn);
  if (on_levels != NULL)
    redis_conn_start(&queue->subscriber.conn);
  uv_timer_start(&queue->health_timer, on_health_timer, HEALTH_CHECK_MS, HEALTH_CHECK_MS);
}

void queue_on_refusal(queue_t *queue, queue_state_cb on_refusal) {
  queue->on_refusal = on_refusal;
}

bool queue_is_up(const queue_t *queue) {
  return queue->up;
}

static void release(void *arg) {
  queue_t *queue = arg;
  if (--queue->open > 0)
    return;
  levels_deinit(&queue->levels);
  queue->on_closed(queue->closed_arg);
  free(queue);
}

static void on_health_timer_closed(uv_handle_t *handle) {
  release(handle->data);
}

void queue_close(queue_t *queue, void (*cb)(void *arg), void *arg) {
  pipeline_t *pipelines[] = {&queue->commands, &queue->subscriber};
  queue->on_closed = cb;
  queue->closed_arg = arg;
  queue->up = false;
  queue->closing = true;
  for (int i = 0; i < 2; i++) {
    if (pipelines[i]->reader != NULL)
      redisReaderFree(pipelines[i]->reader);
    pipelines[i]->reader = NULL;
    redis_conn_close(&pipelines[i]->conn, release, queue);
    fail_all(pipelines[i]);
  }
  uv_close((uv_handle_t *)&queue->health_timer, on_health_timer_closed);
}
