/* prometheus_parser.h: the text format of Prometheus, 0.0.4, read line by line. Pure. */
#ifndef ICCM_CLI_PROMETHEUS_PARSER_H
#define ICCM_CLI_PROMETHEUS_PARSER_H

#include <stdbool.h>
#include <yyjson.h>

enum { PROMETHEUS_MAX_BOUNDS = 64, PROMETHEUS_MAX_SERIES = 30000 };

typedef struct prometheus_bucket {
  double bound; /* of the values in it; the last one's is infinite */
  double count; /* of values up to it */
} prometheus_bucket_t;

/* A metric with one set of labels. */
typedef struct prometheus_series {
  char *name;
  yyjson_mut_val *labels; /* an object of texts, without le */
  bool is_histogram;
  double value; /* or, of a histogram: */
  double sum, count;
  prometheus_bucket_t buckets[PROMETHEUS_MAX_BOUNDS];
  size_t bucket_count;
} prometheus_series_t;

typedef struct prometheus_samples {
  yyjson_mut_doc *doc; /* of the labels */
  prometheus_series_t *series;
  size_t count;
} prometheus_samples_t;

/* Reads all of it, to be given to prometheus_samples_deinit() also where it was no such text, or
 * more than PROMETHEUS_MAX_SERIES (false). */
bool prometheus_parse(prometheus_samples_t *samples, const char *text, size_t len);
void prometheus_samples_deinit(prometheus_samples_t *samples);

/* The value below which a share (0 to 1) of a histogram's lies, taken as spread evenly in its bucket; beyond
 * the last bound it is that bound. NAN: it has none. */
double prometheus_quantile(const prometheus_series_t *series, double quantile);

#endif
