/* listen.c: `iccm listen [PORT]`. A server that prints everything it receives, with minimal responses.
 *
 * Happy path: clients connect; the server prints their HTTP heads line by line, with secrets redacted, then
 * each message and each response. A call of any tool gets the result "received". Failure: a violation of
 * HTTP, WebSocket or JSON-RPC is printed with the reason, and the response is that of a server of the
 * library. The number of connections, message sizes and unsent output are limited. Ctrl-C or a closed output
 * ends it.
 */
#include <arpa/inet.h>
#include <iccm_service.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "mcp/jsonrpc.h"
#include "transport/origins.h"
#include "transport/peer_addr.h"
#include "base/redact.h"
#include "transport/stream.h"
#include "transport/http_response.h"
#include "transport/upgrade.h"
#include "transport/ws.h"
#include "check_alloc.h"
#include "commands.h"
#include "exit_codes.h"
#include "print.h"
#include "error_report.h"

enum {
  DEFAULT_PORT = 9000,
  MAX_CONNS = 64,
  MAX_MESSAGE = 16 << 20,
  MAX_OUTPUT = 1 << 20,  /* unsent bytes of a connection */
  MAX_SHOWN = 64 * 1024, /* printed bytes of one message */
  MAX_VALUES = 1000000,
  BACKLOG = 16
};

typedef struct listener {
  const options_t *options;
  const print_t *out;
  uv_loop_t loop;
  uv_tcp_t sockets[2]; /* IPv4, IPv6 */
  mcp__io_t io;
  mcp__arena_t arena; /* of the current message */
  unsigned conn_count, last_number;
} listener_t;

typedef struct conn {
  mcp__stream_t stream;
  listener_t *listener;
  unsigned number;
  mcp__head_t head;
  mcp__buf_t line; /* an incomplete line of the head */
  bool is_secret;  /* the last header shown has a secret value, which folded lines continue */
  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  bool is_websocket, closing; /* closing: close after all output is sent */
} conn_t;

/* ---- output ---------------------------------------------------------------------------------------- */

static void show_json(const conn_t *conn, const char *event, const char *text, size_t len) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_uint(doc, root, "guest", conn->number);
  yyjson_mut_obj_add_str(doc, root, "event", event);
  yyjson_mut_obj_add_val(doc, root, "text", print_safe(doc, text, len));
  yyjson_doc *written = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(conn->listener->out, yyjson_doc_get_root(written), false);
  yyjson_doc_free(written);
  yyjson_mut_doc_free(doc);
}

/* event: received, sent, or note. */
static void show(const conn_t *conn, const char *event, const char *text, size_t len) {
  const print_t *out = conn->listener->out;
  size_t shown = len < MAX_SHOWN ? len : MAX_SHOWN;
  if (conn->listener->options->json) {
    show_json(conn, event, text, shown);
  } else {
    fprintf(out->file, "#%u %s ", conn->number, *event == 'r' ? ">" : *event == 's' ? "<" : "-");
    print_line(out, text, shown, 0);
    if (shown < len)
      fprintf(out->file, "… (%zu bytes in all)", len);
    fputc('\n', out->file);
  }
  if (fflush(out->file) != 0) /* the output is closed */
    _exit(report_output_error(ICCM_OK));
}

static void note(const conn_t *conn, const char *format, ...) MCP_PRINTF(2, 3);

static void note(const conn_t *conn, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  show(conn, "note", text, strlen(text));
}

static size_t span_until(const char *text, size_t len, const char *stops) {
  size_t at = 0;
  while (at < len && memchr(stops, text[at], strlen(stops)) == NULL)
    at++;
  return at;
}

static bool preceded_by(const char *line, size_t at, const char *mark) {
  size_t len = strlen(mark);
  return at >= len && strncasecmp(line + at - len, mark, len) == 0;
}

/* The number of secret bytes at this offset: a token in a subprotocol, a query, or user name and password in
 * a URL. */
static size_t secret_length(const char *line, size_t at, size_t len) {
  const char *from = line + at;
  if (preceded_by(line, at, "mcp.auth."))
    return span_until(from, len - at, " \t,");
  if (preceded_by(line, at, "?"))
    return span_until(from, len - at, " \t");
  if (!preceded_by(line, at, "://"))
    return 0;
  size_t word = span_until(from, len - at, " \t"), user = word;
  while (user > 0 && (user == word || from[user] != '@'))
    user--;
  return user;
}

static bool is_secret_header(const char *name, size_t len) {
  return mcp__redact_is_secret_name(name, len) || (len == 6 && strncasecmp(name, "cookie", len) == 0);
}

/* Shows one line of a head. Redacts the values of secret headers, including folded lines, and the secrets
 * found by secret_length(). */
