/* test_rate_limit.c: who is counted together, and when counting begins anew; how often a line tells of many.
 */
#include "transport/rate_limit.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>

static mcp__rate_limit_t rates;

static uint32_t count(const char *text, uint64_t now_ms) {
  struct sockaddr_storage storage = {0};
  struct sockaddr_in *four = (struct sockaddr_in *)&storage;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&storage;
  static uint16_t port; /* does not matter */
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = port++;
  } else {
    cr_assert_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1, "%s", text);
    six->sin6_family = AF_INET6;
    six->sin6_port = port++;
  }
  return mcp__rate_limit_count(&rates, (const struct sockaddr *)&storage, now_ms,
                               0x9e3779b97f4a7c15u + now_ms);
}

Test(rates, each_address_for_itself) {
  for (uint32_t i = 1; i <= 5; i++) {
    cr_expect_eq(count("127.0.0.1", 7000), i);
    cr_expect_eq(count("127.0.0.2", 7000), i);
    cr_expect_eq(count("::1", 7000), i);
  }
}

Test(rates, a_network_of_64_bits_counts_as_one) {
  cr_expect_eq(count("2001:db8::1", 0), 1);
  cr_expect_eq(count("2001:db8::ffff:ffff:ffff:ffff", 0), 2);
  cr_expect_eq(count("2001:db8:0:1::1", 0), 1);
}

Test(rates, a_second_begins_with_the_first_that_comes) {
  cr_expect_eq(count("10.0.0.1", 0), 1); /* the clock may stand at 0 */
  cr_expect_eq(count("10.0.0.1", 999), 2);
  cr_expect_eq(count("10.0.0.1", 1500), 1);
  cr_expect_eq(count("10.0.0.1", 2499), 2);
  cr_expect_eq(count("10.0.0.2", 2500), 1);
  cr_expect_eq(count("10.0.0.1", 2500), 1);
}

Test(rates, a_second_forgets_who_shared_a_slot) { /* so many come that all slots are shared */
  char text[32];
  uint64_t most = 0;
  for (int i = 0; i < 1 << 17; i++) {
    snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
    uint32_t now = count(text, 0);
    most = now > most ? now : most;
  }
  cr_expect_gt(most, 1u);
  cr_expect_lt(most, 50u, "badly spread: %d", (int)most); /* 8 on average */
  cr_expect_eq(count("10.0.0.1", 1000), 1);
}

Test(rates, counting_ends_somewhere) {
  count("10.0.0.1", 0);
  for (size_t i = 0; i < MCP__RATE_LIMIT_SLOTS; i++)
    rates.counts[i] = UINT32_MAX - 1;
  cr_expect_eq(count("10.0.0.1", 1), UINT32_MAX);
  cr_expect_eq(count("10.0.0.1", 1), UINT32_MAX);
}

Test(rates, a_line_a_second_tells_of_all) {
  mcp__log_throttle_t tally = {0};
  uint64_t told = 0;
  cr_expect_eq(mcp__log_throttle_take(&tally, 0), 0, "nothing has been");
  for (uint64_t now_ms = 5000; now_ms < 8000; now_ms++) {
    tally.count += 10;
    uint64_t count = mcp__log_throttle_take(&tally, now_ms);
    cr_expect_eq(count,
                 now_ms == 5000       ? 10
                 : now_ms % 1000 == 0 ? 10000
                                      : 0,
                 "%d at %d", (int)count, (int)now_ms);
    told += count;
  }
  cr_expect_eq(mcp__log_throttle_take(&tally, 7999), 0, "the second is not over");
  told += mcp__log_throttle_take(&tally, 8000);
  cr_expect_eq(told, 30000);
  cr_expect_eq(mcp__log_throttle_take(&tally, 9000), 0);
  tally.count++;
  cr_expect_eq(mcp__log_throttle_take(&tally, 9000), 1, "at once, after a second without any");
}
