/* request.c: what is asked of a client's peer, from its making to its end.
 *
 * Happy path: a request is written at once; it is sent as soon as there is a link, in the order of making,
 * matched to its answer by id, and finished with what the answer says. Failure: it ends with its deadline,
 * with the connection that it was sent over, or because it was cancelled; whatever comes first ends it, once,
 * and a peer that may still be at work on it is told. Nothing is called back from inside of making or
 * cancelling: what is due at once is due in the timer's next turn. */
#include "client/request.h"

#include "base/excerpt.h"
#include "base/span.h"
#include "base/utf8.h"
#include "mcp/result.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  DEFAULT_TIMEOUT_MS = 30000,
  MAX_WAITING = 1024,
  MAX_WAITING_BYTES = 16 << 20,
  SEND_AGAIN_MS = 50,
  ENVELOPE_BYTES = 512,   /* around the parameters, mostly */
  MAX_REPORT_BYTES = 1024 /* of a progress message */
};

/* Begins the progress tokens that are made here: others may stand in a caller's own params. */
#define TOKEN "iccm-"
enum { TOKEN_SIZE = sizeof TOKEN + 20 };

typedef struct mcp__request {
  mcp__waiting_t waiting; /* first member: what the table knows of it */
  mcp__child_t child;     /* of the call that it is made for */
  mcp__requests_t *all;
  mcp_result_cb cb;
  void *arg;
  mcp_progress_cb progress_cb; /* NULL: the peer was not asked for progress */
  void *progress_arg;
  double progress;                  /* the last report's */
  mcp__buf_t text;                  /* the message, until it is sent */
  struct mcp__request *prev, *next; /* of those that are not sent */
  uint64_t timeout_ms;
  bool is_tool, is_initialize; /* the latter: which MCP forbids to cancel */
  bool sent;   /* sent: or cancelled before; not in the list of those that wait for a connection */
  int refused; /* fails in the timer's next turn with this code, and an answer is not looked at any more */
} request_t;

static request_t *request_of(mcp__waiting_t *waiting) {
  return (request_t *)(void *)waiting;
}

static void remove_unsent(mcp__requests_t *all, request_t *request) {
  *(request->prev != NULL ? &request->prev->next : &all->first) = request->next;
  *(request->next != NULL ? &request->next->prev : &all->last) = request->prev;
  all->unsent--;
  all->unsent_bytes -= request->text.len;
}

static void add_unsent(mcp__requests_t *all, request_t *request) {
  request->prev = all->last;
  request->next = NULL;
  *(all->last != NULL ? &all->last->next : &all->first) = request;
  all->last = request;
  all->unsent++;
  all->unsent_bytes += request->text.len;
}

static void finish(mcp__requests_t *all, request_t *request, const mcp_result_t *result) {
  mcp_result_cb cb = request->cb;
  void *arg = request->arg;
  mcp__pending_remove(&all->pending, &request->waiting);
  mcp__child_leave(&request->child);
  if (!request->sent)
    remove_unsent(all, request);
  mcp__buf_deinit(&request->text);
  mcp__free(request);
  cb(all->client, result, arg);
}

static void fail_request(mcp__requests_t *all, request_t *request, int status, const char *problem) {
  char message[640];
  if (request->refused == MCP_ECANCELED) { /* whatever else has happened since */
    status = MCP_ECANCELED;
    problem = mcp_strerror(status);
  }
  bool named = strncmp(problem, all->authority, strlen(all->authority)) == 0;
  snprintf(message, sizeof message, "%s%s%s", named ? "" : all->authority, named ? "" : ": ", problem);
  mcp_result_t result = {.status = status, .message = message};
  finish(all, request, &result);
}

static int write_cancelled(mcp__buf_t *out, void *what) {
  const request_t *request = what;
  char params[64];
  int len = snprintf(params, sizeof params, "{\"requestId\":%llu}", (unsigned long long)request->waiting.id);
  return mcp__jsonrpc_request(out, 0, "notifications/cancelled", params, (size_t)len);
}

/* Nobody waits any more for the answer to what was sent; without memory to say so it goes nowhere all the
 * same. */
static void tell_peer(request_t *request) {
  if (request->all->link == NULL || request->is_initialize)
    return;
  mcp__link_send(request->all->link, write_cancelled, request);
  request->all->notices++;
}

