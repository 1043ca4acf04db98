/* json_contains.h: whether one JSON value contains another, as PostgreSQL's @> means it. */
#ifndef DEWEY_JSON_CONTAINS_H
#define DEWEY_JSON_CONTAINS_H

#include <stdbool.h>
#include <yyjson.h>

/* Objects: each member of wanted is in value and contained by its namesake. Arrays: each item of wanted is
 * contained by some item of value. Anything else: equal, numbers by their worth (1 is 1.0). Costs at most the
 * product of both sizes. */
bool json_contains(yyjson_val *value, yyjson_val *wanted);

/* Of any size, also one that keeps its digits; and its worth as a double, infinite where none is so large. */
bool json_is_number(yyjson_val *value);
double json_number(yyjson_val *value);

#endif
