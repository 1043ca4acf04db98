/* schema.c: JSON Schema, compiled once and then checked without a look at the schema's text.
 *
 * A schema becomes a node, a list of steps; each step is one rule of the table `rules` that occurs in it, in
 * the table's order. A new keyword is a row there: how its value is compiled, and how the step checks.
 * Everything compiled, and the copy of the schema that names and enum values are borrowed from, lies in one
 * arena. The first rule that a value breaks ends the check; places are kept as a list on the stack, and
 * become text only then. A malformed schema is refused with its place; failing for want of memory leaves
 * nothing behind. */
#include "schema.h"
#include "arena.h"
#include "schema_compare.h"
#include "schema_problem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN_WORDS = MCP__SCHEMA_MAX_REQUIRED / 64 };

/* ---- Compiled form ---- */

struct step;
typedef bool (*check_cb)(const struct step *step, yyjson_val *value, const mcp__place_t *at,
                         mcp__problem_t *problem);

typedef struct step {
  check_cb check;
  union { /* what the rule's compile function left for its check */
    unsigned types;
    yyjson_val *value; /* in the schema's copy */
    uint64_t count;
    const struct node *node;
    const struct members *members;
  };
} step_t;

typedef struct node {
  const step_t *steps;
  size_t count; /* 0: anything is fine */
} node_t;

struct mcp__schema {
  mcp__arena_t arena; /* holds all below */
  const node_t *root;
};

typedef struct compiler {
  mcp__arena_t *arena;
  mcp__problem_t *problem;
} compiler_t;

/* Compiles one rule, found by keyword in schema, which is at `at`. */
typedef int (*compile_cb)(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at,
                          const char *keyword, step_t *step);

static int compile_node(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at, const node_t **out);

static bool check_node(const node_t *node, yyjson_val *value, const mcp__place_t *at,
                       mcp__problem_t *problem) {
  for (size_t i = 0; i < node->count; i++)
    if (!node->steps[i].check(&node->steps[i], value, at, problem))
      return false;
  return true;
}

static int malformed(compiler_t *compiler, const mcp__place_t *at, yyjson_val *value, const char *words) {
  mcp__problem_begin(compiler->problem, at, value, words);
  return -EINVAL;
}

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

static int add_type(compiler_t *compiler, yyjson_val *name, const mcp__place_t *at, unsigned *set) {
  for (size_t i = 0; i < TYPES; i++) {
    if (yyjson_equals_str(name, types[i].name)) {
      *set |= types[i].type;
      return 0;
    }
  }
  return malformed(compiler, at, name, " is not the name of a type");
}

static int compile_type(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at, const char *keyword,
                        step_t *step) {
  yyjson_val *value = yyjson_obj_get(schema, keyword), *name;
  mcp__place_t here = mcp__place_member(at, keyword, strlen(keyword));
  step->types = 0;
  if (!yyjson_is_arr(value))
    return add_type(compiler, value, &here, &step->types);
  size_t index, max;
  int status = 0;
  yyjson_arr_foreach(value, index, max, name) {
    mcp__place_t element = mcp__place_element(&here, index);
    if ((status = add_type(compiler, name, &element, &step->types)) != 0)
      return status;
  }
  return max > 0 ? 0 : malformed(compiler, &here, value, " allows nothing");
}

static bool check_type(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                       mcp__problem_t *problem) {
  if ((types_of(value) & step->types) != 0)
    return true;
  mcp__problem_begin(problem, at, value, " is not ");
  unsigned left = step->types;
  for (size_t i = 0; i < TYPES; i++) {
    if ((left & types[i].type) == 0)
      continue;
    mcp__problem_put(problem, types[i].words);
    left &= ~types[i].type;
    mcp__problem_put(problem, left == 0 ? "" : (left & (left - 1)) == 0 ? " or " : ", ");
  }
  return false;
}

/* ---- enum ---- */

