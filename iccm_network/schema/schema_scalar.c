/* schema_scalar.c: keywords that look at a value alone: type, enum, const, and those of numbers and of
 * strings. */
#include "schema/schema_compare.h"
#include "schema/schema_decimal.h"
#include "schema/schema_integers.h"
#include "schema/schema_pattern.h"
#include "schema/schema_rules.h"

#include <errno.h>
#include <string.h>

/* ---- type ---- */

enum {
  OF_STRING = 1,
  OF_INTEGER = 2,
  OF_NUMBER = 4,
  OF_BOOLEAN = 8,
  OF_OBJECT = 16,
  OF_ARRAY = 32,
  OF_NULL = 64
};

static const struct {
  const char *name, *words;
  unsigned type;
} types[] = {{"string", "a string", OF_STRING},  {"integer", "an integer", OF_INTEGER},
             {"number", "a number", OF_NUMBER},  {"boolean", "a boolean", OF_BOOLEAN},
             {"object", "an object", OF_OBJECT}, {"array", "an array", OF_ARRAY},
             {"null", "null", OF_NULL}};
enum { TYPES = sizeof types / sizeof types[0] };

static unsigned types_of(yyjson_val *value) {
  switch (yyjson_get_type(value)) {
  case YYJSON_TYPE_STR:
    return OF_STRING;
  case YYJSON_TYPE_BOOL:
    return OF_BOOLEAN;
  case YYJSON_TYPE_OBJ:
    return OF_OBJECT;
  case YYJSON_TYPE_ARR:
    return OF_ARRAY;
  case YYJSON_TYPE_NULL:
    return OF_NULL;
  default:
    return mcp__json_is_whole(value) ? OF_NUMBER | OF_INTEGER : OF_NUMBER;
  }
}

static int add_type(mcp__compiler_t *compiler, yyjson_val *name, const mcp__place_t *at, unsigned *set) {
  for (size_t i = 0; i < TYPES; i++) {
    if (yyjson_equals_str(name, types[i].name)) {
      *set |= types[i].type;
      return 0;
    }
  }
  return mcp__malformed(compiler, at, name, " is not the name of a type");
}

static int add_nullable(mcp__compiler_t *compiler, const mcp__site_t *site, unsigned *set) {
  mcp__site_t nullable =
      mcp__site(site->schema, site->at, "nullable"); /* OpenAPI 3.0.3: it is part of type */
  if (nullable.value != NULL && !yyjson_is_bool(nullable.value))
    return mcp__malformed(compiler, &nullable.here, nullable.value, " is not a boolean");
  *set |= yyjson_is_true(nullable.value) ? OF_NULL : 0;
  return 0;
}

static int compile_type(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  size_t index, max;
  yyjson_val *name;
  step->types = 0;
  int status = add_nullable(compiler, site, &step->types);
  if (status != 0)
    return status;
  if (!yyjson_is_arr(site->value))
    return add_type(compiler, site->value, &site->here, &step->types);
  yyjson_arr_foreach(site->value, index, max, name) {
    mcp__place_t element = mcp__place_element(&site->here, index);
    if ((status = add_type(compiler, name, &element, &step->types)) != 0)
      return status;
  }
  return max > 0 ? 0 : mcp__malformed(compiler, &site->here, site->value, " allows nothing");
}

static bool check_type(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                       mcp__check_t *check) {
  if ((types_of(value) & step->types) != 0) {
    if (yyjson_is_real(value) && (step->types & OF_NUMBER) == 0)
      mcp__integers_note(value, &check->integers);
    return true;
  }
  mcp__problem_begin(check->problem, at, value, " is not ");
  unsigned left = step->types;
  for (size_t i = 0; i < TYPES; i++) {
    if ((left & types[i].type) == 0)
      continue;
    mcp__problem_put(check->problem, types[i].words);
    left &= ~types[i].type;
    mcp__problem_put(check->problem, left == 0 ? "" : (left & (left - 1)) == 0 ? " or " : ", ");
  }
  return false;
}

/* ---- enum, const ---- */

