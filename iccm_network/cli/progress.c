/* progress.c: see progress.h. The bar takes a third of the terminal's width; its line is redrawn on each
 * change. If the total is unknown, a counter is shown instead. */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "progress.h"

enum { DEFAULT_WIDTH = 80, MIN_WIDTH = 20 };

void progress_begin(progress_t *progress) {
  struct winsize size;
  *progress = (progress_t){.err.file = stderr};
  if (!isatty(STDERR_FILENO))
    return;
  bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  progress->err.width = known ? size.ws_col : DEFAULT_WIDTH;
}

/* From 0 to 1; -1: unknown. */
static double share_of(const mcp_progress_t *report) {
  double share = report->total > 0 ? report->progress / report->total : -1;
  if (report->total > 0 && share < 0)
    return 0;
  return share > 1 ? 1 : share;
}

static void write_bar(const print_t *err, double share) {
  size_t columns = err->width / 3, full = (size_t)((double)columns * share);
  fputc('[', err->file);
  for (size_t i = 0; i < columns; i++)
    fputc(i < full ? '#' : '.', err->file);
  fputs("] ", err->file);
}

static void write_on_terminal(const progress_t *progress, double share) {
  const print_t *err = &progress->err;
  bool has_bar = share >= 0 && err->width >= MIN_WIDTH;
  size_t taken = has_bar ? err->width / 3 + 4 : 1; /* and the last column, where the terminal would wrap */
  fputs("\r\033[K", err->file);
  if (has_bar)
    write_bar(err, share);
  if (err->width > taken)
    print_line(err, progress->shown, strlen(progress->shown), err->width - taken);
  fflush(err->file);
}

void progress_show(progress_t *progress, const mcp_progress_t *report) {
  char text[PROGRESS_TEXT_SIZE];
  double share = share_of(report);
  const char *message = report->message != NULL ? report->message : "";
  const char *blank = *message != '\0' ? " " : "";
  if (share >= 0)
    snprintf(text, sizeof text, "%3d %%%s%s", (int)(share * 100), blank, message);
  else
    snprintf(text, sizeof text, "%.15g%s%s", report->progress, blank, message);
  if (strcmp(text, progress->shown) == 0)
    return;
  memcpy(progress->shown, text, sizeof text);
  if (progress->err.width > 0) {
    write_on_terminal(progress, share);
  } else {
    print_line(&progress->err, text, strlen(text), 0);
    fputc('\n', progress->err.file);
  }
}

void progress_end(progress_t *progress) {
  if (progress->err.width > 0 && *progress->shown != '\0')
    fputs("\r\033[K", progress->err.file);
}
