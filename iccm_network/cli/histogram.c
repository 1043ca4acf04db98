/* histogram.c: log-linear buckets. The bucket of a value is its highest HISTOGRAM_SUB_BITS + 1 bits and their
 * position; adding costs a few instructions and never fails. */
#include "histogram.h"

enum { SUB_COUNT = 1 << HISTOGRAM_SUB_BITS };

static unsigned bucket_of(uint64_t value) {
  if (value < SUB_COUNT)
    return (unsigned)value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
  return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

static uint64_t bucket_end(unsigned bucket) {
  if (bucket < SUB_COUNT)
    return bucket;
  unsigned shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
  uint64_t first = (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift;
  return first + ((uint64_t)1 << shift) - 1;
}

void histogram_add(histogram_t *histogram, uint64_t value) {
  histogram->counts[bucket_of(value)]++;
  histogram->total++;
  if (value > histogram->max)
    histogram->max = value;
}

uint64_t histogram_quantile(const histogram_t *histogram, double quantile) {
  double exact = quantile * (double)histogram->total;
  uint64_t target = (uint64_t)exact, cumulative = 0;
  target += (double)target < exact;
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
    cumulative += histogram->counts[i];
    if (cumulative >= target && cumulative > 0)
      return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
  }
  return 0;
}
