/* dead_letters.c: tools by which an operator lists, replays or discards dead letters.
 *
 * Happy path: a page of letters is one step in Redis. Replay and discard run in several steps, from the
 * oldest letter to the one that was the newest at the start, and return the number of letters. One step at a
 * time is sent to Redis, for the call that has waited longest, so that other work in Redis is not blocked.
 * Failure modes: Redis unavailable or disconnected: a tool error with the number of letters moved so far;
 * each step is done or not, no letter is lost, and the call can be repeated. */
#include "dead_letters.h"

#include "audit.h"

#include <stdio.h>
#include <stdlib.h>

#define STRINGIFY(number) #number
#define TO_TEXT(number) STRINGIFY(number)
#define MAX_LETTERS_PER_STEP                                                                                 \
  100 /* letters in one step; one step also reads at most MAX_PAGE_BYTES and one letter */
#define MAX_ARGUMENT 1000000
#define MAX_LETTERS_TEXT TO_TEXT(MAX_LETTERS_PER_STEP)
#define MAX_ARGUMENT_TEXT TO_TEXT(MAX_ARGUMENT)

enum { MAX_PAGE_BYTES = 900 << 10 }; /* existing clients accept messages of 1 MiB */

typedef enum action { ACTION_LIST, ACTION_REPLAY, ACTION_DISCARD } action_t;

/* A call without a reply. */
typedef struct dead_letters_job {
  struct dead_letters_job *next;
  mcp_call_t *call;
  action_t action;
  int64_t offset;          /* for ACTION_LIST */
  int64_t remaining;       /* letters that are not examined yet */
  int64_t examined, moved; /* so far; not for ACTION_LIST */
} job_t;

/* ---- list ---- */

/* Returns the letter as stored, and the id of its entry. */
static yyjson_mut_val *letter_with_id(yyjson_mut_doc *doc, const mcp_text_t *text) {
  yyjson_doc *letter = mcp_json_read(text->ptr, text->len);
  yyjson_val *root = yyjson_doc_get_root(letter), *entry = yyjson_obj_get(root, "entry");
  yyjson_doc *inner = mcp_json_read(yyjson_get_str(entry), yyjson_get_len(entry));
  yyjson_val *id = yyjson_obj_get(yyjson_doc_get_root(inner), "id");
  yyjson_mut_val *result = yyjson_is_obj(root) ? yyjson_val_mut_copy(doc, root) : yyjson_mut_obj(doc);
  yyjson_mut_obj_add_val(doc, result, "id",
                         yyjson_is_str(id) ? yyjson_val_mut_copy(doc, id) : yyjson_mut_null(doc));
  yyjson_doc_free(inner);
  yyjson_doc_free(letter);
  return result;
}

static void reply_page(mcp_call_t *call, const queue_letters_t *letters) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc), *page = yyjson_mut_arr(doc);
  for (size_t i = 0; i < letters->count; i++)
    yyjson_mut_arr_append(page, letter_with_id(doc, &letters->texts[i]));
  yyjson_mut_obj_add_int(doc, answer, "total", letters->total);
  yyjson_mut_obj_add_val(doc, answer, "letters", page);
  mcp_call_reply(call, answer);
}

static void end_list(job_t *job, int status, const queue_letters_t *letters) {
  if (status != 0)
    mcp_call_tool_error(job->call, QUEUE_UNAVAILABLE);
  else
    reply_page(job->call, letters);
}

/* ---- replay and discard ---- */

