/* schema_ref.c: $defs, anchors and $ref to places in the same schema.
 *
 * While the schema is compiled, references and anchors are only noted. Afterwards each reference is followed:
 * to the node of its target, which is compiled now when it stands where no keyword looks for a schema. So the
 * recursion stays within the schema's depth whatever refers to what. In a schema without inner $id, which is
 * the only kind that is followed, $dynamicRef and $recursiveRef mean what $ref means. A reference that leads
 * back to itself is refused; other circles end with the value, or at the limits of a check. */
#include "schema_rules.h"

#include <errno.h>
#include <string.h>

typedef struct mcp__anchor {
  yyjson_val *schema;
  const char *name;
  size_t len;
  struct mcp__anchor *next;
} anchor_t;

typedef struct mcp__ref {
  yyjson_val *text;
  mcp__step_t *step;
  struct mcp__ref *next;
} ref_t;

/* ---- Places ---- */

typedef struct path {
  mcp__place_t places[MCP__SCHEMA_MAX_DEPTH + 2]; /* the root's, and one for each value below */
  size_t count;
  bool inner_id; /* a schema on the way, but the root, has an $id that makes it one of its own */
} path_t;

/* The value in container that is target, or holds it: values lie one behind the other. */
static yyjson_val *step_towards(yyjson_val *container, const yyjson_val *target, const mcp__place_t *at,
                                mcp__place_t *place) {
  size_t index, max;
  yyjson_val *key, *item;
  yyjson_arr_foreach(container, index, max, item) {
    *place = mcp__place_element(at, index);
    if (target < unsafe_yyjson_get_next(item))
      return item;
  }
  yyjson_obj_foreach(container, index, max, key, item) {
    *place = mcp__place_member(at, yyjson_get_str(key), yyjson_get_len(key));
    if (target < unsafe_yyjson_get_next(item))
      return item;
  }
  return NULL; /* UNTESTED: target is in container */
}

static const mcp__place_t *find_path(yyjson_val *root, yyjson_val *target, path_t *path) {
  path->places[0] = (mcp__place_t){NULL, NULL, 0, false};
  path->count = 1;
  path->inner_id = false;
  for (yyjson_val *at = root; at != target; path->count++) {
    at = step_towards(at, target, &path->places[path->count - 1], &path->places[path->count]);
    const char *id = yyjson_get_str(yyjson_obj_get(at, "$id"));
    path->inner_id |= id != NULL && *id != '#';
  }
  return &path->places[path->count - 1];
}

/* ---- Compiling ---- */

static int compile_definitions(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  size_t index, max;
  yyjson_val *key, *schema;
  const mcp__node_t *node;
  step->check = NULL;
  if (!yyjson_is_obj(site->value))
    return mcp__malformed(compiler, &site->here, site->value, " is not an object");
  yyjson_obj_foreach(site->value, index, max, key, schema) {
    mcp__place_t here = mcp__place_member(&site->here, yyjson_get_str(key), yyjson_get_len(key));
    int status = mcp__compile_node(compiler, schema, &here, &node);
    if (status != 0)
      return status;
  }
  return 0;
}

static const anchor_t *find_anchor(const mcp__compiler_t *compiler, const char *name, size_t len) {
  const anchor_t *anchor = compiler->anchors;
  while (anchor != NULL && (anchor->len != len || memcmp(anchor->name, name, len) != 0))
    anchor = anchor->next;
  return anchor;
}

static int add_anchor(mcp__compiler_t *compiler, const mcp__site_t *site, const char *name, size_t len) {
  const anchor_t *known = find_anchor(compiler, name, len);
  if (known != NULL && known->schema != site->schema)
    return mcp__malformed(compiler, &site->here, site->value, " names another place already");
  anchor_t *anchor = mcp__arena_alloc(compiler->arena, sizeof *anchor);
  if (anchor == NULL)
    return -ENOMEM;
  *anchor = (anchor_t){site->schema, name, len, compiler->anchors};
  compiler->anchors = anchor;
  return 0;
}

static int compile_anchor(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  step->check = NULL;
  if (!yyjson_is_str(site->value))
    return mcp__malformed(compiler, &site->here, site->value, " is not a string");
  return add_anchor(compiler, site, yyjson_get_str(site->value), yyjson_get_len(site->value));
}

static int compile_id(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  step->check = NULL;
  const char *id = yyjson_get_str(site->value);
  if (id == NULL)
    return mcp__malformed(compiler, &site->here, site->value, " is not a string");
  return id[0] == '#' && id[1] != '\0' /* draft-07 */
             ? add_anchor(compiler, site, id + 1, yyjson_get_len(site->value) - 1)
             : 0;
}

