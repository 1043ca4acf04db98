/* random.h: random bytes for many small needs. */
#ifndef MCP_RANDOM_H
#define MCP_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

enum { MCP__RANDOM_MAX = 256 }; /* bytes of one call */

/* Writes unpredictable bytes: on any thread, and never the same in a forked process. Not for secrets, which
 * would stay in memory. Returns false if the kernel has none. */
bool mcp__random_bytes(void *to, size_t len);

#endif
