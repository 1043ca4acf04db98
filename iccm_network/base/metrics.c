/* metrics.c: see metrics.h.
 *
 * Happy path: a metric is created once, under the mutex, and lives as long as its registry. Counting finds
 * the series of a label value without a lock, in a table that only grows, and adds atomically. Writing
 * iterates over all series while other threads count. Failure: a label value that is too long, not UTF-8, one
 * too many, or has no memory counts as "other", so that sums stay correct; values that would corrupt a sum
 * are ignored. */
#include "base/metrics.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 64 };

static const double bounds_s[MCP__METRICS_BUCKETS] = {0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1,     0.3,
                                                      1,      3,      10,    30,    100,  300,  INFINITY};
static const char *const bound_texts[MCP__METRICS_BUCKETS] = {"0.0001", "0.0003", "0.001", "0.003", "0.01",
                                                              "0.03",   "0.1",    "0.3",   "1",     "3",
                                                              "10",     "30",     "100",   "300",   "+Inf"};

typedef struct series {
  struct series *next;  /* of the same slot; set before the series is published */
  _Atomic double value; /* of a histogram the sum */
  _Atomic uint64_t buckets[MCP__METRICS_BUCKETS];
  char label_value[];
} series_t;

struct mcp_metric {
  mcp_metric_t *next;
  mcp__metrics_t *metrics;
  int type;
  char *name, *help, *label; /* label NULL: none */
  series_t *other_series;    /* the only series of a metric without a label, else the series of "other" */
  atomic_bool other_used;
  atomic_uint count; /* of label values */
  _Atomic(series_t *) slots[SLOTS];
};

static const char other[] = "other";

/* ---- exposition text ------------------------------------------------------------------------------- */

size_t mcp__histogram_bucket(double seconds) {
  size_t bucket = 0;
  while (bucket < MCP__METRICS_BUCKETS - 1 && seconds > bounds_s[bucket])
    bucket++;
  return bucket;
}

static int append_escaped(mcp__buf_t *out, const char *text, const char *special) {
  int status = 0;
  while (status == 0 && *text != '\0') {
    size_t plain = strcspn(text, special);
    status = mcp__buf_append(out, text, plain);
    text += plain;
    if (*text != '\0')
      status =
          mcp__buf_first_error(status, mcp__buf_append(out, (char[]){'\\', *text == '\n' ? 'n' : *text}, 2));
    text += *text != '\0';
  }
  return status;
}

int mcp__expose_header(mcp__buf_t *out, const char *name, int type, const char *help) {
  static const char *const types[] = {"counter", "gauge", "histogram"};
  int status = mcp__buf_printf(out, "# HELP %s ", name);
  status = mcp__buf_first_error(status, append_escaped(out, help, "\\\n"));
  return mcp__buf_first_error(status, mcp__buf_printf(out, "\n# TYPE %s %s\n", name, types[type]));
}

/* yyjson writes fractions: in the shortest form, and with a point in every locale. */
static int append_number(mcp__buf_t *out, double value) {
  const double exact = 9007199254740992.0; /* 2^53: a double holds every integer below it */
  if (value > -exact && value < exact && value == (double)(int64_t)value) {
    char digits[32];
    int len = snprintf(digits, sizeof digits, " %" PRId64 "\n", (int64_t)value);
    return mcp__buf_append(out, digits, (size_t)len);
  }
  yyjson_val number = {0}; /* zeroed: yyjson_set_real() rejects containers */
  yyjson_set_real(&number, value);
  char *text = yyjson_val_write_opts(&number, 0, &mcp__json_alc, NULL, NULL);
  int status = text != NULL ? mcp__buf_printf(out, " %s\n", text) : UV_ENOMEM;
  mcp__free(text);
  return status;
}

static int append_label(mcp__buf_t *out, const char *before, const mcp__label_t *label) {
  int status = mcp__buf_puts(out, before);
  status = mcp__buf_first_error(status, mcp__buf_puts(out, label->name));
  status = mcp__buf_first_error(status, mcp__buf_append(out, "=\"", 2));
  status = mcp__buf_first_error(status, append_escaped(out, label->value, "\\\n\""));
  return mcp__buf_first_error(status, mcp__buf_append(out, "\"", 1));
}

