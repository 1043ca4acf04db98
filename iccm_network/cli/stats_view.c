/* stats_view.c: see stats_view.h. The library's metrics are recognised by name; all other metrics with the
 * library's prefix and without labels are server metrics; the rest belongs to the component. */
#include "stats_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "check_alloc.h"
#include "print.h"
#include "print_value.h"
#include "prometheus_parser.h"

enum { MAX_TIME_S = 0x7fffffff };

static const char prefix[] = "iccm_";

static const char *label_of(const prometheus_series_t *series, const char *name) {
  const char *text = yyjson_mut_get_str(yyjson_mut_obj_get(series->labels, name));
  return text != NULL ? text : "";
}

/* ---- the document ---------------------------------------------------------------------------------- */

static void put(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, double value) {
  bool is_small = value > -9e15 && value < 9e15; /* and no NAN */
  yyjson_mut_val *number;
  if (!isfinite(value))
    number = yyjson_mut_null(doc);
  else if (is_small && value == (double)(int64_t)value)
    number = yyjson_mut_sint(doc, (int64_t)value);
  else
    number = yyjson_mut_real(doc, value);
  yyjson_mut_obj_add(object, check_alloc(yyjson_mut_strcpy(doc, name)), check_alloc(number));
}

/* Milliseconds, rounded to three decimal places. */
static void put_ms(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, double seconds) {
  bool is_small = seconds > 0 && seconds < 9e9;
  put(doc, object, name, is_small ? (double)(int64_t)(seconds * 1e6 + 0.5) / 1e3 : seconds * 1e3);
}

static void put_times(yyjson_mut_doc *doc, yyjson_mut_val *object, const prometheus_series_t *series) {
  put(doc, object, "count", series->count);
  put_ms(doc, object, "mean_ms", series->count > 0 ? series->sum / series->count : NAN);
  put_ms(doc, object, "p50_ms", prometheus_quantile(series, 0.5));
  put_ms(doc, object, "p90_ms", prometheus_quantile(series, 0.9));
  put_ms(doc, object, "p99_ms", prometheus_quantile(series, 0.99));
}

static yyjson_mut_val *call_of(yyjson_mut_doc *doc, yyjson_mut_val *calls, const char *tool) {
  size_t i, max;
  yyjson_mut_val *call;
  yyjson_mut_arr_foreach(calls, i, max, call) {
    if (yyjson_mut_equals_str(yyjson_mut_obj_get(call, "tool"), tool))
      return call;
  }
  call = check_alloc(yyjson_mut_arr_add_obj(doc, calls));
  yyjson_mut_obj_add_strcpy(doc, call, "tool", tool);
  return call;
}

static void add_other(yyjson_mut_doc *doc, yyjson_mut_val *metrics, const prometheus_series_t *series) {
  yyjson_mut_val *metric = check_alloc(yyjson_mut_arr_add_obj(doc, metrics));
  yyjson_mut_obj_add_strcpy(doc, metric, "name", series->name);
  yyjson_mut_obj_add_val(doc, metric, "labels", check_alloc(yyjson_mut_val_mut_copy(doc, series->labels)));
  if (series->is_histogram)
    put_times(doc, metric, series);
  else
    put(doc, metric, "value", series->value);
}

