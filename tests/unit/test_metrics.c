/* test_metrics.c: the exact exposition text, limits, and counting from many threads at once. */
#include "base/metrics.h"

#include "out_of_memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static mcp__metrics_t *metrics;
static mcp__buf_t text;

static void open_all(void) {
  metrics = mcp__metrics_new();
  cr_assert_not_null(metrics);
  mcp__buf_init(&text, 16 << 20, NULL);
}

static void close_all(void) {
  mcp__metrics_release(metrics);
  mcp__buf_deinit(&text);
}

TestSuite(metrics, .init = open_all, .fini = close_all);

static mcp_metric_t *make(int type, const char *name, const char *label) {
  mcp_metric_t *metric = NULL;
  const char *problem;
  int status = mcp__metrics_add(metrics, type, name, "Help.", label, &metric, &problem);
  cr_assert_eq(status, 0, "%s: %s", name, problem);
  return metric;
}

static const char *written(void) {
  text.len = 0;
  cr_assert_eq(mcp__metrics_write(metrics, &text), 0);
  cr_assert_eq(mcp__buf_append(&text, "", 1), 0);
  return text.data;
}

static bool shows(const char *line) {
  char whole[512];
  snprintf(whole, sizeof whole, "\n%s\n", line);
  return strstr(written(), whole) != NULL;
}

#define expect_line(line) cr_expect(shows(line), "%s is not in\n%s", line, text.data)

Test(metrics, nothing_is_nothing) {
  cr_assert_str_eq(written(), "");
}

Test(metrics, counters_and_gauges) {
  mcp_metric_t *rows = make(MCP_COUNTER, "rows_total", NULL), *heat = make(MCP_GAUGE, "heat", "room");
  mcp_metric_add(rows, NULL, 1);
  mcp_metric_add(rows, "no label, no effect", 2.5);
  mcp_metric_set(heat, "kitchen", 21);
  mcp_metric_add(heat, "kitchen", -22.5);
  cr_assert_str_eq(written(), "# HELP rows_total Help.\n# TYPE rows_total counter\nrows_total 3.5\n"
                              "# HELP heat Help.\n# TYPE heat gauge\nheat{room=\"kitchen\"} -1.5\n");
}

Test(metrics, a_histogram) {
  static const double values[] = {0, 0.0001, 0.00011, 0.3, 299, 300, 300.5, 1e9};
  mcp_metric_t *took = make(MCP_HISTOGRAM, "took_seconds", "what");
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    mcp_metric_add(took, "a", values[i]);
  cr_assert_str_eq(written(), "# HELP took_seconds Help.\n# TYPE took_seconds histogram\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.0001\"} 2\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.0003\"} 3\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.001\"} 3\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.003\"} 3\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.01\"} 3\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.03\"} 3\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.1\"} 3\n"
                              "took_seconds_bucket{what=\"a\",le=\"0.3\"} 4\n"
                              "took_seconds_bucket{what=\"a\",le=\"1\"} 4\n"
                              "took_seconds_bucket{what=\"a\",le=\"3\"} 4\n"
                              "took_seconds_bucket{what=\"a\",le=\"10\"} 4\n"
                              "took_seconds_bucket{what=\"a\",le=\"30\"} 4\n"
                              "took_seconds_bucket{what=\"a\",le=\"100\"} 4\n"
                              "took_seconds_bucket{what=\"a\",le=\"300\"} 6\n"
                              "took_seconds_bucket{what=\"a\",le=\"+Inf\"} 8\n"
                              "took_seconds_sum{what=\"a\"} 1000000899.80021\n"
                              "took_seconds_count{what=\"a\"} 8\n");
}

Test(metrics, a_histogram_without_a_label) {
  mcp_metric_add(make(MCP_HISTOGRAM, "took", NULL), NULL, 2);
  expect_line("took_bucket{le=\"1\"} 0");
  expect_line("took_bucket{le=\"3\"} 1");
  expect_line("took_sum 2");
  expect_line("took_count 1");
}

Test(metrics, what_has_to_be_escaped) {
  mcp_metric_t *metric = NULL;
  const char *problem;
  cr_assert_eq(mcp__metrics_add(metrics, MCP_COUNTER, "n", "a\\b\nc\"d", "l", &metric, &problem), 0);
  mcp_metric_add(metric, "\"\\\n\xc3\xbc}", 1);
  mcp_metric_add(metric, "", 2);
  cr_expect_not_null(strstr(written(), "# HELP n a\\\\b\\nc\"d\n"), "%s", text.data);
  expect_line("n{l=\"\\\"\\\\\\n\xc3\xbc}\"} 1");
  expect_line("n{l=\"\"} 2");
}

