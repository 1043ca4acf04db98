/* schema_check.c: validates a JSON file against the JSON Schema in another file, with the library's
 * validator.
 *
 * Usage: schema_check SCHEMA FILE. Status 0: valid; 1: not, with the reason on standard output; 2: a file
 * cannot be read, or the schema is invalid. */
#include "schema/schema.h"

#include <stdio.h>

static yyjson_doc *read_json(const char *path) {
  yyjson_read_err error;
  yyjson_doc *doc = yyjson_read_file(path, 0, NULL, &error);
  if (doc == NULL)
    printf("%s: %s\n", path, error.msg);
  return doc;
}

int main(int argc, char **argv) {
  char error[512] = "";
  mcp__schema_t *schema = NULL;
  yyjson_doc *rules = argc == 3 ? read_json(argv[1]) : NULL, *file = argc == 3 ? read_json(argv[2]) : NULL;
  int status = 2;
  if (rules != NULL && file != NULL &&
      mcp__schema_new(yyjson_doc_get_root(rules), &schema, error, sizeof error) == 0)
    status = mcp__schema_check(schema, yyjson_doc_get_root(file), error, sizeof error) ? 0 : 1;
  if (status != 0)
    printf("%s\n", error);
  mcp__schema_free(schema);
  yyjson_doc_free(file);
  yyjson_doc_free(rules);
  return status;
}
