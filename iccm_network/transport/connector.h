/* connector.h: connects to a host by name: tries its addresses and keeps the first connection that is
 * established. */
#ifndef MCP_CONNECTOR_H
#define MCP_CONNECTOR_H

#include "transport/stream.h"

enum {
  MCP__CONNECTOR_MAX_ADDRESSES = 16,
  MCP__CONNECTOR_NEXT_ADDRESS_MS =
      250 /* delay before the next address is tried in parallel (RFC 8305 section 5) */
};

typedef struct mcp__connector {
  mcp__io_t *io;
  /* Called exactly once for each start that was not cancelled, never from within start. On success stream
   * belongs to the receiver, which frees it with mcp__free() in its on_closed. On failure stream is NULL;
   * status and problem name the cause. */
  void (*on_done)(mcp__stream_t *stream, int status, const char *problem, void *arg);
  void (*on_idle)(void *arg); /* the last of its handles has been closed */
  void *arg;
  struct mcp__lookup *lookup;
  struct sockaddr_storage addresses[MCP__CONNECTOR_MAX_ADDRESSES];
  unsigned count, tried, running; /* addresses: found, tried, and being tried */
  struct mcp__attempt *attempts;  /* attempts whose handles are open */
  char problem[256];              /* cause of the last failure */
  int status;
} mcp__connector_t;

/* Takes the same host and port every time. Nonzero: failed at once, problem holds the cause, on_done is not
 * called. */
int mcp__connector_start(mcp__connector_t *connector, const char *host, int port);
/* Tries another address. Call it every MCP__CONNECTOR_NEXT_ADDRESS_MS until on_done. */
void mcp__connector_try_next(mcp__connector_t *connector);
void mcp__connector_cancel(mcp__connector_t *connector); /* handles close asynchronously, see on_idle */
void mcp__connector_close(mcp__connector_t *connector);  /* cancels, and allows no further start */
bool mcp__connector_is_idle(const mcp__connector_t *connector);

#endif
