/* upgrade.c: an input is the head of an HTTP request and of a response. Splitting it changes nothing; a
 * request that is accepted can be answered. */
#include "fuzz.h"

#include "transport/http_response.h"
#include "transport/origins.h"

#include <string.h>

enum { PLENTY = 1 << 20 };

typedef struct reading {
  mcp__head_t head;
  mcp__head_state_t state;
  size_t used;
} reading_t;

static bool feed(const char *piece, size_t len, void *arg) {
  reading_t *reading = arg;
  size_t used;
  reading->state = mcp__head_feed(&reading->head, piece, len, &used);
  FUZZ_CHECK(used <= len);
  FUZZ_CHECK(reading->state == MCP__HEAD_DONE || used == len || reading->head.bytes == MCP__HEAD_MAX_BYTES);
  reading->used += used;
  return reading->state == MCP__HEAD_MORE;
}

static void say_request(mcp__head_t *head, mcp__buf_t *said) {
  mcp__http_request_kind_t wish = mcp__head_request_kind(head);
  mcp__buf_printf(said, "wish %d of %s\n", wish, mcp__head_url(head));
  if (wish == MCP__HTTP_WEBSOCKET)
    FUZZ_CHECK(mcp__write_switching(said, head) == 0);
  else if (wish == MCP__HTTP_INVALID)
    FUZZ_CHECK(mcp__write_plain(said, head->status, head->problem) == 0);
  const mcp__origins_t admitted = {.origins = (char[]){"http://a/,null"}, .hosts = (char[]){"b.example:1"}};
  const char *problem = mcp__origins_problem(&admitted, head, wish, false);
  mcp__buf_printf(said, "%d %s\n", mcp__head_path_is(head, "/readyz"), problem != NULL ? problem : "");
}

static void say_answer(mcp__head_t *head, mcp__buf_t *said) {
  char problem[200] = "";
  int status = mcp__check_switching(head, "dGhlIHNhbXBsZSBub25jZQ==", problem, sizeof problem);
  FUZZ_CHECK((status != 0) == (*problem != '\0'));
  mcp__buf_printf(said, "%d %d %s\n", head->status, status, problem);
}

/* Writes all that was parsed from a head, as text. Of two faults, the cut may determine which is found first.
 */
static void say(reading_t *reading, bool is_request, mcp__buf_t *said) {
  mcp__head_t *head = &reading->head;
  mcp__buf_printf(said, "state %d", reading->state);
  if (reading->state == MCP__HEAD_BAD) {
    FUZZ_CHECK(head->problem != NULL && (head->status == 400 || head->status == 431));
  } else if (reading->state == MCP__HEAD_DONE) {
    mcp__buf_printf(said, " %zu bytes, %zu headers\n", reading->used, head->headers);
    for (int i = 0; i < MCP__H_COUNT; i++) {
      const char *value = mcp__head_value(head, (mcp__header_t)i);
      FUZZ_CHECK((value != NULL) == (head->occurrences[i] > 0));
      FUZZ_CHECK(value == NULL || strlen(value) <= MCP__HEAD_MAX_VALUE);
      mcp__buf_printf(said, "%u %s\n", head->occurrences[i], value != NULL ? value : "");
    }
    if (is_request)
      say_request(head, said);
    else
      say_answer(head, said);
  }
}

static void read_head(const uint8_t *data, size_t size, bool is_request, fuzz_cut_t cut, mcp__buf_t *said) {
  reading_t reading = {.state = MCP__HEAD_MORE};
  FUZZ_CHECK(mcp__head_init(&reading.head, is_request) == 0);
  fuzz_feed(data, size, cut, feed, &reading);
  say(&reading, is_request, said);
  mcp__head_deinit(&reading.head);
}

static void read_side(const uint8_t *data, size_t size, bool is_request) {
  mcp__buf_t said[FUZZ_CUTS];
  for (int cut = 0; cut < FUZZ_CUTS; cut++) {
    mcp__buf_init(&said[cut], PLENTY, NULL);
    read_head(data, size, is_request, (fuzz_cut_t)cut, &said[cut]);
    FUZZ_CHECK(fuzz_same(&said[cut], &said[FUZZ_WHOLE]));
  }
  for (int cut = 0; cut < FUZZ_CUTS; cut++)
    mcp__buf_deinit(&said[cut]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  read_side(data, size, true);
  read_side(data, size, false);
  return 0;
}
