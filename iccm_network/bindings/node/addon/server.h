/* server: the functions of JavaScript's Server.
 *
 * Happy path: serverNew() creates a server, serverSet() and serverAddTool() prepare it, serverStart() starts
 * it on the environment's loop, serverStop() stops it. The collector frees it; a started server is never
 * collected. Failure modes: the functions return the library's codes; serverNew() throws mcp_last_error(). */
#ifndef ICCM_ADDON_SERVER_H
#define ICCM_ADDON_SERVER_H

#include "value.h"

napi_value addon_server_new(napi_env env, napi_callback_info info);
napi_value addon_server_set(napi_env env, napi_callback_info info);
napi_value addon_server_add_tool(napi_env env, napi_callback_info info);
napi_value addon_server_remove_tool(napi_env env, napi_callback_info info);
napi_value addon_server_set_dependency(napi_env env, napi_callback_info info);
napi_value addon_server_start(napi_env env, napi_callback_info info);
napi_value addon_server_stop(napi_env env, napi_callback_info info);
napi_value addon_server_port(napi_env env, napi_callback_info info);
napi_value addon_server_reload(napi_env env, napi_callback_info info);
napi_value addon_server_reload_on_sighup(napi_env env, napi_callback_info info);

#endif
