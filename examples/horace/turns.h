/* turns.h: who works on what, so that two do not work on the same at once. Any thread. */
#ifndef HORACE_TURNS_H
#define HORACE_TURNS_H

#include "stores.h"

#include <pthread.h>

enum { TURNS_MAX = 256, TURN_KEY_SIZE = 80 };

/* What is worked on: ids of files, checksums. */
typedef struct turns {
  pthread_mutex_t mutex;
  pthread_cond_t given;
  int count;
  char keys[TURNS_MAX][TURN_KEY_SIZE];
} turns_t;

void turns_init(turns_t *turns);
void turns_deinit(turns_t *turns);

/* Waits for others who work on it; false: for too long (STORE_QUERY_MS), or stop said so. */
bool turns_take(turns_t *turns, const char *key, store_stop_t stop);
bool turns_try(turns_t *turns, const char *key); /* without waiting */
void turns_give(turns_t *turns, const char *key);

#endif
