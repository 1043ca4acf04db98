/* redis_queue.h: the queue of log entries in Redis, as scripts that do each step in one go.
 *
 * All functions run on the loop's thread. Where one answers nonzero its callback never fires (MCP_ESTATE:
 * Redis is not there; MCP_ENOMEM); where it answers 0 the callback fires once, later, with status 0,
 * MCP_EDISCONNECTED (the connection went or Redis was silent: the step may have been done or not) or
 * UV_EPROTO (Redis refused; the log says why, and so does queue_on_refusal). */
#ifndef GODOT_REDIS_QUEUE_H
#define GODOT_REDIS_QUEUE_H

#include <iccm_service.h>
#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_UNAVAILABLE "queue unavailable, retry" /* what callers of tools are told */

struct uv_loop_s;
typedef struct queue queue_t;

enum {
  QUEUE_MAX_PUSH = 1000,   /* entries in one step */
  QUEUE_LEASE_MS = 30000,  /* whoever holds a batch longer than this without renewing it loses it */
  QUEUE_SILENCE_MS = 5000, /* Redis owes an answer for so long and says nothing: the connection is given up */
  QUEUE_MAX_LEVELS = 10000, /* components with a level of their own */
  QUEUE_MAX_DEAD = 10000,   /* dead letters; the oldest go */
  QUEUE_BATCH_NUMBER_SIZE = 24,
  QUEUE_METRICS = 12,
};
#define QUEUE_FULL_BATCH_BYTES                                                                               \
  (INT64_C(7) << 20) /* + one entry + ids given by the worker: below Dewey's 8 MiB */
#define QUEUE_MAX_DEAD_BYTES (INT64_C(256) << 20)

/* A batch under lease. Borrowed until the callback returns. */
typedef struct queue_batch {
  char number[QUEUE_BATCH_NUMBER_SIZE]; /* its number */
  int64_t claimed_us;                   /* when it was claimed first */
  const char *instance;                 /* the UUID of this Redis' data */
  bool sent_before;                     /* somebody else held it: it may be stored already */
  mcp_text_t *entries;                  /* newest first */
  size_t count;
} queue_batch_t;

/* What became of a batch. Borrowed during the call. */
typedef struct queue_ack {
  const char *batch_number;
  size_t bytes;           /* of its entries */
  size_t stored;          /* how many the store has confirmed */
  unsigned retried;       /* how often it was sent once more */
  size_t redacted;        /* how many members lost their values here */
  const mcp_text_t *dead; /* letters for logs:dead */
  size_t dead_count;
  const mcp_text_t *returned; /* entries for the old end of the queue, newest first */
  size_t returned_count;
} queue_ack_t;

/* Drops that no log line names yet. */
typedef struct queue_drops {
  int64_t count, first_us, last_us;
  bool has_room;        /* for a line that does */
  int64_t fill_percent; /* how full queue and leases are, in per cent of the nearer bound */
  bool has_more;        /* are to be dropped than one step may: trim again at once */
} queue_drops_t;

typedef void (*queue_state_cb)(const char *reason, void *arg); /* NULL: Redis is there */
typedef void (*queue_levels_cb)(void *arg);
typedef void (*queue_done_cb)(int status, void *arg);
typedef void (*queue_claim_cb)(int status, const queue_batch_t *batch, int64_t queued, void *arg);
/* entries -1: the lease is lost; fill as in queue_drops_t. */
typedef void (*queue_renew_cb)(int status, int64_t entries, int64_t fill_percent, void *arg);
typedef void (*queue_unspool_cb)(int status, bool taken, void *arg);
typedef void (*queue_trim_cb)(int status, const queue_drops_t *drops, void *arg);

/* As godot/metrics.lua lists them, QUEUE_METRICS of them, borrowed. */
typedef void (*queue_metrics_cb)(int status, const int64_t *values, void *arg);

/* Borrowed until the callback returns. */
typedef struct queue_letters {
  int64_t total, examined, moved;
  mcp_text_t *texts; /* of "list" */
  size_t count;
} queue_letters_t;
typedef void (*queue_dead_letters_cb)(int status, const queue_letters_t *letters, void *arg);

