/* test_NAME.c: tests the tools of NAME.c in this process, without a port. `meson test -C build` runs it. */
#define main serve
#include "NAME.c"
#undef main
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mcp_server_t *server;
static int failures;

/* Calls a tool and compares the code and the result. args and result are JSON; "" means no result. */
static void expect(const char *tool, const char *args, int code, const char *result) {
  yyjson_doc *doc = yyjson_read(args, strlen(args), 0), *got = NULL;
  int status = mcp_server_test_call(server, tool, yyjson_doc_mut_copy(doc, NULL), &got);
  char *text = yyjson_write(got, 0, NULL); /* NULL if got is NULL */
  if (status != code || strcmp(text != NULL ? text : "", result) != 0) {
    fprintf(stderr, "%s %s: expected code %d, result %s; got code %d, result %s\n", tool, args, code, result,
            status, text != NULL ? text : mcp_last_error());
    failures++;
  }
  free(text);
  yyjson_doc_free(got);
  yyjson_doc_free(doc);
}

int main(void) {
  server = mcp_server_new("NAME", "0.1.0", 0, tools);
  if (server == NULL)
    return 1; /* the log has the reason */
  expect("greet", "{\"name\":\"Ada\"}", 0, "{\"greeting\":\"hello\",\"to\":\"Ada\"}");
  expect("greet", "{}", MCP_INVALID_PARAMS, "");
  expect("count_primes", "{\"below\":20}", 0, "8");
  expect("count_primes", "{\"below\":-1}", MCP_INVALID_PARAMS, "");
  mcp_server_free(server);
  return failures != 0;
}
