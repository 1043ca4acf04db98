/* listen.c: `iccm listen [PORT]`. A server that prints everything it receives, with minimal responses.
 *
 * Happy path: clients connect; the server prints their HTTP heads line by line, with secrets redacted, then
 * each message and each response, over WebSocket or in the bodies of POSTs. A call of any tool gets the
 * result "received". Failure: a violation of HTTP, WebSocket or JSON-RPC is printed with the reason, and the
 * response is that of a server of the library. The number of connections, message sizes and unsent output are
 * limited. Ctrl-C or a closed output ends it.
 */
#include <arpa/inet.h>
#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>
#include "transport/http_body.h"
#include "transport/http_request.h"
#include "transport/http_response.h"
#include "transport/origins.h"
#include "transport/peer_addr.h"
#include "transport/stream.h"
#include "transport/ws.h"
#include "check_alloc.h"
#include "commands.h"
#include "error_report.h"
#include "listen_answer.h"
#include "listen_show.h"

enum {
  DEFAULT_PORT = 9000,
  MAX_CONNS = 64,
  MAX_MESSAGE = 16 << 20,
  MAX_OUTPUT = 1 << 20, /* unsent bytes of a connection */
  BACKLOG = 16
};

typedef struct listener {
  const options_t *options;
  const print_t *out;
  uv_loop_t loop;
  uv_tcp_t sockets[2]; /* IPv4, IPv6 */
  mcp__io_t io;
  listen_answer_t answer;
  unsigned conn_count, last_number;
} listener_t;

typedef struct conn {
  mcp__stream_t stream;
  listener_t *listener;
  listen_show_t show;
  mcp__head_t head; /* of the current request */
  mcp__buf_t body;  /* of a POST */
  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  bool in_body;               /* the head of a POST is complete */
  bool is_websocket, closing; /* closing: close after all output is sent */
} conn_t;

static void close_when_written(conn_t *conn) {
  conn->closing = true;
  mcp__stream_dirty(&conn->stream);
}

/* ---- WebSocket ------------------------------------------------------------------------------------- */

static void give_up(conn_t *conn) {
  listen_note(&conn->show,
              "closed by the server: the client does not read its responses, or a response is too large");
  mcp__stream_close(&conn->stream);
}

static void send_text(conn_t *conn, const mcp__buf_t *text) {
  size_t begin = mcp__ws_begin(&conn->ws);
  int status = begin == SIZE_MAX ? MCP_ETOOBIG : mcp__buf_append(&conn->stream.out, text->data, text->len);
  if (status == 0)
    status = mcp__ws_end(&conn->ws, begin);
  if (status != 0) {
    give_up(conn);
    return;
  }
  listen_show(&conn->show, "sent", text->data, text->len);
  mcp__stream_dirty(&conn->stream);
}

static void on_message(mcp__buf_t *text, bool binary, void *arg) {
  conn_t *conn = arg;
  mcp__buf_t response;
  (void)binary;
  mcp__buf_init(&response, MAX_OUTPUT, NULL);
  listen_show(&conn->show, "received", text->data, text->len);
  int status = listen_respond(&conn->listener->answer, &response, text, NULL);
  if (status == -1)
    give_up(conn);
  else if (status != 202)
    send_text(conn, &response);
  mcp__buf_deinit(&response);
  mcp__buf_clear(text, 0);
}

static void on_close(int code, const char *reason, bool clean, void *arg) {
  conn_t *conn = arg;
  listen_note(&conn->show, "%s %d%s%s",
              clean ? "closed with" : "violated the WebSocket protocol, closed with", code,
              *reason != '\0' ? ": " : "", reason);
  close_when_written(conn);
}

static void open_websocket(conn_t *conn) {
  size_t begin = conn->stream.out.len;
  mcp__write_switching(&conn->stream.out, &conn->head);
  listen_show_lines(&conn->show, "sent", conn->stream.out.data + begin, conn->stream.out.len - begin, true);
  mcp__ws_init(&conn->ws, &conn->ws_config);
  conn->is_websocket = true;
  mcp__stream_dirty(&conn->stream);
}

/* ---- HTTP ------------------------------------------------------------------------------------------ */

