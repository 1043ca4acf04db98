/* test_ws.c: conversations, as server and as client, whole, cut at each byte, and byte by byte.
 *
 * Frames are written as text: "81(Hello)" is a first byte and a payload, "81*300" a payload of 300 times x,
 * "88[1000 bye]" a close with code and reason, "=8100" bytes as they stand, and a "!" in front gives a frame
 * the wrong masking. Output is converted back to the same form. Events are written as "\"Hello\" "
 * for a message, "<1000 bye>" for a clean end and "!<1002 why>" for any other. */
#include "mcp/jsonrpc.h" /* MCP__JSON_PADDING */
#include "leaks.h"
#include "out_of_memory.h"
#include "transport/ws.h"

#include <stdio.h>
#include <string.h>

typedef struct bytes {
  uint8_t *data;
  size_t len, cap;
} bytes_t;

static void put(bytes_t *bytes, const void *data, size_t len) {
  if (len > bytes->cap - bytes->len) {
    bytes->cap = 2 * (bytes->cap + len);
    bytes->data = realloc(bytes->data, bytes->cap);
  }
  if (len > 0)
    memcpy(bytes->data + bytes->len, data, len);
  bytes->len += len;
}

static void put_frame(bytes_t *to, int first, const void *payload, size_t len, bool masked) {
  static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  uint8_t head[10] = {(uint8_t)first};
  size_t more = len < 126 ? 0 : len < 65536 ? 2 : 8;
  head[1] = (uint8_t)((masked ? 0x80 : 0) | (more == 0 ? len : more == 2 ? 126 : 127));
  for (size_t i = 0; i < more; i++)
    head[2 + i] = (uint8_t)((uint64_t)len >> 8 * (more - 1 - i));
  put(to, head, 2 + more);
  size_t begin = to->len + (masked ? 4 : 0);
  if (masked)
    put(to, mask, 4);
  put(to, payload, len);
  for (size_t i = 0; masked && i < len; i++)
    to->data[begin + i] ^= mask[i & 3];
}

/* What stands behind a frame's first byte in a script; *at moves behind it. */
static size_t read_payload(const char **at, uint8_t *payload) {
  char close = **at == '(' ? ')' : ']', *end;
  size_t len = 0;
  if (**at == '*') {
    len = strtoul(*at + 1, &end, 10);
    memset(payload, 'x', len);
    *at = end;
    return len;
  }
  if (**at != '(' && **at != '[')
    return 0;
  ++*at;
  if (close == ']') {
    long code = strtol(*at, &end, 10);
    payload[len++] = (uint8_t)(code >> 8);
    payload[len++] = (uint8_t)code;
    *at = end + (*end == ' ');
  }
  while (**at != close)
    payload[len++] = (uint8_t) * (*at)++;
  ++*at;
  return len;
}

static const char *put_raw(bytes_t *to, const char *at) {
  for (unsigned byte; *at != ' ' && *at != '\0'; at += 2) {
    cr_assert_eq(sscanf(at, "%2x", &byte), 1, "%s", at);
    put(to, (uint8_t[]){(uint8_t)byte}, 1);
  }
  return at;
}

static void put_script(bytes_t *to, const char *at, bool masked) {
  static uint8_t payload[1 << 20];
  while (*at != '\0') {
    bool wrong = *at == '!';
    if (*at == '=') {
      at = put_raw(to, at + 1);
    } else {
      char *end;
      int first = (int)strtol(at + wrong, &end, 16);
      at = end;
      size_t len = read_payload(&at, payload);
      put_frame(to, first, payload, len, masked != wrong);
    }
    at += strspn(at, " ");
  }
}

typedef struct side {
  mcp__ws_t ws;
  mcp__ws_config_t config;
  mcp__buf_t out;
  bool pauses; /* after each message */
  int ends;
  char said[60000];
} side_t;

static void say(char *to, size_t size, const void *text, size_t len, const char *before, const char *behind) {
  size_t at = strlen(to);
  if (len > 200)
    snprintf(to + at, size - at, "%s*%zu%s", before, len, behind);
  else
    snprintf(to + at, size - at, "%s%.*s%s", before, (int)len, (const char *)text, behind);
}

static void on_message(mcp__buf_t *message, bool binary, void *arg) {
  side_t *side = arg;
  cr_assert_eq(side->ends, 0);
  cr_assert_geq(message->cap - message->len, MCP__JSON_PADDING);
  memset(message->data + message->len, 0, MCP__JSON_PADDING);
  say(side->said, sizeof side->said, message->data, message->len, binary ? "b\"" : "\"", "\" ");
  if (side->pauses)
    mcp__ws_pause(&side->ws, true);
}

static void on_end(int code, const char *reason, bool clean, void *arg) {
  side_t *side = arg;
  char before[20];
  snprintf(before, sizeof before, "%s<%d ", clean ? "" : "!", code);
  say(side->said, sizeof side->said, reason, strlen(reason), before, ">");
  cr_assert_eq(++side->ends, 1);
}

static void side_init(side_t *side, bool client, size_t limit) {
  memset(side, 0, sizeof *side);
  side->config = (mcp__ws_config_t){.client = client,
                                    .max_message = limit,
                                    .out = &side->out,
                                    .on_message = on_message,
                                    .on_end = on_end,
                                    .arg = side};
  mcp__buf_init(&side->out, 1 << 24, NULL);
  mcp__ws_init(&side->ws, &side->config);
}

