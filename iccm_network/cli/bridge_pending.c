/* bridge_pending.c: a linked list, which is fast enough for the limit of about a thousand entries. */
#include "bridge_pending.h"

#include <stdlib.h>
#include <string.h>
#include "mcp/ids.h"
#include "check_alloc.h"

bridge_pending_t *bridge_pending_add(bridge_pending_list_t *list, const char *id, size_t id_len,
                                     uint64_t deadline_ms) {
  bridge_pending_t *pending = check_alloc(calloc(1, sizeof *pending + id_len));
  pending->deadline_ms = deadline_ms;
  pending->id_len = id_len;
  pending->id_hash = mcp__id_hash(id, id_len);
  memcpy(pending->id, id, id_len);
  pending->prev = list->last;
  *(list->last != NULL ? &list->last->next : &list->first) = pending;
  list->last = pending;
  list->count++;
  return pending;
}

void bridge_pending_keep_text(bridge_pending_list_t *list, bridge_pending_t *pending, const char *text,
                              size_t len) {
  pending->text = check_alloc(malloc(len + 1)); /* + 1: not NULL for an empty one */
  memcpy(pending->text, text, len);
  pending->text_len = len;
  list->bytes += len;
}

void bridge_pending_drop_text(bridge_pending_list_t *list, bridge_pending_t *pending) {
  list->bytes -= pending->text_len;
  free(pending->text);
  pending->text = NULL;
  pending->text_len = 0;
}

bridge_pending_t *bridge_pending_find(const bridge_pending_list_t *list, const char *id, size_t id_len) {
  uint32_t hash = mcp__id_hash(id, id_len);
  for (bridge_pending_t *each = list->first; each != NULL; each = each->next)
    if (each->id_hash == hash && mcp__id_same(each->id, each->id_len, id, id_len))
      return each;
  return NULL;
}

bridge_pending_t *bridge_pending_first_due(const bridge_pending_list_t *list) {
  bridge_pending_t *pending = list->first;
  while (pending != NULL && pending->is_subscription)
    pending = pending->next;
  return pending;
}

void bridge_pending_remove(bridge_pending_list_t *list, bridge_pending_t *pending) {
  *(pending->prev != NULL ? &pending->prev->next : &list->first) = pending->next;
  *(pending->next != NULL ? &pending->next->prev : &list->last) = pending->prev;
  list->count--;
  bridge_pending_drop_text(list, pending);
  free(pending);
}

void bridge_pending_clear(bridge_pending_list_t *list) {
  while (list->first != NULL)
    bridge_pending_remove(list, list->first);
}
