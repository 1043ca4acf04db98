/* test_buf.c: maxima and quotas from both sides, JSON strings read back, swaps, out of memory. */
#include "base/buf.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <string.h>
#include <uv.h>

Test(buf, maximum) {
  for (size_t max = 0; max < 1200; max++) {
    mcp__buf_t buf;
    mcp__buf_init(&buf, max, NULL);
    while (buf.len < max)
      cr_assert_eq(mcp__buf_append(&buf, "x", 1), 0);
    cr_assert_eq(mcp__buf_append(&buf, "x", 1), MCP_ETOOBIG);
    cr_assert_eq(mcp__buf_append(&buf, "", 0), 0);
    cr_assert_eq(mcp__buf_reserve(&buf, SIZE_MAX), MCP_ETOOBIG);
    cr_assert_eq(buf.len, max);
    cr_assert_leq(buf.cap, max);
    mcp__buf_deinit(&buf);
    cr_assert_null(buf.data);
    cr_assert_eq(mcp__buf_reserve(&buf, max), 0, "usable again, all at once");
    cr_assert_eq(mcp__buf_reserve(&buf, max + 1), MCP_ETOOBIG);
    mcp__buf_deinit(&buf);
  }
  expect_no_leak();
}

enum { KIB = 1024 };

typedef struct quota_state {
  size_t room, asked;
} quota_t;

static bool has_room(size_t more, void *arg) {
  quota_t *quota_state = arg;
  quota_state->asked++;
  if (more > quota_state->room)
    return false;
  quota_state->room -= more;
  return true;
}

Test(buf, a_quota_is_asked_for_large_buffers) {
  quota_t quota_state = {1000 * KIB, 0};
  const mcp__buf_quota_t quota = {has_room, &quota_state};
  mcp__buf_t buf;
  mcp__buf_init(&buf, 100000 * KIB, &quota);
  cr_expect_eq(mcp__buf_reserve(&buf, MCP__BUF_QUOTA_FROM_BYTES), 0);
  cr_expect_eq(quota_state.asked, 0);
  cr_expect_eq(mcp__buf_reserve(&buf, MCP__BUF_QUOTA_FROM_BYTES + 1), 0);
  cr_expect_eq(quota_state.asked, 1);
  cr_expect_eq(quota_state.room, 1000 * KIB - (buf.cap - MCP__BUF_QUOTA_FROM_BYTES),
               "the quota is asked for the bytes to be added");
  size_t cap = buf.cap;
  cr_expect_eq(mcp__buf_reserve(&buf, cap + quota_state.room + 1), MCP_ELIMIT);
  cr_expect_eq(buf.cap, cap);
  cr_expect_eq(mcp__buf_reserve(&buf, cap + quota_state.room), 0);
  mcp__buf_deinit(&buf);
  cr_expect_eq(buf.quota, &quota, "it stays");
  expect_no_leak();
}

Test(buf, swap) {
  const mcp__buf_quota_t mine = {has_room, NULL}, theirs = {has_room, NULL};
  mcp__buf_t a, b;
  mcp__buf_init(&a, 30 * KIB, &mine);
  mcp__buf_init(&b, 20 * KIB, &theirs);
  cr_assert_eq(mcp__buf_append(&a, "aaaa", 4), 0);
  cr_assert_eq(mcp__buf_append(&b, "bb", 2), 0);
  mcp__buf_swap(&a, &b);
  cr_expect_eq(a.len, 2);
  cr_expect_eq(memcmp(a.data, "bb", 2), 0);
  cr_expect_eq(b.len, 4);
  cr_expect_eq(memcmp(b.data, "aaaa", 4), 0);
  cr_expect_eq(a.max, 30 * KIB);
  cr_expect_eq(b.max, 20 * KIB);
  cr_expect_eq(a.quota, &mine);
  cr_expect_eq(b.quota, &theirs);
  mcp__buf_deinit(&a);
  mcp__buf_deinit(&b);
  expect_no_leak();
}

Test(buf, consume) {
  mcp__buf_t buf;
  mcp__buf_init(&buf, 100, NULL);
  mcp__buf_consume(&buf, 0);
  cr_assert_eq(mcp__buf_puts(&buf, "0123456789"), 0);
  for (size_t left = 10; left > 0; left--) {
    cr_expect_eq(memcmp(buf.data, &"0123456789"[10 - left], left), 0);
    mcp__buf_consume(&buf, 1);
    cr_expect_eq(buf.len, left - 1);
  }
  mcp__buf_deinit(&buf);
  expect_no_leak();
}

Test(buf, printf) {
  mcp__buf_t buf;
  mcp__buf_init(&buf, 1000, NULL);
  cr_expect_eq(mcp__buf_printf(&buf, "%s", ""), 0);
  cr_expect_eq(buf.len, 0);
  cr_expect_eq(mcp__buf_printf(&buf, "%d-%s", 12, "ab"), 0);
  cr_expect_eq(mcp__buf_printf(&buf, "%300d", 7), 0, "larger than the first capacity");
  cr_expect_eq(buf.len, 305);
  cr_expect_eq(memcmp(buf.data, "12-ab   ", 8), 0);
  cr_expect_eq(buf.data[304], '7');
  cr_expect_eq(mcp__buf_printf(&buf, "%696d", 7), MCP_ETOOBIG);
  cr_expect_eq(buf.len, 305, "nothing was added");
  cr_expect_eq(mcp__buf_printf(&buf, "%694d", 7), 0);
  mcp__buf_deinit(&buf);
  expect_no_leak();
}

