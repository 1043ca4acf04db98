/* fuzz.c: feeds inputs in pieces, and parses frames independently of the library. */
#include "fuzz.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_TEXT = 0x81, OP_CLOSE = 0x88, OP_PONG = 0x8a, LONGEST_CONTROL = 125 };

_Noreturn void fuzz_failed(const char *condition, const char *file, int line) {
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
  abort();
}

char *fuzz_copy(const uint8_t *data, size_t len, size_t padding) {
  char *copy = malloc(len + padding > 0 ? len + padding : 1);
  FUZZ_CHECK(copy != NULL);
  if (len > 0)
    memcpy(copy, data, len);
  memset(copy + len, 0, padding);
  return copy;
}

static size_t piece_length(fuzz_cut_t cut, uint32_t *chance, size_t left) {
  if (cut == FUZZ_WHOLE)
    return left;
  *chance = *chance * 1664525 + 1013904223; /* Numerical Recipes' generator: the same pieces each time */
  size_t len = cut == FUZZ_BYTES ? 1 : 1 + (*chance >> 8) % 40;
  return len < left ? len : left;
}

void fuzz_feed(const uint8_t *data, size_t len, fuzz_cut_t cut,
               bool (*feed)(const char *piece, size_t len, void *arg), void *arg) {
  uint32_t chance = (uint32_t)len;
  for (size_t i = 0; i < len; i++)
    chance = chance * 31 + data[i];
  bool more = true;
  for (size_t at = 0, step; more && at < len; at += step) {
    step = piece_length(cut, &chance, len - at);
    char *piece = fuzz_copy(data + at, step, 0);
    more = feed(piece, step, arg);
    free(piece);
  }
}

static size_t read_length(const uint8_t *head, size_t there, size_t *head_len) {
  size_t len = head[1] & 127, bytes = len == 126 ? 2 : len == 127 ? 8 : 0;
  FUZZ_CHECK(there >= 2 + bytes);
  if (bytes > 0)
    len = 0;
  for (size_t i = 0; i < bytes; i++)
    len = len << 8 | head[2 + i];
  FUZZ_CHECK(bytes == 0 || len >= (bytes == 2 ? 126 : 65536)); /* RFC 6455 section 5.2: the shortest form */
  *head_len = 2 + bytes;
  return len;
}

void fuzz_frames(const char *data, size_t len, bool masked,
                 void (*on_frame)(uint8_t first, const char *payload, size_t len, void *arg), void *arg) {
  static const uint8_t no_mask[4];
  bool closed = false;
  while (len > 0) {
    const uint8_t *head = (const uint8_t *)data, *mask = no_mask;
    size_t head_len;
    FUZZ_CHECK(!closed && len >= 2 && (head[0] == OP_TEXT || (head[0] >= OP_CLOSE && head[0] <= OP_PONG)));
    size_t payload_len = read_length(head, len, &head_len);
    FUZZ_CHECK(masked == ((head[1] & 0x80) != 0));
    if (masked)
      mask = head + head_len;
    head_len += masked ? 4 : 0;
    FUZZ_CHECK(head_len <= len && payload_len <= len - head_len);
    FUZZ_CHECK(head[0] == OP_TEXT || payload_len <= LONGEST_CONTROL);
    char *payload = fuzz_copy(head + head_len, payload_len, 0);
    for (size_t i = 0; i < payload_len; i++)
      payload[i] = (char)(payload[i] ^ mask[i & 3]);
    FUZZ_CHECK(head[0] != OP_TEXT || mcp__utf8_valid(payload, payload_len));
    on_frame(head[0], payload, payload_len, arg);
    free(payload);
    closed = head[0] == OP_CLOSE;
    data += head_len + payload_len;
    len -= head_len + payload_len;
  }
}

bool fuzz_same(const mcp__buf_t *a, const mcp__buf_t *b) {
  return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
