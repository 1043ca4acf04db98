/* ws.h: one side of a WebSocket connection (RFC 6455) behind the upgrade: bytes in, messages out, frames into
 * a buffer.
 *
 * Knows no sockets and no clock. Whole text messages in one frame and control frames, which is nearly all
 * there is, are taken apart here, since wslay unmasks byte by byte and keeps 8.8 KB for each connection;
 * everything else, fragments and whatever looks wrong, is judged by wslay, frame by frame. */
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
  MCP__CLOSE_NO_CODE = 1005, /* a close frame without one; never sent */
  MCP__CLOSE_INVALID_TEXT = 1007,
  MCP__CLOSE_POLICY = 1008,
  MCP__CLOSE_TOO_BIG = 1009,
  MCP__CLOSE_INTERNAL = 1011,
  MCP__CLOSE_RESTART = 1012,
  MCP__CLOSE_BUSY = 1013, /* again later */

  MCP__WS_CONTROL_MAX = 125,      /* RFC 6455 section 5.5 */
  MCP__WS_HEAD_MAX = 14,          /* two bytes, 64 bits of length, mask */
  MCP__WS_MAX_FRAGMENTS = 131072, /* of one message */
  MCP__WS_REASON_MAX = 123,
  MCP__WS_PONG_MAX_BACKLOG = 4096 /* with so much in out already, only the newest ping is answered */
};

typedef struct mcp__ws mcp__ws_t;

typedef struct mcp__ws_config {
  bool client;        /* sends masked, takes unmasked */
  bool binary;        /* takes binary messages, too; else they are closed with 1003 */
  size_t max_message; /* bytes */
  const mcp__gate_t
      *gate;       /* for the memory of a message: the connection is paused where it says no; may be NULL */
  mcp__buf_t *out; /* frames are appended here; the owner sends what it holds */
  /* A message is complete. Its text may be taken by swapping the buffer; MCP__JSON_PADDING bytes of room
   * behind it are sure. mcp__ws_pause() may be called from here. */
  void (*on_message)(mcp__buf_t *message, bool binary, void *arg);
  /* Nothing more will be taken in: the peer's close came and is answered (clean), or it broke a rule, and the
   * close that says so is in out. Fires once. */
  void (*on_end)(int code, const char *reason, bool clean, void *arg);
  void *arg;
} mcp__ws_config_t;

struct mcp__ws {
  const mcp__ws_config_t *config;   /* borrowed */
  mcp__buf_t message;               /* of the message being received: its payload so far */
  wslay_event_context_ptr wslay;    /* while wslay has a message open; else NULL */
  const uint8_t *slice, *slice_end; /* what wslay may read */
  uint64_t remaining;               /* of the frame under way */
  unsigned fragments;               /* of the message under way */
  mcp__utf8_t utf8;
  uint8_t mask[4];
  uint8_t mask_at;                                      /* which of its bytes is next */
  uint8_t head[MCP__WS_HEAD_MAX + MCP__WS_CONTROL_MAX]; /* a frame's beginning that came without the rest */
  uint8_t head_len;
  uint8_t pong_len;
  uint8_t pong[MCP__WS_CONTROL_MAX]; /* the newest ping's payload */
  bool pong_due;
  bool in_text;    /* the frame under way is a whole text message */
  bool close_sent; /* nothing more may be sent */
  bool ended;      /* on_end has fired: input is discarded */
  bool paused;     /* by its owner, or for want of memory */
  bool binary;     /* the message that wslay has open is */
  int fail;        /* a close code that a callback inside wslay asked for */
};

void mcp__ws_init(mcp__ws_t *ws, const mcp__ws_config_t *config);
void mcp__ws_deinit(mcp__ws_t *ws);

/* Takes input until it is used up or the connection is paused: returns how much was taken. */
size_t mcp__ws_feed(mcp__ws_t *ws, const uint8_t *data, size_t len);
void mcp__ws_pause(mcp__ws_t *ws, bool paused);
bool mcp__ws_in_message(const mcp__ws_t *ws); /* one has begun and is not complete */

/* A text message straight into out: begin, append the payload to out, then end with what begin returned; or
 * cancel by cutting out back to it. begin: SIZE_MAX where there is no room or a close was sent. */
size_t mcp__ws_begin(mcp__ws_t *ws);
int mcp__ws_end(mcp__ws_t *ws, size_t begin);

int mcp__ws_ping(mcp__ws_t *ws);
void mcp__ws_flush_pong(mcp__ws_t *ws); /* puts the pong that is due into out: before out is sent */

/* Sends a close once; 0, or why it could not. on_end still comes when the peer answers. */
int mcp__ws_close(mcp__ws_t *ws, int code, const char *reason);

#endif
