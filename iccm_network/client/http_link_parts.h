/* http_link_parts.h: the parts of a link over HTTP. http_link.c: its life, its times, requests on their way
 * to a connection; http_responses.c: responses and failures of requests. */
#ifndef MCP_HTTP_LINK_PARTS_H
#define MCP_HTTP_LINK_PARTS_H

#include "client/http_conns.h"
#include "client/http_tools.h"

enum {
  MCP__HTTP_DRAIN_MS = 1000 /* for the end of a stream behind its response, and of a session at close */
};

typedef enum mcp__http_phase {
  MCP__HTTP_DISCOVERING,
  MCP__HTTP_INITIALIZING, /* until the notification that it is complete was answered */
  MCP__HTTP_READY
} mcp__http_phase_t;

typedef struct mcp__http_link {
  mcp__link_t base; /* must be the first member */
  mcp__link_config_t config;
  const mcp__link_events_t *events;
  void *arg;
  mcp__io_t *io;
  uv_timer_t timer;
  mcp__http_phase_t phase;
  mcp__era_t era;
  const char *version;     /* NULL: not agreed on yet */
  char *session;           /* NULL: none */
  unsigned session_number; /* increases with each session */
  mcp__http_conns_t conns;
  mcp__exchange_queue_t waiting; /* for a connection, or for the end of the handshake */
  mcp__http_tools_t tools;
  bool fell_back;  /* server/discover was sent since initialize was refused */
  bool wants_conn; /* a request of the client waits */
  bool must_open;  /* on_open is due */
  bool ended;      /* lost or closed: no callback but on_freed follows */
  bool closing;    /* ended, but the session is ended first, until close_by_ms */
  bool shut;       /* all handles are closing */
  bool timer_closed;
  uint64_t close_by_ms;
} mcp__http_link_t;

/* http_link.c */
uint64_t mcp__http_link_now_ms(const mcp__http_link_t *link);
void mcp__http_link_lose(mcp__http_link_t *link, int status, const char *problem);
/* Lets the client initialize a session, in place of an earlier one. */
void mcp__http_link_begin_session(mcp__http_link_t *link);
/* Asks server/discover, since the server refused initialize. */
void mcp__http_link_fall_back(mcp__http_link_t *link);
/* Requests the stream of the session. */
void mcp__http_link_open_stream(mcp__http_link_t *link);
void mcp__http_link_end_stream(mcp__http_link_t *link);
/* Continues after an event: may call on_open and on_ready, or end a link that is closing. */
void mcp__http_link_proceed(mcp__http_link_t *link);

/* http_responses.c: events of a connection whose arg is the link */
void mcp__http_responses_on_event(mcp__http_conn_t *conn, mcp__buf_t *text, void *arg);
void mcp__http_responses_on_answer(mcp__http_conn_t *conn, const mcp__http_answer_t *answer, void *arg);
void mcp__http_responses_on_failed(mcp__http_conn_t *conn, bool began, int status, const char *problem,
                                   void *arg);

#endif
