/* leaks.h: ends a test that leaked as a failed one; Criterion alone lets it pass. */
#ifndef LEAKS_H
#define LEAKS_H

#include <criterion/criterion.h>

int __lsan_do_recoverable_leak_check(void) __attribute__((weak)); /* there in builds with ASan alone */

static inline void expect_no_leak(void) {
  cr_assert(__lsan_do_recoverable_leak_check == NULL || __lsan_do_recoverable_leak_check() == 0);
}

#endif
