/* arguments.c: command-line arguments -> JSON arguments.
 *
 *     text=hello times=3 deep='{"a":[1]}' code:='"007"'
 *     {"text":"hello"}
 *     -                    (the object is read from standard input)
 *
 * Arguments are parsed before anything is sent, when the tool's schema is not known yet;
 * arguments_set_types() then converts them. Numbers beyond 64 bits keep their digits. Failures: invalid JSON,
 * not an object, an argument without =, an empty key, a duplicate key, invalid UTF-8, input larger than
 * MAX_INPUT_BYTES.
 */
#include <iccm_service.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "arguments.h"
#include <iccm_network.h>
#include "check_alloc.h"
#include "schema_types.h"

enum { MAX_INPUT_BYTES = 200 * 1024 * 1024, CHUNK = 64 * 1024 };

static yyjson_mut_doc *parse_object(const char *text, size_t len, char *error) {
  yyjson_doc *doc = mcp_json_read(text, len);
  yyjson_mut_doc *object = NULL;
  if (doc == NULL)
    snprintf(error, ARGUMENTS_ERROR_SIZE, "cannot parse the arguments: %s", mcp_last_error());
  else if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
    snprintf(error, ARGUMENTS_ERROR_SIZE, "the arguments are JSON, but not an object {…}");
  else
    object = check_alloc(yyjson_doc_mut_copy(doc, NULL));
  yyjson_doc_free(doc);
  return object;
}

static yyjson_mut_doc *parse_input(FILE *input, char *error) {
  size_t size = 0, len = 0, got;
  char *text = NULL;
  do {
    if (len + CHUNK > size) {
      size = 2 * size + CHUNK;
      text = check_alloc(realloc(text, size));
    }
    got = fread(text + len, 1, CHUNK, input);
    len += got;
  } while (got > 0 && len <= MAX_INPUT_BYTES);
  yyjson_mut_doc *object = NULL;
  if (len > MAX_INPUT_BYTES)
    snprintf(error, ARGUMENTS_ERROR_SIZE, "standard input holds more than %d MiB", MAX_INPUT_BYTES >> 20);
  else if (ferror(input))
    snprintf(error, ARGUMENTS_ERROR_SIZE, "cannot read standard input");
  else
    object = parse_object(text, len, error);
  free(text);
  return object;
}

/* ---- key=value ---- */

/* key=text, or key:=json. */
typedef struct arg {
  const char *key, *text;
  size_t key_len;
  bool json;
} arg_t;

static bool split(const char *arg, arg_t *parts) {
  const char *equals = strchr(arg, '=');
  size_t len = equals != NULL ? (size_t)(equals - arg) : 0;
  bool json = len > 1 && equals[-1] == ':';
  if (len > 0)
    *parts = (arg_t){arg, equals + 1, len - json, json};
  return len > 0;
}

/* Text that is JSON of one of the types, but not a string, becomes that JSON. Other text becomes a string if
 * types includes strings; otherwise JSON if it is JSON, else a string, and the server validates it.
 * SCHEMA_TYPES_ALL: JSON if the text is JSON. NULL: invalid UTF-8. */
static yyjson_mut_val *read_value(yyjson_mut_doc *object, const char *text, unsigned types) {
  yyjson_doc *json = mcp_json_read(text, strlen(text));
  unsigned type = json != NULL ? schema_type_of(yyjson_doc_get_root(json)) : 0;
  bool fits = types == SCHEMA_TYPES_ALL || (types & SCHEMA_TYPE_STRING) == 0 ||
              (type != SCHEMA_TYPE_STRING && (types & type) != 0);
  yyjson_mut_val *value = json != NULL && fits ? yyjson_val_mut_copy(object, yyjson_doc_get_root(json))
                                               : yyjson_mut_strcpy(object, text);
  yyjson_doc_free(json);
  char *written = yyjson_mut_val_write(check_alloc(value), 0, NULL);
  free(written);
  return written != NULL ? value : NULL;
}

static bool add_arg(yyjson_mut_doc *object, const char *arg, char *error) {
  char shown[MCP_SHOWN_SIZE];
  yyjson_mut_val *root = yyjson_mut_doc_get_root(object);
  arg_t parts;
  if (!split(arg, &parts)) {
    snprintf(error, ARGUMENTS_ERROR_SIZE, "\"%.100s\" is neither key=value nor a JSON object",
             mcp_redact_setting(NULL, arg, shown));
    return false;
  }
  if (yyjson_mut_obj_getn(root, parts.key, parts.key_len) != NULL) {
    snprintf(error, ARGUMENTS_ERROR_SIZE, "\"%.*s\" is given twice",
             parts.key_len < 100 ? (int)parts.key_len : 100, parts.key);
    return false;
  }
  yyjson_doc *json = parts.json ? mcp_json_read(parts.text, strlen(parts.text)) : NULL;
  if (parts.json && json == NULL) {
    snprintf(error, ARGUMENTS_ERROR_SIZE, "\"%.100s\": after := %s", mcp_redact_setting(NULL, arg, shown),
             mcp_last_error());
    return false;
  }
  yyjson_doc_free(json);
  yyjson_mut_val *key = check_alloc(yyjson_mut_strncpy(object, parts.key, parts.key_len));
  yyjson_mut_val *value = read_value(object, parts.text, SCHEMA_TYPES_ALL);
  char *written = value != NULL ? yyjson_mut_val_write(key, 0, NULL) : NULL;
  free(written);
  if (written == NULL) {
    snprintf(error, ARGUMENTS_ERROR_SIZE, "\"%.100s\" is not UTF-8", arg);
    return false;
  }
  yyjson_mut_obj_add(root, key, value);
  return true;
}

/* Not one JSON object, and not "-". */
static bool are_key_values(int count, char *const *args) {
  return count != 1 || (strcmp(args[0], "-") != 0 && args[0][strspn(args[0], " \t\r\n")] != '{');
}

yyjson_mut_doc *arguments_parse(int count, char *const *args, FILE *input, char error[ARGUMENTS_ERROR_SIZE]) {
  if (!are_key_values(count, args))
    return strcmp(args[0], "-") == 0 ? parse_input(input, error)
                                     : parse_object(args[0], strlen(args[0]), error);
  yyjson_mut_doc *object = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_doc_set_root(object, check_alloc(yyjson_mut_obj(object)));
  for (int i = 0; i < count; i++) {
    if (!add_arg(object, args[i], error)) {
      yyjson_mut_doc_free(object);
      return NULL;
    }
  }
  return object;
}

/* The schema of an argument; NULL: none. */
static yyjson_val *property_schema(yyjson_val *schema, const arg_t *parts) {
  yyjson_val *property = yyjson_obj_getn(yyjson_obj_get(schema, "properties"), parts->key, parts->key_len);
  return property != NULL ? property : yyjson_obj_get(schema, "additionalProperties");
}

void arguments_set_types(yyjson_mut_doc *arguments, int count, char *const *args, yyjson_val *schema) {
  yyjson_mut_val *root = yyjson_mut_doc_get_root(arguments);
  for (int i = 0; i < count && are_key_values(count, args); i++) {
    arg_t parts;
    if (!split(args[i], &parts) || parts.json)
      continue;
    unsigned types = schema_types(schema, property_schema(schema, &parts));
    yyjson_mut_val *key = check_alloc(yyjson_mut_strncpy(arguments, parts.key, parts.key_len));
    yyjson_mut_obj_replace(root, key, read_value(arguments, parts.text, types));
  }
}
