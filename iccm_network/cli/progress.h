/* progress.h: how far a call is, on standard error: a bar on a terminal, elsewhere a line for each change. */
#ifndef ICCM_CLI_PROGRESS_H
#define ICCM_CLI_PROGRESS_H

#include <iccm_network.h>
#include "print.h"

enum { PROGRESS_TEXT_SIZE = 1200 }; /* a message of 1,024 bytes and what stands in front of it */

typedef struct progress {
  print_t err;                    /* width 0: no terminal */
  char shown[PROGRESS_TEXT_SIZE]; /* what was shown last; "": nothing */
} progress_t;

void progress_begin(progress_t *progress);
void progress_show(progress_t *progress, const mcp_progress_t *report);
void progress_end(progress_t *progress); /* takes the bar off the terminal */

#endif
