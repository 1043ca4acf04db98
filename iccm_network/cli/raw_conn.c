/* raw_conn.c: blocking calls on libuv sockets.
 *
 * Happy path: raw_conn_connect(), raw_conn_upgrade() and raw_conn_request() each start a step; net_wait()
 * runs the loop until the step is done. Failure: a connection ends once, with the reason in its status, and
 * stays readable. Each wait has a limit; the net's deadline limits all of them. Connections are freed with
 * their net.
 */
#define _GNU_SOURCE /* memmem() */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "transport/auth.h"
#include "mcp/jsonrpc.h"
#include "check_alloc.h"
#include "raw_conn.h"

enum { MAX_MESSAGE = 64 << 20, NS_PER_MS = 1000000, CLOSE_MS = 300 };

/* ---- the net --------------------------------------------------------------------------------------- */

int net_init(net_t *net, uint64_t timeout_ms) {
  int status = uv_loop_init(&net->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    return status;
  uv_timer_init(&net->loop, &net->timer);
  net->timer.data = net;
  net->deadline_ns = uv_hrtime() + timeout_ms * NS_PER_MS;
  return 0;
}

uint64_t net_left_ms(const net_t *net) {
  uint64_t now = uv_hrtime();
  return now < net->deadline_ns ? (net->deadline_ns - now) / NS_PER_MS : 0;
}

static void on_timer(uv_timer_t *timer) {
  net_t *net = timer->data;
  net->timed_out = true;
}

bool net_wait(net_t *net, bool (*done)(void *arg), void *arg, uint64_t limit_ms) {
  uint64_t left = net_left_ms(net);
  net->timed_out = false;
  uv_update_time(&net->loop);
  uv_timer_start(&net->timer, on_timer, limit_ms < left ? limit_ms : left, 0);
  while (!done(arg) && !net->timed_out)
    uv_run(&net->loop, UV_RUN_ONCE);
  uv_timer_stop(&net->timer);
  return done(arg);
}

static bool all_closed(void *arg) {
  const net_t *net = arg;
  for (const raw_conn_t *conn = net->conns; conn != NULL; conn = conn->next)
    if (conn->state == RAW_CONN_WEBSOCKET)
      return false;
  return true;
}

static void flush(raw_conn_t *conn);

/* Sends close frames and waits at most CLOSE_MS for the peers to close. */
static void close_websockets(net_t *net) {
  for (raw_conn_t *conn = net->conns; conn != NULL; conn = conn->next)
    if (conn->state == RAW_CONN_WEBSOCKET && mcp__ws_close(&conn->ws, MCP__CLOSE_NORMAL, "") == 0)
      flush(conn);
  net_wait(net, all_closed, net, CLOSE_MS);
}

static void free_conn(raw_conn_t *conn) {
  mcp__ws_deinit(&conn->ws);
  mcp__head_deinit(&conn->head);
  mcp__buf_deinit(&conn->out);
  mcp__tls_free(conn->tls);
  yyjson_doc_free(conn->response);
  free(conn);
}

void net_deinit(net_t *net, int exit_code) {
  if (net->resolving) { /* exit() would wait for libuv's threads, where a resolver may hang */
    fflush(NULL);
    _exit(exit_code);
  }
  close_websockets(net);
  for (raw_conn_t *conn = net->conns; conn != NULL; conn = conn->next)
    raw_conn_end(conn, UV_ECANCELED);
  uv_close((uv_handle_t *)&net->timer, NULL);
  uv_run(&net->loop, UV_RUN_DEFAULT);
  while (net->conns != NULL) {
    raw_conn_t *conn = net->conns;
    net->conns = conn->next;
    free_conn(conn);
  }
  uv_loop_close(&net->loop);
}

/* ---- name resolution ------------------------------------------------------------------------------- */

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
  net_t *net = request->data;
  (void)list; /* stays in the request until it is read */
  net->resolving = false;
  net->resolve_status = status;
}

static bool is_resolved(void *arg) {
  const net_t *net = arg;
  return !net->resolving;
}

