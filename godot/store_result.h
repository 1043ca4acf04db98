/* store_result.h: classifies the log store's response to a batch. No I/O. */
#ifndef GODOT_STORE_RESULT_H
#define GODOT_STORE_RESULT_H

#include <iccm_network.h>

typedef enum store_result {
  STORE_RESULT_ACCEPTED,
  STORE_RESULT_UNAVAILABLE,  /* not connected, or the store reports a temporary failure: data.retry is true */
  STORE_RESULT_DISCONNECTED, /* disconnected instead of a response; an entry may have crashed the store */
  STORE_RESULT_AMBIGUOUS,    /* an error caused by the store or by an entry */
  STORE_RESULT_REFUSED       /* an error caused by the entries */
} store_result_t;

store_result_t store_result_of(const mcp_result_t *result);

/* Whether the result proves that no entry of the request was stored. */
bool store_result_proves_not_stored(const mcp_result_t *result);

#endif
