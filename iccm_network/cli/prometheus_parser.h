/* prometheus_parser.h: parses the Prometheus text format, version 0.0.4. No I/O. */
#ifndef ICCM_CLI_PROMETHEUS_PARSER_H
#define ICCM_CLI_PROMETHEUS_PARSER_H

#include <stdbool.h>
#include <yyjson.h>

enum { PROMETHEUS_MAX_BOUNDS = 64, PROMETHEUS_MAX_SERIES = 30000 };

typedef struct prometheus_bucket {
  double bound; /* upper bound of the values; infinite in the last bucket */
  double count; /* of the values up to bound */
} prometheus_bucket_t;

/* A metric with one set of labels. */
typedef struct prometheus_series {
  char *name;
  yyjson_mut_val *labels; /* an object of strings, without le */
  bool is_histogram;
  double value; /* or, for a histogram: */
  double sum, count;
  prometheus_bucket_t buckets[PROMETHEUS_MAX_BOUNDS];
  size_t bucket_count;
} prometheus_series_t;

typedef struct prometheus_samples {
  yyjson_mut_doc *doc; /* of the labels */
  prometheus_series_t *series;
  size_t count;
} prometheus_samples_t;

/* Parses the whole text. False: invalid, or more than PROMETHEUS_MAX_SERIES series. Call
 * prometheus_samples_deinit() in either case. */
bool prometheus_parse(prometheus_samples_t *samples, const char *text, size_t len);
void prometheus_samples_deinit(prometheus_samples_t *samples);

/* The estimated quantile (0 to 1) of a histogram, with linear interpolation in its bucket; above the last
 * finite bound, that bound. NAN: the histogram is empty. */
double prometheus_quantile(const prometheus_series_t *series, double quantile);

#endif
