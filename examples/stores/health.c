/* health.c: see health.h.
 *
 * Writing and reading are kept apart: a full disk can still be read, and that must not hide it. Each is well
 * again when it has worked once, or when a check found it so; while writing fails, a check has to write as
 * much as work does. Failure: a store that others keep busy is not failing at once, but after BUSY_MS in
 * which nothing worked. */
#include "health.h"
#include "monotonic.h"

#include <iccm_service.h>
#include <stdio.h>

/* What is counted as an error, by store_code. */
static const char *const kinds[] = {[STORE_BUSY] = "busy", [STORE_SLOW] = "slow", [STORE_FAILED] = "failed"};
static const char *const all_kinds[] = {"busy", "slow", "failed", NULL};

enum { BUSY_MS = 60 * 1000 };

void health_init(health_t *health, const char *component, size_t work_bytes, bool well) {
  *health = (health_t){.component = component,
                       .work_bytes = work_bytes,
                       .failing[HEALTH_WRITING] = well ? NULL : "the database has not been tried yet"};
  pthread_mutex_init(&health->mutex, NULL);
}

static void worked(health_t *health) {
  mcp_metric_set(health->well_at, NULL, (double)mcp_time_now_us() / 1e6);
}

/* With the mutex held. */
static const char *reason_of(const health_t *health) {
  const char *reason = health->failing[HEALTH_WRITING];
  return reason != NULL ? reason : health->failing[HEALTH_READING];
}

const char *health_failing(health_t *health) {
  pthread_mutex_lock(&health->mutex);
  const char *reason = reason_of(health);
  pthread_mutex_unlock(&health->mutex);
  return reason;
}

/* With the mutex held, so that the server hears of changes in their order. */
static void tell(health_t *health) {
  const char *reason = reason_of(health);
  if (health->server != NULL)
    mcp_server_set_dependency(health->server, "store", reason);
  mcp_metric_set(health->failing_now, NULL, reason != NULL);
  if (reason == NULL)
    worked(health);
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
                                      "Work that the store did not do, by kind.", "kind", all_kinds);
  health->failing_now = mcp_server_metric(health->server, MCP_GAUGE, name(health, "failing").text,
                                          "1 while the store does not work, as /readyz says, else 0.", NULL);
  health->well_at =
      mcp_server_metric(health->server, MCP_GAUGE, name(health, "worked_timestamp_seconds").text,
                        "When work in the store, or a check of it, last succeeded.", NULL);
}

void health_tell(health_t *health, mcp_server_t *server) {
  pthread_mutex_lock(&health->mutex);
  health->server = server;
  health->errors = health->failing_now = health->well_at = NULL;
  if (server != NULL)
    make_metrics(health);
  tell(health);
  pthread_mutex_unlock(&health->mutex);
}

/* With the mutex held. */
static void count(health_t *health, int code) {
  if (code == STORE_OK)
    worked(health);
  else if (kinds[code] != NULL)
    mcp_metric_add(health->errors, kinds[code], 1);
}

/* With the mutex held. Whether others have kept the store busy for too long, with this work. */
static bool busy_for_long(health_t *health, enum health_work work) {
  int64_t now_ms = monotonic_ms();
  if (health->busy_since_ms[work] == 0)
    health->busy_since_ms[work] = now_ms;
  return now_ms - health->busy_since_ms[work] >= BUSY_MS;
}

/* With the mutex held. brief NULL: it worked. */
static void note(health_t *health, enum health_work work, const char *brief) {
  bool was_failing = health->failing[work] != NULL;
  health->failures += brief != NULL;
  health->failing[work] = brief;
  if (brief == NULL)
    health->busy_since_ms[work] = 0;
  if (was_failing || brief != NULL)
    tell(health);
}

void health_report(health_t *health, enum health_work work, int code, const store_error_t *error) {
  pthread_mutex_lock(&health->mutex);
  count(health, code);
  if (code == STORE_OK || code == STORE_FAILED)
    note(health, work, code == STORE_OK ? NULL : error->brief);
  else if (code == STORE_BUSY && busy_for_long(health, work))
    note(health, work, "others keep the database busy");
  pthread_mutex_unlock(&health->mutex);
}

/* Whether writing fails; what fails from here on is counted anew. */
static bool begin_check(health_t *health) {
  pthread_mutex_lock(&health->mutex);
  bool failing = health->failing[HEALTH_WRITING] != NULL;
  health->failures = 0;
  pthread_mutex_unlock(&health->mutex);
  return failing;
}

static void report_well(health_t *health) {
  pthread_mutex_lock(&health->mutex);
  if (health->failures == 0) { /* nobody has found otherwise meanwhile */
    note(health, HEALTH_WRITING, NULL);
    note(health, HEALTH_READING, NULL);
    worked(health);
    tell(health);
  }
  pthread_mutex_unlock(&health->mutex);
}

bool health_check(health_t *health, health_check_cb check, void *arg, store_stop_t stop) {
  store_error_t error = {.brief = NULL};
  size_t room = begin_check(health) ? health->work_bytes : 0;
  int code = check(arg, room, stop, &error);
  if (code == STORE_REFUSED) { /* what a check gives is fine */
    code = STORE_FAILED;
    error.brief = "the database refused";
  }
  if (code == STORE_OK) {
    health->reported = NULL;
    report_well(health);
    return true;
  }
  if (code == STORE_FAILED && error.brief != health->reported)
    mcp_log(MCP_LOG_WARN, "store", "%s", error.text);
  if (code == STORE_FAILED)
    health->reported = error.brief;
  health_report(health, HEALTH_WRITING, code, &error);
  return false;
}
