/* rate_limit.c: see rate_limit.h. A second begins with the first address that comes when the one before is
 * over. */
#include "transport/rate_limit.h"

#include "transport/peer_addr.h"

#include <string.h>

/* The finalizer of MurmurHash3: each bit of x changes half of the result's. */
static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

uint32_t mcp__rates_count(mcp__rates_t *rates, const struct sockaddr *address, uint64_t now_ms,
                          uint64_t secret) {
  if (rates->secret == 0 || now_ms - rates->since_ms >= MCP__RATE_MS) {
    memset(rates->counts, 0, sizeof rates->counts);
    rates->since_ms = now_ms;
    rates->secret = secret | 1;
  }
  uint32_t *count =
      &rates->counts[mix(mix(mcp__peer_network(address) ^ rates->secret) + rates->secret) % MCP__RATES_SLOTS];
  *count += *count < UINT32_MAX;
  return *count;
}

uint64_t mcp__tally_take(mcp__tally_t *tally, uint64_t now_ms) {
  uint64_t count = tally->count;
  if (count == 0 || now_ms < tally->next_ms)
    return 0;
  tally->count = 0;
  tally->next_ms = now_ms + MCP__RATE_MS;
  return count;
}
