/* client.h: the parts of a client: client.c holds the connection's life, request.c what is asked over it,
 * link.c one connection. */
#ifndef MCP_CLIENT_H
#define MCP_CLIENT_H

#include "transport/auth.h"
#include "base/parent.h"
#include "transport/connector.h"
#include "mcp/jsonrpc.h"
#include "client/pending.h"
#include "transport/upgrade.h"
#include "transport/url.h"
#include "transport/ws.h"

/* One connection, from TCP to its end: the upgrade, frames, pings. Frees itself. */
typedef struct mcp__link mcp__link_t;

typedef struct mcp__link_events {
  void (*on_open)(void *arg); /* WebSocket is spoken */
  void (*on_message)(mcp__buf_t *text, void *arg);
  void (*on_lost)(int status, const char *problem, void *arg); /* once, unless closed from here */
  void (*on_freed)(void *arg);                                 /* the last thing that is heard of it */
} mcp__link_events_t;

/* Where a link goes, borrowed while it lives. */
typedef struct mcp__link_to {
  const mcp__url_t *url;
  const char *token;       /* NULL: none is sent */
  mcp__tls_context_t *tls; /* NULL: in clear */
  bool verify;             /* in TLS, whether the peer is who it should be */
  size_t max_message;
} mcp__link_to_t;

/* Takes the stream over, in any case. NULL: no memory; nothing is heard of it then. */
mcp__link_t *mcp__link_new(mcp__stream_t *stream, const mcp__link_to_t *to, const mcp__link_events_t *events,
                           void *arg);
/* Calls write with the place for a message's text; what it answers but 0 takes everything back. */
int mcp__link_send(mcp__link_t *link, int (*write)(mcp__buf_t *out, void *what), void *what);
size_t mcp__link_backlog(const mcp__link_t *link);
mcp_stage_t mcp__link_stage(const mcp__link_t *link);
/* Keeps pings going; returns when it wants to be called next. May lose the link. */
/* Off: nothing is read, so the peer waits, and is not asked by pings. */
void mcp__link_read(mcp__link_t *link, bool on);
uint64_t mcp__link_tick(mcp__link_t *link, uint64_t now_ms);
/* With a close frame first, which the peer has 1 s to answer. */
void mcp__link_close(mcp__link_t *link, bool politely);

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
  unsigned notices; /* sent over this link: some peers answer each of them by an error */
  uint64_t last_id; /* also of initialize */
} mcp__requests_t;

/* What is asked of a peer, but for the arguments. */
typedef struct mcp__order {
  const char *method, *tool; /* tool: NULL where it is no call */
  const char *trace_id;      /* NULL: none */
  mcp__parent_t *parent;     /* it ends with this one; NULL: none */
  uint64_t span;             /* what it is made for, see span.h; 0: nothing that has one */
  uint64_t timeout_ms;
  int refused; /* it is not sent and fails with this code, though later; 0: it is not */
  mcp_result_cb cb;
  void *arg;
  mcp_progress_cb progress_cb; /* NULL: the peer is not asked for progress */
  void *progress_arg;
  uint64_t *id; /* where the id is put; NULL: nowhere */
} mcp__order_t;

/* Takes all of the options into the order but for the parent, of which only trace and span are taken. NULL:
 * there are none. 0 or UV_EINVAL. Any thread that may use the parent. */
int mcp__order_take(mcp__order_t *order, const mcp_call_options_t *options);

/* params is stolen. Nonzero: the order's cb does not fire. Nothing is called back from inside of any of
 * these, but from fail, expire and answer. */
int mcp__requests_make(mcp__requests_t *all, const mcp__order_t *order, yyjson_mut_doc *params);
int mcp__requests_cancel(mcp__requests_t *all, uint64_t id); /* MCP_ESTATE: it has ended, or its end is due */
/* Sends what waits; NULL: from now on they wait. */
void mcp__requests_use(mcp__requests_t *all, mcp__link_t *link);
/* Ends the one that a response is for, with what it says, read in the arena's memory, or with MCP_EPROTOCOL
 * where it says nothing that can be used; false: nobody waits for it. */
bool mcp__requests_answer(mcp__requests_t *all, uint64_t id, const mcp__message_t *message,
                          mcp__arena_t *arena);
/* A report of progress; params: its parameters. false: its token is none of this client's. */
bool mcp__requests_progress(mcp__requests_t *all, yyjson_val *params);
bool mcp__requests_wait(const mcp__requests_t *all); /* whether any that was sent has no answer yet */
void mcp__requests_expire(mcp__requests_t *all, uint64_t now_ms); /* ends those whose deadline has passed */
uint64_t mcp__requests_due(const mcp__requests_t *all);           /* the next deadline; UINT64_MAX: none */
/* Ends those that were sent, or those that were not. */
void mcp__requests_fail(mcp__requests_t *all, bool sent, int status, const char *problem);

/* mcp_client_new(), which says why: 0, MCP_EURL, MCP_EENV, UV_EINVAL (ICCM_TLS_CA), UV_ENOMEM. url NULL:
 * where Godot is unless that was set. */
int mcp__client_new(struct uv_loop_s *loop, const char *url, mcp_client_t **client);

/* Makes what the order says, connecting where that is needed; params is stolen. Nonzero: its cb does not
 * fire. */
int mcp__client_make(mcp_client_t *client, mcp__order_t *order, yyjson_mut_doc *params);

/* What only the library itself sets, before the first call. hello: the params of initialize as JSON text,
 * borrowed. */
void mcp__client_set_hello(mcp_client_t *client, const char *hello);
/* For everything from the name to initialize. */
void mcp__client_set_connect_ms(mcp_client_t *client, uint64_t ms);

/* For who passes on messages that are not its own, and asks nothing by the functions of the header: the
 * client connects, says hello (which may be set again at any time, for the next connection) and comes back.
 */
typedef struct mcp__forward {
  /* To initialize: before on_state tells of the connection. */
  void (*on_hello)(const mcp__message_t *answer, void *arg);
  void (*on_text)(const char *text, size_t len, void *arg); /* each message after it, as it came; borrowed */
  void *arg;
} mcp__forward_t;
/* Borrowed; before the first call. */
void mcp__client_set_forward(mcp_client_t *client, const mcp__forward_t *forward);
/* MCP_ESTATE: not connected; UV_ENOMEM. */
int mcp__client_send(mcp_client_t *client, const char *text, size_t len);
size_t mcp__client_backlog(const mcp_client_t *client); /* bytes that the peer has not taken yet */
void mcp__client_read(mcp_client_t *client, bool on);   /* of this connection; the next begins with on */
/* The peer's fault: the next follows. */
void mcp__client_drop(mcp_client_t *client, int status, const char *problem);
/* No longer than that before the next attempt; 0: what is asked next makes one. */
void mcp__client_hurry(mcp_client_t *client, uint64_t ms);

#endif