static void side_deinit(side_t *side) {
  mcp__ws_deinit(&side->ws);
  mcp__buf_deinit(&side->out);
}

/* The unread rest of a paused side is fed again when it continues. */
static void feed(side_t *side, const uint8_t *data, size_t len) {
  uint8_t *copy = malloc(len); /* nothing behind it */
  memcpy(copy, data, len);
  size_t at = mcp__ws_feed(&side->ws, copy, len);
  while (at < len) {
    cr_assert(side->ws.paused);
    cr_assert_eq(mcp__ws_feed(&side->ws, copy + at, len - at), 0, "nothing is taken while it is paused");
    mcp__ws_pause(&side->ws, false);
    at += mcp__ws_feed(&side->ws, copy + at, len - at);
  }
  mcp__ws_pause(&side->ws, false);
  free(copy);
}

static void feed_in_pieces(side_t *side, const bytes_t *input, size_t first, size_t step) {
  for (size_t at = 0, to = first; at < input->len; at = to, to += step) {
    to = to < input->len ? to : input->len;
    feed(side, input->data + at, to - at);
  }
}

/* The frames of a well-formed output, by a decoder of the test's own. */
static void describe(char *text, size_t size, const mcp__buf_t *out, bool masked) {
  const uint8_t *at = (const uint8_t *)out->data, *end = out->len > 0 ? at + out->len : at;
  *text = '\0';
  while (at < end) {
    char head[8];
    uint8_t first = at[0], payload[1000] = {0};
    cr_assert_eq((at[1] & 0x80) != 0, masked);
    size_t more = (at[1] & 127) == 126 ? 2 : (at[1] & 127) == 127 ? 8 : 0;
    uint64_t len = more == 0 ? at[1] & 127 : 0;
    for (size_t i = 0; i < more; i++)
      len = len << 8 | at[2 + i];
    cr_assert(more == 0 || (more == 2 && len > 125) || len > 65535, "the shortest form");
    const uint8_t *mask = at + 2 + more;
    at = mask + (masked ? 4 : 0);
    cr_assert_leq(len, (uint64_t)(end - at));
    for (size_t i = 0; i < len; i++)
      payload[i < 999 ? i : 999] = (uint8_t)(at[i] ^ (masked ? mask[i & 3] : 0));
    at += len;
    snprintf(head, sizeof head, "%02x", first);
    if (first == 0x88 && len >= 2) {
      char code[20];
      snprintf(code, sizeof code, "%s[%d%s", head, payload[0] << 8 | payload[1], len > 2 ? " " : "");
      say(text, size, payload + 2, len - 2, code, "] ");
    } else {
      strcat(head, len > 0 && len <= 200 ? "(" : "");
      say(text, size, payload, len, head, len > 0 && len <= 200 ? ") " : " ");
    }
  }
  if (*text != '\0')
    text[strlen(text) - 1] = '\0';
}

typedef struct row {
  const char *input, *said, *output;
} row_t;

enum { LIMIT = 70000 };

static void check_in_pieces(const row_t *row, const bytes_t *input, bool client, size_t first, size_t step,
                            bool pauses) {
  static side_t side;
  static char output[60000];
  side_init(&side, client, LIMIT);
  side.pauses = pauses;
  feed_in_pieces(&side, input, first, step);
  mcp__ws_flush_pong(&side.ws);
  mcp__ws_flush_pong(&side.ws); /* it was sent once */
  describe(output, sizeof output, &side.out, client);
  cr_expect_str_eq(side.said, row->said, "%s as %s from %zu by %zu: %s", row->input,
                   client ? "client" : "server", first, step, side.said);
  cr_expect_str_eq(output, row->output, "%s as %s from %zu by %zu: %s", row->input,
                   client ? "client" : "server", first, step, output);
  side_deinit(&side);
}

static void check_row(const row_t *row, bool client) {
  bytes_t input = {0};
  put_script(&input, row->input, !client);
  size_t len = input.len;
  for (size_t first = 1; first <= len; first += first < 40 || len - first < 40 ? 1 : 997)
    check_in_pieces(row, &input, client, first, len, false);
  check_in_pieces(row, &input, client, 1, len < 3000 ? 1 : 999, false);
  check_in_pieces(row, &input, client, 3, 7, true);
  check_in_pieces(row, &input, client, len, 1, true);
  free(input.data);
}

static void check_rows(const row_t *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    check_row(&rows[i], false);
    check_row(&rows[i], true);
  }
  expect_no_leak();
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])
#define BROKEN "1002 not a valid WebSocket frame"
#define BAD_CLOSE "1002 not a valid close frame"
#define BAD_TEXT "1007 text is not valid UTF-8"
#define BAD_REASON "1007 the reason is not valid UTF-8"
#define BINARY "1003 text messages only"
#define TOO_BIG "1009 message is larger than the limit"
#define ENDS(input, before, why)                                                                             \
  { input, before "!<" why ">", "88[" why "]" }

