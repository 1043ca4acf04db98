/* embedded.c: a program that embeds the library: no variable of the environment changes what it does.
 * meson.build starts it with variables that would. */
#include <iccm_network.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static void now(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_reply_text(call, "1", 1);
}

static const mcp_tool_t tools[] = {{.name = "now", .handler = now}, MCP_TOOL_END};

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  *(int *)arg = result->status;
  mcp_client_close(client, NULL, NULL);
}

static int failed(const char *what) {
  printf("%s: %s\n", what, mcp_last_error());
  return 1;
}

static int call_itself(uv_loop_t *loop) {
  char url[64];
  int status = 1;
  const mcp_call_options_t patient = {.timeout_ms = 3600000};
  mcp_server_t *server = mcp_server_new("embedded", "1", 0, tools);
  if (server == NULL || mcp_server_start(server, loop) != 0)
    return failed("server");
  snprintf(url, sizeof url, "127.0.0.1:%d", mcp_server_port(server));
  mcp_client_t *client = mcp_client_new(loop, url);
  if (client == NULL || mcp_client_call(client, "now", NULL, &patient, on_answer, &status) != 0)
    return failed("client");
  while (status == 1)
    uv_run(loop, UV_RUN_ONCE);
  mcp_server_stop(server, NULL, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  mcp_client_free(client);
  mcp_server_free(server);
  return status == 0 ? 0 : failed(mcp_strerror(status));
}

/* What has been written to stderr since it was exchanged for file. */
static bool shows(FILE *file, const char *words) {
  char text[16384];
  rewind(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  return strstr(text, words) != NULL;
}

int main(void) {
  FILE *file = tmpfile();
  if (file == NULL || dup2(fileno(file), STDERR_FILENO) < 0)
    return failed("no file for stderr");
  mcp_ignore_environment();
  mcp_log(MCP_LOG_DEBUG, "embedded", "below the level");
  mcp_log(MCP_LOG_INFO, "embedded", "of the level");
  int status = call_itself(uv_default_loop());
  if (shows(file, "below the level") || !shows(file, "of the level") || shows(file, "DEBUG"))
    status = failed("LOG_LEVEL was read");
  if (shows(file, "ICCM_") || shows(file, "no such thing"))
    status = failed("a variable was read");
  uv_loop_close(uv_default_loop());
  fclose(file);
  return status;
}
