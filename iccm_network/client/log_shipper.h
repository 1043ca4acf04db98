/* log_shipper.h: takes lines from any thread without keeping it waiting, and from a thread of its own shows
 * them on stderr and ships them to Godot. */
#ifndef MCP_LOG_SHIPPER_H
#define MCP_LOG_SHIPPER_H

#include "base/log.h"

#include <uv.h>

enum {
  MCP__LOGGER_MAX_LINES = 10000,
  MCP__LOGGER_MAX_BYTES = 8 << 20, /* as many each for stderr and for Godot */
  MCP__LOGGER_TURN_MS = 50,        /* how long a line waits at the most: whoever makes it wakes nobody */
  MCP__LOGGER_CONNECT_MS =
      1000, /* for name, TCP, upgrade and initialize together; then again, ever more slowly */
  MCP__LOGGER_CALL_MS = 10000,
  MCP__LOGGER_PAUSE_MS = 1000,   /* after Godot has said that it cannot take a line now */
  MCP__LOGGER_FLUSH_MS = 1000,   /* for what is left when it stops, where no longer limit is given */
  MCP__LOGGER_FAREWELL_MS = 500, /* and for its connection to close: nobody waits any longer */
  MCP__LOGGER_IN_FLIGHT = 64     /* lines on their way; a server takes no more from one connection at once */
};

typedef struct mcp__logger mcp__logger_t;

/* Begins: stderr and mcp_log() are its business from now on. component, version: copied. url NULL: nothing is
 * shipped; "": to where Godot is unless that was set. NULL: no memory or no thread; lines are shown as they
 * are made then. */
mcp__logger_t *mcp__logger_new(uv_loop_t *loop, const char *component, const char *version, const char *url);

/* Shows and ships what is left, then calls cb once from the loop. Shipping ends after limit_ms, or once Godot
 * has taken nothing for a third of that (each at least MCP__LOGGER_FLUSH_MS); cb comes at the latest
 * MCP__LOGGER_FAREWELL_MS later. Lines that come meanwhile are shown as they are made. The memory goes with
 * the last hold, of which the one by new is released by this. */
void mcp__logger_stop(mcp__logger_t *logger, uint64_t limit_ms, void (*cb)(void *arg), void *arg);

mcp__logger_t *mcp__logger_hold(mcp__logger_t *logger); /* NULL is fine, also for … */
void mcp__logger_release(mcp__logger_t *logger);        /* any thread */

/* Any thread; a logger of NULL shows alone. */
enum { MCP__SHOW = 1, MCP__SHIP = 2 };
bool mcp__logger_wants(const mcp__logger_t *logger, int level);
void mcp__logger_log(mcp__logger_t *logger, const mcp__entry_t *entry, unsigned where);

const char *mcp__logger_component(const mcp__logger_t *logger);
void mcp__logger_be_quiet(bool on); /* nothing that this thread says is shipped: it serves log traffic */

typedef struct mcp__logger_counts {
  uint64_t shipped, dropped;
} mcp__logger_counts_t;
mcp__logger_counts_t mcp__logger_counts(mcp__logger_t *logger); /* of NULL: none */

#endif
