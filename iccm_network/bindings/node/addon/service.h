/* service: the functions of JavaScript's log() and env. */
#ifndef ICCM_ADDON_SERVICE_H
#define ICCM_ADDON_SERVICE_H

#include "value.h"

napi_value addon_log(napi_env env, napi_callback_info info);
napi_value addon_log_enabled(napi_env env, napi_callback_info info);
napi_value addon_env_int(napi_env env, napi_callback_info info);
napi_value addon_env_bool(napi_env env, napi_callback_info info);
napi_value addon_env_text(napi_env env, napi_callback_info info);
napi_value addon_env_directories(napi_env env, napi_callback_info info);
napi_value addon_env_data_path(napi_env env, napi_callback_info info);

#endif
