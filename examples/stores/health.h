/* health.h: whether the store works, told as the server's need "store". Any thread. */
#ifndef STORES_HEALTH_H
#define STORES_HEALTH_H

#include "stores.h"

#include <pthread.h>

enum health_operation { HEALTH_WRITE, HEALTH_READ, HEALTH_OPERATIONS };

typedef struct health {
  pthread_mutex_t mutex;                    /* guards what follows */
  mcp_server_t *server;                     /* borrowed; NULL: nobody is told */
  const char *failure[HEALTH_OPERATIONS];   /* why; NULL: it does not */
  int64_t busy_since_ms[HEALTH_OPERATIONS]; /* monotonic; 0: the last such work was not kept waiting */
  unsigned failures;                        /* since the last check */
  size_t probe_bytes;                       /* what a check writes while writing fails */
  const char *reported;  /* the kind of failure that was logged last by a check; its thread's own */
  const char *component; /* "dewey", which metrics' names begin with */
  mcp_metric_t *errors, *last_success, *failing_metric; /* the server's; NULL with it */
} health_t;

/* Well: the store was opened and works. Else it is not well before a check, or some work, has found it so.
 * component is borrowed for as long as health. probe_bytes: so much as work writes at once. */
void health_init(health_t *health, const char *component, size_t probe_bytes, bool available);

/* From here on the server is told, also what was found before, and has the metrics COMPONENT_store_...; NULL:
 * no more. */
void health_set_server(health_t *health, mcp_server_t *server);

/* What came of some work in the store; it is counted. Work that was refused for what it asks, was too slow or
 * was told to stop says nothing about the store's health, nor does a success that had nothing to do: do not
 * report that. */
void health_report(health_t *health, enum health_operation work, int code, const store_error_t *error);

/* Tries a store, and prepares one that is new; ends when stop says so. Called now and then: whether a store
 * that nobody calls works is known by that alone. Whether it is well now. The callback writes a little and
 * reads a little; room: there has to be room for so many bytes, too. */
typedef int (*health_check_cb)(void *arg, size_t free_bytes, cancel_token_t cancel, store_error_t *error);
bool health_check(health_t *health, health_check_cb check, void *arg, cancel_token_t cancel);

/* Why it is not well; NULL: it is. Never freed. */
const char *health_failure(health_t *health);

#endif
