/* request.c: the requests of a client, from creation to completion.
 *
 * Happy path: a request is serialised at once and sent as soon as there is a link, in the order of creation.
 * Its response is matched by id and passed to its callback. Failure: a request ends when its deadline passes,
 * when the connection that it was sent over is lost, or when it is cancelled; whichever comes first ends it,
 * once, and the peer gets notifications/cancelled if it may still be working on it. Creating or cancelling
 * never calls a callback: a request that has to fail at once fails when the timer fires next. */
#include "client/request.h"

#include "base/excerpt.h"
#include "base/span.h"
#include "base/utf8.h"
#include "mcp/result.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  DEFAULT_TIMEOUT_MS = 30000,
  MAX_UNSENT = 1024,
  MAX_UNSENT_BYTES = 16 << 20,
  RESEND_MS = 50,
  ENVELOPE_BYTES = 512,             /* around the parameters, an estimate */
  MAX_PROGRESS_MESSAGE_BYTES = 1024 /* of the message in a progress notification */
};

/* The prefix of progress tokens created here. Params of a caller may contain other tokens. */
#define PROGRESS_TOKEN_PREFIX "iccm-"
enum { PROGRESS_TOKEN_SIZE = sizeof PROGRESS_TOKEN_PREFIX + 20 };

typedef struct mcp__request {
  mcp__pending_call_t pending_call; /* must be the first member */
  mcp__child_t child;               /* link to the call being served that made it */
  mcp__requests_t *requests;
  mcp_result_cb cb;
  void *arg;
  mcp_progress_cb progress_cb; /* NULL: no progress was requested */
  void *progress_arg;
  double progress;                  /* of the last notification */
  mcp__buf_t text;                  /* the message, until it is sent */
  struct mcp__request *prev, *next; /* in the list of unsent requests */
  uint64_t timeout_ms;
  bool is_tool, is_initialize; /* is_initialize: MCP forbids to cancel it */
  bool sent;                   /* sent, or cancelled before that; not in the list of unsent requests */
  /* If not 0, the request fails with this code when the timer fires next, and a response is ignored. */
  int fail_code;
} request_t;

static request_t *request_of(mcp__pending_call_t *pending_call) {
  return (request_t *)(void *)pending_call;
}

static void remove_unsent(mcp__requests_t *requests, request_t *request) {
  assert(request->prev != NULL ? request->prev->next == request : requests->first == request);
  assert(request->next != NULL ? request->next->prev == request : requests->last == request);
  assert(requests->unsent > 0 && requests->unsent_bytes >= request->text.len);
  *(request->prev != NULL ? &request->prev->next : &requests->first) = request->next;
  *(request->next != NULL ? &request->next->prev : &requests->last) = request->prev;
  requests->unsent--;
  requests->unsent_bytes -= request->text.len;
}

static void add_unsent(mcp__requests_t *requests, request_t *request) {
  request->prev = requests->last;
  request->next = NULL;
  *(requests->last != NULL ? &requests->last->next : &requests->first) = request;
  requests->last = request;
  requests->unsent++;
  requests->unsent_bytes += request->text.len;
}

static void finish(mcp__requests_t *requests, request_t *request, mcp_result_t *result) {
  char *value_text = NULL;
  mcp_result_cb cb = request->cb;
  void *arg = request->arg;
  mcp__pending_remove(&requests->pending, &request->pending_call);
  mcp__child_leave(&request->child);
  if (!request->sent)
    remove_unsent(requests, request);
  mcp__buf_deinit(&request->text);
  mcp__free(request);
  result->value_text = &value_text;
  cb(requests->client, result, arg);
  mcp__free(value_text);
}

static void fail_request(mcp__requests_t *requests, request_t *request, int status, const char *problem) {
  char message[640];
  if (request->fail_code == MCP_ECANCELED) { /* even if something else failed since */
    status = MCP_ECANCELED;
    problem = mcp_strerror(status);
  }
  bool has_authority = strncmp(problem, requests->authority, strlen(requests->authority)) == 0;
  snprintf(message, sizeof message, "%s%s%s", has_authority ? "" : requests->authority,
           has_authority ? "" : ": ", problem);
  mcp_result_t result = {.status = status, .message = message};
  finish(requests, request, &result);
}

static int write_cancelled(mcp__buf_t *out, void *arg) {
  const request_t *request = arg;
  char params[64];
  int len =
      snprintf(params, sizeof params, "{\"requestId\":%llu}", (unsigned long long)request->pending_call.id);
  return mcp__jsonrpc_request(out, 0, "notifications/cancelled", params, (size_t)len);
}

