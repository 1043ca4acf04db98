/* lock_table.h: who works on what, so that two do not work on the same at once. Any thread. */
#ifndef HORACE_LOCK_TABLE_H
#define HORACE_LOCK_TABLE_H

#include "stores.h"

#include <pthread.h>

enum { LOCK_TABLE_MAX = 256, LOCK_TABLE_KEY_SIZE = 80 };

/* What is worked on: ids of files, checksums. */
typedef struct locks {
  pthread_mutex_t mutex;
  pthread_cond_t given;
  int count;
  char keys[LOCK_TABLE_MAX][LOCK_TABLE_KEY_SIZE];
} lock_table_t;

void lock_table_init(lock_table_t *locks);
void lock_table_deinit(lock_table_t *locks);

/* Waits for others who work on it; false: for too long (STORE_QUERY_TIMEOUT_MS), or stop said so. */
bool lock_table_lock(lock_table_t *locks, const char *key, cancel_token_t cancel);
bool lock_table_try_lock(lock_table_t *locks, const char *key); /* without waiting */
void lock_table_unlock(lock_table_t *locks, const char *key);

#endif
