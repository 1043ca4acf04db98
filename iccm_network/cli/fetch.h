/* fetch.h: one page of a server's plain HTTP, on the port of its WebSocket. */
#ifndef ICCM_CLI_FETCH_H
#define ICCM_CLI_FETCH_H

#include <iccm_network.h>
#include "options.h"
#include "base/buf.h"

enum { FETCH_MAX_BYTES = 20 << 20, FETCH_ERROR_SIZE = 600 };

typedef struct fetch_result {
  struct net *net; /* owned */
  int status;      /* 0, or what a client would have said: MCP_ECONNECT, MCP_ETLS, MCP_EREFUSED, … */
  int http_status; /* the status that the server answered; 0: none came */
  char error[FETCH_ERROR_SIZE]; /* where status is not 0 */
  mcp_stage_t stage;
  mcp__buf_t response; /* head and body; owned */
  size_t body_offset;  /* where in answer that begins */
} fetch_result_t;

/* Gets path of the server at options->url, or of Godot where that is NULL, with its token and by TLS where
 * that is wss://, within options->timeout_ms. True where the answer was 200. */
bool fetch(const options_t *options, const char *path, fetch_result_t *fetched);
/* Frees what that made. The last thing to do: it ends the process with exit_code where a resolver hangs. */
void fetch_free(fetch_result_t *fetched, int exit_code);

#endif
