/* component.c: a blocking tool, a tool that responds later, and a tool with progress and cancellation. */
#include <iccm_network.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>
#define INPUT MCP_JSON({"type": "object", "properties": {"to": {"type": "integer"}}, "required": ["to"]})
static mcp_call_t *waiting; /* the call of meet that waits for a second one */

static void disk(mcp_call_t *call, yyjson_val *args, void *arg) { /* on a pool thread */
  struct statvfs root;
  (void)args, (void)arg;
  if (statvfs("/", &root) == 0)
    mcp_call_reply(call, yyjson_mut_uint(mcp_call_doc(call), (uint64_t)root.f_bavail * root.f_frsize));
  else
    mcp_call_tool_error(call, "cannot read the file system");
}

static void count(mcp_call_t *call, yyjson_val *args, void *arg) {
  int64_t done = 0, to = mcp_arg_int(args, "to", 0);
  (void)arg;
  for (; done < to && !mcp_call_cancelled(call); done++) {
    usleep(10000);
    mcp_call_progress(call, (double)done + 1, (double)to, NULL); /* sent if the caller supplied a token */
  }
  mcp_log(MCP_LOG_INFO, "count", done < to ? "cancelled" : "done");
  mcp_call_reply(call, yyjson_mut_sint(mcp_call_doc(call), done)); /* also after a cancellation */
}

static void on_cancel(mcp_call_t *call, void *arg) {
  (void)arg;
  waiting = NULL;
  mcp_call_tool_error(call, "no second caller");
}

static void meet(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  if (waiting == NULL) { /* ended later, by the next call */
    waiting = call;
    mcp_call_on_cancel(call, on_cancel, NULL);
    return;
  }
  mcp_call_reply_text(waiting, "\"met\"", 5);
  mcp_call_reply_text(call, "\"met\"", 5);
  waiting = NULL;
}

static const mcp_tool_t tools[] = {
    {"disk", "Free bytes of the root file system", .handler = disk, .flags = MCP_TOOL_BLOCKING},
    {"meet", "Answers two callers at once", .handler = meet},
    {"count", "Counts, and tells its progress", INPUT, count, .flags = MCP_TOOL_BLOCKING},
    MCP_TOOL_END,
};

int main(int argc, char **argv) {
  mcp_server_t *server = mcp_server_new("component", "1.0.0", argc > 1 ? atoi(argv[1]) : 9000, tools);
  int status = server != NULL ? mcp_server_run(server) : 1;
  mcp_server_free(server);
  return status != 0;
}
