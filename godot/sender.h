/* sender.h: the senders of a worker, each of which brings one batch after the other from the queue to the log
 * store; they share its connection and take turns while it fails. */
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
  SENDER_AWAITING_REPLY, /* an answer of Redis, of the store or of the spool is due */
  SENDER_PAUSED,         /* goes on with next, see its pause */
  SENDER_ENDED           /* has given back what it held, for good */
} sender_state_t;

/* What one that pauses goes on for. */
typedef enum sender_pause {
  SENDER_PAUSE_TIMER, /* the timer alone */
  SENDER_PAUSE_REDIS, /* Redis is back */
  SENDER_PAUSE_STORE, /* the store is back, or the timer */
  SENDER_PAUSE_TURN,  /* it may send */
  SENDER_PAUSE_WORK   /* another sender has found some */
} sender_pause_t;

typedef enum sender_holding {
  SENDER_HOLDS_NOTHING,
  SENDER_HOLDS_BATCH, /* batch is ours */
  SENDER_HOLDS_ACK    /* batch is finished, and ack is what Redis has to learn of it */
} sender_holding_t;

struct sender {
  senders_t *senders;
  int index;
  sender_state_t state;
  sender_pause_t pause;
  sender_step_cb next;
  sender_holding_t holds;
  batch_t batch;
  batch_ack_t ack;
  bool may_be_stored; /* an answer of the store was lost: the batch may be stored */
  unsigned failures;  /* of the store, in a row */
  unsigned retries;   /* of this batch */
  uv_timer_t pause_timer, lease_timer;
};

/* What senders work with, borrowed, and whom they tell, with arg. */
typedef struct senders_setup {
  uv_loop_t *loop;
  const config_t *config;
  queue_t *queue;
  mcp_client_t *store;
  spool_control_t *spool;
  void (*on_batch_done)(void *arg); /* a batch is through: is the store well? */
  void (*on_ended)(void *arg); /* all have given back what they held; once, unless they are closed before */
  void *arg;
} senders_setup_t;

typedef enum senders_state { SENDERS_NEW, SENDERS_RUNNING, SENDERS_STOPPING, SENDERS_CLOSED } senders_state_t;

struct senders {
  senders_setup_t setup;
  senders_state_t state; /* SENDERS_CLOSED: callbacks that still come are void */
  sender_t list[CONFIG_MAX_IN_FLIGHT];
  int count;
  bool store_up;          /* connected */
  char store_reason[160]; /* why not */
  sender_t
      *exclusive; /* the store has failed with this one's batch: no other may send meanwhile; NULL: all may */
  int sends_in_flight;      /* how many wait for an answer of the store */
  sender_t *poller;         /* asks again and again whether there is work; NULL: nobody has to */
  uint64_t last_empty_ms;   /* when there was nothing last */
  bool has_waiting_entries; /* since then entries have come, fewer than a batch */
  int ended_count;
  int open_timers; /* timers to be closed */
  void (*on_closed)(void *arg);
  void *closed_arg;
};

/* As many as config says. */
void senders_init(senders_t *senders, const senders_setup_t *setup);
void senders_start(senders_t *senders);

/* Redis is there (again). */
void senders_redis_up(senders_t *senders);

/* The connection to the store has come or gone; reason: why it has gone. */
void senders_store_changed(senders_t *senders, bool up, const char *reason);

/* Those that wait for the store look at once whether the spool has room for their batches. */
void senders_try_spool(senders_t *senders);

/* Whether the store is there, and no batch has failed there. */
bool senders_store_works(const senders_t *senders);

/* The last step of each, unless an answer is due: whoever asks next gets the batch. on_ended follows, once.
 */
void senders_stop(senders_t *senders);

/* After stop: gives the leases back without waiting for it. */
void senders_release_leases(senders_t *senders);

/* After stop: waits for no answer any more. cb, once. */
void senders_close(senders_t *senders, void (*cb)(void *arg), void *arg);

/* Of those that are closed, when the queue is, too. */
void senders_deinit(senders_t *senders);

#endif
