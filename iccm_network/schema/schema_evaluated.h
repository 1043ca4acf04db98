/* schema_evaluated.h: which members or elements of the value that is being judged were evaluated, for
 * unevaluatedProperties and unevaluatedItems. */
#ifndef MCP_SCHEMA_EVALUATED_H
#define MCP_SCHEMA_EVALUATED_H

#include "schema/schema_rules.h"

enum { MCP__EVALUATED_INLINE_WORDS = 16 };

typedef struct mcp__evaluated {
  uint64_t *words;
  size_t count; /* members or elements */
  uint64_t few[MCP__EVALUATED_INLINE_WORDS];
} mcp__evaluated_t;

/* Room for so many marks, none of them set: on the heap where there are more than 1,024, at a step for each
 * 8. False: the check gave up. */
bool mcp__evaluated_open(mcp__evaluated_t *evaluated, size_t count, const mcp__location_t *at,
                         mcp__check_t *check);
void mcp__evaluated_close(mcp__evaluated_t *evaluated);

static inline void mcp__evaluated_set(mcp__evaluated_t *evaluated, size_t index) {
  evaluated->words[index / 64] |= UINT64_C(1) << index % 64;
}

/* Whether the schema fits the value that is being judged; only then what it evaluates is marked. */
bool mcp__evaluated_check(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check);

#endif
