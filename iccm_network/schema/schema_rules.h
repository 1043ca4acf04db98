/* schema_rules.h: what the files of keywords share: the compiled form, and the state of compiling and of
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
  size_t count;                         /* 0: anything is fine */
  const struct mcp__resource *resource; /* that it belongs to; NULL: a boolean */
} mcp__node_t;

typedef struct mcp__node_list { /* schemas of one keyword */
  const mcp__node_t **nodes;
  size_t count;
} mcp__node_list_t;

struct mcp__validator { /* a rule that occurs in a schema */
  mcp__check_cb check;
  union { /* what the rule's compile function left for its check */
    unsigned types;
    uint64_t count;
    yyjson_val *value; /* in the schema's copy */
    const mcp__node_t *node;
    mcp__node_list_t list;
    const void *data; /* of a type that the rule's file knows */
  };
};

/* ---- Compiling ---- */

/* The root, or a schema below it whose $id makes it one that is referred to by itself. */
typedef struct mcp__resource {
  const char *uri; /* absolute where the root's is; empty: it has none */
  yyjson_val *schema;
  bool ref_ignores_siblings; /* drafts up to 7: keywords beside $ref say nothing */
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
  mcp__subschema_t *subschemas;    /* by the position of their values behind root */
  const mcp__resource_t *resource; /* of the schema that is being compiled */
  mcp__resource_t *resources;      /* found so far */
  struct mcp__anchor *anchors;     /* found so far */
  struct mcp__ref *refs;           /* still to be resolved */
  mcp__schema_warnings_t *warnings;
  bool tracks_evaluated; /* unevaluatedItems or unevaluatedProperties is a name somewhere in the schema */
  bool dynamic;          /* $dynamicRef or $recursiveRef is */
} mcp__compiler_t;

typedef struct mcp__keyword { /* where a rule was found */
  yyjson_val *schema, *value; /* the schema, and in it the value of the rule's keyword */
  const mcp__location_t *at;  /* of the schema */
  mcp__location_t location;   /* of the value */
} mcp__keyword_t;

/* 0, -ENOMEM, or -EINVAL with the problem said. Sets step->check to NULL when there is nothing to check. */
typedef int (*mcp__compile_cb)(mcp__compiler_t *compiler, const mcp__keyword_t *keyword,
                               mcp__validator_t *validator);

enum { MCP__SCHEMA_RULE_KEYWORDS = 7 };
typedef struct mcp__rule {
  const char *keywords[MCP__SCHEMA_RULE_KEYWORDS]; /* any of these calls for the rule; the site is the first's
                                               that is there */
  mcp__compile_cb compile;
  mcp__check_cb check;
  mcp__check_cb
      check_tracking; /* in the place of check where compiler->collects; NULL: check does for both */
} mcp__rule_t;

/* Each ends with a rule without keywords. */
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

/* Makes compiler->resource that of the schema, which is the same unless the schema is the root or has an
 * $id. */
int mcp__enter_resource(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at);

/* Whether the schema has a $ref that makes the keywords beside it say nothing. */
bool mcp__ref_ignores_siblings(const mcp__compiler_t *compiler, yyjson_val *schema);

int mcp__resolve_refs(mcp__compiler_t *compiler);

/* A keyword beside that of a site; its value is NULL when it is not there. */
mcp__keyword_t mcp__keyword_find(yyjson_val *schema, const mcp__location_t *at, const char *keyword);

/* ---- Checking ---- */

typedef struct mcp__scope { /* the schemas that judge one value, innermost first */
  const mcp__node_t *node;
  const struct mcp__scope *up; /* NULL: the first, to which the value came as an element or a member */
} mcp__scope_t;

/* For a function that checks in two kinds of schemas, of which one collects marks: it is compiled for each,
 * so that the other does not pay. */
#define MCP__SCHEMA_INLINE static inline __attribute__((always_inline))

typedef struct mcp__entered { /* the resources that led here, innermost first */
  const mcp__resource_t *resource;
  const struct mcp__entered *up;
} mcp__entered_t;

struct mcp__check {
  mcp__schema_error_t *error;    /* to be told now: that of the caller, or a silent one */
  mcp__schema_error_t *text;     /* the caller's */
  const mcp__scope_t *scope;     /* of the value that is being judged */
  const mcp__entered_t *entered; /* only where the schema has a $dynamicRef */
  struct mcp__evaluated
      *evaluated;           /* what was evaluated of the value that is being judged; NULL: nobody asks */
  uint64_t steps;           /* that are left */
  unsigned depth;           /* calls that may still be nested */
  uint64_t marked_integers; /* numbers that are noted, see schema_integers.h */
  bool gave_up;             /* then every check ends, as false, and nobody takes that for an answer */
};

/* Whether the value, an element or a member of another, fulfils the schema. */
bool mcp__check_value(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                      mcp__check_t *check);

/* The same for another schema for the value that is being judged. */
bool mcp__check_in_place(const mcp__node_t *node, yyjson_val *value, const mcp__location_t *at,
                         mcp__check_t *check);

/* Takes so many steps for work that is done without a node. False: none are left, and the check gave up. */
bool mcp__check_spend(mcp__check_t *check, const mcp__location_t *at, uint64_t steps);

/* Ends the check without a verdict; words say why. Returns false. */
bool mcp__check_give_up(mcp__check_t *check, const mcp__location_t *at, const char *message);

/* Whether the pattern occurs in the string; false also when the check gave up. */
bool mcp__check_matches(const mcp__pattern_t *pattern, yyjson_val *string, const mcp__location_t *at,
                        mcp__check_t *check);

/* A problem of the form "3 items are more than the maximum 2". Returns false. */
bool mcp__refuse_count(mcp__schema_error_t *error, const mcp__location_t *at, uint64_t count,
                       const char *message, uint64_t bound);

/* These are known by others: what they apply they apply always. */
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

/* The schema that a step of mcp__check_dynamic applies now. */
const mcp__node_t *mcp__dynamic_target(const mcp__validator_t *validator, const mcp__check_t *check);

/* The single schema that the step applies always, to the value itself; NULL: it applies none so. */
static inline const mcp__node_t *mcp__validator_applies(const mcp__validator_t *validator,
                                                        const mcp__check_t *check) {
  if (validator->check == mcp__check_ref || validator->check == mcp__check_in_resource ||
      validator->check == mcp__check_tracking_evaluated)
    return validator->node;
  return validator->check == mcp__check_dynamic ? mcp__dynamic_target(validator, check) : NULL;
}

/* Whether a member of the object that is being judged counts as given, which null may not (see schema.h). */
bool mcp__check_is_given(mcp__check_t *check, yyjson_val *name, yyjson_val *member);

/* Whether the schema itself has the name among its properties. */
bool mcp__node_has_property(const mcp__node_t *node, const char *name, size_t len);

bool mcp__check_unique(const mcp__validator_t *validator, yyjson_val *value, const mcp__location_t *at,
                       mcp__check_t *check);

#endif