/* Tells the peer that the response is no longer wanted. Best effort: nothing is sent if memory runs out. */
static void send_cancelled(request_t *request) {
  if (request->requests->link == NULL || request->is_initialize)
    return;
  mcp__link_send(request->requests->link, write_cancelled, request);
  request->requests->notifications++;
}

static void expire_request(mcp__requests_t *requests, request_t *request) {
  char problem[640];
  unsigned long long ms = request->timeout_ms;
  if (request->fail_code != 0)
    fail_request(requests, request, request->fail_code, requests->problem);
  else if (request->sent) {
    send_cancelled(request);
    snprintf(problem, sizeof problem, "no answer within %llu ms", ms);
    fail_request(requests, request, MCP_ETIMEOUT, problem);
  } else if (requests->link != NULL) {
    snprintf(problem, sizeof problem,
             "not sent within %llu ms: other requests to the peer are still unanswered", ms);
    fail_request(requests, request, MCP_ETIMEOUT, problem);
  } else {
    snprintf(problem, sizeof problem, "not connected within %llu ms%s%s", ms,
             *requests->problem != '\0' ? "; last: " : "", requests->problem);
    fail_request(requests, request, MCP_ETIMEOUT, problem);
  }
}

/* Callbacks may add and complete requests, so the list is read from its beginning after each one; last_id
 * excludes requests added meanwhile. */
void mcp__requests_fail(mcp__requests_t *requests, bool sent, int status, const char *problem) {
  char problem_copy[512];
  uint64_t last_id = requests->last_id;
  snprintf(problem_copy, sizeof problem_copy, "%s", problem);
  for (mcp__pending_call_t *each = requests->pending.first; each != NULL;) {
    if (each->id <= last_id && request_of(each)->sent == sent) {
      fail_request(requests, request_of(each), status, problem_copy);
      each = requests->pending.first;
    } else {
      each = each->next;
    }
  }
}

void mcp__requests_fail_one(mcp__requests_t *requests, uint64_t id, int status, const char *problem) {
  mcp__pending_call_t *pending_call = mcp__pending_find(&requests->pending, id);
  if (pending_call != NULL && request_of(pending_call)->sent && request_of(pending_call)->fail_code == 0)
    fail_request(requests, request_of(pending_call), status, problem);
}

static int write_text(mcp__buf_t *out, void *arg) {
  const mcp__buf_t *text = arg;
  return mcp__buf_append(out, text->data, text->len);
}

void mcp__requests_send(mcp__requests_t *requests) {
  while (requests->link != NULL && requests->first != NULL && mcp__link_may_send(requests->link)) {
    request_t *request = requests->first;
    if (mcp__link_send(requests->link, write_text, &request->text) != 0) { /* out of memory: retry later */
      requests->on_due(requests->client, uv_now(requests->loop) + RESEND_MS);
      return;
    }
    remove_unsent(requests, request);
    request->sent = true;
    mcp__buf_deinit(&request->text);
  }
}

void mcp__requests_expire(mcp__requests_t *requests, uint64_t now_ms) {
  mcp__requests_send(requests); /* requests that could not be sent because memory ran out */
  while (requests->pending.first != NULL && requests->pending.first->deadline_ms <= now_ms)
    expire_request(requests, request_of(requests->pending.first));
}

bool mcp__requests_any_in_flight(const mcp__requests_t *requests) {
  for (mcp__pending_call_t *each = requests->pending.first; each != NULL; each = each->next)
    if (request_of(each)->sent && request_of(each)->fail_code == 0)
      return true;
  return false;
}

void mcp__requests_set_link(mcp__requests_t *requests, mcp__link_t *link) {
  requests->link = link;
  mcp__requests_send(requests);
}

uint64_t mcp__requests_next_deadline(const mcp__requests_t *requests) {
  return requests->pending.first != NULL ? requests->pending.first->deadline_ms : UINT64_MAX;
}

/* ---- responses ------------------------------------------------------------------------------------- */

/* Why a response is invalid; NULL: it is valid. *offending is the invalid part. */
static const char *find_response_error(const request_t *request, const mcp__message_t *message,
                                       yyjson_val **offending) {
  *offending = message->error != NULL ? message->error : message->result;
  if (*offending == NULL)
    return "the response has neither a result nor an error";
  if (message->error != NULL)
    return message->result != NULL ? "the response has both a result and an error: " : NULL;
  return request->is_tool && !yyjson_is_obj(message->result) ? "the result of tools/call is not an object: "
                                                             : NULL;
}

