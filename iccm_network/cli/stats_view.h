/* stats_view.h: metrics in the Prometheus text format, as a JSON document and as tables. No I/O but printing.
 */
#ifndef ICCM_CLI_STATS_VIEW_H
#define ICCM_CLI_STATS_VIEW_H

#include "print.h"

/* Parses the text format 0.0.4 into a new document:
 *   {"server": {NAME: number}, "calls": [{"tool", OUTCOME: number…, TIMES}], "refusals": [{"reason",
 *   "count"}], "metrics": [{"name", "labels": {}, "value"} or {"name", "labels": {}, TIMES}]}
 * server: the library's metrics without labels; NAME lacks the prefix iccm_. metrics: those of the component.
 * TIMES: "count", "mean_ms", "p50_ms", "p90_ms", "p99_ms" of a histogram in seconds; null: no value. Returns
 * NULL if the text is invalid. Ends the program if out of memory. */
yyjson_doc *stats_read(const char *text, size_t len);

/* Prints it as tables, without tools that were never called and outcomes that never occurred. */
void stats_print(const print_t *print, yyjson_val *stats);

#endif
