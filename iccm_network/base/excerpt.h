/* excerpt.h: the beginning of received text, for messages; pure. */
#ifndef MCP_EXCERPT_H
#define MCP_EXCERPT_H

#include <stddef.h>

enum { MCP__EXCERPT_SIZE = 96 };

/* Writes as much of the text as fits, made safe for a terminal, followed by "…" if it was cut, and a NUL. */
void mcp__excerpt(char out[MCP__EXCERPT_SIZE], const char *text, size_t len);

#endif
