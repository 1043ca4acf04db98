/* ws_echo.c: answers every WebSocket message with itself, text and binary, on the library's ws, stream and
 * upgrade modules alone: what the conformance cases are played against.
 *
 * Usage: ws_echo              a server; says "listening on port N"
 *        ws_echo PORT COUNT   a client: keeps COUNT connections to 127.0.0.1:PORT, with a new one for each
 *                             that ends
 *
 * Happy path: the upgrade is made, messages are echoed until the close; then nothing more is written, and the
 * connection ends when the peer has closed its end. Failure: a peer that violates the protocol gets the close
 * frame after the echoes of its earlier messages; a connection that cannot be made or kept is closed, a
 * client tries again 10 ms later. SIGTERM ends everything; status 0. */
#include "transport/stream.h"
#include "transport/upgrade.h"
#include "transport/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGE = 16 << 20, MAX_OUT = 64 << 20, RETRY_MS = 10, BINARY_FRAME = 0x82 };

typedef struct echo {
  uv_loop_t loop;
  mcp__io_t io;
  uv_tcp_t listener;
  uv_signal_t term;
  uv_timer_t retry;
  struct peer *peers;
  int port, wanted, count; /* a client's; wanted 0: a server */
} echo_t;

typedef struct peer {
  mcp__stream_t stream;
  echo_t *echo;
  struct peer *next, **to;
  uv_connect_t connect;
  mcp__head_t head;
  bool open;
  char key[MCP__UPGRADE_KEY_SIZE];
  mcp__ws_t ws;
  mcp__ws_config_t config;
} peer_t;

static void on_message(mcp__buf_t *message, bool binary, void *arg) {
  peer_t *peer = arg;
  size_t begin = mcp__ws_begin(&peer->ws);
  if (begin == SIZE_MAX || mcp__buf_append(&peer->stream.out, message->data, message->len) != 0 ||
      mcp__ws_end(&peer->ws, begin) != 0)
    abort(); /* there is room for whatever a case sends */
  if (binary)
    peer->stream.out.data[begin] = (char)BINARY_FRAME; /* the library itself sends text only */
  mcp__stream_dirty(&peer->stream);
}

static void on_ws_end(int code, const char *reason, bool clean, void *arg) {
  peer_t *peer = arg;
  (void)code;
  (void)reason;
  (void)clean;
  mcp__stream_finish(&peer->stream); /* input is read and discarded until the peer's end */
}

static bool upgraded(peer_t *peer, const char *data, size_t len, size_t *used) {
  char problem[256];
  mcp__head_state_t state = mcp__head_feed(&peer->head, data, len, used);
  if (state == MCP__HEAD_MORE)
    return false;
  if (peer->config.client)
    peer->open =
        state == MCP__HEAD_DONE && mcp__check_switching(&peer->head, peer->key, problem, sizeof problem) == 0;
  else
    peer->open = state == MCP__HEAD_DONE && mcp__head_request_kind(&peer->head) == MCP__HTTP_WEBSOCKET &&
                 mcp__write_switching(&peer->stream.out, &peer->head) == 0;
  if (!peer->open)
    mcp__stream_close(&peer->stream);
  return peer->open;
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  peer_t *peer = stream->arg;
  size_t used = 0;
  if (!peer->open && !upgraded(peer, data, len, &used))
    return;
  mcp__ws_feed(&peer->ws, (const uint8_t *)data + used, len - used);
  mcp__stream_dirty(stream);
}

static void on_end(mcp__stream_t *stream, int status) {
  (void)status;
  mcp__stream_close(stream);
}

static void before_write(mcp__stream_t *stream) {
  peer_t *peer = stream->arg;
  mcp__ws_flush_pong(&peer->ws);
}

static void on_closed(mcp__stream_t *stream) {
  peer_t *peer = stream->arg;
  peer->echo->count--;
  *peer->to = peer->next;
  if (peer->next != NULL)
    peer->next->to = peer->to;
  mcp__ws_deinit(&peer->ws);
  mcp__head_deinit(&peer->head);
  free(peer);
}

static const mcp__stream_events_t events = {on_data, on_end, before_write, NULL, on_closed};

