/* fetch.h: one page of a server's plain HTTP, on the port of its WebSocket. */
#ifndef ICCM_CLI_FETCH_H
#define ICCM_CLI_FETCH_H

#include <iccm_network.h>
#include "options.h"
#include "base/buf.h"

enum { FETCH_MAX_BYTES = 20 << 20, FETCH_PROBLEM_SIZE = 600 };

typedef struct fetched {
  struct net *net; /* owned */
  int status;      /* 0, or what a client would have said: MCP_ECONNECT, MCP_ETLS, MCP_EREFUSED, … */
  int http;        /* the status that the server answered; 0: none came */
  char problem[FETCH_PROBLEM_SIZE]; /* where status is not 0 */
  mcp_stage_t reached;
  mcp__buf_t answer; /* head and body; owned */
  size_t body;       /* where in answer that begins */
} fetched_t;

/* Gets path of the server at options->url, or of Godot where that is NULL, with its token and by TLS where
 * that is wss://, within options->timeout_ms. True where the answer was 200. */
bool fetch(const options_t *options, const char *path, fetched_t *fetched);
/* Frees what that made. The last thing to do: it ends the process with exit_code where a resolver hangs. */
void fetch_end(fetched_t *fetched, int exit_code);

#endif
