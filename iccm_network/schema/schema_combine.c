/* schema_combine.c: keywords that apply schemas to the value itself: allOf, anyOf, oneOf, not, if.
 *
 * Schemas that only decide are checked without writing errors. If no alternative of anyOf or oneOf matches,
 * the error is that of the closest one: the one that came deepest into the value before it failed and, among
 * these, one that did not fail by const or enum, which distinguish kinds of values. It is checked again to
 * get its error text. If all alternatives fail at the value itself, the error lists the reason of each. */
#include "schema/schema_integers.h"
#include "schema/schema_evaluated.h"

#include <errno.h>

/* Whether the value is valid for the schema; no error is written. Otherwise sets *closeness. False also if
 * the check gave up. With tracks_evaluated, the members or elements that the schema evaluates are added if
 * the value is valid. */
MCP__SCHEMA_INLINE bool matches(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                                mcp__check_t *check, unsigned *closeness, bool tracks_evaluated) {
  mcp__schema_error_t *outer = check->error, silent;
  uint64_t marked_integers = check->marked_integers;
  mcp__schema_error_init(&silent, NULL, 0);
  check->error = &silent;
  bool fine = tracks_evaluated ? mcp__evaluated_check(node, value, at, check)
                               : mcp__check_in_place(node, value, at, check);
  check->error = outer;
  if (!fine)
    mcp__integers_unmark(value, &check->marked_integers, marked_integers);
  *closeness = silent.closeness;
  return fine;
}

/* ---- allOf ---- */

static int compile_alternatives(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                                mcp__validator_t *validator) {
  if (yyjson_is_arr(keyword->value) && yyjson_arr_size(keyword->value) == 0)
    return mcp__malformed(compiler, &keyword->location, keyword->value, " must hold at least one schema");
  return mcp__compile_list(compiler, keyword->value, &keyword->location, &validator->list);
}

bool mcp__check_all_of(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check) {
  for (size_t i = 0; i < validator->list.count; i++)
    if (!mcp__check_in_place(validator->list.nodes[i], value, at, check))
      return false;
  return true;
}

/* ---- anyOf, oneOf ---- */

/* Writes why each alternative does not match, separated by semicolons. */
static bool write_alternative_errors(const mcp__node_list_t *alternatives, yyjson_val *value,
                                     const mcp__location_t *at, mcp__check_t *check) {
  enum { MAX_BYTES = 256 };
  bool bare = check->error->bare;
  size_t outer = mcp__schema_error_begin_cut(check->error, MAX_BYTES);
  for (size_t i = 0; i < alternatives->count && !check->error->cut; i++) {
    mcp__schema_error_put(check->error, i == 0 ? ": " : "; ");
    check->error->bare = true;
    mcp__check_in_place(alternatives->nodes[i], value, at, check);
    if (check->gave_up) /* its text has replaced the error */
      return false;
  }
  check->error->bare = bare;
  mcp__schema_error_end_cut(check->error, outer);
  return false;
}

static bool refuse_all_alternatives(const mcp__node_list_t *alternatives, size_t closest, unsigned closeness,
                                    yyjson_val *value, const mcp__location_t *at, mcp__check_t *check) {
  mcp__schema_error_t *error = check->error;
  if (error->size == 0) {
    error->closeness = closeness;
    return false;
  }
  if (alternatives->count == 1)
    return mcp__check_in_place(alternatives->nodes[0], value, at, check);
  mcp__schema_error_begin(error, at, value, " fits none of the ");
  mcp__schema_error_put_number(error, alternatives->count);
  mcp__schema_error_put(error, " allowed forms");
  if (closeness <= mcp__location_closeness(at))
    return write_alternative_errors(alternatives, value, at, check);
  mcp__schema_error_put(error, "; the closest: ");
  return mcp__check_in_place(alternatives->nodes[closest], value, at, check);
}

MCP__SCHEMA_INLINE bool validate_any_of(const mcp__validator_t *validator, yyjson_val *value,
                                        const mcp__location_t *at, mcp__check_t *check,
                                        bool tracks_evaluated) {
  size_t closest = 0;
  unsigned most = 0, closeness;
  bool found = false;
  for (size_t i = 0; i < validator->list.count; i++) {
    if (matches(validator->list.nodes[i], value, at, check, &closeness, tracks_evaluated)) {
      found = true;
      if (!tracks_evaluated || check->evaluated == NULL) /* further matches have no effect */
        return true;
    } else if (check->gave_up) {
      return false;
    } else if (closeness > most) {
      most = closeness;
      closest = i;
    }
  }
  return found || refuse_all_alternatives(&validator->list, closest, most, value, at, check);
}

static bool check_any_of(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                         mcp__check_t *check) {
  return validate_any_of(validator, value, at, check, false);
}

