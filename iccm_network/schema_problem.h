/* schema_problem.h: the text of a problem, and places in a JSON value. */
#ifndef MCP_SCHEMA_PROBLEM_H
#define MCP_SCHEMA_PROBLEM_H

#include "mem.h"

typedef struct mcp__problem {
  char *to; /* borrowed; ends in NUL at all times, unless limit is 0 */
  size_t len, limit;
  bool cut; /* a piece did not fit; none is taken any more */
} mcp__problem_t;

/* A chain on the stack, from a value up to the root. */
typedef struct mcp__place {
  const struct mcp__place *up; /* NULL: this is the root */
  const char *name;            /* NULL: an element of an array */
  size_t number;               /* length of the name, or index of the element */
} mcp__place_t;

mcp__place_t mcp__place_member(const mcp__place_t *at, const char *name, size_t len);
mcp__place_t mcp__place_element(const mcp__place_t *at, size_t index);

void mcp__problem_init(mcp__problem_t *problem, char *to, size_t size); /* size 0: the text is not wanted */

/* Begins a problem: the place as a JSON Pointer ("/" for the root), the value unless it is NULL, and words. A
 * long place leaves half of the room to the rest. False, for a check to return. */
bool mcp__problem_begin(mcp__problem_t *problem, const mcp__place_t *at, yyjson_val *value,
                        const char *words);

void mcp__problem_put(mcp__problem_t *problem, const char *ascii);
void mcp__problem_put_number(mcp__problem_t *problem, uint64_t number);
void mcp__problem_put_string(mcp__problem_t *problem, const char *string,
                             size_t len);                                /* in quotes, escaped */
void mcp__problem_put_value(mcp__problem_t *problem, yyjson_val *value); /* as JSON, cut */
void mcp__problem_put_values(mcp__problem_t *problem,
                             yyjson_val *array); /* its elements, parted by commas, cut */

#endif
