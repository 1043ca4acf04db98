/* schema.c: compiles a JSON Schema once; checks do not read its text again.
 *
 * A schema becomes a node, a list of validators; each validator is one rule of the tables that occurs in it,
 * in the order of the tables. A new keyword is a row in the table of its file (schema_scalar.c, _array.c,
 * _object.c, _combine.c, _ref.c, _unevaluated.c): a function that compiles its value, and one that checks.
 * All compiled data, and the copy of the schema that names and enum values are borrowed from, are in one
 * arena. The first violated rule ends the check. Locations are a linked list on the stack, and become text
 * only for an error. A check counts its steps and its nesting, and gives up beyond the limits. A malformed
 * schema is rejected with the location of the error; out of memory leaves nothing behind. */
#include "schema/schema.h"
#include "base/json.h"
#include "schema/schema_compare.h"
#include "schema/schema_integers.h"
#include "schema/schema_rules.h"

#include <errno.h>
#include <string.h>

struct mcp__schema {
  mcp__arena_t arena; /* holds all members below */
  const mcp__node_t *root;
  mcp__schema_warnings_t warnings;
};

static const mcp__location_t root_place;

/* ---- Checking ---- */

bool mcp__check_give_up(mcp__check_t *check, const mcp__location_t *at, const char *message) {
  check->gave_up = true;
  mcp__schema_error_clear(check->text);
  mcp__schema_error_begin(check->text, at, NULL, "gave up: ");
  mcp__schema_error_put(check->text, message);
  return false;
}

bool mcp__check_spend(mcp__check_t *check, const mcp__location_t *at, uint64_t steps) {
  if (check->steps <= steps)
    return mcp__check_give_up(check, at, "the check takes too many steps");
  check->steps -= steps;
  return true;
}

static bool check_node(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check) {
  bool fine = mcp__check_spend(check, at, node->count + 1);
  if (fine && check->depth == 0)
    return mcp__check_give_up(check, at, "schemas are nested too deeply during the check");
  check->depth--;
  for (size_t i = 0; fine && i < node->count; i++)
    fine = node->validators[i].check(&node->validators[i], value, at, check);
  check->depth++;
  return fine;
}

static bool check_in_scope(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                           mcp__check_t *check, const mcp__scope_t *up) {
  const mcp__scope_t *outer = check->scope;
  mcp__scope_t scope = {node, up};
  check->scope = &scope;
  bool fine = check_node(node, value, at, check);
  check->scope = outer;
  return fine;
}

bool mcp__check_value(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                      mcp__check_t *check) {
  return node->count == 0 || check_in_scope(node, value, at, check, NULL);
}

bool mcp__check_in_place(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                         mcp__check_t *check) {
  return node->count == 0 || check_in_scope(node, value, at, check, check->scope);
}

bool mcp__refuse_count(mcp__schema_error_t *error, const mcp__location_t *at, uint64_t count,
                       const char *message, uint64_t bound) {
  mcp__schema_error_begin(error, at, NULL, "");
  mcp__schema_error_put_number(error, count);
  mcp__schema_error_put(error, message);
  mcp__schema_error_put_number(error, bound);
  return false;
}

static bool check_nothing(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check) {
  (void)validator;
  (void)value;
  return mcp__schema_error_begin(check->error, at, NULL, "not allowed");
}

/* ---- Compiling ---- */

int mcp__malformed(mcp__compiler_t *compiler, const mcp__location_t *at, yyjson_val *value,
                   const char *message) {
  mcp__schema_error_begin(compiler->error, at, value, message);
  return -EINVAL;
}

mcp__keyword_t mcp__keyword_find(yyjson_val *schema, const mcp__location_t *at, const char *keyword) {
  size_t len = strlen(keyword);
  return (mcp__keyword_t){schema, yyjson_obj_getn(schema, keyword, len), at,
                          mcp__location_member(at, keyword, len)};
}

