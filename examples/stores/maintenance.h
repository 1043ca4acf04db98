/* maintenance.h: a thread that checks a store every few seconds and runs its maintenance every hour. */
#ifndef STORES_MAINTENANCE_H
#define STORES_MAINTENANCE_H

#include "stores.h"

typedef struct maintenance_config {
  /* Returns true if the store is available. Called every 10 s, or every second while either callback
   * returns false. */
  bool (*check)(void *arg, cancel_token_t cancel);
  /* Called when check first succeeds, then every hour. Returns false to be called again a second later. */
  bool (*run)(void *arg, cancel_token_t cancel);
  void *arg;
} maintenance_config_t;

typedef struct maintenance maintenance_t;

/* Starts with a check. Both callbacks run on the thread and must return soon when cancelled; arg must live
 * until maintenance_stop. Returns NULL if out of memory or threads. */
maintenance_t *maintenance_start(const maintenance_config_t *config);

/* Ends the thread and waits up to 1 s for it. Returns false if a callback is still running: it uses arg
 * until the process ends, so end the process soon. maintenance may be NULL. */
bool maintenance_stop(maintenance_t *maintenance);

#endif
