/* listen.c: `iccm listen [PORT]`. A server that shows all it receives and answers the least that keeps a
 * client talking.
 *
 * Happy path: guests connect, their heads are shown line by line, but for tokens and the like, then each
 * message and each answer; a call of any tool is answered "received". Failure: what breaks the rules of HTTP,
 * WebSocket or JSON-RPC is shown with the reason and answered as a server of the library would. Guests, sizes
 * and what waits to be sent are limited. Ends with Ctrl-C, or when its output is no longer read.
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
#include "transport/upgrade.h"
#include "transport/ws.h"
#include "checked.h"
#include "commands.h"
#include "exit_codes.h"
#include "print.h"
#include "report.h"

enum {
  DEFAULT_PORT = 9000,
  MAX_GUESTS = 64,
  MAX_MESSAGE = 16 << 20,
  MAX_WAITING = 1 << 20, /* bytes that a guest does not take */
  MAX_SHOWN = 64 * 1024, /* of one message */
  MAX_VALUES = 1000000,
  BACKLOG = 16
};

typedef struct listening {
  const options_t *options;
  const print_t *out;
  uv_loop_t loop;
  uv_tcp_t sockets[2]; /* IPv4, IPv6 */
  mcp__io_t io;
  mcp__arena_t arena; /* of the message that is looked at */
  unsigned guests, last_guest;
} listening_t;

typedef struct guest {
  mcp__stream_t stream;
  listening_t *listening;
  unsigned number;
  mcp__head_t head;
  mcp__buf_t line; /* of the head: the beginning of one that has not ended */
  bool is_secret;  /* the value of the header that was shown last */
  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  bool is_websocket, leaving; /* leaving: closed once everything is sent */
} guest_t;

/* ---- what is shown --------------------------------------------------------------------------------- */

static void show_json(const guest_t *guest, const char *event, const char *text, size_t len) {
  yyjson_mut_doc *doc = checked(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_uint(doc, root, "guest", guest->number);
  yyjson_mut_obj_add_str(doc, root, "event", event);
  yyjson_mut_obj_add_val(doc, root, "text", print_safe(doc, text, len));
  yyjson_doc *written = checked(yyjson_mut_doc_imut_copy(doc, NULL));
  print_json(guest->listening->out, yyjson_doc_get_root(written), false);
  yyjson_doc_free(written);
  yyjson_mut_doc_free(doc);
}

/* event: received, sent, or note. */
static void show(const guest_t *guest, const char *event, const char *text, size_t len) {
  const print_t *out = guest->listening->out;
  size_t shown = len < MAX_SHOWN ? len : MAX_SHOWN;
  if (guest->listening->options->json) {
    show_json(guest, event, text, shown);
  } else {
    fprintf(out->file, "#%u %s ", guest->number, *event == 'r' ? ">" : *event == 's' ? "<" : "-");
    print_line(out, text, shown, 0);
    if (shown < len)
      fprintf(out->file, "… (%zu bytes in all)", len);
    fputc('\n', out->file);
  }
  if (fflush(out->file) != 0) /* nobody will see more of it */
    _exit(report_output(ICCM_OK));
}

static void note(const guest_t *guest, const char *format, ...) MCP_PRINTF(2, 3);

static void note(const guest_t *guest, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  show(guest, "note", text, strlen(text));
}

static size_t span(const char *text, size_t len, const char *stops) {
  size_t at = 0;
  while (at < len && memchr(stops, text[at], strlen(stops)) == NULL)
    at++;
  return at;
}

static bool is_behind(const char *line, size_t at, const char *mark) {
  size_t len = strlen(mark);
  return at >= len && strncasecmp(line + at - len, mark, len) == 0;
}

/* How many bytes at this place are nobody's business: a token that is offered as a subprotocol, a query, or
 * of an address a user's name and password. */
static size_t secret_at(const char *line, size_t at, size_t len) {
  const char *from = line + at;
  if (is_behind(line, at, "mcp.auth."))
    return span(from, len - at, " \t,");
  if (is_behind(line, at, "?"))
    return span(from, len - at, " \t");
  if (!is_behind(line, at, "://"))
    return 0;
  size_t word = span(from, len - at, " \t"), user = word;
  while (user > 0 && (user == word || from[user] != '@'))
    user--;
  return user;
}

static bool has_secret(const char *name, size_t len) {
  return mcp__redact_is_secret_name(name, len) || (len == 6 && strncasecmp(name, "cookie", len) == 0);
}

/* One line of a head, without what is nobody's business: values of headers with a secret's name, folded ones
 * too, and what secret_at() finds. */
static void show_line(guest_t *guest, const char *event, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len);
  bool folded = *line == ' ' || *line == '\t';
  size_t name_len = colon != NULL && !folded ? (size_t)(colon - line) : 0, from = 0;
  mcp__buf_t shown;
  mcp__buf_init(&shown, MAX_SHOWN, NULL);
  if (!folded)
    guest->is_secret = has_secret(line, name_len);
  if (guest->is_secret) {
    mcp__buf_printf(&shown, "%.*s%s " MCP__REDACTED, (int)name_len, line, folded ? "" : ":");
    len = 0;
  }
  for (size_t at = 0, hidden; at < len; at++) {
    if ((hidden = secret_at(line, at, len)) == 0)
      continue;
    mcp__buf_append(&shown, line + from, at - from);
    mcp__buf_puts(&shown, MCP__REDACTED);
    from = at += hidden;
  }
  if (from < len)
    mcp__buf_append(&shown, line + from, len - from);
  show(guest, event, shown.data, shown.len);
  mcp__buf_deinit(&shown);
}

