/* retention.h: removes log lines that are too old, and looks after a store that was failing: what Dewey's
 * keeper does. */
#ifndef DEWEY_RETENTION_H
#define DEWEY_RETENTION_H

#include "maintenance.h"
#include "tools.h"

/* Starts the keeper; dewey has to live until it is stopped. NULL: no memory or no thread. */
maintenance_t *retention_start(dewey_t *dewey);

/* The same of the keeper that makes text indexes of what an older version has stored (store_t.index). */
maintenance_t *indexing_start(dewey_t *dewey);

#endif
