/* redis_queue.h: the queue of log entries in Redis; each step is a script that Redis runs atomically.
 *
 * All functions run on the loop's thread. A step that returns nonzero (MCP_ESTATE: not connected; MCP_ENOMEM)
 * never calls its callback. A step that returns 0 calls its callback once, later, with one of these statuses:
 *   0                  the step was done
 *   MCP_EDISCONNECTED  the connection was lost, or Redis did not reply in time: the step may have been done
 *   UV_EPROTO          Redis refused the step; the reason is logged, and passed to queue_on_refusal()'s
 * callback
 */
#ifndef GODOT_REDIS_QUEUE_H
#define GODOT_REDIS_QUEUE_H

#include <iccm_service.h>
#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_UNAVAILABLE "queue unavailable, retry" /* error message for callers of tools */

struct uv_loop_s;
typedef struct queue queue_t;

enum {
  QUEUE_MAX_PUSH = 1000,    /* entries in one step */
  QUEUE_LEASE_MS = 30000,   /* a lease expires if it is not renewed within this time */
  QUEUE_SILENCE_MS = 5000,  /* the queue reconnects after this time without a reply that is due */
  QUEUE_MAX_LEVELS = 10000, /* components with a log level */
  QUEUE_MAX_DEAD = 10000,   /* dead letters; the oldest are removed */
  QUEUE_BATCH_NUMBER_SIZE = 24,
  QUEUE_METRICS = 12,
};
/* A batch of this size is full. It may be larger by one entry and by ids that the worker adds, and stays
 * below Dewey's limit of 8 MiB. */
#define QUEUE_FULL_BATCH_BYTES (INT64_C(7) << 20)
#define QUEUE_MAX_DEAD_BYTES (INT64_C(256) << 20)

/* A leased batch. Borrowed until the callback returns. */
typedef struct queue_batch {
  char number[QUEUE_BATCH_NUMBER_SIZE];
  int64_t claimed_us;   /* when it was first claimed */
  const char *instance; /* the UUID of the Redis data */
  bool sent_before;     /* another sender held it: it may be stored already */
  mcp_text_t *entries;  /* newest first */
  size_t count;
} queue_batch_t;

/* The result of a batch. Borrowed during the call. */
typedef struct queue_ack {
  const char *batch_number;
  size_t bytes;           /* of its entries */
  size_t stored;          /* entries that the store has confirmed */
  unsigned retried;       /* how often it was sent again */
  size_t redacted;        /* members that the worker redacted */
  const mcp_text_t *dead; /* dead letters for logs:dead */
  size_t dead_count;
  const mcp_text_t *returned; /* entries to return to the old end of the queue, newest first */
  size_t returned_count;
} queue_ack_t;

/* Dropped entries that no log entry reports yet. */
typedef struct queue_drops {
  int64_t count, first_us, last_us;
  bool has_room;        /* the queue has room for a drop report */
  int64_t fill_percent; /* fill level of the queue, leased entries included, by the nearer of its bounds */
  bool has_more;        /* more entries are to be dropped than one step may drop: trim again at once */
} queue_drops_t;

/* reason NULL: available. */
typedef void (*queue_state_cb)(const char *reason, void *arg);
typedef void (*queue_levels_cb)(void *arg);
typedef void (*queue_done_cb)(int status, void *arg);
/* batch NULL: none was claimed. queued: entries in the queue, if none was claimed. */
typedef void (*queue_claim_cb)(int status, const queue_batch_t *batch, int64_t queued, void *arg);
/* entries: of the batch, or -1 if the lease is lost. fill_percent: as in queue_drops_t. */
typedef void (*queue_renew_cb)(int status, int64_t entries, int64_t fill_percent, void *arg);
typedef void (*queue_unspool_cb)(int status, bool accepted, void *arg);
typedef void (*queue_trim_cb)(int status, const queue_drops_t *drops, void *arg);

/* values: QUEUE_METRICS of them, in the order of metrics.lua. Borrowed. */
typedef void (*queue_metrics_cb)(int status, const int64_t *values, void *arg);

/* The result of a step on dead letters. Borrowed until the callback returns. */
typedef struct queue_letters {
  int64_t total, examined, moved;
  mcp_text_t *texts; /* letters; for "list" only */
  size_t count;
} queue_letters_t;
typedef void (*queue_dead_letters_cb)(int status, const queue_letters_t *letters, void *arg);

