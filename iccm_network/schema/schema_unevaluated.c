/* schema_unevaluated.c: unevaluatedProperties and unevaluatedItems.
 *
 * A schema with one of them becomes a node around the rest of it, which opens marks for the value's members
 * or elements; the rules that evaluate some of them set the marks, and the step of the keyword, the last one,
 * judges what has none. Marks that were made by a schema that does not fit are dropped: such schemas (of
 * anyOf, oneOf, if) get marks of their own, which are merged when they fit. Only a schema that has one of the
 * keywords somewhere is compiled to set marks; all others pay nothing. Marks for up to 1,024 members lie on
 * the stack; more of them cost steps and come from the heap, and where that is used up the check has no
 * verdict. */
#include "schema/schema_marks.h"

#include <string.h>

enum { BITS = 64, MARKS_PER_STEP = 8 };

static size_t words_of(size_t count) {
  return (count + BITS - 1) / BITS;
}

bool mcp__marks_open(mcp__marks_t *marks, size_t count, const mcp__place_t *at, mcp__check_t *check) {
  size_t words = words_of(count);
  marks->words = marks->few;
  marks->count = count;
  if (words <= MCP__MARKS_FEW) {
    memset(marks->few, 0, words * sizeof *marks->few);
    return true;
  }
  if (!mcp__check_spend(check, at, count / MARKS_PER_STEP))
    return false;
  marks->words = mcp__calloc(words * sizeof *marks->words);
  return marks->words != NULL || mcp__check_give_up(check, at, "out of memory");
}

void mcp__marks_close(mcp__marks_t *marks) {
  if (marks->words != marks->few)
    mcp__free(marks->words);
}

static bool has_mark(const mcp__marks_t *marks, size_t index) {
  return (marks->words[index / BITS] >> index % BITS & 1) != 0;
}

static void merge(mcp__marks_t *into, const mcp__marks_t *from) {
  for (size_t i = 0; i < words_of(from->count); i++)
    into->words[i] |= from->words[i];
}

static bool check_with(mcp__marks_t *own, const mcp__node_t *node, yyjson_val *value, const mcp__place_t *at,
                       mcp__check_t *check) {
  mcp__marks_t *outer = check->marks;
  check->marks = own;
  bool fine = mcp__check_in_place(node, value, at, check);
  check->marks = outer;
  if (fine && outer != NULL)
    merge(outer, own);
  return fine;
}

bool mcp__marks_fit(const mcp__node_t *node, yyjson_val *value, const mcp__place_t *at, mcp__check_t *check) {
  mcp__marks_t own;
  if (check->marks == NULL)
    return mcp__check_in_place(node, value, at, check);
  if (!mcp__marks_open(&own, check->marks->count, at, check))
    return false;
  bool fine = check_with(&own, node, value, at, check);
  mcp__marks_close(&own);
  return fine;
}

bool mcp__check_collecting(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                           mcp__check_t *check) {
  mcp__marks_t own;
  size_t count = yyjson_is_ctn(value) ? yyjson_get_len(value) : 0;
  if (!mcp__marks_open(&own, count, at, check))
    return false;
  bool fine = check_with(&own, step->node, value, at, check);
  mcp__marks_close(&own);
  return fine;
}

/* ---- The keywords ---- */

static int compile_unevaluated(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  return mcp__compile_node(compiler, site->value, &site->here, &step->node);
}

/* Judges a member or an element that may have a mark, and gives it one. */
static bool judge(const mcp__node_t *node, size_t index, yyjson_val *item, const mcp__place_t *at,
                  mcp__marks_t *marks, mcp__check_t *check) {
  if (has_mark(marks, index))
    return true;
  mcp__marks_set(marks, index);
  return mcp__check_value(node, item, at, check);
}

static bool judge_members(const mcp__step_t *step, yyjson_val *object, const mcp__place_t *at,
                          mcp__marks_t *marks, mcp__check_t *check) {
  size_t index, max;
  yyjson_val *key, *item;
  yyjson_obj_foreach(object, index, max, key, item) {
    mcp__place_t here = mcp__place_member(at, yyjson_get_str(key), yyjson_get_len(key));
    if (mcp__check_is_given(check, key, item) && !judge(step->node, index, item, &here, marks, check))
      return false;
  }
  return true;
}

static bool judge_elements(const mcp__step_t *step, yyjson_val *array, const mcp__place_t *at,
                           mcp__marks_t *marks, mcp__check_t *check) {
  size_t index, max;
  yyjson_val *item;
  yyjson_arr_foreach(array, index, max, item) {
    mcp__place_t here = mcp__place_element(at, index);
    if (!judge(step->node, index, item, &here, marks, check))
      return false;
  }
  return true;
}

static bool check_properties(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                             mcp__check_t *check) {
  mcp__marks_t *marks = check->marks;
  check->marks = NULL; /* what its members evaluate are others' members */
  bool fine = !yyjson_is_obj(value) || (judge_members(step, value, at, marks, check) &&
                                        mcp__check_spend(check, at, marks->count / MARKS_PER_STEP));
  check->marks = marks;
  return fine;
}

static bool check_items(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                        mcp__check_t *check) {
  mcp__marks_t *marks = check->marks;
  check->marks = NULL;
  bool fine = !yyjson_is_arr(value) || (judge_elements(step, value, at, marks, check) &&
                                        mcp__check_spend(check, at, marks->count / MARKS_PER_STEP));
  check->marks = marks;
  return fine;
}

const mcp__rule_t mcp__unevaluated_rules[] = {
    {{"unevaluatedProperties"}, compile_unevaluated, check_properties, NULL},
    {{"unevaluatedItems"}, compile_unevaluated, check_items, NULL},
    {{NULL}, NULL, NULL, NULL},
};
