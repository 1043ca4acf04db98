/* redis_conn.h: a TCP connection that comes back by itself; knows nothing of what is said on it. */
#ifndef GODOT_REDIS_CONN_H
#define GODOT_REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct redis_conn_events {
  void (*on_up)(void *arg);                                   /* connected */
  void (*on_bytes)(const char *bytes, size_t len, void *arg); /* borrowed */
  void (*on_down)(const char *reason, void *arg);             /* lost, or one more attempt has failed */
} redis_conn_events_t;

/* Embedded in its owner; all fields are private. */
typedef struct redis_conn {
  uv_loop_t *loop;
  const char *host; /* borrowed */
  int port;
  const redis_conn_events_t *events; /* borrowed */
  void *arg;
  uv_timer_t timer; /* the pause between attempts, or the deadline of one */
  uv_getaddrinfo_t resolver;
  bool resolving;
  struct addrinfo *addresses;  /* ours, while an attempt goes on */
  struct addrinfo *next;       /* the one to try next */
  struct redis_socket *socket; /* that of this attempt, or NULL */
  bool up;
  unsigned failures; /* in a row */
  bool closing;
  int open; /* handles and requests that are not closed yet */
  void (*on_closed)(void *arg);
  void *closed_arg;
  char buffer[65536]; /* what was read; handed on before the next read */
} redis_conn_t;

/* host and events are borrowed for the conn's life. From here on the conn has to be closed before its memory
 * goes. */
void redis_conn_init(redis_conn_t *conn, uv_loop_t *loop, const char *host, int port,
                     const redis_conn_events_t *events, void *arg);

/* Connects, and connects again after every loss, for ever. */
void redis_conn_start(redis_conn_t *conn);

/* Sends bytes, which are malloc's and stolen. Nonzero: the conn is not up, or there is no memory. A write
 * that fails later takes the conn down. */
int redis_conn_send(redis_conn_t *conn, char *bytes, size_t len);

/* Gives the connection up and tries anew; on_down is called before this returns. Nothing while it is down. */
void redis_conn_reset(redis_conn_t *conn, const char *reason);

/* Ends the conn; no event fires any more, then cb, once, which may free the memory. A name that is just being
 * resolved is waited for. */
void redis_conn_close(redis_conn_t *conn, void (*cb)(void *arg), void *arg);

#endif