Test(ws, messages) {
  static const row_t rows[] = {
      {"81", "\"\" ", ""},
      {"81(H)", "\"H\" ", ""},
      {"81(Hello) 81(there)", "\"Hello\" \"there\" ", ""},
      {"81*125",
       "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
       "xxxxxx"
       "xxxxxxxxxxxxxxxxxxxx\" ",
       ""},
      {"81*126 81(a)",
       "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
       "xxxxxx"
       "xxxxxxxxxxxxxxxxxxxxx\" \"a\" ",
       ""},
      {"81*1000", "\"*1000\" ", ""},
      {"81*65535 81(a)", "\"*65535\" \"a\" ", ""},
      {"81*65536 81(a)", "\"*65536\" \"a\" ", ""},
      {"81*70000 81(a)", "\"*70000\" \"a\" ", ""},
      {"01(Hel) 80(lo)", "\"Hello\" ", ""},
      {"01 80", "\"\" ", ""},
      {"01 00 00(a) 00 80", "\"a\" ", ""},
      {"01(a) 00(b) 00(c) 80(d) 81(e) 01(f) 80(g)", "\"abcd\" \"e\" \"fg\" ", ""},
      {"01*300 00*65536 80*100", "\"*65936\" ", ""},
      {"01(\xc3) 80(\xa4)", "\"\xc3\xa4\" ", ""},
      {"01(\xf0) 00(\x9f) 89(p) 00(\x98) 8a 80(\x80)", "\"\xf0\x9f\x98\x80\" ", "8a(p)"},
      {"81(\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80)", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\" ", ""},
      {"81(\xef\xbb\xbf\xef\xbf\xbf)", "\"\xef\xbb\xbf\xef\xbf\xbf\" ", ""},
      ENDS("81(a) 81*70001", "\"a\" ", TOO_BIG),
      ENDS("81(a) 01*70001", "\"a\" ", TOO_BIG),
      ENDS("01*70000 80(y)", "", TOO_BIG),
      ENDS("01*69999 00(x) 80(y)", "", TOO_BIG),
      {"01*69999 80(y) 81(a)", "\"*70000\" \"a\" ", ""},
      {"01*70000 80 81(a)", "\"*70000\" \"a\" ", ""},
  };
  CHECK_ROWS(rows);
}

Test(ws, pings) {
  static const row_t rows[] = {
      {"89", "", "8a"},
      {"89(p)", "", "8a(p)"},
      {"89(one) 89(two) 89(three)", "", "8a(one) 8a(two) 8a(three)"},
      {"89(one) 89", "", "8a(one) 8a"},
      {"8a 8a(unasked)", "", ""},
      {"89*125 8a*125", "",
       "8a("
       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
       "xxxxx"
       "xxxxxxxxxxxxxxxxxxx)"},
      {"81(a) 89(p) 81(b)", "\"a\" \"b\" ", "8a(p)"},
      {"01(a) 89(p) 00(b) 8a(q) 80(c)", "\"abc\" ", "8a(p)"},
      {"89(\xff\xfe)", "", "8a(\xff\xfe)"}, /* not a text */
      {"89(p) 88[1000]", "<1000 >", "8a(p) 88[1000]"},
      {"89(p) 83", "!<" BROKEN ">", "8a(p) 88[" BROKEN "]"},
  };
  CHECK_ROWS(rows);
}

#define X41 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X123 X41 X41 X41

Test(ws, closes) {
  static const row_t rows[] = {
      {"88", "<1005 >", "88"},
      {"88[1000]", "<1000 >", "88[1000]"},
      {"88[1000 bye]", "<1000 bye>", "88[1000]"},
      {"88[1001 \xc3\xa4]", "<1001 \xc3\xa4>", "88[1001]"},
      {"88[1002]", "<1002 >", "88[1002]"},
      {"88[1003]", "<1003 >", "88[1003]"},
      {"88[1007]", "<1007 >", "88[1007]"},
      {"88[1008]", "<1008 >", "88[1008]"},
      {"88[1009]", "<1009 >", "88[1009]"},
      {"88[1010]", "<1010 >", "88[1010]"},
      {"88[1011]", "<1011 >", "88[1011]"},
      {"88[1012 restart]", "<1012 restart>", "88[1012]"},
      {"88[1013]", "<1013 >", "88[1013]"},
      {"88[1014]", "<1014 >", "88[1014]"},
      {"88[3000]", "<3000 >", "88[3000]"},
      {"88[4000 x]", "<4000 x>", "88[4000]"},
      {"88[4999]", "<4999 >", "88[4999]"},
      {"81(a) 88[1000] 81(b) 88[1001]", "\"a\" <1000 >", "88[1000]"}, /* nothing counts behind it */
      {"01(a) 88[1000]", "<1000 >", "88[1000]"},
      {"88[1000 " X123 "]", "<1000 " X123 ">", "88[1000]"},
      ENDS("88[0]", "", BAD_CLOSE),
      ENDS("88[999]", "", BAD_CLOSE),
      ENDS("88[1004]", "", BAD_CLOSE),
      ENDS("88[1005]", "", BAD_CLOSE),
      ENDS("88[1006]", "", BAD_CLOSE),
      ENDS("88[1015]", "", BAD_CLOSE),
      ENDS("88[1016]", "", BAD_CLOSE),
      ENDS("88[1100]", "", BAD_CLOSE),
      ENDS("88[2000]", "", BAD_CLOSE),
      ENDS("88[2999]", "", BAD_CLOSE),
      ENDS("88[5000]", "", BAD_CLOSE),
      ENDS("88[65535]", "", BAD_CLOSE),
      ENDS("88(\x03)", "", BAD_CLOSE), /* one byte is no code */
      ENDS("88[1000 \xff]", "", BAD_REASON),
      ENDS("88[1000 a\xc3]", "", BAD_REASON),
      ENDS("88[1000 \xed\xa0\x80]", "", BAD_REASON),
      ENDS("81(a) 88[1015 bye]", "\"a\" ", BAD_CLOSE),
  };
  CHECK_ROWS(rows);
}

