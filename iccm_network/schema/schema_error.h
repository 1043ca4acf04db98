/* schema_error.h: the text of an error, and locations in a JSON value. */
#ifndef MCP_SCHEMA_ERROR_H
#define MCP_SCHEMA_ERROR_H

#include "base/mem.h"

typedef struct mcp__schema_error {
  char *to; /* borrowed; always ends in NUL, unless size is 0 */
  size_t size, len, limit;
  bool cut;       /* a piece did not fit; later ones are ignored */
  bool of_schema; /* values belong to a schema, not to a caller: no redaction */
  bool bare;      /* location and value are known to the reader: write the message only */
  /* How far the check came into the value before the last error, to choose among several errors. */
  unsigned closeness;
} mcp__schema_error_t;

/* A linked list on the stack, from a value up to the root. */
typedef struct mcp__location {
  const struct mcp__location *up; /* NULL: this is the root */
  const char *name;               /* NULL: an element of an array */
  size_t number;                  /* length of the name, or index of the element */
  bool is_name;                   /* the name is checked, not the member */
} mcp__location_t;

mcp__location_t mcp__location_member(const mcp__location_t *at, const char *name, size_t len);
mcp__location_t mcp__location_element(const mcp__location_t *at, size_t index);
/* closeness of an error at this location: larger if it is deeper */
unsigned mcp__location_closeness(const mcp__location_t *at);

/* Size 0: no text is written. */
void mcp__schema_error_init(mcp__schema_error_t *error, char *to, size_t size);
void mcp__schema_error_clear(mcp__schema_error_t *error);

/* Begins an error: the location as a JSON Pointer ("/" for the root), the value unless it is NULL, and a
 * message. A long location leaves half of the buffer to the rest. Returns false, for a check to return. */
bool mcp__schema_error_begin(mcp__schema_error_t *error, const mcp__location_t *at, yyjson_val *value,
                             const char *message);

/* The same for a mismatch that indicates another kind of value (const, enum): any other error counts as
 * closer. */
bool mcp__schema_error_begin_other(mcp__schema_error_t *error, const mcp__location_t *at, yyjson_val *value,
                                   const char *message);

void mcp__schema_error_put(mcp__schema_error_t *error, const char *ascii);
void mcp__schema_error_put_number(mcp__schema_error_t *error, uint64_t number);
/* Quoted and escaped. */
void mcp__schema_error_put_string(mcp__schema_error_t *error, const char *string, size_t len);
void mcp__schema_error_put_value(mcp__schema_error_t *error, yyjson_val *value); /* as JSON, truncated */
/* Its elements, separated by commas, truncated. */
void mcp__schema_error_put_values(mcp__schema_error_t *error, yyjson_val *array);

/* Between the two calls at most max bytes are written; truncated text ends with "…". */
size_t mcp__schema_error_begin_cut(mcp__schema_error_t *error, size_t max);
void mcp__schema_error_end_cut(mcp__schema_error_t *error, size_t outer);

#endif