static int compile_ref(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  if (!yyjson_is_str(site->value) || strlen(yyjson_get_str(site->value)) != yyjson_get_len(site->value))
    return mcp__malformed(compiler, &site->here, site->value, " is not a reference");
  ref_t *ref = mcp__arena_alloc(compiler->arena, sizeof *ref);
  if (ref == NULL)
    return -ENOMEM;
  *ref = (ref_t){site->value, step, compiler->refs};
  compiler->refs = ref;
  step->node = NULL;
  return 0;
}

bool mcp__check_ref(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at, mcp__check_t *check) {
  return mcp__check_in_place(step->node, value, at, check);
}

/* ---- Resolving ---- */

/* What follows "#", or NULL: the reference leads to another document. The schema's own $id may stand before.
 */
static const char *fragment_of(yyjson_val *root, yyjson_val *text) {
  const char *ref = yyjson_get_str(text);
  yyjson_val *id = yyjson_obj_get(root, "$id");
  size_t len = yyjson_get_len(id);
  if (len > 0 && yyjson_get_str(id)[len - 1] == '#')
    len--;
  if (len > 0 && strncmp(ref, yyjson_get_str(id), len) == 0 && (ref[len] == '#' || ref[len] == '\0'))
    ref += len;
  else if (*ref != '#')
    return NULL;
  return *ref == '#' ? ref + 1 : ref;
}

static int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  digit |= 0x20;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Undoes %xx, in place of the copy; the length. */
static size_t decode_percent(char *text) {
  size_t len = 0;
  for (const char *at = text; *at != '\0'; at++) {
    bool escaped = *at == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0;
    text[len++] = escaped ? (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])) : *at;
    at += escaped ? 2 : 0;
  }
  return len;
}

/* 0 with the value, NULL when there is none, or -ENOMEM. */
static int find_target(const mcp__compiler_t *compiler, const char *fragment, yyjson_val **out) {
  size_t size = strlen(fragment) + 1;
  char *name = mcp__malloc(size);
  if (name == NULL)
    return -ENOMEM;
  memcpy(name, fragment, size);
  size_t len = decode_percent(name);
  const anchor_t *anchor = find_anchor(compiler, name, len);
  if (len == 0 || *name == '/')
    *out = yyjson_ptr_getn(compiler->root, name, len);
  else
    *out = anchor != NULL ? anchor->schema : NULL;
  mcp__free(name);
  return 0;
}

static int resolve(mcp__compiler_t *compiler, const ref_t *ref) {
  path_t path;
  yyjson_val *target = NULL;
  const mcp__place_t *at = find_path(compiler->root, ref->text, &path);
  const char *fragment = fragment_of(compiler->root, ref->text);
  if (path.inner_id)
    return mcp__malformed(compiler, at, ref->text, " stands below an inner $id, which is not supported");
  if (fragment == NULL)
    return mcp__malformed(compiler, at, ref->text, " leads out of this schema, which is not supported");
  int status = find_target(compiler, fragment, &target);
  if (status != 0)
    return status;
  if (target == NULL)
    return mcp__malformed(compiler, at, ref->text, " leads nowhere");
  ref->step->node = compiler->nodes[target - compiler->root];
  return ref->step->node != NULL
             ? 0
             : mcp__compile_node(compiler, target, find_path(compiler->root, target, &path),
                                 &ref->step->node);
}

static const mcp__node_t *next_by_ref(const mcp__node_t *node) {
  for (size_t i = 0; i < node->count; i++)
    if (node->steps[i].check == mcp__check_ref)
      return node->steps[i].node;
  return NULL;
}

/* Whether following references alone comes back to where it was: by a walker and one of twice the speed. */
static bool runs_in_a_circle(const mcp__node_t *slow) {
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
  while (compiler->refs != NULL) { /* compiling a target may bring more */
    ref_t *ref = compiler->refs;
    compiler->refs = ref->next;
    int status = resolve(compiler, ref);
    if (status != 0)
      return status;
    ref->next = resolved;
    resolved = ref;
  }
  for (; resolved != NULL; resolved = resolved->next) {
    path_t path;
    if (runs_in_a_circle(resolved->step->node))
      return mcp__malformed(compiler, find_path(compiler->root, resolved->text, &path), resolved->text,
                            " leads back to itself");
  }
  return 0;
}

const mcp__rule_t mcp__ref_rules[] = {
    {{"$defs"}, compile_definitions, NULL},
    {{"definitions"}, compile_definitions, NULL},
    {{"$anchor"}, compile_anchor, NULL},
    {{"$dynamicAnchor"}, compile_anchor, NULL},
    {{"$id"}, compile_id, NULL},
    {{"$ref"}, compile_ref, mcp__check_ref},
    {{"$dynamicRef"}, compile_ref, mcp__check_ref},
    {{"$recursiveRef"}, compile_ref, mcp__check_ref},
    {{NULL}, NULL, NULL},
};