Test(ws, violations) {
  static const row_t rows[] = {
      ENDS("81(a) 88*126", "\"a\" ", BROKEN), /* control frames: too long, … */
      ENDS("89*126", "", BROKEN),
      ENDS("8a*126", "", BROKEN),
      ENDS("89*65536", "", BROKEN),
      ENDS("08", "", BROKEN), /* … fragmented */
      ENDS("09(p)", "", BROKEN),
      ENDS("0a(p)", "", BROKEN),
      ENDS("01(a) 09(p)", "", BROKEN),
      ENDS("83", "", BROKEN), /* reserved opcodes */
      ENDS("84(x)", "", BROKEN),
      ENDS("87", "", BROKEN),
      ENDS("8b", "", BROKEN),
      ENDS("8c(x)", "", BROKEN),
      ENDS("8f", "", BROKEN),
      ENDS("03(x)", "", BROKEN),
      ENDS("0b", "", BROKEN),
      ENDS("01(a) 83(b)", "", BROKEN),
      ENDS("91(x)", "", BROKEN), /* RSV bits */
      ENDS("a1(x)", "", BROKEN),
      ENDS("c1(x)", "", BROKEN),
      ENDS("f1(x)", "", BROKEN),
      ENDS("91", "", BROKEN),
      ENDS("c9(p)", "", BROKEN),
      ENDS("98", "", BROKEN),
      ENDS("01(a) 90(b)", "", BROKEN),
      ENDS("41(a) 80(b)", "", BROKEN),
      ENDS("!81(x)", "", BROKEN), /* masking */
      ENDS("81(a) !81(b)", "\"a\" ", BROKEN),
      ENDS("!89(p)", "", BROKEN),
      ENDS("!88", "", BROKEN),
      ENDS("01(a) !80(b)", "", BROKEN),
      ENDS("80(x)", "", BROKEN), /* nothing to go on with */
      ENDS("00(x)", "", BROKEN),
      ENDS("80", "", BROKEN),
      ENDS("81(a) 80(b)", "\"a\" ", BROKEN),
      ENDS("01(a) 80(b) 80(c)", "\"ab\" ", BROKEN),
      ENDS("01(a) 81(b)", "", BROKEN), /* a new one before the end of the last */
      ENDS("01(a) 01(b)", "", BROKEN),
      ENDS("01 81", "", BROKEN),
      ENDS("01(a) 00(b) 82(b)", "", BROKEN),
      {"01(a) 89(p) 82(b)", "!<" BROKEN ">", "8a(p) 88[" BROKEN "]"},
      ENDS("82(x)", "", BINARY),
      ENDS("81(a) 82(x)", "\"a\" ", BINARY),
      ENDS("82", "", BINARY),
      ENDS("02(x) 80(y)", "", BINARY),
      ENDS("82*65536", "", BINARY),
  };
  CHECK_ROWS(rows);
}

/* Bytes as they stand, for each side, since masks are among them. */
Test(ws, lengths_that_are_not_in_their_shortest_form) {
  static const row_t server[] = {
      ENDS("=81fe0001000000007878", "", BROKEN),
      ENDS("=81fe007d0000000078", "", BROKEN),
      ENDS("=81fe00000000000078", "", BROKEN),
      ENDS("=81ff000000000000ffff0000000078", "", BROKEN),
      ENDS("=81ff00000000000000010000000078", "", BROKEN),
      ENDS("=89fe0001000000007878", "", BROKEN),
      ENDS("=88fe000200000000 =03e8", "", BROKEN),
      ENDS("=81ff80000000000000010000000078", "", BROKEN), /* the top bit */
      ENDS("=81ffffffffffffffffff0000000078", "", BROKEN),
      ENDS("=81ff7fffffffffffffff0000000078", "", TOO_BIG),
      ENDS("=01ff7fffffffffffffff0000000078", "", TOO_BIG),
      ENDS("=81ff00000001000000000000000078", "", TOO_BIG),
  };
  static const row_t client[] = {
      ENDS("=817e00017878", "", BROKEN),
      ENDS("=817e007d78", "", BROKEN),
      ENDS("=817f000000000000ffff78", "", BROKEN),
      ENDS("=897e00017878", "", BROKEN),
      ENDS("=817f800000000000000178", "", BROKEN),
      ENDS("=817f7fffffffffffffff78", "", TOO_BIG),
      ENDS("=017f7fffffffffffffff78", "", TOO_BIG),
  };
  for (size_t i = 0; i < sizeof server / sizeof *server; i++)
    check_row(&server[i], false);
  for (size_t i = 0; i < sizeof client / sizeof *client; i++)
    check_row(&client[i], true);
  expect_no_leak();
}

