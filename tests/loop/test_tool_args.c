/* test_tool_args.c: the arg of a tool is destroyed exactly once, when the library no longer uses it. */
#include "fixture.h"

#include <limits.h>
#include <out_of_memory.h>
#include <stdatomic.h>

static atomic_uint destroyed[4];

static void destroy(void *arg) {
  atomic_fetch_add((atomic_uint *)arg, 1);
}

static void now_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  cr_assert_eq(atomic_load((atomic_uint *)arg), 0, "the handler uses a destroyed arg");
  mcp_call_reply_text(call, "1", 1);
  cr_assert_eq(atomic_load((atomic_uint *)arg), 0, "destroyed before the handler has returned");
}

static mcp_call_t *held;

static void hold_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  held = call;
}

static mcp_tool_t tool(const char *name, int number) {
  return (mcp_tool_t){.name = name, .handler = now_tool, .arg = &destroyed[number], .destroy = destroy};
}

#define TABLE(...) ((const mcp_tool_t[]){__VA_ARGS__, MCP_TOOL_END})

static void expect_destroyed(unsigned first, unsigned second, unsigned third) {
  cr_expect_eq(atomic_load(&destroyed[0]), first, "%u", atomic_load(&destroyed[0]));
  cr_expect_eq(atomic_load(&destroyed[1]), second, "%u", atomic_load(&destroyed[1]));
  cr_expect_eq(atomic_load(&destroyed[2]), third, "%u", atomic_load(&destroyed[2]));
}

Test(tool_args, are_destroyed_with_the_server) {
  fixture_setup();
  mcp_server_t *server = mcp_server_new("args", "1", 0, TABLE(tool("a", 0), tool("b", 1)));
  mcp_tool_t third = tool("c", 2);
  cr_assert_eq(mcp_server_add_tool(server, &third), 0);
  expect_destroyed(0, 0, 0);
  mcp_server_free(server);
  expect_destroyed(1, 1, 1);
  fixture_teardown();
}

Test(tool_args, are_destroyed_if_the_server_is_not_created) {
  fixture_setup();
  cr_expect_null(mcp_server_new("", "1", 0, TABLE(tool("a", 0))));
  expect_destroyed(1, 0, 0);
  cr_expect_null(mcp_server_new("args", "1", 0, TABLE(tool("a", 0), tool("b!", 1), tool("c", 2))));
  expect_destroyed(2, 1, 1);
  cr_expect_null(mcp_server_new("args", "1", 0, TABLE(tool("a", 0), tool("a", 1), tool("c", 2))));
  expect_destroyed(3, 2, 2);
  cr_expect_null(mcp_server_new("args", "1", 0, NULL));
  fixture_teardown();
}

Test(tool_args, are_destroyed_if_the_tool_is_not_added) {
  fixture_setup();
  mcp_server_t *server = mcp_server_new("args", "1", 0, TABLE(tool("a", 0)));
  mcp_tool_t invalid = tool("a", 1), unnamed = tool(NULL, 2), schema = tool("b", 2);
  schema.input_schema = "[]";
  cr_expect_eq(mcp_server_add_tool(server, &invalid), MCP_ETOOL);
  expect_destroyed(0, 1, 0);
  cr_expect_eq(mcp_server_add_tool(server, &unnamed), UV_EINVAL);
  cr_expect_eq(mcp_server_add_tool(server, &schema), MCP_ETOOL);
  expect_destroyed(0, 1, 2);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  cr_expect_eq(mcp_server_add_tool(server, &invalid), MCP_ESTATE);
  expect_destroyed(0, 2, 2);
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  expect_destroyed(1, 2, 2);
  fixture_teardown();
}

