/* prometheus_parser and stats_view: parsing the Prometheus text format, and the document and tables made of
 * it. */
#include <locale.h>
#include <math.h>
#include <string.h>
#include "cli_test.h"
#include "prometheus_parser.h"
#include "stats_view.h"

static const char text[] = "# HELP iccm_connections Open.\n"
                           "# TYPE iccm_connections gauge\n"
                           "iccm_connections 3\n"
                           "# TYPE iccm_refusals_total counter\n"
                           "iccm_refusals_total{reason=\"403\"} 2\n"
                           "# TYPE iccm_log_lines_total counter\n"
                           "iccm_log_lines_total{outcome=\"shipped\"} 7\n"
                           "# TYPE iccm_calls_total counter\n"
                           "iccm_calls_total{tool=\"idle\",outcome=\"ok\"} 0\n"
                           "iccm_calls_total{tool=\"echo\",outcome=\"ok\"} 8\n"
                           "iccm_calls_total{tool=\"echo\",outcome=\"tool_error\"} 2\n"
                           "iccm_calls_total{tool=\"echo\",outcome=\"busy\"} 0\n"
                           "# TYPE iccm_call_duration_seconds histogram\n"
                           "iccm_call_duration_seconds_bucket{tool=\"echo\",le=\"0.01\"} 5\n"
                           "iccm_call_duration_seconds_bucket{tool=\"echo\",le=\"0.03\"} 10\n"
                           "iccm_call_duration_seconds_bucket{tool=\"echo\",le=\"+Inf\"} 10\n"
                           "iccm_call_duration_seconds_sum{tool=\"echo\"} 0.125\n"
                           "iccm_call_duration_seconds_count{tool=\"echo\"} 10\n"
                           "# TYPE sold_total counter\n"
                           "sold_total{size=\"a \\\"b\\\"\\\\\\n\"} 1.5\n"
                           "bare 1e3\n";

Test(stats, document) {
  static const char expected[] =
      "{\"server\":{\"connections\":3,\"log_lines_shipped\":7},"
      "\"calls\":[{\"tool\":\"idle\",\"ok\":0},{\"tool\":\"echo\",\"ok\":8,\"tool_error\":2,\"busy\":0,"
      "\"count\":10,"
      "\"mean_ms\":12.5,\"p50_ms\":10,\"p90_ms\":26,\"p99_ms\":29.6}],"
      "\"refusals\":[{\"reason\":\"403\",\"count\":2}],"
      "\"metrics\":[{\"name\":\"sold_total\",\"labels\":{\"size\":\"a \\\"b\\\"\\\\\\\\n\"},\"value\":1.5},"
      "{\"name\":\"bare\",\"labels\":{},\"value\":1000}]}\n";
  capture_t captured;
  yyjson_doc *stats = stats_read(text, sizeof text - 1);
  cr_assert_not_null(stats);
  capture_begin(&captured, 0);
  print_json(&captured.print, yyjson_doc_get_root(stats), false);
  capture_end(&captured, expected);
  yyjson_doc_free(stats);
  assert_no_leaks();
}

Test(stats, tables) {
  static const char expected[] = "connections             3\n"
                                 "log_lines_shipped       7\n"
                                 "\nCalls\n"
                                 "tool  ok  tool_error  mean_ms  p50_ms  p90_ms  p99_ms\n"
                                 "echo   8           2     12.5      10      26    29.6\n"
                                 "\nRefusals\n"
                                 "reason  count\n"
                                 "403         2\n"
                                 "\nMetrics of the component\n"
                                 "name        labels         value\n"
                                 "sold_total  size=a \"b\"\\\\n    1.5\n"
                                 "bare                        1000\n";
  capture_t captured;
  setlocale(LC_CTYPE, "C.UTF-8");
  yyjson_doc *stats = stats_read(text, sizeof text - 1);
  capture_begin(&captured, 80);
  stats_print(&captured.print, yyjson_doc_get_root(stats));
  capture_end(&captured, expected);
  yyjson_doc_free(stats);
  assert_no_leaks();
}

Test(stats, points_in_time) {
  static const char times[] = "store_worked_timestamp_seconds 1795159447.25\n"
                              "never_timestamp_seconds 0\n"
                              "odd_timestamp_seconds 1e30\n"
                              "_timestamp_seconds 1\n";
  static const char expected[] = "\nMetrics of the component\n"
                                 "name                            value\n"
                                 "store_worked_timestamp_seconds  2026-11-20 07:24:07Z\n"
                                 "never_timestamp_seconds         0\n"
                                 "odd_timestamp_seconds           1e30\n"
                                 "_timestamp_seconds              1\n";
  capture_t captured;
  yyjson_doc *stats = stats_read(times, sizeof times - 1);
  capture_begin(&captured, 80);
  stats_print(&captured.print, yyjson_doc_get_root(stats));
  capture_end(&captured, expected);
  yyjson_doc_free(stats);
  assert_no_leaks();
}

Test(stats, quantiles) {
  prometheus_series_t series = {.count = 4, .bucket_count = 3, .buckets = {{1, 0}, {2, 2}, {INFINITY, 4}}};
  cr_expect_eq(prometheus_quantile(&series, 0.25), 1.5);
  cr_expect_eq(prometheus_quantile(&series, 0.5), 2);
  cr_expect_eq(prometheus_quantile(&series, 0.99), 2); /* somewhere beyond the last bound */
  series.bucket_count = 0;
  cr_expect(isnan(prometheus_quantile(&series, 0.5)));
  series.count = 0;
  cr_expect(isnan(prometheus_quantile(&series, 0.5)));
}

Test(stats, what_is_no_such_text) {
  static const char *const texts[] = {"",
                                      "a 1",
                                      "a\n",

                                      "a one\n",
                                      "a 1 2\n",
                                      "1a 1\n",
                                      "a{ 1\n",
                                      "a{b} 1\n",
                                      "a{b=} 1\n",
                                      "a{b=\"\n",
                                      "a{b=\"c} 1\n",
                                      "a{b=\"c\"\n",
                                      "<html></html>\n",
                                      "a{b=\"c\\\n",
                                      "a{le=\"x\"} 1\n",
                                      "# TYPE \n",
                                      "# TYPE h histogram\nh_bucket 1\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    cr_expect_null(stats_read(texts[i], strlen(texts[i])), "%s", texts[i]);
  cr_expect_null(stats_read("a 1\0\n", 5));
  assert_no_leaks();
}

Test(stats, a_text_cut_anywhere) {
  for (size_t len = 0; len < sizeof text - 1; len++) {
    char *piece = malloc(len + 1); /* a separate block, so that sanitizers detect reads beyond its end */
    memcpy(piece, text, len);
    yyjson_doc *stats = stats_read(piece, len);
    cr_expect_eq(stats != NULL, len > 0 && text[len - 1] == '\n', "%zu", len);
    yyjson_doc_free(stats);
    free(piece);
  }
  assert_no_leaks();
}

Test(stats, limits) {
  size_t size;
  char *many;
  for (int over = 0; over < 2; over++) {
    FILE *file = open_memstream(&many, &size);
    for (int i = 0; i < PROMETHEUS_MAX_SERIES + over; i++)
      fputs("a 1\n", file);
    fclose(file);
    yyjson_doc *stats = stats_read(many, size);
    cr_expect_eq(stats != NULL, over == 0);
    yyjson_doc_free(stats);
    free(many);
  }
  assert_no_leaks();
}
