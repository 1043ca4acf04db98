/* test_words.c: words of texts, and searches for them in log lines and conversations, on both stores. */
#include "conversations_test.h"
#include "databases.h"
#include "words.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define end_words end_of_test

TestSuite(words, .init = make_store, .fini = remove_directory);

enum { TEXT_MAX = 400 * 1024 };

/* ---- Plain texts ---- */

/* Returns the plain text of a line in a static buffer. */
static const char *plain_of(mcp_text_t given) {
  static char copy[TEXT_MAX * 3];
  size_t len;
  char *plain = words_plain(given, WORDS_LINE_MAX_CHARS, &len);
  cr_assert_not_null(plain);
  cr_assert_lt(len, sizeof copy);
  cr_assert_eq(strlen(plain), len);
  memcpy(copy, plain, len + 1);
  free(plain);
  return copy;
}

static const char *const plain_texts[][2] = {
    {"", " "},
    {"Error: café\n", " error cafe "},
    {"cafe\u0301", " cafe "},
    {"com.example.Foo.bar(Foo.java:42)", " com example foo bar foo java 42 "},
    {"snake_case A-B", " snake case a b "},
    {"错误code数据库", " 错 误 code 数 据 库 "},
    {"データ", " デ ー タ "},
    {"ﾃﾞｰﾀ", " デ ー タ "},
    {"テ\u3099ータ", " デ ー タ "},
    {"오류", " 오 류 "},
    {"\u110b\u1169\u1105\u1172", " 오 류 "},
    {"ｅｒｒｏｒ４２！", " error42 "},
    {"ΣΊΣΥΦΟΣ Σίσυφος", " σισυφοσ σισυφοσ "},
    {"İstanbul ISTANBUL ı", " istanbul istanbul ı "},
    {"STRASSE Straße ẞ", " strasse straße ß "},
    {"Ёлка ёлка", " елка елка "},
    {"مُحَمَّد، هلا", " مُحَمَّد هلا "},
    {"हिन्दी में।", " हिन्दी में "},
    {"ﬁle Ⅷ x² ½", " file viii x2 1 2 "},
    {"ok👍done 👩‍👩‍👧", " ok done "},
    {"a\u3000b\u00a0c\u2028d\xc2\x85"
     "e",
     " a b c d e "},
    {"ภาษา", " ภ า ษ า "},
    {"a\xff"
     "b\xc3",
     " a b "},
};

CASE(words, plain_texts_are_words_behind_blanks) {
  for (size_t i = 0; i < sizeof plain_texts / sizeof *plain_texts; i++) {
    const char *found = plain_of(text(plain_texts[i][0]));
    cr_expect_str_eq(found, plain_texts[i][1], "%s: %s", plain_texts[i][0], found);
    char *again = strdup(found);
    cr_expect_str_eq(plain_of(text(again)), again);
    free(again);
  }
  cr_expect_str_eq(plain_of((mcp_text_t){"a\0b\0\0", 5}), " a b ");
}

CASE(words, long_words_are_cut_and_long_texts_end) {
  static char letters[WORDS_LINE_MAX_CHARS + 2];
  memset(letters, 'x', sizeof letters - 1);
  cr_expect_eq(strcspn(plain_of((mcp_text_t){letters, 255}) + 1, " "), 255);
  cr_expect_eq(strlen(plain_of((mcp_text_t){letters, 255})), 257);
  cr_expect_eq(strlen(plain_of((mcp_text_t){letters, 256})), 259);
  memset(letters, ' ', sizeof letters - 1);
  letters[WORDS_LINE_MAX_CHARS - 1] = 'a';
  letters[WORDS_LINE_MAX_CHARS] = 'b';
  cr_expect_str_eq(plain_of(text(letters)), " a ");
}