static bool any_of_tracking(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                            mcp__check_t *check) {
  return validate_any_of(validator, value, at, check, true);
}

static bool refuse_two(size_t first, size_t second, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check) {
  mcp__schema_error_begin(check->error, at, value, " fits both oneOf/");
  mcp__schema_error_put_number(check->error, first);
  mcp__schema_error_put(check->error, " and oneOf/");
  mcp__schema_error_put_number(check->error, second);
  mcp__schema_error_put(check->error, ", of which only one may fit");
  return false;
}

MCP__SCHEMA_INLINE bool validate_one_of(const mcp__validator_t *validator, yyjson_val *value,
                                        const mcp__location_t *at, mcp__check_t *check,
                                        bool tracks_evaluated) {
  size_t closest = 0, found = validator->list.count;
  unsigned most = 0, closeness;
  for (size_t i = 0; i < validator->list.count; i++) {
    bool fine = matches(validator->list.nodes[i], value, at, check, &closeness, tracks_evaluated);
    if (check->gave_up)
      return false;
    if (fine && found < validator->list.count)
      return refuse_two(found, i, value, at, check);
    if (fine) {
      found = i;
    } else if (closeness > most) {
      most = closeness;
      closest = i;
    }
  }
  return found < validator->list.count ||
         refuse_all_alternatives(&validator->list, closest, most, value, at, check);
}

static bool check_one_of(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                         mcp__check_t *check) {
  return validate_one_of(validator, value, at, check, false);
}

static bool one_of_tracking(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                            mcp__check_t *check) {
  return validate_one_of(validator, value, at, check, true);
}

/* ---- not ---- */

static int compile_not(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                       mcp__validator_t *validator) {
  return mcp__compile_node(compiler, keyword->value, &keyword->location, &validator->node);
}

static bool check_not(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                      mcp__check_t *check) {
  unsigned closeness;
  if (!matches(validator->node, value, at, check, &closeness, false))
    return !check->gave_up;
  return mcp__schema_error_begin(check->error, at, value, " fits the form that \"not\" excludes");
}

/* Members or elements evaluated by a schema of "not" are not added. */
static bool not_tracking(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                         mcp__check_t *check) {
  mcp__evaluated_t *evaluated = check->evaluated;
  check->evaluated = NULL;
  bool fine = check_not(validator, value, at, check);
  check->evaluated = evaluated;
  return fine;
}

/* ---- if, then, else ---- */

typedef struct condition {
  const mcp__node_t *condition, *then, *otherwise; /* NULL: anything */
} condition_t;

static int compile_if(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, mcp__validator_t *validator) {
  condition_t *condition = mcp__arena_alloc(compiler->arena, sizeof *condition);
  if (condition == NULL)
    return -ENOMEM;
  *condition = (condition_t){NULL, NULL, NULL};
  const struct {
    const char *keyword;
    const mcp__node_t **node;
  } parts[] = {{"if", &condition->condition}, {"then", &condition->then}, {"else", &condition->otherwise}};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    mcp__keyword_t part = mcp__keyword_find(keyword->schema, keyword->at, parts[i].keyword);
    int status =
        part.value != NULL ? mcp__compile_node(compiler, part.value, &part.location, parts[i].node) : 0;
    if (status != 0)
      return status;
  }
  validator->data = condition;
  bool idle = condition->then == NULL && condition->otherwise == NULL && !compiler->tracks_evaluated;
  if (condition->condition == NULL || idle)
    validator->check = NULL;
  return 0;
}

MCP__SCHEMA_INLINE bool validate_if(const mcp__validator_t *validator, yyjson_val *value,
                                    const mcp__location_t *at, mcp__check_t *check, bool tracks_evaluated) {
  const condition_t *condition = validator->data;
  unsigned closeness;
  bool fine = matches(condition->condition, value, at, check, &closeness, tracks_evaluated);
  const mcp__node_t *node = fine ? condition->then : condition->otherwise;
  return !check->gave_up && (node == NULL || mcp__check_in_place(node, value, at, check));
}

static bool check_if(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                     mcp__check_t *check) {
  return validate_if(validator, value, at, check, false);
}

static bool if_tracking(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check) {
  return validate_if(validator, value, at, check, true);
}

const mcp__rule_t mcp__combine_rules[] = {
    {{"allOf"}, compile_alternatives, mcp__check_all_of, NULL},
    {{"anyOf"}, compile_alternatives, check_any_of, any_of_tracking},
    {{"oneOf"}, compile_alternatives, check_one_of, one_of_tracking},
    {{"not"}, compile_not, check_not, not_tracking},
    {{"if", "then", "else"}, compile_if, check_if, if_tracking},
    {{NULL}, NULL, NULL, NULL},
};
