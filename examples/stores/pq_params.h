/* pq_params.h: the parameters of a statement, arrays included, in PostgreSQL's binary form. */
#ifndef STORES_PQ_PARAMS_H
#define STORES_PQ_PARAMS_H

#include "ids.h"
#include "stores.h"

enum { PQ_PARAMS_MAX = 32 };

/* The first is $1. Texts are borrowed, all other values copied. PostgreSQL derives a type that is 0 from
 * the statement. */
typedef struct pq_params {
  int count;
  const char *values[PQ_PARAMS_MAX];
  int lengths[PQ_PARAMS_MAX];
  unsigned types[PQ_PARAMS_MAX];
  unsigned char copies[PQ_PARAMS_MAX][ID_BYTES];
} pq_params_t;

/* A missing text is null; JSON is also a text. */
void pq_add_text(pq_params_t *params, mcp_text_t text);
void pq_add_int(pq_params_t *params, int64_t value);
void pq_add_bool(pq_params_t *params, bool value);
/* INT64_MIN and INT64_MAX become -infinity and infinity. */
void pq_add_time(pq_params_t *params, int64_t us);
void pq_add_id(pq_params_t *params, const char *id);
void pq_add_null(pq_params_t *params);

/* A growing array with one dimension. Unusable once no_memory is set. */
enum pq_type {
  PQ_BOOL = 16,
  PQ_INT = 20,
  PQ_TEXT = 25,
  PQ_TIME = 1184,
  PQ_UUID = 2950
  /* The object ids of the types, from pg_type. */
};

typedef struct pq_array {
  char *bytes; /* owned */
  size_t len, capacity;
  size_t count;
  bool no_memory;
} pq_array_t;

void pq_append_text(pq_array_t *array, mcp_text_t text);
void pq_append_int(pq_array_t *array, int64_t value);
void pq_append_time(pq_array_t *array, int64_t us);
void pq_append_bool(pq_array_t *array, bool value);
void pq_append_id(pq_array_t *array, const char *id);
void pq_append_null(pq_array_t *array);

/* Rows to store, as one array for each column. */
enum { PQ_COLUMNS_MAX = 8 };

typedef struct pq_columns {
  int count;
  pq_array_t arrays[PQ_COLUMNS_MAX];
} pq_columns_t;

void pq_columns_init(pq_columns_t *columns, const enum pq_type *types, int count);
void pq_columns_deinit(pq_columns_t *columns);
void pq_columns_clear(pq_columns_t *columns); /* keeps the memory */

/* Borrows the columns, which must not change until the statement ran. Returns false if a row was lost for
 * lack of memory. */
bool pq_add_columns(pq_params_t *params, pq_columns_t *columns);

/* Converts between microseconds since 1970 and PostgreSQL's, which count from 2000 and have infinities. */
int64_t pq_time_encode(int64_t us);
int64_t pq_time_decode(int64_t time);

#endif
