/* monotonic.h: the monotonic clock, and waiting by it. */
#ifndef STORES_MONOTONIC_H
#define STORES_MONOTONIC_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

static inline int64_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Since glibc 2.30, declared with _GNU_SOURCE only. */
int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *end);

/* Waits until end_ms. Unlike pthread_cond_timedwait() it names the clock, so a library that fakes the time
 * of day cannot interfere. */
static inline int cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t end_ms) {
  struct timespec end = {.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};
  return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &end);
}

#endif
