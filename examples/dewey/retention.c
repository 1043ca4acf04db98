/* retention.c: see retention.h.
 *
 * Once an hour it deletes old log lines, in the store's small steps. A failure is logged and tried again
 * an hour later. Lines of an older installation are kept unless the operator has set LOG_RETENTION_DAYS,
 * and all lines are kept while the clock may be wrong (clock_guard.h). */
#include "retention.h"

/* True if old lines may be removed; lines of an older installation only after an announcement in the log. */
static bool is_removal_allowed(dewey_t *dewey) {
  if (!dewey->store->is_taken_over(dewey->store))
    return true;
  if (!dewey->retention_announced && dewey->retention_is_set)
    mcp_log(MCP_LOG_WARN, "retention",
            "log lines older than %lld days will be removed, including those of the older installation",
            (long long)dewey->retention_days);
  else if (!dewey->retention_announced)
    mcp_log(MCP_LOG_WARN, "retention",
            "log lines of the older installation are kept until LOG_RETENTION_DAYS is set");
  dewey->retention_announced = true;
  return dewey->retention_is_set;
}

static void remove_old(dewey_t *dewey, int64_t now_us, cancel_token_t cancel) {
  store_t *store = dewey->store;
  log_clear_t what = {.before_us = dewey_retention_us(dewey, now_us), .level = -1};
  store_error_t error;
  uint64_t deleted;
  int code = store->clear(store, &what, cancel, &deleted, &error);
  if (deleted > 0)
    mcp_log(MCP_LOG_INFO, "retention", "removed %llu log lines older than %lld days",
            (unsigned long long)deleted, (long long)dewey->retention_days);
  mcp_metric_add(dewey->metrics.deleted, "retention", (double)deleted);
  if (code != STORE_OK && code != STORE_CANCELLED) {
    mcp_log(MCP_LOG_ERROR, "retention", "removing old log lines failed: %s", error.text);
    health_report(&dewey->health, HEALTH_WRITE, code, &error);
  }
}

/* True if the clock can be trusted. */
static bool trusts_clock(dewey_t *dewey, int64_t now_us, cancel_token_t cancel, int *code,
                         store_error_t *error) {
  int64_t last_us;
  *code = dewey->store->last_retention(dewey->store, &last_us, cancel, error);
  if (*code != STORE_OK)
    return false;
  atomic_store(&dewey->last_retention_us, last_us);
  bool clock_is_trusted = clock_guard_check(&dewey->clock_guard, "dewey", "old log lines", last_us, now_us);
  mcp_metric_set(dewey->metrics.retention_held, NULL, !clock_is_trusted);
  return clock_is_trusted;
}

static void maintain(dewey_t *dewey, int64_t now_us, cancel_token_t cancel) {
  store_error_t error;
  int code = dewey->store->maintain(dewey->store, now_us, cancel, &error);
  if (code != STORE_OK && code != STORE_CANCELLED)
    mcp_log(MCP_LOG_WARN, "retention", "%s; retrying in an hour", error.text);
}

static bool run_retention(void *arg, cancel_token_t cancel) {
  dewey_t *dewey = arg;
  int64_t now_us = mcp_time_now_us();
  store_error_t error;
  int code;
  bool clock_is_trusted = trusts_clock(dewey, now_us, cancel, &code, &error);
  if (clock_is_trusted)
    code = dewey->store->begin_retention(dewey->store, now_us, cancel, &error);
  if (clock_is_trusted && code == STORE_OK)
    atomic_store(&dewey->last_retention_us, now_us);
  if (code != STORE_OK && code != STORE_CANCELLED)
    mcp_log(MCP_LOG_ERROR, "retention", "cannot remove old log lines: %s", error.text);
  if (!clock_is_trusted || code != STORE_OK)
    return code != STORE_OK;
  if (is_removal_allowed(dewey))
    remove_old(dewey, now_us, cancel);
  maintain(dewey, now_us, cancel);
  return true;
}

static int check(void *arg, size_t free_bytes, cancel_token_t cancel, store_error_t *error) {
  store_t *store = arg;
  return store->check(store, free_bytes, cancel, error);
}

static bool check_store(void *arg, cancel_token_t cancel) {
  dewey_t *dewey = arg;
  return health_check(&dewey->health, check, dewey->store, cancel);
}

maintenance_t *retention_start(dewey_t *dewey) {
  return maintenance_start(&(maintenance_config_t){check_store, run_retention, dewey});
}

/* ---- Indexing ---- */

static bool is_well(void *arg, cancel_token_t cancel) {
  dewey_t *dewey = arg;
  (void)cancel;
  return health_failure(&dewey->health) == NULL;
}

/* A failure is retried after an hour, since indexing is expensive. */
static bool index_texts(void *arg, cancel_token_t cancel) {
  dewey_t *dewey = arg;
  store_error_t error;
  int code = dewey->store->index(dewey->store, cancel, &error);
  if (code != STORE_OK && code != STORE_BUSY && code != STORE_CANCELLED)
    mcp_log(MCP_LOG_WARN, "store", "rebuilding the text indexes failed: %s; retrying in an hour", error.text);
  return code != STORE_BUSY;
}

maintenance_t *indexing_start(dewey_t *dewey) {
  return maintenance_start(&(maintenance_config_t){is_well, index_texts, dewey});
}
