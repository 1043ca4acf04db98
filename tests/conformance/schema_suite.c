/* schema_suite.c: the schema modules against the public JSON Schema test suite, which lies beside the tree.
 *
 * Each test of the suite passes, fails, or is refused, because its schema is. Of the required part none may
 * fail, and a schema may be refused only because it needs a remote document or a metaschema, which the reason
 * says. The optional part is counted. The counts have to be the rows of the table in docs/protocol.md, given
 * as argument; with -v each test that does not pass is printed with its reason.
 *
 * The suite is read from JSON_SCHEMA_SUITE, else from ../shared/jsonschema beside the source. */
#include "schema/schema.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NOT_RUN = 77, PATH_BYTES = 4096, PROBLEM_BYTES = 512 };

typedef struct counts {
  size_t passed, failed, refused;
} counts_t;

#define DRAFT_2020 "https://json-schema.org/draft/2020-12/schema"
#define DRAFT_7 "http://json-schema.org/draft-07/schema#"

typedef struct part {
  const char *name, *directory, *draft;
  bool required;
} part_t;

static const part_t parts[] = {
    {"2020-12, required", "draft2020-12", DRAFT_2020, true},
    {"2020-12, optional", "draft2020-12/optional", DRAFT_2020, false},
    {"2020-12, formats", "draft2020-12/optional/format", DRAFT_2020, false},
    {"draft-07, required", "draft7", DRAFT_7, true},
    {"draft-07, optional", "draft7/optional", DRAFT_7, false},
    {"draft-07, formats", "draft7/optional/format", DRAFT_7, false},
};

static bool verbose;
static size_t faults;

static const char *text_of(yyjson_val *object, const char *name) {
  const char *text = yyjson_get_str(yyjson_obj_get(object, name));
  return text != NULL ? text : "?";
}

static void report(const char *file, yyjson_val *group, yyjson_val *test, const char *reason) {
  printf("  %s: %s: %s: %s\n", file, text_of(group, "description"), text_of(test, "description"), reason);
}

static bool may_be_refused(const char *problem) {
  return strstr(problem, "which is not part of this schema") != NULL || strstr(problem, "metaschema") != NULL;
}

static void judge(const mcp__schema_t *schema, const char *file, yyjson_val *group, yyjson_val *test,
                  bool required, counts_t *counts) {
  char problem[PROBLEM_BYTES] = "it was accepted";
  bool fine = mcp__schema_check(schema, yyjson_obj_get(test, "data"), problem, sizeof problem);
  bool passed = fine == yyjson_get_bool(yyjson_obj_get(test, "valid"));
  counts->passed += passed;
  counts->failed += !passed;
  faults += required && !passed;
  if (!passed && (verbose || required))
    report(file, group, test, problem);
}

/* The schemas of draft-07's part do not say which draft they are. */
static int compile(yyjson_val *schema, const char *draft, mcp__schema_t **out, char *problem, size_t size) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *copy = yyjson_val_mut_copy(doc, schema);
  if (yyjson_is_obj(schema) && yyjson_obj_get(schema, "$schema") == NULL)
    yyjson_mut_obj_add_str(doc, copy, "$schema", draft);
  yyjson_mut_doc_set_root(doc, copy);
  yyjson_doc *whole = yyjson_mut_doc_imut_copy(doc, NULL);
  int status = mcp__schema_new(yyjson_doc_get_root(whole), out, problem, size);
  yyjson_doc_free(whole);
  yyjson_mut_doc_free(doc);
  return status;
}

static void play_group(const char *file, yyjson_val *group, const part_t *part, counts_t *counts) {
  char problem[PROBLEM_BYTES] = "";
  mcp__schema_t *schema = NULL;
  bool required = part->required;
  size_t index, max;
  yyjson_val *test;
  int status = compile(yyjson_obj_get(group, "schema"), part->draft, &schema, problem, sizeof problem);
  bool wrong = status != 0 && required && !may_be_refused(problem);
  yyjson_arr_foreach(yyjson_obj_get(group, "tests"), index, max, test) {
    if (status == 0)
      judge(schema, file, group, test, required, counts);
    else if (verbose || wrong)
      report(file, group, test, problem);
  }
  if (status != 0)
    counts->refused += max;
  faults += wrong;
  mcp__schema_free(schema);
}

static counts_t play_file(const char *directory, const char *file, const part_t *part) {
  char path[PATH_BYTES + 256];
  counts_t counts = {0};
  size_t index, max;
  yyjson_val *group;
  snprintf(path, sizeof path, "%s/%s", directory, file);
  yyjson_doc *doc = yyjson_read_file(path, YYJSON_READ_BIGNUM_AS_RAW, NULL, NULL);
  if (doc == NULL) {
    printf("  %s: not JSON\n", path);
    faults++;
  }
  yyjson_arr_foreach(yyjson_doc_get_root(doc), index, max, group) {
    play_group(file, group, part, &counts);
  }
  yyjson_doc_free(doc);
  return counts;
}

static int is_json(const struct dirent *entry) {
  const char *dot = strrchr(entry->d_name, '.');
  return dot != NULL && strcmp(dot, ".json") == 0;
}

static counts_t play_directory(const char *directory, const part_t *part) {
  struct dirent **entries = NULL;
  counts_t sum = {0};
  int count = scandir(directory, &entries, is_json, alphasort);
  for (int i = 0; i < count; i++) {
    counts_t counts = play_file(directory, entries[i]->d_name, part);
    if (counts.failed + counts.refused > 0)
      printf("%s/%s: %zu passed, %zu failed, %zu refused\n", directory, entries[i]->d_name, counts.passed,
             counts.failed, counts.refused);
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.refused += counts.refused;
    free(entries[i]);
  }
  free(entries);
  return sum;
}

static char *read_text(const char *path) {
  FILE *file = fopen(path, "r");
  char *text = NULL;
  size_t size = 0;
  if (file == NULL || getdelim(&text, &size, '\0', file) < 0) {
    printf("cannot read %s\n", path);
    exit(1);
  }
  fclose(file);
  return text;
}

static void play(const char *suite, const char *page) {
  char path[PATH_BYTES], row[256];
  char *text = page != NULL ? read_text(page) : NULL;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    snprintf(path, sizeof path, "%s/%s", suite, parts[i].directory);
    counts_t sum = play_directory(path, &parts[i]);
    snprintf(row, sizeof row, "| %s | %zu | %zu | %zu |", parts[i].name, sum.passed, sum.failed, sum.refused);
    bool known = text == NULL || strstr(text, row) != NULL;
    printf("%s%s\n", row, known ? "" : " is not a row of the page");
    faults += !known;
  }
  free(text);
}

int main(int argc, char **argv) {
  const char *given = getenv("JSON_SCHEMA_SUITE");
  const char *suite = given != NULL && *given != '\0' ? given : BESIDE;
  char path[PATH_BYTES];
  struct stat found;
  verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
  snprintf(path, sizeof path, "%s/draft2020-12", suite);
  if (stat(path, &found) != 0) {
    printf("NOT RUN: json_schema: no suite in %s; set JSON_SCHEMA_SUITE\n", suite);
    return NOT_RUN;
  }
  play(suite, argc > 1 + verbose ? argv[1 + verbose] : NULL);
  printf("%zu faults\n", faults);
  return faults == 0 ? 0 : 1;
}
