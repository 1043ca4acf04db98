/* ws.h: one side of a WebSocket connection (RFC 6455) after the upgrade: takes bytes, delivers messages, and
 * writes frames to a buffer.
 *
 * Uses no sockets and no clock. Control frames and text messages in one frame are parsed here, because wslay
 * unmasks byte by byte and keeps 8.8 KB for each connection. wslay handles everything else frame by frame:
 * fragments and malformed input. */
#ifndef MCP_WS_H
#define MCP_WS_H

#include "base/buf.h"
#include "base/utf8.h"

#include <sys/types.h>
#include <wslay/wslay.h>

enum {
  MCP__CLOSE_NORMAL = 1000,
  MCP__CLOSE_PROTOCOL = 1002,
  MCP__CLOSE_UNSUPPORTED = 1003,
  MCP__CLOSE_NO_CODE = 1005, /* a close frame without a code; never sent */
  MCP__CLOSE_INVALID_TEXT = 1007,
  MCP__CLOSE_POLICY = 1008,
  MCP__CLOSE_TOO_BIG = 1009,
  MCP__CLOSE_INTERNAL = 1011,
  MCP__CLOSE_RESTART = 1012,
  MCP__CLOSE_BUSY = 1013, /* try again later */

  MCP__WS_CONTROL_MAX = 125,      /* RFC 6455 section 5.5 */
  MCP__WS_HEAD_MAX = 14,          /* two bytes, 64 bits of length, mask */
  MCP__WS_MAX_FRAGMENTS = 131072, /* of one message */
  MCP__WS_REASON_MAX = 123,
  /* If out holds this many bytes, only the newest ping is answered. */
  MCP__WS_PONG_MAX_BACKLOG = 4096
};

typedef struct mcp__ws mcp__ws_t;

typedef struct mcp__ws_config {
  bool client;        /* sends masked frames, takes unmasked ones */
  bool binary;        /* accepts binary messages; otherwise they are closed with 1003 */
  size_t max_message; /* bytes */
  /* memory limit for a message: the connection pauses when it refuses; may be NULL */
  const mcp__buf_quota_t *quota;
  mcp__buf_t *out; /* frames are appended here; the owner sends them */
  /* A message is complete. The receiver may take its text by swapping the buffer, which has room for
   * MCP__JSON_PADDING more bytes. It may call mcp__ws_pause(). */
  void (*on_message)(mcp__buf_t *message, bool binary, void *arg);
  /* No more input is accepted, called once. clean: the peer sent a close, which has been answered. Otherwise
   * the peer violated the protocol, and a close frame is in out. */
  void (*on_end)(int code, const char *reason, bool clean, void *arg);
  void *arg;
} mcp__ws_config_t;

struct mcp__ws {
  const mcp__ws_config_t *config;   /* borrowed */
  mcp__buf_t message;               /* payload of the message being received */
  wslay_event_context_ptr wslay;    /* while wslay parses a message; else NULL */
  const uint8_t *slice, *slice_end; /* input for wslay */
  uint64_t remaining;               /* bytes of the current frame */
  unsigned fragments;               /* of the current message */
  mcp__utf8_t utf8;
  uint8_t mask[4];
  uint8_t mask_at;                                      /* index of the next mask byte */
  uint8_t head[MCP__WS_HEAD_MAX + MCP__WS_CONTROL_MAX]; /* start of an incomplete frame */
  uint8_t head_len;
  uint8_t pong_len;
  uint8_t pong[MCP__WS_CONTROL_MAX]; /* payload of the newest ping */
  bool pong_due;
  bool in_text;    /* the current frame is a whole text message */
  bool close_sent; /* nothing more may be sent */
  bool ended;      /* on_end was called: input is discarded */
  bool paused;     /* by the owner, or for lack of memory */
  bool binary;     /* the message in wslay is binary */
  int fail;        /* close code set by a callback of wslay */
};

void mcp__ws_init(mcp__ws_t *ws, const mcp__ws_config_t *config);
void mcp__ws_deinit(mcp__ws_t *ws);

/* Takes input until it is consumed or the connection is paused. Returns the number of bytes consumed. */
size_t mcp__ws_feed(mcp__ws_t *ws, const uint8_t *data, size_t len);
void mcp__ws_pause(mcp__ws_t *ws, bool paused);
bool mcp__ws_in_message(const mcp__ws_t *ws); /* a message is incomplete */

/* Writes a text message directly to out: call begin, append the payload to out, then call end with the value
 * that begin returned. To cancel, truncate out to that value. begin returns SIZE_MAX if memory is exhausted
 * or a close was sent. */
size_t mcp__ws_begin(mcp__ws_t *ws);
int mcp__ws_end(mcp__ws_t *ws, size_t begin);

int mcp__ws_ping(mcp__ws_t *ws);
void mcp__ws_flush_pong(mcp__ws_t *ws); /* appends the pending pong to out; call before sending */

/* Sends one close frame. Returns 0 or an error. on_end is still called when the peer answers. */
int mcp__ws_close(mcp__ws_t *ws, int code, const char *reason);

#endif
