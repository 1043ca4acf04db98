/* test_NAME.c: calls the tools of NAME.c in this process, without a port. `meson test -C build` runs it. */
#define main serve
#include "NAME.c"
#undef main
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mcp_server_t *tested;
static int failures;

/* Calls a tool and compares the code and the answer, both JSON texts; "": no answer. */
static void expect(const char *tool, const char *args, int code, const char *answer) {
  yyjson_doc *read = yyjson_read(args, strlen(args), 0), *got = NULL;
  int status = mcp_server_test_call(tested, tool, yyjson_doc_mut_copy(read, NULL), &got);
  char *text = yyjson_write(got, 0, NULL); /* NULL where got is */
  if (status != code || strcmp(text != NULL ? text : "", answer) != 0) {
    fprintf(stderr, "%s %s: expected code %d, answer %s; got code %d, answer %s\n", tool, args, code, answer,
            status, text != NULL ? text : mcp_last_error());
    failures++;
  }
  free(text);
  yyjson_doc_free(got);
  yyjson_doc_free(read);
}

int main(void) {
  tested = mcp_server_new("NAME", "0.1.0", 0, tools);
  if (tested == NULL)
    return 1; /* the log says why */
  expect("greet", "{\"name\":\"Ada\"}", 0, "{\"greeting\":\"hello\",\"to\":\"Ada\"}");
  expect("greet", "{}", MCP_INVALID_PARAMS, "");
  expect("count_primes", "{\"below\":20}", 0, "8");
  expect("count_primes", "{\"below\":-1}", MCP_INVALID_PARAMS, "");
  mcp_server_free(tested);
  return failures != 0;
}
