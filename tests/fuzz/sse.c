/* sse.c: an input is a stream of server-sent events. Splitting it changes neither the events nor the id and
 * the time for its continuation; no event is larger than the limit, and an id fits into a header. */
#include "fuzz.h"

#include "client/sse.h"

#include <string.h>
#include <uv.h>

enum { PLENTY = 1 << 20, LIMIT = 256 };

typedef struct reading {
  mcp__sse_t sse;
  int status;
  mcp__buf_t *said;
} reading_t;

static bool on_event(mcp__sse_t *sse, void *arg) {
  reading_t *reading = arg;
  FUZZ_CHECK(sse->data.len <= LIMIT && strlen(sse->type) <= MCP__SSE_TYPE_MAX);
  mcp__buf_printf(reading->said, "%s %s %zu ", sse->type, sse->last_id, sse->data.len);
  mcp__buf_append(reading->said, sse->data.data, sse->data.len);
  return strcmp(sse->type, "stop") != 0;
}

static bool feed(const char *piece, size_t len, void *arg) {
  reading_t *reading = arg;
  size_t said = reading->said->len;
  reading->status = mcp__sse_feed(&reading->sse, piece, len);
  bool stopped = strcmp(reading->sse.type, "stop") == 0 && reading->said->len > said;
  return reading->status == 0 && !stopped;
}

static void read_stream(const uint8_t *data, size_t size, fuzz_cut_t cut, mcp__buf_t *said) {
  reading_t reading = {.said = said};
  mcp__sse_init(&reading.sse, LIMIT, on_event, &reading);
  fuzz_feed(data, size, cut, feed, &reading);
  FUZZ_CHECK(reading.status == 0 || reading.status == MCP_ETOOBIG);
  for (const char *each = reading.sse.last_id; *each != '\0'; each++)
    FUZZ_CHECK(*each >= 0x20 && *each <= 0x7e);
  FUZZ_CHECK(strlen(reading.sse.last_id) <= MCP__SSE_ID_MAX);
  mcp__buf_printf(said, "%d %s %llu", reading.status, reading.sse.last_id,
                  (unsigned long long)reading.sse.retry_ms);
  mcp__sse_deinit(&reading.sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mcp__buf_t said[FUZZ_CUTS];
  for (int cut = 0; cut < FUZZ_CUTS; cut++) {
    mcp__buf_init(&said[cut], PLENTY, NULL);
    read_stream(data, size, (fuzz_cut_t)cut, &said[cut]);
    FUZZ_CHECK(fuzz_same(&said[cut], &said[FUZZ_WHOLE]));
  }
  for (int cut = 0; cut < FUZZ_CUTS; cut++)
    mcp__buf_deinit(&said[cut]);
  return 0;
}
