/* ws.c: WebSocket framing.
 *
 * Happy path: a frame head is parsed; a whole text message is unmasked in 64-bit words into the message
 * buffer, checked for UTF-8 and delivered. The payload of a ping is kept for the one pending pong, which is
 * written to out before anything else. Failure: all other input is passed to wslay, frame by frame. If wslay
 * finds a violation, or a limit is exceeded, a close frame with the cause is appended to out, and further
 * input is discarded. Memory grows with received bytes, never with the length that a frame head declares. */
#include "transport/ws.h"

#include "base/json.h" /* MCP__JSON_PADDING */
#include "base/random.h"

#include <string.h>
#include <uv.h>

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, FIN = 0x80, MASKED = 0x80 };

typedef struct frame {
  uint8_t first; /* FIN, RSV, opcode */
  bool masked;
  bool shortest; /* the length is in its shortest form and below 2^63 */
  uint64_t len;
  uint8_t mask[4];
  size_t head_len;
} frame_t;

void mcp__ws_init(mcp__ws_t *ws, const mcp__ws_config_t *config) {
  memset(ws, 0, sizeof *ws);
  ws->config = config;
  mcp__buf_init(&ws->message, config->max_message + MCP__JSON_PADDING, config->quota);
}

void mcp__ws_deinit(mcp__ws_t *ws) {
  if (ws->wslay != NULL)
    wslay_event_context_free(ws->wslay);
  ws->wslay = NULL;
  mcp__buf_deinit(&ws->message);
}

void mcp__ws_pause(mcp__ws_t *ws, bool paused) {
  ws->paused = paused;
}

bool mcp__ws_in_message(const mcp__ws_t *ws) {
  return ws->remaining > 0 || ws->in_text || ws->wslay != NULL || ws->head_len > 0;
}

/* ---- output ---------------------------------------------------------------------------------------- */

static void apply_mask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t mask[4], unsigned at) {
  uint8_t rotated[8];
  uint64_t mask_word, word;
  for (unsigned i = 0; i < 8; i++)
    rotated[i] = mask[(at + i) & 3];
  memcpy(&mask_word, rotated, 8);
  size_t i = 0;
  for (; i + 8 <= len; i += 8) {
    memcpy(&word, from + i, 8);
    word ^= mask_word;
    memcpy(to + i, &word, 8);
  }
  for (; i < len; i++)
    to[i] = from[i] ^ rotated[i & 7];
}

static size_t put_head(uint8_t *to, uint8_t first, uint64_t len, bool masked) {
  uint8_t bit = masked ? MASKED : 0;
  size_t bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;
  to[0] = first;
  to[1] = (uint8_t)(bit | (bytes == 0 ? len : bytes == 2 ? 126 : 127));
  for (size_t i = 0; i < bytes; i++)
    to[2 + i] = (uint8_t)(len >> 8 * (bytes - 1 - i));
  return 2 + bytes;
}

size_t mcp__ws_begin(mcp__ws_t *ws) {
  mcp__buf_t *out = ws->config->out;
  mcp__ws_flush_pong(ws); /* the ping was received before this message */
  if (ws->close_sent || mcp__buf_reserve(out, MCP__WS_HEAD_MAX) != 0)
    return SIZE_MAX;
  size_t begin = out->len;
  out->len += MCP__WS_HEAD_MAX; /* the longest head; finish() closes the gap */
  return begin;
}

/* Writes the head in front of a payload, whose length is known only now. */
static int finish(mcp__ws_t *ws, size_t begin, uint8_t first) {
  mcp__buf_t *out = ws->config->out;
  uint8_t *at = (uint8_t *)out->data + begin, *payload = at + MCP__WS_HEAD_MAX;
  size_t len = out->len - begin - MCP__WS_HEAD_MAX;
  uint8_t mask[4];
  if (ws->config->client && !mcp__random_bytes(mask, sizeof mask)) { /* RFC 6455 section 5.3: unpredictable */
    out->len = begin;
    return UV_EIO;
  }
  size_t head_len = put_head(at, first, len, ws->config->client);
  if (ws->config->client) {
    memcpy(at + head_len, mask, 4);
    head_len += 4;
    /* To lower addresses: writes never overtake reads. */
    apply_mask(at + head_len, payload, len, mask, 0);
  } else {
    memmove(at + head_len, payload, len);
  }
  out->len = begin + head_len + len;
  return 0;
}

int mcp__ws_end(mcp__ws_t *ws, size_t begin) {
  return finish(ws, begin, FIN | OP_TEXT);
}

static int send_control(mcp__ws_t *ws, uint8_t opcode, const void *payload, size_t len) {
  size_t begin = mcp__ws_begin(ws);
  if (begin == SIZE_MAX)
    return ws->close_sent ? MCP_ESTATE : UV_ENOMEM;
  int status = mcp__buf_append(ws->config->out, payload, len);
  if (status == 0)
    return finish(ws, begin, FIN | opcode);
  ws->config->out->len = begin;
  return status;
}

