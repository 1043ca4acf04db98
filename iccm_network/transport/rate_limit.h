/* rate_limit.h: counts connections of each address per second in constant memory, and throttles log lines;
 * pure. */
#ifndef MCP_RATE_LIMIT_H
#define MCP_RATE_LIMIT_H

#include <stdint.h>
#include <sys/socket.h>

enum { MCP__RATE_LIMIT_SLOTS = 16384, MCP__RATE_LIMIT_WINDOW_MS = 1000 };

/* Counts addresses in hash slots. The hash is keyed with a secret that changes each second: addresses that
 * collide share a count for one second only, and a peer cannot choose with whom it collides. Valid when
 * zeroed. */
typedef struct mcp__rate_limit {
  uint64_t since_ms; /* start of the current second */
  uint64_t secret;   /* hash key of the current second; 0: none has begun */
  uint32_t counts[MCP__RATE_LIMIT_SLOTS];
} mcp__rate_limit_t;

/* Counts an address and returns its count in the current second. An IPv6 address is counted by its /64
 * network, because a peer usually owns the whole network. secret: a fresh random number, used as the key if a
 * new second begins. */
uint32_t mcp__rate_limit_count(mcp__rate_limit_t *limit, const struct sockaddr *address, uint64_t now_ms,
                               uint64_t secret);

/* Limits an event that peers can trigger to one log line a second, which carries the count. Valid when
 * zeroed. */
typedef struct mcp__log_throttle {
  uint64_t next_ms; /* earliest time of the next line */
  uint64_t count;   /* events not logged yet; the owner increments it */
} mcp__log_throttle_t;

/* Returns the number of events that a line has to report now; 0: none, or the second has not elapsed. */
uint64_t mcp__log_throttle_take(mcp__log_throttle_t *throttle, uint64_t now_ms);

#endif
