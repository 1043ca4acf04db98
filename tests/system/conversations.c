/* conversations.c: clients of the library that each call once, for the tests with broken connections.
 *
 * usage: conversations TIMEOUT_MS AT_ONCE < addresses
 *
 * Happy path: for each address (a line of input) a client connects, calls the tool echo with {"n": its
 * number} and closes; AT_ONCE clients run concurrently. Each prints a line: number, status, milliseconds from
 * the call to its result, milliseconds from the close to its end. Failure modes: a broken connection is a
 * status; a result of another call, or a second one, ends the program with 1. */
#include "iccm_network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { FAULTY = 1, USAGE = 2 };

typedef struct conversation {
  unsigned number;
  int status;
  uint64_t since_ms, call_ms;
  bool answered;
} conversation_t;

static uv_loop_t loop;
static uint64_t timeout_ms;
static unsigned begun;

static void begin_next(void);

static uint64_t lap_ms(conversation_t *conversation) {
  uint64_t now_ms = uv_hrtime() / 1000000, lap = now_ms - conversation->since_ms;
  conversation->since_ms = now_ms;
  return lap;
}

static void on_closed(mcp_client_t *client, void *arg) {
  conversation_t *conversation = arg;
  printf("%u %d %llu %llu\n", conversation->number, conversation->status,
         (unsigned long long)conversation->call_ms, (unsigned long long)lap_ms(conversation));
  mcp_client_free(client);
  free(conversation);
  begin_next();
}

static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  conversation_t *conversation = arg;
  if (conversation->answered ||
      (result->status == 0 && yyjson_get_uint(yyjson_obj_get(result->value, "n")) != conversation->number)) {
    fprintf(stderr, "conversation %u: answered twice, or another's answer\n", conversation->number);
    exit(FAULTY);
  }
  conversation->answered = true;
  conversation->status = result->status;
  conversation->call_ms = lap_ms(conversation);
  mcp_client_close(client, on_closed, conversation);
}

static void begin(const char *url) {
  conversation_t *conversation = calloc(1, sizeof *conversation);
  conversation->number = ++begun;
  lap_ms(conversation);
  yyjson_mut_doc *args = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *root = yyjson_mut_obj(args);
  yyjson_mut_doc_set_root(args, root);
  yyjson_mut_obj_add_uint(args, root, "n", conversation->number);
  mcp_client_t *client = mcp_client_new(&loop, url);
  if (client == NULL || mcp_client_set_fail_fast(client, true) != 0 ||
      mcp_client_call(client, "echo", args, &(mcp_call_options_t){.timeout_ms = timeout_ms}, on_result,
                      conversation) != 0) {
    fprintf(stderr, "%s cannot be called: %s\n", url, mcp_last_error());
    exit(USAGE);
  }
}

static void begin_next(void) {
  char url[256];
  if (fgets(url, sizeof url, stdin) == NULL)
    return;
  url[strcspn(url, "\n")] = '\0';
  begin(url);
}

int main(int argc, char **argv) {
  if (argc != 3 || (timeout_ms = strtoull(argv[1], NULL, 10)) == 0 || uv_loop_init(&loop) != 0)
    return USAGE;
  for (int at_once = atoi(argv[2]); at_once > 0; at_once--)
    begin_next();
  uv_run(&loop, UV_RUN_DEFAULT);
  return uv_loop_close(&loop) == 0 ? 0 : FAULTY;
}
