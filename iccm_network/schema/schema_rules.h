/* schema_rules.h: shared by the files of keywords: the compiled form, and the state of compiling and
 * checking. */
#ifndef MCP_SCHEMA_RULES_H
#define MCP_SCHEMA_RULES_H

#include "base/arena.h"
#include "schema/schema.h"
#include "schema/schema_warnings.h"
#include "schema/schema_pattern.h"
#include "schema/schema_error.h"

/* ---- Compiled form, in the schema's arena ---- */

typedef struct mcp__validator mcp__validator_t;
typedef struct mcp__check mcp__check_t;
typedef bool (*mcp__check_cb)(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                              mcp__check_t *check);

typedef struct mcp__node { /* a schema */
  const mcp__validator_t *validators;
  size_t count;                         /* 0: everything is valid */
  const struct mcp__resource *resource; /* the resource of the schema; NULL: a boolean schema */
} mcp__node_t;

typedef struct mcp__node_list { /* schemas of one keyword */
  const mcp__node_t **nodes;
  size_t count;
} mcp__node_list_t;

struct mcp__validator { /* a rule that occurs in a schema */
  mcp__check_cb check;
  union { /* data that the rule's compile function stores for its check */
    unsigned types;
    uint64_t count;
    yyjson_val *value; /* in the schema's copy */
    const mcp__node_t *node;
    mcp__node_list_t list;
    const void *data; /* of a type of the rule's file */
  };
};

/* ---- Compiling ---- */

/* The root, or a subschema with an $id (a schema resource). */
typedef struct mcp__resource {
  const char *uri; /* absolute if the root's is; empty: it has none */
  yyjson_val *schema;
  bool ref_ignores_siblings; /* drafts up to 7: keywords beside $ref are ignored */
  struct mcp__resource *next;
} mcp__resource_t;

typedef struct mcp__subschema { /* a value that was compiled as a schema */
  const mcp__node_t *node;
  const mcp__resource_t *resource;
} mcp__subschema_t;

typedef struct mcp__compiler {
  mcp__arena_t *arena;
  mcp__schema_error_t *error;
  yyjson_val *root;                /* the schema's copy */
  mcp__subschema_t *subschemas;    /* by the position of their values after root */
  const mcp__resource_t *resource; /* of the schema being compiled */
  mcp__resource_t *resources;      /* found so far */
  struct mcp__anchor *anchors;     /* found so far */
  struct mcp__ref *refs;           /* not resolved yet */
  mcp__schema_warnings_t *warnings;
  bool tracks_evaluated; /* unevaluatedItems or unevaluatedProperties occurs in the schema */
  bool dynamic;          /* $dynamicRef or $recursiveRef occurs in the schema */
} mcp__compiler_t;

/* An occurrence of a rule's keyword. */
typedef struct mcp__keyword {
  yyjson_val *schema, *value; /* the schema, and the value of the keyword in it */
  const mcp__location_t *at;  /* of the schema */
  mcp__location_t location;   /* of the value */
} mcp__keyword_t;

/* 0, -ENOMEM, or -EINVAL with the error set. Sets validator->check to NULL if there is nothing to check. */
typedef int (*mcp__compile_cb)(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                               mcp__validator_t *validator);

enum { MCP__SCHEMA_RULE_KEYWORDS = 7 };
typedef struct mcp__rule {
  /* Any of these keywords applies the rule; compile gets the first one that is present. */
  const char *keywords[MCP__SCHEMA_RULE_KEYWORDS];
  mcp__compile_cb compile;
  mcp__check_cb check;
  /* Replaces check if compiler->tracks_evaluated; NULL: check serves for both. */
  mcp__check_cb check_tracking;
} mcp__rule_t;

/* Each table ends with a rule without keywords. */
extern const mcp__rule_t mcp__scalar_rules[], mcp__array_rules[], mcp__object_rules[], mcp__combine_rules[],
    mcp__ref_rules[], mcp__unevaluated_rules[];

int mcp__malformed(mcp__compiler_t *compiler, const mcp__location_t *at, yyjson_val *value,
                   const char *message);
int mcp__compile_node(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at,
                      const mcp__node_t **out);
int mcp__compile_list(mcp__compiler_t *compiler, yyjson_val *schemas, const mcp__location_t *at,
                      mcp__node_list_t *out);
int mcp__compile_count(mcp__compiler_t *compiler, const mcp__keyword_t *keyword, mcp__validator_t *validator);
int mcp__compile_pattern(mcp__compiler_t *compiler, yyjson_val *text, const mcp__location_t *at,
                         mcp__pattern_t *out);

