/* schema_pattern.h: regular expressions on PCRE2 with limits on work and memory. */
#ifndef MCP_SCHEMA_PATTERN_H
#define MCP_SCHEMA_PATTERN_H

#include "base/arena.h"

typedef struct mcp__pattern {
  struct pcre2_real_code_8 *code; /* in the arena */
  yyjson_val *text;               /* borrowed */
} mcp__pattern_t;

typedef enum mcp__match {
  MCP__MATCH_NONE,
  MCP__MATCH_FOUND,
  MCP__MATCH_TOO_LONG,  /* the steps were used up */
  MCP__MATCH_TOO_LARGE, /* more memory than MCP__SCHEMA_PATTERN_KIB was needed */
  MCP__MATCH_NO_MEMORY,
} mcp__match_t;

/* Compiles the expression, a string, into the arena. 0, -ENOMEM, or -EINVAL: then message (cut to size)
 * continues a sentence that begins with the expression. */
int mcp__pattern_new(mcp__arena_t *arena, yyjson_val *text, mcp__pattern_t *out, char *message, size_t size);

/* Whether the expression matches anywhere in the string, which must be valid UTF-8. Decrements *steps by the
 * work done. */
mcp__match_t mcp__pattern_find(const mcp__pattern_t *pattern, yyjson_val *string, uint64_t *steps);

#endif
