/* http_conns.h: the connections of a client to one HTTP server: opened as they are needed, up to a maximum.
 */
#ifndef MCP_HTTP_CONNS_H
#define MCP_HTTP_CONNS_H

#include "client/http_conn.h"
#include "client/link.h"
#include "transport/connector.h"

enum { MCP__HTTP_CONNS_MAX = 8 }; /* and one more for the stream of a session */

/* The owner's callbacks. */
typedef struct mcp__http_conns_events {
  const mcp__http_conn_events_t *conn; /* of each connection; on_freed has to call mcp__http_conns_remove() */
  void (*on_opened)(void *arg);        /* there may be one more connection */
  void (*on_failed)(int status, const char *problem, void *arg); /* no connection could be opened */
  void (*on_idle)(void *arg); /* the last handle of an attempt to connect has been closed */
  void *arg;
} mcp__http_conns_events_t;

typedef struct mcp__http_conns {
  const mcp__link_config_t *config;
  mcp__http_conns_events_t events;
  mcp__http_conn_t *table[MCP__HTTP_CONNS_MAX + 1];
  unsigned count;             /* includes closing ones */
  unsigned max;               /* MCP__HTTP_CONNS_MAX, or one more */
  mcp__connector_t connector; /* opens one connection at a time */
  bool connecting;
  uint64_t next_address_ms, connect_by_ms;
  uint64_t retry_ms;  /* no connection is opened before; 0: at once */
  int connect_status; /* not 0: opening a connection failed at once, which mcp__http_conns_tick() reports */
} mcp__http_conns_t;

/* config is borrowed. Takes ownership of the stream, which is the first connection, also on failure. 0 or
 * UV_ENOMEM; close it in either case. */
int mcp__http_conns_init(mcp__http_conns_t *conns, mcp__stream_t *stream, const mcp__link_config_t *config,
                         const mcp__http_conns_events_t *events);
/* Closes all connections: no callback but on_freed and on_idle follows. */
void mcp__http_conns_close(mcp__http_conns_t *conns);
bool mcp__http_conns_is_closed(const mcp__http_conns_t *conns);
void mcp__http_conns_remove(mcp__http_conns_t *conns, const mcp__http_conn_t *conn);

/* An idle connection; is_new: that has not been used yet. NULL: there is none. */
mcp__http_conn_t *mcp__http_conns_find_idle(const mcp__http_conns_t *conns, bool is_new);
bool mcp__http_conns_is_any_busy(const mcp__http_conns_t *conns);
/* Opens one more connection, if that is possible now; is_new: in place of an idle one, if need be. Calls no
 * callback. */
void mcp__http_conns_open(mcp__http_conns_t *conns, bool is_new);
void mcp__http_conns_pause(mcp__http_conns_t *conns, uint64_t ms); /* opens none for so long */

/* Checks the times; may call on_failed. mcp__http_conns_due_ms() says when to call it; UINT64_MAX: never. */
void mcp__http_conns_tick(mcp__http_conns_t *conns, uint64_t now_ms);
uint64_t mcp__http_conns_due_ms(const mcp__http_conns_t *conns, uint64_t now_ms);

size_t mcp__http_conns_backlog(const mcp__http_conns_t *conns); /* bytes that the kernel has not accepted */
bool mcp__http_conns_is_secured(const mcp__http_conns_t *conns);
void mcp__http_conns_set_reading(mcp__http_conns_t *conns, bool on);

#endif