static int append_sample(mcp__buf_t *out, const char *name, const char *suffix, const mcp__label_t *labels,
                         size_t count, const char *bound, double value) {
  const mcp__label_t le = {"le", bound};
  int status = mcp__buf_puts(out, name);
  status = mcp__buf_first_error(status, mcp__buf_puts(out, suffix));
  for (size_t i = 0; i < count; i++)
    status = mcp__buf_first_error(status, append_label(out, i == 0 ? "{" : ",", &labels[i]));
  if (bound != NULL)
    status = mcp__buf_first_error(status, append_label(out, count == 0 ? "{" : ",", &le));
  if (bound != NULL || count > 0)
    status = mcp__buf_first_error(status, mcp__buf_append(out, "}", 1));
  return mcp__buf_first_error(status, append_number(out, value));
}

int mcp__expose(mcp__buf_t *out, const char *name, const mcp__label_t *labels, size_t count, double value) {
  return append_sample(out, name, "", labels, count, NULL, value);
}

int mcp__expose_histogram(mcp__buf_t *out, const char *name, const mcp__label_t *labels, size_t count,
                          const mcp__duration_histogram_t *times) {
  uint64_t sum = 0; /* buckets are written cumulatively */
  int status = 0;
  for (size_t i = 0; i < MCP__METRICS_BUCKETS; i++) {
    sum += times->buckets[i];
    status = mcp__buf_first_error(
        status, append_sample(out, name, "_bucket", labels, count, bound_texts[i], (double)sum));
  }
  status = mcp__buf_first_error(status, append_sample(out, name, "_sum", labels, count, NULL, times->sum_s));
  return mcp__buf_first_error(status, append_sample(out, name, "_count", labels, count, NULL, (double)sum));
}

/* ---- registration ---------------------------------------------------------------------------------- */

static void free_metric(mcp_metric_t *metric) {
  for (size_t i = 0; i < SLOTS; i++) {
    for (series_t *series = atomic_load(&metric->slots[i]), *next; series != NULL; series = next) {
      next = series->next;
      mcp__free(series);
    }
  }
  mcp__free(metric->other_series);
  mcp__free(metric->name);
  mcp__free(metric->help);
  mcp__free(metric->label);
  mcp__free(metric);
}

mcp__metrics_t *mcp__metrics_new(void) {
  mcp__metrics_t *metrics = mcp__calloc(sizeof *metrics);
  if (metrics == NULL || uv_mutex_init(&metrics->mutex) != 0) {
    mcp__free(metrics);
    return NULL;
  }
  atomic_init(&metrics->users, 1);
  return metrics;
}

mcp__metrics_t *mcp__metrics_hold(mcp__metrics_t *metrics) {
  atomic_fetch_add(&metrics->users, 1);
  return metrics;
}

void mcp__metrics_release(mcp__metrics_t *metrics) {
  if (metrics == NULL || atomic_fetch_sub(&metrics->users, 1) > 1)
    return;
  for (mcp_metric_t *metric = metrics->first, *next; metric != NULL; metric = next) {
    next = metric->next;
    free_metric(metric);
  }
  uv_mutex_destroy(&metrics->mutex);
  mcp__free(metrics);
}

static series_t *new_series(const char *label_value) {
  size_t size = strlen(label_value) + 1;
  series_t *series = mcp__calloc(sizeof *series + size);
  if (series != NULL)
    memcpy(series->label_value, label_value, size);
  return series;
}

static mcp_metric_t *new_metric(int type, const char *name, const char *help, const char *label) {
  mcp_metric_t *metric = mcp__calloc(sizeof *metric);
  if (metric == NULL)
    return NULL;
  metric->type = type;
  metric->name = mcp__strdup(name);
  metric->help = mcp__strdup(help);
  metric->label = label != NULL ? mcp__strdup(label) : NULL;
  metric->other_series = new_series(other);
  if (metric->name != NULL && metric->help != NULL && (metric->label != NULL) == (label != NULL) &&
      metric->other_series != NULL)
    return metric;
  free_metric(metric);
  return NULL;
}

/* Letters, digits, _ and the characters in extra; no digit first. */
static bool is_valid_name(const char *name, const char *extra) {
  size_t len = name != NULL ? strnlen(name, MCP__METRICS_NAME_BYTES + 1) : 0;
  for (size_t i = 0; i < len; i++) {
    bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') || name[i] == '_';
    bool digit = name[i] >= '0' && name[i] <= '9' && i > 0;
    if (!letter && !digit && strchr(extra, name[i]) == NULL)
      return false;
  }
  return len > 0 && len <= MCP__METRICS_NAME_BYTES;
}

