/* wire.c: raw peers. They speak as much WebSocket as a test needs and break every rule that a test wants
 * broken. */
#include "scene_parts.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wire_t *wires;
static trap_t *traps;

static const unsigned char mask[4] = {0x5a, 0x01, 0xc3, 0x7e};

/* ---- what comes -----------------------------------------------------------------------------------------
 */

static void drop(wire_t *wire, size_t len) {
  wire->in_len -= len;
  memmove(wire->in, wire->in + len, wire->in_len);
}

static bool take_head(wire_t *wire) {
  char *end = wire->in_len > 0 ? memmem(wire->in, wire->in_len, "\r\n\r\n", 4) : NULL;
  if (end == NULL)
    return false;
  size_t len = (size_t)(end - wire->in) + 4;
  wire->head = strndup(wire->in, len);
  drop(wire, len);
  return true;
}

static void keep_message(wire_t *wire, const char *data, size_t len) {
  if ((wire->count & (wire->count - 1)) == 0) /* a power of two: full */
    wire->messages =
        realloc(wire->messages, (wire->count == 0 ? 1 : wire->count * 2) * sizeof *wire->messages);
  char *copy = malloc(len + 1);
  memcpy(copy, data, len);
  copy[len] = '\0';
  wire->messages[wire->count++] = copy;
}

static void take_payload(wire_t *wire, int opcode, const char *data, size_t len) {
  if (opcode == 1) {
    keep_message(wire, data, len);
  } else if (opcode == 8) {
    wire->close_code = len >= 2 ? (unsigned char)data[0] << 8 | (unsigned char)data[1] : 1005;
    snprintf(wire->close_reason, sizeof wire->close_reason, "%.*s", len > 2 ? (int)len - 2 : 0, data + 2);
    if (!wire->client)
      wire_frame(wire, 8, data, len); /* else each client waits for it a second */
  } else if (opcode == 9) {
    wire->pings++;
    if (!uv_is_closing((uv_handle_t *)&wire->tcp))
      wire_frame(wire, 10, data, len);
  } else if (opcode == 10) {
    wire->pongs++;
  }
}

/* How long the frame's head is and its payload; false: not there yet. */
static bool measure(const wire_t *wire, size_t *head, uint64_t *len) {
  const unsigned char *in = (const unsigned char *)wire->in;
  if (wire->in_len < 2)
    return false;
  *len = in[1] & 0x7f;
  size_t more = *len == 126 ? 2 : *len == 127 ? 8 : 0;
  *head = 2 + more + ((in[1] & 0x80) != 0 ? 4 : 0);
  if (wire->in_len < *head)
    return false;
  if (more > 0)
    *len = 0;
  for (size_t i = 0; i < more; i++)
    *len = *len << 8 | in[2 + i];
  return wire->in_len - *head >= *len;
}

static bool take_frame(wire_t *wire) {
  size_t head;
  uint64_t len;
  if (!measure(wire, &head, &len))
    return false;
  char *payload = wire->in + head;
  if ((wire->in[1] & 0x80) != 0)
    for (size_t i = 0; i < len; i++)
      payload[i] ^= wire->in[head - 4 + i % 4];
  take_payload(wire, wire->in[0] & 0x0f, payload, len);
  drop(wire, head + len);
  return true;
}

static void take_apart(wire_t *wire) {
  if (wire->head == NULL && !take_head(wire))
    return;
  if (strstr(wire->head, "Upgrade") == NULL && strstr(wire->head, "upgrade") == NULL)
    return; /* plain HTTP: the body stays in in */
  while (take_frame(wire)) {
  }
}