int mcp__ws_ping(mcp__ws_t *ws) {
  return send_control(ws, OP_PING, NULL, 0);
}

void mcp__ws_flush_pong(mcp__ws_t *ws) {
  if (!ws->pong_due)
    return;
  ws->pong_due = false;
  send_control(ws, OP_PONG, ws->pong, ws->pong_len);
}

int mcp__ws_close(mcp__ws_t *ws, int code, const char *reason) {
  uint8_t payload[MCP__WS_CONTROL_MAX];
  size_t len = 0, reason_len = strlen(reason);
  if (code != MCP__CLOSE_NO_CODE) {
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    len = 2 + (reason_len < MCP__WS_REASON_MAX ? reason_len : MCP__WS_REASON_MAX); /* our reasons are ASCII */
    memcpy(payload + 2, reason, len - 2);
  }
  int status = send_control(ws, OP_CLOSE, payload, len);
  ws->close_sent = true;
  return status;
}

/* ---- input ----------------------------------------------------------------------------------------- */

static void end(mcp__ws_t *ws, int code, const char *reason, bool clean) {
  if (ws->ended)
    return;
  ws->ended = true;
  if (ws->wslay != NULL)
    wslay_event_shutdown_read(ws->wslay);
  ws->config->on_end(code, reason, clean, ws->config->arg);
}

static void fail(mcp__ws_t *ws, int code, const char *reason) {
  if (ws->ended)
    return;
  mcp__ws_close(ws, code, reason);
  end(ws, code, reason, false);
}

static const char *close_reason(int code) {
  switch (code) {
  case MCP__CLOSE_UNSUPPORTED:
    return "text messages only";
  case MCP__CLOSE_INVALID_TEXT:
    return "text is not valid UTF-8";
  case MCP__CLOSE_TOO_BIG:
    return "message is larger than the limit";
  case MCP__CLOSE_INTERNAL:
    return "out of memory for the message";
  default:
    return "not a valid WebSocket frame";
  }
}

static int grow(mcp__ws_t *ws, size_t len) { /* returns a close code, or 0 */
  switch (mcp__buf_reserve(&ws->message, len + MCP__JSON_PADDING)) {
  case 0:
    return 0;
  case MCP_ETOOBIG:
    return MCP__CLOSE_TOO_BIG;
  case MCP_ELIMIT:
    return MCP__CLOSE_BUSY;
  default:
    return MCP__CLOSE_INTERNAL;
  }
}

static void deliver(mcp__ws_t *ws, bool binary) {
  ws->fragments = 0;
  ws->utf8 = (mcp__utf8_t){0};
  int code = grow(ws, 0); /* for the padding */
  if (code != 0) {
    fail(ws, code, close_reason(code));
    return;
  }
  ws->config->on_message(&ws->message, binary, ws->config->arg);
  ws->message.len = 0;
}

/* -- input that wslay parses */

static ssize_t on_wslay_read(wslay_event_context_ptr ctx, uint8_t *to, size_t len, int flags, void *arg) {
  mcp__ws_t *ws = arg;
  size_t available = (size_t)(ws->slice_end - ws->slice);
  (void)flags;
  if (available == 0) {
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  size_t take = len < available ? len : available;
  memcpy(to, ws->slice, take);
  ws->slice += take;
  return (ssize_t)take;
}

/* wslay only ever writes the close frame that it considers due: its code is taken from here. */
static ssize_t on_wslay_write(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
                              void *arg) {
  mcp__ws_t *ws = arg;
  (void)ctx;
  (void)flags;
  if (len == 2 && ws->fail == MCP__CLOSE_PROTOCOL && (data[0] & 0x80) == 0)
    ws->fail = data[0] << 8 | data[1]; /* wslay writes the payload separately */
  return (ssize_t)len;
}

static int on_wslay_mask(wslay_event_context_ptr ctx, uint8_t *to, size_t len, void *arg) {
  (void)ctx;
  (void)arg;
  memset(to, 0, len); /* never sent */
  return 0;
}

static void on_wslay_frame(wslay_event_context_ptr ctx,
                           const struct wslay_event_on_frame_recv_start_arg *frame, void *arg) {
  mcp__ws_t *ws = arg;
  (void)ctx;
  if (frame->opcode == OP_BINARY && !ws->config->binary)
    ws->fail = MCP__CLOSE_UNSUPPORTED;
  else if (++ws->fragments > MCP__WS_MAX_FRAGMENTS ||
           frame->payload_length > ws->config->max_message - ws->message.len)
    ws->fail = MCP__CLOSE_TOO_BIG;
}

static void on_wslay_chunk(wslay_event_context_ptr ctx,
                           const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg) {
  mcp__ws_t *ws = arg;
  (void)ctx;
  if (ws->fail == 0) /* on_payload() has reserved the memory */
    mcp__buf_append(&ws->message, chunk->data, chunk->data_length);
}

static void on_wslay_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *message,
                             void *arg) {
  mcp__ws_t *ws = arg;
  (void)ctx;
  ws->binary = message->opcode == OP_BINARY;
  ws->slice = ws->slice_end; /* the frame was the last of the message */
  if (ws->fail == 0)
    ws->fail = -1; /* a message is complete; see feed_wslay() */
}

