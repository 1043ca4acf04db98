/* health.h: the state of the store, reported to the server as its dependency "store". Any thread. */
#ifndef STORES_HEALTH_H
#define STORES_HEALTH_H

#include "stores.h"

#include <pthread.h>

enum health_operation { HEALTH_WRITE, HEALTH_READ, HEALTH_OPERATIONS };

typedef struct health {
  pthread_mutex_t mutex;                    /* guards the members below */
  mcp_server_t *server;                     /* borrowed; may be NULL */
  const char *failure[HEALTH_OPERATIONS];   /* reason, or NULL */
  int64_t busy_since_ms[HEALTH_OPERATIONS]; /* monotonic; 0: the last operation was not kept busy */
  unsigned failures;                        /* since the last check */
  /* bytes that a check must be able to write after a failed write */
  size_t probe_bytes;
  const char *reported;  /* last failure that a check has logged; its thread only */
  const char *component; /* prefix of the metric names, such as "dewey" */
  mcp_metric_t *errors, *last_success, *failing_metric; /* of the server; NULL without one */
} health_t;

/* available: the store was opened and works. Otherwise it counts as unavailable until a check or an
 * operation has succeeded. component is borrowed. probe_bytes is the most that one operation writes. */
void health_init(health_t *health, const char *component, size_t probe_bytes, bool available);

/* Reports the current and every later state to the server and creates the metrics COMPONENT_store_...;
 * NULL detaches the server. */
void health_set_server(health_t *health, mcp_server_t *server);

/* Records the result of an operation and counts it. An operation that was invalid, too slow or cancelled
 * does not change the state. Do not report a success that did not touch the database. */
void health_report(health_t *health, enum health_operation work, int code, const store_error_t *error);

/* Checks the store and prepares a new one; ends early when cancelled. Call it regularly: an idle store is
 * checked by nothing else. Returns true if the store is available. The callback reads and writes a little
 * and checks that free_bytes can be written. */
typedef int (*health_check_cb)(void *arg, size_t free_bytes, cancel_token_t cancel, store_error_t *error);
bool health_check(health_t *health, health_check_cb check, void *arg, cancel_token_t cancel);

/* Returns why the store is unavailable, or NULL. Never freed. */
const char *health_failure(health_t *health);

#endif