static void keep_input(wire_t *wire, const char *data, size_t len) {
  if (wire->in_len + len + 1 > wire->in_cap) {
    wire->in_cap = 2 * (wire->in_len + len + 1);
    wire->in = realloc(wire->in, wire->in_cap);
  }
  memcpy(wire->in + wire->in_len, data, len);
  wire->in_len += len;
  wire->in[wire->in_len] = '\0';
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  (void)handle;
  *buf = uv_buf_init(malloc(size), (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  wire_t *wire = stream->data;
  if (len > 0) {
    keep_input(wire, buf->base, (size_t)len);
    take_apart(wire);
  } else if (len < 0) {
    wire->ended = true;
    wire->status = (int)len;
    wire_close(wire);
  }
  free(buf->base);
  if (wire->on_input != NULL && len != 0)
    wire->on_input(wire);
}

void wire_read(wire_t *wire, bool on) {
  if (uv_is_closing((uv_handle_t *)&wire->tcp) || on == wire->reading)
    return;
  wire->reading = on;
  if (on)
    uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read);
  else
    uv_read_stop((uv_stream_t *)&wire->tcp);
}

/* ---- what is sent ----------------------------------------------------------------------------------------
 */

typedef struct sending {
  uv_write_t request;
  char data[];
} sending_t;

static void on_sent(uv_write_t *request, int status) {
  (void)status;
  free(request);
}

void wire_send(wire_t *wire, const void *data, size_t len) {
  sending_t *sending = malloc(sizeof *sending + len);
  memcpy(sending->data, data, len);
  uv_buf_t buf = uv_buf_init(sending->data, (unsigned)len);
  if (uv_is_closing((uv_handle_t *)&wire->tcp) ||
      uv_write(&sending->request, (uv_stream_t *)&wire->tcp, &buf, 1, on_sent) != 0)
    free(sending);
}

void wire_puts(wire_t *wire, const char *text) {
  wire_send(wire, text, strlen(text));
}

void wire_frame(wire_t *wire, int opcode, const void *data, size_t len) {
  unsigned char *frame = malloc(len + 14);
  size_t at = 0;
  unsigned char flag = wire->client ? 0x80 : 0;
  frame[at++] = (unsigned char)(0x80 | opcode);
  if (len < 126) {
    frame[at++] = (unsigned char)(flag | len);
  } else {
    int bytes = len <= UINT16_MAX ? 2 : 8;
    frame[at++] = (unsigned char)(flag | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; i--)
      frame[at++] = (unsigned char)((uint64_t)len >> 8 * i);
  }
  if (wire->client) {
    memcpy(frame + at, mask, 4);
    at += 4;
  }
  for (size_t i = 0; i < len; i++)
    frame[at + i] = (unsigned char)(((const unsigned char *)data)[i] ^ (wire->client ? mask[i % 4] : 0));
  wire_send(wire, frame, at + len);
  free(frame);
}

void wire_text(wire_t *wire, const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int len = vasprintf(&text, format, args);
  va_end(args);
  wire_frame(wire, 1, text, (size_t)len);
  free(text);
}

void wire_call(wire_t *wire, int id, const char *tool, const char *args) {
  wire_text(wire,
            "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/"
            "call\",\"params\":{\"name\":\"%s\",\"arguments\":%s}}",
            id, tool, args);
}

void wire_upgrade(wire_t *wire) {
  wire_puts(wire, "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
}

void wire_accept_upgrade(wire_t *wire) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
  char text[128];
  unsigned char digest[20], accept[32];
  const char *key = strstr(wire->head, "Sec-WebSocket-Key: ");
  cr_assert_not_null(key, "no key in: %s", wire->head);
  snprintf(text, sizeof text, "%.24s%s", key + 19, guid);
  EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL);
  EVP_EncodeBlock(accept, digest, sizeof digest);
  char answer[256];
  snprintf(answer, sizeof answer,
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: %s\r\n\r\n",
           accept);
  wire_puts(wire, answer);
}

/* ---- life -------------------------------------------------------------------------------------------------
 */

static wire_t *wire_new(bool client) {
  wire_t *wire = calloc(1, sizeof *wire);
  uv_tcp_init(&scene_loop, &wire->tcp);
  wire->tcp.data = wire;
  wire->client = client;
  wire->next = wires;
  wires = wire;
  return wire;
}

static void on_connected(uv_connect_t *request, int status) {
  wire_t *wire = request->handle->data;
  wire->connected = status == 0;
  wire->ended = status != 0;
  wire->status = status;
  if (status == 0)
    wire_read(wire, true);
}

static wire_t *connect_to(const struct sockaddr *address) {
  wire_t *wire = wire_new(true);
  cr_assert_eq(uv_tcp_connect(&wire->connecting, &wire->tcp, address, on_connected), 0);
  return wire;
}

wire_t *wire_connect(int port) {
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", port, &address);
  return connect_to((struct sockaddr *)&address);
}

wire_t *wire_connect6(int port) {
  struct sockaddr_in6 address;
  uv_ip6_addr("::1", port, &address);
  return connect_to((struct sockaddr *)&address);
}

wire_t *wire_open(int port) {
  wire_t *wire = wire_connect(port);
  RUN_UNTIL(wire->connected || wire->ended);
  wire_upgrade(wire);
  RUN_UNTIL(wire->head != NULL || wire->ended);
  cr_assert_not_null(wire->head);
  cr_assert_not_null(strstr(wire->head, " 101 "), "%s", wire->head);
  return wire;
}

void wire_close(wire_t *wire) {
  if (!uv_is_closing((uv_handle_t *)&wire->tcp))
    uv_close((uv_handle_t *)&wire->tcp, NULL);
}

void wire_reset(wire_t *wire) {
  if (!uv_is_closing((uv_handle_t *)&wire->tcp) && uv_tcp_close_reset(&wire->tcp, NULL) != 0)
    wire_close(wire);
}

/* ---- answers
 * ------------------------------------------------------------------------------------------------ */

/* Reads no further than it has to, since tests ask this of each id and all messages: strtol() under
 * strict_string_checks would walk through all of a large answer. */
