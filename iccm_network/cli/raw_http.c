/* raw_http.c: see raw_http.h.
 *
 * Happy path: the connection collects the bytes of the response; raw_http_done() parses those that are new.
 * Failure: a response that is cut off or not HTTP stays as it is, for the caller to judge; one that is too
 * large ends the connection.
 */
#include "raw_http.h"

#include "transport/http_body.h"
#include "transport/http_request.h"
#include "check_alloc.h"

enum { MAX_RESPONSE = 20 << 20 };

static bool is_response(yyjson_val *root) {
  return yyjson_obj_get(root, "jsonrpc") != NULL &&
         (yyjson_obj_get(root, "result") != NULL || yyjson_obj_get(root, "error") != NULL);
}

static bool on_event(mcp__sse_t *sse, void *arg) {
  raw_http_t *http = arg;
  http->events++;
  yyjson_doc *doc = mcp_json_read(sse->data.data, sse->data.len);
  http->complete = is_response(yyjson_doc_get_root(doc));
  if (http->complete)
    http->message = doc;
  else
    yyjson_doc_free(doc);
  return !http->complete;
}

void raw_http_init(raw_http_t *http, raw_conn_t *conn) {
  *http = (raw_http_t){.conn = conn, .head_state = MCP__HEAD_MORE};
  mcp__buf_init(&http->received, MAX_RESPONSE, NULL);
  mcp__buf_init(&http->body, MAX_RESPONSE, NULL);
  mcp__sse_init(&http->sse, MAX_RESPONSE, on_event, http);
  if (mcp__head_init(&http->head, false) != 0)
    check_alloc(NULL);
  conn->received = &http->received;
}

void raw_http_deinit(raw_http_t *http) {
  if (http->conn == NULL)
    return;
  http->conn->received = NULL;
  raw_conn_end(http->conn, UV_ECANCELED);
  mcp__head_deinit(&http->head);
  mcp__sse_deinit(&http->sse);
  mcp__buf_deinit(&http->received);
  mcp__buf_deinit(&http->body);
  yyjson_doc_free(http->message);
  *http = (raw_http_t){0};
}

void raw_http_send(raw_http_t *http, const mcp__buf_t *request) {
  raw_conn_send_raw(http->conn, request->data, request->len);
}

/* ---- parsing ----------------------------------------------------------------------------------------- */

static void begin_body(raw_http_t *http) {
  const llhttp_t *parser = &http->head.parser;
  bool is_empty = (parser->flags & F_CONTENT_LENGTH) != 0 && parser->content_length == 0;
  int status = http->head.status;
  http->has_body = status >= 200 && status != 204 && status != 304 && !is_empty;
  http->until_close = http->has_body && llhttp_message_needs_eof(parser) != 0;
  http->is_events = status == 200 && mcp__http_content_is(&http->head, "text/event-stream");
}

static void take_head(raw_http_t *http) {
  size_t used;
  http->head_state =
      mcp__head_feed(&http->head, http->received.data + http->used, http->received.len - http->used, &used);
  http->used += used;
  if (http->head_state == MCP__HEAD_DONE)
    begin_body(http);
}

static void take_events(raw_http_t *http) {
  if (http->complete)
    return;
  if (mcp__sse_feed(&http->sse, http->body.data, http->body.len) != 0)
    http->head_state = MCP__HEAD_BAD;
  mcp__buf_clear(&http->body, MAX_RESPONSE);
  http->head.body_bytes = 0; /* the limits of a body are those of one event here */
}

static void finish(raw_http_t *http) {
  http->complete = true;
  if (!http->is_events && http->body.len > 0)
    http->message = mcp_json_read(http->body.data, http->body.len);
}

static void take_body(raw_http_t *http) {
  mcp__head_state_t state = http->has_body ? MCP__HEAD_MORE : MCP__HEAD_DONE;
  size_t used, len = http->received.len - http->used;
  if (http->has_body && len > 0) {
    state = mcp__http_body_feed(&http->head, &http->body, http->received.data + http->used, len, &used);
    http->used += used;
    http->has_part = true;
  }
  if (http->is_events)
    take_events(http);
  if (http->complete)
    return;
  if (state == MCP__HEAD_DONE || (http->until_close && http->conn->status == UV_EOF))
    finish(http);
  else if (state == MCP__HEAD_BAD)
    http->head_state = state;
}

static void parse(raw_http_t *http) {
  if (http->head_state == MCP__HEAD_MORE && http->used < http->received.len)
    take_head(http);
  if (http->head_state == MCP__HEAD_DONE && !http->complete)
    take_body(http);
}

/* ---- results ----------------------------------------------------------------------------------------- */

bool raw_http_done(void *arg) {
  raw_http_t *http = arg;
  parse(http);
  return http->complete || http->head_state == MCP__HEAD_BAD || http->conn->state == RAW_CONN_ENDED;
}

bool raw_http_has_part(void *arg) {
  const raw_http_t *http = arg;
  return raw_http_done(arg) || http->has_part;
}

int raw_http_status(const raw_http_t *http) {
  return http->head_state == MCP__HEAD_DONE ? http->head.status : 0;
}

yyjson_val *raw_http_response(const raw_http_t *http) {
  yyjson_val *root = yyjson_doc_get_root(http->message);
  return is_response(root) ? root : NULL;
}
