/* relative_time.h: how long ago, as people write it: "15m", "2h". */
#ifndef ICCM_CLI_RELATIVE_TIME_H
#define ICCM_CLI_RELATIVE_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Reads a whole number and one of s, m, h, d, w, at most 1,000 weeks. False, and *us as it was: no such text.
 */
bool relative_time_parse(const char *text, int64_t *us);

#endif
