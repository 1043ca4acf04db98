/* schema_ref.c: $id, $defs, anchors, and $ref to places in the same schema.
 *
 * The root, and each subschema with an $id, is a resource: it has a URI, which references refer to, and its
 * own anchors. While the schema is compiled, resources, anchors and references are only recorded. Afterwards
 * each reference is resolved against the URI of its resource and followed to the node of its target; a target
 * in a place where no keyword expects a schema is compiled now. So the recursion is limited by the schema's
 * depth, whatever the references. Nothing is downloaded: a reference to a document that the schema does not
 * contain is rejected with its name, and so is an unknown $schema. A reference to itself is rejected; other
 * cycles end with the value, or at the limits of a check.
 *
 * $dynamicRef to a $dynamicAnchor, and $recursiveRef, use the anchor of that name in the outermost resource
 * of the dynamic scope. So in a schema with one of these, nodes that begin a resource, and references from
 * one resource to another, record the entered resource during a check. */
#include "schema/schema_compare.h"
#include "schema/schema_rules.h"
#include "schema/schema_uri.h"

#include <errno.h>
#include <string.h>

typedef struct mcp__anchor {
  const mcp__resource_t *resource;
  yyjson_val *schema;
  const char *name; /* empty: of $recursiveAnchor */
  size_t len;
  bool dynamic;
  struct mcp__anchor *next;
} anchor_t;

typedef struct mcp__ref {
  yyjson_val *text;
  const mcp__resource_t *resource; /* the resource that contains it */
  mcp__validator_t *validator;
  const mcp__node_t *node; /* the target, once it is resolved */
  bool may_be_dynamic;     /* $dynamicRef, $recursiveRef */
  const anchor_t *anchor;  /* the anchor that it used; NULL: a JSON Pointer */
  struct mcp__ref *next;
} ref_t;

/* ---- Places ---- */

typedef struct path {
  mcp__location_t places[MCP__SCHEMA_MAX_DEPTH + 2]; /* the root's, and one for each nested value */
  size_t count;
} path_t;

/* The value in container that is target or contains it: yyjson stores values one after the other. */
static yyjson_val *step_towards(yyjson_val *container, const yyjson_val *target, const mcp__location_t *at,
                                mcp__location_t *place) {
  size_t index, max;
  yyjson_val *key, *item;
  yyjson_arr_foreach(container, index, max, item) {
    *place = mcp__location_element(at, index);
    if (target < unsafe_yyjson_get_next(item))
      return item;
  }
  yyjson_obj_foreach(container, index, max, key, item) {
    *place = mcp__location_member(at, yyjson_get_str(key), yyjson_get_len(key));
    if (target < unsafe_yyjson_get_next(item))
      return item;
  }
  return NULL; /* UNTESTED: target is in container */
}

/* The location of the target; *resource is set to the innermost resource that contains it. */
static const mcp__location_t *find_path(const mcp__compiler_t *compiler, yyjson_val *target, path_t *path,
                                        const mcp__resource_t **resource) {
  path->places[0] = (mcp__location_t){NULL, NULL, 0, false};
  path->count = 1;
  for (yyjson_val *at = compiler->root;; path->count++) {
    const mcp__subschema_t *subschema = &compiler->subschemas[at - compiler->root];
    if (subschema->resource != NULL)
      *resource = subschema->resource;
    if (at == target)
      return &path->places[path->count - 1];
    at = step_towards(at, target, &path->places[path->count - 1], &path->places[path->count]);
  }
}

/* Begins an error about a reference. */
static int refuse_ref(mcp__compiler_t *compiler, yyjson_val *text, const char *message) {
  path_t path;
  const mcp__resource_t *resource;
  return mcp__malformed(compiler, find_path(compiler, text, &path, &resource), text, message);
}

/* ---- Anchors ---- */

static const anchor_t *find_anchor(const mcp__compiler_t *compiler, const mcp__resource_t *resource,
                                   const char *name, size_t len) {
  const anchor_t *anchor = compiler->anchors;
  while (anchor != NULL &&
         (anchor->resource != resource || anchor->len != len || memcmp(anchor->name, name, len) != 0))
    anchor = anchor->next;
  return anchor;
}

