/* NAME.c: an MCP server with two tools. Arguments are validated against the schemas before a handler runs. */
#include <iccm_network.h>
#include <iccm_service.h>

/* Runs on the thread of the server's loop and must not block. */
static void greet(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  yyjson_mut_doc *doc = mcp_call_doc(call); /* valid until the call is ended */
  yyjson_mut_val *result = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, result, "greeting", "hello");
  yyjson_mut_obj_add_str(doc, result, "to", mcp_arg_text(args, "name", "", NULL));
  mcp_call_reply(call, result);
}

/* Runs on a pool thread and may block. It ends early once the caller has cancelled or disconnected. */
static void count_primes(mcp_call_t *call, yyjson_val *args, void *arg) {
  int64_t below = mcp_arg_int(args, "below", 0), count = 0;
  (void)arg;
  for (int64_t number = 2; number < below && !mcp_call_cancelled(call); number++) {
    int64_t factor = 2;
    while (factor * factor <= number && number % factor != 0)
      factor++;
    count += factor * factor > number;
  }
  mcp_call_reply(call, yyjson_mut_sint(mcp_call_doc(call), count)); /* end each call exactly once */
}

static const mcp_tool_t tools[] = {
    {.name = "greet",
     .description = "Greets by name",
     .input_schema = MCP_JSON({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}),
     .handler = greet},
    {.name = "count_primes",
     .description = "Counts the primes below a number",
     .input_schema = MCP_JSON({
       "type": "object",
       "properties": {"below": {"type": "integer", "minimum": 0, "maximum": 10000000}},
       "required": ["below"]
     }),
     .handler = count_primes,
     .flags = MCP_TOOL_BLOCKING},
    MCP_TOOL_END,
};

int main(void) {
  int64_t port;
  if (mcp_env_int("MCP_PORT", 9000, 0, 65535, &port) != 0) /* 0 picks a free port */
    return 1;
  mcp_server_t *server = mcp_server_new("NAME", "0.1.0", (int)port, tools);
  int status = server != NULL ? mcp_server_run(server) : 1; /* until SIGTERM or SIGINT */
  mcp_server_free(server);
  return status != 0;
}
