/* bridge_pending.h: what waits for an answer, by its id, or for a connection; oldest first. Pure: time is an
 * argument. */
#ifndef ICCM_CLI_BRIDGE_PENDING_H
#define ICCM_CLI_BRIDGE_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bridge_pending {
  struct bridge_pending *prev, *next;
  uint64_t deadline_ms;
  char *text; /* the message, owned, while it is not sent; else NULL */
  size_t text_len;
  bool uses_client_initialize; /* waits for the answer to the connection's own initialize */
  size_t id_len;               /* 0: a notification, which waits to be sent */
  uint32_t id_hash;
  char id[]; /* the id's JSON */
} bridge_pending_t;

/* A zeroed one is empty. */
typedef struct bridge_pending_list {
  bridge_pending_t *first, *last;
  size_t count, bytes; /* bytes: of texts */
} bridge_pending_list_t;

/* Behind all others; ends the program where there is no memory. */
bridge_pending_t *bridge_pending_add(bridge_pending_list_t *list, const char *id, size_t id_len,
                                     uint64_t deadline_ms);
void bridge_pending_keep_text(bridge_pending_list_t *list, bridge_pending_t *pending, const char *text,
                              size_t len); /* copied */
void bridge_pending_drop_text(bridge_pending_list_t *list, bridge_pending_t *pending);
bridge_pending_t *bridge_pending_find(const bridge_pending_list_t *list, const char *id,
                                      size_t id_len); /* by its value, see ids.h; NULL: none */
void bridge_pending_remove(bridge_pending_list_t *list, bridge_pending_t *pending); /* and frees it */
void bridge_pending_clear(bridge_pending_list_t *list);

#endif