/* The same check as in a server without a token: it rejects pages in browsers. */
static const char *check_origin(const conn_t *conn, mcp__http_request_kind_t kind) {
  const mcp__origins_t admitted = {(char *)(uintptr_t)mcp_env_text("ICCM_ALLOWED_ORIGINS", NULL),
                                   (char *)(uintptr_t)mcp_env_text("ICCM_ALLOWED_HOSTS", NULL)};
  return mcp__origins_problem(&admitted, &conn->head, kind, false);
}

/* The Origin of the page that sent the request and may read the response (CORS); NULL: none. */
static const char *page_of(conn_t *conn) {
  bool is_admitted = conn->head.complete && check_origin(conn, mcp__head_request_kind(&conn->head)) == NULL;
  return is_admitted ? mcp__head_value(&conn->head, MCP__H_ORIGIN) : NULL;
}

static void refuse(conn_t *conn, int status, const char *reason) {
  mcp__response_head_t head = {
      .status = status, .type = MCP__HTTP_PLAIN_TEXT, .len = strlen(reason), .origin = page_of(conn)};
  listen_note(&conn->show, "refused with %d: %.*s", status, (int)strcspn(reason, "\n"), reason);
  if (mcp__http_write_head(&conn->stream.out, &head) == 0)
    mcp__buf_puts(&conn->stream.out, reason);
  close_when_written(conn);
}

/* The request is answered: the next one may follow. */
static void next_request(conn_t *conn, bool keep_alive) {
  mcp__stream_dirty(&conn->stream);
  mcp__head_deinit(&conn->head);
  mcp__buf_clear(&conn->body, 0);
  conn->in_body = false;
  if (mcp__head_init(&conn->head, true) != 0 || !keep_alive)
    close_when_written(conn);
}

static void respond(conn_t *conn, int status, const char *type, const mcp__buf_t *body) {
  mcp__response_head_t head = {.status = status,
                               .type = type,
                               .len = body->len,
                               .keep_alive = mcp__http_keeps_alive(&conn->head),
                               .allow = "POST, OPTIONS",
                               .origin = page_of(conn)};
  mcp__buf_t *out = &conn->stream.out;
  size_t begin = out->len;
  int written = mcp__http_write_head(out, &head);
  if (written == 0)
    listen_show_lines(&conn->show, "sent", out->data + begin, out->len - begin, true);
  if (body->len > 0 && !mcp__head_is_bodiless(&conn->head)) {
    listen_show(&conn->show, "sent", body->data, body->len);
    written = mcp__buf_first_error(written, mcp__buf_append(out, body->data, body->len));
  }
  if (written != 0)
    give_up(conn);
  else
    next_request(conn, head.keep_alive);
}

static void respond_plain(conn_t *conn, int status, const char *text) {
  mcp__buf_t body;
  mcp__buf_init(&body, MAX_OUTPUT, NULL);
  mcp__buf_puts(&body, text);
  respond(conn, status, *text != '\0' ? MCP__HTTP_PLAIN_TEXT : NULL, &body);
  mcp__buf_deinit(&body);
}

static void on_body_done(conn_t *conn) {
  mcp__buf_t text, response;
  mcp__buf_init(&text, MAX_MESSAGE + MCP__JSON_PADDING, NULL);
  mcp__buf_init(&response, MAX_OUTPUT, NULL);
  mcp__buf_swap(&text, &conn->body);
  listen_show(&conn->show, "received", text.data, text.len);
  int status = mcp__buf_reserve(&text, MCP__JSON_PADDING) != 0
                   ? -1
                   : listen_respond(&conn->listener->answer, &response, &text, &conn->head);
  if (status == -1)
    give_up(conn);
  else
    respond(conn, status, status == 202 ? NULL : "application/json", &response);
  mcp__buf_deinit(&text);
  mcp__buf_deinit(&response);
}

static void begin_post(conn_t *conn) {
  int status;
  const char *problem = mcp__http_post_problem(&conn->head, MAX_MESSAGE, &status);
  if (problem != NULL) {
    refuse(conn, status, problem);
  } else if (!mcp__http_has_body(&conn->head)) {
    on_body_done(conn);
  } else {
    conn->in_body = true;
    if (mcp__http_expects_continue(&conn->head))
      mcp__buf_puts(&conn->stream.out, "HTTP/1.1 100 Continue\r\n\r\n");
    mcp__stream_dirty(&conn->stream);
  }
}

