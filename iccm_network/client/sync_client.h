/* sync_client.h: blocking calls: the calling thread waits for the response. */
#ifndef MCP_SYNC_CLIENT_H
#define MCP_SYNC_CLIENT_H

#include "client/client.h"

/* The result of a call, stored for the waiting thread. A zeroed one is empty. */
typedef struct mcp__sync_result {
  int status;
  yyjson_mut_doc *response;
  char message[512]; /* of an error */
} mcp__sync_result_t;

/* Stores the result of a call; for the thread of the client's loop. */
void mcp__sync_result_store(mcp__sync_result_t *kept, const mcp_result_t *result);
/* Returns the status of a stored result, and sets mcp_last_error(); for the thread that waited. Free
 * *response with yyjson_doc_free(); it may be NULL. */
int mcp__sync_result_take(mcp__sync_result_t *kept, yyjson_doc **response);

const char *mcp__sync_client_url(const mcp_sync_client_t *client);
/* Like mcp_client_set_max_message_bytes(), before the first call. */
void mcp__sync_client_set_max_message_bytes(mcp_sync_client_t *client, size_t bytes);

/* Makes a call over the client's own connection and waits for its result. Of spec, cb, arg and id are
 * ignored; progress_cb gets a NULL client. parent: the call is cancelled within 50 ms of its parent; NULL:
 * none. Takes ownership of args. Returns a code of mcp_client_call() or mcp__client_new(), with
 * mcp_last_error() set. */
int mcp__sync_client_call(mcp_sync_client_t *client, const mcp__request_spec_t *spec,
                          const mcp__parent_t *parent, yyjson_mut_doc *args, yyjson_doc **response);

#endif