static void show_line(conn_t *conn, const char *event, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len);
  bool folded = *line == ' ' || *line == '\t';
  size_t name_len = colon != NULL && !folded ? (size_t)(colon - line) : 0, from = 0;
  mcp__buf_t shown;
  mcp__buf_init(&shown, MAX_SHOWN, NULL);
  if (!folded)
    conn->is_secret = is_secret_header(line, name_len);
  if (conn->is_secret) {
    mcp__buf_printf(&shown, "%.*s%s " MCP__REDACTED, (int)name_len, line, folded ? "" : ":");
    len = 0;
  }
  for (size_t at = 0, hidden; at < len; at++) {
    if ((hidden = secret_length(line, at, len)) == 0)
      continue;
    mcp__buf_append(&shown, line + from, at - from);
    mcp__buf_puts(&shown, MCP__REDACTED);
    from = at += hidden;
  }
  if (from < len)
    mcp__buf_append(&shown, line + from, len - from);
  show(conn, event, shown.data, shown.len);
  mcp__buf_deinit(&shown);
}

/* Shows complete lines and keeps the rest until its end arrives, since a header name may arrive in pieces. */
static void show_lines(conn_t *conn, const char *event, const char *text, size_t len, bool is_end) {
  mcp__buf_append(&conn->line, text, len);
  const char *line = conn->line.data;
  size_t left = conn->line.len;
  while (left > 0) {
    const char *end = memchr(line, '\n', left);
    if (end == NULL && !is_end)
      break;
    size_t used = end != NULL ? (size_t)(end - line) + 1 : left, line_len = used;
    while (line_len > 0 && (line[line_len - 1] == '\n' || line[line_len - 1] == '\r'))
      line_len--;
    if (line_len > 0)
      show_line(conn, event, line, line_len);
    line += used;
    left -= used;
  }
  mcp__buf_consume(&conn->line, conn->line.len - left);
}

/* ---- responses ------------------------------------------------------------------------------------- */

static void close_when_written(conn_t *conn) {
  conn->closing = true;
  mcp__stream_dirty(&conn->stream);
}

/* The JSON of the result; NULL: unknown method. */
static char *make_result(const mcp__message_t *message) {
  yyjson_val *version = yyjson_obj_get(message->params, "protocolVersion");
  char *text = NULL;
  size_t len;
  FILE *file = check_alloc(open_memstream(&text, &len));
  if (yyjson_equals_str(message->method, "initialize")) {
    char *known =
        check_alloc(yyjson_is_str(version) ? yyjson_val_write(version, 0, NULL) : strdup("\"2024-11-05\""));
    fprintf(file,
            "{\"protocolVersion\":%s,\"capabilities\":{\"tools\":{}},"
            "\"serverInfo\":{\"name\":\"iccm-listen\",\"version\":\"" ICCM_VERSION "\"}}",
            known);
    free(known);
  } else if (yyjson_equals_str(message->method, "ping")) {
    fputs("{}", file);
  } else if (yyjson_equals_str(message->method, "tools/list")) {
    fputs("{\"tools\":[]}", file);
  } else if (yyjson_equals_str(message->method, "tools/call")) {
    fputs("{\"content\":[{\"type\":\"text\",\"text\":\"received\"}]}", file);
  }
  fclose(file);
  if (len > 0)
    return check_alloc(text);
  free(text);
  return NULL;
}

static int write_response(mcp__buf_t *out, const mcp__message_t *message) {
  const char *unknown = "iccm listen supports only initialize, ping, tools/list and tools/call";
  if (message->kind == MCP__INVALID)
    return mcp__jsonrpc_error(out, message->id, message->id_len, message->code, message->problem, NULL, 0);
  char *result = make_result(message);
  if (result == NULL)
    return mcp__jsonrpc_error(out, message->id, message->id_len, MCP_METHOD_NOT_FOUND, unknown, NULL, 0);
  int status = mcp__jsonrpc_begin_result(out, message->id, message->id_len);
  status = mcp__buf_first_error(status, mcp__buf_puts(out, result));
  free(result);
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}"));
}

static void send_response(conn_t *conn, const mcp__message_t *message) {
  mcp__buf_t text;
  mcp__buf_init(&text, MAX_OUTPUT, NULL);
  size_t begin = mcp__ws_begin(&conn->ws);
  int status = begin == SIZE_MAX ? MCP_ETOOBIG : write_response(&text, message);
  if (status == 0)
    status = mcp__buf_append(&conn->stream.out, text.data, text.len);
  if (status == 0)
    status = mcp__ws_end(&conn->ws, begin);
  if (status == 0) {
    show(conn, "sent", text.data, text.len);
  } else {
    note(conn, "closed by the server: the client does not read its responses, or a response is too large");
    mcp__stream_close(&conn->stream);
  }
  mcp__buf_deinit(&text);
  mcp__stream_dirty(&conn->stream);
}

