/* bridge_pending.h: what waits for an answer, by its id, or for a connection; oldest first. Pure: time is an
 * argument. */
#ifndef ICCM_CLI_BRIDGE_PENDING_H
#define ICCM_CLI_BRIDGE_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct waiting {
  struct waiting *prev, *next;
  uint64_t deadline_ms;
  char *text; /* the message, owned, while it is not sent; else NULL */
  size_t text_len;
  bool is_hello; /* waits for the answer to the connection's own initialize */
  size_t id_len; /* 0: a notification, which waits to be sent */
  uint32_t id_hash;
  char id[]; /* the id's JSON */
} waiting_t;

/* A zeroed one is empty. */
typedef struct waiting_list {
  waiting_t *first, *last;
  size_t count, bytes; /* bytes: of texts */
} waiting_list_t;

/* Behind all others; ends the program where there is no memory. */
waiting_t *waiting_add(waiting_list_t *list, const char *id, size_t id_len, uint64_t deadline_ms);
void waiting_keep_text(waiting_list_t *list, waiting_t *waiting, const char *text, size_t len); /* copied */
void waiting_drop_text(waiting_list_t *list, waiting_t *waiting);
waiting_t *waiting_find(const waiting_list_t *list, const char *id,
                        size_t id_len);                        /* by its value, see ids.h; NULL: none */
void waiting_remove(waiting_list_t *list, waiting_t *waiting); /* and frees it */
void waiting_clear(waiting_list_t *list);

#endif
