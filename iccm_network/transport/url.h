/* url.h: parses URLs of ws://, wss://, http:// and https://; pure. */
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

/* Addresses of Godot that are tried if GODOT_URL is not set. */
#define MCP__URL_GODOT_DEFAULTS "ws://godot-mcp:9060,ws://localhost:9060"

typedef struct mcp__url {
  bool http;                     /* http:// or https://: MCP over Streamable HTTP */
  bool tls;                      /* wss:// or https:// */
  char host[MCP__URL_HOST_SIZE]; /* without brackets and zone, as in certificates */
  /* The host with its zone, "fe80::1%eth0", for connecting. A zone is local to this machine and is never sent
   * (RFC 6874 section 3). */
  char address[MCP__URL_HOST_SIZE];
  int port;
  char authority[MCP__URL_AUTHORITY_SIZE]; /* for the Host header */
  char path[MCP__URL_PATH_SIZE];           /* with the query; at least "/", or "/mcp" over HTTP */
} mcp__url_t;

/* Parses "ws://host:port/path". The scheme (default ws), the port (default 80, with TLS 443) and the path are
 * optional. An IPv6 address is in brackets, its optional zone after %25 (RFC 6874) or %. Returns 0, or
 * MCP_EURL with a message in problem. */
int mcp__url_parse(const char *text, mcp__url_t *url, char *problem, size_t size);

/* Parses a comma-separated list of up to MCP__URL_MAX_COUNT URLs, with or without blanks. After a path or
 * query, a comma is a separator only if a scheme follows. Free *urls with mcp__free(). Returns 0,
 * UV_ENOMEM, or MCP_EURL with a message in problem. */
int mcp__urls_parse(const char *list, mcp__url_t **urls, unsigned *count, char *problem, size_t size);

#endif