static int compile_enum(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at, const char *keyword,
                        step_t *step) {
  step->value = yyjson_obj_get(schema, keyword);
  mcp__place_t here = mcp__place_member(at, keyword, strlen(keyword));
  if (!yyjson_is_arr(step->value))
    return malformed(compiler, &here, step->value, " is not an array");
  return yyjson_arr_size(step->value) > 0 ? 0 : malformed(compiler, &here, step->value, " allows nothing");
}

static bool check_enum(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                       mcp__problem_t *problem) {
  size_t index, max;
  yyjson_val *choice;
  yyjson_arr_foreach(step->value, index, max, choice) {
    if (mcp__json_same(choice, value))
      return true;
  }
  mcp__problem_begin(problem, at, value, " is not one of ");
  mcp__problem_put_values(problem, step->value);
  return false;
}

/* ---- minimum, maximum ---- */

static int compile_bound(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at,
                         const char *keyword, step_t *step) {
  step->value = yyjson_obj_get(schema, keyword);
  mcp__place_t here = mcp__place_member(at, keyword, strlen(keyword));
  return mcp__json_is_number(step->value) ? 0 : malformed(compiler, &here, step->value, " is not a number");
}

static bool check_minimum(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__problem_t *problem) {
  if (!mcp__json_is_number(value) || mcp__json_order(value, step->value) >= 0)
    return true;
  mcp__problem_begin(problem, at, value, " is less than the minimum ");
  mcp__problem_put_value(problem, step->value);
  return false;
}

static bool check_maximum(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__problem_t *problem) {
  if (!mcp__json_is_number(value) || mcp__json_order(value, step->value) <= 0)
    return true;
  mcp__problem_begin(problem, at, value, " is greater than the maximum ");
  mcp__problem_put_value(problem, step->value);
  return false;
}

/* ---- minItems, maxItems, items ---- */

static int compile_count(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at,
                         const char *keyword, step_t *step) {
  yyjson_val *value = yyjson_obj_get(schema, keyword);
  mcp__place_t here = mcp__place_member(at, keyword, strlen(keyword));
  double count = mcp__json_is_number(value) ? mcp__json_as_real(value) : -1;
  if (!mcp__json_is_number(value) || !mcp__json_is_whole(value) || count < 0 || count >= 0x1p63)
    return malformed(compiler, &here, value, " is not a whole number from 0");
  step->count = (uint64_t)count;
  return 0;
}

static bool refuse_count(mcp__problem_t *problem, const mcp__place_t *at, size_t count, const char *words,
                         uint64_t bound) {
  mcp__problem_begin(problem, at, NULL, "");
  mcp__problem_put_number(problem, count);
  mcp__problem_put(problem, words);
  mcp__problem_put_number(problem, bound);
  return false;
}

static bool check_min_items(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                            mcp__problem_t *problem) {
  if (!yyjson_is_arr(value) || yyjson_arr_size(value) >= step->count)
    return true;
  return refuse_count(problem, at, yyjson_arr_size(value), " items are less than the minimum ", step->count);
}

static bool check_max_items(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                            mcp__problem_t *problem) {
  if (!yyjson_is_arr(value) || yyjson_arr_size(value) <= step->count)
    return true;
  return refuse_count(problem, at, yyjson_arr_size(value), " items are more than the maximum ", step->count);
}

static int compile_items(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at,
                         const char *keyword, step_t *step) {
  mcp__place_t here = mcp__place_member(at, keyword, strlen(keyword));
  return compile_node(compiler, yyjson_obj_get(schema, keyword), &here, &step->node);
}

static bool check_items(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                        mcp__problem_t *problem) {
  size_t index, max;
  yyjson_val *element;
  if (!yyjson_is_arr(value))
    return true;
  yyjson_arr_foreach(value, index, max, element) {
    mcp__place_t here = mcp__place_element(at, index);
    if (!check_node(step->node, element, &here, problem))
      return false;
  }
  return true;
}

/* ---- properties, required, additionalProperties ----
 * One rule: whether null counts as given depends on required, and what is additional on properties. */

enum { OPTIONAL = MCP__SCHEMA_MAX_REQUIRED };

