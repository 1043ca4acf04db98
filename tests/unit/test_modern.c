/* test_modern.c: the metadata of requests (MCP 2026-07-28, "_meta"), and the members that results have. */
#include "mcp/modern.h"
#include "base/json.h"
#include "leaks.h"

#include <stdio.h>
#include <string.h>

#define VERSION(value) "\"io.modelcontextprotocol/protocolVersion\":" value
#define CAPABILITIES(value) "\"io.modelcontextprotocol/clientCapabilities\":" value
#define META(members) "{\"_meta\":{" members "}}"
#define FINE CAPABILITIES("{}")
#define BAD_VERSION                                                                                          \
  "/_meta/io.modelcontextprotocol~1protocolVersion: must be an MCP protocol version, a string"
#define BAD_CAPABILITIES "/_meta/io.modelcontextprotocol~1clientCapabilities: must be an object"

typedef struct row {
  const char *params;
  bool is_required, is_modern;
  int code;
  const char *problem;
} row_t;

static void check(const row_t *row) {
  mcp__arena_t arena;
  mcp__metadata_t metadata;
  mcp__arena_init(&arena, 1 << 20);
  yyjson_doc *doc = row->params != NULL ? yyjson_read(row->params, strlen(row->params), 0) : NULL;
  mcp__metadata_read(&metadata, yyjson_doc_get_root(doc), row->is_required, &arena);
  const char *params = row->params != NULL ? row->params : "none";
  cr_expect_eq(metadata.is_modern, row->is_modern, "%s", params);
  cr_expect_eq(metadata.code, row->code, "%s: %d", params, metadata.code);
  if (row->problem != NULL)
    cr_expect_str_eq(metadata.problem, row->problem, "%s", params);
  cr_expect_eq(metadata.data != NULL, row->code == MCP__UNSUPPORTED_VERSION, "%s", params);
  yyjson_doc_free(doc);
  mcp__arena_deinit(&arena);
}

