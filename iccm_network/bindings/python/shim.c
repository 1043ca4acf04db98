/* shim.c: see shim.h.
 *
 * Happy path: uv_run() calls a callback below, which links an event that was allocated beforehand, together
 * with its call or request, into the queue of the loop. Failure modes: without memory for a call the caller
 * gets a tool error; without memory for a result its status is MCP_ENOMEM; without memory for a report of
 * progress the report is dropped. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* Members of the queue; a node that is not linked points to itself. */
typedef struct node {
  struct node *prev, *next;
  pymcp_event_t event;
} node_t;

struct pymcp_loop {
  uv_loop_t uv;
  node_t queue;    /* its event is not used */
  node_t *current; /* Python reads this one */
  uint64_t last_call_id;
};

struct pymcp_server {
  mcp_server_t *native;
  pymcp_loop_t *loop; /* NULL: not started */
  uint64_t id;
  struct tool *unused; /* the first of the tools that the library no longer uses */
};

/* The arg of a tool. */
typedef struct tool {
  pymcp_server_t *server;
  uint64_t id;
  struct tool *next; /* in the list of unused tools */
} tool_t;

struct pymcp_call {
  node_t begin, cancel;
  pymcp_loop_t *loop;
  mcp_call_t *native;
  mcp_span_t span;
};

/* A request, stop or close that has not ended. */
typedef struct ticket {
  node_t progress, end;
  pymcp_loop_t *loop;
  pymcp_server_t *server; /* that stops, or NULL */
  char *report;           /* the message of progress */
  char *text, *message;   /* of the result */
} ticket_t;

enum { TURNS = 4 }; /* in a row while output is unwritten or handles close */

/* ---- memory ------------------------------------------------------------------------------------------- */

static uint64_t blocks; /* atomic: cffi releases the interpreter's lock, and each loop has its own thread */

static void *take(size_t size) {
  void *memory = calloc(1, size);
  if (memory != NULL)
    __atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
  return memory;
}

static void drop(void *memory) {
  if (memory != NULL)
    __atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
  free(memory);
}

static char *copy(const char *text, size_t len) {
  char *copied = take(len + 1);
  if (copied != NULL)
    memcpy(copied, text, len);
  return copied;
}

uint64_t pymcp_blocks(void) {
  return __atomic_load_n(&blocks, __ATOMIC_RELAXED);
}

/* ---- queue -------------------------------------------------------------------------------------------- */

static void init_node(node_t *node, int kind, uint64_t id) {
  node->prev = node->next = node;
  node->event = (pymcp_event_t){.kind = kind, .id = id};
}

static void unlink_node(node_t *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  node->prev = node->next = node;
}

static void enqueue(pymcp_loop_t *loop, node_t *node) {
  unlink_node(node);
  node->prev = loop->queue.prev;
  node->next = &loop->queue;
  node->prev->next = loop->queue.prev = node;
}

static ticket_t *ticket_new(pymcp_loop_t *loop, int kind, uint64_t id) {
  ticket_t *ticket = take(sizeof *ticket);
  if (ticket == NULL)
    return NULL;
  ticket->loop = loop;
  init_node(&ticket->progress, PYMCP_PROGRESS, id);
  init_node(&ticket->end, kind, id);
  return ticket;
}

static void ticket_free(ticket_t *ticket) {
  unlink_node(&ticket->progress);
  drop(ticket->report);
  drop(ticket->text);
  drop(ticket->message);
  drop(ticket);
}

/* Calls free their own events. */
static void release(node_t *node) {
  if (node != NULL && (node->event.kind == PYMCP_RESULT || node->event.kind == PYMCP_DONE))
    ticket_free((ticket_t *)(void *)((char *)node - offsetof(ticket_t, end)));
}

/* ---- loop --------------------------------------------------------------------------------------------- */

pymcp_loop_t *pymcp_loop_new(void) {
  pymcp_loop_t *loop = take(sizeof *loop);
  if (loop == NULL)
    return NULL;
  if (uv_loop_init(&loop->uv) != 0) {
    drop(loop);
    return NULL;
  }
  init_node(&loop->queue, PYMCP_DONE, 0);
  return loop;
}

int pymcp_loop_fd(const pymcp_loop_t *loop) {
  return uv_backend_fd(&loop->uv);
}

int pymcp_loop_turn(pymcp_loop_t *loop) {
  int wait_ms = 0;
  for (int turn = 0; turn < TURNS && wait_ms == 0; turn++) {
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    wait_ms = uv_loop_alive(&loop->uv) ? uv_backend_timeout(&loop->uv) : -1;
  }
  return wait_ms;
}

pymcp_event_t *pymcp_loop_next(pymcp_loop_t *loop) {
  node_t *node = loop->queue.next;
  release(loop->current);
  loop->current = NULL;
  if (node == &loop->queue)
    return NULL;
  unlink_node(node);
  loop->current = node;
  return &node->event;
}

bool pymcp_loop_alive(const pymcp_loop_t *loop) {
  return uv_loop_alive(&loop->uv);
}

