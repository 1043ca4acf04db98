/* canary_stats.c: see canary_stats.h.
 *
 * Lines are kept for an hour after they were logged, to see whether they come twice, and a missing one for a
 * day, with all behind it. What is missing then is lost. */
#include "canary_stats.h"

#include <stdlib.h>
#include <string.h>
#include "print.h"

static const int64_t keep_us = 3600000000, give_up_us = 86400000000;

struct canary_line {
  int64_t logged_us;
  unsigned copies;
  bool answered, accepted, late;
};

void canary_book_init(canary_book_t *book, int64_t late_us) {
  *book = (canary_book_t){.late_us = late_us};
}

void canary_book_deinit(canary_book_t *book) {
  free(book->lines);
  seen_deinit(&book->seen);
}

static canary_line_t *line_of(const canary_book_t *book, uint64_t number) { /* NULL: not looked for */
  return number >= book->first && number - book->first < book->count ? &book->lines[number - book->first]
                                                                     : NULL;
}

static bool is_missing(const canary_line_t *line) {
  return line->accepted && line->copies == 0;
}

uint64_t canary_book_add(canary_book_t *book, int64_t now_us) {
  book->lines = checked(realloc(book->lines, (book->count + 1) * sizeof *book->lines));
  book->lines[book->count] = (canary_line_t){.logged_us = now_us};
  return book->first + book->count++;
}

void canary_book_answered(canary_book_t *book, uint64_t number, canary_answer_t answer) {
  canary_line_t *line = line_of(book, number);
  if (line == NULL || line->answered)
    return;
  line->answered = true;
  line->accepted = answer == CANARY_ACCEPTED;
  book->logged += answer == CANARY_ACCEPTED;
  book->unsure += answer == CANARY_UNSURE;
  book->refused += answer == CANARY_REFUSED;
  book->missing += is_missing(line);
}

static void count_late(canary_book_t *book, canary_line_t *line, int64_t now_us) {
  if (line->late || now_us - line->logged_us <= book->late_us)
    return;
  line->late = true;
  book->late++;
}

void canary_book_read(canary_book_t *book, const char *id, uint64_t number, int64_t now_us) {
  canary_line_t *line = line_of(book, number);
  if (line == NULL || !seen_add(&book->seen, id, line->logged_us))
    return;
  book->missing -= is_missing(line);
  line->copies++;
  book->doubled += line->copies == 2;
  if (line->copies > 1)
    return;
  book->read++;
  if (!line->accepted)
    return; /* nobody has promised it */
  count_late(book, line, now_us);
  if (now_us - line->logged_us > book->slowest_us)
    book->slowest_us = now_us - line->logged_us;
}

static void lose(canary_book_t *book, const canary_line_t *line) {
  book->missing--;
  book->lost++;
  book->late -= line->late;
}

void canary_book_judge(canary_book_t *book, int64_t now_us) {
  size_t gone = 0;
  for (size_t i = 0; i < book->count; i++)
    if (is_missing(&book->lines[i]))
      count_late(book, &book->lines[i], now_us);
  for (; gone < book->count; gone++) {
    const canary_line_t *line = &book->lines[gone];
    if (now_us - line->logged_us <= (is_missing(line) ? give_up_us : keep_us))
      break;
    if (is_missing(line))
      lose(book, line);
  }
  if (gone == 0)
    return;
  seen_forget(&book->seen, book->lines[gone - 1].logged_us + 1);
  memmove(book->lines, book->lines + gone, (book->count - gone) * sizeof *book->lines);
  book->count -= gone;
  book->first += gone;
}

int64_t canary_book_since(const canary_book_t *book, int64_t now_us, bool far) {
  int64_t since_us = now_us - 2 * book->late_us;
  if (far && book->count > 0 && book->lines[0].logged_us < since_us)
    return book->lines[0].logged_us;
  for (size_t i = 0; i < book->count; i++)
    if (is_missing(&book->lines[i]))
      return book->lines[i].logged_us < since_us ? book->lines[i].logged_us : since_us;
  return since_us;
}

bool canary_book_waits(const canary_book_t *book, int64_t now_us) {
  for (size_t i = 0; i < book->count; i++)
    if (is_missing(&book->lines[i]) && now_us - book->lines[i].logged_us <= book->late_us)
      return true;
  return false;
}

bool canary_book_finish(canary_book_t *book, int64_t now_us) {
  canary_book_judge(book, now_us);
  for (size_t i = 0; i < book->count; i++)
    if (is_missing(&book->lines[i]) && book->lines[i].late)
      lose(book, &book->lines[i]);
  return book->lost == 0 && book->late == 0 && book->doubled == 0;
}