static const struct wslay_event_callbacks wslay_callbacks = {
    on_wslay_read, on_wslay_write, on_wslay_mask, on_wslay_frame, on_wslay_chunk, NULL, on_wslay_message};

static bool wslay_ready(mcp__ws_t *ws) {
  if (ws->wslay != NULL)
    return true;
  int status = ws->config->client ? wslay_event_context_client_init(&ws->wslay, &wslay_callbacks, ws)
                                  : wslay_event_context_server_init(&ws->wslay, &wslay_callbacks, ws);
  if (status != 0)
    return false;
  wslay_event_config_set_no_buffering(ws->wslay, 1);
  wslay_event_config_set_max_recv_msg_length(ws->wslay, ws->config->max_message);
  return true;
}

static void feed_wslay(mcp__ws_t *ws, const uint8_t *data, size_t len) {
  if (!wslay_ready(ws)) {
    fail(ws, MCP__CLOSE_INTERNAL, close_reason(MCP__CLOSE_INTERNAL));
    return;
  }
  ws->slice = data;
  ws->slice_end = data + len;
  ws->fail = 0;
  int status = wslay_event_recv(ws->wslay);
  bool complete = ws->fail == -1;
  if (complete)
    ws->fail = 0;
  if (ws->fail == 0 && (status != 0 || wslay_event_want_write(ws->wslay))) {
    ws->fail = status == WSLAY_ERR_NOMEM
                   ? MCP__CLOSE_INTERNAL
                   : MCP__CLOSE_PROTOCOL; /* unless wslay's close frame has another code */
    wslay_event_send(ws->wslay);
  }
  if (ws->fail != 0) {
    fail(ws, ws->fail, close_reason(ws->fail));
  } else if (complete) {
    wslay_event_context_free(ws->wslay);
    ws->wslay = NULL;
    deliver(ws, ws->binary);
  }
}

/* -- input that is parsed here */

static bool read_head(const uint8_t *data, size_t len, frame_t *frame) { /* false: more bytes are needed */
  if (len < 2)
    return false;
  unsigned bytes = (data[1] & 127) == 126 ? 2 : (data[1] & 127) == 127 ? 8 : 0;
  frame->first = data[0];
  frame->masked = (data[1] & MASKED) != 0;
  frame->head_len = 2 + bytes + (frame->masked ? 4 : 0);
  if (len < frame->head_len)
    return false;
  frame->len = bytes == 0 ? data[1] & 127 : 0;
  for (unsigned i = 0; i < bytes; i++)
    frame->len = frame->len << 8 | data[2 + i];
  frame->shortest = bytes == 0 || (bytes == 2 && frame->len >= 126) ||
                    (bytes == 8 && frame->len >= 65536 && frame->len >> 63 == 0);
  memset(frame->mask, 0, 4);
  if (frame->masked)
    memcpy(frame->mask, data + 2 + bytes, 4);
  return true;
}

static bool is_well_formed(const mcp__ws_t *ws, const frame_t *frame) {
  return frame->shortest && frame->masked != ws->config->client;
}

static bool is_text(const mcp__ws_t *ws, const frame_t *frame) {
  return frame->first == (FIN | OP_TEXT) && is_well_formed(ws, frame) && ws->wslay == NULL;
}

static bool is_control(const mcp__ws_t *ws, const frame_t *frame) {
  return frame->first >= (FIN | OP_CLOSE) && frame->first <= (FIN | OP_PONG) &&
         frame->len <= MCP__WS_CONTROL_MAX && is_well_formed(ws, frame);
}

