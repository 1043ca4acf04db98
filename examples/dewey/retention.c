/* retention.c: see retention.h.
 *
 * Once an hour it deletes what is too old, in the store's small steps. A failure to delete is logged and
 * tried again an hour later: what is too old stays so. What came from an older installation is kept unless
 * the operator says otherwise, and everything is while the clock is doubted (clock_guard.h). */
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

static void remove_old(dewey_t *dewey, int64_t now_us, store_stop_t stop) {
  store_t *store = dewey->store;
  log_clear_t what = {.before_us = dewey_retention_us(dewey, now_us), .level = -1};
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

/* Whether old lines may go by the clock. */
static bool trusts_clock(dewey_t *dewey, int64_t now_us, store_stop_t stop, int *code, store_error_t *error) {
  int64_t last_us;
  *code = dewey->store->last_retention(dewey->store, &last_us, stop, error);
  if (*code != STORE_OK)
    return false;
  atomic_store(&dewey->last_retention_us, last_us);
  bool trusts = clock_guard_check(&dewey->clock_guard, "dewey", "old log lines", last_us, now_us);
  mcp_metric_set(dewey->figures.retention_held, NULL, !trusts);
  return trusts;
}

static void tend(dewey_t *dewey, int64_t now_us, store_stop_t stop) {
  store_error_t error;
  int code = dewey->store->tend(dewey->store, now_us, stop, &error);
  if (code != STORE_OK && code != STORE_STOPPED)
    mcp_log(MCP_LOG_WARN, "retention", "%s; tried again in an hour", error.text);
}

static bool keep_days(void *arg, store_stop_t stop) {
  dewey_t *dewey = arg;
  int64_t now_us = mcp_time_now_us();
  store_error_t error;
  int code;
  bool trusts = trusts_clock(dewey, now_us, stop, &code, &error);
  if (trusts)
    code = dewey->store->begin_retention(dewey->store, now_us, stop, &error);
  if (trusts && code == STORE_OK)
    atomic_store(&dewey->last_retention_us, now_us);
  if (code != STORE_OK && code != STORE_STOPPED)
    mcp_log(MCP_LOG_ERROR, "retention", "old log lines are not removed: %s", error.text);
  if (!trusts || code != STORE_OK)
    return code != STORE_OK;
  if (may_remove(dewey))
    remove_old(dewey, now_us, stop);
  tend(dewey, now_us, stop);
  return true;
}

static int check(void *arg, size_t room, store_stop_t stop, store_error_t *error) {
  store_t *store = arg;
  return store->check(store, room, stop, error);
}

static bool look(void *arg, store_stop_t stop) {
  dewey_t *dewey = arg;
  return health_check(&dewey->health, check, dewey->store, stop);
}

keeper_t *retention_start(dewey_t *dewey) {
  return keeper_start(&(keeper_plan_t){look, keep_days, dewey});
}

/* ---- Indexing ---- */

static bool is_well(void *arg, store_stop_t stop) {
  dewey_t *dewey = arg;
  (void)stop;
  return health_failing(&dewey->health) == NULL;
}

/* A failure is tried again in an hour, since indexing may cost the store a lot. */
static bool index_texts(void *arg, store_stop_t stop) {
  dewey_t *dewey = arg;
  store_error_t error;
  int code = dewey->store->index(dewey->store, stop, &error);
  if (code != STORE_OK && code != STORE_BUSY && code != STORE_STOPPED)
    mcp_log(MCP_LOG_WARN, "store", "indexing the words of texts: %s; tried again in an hour", error.text);
  return code != STORE_BUSY;
}

keeper_t *indexing_start(dewey_t *dewey) {
  return keeper_start(&(keeper_plan_t){is_well, index_texts, dewey});
}
