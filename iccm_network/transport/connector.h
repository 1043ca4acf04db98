/* connector.h: from a host's name to a connected stream: all addresses are tried, the first that answers
 * wins.
 */
#ifndef MCP_CONNECTOR_H
#define MCP_CONNECTOR_H

#include "transport/stream.h"

enum {
  MCP__CONNECTOR_MAX_ADDRESSES = 16,
  MCP__CONNECTOR_NEXT_ADDRESS_MS =
      250 /* an address that is silent so long gets company (RFC 8305 section 5) */
};

typedef struct mcp__connector {
  mcp__io_t *io;
  /* Exactly once for each start that was not cancelled: the stream, which is the receiver's now and which it
   * frees by mcp__free() in its on_closed; or NULL and why. Never from within start. */
  void (*on_done)(mcp__stream_t *stream, int status, const char *problem, void *arg);
  void (*on_idle)(void *arg); /* the last of its handles has been closed */
  void *arg;
  struct mcp__lookup *lookup;
  struct sockaddr_storage addresses[MCP__CONNECTOR_MAX_ADDRESSES];
  unsigned count, tried, running; /* addresses; of these, tried, and still being tried */
  struct mcp__attempt *attempts;  /* whose handles are open */
  char problem[256];              /* of the address that failed last */
  int status;
} mcp__connector_t;

/* The same host and port every time. Nonzero: failed at once, problem says why; on_done does not fire. */
int mcp__connector_start(mcp__connector_t *connector, const char *host, int port);
/* Every MCP__CONNECTOR_NEXT_ADDRESS_MS while on_done is due. */
void mcp__connector_try_next(mcp__connector_t *connector);
void mcp__connector_cancel(mcp__connector_t *connector); /* handles close by themselves; see on_idle */
void mcp__connector_close(mcp__connector_t *connector);  /* the same, and nothing is started any more */
bool mcp__connector_is_idle(const mcp__connector_t *connector);

#endif
