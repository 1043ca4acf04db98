/* store_pq.h: the parts that the files of the PostgreSQL store share. */
#ifndef DEWEY_STORE_PQ_H
#define DEWEY_STORE_PQ_H

#include "pq_pools.h"
#include "pq_statements.h"
#include "store_db.h"

typedef struct pq_store {
  store_db_t base; /* must be first */
  pq_pools_t pools;
  atomic_bool taken_over; /* set by a check */
  atomic_bool words_made; /* set by a search */
  pq_conn_t indexer;      /* used by pq_index only */
} pq_store_t;

/* The functions of the store that are not in store_pq.c. */
int pq_logs_batch(store_t *store, const log_entry_t *entries, size_t count, size_t *inserted,
                  store_error_t *error);
int pq_logs_query(store_t *store, const log_filter_t *filter, cancel_token_t cancel, store_row_cb cb,
                  void *arg, store_error_t *error);
int pq_logs_arrived(store_t *store, const log_filter_t *filter, mcp_text_t mark, cancel_token_t cancel,
                    store_row_cb cb, void *arg, char next[STORE_ARRIVAL_MARK_SIZE], store_error_t *error);
int pq_logs_clear(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *deleted,
                  store_error_t *error);
int pq_logs_count(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *count,
                  store_error_t *error);
int pq_logs_stats(store_t *store, log_stats_t *stats, cancel_token_t cancel, store_count_cb cb, void *arg,
                  store_error_t *error);
int pq_last_retention(store_t *store, int64_t *at_us, cancel_token_t cancel, store_error_t *error);
int pq_begin_retention(store_t *store, int64_t at_us, cancel_token_t cancel, store_error_t *error);
int pq_index(store_t *store, cancel_token_t cancel, store_error_t *error);
int pq_maintain(store_t *store, int64_t now_us, cancel_token_t cancel, store_error_t *error);

/* Reads a row of log lines with these columns. Returns false if it is invalid. */
enum { PQ_LOG_COLUMNS = 7 };
bool pq_log_row(const PGresult *result, log_entry_t *row);

/* Adds $1 to $10 of the statements that find log lines; after_id NULL: from the first row. */
typedef struct pq_search pq_search_t;
void pq_add_filter(pq_params_t *params, const log_filter_t *filter, int64_t end_us, const char *after_id,
                   const pq_search_t *search);

#endif
