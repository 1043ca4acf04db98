/* ws.c: an input is the bytes that a WebSocket server receives, or with FUZZ_CLIENT a client. Each message
 * is echoed. The result does not depend on how the bytes are split or whether the reader pauses after each
 * message; the output consists of valid frames. */
#include "fuzz.h"

#include "mcp/jsonrpc.h" /* MCP__JSON_PADDING */
#include "transport/ws.h"

#include <string.h>

#ifndef FUZZ_CLIENT
#define FUZZ_CLIENT false
#endif

enum { MAX_MESSAGE = 1000, PLENTY = 64 << 20 };

typedef struct side {
  mcp__ws_t ws;
  mcp__ws_config_t config;
  mcp__buf_t out, said;
  bool pauses, ended;
} side_t;

static void on_message(mcp__buf_t *message, bool binary, void *arg) {
  side_t *side = arg;
  FUZZ_CHECK(!side->ended && message->len <= MAX_MESSAGE);
  FUZZ_CHECK(message->cap - message->len >= MCP__JSON_PADDING);
  memset(message->data + message->len, 0, MCP__JSON_PADDING);
  FUZZ_CHECK(binary ? FUZZ_CLIENT : mcp__utf8_valid(message->data, message->len));
  mcp__buf_printf(&side->said, "\n%s of %zu: ", binary ? "binary" : "text", message->len);
  mcp__buf_append(&side->said, message->data, message->len);
  size_t begin = binary ? SIZE_MAX : mcp__ws_begin(&side->ws);
  if (begin != SIZE_MAX) {
    mcp__buf_append(&side->out, message->data, message->len);
    FUZZ_CHECK(mcp__ws_end(&side->ws, begin) == 0);
  }
  mcp__ws_pause(&side->ws, side->pauses);
}

static void on_end(int code, const char *reason, bool clean, void *arg) {
  side_t *side = arg;
  FUZZ_CHECK(!side->ended);
  side->ended = true;
  mcp__buf_printf(&side->said, "\nend %d %s%s", code, reason, clean ? ", clean" : "");
}

static bool feed(const char *piece, size_t len, void *arg) {
  side_t *side = arg;
  while (len > 0) {
    size_t used = mcp__ws_feed(&side->ws, (const uint8_t *)piece, len);
    FUZZ_CHECK(used == len || (used < len && side->ws.paused));
    mcp__ws_pause(&side->ws, false);
    piece += used;
    len -= used;
  }
  return true; /* what follows the end is passed over */
}

static void on_frame(uint8_t first, const char *payload, size_t len, void *arg) {
  side_t *side = arg;
  mcp__buf_printf(&side->said, "\nsent %02x: ", first);
  mcp__buf_append(&side->said, payload, len);
}

static void run(const uint8_t *data, size_t size, fuzz_cut_t cut, bool pauses, mcp__buf_t *said) {
  side_t side = {.pauses = pauses};
  side.config = (mcp__ws_config_t){.client = FUZZ_CLIENT,
                                   .binary = FUZZ_CLIENT,
                                   .max_message = MAX_MESSAGE,
                                   .out = &side.out,
                                   .on_message = on_message,
                                   .on_end = on_end,
                                   .arg = &side};
  mcp__buf_init(&side.out, PLENTY, NULL);
  mcp__buf_init(&side.said, PLENTY, NULL);
  mcp__ws_init(&side.ws, &side.config);
  fuzz_feed(data, size, cut, feed, &side);
  mcp__ws_flush_pong(&side.ws);
  mcp__buf_printf(&side.said, "\n%s", mcp__ws_in_message(&side.ws) && !side.ended ? "in a message" : "");
  fuzz_frames(side.out.data, side.out.len, FUZZ_CLIENT, on_frame, &side);
  mcp__ws_deinit(&side.ws);
  mcp__buf_deinit(&side.out);
  *said = side.said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcp__buf_t whole, other;
  run(data, size, FUZZ_WHOLE, false, &whole);
  for (int cut = 0; cut < FUZZ_CUTS; cut++) {
    run(data, size, (fuzz_cut_t)cut, true, &other);
    FUZZ_CHECK(fuzz_same(&whole, &other));
    mcp__buf_deinit(&other);
  }
  mcp__buf_deinit(&whole);
  return 0;
}
