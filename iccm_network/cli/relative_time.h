/* relative_time.h: parses relative times such as "15m" or "2h". */
#ifndef ICCM_CLI_RELATIVE_TIME_H
#define ICCM_CLI_RELATIVE_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Parses a whole number and one of s, m, h, d, w, at most 1,000 weeks. False: invalid; *us is unchanged. */
bool relative_time_parse(const char *text, int64_t *us);

#endif