static void time_out(mcp__requests_t *all, request_t *request) {
  char problem[640];
  unsigned long long ms = request->timeout_ms;
  if (request->refused != 0)
    fail_request(all, request, request->refused, all->problem);
  else if (request->sent) {
    tell_peer(request);
    snprintf(problem, sizeof problem, "no answer within %llu ms", ms);
    fail_request(all, request, MCP_ETIMEOUT, problem);
  } else {
    snprintf(problem, sizeof problem, "not connected within %llu ms%s%s", ms,
             *all->problem != '\0' ? "; last: " : "", all->problem);
    fail_request(all, request, MCP_ETIMEOUT, problem);
  }
}

/* Callbacks may make and end calls, so the list is gone through from its beginning each time; last_id keeps
 * calls that are made meanwhile out of it. */
void mcp__requests_fail(mcp__requests_t *all, bool sent, int status, const char *problem) {
  char words[512];
  uint64_t last_id = all->last_id;
  snprintf(words, sizeof words, "%s", problem);
  for (mcp__waiting_t *each = all->pending.first; each != NULL;) {
    if (each->id <= last_id && request_of(each)->sent == sent) {
      fail_request(all, request_of(each), status, words);
      each = all->pending.first;
    } else {
      each = each->next;
    }
  }
}

static int write_text(mcp__buf_t *out, void *what) {
  const mcp__buf_t *text = what;
  return mcp__buf_append(out, text->data, text->len);
}

static void send_unsent(mcp__requests_t *all) {
  while (all->link != NULL && all->first != NULL) {
    request_t *request = all->first;
    if (mcp__link_send(all->link, write_text, &request->text) != 0) { /* out of memory, for now */
      all->on_due(all->client, uv_now(all->loop) + SEND_AGAIN_MS);
      return;
    }
    remove_unsent(all, request);
    request->sent = true;
    mcp__buf_deinit(&request->text);
  }
}

void mcp__requests_expire(mcp__requests_t *all, uint64_t now_ms) {
  send_unsent(all); /* what could not be, for want of memory */
  while (all->pending.first != NULL && all->pending.first->deadline_ms <= now_ms)
    time_out(all, request_of(all->pending.first));
}

bool mcp__requests_wait(const mcp__requests_t *all) {
  for (mcp__waiting_t *each = all->pending.first; each != NULL; each = each->next)
    if (request_of(each)->sent && request_of(each)->refused == 0)
      return true;
  return false;
}

void mcp__requests_use(mcp__requests_t *all, mcp__link_t *link) {
  all->link = link;
  send_unsent(all);
}

uint64_t mcp__requests_due(const mcp__requests_t *all) {
  return all->pending.first != NULL ? all->pending.first->deadline_ms : UINT64_MAX;
}

/* ---- answers --------------------------------------------------------------------------------------- */

/* What makes an answer none; NULL: it is one. *what is the part of it that shows that. */
static const char *wrong_with(const request_t *request, const mcp__message_t *message, yyjson_val **what) {
  *what = message->error != NULL ? message->error : message->result;
  if (*what == NULL)
    return "the answer has neither a result nor an error";
  if (message->error != NULL)
    return message->result != NULL ? "the answer has both a result and an error: " : NULL;
  return request->is_tool && !yyjson_is_obj(message->result) ? "the result of tools/call is not an object: "
                                                             : NULL;
}

static void fail_wrong(mcp__requests_t *all, request_t *request, const char *wrong, yyjson_val *what,
                       mcp__arena_t *arena) {
  char excerpt[MCP__EXCERPT_SIZE] = "", problem[256];
  size_t len;
  char *text = what != NULL ? yyjson_val_write_opts(what, 0, &arena->alc, &len, NULL) : NULL;
  if (text != NULL)
    mcp__excerpt(excerpt, text, len);
  snprintf(problem, sizeof problem, "%s%s", wrong, excerpt);
  fail_request(all, request, MCP_EPROTOCOL, problem);
}

