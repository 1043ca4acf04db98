/* redis_conn.c: one TCP connection on libuv that reconnects automatically.
 *
 * Happy path: resolve the name, try its addresses one after the other, connect, pass bytes both ways. Failure
 * modes: a name without addresses, addresses that refuse or do not respond (one deadline for the whole
 * attempt), a disconnect: each is reported by on_down, then the next attempt starts after an increasing delay
 * with jitter. The number of attempts is not limited.
 *
 * libuv closes a socket one turn of the loop later, so each attempt has its own socket; a socket that is
 * given up is detached from the connection. */
#include "redis_conn.h"

#include <iccm_network.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
  CONNECT_TIMEOUT_MS = 5000,
  FIRST_DELAY_MS = 100,
  MAX_DELAY_MS = 2000, /* short: Redis runs nearby, attempts are cheap, and late reconnects are not */
  REASON_SIZE = 160
};

typedef struct redis_socket {
  uv_tcp_t tcp;
  uv_connect_t connect;
  redis_conn_t *conn; /* NULL: detached, waits for its close callback */
} socket_t;

typedef struct redis_write {
  uv_write_t request;
  char *bytes; /* owned */
} write_t;

static void attempt(uv_timer_t *timer);

void redis_conn_init(redis_conn_t *conn, uv_loop_t *loop, const char *host, int port,
                     const redis_conn_events_t *events, void *arg) {
  memset(conn, 0, sizeof *conn);
  conn->loop = loop;
  conn->host = host;
  conn->port = port;
  conn->events = events;
  conn->arg = arg;
  uv_timer_init(loop, &conn->timer);
  conn->timer.data = conn;
  conn->open = 1;
}

static void release(redis_conn_t *conn) {
  if (--conn->open == 0)
    conn->on_closed(conn->closed_arg);
}

static void on_socket_closed(uv_handle_t *handle) {
  socket_t *socket = handle->data;
  free(socket);
}

static void drop_socket(redis_conn_t *conn) {
  if (conn->socket == NULL)
    return;
  conn->socket->conn = NULL;
  uv_close((uv_handle_t *)&conn->socket->tcp, on_socket_closed);
  conn->socket = NULL;
}

static uint64_t pause_ms(redis_conn_t *conn) {
  uint64_t delay = FIRST_DELAY_MS << (conn->failures < 5 ? conn->failures : 5);
  if (delay > MAX_DELAY_MS)
    delay = MAX_DELAY_MS;
  conn->failures++;
  return delay / 2 + (uint64_t)random() % delay; /* ±50 % */
}

/* Ends an attempt or a connection, calls on_down, and schedules the next attempt. */
static void fail(redis_conn_t *conn, const char *reason) {
  drop_socket(conn);
  uv_freeaddrinfo(conn->addresses);
  conn->addresses = conn->next = NULL;
  conn->up = false;
  uv_timer_start(&conn->timer, attempt, pause_ms(conn), 0);
  conn->events->on_down(reason, conn->arg);
}

