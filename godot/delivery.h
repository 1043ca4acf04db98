/* delivery.h: brings batches from the queue to the log store, several at a time, as long as the worker runs.
 */
#ifndef GODOT_DELIVERY_H
#define GODOT_DELIVERY_H

#include "config.h"
#include "redis_queue.h"

struct uv_loop_s;
typedef struct delivery delivery_t;

/* Everything is borrowed but the client to the store, which it makes. NULL: bad address, no memory; the log
 * says. */
delivery_t *delivery_new(struct uv_loop_s *loop, const config_t *config, queue_t *queue);
/* Opens the spool, where one is wanted, and connects to the store, for ever. Nonzero: no memory, or no spool;
 * the log says why. */
int delivery_start(delivery_t *delivery);

/* Redis is there (again). */
void delivery_redis_up(delivery_t *delivery);

/* How full queue and leases are, in per cent; told once a second. */
void delivery_set_fill(delivery_t *delivery, int64_t fill_percent);

/* What its spool has on disk, in bytes. */
int64_t delivery_spooled_bytes(const delivery_t *delivery);

/* Ends: waits a moment for an answer that is due, gives the lease back, then cb, once. */
void delivery_stop(delivery_t *delivery, void (*cb)(void *arg), void *arg);

/* Of one that was stopped, when the queue is closed, too: its callbacks come until then. */
void delivery_free(delivery_t *delivery);

#endif