int mcp__compile_count(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                       mcp__validator_t *validator) {
  yyjson_val *value = keyword->value;
  double count = mcp__json_is_number(value) ? mcp__json_as_real(value) : -1;
  if (!mcp__json_is_number(value) || !mcp__json_is_whole(value) || count < 0 || count >= 0x1p63)
    return mcp__malformed(compiler, &keyword->location, value, " is not a whole number from 0");
  validator->count = (uint64_t)count;
  return 0;
}

int mcp__compile_list(mcp__compiler_t *compiler, yyjson_val *schemas, const mcp__location_t *at,
                      mcp__node_list_t *out) {
  size_t index, max;
  yyjson_val *schema;
  if (!yyjson_is_arr(schemas))
    return mcp__malformed(compiler, at, schemas, " is not an array");
  out->count = yyjson_arr_size(schemas);
  out->nodes = mcp__arena_alloc(compiler->arena, out->count * sizeof *out->nodes);
  if (out->nodes == NULL)
    return -ENOMEM;
  yyjson_arr_foreach(schemas, index, max, schema) {
    mcp__location_t location = mcp__location_element(at, index);
    int status = mcp__compile_node(compiler, schema, &location, &out->nodes[index]);
    if (status != 0)
      return status;
  }
  return 0;
}

static bool find_keyword(yyjson_val *schema, const mcp__location_t *at, const mcp__rule_t *rule,
                         mcp__keyword_t *keyword) {
  for (size_t i = 0; i < MCP__SCHEMA_RULE_KEYWORDS && rule->keywords[i] != NULL; i++) {
    *keyword = mcp__keyword_find(schema, at, rule->keywords[i]);
    if (keyword->value != NULL)
      return true;
  }
  return false;
}

static const mcp__rule_t *const ref_only_tables[] = {mcp__ref_rules,
                                                     NULL}; /* where $ref ignores other keywords */
static const mcp__rule_t *const tables[] = {mcp__scalar_rules,
                                            mcp__array_rules,
                                            mcp__object_rules,
                                            mcp__combine_rules,
                                            mcp__ref_rules,
                                            mcp__unevaluated_rules,
                                            NULL};

const char *mcp__rule_keyword(size_t index) {
  for (const mcp__rule_t *const *table = tables; *table != NULL; table++)
    for (const mcp__rule_t *rule = *table; rule->keywords[0] != NULL; rule++)
      for (size_t i = 0; i < MCP__SCHEMA_RULE_KEYWORDS && rule->keywords[i] != NULL; i++)
        if (index-- == 0)
          return rule->keywords[i];
  return NULL;
}

static size_t count_rules(const mcp__rule_t *const *table, yyjson_val *schema, const mcp__location_t *at) {
  mcp__keyword_t keyword;
  size_t count = 0;
  for (; *table != NULL; table++)
    for (const mcp__rule_t *rule = *table; rule->keywords[0] != NULL; rule++)
      count += find_keyword(schema, at, rule, &keyword);
  return count;
}

static int compile_validators(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at,
                              mcp__node_t *node) {
  const mcp__rule_t *const *table = mcp__ref_ignores_siblings(compiler, schema) ? ref_only_tables : tables;
  mcp__validator_t *validators =
      mcp__arena_alloc(compiler->arena, count_rules(table, schema, at) * sizeof *validators);
  size_t count = 0;
  if (validators == NULL)
    return -ENOMEM;
  for (; *table != NULL; table++) {
    for (const mcp__rule_t *rule = *table; rule->keywords[0] != NULL; rule++) {
      mcp__keyword_t keyword;
      if (!find_keyword(schema, at, rule, &keyword))
        continue;
      bool tracks_evaluated = compiler->tracks_evaluated && rule->check_tracking != NULL;
      validators[count] = (mcp__validator_t){.check = tracks_evaluated ? rule->check_tracking : rule->check};
      int status = rule->compile(compiler, &keyword, &validators[count]);
      if (status != 0)
        return status;
      count += validators[count].check != NULL;
    }
  }
  *node = (mcp__node_t){validators, count, compiler->resource};
  return 0;
}

