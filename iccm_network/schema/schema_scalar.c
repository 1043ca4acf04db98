/* schema_scalar.c: keywords that check a value alone: type, enum, const, and those of numbers and strings. */
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

static int add_type(mcp__compiler_t *compiler, yyjson_val *name, const mcp__location_t *at, unsigned *set) {
  for (size_t i = 0; i < TYPES; i++) {
    if (yyjson_equals_str(name, types[i].name)) {
      *set |= types[i].type;
      return 0;
    }
  }
  return mcp__malformed(compiler, at, name, " is not the name of a type");
}

static int add_nullable(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, unsigned *set) {
  /* OpenAPI 3.0.3: nullable is part of type */
  mcp__keyword_t nullable = mcp__keyword_find(keyword->schema, keyword->at, "nullable");
  if (nullable.value != NULL && !yyjson_is_bool(nullable.value))
    return mcp__malformed(compiler, &nullable.location, nullable.value, " is not a boolean");
  *set |= yyjson_is_true(nullable.value) ? OF_NULL : 0;
  return 0;
}

static int compile_type(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                        mcp__validator_t *validator) {
  size_t index, max;
  yyjson_val *name;
  validator->types = 0;
  int status = add_nullable(compiler, keyword, &validator->types);
  if (status != 0)
    return status;
  if (!yyjson_is_arr(keyword->value))
    return add_type(compiler, keyword->value, &keyword->location, &validator->types);
  yyjson_arr_foreach(keyword->value, index, max, name) {
    mcp__location_t element = mcp__location_element(&keyword->location, index);
    if ((status = add_type(compiler, name, &element, &validator->types)) != 0)
      return status;
  }
  return max > 0 ? 0 : mcp__malformed(compiler, &keyword->location, keyword->value, " allows nothing");
}

static bool check_type(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check) {
  if ((types_of(value) & validator->types) != 0) {
    if (yyjson_is_real(value) && (validator->types & OF_NUMBER) == 0)
      mcp__integers_mark(value, &check->marked_integers);
    return true;
  }
  mcp__schema_error_begin(check->error, at, value, " is not ");
  unsigned left = validator->types;
  for (size_t i = 0; i < TYPES; i++) {
    if ((left & types[i].type) == 0)
      continue;
    mcp__schema_error_put(check->error, types[i].words);
    left &= ~types[i].type;
    mcp__schema_error_put(check->error, left == 0 ? "" : (left & (left - 1)) == 0 ? " or " : ", ");
  }
  return false;
}

/* ---- enum, const ---- */

static int compile_enum(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                        mcp__validator_t *validator) {
  validator->value = keyword->value;
  return yyjson_is_arr(validator->value)
             ? 0
             : mcp__malformed(compiler, &keyword->location, validator->value, " is not an array");
}

static bool check_enum(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check) {
  size_t index, max;
  yyjson_val *choice;
  yyjson_arr_foreach(validator->value, index, max, choice) {
    if (mcp__json_same(choice, value, &check->steps))
      return true;
  }
  if (!mcp__check_spend(check, at, 0))
    return false;
  if (yyjson_arr_size(validator->value) == 0)
    return mcp__schema_error_begin_other(check->error, at, value, " is not allowed: \"enum\" is empty");
  mcp__schema_error_begin_other(check->error, at, value, " is not one of ");
  mcp__schema_error_put_values(check->error, validator->value);
  return false;
}

static int compile_const(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                         mcp__validator_t *validator) {
  (void)compiler;
  validator->value = keyword->value;
  return 0;
}

static bool check_const(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check) {
  if (mcp__json_same(validator->value, value, &check->steps))
    return true;
  if (!mcp__check_spend(check, at, 0))
    return false;
  mcp__schema_error_begin_other(check->error, at, value, " is not ");
  mcp__schema_error_put_value(check->error, validator->value);
  return false;
}

/* ---- minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf ---- */

static int compile_bound(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                         mcp__validator_t *validator) {
  validator->value = keyword->value;
  return mcp__json_is_number(validator->value)
             ? 0
             : mcp__malformed(compiler, &keyword->location, validator->value, " is not a number");
}

/* A boolean is from draft-04, and is compiled with minimum or maximum. */
static int compile_exclusive(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                             mcp__validator_t *validator) {
  if (!yyjson_is_bool(keyword->value))
    return compile_bound(compiler, keyword, validator);
  validator->check = NULL;
  return 0;
}

static bool refuse_bound(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                         mcp__check_t *check, const char *message) {
  mcp__schema_error_begin(check->error, at, value, message);
  mcp__schema_error_put_value(check->error, validator->value);
  return false;
}

static bool check_minimum(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, validator->value) >= 0 ||
         refuse_bound(validator, value, at, check, " is less than the minimum ");
}

static bool check_maximum(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, validator->value) <= 0 ||
         refuse_bound(validator, value, at, check, " is greater than the maximum ");
}

static bool check_above(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, validator->value) > 0 ||
         refuse_bound(validator, value, at, check, " is not greater than ");
}

