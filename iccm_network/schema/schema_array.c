/* schema_array.c: array keywords except uniqueItems: counts, items by position, other items, contains. */
#include "schema/schema_integers.h"
#include "schema/schema_evaluated.h"

#include <errno.h>

/* ---- minItems, maxItems ---- */

static bool check_min_items(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                            mcp__check_t *check) {
  return !yyjson_is_arr(value) || yyjson_arr_size(value) >= validator->count ||
         mcp__refuse_count(check->error, at, yyjson_arr_size(value), " items are less than the minimum ",
                           validator->count);
}

static bool check_max_items(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                            mcp__check_t *check) {
  return !yyjson_is_arr(value) || yyjson_arr_size(value) <= validator->count ||
         mcp__refuse_count(check->error, at, yyjson_arr_size(value), " items are more than the maximum ",
                           validator->count);
}

/* ---- prefixItems, items, additionalItems ----
 *
 * One rule: in draft-07 an array of schemas in items means prefixItems, and additionalItems means items. */

typedef struct items {
  mcp__node_list_t first;
  const mcp__node_t *rest; /* NULL: anything */
} items_t;

static int compile_items(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                         mcp__validator_t *validator) {
  mcp__keyword_t first = mcp__keyword_find(keyword->schema, keyword->at, "prefixItems");
  mcp__keyword_t rest = mcp__keyword_find(keyword->schema, keyword->at, "items");
  items_t *items = mcp__arena_alloc(compiler->arena, sizeof *items);
  if (items == NULL)
    return -ENOMEM;
  if (first.value == NULL && yyjson_is_arr(rest.value)) {
    first = rest;
    rest = mcp__keyword_find(keyword->schema, keyword->at, "additionalItems");
  }
  *items = (items_t){{NULL, 0}, NULL};
  validator->data = items;
  int status =
      first.value != NULL ? mcp__compile_list(compiler, first.value, &first.location, &items->first) : 0;
  if (status == 0 && rest.value != NULL)
    status = mcp__compile_node(compiler, rest.value, &rest.location, &items->rest);
  return status;
}

/* evaluated is NULL if the schema does not track. */
MCP__SCHEMA_INLINE bool validate_items(const items_t *items, yyjson_val *value, const mcp__location_t *at,
                                       mcp__check_t *check, mcp__evaluated_t *evaluated) {
  size_t index, max;
  yyjson_val *element;
  yyjson_arr_foreach(value, index, max, element) {
    mcp__location_t location = mcp__location_element(at, index);
    const mcp__node_t *node = index < items->first.count ? items->first.nodes[index] : items->rest;
    if (node == NULL)
      break;
    if (!mcp__check_value(node, element, &location, check))
      return false;
    if (evaluated != NULL)
      mcp__evaluated_set(evaluated, index);
  }
  return true;
}

static bool check_items(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check) {
  return !yyjson_is_arr(value) || validate_items(validator->data, value, at, check, NULL);
}

static bool check_items_tracking(const mcp__validator_t *validator, yyjson_val *value,
                                 const mcp__location_t *at, mcp__check_t *check) {
  mcp__evaluated_t *evaluated = check->evaluated;
  check->evaluated = NULL; /* the set belongs to the value, not to its elements */
  bool fine = !yyjson_is_arr(value) || validate_items(validator->data, value, at, check, evaluated);
  check->evaluated = evaluated;
  return fine;
}

/* ---- contains, minContains, maxContains ---- */

typedef struct contained {
  const mcp__node_t *node;
  uint64_t min, max;
} contained_t;

static int compile_bound(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, const char *name,
                         uint64_t *bound) {
  mcp__validator_t read = {.count = *bound};
  mcp__keyword_t found = mcp__keyword_find(keyword->schema, keyword->at, name);
  int status = found.value != NULL ? mcp__compile_count(compiler, &found, &read) : 0;
  *bound = read.count;
  return status;
}

