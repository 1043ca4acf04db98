/* addon: iccm_network for Node, by N-API version 8. The package's JavaScript is its only user.
 *
 * Happy path: Node loads the addon once for each environment, the main thread or a worker thread, and the
 * library runs on the environment's own loop. libuv and OpenSSL are those of Node. Failure modes: see state.h
 * for the end of an environment. */
#include "client.h"
#include "served.h"
#include "server.h"
#include "service.h"

#include <stdlib.h>

static napi_value strerror_text(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  return addon_from_string(env, mcp_strerror((int)addon_number(env, args[0])));
}

static napi_value last_error(napi_env env, napi_callback_info info) {
  (void)info;
  return addon_from_string(env, mcp_last_error());
}

static napi_value memory_blocks(napi_env env, napi_callback_info info) {
  (void)info;
  return addon_from_number(env, (double)mcp_memory_blocks());
}

/* function, which receives the number of each served call that is cancelled */
static napi_value set_on_cancelled(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  state_t *state = data;
  state->on_cancelled = addon_function_ref(env, args[0]);
  return addon_undefined(env);
}

static const struct {
  const char *name;
  napi_callback function;
} functions[] = {
    {"strerror", strerror_text},
    {"lastError", last_error},
    {"memoryBlocks", memory_blocks},
    {"setOnCancelled", set_on_cancelled},
    {"serverNew", addon_server_new},
    {"serverSet", addon_server_set},
    {"serverAddTool", addon_server_add_tool},
    {"serverRemoveTool", addon_server_remove_tool},
    {"serverSetDependency", addon_server_set_dependency},
    {"serverStart", addon_server_start},
    {"serverStop", addon_server_stop},
    {"serverPort", addon_server_port},
    {"serverReload", addon_server_reload},
    {"serverReloadOnSighup", addon_server_reload_on_sighup},
    {"callReply", addon_call_reply},
    {"callReplyContent", addon_call_reply_content},
    {"callFail", addon_call_fail},
    {"callProgress", addon_call_progress},
    {"callLog", addon_call_log},
    {"callCancelReason", addon_call_cancel_reason},
    {"clientNew", addon_client_new},
    {"clientSet", addon_client_set},
    {"clientConnect", addon_client_connect},
    {"clientCall", addon_client_call},
    {"clientCancel", addon_client_cancel},
    {"clientClose", addon_client_close},
    {"log", addon_log},
    {"logEnabled", addon_log_enabled},
    {"envInt", addon_env_int},
    {"envBool", addon_env_bool},
    {"envText", addon_env_text},
    {"envDirectories", addon_env_directories},
    {"envDataPath", addon_env_data_path},
};

static void export_functions(napi_env env, napi_value exports, state_t *state) {
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function = NULL;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, state, &function);
    napi_set_named_property(env, exports, functions[i].name, function);
  }
}

static const struct {
  const char *name;
  int number;
} codes[] = {
#define ADDON_CODE(name, code, text) {#name, name},
    MCP_ERROR_MAP(ADDON_CODE) MCP_SYSTEM_ERROR_MAP(ADDON_CODE)
#undef ADDON_CODE
        {"MCP_PARSE_ERROR", MCP_PARSE_ERROR},
    {"MCP_INVALID_REQUEST", MCP_INVALID_REQUEST},
    {"MCP_METHOD_NOT_FOUND", MCP_METHOD_NOT_FOUND},
    {"MCP_INVALID_PARAMS", MCP_INVALID_PARAMS},
    {"MCP_INTERNAL_ERROR", MCP_INTERNAL_ERROR},
    {"MCP_TOOL_ERROR", MCP_TOOL_ERROR},
};

static void export_codes(napi_env env, napi_value exports) {
  napi_value object = NULL;
  napi_create_object(env, &object);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    napi_set_named_property(env, object, codes[i].name, addon_from_number(env, codes[i].number));
  napi_set_named_property(env, exports, "codes", object);
}

/* The environment ends: see state.h. The member last stands for the hook itself, so that it is not removed
 * before all members have been told to end. */
static void cleanup(napi_async_cleanup_hook_handle hook, void *arg) {
  state_t *state = arg;
  member_t last, *next;
  state->hook = hook;
  state->ending = true;
  addon_served_end_all(state);
  member_t *member = state->members;
  addon_member_add(state, &last, NULL);
  for (; member != NULL; member = next) {
    next = member->next;
    member->end(member);
  }
  addon_member_remove(&last);
}

/* Runs after the cleanup, and after the finalizers of all servers and clients. */
static void state_free(napi_env env, void *data, void *hint) {
  state_t *state = data;
  (void)hint;
  napi_async_destroy(env, state->context);
  addon_ref_free(env, state->receiver);
  addon_ref_free(env, state->on_cancelled);
  addon_served_deinit(state);
  free(state);
}

static state_t *state_new(napi_env env) {
  state_t *state = addon_alloc(sizeof *state);
  napi_value name = addon_from_string(env, "iccm-network"), receiver = NULL;
  state->env = env;
  napi_create_object(env, &receiver);
  if (napi_get_uv_event_loop(env, &state->loop) != napi_ok ||
      napi_create_reference(env, receiver, 1, &state->receiver) != napi_ok ||
      napi_async_init(env, receiver, name, &state->context) != napi_ok ||
      napi_set_instance_data(env, state, state_free, NULL) != napi_ok ||
      napi_add_async_cleanup_hook(env, cleanup, state, NULL) != napi_ok)
    napi_fatal_error("iccm-network", NAPI_AUTO_LENGTH, "cannot use the loop of this environment",
                     NAPI_AUTO_LENGTH);
  return state;
}

/* The function that Node looks for. (NAPI_MODULE_INIT() defines it, too, but with functions without
 * prototypes.) */
NAPI_MODULE_EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports);

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  state_t *state = state_new(env);
  export_functions(env, exports, state);
  export_codes(env, exports);
  napi_set_named_property(env, exports, "version", addon_from_string(env, mcp_version()));
  return exports;
}
