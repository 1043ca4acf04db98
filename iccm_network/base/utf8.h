/* utf8.h: validates UTF-8 text that arrives in pieces; pure. */
#ifndef MCP_UTF8_H
#define MCP_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mcp__utf8 {
  uint8_t missing;   /* continuation bytes still expected; 0: at a character boundary */
  uint8_t low, high; /* the range of the next continuation byte */
} mcp__utf8_t;

/* Validates the next piece; a zeroed state is the start. Returns false at the first invalid byte. */
bool mcp__utf8_feed(mcp__utf8_t *state, const void *data, size_t len);
bool mcp__utf8_valid(const void *data, size_t len); /* a complete text */

#endif
