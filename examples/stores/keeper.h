/* keeper.h: a thread that looks after a store now and then, and does other work every hour. */
#ifndef STORES_KEEPER_H
#define STORES_KEEPER_H

#include "stores.h"

typedef struct keeper_plan {
  /* Whether all is well: asked every ten seconds, or every second while it is not, or work has to wait. */
  bool (*look)(void *arg, store_stop_t stop);
  /* Once all is well, then every hour; false: it has to wait, and is called again a second later. */
  bool (*work)(void *arg, store_stop_t stop);
  void *arg;
} keeper_plan_t;

typedef struct keeper keeper_t;

/* Looks at once. Both callbacks run on the thread, and have to end soon when stop says so; arg has to live
 * until keeper_stop. NULL: no memory or no thread. */
keeper_t *keeper_start(const keeper_plan_t *plan);

/* Ends the thread and waits for that, a second at most. False: a callback has not ended, and uses arg
 * until the process ends, which should be soon. NULL is fine. */
bool keeper_stop(keeper_t *keeper);

#endif
