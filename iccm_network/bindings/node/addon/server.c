/* See server.h. */
#include "server.h"
#include "served.h"

#include <iccm_service.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct server {
  member_t member; /* first */
  mcp_server_t *native;
  napi_ref started; /* the external itself while the server is started, or NULL */
  once_t *stopped;  /* called at the end of a stop that JavaScript has begun, or NULL */
} server_t;

static void on_stopped(mcp_server_t *native, void *arg) {
  server_t *server = arg;
  state_t *state = server->member.state;
  addon_ref_free(state->env, server->started);
  server->started = NULL;
  once_t *stopped = server->stopped;
  server->stopped = NULL;
  if (state->ending) {
    mcp_server_free(native);
    server->native = NULL;
    addon_member_remove(&server->member);
  }
  if (stopped != NULL)
    addon_once_emit(stopped, 0, NULL, NULL);
}

/* The environment ends. A server that is stopping already waits for no more calls, since all have been ended.
 */
static void end(member_t *member) {
  server_t *server = (server_t *)member;
  if (server->started != NULL) {
    mcp_server_set_shutdown_timeout_ms(server->native, 0);
    mcp_server_stop(server->native, on_stopped, server);
    return;
  }
  mcp_server_free(server->native);
  server->native = NULL;
  addon_member_remove(member);
}

static void finalize(napi_env env, void *data, void *hint) {
  server_t *server = data;
  (void)env, (void)hint;
  if (server->native != NULL) {
    addon_member_remove(&server->member);
    mcp_server_free(server->native);
  }
  free(server);
}

/* name, version, port */
napi_value addon_server_new(napi_env env, napi_callback_info info) {
  ADDON_ARGS(3);
  addon_text_t name, version;
  napi_value external = NULL;
  addon_text_init(env, args[0], &name);
  addon_text_init(env, args[1], &version);
  mcp_server_t *native = mcp_server_new(name.ptr, version.ptr, (int)addon_number(env, args[2]),
                                        (const mcp_tool_t[]){MCP_TOOL_END});
  addon_text_deinit(&name);
  addon_text_deinit(&version);
  if (native == NULL)
    return addon_throw(env, mcp_last_error());
  server_t *server = addon_alloc(sizeof *server);
  server->native = native;
  addon_member_add(data, &server->member, end);
  napi_create_external(env, server, finalize, NULL, &external);
  return external;
}

static int set_number(mcp_server_t *server, const char *name, double value) {
  int limited = value > INT_MAX ? INT_MAX : (int)value;
  if (strcmp(name, "maxMessageBytes") == 0)
    return mcp_server_set_max_message_bytes(server, (size_t)value);
  if (strcmp(name, "maxMemoryBytes") == 0)
    return mcp_server_set_max_memory_bytes(server, (size_t)value);
  if (strcmp(name, "maxConnections") == 0)
    return mcp_server_set_max_connections(server, limited);
  if (strcmp(name, "maxConnectsPerSecond") == 0)
    return mcp_server_set_max_connects_per_second(server, limited);
  if (strcmp(name, "maxMessagesPerSecond") == 0)
    return mcp_server_set_max_messages_per_second(server, limited);
  if (strcmp(name, "callTimeout") == 0)
    return mcp_server_set_call_timeout_ms(server, (uint64_t)value);
  if (strcmp(name, "shutdownTimeout") == 0)
    return mcp_server_set_shutdown_timeout_ms(server, (uint64_t)value);
  return MCP_EINVAL;
}

static int set_bool(mcp_server_t *server, const char *name, bool value) {
  if (strcmp(name, "allowPublic") == 0)
    return mcp_server_set_allow_public(server, value);
  if (strcmp(name, "reuseport") == 0)
    return mcp_server_set_reuseport(server, value);
  return MCP_EINVAL;
}

static int set_text(mcp_server_t *server, const char *name, const char *value, const char *second) {
  if (strcmp(name, "allowedOrigins") == 0)
    return mcp_server_set_allowed_origins(server, value);
  if (strcmp(name, "allowedHosts") == 0)
    return mcp_server_set_allowed_hosts(server, value);
  if (strcmp(name, "authToken") == 0)
    return mcp_server_set_auth_token(server, value);
  if (strcmp(name, "logUrl") == 0)
    return mcp_server_set_log_url(server, value);
  if (strcmp(name, "tls") == 0)
    return mcp_server_set_tls(server, value, second);
  return MCP_EINVAL;
}

