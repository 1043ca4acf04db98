/* maintenance.c: see maintenance.h. The callbacks log their failures; they are called again. */
#include "maintenance.h"
#include "monotonic.h"

#include <stdlib.h>

enum {
  CHECK_INTERVAL_S = 10,
  CHECK_FAILING_INTERVAL_S = 1,
  RUN_INTERVAL_MS = 60 * 60 * 1000,
  STOP_TIMEOUT_MS = 1000
};

struct maintenance {
  maintenance_config_t config;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards the members below */
  pthread_cond_t wake, ends;
  bool stopping, ended, detached; /* detached: the thread frees the struct */
};

static bool is_stopping(void *arg) {
  maintenance_t *maintenance = arg;
  pthread_mutex_lock(&maintenance->mutex);
  bool stopping = maintenance->stopping;
  pthread_mutex_unlock(&maintenance->mutex);
  return stopping;
}

/* Sleeps until the next check. Returns false when stopping. */
static bool wait_interval(maintenance_t *maintenance, int seconds) {
  int64_t end_ms = monotonic_ms() + (int64_t)seconds * 1000;
  int code = 0;
  pthread_mutex_lock(&maintenance->mutex);
  while (!maintenance->stopping && code == 0)
    code = cond_wait_until(&maintenance->wake, &maintenance->mutex, end_ms);
  bool go_on = !maintenance->stopping;
  pthread_mutex_unlock(&maintenance->mutex);
  return go_on;
}

static void release(maintenance_t *maintenance) {
  pthread_cond_destroy(&maintenance->wake);
  pthread_cond_destroy(&maintenance->ends);
  pthread_mutex_destroy(&maintenance->mutex);
  free(maintenance);
}

static void *run_thread(void *arg) {
  maintenance_t *maintenance = arg;
  const maintenance_config_t *config = &maintenance->config;
  const cancel_token_t cancel = {is_stopping, maintenance};
  int64_t due_ms = 0;
  bool ok;
  do {
    ok = config->check(config->arg, cancel);
    if (ok && monotonic_ms() >= due_ms) {
      ok = config->run(config->arg, cancel);
      due_ms = ok ? monotonic_ms() + RUN_INTERVAL_MS : 0;
    }
  } while (wait_interval(maintenance, ok ? CHECK_INTERVAL_S : CHECK_FAILING_INTERVAL_S));
  pthread_mutex_lock(&maintenance->mutex);
  bool detached = maintenance->detached;
  maintenance->ended = true;
  pthread_cond_signal(&maintenance->ends);
  pthread_mutex_unlock(&maintenance->mutex);
  if (detached)
    release(maintenance);
  return NULL;
}

maintenance_t *maintenance_start(const maintenance_config_t *config) {
  maintenance_t *maintenance = calloc(1, sizeof *maintenance);
  if (maintenance == NULL)
    return NULL;
  maintenance->config = *config;
  pthread_mutex_init(&maintenance->mutex, NULL);
  pthread_cond_init(&maintenance->wake, NULL);
  pthread_cond_init(&maintenance->ends, NULL);
  if (pthread_create(&maintenance->thread, NULL, run_thread, maintenance) == 0)
    return maintenance;
  release(maintenance);
  return NULL;
}

bool maintenance_stop(maintenance_t *maintenance) {
  int64_t end_ms = monotonic_ms() + STOP_TIMEOUT_MS;
  int code = 0;
  if (maintenance == NULL)
    return true;
  pthread_mutex_lock(&maintenance->mutex);
  maintenance->stopping = true;
  pthread_cond_signal(&maintenance->wake);
  while (!maintenance->ended && code == 0)
    code = cond_wait_until(&maintenance->ends, &maintenance->mutex, end_ms);
  bool ended = maintenance->ended;
  maintenance->detached = !ended;
  if (maintenance->detached)
    pthread_detach(maintenance->thread);
  pthread_mutex_unlock(&maintenance->mutex);
  if (!ended)
    return false;
  pthread_join(maintenance->thread, NULL);
  release(maintenance);
  return true;
}
