/* retention.c: see retention.h.
 *
 * Every few seconds the thread looks after a store that is not well. Once an hour it deletes what is too old,
 * in the store's small steps. A failure to delete is logged and tried again an hour later: what is too old
 * stays so. What came from an older installation is kept unless the operator says otherwise. */
#include "retention.h"
#include "cond.h"
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { CHECK_S = 10, CHECK_FAILING_S = 1, REMOVE_MS = 60 * 60 * 1000 };

struct retention {
  dewey_t *dewey;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards stopping */
  pthread_cond_t wake;
  bool stopping;
  bool announced; /* what becomes of lines that were taken over */
};

static bool is_stopping(void *arg) {
  retention_t *retention = arg;
  pthread_mutex_lock(&retention->mutex);
  bool stopping = retention->stopping;
  pthread_mutex_unlock(&retention->mutex);
  return stopping;
}

/* Whether old lines may go; of those that were taken over the log hears first. */
static bool may_remove(retention_t *retention) {
  const dewey_t *dewey = retention->dewey;
  if (!dewey->store->is_taken_over(dewey->store))
    return true;
  if (!retention->announced && dewey->retention_given)
    mcp_log(MCP_LOG_WARN, "retention",
            "log lines older than %lld days are removed from now on, those of the older installation, too",
            (long long)dewey->retention_days);
  else if (!retention->announced)
    mcp_log(MCP_LOG_WARN, "retention",
            "no old log lines are removed from what was taken over until LOG_RETENTION_DAYS is set");
  retention->announced = true;
  return dewey->retention_given;
}

static void remove_old(retention_t *retention) {
  store_t *store = retention->dewey->store;
  if (!may_remove(retention))
    return;
  log_clear_t what = {.before_us = dewey_retention_us(retention->dewey), .level = -1};
  store_error_t error;
  uint64_t deleted;
  int code = store->clear(store, &what, (store_stop_t){is_stopping, retention}, &deleted, &error);
  if (deleted > 0)
    mcp_log(MCP_LOG_INFO, "retention", "removed %llu log lines older than %lld days",
            (unsigned long long)deleted, (long long)retention->dewey->retention_days);
  mcp_metric_add(retention->dewey->figures.deleted, "retention", (double)deleted);
  if (code != STORE_OK && code != STORE_STOPPED) {
    mcp_log(MCP_LOG_ERROR, "retention", "removing old log lines failed: %s", error.text);
    health_report(&retention->dewey->health, HEALTH_WRITING, code, &error);
  }
}

/* Sleeps until the next check; false: to be stopped. */
static bool sleep_a_while(retention_t *retention, int seconds) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += seconds;
  int code = 0;
  pthread_mutex_lock(&retention->mutex);
  while (!retention->stopping && code == 0)
    code = pthread_cond_timedwait(&retention->wake, &retention->mutex, &end);
  bool go_on = !retention->stopping;
  pthread_mutex_unlock(&retention->mutex);
  return go_on;
}

static void *run(void *arg) {
  retention_t *retention = arg;
  dewey_t *dewey = retention->dewey;
  int64_t due_ms = 0;
  bool well;
  do {
    well = health_check(&dewey->health, dewey->store, (store_stop_t){is_stopping, retention});
    if (well && monotonic_ms() >= due_ms) {
      remove_old(retention);
      due_ms = monotonic_ms() + REMOVE_MS;
    }
  } while (sleep_a_while(retention, well ? CHECK_S : CHECK_FAILING_S));
  return NULL;
}

retention_t *retention_start(dewey_t *dewey) {
  retention_t *retention = calloc(1, sizeof *retention);
  if (retention == NULL)
    return NULL;
  retention->dewey = dewey;
  pthread_mutex_init(&retention->mutex, NULL);
  cond_init_monotonic(&retention->wake);
  if (pthread_create(&retention->thread, NULL, run, retention) == 0)
    return retention;
  pthread_cond_destroy(&retention->wake);
  pthread_mutex_destroy(&retention->mutex);
  free(retention);
  return NULL;
}

void retention_stop(retention_t *retention) {
  if (retention == NULL)
    return;
  pthread_mutex_lock(&retention->mutex);
  retention->stopping = true;
  pthread_cond_signal(&retention->wake);
  pthread_mutex_unlock(&retention->mutex);
  pthread_join(retention->thread, NULL);
  pthread_cond_destroy(&retention->wake);
  pthread_mutex_destroy(&retention->mutex);
  free(retention);
}
