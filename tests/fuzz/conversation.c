/* conversation.c: all bytes that a peer sends over one connection, WebSocket or (with FUZZ_HTTP) HTTP,
 * through the real conn.c, call.c and dispatch.c, with a stream without a socket in place of stream.c.
 *
 * Each line of an input becomes a frame with the mask 0, so that text stays readable:
 *
 *     {"jsonrpc":…     a text message
 *     #09 hello        a frame with this first byte (hexadecimal), a blank and the payload
 *     !…               raw bytes
 *     *70              repeats the output of the previous line 70 times
 *
 * Over HTTP a text message becomes the body of a POST, and "#HH words" one in two chunks; in a line "?GET
 * /…||" each bar is the end of a line of a request. Each response is complete, and those of JSON are JSON.
 *
 * Over WebSocket each response is one JSON text in its own frame, every call ends, and nothing leaks. Except
 * for pongs and notifications, which depend on time, the output does not depend on how the bytes are split.
 */
#define _GNU_SOURCE /* memmem */
#include "fuzz.h"

#include "server/server.h"
#include "base/utf8.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
  PLENTY = 64 << 20,
  LONGEST = 8 << 10,  /* maximum bytes of one line's output */
  MAX_MESSAGE = 1024, /* the minimum setting of a server */
  MAX_TURNS = 1000,
  SHORT = 400, /* longer inputs are not split at each byte, which is slow */
  OP_TEXT = 0x81,
  OP_PONG = 0x8a
};

static const char upgrade[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                              "X-Trace-ID: a-trace\r\n\r\n";

#ifdef FUZZ_HTTP
static const bool is_http = true;
#else
static const bool is_http = false;
#endif

/* ---- the stream -------------------------------------------------------------------------------------- */

static uv_loop_t loop;
static mcp__stream_t *stream; /* the open stream, or NULL */
static mcp__buf_t sent;
static bool dirty;

int mcp__io_init(mcp__io_t *io, uv_loop_t *on_loop) {
  return uv_prepare_init(on_loop, &io->prepare);
}

void mcp__io_close(mcp__io_t *io, uv_close_cb cb) {
  uv_close((uv_handle_t *)&io->prepare, cb);
}

void mcp__io_deinit(mcp__io_t *io) {
  (void)io;
}

int mcp__stream_init(mcp__stream_t *made, mcp__io_t *io, size_t max_out, const mcp__stream_events_t *events,
                     void *arg) {
  memset(made, 0, sizeof *made);
  made->io = io;
  made->events = events;
  made->arg = arg;
  mcp__buf_init(&made->out, max_out, NULL);
  made->tcp.data = stream = made;
  return uv_tcp_init(io->prepare.loop, &made->tcp);
}

void mcp__stream_connected(mcp__stream_t *of) {
  (void)of;
}

void mcp__stream_set_secret(mcp__stream_t *of, bool on) {
  of->secret = on;
}

void mcp__stream_read(mcp__stream_t *of, bool on) {
  of->reading = on && !of->closing;
}

void mcp__stream_dirty(mcp__stream_t *of) {
  dirty = !of->closing;
}

void mcp__stream_flush(mcp__stream_t *of) {
  if (of->closing)
    return;
  of->events->before_write(of);
  FUZZ_CHECK(mcp__buf_append(&sent, of->out.data, of->out.len) == 0);
  of->out.len = 0;
  of->events->on_written(of);
}

size_t mcp__stream_backlog(const mcp__stream_t *of) {
  return of->out.len;
}

size_t mcp__stream_unacked(const mcp__stream_t *of) {
  return of->out.len;
}

void mcp__stream_finish(mcp__stream_t *of) {
  mcp__stream_dirty(of);
}

static void on_closed(uv_handle_t *handle) {
  mcp__stream_t *closed = handle->data;
  mcp__buf_deinit(&closed->out);
  stream = NULL;
  closed->events->on_closed(closed);
}

void mcp__stream_close(mcp__stream_t *of) {
  if (of->closing)
    return;
  of->reading = dirty = false;
  of->closing = true;
  uv_close((uv_handle_t *)&of->tcp, on_closed);
}

int mcp__stream_start_tls(mcp__stream_t *of, mcp__tls_context_t *context, const char *host, bool verify) {
  (void)of;
  (void)context;
  (void)host;
  (void)verify;
  return UV_ENOMEM; /* not used here */
}

void mcp__stream_write_plain_now(mcp__stream_t *of, const mcp__buf_t *words) {
  (void)of;
  (void)words;
}

size_t mcp__stream_memory(const mcp__stream_t *of) {
  return of->out.cap;
}

void mcp__stream_trim(mcp__stream_t *of) {
  (void)of;
}

/* Replaces libuv's function at link time: each accepted peer has an address of this machine. */
int __wrap_uv_accept(uv_stream_t *listener, uv_stream_t *client);
int __wrap_uv_tcp_getpeername(const uv_tcp_t *tcp, struct sockaddr *name, int *len);

int __wrap_uv_accept(uv_stream_t *listener, uv_stream_t *client) {
  (void)listener;
  (void)client;
  return 0;
}

int __wrap_uv_tcp_getpeername(const uv_tcp_t *tcp, struct sockaddr *name, int *len) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  (void)tcp;
  FUZZ_CHECK((size_t)*len >= sizeof address);
  memcpy(name, &address, sizeof address);
  *len = sizeof address;
  return 0;
}

