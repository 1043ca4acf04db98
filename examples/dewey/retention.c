/* retention.c: see retention.h.
 *
 * Once an hour it deletes what is too old, in the store's small steps. A failure to delete is logged and
 * tried again an hour later: what is too old stays so. What came from an older installation is kept unless
 * the operator says otherwise. */
#include "retention.h"

/* Whether old lines may go; of those that were taken over the log hears first. */
static bool may_remove(dewey_t *dewey) {
  if (!dewey->store->is_taken_over(dewey->store))
    return true;
  if (!dewey->retention_announced && dewey->retention_given)
    mcp_log(MCP_LOG_WARN, "retention",
            "log lines older than %lld days are removed from now on, those of the older installation, too",
            (long long)dewey->retention_days);
  else if (!dewey->retention_announced)
    mcp_log(MCP_LOG_WARN, "retention",
            "no old log lines are removed from what was taken over until LOG_RETENTION_DAYS is set");
  dewey->retention_announced = true;
  return dewey->retention_given;
}

static void remove_old(void *arg, store_stop_t stop) {
  dewey_t *dewey = arg;
  store_t *store = dewey->store;
  if (!may_remove(dewey))
    return;
  log_clear_t what = {.before_us = dewey_retention_us(dewey), .level = -1};
  store_error_t error;
  uint64_t deleted;
  int code = store->clear(store, &what, stop, &deleted, &error);
  if (deleted > 0)
    mcp_log(MCP_LOG_INFO, "retention", "removed %llu log lines older than %lld days",
            (unsigned long long)deleted, (long long)dewey->retention_days);
  mcp_metric_add(dewey->figures.deleted, "retention", (double)deleted);
  if (code != STORE_OK && code != STORE_STOPPED) {
    mcp_log(MCP_LOG_ERROR, "retention", "removing old log lines failed: %s", error.text);
    health_report(&dewey->health, HEALTH_WRITING, code, &error);
  }
}

static int check(void *arg, store_stop_t stop, store_error_t *error) {
  store_t *store = arg;
  return store->check(store, stop, error);
}

static bool look(void *arg, store_stop_t stop) {
  dewey_t *dewey = arg;
  return health_check(&dewey->health, check, dewey->store, stop);
}

keeper_t *retention_start(dewey_t *dewey) {
  return keeper_start(&(keeper_plan_t){look, remove_old, dewey});
}
