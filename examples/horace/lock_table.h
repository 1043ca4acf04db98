/* lock_table.h: locks on files and checksums, so that changes to one run one after the other. Any thread. */
#ifndef HORACE_LOCK_TABLE_H
#define HORACE_LOCK_TABLE_H

#include "stores.h"

#include <pthread.h>

enum { LOCK_TABLE_MAX = 256, LOCK_TABLE_KEY_SIZE = 80 };

/* The keys that are locked: ids of files, checksums. */
typedef struct locks {
  pthread_mutex_t mutex;
  pthread_cond_t given;
  int count;
  char keys[LOCK_TABLE_MAX][LOCK_TABLE_KEY_SIZE];
} lock_table_t;

void lock_table_init(lock_table_t *locks);
void lock_table_deinit(lock_table_t *locks);

/* Waits for the lock. Returns false after STORE_QUERY_TIMEOUT_MS or when cancelled. */
bool lock_table_lock(lock_table_t *locks, const char *key, cancel_token_t cancel);
bool lock_table_try_lock(lock_table_t *locks, const char *key); /* without waiting */
void lock_table_unlock(lock_table_t *locks, const char *key);

#endif
