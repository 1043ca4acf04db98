/* store_pq.h: what the parts of the store on PostgreSQL share. */
#ifndef DEWEY_STORE_PQ_H
#define DEWEY_STORE_PQ_H

#include "pq_pools.h"
#include "pq_statements.h"
#include "store.h"

typedef struct pq_store {
  store_t store; /* first: it is what others see */
  pq_pools_t pools;
  atomic_bool taken_over;   /* since a check found it so */
  atomic_llong days_due_ms; /* monotonic: when partitions are to be made next */
} pq_store_t;

/* The functions of the store, but for those in store_pq.c. */
int pq_logs_batch(store_t *store, const log_entry_t *entries, size_t count, size_t *inserted,
                  store_error_t *error);
int pq_logs_query(store_t *store, const log_filter_t *filter, store_stop_t stop, store_row_cb cb, void *arg,
                  store_error_t *error);
int pq_logs_clear(store_t *store, const log_clear_t *what, store_stop_t stop, uint64_t *deleted,
                  store_error_t *error);
int pq_logs_stats(store_t *store, log_stats_t *stats, store_stop_t stop, store_count_cb cb, void *arg,
                  store_error_t *error);
int pq_conversation_add(store_t *store, const conversation_t *conversation, bool begin,
                        store_source_cb source, void *arg, int64_t *last_turn, store_error_t *error);
int pq_conversation_get(store_t *store, const char *id, store_stop_t stop, store_conversation_cb cb,
                        store_message_cb message_cb, void *arg, store_error_t *error);
int pq_conversation_list(store_t *store, const conversation_page_t *page, store_stop_t stop,
                         store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error);
int pq_conversation_remove(store_t *store, const char *id, int64_t *messages, store_error_t *error);
int pq_conversation_search(store_t *store, const message_search_t *search, store_stop_t stop,
                           store_found_cb cb, void *arg, int64_t *total, store_error_t *error);
int pq_context_set(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                   store_error_t *error);
int pq_context_get(store_t *store, text_t name, store_context_cb cb, void *arg, store_error_t *error);
int pq_context_list(store_t *store, bool with_content, store_stop_t stop, store_context_cb cb, void *arg,
                    store_error_t *error);
int pq_context_remove(store_t *store, text_t name, store_error_t *error);

#endif
