/* schema_array.c: keywords of arrays but for uniqueItems: counts, items by position and the rest, contains.
 */
#include "schema/schema_integers.h"
#include "schema/schema_marks.h"

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

/* Marks are NULL in a schema that collects none. */
MCP__FOR_BOTH bool judge_items(const items_t *items, yyjson_val *value, const mcp__place_t *at,
                               mcp__check_t *check, mcp__marks_t *marks) {
  size_t index, max;
  yyjson_val *element;
  yyjson_arr_foreach(value, index, max, element) {
    mcp__place_t here = mcp__place_element(at, index);
    const mcp__node_t *node = index < items->first.count ? items->first.nodes[index] : items->rest;
    if (node == NULL)
      break;
    if (!mcp__check_value(node, element, &here, check))
      return false;
    if (marks != NULL)
      mcp__marks_set(marks, index);
  }
  return true;
}

static bool check_items(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                        mcp__check_t *check) {
  return !yyjson_is_arr(value) || judge_items(step->data, value, at, check, NULL);
}

static bool check_items_collecting(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                                   mcp__check_t *check) {
  mcp__marks_t *marks = check->marks;
  check->marks = NULL; /* these are the value's, not its elements' */
  bool fine = !yyjson_is_arr(value) || judge_items(step->data, value, at, check, marks);
  check->marks = marks;
  return fine;
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

/* How many elements fit; where there are no marks to set, only until that is decided. */
MCP__FOR_BOTH size_t count_fits(const contained_t *contained, yyjson_val *value, const mcp__place_t *at,
                                mcp__check_t *check, mcp__marks_t *marks) {
  mcp__problem_t *outer = check->problem, silent;
  size_t index, max, fits = 0;
  yyjson_val *element;
  mcp__problem_init(&silent, NULL, 0);
  check->problem = &silent;
  yyjson_arr_foreach(value, index, max, element) {
    bool enough = fits >= contained->min && contained->max == UINT64_MAX && marks == NULL;
    if (check->gave_up || fits > contained->max || enough)
      break;
    mcp__place_t here = mcp__place_element(at, index);
    uint64_t integers = check->integers;
    if (!mcp__check_value(contained->node, element, &here, check)) {
      mcp__integers_forget(element, &check->integers, integers);
      continue;
    }
    fits++;
    if (marks != NULL)
      mcp__marks_set(marks, index);
  }
  check->problem = outer;
  return fits;
}

static bool judge_count(const contained_t *contained, size_t fits, const mcp__place_t *at,
                        mcp__check_t *check) {
  if (check->gave_up)
    return false;
  if (fits > contained->max)
    return mcp__refuse_count(check->problem, at, fits,
                             " items that fit \"contains\" are more than the maximum ", contained->max);
  return fits >= contained->min ||
         mcp__refuse_count(check->problem, at, fits,
                           " items that fit \"contains\" are less than the minimum ", contained->min);
}

static bool check_contains(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                           mcp__check_t *check) {
  return !yyjson_is_arr(value) ||
         judge_count(step->data, count_fits(step->data, value, at, check, NULL), at, check);
}

static bool check_contains_collecting(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                                      mcp__check_t *check) {
  mcp__marks_t *marks = check->marks;
  if (!yyjson_is_arr(value))
    return true;
  check->marks = NULL;
  size_t fits = count_fits(step->data, value, at, check, marks);
  check->marks = marks;
  return judge_count(step->data, fits, at, check);
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
    {{"minItems"}, mcp__compile_count, check_min_items, NULL},
    {{"maxItems"}, mcp__compile_count, check_max_items, NULL},
    {{"uniqueItems"}, compile_unique, mcp__check_unique, NULL},
    {{"prefixItems", "items", "additionalItems"}, compile_items, check_items, check_items_collecting},
    {{"contains", "minContains", "maxContains"}, compile_contains, check_contains, check_contains_collecting},
    {{NULL}, NULL, NULL, NULL},
};
