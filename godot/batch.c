/* batch.c: the entries of one batch and their states.
 *
 * Happy path: normalize all entries, send them in one request, all are stored. Failure modes: an entry that
 * is invalid or that the store rejects becomes a dead letter; if the store refuses the whole request, its
 * halves are sent, breadth first, until the entries that cause the refusal are sent alone. */
#include "batch.h"

#include "entry.h"

#include <iccm_service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum item_state {
  ITEM_PENDING, /* to be sent */
  ITEM_DROPPED, /* dropped by the queue, which has counted it */
  ITEM_STORED,
  ITEM_SPOOLED, /* on disk; it will be restored */
  ITEM_SUSPECT, /* refused alone; the store may have failed */
  ITEM_DEAD
} item_state_t;

struct batch_item {
  char *text; /* owned; normalized, or redacted only if it could not be normalized */
  size_t len;
  size_t queued_len; /* length in the queue */
  item_state_t state;
  unsigned refused_at; /* for ITEM_SUSPECT: batch->responses at the refusal */
  char reason[ENTRY_REASON_SIZE];
};

static int init_item(batch_t *batch, batch_item_t *item, const mcp_text_t *source,
                     const entry_origin_t *origin) {
  size_t redacted = 0;
  item->queued_len = source->len;
  item->text = entry_normalize(source->ptr, source->len, origin, &item->len, &redacted, item->reason);
  if (item->text == NULL) {
    item->state = ITEM_DEAD;
    item->text = entry_redact(source->ptr, source->len, &item->len, &redacted);
  }
  batch->redacted += redacted;
  return item->text != NULL ? 0 : MCP_ENOMEM;
}

int batch_init(batch_t *batch, const queue_batch_t *from) {
  entry_origin_t origin = {from->instance, from->number, 0, from->claimed_us};
  int status = 0;
  memset(batch, 0, sizeof *batch);
  memcpy(batch->number, from->number, sizeof batch->number);
  batch->sent_before = from->sent_before;
  batch->items = calloc(from->count + 1, sizeof *batch->items);
  batch->ranges =
      calloc(3 * from->count + 2, sizeof *batch->ranges); /* for a binary tree, and for retry_suspects() */
  if (batch->items == NULL || batch->ranges == NULL)
    status = MCP_ENOMEM;
  else
    batch->count = from->count;
  for (size_t i = 0; i < from->count && status == 0; i++) {
    origin.index = from->count - 1 - i; /* counted from the newest, which is dropped last */
    status = init_item(batch, &batch->items[i], &from->entries[origin.index], &origin);
  }
  if (status != 0)
    batch_deinit(batch);
  else
    batch->ranges[batch->range_count++] = (batch_range_t){0, batch->count};
  return status;
}

void batch_deinit(batch_t *batch) {
  for (size_t i = 0; i < batch->count; i++)
    free(batch->items[i].text);
  free(batch->items);
  free(batch->ranges);
  memset(batch, 0, sizeof *batch);
}

void batch_keep_newest(batch_t *batch, size_t count) {
  for (size_t i = 0; i + count < batch->count; i++)
    batch->items[i].state = ITEM_DROPPED;
}

/* All ranges were sent: appends the suspects, and an entry that is stored already. If the store accepts that
 * one, it works, and refuses the suspects because of their content. Returns false if nothing was appended. */
static bool retry_suspects(batch_t *batch) {
  size_t known_good = batch->count, first = batch->range_count;
  if (batch->suspects_retried || !batch->any_stored)
    return false;
  batch->suspects_retried = true;
  for (size_t i = 0; i < batch->count; i++) {
    if (batch->items[i].state == ITEM_STORED)
      known_good = i;
    if (batch->items[i].state != ITEM_SUSPECT)
      continue;
    batch->items[i].state = ITEM_PENDING;
    batch->ranges[batch->range_count++] = (batch_range_t){i, i + 1};
  }
  if (batch->range_count == first)
    return false;
  batch->items[known_good].state = ITEM_PENDING; /* the store knows its id, and does not store it twice */
  batch->ranges[batch->range_count++] = (batch_range_t){known_good, known_good + 1};
  return true;
}

/* Returns the next range with a pending entry, or NULL. */
static const batch_range_t *current_range(batch_t *batch) {
  do {
    for (; batch->next_range < batch->range_count; batch->next_range++) {
      const batch_range_t *range = &batch->ranges[batch->next_range];
      for (size_t i = range->from; i < range->to; i++)
        if (batch->items[i].state == ITEM_PENDING)
          return range;
    }
  } while (retry_suspects(batch));
  return NULL;
}

bool batch_finished(batch_t *batch) {
  return current_range(batch) == NULL;
}

yyjson_mut_doc *batch_request(batch_t *batch) {
  const batch_range_t *range = current_range(batch);
  yyjson_mut_doc *doc = range == NULL ? NULL : yyjson_mut_doc_new(NULL);
  yyjson_mut_val *args = yyjson_mut_obj(doc), *logs = yyjson_mut_arr(doc);
  bool built = yyjson_mut_obj_add_val(doc, args, "logs", logs);
  for (size_t i = built ? range->from : 0; built && i < range->to; i++) {
    const batch_item_t *item = &batch->items[i];
    if (item->state == ITEM_PENDING)
      built = yyjson_mut_arr_append(logs, yyjson_mut_rawn(doc, item->text, item->len));
  }
  if (built) {
    yyjson_mut_doc_set_root(doc, args);
    return doc;
  }
  yyjson_mut_doc_free(doc);
  return NULL;
}

