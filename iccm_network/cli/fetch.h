/* fetch.h: HTTP GET on the port of a server's WebSocket. */
#ifndef ICCM_CLI_FETCH_H
#define ICCM_CLI_FETCH_H

#include <iccm_network.h>
#include "options.h"
#include "base/buf.h"

enum { FETCH_MAX_BYTES = 20 << 20, FETCH_ERROR_SIZE = 600 };

typedef struct fetch_result {
  struct net *net;              /* owned */
  int status;                   /* 0, or the error of a client: MCP_ECONNECT, MCP_ETLS, MCP_EREFUSED, … */
  int http_status;              /* 0: no response */
  char error[FETCH_ERROR_SIZE]; /* if status is not 0 */
  mcp_stage_t stage;
  mcp__buf_t response; /* head and body; owned */
  size_t body_offset;  /* in response */
} fetch_result_t;

/* Requests path from the server at options->url, or from Godot if that is NULL; with the token; with TLS if
 * the URL is wss://; within options->timeout_ms. True: the status was 200. */
bool fetch(const options_t *options, const char *path, fetch_result_t *fetched);
/* Frees the result. Call it last: it ends the process with exit_code if name resolution hangs. */
void fetch_free(fetch_result_t *fetched, int exit_code);

#endif
