/* canary_stats.c: see canary_stats.h.
 *
 * Lines are tracked for KEEP_US to detect duplicates. A missing line is tracked for GIVE_UP_US, with all
 * lines after it; then it counts as lost. */
#include "canary_stats.h"

#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"

static const int64_t KEEP_US = 3600000000, GIVE_UP_US = 86400000000;

struct canary_line {
  int64_t logged_us;
  unsigned copies;
  bool answered, accepted, late;
};

void canary_stats_init(canary_stats_t *stats, int64_t late_us) {
  *stats = (canary_stats_t){.late_us = late_us};
}

void canary_stats_deinit(canary_stats_t *stats) {
  free(stats->lines);
  dedup_deinit(&stats->dedup);
}

static canary_line_t *line_of(const canary_stats_t *stats, uint64_t number) { /* NULL: not tracked */
  return number >= stats->first && number - stats->first < stats->count ? &stats->lines[number - stats->first]
                                                                        : NULL;
}

static bool is_missing(const canary_line_t *line) {
  return line->accepted && line->copies == 0;
}

uint64_t canary_stats_add(canary_stats_t *stats, int64_t now_us) {
  stats->lines = check_alloc(realloc(stats->lines, (stats->count + 1) * sizeof *stats->lines));
  stats->lines[stats->count] = (canary_line_t){.logged_us = now_us};
  return stats->first + stats->count++;
}

void canary_stats_set_result(canary_stats_t *stats, uint64_t number, canary_result_t result) {
  canary_line_t *line = line_of(stats, number);
  if (line == NULL || line->answered)
    return;
  line->answered = true;
  line->accepted = result == CANARY_ACCEPTED;
  stats->logged += result == CANARY_ACCEPTED;
  stats->unsure += result == CANARY_UNSURE;
  stats->refused += result == CANARY_REFUSED;
  stats->missing += is_missing(line);
}

static void count_if_late(canary_stats_t *stats, canary_line_t *line, int64_t now_us) {
  if (line->late || now_us - line->logged_us <= stats->late_us)
    return;
  line->late = true;
  stats->late++;
}

void canary_stats_read(canary_stats_t *stats, const char *id, uint64_t number, int64_t now_us) {
  canary_line_t *line = line_of(stats, number);
  if (line == NULL || !dedup_add(&stats->dedup, id, line->logged_us))
    return;
  stats->missing -= is_missing(line);
  line->copies++;
  stats->doubled += line->copies == 2;
  if (line->copies > 1)
    return;
  stats->read++;
  if (!line->accepted)
    return; /* Godot did not accept it */
  count_if_late(stats, line, now_us);
  if (now_us - line->logged_us > stats->slowest_us)
    stats->slowest_us = now_us - line->logged_us;
}

static void count_lost(canary_stats_t *stats, const canary_line_t *line) {
  stats->missing--;
  stats->lost++;
  stats->late -= line->late;
}

void canary_stats_update(canary_stats_t *stats, int64_t now_us) {
  size_t expired = 0;
  for (size_t i = 0; i < stats->count; i++)
    if (is_missing(&stats->lines[i]))
      count_if_late(stats, &stats->lines[i], now_us);
  for (; expired < stats->count; expired++) {
    const canary_line_t *line = &stats->lines[expired];
    if (now_us - line->logged_us <= (is_missing(line) ? GIVE_UP_US : KEEP_US))
      break;
    if (is_missing(line))
      count_lost(stats, line);
  }
  if (expired == 0)
    return;
  dedup_forget(&stats->dedup, stats->lines[expired - 1].logged_us + 1);
  memmove(stats->lines, stats->lines + expired, (stats->count - expired) * sizeof *stats->lines);
  stats->count -= expired;
  stats->first += expired;
}

int64_t canary_stats_since(const canary_stats_t *stats, int64_t now_us, bool full) {
  int64_t since_us = now_us - 2 * stats->late_us;
  if (full && stats->count > 0 && stats->lines[0].logged_us < since_us)
    return stats->lines[0].logged_us;
  for (size_t i = 0; i < stats->count; i++)
    if (is_missing(&stats->lines[i]))
      return stats->lines[i].logged_us < since_us ? stats->lines[i].logged_us : since_us;
  return since_us;
}

bool canary_stats_is_waiting(const canary_stats_t *stats, int64_t now_us) {
  for (size_t i = 0; i < stats->count; i++)
    if (is_missing(&stats->lines[i]) && now_us - stats->lines[i].logged_us <= stats->late_us)
      return true;
  return false;
}

bool canary_stats_finish(canary_stats_t *stats, int64_t now_us) {
  canary_stats_update(stats, now_us);
  for (size_t i = 0; i < stats->count; i++)
    if (is_missing(&stats->lines[i]) && stats->lines[i].late)
      count_lost(stats, &stats->lines[i]);
  return stats->lost == 0 && stats->late == 0 && stats->doubled == 0;
}