static void mark_dead(batch_item_t *item, const char *reason) {
  item->state = ITEM_DEAD;
  snprintf(item->reason, sizeof item->reason, "%s", reason);
}

/* Returns the rejection of the entry at this position of the request, or NULL. */
static yyjson_val *find_rejection(yyjson_val *rejected, uint64_t position) {
  size_t i, count;
  yyjson_val *rejection;
  yyjson_arr_foreach(rejected, i, count, rejection) {
    yyjson_val *index = yyjson_obj_get(rejection, "index");
    if (yyjson_is_uint(index) && yyjson_get_uint(index) == position)
      return rejection;
  }
  return NULL;
}

void batch_stored(batch_t *batch, yyjson_val *answer) {
  const batch_range_t *range = current_range(batch);
  yyjson_val *rejected = yyjson_obj_get(answer, "rejected");
  uint64_t position = 0;
  batch->responses++;
  for (size_t i = range->from; i < range->to; i++) {
    batch_item_t *item = &batch->items[i];
    yyjson_val *rejection;
    if (item->state != ITEM_PENDING)
      continue;
    rejection = find_rejection(rejected, position++);
    if (rejection != NULL) {
      const char *reason = yyjson_get_str(yyjson_obj_get(rejection, "reason"));
      mark_dead(item, reason == NULL ? "rejected by the log store" : reason);
      continue;
    }
    item->state = ITEM_STORED;
    batch->any_stored = true;
    batch->last_success = batch->responses;
  }
  batch->next_range++;
}

static void split(batch_t *batch, const batch_range_t *range) {
  size_t middle = range->from + (range->to - range->from) / 2;
  batch->halved = true;
  batch->ranges[batch->range_count++] = (batch_range_t){range->from, middle};
  batch->ranges[batch->range_count++] = (batch_range_t){middle, range->to};
}

void batch_refused(batch_t *batch, const char *reason, bool is_permanent) {
  const batch_range_t *range = current_range(batch);
  batch_item_t *first = &batch->items[range->from];
  batch->responses++;
  if (range->to - range->from > 1) {
    split(batch, range);
  } else {
    mark_dead(first, reason);
    first->refused_at = batch->responses;
    if (!is_permanent)
      first->state = ITEM_SUSPECT;
  }
  batch->next_range++;
}

static bool is_unstored(const batch_item_t *item) {
  return item->state == ITEM_PENDING || item->state == ITEM_SUSPECT;
}

size_t batch_unstored(const batch_t *batch, mcp_text_t *texts) {
  size_t count = 0;
  for (size_t i = 0; i < batch->count; i++)
    if (is_unstored(&batch->items[i]))
      texts[count++] = (mcp_text_t){batch->items[i].text, batch->items[i].len};
  return count;
}

void batch_mark_spooled(batch_t *batch) {
  for (size_t i = 0; i < batch->count; i++)
    if (is_unstored(&batch->items[i]))
      batch->items[i].state = ITEM_SPOOLED;
}

static bool is_dead(const batch_t *batch, const batch_item_t *item) {
  return item->state == ITEM_DEAD || (item->state == ITEM_SUSPECT && item->refused_at < batch->last_success);
}

static int add_letter(mcp_text_t *letter, const batch_item_t *item) {
  letter->ptr = entry_dead_letter(item->text, item->len, item->reason, mcp_time_now_us(), &letter->len);
  return letter->ptr == NULL ? MCP_ENOMEM : 0;
}

/* texts holds the dead letters, then the returned entries, newest first. */
int batch_make_ack(const batch_t *batch, batch_ack_t *ack) {
  queue_ack_t *out = &ack->queue_ack;
  int status = 0;
  memset(ack, 0, sizeof *ack);
  ack->texts = calloc(batch->count + 1, sizeof *ack->texts);
  if (ack->texts == NULL)
    return MCP_ENOMEM;
  out->batch_number = batch->number;
  out->redacted = batch->redacted;
  out->dead = ack->texts;
  for (size_t i = batch->count; i-- > 0 && status == 0;) {
    const batch_item_t *item = &batch->items[i];
    if (item->state != ITEM_DROPPED)
      out->bytes += item->queued_len;
    out->stored += item->state == ITEM_STORED;
    if (is_dead(batch, item))
      status = add_letter(&ack->texts[out->dead_count++], item);
  }
  out->returned = ack->texts + out->dead_count;
  for (size_t i = batch->count; i-- > 0 && status == 0;) {
    const batch_item_t *item = &batch->items[i];
    if (item->state == ITEM_SUSPECT && !is_dead(batch, item))
      ack->texts[out->dead_count + out->returned_count++] = (mcp_text_t){item->text, item->len};
  }
  if (status != 0)
    batch_ack_deinit(ack);
  return status;
}

void batch_ack_deinit(batch_ack_t *ack) {
  for (size_t i = 0; i < ack->queue_ack.dead_count; i++)
    free((void *)(uintptr_t)ack->texts[i]
             .ptr); /* the letters are owned; the returned entries belong to the batch */
  free(ack->texts);
  memset(ack, 0, sizeof *ack);
}
