/* schema_error.h: the text of a problem, and places in a JSON value. */
#ifndef MCP_SCHEMA_ERROR_H
#define MCP_SCHEMA_ERROR_H

#include "base/mem.h"

typedef struct mcp__schema_error {
  char *to; /* borrowed; ends in NUL at all times, unless size is 0 */
  size_t size, len, limit;
  bool cut;       /* a piece did not fit; none is taken any more */
  bool of_schema; /* values are a schema's own, not a caller's: no secrets */
  bool bare;      /* place and value are known to the reader: words only */
  unsigned
      closeness; /* of what was begun last, for the choice among several: how far it came before it failed */
} mcp__schema_error_t;

/* A chain on the stack, from a value up to the root. */
typedef struct mcp__location {
  const struct mcp__location *up; /* NULL: this is the root */
  const char *name;               /* NULL: an element of an array */
  size_t number;                  /* length of the name, or index of the element */
  bool is_name;                   /* it is the name that is judged, not the member */
} mcp__location_t;

mcp__location_t mcp__location_member(const mcp__location_t *at, const char *name, size_t len);
mcp__location_t mcp__location_element(const mcp__location_t *at, size_t index);
unsigned mcp__location_closeness(const mcp__location_t *at); /* of a problem there: more for a deeper place */

void mcp__schema_error_init(mcp__schema_error_t *error, char *to,
                            size_t size); /* size 0: the text is not wanted */
void mcp__schema_error_clear(mcp__schema_error_t *error);

/* Begins a problem: the place as a JSON Pointer ("/" for the root), the value unless it is NULL, and words. A
 * long place leaves half of the room to the rest. False, for a check to return. */
bool mcp__schema_error_begin(mcp__schema_error_t *error, const mcp__location_t *at, yyjson_val *value,
                             const char *message);

/* The same for a value that marks another kind of thing altogether (const, enum): any other problem is
 * closer. */
bool mcp__schema_error_begin_other(mcp__schema_error_t *error, const mcp__location_t *at, yyjson_val *value,
                                   const char *message);

void mcp__schema_error_put(mcp__schema_error_t *error, const char *ascii);
void mcp__schema_error_put_number(mcp__schema_error_t *error, uint64_t number);
/* In quotes, escaped. */
void mcp__schema_error_put_string(mcp__schema_error_t *error, const char *string, size_t len);
void mcp__schema_error_put_value(mcp__schema_error_t *error, yyjson_val *value); /* as JSON, cut */
/* Its elements, parted by commas, cut. */
void mcp__schema_error_put_values(mcp__schema_error_t *error, yyjson_val *array);

/* Until the second at most max bytes are taken; what is cut ends in dots. */
size_t mcp__schema_error_begin_cut(mcp__schema_error_t *error, size_t max);
void mcp__schema_error_end_cut(mcp__schema_error_t *error, size_t outer);

#endif
