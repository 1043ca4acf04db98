/* wait_limit.h: the time limit for everything a test waits for: 60 s times TEST_TIMEOUT_MULTIPLIER, if set.
 * Nothing else in a test depends on the speed of the machine. services.py has the same limit for Python. */
#ifndef WAIT_LIMIT_H
#define WAIT_LIMIT_H

#include <stdint.h>
#include <stdlib.h>

static inline uint64_t wait_limit_ms(void) {
  const char *text = getenv("TEST_TIMEOUT_MULTIPLIER");
  double multiplier = text != NULL ? strtod(text, NULL) : 1;
  return (uint64_t)(60000 * (multiplier > 0 ? multiplier : 1));
}

#endif
