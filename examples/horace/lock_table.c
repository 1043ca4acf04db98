/* lock_table.c: see lock_table.h. The table is small, so a linear search suffices. */
#include "lock_table.h"
#include "monotonic.h"

#include <stdio.h>
#include <string.h>

enum { STEP_MS = 50 }; /* interval at which a cancellation is noticed */

void lock_table_init(lock_table_t *locks) {
  pthread_mutex_init(&locks->mutex, NULL);
  pthread_cond_init(&locks->given, NULL);
  locks->count = 0;
}

void lock_table_deinit(lock_table_t *locks) {
  pthread_cond_destroy(&locks->given);
  pthread_mutex_destroy(&locks->mutex);
}

/* With the mutex held. Returns count if the key is not locked. */
static int find(const lock_table_t *locks, const char *key) {
  int i = 0;
  while (i < locks->count && strcmp(locks->keys[i], key) != 0)
    i++;
  return i;
}

/* With the mutex held. */
static bool enter(lock_table_t *locks, const char *key) {
  if (locks->count == LOCK_TABLE_MAX || find(locks, key) < locks->count)
    return false;
  snprintf(locks->keys[locks->count++], LOCK_TABLE_KEY_SIZE, "%s", key);
  return true;
}

bool lock_table_try_lock(lock_table_t *locks, const char *key) {
  pthread_mutex_lock(&locks->mutex);
  bool entered = enter(locks, key);
  pthread_mutex_unlock(&locks->mutex);
  return entered;
}

bool lock_table_lock(lock_table_t *locks, const char *key, cancel_token_t cancel) {
  int64_t deadline_ms = monotonic_ms() + STORE_QUERY_TIMEOUT_MS;
  pthread_mutex_lock(&locks->mutex);
  bool entered = enter(locks, key);
  while (!entered && monotonic_ms() < deadline_ms && !(cancel.cb != NULL && cancel.cb(cancel.arg))) {
    cond_wait_until(&locks->given, &locks->mutex, monotonic_ms() + STEP_MS);
    entered = enter(locks, key);
  }
  pthread_mutex_unlock(&locks->mutex);
  return entered;
}

void lock_table_unlock(lock_table_t *locks, const char *key) {
  pthread_mutex_lock(&locks->mutex);
  memcpy(locks->keys[find(locks, key)], locks->keys[locks->count - 1], LOCK_TABLE_KEY_SIZE);
  locks->count--;
  pthread_cond_broadcast(&locks->given);
  pthread_mutex_unlock(&locks->mutex);
}
