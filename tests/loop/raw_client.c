/* raw_client.c: raw peers. They speak as much WebSocket as a test needs and break every rule that a test
 * wants broken. */
#include "fixture_internal.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static raw_client_t *peers;
static fake_server_t *fakes;

static const unsigned char mask[4] = {0x5a, 0x01, 0xc3, 0x7e};

/* ---- what comes -----------------------------------------------------------------------------------------
 */

static void drop(raw_client_t *peer, size_t len) {
  peer->in_len -= len;
  memmove(peer->in, peer->in + len, peer->in_len);
}

static bool take_head(raw_client_t *peer) {
  char *end = peer->in_len > 0 ? memmem(peer->in, peer->in_len, "\r\n\r\n", 4) : NULL;
  if (end == NULL)
    return false;
  size_t len = (size_t)(end - peer->in) + 4;
  peer->head = strndup(peer->in, len);
  drop(peer, len);
  return true;
}

static void keep_message(raw_client_t *peer, const char *data, size_t len) {
  if ((peer->count & (peer->count - 1)) == 0) /* a power of two: full */
    peer->messages =
        realloc(peer->messages, (peer->count == 0 ? 1 : peer->count * 2) * sizeof *peer->messages);
  char *copy = malloc(len + 1);
  memcpy(copy, data, len);
  copy[len] = '\0';
  peer->messages[peer->count++] = copy;
}

static void take_payload(raw_client_t *peer, int opcode, const char *data, size_t len) {
  if (opcode == 1) {
    keep_message(peer, data, len);
  } else if (opcode == 8) {
    peer->close_code = len >= 2 ? (unsigned char)data[0] << 8 | (unsigned char)data[1] : 1005;
    snprintf(peer->close_reason, sizeof peer->close_reason, "%.*s", len > 2 ? (int)len - 2 : 0, data + 2);
    if (!peer->masks_frames)
      raw_client_send_frame(peer, 8, data, len); /* else each client waits for it a second */
  } else if (opcode == 9) {
    peer->pings++;
    if (!uv_is_closing((uv_handle_t *)&peer->tcp))
      raw_client_send_frame(peer, 10, data, len);
  } else if (opcode == 10) {
    peer->pongs++;
  }
}

/* Determines the lengths of the frame's head and payload; false: the head is incomplete. */
static bool measure(const raw_client_t *peer, size_t *head, uint64_t *len) {
  const unsigned char *in = (const unsigned char *)peer->in;
  if (peer->in_len < 2)
    return false;
  *len = in[1] & 0x7f;
  size_t more = *len == 126 ? 2 : *len == 127 ? 8 : 0;
  *head = 2 + more + ((in[1] & 0x80) != 0 ? 4 : 0);
  if (peer->in_len < *head)
    return false;
  if (more > 0)
    *len = 0;
  for (size_t i = 0; i < more; i++)
    *len = *len << 8 | in[2 + i];
  return peer->in_len - *head >= *len;
}

static bool take_frame(raw_client_t *peer) {
  size_t head;
  uint64_t len;
  if (!measure(peer, &head, &len))
    return false;
  char *payload = peer->in + head;
  if ((peer->in[1] & 0x80) != 0)
    for (size_t i = 0; i < len; i++)
      payload[i] ^= peer->in[head - 4 + i % 4];
  take_payload(peer, peer->in[0] & 0x0f, payload, len);
  drop(peer, head + len);
  return true;
}

static void take_apart(raw_client_t *peer) {
  if (peer->head == NULL && !take_head(peer))
    return;
  if (strstr(peer->head, "Upgrade") == NULL && strstr(peer->head, "upgrade") == NULL)
    return; /* plain HTTP: the body stays in in */
  while (take_frame(peer)) {
  }
}

