/* sync_client.h: a client whose thread waits for the answer. */
#ifndef MCP_SYNC_CLIENT_H
#define MCP_SYNC_CLIENT_H

#include "client/client.h"

/* What came of a call, kept for the thread that waits. A zeroed one is empty. */
typedef struct mcp__sync_result {
  int status;
  yyjson_mut_doc *response;
  char message[512]; /* of a failure */
} mcp__sync_result_t;

/* Keeps the result of a call; for the thread of the client's loop. */
void mcp__sync_result_store(mcp__sync_result_t *kept, const mcp_result_t *result);
/* Hands over what was kept: the call's status, with the words for mcp_last_error(); for the thread that
 * waited. *answer: freed by yyjson_doc_free(), or NULL. */
int mcp__sync_result_take(mcp__sync_result_t *kept, yyjson_doc **response);

const char *mcp__sync_client_url(const mcp_sync_client_t *client);
/* As mcp_client_set_max_message_bytes(), before the first call. */
void mcp__sync_client_set_max_message_bytes(mcp_sync_client_t *client, size_t bytes);

/* Calls over the client's own connection, and waits. order: its cb, arg and id do not
 * count; progress_cb gets NULL as the client. parent: the call is cancelled within 50 ms of it; NULL: none.
 * args is stolen. A code of mcp_client_call() or mcp__client_new(), as by mcp__sync_result_take(). */
int mcp__sync_client_call(mcp_sync_client_t *client, const mcp__request_spec_t *spec,
                          const mcp__parent_t *parent, yyjson_mut_doc *args, yyjson_doc **response);

#endif
