/* cond.h: a condition variable that is waited for by the monotonic clock, so that setting the time does no
 * harm. */
#ifndef STORES_COND_H
#define STORES_COND_H

#include <pthread.h>
#include <time.h>

static inline void cond_init_monotonic(pthread_cond_t *cond) {
  pthread_condattr_t clock;
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(cond, &clock);
  pthread_condattr_destroy(&clock);
}

#endif
