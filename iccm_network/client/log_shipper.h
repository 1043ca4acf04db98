/* log_shipper.h: takes lines from any thread without keeping it waiting, and from a thread of its own shows
 * them on stderr and ships them to Godot. */
#ifndef MCP_LOG_SHIPPER_H
#define MCP_LOG_SHIPPER_H

#include "base/log.h"

#include <uv.h>

enum {
  MCP__LOG_SHIPPER_MAX_LINES = 10000,
  MCP__LOG_SHIPPER_MAX_BYTES = 8 << 20, /* as many each for stderr and for Godot */
  MCP__LOG_SHIPPER_TURN_MS = 50,        /* how long a line waits at the most: whoever makes it wakes nobody */
  MCP__LOG_SHIPPER_CONNECT_MS =
      1000, /* for name, TCP, upgrade and initialize together; then again, ever more slowly */
  MCP__LOG_SHIPPER_CALL_MS = 10000,
  MCP__LOG_SHIPPER_PAUSE_MS = 1000, /* after Godot has said that it cannot take a line now */
  MCP__LOG_SHIPPER_FLUSH_MS = 1000, /* for what is left when it stops, where no longer limit is given */
  MCP__LOG_SHIPPER_CLOSE_MS = 500,  /* and for its connection to close: nobody waits any longer */
  MCP__LOG_SHIPPER_IN_FLIGHT = 64 /* lines on their way; a server takes no more from one connection at once */
};

typedef struct mcp__log_shipper mcp__log_shipper_t;

/* Begins: stderr and mcp_log() are its business from now on. component, version: copied. url NULL: nothing is
 * shipped; "": to where Godot is unless that was set. NULL: no memory or no thread; lines are shown as they
 * are made then. */
mcp__log_shipper_t *mcp__log_shipper_new(uv_loop_t *loop, const char *component, const char *version,
                                         const char *url);

/* Shows and ships what is left, then calls cb once from the loop. Shipping ends after limit_ms, or once Godot
 * has taken nothing for a third of that (each at least MCP__LOG_SHIPPER_FLUSH_MS); cb comes at the latest
 * MCP__LOG_SHIPPER_CLOSE_MS later. Lines that come meanwhile are shown as they are made. The memory goes with
 * the last hold, of which the one by new is released by this. */
void mcp__log_shipper_stop(mcp__log_shipper_t *shipper, uint64_t limit_ms, void (*cb)(void *arg), void *arg);

mcp__log_shipper_t *mcp__log_shipper_hold(mcp__log_shipper_t *shipper); /* NULL is fine, also for … */
void mcp__log_shipper_release(mcp__log_shipper_t *shipper);             /* any thread */

/* Any thread; a logger of NULL shows alone. */
enum { MCP__LOG_SHOW = 1, MCP__LOG_SHIP = 2 };
bool mcp__log_shipper_wants(const mcp__log_shipper_t *shipper, int level);
void mcp__log_shipper_log(mcp__log_shipper_t *shipper, const mcp__log_record_t *record,
                          unsigned destinations);

const char *mcp__log_shipper_component(const mcp__log_shipper_t *shipper);
void mcp__log_shipper_mute(bool on); /* nothing that this thread says is shipped: it serves log traffic */

typedef struct mcp__log_shipper_counts {
  uint64_t shipped, dropped;
} mcp__log_shipper_counts_t;
mcp__log_shipper_counts_t mcp__log_shipper_counts(mcp__log_shipper_t *shipper); /* of NULL: none */

#endif