bool mcp__requests_answer(mcp__requests_t *all, uint64_t id, const mcp__message_t *message,
                          mcp__arena_t *arena) {
  mcp__waiting_t *waiting = mcp__pending_find(&all->pending, id);
  if (waiting == NULL || !request_of(waiting)->sent || request_of(waiting)->refused != 0)
    return false; /* its deadline has passed, it was cancelled, or nobody asked */
  mcp_result_t answer = {0};
  yyjson_val *what;
  const char *wrong = wrong_with(request_of(waiting), message, &what);
  if (wrong != NULL) {
    fail_wrong(all, request_of(waiting), wrong, what, arena);
    return true;
  }
  mcp__result_read(message, request_of(waiting)->is_tool, arena, &answer);
  if (arena->failed) { /* else value might be another than what it is otherwise */
    fail_request(all, request_of(waiting), arena->starved ? UV_ENOMEM : MCP_ETOOBIG,
                 "no memory to read the answer");
    return true;
  }
  finish(all, request_of(waiting), &answer);
  return true;
}

/* ---- progress -------------------------------------------------------------------------------------- */

static void write_token(uint64_t id, char token[TOKEN_SIZE]) {
  snprintf(token, TOKEN_SIZE, TOKEN "%llu", (unsigned long long)id);
}

/* Whether the token was made here, of the request id. */
static bool read_token(yyjson_val *token, uint64_t *id) {
  char same[TOKEN_SIZE];
  const char *text = yyjson_get_str(token);
  size_t len = strlen(TOKEN);
  if (text == NULL || strncmp(text, TOKEN, len) != 0)
    return false;
  *id = strtoull(text + len, NULL, 10);
  write_token(*id, same);
  return yyjson_equals_str(token, same);
}

/* NULL: there is none. cut is where it is put if it is too long. */
static const char *message_of(yyjson_val *params, char cut[MAX_REPORT_BYTES + 1]) {
  yyjson_val *message = yyjson_obj_get(params, "message");
  const char *text = yyjson_get_str(message);
  size_t len = MAX_REPORT_BYTES;
  if (text == NULL || yyjson_get_len(message) <= len)
    return text;
  while (((unsigned char)text[len] & 0xc0) == 0x80) /* not inside of a character */
    len--;
  memcpy(cut, text, len);
  cut[len] = '\0';
  return cut;
}

bool mcp__requests_progress(mcp__requests_t *all, yyjson_val *params) {
  uint64_t id;
  char cut[MAX_REPORT_BYTES + 1];
  if (!read_token(yyjson_obj_get(params, "progressToken"), &id))
    return false;
  mcp__waiting_t *waiting = mcp__pending_find(&all->pending, id);
  request_t *request = waiting != NULL ? request_of(waiting) : NULL;
  if (request == NULL || request->progress_cb == NULL || request->refused != 0)
    return true; /* it comes late */
  yyjson_val *value = yyjson_obj_get(params, "progress");
  double progress = yyjson_get_num(value), total = yyjson_get_num(yyjson_obj_get(params, "total"));
  if (!yyjson_is_num(value) || !isfinite(progress) || !(progress > request->progress))
    return true;
  request->progress = progress;
  mcp_progress_t report = {progress, isfinite(total) && total > 0 ? total : 0, message_of(params, cut)};
  request->progress_cb(all->client, &report, request->progress_arg);
  return true;
}

/* ---- cancelling ------------------------------------------------------------------------------------ */

static void cancel(request_t *request) {
  mcp__requests_t *all = request->all;
  if (!request->sent) {
    remove_unsent(all, request);
    request->sent = true;
  } else {
    tell_peer(request);
  }
  request->refused = MCP_ECANCELED;
  mcp__pending_remove(&all->pending, &request->waiting);
  request->waiting.deadline_ms = uv_now(all->loop) + 1; /* as for refused ones, see add_request() */
  mcp__pending_add(&all->pending, &request->waiting); /* cannot fail: its place in the table is still there */
  all->on_due(all->client, request->waiting.deadline_ms);
}

static void on_parent_cancelled(mcp__child_t *child) {
  request_t *request = (request_t *)(void *)((char *)child - offsetof(request_t, child));
  if (!request->all->closed && request->refused == 0) /* else its end is due already */
    cancel(request);
}