/* ---- the server -------------------------------------------------------------------------------------- */

enum { MAX_WAITING = 4096 };
static mcp_call_t *waiting[MAX_WAITING]; /* calls of tools that answer later */
static size_t waiting_count;

static void echo(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_log(call, MCP_LOG_INFO, NULL, "echoes %s", yyjson_get_str(yyjson_obj_get(args, "text")));
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void refuse(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_val *code = yyjson_obj_get(args, "code");
  const char *why = yyjson_get_str(yyjson_obj_get(args, "why"));
  (void)arg;
  if (code != NULL)
    mcp_call_fail(call, (int)yyjson_get_sint(code), NULL, "%s", why != NULL ? why : "no");
  else
    mcp_call_tool_error(call, "%s", why != NULL ? why : "no");
}

static void wait_here(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  FUZZ_CHECK(waiting_count < MAX_WAITING);
  mcp_call_progress(call, 1, 2, "half of it");
  waiting[waiting_count++] = call;
}

static void end_waiting(void) {
  for (size_t i = 0; i < waiting_count; i++)
    mcp_call_reply_text(waiting[i], "{\"late\":true}", 13);
  waiting_count = 0;
}

#define TEXT "\"type\":\"string\",\"maxLength\":20,\"pattern\":\"^[a-z]*$\""
static const mcp_tool_t tools[] = {
    {.name = "echo",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"text\":{" TEXT "}},\"required\":[\"text\"]}",
     .output_schema = "{\"type\":\"object\"}",
     .handler = echo},
    {.name = "refuse",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"code\":{\"type\":\"integer\"},\"why\":{\"type\":"
                     "\"string\"}}}",
     .handler = refuse},
    {.name = "later", .description = "Ends when the others have", .handler = wait_here},
    {.name = "log", .handler = wait_here, .flags = MCP_TOOL_LOG_TRAFFIC | MCP_TOOL_UNLISTED},
    MCP_TOOL_END};

static void check_line(int level, const char *part, const char *text, void *arg) {
  (void)arg;
  FUZZ_CHECK(mcp_log_level_name(level) != NULL && *part != '\0' && mcp__utf8_valid(text, strlen(text)));
  for (const char *at = text; *at != '\0'; at++)
    FUZZ_CHECK((unsigned char)*at >= 0x20 && *at != 0x7f); /* one event, one line */
}

static yyjson_mut_doc *notice(mcp_server_t *server, yyjson_val *initialize, void *arg) {
  (void)server;
  (void)arg;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, initialize));
  return doc;
}

/* As mcp_server_start() leaves it, but without listeners and without a thread for the log. */
static mcp_server_t *start(void) {
  mcp_set_log_handler(check_line, MCP_LOG_TRACE, NULL);
  FUZZ_CHECK(uv_loop_init(&loop) == 0);
  mcp_server_t *server = mcp_server_new("fuzzed", "1", 0, tools);
  FUZZ_CHECK(server != NULL && mcp_server_set_max_message_bytes(server, MAX_MESSAGE) == 0);
  FUZZ_CHECK(mcp_server_set_experimental_capability(server, "clock", notice, NULL) == 0);
  FUZZ_CHECK(mcp__server_open(server, &loop) == 0);
  server->conns.memory.max = PLENTY;
  mcp__buf_init(&sent, PLENTY, NULL);
  return server;
}

/* ---- a conversation ---------------------------------------------------------------------------------- */

static void put_frame(mcp__buf_t *to, uint8_t first, const uint8_t *payload, size_t len) {
  const uint8_t head[] = {first, (uint8_t)(0x80 | (len < 126 ? len : 126)), (uint8_t)(len >> 8),
                          (uint8_t)len};
  mcp__buf_append(to, head, len < 126 ? 2 : 4);
  mcp__buf_append(to, "\0\0\0\0", 4);
  mcp__buf_append(to, payload, len);
}