/* Wraps a node in another one with a single validator. */
static int wrap(const mcp__compiler_t *compiler, mcp__check_cb check, const mcp__node_t **node) {
  mcp__node_t *outer = mcp__arena_alloc(compiler->arena, sizeof *outer);
  mcp__validator_t *validator = mcp__arena_alloc(compiler->arena, sizeof *validator);
  if (outer == NULL || validator == NULL)
    return -ENOMEM;
  *validator = (mcp__validator_t){.check = check, .node = *node};
  *outer = (mcp__node_t){validator, 1, (*node)->resource};
  *node = outer;
  return 0;
}

static bool has_unevaluated_keyword(yyjson_val *schema) {
  return yyjson_obj_get(schema, "unevaluatedProperties") != NULL ||
         yyjson_obj_get(schema, "unevaluatedItems") != NULL;
}

/* Compiles an object; the compiler is in its resource. */
static int compile_object(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at,
                          bool enters, const mcp__node_t **out) {
  mcp__node_t *node = mcp__arena_alloc(compiler->arena, sizeof *node);
  if (node == NULL)
    return -ENOMEM;
  int status = compile_validators(compiler, schema, at, node);
  *out = node;
  if (status == 0 && has_unevaluated_keyword(schema))
    status = wrap(compiler, mcp__check_tracking_evaluated, out);
  if (status == 0 && enters)
    status = wrap(compiler, mcp__check_in_resource, out);
  if (status == 0)
    status = mcp__schema_warn_misspelled(compiler, schema, at);
  return status;
}

int mcp__compile_node(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at,
                      const mcp__node_t **out) {
  static const mcp__validator_t refuse_all_alternatives = {.check = check_nothing};
  static const mcp__node_t anything = {NULL, 0, NULL}, nothing = {&refuse_all_alternatives, 1, NULL};
  if (yyjson_is_bool(schema)) {
    *out = yyjson_is_true(schema) ? &anything : &nothing;
    return 0;
  }
  if (!yyjson_is_obj(schema))
    return mcp__malformed(compiler, at, schema, " is not a schema");
  const mcp__resource_t *outer = compiler->resource;
  mcp__subschema_t *subschema = &compiler->subschemas[schema - compiler->root];
  int status = mcp__enter_resource(compiler, schema, at);
  if (status == 0)
    status = compile_object(compiler, schema, at, compiler->dynamic && compiler->resource != outer, out);
  if (status == 0)
    *subschema = (mcp__subschema_t){*out, compiler->resource};
  compiler->resource = outer;
  return status;
}

static bool deeper_than(yyjson_val *value, unsigned levels) {
  size_t index, max;
  yyjson_val *key, *item;
  if (yyjson_is_ctn(value) && levels == 0)
    return true;
  yyjson_arr_foreach(value, index, max, item) {
    if (deeper_than(item, levels - 1))
      return true;
  }
  yyjson_obj_foreach(value, index, max, key, item) {
    if (deeper_than(item, levels - 1))
      return true;
  }
  return false;
}

/* Whether name is the name of a member at any depth. */
static bool has_member_name(yyjson_val *value, const char *name) {
  size_t index, max;
  yyjson_val *key, *item;
  yyjson_arr_foreach(value, index, max, item) {
    if (has_member_name(item, name))
      return true;
  }
  yyjson_obj_foreach(value, index, max, key, item) {
    if (yyjson_equals_str(key, name) || has_member_name(item, name))
      return true;
  }
  return false;
}

static yyjson_val *copy_into(mcp__arena_t *arena, yyjson_val *value) {
  yyjson_mut_doc *middle = yyjson_mut_doc_new(&mcp__json_alc); /* yyjson cannot copy directly */
  yyjson_mut_val *copy = yyjson_val_mut_copy(middle, value);
  yyjson_doc *doc = copy != NULL ? yyjson_mut_val_imut_copy(copy, &arena->alc) : NULL;
  yyjson_mut_doc_free(middle);
  return yyjson_doc_get_root(doc);
}

static size_t values_in(yyjson_val *value) { /* including itself; yyjson stores them one after the other */
  return (size_t)(unsafe_yyjson_get_next(value) - value);
}

