/* batch.c: the entries of one batch and their fates.
 *
 * Happy path: adopt all entries, one request with all of them, all stored. Failure modes: an entry that is no
 * entry or that the store rejects becomes a dead letter; a store that refuses the whole is asked for its
 * halves, breadth first, until the culprits stand alone.
 */
#include "batch.h"

#include "entry.h"

#include <iccm_service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum fate {
  PENDING, /* to be sent */
  GONE,    /* pushed out by newer ones and counted as dropped */
  STORED,
  SAVED,   /* on disk: it comes again */
  SUSPECT, /* refused alone, which may have been the store's fault */
  DEAD
} fate_t;

struct batch_item {
  char *text; /* ours: as it is sent; where it is no entry, as it was found but for secrets */
  size_t len;
  size_t queued_len; /* as it was found */
  fate_t fate;
  unsigned refused_at; /* SUSPECT */
  char reason[ENTRY_REASON_SIZE];
};

static int take_item(batch_t *batch, batch_item_t *item, const mcp_text_t *found,
                     const entry_place_t *place) {
  size_t redacted = 0;
  item->queued_len = found->len;
  item->text = entry_adopt(found->ptr, found->len, place, &item->len, &redacted, item->reason);
  if (item->text == NULL) {
    item->fate = DEAD;
    item->text = entry_redact(found->ptr, found->len, &item->len, &redacted);
  }
  batch->redacted += redacted;
  return item->text != NULL ? 0 : MCP_ENOMEM;
}

int batch_init(batch_t *batch, const queue_batch_t *from) {
  entry_place_t place = {from->instance, from->number, 0, from->claimed_us};
  int status = 0;
  memset(batch, 0, sizeof *batch);
  memcpy(batch->number, from->number, sizeof batch->number);
  batch->sent_before = from->sent_before;
  batch->items = calloc(from->count + 1, sizeof *batch->items);
  batch->ranges = calloc(3 * from->count + 2, sizeof *batch->ranges); /* a binary tree, and confront() */
  if (batch->items == NULL || batch->ranges == NULL)
    status = MCP_ENOMEM;
  else
    batch->count = from->count;
  for (size_t i = 0; i < from->count && status == 0; i++) {
    place.index = from->count - 1 - i; /* from the newest, which is never pushed out before the others */
    status = take_item(batch, &batch->items[i], &from->entries[place.index], &place);
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
    batch->items[i].fate = GONE;
}

/* Everything has been sent: those that were refused alone, once more, with a witness behind them. Whether
 * there is anybody to be sent. */
static bool confront(batch_t *batch) {
  size_t witness = batch->count, first = batch->range_count;
  if (batch->confronted || !batch->any_stored)
    return false;
  batch->confronted = true;
  for (size_t i = 0; i < batch->count; i++) {
    if (batch->items[i].fate == STORED)
      witness = i;
    if (batch->items[i].fate != SUSPECT)
      continue;
    batch->items[i].fate = PENDING;
    batch->ranges[batch->range_count++] = (batch_range_t){i, i + 1};
  }
  if (batch->range_count == first)
    return false;
  batch->items[witness].fate = PENDING; /* the store knows its id: it is not stored twice */
  batch->ranges[batch->range_count++] = (batch_range_t){witness, witness + 1};
  return true;
}

/* The range that is next and has anything pending. NULL: none is left. */
static const batch_range_t *current(batch_t *batch) {
  do {
    for (; batch->next_range < batch->range_count; batch->next_range++) {
      const batch_range_t *range = &batch->ranges[batch->next_range];
      for (size_t i = range->from; i < range->to; i++)
        if (batch->items[i].fate == PENDING)
          return range;
    }
  } while (confront(batch));
  return NULL;
}

bool batch_finished(batch_t *batch) {
  return current(batch) == NULL;
}

yyjson_mut_doc *batch_request(batch_t *batch) {
  const batch_range_t *range = current(batch);
  yyjson_mut_doc *doc = range == NULL ? NULL : yyjson_mut_doc_new(NULL);
  yyjson_mut_val *args = yyjson_mut_obj(doc), *logs = yyjson_mut_arr(doc);
  bool built = yyjson_mut_obj_add_val(doc, args, "logs", logs);
  for (size_t i = built ? range->from : 0; built && i < range->to; i++) {
    const batch_item_t *item = &batch->items[i];
    if (item->fate == PENDING)
      built = yyjson_mut_arr_append(logs, yyjson_mut_rawn(doc, item->text, item->len));
  }
  if (built) {
    yyjson_mut_doc_set_root(doc, args);
    return doc;
  }
  yyjson_mut_doc_free(doc);
  return NULL;
}

static void dead_letter(batch_item_t *item, const char *reason) {
  item->fate = DEAD;
  snprintf(item->reason, sizeof item->reason, "%s", reason);
}

/* NULL: the entry that was sent at this position is not among them. */
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
  const batch_range_t *range = current(batch);
  yyjson_val *rejected = yyjson_obj_get(answer, "rejected");
  uint64_t position = 0;
  batch->clock++;
  for (size_t i = range->from; i < range->to; i++) {
    batch_item_t *item = &batch->items[i];
    yyjson_val *rejection;
    if (item->fate != PENDING)
      continue;
    rejection = find_rejection(rejected, position++);
    if (rejection != NULL) {
      const char *reason = yyjson_get_str(yyjson_obj_get(rejection, "reason"));
      dead_letter(item, reason == NULL ? "rejected by the log store" : reason);
      continue;
    }
    item->fate = STORED;
    batch->any_stored = true;
    batch->last_success = batch->clock;
  }
  batch->next_range++;
}

