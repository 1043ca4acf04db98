/* schema.c: the first line of an input is a schema, the others are values to validate. An error message is
 * valid text, truncated if its buffer is small; neither its size nor writing the value and reading it again
 * changes the result. */
#include "fuzz.h"

#include "schema/schema.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 300, LITTLE = 24 };

static yyjson_doc *read_json(const uint8_t *data, size_t size) {
  char *text = fuzz_copy(data, size, 0);
  yyjson_doc *doc = yyjson_read(text, size, YYJSON_READ_BIGNUM_AS_RAW);
  free(text);
  return doc;
}

static void check_problem(const char *problem, size_t size) {
  size_t len = strnlen(problem, size);
  FUZZ_CHECK(len < size && len > 0 && mcp__utf8_valid(problem, len));
}

static bool verdict_again(const mcp__schema_t *schema, yyjson_val *value) {
  size_t len;
  char *text = yyjson_val_write(value, 0, &len);
  FUZZ_CHECK(text != NULL);
  yyjson_doc *doc = read_json((const uint8_t *)text, len);
  FUZZ_CHECK(doc != NULL);
  bool fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), NULL, 0);
  yyjson_doc_free(doc);
  free(text);
  return fine;
}

static void judge(const mcp__schema_t *schema, yyjson_val *value) {
  char problem[ROOM] = "", little[LITTLE] = "";
  bool fine = mcp__schema_check(schema, value, problem, sizeof problem);
  FUZZ_CHECK(mcp__schema_check(schema, value, little, sizeof little) == fine);
  if (!fine) {
    check_problem(problem, sizeof problem);
    check_problem(little, sizeof little);
  }
  FUZZ_CHECK(verdict_again(schema, value) == fine);
}

static void judge_lines(const mcp__schema_t *schema, const uint8_t *data, size_t size) {
  while (size > 0) {
    const uint8_t *end = memchr(data, '\n', size);
    size_t len = end != NULL ? (size_t)(end - data) : size, step = end != NULL ? len + 1 : len;
    yyjson_doc *doc = read_json(data, len);
    if (doc != NULL)
      judge(schema, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    data += step;
    size -= step;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
  size_t len = end != NULL ? (size_t)(end - data) : size;
  yyjson_doc *doc = read_json(data, len);
  mcp__schema_t *schema = NULL;
  char problem[ROOM] = "";
  if (doc == NULL)
    return 0;
  int status = mcp__schema_new(yyjson_doc_get_root(doc), &schema, problem, sizeof problem);
  yyjson_doc_free(doc); /* the schema keeps a copy */
  if (status != 0)
    check_problem(problem, sizeof problem);
  else if (end != NULL)
    judge_lines(schema, end + 1, size - len - 1);
  mcp__schema_free(schema);
  return 0;
}
