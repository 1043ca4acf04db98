/* schema_object.c: object keywords, and the meaning of null for a property (the rule is in schema.h). */
#include "base/edit_distance.h"
#include "schema/schema_evaluated.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN_WORDS = MCP__SCHEMA_MAX_REQUIRED / 64, OPTIONAL = MCP__SCHEMA_MAX_REQUIRED };

typedef struct member {
  const char *name; /* in the schema's copy */
  size_t len;
  const mcp__node_t *node; /* NULL: only required */
  size_t rank;             /* index in required, or OPTIONAL */
} member_t;

typedef struct matcher { /* of patternProperties */
  mcp__pattern_t pattern;
  const mcp__node_t *node;
} matcher_t;

typedef struct members {
  member_t *list; /* sorted by order_of_names() */
  size_t count;
  yyjson_val *required; /* in the schema's copy; NULL: none */
  size_t required_count;
  matcher_t *matchers;
  size_t matcher_count;
  const mcp__node_t *others; /* for members that are neither in list nor matched; NULL: anything */
  bool closed;               /* nothing */
  const mcp__node_t *names;  /* NULL: any */
} members_t;

/* ---- Names ---- */

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

/* ---- Compiling ---- */

static int add_properties(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, members_t *members) {
  size_t index, max;
  yyjson_val *key, *schema;
  if (keyword->value == NULL)
    return 0;
  if (!yyjson_is_obj(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not an object");
  yyjson_obj_foreach(keyword->value, index, max, key, schema) {
    member_t *member = &members->list[members->count++];
    *member = (member_t){yyjson_get_str(key), yyjson_get_len(key), NULL, OPTIONAL};
    mcp__location_t location = mcp__location_member(&keyword->location, member->name, member->len);
    int status = mcp__compile_node(compiler, schema, &location, &member->node);
    if (status != 0)
      return status;
  }
  return 0;
}

static int check_names(mcp__compiler_t *compiler, yyjson_val *names, const mcp__location_t *at) {
  size_t index, max;
  yyjson_val *name;
  if (!yyjson_is_arr(names))
    return mcp__malformed(compiler, at, names, " is not an array");
  yyjson_arr_foreach(names, index, max, name) {
    mcp__location_t location = mcp__location_element(at, index);
    if (!yyjson_is_str(name))
      return mcp__malformed(compiler, &location, name, " is not a string");
  }
  return 0;
}

static int add_required(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, members_t *members) {
  size_t index, max;
  yyjson_val *name;
  if (keyword->value == NULL)
    return 0;
  int status = check_names(compiler, keyword->value, &keyword->location);
  if (status != 0)
    return status;
  if (yyjson_arr_size(keyword->value) > MCP__SCHEMA_MAX_REQUIRED) {
    mcp__refuse_count(compiler->error, &keyword->location, yyjson_arr_size(keyword->value),
                      " names are more than the maximum ", MCP__SCHEMA_MAX_REQUIRED);
    return -EINVAL;
  }
  yyjson_arr_foreach(keyword->value, index, max, name) {
    members->list[members->count++] = (member_t){yyjson_get_str(name), yyjson_get_len(name), NULL, index};
  }
  members->required = keyword->value;
  members->required_count = max;
  return 0;
}

/* Merges the two members of a name that is in both properties and required. */
static int merge_members(mcp__compiler_t *compiler, const mcp__location_t *at, members_t *members) {
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
      mcp__schema_error_begin(compiler->error, at, NULL, "");
      mcp__schema_error_put_string(compiler->error, next->name, next->len);
      mcp__schema_error_put(compiler->error, twice ? " is twice in properties" : " is twice in required");
      return -EINVAL;
    }
    last->node = last->node != NULL ? last->node : next->node;
    last->rank = last->rank != OPTIONAL ? last->rank : next->rank;
  }
  members->count = count;
  return 0;
}

