/* schema_warnings.c: JSON Schema ignores unknown names, so a misspelled keyword (`requierd`) silently
 * disables a rule. A warning is added for a name that is not a keyword but differs from one by at most two
 * typos, or by case. Known keywords of other tools, and common words, are excluded. */
#include "schema/schema_warnings.h"
#include "base/edit_distance.h"
#include "schema/schema_rules.h"

#include <errno.h>
#include <string.h>

enum { LONG_WORD = 6, TEXT_BYTES = 256 };

/* Keywords of drafts 4 to 2020-12 without a rule. */
static const char *const standard[] = {"$comment",
                                       "$id",
                                       "$schema",
                                       "$vocabulary",
                                       "contentEncoding",
                                       "contentMediaType",
                                       "contentSchema",
                                       "default",
                                       "deprecated",
                                       "description",
                                       "examples",
                                       "format",
                                       "readOnly",
                                       "title",
                                       "writeOnly",
                                       "nullable",
                                       NULL};

/* Keywords of OpenAPI, Ajv, editors, and generators of forms and code. */
static const char *const foreign[] = {"$async",
                                      "$data",
                                      "allowComments",
                                      "allowTrailingCommas",
                                      "default_value",
                                      "defaultSnippets",
                                      "defaults",
                                      "discriminator",
                                      "doNotSuggest",
                                      "enumDescriptions",
                                      "enumNames",
                                      "errorMessage",
                                      "example",
                                      "externalDocs",
                                      "fields",
                                      "form",
                                      "formatExclusiveMaximum",
                                      "formatExclusiveMinimum",
                                      "formatMaximum",
                                      "formatMinimum",
                                      "id",
                                      "instanceof",
                                      "keywords",
                                      "kind",
                                      "label",
                                      "markdownDescription",
                                      "markdownEnumDescriptions",
                                      "name",
                                      "names",
                                      "node",
                                      "note",
                                      "notes",
                                      "options",
                                      "order",
                                      "propertyOrder",
                                      "regex",
                                      "tsType",
                                      "typeof",
                                      "xml",
                                      NULL};

static bool is_among(const char *const *words, const char *name) {
  while (*words != NULL && strcmp(*words, name) != 0)
    words++;
  return *words != NULL;
}

typedef struct nearest {
  const char *name;
  size_t len, distance, common;
  const char *word; /* NULL: none is close */
} nearest_t;

static size_t common_start(const char *a, const char *b) {
  size_t len = 0;
  while (a[len] != '\0' && a[len] == b[len])
    len++;
  return len;
}

/* Among keywords at the same distance, the one with the longer common prefix is chosen. */
static void compare(nearest_t *nearest, const char *word) {
  size_t len = strlen(word), most = len < LONG_WORD ? 1 : 2, common = common_start(nearest->name, word);
  /* 0: differs in case only */
  size_t distance = mcp__edit_distance_osa(nearest->name, nearest->len, word, len);
  if (distance > most || distance > nearest->distance ||
      (distance == nearest->distance && common <= nearest->common))
    return;
  nearest->word = word;
  nearest->distance = distance;
  nearest->common = common;
}

static bool is_known(const char *name) {
  size_t i = 0;
  while (mcp__rule_keyword(i) != NULL && strcmp(mcp__rule_keyword(i), name) != 0)
    i++;
  return mcp__rule_keyword(i) != NULL || is_among(standard, name) || is_among(foreign, name) ||
         strncmp(name, "x-", 2) == 0;
}

/* The keyword that was probably meant; NULL: the name is a keyword, or no keyword is close. */
static const char *find_misspelled(const char *name, size_t len) {
  nearest_t nearest = {name, len, SIZE_MAX, 0, NULL};
  if (is_known(name))
    return NULL;
  for (size_t i = 0; mcp__rule_keyword(i) != NULL; i++)
    compare(&nearest, mcp__rule_keyword(i));
  for (size_t i = 0; standard[i] != NULL; i++)
    compare(&nearest, standard[i]);
  return nearest.word;
}

static int add_warning(mcp__compiler_t *compiler, const mcp__location_t *at, const char *word) {
  mcp__schema_warnings_t *warnings = compiler->warnings;
  mcp__schema_error_t text;
  char *memory = mcp__arena_alloc(compiler->arena, TEXT_BYTES);
  if (memory == NULL)
    return -ENOMEM;
  mcp__schema_error_init(&text, memory, TEXT_BYTES);
  mcp__schema_error_begin(&text, at, NULL, "not a JSON Schema keyword; did you mean ");
  mcp__schema_error_put_string(&text, word, strlen(word));
  mcp__schema_error_put(&text, "?");
  warnings->texts[warnings->count++] = memory;
  return 0;
}

int mcp__schema_warn_misspelled(mcp__compiler_t *compiler, yyjson_val *schema, const mcp__location_t *at) {
  size_t index, max;
  yyjson_val *key, *value;
  yyjson_obj_foreach(schema, index, max, key, value) {
    const char *name = unsafe_yyjson_get_str(key), *word = find_misspelled(name, yyjson_get_len(key));
    if (word == NULL || compiler->warnings->count == MCP__SCHEMA_MAX_WARNINGS)
      continue;
    mcp__location_t here = mcp__location_member(at, name, yyjson_get_len(key));
    int status = add_warning(compiler, &here, word);
    if (status != 0)
      return status;
  }
  return 0;
}