Test(ws, masks) { /* every mask byte counts, at every place */
  static const row_t rows[] = {
      {"=818537fa213d7f9f4d5158", "\"Hello\" ", ""}, /* RFC 6455 section 5.7 */
      {"=818101000000 =49", "\"H\" ", ""},
  };
  check_row(&rows[0], false);
  check_row(&rows[1], false);
  bytes_t input = {0};
  for (size_t len = 0; len < 70; len++)
    put_frame(&input, 0x81, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!$%&/()=", len,
              true);
  static side_t side;
  for (size_t step = 1; step < 40; step++) {
    char expected[80];
    side_init(&side, false, LIMIT);
    feed_in_pieces(&side, &input, step, step);
    const char *at = side.said;
    for (int len = 0; len < 70; len++) {
      int written = snprintf(expected, sizeof expected, "\"%.*s\" ", len,
                             "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!$%&/()=");
      cr_assert(strncmp(at, expected, (size_t)written) == 0, "by %zu: %s", step, at);
      at += written;
    }
    side_deinit(&side);
  }
  free(input.data);
  expect_no_leak();
}

/* The number of bytes, fed one by one, after which it was over; 0: never. */
static size_t over_after(const bytes_t *input, bool client, const char *why) {
  static side_t side;
  char expected[100];
  size_t at = 0;
  side_init(&side, client, LIMIT);
  while (at < input->len && side.ends == 0)
    feed(&side, input->data + at++, 1);
  snprintf(expected, sizeof expected, "!<%s>", why);
  cr_expect(side.ends == 0 || strcmp(side.said, expected) == 0, "%s", side.said);
  size_t result = side.ends != 0 ? at : 0;
  side_deinit(&side);
  return result;
}

#define SAMPLE "abc\xc3\xa4z\xe2\x82\xacyx\xf0\x9f\x98\x80wvutsrqponm"
enum { SAMPLE_LEN = sizeof SAMPLE - 1 };

Test(ws, invalid_text_is_seen_at_the_byte_that_proves_it) {
  for (size_t bad = 0; bad < SAMPLE_LEN; bad++)
    for (size_t cut = 0; cut <= SAMPLE_LEN; cut++)
      for (int client = 0; client < 2; client++) {
        char text[] = SAMPLE;
        bytes_t input = {0};
        size_t head = client ? 2 : 6;
        text[bad] = '\xff';
        if (cut == SAMPLE_LEN) {
          put_frame(&input, 0x81, text, SAMPLE_LEN, !client);
        } else {
          put_frame(&input, 0x01, text, cut, !client);
          put_frame(&input, 0x80, text + cut, SAMPLE_LEN - cut, !client);
        }
        size_t expected = head + bad + 1 + (cut < SAMPLE_LEN && bad >= cut ? head : 0);
        size_t got = over_after(&input, client, BAD_TEXT);
        cr_expect_eq(got, expected, "byte %zu, cut at %zu: %zu instead of %zu", bad, cut, got, expected);
        free(input.data);
      }
  expect_no_leak();
}

Test(ws, text_that_ends_inside_a_character) {
  static const row_t rows[] = {
      ENDS("81(\xc3)", "", BAD_TEXT),
      ENDS("81(a\xe2\x82)", "", BAD_TEXT),
      ENDS("81(\xf0\x9f\x98) 81(\x80)", "", BAD_TEXT),
      ENDS("01(a) 80(\xc3)", "", BAD_TEXT),
      ENDS("01(\xc3) 80", "", BAD_TEXT),
      ENDS("01(\xc3) 80(a)", "", BAD_TEXT),
      ENDS("01(\xed) 80(\xa0\x80)", "", BAD_TEXT),
      ENDS("81(\xc0\xaf)", "", BAD_TEXT),
      ENDS("81(\xf4\x90\x80\x80)", "", BAD_TEXT),
      {"81(a) 01(\xc3) 80(\xa4) 81(\xc3\xa4)", "\"a\" \"\xc3\xa4\" \"\xc3\xa4\" ", ""},
  };
  CHECK_ROWS(rows);
}

static void check_fragments(size_t count, const char *said) {
  static side_t side;
  bytes_t input = {0};
  put_frame(&input, 0x01, "a", 1, true);
  for (size_t i = 2; i < count; i++)
    put_frame(&input, 0x00, "", 0, true);
  put_frame(&input, 0x80, "b", 1, true);
  put_frame(&input, 0x81, "c", 1, true);
  side_init(&side, false, LIMIT);
  feed(&side, input.data, input.len);
  cr_expect_str_eq(side.said, said, "%zu fragments: %s", count, side.said);
  side_deinit(&side);
  free(input.data);
}

Test(ws, number_of_fragments) {
  check_fragments(MCP__WS_MAX_FRAGMENTS - 1, "\"ab\" \"c\" ");
  check_fragments(MCP__WS_MAX_FRAGMENTS, "\"ab\" \"c\" ");
  check_fragments(MCP__WS_MAX_FRAGMENTS + 1, "!<" TOO_BIG ">");
  expect_no_leak();
}

Test(ws, binary_where_it_is_wanted) {
  static side_t side;
  for (int client = 0; client < 2; client++) {
    bytes_t input = {0};
    side_init(&side, client, LIMIT);
    side.config.binary = true;
    put_script(&input, "82(\xff\xfe) 02(a) 89(p) 80(\xff) 81(t) 82 82*300", !client);
    feed_in_pieces(&side, &input, 1, 1);
    cr_expect_str_eq(side.said, "b\"\xff\xfe\" b\"a\xff\" \"t\" b\"\" b\"*300\" ", "%s", side.said);
    side_deinit(&side);
    free(input.data);
  }
  expect_no_leak();
}

