/* test_subscription.c: the messages of a subscription, each with the id of its request; what is kept of it.
 */
#include "server/subscription.h"
#include "leaks.h"
#include "mcp/modern.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

static mcp__subscription_t *subscribe(const char *id, bool tools, bool capability, const char *name) {
  static char text[8192];
  mcp__message_t message = {.kind = MCP__REQUEST, .id = id, .id_len = strlen(id)};
  mcp__dispatch_result_t result = {.listens_tools = tools, .listens_capability = capability};
  snprintf(
      text, sizeof text,
      "{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
      "\"io.modelcontextprotocol/clientCapabilities\":{},\"io.modelcontextprotocol/clientInfo\":\"%s\"}}",
      name);
  yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
  message.params = yyjson_doc_get_root(doc);
  mcp__subscription_t *subscription = mcp__subscription_new(&message, &result, text);
  yyjson_doc_free(doc);
  return subscription;
}

static void expect_text(mcp__buf_t *out, int status, const char *expected) {
  cr_assert_eq(status, 0);
  cr_assert_eq(mcp__buf_append(out, "", 1), 0);
  cr_expect_str_eq(out->data, expected);
  out->len = 0;
}

#define ID(id) "\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":" id "}"

Test(subscription, its_messages) {
  static const char *const ids[] = {"1", "\"s-1\"", "1.5"};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    char expected[512];
    mcp__buf_t out;
    mcp__buf_init(&out, 4096, NULL);
    mcp__subscription_t *subscription = subscribe(ids[i], true, true, "c");
    cr_assert_not_null(subscription);
    cr_expect(subscription->capability_due && !subscription->tools_due);
#define EXPECT(status, ...)                                                                                  \
  snprintf(expected, sizeof expected, __VA_ARGS__);                                                          \
  expect_text(&out, status, expected)
    EXPECT(mcp__subscription_write_acknowledged(&out, subscription, "clock"),
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{" ID(
               "%s") ","
                     "\"notifications\":{\"toolsListChanged\":true,\"clock\":true}}}",
           ids[i]);
    EXPECT(mcp__subscription_write_tools_changed(&out, subscription),
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":{" ID("%s") "}}",
           ids[i]);
    EXPECT(mcp__subscription_write_end(&out, subscription),
           "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"resultType\":\"complete\"," ID("%s") "}}", ids[i],
           ids[i]);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    yyjson_mut_obj_add_int(doc, yyjson_mut_doc_get_root(doc), "now", 5);
    EXPECT(mcp__subscription_write_capability(&out, subscription, "clock", doc),
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/clock\",\"params\":{\"now\":5," ID("%s") "}}",
           ids[i]);
    yyjson_mut_doc_free(doc);
    mcp__subscription_free(subscription);
    mcp__buf_deinit(&out);
  }
  expect_no_leak();
}

Test(subscription, what_is_not_there_is_not_acknowledged) {
  mcp__buf_t out;
  mcp__buf_init(&out, 4096, NULL);
  mcp__subscription_t *subscription = subscribe("1", false, false, "c");
  expect_text(&out, mcp__subscription_write_acknowledged(&out, subscription, NULL),
              "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{" ID(
                  "1") ","
                       "\"notifications\":{}}}");
  mcp__subscription_free(subscription);
  mcp__buf_deinit(&out);
}

/* As with initialize, params that are too long are not kept, and the capability has no notifications. */
Test(subscription, params_have_a_limit) {
  char name[MCP__SUBSCRIPTION_PARAMS_MAX + 1];
  for (int len = MCP__SUBSCRIPTION_PARAMS_MAX - 200; len < MCP__SUBSCRIPTION_PARAMS_MAX; len += 199) {
    snprintf(name, sizeof name, "%0*d", len, 0);
    mcp__subscription_t *subscription = subscribe("1", true, true, name);
    cr_assert_not_null(subscription);
    bool fits = len < MCP__SUBSCRIPTION_PARAMS_MAX - 100;
    cr_expect_eq(subscription->capability_params != NULL, fits, "%d", len);
    cr_expect_eq(subscription->capability_due, fits);
    cr_expect(subscription->wants_tools);
    mcp__subscription_free(subscription);
  }
  expect_no_leak();
}