/* config is borrowed. NULL: no memory. */
queue_t *queue_new(struct uv_loop_s *loop, const config_t *config);

/* Connects, and stays connected for ever; on_state tells each change and may be called at any time but within
 * a call of start. on_levels: levels may have changed, here or by another Godot, which is heard over a
 * connection of its own; NULL: they are not followed. */
void queue_start(queue_t *queue, queue_state_cb on_state, queue_levels_cb on_levels, void *arg);

/* Before start. Tells, with start's arg, when Redis begins to refuse steps (read-only, out of memory, a key
 * of a wrong type), and NULL when one has worked again: queue_metrics tries while it refuses. */
void queue_on_refusal(queue_t *queue, queue_state_cb on_refusal);

/* Ends and frees it: steps still waiting end with MCP_EDISCONNECTED within the call; then cb, once. */
void queue_close(queue_t *queue, void (*cb)(void *arg), void *arg);

bool queue_is_up(const queue_t *queue);

/* Queues 1 to QUEUE_MAX_PUSH entries, the oldest first, all or none. Bounds are kept in the same step, as far
 * as one step may: what others have pushed beyond them goes with the next ones. */
int queue_push(queue_t *queue, const mcp_text_t *entries, size_t count, queue_done_cb cb, void *arg);

/* Ends a batch (ack, may be NULL) and claims the next (batch NULL: there are fewer than fewest entries;
 * most 0: none is wanted). After MCP_EDISCONNECTED it may be asked again with the same ack. A process holds
 * one batch for each sender, which is any number. */
int queue_claim(queue_t *queue, int sender, const queue_ack_t *ack, int64_t min_entries, int64_t max_entries,
                queue_claim_cb cb, void *arg);

/* Keeps the lease of a batch. not_stored: the caller knows that no entry of it is stored, so what has been
 * pushed out by newer entries goes now, from the old end; entries says what is left. */
int queue_renew(queue_t *queue, int sender, const char *batch_number, bool not_stored, queue_renew_cb cb,
                void *arg);

/* Makes a batch of entries that this worker had spooled, the oldest first, for whoever asks next; none where
 * this place of this segment, or a later one, has become one already. taken false: most such batches wait;
 * later. */
int queue_unspool(queue_t *queue, const char *segment, int64_t offset, int64_t max_waiting,
                  const mcp_text_t *entries, size_t count, queue_unspool_cb cb, void *arg);

/* Gives the batch to whoever asks next. */
int queue_release(queue_t *queue, int sender, const char *batch_number, queue_done_cb cb, void *arg);

/* Keeps the bounds for those who push without asking, a piece in each step. spooled: what stands on this
 * worker's disk, in bytes.
 */
int queue_trim(queue_t *queue, int64_t spooled, queue_trim_cb cb, void *arg);

/* "list", "replay" or "discard" of the oldest dead letters; skip: so many are passed over by "list"; bytes:
 * so much of them is read in this step, and one letter in any case. */
int queue_dead_letters(queue_t *queue, const char *action, int64_t max_letters, int64_t offset,
                       int64_t max_bytes, queue_dead_letters_cb cb, void *arg);

/* What queue and workers have come to. It also finds out whether Redis takes what is written. */
int queue_metrics(queue_t *queue, queue_metrics_cb cb, void *arg);

/* Queues the line that names drops, unless there have been more meanwhile. */
int queue_report_drops(queue_t *queue, const queue_drops_t *drops, mcp_text_t line, queue_done_cb cb,
                       void *arg);

/* The least level that is queued for a component: MCP_LOG_..., or -1: all are. */
int queue_level(const queue_t *queue, const char *component, size_t len);
/* level "": from now on the component has none. The callback's status may also be MCP_ELIMIT:
 * QUEUE_MAX_LEVELS components have one. */
int queue_set_level(queue_t *queue, const char *component, size_t len, const char *level, queue_done_cb cb,
                    void *arg);

#endif
