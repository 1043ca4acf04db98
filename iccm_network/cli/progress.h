/* progress.h: shows the progress of a call on standard error: a bar on a terminal, else a line for each
 * change.
 */
#ifndef ICCM_CLI_PROGRESS_H
#define ICCM_CLI_PROGRESS_H

#include <iccm_network.h>
#include "print.h"

enum { PROGRESS_TEXT_SIZE = 1200 }; /* a message of 1,024 bytes and the number before it */

typedef struct progress {
  print_t err;                    /* width 0: not a terminal */
  char shown[PROGRESS_TEXT_SIZE]; /* the last text shown; "": none */
} progress_t;

void progress_begin(progress_t *progress);
void progress_show(progress_t *progress, const mcp_progress_t *report);
void progress_end(progress_t *progress); /* clears the bar */

#endif
