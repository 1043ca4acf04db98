/* conn_http.h: a connection of a server while it speaks HTTP: one request after the other, each with its
 * body, its session and its response. Part of conn. */
#ifndef MCP_CONN_HTTP_H
#define MCP_CONN_HTTP_H

#include "server/http_exchange.h"
#include "server/http_sessions.h"

enum {
  MCP__HTTP_KEEP_ALIVE_MS = 60000 /* between two requests of a connection */
};

typedef struct mcp__conn mcp__conn_t;

typedef enum mcp__http_phase {
  MCP__HTTP_READS_HEAD, /* or waits for it */
  MCP__HTTP_READS_BODY,
  MCP__HTTP_BUSY /* the request is being served: the next one is not read */
} mcp__http_phase_t;

typedef struct mcp__conn_http {
  mcp__exchange_t exchange;
  mcp__http_phase_t phase;
  uint64_t since_ms; /* waits since then for a head, or reads it */
  mcp__buf_t body;
  mcp__http_session_t *session; /* that serves the request, held; NULL: the connection's own */
  bool is_admitted;             /* has sent a request for MCP */
} mcp__conn_http_t;

/* From HANDSHAKE, or a later request: answers with a page. type NULL: no body. */
void mcp__conn_http_respond(mcp__conn_t *conn, int status, const char *type, const char *body, size_t len);
/* A POST, a DELETE or a GET of a stream, whose head is complete and which is authorized. */
void mcp__conn_http_request(mcp__conn_t *conn);
/* Takes the next bytes of a body. Returns how many it used: 0 while it is busy, or without memory. */
size_t mcp__conn_http_take_body(mcp__conn_t *conn, const char *data, size_t len);
/* Output was written: serves what waited for room. Returns whether more input can be taken. */
bool mcp__conn_http_resume(mcp__conn_t *conn);
void mcp__conn_http_before_write(mcp__conn_t *conn);
void mcp__conn_http_tick(mcp__conn_t *conn, uint64_t now_ms);
void mcp__conn_http_stop(mcp__conn_t *conn, bool at_once);
/* The connection is closing: its request loses its origin. */
void mcp__conn_http_end(mcp__conn_t *conn);
void mcp__conn_http_free(mcp__conn_t *conn);
bool mcp__conn_http_is_idle(const mcp__conn_t *conn); /* nothing of a next request has come */

#endif