Test(metrics, numbers) {
  static const struct {
    double value;
    const char *text;
  } rows[] = {{0, "0"},
              {-0.0, "0"},
              {0.1, "0.1"},
              {-0.1, "-0.1"},
              {1e-7, "1e-7"},
              {123456789, "123456789"},
              {9007199254740991, "9007199254740991"},
              {1e300, "1e300"},
              {-5, "-5"}};
  mcp_metric_t *gauge = make(MCP_GAUGE, "g", NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char line[64];
    snprintf(line, sizeof line, "g %s", rows[i].text);
    mcp_metric_set(gauge, NULL, rows[i].value);
    expect_line(line);
  }
}

Test(metrics, values_that_are_not_taken) {
  mcp_metric_t *all[] = {make(MCP_COUNTER, "c", NULL), make(MCP_GAUGE, "g", NULL),
                         make(MCP_HISTOGRAM, "h", NULL)};
  for (size_t i = 0; i < 3; i++) {
    mcp_metric_add(all[i], NULL, NAN);
    mcp_metric_add(all[i], NULL, INFINITY);
    mcp_metric_set(all[i], NULL, -INFINITY);
    mcp_metric_set(all[i], NULL, i == 1 ? 0 : 5); /* only gauges are set */
    if (i != 1)
      mcp_metric_add(all[i], NULL, -1);
  }
  mcp_metric_add(NULL, "x", 1);
  mcp_metric_set(NULL, "x", 1);
  expect_line("c 0");
  expect_line("g 0");
  expect_line("h_count 0");
  expect_line("h_sum 0");
}