/* server, name, value, second value (the key of tls) */
napi_value addon_server_set(napi_env env, napi_callback_info info) {
  ADDON_ARGS(4);
  server_t *server = addon_external(env, args[0]);
  addon_text_t name, value, second;
  napi_valuetype type = napi_undefined;
  int status;
  napi_typeof(env, args[2], &type);
  addon_text_init(env, args[1], &name);
  addon_text_init(env, args[2], &value);
  addon_text_init(env, args[3], &second);
  if (type == napi_number)
    status = set_number(server->native, name.ptr, addon_number(env, args[2]));
  else if (type == napi_boolean)
    status = set_bool(server->native, name.ptr, addon_bool(env, args[2]));
  else
    status = set_text(server->native, name.ptr, value.ptr, second.ptr);
  addon_text_deinit(&name);
  addon_text_deinit(&value);
  addon_text_deinit(&second);
  return addon_from_number(env, status);
}

/* The texts of a tool, in the order of the arguments of serverAddTool(). */
enum { TOOL_TEXTS = 9 };

/* server, function that serves calls, flags, name, description, title, inputSchema, outputSchema,
 * annotations, icons, unlistedProperties: the last five as JSON text */
napi_value addon_server_add_tool(napi_env env, napi_callback_info info) {
  ADDON_ARGS(3 + TOOL_TEXTS);
  server_t *server = addon_external(env, args[0]);
  addon_text_t texts[TOOL_TEXTS];
  for (size_t i = 0; i < TOOL_TEXTS; i++)
    addon_text_init(env, args[3 + i], &texts[i]);
  served_tool_t *arg = addon_alloc(sizeof *arg);
  arg->state = data;
  arg->serve = addon_function_ref(env, args[1]);
  const mcp_tool_t tool = {.name = texts[0].ptr,
                           .description = texts[1].ptr,
                           .title = texts[2].ptr,
                           .input_schema = texts[3].ptr,
                           .output_schema = texts[4].ptr,
                           .annotations = texts[5].ptr,
                           .icons = texts[6].ptr,
                           .unlisted_properties = texts[7].ptr,
                           .client_capabilities = texts[8].ptr,
                           .flags = (unsigned)addon_number(env, args[2]),
                           .handler = addon_served_handler,
                           .arg = arg,
                           .destroy = addon_served_tool_free};
  int status = mcp_server_add_tool(server->native, &tool);
  for (size_t i = 0; i < TOOL_TEXTS; i++)
    addon_text_deinit(&texts[i]);
  return addon_from_number(env, status);
}

/* server, name */
napi_value addon_server_remove_tool(napi_env env, napi_callback_info info) {
  ADDON_ARGS(2);
  server_t *server = addon_external(env, args[0]);
  addon_text_t name;
  addon_text_init(env, args[1], &name);
  int status = mcp_server_remove_tool(server->native, name.ptr);
  addon_text_deinit(&name);
  return addon_from_number(env, status);
}

/* server, dependency, reason or null */
napi_value addon_server_set_dependency(napi_env env, napi_callback_info info) {
  ADDON_ARGS(3);
  server_t *server = addon_external(env, args[0]);
  addon_text_t dependency, reason;
  addon_text_init(env, args[1], &dependency);
  addon_text_init(env, args[2], &reason);
  int status = mcp_server_set_dependency(server->native, dependency.ptr, reason.ptr);
  addon_text_deinit(&dependency);
  addon_text_deinit(&reason);
  return addon_from_number(env, status);
}

/* server */
napi_value addon_server_start(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  server_t *server = addon_external(env, args[0]);
  int status = mcp_server_start(server->native, server->member.state->loop);
  if (status == 0)
    napi_create_reference(env, args[0], 1, &server->started);
  return addon_from_number(env, status);
}

/* server, function that is called once it has stopped. JavaScript may have run for a while in this iteration
 * of the loop: the time for calls in flight begins now. */
napi_value addon_server_stop(napi_env env, napi_callback_info info) {
  ADDON_ARGS(2);
  server_t *server = addon_external(env, args[0]);
  uv_update_time(server->member.state->loop);
  int status = mcp_server_stop(server->native, on_stopped, server);
  if (status == 0)
    server->stopped = addon_once_new(data, args[1]);
  return addon_from_number(env, status);
}

/* server */
napi_value addon_server_port(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  server_t *server = addon_external(env, args[0]);
  return addon_from_number(env, mcp_server_port(server->native));
}

/* server */
napi_value addon_server_reload(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  server_t *server = addon_external(env, args[0]);
  return addon_from_number(env, mcp_server_reload(server->native));
}

/* server */
napi_value addon_server_reload_on_sighup(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  server_t *server = addon_external(env, args[0]);
  return addon_from_number(env, mcp_server_reload_on_sighup(server->native));
}
