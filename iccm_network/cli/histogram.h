/* histogram.h: the distribution of times in constant memory. */
#ifndef ICCM_CLI_HISTOGRAM_H
#define ICCM_CLI_HISTOGRAM_H

#include <stdint.h>

/* Log-linear: below 64 each value has a bucket of its own, from there on each power of two is cut into 32, so
 * that a value is known to within 3.2 %. */
enum { HISTOGRAM_SUB_BITS = 5, HISTOGRAM_BUCKETS = (65 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS };

typedef struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t total;
  uint64_t max; /* exact */
} histogram_t;

void histogram_add(histogram_t *histogram, uint64_t value);

/* The smallest value that is not exceeded by the given share (0 to 1) of all values, rounded up to the end of
 * its bucket, but never above max. 0 where there are none. */
uint64_t histogram_quantile(const histogram_t *histogram, double quantile);

#endif