static bool has_id(const char *message, int id) {
  char wanted[32];
  int len = snprintf(wanted, sizeof wanted, "\"id\":%d", id);
  const char *at =
      memmem(message, strnlen(message, 64), "\"id\":", 5); /* it stands at the beginning of answers */
  return at != NULL && strncmp(at, wanted, (size_t)len) == 0 && !isdigit((unsigned char)at[len]);
}

int message_id(const char *message) {
  const char *at = strstr(message, "\"id\":");
  return at != NULL ? atoi(at + 5) : -1;
}

size_t wire_answers(const wire_t *wire, int id) {
  size_t answers = 0;
  for (size_t i = 0; i < wire->count; i++)
    answers += has_id(wire->messages[i], id);
  return answers;
}

const char *wire_answer(const wire_t *wire, int id) {
  for (size_t i = 0; i < wire->count; i++)
    if (has_id(wire->messages[i], id))
      return wire->messages[i];
  return NULL;
}

bool wire_says(const wire_t *wire, int id, const char *words) {
  const char *answer = wire_answer(wire, id);
  bool says = wire_answers(wire, id) == 1 && strstr(answer, words) != NULL;
  if (!says)
    fprintf(stderr, "id %d has %zu answers, the first: %.300s\n", id, wire_answers(wire, id),
            answer != NULL ? answer : "none");
  return says;
}

void wire_settle(wire_t *wire) {
  static int id = 900000;
  int mine = id++;
  wire_text(wire, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}", mine);
  RUN_UNTIL(wire_answers(wire, mine) == 1 || wire->ended);
  cr_assert(!wire->ended, "the connection is gone");
}

/* ---- traps
 * ------------------------------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status) {
  trap_t *trap = listener->data;
  cr_assert_eq(status, 0);
  wire_t *wire = wire_new(false);
  cr_assert_eq(uv_accept(listener, (uv_stream_t *)&wire->tcp), 0);
  wire->connected = true;
  wire->on_input = trap->script;
  wire->arg = trap;
  trap->accepted++;
  trap->last = wire;
  wire_read(wire, true);
  if (trap->script != NULL)
    trap->script(wire);
}

trap_t *trap_open(void (*script)(wire_t *wire), void *arg) {
  trap_t *trap = calloc(1, sizeof *trap);
  struct sockaddr_in address;
  int len = sizeof address;
  trap->script = script;
  trap->arg = arg;
  trap->tcp.data = trap;
  trap->next = traps;
  traps = trap;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_init(&scene_loop, &trap->tcp);
  trap->tcp.data = trap;
  cr_assert_eq(uv_tcp_bind(&trap->tcp, (struct sockaddr *)&address, 0), 0);
  cr_assert_eq(uv_listen((uv_stream_t *)&trap->tcp, 128, on_connection), 0);
  uv_tcp_getsockname(&trap->tcp, (struct sockaddr *)&address, &len);
  trap->port = ntohs(address.sin_port);
  return trap;
}

void trap_close(trap_t *trap) {
  if (!uv_is_closing((uv_handle_t *)&trap->tcp))
    uv_close((uv_handle_t *)&trap->tcp, NULL);
}

int trap_free_port(void) {
  trap_t *trap = trap_open(NULL, NULL);
  trap_close(trap);
  return trap->port;
}

void script_silent(wire_t *wire) {
  (void)wire;
}

bool script_handshake(wire_t *wire) {
  if (wire->head == NULL || wire->ended)
    return false;
  if (strncmp(wire->head, "GET", 3) == 0) {
    wire_accept_upgrade(wire);
    memcpy(wire->head, "---", 3); /* answered */
    return false;
  }
  if (wire->count == 0)
    return false;
  const char *message = wire->messages[wire->count - 1];
  if (strstr(message, "\"initialize\"") == NULL)
    return strstr(message, "notifications/") == NULL;
  wire_text(wire, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"protocolVersion\":\"2024-11-05\"}}",
            message_id(message));
  return false;
}

void script_upgrade(wire_t *wire) {
  (void)script_handshake(wire);
}

void wires_close(void) {
  for (wire_t *wire = wires; wire != NULL; wire = wire->next)
    wire_close(wire);
  for (trap_t *trap = traps; trap != NULL; trap = trap->next)
    trap_close(trap);
}

static void wire_free(wire_t *wire) {
  for (size_t i = 0; i < wire->count; i++)
    free(wire->messages[i]);
  free(wire->messages);
  free(wire->head);
  free(wire->in);
  free(wire);
}

void wires_free(void) {
  while (wires != NULL) {
    wire_t *wire = wires;
    wires = wire->next;
    wire_free(wire);
  }
  while (traps != NULL) {
    trap_t *trap = traps;
    traps = trap->next;
    free(trap);
  }
}
