/* test_sse.c: streams of server-sent events, whole and in pieces. */
#include "client/sse.h"

#include "iccm_network.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char seen[4096];

static bool note(mcp__sse_t *sse, void *arg) {
  size_t at = strlen(seen);
  (void)arg;
  snprintf(seen + at, sizeof seen - at, "%s<%.*s>", sse->type, (int)sse->data.len,
           sse->data.len > 0 ? sse->data.data : "");
  return strcmp(sse->type, "stop") != 0;
}

static int read_in_pieces(const char *text, size_t size, size_t max) {
  mcp__sse_t sse;
  size_t len = strlen(text);
  int status = 0;
  *seen = '\0';
  mcp__sse_init(&sse, max, note, NULL);
  for (size_t at = 0; at < len && status == 0; at += size)
    status = mcp__sse_feed(&sse, text + at, len - at < size ? len - at : size);
  mcp__sse_deinit(&sse);
  return status;
}

Test(sse, streams) {
  static const char *const rows[][2] = {
      {"data: a\n\n", "<a>"},
      {"data:a\r\n\r\ndata:  b\r\rdata:c\n\n", "<a>< b><c>"},
      {"data: a\ndata\ndata: b\n\n", "<a\n\nb>"},
      {"data\n\ndata:\n\n", "<><>"},
      {"\xef\xbb\xbf"
       "data: a\n\n",
       "<a>"},
      {"data: \xef\xbb\xbf\n\n", "<\xef\xbb\xbf>"},
      {": comment\ndata: a\n:\n\n:x\n\n", "<a>"},
      {"event: message\ndata: a\n\ndata: b\n\n", "message<a><b>"},
      {"event: a\nevent: b\ndata: c\n\n", "b<c>"},
      {"event: a\n\ndata: b\n\n", "<b>"}, /* without data it is no event, and its type is forgotten */
      {"id: 1\nretry: 10\ndata: a\n\nid\n\n", "<a>"},
      {"dat: a\ndataa: b\nDATA: c\n data: d\ndata : e\n\n", ""},
      {"data: a", ""}, /* not complete */
      {"data: a\n", ""},
      {"data: a:b: c\n\n", "<a:b: c>"},
      {"\n\n\r\n\rdata: a\n\n", "<a>"},
      {"event: 1234567890123456789012345678901234567890123456789012345678901234\ndata: a\n\n", "?<a>"},
      {"event: 123456789012345678901234567890123456789012345678901234567890123\ndata: a\n\n",
       "123456789012345678901234567890123456789012345678901234567890123<a>"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t size = 1; size <= strlen(rows[i][0]); size++) {
      cr_assert_eq(read_in_pieces(rows[i][0], size, 1000), 0);
      cr_expect_str_eq(seen, rows[i][1], "%zu, %zu: %s", i, size, seen);
    }
}

static bool ignore_event(mcp__sse_t *sse, void *arg) {
  (void)sse, (void)arg;
  return true;
}

Test(sse, ids_and_times_of_reconnects) {
  char long_id[MCP__SSE_ID_MAX + 2];
  memset(long_id, 'x', sizeof long_id - 1);
  long_id[sizeof long_id - 1] = '\0';
  char longest[300], too_long[300];
  snprintf(longest, sizeof longest, "id: %s\n\n", long_id + 1);
  snprintf(too_long, sizeof too_long, "id: 1\n\nid: %s\n\n", long_id);
  const struct {
    const char *text, *id;
    uint64_t retry_ms;
  } rows[] = {
      {"data: a\n\n", "", UINT64_MAX},
      {"id: 1\ndata: a\n\ndata: b\n\n", "1", UINT64_MAX},
      {"id: 1\n\n", "1", UINT64_MAX}, /* also without data */
      {"id: 1\n\nid: 2\ndata: x", "1", UINT64_MAX},
      {"id: 1\n\nid\n\n", "", UINT64_MAX},
      {"id:a:b c\n\n", "a:b c", UINT64_MAX},
      {"id: 1\n\nid: a\tb\n\n", "", UINT64_MAX},
      {"retry: 1500\n", "", 1500},
      {"retry: 1500\nretry: 15a\nretry\nretry:\nretry: -1\nretry: 99999999999\n", "", 1500},
      {longest, long_id + 1, UINT64_MAX},
      {too_long, "", UINT64_MAX},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t size = 1; size <= strlen(rows[i].text); size++) {
      mcp__sse_t sse;
      size_t len = strlen(rows[i].text);
      mcp__sse_init(&sse, 1000, ignore_event, NULL);
      for (size_t at = 0; at < len; at += size)
        cr_assert_eq(mcp__sse_feed(&sse, rows[i].text + at, len - at < size ? len - at : size), 0);
      cr_expect_str_eq(sse.last_id, rows[i].id, "%zu, %zu", i, size);
      cr_expect_eq(sse.retry_ms, rows[i].retry_ms, "%zu, %zu: %llu", i, size,
                   (unsigned long long)sse.retry_ms);
      mcp__sse_deinit(&sse);
    }
}

Test(sse, limit_of_an_event) {
  cr_expect_eq(read_in_pieces("data: 1234\ndata: 678\n\ndata: 12345678\n\n", 3, 8), 0);
  cr_expect_str_eq(seen, "<1234\n678><12345678>");
  cr_expect_eq(read_in_pieces("data: 1234\ndata: 6789\n\n", 3, 8), MCP_ETOOBIG);
  cr_expect_eq(read_in_pieces("data: 123456789\n\n", 100, 8), MCP_ETOOBIG);
}

Test(sse, the_receiver_can_stop) {
  cr_expect_eq(read_in_pieces("data: a\n\nevent: stop\ndata: b\n\ndata: c\n\n", 1000, 8), 0);
  cr_expect_str_eq(seen, "<a>stop<b>");
}