static int add_matchers(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, members_t *members) {
  size_t index, max;
  yyjson_val *key, *schema;
  if (keyword->value == NULL)
    return 0;
  if (!yyjson_is_obj(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not an object");
  members->matchers =
      mcp__arena_alloc(compiler->arena, yyjson_obj_size(keyword->value) * sizeof *members->matchers);
  if (members->matchers == NULL)
    return -ENOMEM;
  yyjson_obj_foreach(keyword->value, index, max, key, schema) {
    matcher_t *matcher = &members->matchers[members->matcher_count++];
    mcp__location_t location =
        mcp__location_member(&keyword->location, yyjson_get_str(key), yyjson_get_len(key));
    int status = mcp__compile_pattern(compiler, key, &location, &matcher->pattern);
    if (status == 0)
      status = mcp__compile_node(compiler, schema, &location, &matcher->node);
    if (status != 0)
      return status;
  }
  return 0;
}

static int add_schema(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, const mcp__node_t **out) {
  return keyword->value != NULL ? mcp__compile_node(compiler, keyword->value, &keyword->location, out) : 0;
}

/* One rule for all these keywords: whether null counts as given depends on required; which members are
 * additional depends on properties and patternProperties. */
static int compile_members(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                           mcp__validator_t *validator) {
  mcp__keyword_t properties = mcp__keyword_find(keyword->schema, keyword->at, "properties");
  mcp__keyword_t required = mcp__keyword_find(keyword->schema, keyword->at, "required");
  mcp__keyword_t patterns = mcp__keyword_find(keyword->schema, keyword->at, "patternProperties");
  mcp__keyword_t others = mcp__keyword_find(keyword->schema, keyword->at, "additionalProperties");
  mcp__keyword_t names = mcp__keyword_find(keyword->schema, keyword->at, "propertyNames");
  size_t most = yyjson_obj_size(properties.value) + yyjson_arr_size(required.value);
  members_t *members = mcp__arena_alloc(compiler->arena, sizeof *members);
  member_t *list = mcp__arena_alloc(compiler->arena, most * sizeof *list);
  if (members == NULL || list == NULL)
    return -ENOMEM;
  *members = (members_t){.list = list, .closed = yyjson_is_false(others.value)};
  validator->data = members;
  int status = add_properties(compiler, &properties, members);
  if (status == 0)
    status = add_required(compiler, &required, members);
  if (status == 0)
    status = merge_members(compiler, keyword->at, members);
  if (status == 0)
    status = add_matchers(compiler, &patterns, members);
  if (status == 0)
    status = add_schema(compiler, &others, &members->others);
  return status == 0 ? add_schema(compiler, &names, &members->names) : status;
}

/* ---- Given members ---- */

static bool check_members(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check);
static bool check_members_tracking(const mcp__validator_t *validator, yyjson_val *value,
                                   const mcp__location_t *at, mcp__check_t *check);

static bool is_members(const mcp__validator_t *validator) {
  return validator->check == check_members || validator->check == check_members_tracking;
}

/* Whether the schema requires the name, or has it in its properties; the schema itself or one that it always
 * applies. */
static bool mentions(const mcp__node_t *node, const char *name, size_t len, bool required,
                     mcp__check_t *check) {
  if (check->depth == 0 || check->steps <= node->count) {
    check->steps = 0; /* the caller gives up when it spends the next step */
    return false;
  }
  check->steps -= node->count;
  check->depth--;
  bool found = false;
  for (size_t i = 0; !found && i < node->count; i++) {
    const mcp__validator_t *validator = &node->validators[i];
    const mcp__node_t *applied;
    if (is_members(validator)) {
      const member_t *member = find_member(validator->data, name, len);
      found = member != NULL && (required ? member->rank != OPTIONAL : member->node != NULL);
    } else if ((applied = mcp__validator_applies(validator, check)) != NULL) {
      found = mentions(applied, name, len, required, check);
    } else if (validator->check == mcp__check_all_of) {
      for (size_t j = 0; !found && j < validator->list.count; j++)
        found = mentions(validator->list.nodes[j], name, len, required, check);
    }
  }
  check->depth++;
  return found;
}

bool mcp__node_has_property(const mcp__node_t *node, const char *name, size_t len) {
  const member_t *member = NULL;
  while (node->count == 1 && (node->validators[0].check == mcp__check_in_resource ||
                              node->validators[0].check == mcp__check_tracking_evaluated))
    node = node->validators[0].node; /* the wrapping nodes */
  for (size_t i = 0; i < node->count; i++)
    if (is_members(&node->validators[i]))
      member = find_member(node->validators[i].data, name, len);
  return member != NULL && member->node != NULL;
}

/* Whether null counts as given for the property of that name. */
static bool null_counts(mcp__check_t *check, const char *name, size_t len) {
  for (const mcp__scope_t *scope = check->scope; scope != NULL; scope = scope->up)
    if (mentions(scope->node, name, len, true, check) &&
        (scope->up == NULL || mentions(scope->node, name, len, false, check)))
      return true;
  return false;
}

bool mcp__check_is_given(mcp__check_t *check, yyjson_val *name, yyjson_val *member) {
  return !yyjson_is_null(member) || null_counts(check, yyjson_get_str(name), yyjson_get_len(name));
}

static bool is_given(mcp__check_t *check, yyjson_val *object, yyjson_val *name) {
  yyjson_val *item = yyjson_obj_getn(object, yyjson_get_str(name), yyjson_get_len(name));
  return item != NULL && mcp__check_is_given(check, name, item);
}

/* ---- Checking ---- */

/* Whether the required member is seen for the first time: names may occur twice. */
static bool mark_seen(uint64_t seen[SEEN_WORDS], size_t rank) {
  uint64_t bit = UINT64_C(1) << rank % 64;
  bool first = (seen[rank / 64] & bit) == 0;
  seen[rank / 64] |= bit;
  return first;
}

/* Reports the first required member that is not in seen; there is one. */
static bool refuse_missing(const members_t *members, uint64_t seen[SEEN_WORDS], const mcp__location_t *at,
                           mcp__check_t *check) {
  size_t rank = 0;
  while (!mark_seen(seen, rank))
    rank++;
  yyjson_val *name = yyjson_arr_get(members->required, rank);
  mcp__location_t location = mcp__location_member(at, yyjson_get_str(name), yyjson_get_len(name));
  return mcp__schema_error_begin(check->error, &location, NULL, "required, not given");
}

static bool check_name(const members_t *members, yyjson_val *key, const mcp__location_t *at,
                       mcp__check_t *check) {
  mcp__location_t location = *at;
  location.is_name = true;
  return members->names == NULL || mcp__check_value(members->names, key, &location, check);
}

/* Checks patternProperties; *matched is set if any pattern matched. */
MCP__SCHEMA_INLINE bool check_patterns(const members_t *members, yyjson_val *key, yyjson_val *item,
                                       const mcp__location_t *at, mcp__check_t *check, bool *matched) {
  for (size_t i = 0; i < members->matcher_count; i++) {
    if (mcp__check_matches(&members->matchers[i].pattern, key, at, check)) {
      *matched = true;
      if (!mcp__check_value(members->matchers[i].node, item, at, check))
        return false;
    } else if (check->gave_up) {
      return false;
    }
  }
  return true;
}

/* The property with the nearest name; NULL: there are none. */
static const member_t *nearest_property(const members_t *members, const char *name, size_t len) {
  const member_t *nearest = NULL;
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < members->count; i++) {
    const member_t *member = &members->list[i];
    size_t distance = mcp__edit_distance_indel(name, len, member->name, member->len);
    if (member->node != NULL && distance < least) {
      nearest = member;
      least = distance;
    }
  }
  return nearest;
}

static bool refuse_unknown(const members_t *members, const mcp__location_t *at, mcp__check_t *check) {
  const member_t *nearest = check->error->size > 0 ? nearest_property(members, at->name, at->number) : NULL;
  mcp__schema_error_begin(check->error, at, NULL, "not allowed");
  if (nearest != NULL) {
    mcp__schema_error_put(check->error, "; did you mean ");
    mcp__schema_error_put_string(check->error, nearest->name, nearest->len);
    mcp__schema_error_put(check->error, "?");
  }
  return false;
}

/* Sets *is_evaluated if a keyword checked the member, by name, by pattern or as an additional one. */
MCP__SCHEMA_INLINE bool check_member(const members_t *members, const member_t *member, yyjson_val *key,
                                     yyjson_val *item, const mcp__location_t *at, mcp__check_t *check,
                                     bool *is_evaluated) {
  bool known = member != NULL && member->node != NULL;
  if (known && !mcp__check_value(member->node, item, at, check))
    return false;
  if (!check_patterns(members, key, item, at, check, &known))
    return false;
  if (!known && members->closed)
    return refuse_unknown(members, at, check);
  if (!known && members->others != NULL && !mcp__check_value(members->others, item, at, check))
    return false;
  *is_evaluated = known || members->others != NULL;
  return check_name(members, key, at, check);
}

/* Whether a schema for the object has the name in its properties. */
static bool is_property(mcp__check_t *check, const char *name, size_t len) {
  for (const mcp__scope_t *scope = check->scope; scope != NULL; scope = scope->up)
    if (mentions(scope->node, name, len, false, check))
      return true;
  return false;
}

/* A member that is null and does not count as given: only patterns check it, unless it is a property. */
static bool check_null(const members_t *members, yyjson_val *key, yyjson_val *item, const mcp__location_t *at,
                       mcp__check_t *check) {
  bool matched;
  return members->matcher_count == 0 || is_property(check, at->name, at->number) ||
         check_patterns(members, key, item, at, check, &matched);
}

/* evaluated is NULL if the schema does not track. */
MCP__SCHEMA_INLINE bool validate_members(const members_t *members, yyjson_val *value,
                                         const mcp__location_t *at, mcp__check_t *check,
                                         mcp__evaluated_t *evaluated) {
  uint64_t seen[SEEN_WORDS] = {0};
  size_t index, max, given = 0;
  yyjson_val *key, *item;
  yyjson_obj_foreach(value, index, max, key, item) {
    mcp__location_t location = mcp__location_member(at, yyjson_get_str(key), yyjson_get_len(key));
    bool is_evaluated = false;
    if (yyjson_is_null(item) && !null_counts(check, location.name, location.number)) {
      if (!check_null(members, key, item, &location, check) || !mcp__check_spend(check, at, 0))
        return false;
      continue;
    }
    const member_t *member = find_member(members, location.name, location.number);
    if (member != NULL && member->rank != OPTIONAL)
      given += mark_seen(seen, member->rank);
    if (!check_member(members, member, key, item, &location, check, &is_evaluated))
      return false;
    if (evaluated != NULL && is_evaluated)
      mcp__evaluated_set(evaluated, index);
  }
  return given == members->required_count || refuse_missing(members, seen, at, check);
}

static bool check_members(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                          mcp__check_t *check) {
  return !yyjson_is_obj(value) || validate_members(validator->data, value, at, check, NULL);
}

static bool check_members_tracking(const mcp__validator_t *validator, yyjson_val *value,
                                   const mcp__location_t *at, mcp__check_t *check) {
  mcp__evaluated_t *evaluated = check->evaluated;
  check->evaluated = NULL; /* the set belongs to the value, not to its members */
  bool fine = !yyjson_is_obj(value) || validate_members(validator->data, value, at, check, evaluated);
  check->evaluated = evaluated;
  return fine;
}

/* ---- minProperties, maxProperties ---- */

static uint64_t count_given(mcp__check_t *check, yyjson_val *object) {
  size_t index, max;
  yyjson_val *key, *item;
  uint64_t count = 0;
  yyjson_obj_foreach(object, index, max, key, item) {
    count += mcp__check_is_given(check, key, item);
  }
  return count;
}

static bool check_min_properties(const mcp__validator_t *validator, yyjson_val *value,
                                 const mcp__location_t *at, mcp__check_t *check) {
  if (!yyjson_is_obj(value))
    return true;
  uint64_t count = count_given(check, value);
  if (!mcp__check_spend(check, at, yyjson_obj_size(value) / 4))
    return false;
  return count >= validator->count ||
         mcp__refuse_count(check->error, at, count, " properties are less than the minimum ",
                           validator->count);
}

static bool check_max_properties(const mcp__validator_t *validator, yyjson_val *value,
                                 const mcp__location_t *at, mcp__check_t *check) {
  if (!yyjson_is_obj(value))
    return true;
  uint64_t count = count_given(check, value);
  if (!mcp__check_spend(check, at, yyjson_obj_size(value) / 4))
    return false;
  return count <= validator->count ||
         mcp__refuse_count(check->error, at, count, " properties are more than the maximum ",
                           validator->count);
}

/* ---- dependentRequired, dependentSchemas, dependencies ---- */

typedef struct dependent {
  yyjson_val *name;
  yyjson_val *others;      /* names that must be given with it; NULL: none */
  const mcp__node_t *node; /* NULL: anything */
} dependent_t;

typedef struct dependents {
  dependent_t *list;
  size_t count;
} dependents_t;

static int compile_dependents(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                              mcp__validator_t *validator) {
  size_t index, max;
  yyjson_val *key, *value;
  if (!yyjson_is_obj(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not an object");
  dependents_t *dependents = mcp__arena_alloc(compiler->arena, sizeof *dependents);
  dependent_t *list = mcp__arena_alloc(compiler->arena, yyjson_obj_size(keyword->value) * sizeof *list);
  if (dependents == NULL || list == NULL)
    return -ENOMEM;
  *dependents = (dependents_t){list, yyjson_obj_size(keyword->value)};
  validator->data = dependents;
  bool schemas = strcmp(keyword->location.name, "dependentSchemas") == 0;
  bool either = strcmp(keyword->location.name, "dependencies") == 0;
  yyjson_obj_foreach(keyword->value, index, max, key, value) {
    mcp__location_t location =
        mcp__location_member(&keyword->location, yyjson_get_str(key), yyjson_get_len(key));
    list[index] = (dependent_t){.name = key};
    int status;
    if (schemas || (either && !yyjson_is_arr(value)))
      status = mcp__compile_node(compiler, value, &location, &list[index].node);
    else
      status = check_names(compiler, list[index].others = value, &location);
    if (status != 0)
      return status;
  }
  return 0;
}

static bool check_required_names(const dependent_t *dependent, yyjson_val *object, const mcp__location_t *at,
                                 mcp__check_t *check) {
  size_t index, max;
  yyjson_val *name;
  yyjson_arr_foreach(dependent->others, index, max, name) {
    bool given = is_given(check, object, name);
    if (!mcp__check_spend(check, at, 1 + yyjson_obj_size(object) / 4))
      return false;
    if (given)
      continue;
    mcp__location_t location = mcp__location_member(at, yyjson_get_str(name), yyjson_get_len(name));
    mcp__schema_error_begin(check->error, &location, NULL, "required with ");
    mcp__schema_error_put_value(check->error, dependent->name);
    mcp__schema_error_put(check->error, ", not given");
    return false;
  }
  return true;
}

static bool check_dependents(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                             mcp__check_t *check) {
  const dependents_t *dependents = validator->data;
  if (!yyjson_is_obj(value))
    return true;
  for (size_t i = 0; i < dependents->count; i++) {
    const dependent_t *dependent = &dependents->list[i];
    bool given = is_given(check, value, dependent->name);
    if (!mcp__check_spend(check, at, 1 + yyjson_obj_size(value) / 4))
      return false;
    if (!given)
      continue;
    if (!check_required_names(dependent, value, at, check) ||
        (dependent->node != NULL && !mcp__check_in_place(dependent->node, value, at, check)))
      return false;
  }
  return true;
}

const mcp__rule_t mcp__object_rules[] = {
    {{"minProperties"}, mcp__compile_count, check_min_properties, NULL},
    {{"maxProperties"}, mcp__compile_count, check_max_properties, NULL},
    {{"properties", "required", "additionalProperties", "patternProperties", "propertyNames"},
     compile_members,
     check_members,
     check_members_tracking},
    {{"dependentRequired"}, compile_dependents, check_dependents, NULL},
    {{"dependentSchemas"}, compile_dependents, check_dependents, NULL},
    {{"dependencies"}, compile_dependents, check_dependents, NULL},
    {{NULL}, NULL, NULL, NULL},
};