static void add_series(yyjson_mut_doc *doc, yyjson_mut_val *root, const prometheus_series_t *series) {
  yyjson_mut_val *calls = yyjson_mut_obj_get(root, "calls"), *server = yyjson_mut_obj_get(root, "server");
  if (strcmp(series->name, "iccm_calls_total") == 0) {
    put(doc, call_of(doc, calls, label_of(series, "tool")), label_of(series, "outcome"), series->value);
  } else if (strcmp(series->name, "iccm_call_duration_seconds") == 0 && series->is_histogram) {
    put_times(doc, call_of(doc, calls, label_of(series, "tool")), series);
  } else if (strcmp(series->name, "iccm_refusals_total") == 0) {
    yyjson_mut_val *refusal = check_alloc(yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_get(root, "refusals")));
    yyjson_mut_obj_add_strcpy(doc, refusal, "reason", label_of(series, "reason"));
    put(doc, refusal, "count", series->value);
  } else if (strcmp(series->name, "iccm_log_lines_total") == 0) {
    char name[64];
    snprintf(name, sizeof name, "log_lines_%s", label_of(series, "outcome"));
    put(doc, server, name, series->value);
  } else if (strncmp(series->name, prefix, strlen(prefix)) == 0 && yyjson_mut_obj_size(series->labels) == 0 &&
             !series->is_histogram) {
    put(doc, server, series->name + strlen(prefix), series->value);
  } else {
    add_other(doc, yyjson_mut_obj_get(root, "metrics"), series);
  }
}

static yyjson_doc *finished(yyjson_mut_doc *doc) {
  yyjson_doc *made = check_alloc(yyjson_mut_doc_imut_copy(doc, NULL));
  yyjson_mut_doc_free(doc);
  return made;
}

yyjson_doc *stats_read(const char *text, size_t len) {
  prometheus_samples_t samples;
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = check_alloc(yyjson_mut_obj(doc));
  yyjson_mut_doc_set_root(doc, root);
  check_alloc(yyjson_mut_obj_add_obj(doc, root, "server"));
  check_alloc(yyjson_mut_obj_add_arr(doc, root, "calls"));
  check_alloc(yyjson_mut_obj_add_arr(doc, root, "refusals"));
  check_alloc(yyjson_mut_obj_add_arr(doc, root, "metrics"));
  bool ok = prometheus_parse(&samples, text, len);
  for (size_t i = 0; ok && i < samples.count; i++)
    add_series(doc, root, &samples.series[i]);
  prometheus_samples_deinit(&samples);
  if (ok)
    return finished(doc);
  yyjson_mut_doc_free(doc);
  return NULL;
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static void print_section(const print_t *print, const char *title, yyjson_mut_doc *doc) {
  yyjson_doc *rows = finished(doc);
  if (yyjson_arr_size(yyjson_doc_get_root(rows)) > 0) {
    fprintf(print->file, "\n%s\n", title);
    print_value(print, yyjson_doc_get_root(rows));
  }
  yyjson_doc_free(rows);
}

static yyjson_mut_doc *new_rows(void) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_doc_set_root(doc, check_alloc(yyjson_mut_arr(doc)));
  return doc;
}

static bool any_has(yyjson_val *calls, const char *name) {
  size_t i, max;
  yyjson_val *call;
  yyjson_arr_foreach(calls, i, max, call) {
    if (yyjson_get_num(yyjson_obj_get(call, name)) > 0)
      return true;
  }
  return false;
}

/* Whether any counter of the call is above 0. */
static bool was_called(yyjson_val *call) {
  size_t i, max;
  yyjson_val *name, *value;
  yyjson_obj_foreach(call, i, max, name, value) {
    if (yyjson_get_num(value) > 0)
      return true;
  }
  return false;
}

static void print_calls(const print_t *print, yyjson_val *calls) {
  yyjson_mut_doc *doc = new_rows();
  size_t i, j, max, members;
  yyjson_val *call, *name, *value;
  yyjson_arr_foreach(calls, i, max, call) {
    if (!was_called(call))
      continue;
    yyjson_mut_val *row = check_alloc(yyjson_mut_arr_add_obj(doc, yyjson_mut_doc_get_root(doc)));
    yyjson_obj_foreach(call, j, members, name, value) {
      const char *key = yyjson_get_str(name);
      if (strcmp(key, "count") != 0 && (!yyjson_is_num(value) || any_has(calls, key)))
        yyjson_mut_obj_add(row, yyjson_val_mut_copy(doc, name), yyjson_val_mut_copy(doc, value));
    }
  }
  print_section(print, "Calls", doc);
}

