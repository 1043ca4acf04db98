/* schema_evaluated.h: tracks which members or elements of the value being checked were evaluated, for
 * unevaluatedProperties and unevaluatedItems. */
#ifndef MCP_SCHEMA_EVALUATED_H
#define MCP_SCHEMA_EVALUATED_H

#include "schema/schema_rules.h"

enum { MCP__EVALUATED_INLINE_WORDS = 16 };

typedef struct mcp__evaluated {
  uint64_t *words;
  size_t count; /* members or elements */
  uint64_t inline_words[MCP__EVALUATED_INLINE_WORDS];
} mcp__evaluated_t;

/* Initializes a bit set of count bits. More than 1,024 bits are allocated on the heap, at one step for each 8
 * bits. False: the check gave up. */
bool mcp__evaluated_open(mcp__evaluated_t *evaluated, size_t count, const mcp__location_t *at,
                         mcp__check_t *check);
void mcp__evaluated_close(mcp__evaluated_t *evaluated);

static inline void mcp__evaluated_set(mcp__evaluated_t *evaluated, size_t index) {
  evaluated->words[index / 64] |= UINT64_C(1) << index % 64;
}

/* Whether the value being checked is valid for the schema; only then the members or elements that the schema
 * evaluates are added. */
bool mcp__evaluated_check(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check);

#endif
