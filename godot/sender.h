/* sender.h: one batch after the other on its way to the log store, and what all senders of a worker share.
 * Private to delivery.c and sender.c. */
#ifndef GODOT_SENDER_H
#define GODOT_SENDER_H

#include "batch.h"
#include "config.h"
#include "redis_queue.h"
#include "spool_control.h"

#include <iccm_network.h>
#include <uv.h>

typedef struct delivery delivery_t;
typedef struct sender sender_t;
typedef void (*step_cb)(sender_t *sender);
typedef enum missing { NOTHING, REDIS, STORE, TURN, WORK } missing_t;

struct sender {
  delivery_t *delivery;
  int number;
  batch_t batch;
  bool holding;      /* batch is ours, and not acknowledged yet */
  bool uncertain;    /* an answer of the store was lost: the batch may be stored */
  batch_ack_t ack;   /* of a finished batch, until Redis has it */
  bool concluded;    /* ack is set */
  unsigned failures; /* of the store, in a row */
  unsigned retries;  /* of this batch */
  bool asking;       /* an answer of Redis or of the store is due: exactly one of this and paused is set */
  step_cb paused;    /* the step to go on with, by timer or when what is missing is there; NULL: none */
  missing_t missing; /* while paused */
  uv_timer_t pause, lease;
  bool ended; /* has given back what it held, for good */
};

struct delivery {
  uv_loop_t *loop;
  const config_t *config; /* borrowed */
  queue_t *queue;         /* borrowed */
  mcp_client_t *store;
  bool store_up;          /* connected */
  char store_reason[160]; /* why not */
  sender_t senders[CONFIG_MAX_IN_FLIGHT];
  int sender_count;
  sender_t
      *alone;  /* the store has failed with this sender's batch: no other may send meanwhile; NULL: all may */
  int sending; /* senders that wait for an answer of the store */
  sender_t *poller;  /* asks again and again whether there is work; NULL: nobody has to */
  uint64_t empty_ms; /* when there was nothing last */
  bool waits;        /* since then entries have come, fewer than a batch */
  spool_control_t control;
  int64_t fill; /* how full the queue was when last seen, in per cent */
  uv_timer_t stop;
  int senders_ended;
  int open; /* handles and client to be closed, and work under way */
  bool stopping;
  bool closed; /* nothing is waited for any more: callbacks that still come are void */
  void (*on_stopped)(void *arg);
  void *stopped_arg;
};

void sender_init(sender_t *sender, delivery_t *delivery, int number);
void sender_start(sender_t *sender);

/* What is missing where it says so has come. */
void sender_go_on(sender_t *sender);

/* What is left of its batch has gone to the spool (0), or stays. */
void sender_saved(sender_t *sender, int status);

/* The last step, unless an answer is due: whoever asks next gets the batch. delivery_sender_ended() follows,
 * once. */
void sender_stop(sender_t *sender);

/* Gives the lease back without waiting for it. */
void sender_let_go(sender_t *sender);

/* Frees what it holds. */
void sender_deinit(sender_t *sender);

/* delivery.c's part: a sender has ended; one of what is open has. */
void delivery_sender_ended(delivery_t *delivery);
void delivery_release(delivery_t *delivery);

#endif
