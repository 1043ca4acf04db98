/* trace_tree and trace_view: the tree of calls made of log rows. */
#include <locale.h>
#include "cli_test.h"
#include "trace_view.h"

/* A row at so many microseconds: component, message, members of its data. */
#define ROW(us, component, message, data)                                                                    \
  "{\"us\":" us ",\"component\":\"" component "\",\"level\":\"TRACE\",\"message\":\"" message                \
  "\",\"data\":{" data "}}"
#define OFFSET "      +0.000 ms"
#define NO_TIME "               "

static const struct {
  const char *rows, *shown;
} cases[] = {
    {"[]", ""},
    {"[" ROW("1000", "a", "Tool call started",
             "\"span_id\":\"1\",\"tool_name\":\"ask\"") "," /* as it should be */
     ROW("1500", "a", "says", "\"span_id\":\"1\",\"n\":7") "," ROW(
         "2000", "b", "Tool call started",
         "\"span_id\":\"2\",\"parent_span_id\":\"1\",\"tool_name\":"
         "\"do\"") "," ROW("3000", "b", "Tool error",
                           "\"span_id\":\"2\",\"parent_span_id\":\"1\","
                           "\"tool_name\":\"do\",\"error\":\"boom\","
                           "\"duration_ms\":1.0") "," ROW("4000", "a",
                                                          "Tool call "
                                                          "completed",
                                                          "\"span_id\":"
                                                          "\"1\",\"tool_"
                                                          "name\":"
                                                          "\"ask\","
                                                          "\"duration_"
                                                          "ms\":3.0") "]",
     "      +0.000 ms       3.000 ms  a: ask  ok\n"
     "      +0.500 ms                   TRACE says  {\"n\":7}\n"
     "      +1.000 ms       1.000 ms    b: do  failed: boom\n"},
    {"[" ROW("10000", "a", "Tool error",
             "\"span_id\":\"1\",\"error\":\"late\",\"duration_ms\":8.0") "]", /* its end alone */
     "      +0.000 ms       8.000 ms  a  failed: late\n"},
    {"[" ROW("1", "a", "Tool call started", "\"span_id\":\"1\"") "," /* no end, and one that was cancelled */
     ROW("1", "a", "Tool call completed", "\"span_id\":\"2\",\"cancelled\":true,\"success\":false") "]",
     OFFSET NO_TIME "  a  not ended\n" OFFSET NO_TIME "  a  cancelled\n"},
    {"[" ROW("5", "b", "x",
             "\"span_id\":\"2\",\"parent_span_id\":\"gone\"") "," /* both below the one that is missing */
     ROW("5", "c", "y", "\"span_id\":\"3\",\"parent_span_id\":\"gone\"") "]",
     OFFSET NO_TIME "  (no log lines of call gone)\n" OFFSET NO_TIME "    b\n" OFFSET NO_TIME
                    "      TRACE x\n" OFFSET NO_TIME "    c\n" OFFSET NO_TIME "      TRACE y\n"},
    {"[" ROW("1000", "a", "received", "") "," /* without a span: the nearest call of its component, or none */
     ROW("1000", "x", "alone", "") "," ROW("1001", "a", "one", "\"span_id\":\"1\"") "," ROW(
         "9000", "a", "two", "\"span_id\":\"2\"") "," ROW("9100", "a", "after", "") "]",
     "      +0.000 ms                 TRACE x: alone\n"
     "      +0.001 ms                 a\n"
     "      +0.000 ms                   TRACE received\n"
     "      +0.001 ms                   TRACE one\n"
     "      +8.000 ms                 a\n"
     "      +8.000 ms                   TRACE two\n"
     "      +8.100 ms                   TRACE after\n"},
    {"[" ROW("1", "a", "x",
             "\"span_id\":\"1\",\"parent_span_id\":\"2\"") "," /* a circle, and one's own parent */
     ROW("2", "b", "y", "\"span_id\":\"2\",\"parent_span_id\":\"1\"") "," ROW(
         "3", "c", "z", "\"span_id\":\"3\",\"parent_span_id\":\"3\"") "]",
     "      +0.001 ms                 b\n"
     "      +0.000 ms                   a\n"
     "      +0.000 ms                     TRACE x\n"
     "      +0.001 ms                   TRACE y\n"
     "      +0.002 ms                 c\n"
     "      +0.002 ms                   TRACE z\n"},
    {"[7,{},{\"us\":0,\"data\":[1],\"message\":5},{\"us\":0,\"component\":\"\\u001b\",\"data\":{\"span_id\":"
     "7}}]",
     OFFSET NO_TIME "   : \n" OFFSET NO_TIME "   : \n" OFFSET NO_TIME "   : \n" OFFSET NO_TIME
                    "   \\u001b: \n"},
};

