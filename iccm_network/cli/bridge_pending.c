/* bridge_pending.c: a list, since what may wait has a limit of about a thousand. */
#include "bridge_pending.h"

#include <stdlib.h>
#include <string.h>
#include "mcp/ids.h"
#include "print.h"

waiting_t *waiting_add(waiting_list_t *list, const char *id, size_t id_len, uint64_t deadline_ms) {
  waiting_t *waiting = checked(calloc(1, sizeof *waiting + id_len));
  waiting->deadline_ms = deadline_ms;
  waiting->id_len = id_len;
  waiting->id_hash = mcp__id_hash(id, id_len);
  memcpy(waiting->id, id, id_len);
  waiting->prev = list->last;
  *(list->last != NULL ? &list->last->next : &list->first) = waiting;
  list->last = waiting;
  list->count++;
  return waiting;
}

void waiting_keep_text(waiting_list_t *list, waiting_t *waiting, const char *text, size_t len) {
  waiting->text = checked(malloc(len + 1)); /* + 1: not NULL for an empty one */
  memcpy(waiting->text, text, len);
  waiting->text_len = len;
  list->bytes += len;
}

void waiting_drop_text(waiting_list_t *list, waiting_t *waiting) {
  list->bytes -= waiting->text_len;
  free(waiting->text);
  waiting->text = NULL;
  waiting->text_len = 0;
}

waiting_t *waiting_find(const waiting_list_t *list, const char *id, size_t id_len) {
  uint32_t hash = mcp__id_hash(id, id_len);
  for (waiting_t *each = list->first; each != NULL; each = each->next)
    if (each->id_hash == hash && mcp__id_same(each->id, each->id_len, id, id_len))
      return each;
  return NULL;
}

void waiting_remove(waiting_list_t *list, waiting_t *waiting) {
  *(waiting->prev != NULL ? &waiting->prev->next : &list->first) = waiting->next;
  *(waiting->next != NULL ? &waiting->next->prev : &list->last) = waiting->prev;
  list->count--;
  waiting_drop_text(list, waiting);
  free(waiting);
}

void waiting_clear(waiting_list_t *list) {
  while (list->first != NULL)
    waiting_remove(list, list->first);
}