CASE(words, texts_of_any_bytes_are_taken) {
  static const char *const pieces[] = {"a",      "Z9",     " ",         "\xff",   "\xf0\x9f",
                                       "\ufdfa", "\u0301", "\u0651",    "\u0591", "\u3099",
                                       "\u0f71", "\u20dd", "\U0002f800"};
  static char bytes[TEXT_MAX];
  srand(1);
  for (int round = 0; round < 50; round++) {
    size_t len = 0, used = 1 + (size_t)rand() % 13, most = round % 10 == 0 ? sizeof bytes - 8 : 300;
    while (len < most) {
      const char *piece = pieces[(size_t)rand() % used + (size_t)round % (14 - used)];
      memcpy(bytes + len, piece, strlen(piece));
      len += strlen(piece);
    }
    const char *plain = plain_of((mcp_text_t){bytes, len});
    utf8proc_int32_t c;
    for (size_t i = 0, next; plain[i] != '\0'; i += next) {
      next = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)plain + i, -1, &c);
      cr_assert_leq(next, 4, "no UTF-8 at %zu", i);
    }
  }
}

/* ---- The definition in PostgreSQL ---- */

/* Texts separated by U+0001, and their plain texts here. */
typedef struct texts {
  char given[256 * 1024], wanted[1024 * 1024];
  size_t given_len, wanted_len;
} texts_t;

static PGconn *connect_postgresql(void) {
  const pq_conninfo_t *conninfo = postgresql_conninfo();
  PGconn *pg = PQsetdbLogin(conninfo->host, conninfo->port, NULL, NULL, conninfo->name, conninfo->user,
                            conninfo->password);
  cr_assert_eq(PQstatus(pg), CONNECTION_OK, "%s", PQerrorMessage(pg));
  return pg;
}

static void compare(PGconn *pg, texts_t *texts) {
  static const char sql[] =
      "SELECT string_agg(dewey_words(left(given, 65536)) || E'\\x01', '' ORDER BY number) FROM"
      " unnest(string_to_array(rtrim($1, E'\\x01'), E'\\x01')) WITH ORDINALITY AS texts(given, number)";
  const char *given = texts->given;
  texts->given[texts->given_len] = texts->wanted[texts->wanted_len] = '\0';
  PGresult *result = PQexecParams(pg, sql, 1, NULL, &given, NULL, NULL, 0);
  cr_assert_eq(PQresultStatus(result), PGRES_TUPLES_OK, "%s", PQerrorMessage(pg));
  const char *found = PQgetvalue(result, 0, 0), *wanted = texts->wanted;
  for (; strcmp(found, wanted) != 0; given += strcspn(given, "\1") + 1) {
    size_t found_len = strcspn(found, "\1"), wanted_len = strcspn(wanted, "\1");
    cr_assert(found_len == wanted_len && memcmp(found, wanted, found_len) == 0,
              "\"%.*s\": \"%.*s\", not \"%.*s\"", (int)strcspn(given, "\1"), given, (int)found_len, found,
              (int)wanted_len, wanted);
    found += found_len + 1;
    wanted += wanted_len + 1;
  }
  PQclear(result);
  texts->given_len = texts->wanted_len = 0;
}

static void add_text(PGconn *pg, texts_t *texts, const char *given) {
  const char *plain = plain_of(text(given));
  size_t len = strlen(given), plain_len = strlen(plain);
  if (texts->given_len + len + 2 > sizeof texts->given ||
      texts->wanted_len + plain_len + 2 > sizeof texts->wanted)
    compare(pg, texts);
  texts->given_len += (size_t)sprintf(texts->given + texts->given_len, "%s\1", given);
  texts->wanted_len += (size_t)sprintf(texts->wanted + texts->wanted_len, "%s\1", plain);
}

/* True if both know the character; their versions of Unicode may differ. */
static bool is_known(int c) {
  return c != 1 && utf8proc_codepoint_valid(c) && utf8proc_category(c) != UTF8PROC_CATEGORY_CN &&
         !(c >= 0x1e030 && c <= 0x1e06d);
}

