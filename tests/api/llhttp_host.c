/* llhttp_host.c: a program that exports functions of llhttp's names and another meaning, as Node does with
 * those of another version. The shared library uses its own. */
#include <iccm_network.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define HOSTS_OWN(name)                                                                                      \
  void name(void);                                                                                           \
  void name(void) {                                                                                          \
    puts("the library calls " #name "() of the program");                                                    \
    exit(1);                                                                                                 \
  }
HOSTS_OWN(llhttp_init)
HOSTS_OWN(llhttp_settings_init)
HOSTS_OWN(llhttp_execute)
HOSTS_OWN(llhttp__internal_execute)
HOSTS_OWN(llhttp_resume)
HOSTS_OWN(llhttp_get_errno)
HOSTS_OWN(llhttp_get_error_pos)
HOSTS_OWN(llhttp_get_error_reason)
HOSTS_OWN(llhttp_should_keep_alive)
HOSTS_OWN(llhttp_message_needs_eof)
HOSTS_OWN(llhttp_method_name)

static void now(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_reply_text(call, "1", 1);
}

static const mcp_tool_t tools[] = {{.name = "now", .handler = now}, MCP_TOOL_END};

typedef struct answer {
  int status;
  bool is_closed;
} answer_t;

static void on_closed(mcp_client_t *client, void *arg) {
  mcp_client_free(client);
  ((answer_t *)arg)->is_closed = true;
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  if (result->status != 0)
    puts(result->message);
  ((answer_t *)arg)->status = result->status;
  mcp_client_close(client, on_closed, arg);
}

static int call_over(const char *scheme, uv_loop_t *loop, int port) {
  const mcp_call_options_t patient = {.timeout_ms = 3600000};
  char url[64];
  answer_t answer = {0};
  snprintf(url, sizeof url, "%s://127.0.0.1:%d", scheme, port);
  mcp_client_t *client = mcp_client_new(loop, url);
  if (client == NULL || mcp_client_call(client, "now", NULL, &patient, on_answer, &answer) != 0)
    return 1;
  while (!answer.is_closed)
    uv_run(loop, UV_RUN_ONCE);
  return answer.status;
}

int main(void) {
  uv_loop_t *loop = uv_default_loop();
  mcp_ignore_environment();
  mcp_server_t *server = mcp_server_new("host", "1", 0, tools);
  if (server == NULL || mcp_server_set_log_url(server, NULL) != 0 || mcp_server_start(server, loop) != 0)
    return 1;
  int status = call_over("ws", loop, mcp_server_port(server));
  if (status == 0)
    status = call_over("http", loop, mcp_server_port(server));
  mcp_server_stop(server, NULL, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  mcp_server_free(server);
  uv_loop_close(loop);
  return status == 0 ? 0 : 1;
}
