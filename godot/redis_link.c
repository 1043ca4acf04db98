/* redis_link.c: one TCP connection over libuv that is there whenever it can be.
 *
 * Happy path: resolve the name, try its addresses one after the other, connect, pass bytes both ways. Failure
 * modes: a name without addresses, addresses that refuse or are silent (one deadline for the whole attempt),
 * a connection that is lost: each is told by on_down, then the next attempt starts after a growing, jittered
 * delay, for ever.
 *
 * A socket outlives its role by one turn of the loop, since libuv closes later: each attempt has a socket of
 * its own, and one that is given up is detached from the link.
 */
#include "redis_link.h"

#include <iccm_network.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
  CONNECT_TIMEOUT_MS = 5000,
  FIRST_DELAY_MS = 100,
  MAX_DELAY_MS = 2000, /* Redis is a neighbour: it costs little to ask, and much to come late */
  REASON_SIZE = 160
};

typedef struct redis_socket {
  uv_tcp_t tcp;
  uv_connect_t connect;
  redis_link_t *link; /* NULL: given up, and only waiting to be closed */
} socket_t;

typedef struct redis_write {
  uv_write_t request;
  char *bytes; /* ours */
} write_t;

static void attempt(uv_timer_t *timer);

void redis_link_init(redis_link_t *link, uv_loop_t *loop, const char *host, int port,
                     const redis_link_events_t *events, void *arg) {
  memset(link, 0, sizeof *link);
  link->loop = loop;
  link->host = host;
  link->port = port;
  link->events = events;
  link->arg = arg;
  uv_timer_init(loop, &link->timer);
  link->timer.data = link;
  link->open = 1;
}

static void release(redis_link_t *link) {
  if (--link->open == 0)
    link->on_closed(link->closed_arg);
}

static void on_socket_closed(uv_handle_t *handle) {
  socket_t *socket = handle->data;
  free(socket);
}

static void drop_socket(redis_link_t *link) {
  if (link->socket == NULL)
    return;
  link->socket->link = NULL;
  uv_close((uv_handle_t *)&link->socket->tcp, on_socket_closed);
  link->socket = NULL;
}

static uint64_t pause_ms(redis_link_t *link) {
  uint64_t delay = FIRST_DELAY_MS << (link->failures < 5 ? link->failures : 5);
  if (delay > MAX_DELAY_MS)
    delay = MAX_DELAY_MS;
  link->failures++;
  return delay / 2 + (uint64_t)random() % delay; /* ±50 % */
}

/* Ends an attempt or a connection, tells of it, and plans the next one. */
static void fail(redis_link_t *link, const char *reason) {
  drop_socket(link);
  uv_freeaddrinfo(link->addresses);
  link->addresses = link->next = NULL;
  link->up = false;
  uv_timer_start(&link->timer, attempt, pause_ms(link), 0);
  link->events->on_down(reason, link->arg);
}