static int compile_contains(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                            mcp__validator_t *validator) {
  mcp__keyword_t contains = mcp__keyword_find(keyword->schema, keyword->at, "contains");
  contained_t *contained = mcp__arena_alloc(compiler->arena, sizeof *contained);
  if (contained == NULL)
    return -ENOMEM;
  *contained = (contained_t){NULL, 1, UINT64_MAX};
  validator->data = contained;
  int status = compile_bound(compiler, keyword, "minContains", &contained->min);
  if (status == 0)
    status = compile_bound(compiler, keyword, "maxContains", &contained->max);
  if (contains.value == NULL)
    validator->check = NULL; /* without contains the bounds have no effect */
  else if (status == 0)
    status = mcp__compile_node(compiler, contains.value, &contains.location, &contained->node);
  return status;
}

/* Counts the matching elements; without tracking, only until the result is decided. */
MCP__SCHEMA_INLINE size_t count_matches(const contained_t *contained, yyjson_val *value,
                                        const mcp__location_t *at, mcp__check_t *check,
                                        mcp__evaluated_t *evaluated) {
  mcp__schema_error_t *outer = check->error, silent;
  size_t index, max, matches = 0;
  yyjson_val *element;
  mcp__schema_error_init(&silent, NULL, 0);
  check->error = &silent;
  yyjson_arr_foreach(value, index, max, element) {
    bool enough = matches >= contained->min && contained->max == UINT64_MAX && evaluated == NULL;
    if (check->gave_up || matches > contained->max || enough)
      break;
    mcp__location_t location = mcp__location_element(at, index);
    uint64_t marked_integers = check->marked_integers;
    if (!mcp__check_value(contained->node, element, &location, check)) {
      mcp__integers_unmark(element, &check->marked_integers, marked_integers);
      continue;
    }
    matches++;
    if (evaluated != NULL)
      mcp__evaluated_set(evaluated, index);
  }
  check->error = outer;
  return matches;
}

static bool validate_count(const contained_t *contained, size_t matches, const mcp__location_t *at,
                           mcp__check_t *check) {
  if (check->gave_up)
    return false;
  if (matches > contained->max)
    return mcp__refuse_count(check->error, at, matches,
                             " items that fit \"contains\" are more than the maximum ", contained->max);
  return matches >= contained->min ||
         mcp__refuse_count(check->error, at, matches,
                           " items that fit \"contains\" are less than the minimum ", contained->min);
}

static bool check_contains(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                           mcp__check_t *check) {
  return !yyjson_is_arr(value) ||
         validate_count(validator->data, count_matches(validator->data, value, at, check, NULL), at, check);
}

static bool check_contains_tracking(const mcp__validator_t *validator, yyjson_val *value,
                                    const mcp__location_t *at, mcp__check_t *check) {
  mcp__evaluated_t *evaluated = check->evaluated;
  if (!yyjson_is_arr(value))
    return true;
  check->evaluated = NULL;
  size_t matches = count_matches(validator->data, value, at, check, evaluated);
  check->evaluated = evaluated;
  return validate_count(validator->data, matches, at, check);
}

/* ---- uniqueItems ---- */

static int compile_unique(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                          mcp__validator_t *validator) {
  if (!yyjson_is_bool(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not a boolean");
  if (yyjson_is_false(keyword->value))
    validator->check = NULL;
  return 0;
}

const mcp__rule_t mcp__array_rules[] = {
    {{"minItems"}, mcp__compile_count, check_min_items, NULL},
    {{"maxItems"}, mcp__compile_count, check_max_items, NULL},
    {{"uniqueItems"}, compile_unique, mcp__check_unique, NULL},
    {{"prefixItems", "items", "additionalItems"}, compile_items, check_items, check_items_tracking},
    {{"contains", "minContains", "maxContains"}, compile_contains, check_contains, check_contains_tracking},
    {{NULL}, NULL, NULL, NULL},
};