/* Whole lines; what is left waits for its end, since a name may come in pieces. */
static void show_lines(guest_t *guest, const char *event, const char *text, size_t len, bool is_end) {
  mcp__buf_append(&guest->line, text, len);
  const char *line = guest->line.data;
  size_t left = guest->line.len;
  while (left > 0) {
    const char *end = memchr(line, '\n', left);
    if (end == NULL && !is_end)
      break;
    size_t used = end != NULL ? (size_t)(end - line) + 1 : left, line_len = used;
    while (line_len > 0 && (line[line_len - 1] == '\n' || line[line_len - 1] == '\r'))
      line_len--;
    if (line_len > 0)
      show_line(guest, event, line, line_len);
    line += used;
    left -= used;
  }
  mcp__buf_consume(&guest->line, guest->line.len - left);
}

/* ---- answers --------------------------------------------------------------------------------------- */

static void leave(guest_t *guest) {
  guest->leaving = true;
  mcp__stream_dirty(&guest->stream);
}

/* The result's JSON of a request; NULL: such a method is not known. */
static char *make_result(const mcp__message_t *message) {
  yyjson_val *version = yyjson_obj_get(message->params, "protocolVersion");
  char *text = NULL;
  size_t len;
  FILE *file = checked(open_memstream(&text, &len));
  if (yyjson_equals_str(message->method, "initialize")) {
    char *known =
        checked(yyjson_is_str(version) ? yyjson_val_write(version, 0, NULL) : strdup("\"2024-11-05\""));
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
    return checked(text);
  free(text);
  return NULL;
}

static int write_answer(mcp__buf_t *out, const mcp__message_t *message) {
  const char *unknown = "iccm listen knows initialize, ping, tools/list and tools/call";
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

static void answer(guest_t *guest, const mcp__message_t *message) {
  mcp__buf_t text;
  mcp__buf_init(&text, MAX_WAITING, NULL);
  size_t begin = mcp__ws_begin(&guest->ws);
  int status = begin == SIZE_MAX ? MCP_ETOOBIG : write_answer(&text, message);
  if (status == 0)
    status = mcp__buf_append(&guest->stream.out, text.data, text.len);
  if (status == 0)
    status = mcp__ws_end(&guest->ws, begin);
  if (status == 0) {
    show(guest, "sent", text.data, text.len);
  } else {
    note(guest, "its answers are not taken, or too large: closed");
    mcp__stream_close(&guest->stream);
  }
  mcp__buf_deinit(&text);
  mcp__stream_dirty(&guest->stream);
}

static void on_message(mcp__buf_t *text, bool binary, void *arg) {
  guest_t *guest = arg;
  mcp__message_t message;
  (void)binary;
  show(guest, "received", text->data, text->len);
  memset(text->data + text->len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(text->data, text->len, MAX_VALUES, &guest->listening->arena, &message);
  if (message.kind == MCP__REQUEST || message.kind == MCP__INVALID)
    answer(guest, &message);
  mcp__arena_reset(&guest->listening->arena);
  mcp__buf_clear(text, 0);
}

static void on_close(int code, const char *reason, bool clean, void *arg) {
  guest_t *guest = arg;
  note(guest, "%s %d%s%s", clean ? "closes with" : "broke the rules of WebSocket, closed with", code,
       *reason != '\0' ? ": " : "", reason);
  leave(guest);
}

/* ---- guests ---------------------------------------------------------------------------------------- */

static void refuse(guest_t *guest, int status, const char *problem) {
  note(guest, "refused with %d: %.*s", status, (int)strcspn(problem, "\n"), problem);
  mcp__write_plain(&guest->stream.out, status, problem);
  leave(guest);
}

/* As a server without a token does: a page in somebody's browser is no guest. */
static const char *origin_problem(const guest_t *guest, mcp__http_request_kind_t wish) {
  const mcp__origins_t admitted = {(char *)(uintptr_t)mcp_env_text("ICCM_ALLOWED_ORIGINS", NULL),
                                   (char *)(uintptr_t)mcp_env_text("ICCM_ALLOWED_HOSTS", NULL)};
  return mcp__origins_problem(&admitted, &guest->head, wish, false);
}

static void on_head_done(guest_t *guest) {
  mcp__http_request_kind_t wish = mcp__head_request_kind(&guest->head);
  const char *strange = origin_problem(guest, wish);
  if (wish == MCP__HTTP_INVALID) {
    refuse(guest, guest->head.status, guest->head.problem);
  } else if (strange != NULL) {
    refuse(guest, 403, strange);
  } else if (wish != MCP__HTTP_WEBSOCKET) {
    refuse(guest, 426, "this is no upgrade to WebSocket");
  } else {
    size_t begin = guest->stream.out.len;
    mcp__write_switching(&guest->stream.out, &guest->head);
    show_lines(guest, "sent", guest->stream.out.data + begin, guest->stream.out.len - begin, true);
    mcp__ws_init(&guest->ws, &guest->ws_config);
    guest->is_websocket = true;
    mcp__stream_dirty(&guest->stream);
  }
}

static size_t take_head(guest_t *guest, const char *data, size_t len) {
  size_t used = len;
  mcp__head_state_t state = mcp__head_feed(&guest->head, data, len, &used);
  show_lines(guest, "received", data, used, state != MCP__HEAD_MORE);
  if (state == MCP__HEAD_BAD)
    refuse(guest, guest->head.status, guest->head.problem);
  else if (state == MCP__HEAD_DONE)
    on_head_done(guest);
  return used;
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  guest_t *guest = stream->arg;
  size_t used = 0;
  if (guest->leaving)
    return;
  if (!guest->is_websocket)
    used = take_head(guest, data, len);
  if (guest->is_websocket && used < len)
    mcp__ws_feed(&guest->ws, (const uint8_t *)data + used, len - used);
  if (guest->ws.pong_due)
    mcp__stream_dirty(stream);
}

static void on_end(mcp__stream_t *stream, int status) {
  guest_t *guest = stream->arg;
  if (!guest->is_websocket)
    show_lines(guest, "received", "", 0, true);
  if (!guest->leaving)
    note(guest, "left: %s", status == UV_EOF ? "closed without a word" : mcp_strerror(status));
  mcp__stream_close(stream);
}

static void before_write(mcp__stream_t *stream) {
  guest_t *guest = stream->arg;
  if (guest->is_websocket)
    mcp__ws_flush_pong(&guest->ws);
}

static void on_written(mcp__stream_t *stream) {
  const guest_t *guest = stream->arg;
  if (guest->leaving)
    mcp__stream_close(stream);
}

static void on_closed(mcp__stream_t *stream) {
  guest_t *guest = stream->arg;
  guest->listening->guests--;
  mcp__ws_deinit(&guest->ws);
  mcp__head_deinit(&guest->head);
  mcp__buf_deinit(&guest->line);
  free(guest);
}

static const mcp__stream_events_t events = {on_data, on_end, before_write, on_written, on_closed};

/* Says who comes; whether they may, as with all servers without a token: from a private network alone. */
static bool greet(guest_t *guest) {
  struct sockaddr_storage address;
  int size = sizeof address;
  char name[MCP__PEER_NAME_SIZE];
  if (uv_tcp_getpeername(&guest->stream.tcp, (struct sockaddr *)&address, &size) != 0)
    return false; /* gone already */
  mcp__peer_name((struct sockaddr *)&address, name);
  note(guest, "%s connects", name);
  return mcp__peer_is_private((struct sockaddr *)&address);
}

static void on_connection(uv_stream_t *socket, int status) {
  listening_t *listening = socket->data;
  guest_t *guest = checked(calloc(1, sizeof *guest));
  guest->listening = listening;
  guest->number = ++listening->last_guest;
  mcp__buf_init(&guest->line, MAX_SHOWN, NULL);
  guest->ws_config = (mcp__ws_config_t){.max_message = MAX_MESSAGE,
                                        .out = &guest->stream.out,
                                        .on_message = on_message,
                                        .on_end = on_close,
                                        .arg = guest};
  if (mcp__stream_init(&guest->stream, &listening->io, MAX_WAITING, &events, guest) != 0) {
    free(guest); /* UNTESTED: libuv makes the socket later */
    return;
  }
  listening->guests++;
  if (status != 0 || uv_accept(socket, (uv_stream_t *)&guest->stream.tcp) != 0 ||
      mcp__head_init(&guest->head, true) != 0) {
    note(guest, "could not be accepted");
    mcp__stream_close(&guest->stream);
    return;
  }
  bool admitted = greet(guest);
  mcp__stream_read(&guest->stream, true);
  if (!admitted)
    refuse(guest, 403, "only private networks are admitted");
  else if (listening->guests > MAX_GUESTS)
    refuse(guest, 503, "too many connections");
}

/* ---- listening ------------------------------------------------------------------------------------- */

static int listen_on(listening_t *listening, int which, const struct sockaddr *address, unsigned flags) {
  uv_tcp_t *socket = &listening->sockets[which];
  uv_tcp_init(&listening->loop, socket);
  socket->data = listening;
  int status = uv_tcp_bind(socket, address, flags);
  return status == 0 ? uv_listen((uv_stream_t *)socket, BACKLOG, on_connection) : status;
}

/* On all addresses, as servers should; a machine without IPv6 is fine. */
static int listen_everywhere(listening_t *listening, int *port) {
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  int size = sizeof four;
  uv_ip4_addr("0.0.0.0", *port, &four);
  int status = listen_on(listening, 0, (const struct sockaddr *)&four, 0);
  if (status != 0)
    return status;
  uv_tcp_getsockname(&listening->sockets[0], (struct sockaddr *)&four, &size);
  *port = ntohs(four.sin_port);
  uv_ip6_addr("::", *port, &six);
  status = listen_on(listening, 1, (const struct sockaddr *)&six, UV_TCP_IPV6ONLY);
  return status == UV_EAFNOSUPPORT || status == UV_EADDRNOTAVAIL ? 0 : status;
}

static int read_port(const options_t *options) { /* -1: none */
  char *end;
  if (options->word_count == 0)
    return DEFAULT_PORT;
  long port = strtol(options->words[0], &end, 10);
  return end != options->words[0] && *end == '\0' && port >= 0 && port <= 65535 ? (int)port : -1;
}

static void close_handle(uv_handle_t *handle, void *arg) {
  (void)arg;
  uv_close(handle, NULL);
}

/* What start() made, as far as it came. */
static void free_listening(listening_t *listening) {
  uv_walk(&listening->loop, close_handle, NULL);
  uv_run(&listening->loop, UV_RUN_DEFAULT);
  uv_loop_close(&listening->loop);
  mcp__io_deinit(&listening->io);
  mcp__arena_deinit(&listening->arena);
  free(listening);
}

/* 0, or libuv's code. */
static int start(listening_t *listening, int *port) {
  int status = uv_loop_init(&listening->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    return status;
  mcp__arena_init(&listening->arena, 4 * (size_t)MAX_MESSAGE);
  status = mcp__io_init(&listening->io, &listening->loop);
  return status == 0 ? listen_everywhere(listening, port) : status;
}

int listen_run(const options_t *options, const print_t *out) {
  int port = read_port(options);
  if (port < 0)
    return report_usage(options, out, "the port is a number from 0 to 65535");
  listening_t *listening = checked(calloc(1, sizeof *listening));
  listening->options = options;
  listening->out = out;
  int status = start(listening, &port);
  if (status == 0) {
    fprintf(stderr, "iccm: listening on port %d of all addresses, until Ctrl-C\n", port);
    return uv_run(&listening->loop, UV_RUN_DEFAULT); /* for ever: SIGINT ends the process */
  }
  free_listening(listening);
  return report_usage(options, out, "cannot listen on port %d: %s", port, uv_strerror(status));
}