static bool code_is_valid(int code) { /* RFC 6455 section 7.4, and 1012 to 1014 of the IANA registry */
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

static void on_close(mcp__ws_t *ws, const uint8_t *payload, size_t len) {
  int code = len >= 2 ? payload[0] << 8 | payload[1] : MCP__CLOSE_NO_CODE;
  if (len == 1 || (len >= 2 && !code_is_valid(code))) {
    fail(ws, MCP__CLOSE_PROTOCOL, "not a valid close frame");
  } else if (len > 2 && !mcp__utf8_valid(payload + 2, len - 2)) {
    fail(ws, MCP__CLOSE_INVALID_TEXT, "the reason is not valid UTF-8");
  } else {
    char reason[MCP__WS_REASON_MAX + 1] = "";
    if (len > 2)
      memcpy(reason, payload + 2, len - 2);
    if (!ws->close_sent)
      mcp__ws_close(ws, code, "");
    end(ws, code, reason, true);
  }
}

static void on_control(mcp__ws_t *ws, const frame_t *frame, const uint8_t *data) {
  uint8_t payload[MCP__WS_CONTROL_MAX];
  apply_mask(payload, data, (size_t)frame->len, frame->mask, 0);
  switch (frame->first & 15) {
  case OP_CLOSE:
    on_close(ws, payload, (size_t)frame->len);
    break;
  case OP_PING: /* under backlog, one pong for the newest ping (RFC 6455 section 5.5.3) */
    if (ws->config->out->len < MCP__WS_PONG_MAX_BACKLOG)
      mcp__ws_flush_pong(ws);
    memcpy(ws->pong, payload, (size_t)frame->len);
    ws->pong_len = (uint8_t)frame->len;
    ws->pong_due = true;
    break;
  default: /* a pong: needs no action */
    break;
  }
}

static void on_text(mcp__ws_t *ws, const uint8_t *data, size_t len) {
  uint8_t *to = (uint8_t *)ws->message.data + ws->message.len;
  apply_mask(to, data, len, ws->mask, ws->mask_at);
  ws->mask_at = (uint8_t)((ws->mask_at + len) & 3);
  ws->message.len += len;
  bool valid = mcp__utf8_feed(&ws->utf8, to, len) && (len < ws->remaining || ws->utf8.missing == 0);
  ws->remaining -= len;
  if (!valid) {
    fail(ws, MCP__CLOSE_INVALID_TEXT, close_reason(MCP__CLOSE_INVALID_TEXT));
  } else if (ws->remaining == 0) {
    ws->in_text = false;
    deliver(ws, false);
  }
}

static void on_empty_text(mcp__ws_t *ws) {
  ws->in_text = false;
  deliver(ws, false);
}

/* Parses the frame head at data, and a whole control frame. Returns the bytes consumed; 0: more bytes are
 * needed. */
static size_t on_frame(mcp__ws_t *ws, const uint8_t *data, size_t len) {
  frame_t frame;
  if (!read_head(data, len, &frame))
    return 0;
  if (is_control(ws, &frame)) {
    if (len < frame.head_len + frame.len)
      return 0;
    on_control(ws, &frame, data + frame.head_len);
    return frame.head_len + (size_t)frame.len;
  }
  ws->remaining = frame.len;
  if (is_text(ws, &frame)) {
    memcpy(ws->mask, frame.mask, 4);
    ws->mask_at = 0;
    ws->in_text = true;
    if (frame.len > ws->config->max_message)
      fail(ws, MCP__CLOSE_TOO_BIG, close_reason(MCP__CLOSE_TOO_BIG));
    else if (frame.len == 0)
      on_empty_text(ws);
  } else {
    feed_wslay(ws, data, frame.head_len);
  }
  return frame.head_len;
}

static size_t on_payload(mcp__ws_t *ws, const uint8_t *data, size_t len) {
  size_t take = len < ws->remaining ? len : (size_t)ws->remaining;
  int code = grow(ws, take);
  if (code == MCP__CLOSE_BUSY) {
    ws->paused = true; /* the owner decides when to continue */
    return 0;
  }
  if (code != 0) {
    fail(ws, code, close_reason(code));
  } else if (ws->in_text) {
    on_text(ws, data, take);
  } else {
    ws->remaining -= take;
    feed_wslay(ws, data, take);
  }
  return take;
}

/* Completes in ws->head a head or control frame that arrived in pieces. */
static size_t on_partial_frame(mcp__ws_t *ws, const uint8_t *data, size_t len) {
  size_t old_len = ws->head_len, room = sizeof ws->head - old_len, take = len < room ? len : room;
  memcpy(ws->head + old_len, data, take);
  size_t used = on_frame(ws, ws->head, old_len + take);
  if (used == 0) {
    ws->head_len = (uint8_t)(old_len + take);
    return take;
  }
  ws->head_len = 0;
  return used - old_len;
}

size_t mcp__ws_feed(mcp__ws_t *ws, const uint8_t *data, size_t len) {
  size_t at = 0;
  while (at < len && !ws->ended && !ws->paused) {
    if (ws->remaining > 0) {
      at += on_payload(ws, data + at, len - at);
    } else if (ws->head_len > 0) {
      at += on_partial_frame(ws, data + at, len - at);
    } else {
      size_t used = on_frame(ws, data + at, len - at);
      if (used == 0) {
        ws->head_len = (uint8_t)(len - at);
        memcpy(ws->head, data + at, len - at);
        at = len;
      }
      at += used;
    }
  }
  return ws->ended ? len : at;
}
