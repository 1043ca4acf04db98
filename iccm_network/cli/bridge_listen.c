/* bridge_listen.c: `iccm bridge --listen PORT URL`. Serves the tools of a server that only supports WebSocket
 * (the upstream) over HTTP and WebSocket, in every protocol version of the library.
 *
 * Happy path: the bridge asks the upstream for its name, connects and lists its tools. Then it listens, with
 * a tool for each of them. A call is validated and forwarded as tools/call, and its whole result is passed
 * back; progress and cancellation are forwarded, too. The tools are listed again after each reconnect and
 * when the upstream reports a change. Failure: while the upstream is unavailable, calls fail at once with the
 * reason and /readyz returns 503. A list that cannot be read leaves the old tools and is requested again
 * after RETRY_MS. A tool that the library rejects is left out. Log lines are not sent to Godot, which may be
 * the upstream. */
#include <iccm_network.h>
#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "check_alloc.h"
#include "commands.h"
#include "error_report.h"
#include "exit_codes.h"
#include "sync_client.h"

enum {
  MAX_TOOLS = 1024,     /* different names while the bridge runs */
  RETRY_MS = 5000,      /* between attempts to list the tools over one connection */
  CALL_MARGIN_MS = 5000 /* the client's time limit is earlier: its error names the upstream */
};

typedef struct bridge bridge_t;

/* A name that the upstream listed at some time. Calls of a removed tool may still begin: it is never freed
 * while the server exists. */
typedef struct tool {
  bridge_t *bridge;
  char *name;
  char *definition; /* the upstream's entry as JSON text; NULL: not served */
  bool listed;      /* in the list being read */
} tool_t;

struct bridge {
  const options_t *options;
  char url[MCP_SHOWN_SIZE]; /* options->url with secrets redacted */
  char name[SYNC_CLIENT_NAME_SIZE];
  uv_loop_t loop;
  mcp_server_t *server;
  mcp_client_t *client;
  tool_t tools[MAX_TOOLS];
  size_t tool_count;
  bool connected, listing, has_list;
  bool outdated; /* the tools have to be listed again */
  bool tried;    /* the first attempt to connect and list has ended */
};

/* ---- calls ----------------------------------------------------------------------------------------- */

typedef struct forwarded {
  const bridge_t *bridge;
  mcp_call_t *call;
} forwarded_t;

/* A message of the client without the address, which url already names. */
static const char *without_address(const bridge_t *bridge, const char *message) {
  const char *address = strstr(bridge->url, "://"), *end = strstr(message, ": ");
  address = address != NULL ? address + 3 : bridge->url;
  return end != NULL && strncmp(address, message, (size_t)(end - message)) == 0 ? end + 2 : message;
}

/* Ends a call to which the upstream has not responded. */
static void fail_unanswered(const bridge_t *bridge, mcp_call_t *call, const char *message) {
  yyjson_mut_val *data = bridge->connected ? NULL : yyjson_mut_obj(mcp_call_doc(call));
  if (data != NULL)
    yyjson_mut_obj_add_bool(mcp_call_doc(call), data, "retry", true); /* the call was not sent */
  mcp_call_fail(call, MCP_TOOL_ERROR, data, "%s%s: %s", bridge->connected ? "" : "cannot reach ", bridge->url,
                without_address(bridge, message));
}

/* Of the codes of JSON-RPC a tool may use those of tools, invalid params and internal error: the others
 * concern the request, which was the bridge's. */
static int code_for_caller(int code) {
  bool is_tool_code = code <= MCP_TOOL_ERROR && code >= -32099;
  return is_tool_code || code == MCP_INVALID_PARAMS ? code : MCP_INTERNAL_ERROR;
}

static void reply(mcp_call_t *call, yyjson_val *result) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_val *content = yyjson_obj_get(result, "content");
  yyjson_val *structured = yyjson_obj_get(result, "structuredContent");
  if (yyjson_is_arr(content))
    mcp_call_reply_content(call, yyjson_val_mut_copy(doc, content),
                           yyjson_is_obj(structured) ? yyjson_val_mut_copy(doc, structured) : NULL,
                           yyjson_is_true(yyjson_obj_get(result, "isError")));
  else /* some old servers return the plain result */
    mcp_call_reply(call, yyjson_val_mut_copy(doc, result));
}

static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  forwarded_t forwarded = *(forwarded_t *)arg;
  (void)client;
  free(arg);
  if (result->status == 0)
    reply(forwarded.call, result->value);
  else if (result->status > MCP_TOOL_ERROR) /* a code of the library or the system */
    fail_unanswered(forwarded.bridge, forwarded.call, result->message);
  else
    mcp_call_fail(forwarded.call, code_for_caller(result->status),
                  yyjson_val_mut_copy(mcp_call_doc(forwarded.call), result->value), "%s", result->message);
}

static void on_progress(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  (void)client;
  mcp_call_progress(arg, progress->progress, progress->total, progress->message);
}

