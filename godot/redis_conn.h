/* redis_conn.h: a TCP connection that reconnects automatically; it does not know the protocol on it. */
#ifndef GODOT_REDIS_CONN_H
#define GODOT_REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct redis_conn_events {
  void (*on_up)(void *arg);                                   /* connected */
  void (*on_bytes)(const char *bytes, size_t len, void *arg); /* bytes are borrowed */
  void (*on_down)(const char *reason, void *arg);             /* disconnected, or an attempt has failed */
} redis_conn_events_t;

/* Embedded in its owner; all members are private. */
typedef struct redis_conn {
  uv_loop_t *loop;
  const char *host; /* borrowed */
  int port;
  const redis_conn_events_t *events; /* borrowed */
  void *arg;
  uv_timer_t timer; /* the delay before the next attempt, or the deadline of the current one */
  uv_getaddrinfo_t resolver;
  bool resolving;
  struct addrinfo *addresses;  /* owned; NULL unless an attempt is in progress */
  struct addrinfo *next;       /* the next address to try */
  struct redis_socket *socket; /* the socket of the current attempt, or NULL */
  bool up;
  unsigned failures; /* consecutive */
  bool closing;
  int open; /* handles and requests that are not closed yet */
  void (*on_closed)(void *arg);
  void *closed_arg;
  char buffer[65536]; /* received bytes, passed on before the next read */
} redis_conn_t;

/* host and events are borrowed until the connection is closed. After this call, redis_conn_close() is
 * required before the memory is freed. */
void redis_conn_init(redis_conn_t *conn, uv_loop_t *loop, const char *host, int port,
                     const redis_conn_events_t *events, void *arg);

/* Connects, and reconnects after each disconnect, without a limit on attempts. */
void redis_conn_start(redis_conn_t *conn);

/* Sends bytes, allocated with malloc; the connection takes ownership, also on failure. Returns nonzero if not
 * connected or out of memory. A write that fails later disconnects. */
int redis_conn_send(redis_conn_t *conn, char *bytes, size_t len);

/* Closes the current socket and reconnects; on_down is called before this function returns. Does nothing if
 * not connected. */
void redis_conn_reset(redis_conn_t *conn, const char *reason);

/* Closes the connection. No event is called after this; cb is called once, and may free the memory. Waits for
 * a name resolution in progress. */
void redis_conn_close(redis_conn_t *conn, void (*cb)(void *arg), void *arg);

#endif
