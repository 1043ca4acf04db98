/* stats_view.h: counters in the text format of Prometheus, put together so that people can read them. Pure.
 */
#ifndef ICCM_CLI_STATS_VIEW_H
#define ICCM_CLI_STATS_VIEW_H

#include "print.h"

/* Reads the text format 0.0.4. A new document:
 *   {"server": {NAME: number}, "calls": [{"tool", OUTCOME: number…, TIMES}], "refusals": [{"reason",
 * "count"}], "metrics": [{"name", "labels": {}, "value"} or {"name", "labels": {}, TIMES}]} where server has
 * what the library counts without labels, NAME without iccm_, and metrics what is not the library's. TIMES:
 * "count", "mean_ms", "p50_ms", "p90_ms", "p99_ms", of a histogram's seconds; null where there is none. NULL:
 * it is no such text. Ends the program where there is no memory. */
yyjson_doc *stats_read(const char *text, size_t len);

/* Tables of that; tools that nobody called and outcomes that nothing had are left out. */
void stats_print(const print_t *print, yyjson_val *stats);

#endif
