/* test_client_exchange.c: when streams of events are continued. */
#include "client/client_exchange.h"

#include "iccm_network.h"

#include <criterion/criterion.h>
#include <string.h>

static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\"}";

static mcp__client_exchange_t *new_call(void) {
  mcp__client_exchange_t *exchange;
  cr_assert_eq(mcp__client_exchange_new(MCP__FOR_MESSAGE, text, sizeof text - 1, MCP__ERA_LEGACY, &exchange),
               0);
  cr_expect_eq(exchange->request, 7);
  return exchange;
}

Test(client_exchange, is_continued_after_its_last_event) {
  mcp__sse_t sse = {.last_id = "a", .retry_ms = 500};
  mcp__client_exchange_t *exchange = new_call();
  cr_expect(mcp__client_exchange_resume(exchange, &sse, 1000));
  cr_expect_str_eq(exchange->resume_id, "a");
  cr_expect_eq(exchange->due_ms, 1500);
  mcp__sse_t silent = {.retry_ms = UINT64_MAX};
  cr_expect(mcp__client_exchange_resume(exchange, &silent, 2000));
  cr_expect_str_eq(exchange->resume_id, "a");
  cr_expect_eq(exchange->due_ms, 3000, "twice as long");
  strcpy(sse.last_id, "b");
  cr_expect(mcp__client_exchange_resume(exchange, &sse, 4000));
  cr_expect_str_eq(exchange->resume_id, "b");
  cr_expect_eq(exchange->due_ms, 4500);
  mcp__client_exchange_free(exchange);
}

Test(client_exchange, attempts_are_bounded) {
  mcp__sse_t sse = {.last_id = "a", .retry_ms = 0};
  mcp__client_exchange_t *exchange = new_call();
  uint64_t now_ms = 1000, attempts = 0;
  while (mcp__client_exchange_resume(exchange, &sse, now_ms)) {
    cr_expect_geq(exchange->due_ms, now_ms + 100);
    now_ms = exchange->due_ms;
    cr_assert_lt(++attempts, 100);
  }
  cr_expect_eq(attempts, 8);
  cr_expect_eq(now_ms, 1000 + 100 * 255);
  mcp__client_exchange_free(exchange);
}

Test(client_exchange, a_call_without_an_event_is_lost_but_not_the_stream_of_a_session) {
  mcp__sse_t sse = {.retry_ms = UINT64_MAX};
  mcp__client_exchange_t *exchange = new_call();
  cr_expect_not(mcp__client_exchange_resume(exchange, &sse, 1000));
  exchange->purpose = MCP__FOR_STREAM;
  cr_expect(mcp__client_exchange_resume(exchange, &sse, 1000));
  cr_expect_null(exchange->resume_id);
  cr_expect_eq(exchange->due_ms, 2000);
  mcp__client_exchange_free(exchange);
}

/* A proxy that ends each stream after a minute. */
Test(client_exchange, a_stream_that_has_lasted_begins_the_count_anew) {
  mcp__sse_t sse = {.retry_ms = UINT64_MAX};
  mcp__client_exchange_t *exchange = new_call();
  exchange->purpose = MCP__FOR_STREAM;
  uint64_t now_ms = 60000;
  for (int i = 0; i < 100; i++) {
    cr_assert(mcp__client_exchange_resume(exchange, &sse, now_ms), "%d", i);
    now_ms = exchange->due_ms + 60000;
  }
  mcp__client_exchange_free(exchange);
}
