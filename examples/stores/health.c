/* health.c: see health.h.
 *
 * Writing and reading have separate states: a full disk can still be read, which must not hide the
 * failure. A state recovers when an operation of its kind or a check succeeds. After a failed write, a
 * check must be able to write probe_bytes. STORE_BUSY counts as a failure only after BUSY_MS without any
 * success. */
#include "health.h"
#include "monotonic.h"

#include <iccm_service.h>
#include <stdio.h>

/* The store_codes that are counted as errors. */
static const char *const error_kinds[] = {
    [STORE_BUSY] = "busy", [STORE_TIMEOUT] = "slow", [STORE_FAILED] = "failed"};
static const char *const error_labels[] = {"busy", "slow", "failed", NULL};

enum { BUSY_MS = 60 * 1000 };

void health_init(health_t *health, const char *component, size_t probe_bytes, bool available) {
  *health = (health_t){.component = component,
                       .probe_bytes = probe_bytes,
                       .failure[HEALTH_WRITE] = available ? NULL : "the database has not been checked yet"};
  pthread_mutex_init(&health->mutex, NULL);
}

static void set_last_success(health_t *health) {
  mcp_metric_set(health->last_success, NULL, (double)mcp_time_now_us() / 1e6);
}

/* With the mutex held. */
static const char *reason_of(const health_t *health) {
  const char *reason = health->failure[HEALTH_WRITE];
  return reason != NULL ? reason : health->failure[HEALTH_READ];
}

const char *health_failure(health_t *health) {
  pthread_mutex_lock(&health->mutex);
  const char *reason = reason_of(health);
  pthread_mutex_unlock(&health->mutex);
  return reason;
}

/* With the mutex held, so that the server receives changes in order. */
static void update_server(health_t *health) {
  const char *reason = reason_of(health);
  if (health->server != NULL)
    mcp_server_set_dependency(health->server, "store", reason);
  mcp_metric_set(health->failing_metric, NULL, reason != NULL);
  if (reason == NULL)
    set_last_success(health);
}

typedef struct metric_name {
  char text[96];
} metric_name_t;

static metric_name_t name(const health_t *health, const char *what) {
  metric_name_t made;
  snprintf(made.text, sizeof made.text, "%s_store_%s", health->component, what);
  return made;
}

static void make_metrics(health_t *health) {
  health->errors = mcp_server_counter(health->server, name(health, "errors_total").text,
                                      "Failed store operations, by kind.", "kind", error_labels);
  health->failing_metric = mcp_server_metric(health->server, MCP_GAUGE, name(health, "failing").text,
                                             "1 while the store is unavailable (see /readyz), else 0.", NULL);
  health->last_success =
      mcp_server_metric(health->server, MCP_GAUGE, name(health, "worked_timestamp_seconds").text,
                        "Time of the last successful store operation or check.", NULL);
}

void health_set_server(health_t *health, mcp_server_t *server) {
  pthread_mutex_lock(&health->mutex);
  health->server = server;
  health->errors = health->failing_metric = health->last_success = NULL;
  if (server != NULL)
    make_metrics(health);
  update_server(health);
  pthread_mutex_unlock(&health->mutex);
}

/* With the mutex held. */
static void count(health_t *health, int code) {
  if (code == STORE_OK)
    set_last_success(health);
  else if (error_kinds[code] != NULL)
    mcp_metric_add(health->errors, error_kinds[code], 1);
}

/* With the mutex held. True if operations of this kind have been busy for BUSY_MS. */
static bool busy_for_long(health_t *health, enum health_operation work) {
  int64_t now_ms = monotonic_ms();
  if (health->busy_since_ms[work] == 0)
    health->busy_since_ms[work] = now_ms;
  return now_ms - health->busy_since_ms[work] >= BUSY_MS;
}

/* With the mutex held. brief NULL: success. */
static void set_failure(health_t *health, enum health_operation work, const char *brief) {
  bool was_failing = health->failure[work] != NULL;
  health->failures += brief != NULL;
  health->failure[work] = brief;
  if (brief == NULL)
    health->busy_since_ms[work] = 0;
  if (was_failing || brief != NULL)
    update_server(health);
}

void health_report(health_t *health, enum health_operation work, int code, const store_error_t *error) {
  pthread_mutex_lock(&health->mutex);
  count(health, code);
  if (code == STORE_OK || code == STORE_FAILED)
    set_failure(health, work, code == STORE_OK ? NULL : error->brief);
  else if (code == STORE_BUSY && busy_for_long(health, work))
    set_failure(health, work, "the database has been busy for 60 s");
  pthread_mutex_unlock(&health->mutex);
}

/* Resets the count of failures. Returns true if writing fails. */
static bool begin_check(health_t *health) {
  pthread_mutex_lock(&health->mutex);
  bool failure = health->failure[HEALTH_WRITE] != NULL;
  health->failures = 0;
  pthread_mutex_unlock(&health->mutex);
  return failure;
}

static void report_available(health_t *health) {
  pthread_mutex_lock(&health->mutex);
  if (health->failures == 0) { /* no operation has failed since the check began */
    set_failure(health, HEALTH_WRITE, NULL);
    set_failure(health, HEALTH_READ, NULL);
    set_last_success(health);
    update_server(health);
  }
  pthread_mutex_unlock(&health->mutex);
}

bool health_check(health_t *health, health_check_cb check, void *arg, cancel_token_t cancel) {
  store_error_t error = {.brief = NULL};
  size_t free_bytes = begin_check(health) ? health->probe_bytes : 0;
  int code = check(arg, free_bytes, cancel, &error);
  if (code == STORE_INVALID) { /* a check's own values are valid */
    code = STORE_FAILED;
    error.brief = "the database reported an error";
  }
  if (code == STORE_OK) {
    health->reported = NULL;
    report_available(health);
    return true;
  }
  if (code == STORE_FAILED && error.brief != health->reported)
    mcp_log(MCP_LOG_WARN, "store", "%s", error.text);
  if (code == STORE_FAILED)
    health->reported = error.brief;
  health_report(health, HEALTH_WRITE, code, &error);
  return false;
}