static bool has_room(size_t more, void *arg) {
  size_t *room = arg;
  bool there = more <= *room;
  *room -= there ? more : 0;
  return there;
}

/* Memory grows with the received bytes, not with the length in a head. Without memory the side is paused in
 * the middle of the message, and continues from there. */
Test(ws, memory_of_a_message) {
  static side_t side;
  static const char *const scripts[] = {"81*1000000", "01*600000 89(p) 80*400000"};
  for (size_t i = 0; i < 2; i++)
    for (size_t room = 100000; room < 3000000; room += 100000) {
      size_t left = room;
      const mcp__buf_quota_t quota = {has_room, &left};
      bytes_t input = {0};
      put_script(&input, scripts[i], true);
      side_init(&side, false, 1000000);
      side.config.quota = side.ws.message.quota = &quota;
      size_t at = 0;
      while (at < input.len && !side.ws.paused) {
        size_t most = input.len - at < 10000 ? input.len - at : 10000;
        at += mcp__ws_feed(&side.ws, input.data + at, most);
        cr_assert_leq(side.ws.message.cap, 2 * at + 100000, "%zu for %zu", side.ws.message.cap, at);
      }
      cr_expect_eq(side.ws.paused, room <= 900000, "room for %zu", room);
      cr_expect_eq(mcp__ws_in_message(&side.ws), side.ws.paused);
      left = 3000000;
      mcp__ws_pause(&side.ws, false);
      if (at < input.len)
        feed(&side, input.data + at, input.len - at);
      cr_expect_str_eq(side.said, "\"*1000000\" ", "room for %zu: %s", room, side.said);
      side_deinit(&side);
      free(input.data);
    }
  expect_no_leak();
}

Test(ws, pause_is_at_a_messages_end) {
  static side_t side;
  static const char *const scripts[] = {"81(a)", "01(a) 80(b)", "81", "89(p) 81(a)"};
  for (size_t i = 0; i < 4; i++)
    for (int client = 0; client < 2; client++) {
      bytes_t input = {0};
      put_script(&input, scripts[i], !client);
      size_t boundary = input.len;
      put_script(&input, "81(next)", !client);
      side_init(&side, client, LIMIT);
      side.pauses = true;
      cr_expect_eq(mcp__ws_feed(&side.ws, input.data, input.len), boundary, "%s", scripts[i]);
      cr_expect_not(mcp__ws_in_message(&side.ws));
      cr_expect_eq(mcp__ws_feed(&side.ws, input.data + boundary, 1), 0);
      cr_expect_null(strstr(side.said, "next"));
      mcp__ws_pause(&side.ws, false);
      cr_expect_eq(mcp__ws_feed(&side.ws, input.data + boundary, 1), 1);
      cr_expect(mcp__ws_in_message(&side.ws));
      side_deinit(&side);
      free(input.data);
    }
  expect_no_leak();
}

Test(ws, in_message) {
  static side_t side;
  bytes_t input = {0};
  put_script(&input, "01(ab) 89(p) 80(cd)", true);
  side_init(&side, false, LIMIT);
  cr_expect_not(mcp__ws_in_message(&side.ws));
  for (size_t at = 0; at < input.len; at++) {
    feed(&side, input.data + at, 1);
    cr_expect_eq(mcp__ws_in_message(&side.ws), at + 1 < input.len, "after byte %zu", at);
  }
  side_deinit(&side);
  free(input.data);
  expect_no_leak();
}

/* A message of len bytes of x, through begin and end. */
static int send_text(side_t *side, size_t len) {
  size_t begin = mcp__ws_begin(&side->ws);
  if (begin == SIZE_MAX)
    return -1;
  cr_assert_eq(mcp__buf_reserve(&side->out, len), 0);
  memset(side->out.data + side->out.len, 'x', len);
  side->out.len += len;
  return mcp__ws_end(&side->ws, begin);
}

Test(ws, what_goes_out_comes_in) {
  static const size_t lengths[] = {0,   1,   7,   8,     9,     124,   125,   126,  127,
                                   128, 255, 256, 65534, 65535, 65536, 65537, 70000};
  static side_t from, to;
  static char output[6000];
  for (int client = 0; client < 2; client++) {
    side_init(&from, client, LIMIT);
    side_init(&to, !client, LIMIT);
    char expected[6000] = "";
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
      char text[201];
      memset(text, 'x', 200);
      cr_assert_eq(send_text(&from, lengths[i]), 0);
      say(expected, sizeof expected, text, lengths[i], "\"", "\" ");
      size_t begin = mcp__ws_begin(&from.ws); /* begun, and thought better of */
      cr_assert_eq(mcp__buf_append(&from.out, "gone", 4), 0);
      from.out.len = begin;
    }
    cr_assert_eq(mcp__ws_ping(&from.ws), 0);
    cr_assert_eq(mcp__ws_close(&from.ws, 1012, "restart"), 0);
    strcat(expected, "<1012 restart>");
    describe(output, sizeof output, &from.out, client); /* lengths in their shortest form */
    bytes_t input = {(uint8_t *)from.out.data, from.out.len, from.out.len};
    feed_in_pieces(&to, &input, 1000, 1000);
    cr_expect_str_eq(to.said, expected, "%s\n%s", to.said, expected);
    describe(output, sizeof output, &to.out, !client);
    cr_expect_str_eq(output, "8a 88[1012]", "%s", output);
    feed(&from, (const uint8_t *)to.out.data, to.out.len);
    cr_expect_str_eq(from.said, "<1012 >", "%s", from.said);
    side_deinit(&from);
    side_deinit(&to);
  }
  expect_no_leak();
}