size_t net_resolve(net_t *net, const char *host, int port, struct sockaddr_storage *addresses, size_t max,
                   uint64_t limit_ms, int *status) {
  char service[8];
  size_t count = 0;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  snprintf(service, sizeof service, "%d", port);
  net->resolve_request.data = net;
  *status = uv_getaddrinfo(&net->loop, &net->resolve_request, on_resolved, host, service, &hints);
  if (*status != 0)
    return 0;
  net->resolving = true;
  if (!net_wait(net, is_resolved, net, limit_ms)) {
    *status = UV_ETIMEDOUT;
    return 0;
  }
  *status = net->resolve_status;
  for (struct addrinfo *each = net->resolve_request.addrinfo; *status == 0 && each != NULL && count < max;
       each = each->ai_next)
    memcpy(&addresses[count++], each->ai_addr, each->ai_addrlen);
  uv_freeaddrinfo(net->resolve_request.addrinfo);
  return count;
}

/* ---- one connection -------------------------------------------------------------------------------- */

void raw_conn_end(raw_conn_t *conn, int status) {
  if (conn->state == RAW_CONN_ENDED)
    return;
  conn->state = RAW_CONN_ENDED;
  conn->status = status;
  if (conn->head_state == MCP__HEAD_MORE)
    conn->end_ns = uv_hrtime();
  uv_close((uv_handle_t *)&conn->tcp, NULL);
}

static void on_connect(uv_connect_t *request, int status) {
  raw_conn_t *conn = request->data;
  if (conn->state != RAW_CONN_CONNECTING)
    return; /* timed out before */
  conn->end_ns = uv_hrtime();
  if (status != 0) {
    raw_conn_end(conn, status);
    return;
  }
  conn->state = RAW_CONN_OPEN;
  uv_tcp_nodelay(&conn->tcp, 1);
}

