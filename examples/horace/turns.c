/* turns.c: see turns.h. The few that are at work at a time are looked through one by one. */
#include "turns.h"
#include "monotonic.h"

#include <stdio.h>
#include <string.h>

enum { STEP_MS = 50 }; /* how soon stop is noticed */

void turns_init(turns_t *turns) {
  pthread_mutex_init(&turns->mutex, NULL);
  pthread_cond_init(&turns->given, NULL);
  turns->count = 0;
}

void turns_deinit(turns_t *turns) {
  pthread_cond_destroy(&turns->given);
  pthread_mutex_destroy(&turns->mutex);
}

/* With the mutex held; count where it is not there. */
static int find(const turns_t *turns, const char *key) {
  int i = 0;
  while (i < turns->count && strcmp(turns->keys[i], key) != 0)
    i++;
  return i;
}

/* With the mutex held. */
static bool enter(turns_t *turns, const char *key) {
  if (turns->count == TURNS_MAX || find(turns, key) < turns->count)
    return false;
  snprintf(turns->keys[turns->count++], TURN_KEY_SIZE, "%s", key);
  return true;
}

bool turns_try(turns_t *turns, const char *key) {
  pthread_mutex_lock(&turns->mutex);
  bool entered = enter(turns, key);
  pthread_mutex_unlock(&turns->mutex);
  return entered;
}

bool turns_take(turns_t *turns, const char *key, store_stop_t stop) {
  int64_t deadline_ms = monotonic_ms() + STORE_QUERY_MS;
  pthread_mutex_lock(&turns->mutex);
  bool entered = enter(turns, key);
  while (!entered && monotonic_ms() < deadline_ms && !(stop.cb != NULL && stop.cb(stop.arg))) {
    cond_wait_until(&turns->given, &turns->mutex, monotonic_ms() + STEP_MS);
    entered = enter(turns, key);
  }
  pthread_mutex_unlock(&turns->mutex);
  return entered;
}

void turns_give(turns_t *turns, const char *key) {
  pthread_mutex_lock(&turns->mutex);
  memcpy(turns->keys[find(turns, key)], turns->keys[turns->count - 1], TURN_KEY_SIZE);
  turns->count--;
  pthread_cond_broadcast(&turns->given);
  pthread_mutex_unlock(&turns->mutex);
}
