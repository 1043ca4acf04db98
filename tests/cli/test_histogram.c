/* histogram: quantiles of known distributions, within the width of a bucket. */
#include "cli_test.h"
#include "histogram.h"

static void expect_within(uint64_t got, uint64_t exact) {
  cr_expect(got >= exact && got <= exact + exact / 31, "%llu is not %llu", (unsigned long long)got,
            (unsigned long long)exact);
}

Test(histogram, empty) {
  histogram_t histogram = {.total = 0};
  cr_expect_eq(histogram_quantile(&histogram, 0.5), 0);
  cr_expect_eq(histogram_quantile(&histogram, 1), 0);
}

Test(histogram, one_to_n) {
  enum { COUNT = 100000 };
  histogram_t histogram = {.total = 0};
  for (uint64_t value = 1; value <= COUNT; value++)
    histogram_add(&histogram, value);
  expect_within(histogram_quantile(&histogram, 0.5), COUNT / 2);
  expect_within(histogram_quantile(&histogram, 0.99), COUNT * 99 / 100);
  cr_expect_eq(histogram_quantile(&histogram, 1), COUNT);
  cr_expect_eq(histogram_quantile(&histogram, 0), 1);
  cr_expect_eq(histogram.total, COUNT);
}

/* Each value alone: its bucket must contain it. */
Test(histogram, every_magnitude) {
  for (int shift = 0; shift < 64; shift++) {
    for (int around = -1; around <= 1; around++) {
      uint64_t value = ((uint64_t)1 << shift) + (uint64_t)around;
      histogram_t histogram = {.total = 0};
      histogram_add(&histogram, value);
      histogram_add(&histogram, UINT64_MAX);
      uint64_t got = histogram_quantile(&histogram, 0.5);
      cr_expect(got >= value && got - value <= value / 31, "2^%d%+d became %llu", shift, around,
                (unsigned long long)got);
      cr_expect_eq(histogram_quantile(&histogram, 1), UINT64_MAX);
    }
  }
}
