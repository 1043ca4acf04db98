/* histogram.h: a histogram of durations in constant memory. */
#ifndef ICCM_CLI_HISTOGRAM_H
#define ICCM_CLI_HISTOGRAM_H

#include <stdint.h>

/* Log-linear: values below 64 have one bucket each; above, each power of two has 32 buckets, which limits the
 * error to 3.2 %. */
enum { HISTOGRAM_SUB_BITS = 5, HISTOGRAM_BUCKETS = (65 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS };

typedef struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t total;
  uint64_t max; /* exact */
} histogram_t;

void histogram_add(histogram_t *histogram, uint64_t value);

/* The quantile (0 to 1), rounded up to the end of its bucket, but at most max. 0: no values. */
uint64_t histogram_quantile(const histogram_t *histogram, double quantile);

#endif