void pymcp_loop_free(pymcp_loop_t *loop) {
  if (uv_loop_close(&loop->uv) == 0)
    drop(loop);
}

/* ---- server ------------------------------------------------------------------------------------------- */

pymcp_server_t *pymcp_server_new(const char *name, const char *version, int port) {
  static const mcp_tool_t none[] = {MCP_TOOL_END};
  pymcp_server_t *server = take(sizeof *server);
  if (server == NULL)
    return NULL;
  server->native = mcp_server_new(name, version, port, none);
  if (server->native == NULL) {
    drop(server);
    return NULL;
  }
  return server;
}

void pymcp_server_free(pymcp_server_t *server) {
  if (server == NULL || server->loop != NULL)
    return;
  mcp_server_free(server->native);
  while (pymcp_server_next_unused(server) != 0)
    ;
  drop(server);
}

mcp_server_t *pymcp_server_native(pymcp_server_t *server) {
  return server->native;
}

static void on_cancel(mcp_call_t *native, void *arg) {
  pymcp_call_t *call = arg;
  call->cancel.event.status = mcp_call_cancel_reason(native);
  enqueue(call->loop, &call->cancel);
}

static void refuse(mcp_call_t *native) {
  static const char text[] = "not enough memory";
  mcp_call_fail_text(native, MCP_TOOL_ERROR, text, sizeof text - 1, NULL, 0);
}

static void on_call(mcp_call_t *native, yyjson_val *args, void *arg) {
  const tool_t *tool = arg;
  pymcp_loop_t *loop = tool->server->loop;
  size_t len = 0;
  const char *text = mcp_call_args_text(native, &len);
  pymcp_call_t *call = text != NULL ? take(sizeof *call) : NULL;
  (void)args;
  if (call == NULL) {
    refuse(native);
    return;
  }
  call->loop = loop;
  call->native = native;
  mcp_call_span(native, &call->span);
  init_node(&call->begin, PYMCP_CALL, ++loop->last_call_id);
  init_node(&call->cancel, PYMCP_CANCEL, loop->last_call_id);
  pymcp_event_t *event = &call->begin.event;
  event->owner = tool->server->id;
  event->tool = tool->id;
  event->call = call;
  event->text = text;
  event->len = len;
  event->span = (const char *)&call->span;
  mcp_call_on_cancel(native, on_cancel, call);
  enqueue(loop, &call->begin);
}

static void on_unused(void *arg) {
  tool_t *tool = arg;
  tool->next = tool->server->unused;
  tool->server->unused = tool;
}

uint64_t pymcp_server_next_unused(pymcp_server_t *server) {
  tool_t *tool = server->unused;
  if (tool == NULL)
    return 0;
  uint64_t id = tool->id;
  server->unused = tool->next;
  drop(tool);
  return id;
}

int pymcp_server_add_tool(pymcp_server_t *server, mcp_tool_t *tool, uint64_t id) {
  tool_t *arg = take(sizeof *arg);
  if (arg == NULL)
    return MCP_ENOMEM;
  *arg = (tool_t){server, id, NULL};
  tool->handler = on_call;
  tool->arg = arg;
  tool->destroy = on_unused;
  return mcp_server_add_tool(server->native, tool);
}

int pymcp_server_start(pymcp_server_t *server, pymcp_loop_t *loop, uint64_t id) {
  if (server->loop != NULL)
    return MCP_ESTATE;
  uv_update_time(&loop->uv);
  int status = mcp_server_start(server->native, &loop->uv);
  if (status == 0) {
    server->loop = loop;
    server->id = id;
  }
  return status;
}

static void on_stopped(mcp_server_t *native, void *arg) {
  ticket_t *ticket = arg;
  (void)native;
  ticket->server->loop = NULL;
  enqueue(ticket->loop, &ticket->end);
}

int pymcp_server_stop(pymcp_server_t *server, uint64_t id) {
  ticket_t *ticket = server->loop != NULL ? ticket_new(server->loop, PYMCP_DONE, id) : NULL;
  if (ticket == NULL)
    return server->loop != NULL ? MCP_ENOMEM : MCP_ESTATE;
  ticket->server = server;
  uv_update_time(&server->loop->uv);
  int status = mcp_server_stop(server->native, on_stopped, ticket);
  if (status != 0)
    ticket_free(ticket);
  return status;
}

/* ---- calls being served ------------------------------------------------------------------------------- */

static void call_free(pymcp_call_t *call) {
  if (call->loop->current == &call->begin || call->loop->current == &call->cancel)
    call->loop->current = NULL;
  unlink_node(&call->begin);
  unlink_node(&call->cancel);
  drop(call);
}

int pymcp_call_progress(pymcp_call_t *call, double progress, double total, const char *message) {
  uv_update_time(&call->loop->uv);
  return mcp_call_progress(call->native, progress, total, message);
}

int pymcp_call_reply(pymcp_call_t *call, const char *json, size_t len) {
  uv_update_time(&call->loop->uv);
  int status = mcp_call_reply_text(call->native, json, len);
  call_free(call);
  return status;
}

