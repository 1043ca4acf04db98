/* dead.c: what an operator does with dead letters: looks at them, gives them back to the queue, or throws
 * them away.
 *
 * Happy path: a page of them is one step in Redis; what moves them goes on piece by piece, from the oldest to
 * the one that was the newest at the start, and answers how many there were. Failure modes: no Redis, or one
 * that goes in the middle: a tool error that says how far it went; a piece is done or not, none is lost, and
 * the call can be made again.
 */
#include "dead.h"

#include <stdlib.h>
#include <uv.h>

#define STRING(number) #number
#define TEXT(number) STRING(number)
#define MOST 100 /* letters in one step: 35 MiB at most */
#define ANY_NUMBER 1000000

enum { PAGE_BYTES = 900 << 10 }; /* existing clients take 1 MiB */

/* ---- list ---- */

/* The letter as it is kept, and the id of its entry. */
static yyjson_mut_val *show(yyjson_mut_doc *doc, const queue_text_t *text) {
  yyjson_doc *letter = mcp_json_read(text->text, text->len);
  yyjson_val *root = yyjson_doc_get_root(letter), *entry = yyjson_obj_get(root, "entry");
  yyjson_doc *inner = mcp_json_read(yyjson_get_str(entry), yyjson_get_len(entry));
  yyjson_val *id = yyjson_obj_get(yyjson_doc_get_root(inner), "id");
  yyjson_mut_val *shown = yyjson_is_obj(root) ? yyjson_val_mut_copy(doc, root) : yyjson_mut_obj(doc);
  yyjson_mut_obj_add_val(doc, shown, "id",
                         yyjson_is_str(id) ? yyjson_val_mut_copy(doc, id) : yyjson_mut_null(doc));
  yyjson_doc_free(inner);
  yyjson_doc_free(letter);
  return shown;
}

static void on_page(int status, const queue_letters_t *letters, void *arg) {
  mcp_call_t *call = arg;
  if (status != 0) {
    mcp_call_tool_error(call, QUEUE_AWAY);
    return;
  }
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc), *page = yyjson_mut_arr(doc);
  size_t bytes = 0;
  for (size_t i = 0; i < letters->count; i++) {
    bytes += letters->texts[i].len;
    if (i > 0 && bytes > PAGE_BYTES)
      break;
    yyjson_mut_arr_append(page, show(doc, &letters->texts[i]));
  }
  yyjson_mut_obj_add_int(doc, answer, "total", letters->total);
  yyjson_mut_obj_add_val(doc, answer, "letters", page);
  mcp_call_reply(call, answer);
}

static int64_t number_of(yyjson_val *args, const char *name, int64_t fallback) {
  yyjson_val *value = yyjson_obj_get(args, name);
  return yyjson_is_num(value) ? (int64_t)yyjson_get_num(value) : fallback;
}

static void list(mcp_call_t *call, yyjson_val *args, void *arg) {
  if (queue_dead(arg, "list", number_of(args, "limit", MOST), number_of(args, "offset", 0), on_page, call) !=
      0)
    mcp_call_tool_error(call, QUEUE_AWAY);
}

/* ---- replay and discard ---- */

typedef struct moving {
  queue_t *queue;
  mcp_call_t *call;
  bool replay;
  int64_t left;        /* letters still to be looked at */
  int64_t seen, moved; /* so far */
} moving_t;

static void end(moving_t *moving, int status) {
  const char *done = moving->replay ? "replayed" : "discarded";
  if (moving->moved > 0)
    mcp_log(MCP_LOG_INFO, "godot", "%lld dead letters %s", (long long)moving->moved, done);
  if (status != 0) {
    mcp_call_tool_error(moving->call, QUEUE_AWAY "; %lld %s so far", (long long)moving->moved, done);
  } else {
    yyjson_mut_doc *doc = mcp_call_doc(moving->call);
    yyjson_mut_val *answer = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_int(doc, answer, done, moving->moved);
    if (moving->replay)
      yyjson_mut_obj_add_int(doc, answer, "kept", moving->seen - moving->moved);
    mcp_call_reply(moving->call, answer);
  }
  free(moving);
}

static void move_piece(moving_t *moving);

static void on_moved(int status, const queue_letters_t *letters, void *arg) {
  moving_t *moving = arg;
  if (status != 0) {
    end(moving, status);
    return;
  }
  if (moving->seen == 0 && letters->total < moving->left)
    moving->left = letters->total; /* later ones, and those that stay, are not looked at again */
  moving->seen += letters->seen;
  moving->moved += letters->moved;
  moving->left -= letters->seen;
  if (letters->seen > 0 && moving->left > 0)
    move_piece(moving);
  else
    end(moving, 0);
}

static void move_piece(moving_t *moving) {
  int64_t most = moving->left < MOST ? moving->left : MOST;
  int status = queue_dead(moving->queue, moving->replay ? "replay" : "discard", most, 0, on_moved, moving);
  if (status != 0)
    end(moving, status);
}

static void move_all(mcp_call_t *call, yyjson_val *args, queue_t *queue, bool replay) {
  moving_t *moving = calloc(1, sizeof *moving);
  if (moving == NULL) {
    mcp_call_tool_error(call, QUEUE_AWAY);
    return;
  }
  *moving = (moving_t){queue, call, replay, number_of(args, "limit", QUEUE_MAX_DEAD), 0, 0};
  move_piece(moving);
}

static void replay(mcp_call_t *call, yyjson_val *args, void *arg) {
  move_all(call, args, arg, true);
}

static void discard(mcp_call_t *call, yyjson_val *args, void *arg) {
  move_all(call, args, arg, false);
}

/* ---- The tools ---- */

static const char limit_schema[] =
    "{\"type\":\"object\",\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":" TEXT(ANY_NUMBER) ",\"description\":\"So many of the oldest; all unless given\"}}}";

int dead_add_tools(mcp_server_t *server, queue_t *queue) {
  const mcp_tool_t tools[] = {
      {.name = "godot_dead_list",
       .description = "List dead letters: log entries that the store refuses, the oldest first. A page may "
                      "hold fewer than the limit; offset passes over those that were read",
       .input_schema =
           "{\"type\":\"object\",\"properties\":{"
           "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":" TEXT(
               MOST) ","
                     "\"default\":" TEXT(MOST) "},"
                                               "\"offset\":{\"type\":\"integer\",\"minimum\":0,"
                                               "\"maximum\":" TEXT(ANY_NUMBER) ",\"default\":0}}}",
       .handler = list},
      {.name = "godot_dead_replay",
       .description = "Give dead letters back to the queue; those that do not hold their whole entry stay",
       .input_schema = limit_schema,
       .handler = replay},
      {.name = "godot_dead_discard",
       .description = "Remove dead letters for good",
       .input_schema = limit_schema,
       .handler = discard},
  };
  int status = 0;
  for (size_t i = 0; status == 0 && i < sizeof tools / sizeof tools[0]; i++) {
    mcp_tool_t tool = tools[i];
    tool.arg = queue;
    tool.flags =
        MCP_TOOL_STRICT | MCP_TOOL_UNLISTED; /* a letter is for whoever runs Godot, not for models that log */
    status = mcp_server_add_tool(server, &tool);
  }
  return status;
}