typedef struct member {
  const char *name; /* in the schema's copy */
  size_t len;
  const node_t *node; /* NULL: required only */
  size_t rank;        /* index in required, or OPTIONAL */
} member_t;

typedef struct members {
  member_t *list; /* sorted by order_of_names() */
  size_t count;
  yyjson_val *required; /* in the schema's copy; NULL: none */
  size_t required_count;
  const node_t *others; /* for members that are not in properties */
} members_t;

static int order_of_names(const char *a, size_t a_len, const char *b, size_t b_len) {
  if (a_len != b_len)
    return a_len < b_len ? -1 : 1;
  return memcmp(a, b, a_len);
}

static int order_of_members(const void *a, const void *b) {
  const member_t *left = a, *right = b;
  return order_of_names(left->name, left->len, right->name, right->len);
}

static const member_t *find_member(const members_t *members, const char *name, size_t len) {
  size_t low = 0, high = members->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const member_t *member = &members->list[middle];
    int order = order_of_names(name, len, member->name, member->len);
    if (order == 0)
      return member;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

static int add_properties(compiler_t *compiler, yyjson_val *properties, const mcp__place_t *at,
                          members_t *members) {
  size_t index, max;
  yyjson_val *key, *schema;
  if (properties == NULL)
    return 0;
  if (!yyjson_is_obj(properties))
    return malformed(compiler, at, properties, " is not an object");
  yyjson_obj_foreach(properties, index, max, key, schema) {
    member_t *member = &members->list[members->count++];
    *member = (member_t){yyjson_get_str(key), yyjson_get_len(key), NULL, OPTIONAL};
    mcp__place_t here = mcp__place_member(at, member->name, member->len);
    int status = compile_node(compiler, schema, &here, &member->node);
    if (status != 0)
      return status;
  }
  return 0;
}

static int add_required(compiler_t *compiler, yyjson_val *required, const mcp__place_t *at,
                        members_t *members) {
  size_t index, max;
  yyjson_val *name;
  if (required == NULL)
    return 0;
  if (!yyjson_is_arr(required))
    return malformed(compiler, at, required, " is not an array");
  if (yyjson_arr_size(required) > MCP__SCHEMA_MAX_REQUIRED) {
    refuse_count(compiler->problem, at, yyjson_arr_size(required), " names are more than the maximum ",
                 MCP__SCHEMA_MAX_REQUIRED);
    return -EINVAL;
  }
  yyjson_arr_foreach(required, index, max, name) {
    mcp__place_t here = mcp__place_element(at, index);
    if (!yyjson_is_str(name))
      return malformed(compiler, &here, name, " is not a string");
    members->list[members->count++] = (member_t){yyjson_get_str(name), yyjson_get_len(name), NULL, index};
  }
  members->required = required;
  members->required_count = max;
  return 0;
}

/* Makes one member of the two that a name has when it stands in both properties and required. */
static int merge_members(compiler_t *compiler, const mcp__place_t *at, members_t *members) {
  size_t count = 0;
  qsort(members->list, members->count, sizeof *members->list, order_of_members);
  for (size_t i = 0; i < members->count; i++) {
    const member_t *next = &members->list[i];
    member_t *last = count > 0 ? &members->list[count - 1] : NULL;
    if (last == NULL || order_of_members(last, next) != 0) {
      members->list[count++] = *next;
      continue;
    }
    bool twice = last->node != NULL && next->node != NULL;
    if (twice || (last->rank != OPTIONAL && next->rank != OPTIONAL)) {
      mcp__problem_begin(compiler->problem, at, NULL, "");
      mcp__problem_put_string(compiler->problem, next->name, next->len);
      mcp__problem_put(compiler->problem,
                       twice ? " stands in properties twice" : " stands in required twice");
      return -EINVAL;
    }
    last->node = last->node != NULL ? last->node : next->node;
    last->rank = last->rank != OPTIONAL ? last->rank : next->rank;
  }
  members->count = count;
  return 0;
}

static int compile_members(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at,
                           const char *keyword, step_t *step) {
  static const node_t anything;
  yyjson_val *properties = yyjson_obj_get(schema, "properties");
  yyjson_val *required = yyjson_obj_get(schema, "required");
  yyjson_val *others = yyjson_obj_get(schema, "additionalProperties");
  size_t most = yyjson_obj_size(properties) + yyjson_arr_size(required);
  members_t *members = mcp__arena_alloc(compiler->arena, sizeof *members);
  member_t *list = mcp__arena_alloc(compiler->arena, most * sizeof *list);
  (void)keyword;
  if (members == NULL || list == NULL)
    return -ENOMEM;
  *members = (members_t){.list = list, .others = &anything};
  step->members = members;
  mcp__place_t here = mcp__place_member(at, "properties", strlen("properties"));
  int status = add_properties(compiler, properties, &here, members);
  here = mcp__place_member(at, "required", strlen("required"));
  if (status == 0)
    status = add_required(compiler, required, &here, members);
  if (status == 0)
    status = merge_members(compiler, at, members);
  here = mcp__place_member(at, "additionalProperties", strlen("additionalProperties"));
  if (status == 0 && others != NULL)
    status = compile_node(compiler, others, &here, &members->others);
  return status;
}

/* Whether the required member is seen for the first time: names may come twice. */
static bool see(uint64_t seen[SEEN_WORDS], size_t rank) {
  uint64_t bit = UINT64_C(1) << rank % 64;
  bool first = (seen[rank / 64] & bit) == 0;
  seen[rank / 64] |= bit;
  return first;
}

/* Names the first required member that is not in seen; there is one. */
static bool refuse_missing(const members_t *members, uint64_t seen[SEEN_WORDS], const mcp__place_t *at,
                           mcp__problem_t *problem) {
  size_t rank = 0;
  while (!see(seen, rank))
    rank++;
  yyjson_val *name = yyjson_arr_get(members->required, rank);
  mcp__place_t here = mcp__place_member(at, yyjson_get_str(name), yyjson_get_len(name));
  return mcp__problem_begin(problem, &here, NULL, "required, not given");
}

static bool check_members(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__problem_t *problem) {
  const members_t *members = step->members;
  uint64_t seen[SEEN_WORDS] = {0};
  size_t index, max, given = 0;
  yyjson_val *key, *item;
  if (!yyjson_is_obj(value))
    return true;
  yyjson_obj_foreach(value, index, max, key, item) {
    mcp__place_t here = mcp__place_member(at, yyjson_get_str(key), yyjson_get_len(key));
    const member_t *member = find_member(members, here.name, here.number);
    if (member != NULL && member->rank != OPTIONAL)
      given += see(seen, member->rank);
    else if (yyjson_is_null(item))
      continue; /* counts as not given */
    const node_t *node = member != NULL && member->node != NULL ? member->node : members->others;
    if (!check_node(node, item, &here, problem))
      return false;
  }
  return given == members->required_count || refuse_missing(members, seen, at, problem);
}

/* ---- Schemas ---- */

static const struct rule {
  const char *keywords[3]; /* any of these calls for the rule; compile gets the first that is there */
  compile_cb compile;
  check_cb check;
} rules[] = {
    {{"type"}, compile_type, check_type},
    {{"enum"}, compile_enum, check_enum},
    {{"minimum"}, compile_bound, check_minimum},
    {{"maximum"}, compile_bound, check_maximum},
    {{"minItems"}, compile_count, check_min_items},
    {{"maxItems"}, compile_count, check_max_items},
    {{"items"}, compile_items, check_items},
    {{"properties", "required", "additionalProperties"}, compile_members, check_members},
};
enum {
  RULES = sizeof rules / sizeof rules[0],
  KEYWORDS = sizeof rules[0].keywords / sizeof rules[0].keywords[0]
};

static const char *keyword_in(yyjson_val *schema, const struct rule *rule) {
  for (size_t i = 0; i < KEYWORDS && rule->keywords[i] != NULL; i++)
    if (yyjson_obj_get(schema, rule->keywords[i]) != NULL)
      return rule->keywords[i];
  return NULL;
}

static bool check_nothing(const step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__problem_t *problem) {
  (void)step;
  (void)value;
  return mcp__problem_begin(problem, at, NULL, "not allowed");
}

static int compile_steps(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at, node_t *node) {
  const char *keywords[RULES];
  size_t count = 0, next = 0;
  for (size_t i = 0; i < RULES; i++)
    count += (keywords[i] = keyword_in(schema, &rules[i])) != NULL;
  step_t *steps = mcp__arena_alloc(compiler->arena, count * sizeof *steps);
  if (steps == NULL)
    return -ENOMEM;
  for (size_t i = 0; i < RULES; i++) {
    if (keywords[i] == NULL)
      continue;
    steps[next].check = rules[i].check;
    int status = rules[i].compile(compiler, schema, at, keywords[i], &steps[next++]);
    if (status != 0)
      return status;
  }
  *node = (node_t){steps, count};
  return 0;
}

static int compile_node(compiler_t *compiler, yyjson_val *schema, const mcp__place_t *at,
                        const node_t **out) {
  static const step_t refuse_all = {.check = check_nothing};
  if (!yyjson_is_obj(schema) && !yyjson_is_bool(schema))
    return malformed(compiler, at, schema, " is not a schema");
  node_t *node = mcp__arena_alloc(compiler->arena, sizeof *node);
  if (node == NULL)
    return -ENOMEM;
  *out = node;
  if (yyjson_is_obj(schema))
    return compile_steps(compiler, schema, at, node);
  *node = (node_t){&refuse_all, yyjson_is_true(schema) ? 0 : 1};
  return 0;
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

static yyjson_val *copy_into(mcp__arena_t *arena, yyjson_val *value) {
  yyjson_mut_doc *middle = yyjson_mut_doc_new(&mcp__json_alc); /* yyjson has no direct way */
  yyjson_mut_val *copy = yyjson_val_mut_copy(middle, value);
  yyjson_doc *doc = copy != NULL ? yyjson_mut_val_imut_copy(copy, &arena->alc) : NULL;
  yyjson_mut_doc_free(middle);
  return yyjson_doc_get_root(doc);
}

static int compile(mcp__schema_t *made, yyjson_val *schema, mcp__problem_t *problem) {
  static const mcp__place_t root;
  compiler_t compiler = {&made->arena, problem};
  if (schema == NULL)
    return malformed(&compiler, &root, NULL, "no schema");
  if (deeper_than(schema, MCP__SCHEMA_MAX_DEPTH)) { /* copying and compiling go as deep as it does */
    malformed(&compiler, &root, NULL, "nested deeper than ");
    mcp__problem_put_number(problem, MCP__SCHEMA_MAX_DEPTH);
    return -EINVAL;
  }
  yyjson_val *copy = copy_into(&made->arena, schema);
  return copy != NULL ? compile_node(&compiler, copy, &root, &made->root) : -ENOMEM;
}

int mcp__schema_new(yyjson_val *schema, mcp__schema_t **out, char *problem, size_t problem_size) {
  mcp__problem_t text;
  mcp__problem_init(&text, problem, problem_size);
  mcp__schema_t *made = mcp__malloc(sizeof *made);
  if (made == NULL)
    return -ENOMEM;
  mcp__arena_init(&made->arena, SIZE_MAX / 2); /* as large as its author made the schema */
  int status = compile(made, schema, &text);
  if (status == 0)
    *out = made;
  else
    mcp__schema_free(made);
  return status;
}

bool mcp__schema_check(const mcp__schema_t *schema, yyjson_val *value, char *problem, size_t problem_size) {
  static const mcp__place_t root;
  mcp__problem_t text;
  mcp__problem_init(&text, problem, problem_size);
  return check_node(schema->root, value, &root, &text);
}

void mcp__schema_free(mcp__schema_t *schema) {
  if (schema == NULL)
    return;
  mcp__arena_deinit(&schema->arena);
  mcp__free(schema);
}
