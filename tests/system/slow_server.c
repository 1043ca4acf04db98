/* slow_server.c: slow and failing tools, for the system tests.
 *
 * usage: slow_server PORT        (0: a free one)
 *
 * Happy path: sleep blocks a pool thread for "ms" and returns its arguments; later does the same with a timer
 * of the loop, in "steps" of "ms", with progress. shaped has an output schema. Intended failures: forget
 * returns from a blocking handler without a reply, refuse is a tool error, fail sets code and data, nonsense
 * replies invalid UTF-8, print uses standard input and output, shaped violates its schema on request. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static uint64_t arg_ms(yyjson_val *args) {
  return yyjson_get_uint(yyjson_obj_get(args, "ms"));
}

static void reply_with_args(mcp_call_t *call, yyjson_val *args) {
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void sleep_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  usleep((useconds_t)(arg_ms(args) * 1000));
  reply_with_args(call, args);
}

typedef struct delay {
  uv_timer_t timer;
  mcp_call_t *call;
  yyjson_val *args; /* the call's */
  uint64_t step, steps;
} delay_t;

static void on_delay_closed(uv_handle_t *timer) {
  free(timer->data);
}

static void on_step(uv_timer_t *timer) {
  delay_t *delay = timer->data;
  mcp_call_progress(delay->call, (double)++delay->step, (double)delay->steps, NULL);
  if (delay->step < delay->steps)
    return;
  reply_with_args(delay->call, delay->args);
  uv_close((uv_handle_t *)timer, on_delay_closed);
}

/* The caller has gone or has cancelled, or the server stops: the call ends at once. */
static void on_cancel(mcp_call_t *call, void *arg) {
  delay_t *delay = arg;
  (void)call;
  delay->steps = 0;
  uv_timer_start(&delay->timer, on_step, 0, 0);
}

static void later_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  delay_t *delay = malloc(sizeof *delay);
  if (delay == NULL) {
    mcp_call_tool_error(call, "out of memory");
    return;
  }
  delay->timer.data = delay;
  delay->call = call;
  delay->args = args;
  delay->step = 0;
  delay->steps = yyjson_get_uint(yyjson_obj_get(args, "steps"));
  uv_timer_init(arg, &delay->timer);
  uv_timer_start(&delay->timer, on_step, arg_ms(args), arg_ms(args) > 0 ? arg_ms(args) : 1);
  mcp_call_on_cancel(call, on_cancel, delay);
}

static void forget_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)call, (void)args, (void)arg;
}

static void refuse_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  mcp_call_tool_error(call, "refused on purpose");
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  yyjson_mut_val *data = yyjson_mut_obj(mcp_call_doc(call));
  yyjson_mut_obj_add_str(mcp_call_doc(call), data, "error_code", "ON_PURPOSE");
  mcp_call_fail(call, -32050, data, "failed on purpose");
}

static void nonsense_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  mcp_call_reply(call, yyjson_mut_str(mcp_call_doc(call), "\xff\xfe"));
}

/* What a careless handler does with standard input and output; answers the bytes that it read. */
static void print_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  char input[64];
  (void)args, (void)arg;
  printf("printed by a handler\n");
  fflush(stdout);
  ssize_t written = write(STDOUT_FILENO, "written by a handler\n", 21);
  ssize_t len = read(STDIN_FILENO, input, sizeof input);
  mcp_call_reply(call, yyjson_mut_sint(mcp_call_doc(call), written == 21 ? len : -1));
}

static void lines_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  static const char text[] = "{\n\"two\":\r\n\"li\\nes\"}\n";
  (void)args, (void)arg;
  mcp_call_reply_text(call, text, sizeof text - 1);
}

static void shaped_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  yyjson_mut_doc *doc = mcp_call_doc(call);
  const char *how = yyjson_get_str(yyjson_obj_get(args, "how"));
  if (strcmp(how, "refused") == 0) {
    mcp_call_tool_error(call, "refused on purpose");
  } else if (strcmp(how, "bare") == 0) {
    yyjson_mut_val *content = yyjson_mut_arr(doc), *block = yyjson_mut_arr_add_obj(doc, content);
    yyjson_mut_obj_add_str(doc, block, "type", "text");
    yyjson_mut_obj_add_str(doc, block, "text", "{\"n\":1}");
    mcp_call_reply_content(call, content, NULL, false);
  } else {
    yyjson_mut_val *result = yyjson_mut_obj(doc);
    if (strcmp(how, "wrong") == 0)
      yyjson_mut_obj_add_str(doc, result, "n", "no number");
    else
      yyjson_mut_obj_add_int(doc, result, "n", 1);
    mcp_call_reply(call, result);
  }
}

static void on_stop(void *arg) {
  mcp_server_stop(arg, NULL, NULL);
}

#define MS_SCHEMA                                                                                            \
  "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"ms\"]}"

#define LATER_SCHEMA                                                                                         \
  "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"minimum\":0},\"steps\":{\"type\":"    \
  "\"integer\",\"minimum\":1}},\"required\":[\"ms\"]}"
#define HOW_SCHEMA                                                                                           \
  "{\"type\":\"object\",\"properties\":{\"how\":{\"enum\":[\"right\",\"wrong\",\"bare\",\"refused\"]}},"     \
  "\"required\":[\"how\"]}"
#define N_SCHEMA "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]}"

int main(int argc, char **argv) {
  uv_loop_t *loop = uv_default_loop();
  const mcp_tool_t tools[] = {
      {"sleep", "Blocks its thread, then answers its arguments", MS_SCHEMA, sleep_tool, NULL,
       MCP_TOOL_BLOCKING},
      {"later", "Answers its arguments after a while", LATER_SCHEMA, later_tool, loop, 0},
      {"forget", "Never answers", NULL, forget_tool, NULL, MCP_TOOL_BLOCKING},
      {"refuse", "Cannot do it", NULL, refuse_tool, NULL, 0},
      {"fail", "Fails with its own code", NULL, fail_tool, NULL, 0},
      {"nonsense", "Answers what is not UTF-8", NULL, nonsense_tool, NULL, 0},
      {"print", "Prints to standard output", NULL, print_tool, NULL, 0},
      {"lines", "Answers JSON with line breaks", NULL, lines_tool, NULL, 0},
      {"shaped", "Answers what it promises, or something else", HOW_SCHEMA, shaped_tool, NULL, 0,
       .output_schema = N_SCHEMA},
      MCP_TOOL_END,
  };
  mcp_server_t *server = mcp_server_new("slow", "1.0.0", argc > 1 ? atoi(argv[1]) : 0, tools);
  int status = server == NULL ? MCP_ESTATE : mcp_server_start(server, loop);
  if (status == 0)
    status = mcp_loop_run(loop, on_stop, server);
  mcp_server_free(server);
  uv_loop_close(loop);
  return status == 0 ? 0 : 1;
}
