/* schema_unevaluated.c: unevaluatedProperties and unevaluatedItems.
 *
 * A schema with one of them is wrapped in a node that opens a bit set for the value's members or elements.
 * Rules that evaluate some of them set bits, and the validator of the keyword, the last one, checks those
 * without a bit. Bits set by a schema that does not match are discarded: such schemas (of anyOf, oneOf, if)
 * get their own bit set, which is merged if they match. Only a schema that contains one of the keywords is
 * compiled to track; all others have no cost. Up to 1,024 bits are stored on the stack; more of them cost
 * steps and are allocated on the heap, and if that fails the check has no verdict. */
#include "schema/schema_evaluated.h"

#include <string.h>

enum { BITS = 64, BITS_PER_STEP = 8 };

static size_t words_of(size_t count) {
  return (count + BITS - 1) / BITS;
}

bool mcp__evaluated_open(mcp__evaluated_t *evaluated, size_t count, const mcp__location_t *at,
                         mcp__check_t *check) {
  size_t words = words_of(count);
  evaluated->words = evaluated->inline_words;
  evaluated->count = count;
  if (words <= MCP__EVALUATED_INLINE_WORDS) {
    memset(evaluated->inline_words, 0, words * sizeof *evaluated->inline_words);
    return true;
  }
  if (!mcp__check_spend(check, at, count / BITS_PER_STEP))
    return false;
  evaluated->words = mcp__calloc(words * sizeof *evaluated->words);
  return evaluated->words != NULL || mcp__check_give_up(check, at, "out of memory");
}

void mcp__evaluated_close(mcp__evaluated_t *evaluated) {
  if (evaluated->words != evaluated->inline_words)
    mcp__free(evaluated->words);
}

static bool is_evaluated(const mcp__evaluated_t *evaluated, size_t index) {
  return (evaluated->words[index / BITS] >> index % BITS & 1) != 0;
}

static void merge(mcp__evaluated_t *into, const mcp__evaluated_t *from) {
  for (size_t i = 0; i < words_of(from->count); i++)
    into->words[i] |= from->words[i];
}

static bool check_with(mcp__evaluated_t *own, const mcp__node_t *node, yyjson_val *value,
                       const mcp__location_t *at, mcp__check_t *check) {
  mcp__evaluated_t *outer = check->evaluated;
  check->evaluated = own;
  bool fine = mcp__check_in_place(node, value, at, check);
  check->evaluated = outer;
  if (fine && outer != NULL)
    merge(outer, own);
  return fine;
}

bool mcp__evaluated_check(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check) {
  mcp__evaluated_t own;
  if (check->evaluated == NULL)
    return mcp__check_in_place(node, value, at, check);
  if (!mcp__evaluated_open(&own, check->evaluated->count, at, check))
    return false;
  bool fine = check_with(&own, node, value, at, check);
  mcp__evaluated_close(&own);
  return fine;
}

bool mcp__check_tracking_evaluated(const mcp__validator_t *validator, yyjson_val *value,
                                   const mcp__location_t *at, mcp__check_t *check) {
  mcp__evaluated_t own;
  size_t count = yyjson_is_ctn(value) ? yyjson_get_len(value) : 0;
  if (!mcp__evaluated_open(&own, count, at, check))
    return false;
  bool fine = check_with(&own, validator->node, value, at, check);
  mcp__evaluated_close(&own);
  return fine;
}

/* ---- The keywords ---- */

static int compile_unevaluated(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                               mcp__validator_t *validator) {
  return mcp__compile_node(compiler, keyword->value, &keyword->location, &validator->node);
}

/* Checks a member or an element that is not evaluated yet, and marks it as evaluated. */
static bool validate_item(const mcp__node_t *node, size_t index, yyjson_val *item, const mcp__location_t *at,
                          mcp__evaluated_t *evaluated, mcp__check_t *check) {
  if (is_evaluated(evaluated, index))
    return true;
  mcp__evaluated_set(evaluated, index);
  return mcp__check_value(node, item, at, check);
}

static bool validate_members(const mcp__validator_t *validator, yyjson_val *object, const mcp__location_t *at,
                             mcp__evaluated_t *evaluated, mcp__check_t *check) {
  size_t index, max;
  yyjson_val *key, *item;
  yyjson_obj_foreach(object, index, max, key, item) {
    mcp__location_t location = mcp__location_member(at, yyjson_get_str(key), yyjson_get_len(key));
    if (mcp__check_is_given(check, key, item) &&
        !validate_item(validator->node, index, item, &location, evaluated, check))
      return false;
  }
  return true;
}

static bool validate_elements(const mcp__validator_t *validator, yyjson_val *array, const mcp__location_t *at,
                              mcp__evaluated_t *evaluated, mcp__check_t *check) {
  size_t index, max;
  yyjson_val *item;
  yyjson_arr_foreach(array, index, max, item) {
    mcp__location_t location = mcp__location_element(at, index);
    if (!validate_item(validator->node, index, item, &location, evaluated, check))
      return false;
  }
  return true;
}

static bool check_properties(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                             mcp__check_t *check) {
  mcp__evaluated_t *evaluated = check->evaluated;
  check->evaluated = NULL; /* nested schemas evaluate other members */
  bool fine = !yyjson_is_obj(value) || (validate_members(validator, value, at, evaluated, check) &&
                                        mcp__check_spend(check, at, evaluated->count / BITS_PER_STEP));
  check->evaluated = evaluated;
  return fine;
}

static bool check_items(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check) {
  mcp__evaluated_t *evaluated = check->evaluated;
  check->evaluated = NULL;
  bool fine = !yyjson_is_arr(value) || (validate_elements(validator, value, at, evaluated, check) &&
                                        mcp__check_spend(check, at, evaluated->count / BITS_PER_STEP));
  check->evaluated = evaluated;
  return fine;
}

const mcp__rule_t mcp__unevaluated_rules[] = {
    {{"unevaluatedProperties"}, compile_unevaluated, check_properties, NULL},
    {{"unevaluatedItems"}, compile_unevaluated, check_items, NULL},
    {{NULL}, NULL, NULL, NULL},
};