static int compile_enum(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  step->value = site->value;
  return yyjson_is_arr(step->value) ? 0
                                    : mcp__malformed(compiler, &site->here, step->value, " is not an array");
}

static bool check_enum(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                       mcp__check_t *check) {
  size_t index, max;
  yyjson_val *choice;
  yyjson_arr_foreach(step->value, index, max, choice) {
    if (mcp__json_same(choice, value, &check->steps))
      return true;
  }
  if (!mcp__check_spend(check, at, 0))
    return false;
  if (yyjson_arr_size(step->value) == 0)
    return mcp__problem_begin_other(check->problem, at, value, " is not allowed: \"enum\" is empty");
  mcp__problem_begin_other(check->problem, at, value, " is not one of ");
  mcp__problem_put_values(check->problem, step->value);
  return false;
}

static int compile_const(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  (void)compiler;
  step->value = site->value;
  return 0;
}

static bool check_const(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                        mcp__check_t *check) {
  if (mcp__json_same(step->value, value, &check->steps))
    return true;
  if (!mcp__check_spend(check, at, 0))
    return false;
  mcp__problem_begin_other(check->problem, at, value, " is not ");
  mcp__problem_put_value(check->problem, step->value);
  return false;
}

/* ---- minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf ---- */

static int compile_bound(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  step->value = site->value;
  return mcp__json_is_number(step->value)
             ? 0
             : mcp__malformed(compiler, &site->here, step->value, " is not a number");
}

/* A boolean belongs to draft-04, and is read with the bound beside it. */
static int compile_exclusive(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  if (!yyjson_is_bool(site->value))
    return compile_bound(compiler, site, step);
  step->check = NULL;
  return 0;
}

static bool refuse_bound(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                         mcp__check_t *check, const char *words) {
  mcp__problem_begin(check->problem, at, value, words);
  mcp__problem_put_value(check->problem, step->value);
  return false;
}

static bool check_minimum(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, step->value) >= 0 ||
         refuse_bound(step, value, at, check, " is less than the minimum ");
}

static bool check_maximum(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, step->value) <= 0 ||
         refuse_bound(step, value, at, check, " is greater than the maximum ");
}

static bool check_above(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                        mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, step->value) > 0 ||
         refuse_bound(step, value, at, check, " is not greater than ");
}

static bool check_below(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                        mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, step->value) < 0 ||
         refuse_bound(step, value, at, check, " is not less than ");
}

static int compile_minimum(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  if (yyjson_is_true(yyjson_obj_get(site->schema, "exclusiveMinimum")))
    step->check = check_above;
  return compile_bound(compiler, site, step);
}

static int compile_maximum(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  if (yyjson_is_true(yyjson_obj_get(site->schema, "exclusiveMaximum")))
    step->check = check_below;
  return compile_bound(compiler, site, step);
}

typedef struct multiple {
  mcp__decimal_t divisor;
  yyjson_val *value;
} multiple_t;

static int compile_multiple(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  yyjson_val *value = site->value;
  if (!mcp__json_is_number(value) || mcp__json_as_real(value) <= 0)
    return mcp__malformed(compiler, &site->here, value, " is not a number greater than 0");
  multiple_t *multiple = mcp__arena_alloc(compiler->arena, sizeof *multiple);
  if (multiple == NULL)
    return -ENOMEM;
  multiple->value = value;
  step->data = multiple;
  return mcp__decimal_read(value, &multiple->divisor) && multiple->divisor.digits > 0
             ? 0
             : mcp__malformed(compiler, &site->here, value, " has more digits than multipleOf can use");
}

static bool check_multiple(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                           mcp__check_t *check) {
  const multiple_t *multiple = step->data;
  if (!mcp__json_is_number(value) || mcp__decimal_divides(&multiple->divisor, value))
    return true;
  mcp__problem_begin(check->problem, at, value, " is not a multiple of ");
  mcp__problem_put_value(check->problem, multiple->value);
  return false;
}

/* ---- minLength, maxLength, pattern ---- */

enum { BYTES_PER_STEP = 64 };

static size_t characters_in(yyjson_val *string) {
  const char *at = yyjson_get_str(string), *end = at + yyjson_get_len(string);
  size_t count = 0;
  for (; at < end; at++)
    count += ((unsigned char)*at & 0xc0) != 0x80;
  return count;
}