raw_conn_t *raw_conn_connect(net_t *net, const struct sockaddr *address, const struct sockaddr *source) {
  raw_conn_t *conn = check_alloc(calloc(1, sizeof *conn));
  conn->net = net;
  conn->next = net->conns;
  net->conns = conn;
  mcp__peer_name(address, conn->name);
  memcpy(&conn->address, address,
         address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
  mcp__buf_init(&conn->out, MAX_MESSAGE, NULL);
  uv_tcp_init(&net->loop, &conn->tcp);
  conn->tcp.data = conn->connecting.data = conn;
  conn->began_ns = conn->end_ns = uv_hrtime();
  int status = source != NULL ? uv_tcp_bind(&conn->tcp, source, 0) : 0;
  if (status == 0)
    status = uv_tcp_connect(&conn->connecting, &conn->tcp, address, on_connect);
  if (status != 0)
    raw_conn_end(conn, status);
  return conn;
}

bool raw_conn_connect_done(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->state != RAW_CONN_CONNECTING;
}

bool raw_conn_wait_connected(raw_conn_t *conn, uint64_t limit_ms) {
  if (!net_wait(conn->net, raw_conn_connect_done, conn, limit_ms))
    raw_conn_end(conn, UV_ETIMEDOUT);
  return conn->state == RAW_CONN_OPEN;
}

double raw_conn_step_ms(const raw_conn_t *conn) {
  return (double)(conn->end_ns - conn->began_ns) / 1e6;
}

/* ---- sending --------------------------------------------------------------------------------------- */

typedef struct write_request {
  uv_write_t request;
  mcp__buf_t data;
} write_request_t;

static void on_sent(uv_write_t *request, int status) {
  write_request_t *write = (write_request_t *)(void *)request; /* its first member */
  (void)status;                                                /* reading reports the end of a connection */
  mcp__buf_deinit(&write->data);
  free(write);
}

static void flush(raw_conn_t *conn) {
  mcp__buf_t *ready = conn->tls != NULL ? &conn->tls->out : &conn->out;
  if (conn->state == RAW_CONN_ENDED)
    return;
  if (conn->tls != NULL)
    mcp__tls_write(conn->tls, &conn->out); /* reading reports the end of a connection */
  if (ready->len == 0)
    return;
  write_request_t *write = check_alloc(calloc(1, sizeof *write));
  mcp__buf_init(&write->data, MAX_MESSAGE, NULL);
  mcp__buf_swap(&write->data, ready);
  uv_buf_t data = uv_buf_init(write->data.data, (unsigned)write->data.len);
  if (uv_write(&write->request, (uv_stream_t *)&conn->tcp, &data, 1, on_sent) != 0)
    on_sent(&write->request, 0);
}

/* ---- receiving ------------------------------------------------------------------------------------- */

/* Whether the message is the response to the last request; an error without id counts, since the server may
 * have failed to parse the request. */
static bool is_response(const raw_conn_t *conn, yyjson_val *root) {
  yyjson_val *id = yyjson_obj_get(root, "id"), *error = yyjson_obj_get(root, "error");
  if (yyjson_obj_get(root, "result") == NULL && error == NULL)
    return false;
  if (id == NULL || yyjson_is_null(id))
    return conn->response_without_id || !mcp__jsonrpc_may_answer_notification(id != NULL, error);
  return yyjson_is_num(id) && yyjson_get_num(id) == (double)conn->last_id;
}

static void on_message(mcp__buf_t *message, bool binary, void *arg) {
  raw_conn_t *conn = arg;
  (void)binary;
  yyjson_doc *doc = mcp_json_read(message->data, message->len);
  mcp__buf_clear(message, 0);
  conn->invalid_json = conn->invalid_json || doc == NULL;
  if (!is_response(conn, yyjson_doc_get_root(doc))) {
    yyjson_doc_free(doc);
    return;
  }
  yyjson_doc_free(conn->response);
  conn->response = doc;
}

static void on_close(int code, const char *reason, bool clean, void *arg) {
  raw_conn_t *conn = arg;
  conn->close_code = code;
  conn->closed_by_peer = clean;
  snprintf(conn->close_reason, sizeof conn->close_reason, "%s", reason);
}

static void feed_websocket(raw_conn_t *conn, const char *data, size_t len) {
  /* A pong frame without payload. JSON text cannot contain these bytes, since it has no NUL. */
  conn->pong_received = conn->pong_received || memmem(data, len, "\x8a\x00", 2) != NULL;
  mcp__ws_feed(&conn->ws, (const uint8_t *)data, len);
  mcp__ws_flush_pong(&conn->ws);
  flush(conn);
  if (conn->ws.ended)
    raw_conn_end(conn, UV_EOF);
}

static void store_initial(raw_conn_t *conn, const char *data, size_t len) {
  size_t room = sizeof conn->initial_data - 1 - conn->initial_len;
  size_t take = len < room ? len : room;
  memcpy(conn->initial_data + conn->initial_len, data, take);
  conn->initial_len += take;
  if (conn->received != NULL && mcp__buf_append(conn->received, data, len) != 0)
    raw_conn_end(conn, UV_EMSGSIZE);
}

static void feed_head(raw_conn_t *conn, const char *data, size_t len) {
  size_t used;
  store_initial(conn, data, len);
  if (*conn->key == '\0' || conn->head_state != MCP__HEAD_MORE)
    return; /* no request was sent, or this is the response body */
  conn->head_state = mcp__head_feed(&conn->head, data, len, &used);
  if (conn->head_state == MCP__HEAD_MORE)
    return;
  conn->end_ns = uv_hrtime();
  if (conn->head_state == MCP__HEAD_DONE)
    conn->upgrade_status =
        mcp__check_switching(&conn->head, conn->key, conn->upgrade_error, sizeof conn->upgrade_error);
  if (conn->head_state != MCP__HEAD_DONE || conn->upgrade_status != 0)
    return;
  conn->state = RAW_CONN_WEBSOCKET;
  if (used < len)
    feed_websocket(conn, data + used, len - used);
}

static bool feed_plain(void *arg, const char *data, size_t len) {
  raw_conn_t *conn = arg;
  if (conn->state == RAW_CONN_WEBSOCKET)
    feed_websocket(conn, data, len);
  else
    feed_head(conn, data, len);
  return conn->state != RAW_CONN_ENDED;
}

static void feed_tls(raw_conn_t *conn, const char *data, size_t len) {
  bool was_open = conn->tls->open;
  int status = mcp__tls_feed(conn->tls, data, len, feed_plain, conn);
  if (!was_open)
    conn->end_ns = uv_hrtime();
  flush(conn);
  if (status != 0)
    raw_conn_end(conn, status);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  raw_conn_t *conn = stream->data;
  if (len < 0)
    raw_conn_end(conn, (int)len);
  else if (conn->tls != NULL)
    feed_tls(conn, buf->base, (size_t)len);
  else
    feed_plain(conn, buf->base, (size_t)len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  raw_conn_t *conn = handle->data;
  (void)suggested;
  *buf = uv_buf_init(conn->net->buffer, sizeof conn->net->buffer);
}

/* ---- steps ----------------------------------------------------------------------------------------- */

void raw_conn_send_raw(raw_conn_t *conn, const void *data, size_t len) {
  conn->began_ns = uv_hrtime();
  mcp__buf_append(&conn->out, data, len);
  uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
  flush(conn);
}

void raw_conn_start_tls(raw_conn_t *conn, mcp__tls_context_t *context, const char *host, bool verify) {
  conn->began_ns = uv_hrtime();
  conn->tls = check_alloc(mcp__tls_new(context, host, verify, MAX_MESSAGE));
  uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
  flush(conn);
}

bool raw_conn_tls_done(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->tls == NULL || conn->tls->open || conn->state == RAW_CONN_ENDED;
}

void raw_conn_upgrade(raw_conn_t *conn, const mcp__url_t *url) {
  conn->ws_config = (mcp__ws_config_t){.client = true,
                                       .max_message = MAX_MESSAGE,
                                       .out = &conn->out,
                                       .on_message = on_message,
                                       .on_end = on_close,
                                       .arg = conn};
  mcp__ws_init(&conn->ws, &conn->ws_config);
  if (mcp__head_init(&conn->head, false) != 0 || mcp__upgrade_new_key(conn->key) != 0) {
    raw_conn_end(conn, UV_ENOMEM); /* UNTESTED: needs memory to run out */
    return;
  }
  conn->began_ns = uv_hrtime();
  const char *token;
  mcp__token_from_environment(&token); /* doctor_run() has validated it */
  mcp__write_upgrade(&conn->out, url->authority, url->path, conn->key, token);
  uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
  flush(conn);
}

bool raw_conn_upgrade_done(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->state == RAW_CONN_WEBSOCKET || conn->state == RAW_CONN_ENDED ||
         conn->head_state != MCP__HEAD_MORE;
}

void raw_conn_send_text(raw_conn_t *conn, const char *text, size_t len) {
  if (conn->state != RAW_CONN_WEBSOCKET)
    return;
  size_t begin = mcp__ws_begin(&conn->ws);
  if (begin == SIZE_MAX)
    return;
  mcp__buf_append(&conn->out, text, len);
  mcp__ws_end(&conn->ws, begin);
  flush(conn);
}

static bool response_or_end(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->response != NULL || conn->state != RAW_CONN_WEBSOCKET;
}

bool raw_conn_wait_response(raw_conn_t *conn, uint64_t limit_ms) {
  net_wait(conn->net, response_or_end, conn, limit_ms);
  return conn->response != NULL;
}

bool raw_conn_request(raw_conn_t *conn, const char *method, const char *params, uint64_t limit_ms) {
  char *text = NULL;
  size_t len;
  yyjson_doc_free(conn->response);
  conn->response = NULL;
  conn->invalid_json = conn->response_without_id = false;
  FILE *file = check_alloc(open_memstream(&text, &len));
  fprintf(file, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\"%s%s}",
          (unsigned long long)++conn->last_id, method, *params != '\0' ? ",\"params\":" : "", params);
  fclose(file);
  raw_conn_send_text(conn, check_alloc(text), len);
  free(text);
  return raw_conn_wait_response(conn, limit_ms);
}

static bool pong_or_end(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->pong_received || conn->state != RAW_CONN_WEBSOCKET;
}

bool raw_conn_ping(raw_conn_t *conn, uint64_t limit_ms) {
  conn->pong_received = false;
  if (conn->state != RAW_CONN_WEBSOCKET || mcp__ws_ping(&conn->ws) != 0)
    return false;
  flush(conn);
  net_wait(conn->net, pong_or_end, conn, limit_ms);
  return conn->pong_received;
}
