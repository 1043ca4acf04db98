/* keeper.c: see keeper.h. What fails is its callbacks' affair: they are called again in time. */
#include "keeper.h"
#include "monotonic.h"

#include <stdlib.h>

enum { LOOK_S = 10, LOOK_FAILING_S = 1, WORK_MS = 60 * 60 * 1000, STOP_MS = 1000 };

struct keeper {
  keeper_plan_t plan;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t wake, ends;
  bool stopping, ended, left; /* left: nobody waits for the thread, which releases everything */
};

static bool is_stopping(void *arg) {
  keeper_t *keeper = arg;
  pthread_mutex_lock(&keeper->mutex);
  bool stopping = keeper->stopping;
  pthread_mutex_unlock(&keeper->mutex);
  return stopping;
}

/* Sleeps until the next look; false: to be stopped. */
static bool sleep_a_while(keeper_t *keeper, int seconds) {
  int64_t end_ms = monotonic_ms() + (int64_t)seconds * 1000;
  int code = 0;
  pthread_mutex_lock(&keeper->mutex);
  while (!keeper->stopping && code == 0)
    code = cond_wait_until(&keeper->wake, &keeper->mutex, end_ms);
  bool go_on = !keeper->stopping;
  pthread_mutex_unlock(&keeper->mutex);
  return go_on;
}

static void release(keeper_t *keeper) {
  pthread_cond_destroy(&keeper->wake);
  pthread_cond_destroy(&keeper->ends);
  pthread_mutex_destroy(&keeper->mutex);
  free(keeper);
}

static void *run(void *arg) {
  keeper_t *keeper = arg;
  const keeper_plan_t *plan = &keeper->plan;
  const store_stop_t stop = {is_stopping, keeper};
  int64_t due_ms = 0;
  bool fine;
  do {
    fine = plan->look(plan->arg, stop);
    if (fine && monotonic_ms() >= due_ms) {
      fine = plan->work(plan->arg, stop);
      due_ms = fine ? monotonic_ms() + WORK_MS : 0;
    }
  } while (sleep_a_while(keeper, fine ? LOOK_S : LOOK_FAILING_S));
  pthread_mutex_lock(&keeper->mutex);
  bool left = keeper->left;
  keeper->ended = true;
  pthread_cond_signal(&keeper->ends);
  pthread_mutex_unlock(&keeper->mutex);
  if (left)
    release(keeper);
  return NULL;
}

keeper_t *keeper_start(const keeper_plan_t *plan) {
  keeper_t *keeper = calloc(1, sizeof *keeper);
  if (keeper == NULL)
    return NULL;
  keeper->plan = *plan;
  pthread_mutex_init(&keeper->mutex, NULL);
  pthread_cond_init(&keeper->wake, NULL);
  pthread_cond_init(&keeper->ends, NULL);
  if (pthread_create(&keeper->thread, NULL, run, keeper) == 0)
    return keeper;
  release(keeper);
  return NULL;
}

bool keeper_stop(keeper_t *keeper) {
  int64_t end_ms = monotonic_ms() + STOP_MS;
  int code = 0;
  if (keeper == NULL)
    return true;
  pthread_mutex_lock(&keeper->mutex);
  keeper->stopping = true;
  pthread_cond_signal(&keeper->wake);
  while (!keeper->ended && code == 0)
    code = cond_wait_until(&keeper->ends, &keeper->mutex, end_ms);
  bool ended = keeper->ended;
  keeper->left = !ended;
  if (keeper->left)
    pthread_detach(keeper->thread);
  pthread_mutex_unlock(&keeper->mutex);
  if (!ended)
    return false;
  pthread_join(keeper->thread, NULL);
  release(keeper);
  return true;
}