static const char *find_argument_error(int type, const char *name, const char *help, const char *label) {
  if (type != MCP_COUNTER && type != MCP_GAUGE && type != MCP_HISTOGRAM)
    return "the type must be MCP_COUNTER, MCP_GAUGE or MCP_HISTOGRAM";
  if (!is_valid_name(name, ":"))
    return "the name must be 1 to 128 of A-Z a-z 0-9 _ : and must not begin with a digit";
  if (strncmp(name, "iccm_", 5) == 0)
    return "names that begin with iccm_ are reserved for the library";
  if (help == NULL || strlen(help) > MCP__METRICS_HELP_BYTES || !mcp__utf8_valid(help, strlen(help)))
    return "the help must be UTF-8 of at most 1,024 bytes";
  if (label != NULL &&
      (!is_valid_name(label, "") || strncmp(label, "__", 2) == 0 || strcmp(label, "le") == 0))
    return "the label must be 1 to 128 of A-Z a-z 0-9 _, begin with none of the digits, nor with __, and not "
           "be le";
  return NULL;
}

/* Whether name is the name of a sample of the metric, which is a histogram. */
static bool is_sample_name(int type, const char *metric_name, const char *name) {
  size_t len = strlen(metric_name);
  if (type != MCP_HISTOGRAM || strncmp(metric_name, name, len) != 0)
    return false;
  return strcmp(name + len, "_bucket") == 0 || strcmp(name + len, "_sum") == 0 ||
         strcmp(name + len, "_count") == 0;
}

static bool is_same(const mcp_metric_t *metric, int type, const char *label) {
  bool same_label =
      label != NULL && metric->label != NULL ? strcmp(label, metric->label) == 0 : label == metric->label;
  return metric->type == type && same_label;
}

/* Returns the metric with this name, type and label. NULL: there is none, or *problem is set. */
static mcp_metric_t *find_metric(mcp__metrics_t *metrics, int type, const char *name, const char *label,
                                 const char **problem) {
  for (mcp_metric_t *metric = metrics->first; metric != NULL; metric = metric->next) {
    bool same_name = strcmp(metric->name, name) == 0;
    if (same_name && is_same(metric, type, label))
      return metric;
    if (same_name || is_sample_name(metric->type, metric->name, name) ||
        is_sample_name(type, name, metric->name))
      *problem = "another metric already has this name";
  }
  return NULL;
}

static int append_metric(mcp__metrics_t *metrics, mcp_metric_t *metric, const char **problem) {
  if (metric == NULL) {
    *problem = "out of memory";
    return UV_ENOMEM;
  }
  metric->metrics = metrics;
  *(metrics->last != NULL ? &metrics->last->next : &metrics->first) = metric;
  metrics->last = metric;
  metrics->count++;
  return 0;
}

int mcp__metrics_add(mcp__metrics_t *metrics, int type, const char *name, const char *help, const char *label,
                     mcp_metric_t **metric, const char **problem) {
  int status = 0;
  *problem = find_argument_error(type, name, help, label);
  if (*problem != NULL)
    return UV_EINVAL;
  uv_mutex_lock(&metrics->mutex);
  mcp_metric_t *found = find_metric(metrics, type, name, label, problem);
  if (*problem != NULL) {
    status = UV_EEXIST;
  } else if (found == NULL && metrics->count == MCP__METRICS_MAX) {
    *problem = "the limit of 256 metrics is reached";
    status = MCP_ELIMIT;
  } else if (found == NULL) {
    found = new_metric(type, name, help, label);
    status = append_metric(metrics, found, problem);
  }
  uv_mutex_unlock(&metrics->mutex);
  if (status == 0)
    *metric = found;
  return status;
}

/* ---- counting -------------------------------------------------------------------------------------- */

static series_t *find_in_slot(mcp_metric_t *metric, size_t slot, const char *value) {
  series_t *series = atomic_load_explicit(&metric->slots[slot], memory_order_acquire);
  while (series != NULL && strcmp(series->label_value, value) != 0)
    series = series->next;
  return series;
}

