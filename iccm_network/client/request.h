/* request.h: the requests to one peer, from creation to completion. */
#ifndef MCP_REQUEST_H
#define MCP_REQUEST_H

#include "base/parent.h"
#include "client/link.h"
#include "client/pending.h"
#include "mcp/jsonrpc.h"

/* All requests to one peer that have not completed. A zeroed one is empty; the members up to on_due must be
 * set before a request is added. */
typedef struct mcp__requests {
  mcp_client_t *client;  /* passed to callbacks; otherwise unused */
  uv_loop_t *loop;       /* for its clock */
  const char *authority; /* of the peer, for messages; borrowed */
  const char *problem;   /* why there is no connection, or ""; borrowed */
  size_t max_message;
  void (*on_due)(mcp_client_t *client, uint64_t ms); /* mcp__requests_expire() must be called at ms */
  mcp__link_t *link;                                 /* NULL: not connected, requests wait */
  bool closed;                                       /* all are about to fail: none is cancelled */
  mcp__pending_t pending;
  struct mcp__request *first, *last; /* unsent, oldest first */
  size_t unsent, unsent_bytes;
  unsigned notifications; /* number sent over this link: some peers answer them with an error */
  uint64_t last_id;       /* includes the id of initialize */
} mcp__requests_t;

/* Describes a request, without its params. */
typedef struct mcp__request_spec {
  const char *method, *tool; /* tool: NULL unless the method is tools/call */
  const char *trace_id;      /* NULL: none */
  mcp__parent_t *parent;     /* the request is cancelled with its parent; NULL: none */
  uint64_t span;             /* the span of the caller, see span.h; 0: none */
  uint64_t timeout_ms;
  int fail_code; /* not 0: the request is not sent and fails later with this code */
  mcp_result_cb cb;
  void *arg;
  mcp_progress_cb progress_cb; /* NULL: no progress is requested */
  void *progress_arg;
  uint64_t *id; /* receives the id; may be NULL */
} mcp__request_spec_t;

/* Copies the options into the spec, but of the parent only its trace and span. options may be NULL. 0 or
 * UV_EINVAL. Any thread that may use the parent. */
int mcp__request_spec_set_options(mcp__request_spec_t *spec, const mcp_call_options_t *options);

/* Takes ownership of params. If the result is not 0, the callback of spec is not called. Of these functions
 * only fail, fail_one, expire, on_response and on_progress call callbacks. */
int mcp__requests_add(mcp__requests_t *requests, const mcp__request_spec_t *spec, yyjson_mut_doc *params);
/* MCP_ESTATE: it has completed, or is about to fail. */
int mcp__requests_cancel(mcp__requests_t *requests, uint64_t id);
/* Sets the link and sends the unsent requests; NULL: disconnected, requests wait. */
void mcp__requests_set_link(mcp__requests_t *requests, mcp__link_t *link);
/* Sends the unsent requests, as far as the link takes them. */
void mcp__requests_send(mcp__requests_t *requests);
/* Completes the request of a response, which is parsed into the arena; with MCP_EPROTOCOL if the response is
 * invalid. False: there is no such request. */
bool mcp__requests_on_response(mcp__requests_t *requests, uint64_t id, const mcp__message_t *message,
                               mcp__arena_t *arena);
/* Handles a progress notification with these params. False: the token was not created by this client. */
bool mcp__requests_on_progress(mcp__requests_t *requests, yyjson_val *params);
/* Whether a sent request has no response yet. */
bool mcp__requests_any_in_flight(const mcp__requests_t *requests);
/* Fails requests whose deadline has passed. */
void mcp__requests_expire(mcp__requests_t *requests, uint64_t now_ms);
/* The next deadline; UINT64_MAX: none. */
uint64_t mcp__requests_next_deadline(const mcp__requests_t *requests);
/* Fails one request, which was sent and is not about to fail; else nothing happens. */
void mcp__requests_fail_one(mcp__requests_t *requests, uint64_t id, int status, const char *problem);
/* Fails all sent requests, or all unsent ones. */
void mcp__requests_fail(mcp__requests_t *requests, bool sent, int status, const char *problem);

#endif