Test(ws, masks_differ) {
  static side_t side;
  side_init(&side, true, LIMIT);
  for (int i = 0; i < 3; i++)
    cr_assert_eq(send_text(&side, 0), 0);
  cr_assert_eq(side.out.len, 18);
  cr_expect(memcmp(side.out.data + 2, side.out.data + 8, 4) != 0 ||
            memcmp(side.out.data + 2, side.out.data + 14, 4) != 0);
  side_deinit(&side);
  expect_no_leak();
}

/* A peer that pings and takes nothing: what waits for it stays small, and ends with the newest. */
Test(ws, pings_that_pile_up) {
  static side_t side;
  bytes_t input = {0};
  for (int i = 0; i < 10000; i++)
    put_script(&input, "89*125", true);
  put_script(&input, "89(newest)", true);
  side_init(&side, false, LIMIT);
  feed(&side, input.data, input.len);
  mcp__ws_flush_pong(&side.ws);
  cr_expect_lt(side.out.len, MCP__WS_PONG_MAX_BACKLOG + 2 * (2 + MCP__WS_CONTROL_MAX));
  cr_expect_eq(memcmp(side.out.data + side.out.len - 8, "\x8a\6newest", 8), 0);
  side_deinit(&side);
  free(input.data);
  expect_no_leak();
}

/* In the order of what was asked: the ping came before the message that is answered now. */
Test(ws, a_pong_goes_out_before_the_answer) {
  static side_t side;
  static char output[1000];
  bytes_t input = {0};
  put_script(&input, "89(p) 81(a)", true);
  side_init(&side, false, LIMIT);
  feed(&side, input.data, input.len);
  cr_assert_eq(send_text(&side, 3), 0);
  describe(output, sizeof output, &side.out, false);
  cr_expect_str_eq(output, "8a(p) 81(xxx)", "%s", output);
  side_deinit(&side);
  free(input.data);
  expect_no_leak();
}

Test(ws, a_close_is_the_last_that_is_sent) {
  static side_t side;
  static char output[1000];
  bytes_t input = {0};
  put_script(&input, "89(p) 81(late) 88[1000 bye]", true);
  side_init(&side, false, LIMIT);
  cr_assert_eq(send_text(&side, 3), 0);
  feed(&side, input.data, 7);
  cr_expect_eq(mcp__ws_close(&side.ws, 1012, "restart"), 0);
  cr_expect_neq(mcp__ws_close(&side.ws, 1000, "again"), 0);
  cr_expect_neq(mcp__ws_ping(&side.ws), 0);
  cr_expect_eq(send_text(&side, 3), -1);
  feed(&side, input.data + 7, input.len - 7);
  mcp__ws_flush_pong(&side.ws);
  describe(output, sizeof output, &side.out, false);
  cr_expect_str_eq(output, "81(xxx) 8a(p) 88[1012 restart]", "%s", output);
  cr_expect_str_eq(side.said, "\"late\" <1000 bye>", "%s", side.said);
  side_deinit(&side);
  free(input.data);
  expect_no_leak();
}

Test(ws, reasons) {
  static side_t side;
  static char output[1000], reason[300];
  memset(reason, 'r', 299);
  for (int i = 0; i < 3; i++) {
    side_init(&side, false, LIMIT);
    cr_assert_eq(mcp__ws_close(&side.ws, i == 0 ? MCP__CLOSE_NO_CODE : 1008, i == 1 ? "" : reason), 0);
    cr_expect_eq(side.out.len, i == 0 ? 2 : i == 1 ? 4 : 2 + MCP__WS_CONTROL_MAX);
    describe(output, sizeof output, &side.out, false);
    side_deinit(&side);
  }
  expect_no_leak();
}

Test(ws, no_room_to_send) {
  static side_t side;
  for (size_t max = 0; max < 60; max++) {
    bytes_t input = {0};
    side_init(&side, false, LIMIT);
    side.out.max = max;
    put_script(&input, "89(ping) 83", true);
    feed(&side, input.data, input.len);
    cr_expect_str_eq(side.said, "!<" BROKEN ">");
    cr_assert_leq(side.out.len, max);
    char output[200];
    describe(output, sizeof output, &side.out, false); /* whole frames, whatever there was room for */
    side_deinit(&side);
    free(input.data);
  }
  expect_no_leak();
}

/* An empty message needs memory, too: the padding behind it. */
Test(ws, no_memory_for_an_empty_message) {
  static side_t side;
  static const char *const scripts[] = {"81", "01 80"};
  use_failing_allocator();
  for (size_t i = 0; i < 2; i++) {
    bytes_t input = {0};
    put_script(&input, scripts[i], true);
    side_init(&side, false, LIMIT);
    memory.allowed = 0;
    feed(&side, input.data, input.len);
    cr_expect_str_eq(side.said, "!<1011 out of memory for the message>", "%s", side.said);
    side_deinit(&side);
    free(input.data);
  }
  expect_no_leak();
}