/* The index-th keyword that has a rule; NULL: there are no more. */
const char *mcp__rule_keyword(size_t index);

/* Sets compiler->resource to that of the schema, which changes only if the schema is the root or has an $id.
 */
int mcp__enter_resource(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at);

/* Whether the schema has a $ref and its draft ignores the keywords beside it. */
bool mcp__ref_ignores_siblings(const mcp__compiler_t *compiler, yyjson_val *schema);

int mcp__resolve_refs(mcp__compiler_t *compiler);

/* A keyword of a schema; its value is NULL if it is absent. */
mcp__keyword_t mcp__keyword_find(yyjson_val *schema, const mcp__location_t *at, const char *keyword);

/* ---- Checking ---- */

/* The schemas applied to one value, innermost first. */
typedef struct mcp__scope {
  const mcp__node_t *node;
  /* NULL: the first one, to which the value was passed as an element or a member */
  const struct mcp__scope *up;
} mcp__scope_t;

/* For functions that check with and without tracking evaluated properties: they are compiled for both cases,
 * so that the other case has no cost. */
#define MCP__SCHEMA_INLINE static inline __attribute__((always_inline))

/* The resources that were entered, innermost first (the dynamic scope). */
typedef struct mcp__entered {
  const mcp__resource_t *resource;
  const struct mcp__entered *up;
} mcp__entered_t;

struct mcp__check {
  mcp__schema_error_t *error;    /* where errors are written: the caller's, or one that discards them */
  mcp__schema_error_t *text;     /* the caller's */
  const mcp__scope_t *scope;     /* of the value being checked */
  const mcp__entered_t *entered; /* only if the schema has a $dynamicRef */
  /* The evaluated members or elements of the value being checked; NULL: not tracked. */
  struct mcp__evaluated *evaluated;
  uint64_t steps;           /* steps left */
  unsigned depth;           /* nesting left */
  uint64_t marked_integers; /* number of marked numbers, see schema_integers.h */
  bool gave_up;             /* if set, every check returns false and the result means nothing */
};

/* Whether the value, an element or a member of another value, is valid. */
bool mcp__check_value(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                      mcp__check_t *check);

/* Whether the value being checked is valid for another schema as well. */
bool mcp__check_in_place(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                         mcp__check_t *check);

/* Uses up steps for work that no node accounts for. False: no steps are left, and the check gave up. */
bool mcp__check_spend(mcp__check_t *check, const mcp__location_t *at, uint64_t steps);

/* Ends the check without a verdict; message is the reason. Returns false. */
bool mcp__check_give_up(mcp__check_t *check, const mcp__location_t *at, const char *message);

/* Whether the pattern matches in the string; false also if the check gave up. */
bool mcp__check_matches(const mcp__pattern_t *pattern, yyjson_val *string, const mcp__location_t *at,
                        mcp__check_t *check);

/* Sets an error of the form "3 items are more than the maximum 2". Returns false. */
bool mcp__refuse_count(mcp__schema_error_t *error, const mcp__location_t *at, uint64_t count,
                       const char *message, uint64_t bound);

/* Checks that other files need to recognise, since they always apply their schemas. */
bool mcp__check_all_of(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check);
bool mcp__check_ref(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                    mcp__check_t *check);
bool mcp__check_in_resource(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                            mcp__check_t *check);
bool mcp__check_tracking_evaluated(const mcp__validator_t *validator, yyjson_val *value,
                                   const mcp__location_t *at, mcp__check_t *check);
bool mcp__check_dynamic(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                        mcp__check_t *check);

/* The schema that a validator with mcp__check_dynamic applies now. */
const mcp__node_t *mcp__dynamic_target(const mcp__validator_t *validator, const mcp__check_t *check);

/* The schema that the validator always applies to the value itself; NULL: none. */
static inline const mcp__node_t *mcp__validator_applies(const mcp__validator_t *validator,
                                                        const mcp__check_t *check) {
  if (validator->check == mcp__check_ref || validator->check == mcp__check_in_resource ||
      validator->check == mcp__check_tracking_evaluated)
    return validator->node;
  return validator->check == mcp__check_dynamic ? mcp__dynamic_target(validator, check) : NULL;
}

/* Whether a member of the object being checked counts as given, which null may not (see schema.h). */
bool mcp__check_is_given(mcp__check_t *check, yyjson_val *name, yyjson_val *member);

/* Whether the schema itself has the name in its properties. */
bool mcp__node_has_property(const mcp__node_t *node, const char *name, size_t len);

bool mcp__check_unique(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check);

#endif