static void on_message(mcp__buf_t *text, bool binary, void *arg) {
  conn_t *conn = arg;
  mcp__message_t message;
  (void)binary;
  show(conn, "received", text->data, text->len);
  memset(text->data + text->len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(text->data, text->len, MAX_VALUES, &conn->listener->arena, &message);
  if (message.kind == MCP__REQUEST || message.kind == MCP__INVALID)
    send_response(conn, &message);
  mcp__arena_reset(&conn->listener->arena);
  mcp__buf_clear(text, 0);
}

static void on_close(int code, const char *reason, bool clean, void *arg) {
  conn_t *conn = arg;
  note(conn, "%s %d%s%s", clean ? "closed with" : "violated the WebSocket protocol, closed with", code,
       *reason != '\0' ? ": " : "", reason);
  close_when_written(conn);
}

/* ---- connections ----------------------------------------------------------------------------------- */

static void refuse(conn_t *conn, int status, const char *reason) {
  note(conn, "refused with %d: %.*s", status, (int)strcspn(reason, "\n"), reason);
  mcp__write_plain(&conn->stream.out, status, reason);
  close_when_written(conn);
}

/* The same check as in a server without a token: it rejects pages in browsers. */
static const char *check_origin(const conn_t *conn, mcp__http_request_kind_t kind) {
  const mcp__origins_t admitted = {(char *)(uintptr_t)mcp_env_text("ICCM_ALLOWED_ORIGINS", NULL),
                                   (char *)(uintptr_t)mcp_env_text("ICCM_ALLOWED_HOSTS", NULL)};
  return mcp__origins_problem(&admitted, &conn->head, kind, false);
}

static void on_head_done(conn_t *conn) {
  mcp__http_request_kind_t kind = mcp__head_request_kind(&conn->head);
  const char *origin_error = check_origin(conn, kind);
  if (kind == MCP__HTTP_INVALID) {
    refuse(conn, conn->head.status, conn->head.problem);
  } else if (origin_error != NULL) {
    refuse(conn, 403, origin_error);
  } else if (kind != MCP__HTTP_WEBSOCKET) {
    refuse(conn, 426, "not a WebSocket upgrade");
  } else {
    size_t begin = conn->stream.out.len;
    mcp__write_switching(&conn->stream.out, &conn->head);
    show_lines(conn, "sent", conn->stream.out.data + begin, conn->stream.out.len - begin, true);
    mcp__ws_init(&conn->ws, &conn->ws_config);
    conn->is_websocket = true;
    mcp__stream_dirty(&conn->stream);
  }
}

static size_t feed_head(conn_t *conn, const char *data, size_t len) {
  size_t used = len;
  mcp__head_state_t state = mcp__head_feed(&conn->head, data, len, &used);
  show_lines(conn, "received", data, used, state != MCP__HEAD_MORE);
  if (state == MCP__HEAD_BAD)
    refuse(conn, conn->head.status, conn->head.problem);
  else if (state == MCP__HEAD_DONE)
    on_head_done(conn);
  return used;
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  conn_t *conn = stream->arg;
  size_t used = 0;
  if (conn->closing)
    return;
  if (!conn->is_websocket)
    used = feed_head(conn, data, len);
  if (conn->is_websocket && used < len)
    mcp__ws_feed(&conn->ws, (const uint8_t *)data + used, len - used);
  if (conn->ws.pong_due)
    mcp__stream_dirty(stream);
}

static void on_end(mcp__stream_t *stream, int status) {
  conn_t *conn = stream->arg;
  if (!conn->is_websocket)
    show_lines(conn, "received", "", 0, true);
  if (!conn->closing)
    note(conn, "disconnected: %s", status == UV_EOF ? "closed without a close frame" : mcp_strerror(status));
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
  mcp__buf_deinit(&conn->line);
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
  note(conn, "%s connected", name);
  return mcp__peer_is_private((struct sockaddr *)&address);
}

static void on_connection(uv_stream_t *socket, int status) {
  listener_t *listener = socket->data;
  conn_t *conn = check_alloc(calloc(1, sizeof *conn));
  conn->listener = listener;
  conn->number = ++listener->last_number;
  mcp__buf_init(&conn->line, MAX_SHOWN, NULL);
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
    note(conn, "cannot accept the connection");
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
  mcp__arena_deinit(&listener->arena);
  free(listener);
}

/* Returns 0 or a libuv error. */
static int start_listener(listener_t *listener, int *port) {
  int status = uv_loop_init(&listener->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    return status;
  mcp__arena_init(&listener->arena, 4 * (size_t)MAX_MESSAGE);
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
