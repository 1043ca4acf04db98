/* shim.h: the library as the Python package uses it. C never calls Python: each callback of the library
 * becomes an event in a queue of its loop, and Python takes the events out after each turn.
 *
 * Everything is for the thread of the loop. cffi reads this file, too, without its preprocessor lines: it
 * contains only declarations. */
#ifndef PYMCP_SHIM_H
#define PYMCP_SHIM_H

#include <iccm_network.h>

typedef struct pymcp_loop pymcp_loop_t;     /* a libuv loop, and its events */
typedef struct pymcp_server pymcp_server_t; /* a server, and the loop that it runs on */
typedef struct pymcp_call pymcp_call_t;     /* a call being served, until it is ended */

/* What has happened, and the members of an event that have a meaning then. */
enum {
  PYMCP_CALL,     /* a server has a call: owner, id, tool, call, text (the arguments), span */
  PYMCP_CANCEL,   /* a call is cancelled: id, status (MCP_CANCEL_...) */
  PYMCP_PROGRESS, /* the newest progress of a request: id, progress, total, message */
  PYMCP_RESULT,   /* a request has ended: id, status, is_error, text (the value), message */
  PYMCP_DONE      /* a server has stopped, or a client is closed: id */
};

/* An event. Text is borrowed until the next pymcp_loop_next(), that of a call until the call is ended. */
typedef struct pymcp_event {
  int kind;           /* PYMCP_... */
  int status;         /* 0 or an error code */
  bool is_error;      /* the peer's tool failed */
  uint64_t owner;     /* the id of the server */
  uint64_t id;        /* the id of the call, request, stop or close */
  uint64_t tool;      /* the id of the tool */
  pymcp_call_t *call; /* the call */
  const char *text;   /* JSON, or NULL */
  size_t len;         /* its length in bytes */
  const char *message;
  double progress, total;
  const char *span; /* the bytes of a mcp_span_t, borrowed until the call is ended */
} pymcp_event_t;

/* NULL: not enough memory or descriptors. */
pymcp_loop_t *pymcp_loop_new(void);
/* The descriptor that is readable when the loop has something to do. */
int pymcp_loop_fd(const pymcp_loop_t *loop);
/* Does what can be done without waiting. Returns the milliseconds until the next turn is due, or -1 if only
 * the descriptor tells. */
int pymcp_loop_turn(pymcp_loop_t *loop);
/* The next event, or NULL; frees the one before. */
pymcp_event_t *pymcp_loop_next(pymcp_loop_t *loop);
/* Whether servers, clients or their connections are left on the loop. */
bool pymcp_loop_alive(const pymcp_loop_t *loop);
/* Frees a loop that is not alive. */
void pymcp_loop_free(pymcp_loop_t *loop);

/* NULL: mcp_last_error() has the reason. */
pymcp_server_t *pymcp_server_new(const char *name, const char *version, int port);
/* A server that runs is not freed. */
void pymcp_server_free(pymcp_server_t *server);
mcp_server_t *pymcp_server_native(pymcp_server_t *server);
/* handler, arg and destroy of the tool are set here. id comes back in PYMCP_CALL. */
int pymcp_server_add_tool(pymcp_server_t *server, mcp_tool_t *tool, uint64_t id);
/* Returns the id of a tool that gets no more calls: it was not added, or it was removed and its calls have
 * ended. Each id is returned once; 0: there is no other. */
uint64_t pymcp_server_next_unused(pymcp_server_t *server);
/* id comes back as the owner in PYMCP_CALL. */
int pymcp_server_start(pymcp_server_t *server, pymcp_loop_t *loop, uint64_t id);
/* 0: PYMCP_DONE follows. */
int pymcp_server_stop(pymcp_server_t *server, uint64_t id);

int pymcp_call_progress(pymcp_call_t *call, double progress, double total, const char *message);
/* These end and free a call. */
int pymcp_call_reply(pymcp_call_t *call, const char *json, size_t len);
int pymcp_call_reply_content(pymcp_call_t *call, const char *content, size_t content_len,
                             const char *structured, size_t structured_len, bool is_error);
int pymcp_call_fail(pymcp_call_t *call, int code, const char *message, size_t message_len, const char *data,
                    size_t data_len);

/* What a request is. */
enum { PYMCP_TOOL, PYMCP_METHOD, PYMCP_LIST_TOOLS };

/* A request of a client. Members that are zero have the defaults of mcp_call_options_t. */
typedef struct pymcp_request {
  int kind;           /* PYMCP_TOOL, PYMCP_METHOD or PYMCP_LIST_TOOLS */
  const char *name;   /* of the tool or method */
  const char *params; /* JSON, or NULL */
  size_t params_len;
  uint64_t timeout_ms;
  const char *trace_id;
  const void *span; /* the bytes of a mcp_span_t, or NULL */
  bool progress;    /* PYMCP_PROGRESS is wanted */
} pymcp_request_t;

/* NULL: mcp_last_error() has the reason. */
mcp_client_t *pymcp_client_new(pymcp_loop_t *loop, const char *url);
/* Returns the number for mcp_client_cancel(), and PYMCP_RESULT follows; or a code, and nothing follows. */
int64_t pymcp_client_send(pymcp_loop_t *loop, mcp_client_t *client, const pymcp_request_t *request,
                          uint64_t id);
/* 0: PYMCP_DONE follows. */
int pymcp_client_close(pymcp_loop_t *loop, mcp_client_t *client, uint64_t id);

/* The name of an error code ("MCP_ETIMEOUT"), or NULL. Any thread. */
const char *pymcp_error_name(int code);
/* The pieces of memory that this file holds at the moment. */
uint64_t pymcp_blocks(void);

#endif