/* Each character between two others. */
static void compare_characters(PGconn *pg, texts_t *texts) {
  char given[1024];
  size_t len = 0;
  for (int c = 2; c < 0x110000; c++) {
    if (c == 0xe000 || c == 0xf0000)
      c += c == 0xe000 ? 0x1800 : 0x20000 - 0x100; /* a few private ones suffice */
    if (is_known(c)) {
      given[len] = len % 3 ? 'a' : 'X';
      len++;
      len += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)given + len);
    }
    if (len > sizeof given - 8 || c == 0x10ffff) {
      given[len] = '\0';
      add_text(pg, texts, given);
      len = 0;
    }
  }
}

/* Random characters of all kinds, many of them combining. */
static void compare_mixtures(PGconn *pg, texts_t *texts) {
  static const int firsts[] = {0x20,   0x20,   0x20,   0x41,   0x61,   0xc0,    0x300,  0x370,  0x3c2,
                               0x5b0,  0x627,  0x64b,  0x900,  0xe30,  0xf71,   0x1100, 0x1161, 0x11a8,
                               0x1e00, 0x1f80, 0x2000, 0x20d0, 0x2100, 0x3000,  0x3041, 0x3099, 0x302a,
                               0x4e00, 0xac00, 0xfb1d, 0xfe20, 0xff61, 0x1d15e, 0x1f600};
  char given[2048];
  srand(2);
  for (int round = 0; round < 4000; round++) {
    size_t len = 0, most = round % 100 == 0 ? sizeof given - 8 : (size_t)(rand() % 60),
           kinds = 1 + (size_t)rand() % 8;
    size_t kind = (size_t)rand() % (sizeof firsts / sizeof *firsts - kinds);
    while (len < most) {
      int c = firsts[rand() % 3 ? kind + (size_t)rand() % kinds : (size_t)rand() % 12] + rand() % 30;
      if (is_known(c))
        len += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)given + len);
    }
    given[len] = '\0';
    add_text(pg, texts, given);
  }
}

CASE(words, both_definitions_are_the_same) {
  if (!on_postgresql())
    return;
  static texts_t texts;
  PGconn *pg = connect_postgresql();
  for (size_t i = 0; i + 1 < sizeof plain_texts / sizeof *plain_texts; i++)
    add_text(pg, &texts, plain_texts[i][0]);
  compare_characters(pg, &texts);
  compare_mixtures(pg, &texts);
  compare(pg, &texts);
  PQfinish(pg);
}

/* ---- What is found ---- */

/* Texts too long for a literal. */
static char base64[1001], trace[16 * 1024], many[64 * 1024], same[32 * 1024];

typedef struct search {
  const char *text, *search;
  bool found;
} search_t;

