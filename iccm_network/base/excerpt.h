/* excerpt.h: the beginning of what a peer sent, for people; pure. */
#ifndef MCP_EXCERPT_H
#define MCP_EXCERPT_H

#include <stddef.h>

enum { MCP__EXCERPT_SIZE = 96 };

/* Writes as much of the text as has room, made safe for a terminal, with "…" behind it where it was cut, and
 * a NUL. */
void mcp__excerpt(char out[MCP__EXCERPT_SIZE], const char *text, size_t len);

#endif
