/* utf8.c: a state machine of RFC 3629 section 4, with a fast path of eight ASCII bytes at a time. */
#include "base/utf8.h"

#include <string.h>

static bool begin(mcp__utf8_t *state, uint8_t byte) {
  state->low = 0x80;
  state->high = 0xbf;
  if (byte >= 0xc2 && byte <= 0xdf) {
    state->missing = 1;
  } else if (byte >= 0xe0 && byte <= 0xef) {
    state->missing = 2;
    if (byte == 0xe0)
      state->low = 0xa0; /* rejects overlong forms */
    if (byte == 0xed)
      state->high = 0x9f; /* surrogates */
  } else if (byte >= 0xf0 && byte <= 0xf4) {
    state->missing = 3;
    if (byte == 0xf0)
      state->low = 0x90;
    if (byte == 0xf4)
      state->high = 0x8f; /* beyond U+10FFFF */
  } else {
    return false;
  }
  return true;
}

static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end) {
  uint64_t word;
  while ((size_t)(end - at) >= sizeof word) {
    memcpy(&word, at, sizeof word);
    if ((word & UINT64_C(0x8080808080808080)) != 0)
      break;
    at += sizeof word;
  }
  while (at < end && *at < 0x80)
    at++;
  return at;
}

bool mcp__utf8_feed(mcp__utf8_t *state, const void *data, size_t len) {
  if (len == 0)
    return true;
  const uint8_t *at = data, *end = at + len;
  while (at < end) {
    if (state->missing > 0) {
      if (*at < state->low || *at > state->high)
        return false;
      state->missing--;
      state->low = 0x80;
      state->high = 0xbf;
      at++;
    } else {
      at = skip_ascii(at, end);
      if (at < end && !begin(state, *at++))
        return false;
    }
  }
  return true;
}

bool mcp__utf8_valid(const void *data, size_t len) {
  mcp__utf8_t state = {0};
  return mcp__utf8_feed(&state, data, len) && state.missing == 0;
}
