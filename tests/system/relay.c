/* relay.c: a component that works itself or calls another one, for the system tests of log shipping.
 *
 * usage: relay NAME PORT [URL]        (port 0: a free one)
 *
 * Happy path: the tool work logs its arguments as data of its call and returns them; ask does the same, but
 * calls work of the component at URL. Failure modes: ask fails if that call fails.
 */
#include "iccm_network.h"
#include "iccm_service.h"

#include <stdlib.h>
#include <uv.h>

static mcp_client_t *other;

static void note(mcp_call_t *call, yyjson_val *args, const char *what) {
  const char *subject = yyjson_get_str(yyjson_obj_get(args, "subject"));
  mcp_call_log(call, MCP_LOG_INFO, yyjson_val_mut_copy(mcp_call_doc(call), args), "%s %s", what,
               subject != NULL ? subject : "nothing");
}

static void work_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  note(call, args, "works on");
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void on_worked(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  if (result->status != 0)
    mcp_call_tool_error(arg, "the other one: %s", result->message);
  else
    mcp_call_reply_text(arg, result->text, result->text_len);
}

static void ask_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  (void)arg;
  note(call, args, "asks for");
  yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, args));
  int status = other != NULL ? mcp_client_call(other, "work", doc, &(mcp_call_options_t){.parent = call},
                                               on_worked, call)
                             : MCP_ESTATE;
  if (status != 0)
    mcp_call_tool_error(call, "%s", mcp_strerror(status));
}

static void on_stopped(mcp_server_t *server, void *arg) {
  (void)server;
  (void)arg;
  if (other != NULL)
    mcp_client_close(other, NULL, NULL);
}

static void on_stop(void *arg) {
  mcp_server_stop(arg, on_stopped, NULL);
}

int main(int argc, char **argv) {
  static const mcp_tool_t tools[] = {{.name = "work", .description = "Does it", .handler = work_tool},
                                     {.name = "ask", .description = "Has it done", .handler = ask_tool},
                                     MCP_TOOL_END};
  uv_loop_t loop;
  if (argc < 3 || uv_loop_init(&loop) != 0)
    return 2;
  mcp_server_t *server = mcp_server_new(argv[1], "1.0.0", atoi(argv[2]), tools);
  other = argc > 3 ? mcp_client_new(&loop, argv[3]) : NULL;
  int status = server != NULL ? mcp_server_start(server, &loop) : MCP_ESTATE;
  if (status == 0)
    status = mcp_loop_run(&loop, on_stop, server);
  mcp_client_free(other);
  mcp_server_free(server);
  uv_loop_close(&loop);
  return status == 0 ? 0 : 1;
}