static void split(batch_t *batch, const batch_range_t *range) {
  size_t middle = range->from + (range->to - range->from) / 2;
  batch->halved = true;
  batch->ranges[batch->range_count++] = (batch_range_t){range->from, middle};
  batch->ranges[batch->range_count++] = (batch_range_t){middle, range->to};
}

void batch_refused(batch_t *batch, const char *reason, bool for_good) {
  const batch_range_t *range = current(batch);
  batch_item_t *first = &batch->items[range->from];
  batch->clock++;
  if (range->to - range->from > 1) {
    split(batch, range);
  } else {
    dead_letter(first, reason);
    first->refused_at = batch->clock;
    if (!for_good)
      first->fate = SUSPECT;
  }
  batch->next_range++;
}

static bool is_rest(const batch_item_t *item) {
  return item->fate == PENDING || item->fate == SUSPECT;
}

size_t batch_rest(const batch_t *batch, mcp_text_t *texts) {
  size_t count = 0;
  for (size_t i = 0; i < batch->count; i++)
    if (is_rest(&batch->items[i]))
      texts[count++] = (mcp_text_t){batch->items[i].text, batch->items[i].len};
  return count;
}

void batch_rest_saved(batch_t *batch) {
  for (size_t i = 0; i < batch->count; i++)
    if (is_rest(&batch->items[i]))
      batch->items[i].fate = SAVED;
}

static bool is_dead(const batch_t *batch, const batch_item_t *item) {
  return item->fate == DEAD || (item->fate == SUSPECT && item->refused_at < batch->last_success);
}

static int add_letter(mcp_text_t *letter, const batch_item_t *item) {
  letter->ptr = entry_dead_letter(item->text, item->len, item->reason, mcp_time_now_us(), &letter->len);
  return letter->ptr == NULL ? MCP_ENOMEM : 0;
}

/* Letters stand in front, what goes back behind them, the newest first. */
int batch_conclude(const batch_t *batch, batch_ack_t *ack) {
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
    if (item->fate != GONE)
      out->bytes += item->queued_len;
    out->stored += item->fate == STORED;
    if (is_dead(batch, item))
      status = add_letter(&ack->texts[out->dead_count++], item);
  }
  out->returned = ack->texts + out->dead_count;
  for (size_t i = batch->count; i-- > 0 && status == 0;) {
    const batch_item_t *item = &batch->items[i];
    if (item->fate == SUSPECT && !is_dead(batch, item))
      ack->texts[out->dead_count + out->returned_count++] = (mcp_text_t){item->text, item->len};
  }
  if (status != 0)
    batch_ack_deinit(ack);
  return status;
}

void batch_ack_deinit(batch_ack_t *ack) {
  for (size_t i = 0; i < ack->queue_ack.dead_count; i++)
    free((void *)(uintptr_t)ack->texts[i].ptr); /* the letters are ours, what goes back is the batch's */
  free(ack->texts);
  memset(ack, 0, sizeof *ack);
}
