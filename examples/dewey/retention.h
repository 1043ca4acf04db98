/* retention.h: Dewey's maintenance: removes old log lines, checks the store, rebuilds older text indexes. */
#ifndef DEWEY_RETENTION_H
#define DEWEY_RETENTION_H

#include "maintenance.h"
#include "tools.h"

/* Starts the retention; dewey must live until maintenance_stop. Returns NULL if out of memory or threads. */
maintenance_t *retention_start(dewey_t *dewey);

/* Starts the thread that rebuilds text indexes of an older version (store_t.index). As above. */
maintenance_t *indexing_start(dewey_t *dewey);

#endif
