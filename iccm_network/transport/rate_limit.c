/* rate_limit.c: see rate_limit.h. A second begins with the first address after the previous one. */
#include "transport/rate_limit.h"

#include "transport/peer_addr.h"

#include <string.h>

/* The finalizer of MurmurHash3: flipping one bit of x flips half of the result's bits. */
static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

uint32_t mcp__rate_limit_count(mcp__rate_limit_t *limit, const struct sockaddr *address, uint64_t now_ms,
                               uint64_t secret) {
  if (limit->secret == 0 || now_ms - limit->since_ms >= MCP__RATE_LIMIT_WINDOW_MS) {
    memset(limit->counts, 0, sizeof limit->counts);
    limit->since_ms = now_ms;
    limit->secret = secret | 1;
  }
  uint32_t *count = &limit->counts[mix(mix(mcp__peer_network(address) ^ limit->secret) + limit->secret) %
                                   MCP__RATE_LIMIT_SLOTS];
  *count += *count < UINT32_MAX;
  return *count;
}

uint64_t mcp__log_throttle_take(mcp__log_throttle_t *throttle, uint64_t now_ms) {
  uint64_t count = throttle->count;
  if (count == 0 || now_ms < throttle->next_ms)
    return 0;
  throttle->count = 0;
  throttle->next_ms = now_ms + MCP__RATE_LIMIT_WINDOW_MS;
  return count;
}