static void on_head_done(conn_t *conn) {
  mcp__http_request_kind_t kind = mcp__head_request_kind(&conn->head);
  const char *origin_error = check_origin(conn, kind);
  if (kind == MCP__HTTP_INVALID)
    refuse(conn, conn->head.status, conn->head.problem);
  else if (origin_error != NULL)
    refuse(conn, 403, origin_error);
  else if (kind == MCP__HTTP_WEBSOCKET)
    open_websocket(conn);
  else if (kind == MCP__HTTP_POST)
    begin_post(conn);
  else if (kind == MCP__HTTP_OPTIONS)
    respond_plain(conn, 204, "");
  else
    respond_plain(conn, 405,
                  "iccm listen has no pages, sessions or streams: POST a message, or use WebSocket\n");
}

/* Each takes the next bytes and returns how many it used. */
static size_t feed_head(conn_t *conn, const char *data, size_t len) {
  size_t used = len;
  mcp__head_state_t state = mcp__head_feed(&conn->head, data, len, &used);
  listen_show_lines(&conn->show, "received", data, used, state != MCP__HEAD_MORE);
  if (state == MCP__HEAD_BAD)
    refuse(conn, conn->head.status, conn->head.problem);
  else if (state == MCP__HEAD_DONE)
    on_head_done(conn);
  return used;
}

static size_t feed_body(conn_t *conn, const char *data, size_t len) {
  size_t used = len;
  mcp__head_state_t state = mcp__http_body_feed(&conn->head, &conn->body, data, len, &used);
  if (state == MCP__HEAD_BAD)
    refuse(conn, conn->head.status, conn->head.problem);
  else if (state == MCP__HEAD_DONE)
    on_body_done(conn);
  return used;
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  conn_t *conn = stream->arg;
  size_t used = 0;
  while (!conn->is_websocket && !conn->closing && !stream->closing && used < len)
    used +=
        conn->in_body ? feed_body(conn, data + used, len - used) : feed_head(conn, data + used, len - used);
  if (conn->is_websocket && !conn->closing && used < len)
    mcp__ws_feed(&conn->ws, (const uint8_t *)data + used, len - used);
  if (conn->ws.pong_due)
    mcp__stream_dirty(stream);
}

/* ---- connections ----------------------------------------------------------------------------------- */

static void on_end(mcp__stream_t *stream, int status) {
  conn_t *conn = stream->arg;
  if (!conn->is_websocket)
    listen_show_lines(&conn->show, "received", "", 0, true);
  const char *eof = conn->is_websocket ? "closed without a close frame" : "closed by the client";
  if (!conn->closing)
    listen_note(&conn->show, "disconnected: %s", status == UV_EOF ? eof : mcp_strerror(status));
  mcp__stream_close(stream);
}

static void before_write(mcp__stream_t *stream) {
  conn_t *conn = stream->arg;
  if (conn->is_websocket)
    mcp__ws_flush_pong(&conn->ws);
}

static void on_written(mcp__stream_t *stream) {
  const conn_t *conn = stream->arg;
  if (conn->closing)
    mcp__stream_close(stream);
}

static void on_closed(mcp__stream_t *stream) {
  conn_t *conn = stream->arg;
  conn->listener->conn_count--;
  mcp__ws_deinit(&conn->ws);
  mcp__head_deinit(&conn->head);
  mcp__buf_deinit(&conn->body);
  listen_show_deinit(&conn->show);
  free(conn);
}

static const mcp__stream_events_t events = {on_data, on_end, before_write, on_written, on_closed};

/* Shows the client's address. Returns whether it is admitted: like a server without a token, only from
 * private networks. */
static bool admit(conn_t *conn) {
  struct sockaddr_storage address;
  int size = sizeof address;
  char name[MCP__PEER_NAME_SIZE];
  if (uv_tcp_getpeername(&conn->stream.tcp, (struct sockaddr *)&address, &size) != 0)
    return false; /* already disconnected */
  mcp__peer_name((struct sockaddr *)&address, name);
  listen_note(&conn->show, "%s connected", name);
  return mcp__peer_is_private((struct sockaddr *)&address);
}