static const search_t searches[] = {
    {"重启gateway后数据库连接失败", "数据库", true},
    {"重启gateway后数据库连接失败", "gateway", true},
    {"重启gateway后数据库连接失败", "GATEWAY后 失败", true},
    {"重启gateway后数据库连接失败", "库数据", false},
    {"重启gateway后数据库连接失败", "gate", false},
    {"データベース接続に失敗しました", "接続", true},
    {"データベース接続に失敗しました", "失敗", true},
    {"データベース接続に失敗しました", "ﾃﾞｰﾀﾍﾞｰｽ", true},
    {"データベース接続に失敗しました", "失敗\u3000接続", true},
    {"データベース接続に失敗しました", "テータ", false},
    {"ﾃﾞｰﾀﾍﾞｰｽ接続", "データベース", true},
    {"결제서버에서오류발생", "오류", true},
    {"결제서버에서오류발생", "\u110b\u1169\u1105\u1172", true},
    {"결제서버에서오류발생", "류오", false},
    {"处理order-4711失败", "order-4711", true},
    {"处理order-4711失败", "4711", true},
    {"错误ERR42，请重试。", "err42", true},
    {"错误ERR42，请重试。", "请重试", true},
    {"错误ERR42，请重试。", "err42请", true}, /* a comma separates words */
    {"ｅｒｒｏｒ　ｃｏｄｅ", "error code", true},
    {"error code", "ｅｒｒｏｒ", true},
    {"ขออภัยระบบขัดข้อง", "ระบบ", true},
    {"ການເຊື່ອມຕໍ່ລົ້ມເຫຼວ", "ລົ້ມເຫຼວ", true},
    {"Café fermé", "cafe", true},
    {"Cafe", "café", true},
    {"cafe\u0301", "caf\u00e9", true},
    {"caf\u00e9", "cafe\u0301", true},
    {"Żółw łódź", "zołw", true},
    {"Ångström", "angstrom", true},
    {"İSTANBUL", "istanbul", true},
    {"istanbul", "İstanbul", true},
    {"Straße", "STRAẞE", true},
    {"Straße", "strasse", false},
    {"ΟΔΥΣΣΕΥΣ", "Οδυσσευς", true},
    {"Οδυσσεύς", "ΟΔΥΣΣΕΥΣ", true},
    {"Ошибка Подключения", "ПОДКЛЮЧЕНИЯ", true},
    {"Ошибка", "ошибк", false},
    {"تعذّر الاتصال، حاول", "الاتصال", true},
    {"تعذّر الاتصال، حاول", "حاول", true},
    {"कनेक्शन विफल।", "विफल", true},
    {"कनेक्शन विफल।", "कनेक्शन", true},
    {"before\xef\xbf\xbd"
     "after",
     "before", true}, /* a stored NUL */
    {"before\xef\xbf\xbd"
     "after",
     "after", true},
    {"deploy👍done", "deploy", true},
    {"deploy👍done", "done", true},
    {"deploy👍done", "deploy done", true},
    {"一👍二", "一二", true},
    {"👩‍👩‍👧", "👩‍👩‍👧", false}, /* no word */
    {"->", "->", false},
    {"a -> b", "a -> b", true},
    {"one", "\u3000", false},
    {"one", " \t", false},
    {"first second third", "first-second", true},
    {"first second third", "second-first", false},
    {"first second third", "third first", true},
    {"first and second third", "first-second", false},
    {"ab c", "a-bc", false},
    {"a b", "b.a", false},
    {"10.0.0.7", "0.10.0.7", false},
    {"10.0.0.7", "10.0.0", true},
    {"xa bx", "a-b", false}, /* parts of words do not match */
    {"100%_done", "100_done", true},
    {"1000 done", "100_done", false},
    {base64, base64, true},
    {trace, "com.example.Foo.bar", true},
    {trace, "com.example.Foo.last(Foo.java:119)", true},
    {trace, "com.example.Foo.last(Foo.java:118)", false},
    {many, "last", true},
    {many, "very-last", true},
    {many, "last-very", false},
    {many, "zy-zz", true},
    {many, "aa-zy", false},
    {same, "same-end", true},
    {same, "end-same", false},
    {same, "end", true},
};

enum { SEARCHES = sizeof searches / sizeof *searches };

static void make_long_texts(void) {
  for (size_t i = 0; i < sizeof base64 - 1; i++)
    base64[i] = "ABCabc0189"[(i * i + i / 7) % 10];
  for (size_t i = 0, len = 0; i < 120; i++)
    len += (size_t)sprintf(trace + len, "\tat com.example.%s(Foo.java:%zu)\n",
                           i < 119 ? "Bar.foo" : "Foo.last", i);
  strcat(trace, "Caused by: com.example.Foo.bar");
  for (size_t i = 0; i < 20000; i++)
    sprintf(many + 3 * i, "%c%c ", (char)('a' + i / 26 % 26), (char)('a' + i % 26));
  strcat(many, "very last");
  for (size_t i = 0, len = 0; i < 5000; i++)
    len += (size_t)sprintf(same + len, "same ");
  strcat(same, "end");
}