int pymcp_call_reply_content(pymcp_call_t *call, const char *content, size_t content_len,
                             const char *structured, size_t structured_len, bool is_error) {
  uv_update_time(&call->loop->uv);
  int status =
      mcp_call_reply_content_text(call->native, content, content_len, structured, structured_len, is_error);
  call_free(call);
  return status;
}

int pymcp_call_fail(pymcp_call_t *call, int code, const char *message, size_t message_len, const char *data,
                    size_t data_len) {
  uv_update_time(&call->loop->uv);
  int status = mcp_call_fail_text(call->native, code, message, message_len, data, data_len);
  call_free(call);
  return status;
}

/* ---- client ------------------------------------------------------------------------------------------- */

mcp_client_t *pymcp_client_new(pymcp_loop_t *loop, const char *url) {
  return mcp_client_new(&loop->uv, url);
}

static void on_progress(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  ticket_t *ticket = arg;
  pymcp_event_t *event = &ticket->progress.event;
  char *report = progress->message != NULL ? copy(progress->message, strlen(progress->message)) : NULL;
  (void)client;
  if (progress->message != NULL && report == NULL)
    return;
  drop(ticket->report);
  event->message = ticket->report = report;
  event->progress = progress->progress;
  event->total = progress->total;
  enqueue(ticket->loop, &ticket->progress);
}

static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  ticket_t *ticket = arg;
  pymcp_event_t *event = &ticket->end.event;
  const char *text = mcp_result_value_text(result, &event->len);
  (void)client;
  if (text != NULL)
    event->text = ticket->text = copy(text, event->len);
  if (result->message != NULL)
    event->message = ticket->message = copy(result->message, strlen(result->message));
  event->is_error = result->is_error;
  event->status = result->status;
  if (result->value != NULL && event->text == NULL) {
    event->status = MCP_ENOMEM;
    event->is_error = false;
  }
  enqueue(ticket->loop, &ticket->end);
}

static int send_request(mcp_client_t *client, const pymcp_request_t *request,
                        const mcp_call_options_t *options, ticket_t *ticket) {
  if (request->kind == PYMCP_TOOL)
    return mcp_client_call_text(client, request->name, request->params, request->params_len, options,
                                on_result, ticket);
  if (request->kind == PYMCP_METHOD)
    return mcp_client_request_text(client, request->name, request->params, request->params_len, options,
                                   on_result, ticket);
  return mcp_client_list_tools(client, options, on_result, ticket);
}

int64_t pymcp_client_send(pymcp_loop_t *loop, mcp_client_t *client, const pymcp_request_t *request,
                          uint64_t id) {
  uint64_t number = 0;
  mcp_span_t span;
  mcp_call_options_t options = {
      .timeout_ms = request->timeout_ms, .trace_id = request->trace_id, .id = &number};
  ticket_t *ticket = ticket_new(loop, PYMCP_RESULT, id);
  if (ticket == NULL)
    return MCP_ENOMEM;
  if (request->span != NULL) {
    memcpy(&span, request->span, sizeof span);
    options.span = &span;
  }
  if (request->progress) {
    options.progress_cb = on_progress;
    options.progress_arg = ticket;
  }
  uv_update_time(&loop->uv);
  int status = send_request(client, request, &options, ticket);
  if (status == 0)
    return (int64_t)number;
  ticket_free(ticket);
  return status;
}

static void on_closed(mcp_client_t *client, void *arg) {
  ticket_t *ticket = arg;
  mcp_client_free(client);
  enqueue(ticket->loop, &ticket->end);
}

int pymcp_client_close(pymcp_loop_t *loop, mcp_client_t *client, uint64_t id) {
  ticket_t *ticket = ticket_new(loop, PYMCP_DONE, id);
  if (ticket == NULL)
    return MCP_ENOMEM;
  uv_update_time(&loop->uv);
  int status = mcp_client_close(client, on_closed, ticket);
  if (status != 0)
    ticket_free(ticket);
  return status;
}

/* ---- errors ------------------------------------------------------------------------------------------- */

const char *pymcp_error_name(int code) {
  switch (code) {
#define CASE(name, number, text)                                                                             \
  case name:                                                                                                 \
    return #name;
    MCP_ERROR_MAP(CASE)
    MCP_SYSTEM_ERROR_MAP(CASE)
#undef CASE
  case MCP_PARSE_ERROR:
    return "MCP_PARSE_ERROR";
  case MCP_INVALID_REQUEST:
    return "MCP_INVALID_REQUEST";
  case MCP_METHOD_NOT_FOUND:
    return "MCP_METHOD_NOT_FOUND";
  case MCP_INVALID_PARAMS:
    return "MCP_INVALID_PARAMS";
  case MCP_INTERNAL_ERROR:
    return "MCP_INTERNAL_ERROR";
  default:
    return code >= -32099 && code <= MCP_TOOL_ERROR ? "MCP_TOOL_ERROR" : NULL;
  }
}
