/* See service.h. */
#include "service.h"
#include "served.h"

#include <iccm_service.h>
#include <limits.h>

/* level, part, message, data as JSON text, span */
napi_value addon_log(napi_env env, napi_callback_info info) {
  ADDON_ARGS(5);
  addon_text_t part, message, details;
  mcp_span_t span;
  bool traced = addon_span_read(env, args[4], &span);
  addon_text_init(env, args[1], &part);
  addon_text_init(env, args[2], &message);
  addon_text_init(env, args[3], &details);
  mcp_log_text((int)addon_number(env, args[0]), part.ptr, traced ? &span : NULL, message.ptr, message.len,
               details.ptr, details.len);
  addon_text_deinit(&part);
  addon_text_deinit(&message);
  addon_text_deinit(&details);
  return addon_undefined(env);
}

/* level */
napi_value addon_log_enabled(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  return addon_from_bool(env, mcp_log_enabled((int)addon_number(env, args[0])));
}

/* name, fallback, min, max. Returns the number, or undefined if the variable is invalid. */
napi_value addon_env_int(napi_env env, napi_callback_info info) {
  ADDON_ARGS(4);
  addon_text_t name;
  int64_t fallback = 0, min = 0, max = 0, number = 0;
  napi_get_value_int64(env, args[1], &fallback);
  napi_get_value_int64(env, args[2], &min);
  napi_get_value_int64(env, args[3], &max);
  addon_text_init(env, args[0], &name);
  int status = mcp_env_int(name.ptr, fallback, min, max, &number);
  addon_text_deinit(&name);
  return status == 0 ? addon_from_number(env, (double)number) : addon_undefined(env);
}

/* name, fallback. Returns the boolean, or undefined if the variable is invalid. */
napi_value addon_env_bool(napi_env env, napi_callback_info info) {
  ADDON_ARGS(2);
  addon_text_t name;
  bool value = false;
  addon_text_init(env, args[0], &name);
  int status = mcp_env_bool(name.ptr, addon_bool(env, args[1]), &value);
  addon_text_deinit(&name);
  return status == 0 ? addon_from_bool(env, value) : addon_undefined(env);
}

/* name. Returns the text, or null if the variable is unset or empty. */
napi_value addon_env_text(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  addon_text_t name;
  addon_text_init(env, args[0], &name);
  napi_value value = addon_from_string(env, mcp_env_text(name.ptr, NULL));
  addon_text_deinit(&name);
  return value;
}

/* name. Returns the list as one text, or undefined if the variable is invalid. */
napi_value addon_env_directories(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  addon_text_t name;
  const char *list = NULL;
  addon_text_init(env, args[0], &name);
  int status = mcp_env_directories(name.ptr, &list);
  addon_text_deinit(&name);
  return status == 0 ? addon_from_string(env, list) : addon_undefined(env);
}

/* name, file. Returns the path, or undefined if the variable is invalid. */
napi_value addon_env_data_path(napi_env env, napi_callback_info info) {
  ADDON_ARGS(2);
  addon_text_t name, file;
  char path[PATH_MAX];
  addon_text_init(env, args[0], &name);
  addon_text_init(env, args[1], &file);
  int status = mcp_env_data_path(name.ptr, file.ptr, path, sizeof path);
  addon_text_deinit(&name);
  addon_text_deinit(&file);
  return status == 0 ? addon_from_string(env, path) : addon_undefined(env);
}