Test(tool_args, are_destroyed_once_wherever_memory_fails) {
  use_failing_allocator();
  memory.allowed = LONG_MAX;
  fixture_setup();
  bool failed = true;
  for (long allowed = 0; failed; allowed++) {
    unsigned before = atomic_load(&destroyed[0]);
    memory.allowed = allowed;
    mcp_server_t *server = mcp_server_new("args", "1", 0, TABLE(tool("a", 0), tool("b", 1)));
    mcp_tool_t third = tool("c", 2);
    if (server != NULL)
      mcp_server_add_tool(server, &third);
    failed = memory.allowed < 0;
    memory.allowed = LONG_MAX;
    if (server == NULL)
      destroy(&destroyed[2]); /* it was never given */
    mcp_server_free(server);
    expect_destroyed(before + 1, before + 1, before + 1);
    cr_assert_lt(allowed, 2000);
  }
  cr_expect_eq(memory.live, 0);
  fixture_teardown();
}

static mcp_server_t *start(mcp_tool_cb handler, unsigned flags) {
  mcp_tool_t first = tool("tool", 0);
  first.handler = handler;
  first.flags = flags;
  mcp_server_t *server = mcp_server_new("args", "1", 0, TABLE(first));
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  return server;
}

Test(tool_args, are_destroyed_when_the_tool_is_removed) {
  fixture_setup();
  mcp_server_t *server = start(now_tool, 0);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "tool", "{}");
  RUN_UNTIL(peer->count == 1);
  expect_destroyed(0, 0, 0);
  cr_assert_eq(mcp_server_remove_tool(server, "tool"), 0);
  expect_destroyed(1, 0, 0);
  test_server_stop(server);
  fixture_teardown();
  expect_destroyed(1, 0, 0);
}

Test(tool_args, stay_for_calls_in_flight_of_a_removed_tool) {
  fixture_setup();
  mcp_server_t *server = start(hold_tool, 0);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "tool", "{}");
  RUN_UNTIL(held != NULL);
  cr_assert_eq(mcp_server_remove_tool(server, "tool"), 0);
  expect_destroyed(0, 0, 0);
  mcp_call_reply_text(held, "1", 1);
  expect_destroyed(1, 0, 0);
  RUN_UNTIL(peer->count == 1);
  test_server_stop(server);
  fixture_teardown();
  expect_destroyed(1, 0, 0);
}

static mcp_server_t *removing;

/* The last use of the arg is the handler that runs. */
static void remove_itself_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  cr_assert_eq(mcp_server_remove_tool(removing, "tool"), 0);
  now_tool(call, args, arg);
}

Test(tool_args, stay_while_the_handler_that_removed_its_tool_runs) {
  fixture_setup();
  removing = start(remove_itself_tool, 0);
  raw_client_t *peer = raw_client_open(mcp_server_port(removing));
  raw_client_call(peer, 1, "tool", "{}");
  RUN_UNTIL(peer->count == 1);
  expect_destroyed(1, 0, 0);
  test_server_stop(removing);
  fixture_teardown();
}

Test(tool_args, stay_for_a_call_that_outlives_its_server) {
  fixture_setup();
  mcp_server_t *server = start(hold_tool, 0);
  mcp_server_set_shutdown_timeout_ms(server, 0);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "tool", "{}");
  RUN_UNTIL(held != NULL);
  test_server_stop(server);
  expect_destroyed(0, 0, 0);
  cr_expect_eq(mcp_call_reply_text(held, "1", 1), MCP_ESTATE);
  expect_destroyed(1, 0, 0);
  fixture_teardown();
}

Test(tool_args, stay_for_a_blocking_handler_that_outlives_its_server) {
  fixture_setup();
  mcp_server_t *server = start(test_server_gate_tool, MCP_TOOL_BLOCKING);
  mcp_server_set_shutdown_timeout_ms(server, 0);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "tool", "{}");
  RUN_UNTIL(test_server_at_gate() == 1);
  test_server_stop(server);
  expect_destroyed(0, 0, 0);
  test_server_set_gate(true);
  RUN_UNTIL(atomic_load(&destroyed[0]) == 1);
  fixture_teardown();
  expect_destroyed(1, 0, 0);
}
