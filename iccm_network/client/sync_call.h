/* sync_call.h: a call whose thread waits for the answer. */
#ifndef MCP_SYNC_CALL_H
#define MCP_SYNC_CALL_H

#include "client/client.h"

/* What came of a call, kept for the thread that waits. A zeroed one is empty. */
typedef struct mcp__sync_result {
  int status;
  yyjson_mut_doc *answer;
  char words[512]; /* of a failure */
} mcp__sync_result_t;

/* Keeps the result of a call; for the thread of the client's loop. */
void mcp__sync_keep(mcp__sync_result_t *kept, const mcp_result_t *result);
/* Hands over what was kept: the call's status, with the words for mcp_last_error(); for the thread that
 * waited. *answer: freed by yyjson_doc_free(), or NULL. */
int mcp__sync_finish(mcp__sync_result_t *kept, yyjson_doc **answer);

/* Connects, calls, waits and closes, on a loop of its own. order: its cb and arg are set here. parent: the
 * call is cancelled within 50 ms of it; NULL: none. max_message: as for mcp_client_set_max_message_bytes().
 * args is stolen. A code of mcp_client_call() or mcp__client_new(), as by mcp__sync_finish(). */
int mcp__sync_call(const char *url, size_t max_message, mcp__order_t *order, const mcp__parent_t *parent,
                   yyjson_mut_doc *args, yyjson_doc **answer);

#endif
