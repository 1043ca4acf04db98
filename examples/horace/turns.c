/* turns.c: see turns.h. The few that are at work at a time are looked through one by one. */
#include "turns.h"
#include "cond.h"

#include <stdio.h>
#include <string.h>

enum { STEP_MS = 50 }; /* how soon stop is noticed */

void turns_init(turns_t *turns) {
  pthread_mutex_init(&turns->mutex, NULL);
  cond_init_monotonic(&turns->given);
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
  bool entered = false;
  pthread_mutex_lock(&turns->mutex);
  for (int left_ms = STORE_QUERY_MS; left_ms > 0 && !(entered = enter(turns, key)); left_ms -= STEP_MS) {
    if (stop.cb != NULL && stop.cb(stop.arg))
      break;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += STEP_MS * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&turns->given, &turns->mutex, &end);
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
