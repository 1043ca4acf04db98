/* bridge_pending.h: requests that wait for a response, and messages that wait for a connection; oldest first.
 * No I/O: time is an argument. */
#ifndef ICCM_CLI_BRIDGE_PENDING_H
#define ICCM_CLI_BRIDGE_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bridge_pending {
  struct bridge_pending *prev, *next;
  uint64_t deadline_ms;
  char *text; /* owned: the message until it is sent; then NULL */
  size_t text_len;
  bool uses_client_initialize; /* waits for the response to the client's initialize */
  bool is_subscription;        /* subscriptions/listen: answered when it ends, so it has no deadline */
  size_t id_len;               /* 0: a notification that is not sent yet */
  uint32_t id_hash;
  char id[]; /* the id's JSON */
} bridge_pending_t;

/* A zeroed one is empty. */
typedef struct bridge_pending_list {
  bridge_pending_t *first, *last;
  size_t count, bytes; /* bytes: sum of text_len */
} bridge_pending_list_t;

/* Appends an entry. Ends the program if out of memory. */
bridge_pending_t *bridge_pending_add(bridge_pending_list_t *list, const char *id, size_t id_len,
                                     uint64_t deadline_ms);
void bridge_pending_keep_text(bridge_pending_list_t *list, bridge_pending_t *pending, const char *text,
                              size_t len); /* copied */
void bridge_pending_drop_text(bridge_pending_list_t *list, bridge_pending_t *pending);
bridge_pending_t *bridge_pending_find(const bridge_pending_list_t *list, const char *id,
                                      size_t id_len); /* by value, see ids.h; NULL: none */
/* The oldest request that has a deadline, or NULL. */
bridge_pending_t *bridge_pending_first_due(const bridge_pending_list_t *list);
void bridge_pending_remove(bridge_pending_list_t *list, bridge_pending_t *pending); /* also frees it */
void bridge_pending_clear(bridge_pending_list_t *list);

#endif
