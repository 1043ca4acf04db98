/* clock_guard.h: delays the removal of old data while the system clock may be wrong.
 *
 * A store keeps the time of the last removal. If the clock differs from it by more than two days, either
 * the clock was set wrong or the service did not run in between. Nothing is removed then until the
 * monotonic clock has advanced by 24 hours or an operator has confirmed the clock. */
#ifndef STORES_CLOCK_GUARD_H
#define STORES_CLOCK_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_GUARD_MAX_OFFSET_US INT64_C(172800000000) /* two days */
enum { CLOCK_GUARD_HOLD_MS = 24 * 60 * 60 * 1000 };

/* Zero-initialised: not holding. */
typedef struct clock_guard {
  bool holds;
  int64_t last_us;  /* time of the last removal when the guard began to hold */
  int64_t since_ms; /* monotonic clock at the same moment */
} clock_guard_t;

/* True if now_us differs too much from last_us. last_us INT64_MIN: nothing was removed so far. */
bool clock_guard_is_suspect(int64_t last_us, int64_t now_us);

/* True if old data may be removed now. If last_us changes while the guard holds, another program with
 * another clock has removed data, and the 24 hours start again. */
bool clock_guard_allows(clock_guard_t *guard, int64_t last_us, int64_t now_us, int64_t now_ms);

/* The same with the current time; logs when the guard begins and ends to hold. program is the command with
 * --resume-retention, such as "dewey"; what is the data, such as "old log lines". */
bool clock_guard_check(clock_guard_t *guard, const char *program, const char *what, int64_t last_us,
                       int64_t now_us);

#endif
