/* test_handshake.c: which versions the first responses of servers mean. */
#include "client/handshake.h"

#include "iccm_network.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static yyjson_doc *read_text(const char *text) {
  mcp__json_error_t error;
  return mcp__json_read(text, strlen(text), &mcp__json_alc, &error);
}

Test(handshake, discover) {
  static const struct {
    int status;
    const char *body;
    mcp__era_verdict_t verdict;
  } rows[] = {
      {200, "{\"result\":{\"supportedVersions\":[\"2025-11-25\",\"2026-07-28\"]}}", MCP__IS_MODERN},
      {200, "{\"result\":{\"supportedVersions\":[\"2025-11-25\",7]}}", MCP__IS_LEGACY},
      {200, "{\"result\":{}}", MCP__IS_LEGACY},
      {200, "{\"error\":{\"code\":-32601}}", MCP__IS_LEGACY},
      {200, "{}", MCP__IS_NO_SERVER},
      {200, "[1]", MCP__IS_NO_SERVER},
      {200, "<html>", MCP__IS_NO_SERVER},
      {202, "", MCP__IS_NO_SERVER},
      {302, "", MCP__IS_NO_SERVER},
      {400, "", MCP__IS_LEGACY},
      {400, "{\"error\":{\"code\":-32000}}", MCP__IS_LEGACY},
      {400, "{\"error\":{\"code\":-32020}}", MCP__IS_NO_SERVER},
      {400, "{\"error\":{\"code\":-32021}}", MCP__IS_NO_SERVER},
      {400, "{\"error\":{\"code\":-32022}}", MCP__IS_NO_SERVER},
      {400, "{\"error\":{\"code\":-32022,\"data\":{\"supported\":[\"2025-06-18\"]}}}", MCP__IS_LEGACY},
      {400, "{\"error\":{\"code\":-32022,\"data\":{\"supported\":[\"2999-01-01\"]}}}", MCP__IS_NO_SERVER},
      {400, "{\"error\":{\"code\":-32022,\"data\":{\"supported\":[\"2026-07-28\"]}}}", MCP__IS_MODERN},
      {400, "{\"error\":{\"code\":-32023}}", MCP__IS_LEGACY},
      {401, "", MCP__IS_NO_SERVER},
      {403, "", MCP__IS_NO_SERVER},
      {404, "no", MCP__IS_LEGACY},
      {405, "", MCP__IS_LEGACY},
      {406, "", MCP__IS_NO_SERVER},
      {415, "", MCP__IS_NO_SERVER},
      {429, "", MCP__IS_NO_SERVER},
      {500, "{\"error\":{\"code\":-32603}}", MCP__IS_NO_SERVER},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    yyjson_doc *doc = read_text(rows[i].body);
    cr_expect_eq(mcp__judge_discover(rows[i].status, yyjson_doc_get_root(doc)), rows[i].verdict, "%d %s",
                 rows[i].status, rows[i].body);
    yyjson_doc_free(doc);
  }
}

Test(handshake, initialize) {
  static char long_one[MCP__SESSION_ID_MAX + 2];
  memset(long_one, 'x', sizeof long_one - 1);
  static const struct {
    const char *result, *session, *version;
  } rows[] = {
      {"{\"protocolVersion\":\"2025-03-26\"}", NULL, "2025-03-26"},
      {"{\"protocolVersion\":\"2025-11-25\"}", "!~", "2025-11-25"},
      {"{\"protocolVersion\":\"2025-11-25\"}", long_one + 1, "2025-11-25"},
      {"{\"protocolVersion\":\"2025-11-25\"}", long_one, NULL},
      {"{\"protocolVersion\":\"2025-11-25\"}", "a b", NULL},
      {"{\"protocolVersion\":\"2025-11-25\"}", "\x7f", NULL},
      {"{\"protocolVersion\":\"2025-11-25\"}", "", NULL},
      {"{\"protocolVersion\":\"2026-07-28\"}", NULL, NULL},
      {"{\"protocolVersion\":\"1999-01-01\"}", NULL, NULL},
      {"{\"protocolVersion\":1}", NULL, NULL},
      {"{}", NULL, NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *version = NULL;
    yyjson_doc *doc = read_text(rows[i].result);
    const char *problem = mcp__judge_initialize(yyjson_doc_get_root(doc), rows[i].session, &version);
    cr_expect_eq(problem == NULL, rows[i].version != NULL, "%zu", i);
    cr_expect(rows[i].version == NULL || strcmp(version, rows[i].version) == 0, "%zu", i);
    yyjson_doc_free(doc);
  }
}
