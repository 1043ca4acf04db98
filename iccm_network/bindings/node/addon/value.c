/* See value.h. */
#include "value.h"

#include <stdlib.h>
#include <string.h>

void addon_args(napi_env env, napi_callback_info info, size_t count, napi_value *args, void **data) {
  napi_get_cb_info(env, info, &count, args, NULL, data);
}

void *addon_alloc(size_t size) {
  void *memory = calloc(1, size);
  if (memory == NULL)
    napi_fatal_error("iccm-network", NAPI_AUTO_LENGTH, "not enough memory", NAPI_AUTO_LENGTH);
  return memory;
}

/* A text that fits in small is read by one call, without asking for its length first. napi writes whole
 * characters of at most four bytes: a text that leaves less room than that may have been cut. */
void addon_text_init(napi_env env, napi_value value, addon_text_t *text) {
  text->ptr = NULL;
  text->len = 0;
  if (napi_get_value_string_utf8(env, value, text->small, sizeof text->small, &text->len) != napi_ok)
    return;
  text->ptr = text->small;
  if (text->len < sizeof text->small - 4)
    return;
  napi_get_value_string_utf8(env, value, NULL, 0, &text->len);
  text->ptr = addon_alloc(text->len + 1);
  napi_get_value_string_utf8(env, value, text->ptr, text->len + 1, &text->len);
}

void addon_text_deinit(addon_text_t *text) {
  if (text->ptr != text->small)
    free(text->ptr);
}

double addon_number(napi_env env, napi_value value) {
  double number = 0;
  napi_get_value_double(env, value, &number);
  return number;
}

bool addon_bool(napi_env env, napi_value value) {
  bool result = false;
  napi_get_value_bool(env, value, &result);
  return result;
}

void *addon_external(napi_env env, napi_value value) {
  void *pointer = NULL;
  napi_get_value_external(env, value, &pointer);
  return pointer;
}

napi_ref addon_function_ref(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_ref ref = NULL;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_function)
    napi_create_reference(env, value, 1, &ref);
  return ref;
}

void addon_ref_free(napi_env env, napi_ref ref) {
  if (ref != NULL)
    napi_delete_reference(env, ref);
}

napi_value addon_undefined(napi_env env) {
  napi_value value = NULL;
  napi_get_undefined(env, &value);
  return value;
}

napi_value addon_from_number(napi_env env, double number) {
  napi_value value = NULL;
  napi_create_double(env, number, &value);
  return value;
}

napi_value addon_from_bool(napi_env env, bool boolean) {
  napi_value value = NULL;
  napi_get_boolean(env, boolean, &value);
  return value;
}

napi_value addon_from_text(napi_env env, const char *text, size_t len) {
  napi_value value = NULL;
  if (text == NULL || napi_create_string_utf8(env, text, len, &value) != napi_ok)
    napi_get_null(env, &value);
  return value;
}

napi_value addon_from_string(napi_env env, const char *text) {
  return addon_from_text(env, text, NAPI_AUTO_LENGTH);
}

napi_value addon_throw(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}
