/* utf8.h: UTF-8 validity of text that comes in pieces. */
#ifndef MCP_UTF8_H
#define MCP_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mcp__utf8 {
  uint8_t missing;   /* continuation bytes still to come; 0: at a character's boundary */
  uint8_t low, high; /* what the next of them may be */
} mcp__utf8_t;

/* Goes on with the next piece; a zeroed state starts. False: invalid at the first byte that proves it. */
bool mcp__utf8_feed(mcp__utf8_t *state, const void *data, size_t len);
bool mcp__utf8_valid(const void *data, size_t len); /* a whole text */

#endif
