/* prometheus_parser.c: see prometheus_parser.h. Consecutive samples of a histogram with the same labels form
 * one series; the format requires this order. Timestamps are not supported: components do not write them. */
#include "prometheus_parser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "print.h"

enum { MAX_VALUE = 4096, MAX_NAME = 256 };

typedef struct sample {
  char name[MAX_NAME];
  yyjson_mut_val *labels;
  double bound; /* NAN: no label le */
  double value;
} sample_t;

typedef struct parser {
  prometheus_samples_t *samples;
  char histogram[MAX_NAME]; /* name in the last TYPE line if that is a histogram; else "" */
} parser_t;

/* Parses a name and advances *at. */
static bool read_name(const char **at, char name[MAX_NAME]) {
  static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
  size_t len = strspn(*at, first);
  if (len > 0)
    len += strspn(*at + len, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:");
  if (len == 0 || len >= MAX_NAME)
    return false;
  memcpy(name, *at, len);
  name[len] = '\0';
  *at += len;
  return true;
}

/* Parses a quoted label value and advances *at; the escapes are \\, \" and \n. */
static bool read_quoted(const char **at, char value[MAX_VALUE]) {
  const char *from = *at;
  size_t len = 0;
  if (*from++ != '"')
    return false;
  for (; *from != '\0' && *from != '"' && len < MAX_VALUE - 1; from++) {
    if (*from == '\\' && strchr("\\\"n", from[1]) != NULL && from[1] != '\0')
      value[len++] = (char)(*++from == 'n' ? '\n' : *from);
    else
      value[len++] = *from;
  }
  if (*from != '"')
    return false;
  value[len] = '\0';
  *at = from + 1;
  return true;
}

static bool read_number(const char **at, double *number) {
  char *end;
  *number = strtod(*at, &end);
  bool read = end != *at;
  *at = end;
  return read;
}

static bool read_label(const char **at, yyjson_mut_doc *doc, sample_t *line) {
  char name[MAX_NAME], value[MAX_VALUE];
  if (!read_name(at, name) || *(*at)++ != '=' || !read_quoted(at, value))
    return false;
  if (strcmp(name, "le") == 0) {
    const char *bound = value;
    return read_number(&bound, &line->bound) && *bound == '\0';
  }
  yyjson_mut_obj_add(line->labels, check_alloc(yyjson_mut_strcpy(doc, name)),
                     print_safe(doc, value, strlen(value)));
  return true;
}

/* NAME{LABEL="VALUE",…} NUMBER */
static bool parse_sample(const char *at, yyjson_mut_doc *doc, sample_t *line) {
  *line = (sample_t){.labels = check_alloc(yyjson_mut_obj(doc)), .bound = NAN};
  if (!read_name(&at, line->name))
    return false;
  if (*at == '{') {
    at++;
    while (*at != '}') {
      if (!read_label(&at, doc, line))
        return false;
      at += *at == ',';
    }
    at++;
  }
  return *at == ' ' && read_number(&at, &line->value) && *at == '\0';
}

static prometheus_series_t *add_series(prometheus_samples_t *samples, const char *name,
                                       yyjson_mut_val *labels) {
  if ((samples->count & (samples->count - 1)) == 0)
    samples->series =
        check_alloc(realloc(samples->series, (samples->count * 2 + 1) * sizeof *samples->series));
  prometheus_series_t *series = &samples->series[samples->count++];
  *series = (prometheus_series_t){.name = check_alloc(strdup(name)), .labels = labels};
  return series;
}

static prometheus_series_t *histogram_of(parser_t *parser, const sample_t *line) {
  prometheus_samples_t *samples = parser->samples;
  prometheus_series_t *last = samples->count > 0 ? &samples->series[samples->count - 1] : NULL;
  if (last == NULL || strcmp(last->name, parser->histogram) != 0 ||
      !yyjson_mut_equals(last->labels, line->labels))
    last = add_series(samples, parser->histogram, line->labels);
  last->is_histogram = true;
  return last;
}

static bool add_histogram_sample(parser_t *parser, const sample_t *line, const char *suffix) {
  prometheus_series_t *series = histogram_of(parser, line);
  if (strcmp(suffix, "_sum") == 0)
    series->sum = line->value;
  else if (strcmp(suffix, "_count") == 0)
    series->count = line->value;
  else if (strcmp(suffix, "_bucket") != 0 || isnan(line->bound) ||
           series->bucket_count == PROMETHEUS_MAX_BOUNDS)
    return false;
  else
    series->buckets[series->bucket_count++] = (prometheus_bucket_t){line->bound, line->value};
  return true;
}

static bool parse_line(parser_t *parser, const char *text) {
  sample_t line;
  const char *at = text + strlen("# TYPE ");
  size_t len = strlen(parser->histogram);
  if (strncmp(text, "# TYPE ", strlen("# TYPE ")) == 0) {
    if (!read_name(&at, parser->histogram))
      return false;
    if (strcmp(at, " histogram") != 0)
      parser->histogram[0] = '\0';
    return true;
  }
  if (text[0] == '#' || text[0] == '\0')
    return true;
  if (!parse_sample(text, parser->samples->doc, &line))
    return false;
  if (len > 0 && strncmp(line.name, parser->histogram, len) == 0 && line.name[len] == '_')
    return add_histogram_sample(parser, &line, line.name + len);
  add_series(parser->samples, line.name, line.labels)->value = line.value;
  return true;
}

bool prometheus_parse(prometheus_samples_t *samples, const char *text, size_t len) {
  parser_t parser = {.samples = samples};
  *samples = (prometheus_samples_t){.doc = check_alloc(yyjson_mut_doc_new(NULL))};
  bool ok = len > 0 && text[len - 1] == '\n' && memchr(text, '\0', len) == NULL;
  char *copy = check_alloc(malloc(len + 1)), *line = copy;
  memcpy(copy, text, len);
  while (ok && line < copy + len) {
    char *end = memchr(line, '\n', (size_t)(copy + len - line));
    *end = '\0';
    ok = parse_line(&parser, line) && samples->count <= PROMETHEUS_MAX_SERIES;
    line = end + 1;
  }
  free(copy);
  return ok;
}

void prometheus_samples_deinit(prometheus_samples_t *samples) {
  for (size_t i = 0; i < samples->count; i++)
    free(samples->series[i].name);
  free(samples->series);
  yyjson_mut_doc_free(samples->doc);
}

double prometheus_quantile(const prometheus_series_t *series, double quantile) {
  double wanted = quantile * series->count, below = 0, from = 0;
  if (!(series->count > 0))
    return NAN;
  for (size_t i = 0; i < series->bucket_count; i++) {
    const prometheus_bucket_t *bucket = &series->buckets[i];
    if (bucket->count >= wanted && bucket->count > below)
      return isinf(bucket->bound)
                 ? from
                 : from + (bucket->bound - from) * (wanted - below) / (bucket->count - below);
    below = bucket->count;
    from = bucket->bound;
  }
  return NAN;
}
