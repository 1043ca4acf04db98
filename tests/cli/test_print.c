/* print, print_value, table and tools_view: a peer's text and values on a terminal. */
#include <locale.h>
#include "cli_test.h"
#include "print_value.h"
#include "table.h"
#include "tools_view.h"

static void use_utf8(void) {
  setlocale(LC_CTYPE, "C.UTF-8");
}

TestSuite(print, .init = use_utf8);

static const struct {
  const char *text;
  size_t max;
  const char *shown;
} lines[] = {
    {"plain", 0, "plain"},
    {"", 0, ""},
    {"größe 漢字 🙂", 0, "größe 漢字 🙂"},
    {"\033[31mred\033]0;title\a", 0, "\\u001b[31mred\\u001b]0;title\\u0007"},
    {"a\nb\tc\rd", 0, "a\\nb\\tc\\rd"},
    {"\x7f", 0, "\\u007f"},
    {"\xc2\x9b"
     "31m",
     0, "\\u009b31m"},
    {"\xe2\x80\xaegnp.exe", 0, "\\u202egnp.exe"},
    {"\xff\xc3", 0, "\\xff\\xc3"},
    {"\xc0\xaf", 0, "\\xc0\\xaf"},
    {"\xed\xa0\x80", 0, "\\xed\\xa0\\x80"},
    {"\xf4\x90\x80\x80", 0, "\\xf4\\x90\\x80\\x80"},
    {"exactly", 7, "exactly"},
    {"too long", 7, "too lo…"},
    {"漢字漢字", 6, "漢字…"},
    {"漢字漢字", 5, "漢字…"},
    {"漢字漢字", 4, "漢…"},
    {"ab\033", 5, "ab…"}, /* an escape is shown whole or not at all */
    {"ab", 1, "…"},
};

Test(print, lines) {
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    capture_t captured;
    capture_begin(&captured, 0);
    size_t columns = print_line(&captured.print, lines[i].text, strlen(lines[i].text), lines[i].max);
    capture_end(&captured, lines[i].shown);
    cr_expect_eq(columns, print_columns(lines[i].shown, strlen(lines[i].shown)), "columns of %s",
                 lines[i].shown);
    cr_expect(lines[i].max == 0 || columns <= lines[i].max);
  }
  assert_no_leaks();
}

Test(print, columns) {
  cr_expect_eq(print_columns("größe", strlen("größe")), 5);
  cr_expect_eq(print_columns("漢字", strlen("漢字")), 4);
  cr_expect_eq(print_columns("e\xcc\x81", 3), 1); /* a combining accent */
  cr_expect_eq(print_columns("\033", 1), 6);
  cr_expect_eq(print_columns("a\0b", 3), 8);
}

Test(print, every_byte_alone_is_safe) {
  for (int byte = 0; byte < 256; byte++) {
    char text = (char)byte;
    capture_t captured;
    capture_begin(&captured, 0);
    print_line(&captured.print, &text, 1, 0);
    fclose(captured.print.file);
    for (size_t i = 0; i < captured.len; i++)
      cr_expect(captured.text[i] >= 0x20 && captured.text[i] < 0x7f, "byte %d", byte);
    free(captured.text);
  }
  assert_no_leaks();
}

Test(print, text_keeps_its_lines) {
  const char text[] = "one\n\ttwo\033[2J\r\n";
  capture_t captured;
  capture_begin(&captured, 0);
  print_text(&captured.print, text, sizeof text - 1);
  capture_end(&captured, "one\n\ttwo\\u001b[2J\\r\n");
  assert_no_leaks();
}

static const struct {
  size_t width, column, indent;
  const char *text, *shown;
} wrapped[] = {
    {0, 0, 2, "no width, so one line however long it may be",
     "no width, so one line however long it may be\n"},
    {24, 0, 2, "Stores an entry in the queue, quickly.", "Stores an entry in the\n  queue, quickly.\n"},
    {24, 0, 2, "one\ntwo", "one\n  two\n"},
    {24, 0, 2, "ends\n", "ends\n"},
    {24, 0, 2, "- a\n  - b", "- a\n    - b\n"},
    {24, 0, 2, "averyveryverylongwordindeed it is", "averyveryverylongwordindeed\n  it is\n"},
    {5, 0, 2, "never narrower than twenty columns", "never narrower than\n  twenty columns\n"},
    {30, 25, 4, "word by word", "word\n    by word\n"},
    {24, 0, 0, "", "\n"},
    {24, 0, 2, "bad \033[1m word", "bad \\u001b[1m word\n"},
};

