/* echo.c: a server with one tool, echo, which returns its arguments. The argument is the port; 0 picks a free
 * one, which the log shows. Benchmarks and conformance tests use this server. */
#include <iccm_network.h>

#include <stdio.h>
#include <stdlib.h>

static void echo(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static const mcp_tool_t tools[] = {
    {.name = "echo", .description = "Answers its arguments", .handler = echo},
    MCP_TOOL_END,
};

int main(int argc, char **argv) {
  char *end = NULL;
  long port = argc == 2 ? strtol(argv[1], &end, 10) : -1;
  if (port < 0 || port > 65535 || *end != '\0') {
    fprintf(stderr, "usage: echo PORT\n");
    return 2;
  }
  mcp_server_t *server = mcp_server_new("echo", "0.1.0", (int)port, tools);
  if (server == NULL)
    return 1;
  int status = mcp_server_run(server);
  mcp_server_free(server);
  return status == 0 ? 0 : 1;
}