static bool check_min_length(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                             mcp__check_t *check) {
  if (!yyjson_is_str(value))
    return true;
  if (!mcp__check_spend(check, at, yyjson_get_len(value) / BYTES_PER_STEP))
    return false;
  size_t count = characters_in(value);
  return count >= step->count ||
         mcp__refuse_count(check->problem, at, count, " characters are less than the minimum ", step->count);
}

static bool check_max_length(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                             mcp__check_t *check) {
  if (!yyjson_is_str(value))
    return true;
  if (!mcp__check_spend(check, at, yyjson_get_len(value) / BYTES_PER_STEP))
    return false;
  size_t count = characters_in(value);
  return count <= step->count ||
         mcp__refuse_count(check->problem, at, count, " characters are more than the maximum ", step->count);
}

int mcp__compile_pattern(mcp__compiler_t *compiler, yyjson_val *text, const mcp__place_t *at,
                         mcp__pattern_t *out) {
  char message[256];
  int status = mcp__pattern_new(compiler->arena, text, out, message, sizeof message);
  return status == -EINVAL ? mcp__malformed(compiler, at, text, message) : status;
}

static bool give_up_pattern(const mcp__pattern_t *pattern, const mcp__place_t *at, mcp__check_t *check,
                            const char *words) {
  mcp__check_give_up(check, at, "the pattern ");
  mcp__problem_put_string(check->text, yyjson_get_str(pattern->text), yyjson_get_len(pattern->text));
  mcp__problem_put(check->text, words);
  return false;
}

bool mcp__check_matches(const mcp__pattern_t *pattern, yyjson_val *string, const mcp__place_t *at,
                        mcp__check_t *check) {
  if (!mcp__check_spend(check, at, 1 + yyjson_get_len(string) / BYTES_PER_STEP))
    return false;
  switch (mcp__pattern_find(pattern, string, &check->steps)) {
  case MCP__MATCH_FOUND:
    return true;
  case MCP__MATCH_NONE:
    return false;
  case MCP__MATCH_TOO_LONG:
    return give_up_pattern(pattern, at, check, " takes too many steps on this text");
  case MCP__MATCH_TOO_LARGE:
    return give_up_pattern(pattern, at, check, " takes too much memory on this text");
  default:
    return mcp__check_give_up(check, at, "out of memory");
  }
}

static int compile_pattern(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  if (!yyjson_is_str(site->value))
    return mcp__malformed(compiler, &site->here, site->value, " is not a string");
  mcp__pattern_t *pattern = mcp__arena_alloc(compiler->arena, sizeof *pattern);
  step->data = pattern;
  return pattern != NULL ? mcp__compile_pattern(compiler, site->value, &site->here, pattern) : -ENOMEM;
}

static bool check_pattern(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__check_t *check) {
  const mcp__pattern_t *pattern = step->data;
  if (!yyjson_is_str(value) || mcp__check_matches(pattern, value, at, check))
    return true;
  if (check->gave_up)
    return false;
  mcp__problem_begin(check->problem, at, value, " does not match the pattern ");
  mcp__problem_put_value(check->problem, pattern->text);
  return false;
}

const mcp__rule_t mcp__scalar_rules[] = {
    {{"type"}, compile_type, check_type, NULL},
    {{"enum"}, compile_enum, check_enum, NULL},
    {{"const"}, compile_const, check_const, NULL},
    {{"minimum"}, compile_minimum, check_minimum, NULL},
    {{"maximum"}, compile_maximum, check_maximum, NULL},
    {{"exclusiveMinimum"}, compile_exclusive, check_above, NULL},
    {{"exclusiveMaximum"}, compile_exclusive, check_below, NULL},
    {{"multipleOf"}, compile_multiple, check_multiple, NULL},
    {{"minLength"}, mcp__compile_count, check_min_length, NULL},
    {{"maxLength"}, mcp__compile_count, check_max_length, NULL},
    {{"pattern"}, compile_pattern, check_pattern, NULL},
    {{NULL}, NULL, NULL, NULL},
};
