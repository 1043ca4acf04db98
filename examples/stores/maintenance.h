/* maintenance.h: a thread that looks after a store now and then, and does other work every hour. */
#ifndef STORES_MAINTENANCE_H
#define STORES_MAINTENANCE_H

#include "stores.h"

typedef struct maintenance_config {
  /* Whether all is well: asked every ten seconds, or every second while it is not, or work has to wait. */
  bool (*check)(void *arg, cancel_token_t cancel);
  /* Once all is well, then every hour; false: it has to wait, and is called again a second later. */
  bool (*run)(void *arg, cancel_token_t cancel);
  void *arg;
} maintenance_config_t;

typedef struct maintenance maintenance_t;

/* Looks at once. Both callbacks run on the thread, and have to end soon when stop says so; arg has to live
 * until maintenance_stop. NULL: no memory or no thread. */
maintenance_t *maintenance_start(const maintenance_config_t *config);

/* Ends the thread and waits for that, a second at most. False: a callback has not ended, and uses arg
 * until the process ends, which should be soon. NULL is fine. */
bool maintenance_stop(maintenance_t *maintenance);

#endif