/* In place of OpenSSL's, by the linker: every id of a session is 0…0, so that an input can name it. */
int __wrap_RAND_bytes(unsigned char *bytes, int len);
int __wrap_RAND_bytes(unsigned char *bytes, int len) {
  memset(bytes, 0, (size_t)len);
  return 1;
}

#define POST                                                                                                 \
  "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: application/json, "            \
  "text/event-stream\r\n"

static void put_post(mcp__buf_t *to, const uint8_t *body, size_t len) {
  mcp__buf_printf(to, POST "Content-Length: %zu\r\n\r\n", len);
  mcp__buf_append(to, body, len);
}

static void put_head(mcp__buf_t *to, const uint8_t *head, size_t len) {
  for (size_t i = 0; i < len; i++)
    mcp__buf_append(to, head[i] == '|' ? "\r\n" : (const char *)&head[i], head[i] == '|' ? 2 : 1);
}

static void put_chunks(mcp__buf_t *to, const uint8_t *body, size_t len) {
  size_t half = len / 2;
  mcp__buf_printf(to, POST "Transfer-Encoding: chunked\r\n\r\n%zx;a=b\r\n", len - half);
  mcp__buf_append(to, body, len - half);
  mcp__buf_puts(to, "\r\n");
  if (half > 0) {
    mcp__buf_printf(to, "%zx\r\n", half);
    mcp__buf_append(to, body + len - half, half);
    mcp__buf_puts(to, "\r\n");
  }
  mcp__buf_puts(to, "0\r\n\r\n");
}

/* What the line before has become begins at *last. */
static void put_again(mcp__buf_t *to, size_t last, const char *digits) {
  size_t len = to->len - last;
  for (unsigned long times = strtoul(digits, NULL, 10) % 100; times > 0 && to->len < LONGEST; times--)
    if (mcp__buf_reserve(to, len) == 0) /* it may move */
      mcp__buf_append(to, to->data + last, len);
}

static void put_line(mcp__buf_t *to, size_t *last, const uint8_t *line, size_t len) {
  char digits[3] = "";
  if (len >= 3)
    memcpy(digits, line + 1, 2);
  if (len == 3 && *line == '*') {
    put_again(to, *last, digits);
    return;
  }
  *last = to->len;
  if (len > 0 && *line == '!')
    mcp__buf_append(to, line + 1, len - 1);
  else if (is_http && len >= 4 && *line == '#')
    put_chunks(to, line + 4, len - 4);
  else if (is_http && len > 0 && *line == '?')
    put_head(to, line + 1, len - 1);
  else if (is_http)
    put_post(to, line, len);
  else if (len >= 4 && *line == '#')
    put_frame(to, (uint8_t)strtoul(digits, NULL, 16), line + 4, len - 4);
  else
    put_frame(to, OP_TEXT, line, len);
}

static void put_input(mcp__buf_t *to, const uint8_t *data, size_t size) {
  size_t last = 0;
  if (!is_http)
    mcp__buf_puts(to, upgrade);
  while (size > 0 && to->len < LONGEST) {
    const uint8_t *end = memchr(data, '\n', size);
    size_t len = end != NULL ? (size_t)(end - data) : size, step = end != NULL ? len + 1 : len;
    put_line(to, &last, data, len > UINT16_MAX ? UINT16_MAX : len);
    data += step;
    size -= step;
  }
}

/* The loop's turns until nothing is left to write and the connection takes input again. */
static void settle(mcp_server_t *server) {
  for (int turn = 0; dirty || (!stream->reading && !stream->closing); turn++) {
    FUZZ_CHECK(turn < MAX_TURNS);
    if (is_http && !dirty && waiting_count == 0)
      break; /* a stream of events: what comes behind it is not read */
    if (!dirty)
      end_waiting();
    mcp__calls_send_progress(&server->service.calls.progress);
    dirty = false;
    mcp__stream_flush(stream);
  }
}

static bool feed(const char *piece, size_t len, void *arg) {
  stream->events->on_data(stream, piece, len);
  settle(arg);
  return !stream->closing && stream->reading;
}