int mcp__requests_cancel(mcp__requests_t *all, uint64_t id) {
  mcp__waiting_t *waiting = mcp__pending_find(&all->pending, id);
  if (waiting == NULL || request_of(waiting)->refused != 0)
    return MCP_ESTATE;
  cancel(request_of(waiting));
  return 0;
}

/* ---- making ---------------------------------------------------------------------------------------- */

static int check_room(const mcp__requests_t *all) {
  if (all->link != NULL)
    return mcp__link_backlog(all->link) > MAX_WAITING_BYTES ? MCP_ELIMIT : 0;
  return all->unsent >= MAX_WAITING || all->unsent_bytes > MAX_WAITING_BYTES ? MCP_ELIMIT : 0;
}

static int add_request(mcp__requests_t *all, request_t *request, uint64_t timeout_ms) {
  uv_update_time(all->loop); /* the caller may have been busy: its time-out begins now */
  uint64_t now_ms = uv_now(all->loop);
  request->timeout_ms = timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS;
  /* A refused one fails in another millisecond: due now, a call made in its callback would be due in the same
   * turn of the timer, and so on for ever. */
  request->waiting.deadline_ms = now_ms + (request->refused != 0 ? 1 : request->timeout_ms);
  int status = mcp__pending_add(&all->pending, &request->waiting);
  if (status != 0)
    return status;
  add_unsent(all, request);
  send_unsent(all);
  all->on_due(all->client, mcp__requests_due(all));
  return 0;
}

static bool has_meta(const mcp__request_spec_t *order) {
  return order->trace_id != NULL || order->progress_cb != NULL;
}

static int write_meta(mcp__buf_t *out, const mcp__request_spec_t *order, uint64_t id) {
  const char *comma = "";
  int status = mcp__buf_puts(out, ",\"_meta\":{");
  if (order->trace_id != NULL) {
    status = mcp__buf_join(status, mcp__buf_puts(out, "\"trace_id\":"));
    status = mcp__buf_join(status, mcp__buf_json_string(out, order->trace_id, strlen(order->trace_id)));
    comma = ",";
  }
  if (order->trace_id != NULL && order->span != 0) {
    char span[MCP__SPAN_SIZE];
    mcp__span_write(order->span, span);
    status = mcp__buf_join(status, mcp__buf_printf(out, ",\"span_id\":\"%s\"", span));
  }
  if (order->progress_cb != NULL) {
    char token[TOKEN_SIZE];
    write_token(id, token);
    status = mcp__buf_join(status, mcp__buf_printf(out, "%s\"progressToken\":\"%s\"", comma, token));
  }
  return mcp__buf_join(status, mcp__buf_puts(out, "}"));
}

static int write_call(mcp__buf_t *out, const mcp__request_spec_t *order, uint64_t id, const char *args,
                      size_t len) {
  int status = mcp__buf_puts(out, ",\"params\":{\"name\":");
  status = mcp__buf_join(status, mcp__buf_json_string(out, order->tool, strlen(order->tool)));
  status = mcp__buf_join(status, mcp__buf_puts(out, ",\"arguments\":"));
  status = mcp__buf_join(status, len > 0 ? mcp__buf_append(out, args, len) : mcp__buf_puts(out, "{}"));
  if (has_meta(order))
    status = mcp__buf_join(status, write_meta(out, order, id));
  return mcp__buf_join(status, mcp__buf_puts(out, "}}"));
}

/* What a request is made of: params is JSON text, of a tool the arguments. */
static int write_request(request_t *request, const mcp__request_spec_t *order, const char *params,
                         size_t len) {
  mcp__buf_t *text = &request->text;
  mcp__buf_reserve(text,
                   len + ENVELOPE_BYTES); /* at once, since it may be large; appending says what fails */
  if (order->tool == NULL)
    return mcp__jsonrpc_request(text, request->waiting.id, order->method, params, len);
  int status = mcp__jsonrpc_begin_request(text, request->waiting.id, order->method);
  return mcp__buf_join(status, write_call(text, order, request->waiting.id, params, len));
}

static int serialise(yyjson_mut_doc *doc, char **text, size_t *len) {
  yyjson_write_err error;
  *text = NULL;
  *len = 0;
  if (doc == NULL || yyjson_mut_doc_get_root(doc) == NULL)
    return 0;
  *text = yyjson_mut_write_opts(doc, 0, &mcp__json_alc, len, &error);
  if (*text != NULL)
    return 0;
  return error.code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION ? UV_ENOMEM : MCP_EENCODE;
}

