/* request.h: what is asked of one peer, from its making to its end. */
#ifndef MCP_REQUEST_H
#define MCP_REQUEST_H

#include "base/parent.h"
#include "client/link.h"
#include "client/pending.h"
#include "mcp/jsonrpc.h"

/* Everything that is asked of one peer and has not ended yet. A zeroed one is empty; the members up to on_due
 * are set before anything is made. */
typedef struct mcp__requests {
  mcp_client_t *client;  /* whom callbacks are told about; nothing else is known of it */
  uv_loop_t *loop;       /* for its clock */
  const char *authority; /* of the peer, for messages; borrowed */
  const char *problem;   /* why there is no connection, "" where nothing is known; borrowed */
  size_t max_message;
  void (*on_due)(mcp_client_t *client, uint64_t ms); /* expire wants to be called then */
  mcp__link_t *link;                                 /* where they are sent; NULL: they wait */
  bool closed;                                       /* all are about to fail: none is cancelled any more */
  mcp__pending_t pending;
  struct mcp__request *first, *last; /* not sent, oldest first */
  size_t unsent, unsent_bytes;
  unsigned notifications; /* sent over this link: some peers answer each of them by an error */
  uint64_t last_id;       /* also of initialize */
} mcp__requests_t;

/* What is asked of a peer, but for the arguments. */
typedef struct mcp__request_spec {
  const char *method, *tool; /* tool: NULL where it is no call */
  const char *trace_id;      /* NULL: none */
  mcp__parent_t *parent;     /* it ends with this one; NULL: none */
  uint64_t span;             /* what it is made for, see span.h; 0: nothing that has one */
  uint64_t timeout_ms;
  int fail_code; /* it is not sent and fails with this code, though later; 0: it is not */
  mcp_result_cb cb;
  void *arg;
  mcp_progress_cb progress_cb; /* NULL: the peer is not asked for progress */
  void *progress_arg;
  uint64_t *id; /* where the id is put; NULL: nowhere */
} mcp__request_spec_t;

/* Takes all of the options into the order but for the parent, of which only trace and span are taken. NULL:
 * there are none. 0 or UV_EINVAL. Any thread that may use the parent. */
int mcp__request_spec_set_options(mcp__request_spec_t *spec, const mcp_call_options_t *options);

/* params is stolen. Nonzero: the order's cb does not fire. Nothing is called back from inside of any of
 * these, but from fail, expire and answer. */
int mcp__requests_add(mcp__requests_t *requests, const mcp__request_spec_t *spec, yyjson_mut_doc *params);
int mcp__requests_cancel(mcp__requests_t *requests,
                         uint64_t id); /* MCP_ESTATE: it has ended, or its end is due */
/* Sends what waits; NULL: from now on they wait. */
void mcp__requests_set_link(mcp__requests_t *requests, mcp__link_t *link);
/* Ends the one that a response is for, with what it says, read in the arena's memory, or with MCP_EPROTOCOL
 * where it says nothing that can be used; false: nobody waits for it. */
bool mcp__requests_on_response(mcp__requests_t *requests, uint64_t id, const mcp__message_t *message,
                               mcp__arena_t *arena);
/* A report of progress; params: its parameters. false: its token is none of this client's. */
bool mcp__requests_on_progress(mcp__requests_t *requests, yyjson_val *params);
bool mcp__requests_any_in_flight(
    const mcp__requests_t *requests); /* whether any that was sent has no answer yet */
void mcp__requests_expire(mcp__requests_t *requests,
                          uint64_t now_ms); /* ends those whose deadline has passed */
uint64_t mcp__requests_next_deadline(
    const mcp__requests_t *requests); /* the next deadline; UINT64_MAX: none */
/* Ends those that were sent, or those that were not. */
void mcp__requests_fail(mcp__requests_t *requests, bool sent, int status, const char *problem);

#endif