static bool check_below(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check) {
  return !mcp__json_is_number(value) || mcp__json_order(value, validator->value) < 0 ||
         refuse_bound(validator, value, at, check, " is not less than ");
}

static int compile_minimum(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                           mcp__validator_t *validator) {
  if (yyjson_is_true(yyjson_obj_get(keyword->schema, "exclusiveMinimum")))
    validator->check = check_above;
  return compile_bound(compiler, keyword, validator);
}

static int compile_maximum(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                           mcp__validator_t *validator) {
  if (yyjson_is_true(yyjson_obj_get(keyword->schema, "exclusiveMaximum")))
    validator->check = check_below;
  return compile_bound(compiler, keyword, validator);
}

typedef struct multiple {
  mcp__decimal_t divisor;
  yyjson_val *value;
} multiple_t;

static int compile_multiple(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                            mcp__validator_t *validator) {
  yyjson_val *value = keyword->value;
  if (!mcp__json_is_number(value) || mcp__json_as_real(value) <= 0)
    return mcp__malformed(compiler, &keyword->location, value, " is not a number greater than 0");
  multiple_t *multiple = mcp__arena_alloc(compiler->arena, sizeof *multiple);
  if (multiple == NULL)
    return -ENOMEM;
  multiple->value = value;
  validator->data = multiple;
  return mcp__decimal_read(value, &multiple->divisor) && multiple->divisor.digits > 0
             ? 0
             : mcp__malformed(compiler, &keyword->location, value,
                              " has more digits than multipleOf can use");
}

static bool check_multiple(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                           mcp__check_t *check) {
  const multiple_t *multiple = validator->data;
  if (!mcp__json_is_number(value) || mcp__decimal_divides(&multiple->divisor, value))
    return true;
  mcp__schema_error_begin(check->error, at, value, " is not a multiple of ");
  mcp__schema_error_put_value(check->error, multiple->value);
  return false;
}

/* ---- minLength, maxLength, pattern ---- */

enum { BYTES_PER_STEP = 64, MAX_BYTES_PER_CHARACTER = 4 };

/* Characters are counted only where the number of bytes leaves it open whether there are enough. */
static size_t characters_in(yyjson_val *string) {
  const char *at = yyjson_get_str(string), *end = at + yyjson_get_len(string);
  size_t count = 0;
  for (; at < end; at++)
    count += ((unsigned char)*at & 0xc0) != 0x80;
  return count;
}

static bool check_min_length(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                             mcp__check_t *check) {
  if (!yyjson_is_str(value) || yyjson_get_len(value) / MAX_BYTES_PER_CHARACTER >= validator->count)
    return true;
  if (!mcp__check_spend(check, at, yyjson_get_len(value) / BYTES_PER_STEP))
    return false;
  size_t count = characters_in(value);
  return count >= validator->count ||
         mcp__refuse_count(check->error, at, count, " characters are less than the minimum ",
                           validator->count);
}

static bool check_max_length(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                             mcp__check_t *check) {
  if (!yyjson_is_str(value) || yyjson_get_len(value) <= validator->count)
    return true;
  if (!mcp__check_spend(check, at, yyjson_get_len(value) / BYTES_PER_STEP))
    return false;
  size_t count = characters_in(value);
  return count <= validator->count ||
         mcp__refuse_count(check->error, at, count, " characters are more than the maximum ",
                           validator->count);
}

int mcp__compile_pattern(mcp__compiler_t *compiler, yyjson_val *text, const mcp__location_t *at,
                         mcp__pattern_t *out) {
  char message[256];
  int status = mcp__pattern_new(compiler->arena, text, out, message, sizeof message);
  return status == -EINVAL ? mcp__malformed(compiler, at, text, message) : status;
}

static bool give_up_pattern(const mcp__pattern_t *pattern, const mcp__location_t *at, mcp__check_t *check,
                            const char *message) {
  mcp__check_give_up(check, at, "the pattern ");
  mcp__schema_error_put_string(check->text, yyjson_get_str(pattern->text), yyjson_get_len(pattern->text));
  mcp__schema_error_put(check->text, message);
  return false;
}

bool mcp__check_matches(const mcp__pattern_t *pattern, yyjson_val *string, const mcp__location_t *at,
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

static int compile_pattern(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                           mcp__validator_t *validator) {
  if (!yyjson_is_str(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not a string");
  mcp__pattern_t *pattern = mcp__arena_alloc(compiler->arena, sizeof *pattern);
  validator->data = pattern;
  return pattern != NULL ? mcp__compile_pattern(compiler, keyword->value, &keyword->location, pattern)
                         : -ENOMEM;
}

static bool check_pattern(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check) {
  const mcp__pattern_t *pattern = validator->data;
  if (!yyjson_is_str(value) || mcp__check_matches(pattern, value, at, check))
    return true;
  if (check->gave_up)
    return false;
  mcp__schema_error_begin(check->error, at, value, " does not match the pattern ");
  mcp__schema_error_put_value(check->error, pattern->text);
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
