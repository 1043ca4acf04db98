/* url.h: ws://host:port/path, or wss://, taken apart; pure. */
#ifndef MCP_URL_H
#define MCP_URL_H

#include <stdbool.h>
#include <stddef.h>

enum {
  MCP__URL_MAX_COUNT = 8,
  MCP__URL_HOST_SIZE = 256,
  MCP__URL_AUTHORITY_SIZE = 272,
  MCP__URL_PATH_SIZE = 1024
};

/* Where Godot is looked for unless GODOT_URL says it. */
#define MCP__URL_GODOT_DEFAULTS "ws://godot-mcp:9060,ws://localhost:9060"

typedef struct mcp__url {
  bool tls;                      /* wss:// */
  char host[MCP__URL_HOST_SIZE]; /* without brackets and zone: what certificates are for */
  /* The same with the zone, "fe80::1%eth0": where to connect. It means something on this machine alone, and
   * is sent nowhere (RFC 6874 section 3). */
  char address[MCP__URL_HOST_SIZE];
  int port;
  char authority[MCP__URL_AUTHORITY_SIZE]; /* as the Host header wants it */
  char path[MCP__URL_PATH_SIZE];           /* with the query; "/" at least */
} mcp__url_t;

/* Reads "ws://host:port/path"; scheme, port (80, wss: 443) and path may be missing, an IPv6 address stands in
 * brackets, with its zone, if any, behind %25 (RFC 6874) or %. 0 or MCP_EURL with the problem in words. */
int mcp__url_parse(const char *text, mcp__url_t *url, char *problem, size_t size);

/* Reads up to MCP__URL_MAX_COUNT of them, parted by commas with blanks or without: behind a path or query a
 * comma parts where ws:// or wss:// follows, any other belongs to it. *urls is freed by mcp__free(). 0,
 * UV_ENOMEM, or MCP_EURL with the problem in words. */
int mcp__urls_parse(const char *list, mcp__url_t **urls, unsigned *count, char *problem, size_t size);

#endif
