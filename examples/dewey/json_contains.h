/* json_contains.h: tells whether one JSON value contains another, with the rules of PostgreSQL's @>. */
#ifndef DEWEY_JSON_CONTAINS_H
#define DEWEY_JSON_CONTAINS_H

#include <stdbool.h>
#include <yyjson.h>

/* Objects: value has each member of wanted, and contains its value. Arrays: each item of wanted is
 * contained in some item of value. Other values must be equal; numbers compare by value (1 is 1.0). Costs
 * at most the product of both sizes. */
bool json_contains(yyjson_val *value, yyjson_val *wanted);

/* Numbers of any size, raw ones with all their digits included; json_number converts to double, which may
 * be infinite. */
bool json_is_number(yyjson_val *value);
double json_number(yyjson_val *value);

#endif
