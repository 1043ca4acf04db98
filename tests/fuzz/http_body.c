/* http_body.c: an input is what comes behind the head of a POST: its first byte says whether the body is in
 * chunks, or how long it is. Splitting it changes nothing; no more is kept than the limit allows. */
#include "fuzz.h"

#include "transport/http_body.h"

#include <stdio.h>
#include <string.h>

enum { PLENTY = 1 << 20, LIMIT = 256 };

typedef struct reading {
  mcp__head_t head;
  mcp__buf_t body;
  mcp__head_state_t state;
  size_t used;
} reading_t;

static bool feed(const char *piece, size_t len, void *arg) {
  reading_t *reading = arg;
  size_t used;
  reading->state = mcp__http_body_feed(&reading->head, &reading->body, piece, len, &used);
  FUZZ_CHECK(used <= len && (used == len || reading->state != MCP__HEAD_MORE));
  FUZZ_CHECK(reading->body.len <= LIMIT);
  reading->used += used;
  return reading->state == MCP__HEAD_MORE;
}

static void say(const reading_t *reading, mcp__buf_t *said) {
  mcp__buf_printf(said, "state %d", reading->state);
  if (reading->state == MCP__HEAD_BAD) { /* of two faults the cut may say which is found first */
    int status = reading->head.status;
    FUZZ_CHECK(reading->head.problem != NULL && (status == 400 || status == 413 || status == 431));
    return;
  }
  mcp__buf_printf(said, " %zu bytes\n", reading->used);
  mcp__buf_append(said, reading->body.data, reading->body.len);
}

static void read_body(const uint8_t *data, size_t size, fuzz_cut_t cut, mcp__buf_t *said) {
  char head[128];
  size_t used;
  reading_t reading = {.state = MCP__HEAD_MORE};
  if (*data == 'c')
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  else
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", *data + 1);
  FUZZ_CHECK(mcp__head_init(&reading.head, true) == 0);
  FUZZ_CHECK(mcp__head_feed(&reading.head, head, strlen(head), &used) == MCP__HEAD_DONE);
  mcp__buf_init(&reading.body, LIMIT, NULL);
  fuzz_feed(data + 1, size - 1, cut, feed, &reading);
  say(&reading, said);
  mcp__buf_deinit(&reading.body);
  mcp__head_deinit(&reading.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcp__buf_t said[FUZZ_CUTS];
  for (int cut = 0; cut < FUZZ_CUTS && size > 0; cut++) {
    mcp__buf_init(&said[cut], PLENTY, NULL);
    read_body(data, size, (fuzz_cut_t)cut, &said[cut]);
    FUZZ_CHECK(fuzz_same(&said[cut], &said[FUZZ_WHOLE]));
  }
  for (int cut = 0; cut < FUZZ_CUTS && size > 0; cut++)
    mcp__buf_deinit(&said[cut]);
  return 0;
}