/* config is borrowed. Returns NULL if out of memory. */
queue_t *queue_new(struct uv_loop_s *loop, const config_t *config);

/* Connects, and reconnects after each disconnect. on_state reports each change; it is not called within
 * queue_start(), but may be called within other functions. on_levels reports that levels may have changed,
 * here or by another Godot, which requires a second connection; NULL: levels are not followed. */
void queue_start(queue_t *queue, queue_state_cb on_state, queue_levels_cb on_levels, void *arg);

/* Call before queue_start(). on_refusal, called with the arg of queue_start(), reports that Redis refuses
 * steps (read-only, out of memory, a key of a wrong type), and NULL when a step has worked again. While Redis
 * refuses, queue_metrics() tests it. */
void queue_on_refusal(queue_t *queue, queue_state_cb on_refusal);

/* Closes and frees the queue. Pending steps end with MCP_EDISCONNECTED within the call; cb is called once,
 * later. */
void queue_close(queue_t *queue, void (*cb)(void *arg), void *arg);

bool queue_is_up(const queue_t *queue);

/* Pushes 1 to QUEUE_MAX_PUSH entries, the oldest first, atomically. The same step enforces the queue's
 * bounds, as far as one step may: further excess entries are dropped by the next steps. */
int queue_push(queue_t *queue, const mcp_text_t *entries, size_t count, queue_done_cb cb, void *arg);

/* Ends a batch (ack may be NULL) and claims the next one. No batch is claimed if fewer than min_entries are
 * queued or max_entries is 0. After MCP_EDISCONNECTED the caller may repeat the call with the same ack. A
 * process holds one batch for each sender, which is any number. */
int queue_claim(queue_t *queue, int sender, const queue_ack_t *ack, int64_t min_entries, int64_t max_entries,
                queue_claim_cb cb, void *arg);

/* Renews the lease of a batch. not_stored: the caller knows that no entry of it is stored; then the entries
 * marked to be dropped, the oldest, are dropped now, and the callback's entries is the number left. */
int queue_renew(queue_t *queue, int sender, const char *batch_number, bool not_stored, queue_renew_cb cb,
                void *arg);

/* Makes a batch, to be claimed next, of the entries of a spool record, the oldest first. Does nothing if the
 * record at this offset of this segment, or a later one, was made a batch before. The callback's accepted is
 * false if max_waiting such batches are unclaimed: try again later. */
int queue_unspool(queue_t *queue, const char *segment, int64_t offset, int64_t max_waiting,
                  const mcp_text_t *entries, size_t count, queue_unspool_cb cb, void *arg);

/* Releases the lease of a batch: the next queue_claim() of any worker takes it. */
int queue_release(queue_t *queue, int sender, const char *batch_number, queue_done_cb cb, void *arg);

/* Enforces the queue's bounds, a part in each step, since some producers push without Godot. spooled: bytes
 * in this worker's spool. */
int queue_trim(queue_t *queue, int64_t spooled, queue_trim_cb cb, void *arg);

/* Performs "list", "replay" or "discard" on the oldest dead letters. offset: number of letters that "list"
 * skips. max_bytes: bytes of letters that the step reads; it reads one letter in any case. */
int queue_dead_letters(queue_t *queue, const char *action, int64_t max_letters, int64_t offset,
                       int64_t max_bytes, queue_dead_letters_cb cb, void *arg);

/* Reads the metrics of the queue and the workers. Also tests whether Redis accepts writes. */
int queue_metrics(queue_t *queue, queue_metrics_cb cb, void *arg);

/* Queues a drop report, unless more entries were dropped since drops was read. */
int queue_report_drops(queue_t *queue, const queue_drops_t *drops, mcp_text_t report, queue_done_cb cb,
                       void *arg);

/* Returns the minimum level of a component, MCP_LOG_..., or -1 if it has none. */
int queue_level(const queue_t *queue, const char *component, size_t len);
/* Sets the level of a component; "" removes it. The callback's status may also be MCP_ELIMIT:
 * QUEUE_MAX_LEVELS components have a level. */
int queue_set_level(queue_t *queue, const char *component, size_t len, const char *level, queue_done_cb cb,
                    void *arg);

#endif
