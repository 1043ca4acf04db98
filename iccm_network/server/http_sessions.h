/* http_sessions.h: the sessions of MCP over HTTP up to 2025-11-25, which outlive their connections: by id,
 * limited in number and idle time. */
#ifndef MCP_HTTP_SESSIONS_H
#define MCP_HTTP_SESSIONS_H

#include "server/session.h"

enum {
  MCP__HTTP_MAX_SESSIONS = 4096,       /* of a server; a further one replaces the one that is idle longest */
  MCP__HTTP_SESSION_IDLE_MS = 1800000, /* without a request or stream; then the session ends */
  MCP__HTTP_SESSION_MIN_MS = 60000,    /* it is not replaced before it was idle for this time */
  MCP__HTTP_SESSION_ID_SIZE = 33       /* 128 random bits in hexadecimal, with the NUL */
};

typedef struct mcp__http_session {
  mcp__session_t session; /* first member */
  struct mcp__http_session *prev, *next;
  char id[MCP__HTTP_SESSION_ID_SIZE];
  mcp__peer_t peer;
  bool is_temporary; /* it ends with its first request, unless that is initialize */
  unsigned requests; /* that are being served, a stream included */
  uint64_t used_ms;  /* when the last one of these ended */
} mcp__http_session_t;

typedef struct mcp__http_sessions {
  mcp__http_session_t *first; /* the one that was used last */
  size_t count;
} mcp__http_sessions_t;

/* Creates a session for the peer of a connection's session, whose address it holds. NULL: no memory, or all
 * are in use. */
mcp__http_session_t *mcp__http_sessions_new(mcp__http_sessions_t *all, const mcp__session_t *opener,
                                            const mcp__transport_t *transport, uint64_t now_ms);
/* Returns the session of this id that the token opened, or NULL. */
mcp__http_session_t *mcp__http_sessions_find(const mcp__http_sessions_t *all, const char *id,
                                             const mcp__token_t *token);
void mcp__http_session_keep(
    mcp__http_session_t *session); /* initialize was answered: not temporary any more */
/* A request or stream begins, and ends. */
void mcp__http_session_hold(mcp__http_sessions_t *all, mcp__http_session_t *session);
void mcp__http_session_release(mcp__http_session_t *session, uint64_t now_ms);
/* Ends a session without requests: abandons its calls and frees it. */
void mcp__http_sessions_end(mcp__http_sessions_t *all, mcp__http_session_t *session);
/* Ends those that were idle for too long or whose token has ended, and temporary ones; begins the calls that
 * wait. */
void mcp__http_sessions_tick(mcp__http_sessions_t *all, uint64_t now_ms);
void mcp__http_sessions_end_all(mcp__http_sessions_t *all); /* their requests have ended */

#endif