static peer_t *peer_new(echo_t *echo, bool client) {
  peer_t *peer = calloc(1, sizeof *peer);
  if (peer == NULL || mcp__stream_init(&peer->stream, &echo->io, MAX_OUT, &events, peer) != 0 ||
      mcp__head_init(&peer->head, !client) != 0)
    abort();
  peer->echo = echo;
  peer->config = (mcp__ws_config_t){.client = client,
                                    .binary = true,
                                    .max_message = MAX_MESSAGE,
                                    .out = &peer->stream.out,
                                    .on_message = on_message,
                                    .on_end = on_ws_end,
                                    .arg = peer};
  mcp__ws_init(&peer->ws, &peer->config);
  peer->next = echo->peers;
  peer->to = &echo->peers;
  if (peer->next != NULL)
    peer->next->to = &peer->next;
  echo->peers = peer;
  echo->count++;
  return peer;
}

/* ---- the two roles ---------------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status) {
  peer_t *peer = peer_new(listener->data, false);
  if (status != 0 || uv_accept(listener, (uv_stream_t *)&peer->stream.tcp) != 0) {
    mcp__stream_close(&peer->stream);
    return;
  }
  uv_tcp_nodelay(&peer->stream.tcp, 1);
  mcp__stream_read(&peer->stream, true);
}

static void on_connect(uv_connect_t *request, int status) {
  peer_t *peer = request->handle->data; /* the stream is the peer's first member */
  if (status != 0 || mcp__upgrade_new_key(peer->key) != 0 ||
      mcp__write_upgrade(&peer->stream.out, "127.0.0.1", "/", peer->key, NULL) != 0) {
    mcp__stream_close(&peer->stream);
    return;
  }
  uv_tcp_nodelay(&peer->stream.tcp, 1);
  mcp__stream_dirty(&peer->stream);
  mcp__stream_read(&peer->stream, true);
}

static void on_retry(uv_timer_t *timer) {
  echo_t *echo = timer->data;
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", echo->port, &address);
  while (echo->count < echo->wanted) {
    peer_t *peer = peer_new(echo, true);
    if (uv_tcp_connect(&peer->connect, &peer->stream.tcp, (struct sockaddr *)&address, on_connect) != 0)
      mcp__stream_close(&peer->stream);
  }
}

static int serve(echo_t *echo) {
  struct sockaddr_in address;
  int len = sizeof address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  int status = uv_tcp_bind(&echo->listener, (struct sockaddr *)&address, 0);
  if (status == 0)
    status = uv_listen((uv_stream_t *)&echo->listener, 128, on_connection);
  if (status == 0)
    status = uv_tcp_getsockname(&echo->listener, (struct sockaddr *)&address, &len);
  printf(status == 0 ? "listening on port %d\n" : "cannot listen\n", ntohs(address.sin_port));
  fflush(stdout);
  return status;
}

static void on_term(uv_signal_t *term, int number) {
  echo_t *echo = term->data;
  (void)number;
  uv_close((uv_handle_t *)term, NULL);
  uv_close((uv_handle_t *)&echo->retry, NULL);
  uv_close((uv_handle_t *)&echo->listener, NULL);
  mcp__io_close(&echo->io, NULL);
  for (peer_t *peer = echo->peers; peer != NULL; peer = peer->next)
    mcp__stream_close(&peer->stream);
}

int main(int argc, char **argv) {
  static echo_t echo;
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3) {
    echo.port = atoi(argv[1]);
    echo.wanted = atoi(argv[2]);
  }
  uv_loop_init(&echo.loop);
  uv_signal_init(&echo.loop, &echo.term);
  uv_timer_init(&echo.loop, &echo.retry);
  uv_tcp_init(&echo.loop, &echo.listener);
  echo.term.data = echo.retry.data = echo.listener.data = &echo;
  int status = mcp__io_init(&echo.io, &echo.loop);
  if (status == 0)
    status = uv_signal_start(&echo.term, on_term, SIGTERM);
  if (status == 0)
    status = echo.wanted == 0 ? serve(&echo) : uv_timer_start(&echo.retry, on_retry, 0, RETRY_MS);
  if (status != 0)
    return 1;
  uv_run(&echo.loop, UV_RUN_DEFAULT);
  mcp__io_deinit(&echo.io);
  return uv_loop_close(&echo.loop) == 0 ? 0 : 1;
}