Test(print, wrapping) {
  for (size_t i = 0; i < sizeof wrapped / sizeof wrapped[0]; i++) {
    capture_t captured;
    capture_begin(&captured, wrapped[i].width);
    print_wrapped(&captured.print, wrapped[i].column, wrapped[i].indent, wrapped[i].text);
    capture_end(&captured, wrapped[i].shown);
  }
  assert_no_leaks();
}

static const struct {
  const char *json, *shown;
} values[] = {
    {"\"text\\nof two lines\"", "text\nof two lines\n"},
    {"\"ends itself\\n\"", "ends itself\n"},
    {"\"\"", "\n"},
    {"42", "42\n"},
    {"null", "null\n"},
    {"[]", "[]\n"},
    {"[1,2]", "[\n  1,\n  2\n]\n"},
    {"{\"status\":\"ok\"}", "{\n  \"status\": \"ok\"\n}\n"},
    {"{\"c1\":\"\\u009b\",\"c0\":\"\\u001b\"}", "{\n  \"c1\": \"\\u009b\",\n  \"c0\": \"\\u001B\"\n}\n"},
    /* tables */
    {"[{\"id\":1,\"name\":\"one\"},{\"id\":22,\"name\":null}]", "id\tname\n1\tone\n22\t-\n"},
    {"[{\"a\":1},{\"b\":true,\"a\":\"x\"}]", "a\tb\n1\t\nx\ttrue\n"},
    {"[{\"a\":null,\"b\":1},{\"a\":null,\"b\":10}]", "a\tb\n-\t1\n-\t10\n"},
    {"[{\"a\":[1,2],\"b\":{\"c\":3}}]", "a\tb\n[1,2]\t{\"c\":3}\n"},
    {"[{\"a\":\"tab\\there\"}]", "a\ntab\\there\n"},
    {"[{\"a\":\"two\\nlines\"}]", "a\ntwo\\nlines\n"},
    {"[{\"n\":\"漢字\",\"x\":1},{\"n\":\"abc\",\"x\":2}]", "n\tx\n漢字\t1\nabc\t2\n"},
    /* not tables */
    {"[{\"a\":[[1]]}]", "[\n  {\n    \"a\": [\n      [\n        1\n      ]\n    ]\n  }\n]\n"},
    {"[{\"a\":1},2]", "[\n  {\n    \"a\": 1\n  },\n  2\n]\n"},
    {"[{}]", "[\n  {}\n]\n"},
};

Test(print, values) {
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    capture_t captured;
    yyjson_doc *doc = json(values[i].json);
    capture_begin(&captured, 0);
    print_value(&captured.print, yyjson_doc_get_root(doc));
    capture_end(&captured, values[i].shown);
    yyjson_doc_free(doc);
  }
  assert_no_leaks();
}

static const char rows[] =
    "[{\"id\":7,\"level\":\"INFO\",\"message\":\"a long message, longer than there is room\"},"
    "{\"id\":8,\"level\":\"ERROR\",\"message\":\"short\"}]";

static const struct {
  size_t width;
  const char *shown;
} widths[] = {
    {0, "id\tlevel\tmessage\n7\tINFO\ta long message, longer than there is room\n8\tERROR\tshort\n"},
    {80, "id  level  message\n 7  INFO   a long message, longer than there is room\n 8  ERROR  short\n"},
    {30, "id  level  message\n 7  INFO   a long message, lo…\n 8  ERROR  short\n"},
    {15, "id  level  mes…\n 7  INFO   a l…\n 8  ERROR  sho…\n"},
    {10, "id  level\n 7  INFO\n 8  ERROR\n(not shown: message; --json shows all)\n"},
    {1, "…\n7\n8\n(not shown: level, message; --json shows all)\n"},
};

Test(print, tables_fit_the_terminal) {
  yyjson_doc *doc = json(rows);
  for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
    capture_t captured;
    capture_begin(&captured, widths[i].width);
    cr_expect(print_table(&captured.print, yyjson_doc_get_root(doc)));
    capture_end(&captured, widths[i].shown);
  }
  yyjson_doc_free(doc);
  assert_no_leaks();
}

static const char log_rows[] = "[{\"id\":\"019aa4d5-8a7e-7c1e-9d45-0a1b2c3d4e5f\",\"trace_id\":null,"
                               "\"level\":\"INFO\",\"message\":\"what happened\"},"
                               "{\"id\":\"019aa4d5-8a7e-7c1e-9d45-0a1b2c3d4e60\",\"trace_id\":null,\"level\":"
                               "\"WARN\",\"message\":\"and then\"}]";

