/* client_exchange.h: one HTTP request of a client and its response; and queues of them. */
#ifndef MCP_CLIENT_EXCHANGE_H
#define MCP_CLIENT_EXCHANGE_H

#include "client/http_message.h"
#include "client/sse.h"

typedef enum mcp__purpose {
  MCP__FOR_DISCOVER,
  MCP__FOR_INITIALIZE,
  MCP__FOR_INITIALIZED,
  MCP__FOR_TOOLS,
  MCP__FOR_MESSAGE,
  MCP__FOR_STREAM, /* what belongs to no request of the session */
  MCP__FOR_END     /* of the session */
} mcp__purpose_t;

typedef struct mcp__client_exchange {
  struct mcp__client_exchange *next;
  mcp__outgoing_t message;
  mcp__purpose_t purpose;
  uint64_t request;        /* the id; 0: no request of the client */
  uint64_t sent_ms;        /* when it was last written */
  unsigned session_number; /* of the session that it was sent in */
  bool needs_new_conn;     /* it failed on a kept one, and is repeated */
  bool is_in_new_session;  /* it was repeated in a new session */
  bool has_listed;         /* the list of tools was read for its headers */
  bool answered;           /* its response was passed on */
  char *resume_id;         /* not NULL: its stream ended and is continued after this event */
  unsigned resumes;        /* attempts to continue it since its last event */
  uint64_t retry_ms;       /* the delay before the first of them */
  uint64_t due_ms;         /* it is not sent before; 0: at once */
} mcp__client_exchange_t;

/* 0, UV_ENOMEM or MCP_EENCODE. */
int mcp__client_exchange_new(mcp__purpose_t purpose, const char *text, size_t len, mcp__era_t era,
                             mcp__client_exchange_t **out);
void mcp__client_exchange_free(mcp__client_exchange_t *exchange);
bool mcp__client_exchange_is_request(const mcp__client_exchange_t *exchange); /* a response is expected */
/* Prepares an exchange, whose stream of events has ended, for its continuation: by a GET at due_ms. False: it
 * cannot be continued, since its events have no ids, or did not go on for several attempts. */
bool mcp__client_exchange_resume(mcp__client_exchange_t *exchange, const mcp__sse_t *sse, uint64_t now_ms);

/* Zeroed: empty. */
typedef struct mcp__exchange_queue {
  mcp__client_exchange_t *first;
  size_t count;
} mcp__exchange_queue_t;

void mcp__exchange_append(mcp__exchange_queue_t *queue, mcp__client_exchange_t *exchange);
void mcp__exchange_prepend(mcp__exchange_queue_t *queue, mcp__client_exchange_t *exchange);
/* Removes the exchange that at points to, of this queue, and returns it. */
mcp__client_exchange_t *mcp__exchange_take(mcp__exchange_queue_t *queue, mcp__client_exchange_t **at);
void mcp__exchange_free_all(mcp__exchange_queue_t *queue);

#endif
