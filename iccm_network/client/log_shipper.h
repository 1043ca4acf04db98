/* log_shipper.h: takes log records from any thread without blocking it; its own thread writes them to stderr
 * and ships them to Godot. */
#ifndef MCP_LOG_SHIPPER_H
#define MCP_LOG_SHIPPER_H

#include "base/log.h"

#include <uv.h>

enum {
  MCP__LOG_SHIPPER_MAX_LINES = 10000,
  MCP__LOG_SHIPPER_MAX_BYTES = 8 << 20, /* for stderr, and the same for Godot */
  MCP__LOG_SHIPPER_TURN_MS = 50,        /* maximum delay of a record; logging does not wake the thread */
  /* For name look-up, TCP, upgrade and initialize together; then reconnects with backoff. */
  MCP__LOG_SHIPPER_CONNECT_MS = 1000,
  MCP__LOG_SHIPPER_CALL_MS = 10000,
  MCP__LOG_SHIPPER_PAUSE_MS = 1000, /* pause after a temporary error of Godot */
  MCP__LOG_SHIPPER_FLUSH_MS = 1000, /* minimum time for flushing at the stop */
  MCP__LOG_SHIPPER_CLOSE_MS = 500,  /* additional time for closing the connection */
  /* records being sent; a server accepts no more calls at once per connection */
  MCP__LOG_SHIPPER_IN_FLIGHT = 64
};

typedef struct mcp__log_shipper mcp__log_shipper_t;

/* Starts a shipper, which takes over stderr and mcp_log(). component, version: copied. url NULL: log shipping
 * is off; "": the default endpoints of Godot. NULL: out of memory or no thread; records are then written
 * directly. */
mcp__log_shipper_t *mcp__log_shipper_new(uv_loop_t *loop, const char *component, const char *version,
                                         const char *url);

/* Writes and ships the remaining records, then calls cb once from the loop. Shipping ends after limit_ms, or
 * when Godot has accepted nothing for a third of that (each at least MCP__LOG_SHIPPER_FLUSH_MS); cb is called
 * at most MCP__LOG_SHIPPER_CLOSE_MS later. Records logged meanwhile are written directly. Releases the
 * reference from mcp__log_shipper_new(); the memory is freed with the last reference. */
void mcp__log_shipper_stop(mcp__log_shipper_t *shipper, uint64_t limit_ms, void (*cb)(void *arg), void *arg);

mcp__log_shipper_t *mcp__log_shipper_hold(mcp__log_shipper_t *shipper); /* NULL is fine */
void mcp__log_shipper_release(mcp__log_shipper_t *shipper);             /* any thread; NULL is fine */

/* Any thread; with a NULL shipper, records are only written to stderr or the handler. */
enum { MCP__LOG_SHOW = 1, MCP__LOG_SHIP = 2 };
bool mcp__log_shipper_wants(const mcp__log_shipper_t *shipper, int level);
void mcp__log_shipper_log(mcp__log_shipper_t *shipper, const mcp__log_record_t *record,
                          unsigned destinations);

const char *mcp__log_shipper_component(const mcp__log_shipper_t *shipper);
/* Disables shipping for records of the calling thread, which serves log traffic. */
void mcp__log_shipper_mute(bool on);

typedef struct mcp__log_shipper_counts {
  uint64_t shipped, dropped;
} mcp__log_shipper_counts_t;
mcp__log_shipper_counts_t mcp__log_shipper_counts(mcp__log_shipper_t *shipper); /* all 0 for NULL */

#endif