/* On a narrow terminal, empty columns are hidden and UUIDs are shortened first. */
Test(print, tables_hide_empty_columns_and_shorten_uuids) {
  static const char elsewhere[] = "id\ttrace_id\tlevel\tmessage\n"
                                  "019aa4d5-8a7e-7c1e-9d45-0a1b2c3d4e5f\t-\tINFO\twhat happened\n"
                                  "019aa4d5-8a7e-7c1e-9d45-0a1b2c3d4e60\t-\tWARN\tand then\n";
  static const char on_a_terminal[] = "id        level  message\n"
                                      "…c3d4e5f  INFO   what happened\n"
                                      "…c3d4e60  WARN   and then\n"
                                      "(not shown: trace_id; --json shows all)\n";
  yyjson_doc *doc = json(log_rows);
  for (size_t width = 0; width <= 40; width += 40) {
    capture_t captured;
    capture_begin(&captured, width);
    cr_expect(print_table(&captured.print, yyjson_doc_get_root(doc)));
    capture_end(&captured, width == 0 ? elsewhere : on_a_terminal);
  }
  yyjson_doc_free(doc);
  assert_no_leaks();
}

/* 64 columns are a table, 65 are not. */
Test(print, tables_have_a_widest) {
  for (int count = 64; count <= 65; count++) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *array = yyjson_mut_arr(doc), *row = yyjson_mut_arr_add_obj(doc, array);
    yyjson_mut_doc_set_root(doc, array);
    for (int i = 0; i < count; i++) {
      char name[32];
      snprintf(name, sizeof name, "column%d", i);
      yyjson_mut_obj_add(row, yyjson_mut_strcpy(doc, name), yyjson_mut_int(doc, i));
    }
    yyjson_doc *written = yyjson_mut_doc_imut_copy(doc, NULL);
    capture_t captured;
    capture_begin(&captured, 0);
    cr_expect_eq(print_table(&captured.print, yyjson_doc_get_root(written)), count == 64);
    fclose(captured.print.file);
    cr_expect_eq(captured.len > 0, count == 64);
    free(captured.text);
    yyjson_doc_free(written);
    yyjson_mut_doc_free(doc);
  }
  assert_no_leaks();
}

static const char tools[] =
    "[{\"name\":\"echo\",\"description\":\"Answers its arguments as they came, all of "
    "them.\",\"inputSchema\":"
    "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"description\":\"What to answer\"},"
    "\"level\":{\"type\":[\"string\",\"null\"],\"enum\":[\"INFO\",5]},\"any\":{}},\"required\":[\"text\"]}},"
    "{\"name\":\"bare\"},{\"name\":\"\\u001b[2Jbad\",\"description\":7,\"inputSchema\":[]},3]";

static const struct {
  size_t width;
  const char *shown;
} tool_widths[] = {
    {0, "echo\n"
        "  Answers its arguments as they came, all of them.\n"
        "    text   string, required  What to answer\n"
        "    level  string|null       (one of INFO, 5)\n"
        "    any    any\n"
        "\nbare\n\n\\u001b[2Jbad\n\n\n"},
    {53, "echo\n"
         "  Answers its arguments as they came, all of them.\n"
         "    text   string, required  What to answer\n"
         "    level  string|null       (one of INFO, 5)\n"
         "    any    any\n"
         "\nbare\n\n\\u001b[2Jbad\n\n\n"},
    {40, "echo\n"
         "  Answers its arguments as they came,\n"
         "  all of them.\n"
         "    text   string, required\n"
         "      What to answer\n"
         "    level  string|null\n"
         "      (one of INFO, 5)\n"
         "    any    any\n"
         "\nbare\n\n\\u001b[2Jbad\n\n\n"},
};

Test(print, tools) {
  yyjson_doc *doc = json(tools);
  for (size_t i = 0; i < sizeof tool_widths / sizeof tool_widths[0]; i++) {
    capture_t captured;
    capture_begin(&captured, tool_widths[i].width);
    print_tools(&captured.print, yyjson_doc_get_root(doc));
    capture_end(&captured, tool_widths[i].shown);
  }
  yyjson_doc_free(doc);
  assert_no_leaks();
}

Test(print, colours) {
  yyjson_doc *doc = json("[{\"name\":\"echo\"}]");
  capture_t captured;
  capture_begin(&captured, 40);
  captured.print.colour = true;
  print_tools(&captured.print, yyjson_doc_get_root(doc));
  capture_end(&captured, "\033[1mecho\033[0m\n");
  yyjson_doc_free(doc);
  assert_no_leaks();
}