Test(ws, memory_that_runs_out) { /* ours: wslay has its own memory */
  static side_t side;
  static const char script[] = "81*5000 01*9000 80*9000 89(p) 81*60000 88[1000]";
  use_failing_allocator();
  bool complete = false;
  for (long allocations = 0; !complete; allocations++)
    for (int once = 1; once >= 0; once--) {
      bytes_t input = {0};
      cr_assert_lt(allocations, 60);
      put_script(&input, script, true);
      side_init(&side, false, LIMIT);
      memory.allowed = allocations;
      memory.once = once == 1;
      feed_in_pieces(&side, &input, 1000, 1000);
      cr_assert_eq(side.ends, 1);
      complete = strcmp(side.said, "\"*5000\" \"*18000\" \"*60000\" <1000 >") == 0;
      cr_expect(complete || strstr(side.said, "!<1011 out of memory for the message>") != NULL, "%s",
                side.said);
      side_deinit(&side);
      cr_assert_eq(memory.live, 0);
      free(input.data);
    }
  expect_no_leak();
}

static uint32_t next_random(uint32_t *state) { /* xorshift */
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/* Valid frames by chance, and what they say. */
static void random_stream(uint32_t *random, bytes_t *input, side_t *expected, bool masked) {
  static char text[1000];
  for (int i = 0; i < 12; i++) {
    size_t len = next_random(random) % 4 == 0 ? next_random(random) % 900 : next_random(random) % 30;
    for (size_t j = 0; j < len; j++)
      text[j] = (char)('a' + next_random(random) % 26);
    if (next_random(random) % 3 == 0 && len > 4)
      memcpy(text + next_random(random) % (len - 3), "\xf0\x9f\x98\x80", 4);
    say(expected->said, sizeof expected->said, text, len, "\"", "\" ");
    size_t pieces = next_random(random) % 2 == 0 ? 1 : 1 + next_random(random) % 5, at = 0;
    for (size_t piece = 1; piece <= pieces; piece++) {
      size_t to = piece == pieces ? len : at + next_random(random) % (len - at + 1);
      put_frame(input, (piece == pieces ? 0x80 : 0) | (piece == 1 ? 1 : 0), text + at, to - at, masked);
      at = to;
      if (next_random(random) % 4 == 0)
        put_frame(input, next_random(random) % 2 == 0 ? 0x89 : 0x8a, text, next_random(random) % 126, masked);
    }
  }
}

Test(ws, random_streams_cut_at_random) {
  static side_t side, expected;
  static char whole[2000], cut[2000];
  for (uint32_t seed = 1; seed <= 1500; seed++) {
    uint32_t random = seed * 2654435761u;
    bool client = seed % 2 == 0;
    bytes_t input = {0};
    expected.said[0] = '\0';
    random_stream(&random, &input, &expected, !client);
    side_init(&side, client, LIMIT);
    feed(&side, input.data, input.len);
    mcp__ws_flush_pong(&side.ws);
    describe(whole, sizeof whole, &side.out, client);
    cr_assert_str_eq(side.said, expected.said, "seed %u, whole: %s\n%s", seed, side.said, expected.said);
    side_deinit(&side);
    side_init(&side, client, LIMIT);
    side.pauses = seed % 3 == 0;
    for (size_t at = 0, step; at < input.len; at += step) {
      step = 1 + next_random(&random) % (next_random(&random) % 3 == 0 ? 200 : 9);
      step = step < input.len - at ? step : input.len - at;
      feed(&side, input.data + at, step);
    }
    mcp__ws_flush_pong(&side.ws);
    describe(cut, sizeof cut, &side.out, client);
    cr_assert_str_eq(side.said, expected.said, "seed %u, cut: %s\n%s", seed, side.said, expected.said);
    cr_assert_str_eq(cut, whole, "seed %u: %s\n%s", seed, cut, whole);
    side_deinit(&side);
    free(input.data);
  }
  expect_no_leak();
}

/* Anything may come: it ends once at most, and the same way however it is cut. */
Test(ws, random_bytes) {
  static side_t whole, cut;
  static char whole_out[2000], cut_out[2000];
  for (uint32_t seed = 1; seed <= 4000; seed++) {
    uint32_t random = seed * 2246822519u;
    bool client = seed % 2 == 0;
    bytes_t input = {0};
    side_init(&whole, client, 2000);
    random_stream(&random, &input, &whole, !client);
    whole.said[0] = '\0';
    for (int i = 0; i < 3; i++)
      input.data[next_random(&random) % (input.len < 60 ? input.len : 60)] ^=
          (uint8_t)(1u << next_random(&random) % 8);
    feed(&whole, input.data, input.len);
    side_init(&cut, client, 2000);
    feed_in_pieces(&cut, &input, 1, 1 + seed % 5);
    describe(whole_out, sizeof whole_out, &whole.out, client);
    describe(cut_out, sizeof cut_out, &cut.out, client);
    cr_assert_str_eq(cut.said, whole.said, "seed %u: %s\n%s", seed, cut.said, whole.said);
    cr_assert_str_eq(cut_out, whole_out, "seed %u: %s\n%s", seed, cut_out, whole_out);
    side_deinit(&whole);
    side_deinit(&cut);
    free(input.data);
  }
  expect_no_leak();
}