static void on_frame(uint8_t first, const char *payload, size_t len, void *arg) {
  mcp__buf_t *said = arg;
  static const char notification[] = "{\"jsonrpc\":\"2.0\",\"method\":";
  if (first == OP_TEXT) {
    yyjson_doc *doc = yyjson_read(payload, len, YYJSON_READ_BIGNUM_AS_RAW); /* ids go back as they came */
    FUZZ_CHECK(doc != NULL && yyjson_is_obj(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
  }
  bool timely = first == OP_PONG ||
                (len >= sizeof notification && memcmp(payload, notification, sizeof notification - 1) == 0);
  if (timely)
    return;
  mcp__buf_printf(said, "%02x ", first);
  mcp__buf_append(said, payload, len);
  mcp__buf_puts(said, "\n");
}

typedef struct http_reading {
  llhttp_t parser;
  mcp__buf_t *said, body;
  bool is_switched;
} http_reading_t;

static int on_body(llhttp_t *parser, const char *at, size_t len) {
  http_reading_t *reading = parser->data;
  FUZZ_CHECK(mcp__buf_append(&reading->body, at, len) == 0);
  return 0;
}

static int on_complete(llhttp_t *parser) {
  http_reading_t *reading = parser->data;
  mcp__buf_t *body = &reading->body;
  reading->is_switched = parser->status_code == 101;
  mcp__buf_printf(reading->said, "%d\n", parser->status_code);
  if (body->len > 0 && *body->data == '{') {
    yyjson_doc *doc = yyjson_read(body->data, body->len, YYJSON_READ_BIGNUM_AS_RAW);
    FUZZ_CHECK(doc != NULL);
    yyjson_doc_free(doc);
  }
  body->len = 0;
  return reading->is_switched ? HPE_PAUSED : 0;
}

/* Everything that was sent are HTTP responses, up to one that switches. The last may be a stream without an
 * end. */
static void check_responses(mcp__buf_t *said) {
  llhttp_settings_t settings;
  http_reading_t reading = {.said = said};
  llhttp_settings_init(&settings);
  settings.on_body = on_body;
  settings.on_message_complete = on_complete;
  llhttp_init(&reading.parser, HTTP_RESPONSE, &settings);
  reading.parser.data = &reading;
  mcp__buf_init(&reading.body, PLENTY, NULL);
  llhttp_errno_t error = llhttp_execute(&reading.parser, sent.data, sent.len);
  FUZZ_CHECK(error == HPE_OK || reading.is_switched || error == HPE_PAUSED_UPGRADE);
  mcp__buf_deinit(&reading.body);
}

static void converse(mcp_server_t *server, const mcp__buf_t *input, fuzz_cut_t cut, mcp__buf_t *said) {
  sent.len = 0;
  mcp__conns_accept(&server->conns, NULL);
  fuzz_feed((const uint8_t *)input->data, input->len, cut, feed, server);
  end_waiting();
  settle(server);
  stream->events->on_end(stream, UV_EOF);
  uv_run(&loop, UV_RUN_NOWAIT);
  end_waiting();
  const mcp__calls_t *calls = &server->service.calls;
  FUZZ_CHECK(stream == NULL && server->conns.first == NULL && calls->running == 0 && calls->oldest == NULL);
  FUZZ_CHECK(server->conns.slots_used == 0 && server->conns.handshakes == 0);
  mcp__http_sessions_end_all(&server->conns.http_sessions);
  if (is_http) {
    if (input->len == 0 ||
        memmem(input->data, input->len, "HEAD", 4) == NULL) /* whose responses say how long none is */
      check_responses(said);
    return;
  }
  FUZZ_CHECK(sent.len > 13 && memcmp(sent.data, "HTTP/1.1 101 ", 13) == 0);
  size_t head = 4;
  while (memcmp(sent.data + head - 4, "\r\n\r\n", 4) != 0)
    FUZZ_CHECK(++head <= sent.len);
  fuzz_frames(sent.data + head, sent.len - head, false, on_frame, said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static mcp_server_t *server;
  mcp__buf_t input, said[FUZZ_CUTS];
  if (server == NULL)
    server = start();
  mcp__buf_init(&input, PLENTY, NULL);
  put_input(&input, data, size);
  for (int cut = 0; cut < FUZZ_CUTS; cut++) {
    mcp__buf_init(&said[cut], PLENTY, NULL);
    if (cut == FUZZ_BYTES && input.len > SHORT)
      continue;
    converse(server, &input, (fuzz_cut_t)cut, &said[cut]);
    FUZZ_CHECK(fuzz_same(&said[cut], &said[FUZZ_WHOLE]));
  }
  for (int cut = 0; cut < FUZZ_CUTS; cut++)
    mcp__buf_deinit(&said[cut]);
  mcp__buf_deinit(&input);
  return 0;
}
