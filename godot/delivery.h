/* delivery.h: moves batches from the queue to the log store, several at a time, while the worker runs. */
#ifndef GODOT_DELIVERY_H
#define GODOT_DELIVERY_H

#include "config.h"
#include "redis_queue.h"

struct uv_loop_s;
typedef struct delivery delivery_t;

/* Creates the delivery and its client to the store; the arguments are borrowed. Returns NULL if the address
 * is invalid or out of memory; the error is logged. */
delivery_t *delivery_new(struct uv_loop_s *loop, const config_t *config, queue_t *queue);
/* Opens the spool, if configured, connects to the store, and reconnects after each disconnect. Returns
 * nonzero if out of memory or the spool cannot be opened; the error is logged. */
int delivery_start(delivery_t *delivery);

/* Reports that Redis is available (again). */
void delivery_redis_up(delivery_t *delivery);

/* Sets the fill level of the queue, leased entries included, in per cent; call once a second. */
void delivery_set_fill(delivery_t *delivery, int64_t fill_percent);

/* Returns the size of the spool on disk, in bytes. */
int64_t delivery_spooled_bytes(const delivery_t *delivery);

/* Waits up to 2 s for responses that are due, and releases the leases; then cb is called once. */
void delivery_stop(delivery_t *delivery, void (*cb)(void *arg), void *arg);

/* Call after delivery_stop() when the queue is closed, too: callbacks of the queue may come until then. */
void delivery_free(delivery_t *delivery);

#endif
