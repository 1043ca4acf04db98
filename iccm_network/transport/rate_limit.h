/* rate_limit.h: how often each address has come within a second, in memory that does not grow with their
 * number; and lines of the log that tell of many at once; pure. */
#ifndef MCP_RATE_LIMIT_H
#define MCP_RATE_LIMIT_H

#include <stdint.h>
#include <sys/socket.h>

enum { MCP__RATE_LIMIT_SLOTS = 16384, MCP__RATE_LIMIT_WINDOW_MS = 1000 };

/* Addresses are counted in slots that a secret picks, another one each second: two addresses that share a
 * slot, and with it their count, do so for that second alone, and nobody can choose with whom. A zeroed one
 * has counted nobody. */
typedef struct mcp__rate_limit {
  uint64_t since_ms; /* when this second began */
  uint64_t secret;   /* of this second; 0: none has begun */
  uint32_t counts[MCP__RATE_LIMIT_SLOTS];
} mcp__rate_limit_t;

/* Counts an address, and says how often it has come in this second. Of IPv6 the network of 64 bits counts,
 * since whoever has one address there has them all. secret: a new random number, used where a second begins.
 */
uint32_t mcp__rate_limit_count(mcp__rate_limit_t *limit, const struct sockaddr *address, uint64_t now_ms,
                               uint64_t secret);

/* What peers can cause as often as they like has one line of the log a second, with a count. A zeroed one has
 * counted nothing. */
typedef struct mcp__log_throttle {
  uint64_t next_ms; /* no line before */
  uint64_t count;   /* of what no line has told yet; whoever counts adds to it */
} mcp__log_throttle_t;

/* How many a line tells now: 0: none, or the second is not over. */
uint64_t mcp__log_throttle_take(mcp__log_throttle_t *throttle, uint64_t now_ms);

#endif