static void make(trace_tree_t *tree, yyjson_doc *doc) {
  size_t i, max;
  yyjson_val *row;
  yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, row) {
    trace_tree_add(tree, row, yyjson_get_sint(yyjson_obj_get(row, "us")));
  }
  trace_tree_build(tree);
}

Test(trace, trees) {
  setlocale(LC_CTYPE, "C.UTF-8");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    capture_t captured;
    trace_tree_t tree = {.nodes = NULL};
    yyjson_doc *doc = json(cases[i].rows);
    make(&tree, doc);
    capture_begin(&captured, 0);
    trace_print(&captured.print, &tree);
    capture_end(&captured, cases[i].shown);
    trace_tree_deinit(&tree);
    yyjson_doc_free(doc);
  }
  assert_no_leaks();
}

Test(trace, json) {
  static const char rows[] =
      "[" ROW("1", "b", "x", "\"span_id\":\"2\",\"parent_span_id\":\"1\"") "," ROW("2", "q", "y", "") "]";
  static const char expected[] =
      "{\"trace_id\":\"t\\\\u001b\",\"calls\":[{\"span_id\":\"1\",\"parent_span_id\":null,\"depth\":0,"
      "\"component\":null,"
      "\"tool\":null,\"start_ms\":0.0,\"duration_ms\":null,\"outcome\":\"missing\",\"error\":null},"
      "{\"span_id\":\"2\",\"parent_span_id\":\"1\",\"depth\":1,\"component\":\"b\",\"tool\":null,\"start_"
      "ms\":0.0,"
      "\"duration_ms\":null,\"outcome\":\"unknown\",\"error\":null}],\"lines\":[{\"span_id\":\"2\",\"depth\":"
      "2,"
      "\"start_ms\":0.0,\"line\":" ROW(
          "1", "b", "x",
          "\"span_id\":\"2\",\"parent_span_id\":\"1\"") "},"
                                                        "{\"span_id\":null,\"depth\":0,\"start_ms\":0.001,"
                                                        "\"line\":" ROW("2", "q", "y", "") "}]}\n";
  capture_t captured;
  trace_tree_t tree = {.nodes = NULL};
  yyjson_doc *doc = json(rows);
  make(&tree, doc);
  capture_begin(&captured, 0);
  trace_print_json(&captured.print, &tree, "t\033");
  capture_end(&captured, expected);
  trace_tree_deinit(&tree);
  yyjson_doc_free(doc);
  assert_no_leaks();
}

Test(trace, calls_in_each_other_without_end) {
  enum { CALLS = 3000 };
  trace_tree_t tree = {.nodes = NULL};
  yyjson_doc *docs[CALLS];
  size_t deepest = 0;
  for (int i = 0; i < CALLS; i++) {
    char text[160];
    snprintf(text, sizeof text, "{\"data\":{\"span_id\":\"%d\",\"parent_span_id\":\"%d\"},\"message\":\"m\"}",
             i, (i + 1) % CALLS);
    docs[i] = json(text);
    trace_tree_add(&tree, yyjson_doc_get_root(docs[i]), i);
  }
  trace_tree_build(&tree);
  for (const trace_node_t *node = NULL; (node = trace_tree_next(&tree, node)) != NULL;)
    deepest = node->depth > deepest ? node->depth : deepest;
  cr_expect_eq(deepest, CALLS);
  trace_tree_deinit(&tree);
  for (int i = 0; i < CALLS; i++)
    yyjson_doc_free(docs[i]);
  assert_no_leaks();
}