static void keep_input(raw_client_t *peer, const char *data, size_t len) {
  if (peer->in_len + len + 1 > peer->in_cap) {
    peer->in_cap = 2 * (peer->in_len + len + 1);
    peer->in = realloc(peer->in, peer->in_cap);
  }
  memcpy(peer->in + peer->in_len, data, len);
  peer->in_len += len;
  peer->in[peer->in_len] = '\0';
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  (void)handle;
  *buf = uv_buf_init(malloc(size), (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  raw_client_t *peer = stream->data;
  if (len > 0) {
    keep_input(peer, buf->base, (size_t)len);
    take_apart(peer);
  } else if (len < 0) {
    peer->ended = true;
    peer->status = (int)len;
    raw_client_close(peer);
  }
  free(buf->base);
  if (peer->on_input != NULL && len != 0)
    peer->on_input(peer);
}

void raw_client_set_reading(raw_client_t *peer, bool on) {
  if (uv_is_closing((uv_handle_t *)&peer->tcp) || on == peer->reading)
    return;
  peer->reading = on;
  if (on)
    uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
  else
    uv_read_stop((uv_stream_t *)&peer->tcp);
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

void raw_client_send(raw_client_t *peer, const void *data, size_t len) {
  sending_t *sending = malloc(sizeof *sending + len);
  memcpy(sending->data, data, len);
  uv_buf_t buf = uv_buf_init(sending->data, (unsigned)len);
  if (uv_is_closing((uv_handle_t *)&peer->tcp) ||
      uv_write(&sending->request, (uv_stream_t *)&peer->tcp, &buf, 1, on_sent) != 0)
    free(sending);
}

void raw_client_puts(raw_client_t *peer, const char *text) {
  raw_client_send(peer, text, strlen(text));
}

void raw_client_send_frame(raw_client_t *peer, int opcode, const void *data, size_t len) {
  unsigned char *frame = malloc(len + 14);
  size_t at = 0;
  unsigned char flag = peer->masks_frames ? 0x80 : 0;
  frame[at++] = (unsigned char)(0x80 | opcode);
  if (len < 126) {
    frame[at++] = (unsigned char)(flag | len);
  } else {
    int bytes = len <= UINT16_MAX ? 2 : 8;
    frame[at++] = (unsigned char)(flag | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; i--)
      frame[at++] = (unsigned char)((uint64_t)len >> 8 * i);
  }
  if (peer->masks_frames) {
    memcpy(frame + at, mask, 4);
    at += 4;
  }
  for (size_t i = 0; i < len; i++)
    frame[at + i] =
        (unsigned char)(((const unsigned char *)data)[i] ^ (peer->masks_frames ? mask[i % 4] : 0));
  raw_client_send(peer, frame, at + len);
  free(frame);
}

void raw_client_send_text(raw_client_t *peer, const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int len = vasprintf(&text, format, args);
  va_end(args);
  raw_client_send_frame(peer, 1, text, (size_t)len);
  free(text);
}

void raw_client_call(raw_client_t *peer, int id, const char *tool, const char *args) {
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/"
                       "call\",\"params\":{\"name\":\"%s\",\"arguments\":%s}}",
                       id, tool, args);
}

void raw_client_upgrade(raw_client_t *peer) {
  raw_client_puts(peer, "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
}

void raw_client_accept_upgrade(raw_client_t *peer) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
  char text[128];
  unsigned char digest[20], accept[32];
  const char *key = strstr(peer->head, "Sec-WebSocket-Key: ");
  cr_assert_not_null(key, "no key in: %s", peer->head);
  snprintf(text, sizeof text, "%.24s%s", key + 19, guid);
  EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL);
  EVP_EncodeBlock(accept, digest, sizeof digest);
  char answer[256];
  snprintf(answer, sizeof answer,
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: %s\r\n\r\n",
           accept);
  raw_client_puts(peer, answer);
}

/* ---- life -------------------------------------------------------------------------------------------------
 */

static raw_client_t *raw_client_new(bool client) {
  raw_client_t *peer = calloc(1, sizeof *peer);
  uv_tcp_init(&fixture_loop, &peer->tcp);
  peer->tcp.data = peer;
  peer->masks_frames = client;
  peer->next = peers;
  peers = peer;
  return peer;
}

static void on_connected(uv_connect_t *request, int status) {
  raw_client_t *peer = request->handle->data;
  peer->connected = status == 0;
  peer->ended = status != 0;
  peer->status = status;
  if (status == 0)
    raw_client_set_reading(peer, true);
}

static raw_client_t *connect_to(const struct sockaddr *address) {
  raw_client_t *peer = raw_client_new(true);
  cr_assert_eq(uv_tcp_connect(&peer->connecting, &peer->tcp, address, on_connected), 0);
  return peer;
}

raw_client_t *raw_client_connect(int port) {
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", port, &address);
  return connect_to((struct sockaddr *)&address);
}

raw_client_t *raw_client_connect6(int port) {
  struct sockaddr_in6 address;
  uv_ip6_addr("::1", port, &address);
  return connect_to((struct sockaddr *)&address);
}

raw_client_t *raw_client_open(int port) {
  raw_client_t *peer = raw_client_connect(port);
  RUN_UNTIL(peer->connected || peer->ended);
  raw_client_upgrade(peer);
  RUN_UNTIL(peer->head != NULL || peer->ended);
  cr_assert_not_null(peer->head);
  cr_assert_not_null(strstr(peer->head, " 101 "), "%s", peer->head);
  return peer;
}

void raw_client_close(raw_client_t *peer) {
  if (!uv_is_closing((uv_handle_t *)&peer->tcp))
    uv_close((uv_handle_t *)&peer->tcp, NULL);
}

void raw_client_reset(raw_client_t *peer) {
  if (!uv_is_closing((uv_handle_t *)&peer->tcp) && uv_tcp_close_reset(&peer->tcp, NULL) != 0)
    raw_client_close(peer);
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

size_t raw_client_count_responses(const raw_client_t *peer, int id) {
  size_t answers = 0;
  for (size_t i = 0; i < peer->count; i++)
    answers += has_id(peer->messages[i], id);
  return answers;
}

const char *raw_client_response(const raw_client_t *peer, int id) {
  for (size_t i = 0; i < peer->count; i++)
    if (has_id(peer->messages[i], id))
      return peer->messages[i];
  return NULL;
}

bool raw_client_response_has(const raw_client_t *peer, int id, const char *words) {
  const char *answer = raw_client_response(peer, id);
  bool says = raw_client_count_responses(peer, id) == 1 && strstr(answer, words) != NULL;
  if (!says)
    fprintf(stderr, "id %d has %zu answers, the first: %.300s\n", id, raw_client_count_responses(peer, id),
            answer != NULL ? answer : "none");
  return says;
}

void raw_client_sync(raw_client_t *peer) {
  static int id = 900000;
  int mine = id++;
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}", mine);
  RUN_UNTIL(raw_client_count_responses(peer, mine) == 1 || peer->ended);
  cr_assert(!peer->ended, "the connection is gone");
}

/* ---- fakes
 * ------------------------------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status) {
  fake_server_t *fake = listener->data;
  cr_assert_eq(status, 0);
  raw_client_t *peer = raw_client_new(false);
  cr_assert_eq(uv_accept(listener, (uv_stream_t *)&peer->tcp), 0);
  peer->connected = true;
  peer->on_input = fake->script;
  peer->arg = fake;
  fake->accepted++;
  fake->last = peer;
  raw_client_set_reading(peer, true);
  if (fake->script != NULL)
    fake->script(peer);
}

fake_server_t *fake_server_open(void (*script)(raw_client_t *peer), void *arg) {
  fake_server_t *fake = calloc(1, sizeof *fake);
  struct sockaddr_in address;
  int len = sizeof address;
  fake->script = script;
  fake->arg = arg;
  fake->tcp.data = fake;
  fake->next = fakes;
  fakes = fake;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_init(&fixture_loop, &fake->tcp);
  fake->tcp.data = fake;
  cr_assert_eq(uv_tcp_bind(&fake->tcp, (struct sockaddr *)&address, 0), 0);
  cr_assert_eq(uv_listen((uv_stream_t *)&fake->tcp, 128, on_connection), 0);
  uv_tcp_getsockname(&fake->tcp, (struct sockaddr *)&address, &len);
  fake->port = ntohs(address.sin_port);
  return fake;
}

void fake_server_close(fake_server_t *fake) {
  if (!uv_is_closing((uv_handle_t *)&fake->tcp))
    uv_close((uv_handle_t *)&fake->tcp, NULL);
}

int unused_port(void) {
  fake_server_t *fake = fake_server_open(NULL, NULL);
  fake_server_close(fake);
  return fake->port;
}

void script_silent(raw_client_t *peer) {
  (void)peer;
}

bool script_handshake(raw_client_t *peer) {
  if (peer->head == NULL || peer->ended)
    return false;
  if (strncmp(peer->head, "GET", 3) == 0) {
    raw_client_accept_upgrade(peer);
    memcpy(peer->head, "---", 3); /* answered */
    return false;
  }
  if (peer->count == 0)
    return false;
  const char *message = peer->messages[peer->count - 1];
  if (strstr(message, "\"initialize\"") == NULL)
    return strstr(message, "notifications/") == NULL;
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"protocolVersion\":\"2024-11-05\"}}",
                       message_id(message));
  return false;
}

void script_upgrade(raw_client_t *peer) {
  (void)script_handshake(peer);
}

void raw_clients_close(void) {
  for (raw_client_t *peer = peers; peer != NULL; peer = peer->next)
    raw_client_close(peer);
  for (fake_server_t *fake = fakes; fake != NULL; fake = fake->next)
    fake_server_close(fake);
}

static void raw_client_free(raw_client_t *peer) {
  for (size_t i = 0; i < peer->count; i++)
    free(peer->messages[i]);
  free(peer->messages);
  free(peer->head);
  free(peer->in);
  free(peer);
}

void raw_clients_free(void) {
  while (peers != NULL) {
    raw_client_t *peer = peers;
    peers = peer->next;
    raw_client_free(peer);
  }
  while (fakes != NULL) {
    fake_server_t *fake = fakes;
    fakes = fake->next;
    free(fake);
  }
}