static void end_move(queue_t *queue, job_t *job, int status) {
  const char *done = job->action == ACTION_REPLAY ? "replayed" : "discarded";
  char what[64];
  snprintf(what, sizeof what, "%lld dead letters %s", (long long)job->moved, done);
  if (job->moved > 0)
    audit(queue, job->call, what, NULL);
  if (status != 0) {
    mcp_call_tool_error(job->call, QUEUE_UNAVAILABLE "; %lld %s so far", (long long)job->moved, done);
    return;
  }
  yyjson_mut_doc *doc = mcp_call_doc(job->call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_int(doc, answer, done, job->moved);
  if (job->action == ACTION_REPLAY)
    yyjson_mut_obj_add_int(doc, answer, "kept", job->examined - job->moved);
  mcp_call_reply(job->call, answer);
}

/* Returns whether letters remain. */
static bool count_moved(job_t *job, const queue_letters_t *letters) {
  if (job->examined == 0 && letters->total < job->remaining)
    job->remaining = letters->total; /* newer letters, and those that stay, are not examined again */
  job->examined += letters->examined;
  job->moved += letters->moved;
  job->remaining -= letters->examined;
  return letters->examined > 0 && job->remaining > 0;
}

/* ---- Steps ---- */

static void enqueue(dead_letters_t *dead, job_t *job) {
  job->next = NULL;
  if (dead->first == NULL)
    dead->first = job;
  else
    dead->last->next = job;
  dead->last = job;
}

/* The first job's step has ended, or could not be started (letters is NULL). A job with letters left moves to
 * the end. */
static void end_step(dead_letters_t *dead, int status, const queue_letters_t *letters) {
  job_t *job = dead->first;
  dead->first = job->next;
  dead->step_pending = false;
  if (job->action != ACTION_LIST && status == 0 && count_moved(job, letters)) {
    enqueue(dead, job);
    return;
  }
  if (job->action == ACTION_LIST)
    end_list(job, status, letters);
  else
    end_move(dead->queue, job, status);
  free(job);
}

static void start_next_step(dead_letters_t *dead);

static void on_step(int status, const queue_letters_t *letters, void *arg) {
  end_step(arg, status, letters);
  start_next_step(arg);
}

/* Starts the first job's step, unless one is pending. */
static void start_next_step(dead_letters_t *dead) {
  static const char *const action_names[] = {
      [ACTION_LIST] = "list", [ACTION_REPLAY] = "replay", [ACTION_DISCARD] = "discard"};
  while (dead->first != NULL && !dead->step_pending) {
    const job_t *job = dead->first;
    int64_t max_letters = job->remaining < MAX_LETTERS_PER_STEP ? job->remaining : MAX_LETTERS_PER_STEP;
    int status = queue_dead_letters(dead->queue, action_names[job->action], max_letters, job->offset,
                                    MAX_PAGE_BYTES, on_step, dead);
    dead->step_pending = status == 0;
    if (status != 0)
      end_step(dead, status, NULL);
  }
}

static void start_job(mcp_call_t *call, yyjson_val *args, dead_letters_t *dead, action_t action) {
  job_t *job = calloc(1, sizeof *job);
  if (job == NULL) {
    mcp_call_tool_error(call, QUEUE_UNAVAILABLE);
    return;
  }
  job->call = call;
  job->action = action;
  job->remaining = mcp_arg_int(args, "limit", action == ACTION_LIST ? MAX_LETTERS_PER_STEP : QUEUE_MAX_DEAD);
  job->offset = mcp_arg_int(args, "offset", 0);
  enqueue(dead, job);
  start_next_step(dead);
}

static void list(mcp_call_t *call, yyjson_val *args, void *arg) {
  start_job(call, args, arg, ACTION_LIST);
}

static void replay(mcp_call_t *call, yyjson_val *args, void *arg) {
  start_job(call, args, arg, ACTION_REPLAY);
}

static void discard(mcp_call_t *call, yyjson_val *args, void *arg) {
  start_job(call, args, arg, ACTION_DISCARD);
}

/* ---- The tools ---- */

static const char list_schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":" MAX_LETTERS_TEXT
    ",\"default\":" MAX_LETTERS_TEXT "},"
    "\"offset\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":" MAX_ARGUMENT_TEXT ",\"default\":0}}}";

static const char limit_schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":" MAX_ARGUMENT_TEXT
    ",\"description\":\"So many of the oldest; all unless given\"}}}";

int dead_letters_add_tools(dead_letters_t *dead, mcp_server_t *server, queue_t *queue) {
  const mcp_tool_t tools[] = {
      {.name = "godot_dead_list",
       .description = "List dead letters: log entries that the store refuses, the oldest first. A page may "
                      "hold fewer than the limit; offset passes over those that were read",
       .input_schema = list_schema,
       .annotations = MCP_READS,
       .handler = list},
      {.name = "godot_dead_replay",
       .description = "Give dead letters back to the queue; those that do not hold their whole entry stay",
       .input_schema = limit_schema,
       .annotations = MCP_CHANGES,
       .flags = MCP_TOOL_ADMIN,
       .handler = replay},
      {.name = "godot_dead_discard",
       .description = "Remove dead letters for good",
       .input_schema = limit_schema,
       .annotations = MCP_CHANGES,
       .flags = MCP_TOOL_ADMIN,
       .handler = discard},
  };
  int status = 0;
  *dead = (dead_letters_t){.queue = queue};
  for (size_t i = 0; status == 0 && i < sizeof tools / sizeof tools[0]; i++) {
    mcp_tool_t tool = tools[i];
    tool.arg = dead;
    tool.flags |= MCP_TOOL_STRICT | MCP_TOOL_UNLISTED; /* for operators, not for models that log */
    status = mcp_server_add_tool(server, &tool);
  }
  return status;
}