static void fail_protocol_error(mcp__requests_t *requests, request_t *request, const char *response_error,
                                yyjson_val *offending, mcp__arena_t *arena) {
  char excerpt[MCP__EXCERPT_SIZE] = "", problem[256];
  size_t len;
  char *text = offending != NULL ? yyjson_val_write_opts(offending, 0, &arena->alc, &len, NULL) : NULL;
  if (text != NULL)
    mcp__excerpt(excerpt, text, len);
  snprintf(problem, sizeof problem, "%s%s", response_error, excerpt);
  fail_request(requests, request, MCP_EPROTOCOL, problem);
}

bool mcp__requests_on_response(mcp__requests_t *requests, uint64_t id, const mcp__message_t *message,
                               mcp__arena_t *arena) {
  mcp__pending_call_t *pending_call = mcp__pending_find(&requests->pending, id);
  if (pending_call == NULL || !request_of(pending_call)->sent || request_of(pending_call)->fail_code != 0)
    return false; /* it expired, was cancelled, or never existed */
  mcp_result_t result = {0};
  yyjson_val *offending;
  const char *response_error = find_response_error(request_of(pending_call), message, &offending);
  if (response_error != NULL) {
    fail_protocol_error(requests, request_of(pending_call), response_error, offending, arena);
    return true;
  }
  mcp__result_read(message, request_of(pending_call)->is_tool, arena, &result);
  if (arena->failed) { /* the parsed value may be incomplete */
    fail_request(requests, request_of(pending_call), arena->out_of_memory ? UV_ENOMEM : MCP_ETOOBIG,
                 "out of memory while reading the response");
    return true;
  }
  finish(requests, request_of(pending_call), &result);
  return true;
}

/* ---- progress -------------------------------------------------------------------------------------- */

static void write_progress_token(uint64_t id, char token[PROGRESS_TOKEN_SIZE]) {
  snprintf(token, PROGRESS_TOKEN_SIZE, PROGRESS_TOKEN_PREFIX "%llu", (unsigned long long)id);
}

/* Whether the token was created here; *id is then the id of its request. */
static bool read_progress_token(yyjson_val *token, uint64_t *id) {
  char same[PROGRESS_TOKEN_SIZE];
  const char *text = yyjson_get_str(token);
  size_t len = strlen(PROGRESS_TOKEN_PREFIX);
  if (text == NULL || strncmp(text, PROGRESS_TOKEN_PREFIX, len) != 0)
    return false;
  *id = strtoull(text + len, NULL, 10);
  write_progress_token(*id, same);
  return yyjson_equals_str(token, same);
}

/* The message of a progress notification; NULL: none. cut: a buffer for a message that has to be truncated.
 */
static const char *progress_message(yyjson_val *params, char cut[MAX_PROGRESS_MESSAGE_BYTES + 1]) {
  yyjson_val *message = yyjson_obj_get(params, "message");
  const char *text = yyjson_get_str(message);
  size_t len = MAX_PROGRESS_MESSAGE_BYTES;
  if (text == NULL || yyjson_get_len(message) <= len)
    return text;
  while (((unsigned char)text[len] & 0xc0) == 0x80) /* not within a character */
    len--;
  memcpy(cut, text, len);
  cut[len] = '\0';
  return cut;
}

bool mcp__requests_on_progress(mcp__requests_t *requests, yyjson_val *params) {
  uint64_t id;
  char cut[MAX_PROGRESS_MESSAGE_BYTES + 1];
  if (!read_progress_token(yyjson_obj_get(params, "progressToken"), &id))
    return false;
  mcp__pending_call_t *pending_call = mcp__pending_find(&requests->pending, id);
  request_t *request = pending_call != NULL ? request_of(pending_call) : NULL;
  if (request == NULL || request->progress_cb == NULL || request->fail_code != 0)
    return true; /* late: the request has ended */
  yyjson_val *value = yyjson_obj_get(params, "progress");
  double progress = yyjson_get_num(value), total = yyjson_get_num(yyjson_obj_get(params, "total"));
  if (!yyjson_is_num(value) || !isfinite(progress) || !(progress > request->progress))
    return true;
  request->progress = progress;
  mcp_progress_t progress_report = {progress, isfinite(total) && total > 0 ? total : 0,
                                    progress_message(params, cut)};
  request->progress_cb(requests->client, &progress_report, request->progress_arg);
  return true;
}