Test(modern, metadata) {
  static const row_t rows[] = {
      {NULL, false, false, 0, NULL},
      {"{}", false, false, 0, NULL},
      {"[]", false, false, 0, NULL},
      {"{\"_meta\":7}", false, false, 0, NULL},
      {META(""), false, false, 0, NULL},
      {META(FINE), false, false, 0, NULL},
      {META(VERSION("\"2025-11-25\"")), false, false, 0, NULL},
      {META(VERSION("\"2026-07-28\"") "," FINE), false, true, 0, NULL},
      {META(VERSION("\"2026-07-28\"") "," CAPABILITIES("{\"sampling\":{}}")), true, true, 0, NULL},
      {META(VERSION("\"2026-07-28\"")), false, true, MCP_INVALID_PARAMS, BAD_CAPABILITIES},
      {META(VERSION("\"2026-07-28\"") "," CAPABILITIES("[]")), false, true, MCP_INVALID_PARAMS,
       BAD_CAPABILITIES},
      {META(VERSION("\"2026-07-28\"") "," CAPABILITIES("null")), false, true, MCP_INVALID_PARAMS,
       BAD_CAPABILITIES},
      {META(VERSION("7") "," FINE), false, true, MCP_INVALID_PARAMS, BAD_VERSION},
      {META(VERSION("null") "," FINE), false, true, MCP_INVALID_PARAMS, BAD_VERSION},
      {META(VERSION("\"2099-01-01\"") "," FINE), false, true, MCP__UNSUPPORTED_VERSION,
       "unsupported protocol version"},
      {META(VERSION("\"\"") "," FINE), false, true, MCP__UNSUPPORTED_VERSION, NULL},
      {META(VERSION("\"2026-07-28 \"") "," FINE), false, true, MCP__UNSUPPORTED_VERSION, NULL},
      {META(VERSION("\"2026-07-28\\u0000\"") "," FINE), false, true, MCP__UNSUPPORTED_VERSION, NULL},
      {NULL, true, true, MCP_INVALID_PARAMS, BAD_VERSION},
      {"{}", true, true, MCP_INVALID_PARAMS, BAD_VERSION},
      {META(FINE), true, true, MCP_INVALID_PARAMS, BAD_VERSION},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    check(&rows[i]);
  expect_no_leak();
}

/* A name of 128 bytes is quoted, a longer one is no version. */
Test(modern, long_names_are_not_quoted) {
  char params[400];
  row_t row = {params, false, true, MCP__UNSUPPORTED_VERSION, NULL};
  snprintf(params, sizeof params, META(VERSION("\"%0*d\"") "," FINE), 128, 0);
  check(&row);
  snprintf(params, sizeof params, META(VERSION("\"%0*d\"") "," FINE), 129, 0);
  row.code = MCP_INVALID_PARAMS;
  check(&row);
}

Test(modern, unknown_versions_name_the_known_ones) {
  static const char params[] = META(VERSION("\"2027-\\\"1\"") "," FINE);
  mcp__arena_t arena;
  mcp__metadata_t metadata;
  mcp__arena_init(&arena, 1 << 20);
  yyjson_doc *doc = yyjson_read(params, sizeof params - 1, 0);
  mcp__metadata_read(&metadata, yyjson_doc_get_root(doc), false, &arena);
  cr_expect_str_eq(metadata.data,
                   "{\"supported\":[\"2026-07-28\",\"2025-11-25\",\"2025-06-18\",\"2025-03-26\","
                   "\"2024-11-05\"],\"requested\":\"2027-\\\"1\"}");
  cr_expect_eq(metadata.data_len, strlen(metadata.data));
  yyjson_doc_free(doc);
  mcp__arena_deinit(&arena);
}

Test(modern, members_of_results) {
  mcp__buf_t out;
  mcp__buf_init(&out, 4096, NULL);
  cr_assert_eq(mcp__modern_write_caching(&out), 0);
  cr_assert_eq(mcp__modern_write_members(&out, "a \"b\"", "1"), 0);
  cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
  cr_expect_str_eq(out.data,
                   ",\"ttlMs\":60000,\"cacheScope\":\"private\",\"resultType\":\"complete\",\"_meta\":{"
                   "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"a \\\"b\\\"\",\"version\":\"1\"}}");
  mcp__buf_deinit(&out);
}

Test(modern, discover) {
  mcp__arena_t arena;
  size_t len;
  mcp__arena_init(&arena, 1 << 20);
  const char *text = mcp__modern_discover(NULL, &arena, &len);
  cr_expect_eq(strncmp(text, "{\"supportedVersions\":[\"2026-07-28\",", 34), 0);
  cr_expect_not_null(strstr(text, "\"capabilities\":{\"tools\":{\"listChanged\":true}}"));
  cr_expect_eq(len, strlen(text) - 1);
  text = mcp__modern_discover("clock", &arena, &len);
  cr_expect_not_null(strstr(text, "\"experimental\":{\"clock\":{}}"), "%s", text);
  mcp__arena_deinit(&arena);
  expect_no_leak();
}

/* The callback of a capability gets the same as from an initialize. */
Test(modern, params_for_the_callback) {
  static const char params[] = META(VERSION("\"2026-07-28\"") "," CAPABILITIES(
      "{\"experimental\":{\"clock\":{\"every\":5}}}") "," //
                                                      "\"io.modelcontextprotocol/"
                                                      "clientInfo\":{\"name\":\"c\"}");
  yyjson_doc *doc = yyjson_read(params, sizeof params - 1, 0);
  char *text = mcp__modern_initialize_params(yyjson_doc_get_root(doc));
  cr_expect_str_eq(text, "{\"protocolVersion\":\"2026-07-28\",\"capabilities\":{\"experimental\":{\"clock\":{"
                         "\"every\":5}}},\"clientInfo\":{\"name\":\"c\"}}");
  mcp__free(text);
  yyjson_doc_free(doc);
  expect_no_leak();
}
