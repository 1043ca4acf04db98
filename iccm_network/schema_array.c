/* schema_array.c: keywords of arrays but for uniqueItems: counts, items by position and the rest, contains.
 */
#include "schema_rules.h"

#include <errno.h>

/* ---- minItems, maxItems ---- */

static bool check_min_items(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                            mcp__check_t *check) {
  return !yyjson_is_arr(value) || yyjson_arr_size(value) >= step->count ||
         mcp__refuse_count(check->problem, at, yyjson_arr_size(value), " items are less than the minimum ",
                           step->count);
}

static bool check_max_items(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                            mcp__check_t *check) {
  return !yyjson_is_arr(value) || yyjson_arr_size(value) <= step->count ||
         mcp__refuse_count(check->problem, at, yyjson_arr_size(value), " items are more than the maximum ",
                           step->count);
}

/* ---- prefixItems, items, additionalItems ----
 * One rule: in draft-07 an array of schemas in items is what prefixItems is now, and additionalItems is
 * items. */

typedef struct items {
  mcp__list_t first;
  const mcp__node_t *rest; /* NULL: anything */
} items_t;

static int compile_items(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  mcp__site_t first = mcp__site(site->schema, site->at, "prefixItems");
  mcp__site_t rest = mcp__site(site->schema, site->at, "items");
  items_t *items = mcp__arena_alloc(compiler->arena, sizeof *items);
  if (items == NULL)
    return -ENOMEM;
  if (first.value == NULL && yyjson_is_arr(rest.value)) {
    first = rest;
    rest = mcp__site(site->schema, site->at, "additionalItems");
  }
  *items = (items_t){{NULL, 0}, NULL};
  step->data = items;
  int status = first.value != NULL ? mcp__compile_list(compiler, first.value, &first.here, &items->first) : 0;
  if (status == 0 && rest.value != NULL)
    status = mcp__compile_node(compiler, rest.value, &rest.here, &items->rest);
  return status;
}

static bool check_items(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                        mcp__check_t *check) {
  const items_t *items = step->data;
  size_t index, max;
  yyjson_val *element;
  if (!yyjson_is_arr(value))
    return true;
  yyjson_arr_foreach(value, index, max, element) {
    mcp__place_t here = mcp__place_element(at, index);
    const mcp__node_t *node = index < items->first.count ? items->first.nodes[index] : items->rest;
    if (node == NULL)
      break;
    if (!mcp__check_value(node, element, &here, check))
      return false;
  }
  return true;
}

/* ---- contains, minContains, maxContains ---- */

typedef struct contained {
  const mcp__node_t *node;
  uint64_t min, max;
} contained_t;

static int compile_bound(mcp__compiler_t *compiler, const mcp__site_t *site, const char *keyword,
                         uint64_t *bound) {
  mcp__step_t read = {.count = *bound};
  mcp__site_t here = mcp__site(site->schema, site->at, keyword);
  int status = here.value != NULL ? mcp__compile_count(compiler, &here, &read) : 0;
  *bound = read.count;
  return status;
}

static int compile_contains(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  mcp__site_t contains = mcp__site(site->schema, site->at, "contains");
  contained_t *contained = mcp__arena_alloc(compiler->arena, sizeof *contained);
  if (contained == NULL)
    return -ENOMEM;
  *contained = (contained_t){NULL, 1, UINT64_MAX};
  step->data = contained;
  int status = compile_bound(compiler, site, "minContains", &contained->min);
  if (status == 0)
    status = compile_bound(compiler, site, "maxContains", &contained->max);
  if (contains.value == NULL)
    step->check = NULL; /* the bounds alone say nothing */
  else if (status == 0)
    status = mcp__compile_node(compiler, contains.value, &contains.here, &contained->node);
  return status;
}

static bool check_contains(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                           mcp__check_t *check) {
  const contained_t *contained = step->data;
  mcp__problem_t *outer = check->problem, silent;
  size_t index, max, fits = 0;
  yyjson_val *element;
  if (!yyjson_is_arr(value))
    return true;
  mcp__problem_init(&silent, NULL, 0);
  check->problem = &silent;
  yyjson_arr_foreach(value, index, max, element) {
    if (check->gave_up || fits > contained->max || (fits >= contained->min && contained->max == UINT64_MAX))
      break;
    mcp__place_t here = mcp__place_element(at, index);
    fits += mcp__check_value(contained->node, element, &here, check);
  }
  check->problem = outer;
  if (check->gave_up)
    return false;
  if (fits > contained->max)
    return mcp__refuse_count(outer, at, fits, " items that fit \"contains\" are more than the maximum ",
                             contained->max);
  return fits >= contained->min ||
         mcp__refuse_count(outer, at, fits, " items that fit \"contains\" are less than the minimum ",
                           contained->min);
}

/* ---- uniqueItems ---- */

static int compile_unique(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  if (!yyjson_is_bool(site->value))
    return mcp__malformed(compiler, &site->here, site->value, " is not a boolean");
  if (yyjson_is_false(site->value))
    step->check = NULL;
  return 0;
}

const mcp__rule_t mcp__array_rules[] = {
    {{"minItems"}, mcp__compile_count, check_min_items},
    {{"maxItems"}, mcp__compile_count, check_max_items},
    {{"uniqueItems"}, compile_unique, mcp__check_unique},
    {{"prefixItems", "items", "additionalItems"}, compile_items, check_items},
    {{"contains", "minContains", "maxContains"}, compile_contains, check_contains},
    {{NULL}, NULL, NULL},
};