/* ---- cancelling ------------------------------------------------------------------------------------ */

static void cancel(request_t *request) {
  mcp__requests_t *requests = request->requests;
  if (!request->sent) {
    remove_unsent(requests, request);
    request->sent = true;
  } else {
    send_cancelled(request);
  }
  request->fail_code = MCP_ECANCELED;
  mcp__pending_remove(&requests->pending, &request->pending_call);
  request->pending_call.deadline_ms = uv_now(requests->loop) + 1; /* as in add_request() */
  mcp__pending_add(&requests->pending, &request->pending_call);   /* cannot fail: the table has room for it */
  requests->on_due(requests->client, request->pending_call.deadline_ms);
}

static void on_parent_cancelled(mcp__child_t *child) {
  request_t *request = (request_t *)(void *)((char *)child - offsetof(request_t, child));
  if (!request->requests->closed && request->fail_code == 0) /* otherwise it is about to fail already */
    cancel(request);
}

int mcp__requests_cancel(mcp__requests_t *requests, uint64_t id) {
  mcp__pending_call_t *pending_call = mcp__pending_find(&requests->pending, id);
  if (pending_call == NULL || request_of(pending_call)->fail_code != 0)
    return MCP_ESTATE;
  cancel(request_of(pending_call));
  return 0;
}

/* ---- creating -------------------------------------------------------------------------------------- */

static int check_room(const mcp__requests_t *requests) {
  if (requests->link != NULL && mcp__link_backlog(requests->link) > MAX_UNSENT_BYTES)
    return MCP_ELIMIT;
  return requests->unsent >= MAX_UNSENT || requests->unsent_bytes > MAX_UNSENT_BYTES ? MCP_ELIMIT : 0;
}

static int add_request(mcp__requests_t *requests, request_t *request, uint64_t timeout_ms) {
  uv_update_time(requests->loop); /* the caller may have been busy: the time limit starts now */
  uint64_t now_ms = uv_now(requests->loop);
  request->timeout_ms = timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS;
  /* A failing request fails 1 ms later: if it were due now, a request created in its callback would be due in
   * the same timer turn, and so on endlessly. */
  request->pending_call.deadline_ms = now_ms + (request->fail_code != 0 ? 1 : request->timeout_ms);
  int status = mcp__pending_add(&requests->pending, &request->pending_call);
  if (status != 0)
    return status;
  add_unsent(requests, request);
  mcp__requests_send(requests);
  requests->on_due(requests->client, mcp__requests_next_deadline(requests));
  return 0;
}

static bool has_meta(const mcp__request_spec_t *spec) {
  return spec->trace_id != NULL || spec->progress_cb != NULL;
}

static int write_meta(mcp__buf_t *out, const mcp__request_spec_t *spec, uint64_t id) {
  const char *comma = "";
  int status = mcp__buf_puts(out, ",\"_meta\":{");
  if (spec->trace_id != NULL) {
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "\"trace_id\":"));
    status = mcp__buf_first_error(status, mcp__buf_json_string(out, spec->trace_id, strlen(spec->trace_id)));
    comma = ",";
  }
  if (spec->trace_id != NULL && spec->span != 0) {
    char span[MCP__SPAN_SIZE];
    mcp__span_write(spec->span, span);
    status = mcp__buf_first_error(status, mcp__buf_printf(out, ",\"span_id\":\"%s\"", span));
  }
  if (spec->progress_cb != NULL) {
    char token[PROGRESS_TOKEN_SIZE];
    write_progress_token(id, token);
    status = mcp__buf_first_error(status, mcp__buf_printf(out, "%s\"progressToken\":\"%s\"", comma, token));
  }
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}"));
}

static int write_call(mcp__buf_t *out, const mcp__request_spec_t *spec, uint64_t id, const char *args,
                      size_t len) {
  int status = mcp__buf_puts(out, ",\"params\":{\"name\":");
  status = mcp__buf_first_error(status, mcp__buf_json_string(out, spec->tool, strlen(spec->tool)));
  status = mcp__buf_first_error(status, mcp__buf_puts(out, ",\"arguments\":"));
  status = mcp__buf_first_error(status, len > 0 ? mcp__buf_append(out, args, len) : mcp__buf_puts(out, "{}"));
  if (has_meta(spec))
    status = mcp__buf_first_error(status, write_meta(out, spec, id));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}}"));
}