static void expect_read_again(const char *text, size_t len) {
  mcp__buf_t buf;
  mcp__buf_init(&buf, 10 << 20, NULL);
  cr_assert_eq(mcp__buf_json_string(&buf, text, len), 0);
  yyjson_doc *doc = yyjson_read(buf.data, buf.len, 0);
  cr_assert_not_null(doc, "%.*s", (int)buf.len, buf.data);
  yyjson_val *root = yyjson_doc_get_root(doc);
  cr_assert(yyjson_is_str(root));
  cr_assert_eq(yyjson_get_len(root), len);
  cr_assert_eq(memcmp(yyjson_get_str(root), text, len), 0);
  yyjson_doc_free(doc);
  mcp__buf_deinit(&buf);
}

Test(buf, json_strings) {
  char each[256 * 6];
  size_t len = 0;
  for (int byte = 0; byte < 128; byte++)
    each[len++] = (char)byte;
  memcpy(each + len, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9);
  expect_read_again(each, len + 9);
  expect_read_again("", 0);
  static char large[20000];
  for (size_t around = 4094; around < 4099; around++) { /* around the reserve step */
    memset(large, '"', sizeof large);
    expect_read_again(large, around);
    memset(large, 1, sizeof large);
    expect_read_again(large, 3 * around);
    memset(large, 'a', sizeof large);
    memcpy(large + 4094, "\xf0\x9f\x98\x80", 4);
    expect_read_again(large, 4098);
  }
  mcp__buf_t buf;
  mcp__buf_init(&buf, 1000, NULL);
  cr_assert_eq(mcp__buf_json_string(&buf, "\"\\/\b\f\n\r\t\x01\x1f\x7f", 11), 0);
  cr_assert_eq(mcp__buf_append(&buf, "", 1), 0);
  cr_expect_str_eq(buf.data, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
  mcp__buf_deinit(&buf);
  expect_no_leak();
}

/* Texts are read eight bytes at a time: each byte at each place, alone and beside another that is escaped. */
Test(buf, json_strings_byte_by_byte) {
  for (size_t len = 1; len <= 17; len++)
    for (size_t at = 0; at < len; at++)
      for (int byte = 0; byte < 128; byte++) {
        char text[17];
        memset(text, 0x20, sizeof text); /* the lowest byte that needs no escape */
        text[at] = (char)byte;
        expect_read_again(text, len);
        text[at / 2] = '\\';
        expect_read_again(text, len);
        memset(text, 0x7f, sizeof text);
        text[at] = (char)byte;
        expect_read_again(text, len);
      }
  expect_no_leak();
}

/* Space is reserved for the worst case: it may fail early, but never writes beyond the maximum. */
Test(buf, json_strings_without_room) {
  for (size_t max = 0; max < 100; max++) {
    mcp__buf_t buf;
    mcp__buf_init(&buf, max, NULL);
    int status = mcp__buf_json_string(&buf, "0123456789", 10);
    cr_expect_eq(status, max < 61 ? MCP_ETOOBIG : 0, "%zu", max);
    cr_expect_leq(buf.len, max);
    mcp__buf_deinit(&buf);
  }
  expect_no_leak();
}

Test(buf, memory_that_runs_out) {
  use_failing_allocator();
  for (long allocations = 0; allocations < 14; allocations++) {
    mcp__buf_t buf;
    mcp__buf_init(&buf, 10000 * KIB, NULL);
    memory.allowed = allocations;
    size_t before = 0;
    int status = 0;
    while (buf.len < 500 * KIB && status == 0) {
      before = buf.len;
      status = mcp__buf_append(&buf, "0123456789abcdef", 16);
    }
    cr_expect(status == 0 || status == UV_ENOMEM);
    cr_expect_eq(buf.len, status == 0 ? 500 * KIB : before);
    cr_expect_eq(status == 0, allocations >= 12, "%ld", allocations); /* 256 bytes doubled 11 times */
    mcp__buf_deinit(&buf);
    cr_expect_eq(memory.live, 0);
  }
  expect_no_leak();
}

Test(buf, thousandths) {
  static const struct {
    uint64_t count;
    const char *text;
  } rows[] = {
      {0, "0.000"}, {7, "0.007"}, {1000, "1.000"}, {12345, "12.345"}, {UINT64_MAX, "18446744073709551.615"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    mcp__buf_t buf;
    mcp__buf_init(&buf, 100, NULL);
    cr_assert_eq(mcp__buf_thousandths(&buf, rows[i].count), 0);
    cr_assert_eq(mcp__buf_append(&buf, "", 1), 0);
    cr_expect_str_eq(buf.data, rows[i].text);
    mcp__buf_deinit(&buf);
  }
  expect_no_leak();
}