static void fail_uv(redis_conn_t *conn, const char *what, int status) {
  char reason[REASON_SIZE];
  snprintf(reason, sizeof reason, "%s: %s", what, uv_strerror(status));
  fail(conn, reason);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  socket_t *socket = handle->data;
  (void)suggested;
  *buf = socket->conn == NULL ? uv_buf_init(NULL, 0)
                              : uv_buf_init(socket->conn->buffer, sizeof socket->conn->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  socket_t *socket = stream->data;
  redis_conn_t *conn = socket->conn;
  if (conn == NULL || n == 0)
    return;
  if (n < 0)
    fail_uv(conn, "connection to Redis lost", (int)n);
  else
    conn->events->on_bytes(buf->base, (size_t)n, conn->arg);
}

static void try_next(redis_conn_t *conn, int last_error);

static void on_connect(uv_connect_t *request, int status) {
  socket_t *socket = request->data;
  redis_conn_t *conn = socket->conn;
  if (conn == NULL)
    return;
  if (status == 0)
    status = uv_read_start((uv_stream_t *)&socket->tcp, on_alloc, on_read);
  if (status != 0) {
    drop_socket(conn);
    try_next(conn, status);
    return;
  }
  uv_tcp_nodelay(&socket->tcp, 1);
  uv_timer_stop(&conn->timer);
  uv_freeaddrinfo(conn->addresses);
  conn->addresses = conn->next = NULL;
  conn->failures = 0;
  conn->up = true;
  conn->events->on_up(conn->arg);
}

static int open_socket(redis_conn_t *conn, const struct sockaddr *address) {
  socket_t *socket = calloc(1, sizeof *socket);
  int status;
  if (socket == NULL)
    return MCP_ENOMEM;
  status = uv_tcp_init(conn->loop, &socket->tcp);
  if (status != 0) {
    free(socket);
    return status;
  }
  socket->tcp.data = socket->connect.data = socket;
  socket->conn = conn;
  conn->socket = socket;
  status = uv_tcp_connect(&socket->connect, &socket->tcp, address, on_connect);
  if (status != 0)
    drop_socket(conn);
  return status;
}

static void try_next(redis_conn_t *conn, int last_error) {
  while (conn->next != NULL) {
    const struct sockaddr *address = conn->next->ai_addr;
    conn->next = conn->next->ai_next;
    last_error = open_socket(conn, address);
    if (last_error == 0)
      return;
  }
  fail_uv(conn, "cannot connect to Redis", last_error);
}

static void on_deadline(uv_timer_t *timer) {
  fail(timer->data, "cannot connect to Redis: timeout");
}

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *addresses) {
  redis_conn_t *conn = resolver->data;
  conn->resolving = false;
  if (conn->closing) {
    uv_freeaddrinfo(addresses);
    release(conn);
    return;
  }
  if (status != 0) {
    fail_uv(conn, "cannot resolve the host name of Redis (REDIS_HOST)", status);
    return;
  }
  conn->addresses = conn->next = addresses;
  uv_timer_start(&conn->timer, on_deadline, CONNECT_TIMEOUT_MS, 0);
  try_next(conn, UV_EAI_NODATA);
}

static void attempt(uv_timer_t *timer) {
  redis_conn_t *conn = timer->data;
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  char port[8];
  int status;
  snprintf(port, sizeof port, "%d", conn->port);
  conn->resolver.data = conn;
  status = uv_getaddrinfo(conn->loop, &conn->resolver, on_resolved, conn->host, port, &hints);
  if (status == 0)
    conn->resolving = true;
  else
    fail_uv(conn, "cannot resolve the host name of Redis (REDIS_HOST)", status);
}

void redis_conn_start(redis_conn_t *conn) {
  uv_timer_start(&conn->timer, attempt, 0, 0);
}

static void on_written(uv_write_t *request, int status) {
  write_t *write = request->data;
  socket_t *socket = request->handle->data;
  free(write->bytes);
  free(write);
  if (status != 0 && socket->conn != NULL)
    fail_uv(socket->conn, "connection to Redis lost", status);
}

int redis_conn_send(redis_conn_t *conn, char *bytes, size_t len) {
  write_t *write = conn->up ? calloc(1, sizeof *write) : NULL;
  uv_buf_t buf = {.base = bytes, .len = len};
  int status = conn->up ? MCP_ENOMEM : UV_ENOTCONN;
  if (write != NULL) {
    write->bytes = bytes;
    write->request.data = write;
    status = uv_write(&write->request, (uv_stream_t *)&conn->socket->tcp, &buf, 1, on_written);
  }
  if (status != 0) {
    free(write);
    free(bytes);
  }
  return status;
}

void redis_conn_reset(redis_conn_t *conn, const char *reason) {
  if (conn->up)
    fail(conn, reason);
}

static void on_timer_closed(uv_handle_t *handle) {
  release(handle->data);
}

void redis_conn_close(redis_conn_t *conn, void (*cb)(void *arg), void *arg) {
  conn->closing = true;
  conn->on_closed = cb;
  conn->closed_arg = arg;
  conn->up = false;
  drop_socket(conn);
  uv_freeaddrinfo(conn->addresses);
  if (conn->resolving) {
    conn->open++;
    uv_cancel((uv_req_t *)&conn->resolver);
  }
  uv_close((uv_handle_t *)&conn->timer, on_timer_closed);
}
