/* store_result.h: what the log store's answer to a batch says about the store and about the batch; pure. */
#ifndef GODOT_STORE_RESULT_H
#define GODOT_STORE_RESULT_H

#include <iccm_network.h>

typedef enum store_result {
  STORE_RESULT_ACCEPTED,
  STORE_RESULT_UNAVAILABLE,  /* there is nobody to send to, or it can store nothing for now and says so:
                                data.retry is true */
  STORE_RESULT_DISCONNECTED, /* the connection went instead of an answer: does an entry end the store each
                                time? */
  STORE_RESULT_AMBIGUOUS,    /* an error that may be the store's or an entry's */
  STORE_RESULT_REFUSED       /* an error that is about the entries */
} store_result_t;

store_result_t store_result_of(const mcp_result_t *result);

/* Whether what was sent cannot have been stored. */
bool store_result_excludes_stored(const mcp_result_t *result);

#endif
