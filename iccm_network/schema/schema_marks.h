/* schema_marks.h: which members or elements of the value that is being judged were evaluated, for
 * unevaluatedProperties and unevaluatedItems. */
#ifndef MCP_SCHEMA_MARKS_H
#define MCP_SCHEMA_MARKS_H

#include "schema/schema_rules.h"

enum { MCP__MARKS_FEW = 16 };

typedef struct mcp__marks {
  uint64_t *words;
  size_t count; /* members or elements */
  uint64_t few[MCP__MARKS_FEW];
} mcp__marks_t;

/* Room for so many marks, none of them set: on the heap where there are more than 1,024, at a step for each
 * 8. False: the check gave up. */
bool mcp__marks_open(mcp__marks_t *marks, size_t count, const mcp__place_t *at, mcp__check_t *check);
void mcp__marks_close(mcp__marks_t *marks);

static inline void mcp__marks_set(mcp__marks_t *marks, size_t index) {
  marks->words[index / 64] |= UINT64_C(1) << index % 64;
}

/* Whether the schema fits the value that is being judged; only then what it evaluates is marked. */
bool mcp__marks_fit(const mcp__node_t *node, yyjson_val *value, const mcp__place_t *at, mcp__check_t *check);

#endif