/* The same as write_meta() for other methods, whose params are the caller's. */
static bool put_meta(yyjson_mut_doc *doc, yyjson_mut_val *meta, const mcp__request_spec_t *order,
                     uint64_t id) {
  char span[MCP__SPAN_SIZE], token[TOKEN_SIZE];
  bool ok = true;
  if (order->trace_id != NULL)
    ok = yyjson_mut_obj_put(meta, yyjson_mut_str(doc, "trace_id"), yyjson_mut_strcpy(doc, order->trace_id));
  if (order->trace_id != NULL && order->span != 0) {
    mcp__span_write(order->span, span);
    ok = ok && yyjson_mut_obj_put(meta, yyjson_mut_str(doc, "span_id"), yyjson_mut_strcpy(doc, span));
  }
  if (order->progress_cb != NULL) {
    write_token(id, token);
    ok = ok && yyjson_mut_obj_put(meta, yyjson_mut_str(doc, "progressToken"), yyjson_mut_strcpy(doc, token));
  }
  return ok;
}

static int add_meta(yyjson_mut_doc **params, const mcp__request_spec_t *order, uint64_t id) {
  if (*params == NULL)
    *params = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_val *root = yyjson_mut_doc_get_root(*params);
  if (root == NULL)
    yyjson_mut_doc_set_root(*params, root = yyjson_mut_obj(*params));
  if (root == NULL)
    return UV_ENOMEM;
  yyjson_mut_val *meta = yyjson_mut_obj_get(root, "_meta");
  if (!yyjson_mut_is_obj(root) || (meta != NULL && !yyjson_mut_is_obj(meta)))
    return UV_EINVAL;
  if (meta == NULL)
    meta = yyjson_mut_obj_add_obj(*params, root, "_meta");
  return meta != NULL && put_meta(*params, meta, order, id) ? 0 : UV_ENOMEM;
}

static int check_order(const mcp__requests_t *all, const mcp__request_spec_t *order) {
  const char *name = order->tool != NULL ? order->tool : order->method;
  int status = check_room(all);
  if (status == 0 && !mcp__utf8_valid(name, strlen(name)))
    status = MCP_EENCODE; /* the peer would close, and take every other call with it */
  return status;
}

/* params, which may be large, is freed as soon as it stands in the request. */
static int add_new_request(mcp__requests_t *all, const mcp__request_spec_t *order, char *params, size_t len) {
  request_t *request = mcp__calloc(sizeof *request);
  if (request == NULL) {
    mcp__free(params);
    return UV_ENOMEM;
  }
  *request = (request_t){.waiting.id = ++all->last_id,
                         .all = all,
                         .child.on_cancel = on_parent_cancelled,
                         .cb = order->cb,
                         .arg = order->arg,
                         .progress_cb = order->progress_cb,
                         .progress_arg = order->progress_arg,
                         .progress = -INFINITY,
                         .is_tool = order->tool != NULL,
                         .is_initialize = strcmp(order->method, "initialize") == 0,
                         .refused = order->refused};
  mcp__buf_init(&request->text, all->max_message, NULL);
  int status = write_request(request, order, params, len);
  mcp__free(params);
  if (status == 0)
    status = add_request(all, request, order->timeout_ms);
  if (status != 0) {
    mcp__buf_deinit(&request->text);
    mcp__free(request);
    return status;
  }
  if (order->id != NULL)
    *order->id = request->waiting.id;
  if (order->parent != NULL)
    mcp__parent_adopt(order->parent, &request->child);
  return 0;
}

int mcp__requests_make(mcp__requests_t *all, const mcp__request_spec_t *order, yyjson_mut_doc *params) {
  char *text = NULL;
  size_t len = 0;
  int status = check_order(all, order);
  if (status == 0 && order->tool == NULL && has_meta(order))
    status = add_meta(&params, order, all->last_id + 1);
  if (status == 0)
    status = serialise(params, &text, &len);
  yyjson_mut_doc_free(params);
  return status == 0 ? add_new_request(all, order, text, len) : status;
}
