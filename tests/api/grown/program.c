/* program.c: a program that was compiled for the header as it is, and runs with a later library. */
#include "library.h"

#include <iccm_network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* A change here breaks programs: a new member takes the place of reserved ones. */
#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(mcp_tool_t) == 136 && offsetof(mcp_tool_t, reserved) == 104, "mcp_tool_t has changed");
_Static_assert(sizeof(mcp_call_options_t) == 80 && offsetof(mcp_call_options_t, reserved) == 56,
               "mcp_call_options_t has changed");
_Static_assert(sizeof(mcp_allocator_t) == 64 && offsetof(mcp_allocator_t, reserved) == 32,
               "mcp_allocator_t has changed");
#endif

static int served, answers, memory;

static void *take(size_t size, void *arg) {
  (*(int *)arg)++;
  return malloc(size);
}

static void *retake(void *old, size_t size, void *arg) {
  (void)arg;
  return realloc(old, size);
}

static void give(void *old, void *arg) {
  (void)arg;
  free(old);
}

static void serve(mcp_call_t *call, yyjson_val *args, void *arg) {
  served += *(const int *)arg;
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static int numbers[] = {1, 10, 100};

static const mcp_tool_t tools[] = {
    {.name = "one", .handler = serve, .arg = &numbers[0]},
    {"two", "The second",
     MCP_JSON({"type":"object","properties":{"a":{"type":"integer"}}}), serve, &numbers[1], MCP_TOOL_STRICT,
               "Two",
               MCP_JSON({"type":"object"}), MCP_JSON({"readOnlyHint":true}),
                                                     MCP_JSON([]), MCP_JSON({"b":{"type":"integer"}})},
                                                              MCP_TOOL_END,
};
static const mcp_tool_t third = {.name = "three", .handler = serve, .arg = &numbers[2]};

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  if (result->status != *(const int *)arg)
    printf("%s: %s\n", mcp_strerror(result->status), result->message);
  else
    answers++;
}

static const mcp_call_options_t patient = {.timeout_ms = 3600000};

static int call(mcp_client_t *client, const char *tool, const char *args, int *expected) {
  yyjson_doc *read = mcp_json_read(args, strlen(args));
  yyjson_mut_doc *copy = yyjson_doc_mut_copy(read, NULL);
  yyjson_doc_free(read);
  return mcp_client_call(client, tool, copy, &patient, on_answer, expected);
}

static int call_all(uv_loop_t *loop, mcp_server_t *server) {
  int fine = 0, refused = MCP_INVALID_PARAMS;
  char url[64];
  snprintf(url, sizeof url, "127.0.0.1:%d", mcp_server_port(server));
  mcp_client_t *client = mcp_client_new(loop, url);
  if (client == NULL || call(client, "one", "{}", &fine) != 0 ||
      call(client, "two", "{\"a\":1,\"b\":2}", &fine) != 0 ||
      call(client, "two", "{\"c\":1}", &refused) != 0 || call(client, "two", "{\"b\":\"\"}", &refused) != 0 ||
      call(client, "three", "{}", &fine) != 0)
    return 4;
  while (answers < 5 && uv_run(loop, UV_RUN_ONCE) != 0)
    continue;
  mcp_client_close(client, NULL, NULL);
  mcp_server_stop(server, NULL, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  mcp_client_free(client);
  mcp_server_free(server);
  return answers == 5 && served == 111 && memory > 0 ? 0 : 5;
}

int main(void) {
  uv_loop_t *loop = uv_default_loop();
  const mcp_allocator_t allocator = {take, retake, give, &memory};
  sizes_t sizes = library_sizes();
  if (sizes.tool != sizeof(mcp_tool_t) || sizes.allocator != sizeof(mcp_allocator_t) ||
      sizes.call_options != sizeof(mcp_call_options_t) || library_count(tools) != 2)
    return 1;
  if (mcp_set_allocator(&allocator) != 0)
    return 2;
  mcp_ignore_environment();
  mcp_server_t *server = mcp_server_new("program", "1", 0, tools);
  if (server == NULL || mcp_server_add_tool(server, &third) != 0 || mcp_server_start(server, loop) != 0)
    return 3;
  return call_all(loop, server);
}