static yyjson_mut_doc *call_params(const char *name, yyjson_val *args) {
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = check_alloc(yyjson_mut_obj(doc));
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_val(doc, root, "name", check_alloc(yyjson_mut_strcpy(doc, name)));
  yyjson_mut_obj_add_val(doc, root, "arguments", check_alloc(yyjson_val_mut_copy(doc, args)));
  return doc;
}

/* Handles the calls of all tools. */
static void forward(mcp_call_t *call, yyjson_val *args, void *arg) {
  const tool_t *tool = arg;
  bridge_t *bridge = tool->bridge;
  mcp_call_options_t call_options = {.timeout_ms = bridge->options->timeout_ms,
                                     .parent = call,
                                     .progress_cb = on_progress,
                                     .progress_arg = call};
  forwarded_t *forwarded = check_alloc(malloc(sizeof *forwarded));
  *forwarded = (forwarded_t){bridge, call};
  int status = mcp_client_request(bridge->client, "tools/call", call_params(tool->name, args), &call_options,
                                  on_result, forwarded);
  if (status != 0) {
    free(forwarded);
    fail_unanswered(bridge, call, mcp_strerror(status));
  }
}

/* ---- tools ----------------------------------------------------------------------------------------- */

static tool_t *find_or_add_tool(bridge_t *bridge, const char *name) {
  for (size_t i = 0; i < bridge->tool_count; i++)
    if (strcmp(bridge->tools[i].name, name) == 0)
      return &bridge->tools[i];
  if (bridge->tool_count == MAX_TOOLS) {
    mcp_log(MCP_LOG_WARN, bridge->name, "tool %.128s left out: more than %d names of tools", name, MAX_TOOLS);
    return NULL;
  }
  tool_t *tool = &bridge->tools[bridge->tool_count++];
  *tool = (tool_t){.bridge = bridge, .name = check_alloc(strdup(name))};
  return tool;
}

/* NULL: there is no such member. */
static char *member_text(yyjson_val *entry, const char *member) {
  yyjson_val *value = yyjson_obj_get(entry, member);
  return value == NULL || yyjson_is_null(value) ? NULL : check_alloc(yyjson_val_write(value, 0, NULL));
}

/* 0, or the code of mcp_server_add_tool(), which logs the reason. */
static int serve_tool(bridge_t *bridge, tool_t *tool, yyjson_val *entry) {
  char *input = member_text(entry, "inputSchema"), *output = member_text(entry, "outputSchema");
  char *annotations = member_text(entry, "annotations");
  mcp_tool_t definition = {.name = tool->name,
                           .description = yyjson_get_str(yyjson_obj_get(entry, "description")),
                           .title = yyjson_get_str(yyjson_obj_get(entry, "title")),
                           .input_schema = input,
                           .output_schema = output,
                           .annotations = annotations,
                           .handler = forward,
                           .arg = tool};
  int status = mcp_server_add_tool(bridge->server, &definition);
  free(input);
  free(output);
  free(annotations);
  return status;
}

static void stop_serving_tool(bridge_t *bridge, tool_t *tool) {
  if (tool->definition == NULL || mcp_server_remove_tool(bridge->server, tool->name) != 0)
    return;
  free(tool->definition);
  tool->definition = NULL;
}

static void update_tool(bridge_t *bridge, yyjson_val *entry) {
  const char *name = yyjson_get_str(yyjson_obj_get(entry, "name"));
  tool_t *tool = name != NULL ? find_or_add_tool(bridge, name) : NULL;
  if (tool == NULL || tool->listed)
    return;
  tool->listed = true;
  char *definition = check_alloc(yyjson_val_write(entry, 0, NULL));
  if (tool->definition == NULL || strcmp(tool->definition, definition) != 0) {
    stop_serving_tool(bridge, tool);
    if (tool->definition == NULL && serve_tool(bridge, tool, entry) == 0) {
      tool->definition = definition;
      return;
    }
  }
  free(definition);
}

static void update_tools(bridge_t *bridge, yyjson_val *entries) {
  size_t index, count;
  yyjson_val *entry;
  for (size_t i = 0; i < bridge->tool_count; i++)
    bridge->tools[i].listed = false;
  yyjson_arr_foreach(entries, index, count, entry) {
    update_tool(bridge, entry);
  }
  for (size_t i = 0; i < bridge->tool_count; i++)
    if (!bridge->tools[i].listed)
      stop_serving_tool(bridge, &bridge->tools[i]);
  mcp_log(MCP_LOG_INFO, bridge->name, "%s lists %zu tools", bridge->url, count);
}

static void list_tools(bridge_t *bridge);

static void on_list(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  bridge_t *bridge = arg;
  (void)client;
  bridge->listing = false;
  bridge->tried = true;
  if (result->status != 0) {
    bridge->outdated = true;
    mcp_log(MCP_LOG_WARN, bridge->name, "cannot list the tools of %s: %s", bridge->url,
            without_address(bridge, result->message));
    if (!bridge->has_list)
      mcp_server_set_dependency(bridge->server, "upstream", "cannot list its tools");
    return;
  }
  update_tools(bridge, result->value);
  bridge->has_list = true;
  mcp_server_set_dependency(bridge->server, "upstream", NULL);
  if (bridge->outdated)
    list_tools(bridge);
}

