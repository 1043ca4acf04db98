/* outgoing.h: a message that a client sends, in the form that the server's versions need; pure. */
#ifndef MCP_OUTGOING_H
#define MCP_OUTGOING_H

#include "base/buf.h"

/* The revision that requests follow. */
typedef enum mcp__era { MCP__ERA_MODERN, MCP__ERA_LEGACY } mcp__era_t;

/* A message to be sent. */
typedef struct mcp__outgoing {
  char *method;  /* NULL: a response */
  char *id;      /* its JSON text; NULL: a notification */
  char *name;    /* the value of Mcp-Name; NULL: none */
  char *cancels; /* JSON text of the id that notifications/cancelled names; else NULL */
  mcp__buf_t body;
} mcp__outgoing_t;

/* Reads a message; for a modern request the body gets the metadata of its params. A modern "ping", a method
 * that does not exist any more, becomes "server/discover". 0, UV_ENOMEM, MCP_EENCODE or MCP_ETOOBIG. */
int mcp__outgoing_read(mcp__outgoing_t *message, const char *text, size_t len, mcp__era_t era,
                       size_t max_bytes);
void mcp__outgoing_deinit(mcp__outgoing_t *message); /* a zeroed one is fine */

#endif
