/* arguments.c: words of the command line -> JSON arguments.
 *
 *     text=hello times=3 deep='{"a":[1]}' code='"007"'
 *     {"text":"hello"}
 *     -                    (the object is read from standard input)
 *
 * Numbers beyond 64 bits keep their digits. Failures: not JSON, not an object, a word without =, an empty
 * key, a key twice, text that is not UTF-8, an input larger than INPUT_LIMIT.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "arguments.h"
#include <iccm_network.h>
#include "print.h"

enum { INPUT_LIMIT = 200 * 1024 * 1024, CHUNK = 64 * 1024 };

static yyjson_mut_doc *parse_object(const char *text, size_t len, char *error) {
  yyjson_doc *doc = mcp_json_read(text, len);
  yyjson_mut_doc *object = NULL;
  if (doc == NULL)
    snprintf(error, ARGUMENTS_ERROR_SIZE, "the arguments cannot be read: %s", mcp_last_error());
  else if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
    snprintf(error, ARGUMENTS_ERROR_SIZE, "the arguments are JSON, but not an object {…}");
  else
    object = checked(yyjson_doc_mut_copy(doc, NULL));
  yyjson_doc_free(doc);
  return object;
}

static yyjson_mut_doc *parse_input(FILE *input, char *error) {
  size_t size = 0, len = 0, got;
  char *text = NULL;
  do {
    if (len + CHUNK > size) {
      size = 2 * size + CHUNK;
      text = checked(realloc(text, size));
    }
    got = fread(text + len, 1, CHUNK, input);
    len += got;
  } while (got > 0 && len <= INPUT_LIMIT);
  yyjson_mut_doc *object = NULL;
  if (len > INPUT_LIMIT)
    snprintf(error, ARGUMENTS_ERROR_SIZE, "standard input holds more than %d MiB", INPUT_LIMIT >> 20);
  else if (ferror(input))
    snprintf(error, ARGUMENTS_ERROR_SIZE, "standard input cannot be read");
  else
    object = parse_object(text, len, error);
  free(text);
  return object;
}

/* JSON where it parses, else text; NULL where that is not UTF-8. */
static yyjson_mut_val *parse_value(yyjson_mut_doc *object, const char *text) {
  yyjson_doc *json = mcp_json_read(text, strlen(text));
  if (json != NULL) {
    yyjson_mut_val *value = checked(yyjson_val_mut_copy(object, yyjson_doc_get_root(json)));
    yyjson_doc_free(json);
    return value;
  }
  yyjson_mut_val *value = checked(yyjson_mut_strcpy(object, text));
  char *written = yyjson_mut_val_write(value, 0, NULL);
  free(written);
  return written != NULL ? value : NULL;
}

static bool add_word(yyjson_mut_doc *object, const char *word, char *error) {
  const char *equals = strchr(word, '=');
  yyjson_mut_val *root = yyjson_mut_doc_get_root(object);
  if (equals == NULL || equals == word) {
    snprintf(error, ARGUMENTS_ERROR_SIZE, "\"%.100s\" is neither key=value nor a JSON object", word);
    return false;
  }
  size_t key_len = (size_t)(equals - word);
  if (yyjson_mut_obj_getn(root, word, key_len) != NULL) {
    snprintf(error, ARGUMENTS_ERROR_SIZE, "\"%.*s\" is given twice", key_len < 100 ? (int)key_len : 100,
             word);
    return false;
  }
  yyjson_mut_val *key = checked(yyjson_mut_strncpy(object, word, key_len));
  yyjson_mut_val *value = parse_value(object, equals + 1);
  char *written = value != NULL ? yyjson_mut_val_write(key, 0, NULL) : NULL;
  free(written);
  if (written == NULL) {
    snprintf(error, ARGUMENTS_ERROR_SIZE, "\"%.100s\" is not UTF-8", word);
    return false;
  }
  yyjson_mut_obj_add(root, key, value);
  return true;
}

yyjson_mut_doc *arguments_parse(int count, char *const *words, FILE *input,
                                char error[ARGUMENTS_ERROR_SIZE]) {
  if (count == 1 && strcmp(words[0], "-") == 0)
    return parse_input(input, error);
  if (count == 1 && words[0][strspn(words[0], " \t\r\n")] == '{')
    return parse_object(words[0], strlen(words[0]), error);
  yyjson_mut_doc *object = checked(yyjson_mut_doc_new(NULL));
  yyjson_mut_doc_set_root(object, checked(yyjson_mut_obj(object)));
  for (int i = 0; i < count; i++) {
    if (!add_word(object, words[i], error)) {
      yyjson_mut_doc_free(object);
      return NULL;
    }
  }
  return object;
}
