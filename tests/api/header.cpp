/* header.cpp: the same as C++17. */
#include <iccm_network.h>
#include <iccm_service.h>

static void on_call(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  (void)mcp_call_fail(call, MCP_TOOL_ERROR, nullptr, "%s", mcp_strerror(MCP_EINVAL));
}

static const mcp_tool_t tools[] = {
    {"tool", "A tool", "{\"type\":\"object\"}", on_call, nullptr, MCP_TOOL_BLOCKING | MCP_TOOL_UNLISTED | MCP_TOOL_STRICT, "T", nullptr, MCP_JSON({"readOnlyHint": true}), "[]", "{}", nullptr, nullptr, {}},
    MCP_TOOL_END,
};

#define NAME_OF(name, code, text) {#name, name, text},
static const struct error {
  const char *name;
  int code;
  const char *text;
} errors[] = {MCP_ERROR_MAP(NAME_OF) MCP_SYSTEM_ERROR_MAP(NAME_OF)};

int main(void) {
  char uuid[MCP_UUID_SIZE], time[MCP_TIME_SIZE];
  mcp_uuid_new(uuid);
  mcp_time_format(mcp_time_now_us(), time);
  mcp_log(MCP_LOG_INFO, "header", "%s %s %s", uuid, time, errors[0].name);
  mcp_server_t *server = mcp_server_new("header", "1", 0, tools);
  mcp_server_free(server);
  return server == nullptr;
}