static bool refuse_number(mcp__schema_error_t *error, size_t digits) {
  mcp__schema_error_begin(error, &root_place, NULL, "a number has ");
  mcp__schema_error_put_number(error, digits);
  mcp__schema_error_put(error, " digits, more than ");
  mcp__schema_error_put_number(error, MCP__JSON_MAX_DIGITS);
  return false;
}

static int compile(mcp__schema_t *made, yyjson_val *schema, mcp__schema_error_t *error) {
  mcp__compiler_t compiler = {.arena = &made->arena, .error = error, .warnings = &made->warnings};
  if (schema == NULL)
    return mcp__malformed(&compiler, &root_place, NULL, "no schema");
  if (deeper_than(schema, MCP__SCHEMA_MAX_DEPTH)) { /* copying and compiling recurse */
    mcp__malformed(&compiler, &root_place, NULL, "nested deeper than ");
    mcp__schema_error_put_number(error, MCP__SCHEMA_MAX_DEPTH);
    return -EINVAL;
  }
  size_t digits = mcp__json_long_number(schema);
  if (digits > 0) {
    refuse_number(error, digits);
    return -EINVAL;
  }
  compiler.root = copy_into(&made->arena, schema);
  compiler.subschemas =
      compiler.root != NULL ? mcp__calloc(values_in(compiler.root) * sizeof *compiler.subschemas) : NULL;
  if (compiler.subschemas == NULL)
    return -ENOMEM;
  compiler.tracks_evaluated = has_member_name(compiler.root, "unevaluatedProperties") ||
                              has_member_name(compiler.root, "unevaluatedItems");
  compiler.dynamic =
      has_member_name(compiler.root, "$dynamicRef") || has_member_name(compiler.root, "$recursiveRef");
  int status = mcp__compile_node(&compiler, compiler.root, &root_place, &made->root);
  if (status == 0)
    status = mcp__resolve_refs(&compiler);
  mcp__free(compiler.subschemas);
  return status;
}

int mcp__schema_new(yyjson_val *schema, mcp__schema_t **out, char *error, size_t error_size) {
  mcp__schema_error_t text;
  mcp__schema_error_init(&text, error, error_size);
  text.of_schema = true;
  mcp__schema_t *made = mcp__malloc(sizeof *made);
  if (made == NULL)
    return -ENOMEM;
  made->warnings = (mcp__schema_warnings_t){0};
  mcp__arena_init(&made->arena, SIZE_MAX / 2); /* no limit: the schema comes from the component's author */
  int status = compile(made, schema, &text);
  if (status == 0)
    *out = made;
  else
    mcp__schema_free(made);
  return status;
}

bool mcp__schema_check(const mcp__schema_t *schema, yyjson_val *value, char *error, size_t error_size) {
  mcp__schema_error_t text;
  mcp__schema_error_init(&text, error, error_size);
  mcp__check_t check = {.error = &text,
                        .text = &text,
                        .steps =
                            MCP__SCHEMA_MAX_STEPS + MCP__SCHEMA_STEPS_PER_VALUE * (uint64_t)values_in(value),
                        .depth = MCP__SCHEMA_MAX_NESTED_CHECKS};
  size_t digits = mcp__json_long_number(value);
  if (digits > 0) /* rules take time proportional to the number of digits */
    return refuse_number(&text, digits);
  bool fine = mcp__check_value(schema->root, value, &root_place, &check);
  if (fine && check.marked_integers > 0)
    mcp__integers_convert(value);
  mcp__integers_unmark(value, &check.marked_integers, 0);
  return fine;
}

const char *mcp__schema_warning(const mcp__schema_t *schema, size_t index) {
  return index < schema->warnings.count ? schema->warnings.texts[index] : NULL;
}

bool mcp__schema_has_property(const mcp__schema_t *schema, const char *name, size_t len) {
  return mcp__node_has_property(schema->root, name, len);
}

void mcp__schema_free(mcp__schema_t *schema) {
  if (schema == NULL)
    return;
  mcp__arena_deinit(&schema->arena);
  mcp__free(schema);
}
