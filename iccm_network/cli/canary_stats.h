/* canary_stats.h: which lines a canary has logged, and what of them was read back. Pure: time is an argument.
 */
#ifndef ICCM_CLI_CANARY_STATS_H
#define ICCM_CLI_CANARY_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include "dedup.h"

typedef enum canary_answer {
  CANARY_ACCEPTED, /* it has to be there, once */
  CANARY_UNSURE,   /* no answer: it may be there, once */
  CANARY_REFUSED   /* it need not be there */
} canary_answer_t;

typedef struct canary_line canary_line_t;

typedef struct canary_stats {
  int64_t late_us;      /* a line not read within that is late */
  canary_line_t *lines; /* owned: those that are still looked for, or might come twice */
  size_t count;
  uint64_t first;                   /* the number of the first of them */
  dedup_t dedup;                    /* rows, by id */
  uint64_t logged, refused, unsure; /* lines by answer; each was one of these */
  uint64_t read, late,
      doubled;        /* lines: come back; that took too long, of accepted ones; there more than once */
  uint64_t missing;   /* accepted, and not read yet */
  uint64_t lost;      /* missing for a day, or at the end */
  int64_t slowest_us; /* from logging to reading, of accepted lines */
} canary_stats_t;

void canary_stats_init(canary_stats_t *stats, int64_t late_us);
void canary_stats_deinit(canary_stats_t *stats);

/* The number, from 0, of a line that is about to be logged; then how that was answered. */
uint64_t canary_stats_add(canary_stats_t *stats, int64_t now_us);
void canary_stats_answered(canary_stats_t *stats, uint64_t number, canary_answer_t answer);
/* A row with this id was read; the same row again does not count. Numbers that are not looked for are passed
 * over. */
void canary_stats_read(canary_stats_t *stats, const char *id, uint64_t number, int64_t now_us);
/* Counts what has become late, and forgets what need not be looked for any more. */
void canary_stats_update(canary_stats_t *stats, int64_t now_us);
/* Where reading has to begin: the oldest line that is missing, or a little ago; full: the oldest line that is
 * looked for. */
int64_t canary_stats_since(const canary_stats_t *stats, int64_t now_us, bool full);
/* Whether lines are missing that are not late yet. */
bool canary_stats_is_waiting(const canary_stats_t *stats, int64_t now_us);
/* At the end: what is missing and late is lost, what is not late yet stays missing. True: none was lost, late
 * or doubled. */
bool canary_stats_finish(canary_stats_t *stats, int64_t now_us);

#endif
