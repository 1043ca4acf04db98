/* canary_stats.h: the lines that a canary has logged, and which of them it has read back. No I/O: time is an
 * argument. */
#ifndef ICCM_CLI_CANARY_STATS_H
#define ICCM_CLI_CANARY_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include "dedup.h"

typedef enum canary_result {
  CANARY_ACCEPTED, /* must be stored exactly once */
  CANARY_UNSURE,   /* no response: may be stored, at most once */
  CANARY_REFUSED   /* need not be stored */
} canary_result_t;

typedef struct canary_line canary_line_t;

typedef struct canary_stats {
  int64_t late_us;      /* a line not read within this time is late */
  canary_line_t *lines; /* owned: the tracked lines, which may still appear or be doubled */
  size_t count;
  uint64_t first;                   /* the number of lines[0] */
  dedup_t dedup;                    /* of the rows, by id */
  uint64_t logged, refused, unsure; /* lines by result of the call; their sum is the number of calls */
  uint64_t read;                    /* lines that were read back */
  uint64_t late;                    /* accepted lines that were late */
  uint64_t doubled;                 /* lines with more than one row */
  uint64_t missing;                 /* accepted, but not read yet */
  uint64_t lost;                    /* missing for a day, or late and missing at the end */
  int64_t slowest_us;               /* from logging to reading, of accepted lines */
} canary_stats_t;

void canary_stats_init(canary_stats_t *stats, int64_t late_us);
void canary_stats_deinit(canary_stats_t *stats);

/* Adds a line that is about to be logged, and returns its number, from 0. */
uint64_t canary_stats_add(canary_stats_t *stats, int64_t now_us);
void canary_stats_set_result(canary_stats_t *stats, uint64_t number, canary_result_t result);
/* Counts a row that was read. The same id again does not count; untracked numbers are ignored. */
void canary_stats_read(canary_stats_t *stats, const char *id, uint64_t number, int64_t now_us);
/* Counts lines that have become late or lost, and drops lines that need no more tracking. */
void canary_stats_update(canary_stats_t *stats, int64_t now_us);
/* The start time of the next query: 2 * late_us ago, or the time of the oldest missing line if that is
 * earlier; full: the time of the oldest tracked line if that is earlier. */
int64_t canary_stats_since(const canary_stats_t *stats, int64_t now_us, bool full);
/* Whether lines are missing but not late yet. */
bool canary_stats_is_waiting(const canary_stats_t *stats, int64_t now_us);
/* Ends the run: missing lines that are late count as lost, the others stay missing. True: no line was lost,
 * late or doubled. */
bool canary_stats_finish(canary_stats_t *stats, int64_t now_us);

#endif