static void on_connection(uv_stream_t *socket, int status) {
  listener_t *listener = socket->data;
  conn_t *conn = check_alloc(calloc(1, sizeof *conn));
  conn->listener = listener;
  listen_show_init(&conn->show, listener->out, listener->options->json, ++listener->last_number);
  mcp__buf_init(&conn->body, MAX_MESSAGE, NULL);
  conn->ws_config = (mcp__ws_config_t){.max_message = MAX_MESSAGE,
                                       .out = &conn->stream.out,
                                       .on_message = on_message,
                                       .on_end = on_close,
                                       .arg = conn};
  if (mcp__stream_init(&conn->stream, &listener->io, MAX_OUTPUT, &events, conn) != 0) {
    free(conn); /* UNTESTED: libuv makes the socket later */
    return;
  }
  listener->conn_count++;
  if (status != 0 || uv_accept(socket, (uv_stream_t *)&conn->stream.tcp) != 0 ||
      mcp__head_init(&conn->head, true) != 0) {
    listen_note(&conn->show, "cannot accept the connection");
    mcp__stream_close(&conn->stream);
    return;
  }
  bool admitted = admit(conn);
  mcp__stream_read(&conn->stream, true);
  if (!admitted)
    refuse(conn, 403, "only private networks are admitted");
  else if (listener->conn_count > MAX_CONNS)
    refuse(conn, 503, "too many connections");
}

/* ---- listening ------------------------------------------------------------------------------------- */

static int listen_on(listener_t *listener, int which, const struct sockaddr *address, unsigned flags) {
  uv_tcp_t *socket = &listener->sockets[which];
  uv_tcp_init(&listener->loop, socket);
  socket->data = listener;
  int status = uv_tcp_bind(socket, address, flags);
  return status == 0 ? uv_listen((uv_stream_t *)socket, BACKLOG, on_connection) : status;
}

/* Listens on all addresses. A machine without IPv6 is no error. */
static int listen_on_all(listener_t *listener, int *port) {
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  int size = sizeof four;
  uv_ip4_addr("0.0.0.0", *port, &four);
  int status = listen_on(listener, 0, (const struct sockaddr *)&four, 0);
  if (status != 0)
    return status;
  uv_tcp_getsockname(&listener->sockets[0], (struct sockaddr *)&four, &size);
  *port = ntohs(four.sin_port);
  uv_ip6_addr("::", *port, &six);
  status = listen_on(listener, 1, (const struct sockaddr *)&six, UV_TCP_IPV6ONLY);
  return status == UV_EAFNOSUPPORT || status == UV_EADDRNOTAVAIL ? 0 : status;
}

static int read_port(const options_t *options) { /* -1: none */
  char *end;
  if (options->arg_count == 0)
    return DEFAULT_PORT;
  long port = strtol(options->args[0], &end, 10);
  return end != options->args[0] && *end == '\0' && port >= 0 && port <= 65535 ? (int)port : -1;
}

static void close_handle(uv_handle_t *handle, void *arg) {
  (void)arg;
  uv_close(handle, NULL);
}

/* Frees the listener, also after a partial start_listener(). */
static void free_listener(listener_t *listener) {
  uv_walk(&listener->loop, close_handle, NULL);
  uv_run(&listener->loop, UV_RUN_DEFAULT);
  uv_loop_close(&listener->loop);
  mcp__io_deinit(&listener->io);
  listen_answer_deinit(&listener->answer);
  free(listener);
}

/* Returns 0 or a libuv error. */
static int start_listener(listener_t *listener, int *port) {
  int status = uv_loop_init(&listener->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    return status;
  listen_answer_init(&listener->answer, MAX_MESSAGE);
  status = mcp__io_init(&listener->io, &listener->loop);
  return status == 0 ? listen_on_all(listener, port) : status;
}

int listen_run(const options_t *options, const print_t *out) {
  int port = read_port(options);
  if (port < 0)
    return report_usage_error(options, out, "invalid port: use a number from 0 to 65535");
  listener_t *listener = check_alloc(calloc(1, sizeof *listener));
  listener->options = options;
  listener->out = out;
  int status = start_listener(listener, &port);
  if (status == 0) {
    fprintf(stderr, "iccm: listening on port %d on all addresses, press Ctrl-C to stop\n", port);
    return uv_run(&listener->loop, UV_RUN_DEFAULT); /* does not return: SIGINT ends the process */
  }
  free_listener(listener);
  return report_usage_error(options, out, "cannot listen on port %d: %s", port, uv_strerror(status));
}