static series_t *add_to_slot(mcp_metric_t *metric, size_t slot, const char *value) {
  uv_mutex_lock(&metric->metrics->mutex);
  series_t *series = find_in_slot(metric, slot, value); /* another thread may have created it */
  if (series == NULL && atomic_load(&metric->count) < MCP__METRICS_LABEL_VALUES_MAX &&
      (series = new_series(value)) != NULL) {
    atomic_fetch_add(&metric->count, 1);
    series->next = atomic_load(&metric->slots[slot]);
    atomic_store_explicit(&metric->slots[slot], series, memory_order_release);
  }
  uv_mutex_unlock(&metric->metrics->mutex);
  return series;
}

static size_t slot_of(const char *value, size_t len) { /* FNV-1a */
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < len; i++)
    hash = (hash ^ (unsigned char)value[i]) * 16777619u;
  return hash % SLOTS;
}

static series_t *find(mcp_metric_t *metric, const char *value) {
  if (metric->label == NULL)
    return metric->other_series;
  size_t len =
      value != NULL ? strnlen(value, MCP__METRICS_LABEL_VALUE_BYTES + 1) : MCP__METRICS_LABEL_VALUE_BYTES + 1;
  series_t *series = NULL;
  if (len <= MCP__METRICS_LABEL_VALUE_BYTES && strcmp(value, other) != 0) {
    size_t slot = slot_of(value, len);
    series = find_in_slot(metric, slot, value);
    if (series == NULL && atomic_load(&metric->count) < MCP__METRICS_LABEL_VALUES_MAX &&
        mcp__utf8_valid(value, len))
      series = add_to_slot(metric, slot, value);
  }
  if (series != NULL)
    return series;
  atomic_store_explicit(&metric->other_used, true, memory_order_relaxed);
  return metric->other_series;
}

static void atomic_add(_Atomic double *sum, double value) {
  double before = atomic_load_explicit(sum, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(sum, &before, before + value, memory_order_relaxed,
                                                memory_order_relaxed))
    ;
}

void mcp_metric_add(mcp_metric_t *metric, const char *label_value, double value) {
  if (metric == NULL || !isfinite(value) || (value < 0 && metric->type != MCP_GAUGE))
    return;
  series_t *series = find(metric, label_value);
  if (metric->type == MCP_HISTOGRAM)
    atomic_fetch_add_explicit(&series->buckets[mcp__histogram_bucket(value)], 1, memory_order_relaxed);
  atomic_add(&series->value, value);
}

void mcp_metric_set(mcp_metric_t *metric, const char *label_value, double value) {
  if (metric != NULL && metric->type == MCP_GAUGE && isfinite(value))
    atomic_store_explicit(&find(metric, label_value)->value, value, memory_order_relaxed);
}

/* ---- writing --------------------------------------------------------------------------------------- */

static int write_series(const mcp_metric_t *metric, series_t *series, mcp__buf_t *out) {
  const mcp__label_t label = {metric->label, series->label_value};
  size_t labels = metric->label != NULL;
  double value = atomic_load_explicit(&series->value, memory_order_relaxed);
  if (metric->type != MCP_HISTOGRAM)
    return mcp__expose(out, metric->name, &label, labels, value);
  mcp__duration_histogram_t times = {.sum_s = value};
  for (size_t i = 0; i < MCP__METRICS_BUCKETS; i++)
    times.buckets[i] = atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
  return mcp__expose_histogram(out, metric->name, &label, labels, &times);
}

static int write_metric(mcp_metric_t *metric, mcp__buf_t *out) {
  int status = mcp__expose_header(out, metric->name, metric->type, metric->help);
  for (size_t i = 0; i < SLOTS; i++)
    for (series_t *series = atomic_load(&metric->slots[i]); series != NULL; series = series->next)
      status = mcp__buf_first_error(status, write_series(metric, series, out));
  if (metric->label == NULL || atomic_load(&metric->other_used))
    status = mcp__buf_first_error(status, write_series(metric, metric->other_series, out));
  return status;
}

int mcp__metrics_write(mcp__metrics_t *metrics, mcp__buf_t *out) {
  int status = 0;
  uv_mutex_lock(&metrics->mutex);
  for (mcp_metric_t *metric = metrics->first; metric != NULL && status == 0; metric = metric->next)
    status = write_metric(metric, out);
  uv_mutex_unlock(&metrics->mutex);
  return status;
}
