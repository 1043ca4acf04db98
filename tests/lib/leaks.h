/* leaks.h: fails a test that leaks memory; Criterion alone does not. */
#ifndef LEAKS_H
#define LEAKS_H

#include <criterion/criterion.h>

int __lsan_do_recoverable_leak_check(void) __attribute__((weak)); /* present in ASan builds only */

static inline void expect_no_leak(void) {
  cr_assert(__lsan_do_recoverable_leak_check == NULL || __lsan_do_recoverable_leak_check() == 0);
}

#endif
