/* clock_guard.h: whether what is old by the clock may be removed.
 *
 * A store keeps the time of the last removal. A clock that is more than two days away from it was set wrong,
 * or nothing has run for so long: nothing is removed until the monotonic clock has gone on for a day, or an
 * operator has said that the clock is right. */
#ifndef STORES_CLOCK_GUARD_H
#define STORES_CLOCK_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_GUARD_MAX_OFFSET_US INT64_C(172800000000) /* two days */
enum { CLOCK_GUARD_HOLD_MS = 24 * 60 * 60 * 1000 };

/* A zeroed one holds nothing back. */
typedef struct clock_guard {
  bool holds;
  int64_t last_us;  /* the time of the last removal when it began to hold, */
  int64_t since_ms; /* and the monotonic clock then */
} clock_guard_t;

/* Whether now_us is too far from the last removal. last_us INT64_MIN: there was none. */
bool clock_guard_is_suspect(int64_t last_us, int64_t now_us);

/* Whether what is old may be removed now. A last removal that has changed meanwhile was another program's,
 * whose clock says otherwise: the day begins anew. */
bool clock_guard_allows(clock_guard_t *guard, int64_t last_us, int64_t now_us, int64_t now_ms);

/* The same now; the log hears of a change. program: "dewey", which has --resume-retention; what: "old log
 * lines". */
bool clock_guard_check(clock_guard_t *guard, const char *program, const char *what, int64_t last_us,
                       int64_t now_us);

#endif