static log_entry_t line_of(int n) {
  static char components[SEARCHES][8];
  log_entry_t made = entry(n);
  sprintf(components[n], "c%d", n);
  made.component = text(components[n]);
  made.message = text(searches[n].text);
  return made;
}

static int next_text(message_t *message, void *arg) {
  int n = *(int *)arg;
  *(int *)arg = -1;
  if (n < 0)
    return 0;
  *message = (message_t){.content = text(searches[n].text), .created_at = time_of(n)};
  snprintf(message->id, sizeof message->id, "00000000-0000-4000-a000-%012d", n);
  return 1;
}

static void converse(int n) {
  conversation_t conversation = {.created_at = time_of(n), .updated_at = time_of(n)};
  log_entry_t line = line_of(n);
  int given = n;
  id_of(n, conversation.id);
  conversation.session_id = line.component;
  cr_assert_eq(test_store->add(test_store, &conversation, true, next_text, &given, NULL, &test_error),
               STORE_OK, "%s", test_error.text);
}

static bool on_any_found(const found_message_t *row, void *arg) {
  (void)row, (void)arg;
  return true;
}

static int64_t find_messages(mcp_text_t words, mcp_text_t session) {
  const message_search_t search = {
      .words = words, .session_id = session, .start_us = INT64_MIN, .end_us = INT64_MAX, .limit = 100};
  int64_t total = -1;
  cr_assert_eq(test_store->search(test_store, &search, never, on_any_found, NULL, &total, &test_error),
               STORE_OK, "%s", test_error.text);
  return total;
}

static bool on_arrived(const log_entry_t *row, void *arg) {
  (void)row;
  ++*(int *)arg;
  return true;
}

/* The lines that have arrived since the mark. */
static int find_arrived(log_filter_t filter, const char *mark) {
  char next[STORE_ARRIVAL_MARK_SIZE];
  int found = 0;
  cr_assert_eq(
      test_store->arrived(test_store, &filter, text(mark), never, on_arrived, &found, next, &test_error),
      STORE_OK, "%s", test_error.text);
  return found;
}

CASE(words, logs_and_conversations_are_found_by_them) {
  log_entry_t lines[SEARCHES];
  char mark[STORE_ARRIVAL_MARK_SIZE];
  size_t inserted;
  make_long_texts();
  log_filter_t filter = everything();
  test_store->arrived(test_store, &filter, text(""), never, on_arrived, &(int){0}, mark, &test_error);
  for (int n = 0; n < SEARCHES; n++) {
    lines[n] = line_of(n);
    converse(n);
  }
  cr_assert_eq(test_store->batch(test_store, lines, SEARCHES, &inserted, &test_error), STORE_OK);
  for (int n = 0; n < SEARCHES; n++) {
    const search_t *one = &searches[n];
    filter.component = lines[n].component;
    filter.search = text(one->search);
    cr_expect_eq(find_all(filter), one->found, "%d: %.40s in a line: %.40s", n, one->search, one->text);
    cr_expect_eq(find_arrived(filter, mark), one->found, "%d: %.40s in an arrived line: %.40s", n,
                 one->search, one->text);
    cr_expect_eq(find_messages(filter.search, filter.component), one->found, "%d: %.40s in a message: %.40s",
                 n, one->search, one->text);
  }
}

CASE(words, nothing_without_a_word_is_found_beside_data) {
  log_entry_t one = entry(1);
  one.data = text("{\"k\":1}");
  store_one(one);
  log_filter_t filter = everything();
  filter.data = text("{\"k\":1}");
  cr_expect_eq(find_all(filter), 1);
  filter.search = text("");
  cr_expect_eq(find_all(filter), 1, "nothing is searched for");
  filter.search = text("->");
  cr_expect_eq(find_all(filter), 0);
  filter.search = (mcp_text_t){"\0", 1};
  cr_expect_eq(find_all(filter), 0);
}