static void fail_uv(redis_link_t *link, const char *what, int status) {
  char reason[REASON_SIZE];
  snprintf(reason, sizeof reason, "%s: %s", what, uv_strerror(status));
  fail(link, reason);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  socket_t *socket = handle->data;
  (void)suggested;
  *buf = socket->link == NULL ? uv_buf_init(NULL, 0)
                              : uv_buf_init(socket->link->buffer, sizeof socket->link->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  socket_t *socket = stream->data;
  redis_link_t *link = socket->link;
  if (link == NULL || n == 0)
    return;
  if (n < 0)
    fail_uv(link, "connection to Redis lost", (int)n);
  else
    link->events->on_bytes(buf->base, (size_t)n, link->arg);
}

static void try_next(redis_link_t *link, int last_error);

static void on_connect(uv_connect_t *request, int status) {
  socket_t *socket = request->data;
  redis_link_t *link = socket->link;
  if (link == NULL)
    return;
  if (status == 0)
    status = uv_read_start((uv_stream_t *)&socket->tcp, on_alloc, on_read);
  if (status != 0) {
    drop_socket(link);
    try_next(link, status);
    return;
  }
  uv_tcp_nodelay(&socket->tcp, 1);
  uv_timer_stop(&link->timer);
  uv_freeaddrinfo(link->addresses);
  link->addresses = link->next = NULL;
  link->failures = 0;
  link->up = true;
  link->events->on_up(link->arg);
}

static int open_socket(redis_link_t *link, const struct sockaddr *address) {
  socket_t *socket = calloc(1, sizeof *socket);
  int status;
  if (socket == NULL)
    return MCP_ENOMEM;
  status = uv_tcp_init(link->loop, &socket->tcp);
  if (status != 0) {
    free(socket);
    return status;
  }
  socket->tcp.data = socket->connect.data = socket;
  socket->link = link;
  link->socket = socket;
  status = uv_tcp_connect(&socket->connect, &socket->tcp, address, on_connect);
  if (status != 0)
    drop_socket(link);
  return status;
}

static void try_next(redis_link_t *link, int last_error) {
  while (link->next != NULL) {
    const struct sockaddr *address = link->next->ai_addr;
    link->next = link->next->ai_next;
    last_error = open_socket(link, address);
    if (last_error == 0)
      return;
  }
  fail_uv(link, "no connection to Redis", last_error);
}

static void on_deadline(uv_timer_t *timer) {
  fail(timer->data, "no connection to Redis: no address answered in time");
}

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *addresses) {
  redis_link_t *link = resolver->data;
  link->resolving = false;
  if (link->closing) {
    uv_freeaddrinfo(addresses);
    release(link);
    return;
  }
  if (status != 0) {
    fail_uv(link, "the host name of Redis could not be resolved", status);
    return;
  }
  link->addresses = link->next = addresses;
  uv_timer_start(&link->timer, on_deadline, CONNECT_TIMEOUT_MS, 0);
  try_next(link, UV_EAI_NODATA);
}

static void attempt(uv_timer_t *timer) {
  redis_link_t *link = timer->data;
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  char port[8];
  int status;
  snprintf(port, sizeof port, "%d", link->port);
  link->resolver.data = link;
  status = uv_getaddrinfo(link->loop, &link->resolver, on_resolved, link->host, port, &hints);
  if (status == 0)
    link->resolving = true;
  else
    fail_uv(link, "the host name of Redis could not be resolved", status);
}

void redis_link_start(redis_link_t *link) {
  uv_timer_start(&link->timer, attempt, 0, 0);
}

static void on_written(uv_write_t *request, int status) {
  write_t *write = request->data;
  socket_t *socket = request->handle->data;
  free(write->bytes);
  free(write);
  if (status != 0 && socket->link != NULL)
    fail_uv(socket->link, "connection to Redis lost", status);
}

int redis_link_send(redis_link_t *link, char *bytes, size_t len) {
  write_t *write = link->up ? calloc(1, sizeof *write) : NULL;
  uv_buf_t buf = {.base = bytes, .len = len};
  int status = link->up ? MCP_ENOMEM : UV_ENOTCONN;
  if (write != NULL) {
    write->bytes = bytes;
    write->request.data = write;
    status = uv_write(&write->request, (uv_stream_t *)&link->socket->tcp, &buf, 1, on_written);
  }
  if (status != 0) {
    free(write);
    free(bytes);
  }
  return status;
}

void redis_link_reset(redis_link_t *link, const char *reason) {
  if (link->up)
    fail(link, reason);
}

static void on_timer_closed(uv_handle_t *handle) {
  release(handle->data);
}

void redis_link_close(redis_link_t *link, void (*cb)(void *arg), void *arg) {
  link->closing = true;
  link->on_closed = cb;
  link->closed_arg = arg;
  link->up = false;
  drop_socket(link);
  uv_freeaddrinfo(link->addresses);
  if (link->resolving) {
    link->open++;
    uv_cancel((uv_req_t *)&link->resolver);
  }
  uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}