Test(metrics, names_labels_and_help) {
  static char long_name[200], long_help[1100];
  memset(long_name, 'n', 129);
  memset(long_help, 'h', 1025);
  const struct {
    int type;
    const char *name, *help, *label;
  } rows[] = {
      {MCP_COUNTER, NULL, "h", NULL},      {MCP_COUNTER, "", "h", NULL},
      {MCP_COUNTER, "1a", "h", NULL},      {MCP_COUNTER, "a-b", "h", NULL},
      {MCP_COUNTER, "a b", "h", NULL},     {MCP_COUNTER, "\xc3\xbc", "h", NULL},
      {MCP_COUNTER, "iccm_x", "h", NULL},  {MCP_COUNTER, long_name, "h", NULL},
      {MCP_COUNTER, "a", NULL, NULL},      {MCP_COUNTER, "a", long_help, NULL},
      {MCP_COUNTER, "a", "\xff", NULL},    {MCP_COUNTER, "a", "h", ""},
      {MCP_COUNTER, "a", "h", "a:b"},      {MCP_COUNTER, "a", "h", "__a"},
      {MCP_HISTOGRAM, "a", "h", "le"},     {MCP_COUNTER, "a", "h", "1"},
      {MCP_COUNTER, "a", "h", long_name},  {-1, "a", "h", NULL},
      {MCP_HISTOGRAM + 1, "a", "h", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp_metric_t *metric = NULL;
    const char *problem = NULL;
    int status =
        mcp__metrics_add(metrics, rows[i].type, rows[i].name, rows[i].help, rows[i].label, &metric, &problem);
    cr_expect_eq(status, UV_EINVAL, "row %zu", i);
    cr_expect_not_null(problem, "row %zu", i);
    cr_expect_null(metric, "row %zu", i);
  }
  long_name[128] = long_help[1024] = '\0';
  mcp_metric_t *metric = NULL;
  const char *problem;
  cr_assert_eq(mcp__metrics_add(metrics, MCP_COUNTER, long_name, long_help, long_name, &metric, &problem), 0);
  make(MCP_COUNTER, ":a_Z9", "_a");
}

Test(metrics, the_same_again_and_names_in_use) {
  mcp_metric_t *counter = make(MCP_COUNTER, "a", "l"), *metric = NULL;
  cr_assert_eq(make(MCP_COUNTER, "a", "l"), counter);
  make(MCP_HISTOGRAM, "h", NULL);
  make(MCP_COUNTER, "x_sum", NULL);
  static const struct {
    int type;
    const char *name, *label;
  } rows[] = {{MCP_GAUGE, "a", "l"},          {MCP_COUNTER, "a", "m"},       {MCP_COUNTER, "a", NULL},
              {MCP_COUNTER, "h_count", NULL}, {MCP_GAUGE, "h_bucket", NULL}, {MCP_HISTOGRAM, "x", NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *problem = NULL;
    int status = mcp__metrics_add(metrics, rows[i].type, rows[i].name, "h", rows[i].label, &metric, &problem);
    cr_expect_eq(status, UV_EEXIST, "%s", rows[i].name);
  }
  make(MCP_COUNTER, "h_counts", NULL);
  cr_assert_null(metric);
}

Test(metrics, too_many_metrics) {
  char name[32];
  for (int i = 0; i < MCP__METRICS_MAX; i++) {
    snprintf(name, sizeof name, "m%d", i);
    make(MCP_COUNTER, name, NULL);
  }
  mcp_metric_t *metric = NULL;
  const char *problem;
  cr_assert_eq(mcp__metrics_add(metrics, MCP_COUNTER, "more", "h", NULL, &metric, &problem), MCP_ELIMIT);
  make(MCP_COUNTER, name, NULL); /* exists already */
}

Test(metrics, what_counts_as_other) {
  mcp_metric_t *metric = make(MCP_COUNTER, "n", "l");
  char value[200];
  for (int i = 0; i < MCP__METRICS_LABEL_VALUES_MAX; i++) {
    snprintf(value, sizeof value, "v%d", i);
    mcp_metric_add(metric, value, 1);
  }
  cr_expect_null(strstr(written(), "other"));
  mcp_metric_add(metric, "one more", 1);
  mcp_metric_add(metric, "v7", 1); /* exists */
  expect_line("n{l=\"other\"} 1");
  expect_line("n{l=\"v7\"} 2");
  mcp_metric_t *second = make(MCP_COUNTER, "m", "l");
  memset(value, 'x', 129);
  value[129] = '\0';
  mcp_metric_add(second, value, 1);
  mcp_metric_add(second, NULL, 10);
  mcp_metric_add(second, "\xff", 100);
  mcp_metric_add(second, "other", 1000);
  value[128] = '\0';
  mcp_metric_add(second, value, 3);
  expect_line("m{l=\"other\"} 1111");
  char line[200];
  snprintf(line, sizeof line, "m{l=\"%s\"} 3", value);
  expect_line(line);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, VALUES = 130 };
static mcp_metric_t *shared, *plain, *timed;

static void count(void *arg) {
  (void)arg;
  char value[16];
  for (int i = 0; i < ROUNDS; i++) {
    snprintf(value, sizeof value, "v%d", i % VALUES);
    mcp_metric_add(shared, value, 1);
    mcp_metric_add(plain, NULL, 0.5);
    mcp_metric_add(timed, NULL, 1);
  }
}

static double sum_of(const char *name) {
  double sum = 0;
  for (const char *line = strstr(written(), name); line != NULL; line = strstr(line + 1, name))
    sum += strtod(strchr(line, '}') + 1, NULL);
  return sum;
}

Test(metrics, nothing_is_lost_between_threads) {
  uv_thread_t threads[THREADS];
  shared = make(MCP_COUNTER, "shared", "l");
  plain = make(MCP_COUNTER, "plain", NULL);
  timed = make(MCP_HISTOGRAM, "timed", NULL);
  for (int i = 0; i < THREADS; i++)
    cr_assert_eq(uv_thread_create(&threads[i], count, NULL), 0);
  for (int i = 0; i < 50; i++)
    written(); /* meanwhile */
  for (int i = 0; i < THREADS; i++)
    uv_thread_join(&threads[i]);
  cr_expect_eq(sum_of("\nshared{"), (double)THREADS * ROUNDS, "%s", text.data);
  expect_line("plain 40000");
  expect_line("timed_count 80000");
  expect_line("timed_sum 80000");
}

Test(metrics, who_holds_them_may_count) {
  mcp_metric_t *metric = make(MCP_COUNTER, "n", "l");
  cr_assert_eq(mcp__metrics_hold(metrics), metrics);
  mcp__metrics_release(metrics);
  mcp_metric_add(metric, "new", 1);
  expect_line("n{l=\"new\"} 1");
  mcp__metrics_release(NULL);
}

/* ---- out of memory ---- */

Test(without_memory, counts_as_other_and_makes_nothing) {
  use_failing_allocator();
  cr_assert_null(mcp__metrics_new());
  memory.allowed = 100000;
  open_all();
  const char *problem;
  mcp_metric_t *metric = NULL;
  for (long granted = 0; metric == NULL; granted++) {
    memory.allowed = granted;
    memory.once = true;
    int status = mcp__metrics_add(metrics, MCP_COUNTER, "n", "h", "l", &metric, &problem);
    cr_assert(status == UV_ENOMEM || metric != NULL, "%d", status);
    cr_assert_lt(granted, 20);
  }
  memory.allowed = 0;
  mcp_metric_add(metric, "a", 1);
  memory.allowed = 100000;
  mcp_metric_add(metric, "a", 2);
  expect_line("n{l=\"other\"} 1");
  expect_line("n{l=\"a\"} 2");
  memory.allowed = 0;
  memory.once = false;
  mcp__buf_t out;
  mcp__buf_init(&out, 1 << 20, NULL);
  cr_expect_eq(mcp__metrics_write(metrics, &out), UV_ENOMEM);
  mcp__buf_init(&out, 32, NULL);
  memory.allowed = 100000;
  cr_expect_eq(mcp__metrics_write(metrics, &out), MCP_ETOOBIG);
  mcp__buf_deinit(&out);
  close_all();
  cr_assert_eq(memory.live, 0);
}