/* Lists the tools now, or once the list being read is complete. */
static void list_tools(bridge_t *bridge) {
  mcp_call_options_t call_options = {.timeout_ms = bridge->options->timeout_ms};
  bridge->outdated = true;
  if (bridge->listing)
    return;
  bridge->listing = mcp_client_list_tools(bridge->client, &call_options, on_list, bridge) == 0;
  bridge->outdated = !bridge->listing;
  bridge->tried = bridge->tried || bridge->outdated;
}

/* ---- the upstream server --------------------------------------------------------------------------- */

static void on_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  bridge_t *bridge = arg;
  char text[640];
  (void)client;
  bridge->connected = status == 0;
  if (status == 0) {
    if (bridge->has_list)
      mcp_server_set_dependency(bridge->server, "upstream", NULL);
    list_tools(bridge);
    return;
  }
  bridge->tried = true;
  snprintf(text, sizeof text, "cannot reach %s: %s", bridge->url, without_address(bridge, reason));
  mcp_server_set_dependency(bridge->server, "upstream", text);
}

static void on_notification(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  (void)client;
  (void)params;
  if (strcmp(method, "notifications/tools/list_changed") == 0)
    list_tools(arg);
}

static void on_timer(mcp_server_t *server, void *arg) {
  bridge_t *bridge = arg;
  (void)server;
  if (bridge->connected && bridge->outdated)
    list_tools(bridge);
}

/* ---- life cycle ------------------------------------------------------------------------------------ */

static void on_server_stopped(mcp_server_t *server, void *arg) {
  bridge_t *bridge = arg;
  (void)server;
  mcp_client_close(bridge->client, NULL, NULL);
}

static void stop(void *arg) {
  bridge_t *bridge = arg;
  mcp_server_stop(bridge->server, on_server_stopped, bridge);
}

/* Creates both without connecting or listening. */
static int open_parts(bridge_t *bridge) {
  static const mcp_tool_t no_tools[] = {MCP_TOOL_END};
  const options_t *options = bridge->options;
  bridge->server = mcp_server_new(bridge->name, ICCM_VERSION, options->listen_port, no_tools);
  bridge->client = bridge->server != NULL ? sync_client_new_client(&bridge->loop, options) : NULL;
  if (bridge->client == NULL)
    return MCP_EENV;
  mcp_server_set_log_url(bridge->server, NULL);
  mcp_server_set_call_timeout_ms(bridge->server, options->timeout_ms + CALL_MARGIN_MS);
  mcp_client_on_state(bridge->client, on_state, bridge);
  mcp_client_on_notification(bridge->client, on_notification, bridge);
  return mcp_server_add_timer(bridge->server, RETRY_MS, on_timer, bridge);
}

/* Serves until a signal. Returns an exit code. */
static int serve(bridge_t *bridge, const print_t *out) {
  if (open_parts(bridge) != 0 || mcp_client_connect(bridge->client) != 0)
    return report_usage_error(bridge->options, out, "%s", mcp_last_error());
  while (!bridge->tried)
    uv_run(&bridge->loop, UV_RUN_ONCE);
  int status = mcp_server_start(bridge->server, &bridge->loop);
  if (status == 0) {
    mcp_server_reload_tls_on_sighup(bridge->server); /* an error is logged */
    return mcp_loop_run(&bridge->loop, stop, bridge) == 0 ? ICCM_OK : ICCM_USAGE;
  }
  mcp_client_close(bridge->client, NULL, NULL);
  uv_run(&bridge->loop, UV_RUN_DEFAULT);
  return report_usage_error(bridge->options, out, "cannot listen on port %d: %s",
                            bridge->options->listen_port, mcp_strerror(status));
}

static void free_bridge(bridge_t *bridge) {
  mcp_client_free(bridge->client);
  mcp_server_free(bridge->server);
  uv_loop_close(&bridge->loop);
  for (size_t i = 0; i < bridge->tool_count; i++) {
    free(bridge->tools[i].name);
    free(bridge->tools[i].definition);
  }
  free(bridge);
}

int bridge_listen_run(const options_t *options, const print_t *out) {
  if (options->trace != NULL)
    return report_usage_error(options, out, "--trace and --listen cannot be combined");
  bridge_t *bridge = check_alloc(calloc(1, sizeof *bridge));
  *bridge = (bridge_t){.options = options, .name = "bridge"};
  check_alloc(uv_loop_init(&bridge->loop) == 0 ? bridge : NULL);
  mcp_redact_setting(NULL, options->url, bridge->url);
  int code = sync_client_server_name(options, out, bridge->name);
  mcp_set_log_handler(NULL, options->verbose ? MCP_LOG_TRACE : MCP_LOG_INFO, NULL);
  if (code == 0)
    code = serve(bridge, out);
  free_bridge(bridge);
  return code;
}