static int add_anchor(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, const char *name, size_t len,
                      bool dynamic) {
  const anchor_t *known = find_anchor(compiler, compiler->resource, name, len);
  if (known != NULL && known->schema != keyword->schema)
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is already used for another place");
  anchor_t *anchor = mcp__arena_alloc(compiler->arena, sizeof *anchor);
  if (anchor == NULL)
    return -ENOMEM;
  *anchor = (anchor_t){compiler->resource, keyword->schema, name, len, dynamic, compiler->anchors};
  compiler->anchors = anchor;
  return 0;
}

static int compile_anchor(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                          mcp__validator_t *validator) {
  bool dynamic = strcmp(keyword->location.name, "$dynamicAnchor") == 0;
  validator->check = NULL;
  if (!yyjson_is_str(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not a string");
  return add_anchor(compiler, keyword, yyjson_get_str(keyword->value), yyjson_get_len(keyword->value),
                    dynamic);
}

static int compile_recursive_anchor(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                                    mcp__validator_t *validator) {
  validator->check = NULL;
  return yyjson_is_true(keyword->value) ? add_anchor(compiler, keyword, "", 0, true) : 0;
}

/* ---- Resources ---- */

/* Applies the schema's $schema, if there is one, to its resource. */
static int read_dialect(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at,
                        mcp__resource_t *resource) {
  static const struct {
    const char *name;
    bool ref_ignores_siblings;
  } dialects[] = {{"json-schema.org/schema", false},
                  {"json-schema.org/draft/2020-12/schema", false},
                  {"json-schema.org/draft/2019-09/schema", false},
                  {"spec.openapis.org/oas/3.1/dialect/base", false},
                  {"json-schema.org/draft-07/schema", true},
                  {"json-schema.org/draft-06/schema", true},
                  {"json-schema.org/draft-04/schema", true}};
  mcp__keyword_t keyword = mcp__keyword_find(schema, at, "$schema");
  const char *text = yyjson_get_str(keyword.value);
  if (keyword.value == NULL)
    return 0;
  if (text == NULL)
    return mcp__malformed(compiler, &keyword.location, keyword.value, " is not a string");
  const char *name = strncmp(text, "http", 4) == 0 ? strstr(text, "://") : NULL;
  for (size_t i = 0; name != NULL && i < sizeof dialects / sizeof dialects[0]; i++) {
    size_t len = strlen(dialects[i].name);
    if (strncmp(name + 3, dialects[i].name, len) == 0 &&
        (name[3 + len] == '\0' || strcmp(name + 3 + len, "#") == 0)) {
      resource->ref_ignores_siblings = dialects[i].ref_ignores_siblings;
      return 0;
    }
  }
  return mcp__malformed(compiler, &keyword.location, keyword.value,
                        " is an unknown metaschema; use draft 2020-12 or draft-07, or omit $schema");
}

bool mcp__ref_ignores_siblings(const mcp__compiler_t *compiler, yyjson_val *schema) {
  return compiler->resource->ref_ignores_siblings && yyjson_is_str(yyjson_obj_get(schema, "$ref"));
}

/* Begins a resource with an $id; id->value is a string, or NULL for a root without $id. */
static int add_resource(mcp__compiler_t *compiler, const mcp__keyword_t *id) {
  const mcp__resource_t *outer = compiler->resource;
  mcp__resource_t *resource = mcp__arena_alloc(compiler->arena, sizeof *resource);
  const char *fragment = "";
  if (resource == NULL)
    return -ENOMEM;
  *resource = (mcp__resource_t){outer != NULL ? outer->uri : "", id->schema,
                                outer != NULL && outer->ref_ignores_siblings, compiler->resources};
  int status = 0;
  if (id->value != NULL)
    status = mcp__uri_resolve(compiler->arena, resource->uri, yyjson_get_str(id->value), &resource->uri,
                              &fragment);
  if (status == 0)
    status = read_dialect(compiler, id->schema, id->at, resource);
  if (status != 0)
    return status;
  compiler->resource = compiler->resources = resource;
  return *fragment != '\0' ? add_anchor(compiler, id, fragment, strlen(fragment), false) : 0;
}

int mcp__enter_resource(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at) {
  bool is_root = compiler->resource == NULL;
  mcp__keyword_t id = mcp__keyword_find(schema, at, "$id");
  const char *text = yyjson_get_str(id.value);
  if (id.value != NULL && (text == NULL || strlen(text) != yyjson_get_len(id.value)))
    return mcp__malformed(compiler, &id.location, id.value,
                          text == NULL ? " is not a string" : " is not a URI");
  if (is_root)
    return add_resource(compiler, &id);
  if (text == NULL || mcp__ref_ignores_siblings(compiler, schema))
    return 0;
  if (*text != '#')
    return add_resource(compiler, &id);
  return text[1] != '\0' ? add_anchor(compiler, &id, text + 1, strlen(text + 1), false) : 0; /* draft-07 */
}

/* ---- Compiling ---- */

static int compile_definitions(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                               mcp__validator_t *validator) {
  size_t index, max;
  yyjson_val *key, *schema;
  const mcp__node_t *node;
  validator->check = NULL;
  if (!yyjson_is_obj(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not an object");
  yyjson_obj_foreach(keyword->value, index, max, key, schema) {
    mcp__location_t location =
        mcp__location_member(&keyword->location, yyjson_get_str(key), yyjson_get_len(key));
    int status = mcp__compile_node(compiler, schema, &location, &node);
    if (status != 0)
      return status;
  }
  return 0;
}

static int compile_ref(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                       mcp__validator_t *validator) {
  if (!yyjson_is_str(keyword->value) ||
      strlen(yyjson_get_str(keyword->value)) != yyjson_get_len(keyword->value))
    return mcp__malformed(compiler, &keyword->location, keyword->value, " is not a reference");
  ref_t *ref = mcp__arena_alloc(compiler->arena, sizeof *ref);
  if (ref == NULL)
    return -ENOMEM;
  *ref = (ref_t){.text = keyword->value,
                 .resource = compiler->resource,
                 .validator = validator,
                 .may_be_dynamic = strcmp(keyword->location.name, "$ref") != 0,
                 .next = compiler->refs};
  compiler->refs = ref;
  validator->node = NULL;
  return 0;
}

/* ---- Checking ---- */

bool mcp__check_ref(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                    mcp__check_t *check) {
  return mcp__check_in_place(validator->node, value, at, check);
}

static bool enter(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                  mcp__check_t *check) {
  const mcp__entered_t *outer = check->entered;
  mcp__entered_t entered = {node->resource, outer};
  check->entered = &entered;
  bool fine = mcp__check_in_place(node, value, at, check);
  check->entered = outer;
  return fine;
}

bool mcp__check_in_resource(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                            mcp__check_t *check) {
  return enter(validator->node, value, at, check);
}

typedef struct choices { /* of a dynamic reference */
  const mcp__node_t **nodes;
  size_t count;
} choices_t;

const mcp__node_t *mcp__dynamic_target(const mcp__validator_t *validator, const mcp__check_t *check) {
  const choices_t *choices = validator->data;
  const mcp__node_t *target = choices->nodes[0];
  for (const mcp__entered_t *entered = check->entered; entered != NULL; entered = entered->up)
    for (size_t i = 0; i < choices->count; i++)
      if (choices->nodes[i]->resource == entered->resource)
        target = choices->nodes[i];
  return target;
}

bool mcp__check_dynamic(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check) {
  const choices_t *choices = validator->data;
  uint64_t entered = MCP__SCHEMA_MAX_NESTED_CHECKS - check->depth; /* at most */
  return mcp__check_spend(check, at, entered * choices->count / 16) &&
         enter(mcp__dynamic_target(validator, check), value, at, check);
}

/* ---- Resolving ---- */

static int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  digit |= 0x20;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Decodes %xx in place; returns the length. */
static size_t decode_percent(char *text) {
  size_t len = 0;
  for (const char *at = text; *at != '\0'; at++) {
    bool escaped = *at == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0;
    text[len++] = escaped ? (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])) : *at;
    at += escaped ? 2 : 0;
  }
  return len;
}

static int refuse_external_ref(mcp__compiler_t *compiler, const ref_t *ref, const char *uri) {
  bool metaschema = strstr(uri, "://json-schema.org/draft") != NULL;
  refuse_ref(compiler, ref->text, metaschema ? " refers to the metaschema " : " refers to the document ");
  mcp__schema_error_put_string(compiler->error, uri, strlen(uri));
  mcp__schema_error_put(compiler->error, ", which is not part of this schema");
  if (!metaschema)
    mcp__schema_error_put(compiler->error, ": put it below $defs with its $id");
  return -EINVAL;
}

/* Several schemas may have the same $id, since generators repeat a type wherever it is used: any of them will
 * do if they are equal. */
static int find_resource(mcp__compiler_t *compiler, const ref_t *ref, const char *uri,
                         const mcp__resource_t **out) {
  const mcp__resource_t *found = NULL;
  for (const mcp__resource_t *each = compiler->resources; each != NULL; each = each->next) {
    uint64_t steps = MCP__SCHEMA_MAX_STEPS;
    if (each->uri != uri && strcmp(each->uri, uri) != 0)
      continue;
    if (found != NULL && !mcp__json_same(found->schema, each->schema, &steps))
      return refuse_ref(compiler, ref->text, " refers to two different schemas with that $id");
    found = each;
  }
  *out = found;
  return found != NULL ? 0 : refuse_external_ref(compiler, ref, uri);
}

/* Sets *out to the target, NULL if there is none, and *anchor if an anchor was used. 0 or -ENOMEM. */
static int find_target(const mcp__compiler_t *compiler, const mcp__resource_t *resource, const char *fragment,
                       yyjson_val **out, const anchor_t **anchor) {
  size_t size = strlen(fragment) + 1;
  char *name = mcp__malloc(size);
  if (name == NULL)
    return -ENOMEM;
  memcpy(name, fragment, size);
  size_t len = decode_percent(name);
  *anchor = *name != '/' ? find_anchor(compiler, resource, name, len) : NULL;
  if (len == 0 || *name == '/')
    *out = yyjson_ptr_getn(resource->schema, name, len);
  else
    *out = *anchor != NULL ? (*anchor)->schema : NULL;
  mcp__free(name);
  return 0;
}

/* The node of a value; compiles it if needed. */
static int node_of(mcp__compiler_t *compiler, yyjson_val *target, const mcp__node_t **out) {
  path_t path;
  *out = compiler->subschemas[target - compiler->root].node;
  if (*out != NULL)
    return 0;
  const mcp__location_t *at = find_path(compiler, target, &path, &compiler->resource);
  return mcp__compile_node(compiler, target, at, out);
}

static int resolve(mcp__compiler_t *compiler, ref_t *ref) {
  const char *uri, *fragment;
  const mcp__resource_t *resource = ref->resource;
  const anchor_t *anchor;
  yyjson_val *target = NULL;
  int status = mcp__uri_resolve(compiler->arena, resource->uri, yyjson_get_str(ref->text), &uri, &fragment);
  if (status == 0 && strcmp(uri, resource->uri) != 0)
    status = find_resource(compiler, ref, uri, &resource);
  if (status == 0)
    status = find_target(compiler, resource, fragment, &target, &anchor);
  if (status != 0)
    return status;
  if (target == NULL)
    return refuse_ref(compiler, ref->text, " cannot be resolved");
  ref->anchor = anchor;
  return node_of(compiler, target, &ref->node);
}

static size_t count_choices(const mcp__compiler_t *compiler, const anchor_t *target_anchor) {
  size_t count = 0;
  for (const anchor_t *each = compiler->anchors; each != NULL; each = each->next)
    count += each->dynamic && each->len == target_anchor->len &&
             memcmp(each->name, target_anchor->name, target_anchor->len) == 0;
  return count;
}

/* The first choice is the target if no entered resource has such an anchor. */
static int link_dynamic(const mcp__compiler_t *compiler, const ref_t *ref) {
  const anchor_t *target_anchor = ref->anchor;
  choices_t *choices = mcp__arena_alloc(compiler->arena, sizeof *choices);
  if (choices == NULL)
    return -ENOMEM;
  choices->nodes = mcp__arena_alloc(compiler->arena,
                                    (1 + count_choices(compiler, target_anchor)) * sizeof *choices->nodes);
  if (choices->nodes == NULL)
    return -ENOMEM;
  choices->nodes[0] = ref->node;
  choices->count = 1;
  for (const anchor_t *each = compiler->anchors; each != NULL; each = each->next)
    if (each->dynamic && each->len == target_anchor->len &&
        memcmp(each->name, target_anchor->name, target_anchor->len) == 0)
      choices->nodes[choices->count++] = compiler->subschemas[each->schema - compiler->root].node;
  ref->validator->data = choices;
  ref->validator->check = mcp__check_dynamic;
  return 0;
}

/* Sets the validator to the resolved target. */
static int link_ref(const mcp__compiler_t *compiler, const ref_t *ref) {
  if (ref->may_be_dynamic && ref->anchor != NULL && ref->anchor->dynamic)
    return link_dynamic(compiler, ref);
  bool leaves = ref->node->resource != NULL && ref->node->resource != ref->resource;
  ref->validator->check = compiler->dynamic && leaves ? mcp__check_in_resource : mcp__check_ref;
  ref->validator->node = ref->node;
  return 0;
}

static const mcp__node_t *next_by_ref(const mcp__node_t *node) {
  static const mcp__check_t nothing_entered;
  for (size_t i = 0; i < node->count; i++) {
    const mcp__validator_t *validator = &node->validators[i];
    const mcp__node_t *next = mcp__validator_applies(validator, &nothing_entered);
    if (next != NULL && validator->check != mcp__check_dynamic)
      return next;
  }
  return NULL;
}

/* Whether following only references returns to the same node (cycle detection with a slow and a fast
 * pointer). */
static bool is_cyclic(const mcp__node_t *slow) {
  const mcp__node_t *fast = slow;
  while (fast != NULL && (fast = next_by_ref(fast)) != NULL && (fast = next_by_ref(fast)) != NULL) {
    slow = next_by_ref(slow);
    if (slow == fast)
      return true;
  }
  return false;
}

int mcp__resolve_refs(mcp__compiler_t *compiler) {
  ref_t *resolved = NULL;
  while (compiler->refs != NULL) { /* compiling a target may add references */
    ref_t *ref = compiler->refs;
    compiler->refs = ref->next;
    int status = resolve(compiler, ref);
    if (status != 0)
      return status;
    ref->next = resolved;
    resolved = ref;
  }
  for (const ref_t *ref = resolved; ref != NULL; ref = ref->next) {
    int status = link_ref(compiler, ref);
    if (status != 0)
      return status;
  }
  for (const ref_t *ref = resolved; ref != NULL; ref = ref->next)
    if (is_cyclic(ref->node))
      return refuse_ref(compiler, ref->text, " refers to itself");
  return 0;
}

const mcp__rule_t mcp__ref_rules[] = {
    {{"$defs"}, compile_definitions, NULL, NULL},
    {{"definitions"}, compile_definitions, NULL, NULL},
    {{"$anchor"}, compile_anchor, NULL, NULL},
    {{"$dynamicAnchor"}, compile_anchor, NULL, NULL},
    {{"$recursiveAnchor"}, compile_recursive_anchor, NULL, NULL},
    {{"$ref"}, compile_ref, mcp__check_ref, NULL},
    {{"$dynamicRef"}, compile_ref, mcp__check_ref, NULL},
    {{"$recursiveRef"}, compile_ref, mcp__check_ref, NULL},
    {{NULL}, NULL, NULL, NULL},
};
