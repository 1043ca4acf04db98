/* client: the functions of JavaScript's Client.
 *
 * Happy path: clientNew() creates a client, clientSet() prepares it, clientCall() makes a call, whose
 * function receives the result once; clientClose() closes it. Failure modes: the functions return the
 * library's codes; clientNew() throws mcp_last_error(). A client that JavaScript no longer references is
 * closed by the collector: none of its calls can be in flight then, because their functions know the client.
 */
#ifndef ICCM_ADDON_CLIENT_H
#define ICCM_ADDON_CLIENT_H

#include "value.h"

napi_value addon_client_new(napi_env env, napi_callback_info info);
napi_value addon_client_set(napi_env env, napi_callback_info info);
napi_value addon_client_connect(napi_env env, napi_callback_info info);
napi_value addon_client_call(napi_env env, napi_callback_info info);
napi_value addon_client_cancel(napi_env env, napi_callback_info info);
napi_value addon_client_close(napi_env env, napi_callback_info info);

#endif
