/* sender.h: the senders of a worker. Each one moves batches from the queue to the log store, one after the
 * other; they share the connection to the store, and take turns while the store fails. */
#ifndef GODOT_SENDER_H
#define GODOT_SENDER_H

#include "batch.h"
#include "config.h"
#include "redis_queue.h"
#include "spool_control.h"

#include <iccm_network.h>
#include <stdbool.h>
#include <uv.h>

typedef struct sender sender_t;
typedef struct senders senders_t;
typedef void (*sender_step_cb)(sender_t *sender);

typedef enum sender_state {
  SENDER_RUNNING,        /* within a step */
  SENDER_AWAITING_REPLY, /* of Redis, of the store or of the spool */
  SENDER_PAUSED,         /* continues with next, see pause */
  SENDER_ENDED           /* has released its batch, and does not continue */
} sender_state_t;

/* The event that a paused sender waits for. */
typedef enum sender_pause {
  SENDER_PAUSE_TIMER, /* the timer only */
  SENDER_PAUSE_REDIS, /* Redis is available again */
  SENDER_PAUSE_STORE, /* the store is available again, or the timer */
  SENDER_PAUSE_TURN,  /* it may send */
  SENDER_PAUSE_WORK   /* another sender has claimed a batch */
} sender_pause_t;

typedef enum sender_holding {
  SENDER_HOLDS_NOTHING,
  SENDER_HOLDS_BATCH, /* batch is valid */
  SENDER_HOLDS_ACK    /* batch is finished, and ack is to be sent to Redis */
} sender_holding_t;

struct sender {
  senders_t *senders;
  int index; /* in senders->list; also identifies the sender in its lease */
  sender_state_t state;
  sender_pause_t pause;
  sender_step_cb next;
  sender_holding_t holds;
  batch_t batch;
  batch_ack_t ack;
  bool may_be_stored; /* a response of the store was lost: the batch may be stored */
  unsigned failures;  /* of the store, consecutive */
  unsigned retries;   /* of this batch */
  uv_timer_t pause_timer, lease_timer;
};

/* All pointers are borrowed; arg is passed to the callbacks. */
typedef struct senders_setup {
  uv_loop_t *loop;
  const config_t *config;
  queue_t *queue;
  mcp_client_t *store;
  spool_control_t *spool;
  void (*on_batch_done)(void *arg); /* a batch was acknowledged; see senders_store_works() */
  void (*on_ended)(void *arg);      /* all senders have ended; called once, unless closed before */
  void *arg;
} senders_setup_t;

typedef enum senders_state { SENDERS_NEW, SENDERS_RUNNING, SENDERS_STOPPING, SENDERS_CLOSED } senders_state_t;

struct senders {
  senders_setup_t setup;
  senders_state_t state; /* SENDERS_CLOSED: late replies are ignored */
  sender_t list[CONFIG_MAX_IN_FLIGHT];
  int count;
  bool store_up;            /* connected */
  char store_reason[160];   /* why it is not connected */
  sender_t *exclusive;      /* the only sender that may send, since the store fails; NULL: all may */
  int sends_in_flight;      /* requests to the store without a response */
  sender_t *poller;         /* the sender that polls the queue; NULL: none has to */
  uint64_t last_empty_ms;   /* when the queue was last empty */
  bool has_waiting_entries; /* since then entries were queued, fewer than a batch */
  int ended_count;
  int open_timers; /* timers that are not closed yet */
  void (*on_closed)(void *arg);
  void *closed_arg;
};

/* Initializes as many senders as config->batches_in_flight. */
void senders_init(senders_t *senders, const senders_setup_t *setup);
void senders_start(senders_t *senders);

/* Reports that Redis is available (again). */
void senders_redis_up(senders_t *senders);

/* Reports that the store was connected or disconnected; reason: why it was disconnected. */
void senders_store_changed(senders_t *senders, bool up, const char *reason);

/* Makes senders that wait for the store save their batches to the spool, if it has room. */
void senders_try_spool(senders_t *senders);

/* Whether the store is connected, and no batch is failing. */
bool senders_store_works(const senders_t *senders);

/* Makes each sender release its batch for other workers, after a reply that is due. on_ended is called once.
 */
void senders_stop(senders_t *senders);

/* Call after senders_stop(): releases the leases without waiting for replies. */
void senders_release_leases(senders_t *senders);

/* Call after senders_stop(): ignores replies that are due. cb is called once. */
void senders_close(senders_t *senders, void (*cb)(void *arg), void *arg);

/* Call when both the senders and the queue are closed. */
void senders_deinit(senders_t *senders);

#endif
