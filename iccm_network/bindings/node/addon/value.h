/* value: JavaScript values to C and back.
 *
 * The package's own JavaScript checks the arguments of users. A value of another type than expected is
 * therefore a bug of the package, and becomes the neutral value of the type (NULL, 0, false). Like Node, the
 * addon ends the process when memory is exhausted. */
#ifndef ICCM_ADDON_VALUE_H
#define ICCM_ADDON_VALUE_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The arguments of a native function: args[i] is undefined if it was not given; data is the state_t. */
#define ADDON_ARGS(count)                                                                                    \
  napi_value args[count];                                                                                    \
  void *data = NULL;                                                                                         \
  addon_args(env, info, count, args, &data)
void addon_args(napi_env env, napi_callback_info info, size_t count, napi_value *args, void **data);

/* A string as UTF-8 that ends with NUL. ptr is NULL if the value is no string. */
typedef struct addon_text {
  char *ptr;
  size_t len;
  char small[1024];
} addon_text_t;

void addon_text_init(napi_env env, napi_value value, addon_text_t *text);
void addon_text_deinit(addon_text_t *text);

double addon_number(napi_env env, napi_value value);
bool addon_bool(napi_env env, napi_value value);
void *addon_external(napi_env env, napi_value value);

/* A strong reference to a function, or NULL if the value is none. */
napi_ref addon_function_ref(napi_env env, napi_value value);
void addon_ref_free(napi_env env, napi_ref ref); /* NULL is permitted */

napi_value addon_undefined(napi_env env);
napi_value addon_from_number(napi_env env, double number);
napi_value addon_from_bool(napi_env env, bool value);
napi_value addon_from_text(napi_env env, const char *text, size_t len); /* null if text is NULL */
napi_value addon_from_string(napi_env env, const char *text);           /* null if text is NULL */

/* Throws an Error with this message. Returns NULL, for the native function to return. */
napi_value addon_throw(napi_env env, const char *message);

/* Zeroed memory, which free() frees. */
void *addon_alloc(size_t size);

#endif
