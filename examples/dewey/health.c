/* health.c: see health.h.
 *
 * Writing and reading are kept apart: a full disk can still be read, and that must not hide it. Each is well
 * again when it has worked once, or when a check found it so. */
#include "health.h"

void health_init(health_t *health) {
  *health = (health_t){.server = NULL};
  pthread_mutex_init(&health->mutex, NULL);
}

/* With the mutex held, so that the server hears of changes in their order. */
static void tell(health_t *health) {
  const char *reason = health->failing[HEALTH_WRITING];
  if (reason == NULL)
    reason = health->failing[HEALTH_READING];
  if (health->server != NULL)
    mcp_server_set_need(health->server, "store", reason);
}

void health_tell(health_t *health, mcp_server_t *server) {
  pthread_mutex_lock(&health->mutex);
  health->server = server;
  tell(health);
  pthread_mutex_unlock(&health->mutex);
}

void health_report(health_t *health, enum health_work work, int code, const store_error_t *error) {
  if (code != STORE_OK && code != STORE_FAILED)
    return;
  pthread_mutex_lock(&health->mutex);
  bool was_failing = health->failing[work] != NULL;
  health->failures += code == STORE_FAILED;
  health->failing[work] = code == STORE_FAILED ? error->brief : NULL;
  if (was_failing || code == STORE_FAILED)
    tell(health);
  pthread_mutex_unlock(&health->mutex);
}

void health_check(health_t *health, store_t *store) {
  pthread_mutex_lock(&health->mutex);
  bool quiet = health->failures == 0;
  bool failing = health->failing[HEALTH_WRITING] != NULL || health->failing[HEALTH_READING] != NULL;
  health->failures = 0;
  pthread_mutex_unlock(&health->mutex);
  store_error_t error;
  if (!failing || !quiet || store->check(store, &error) != STORE_OK)
    return;
  pthread_mutex_lock(&health->mutex);
  if (health->failures == 0) { /* nobody has found otherwise meanwhile */
    health->failing[HEALTH_WRITING] = health->failing[HEALTH_READING] = NULL;
    tell(health);
  }
  pthread_mutex_unlock(&health->mutex);
}
