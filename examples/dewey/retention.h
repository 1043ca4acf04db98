/* retention.h: removes log lines that are too old, and looks after a store that was failing, on a thread of
 * its own. */
#ifndef DEWEY_RETENTION_H
#define DEWEY_RETENTION_H

#include "tools.h"

typedef struct retention retention_t;

/* Starts at once, then every hour; dewey has to live until the stop. NULL: no memory or no thread. */
retention_t *retention_start(dewey_t *dewey);

/* Ends the thread, within one step of deleting. NULL is fine. */
void retention_stop(retention_t *retention);

#endif