/* Serialises a request. params is JSON text; for a tool, the arguments. */
static int write_request(request_t *request, const mcp__request_spec_t *spec, const char *params,
                         size_t len) {
  mcp__buf_t *text = &request->text;
  mcp__buf_reserve(text,
                   /* One allocation, since it may be large; appending reports errors. */
                   len + ENVELOPE_BYTES);
  if (spec->tool == NULL)
    return mcp__jsonrpc_request(text, request->pending_call.id, spec->method, params, len);
  int status = mcp__jsonrpc_begin_request(text, request->pending_call.id, spec->method);
  return mcp__buf_first_error(status, write_call(text, spec, request->pending_call.id, params, len));
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

/* Like write_meta() for other methods, whose params belong to the caller. */
static bool put_meta(yyjson_mut_doc *doc, yyjson_mut_val *meta, const mcp__request_spec_t *spec,
                     uint64_t id) {
  char span[MCP__SPAN_SIZE], token[PROGRESS_TOKEN_SIZE];
  bool ok = true;
  if (spec->trace_id != NULL)
    ok = yyjson_mut_obj_put(meta, yyjson_mut_str(doc, "trace_id"), yyjson_mut_strcpy(doc, spec->trace_id));
  if (spec->trace_id != NULL && spec->span != 0) {
    mcp__span_write(spec->span, span);
    ok = ok && yyjson_mut_obj_put(meta, yyjson_mut_str(doc, "span_id"), yyjson_mut_strcpy(doc, span));
  }
  if (spec->progress_cb != NULL) {
    write_progress_token(id, token);
    ok = ok && yyjson_mut_obj_put(meta, yyjson_mut_str(doc, "progressToken"), yyjson_mut_strcpy(doc, token));
  }
  return ok;
}

static int add_meta(yyjson_mut_doc **params, const mcp__request_spec_t *spec, uint64_t id) {
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
  return meta != NULL && put_meta(*params, meta, spec, id) ? 0 : UV_ENOMEM;
}

static int check_spec(const mcp__requests_t *requests, const mcp__request_spec_t *spec) {
  const char *name = spec->tool != NULL ? spec->tool : spec->method;
  int status = check_room(requests);
  if (status == 0 && !mcp__utf8_valid(name, strlen(name)))
    status = MCP_EENCODE; /* the peer would close the connection, which fails all other calls */
  return status;
}

/* Frees params, which may be large, as soon as it is copied into the request. */
static int add_new_request(mcp__requests_t *requests, const mcp__request_spec_t *spec, char *params,
                           size_t len) {
  request_t *request = mcp__calloc(sizeof *request);
  if (request == NULL) {
    mcp__free(params);
    return UV_ENOMEM;
  }
  *request = (request_t){.pending_call.id = ++requests->last_id,
                         .requests = requests,
                         .child.on_cancel = on_parent_cancelled,
                         .cb = spec->cb,
                         .arg = spec->arg,
                         .progress_cb = spec->progress_cb,
                         .progress_arg = spec->progress_arg,
                         .progress = -INFINITY,
                         .is_tool = spec->tool != NULL,
                         .is_initialize = strcmp(spec->method, "initialize") == 0,
                         .fail_code = spec->fail_code};
  mcp__buf_init(&request->text, requests->max_message, NULL);
  int status = write_request(request, spec, params, len);
  mcp__free(params);
  if (status == 0)
    status = add_request(requests, request, spec->timeout_ms);
  if (status != 0) {
    mcp__buf_deinit(&request->text);
    mcp__free(request);
    return status;
  }
  if (spec->id != NULL)
    *spec->id = request->pending_call.id;
  if (spec->parent != NULL)
    mcp__parent_adopt(spec->parent, &request->child);
  return 0;
}

int mcp__requests_add(mcp__requests_t *requests, const mcp__request_spec_t *spec, yyjson_mut_doc *params) {
  char *text = NULL;
  size_t len = 0;
  int status = check_spec(requests, spec);
  if (status == 0 && spec->tool == NULL && has_meta(spec))
    status = add_meta(&params, spec, requests->last_id + 1);
  if (status == 0)
    status = serialise(params, &text, &len);
  yyjson_mut_doc_free(params);
  return status == 0 ? add_new_request(requests, spec, text, len) : status;
}