/* Formats a metric named *_timestamp_seconds as a time, unless it is 0 (never); else returns the value. */
static yyjson_mut_val *readable(yyjson_mut_doc *doc, yyjson_val *metric, yyjson_val *value) {
  static const char suffix[] = "_timestamp_seconds";
  yyjson_val *name = yyjson_obj_get(metric, "name");
  size_t len = yyjson_get_len(name);
  double seconds = yyjson_get_num(value);
  char text[32];
  struct tm tm;
  bool is_time = len >= sizeof suffix && seconds > 0 && seconds < MAX_TIME_S &&
                 strcmp(yyjson_get_str(name) + len - (sizeof suffix - 1), suffix) == 0;
  if (!is_time || gmtime_r(&(time_t){(time_t)seconds}, &tm) == NULL)
    return yyjson_val_mut_copy(doc, value);
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &tm);
  return yyjson_mut_strcpy(doc, text);
}

/* outcome=ok,tool=echo */
static yyjson_mut_val *labels_text(yyjson_mut_doc *doc, yyjson_val *labels) {
  size_t i, max, size;
  char *text;
  yyjson_val *name, *value;
  FILE *file = check_alloc(open_memstream(&text, &size));
  yyjson_obj_foreach(labels, i, max, name, value) {
    fprintf(file, "%s%s=%s", i > 0 ? "," : "", yyjson_get_str(name), yyjson_get_str(value));
  }
  fclose(file);
  yyjson_mut_val *made = yyjson_mut_strncpy(doc, check_alloc(text), size);
  free(text);
  return made;
}

/* One row for each metric: name, labels, value or durations. */
static void print_metrics(const print_t *print, yyjson_val *metrics, bool histograms) {
  yyjson_mut_doc *doc = new_rows();
  size_t i, j, max, members;
  yyjson_val *metric, *name, *value;
  yyjson_arr_foreach(metrics, i, max, metric) {
    if ((yyjson_obj_get(metric, "value") == NULL) != histograms)
      continue;
    yyjson_mut_val *row = check_alloc(yyjson_mut_arr_add_obj(doc, yyjson_mut_doc_get_root(doc)));
    yyjson_obj_foreach(metric, j, members, name, value) {
      if (yyjson_equals_str(name, "value"))
        yyjson_mut_obj_add(row, yyjson_val_mut_copy(doc, name), readable(doc, metric, value));
      else if (yyjson_is_obj(value) && yyjson_obj_size(value) > 0)
        yyjson_mut_obj_add(row, yyjson_val_mut_copy(doc, name), labels_text(doc, value));
      else if (!yyjson_is_obj(value))
        yyjson_mut_obj_add(row, yyjson_val_mut_copy(doc, name), yyjson_val_mut_copy(doc, value));
    }
  }
  print_section(print, histograms ? "Durations of the component" : "Metrics of the component", doc);
}

void stats_print(const print_t *print, yyjson_val *stats) {
  size_t i, max;
  yyjson_val *name, *value;
  yyjson_obj_foreach(yyjson_obj_get(stats, "server"), i, max, name, value) {
    size_t used = print_line(print, yyjson_get_str(name), yyjson_get_len(name), 0);
    print_pad(print, used < 24 ? 24 - used : 1);
    print_json(print, value, false);
  }
  print_calls(print, yyjson_obj_get(stats, "calls"));
  yyjson_mut_doc *refusals = new_rows();
  yyjson_mut_doc_set_root(refusals,
                          check_alloc(yyjson_val_mut_copy(refusals, yyjson_obj_get(stats, "refusals"))));
  print_section(print, "Refusals", refusals);
  print_metrics(print, yyjson_obj_get(stats, "metrics"), false);
  print_metrics(print, yyjson_obj_get(stats, "metrics"), true);
}
