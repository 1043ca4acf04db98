/* test_dispatch.c: the result of each message for each protocol version; whole exchanges replayed from
 * data/jsonrpc.jsonl; tools/list; out of memory. */
#include "mcp/dispatch.h"
#include "leaks.h"
#include "base/mem.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

static void no_handler(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)call;
  (void)args;
  (void)arg;
  cr_assert_fail("nothing is called here");
}

#define VALUE                                                                                                \
  "{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"string\"}},\"required\":[\"value\"]}"

static const mcp_tool_t given[] = {{"echo", "Says it again", VALUE, no_handler, NULL, 0},
                                   {"any", NULL, NULL, no_handler, NULL, 0},
                                   {"hidden", "An alias", NULL, no_handler, NULL, MCP_TOOL_UNLISTED},
                                   {"ping", "Not reached as a direct call", NULL, no_handler, NULL, 0},
                                   MCP_TOOL_END};

typedef struct decided {
  mcp__tools_t tools;
  mcp__arena_t arena;
  char *text;
  mcp__message_t message;
  mcp__dispatch_result_t result;
} decided_t;

static const char *notice; /* the server's experimental capability */

#define FILTERS "\"component\":{\"type\":\"string\"},\"limit\":{\"type\":\"integer\"}"
#define QUERY                                                                                                \
  "{\"type\":\"object\",\"properties\":{" FILTERS ",\"query\":{\"type\":\"object\",\"properties\":{" FILTERS \
  "}},\"data\":{\"type\":\"object\"}}}"

static const mcp_tool_t strict[] = {
    {"query", NULL, QUERY, no_handler, NULL, MCP_TOOL_STRICT,
     .unlisted_properties = "{\"dry_run\":{\"type\":\"boolean\"}}"},
    {"nothing", .handler = no_handler, .flags = MCP_TOOL_STRICT},
    {"lenient", .handler = no_handler, .unlisted_properties = "{\"dry_run\":{\"type\":\"boolean\"}}"},
    {"matched", NULL, "{\"type\":\"object\",\"patternProperties\":{\"^x_\":{\"type\":\"string\"}}}",
     no_handler, .flags = MCP_TOOL_STRICT},
    {"relaxed", NULL,
     "{\"type\":\"object\",\"properties\":{\"level\":{\"enum\":[\"INFO\"]}},\"required\":[\"level\"]}",
     no_handler, .flags = MCP_TOOL_STRICT, .unlisted_properties = "{\"level\":{\"type\":\"string\"}}"},
    {"open", NULL, "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}", no_handler,
     .flags = MCP_TOOL_STRICT},
    {"composed", NULL,
     "{\"type\":\"object\",\"allOf\":[{\"properties\":{\"a\":{}}}],\"unevaluatedProperties\":false}",
     no_handler, .flags = MCP_TOOL_STRICT},
    MCP_TOOL_END};

static const mcp_tool_t *served = given;

static void decide(decided_t *decided, mcp__protocol_version_t protocol_version, const char *text,
                   size_t len) {
  char problem[400] = "";
  cr_assert_eq(mcp__tools_init(&decided->tools, served, problem, sizeof problem), 0, "%s", problem);
  mcp__server_info_t self = {"a \"server\"", "1.2.3", &decided->tools, notice, ",\"_meta\":{}"};
  mcp__arena_init(&decided->arena, 1 << 20);
  decided->text = calloc(1, len + MCP__JSON_PADDING);
  memcpy(decided->text, text, len);
  mcp__jsonrpc_parse(decided->text, len, 10000, &decided->arena, &decided->message);
  mcp__dispatch(&self, protocol_version, &decided->message, &decided->arena, &decided->result);
}

static void decided_deinit(decided_t *decided) {
  mcp__tools_deinit(&decided->tools);
  mcp__arena_deinit(&decided->arena);
  free(decided->text);
}

#define M(rest) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":" rest "}"
#define A16 "aaaaaaaaaaaaaaaa"
#define NAME_128 A16 A16 A16 A16 A16 A16 A16 A16

typedef struct row {
  const char *text;
  mcp__action_t action;
  const char *says; /* the response, the problem, or the tool's name */
  int code;
} row_t;

static const char *said(const mcp__dispatch_result_t *result) {
  return result->action == MCP__DO_CALL ? result->tool->name
         : result->problem != NULL      ? result->problem
         : result->json != NULL         ? result->json
                                        : "";
}

/* The complete JSON of a result, to be freed. */
static char *whole(const mcp__dispatch_result_t *result) {
  size_t before = strlen(result->json_prefix), after = strlen(result->json_suffix);
  char *text = malloc(before + result->json_len + after + 1);
  memcpy(text, result->json_prefix, before);
  memcpy(text + before, result->json, result->json_len);
  memcpy(text + before + result->json_len, result->json_suffix, after + 1);
  return text;
}

static bool answers(const mcp__dispatch_result_t *result, const char *expected) {
  char *text = result->action == MCP__DO_RESPOND ? whole(result) : NULL;
  bool same = text != NULL && strcmp(text, expected) == 0;
  free(text);
  return same;
}

/* agreed: by initialize; served: by what the request says. */
static void check_row_of(const row_t *row, mcp__protocol_version_t agreed,
                         mcp__protocol_version_t served_version) {
  decided_t decided;
  decide(&decided, agreed, row->text, strlen(row->text));
  const mcp__dispatch_result_t *result = &decided.result;
  cr_expect_eq(result->action, row->action, "%s: action %d, %s", row->text, result->action, said(result));
  cr_expect_eq(result->code, row->code, "%s: code %d", row->text, result->code);
  cr_expect_eq(result->protocol_version, served_version, "%s", row->text);
  bool same =
      result->action == MCP__DO_RESPOND ? answers(result, row->says) : strcmp(said(result), row->says) == 0;
  cr_expect(same, "%s: %s", row->text, said(result));
  cr_expect(result->action != MCP__DO_CALL || yyjson_is_obj(result->args), "%s", row->text);
  decided_deinit(&decided);
}

static void check_row(const row_t *row, mcp__protocol_version_t protocol_version) {
  check_row_of(row, protocol_version, protocol_version);
}

#define CHECK_ROWS(rows, protocol_version)                                                                   \
  for (size_t i_ = 0; i_ < sizeof(rows) / sizeof(rows)[0]; i_++)                                             \
  check_row(&(rows)[i_], protocol_version)

#define LIST                                                                                                 \
  "{\"tools\":[{\"name\":\"echo\",\"description\":\"Says it again\",\"inputSchema\":" VALUE "},"             \
  "{\"name\":\"any\",\"description\":\"\",\"inputSchema\":{\"type\":\"object\"}},"                           \
  "{\"name\":\"ping\",\"description\":\"Not reached as a direct "                                            \
  "call\",\"inputSchema\":{\"type\":\"object\"}}]}"
#define ARRAY "params must be an object, not an array"
#define NO_NAME "/name: required, the name of a tool as a string"
#define CURSOR "/cursor: unknown cursor; omit it to get the first page"
#define NO_VALUE "/value: required, not given"

Test(dispatch, the_same_on_every_revision) {
  static const row_t rows[] = {
      {M("\"ping\""), MCP__DO_RESPOND, "{}", 0},
      {M("\"ping\",\"params\":null"), MCP__DO_RESPOND, "{}", 0},
      {M("\"ping\",\"params\":{\"x\":1}"), MCP__DO_RESPOND, "{}", 0},
      {M("\"ping\",\"params\":[]"), MCP__DO_REFUSE, ARRAY, MCP_INVALID_PARAMS},
      {M("\"notifications/initialized\""), MCP__DO_RESPOND, "{}", 0},
      {M("\"tools/list\""), MCP__DO_RESPOND, LIST, 0},
      {M("\"tools/list\",\"params\":{}"), MCP__DO_RESPOND, LIST, 0},
      {M("\"tools/list\",\"params\":{\"cursor\":null}"), MCP__DO_RESPOND, LIST, 0},
      {M("\"tools/list\",\"params\":{\"cursor\":\"2\"}"), MCP__DO_REFUSE, CURSOR, MCP_INVALID_PARAMS},
      {M("\"tools/list\",\"params\":{\"cursor\":5}"), MCP__DO_REFUSE, CURSOR, MCP_INVALID_PARAMS},
      {M("\"tools/list\",\"params\":[1]"), MCP__DO_REFUSE, ARRAY, MCP_INVALID_PARAMS},
      {M("\"tools/call\""), MCP__DO_REFUSE, NO_NAME, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":null"), MCP__DO_REFUSE, NO_NAME, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{}"), MCP__DO_REFUSE, NO_NAME, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":[]"), MCP__DO_REFUSE, ARRAY, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":null}"), MCP__DO_REFUSE, NO_NAME, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":5}"), MCP__DO_REFUSE, NO_NAME, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":[\"any\"]}"), MCP__DO_REFUSE, NO_NAME, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":\"any\"}"), MCP__DO_CALL, "any", 0},
      {M("\"tools/call\",\"params\":{\"name\":\"hidden\"}"), MCP__DO_CALL, "hidden", 0},
      {M("\"tools/call\",\"params\":{\"name\":\"ping\"}"), MCP__DO_CALL, "ping", 0},
      {M("\"tools/call\",\"params\":{\"name\":\"a\\u006ey\"}"), MCP__DO_CALL, "any", 0},
      {M("\"tools/call\",\"params\":{\"name\":\"any\",\"arguments\":null}"), MCP__DO_CALL, "any", 0},
      {M("\"tools/call\",\"params\":{\"name\":\"any\",\"arguments\":{\"x\":[]}}"), MCP__DO_CALL, "any", 0},
      {M("\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"value\":\"\"}}"), MCP__DO_CALL,
       "echo", 0},
      {M("\"tools/call\",\"params\":{\"name\":\"echo\"}"), MCP__DO_REFUSE_CALL, NO_VALUE, MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":null}"), MCP__DO_REFUSE_CALL, NO_VALUE,
       MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{}}"), MCP__DO_REFUSE_CALL, NO_VALUE,
       MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"value\":null}}"), MCP__DO_REFUSE_CALL,
       "/value: null is not a string", MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"value\":5}}"), MCP__DO_REFUSE_CALL,
       "/value: 5 is not a string", MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":[]}"), MCP__DO_REFUSE_CALL,
       "/: [] is not an object", MCP_INVALID_PARAMS},
      {M("\"tools/call\",\"params\":{\"name\":\"any\",\"arguments\":\"{}\"}"), MCP__DO_REFUSE_CALL,
       "/: \"{}\" is not an object", MCP_INVALID_PARAMS},
      {M("\"echo\",\"params\":{\"value\":\"a\"}"), MCP__DO_CALL, "echo", 0},
      {M("\"any\""), MCP__DO_CALL, "any", 0},
      {M("\"any\",\"params\":null"), MCP__DO_CALL, "any", 0},
      {M("\"hidden\",\"params\":{}"), MCP__DO_CALL, "hidden", 0},
      {M("\"echo\""), MCP__DO_REFUSE_CALL, NO_VALUE, MCP_INVALID_PARAMS},
      {M("\"any\",\"params\":[]"), MCP__DO_REFUSE_CALL, "/: [] is not an object", MCP_INVALID_PARAMS},
      {M("\"nothing\""), MCP__DO_REFUSE, "unknown method: nothing", MCP_METHOD_NOT_FOUND},
      {M("\"nothing\",\"params\":[1]"), MCP__DO_REFUSE, "unknown method: nothing", MCP_METHOD_NOT_FOUND},
      {M("\"\""), MCP__DO_REFUSE, "unknown method: ", MCP_METHOD_NOT_FOUND},
      {M("\"Ping\""), MCP__DO_REFUSE, "unknown method: Ping", MCP_METHOD_NOT_FOUND},
      {M("\"tools/list \""), MCP__DO_REFUSE, "unknown method: tools/list ", MCP_METHOD_NOT_FOUND},
      {M("\"ping\\u0000\""), MCP__DO_REFUSE, "unknown method: ping", MCP_METHOD_NOT_FOUND},
      {M("\"any\\u0000\""), MCP__DO_REFUSE, "unknown method: any", MCP_METHOD_NOT_FOUND},
      {M("\"resources/list\""), MCP__DO_REFUSE, "unknown method: resources/list", MCP_METHOD_NOT_FOUND},
      {M("\"notifications/other\""), MCP__DO_REFUSE, "unknown method: notifications/other",
       MCP_METHOD_NOT_FOUND},
      {M("\"" NAME_128 "\""), MCP__DO_REFUSE, "unknown method: " NAME_128, MCP_METHOD_NOT_FOUND},
      {M("\"" NAME_128 "a\""), MCP__DO_REFUSE, "unknown method", MCP_METHOD_NOT_FOUND},
      {"{\"id\":1,\"method\":\"ping\"}", MCP__DO_REFUSE, "jsonrpc must be \"2.0\"", MCP_INVALID_REQUEST},
      {"[]", MCP__DO_REFUSE, "batches are not supported: send one object", MCP_INVALID_REQUEST},
      {"{", MCP__DO_REFUSE, "not valid JSON", MCP_PARSE_ERROR},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", MCP__DO_NOTHING, "", 0},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}", MCP__DO_NOTHING, "", 0},
  };
  for (int protocol_version = MCP__2024_11_05; protocol_version <= MCP__2025_11_25; protocol_version++)
    CHECK_ROWS(rows, (mcp__protocol_version_t)protocol_version);
  expect_no_leak();
}

Test(dispatch, unknown_tools) {
#define UNKNOWN(name, says, code)                                                                            \
  { M("\"tools/call\",\"params\":{\"name\":\"" name "\"}"), MCP__DO_REFUSE, says, code }
#define ROWS(code)                                                                                           \
  {                                                                                                          \
    UNKNOWN("nothing", "unknown tool: nothing", code), UNKNOWN("", "unknown tool: ", code),                  \
        UNKNOWN("Any", "unknown tool: Any", code), UNKNOWN("any\\u0000", "unknown tool: any", code),         \
        UNKNOWN("anyx", "unknown tool: anyx", code), UNKNOWN("an", "unknown tool: an", code),                \
        UNKNOWN("tools/call", "unknown tool: tools/call", code),                                             \
        UNKNOWN(NAME_128, "unknown tool: " NAME_128, code), UNKNOWN(NAME_128 "a", "unknown tool", code)      \
  }
  static const row_t old[] = ROWS(MCP_METHOD_NOT_FOUND), newer[] = ROWS(MCP_INVALID_PARAMS);
  CHECK_ROWS(old, MCP__2024_11_05);
  CHECK_ROWS(newer, MCP__2025_03_26);
  CHECK_ROWS(newer, MCP__2025_06_18);
  CHECK_ROWS(newer, MCP__2025_11_25);
  expect_no_leak();
}

Test(dispatch, initialize) {
  static const struct {
    const char *text, *version;
    mcp__protocol_version_t protocol_version;
  } rows[] = {
      {M("\"initialize\""), "2024-11-05", MCP__2024_11_05},
      {M("\"initialize\",\"params\":null"), "2024-11-05", MCP__2024_11_05},
      {M("\"initialize\",\"params\":{}"), "2024-11-05", MCP__2024_11_05},
      {M("\"initialize\",\"params\":{\"protocolVersion\":null}"), "2024-11-05", MCP__2024_11_05},
      {M("\"initialize\",\"params\":{\"protocolVersion\":5}"), "2024-11-05", MCP__2024_11_05},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"2024-11-05\"}"), "2024-11-05", MCP__2024_11_05},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"2025-03-26\"}"), "2025-03-26", MCP__2025_03_26},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\"}"), "2025-06-18", MCP__2025_06_18},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\"}"), "2025-11-25", MCP__2025_11_25},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"2099-01-01\"}"), "2025-11-25", MCP__2025_11_25},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"2024-10-07\"}"), "2025-11-25", MCP__2025_11_25},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"\"}"), "2025-11-25", MCP__2025_11_25},
      {M("\"initialize\",\"params\":{\"protocolVersion\":\"2024-11-05\\u0000\"}"), "2025-11-25",
       MCP__2025_11_25},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    /* a repeated initialize negotiates again */
    for (int before = MCP__2024_11_05; before <= MCP__2025_11_25; before++) {
      decided_t decided;
      char expected[300];
      decide(&decided, (mcp__protocol_version_t)before, rows[i].text, strlen(rows[i].text));
      int len = snprintf(expected, sizeof expected,
                         "{\"protocolVersion\":\"%s\",\"capabilities\":{\"tools\":{%s}},"
                         "\"serverInfo\":{\"name\":\"a \\\"server\\\"\",\"version\":\"1.2.3\"}}",
                         rows[i].version,
                         rows[i].protocol_version >= MCP__2025_03_26 ? "\"listChanged\":true" : "");
      cr_expect_eq(decided.result.action, MCP__DO_RESPOND);
      cr_expect_eq(decided.result.protocol_version, rows[i].protocol_version, "%s", rows[i].text);
      cr_expect_eq(decided.result.json_len, (size_t)len);
      cr_expect_str_eq(decided.result.json, expected);
      decided_deinit(&decided);
    }
  static const row_t array = {M("\"initialize\",\"params\":[]"), MCP__DO_REFUSE, ARRAY, MCP_INVALID_PARAMS};
  check_row(&array, MCP__2025_03_26);
  expect_no_leak();
}

#define N(rest) "{\"jsonrpc\":\"2.0\",\"method\":" rest "}"

Test(dispatch, cancellation) {
  static const struct {
    const char *text;
    mcp__action_t action;
  } rows[] = {
      {N("\"notifications/cancelled\",\"params\":{\"requestId\":5}"), MCP__DO_CANCEL},
      {N("\"notifications/cancelled\",\"params\":{\"requestId\":5,\"reason\":\"x\"}"), MCP__DO_CANCEL},
      {N("\"notifications/cancelled\",\"params\":{\"id\":5}"), MCP__DO_NOTHING},
      {N("\"notifications/cancelled\",\"params\":{\"requestId\":null}"), MCP__DO_NOTHING},
      {N("\"notifications/cancelled\",\"params\":{\"requestId\":[5]}"), MCP__DO_NOTHING},
      {N("\"notifications/cancelled\",\"params\":{}"), MCP__DO_NOTHING},
      {N("\"notifications/cancelled\""), MCP__DO_NOTHING},
      {N("\"notifications/cancelled\",\"params\":[5]"), MCP__DO_REFUSE},
      /* with an id it is a request and gets a response */
      {M("\"notifications/cancelled\",\"params\":{\"requestId\":5}"), MCP__DO_REFUSE},
      {M("\"notifications/cancelled\",\"params\":{}"), MCP__DO_REFUSE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    decided_t decided;
    decide(&decided, MCP__2025_03_26, rows[i].text, strlen(rows[i].text));
    cr_expect_eq(decided.result.action, rows[i].action, "%s", rows[i].text);
    cr_expect(rows[i].action != MCP__DO_CANCEL ||
                  (decided.result.cancel_id_len == 1 && *decided.result.cancel_id == '5'),
              "%s", rows[i].text);
    decided_deinit(&decided);
  }
  expect_no_leak();
}

Test(dispatch, direct_calls) {
  static const struct {
    const char *text;
    bool direct;
  } rows[] = {{M("\"any\",\"params\":{\"a\":1}"), true},
              {N("\"any\""), true},
              {M("\"nothing\""), true},
              {M("\"tools/call\",\"params\":{\"name\":\"any\",\"arguments\":{\"a\":1}}"), false},
              {M("\"ping\""), false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    decided_t decided;
    decide(&decided, MCP__2025_06_18, rows[i].text, strlen(rows[i].text));
    cr_expect_eq(decided.result.direct, rows[i].direct, "%s", rows[i].text);
    if (strstr(rows[i].text, "\"a\":1") != NULL)
      cr_expect_eq(yyjson_get_int(yyjson_obj_get(decided.result.args, "a")), 1);
    decided_deinit(&decided);
  }
  expect_no_leak();
}

#define MODERN(version) "\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":" version "}}"

/* Requests name their protocol version from 2026-07-28 on, and need no initialize. */
Test(dispatch, revisions_that_are_not_served) {
  static const char *const methods[] = {"tools/list", "tools/call", "server/discover", "echo", "initialize"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    char text[300];
    decided_t decided;
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"," MODERN("\"2099-01-01\"") "}", methods[i]);
    decide(&decided, MCP__2024_11_05, text, strlen(text));
    cr_expect_eq(decided.result.action, MCP__DO_REFUSE, "%s", text);
    cr_expect_eq(decided.result.code, -32022);
    cr_expect_str_eq(
        decided.result.data,
        "{\"supported\":[\"2026-07-28\",\"2025-11-25\",\"2025-06-18\",\"2025-03-26\",\"2024-11-05\"],"
        "\"requested\":\"2099-01-01\"}");
    decided_deinit(&decided);
  }
  static const row_t modern[] = {
      {M("\"ping\"," MODERN("7")), MCP__DO_REFUSE,
       "/_meta/io.modelcontextprotocol~1protocolVersion: must be an MCP protocol version, a string",
       MCP_INVALID_PARAMS},
      {M("\"ping\"," MODERN("\"2026-07-28\"")), MCP__DO_REFUSE,
       "/_meta/io.modelcontextprotocol~1clientCapabilities: must be an object", MCP_INVALID_PARAMS},
      {M("\"initialize\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
         "\"io.modelcontextprotocol/clientCapabilities\":{}}}"),
       MCP__DO_REFUSE, "unknown method: initialize", MCP_METHOD_NOT_FOUND},
  };
  for (size_t i = 0; i < sizeof modern / sizeof *modern; i++)
    check_row_of(&modern[i], MCP__2025_06_18, MCP__2026_07_28);
  static const row_t rows[] = {
      {M("\"ping\"," MODERN("\"2025-11-25\"")), MCP__DO_RESPOND, "{}", 0},
      {M("\"ping\",\"params\":{\"_meta\":{}}"), MCP__DO_RESPOND, "{}", 0},
  };
  CHECK_ROWS(rows, MCP__2025_06_18);
  expect_no_leak();
}

/* The empty object for omitted arguments behaves like any other object. */
Test(dispatch, no_arguments) {
  decided_t decided;
  decide(&decided, MCP__2024_11_05, M("\"any\""), strlen(M("\"any\"")));
  yyjson_val *args = decided.result.args;
  size_t index, count, seen = 0, len = 0;
  yyjson_val *key, *value;
  cr_assert(yyjson_is_obj(args));
  cr_expect_eq(yyjson_obj_size(args), 0);
  cr_expect_null(yyjson_obj_get(args, "value"));
  yyjson_obj_foreach(args, index, count, key, value) seen++;
  cr_expect_eq(seen, 0);
  char *text = yyjson_val_write(args, 0, &len);
  cr_expect_str_eq(text, "{}");
  free(text);
  decided_deinit(&decided);
  expect_no_leak();
}

#define CALL_WITH(meta) M("\"tools/call\",\"params\":{\"name\":\"any\",\"_meta\":" meta "}")
#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Test(dispatch, trace_ids) {
  static const struct {
    const char *text, *trace_id;
  } rows[] = {
      {CALL_WITH("{\"trace_id\":\"t\"}"), "t"},
      {CALL_WITH("{\"trace_id\":\"t\",\"traceparent\":\"" PARENT "\"}"), "t"},
      {CALL_WITH("{\"traceparent\":\"" PARENT "\",\"trace_id\":\"t\"}"), "t"},
      {CALL_WITH("{\"traceparent\":\"" PARENT "\"}"), PARENT},
      {CALL_WITH("{\"trace_id\":null,\"traceparent\":\"" PARENT "\"}"), PARENT},
      {CALL_WITH("{\"trace_id\":5,\"traceparent\":\"" PARENT "\"}"), PARENT},
      {CALL_WITH("{\"trace_id\":\"\",\"traceparent\":\"" PARENT "\"}"), PARENT},
      {CALL_WITH("{\"trace_id\":\"" NAME_128 "\"}"), NAME_128},
      {CALL_WITH("{\"trace_id\":\"" NAME_128 "a\"}"), NULL},
      {CALL_WITH("{\"trace_id\":\"" NAME_128 "a\",\"traceparent\":\"p\"}"), "p"},
      {CALL_WITH("{\"trace_id\":\"a\\u0000b\"}"), NULL},
      {CALL_WITH("{\"trace_id\":\"\\u0000\"}"), NULL},
      {CALL_WITH("{\"trace_id\":\"\\u00e4\\n\"}"), "\xc3\xa4\n"},
      {CALL_WITH("{\"trace_id\":[\"t\"]}"), NULL},
      {CALL_WITH("{}"), NULL},
      {CALL_WITH("null"), NULL},
      {CALL_WITH("[\"trace_id\",\"t\"]"), NULL},
      {CALL_WITH("\"t\""), NULL},
      {M("\"tools/call\",\"params\":{\"name\":\"any\"}"), NULL},
      {M("\"tools/call\",\"params\":{\"name\":\"any\",\"trace_id\":\"t\"}"), NULL},
      {M("\"tools/call\",\"params\":{\"name\":\"any\",\"arguments\":{\"_meta\":{\"trace_id\":\"t\"}}}"),
       NULL},
      {M("\"any\",\"params\":{\"_meta\":{\"trace_id\":\"t\"}}"), "t"},
      {M("\"any\",\"params\":{\"_meta\":{\"traceparent\":\"" PARENT "\"}}"), PARENT},
      {M("\"any\""), NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    decided_t decided;
    decide(&decided, MCP__2024_11_05, rows[i].text, strlen(rows[i].text));
    cr_assert_eq(decided.result.action, MCP__DO_CALL, "%s", rows[i].text);
    const char *got = decided.result.trace_id;
    cr_expect(rows[i].trace_id == NULL ? got == NULL : got != NULL && strcmp(got, rows[i].trace_id) == 0,
              "%s: %s", rows[i].text, got);
    decided_deinit(&decided);
  }
  expect_no_leak();
}

#define TRACE_32 "0af7651916cd43dd8448eb211c80319c"

Test(dispatch, parent_spans) {
  static const struct {
    const char *text, *span_id;
  } rows[] = {
      {CALL_WITH("{\"span_id\":\"s\"}"), "s"},
      {CALL_WITH("{\"trace_id\":\"t\",\"span_id\":\"s\"}"), "s"},
      {CALL_WITH("{\"traceparent\":\"" PARENT "\"}"), "b7ad6b7169203331"},
      {CALL_WITH("{\"trace_id\":\"t\",\"traceparent\":\"" PARENT "\"}"), "b7ad6b7169203331"},
      {CALL_WITH("{\"span_id\":\"s\",\"traceparent\":\"" PARENT "\"}"), "s"},
      {CALL_WITH("{\"span_id\":null,\"traceparent\":\"" PARENT "\"}"), "b7ad6b7169203331"},
      {CALL_WITH("{\"span_id\":5,\"traceparent\":\"" PARENT "\"}"), "b7ad6b7169203331"},
      {CALL_WITH("{\"span_id\":\"\"}"), NULL},
      {CALL_WITH("{\"span_id\":[\"s\"]}"), NULL},
      {CALL_WITH("{\"span_id\":\"" NAME_128 "a\"}"), NULL},
      {CALL_WITH("{\"span_id\":\"a\\u0000b\"}"), NULL},
      /* a later version may have more members after the flags */
      {CALL_WITH("{\"traceparent\":\"cc-" TRACE_32 "-b7ad6b7169203331-01-more\"}"), "b7ad6b7169203331"},
      {CALL_WITH("{\"traceparent\":\"00-" TRACE_32 "-b7ad6b7169203331-0\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"00-" TRACE_32 "-b7ad6b7169203331-0x\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"00-" TRACE_32 "-b7ad6b716920333-011\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"00-" TRACE_32 "-B7AD6B7169203331-01\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"00-" TRACE_32 "-0000000000000000-01\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"00-" TRACE_32 "_b7ad6b7169203331-01\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"00-" TRACE_32 "-b7ad6b7169203331\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"0-" TRACE_32 "-b7ad6b7169203331-01-\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"" NAME_128 "\"}"), NULL},
      {CALL_WITH("{\"traceparent\":\"\"}"), NULL},
      {CALL_WITH("null"), NULL},
      {M("\"tools/call\",\"params\":{\"name\":\"any\",\"span_id\":\"s\"}"), NULL},
      {M("\"any\",\"params\":{\"_meta\":{\"span_id\":\"s\"}}"), "s"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    decided_t decided;
    decide(&decided, MCP__2024_11_05, rows[i].text, strlen(rows[i].text));
    cr_assert_eq(decided.result.action, MCP__DO_CALL, "%s", rows[i].text);
    const char *got = decided.result.parent_span_id;
    cr_expect(rows[i].span_id == NULL ? got == NULL : got != NULL && strcmp(got, rows[i].span_id) == 0,
              "%s: %s", rows[i].text, got);
    decided_deinit(&decided);
  }
  expect_no_leak();
}

/* The experimental capability is announced only to clients that request it. */
Test(dispatch, the_notice) {
#define ASKING(experimental)                                                                                 \
  M("\"initialize\",\"params\":{\"capabilities\":{\"experimental\":" experimental "},\"clientInfo\":{}}")
  static const struct {
    const char *text;
    bool asks;
  } rows[] = {
      {ASKING("{\"x/news\":{}}"), true},
      {ASKING("{\"y\":1,\"x/news\":{\"component\":\"c\"}}"), true},
      {ASKING("{\"x/news\":null}"), false},
      {ASKING("{\"x/news\":true}"), false},
      {ASKING("{\"x/new\":{}}"), false},
      {ASKING("{}"), false},
      {ASKING("[\"x/news\"]"), false},
      {M("\"initialize\",\"params\":{\"capabilities\":{\"x/news\":{}}}"), false},
      {M("\"initialize\",\"params\":{\"experimental\":{\"x/news\":{}}}"), false},
      {M("\"initialize\""), false},
  };
  for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
    decided_t decided;
    bool offered = i % 2 == 0, told = offered && rows[i / 2].asks;
    notice = offered ? "x/news" : NULL;
    decide(&decided, MCP__2024_11_05, rows[i / 2].text, strlen(rows[i / 2].text));
    cr_assert_eq(decided.result.action, MCP__DO_RESPOND);
    cr_expect_eq(decided.result.initialize_params != NULL, told, "%s", rows[i / 2].text);
    cr_expect(!told || yyjson_obj_get(decided.result.initialize_params, "clientInfo") != NULL);
    cr_expect_eq(strstr(decided.result.json, "\"experimental\":{\"x/news\":{}}") != NULL, told, "%s",
                 decided.result.json);
    decided_deinit(&decided);
  }
  expect_no_leak();
}

Test(dispatch, progress_tokens) {
  static const struct {
    const char *text, *token;
  } rows[] = {
      {CALL_WITH("{\"progressToken\":0}"), "0"},
      {CALL_WITH("{\"progressToken\":-7}"), "-7"},
      {CALL_WITH("{\"progressToken\":9007199254740993}"), "9007199254740993"},
      {CALL_WITH("{\"progressToken\":123456789012345678901234567890}"), "123456789012345678901234567890"},
      {CALL_WITH("{\"progressToken\":\"\"}"), "\"\""},
      {CALL_WITH("{\"progressToken\":\"a\\\"b\"}"), "\"a\\\"b\""},
      {CALL_WITH("{\"progressToken\":1.5}"), NULL},
      {CALL_WITH("{\"progressToken\":null}"), NULL},
      {CALL_WITH("{\"progressToken\":[1]}"), NULL},
      {CALL_WITH("{}"), NULL},
      {M("\"any\""), NULL},
      {M("\"any\",\"params\":{\"_meta\":{\"progressToken\":\"t\"}}"), "\"t\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    decided_t decided;
    decide(&decided, MCP__2024_11_05, rows[i].text, strlen(rows[i].text));
    const char *got = decided.result.progress_token;
    cr_expect(rows[i].token == NULL ? got == NULL : got != NULL && strcmp(got, rows[i].token) == 0, "%s: %s",
              rows[i].text, got);
    decided_deinit(&decided);
  }
  expect_no_leak();
}

Test(dispatch, notifications_of_progress) {
#define PROGRESS(rest) "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{" rest "}}"
  static const struct {
    double progress, total;
    const char *message, *text;
  } rows[] = {
      {0, 0, NULL, PROGRESS("\"progressToken\":0,\"progress\":0")},
      {3, 4, "a \"b\"",
       PROGRESS("\"progressToken\":0,\"progress\":3,\"total\":4,\"message\":\"a \\\"b\\\"\"")},
      {0.1, -1, "", PROGRESS("\"progressToken\":0,\"progress\":0.1,\"message\":\"\"")},
      {1e300, 1e301, NULL, PROGRESS("\"progressToken\":0,\"progress\":1e300,\"total\":1e301")},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char *text = mcp__response_progress("0", rows[i].progress, rows[i].total, rows[i].message);
    cr_expect_str_eq(text, rows[i].text, "%s", text);
    mcp__free(text);
  }
  expect_no_leak();
}

/* Responds as the transport does, with tools that return their arguments. NULL: nothing is sent. */
static int render(const decided_t *decided, mcp__buf_t *out) {
  const mcp__dispatch_result_t *result = &decided->result;
  const mcp__message_t *message = &decided->message;
  mcp__response_context_t to = {message->id,    message->id_len, result->protocol_version,
                                result->direct, false,           ""};
  if (result->action == MCP__DO_CALL) {
    size_t len;
    char *args = yyjson_val_write(result->args, 0, &len);
    int status = mcp__response_result(out, &to, args, len);
    free(args);
    return status;
  }
  if (result->action == MCP__DO_RESPOND) {
    char *text = whole(result);
    int status = mcp__jsonrpc_begin_result(out, to.id, to.id_len);
    status = mcp__buf_first_error(status, mcp__buf_puts(out, text));
    free(text);
    return mcp__buf_first_error(status, mcp__buf_puts(out, "}"));
  }
  return result->action == MCP__DO_REFUSE_CALL && to.protocol_version >= MCP__2025_11_25
             ? mcp__response_tool_error(out, &to, result->code, result->problem, NULL, 0)
             : mcp__jsonrpc_error(out, to.id, to.id_len, result->code, result->problem, NULL, 0);
}

static void replay(const char *line) {
  yyjson_doc *doc = yyjson_read(line, strlen(line), 0);
  cr_assert_not_null(doc, "%s", line);
  yyjson_val *root = yyjson_doc_get_root(doc), *message = yyjson_obj_get(root, "message");
  yyjson_val *answer = yyjson_obj_get(root, "answer");
  int protocol_version = yyjson_get_int(yyjson_obj_get(root, "revision"));
  cr_assert(yyjson_is_str(message) && (yyjson_is_str(answer) || yyjson_is_null(answer)), "%s", line);
  decided_t decided;
  decide(&decided, (mcp__protocol_version_t)protocol_version, yyjson_get_str(message),
         yyjson_get_len(message));
  mcp__buf_t out;
  mcp__buf_init(&out, 100000, NULL);
  bool silent = decided.message.kind == MCP__NOTIFICATION || decided.message.kind == MCP__RESPONSE;
  cr_assert(silent || decided.result.action < MCP__DO_CANCEL, "a request without an answer: %s", line);
  if (!silent)
    cr_assert_eq(render(&decided, &out), 0);
  cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
  cr_expect_str_eq(out.data, silent && yyjson_is_null(answer) ? "" : yyjson_get_str(answer), "%s\n%s", line,
                   out.data);
  mcp__buf_deinit(&out);
  decided_deinit(&decided);
  yyjson_doc_free(doc);
}

#define ARGS(tool, args) M("\"tools/call\",\"params\":{\"name\":\"" tool "\",\"arguments\":" args "}")
#define REFUSED(tool, args, problem)                                                                         \
  { ARGS(tool, args), MCP__DO_REFUSE_CALL, problem, MCP_INVALID_PARAMS }

Test(dispatch, strict_tools_refuse_what_they_do_not_know) {
  static const row_t rows[] = {
      {ARGS("query", "{\"component\":\"a\",\"limit\":3,\"data\":{\"any\":1}}"), MCP__DO_CALL, "query", 0},
      {ARGS("query", "{\"query\":{\"component\":\"a\",\"limit\":null}}"), MCP__DO_CALL, "query", 0},
      {ARGS("query", "{\"dry_run\":true}"), MCP__DO_CALL, "query", 0},
      {ARGS("query", "{\"compnent\":null}"), MCP__DO_CALL, "query", 0},
      REFUSED("query", "{\"compnent\":\"a\"}", "/compnent: not allowed; did you mean \"component\"?"),
      REFUSED("query", "{\"query\":{\"limt\":3}}", "/query/limt: not allowed; did you mean \"limit\"?"),
      REFUSED("query", "{\"_meta\":{}}", "/_meta: not allowed; did you mean \"data\"?"),
      REFUSED("query", "{\"dryrun\":true}", "/dryrun: not allowed; did you mean \"dry_run\"?"),
      REFUSED("query", "{\"dry_run\":\"yes\"}", "/dry_run: \"yes\" is not a boolean"),
      REFUSED("nothing", "{\"a\":1}", "/a: not allowed"),
      {ARGS("lenient", "{\"a\":1}"), MCP__DO_CALL, "lenient", 0},
      REFUSED("lenient", "{\"dry_run\":1}", "/dry_run: 1 is not a boolean"),
      {ARGS("matched", "{\"x_1\":\"a\"}"), MCP__DO_CALL, "matched", 0},
      {ARGS("relaxed", "{\"level\":\"Info\"}"), MCP__DO_CALL, "relaxed", 0},
      REFUSED("relaxed", "{\"level\":1}", "/level: 1 is not a string"),
      REFUSED("relaxed", "{}", "/level: required, not given"),
      REFUSED("relaxed", "{\"level\":\"a\",\"lvl\":1}", "/lvl: not allowed; did you mean \"level\"?"),
      {ARGS("open", "{\"any\":\"a\"}"), MCP__DO_CALL, "open", 0},
      {ARGS("composed", "{\"a\":1}"), MCP__DO_CALL, "composed", 0},
      REFUSED("composed", "{\"b\":1}", "/b: not allowed"),
      {M("\"query\",\"params\":{\"limit\":1}"), MCP__DO_CALL, "query", 0},
      {M("\"query\",\"params\":{\"limt\":1}"), MCP__DO_REFUSE_CALL,
       "/limt: not allowed; did you mean \"limit\"?", MCP_INVALID_PARAMS},
      {M("\"query\",\"params\":{\"_meta\":{\"trace_id\":[{}]},\"limit\":1,\"query\":{}}"), MCP__DO_CALL,
       "query", 0},
      {M("\"nothing\",\"params\":{\"_meta\":{}}"), MCP__DO_CALL, "nothing", 0},
  };
  served = strict;
  CHECK_ROWS(rows, MCP__2024_11_05);
  served = given;
  expect_no_leak();
}

Test(dispatch, meta_is_no_argument_of_a_direct_call) {
  static const struct {
    const char *params, *args;
  } rows[] = {
      {"{}", "{}"},
      {"{\"a\":1}", "{\"a\":1}"},
      {"{\"_meta\":{}}", "{}"},
      {"{\"_meta\":{\"trace_id\":\"t\"},\"a\":{\"_meta\":[1]},\"b\":[]}", "{\"a\":{\"_meta\":[1]},\"b\":[]}"},
      {"{\"a\":[2,{}],\"_meta\":null,\"b\":\"c\",\"_meta\":[[]]}", "{\"a\":[2,{}],\"b\":\"c\"}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    decided_t decided;
    char text[200];
    snprintf(text, sizeof text, M("\"any\",\"params\":%s"), rows[i].params);
    decide(&decided, MCP__2024_11_05, text, strlen(text));
    char *args = yyjson_val_write(decided.result.args, 0, NULL);
    cr_expect_str_eq(args, rows[i].args, "%s: %s", rows[i].params, args);
    free(args);
    decided_deinit(&decided);
  }
  expect_no_leak();
}

Test(dispatch, tools_that_are_refused) {
  static const struct {
    mcp_tool_t tool;
    const char *problem; /* NULL: fine */
  } rows[] = {
      {{"a", "\xc3\xa4", "{\"type\":\"object\"}", no_handler, NULL, 0}, NULL},
      {{NAME_128, NULL, NULL, no_handler, NULL, 0}, NULL},
      {{"A-Z_0.9", "", NULL, no_handler, NULL, MCP_TOOL_BLOCKING}, NULL},
      {{"", NULL, NULL, no_handler, NULL, 0},
       "tool \"\": the name must be 1 to 128 characters of A-Z a-z 0-9 _ - ."},
      {{"a b", NULL, NULL, no_handler, NULL, 0},
       "tool \"a b\": the name must be 1 to 128 characters of A-Z a-z 0-9 _ - ."},
      {{"a/b", NULL, NULL, no_handler, NULL, 0},
       "tool \"a/b\": the name must be 1 to 128 characters of A-Z a-z 0-9 _ - ."},
      {{NAME_128 "a", NULL, NULL, no_handler, NULL, 0},
       "tool \"" NAME_128 "a\": the name must be 1 to 128 characters of A-Z a-z 0-9 _ - ."},
      {{"echo", NULL, NULL, no_handler, NULL, 0}, "tool \"echo\": duplicate name"},
      {{"later", .handler = no_handler, .reserved = {NULL, given}},
       "tool \"later\": reserved members are not zero; initialize the whole struct, or use the version "
       "of the "
       "library that the program was compiled for"},
      {{"a", NULL, NULL, NULL, NULL, 0}, "tool \"a\": no handler"},
      {{"a", "\xff", NULL, no_handler, NULL, 0}, "tool \"a\": the description is not valid UTF-8"},
      {{"a", NULL, "{", no_handler, NULL, 0},
       "tool a: input_schema is not valid JSON at byte 1: unexpected end of data"},
      {{"a", NULL, "true", no_handler, NULL, 0}, "tool a: input_schema /type: must be \"object\""},
      {{"a", NULL, "{}", no_handler, NULL, 0}, "tool a: input_schema /type: must be \"object\""},
      {{"a", NULL, "{\"type\":\"object\",\"required\":1}", no_handler, NULL, 0},
       "tool a: input_schema /required: 1 is not an array"},
      {{"a", NULL, NULL, no_handler, NULL, 0, "T", "{\"type\":\"object\"}", "{}", "[]"}, NULL},
      {{"a", .handler = no_handler, .title = "\xff"}, "tool \"a\": the title is not valid UTF-8"},
      {{"a", .handler = no_handler, .output_schema = "["},
       "tool a: output_schema is not valid JSON at byte 1: unexpected end of data"},
      {{"a", .handler = no_handler, .output_schema = "{}"},
       "tool a: output_schema /type: must be \"object\""},
      {{"a", .handler = no_handler, .output_schema = "{\"type\":\"object\",\"properties\":[]}"},
       "tool a: output_schema /properties: [] is not an object"},
      {{"a", .handler = no_handler, .annotations = "x"},
       "tool a: annotations is not valid JSON at byte 0: unexpected character, expected a valid root value"},
      {{"a", .handler = no_handler, .annotations = "[]"}, "tool a: annotations /: [] is not an object"},
      {{"a", .handler = no_handler, .annotations = "{\"readOnlyHint\":1}"},
       "tool a: annotations /readOnlyHint: 1 is not a boolean"},
      {{"a", .handler = no_handler, .unlisted_properties = "{"},
       "tool a: unlisted_properties is not valid JSON at byte 1: unexpected end of data"},
      {{"a", .handler = no_handler, .unlisted_properties = "[]"},
       "tool a: unlisted_properties is not an object"},
      {{"a", .handler = no_handler, .unlisted_properties = "{\"b\":1}"},
       "tool a: unlisted_properties /properties/b: 1 is not a schema"},
      {{"a", NULL, VALUE, no_handler, .unlisted_properties = "{\"value\":{}}"}, NULL},
      {{"a", NULL, VALUE, no_handler, .flags = MCP_TOOL_STRICT, .unlisted_properties = "{\"b\":{}}"}, NULL},
      {{"a", .handler = no_handler, .icons = "{}"}, "tool a: icons /: {} is not an array"},
      {{"a", .handler = no_handler, .icons = "[{}]"}, "tool a: icons /0/src: required, not given"},
      {{"a", .handler = no_handler, .icons = "[{\"src\":5}]"}, "tool a: icons /0/src: 5 is not a string"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp_tool_t table[] = {given[0], rows[i].tool, MCP_TOOL_END};
    mcp__tools_t tools;
    char problem[400] = "";
    int status = mcp__tools_init(&tools, table, problem, sizeof problem);
    cr_expect_eq(status, rows[i].problem == NULL ? 0 : MCP_ETOOL, "row %zu: %d", i, status);
    cr_expect_str_eq(problem, rows[i].problem == NULL ? "" : rows[i].problem, "row %zu: %s", i, problem);
    cr_expect(status != 0 ||
              mcp__tools_find(&tools, rows[i].tool.name, strlen(rows[i].tool.name)) == tools.table[1]);
    cr_expect(status != 0 ||
              mcp__tools_any_blocking(&tools) == ((rows[i].tool.flags & MCP_TOOL_BLOCKING) != 0));
    mcp__tools_deinit(&tools);
  }
  expect_no_leak();
}

#define SHOWN(rest)                                                                                          \
  "{\"tools\":[{\"name\":\"t\",\"title\":\"T \\\"1\\\"\",\"description\":\"d\",\"inputSchema\":{\"type\":"   \
  "\"object\"},\"annotations\":{\"readOnlyHint\":true},\"icons\":[{\"src\":\"data:,\"}]" rest                \
  "},{\"name\":\"u\",\"description\":\"\",\"inputSchema\":{\"type\":\"object\"}}]}"

static const mcp_tool_t described[] = {{"t", "d", NULL, no_handler, NULL, MCP_TOOL_STRICT, "T \"1\"", VALUE,
                                        "{\"readOnlyHint\": true}", "[{\"src\":\"data:,\"}]",
                                        "{\"dry_run\":{}}"},
                                       {"u", NULL, NULL, no_handler, NULL, 0, .title = NULL},
                                       MCP_TOOL_END};

/* The result of tools/list, to be freed; NULL: the cursor, which is JSON text, is rejected. */
static char *list(const mcp__tools_t *tools, mcp__protocol_version_t protocol_version, const char *cursor) {
  mcp__server_info_t self = {"s", "1", tools};
  mcp__arena_t arena;
  mcp__dispatch_result_t result;
  mcp__message_t message;
  char text[200];
  snprintf(text, sizeof text - MCP__JSON_PADDING, M("\"tools/list\",\"params\":{\"cursor\":%s}"), cursor);
  memset(text + strlen(text), 0, MCP__JSON_PADDING);
  mcp__arena_init(&arena, 1 << 20);
  mcp__jsonrpc_parse(text, strlen(text), 1000, &arena, &message);
  mcp__dispatch(&self, protocol_version, &message, &arena, &result);
  cr_assert(result.action == MCP__DO_RESPOND ||
            (result.code == MCP_INVALID_PARAMS && strcmp(result.problem, CURSOR) == 0));
  char *answer = result.action == MCP__DO_RESPOND ? whole(&result) : NULL;
  mcp__arena_deinit(&arena);
  return answer;
}

static void expect_list(const mcp__tools_t *tools, mcp__protocol_version_t protocol_version,
                        const char *expected) {
  char *text = list(tools, protocol_version, "null");
  cr_expect_str_eq(text, expected, "revision %d: %s", (int)protocol_version, text);
  free(text);
}

Test(dispatch, output_schemas_are_listed_where_structured_content_is_sent) {
  mcp__tools_t tools;
  char problem[400] = "";
  cr_assert_eq(mcp__tools_init(&tools, described, problem, sizeof problem), 0, "%s", problem);
  expect_list(&tools, MCP__2024_11_05, SHOWN(""));
  expect_list(&tools, MCP__2025_03_26, SHOWN(""));
  expect_list(&tools, MCP__2025_06_18, SHOWN(",\"outputSchema\":" VALUE));
  expect_list(&tools, MCP__2025_11_25, SHOWN(",\"outputSchema\":" VALUE));
  mcp__tools_deinit(&tools);
  expect_no_leak();
}

#define ENTRY(name) "{\"name\":\"" name "\",\"description\":\"\",\"inputSchema\":{\"type\":\"object\"}}"

Test(dispatch, tools_come_and_go) {
  mcp_tool_t a[] = {{"a", .handler = no_handler}, MCP_TOOL_END}, b = {"b", .handler = no_handler};
  mcp__tools_t tools;
  char problem[400] = "";
  cr_assert_eq(mcp__tools_init(&tools, a, problem, sizeof problem), 0, "%s", problem);
  cr_expect_eq(mcp__tools_add(&tools, &b, problem, sizeof problem), 0, "%s", problem);
  expect_list(&tools, MCP__2025_11_25, "{\"tools\":[" ENTRY("a") "," ENTRY("b") "]}");
  cr_expect_eq(mcp__tools_add(&tools, &b, problem, sizeof problem), MCP_ETOOL);
  cr_expect_str_eq(problem, "tool \"b\": duplicate name");
  cr_expect_eq(mcp__tools_remove(&tools, "c"), UV_ENOENT);
  mcp__tool_t *held = mcp__tool_hold(mcp__tools_find(&tools, "a", 1));
  cr_expect_eq(mcp__tools_remove(&tools, "a"), 0);
  cr_expect_null(mcp__tools_find(&tools, "a", 1));
  expect_list(&tools, MCP__2025_11_25, "{\"tools\":[" ENTRY("b") "]}");
  cr_expect_eq(mcp__tools_remove(&tools, "b"), 0);
  expect_list(&tools, MCP__2025_11_25, "{\"tools\":[]}");
  mcp__tools_deinit(&tools);
  cr_expect_str_eq(held->name, "a"); /* a held tool stays usable */
  mcp__tool_release(held);
  expect_no_leak();
}

/* A failed change leaves the table unchanged. */
Test(dispatch, tools_come_and_go_when_memory_runs_out) {
  use_failing_allocator();
  mcp__tools_t tools;
  char problem[400] = "";
  memory.allowed = 1000;
  cr_assert_eq(mcp__tools_init(&tools, given, problem, sizeof problem), 0);
  for (int removing = 0; removing < 2; removing++) {
    int status = UV_ENOMEM;
    for (long allocations = 0; status != 0; allocations++) {
      cr_assert_lt(allocations, 100);
      memory.allowed = allocations;
      status = removing ? mcp__tools_remove(&tools, "t")
                        : mcp__tools_add(&tools, described, problem, sizeof problem);
      cr_expect(status == 0 || status == UV_ENOMEM, "%d", status);
      cr_expect_eq(mcp__tools_find(&tools, "t", 1) != NULL, (status == 0) != removing);
    }
  }
  memory.allowed = 1000;
  expect_list(&tools, MCP__2024_11_05, LIST);
  mcp__tools_deinit(&tools);
  cr_assert_eq(memory.live, 0);
  expect_no_leak();
}

Test(dispatch, many_tools) {
  enum { COUNT = 1000 };
  static char names[COUNT][8];
  static mcp_tool_t table[COUNT + 1];
  mcp__tools_t tools;
  char problem[400] = "";
  for (size_t count = 0; count <= COUNT; count = count * 3 / 2 + 1) {
    memset(table, 0, sizeof table);
    for (size_t i = 0; i < count; i++) {
      snprintf(names[i], sizeof names[i], "t%zu", i);
      table[i] = (mcp_tool_t){names[i], NULL, NULL, no_handler, NULL, 0};
    }
    cr_assert_eq(mcp__tools_init(&tools, table, problem, sizeof problem), 0, "%s", problem);
    for (size_t i = 0; i < count; i++)
      cr_assert_eq(mcp__tools_find(&tools, names[i], strlen(names[i])), tools.table[i]);
    cr_assert_null(mcp__tools_find(&tools, "t", 1));
    cr_assert_null(mcp__tools_find(&tools, "t9999", 5));
    char *text = list(&tools, MCP__2024_11_05, "null");
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    cr_assert_eq(yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "tools")), count);
    yyjson_doc_free(doc);
    free(text);
    mcp__tools_deinit(&tools);
  }
  expect_no_leak();
}

/* ---- pages ---- */

static char filler[MCP__PAGES_MAX_BYTES + 1];

/* A tool whose list entry has this size: the envelope of ENTRY and a description. */
static mcp_tool_t tool_of(const char *name, size_t bytes, const char *output_schema) {
  memset(filler, 'x', MCP__PAGES_MAX_BYTES);
  size_t len = bytes - (strlen(ENTRY("")) + strlen(name));
  return (mcp_tool_t){name, filler + MCP__PAGES_MAX_BYTES - len, NULL, no_handler, NULL,
                      0,    .output_schema = output_schema};
}

/* "a b" for a page of these two tools, "a b > 2" where it names the cursor "2"; "refused". */
static const char *page(const mcp__tools_t *tools, mcp__protocol_version_t protocol_version,
                        const char *cursor) {
  static char words[300];
  size_t index, count, len = 0;
  yyjson_val *tool;
  char *text = list(tools, protocol_version, cursor);
  snprintf(words, sizeof words, "%s", text != NULL ? "" : "refused");
  if (text == NULL)
    return words;
  yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
  yyjson_val *next = yyjson_obj_get(yyjson_doc_get_root(doc), "nextCursor");
  yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "tools"), index, count, tool) {
    len += (size_t)snprintf(words + len, sizeof words - len, "%s%s", len > 0 ? " " : "",
                            yyjson_get_str(yyjson_obj_get(tool, "name")));
  }
  if (next != NULL)
    snprintf(words + len, sizeof words - len, " > %s", yyjson_get_str(next));
  yyjson_doc_free(doc);
  free(text);
  return words;
}

#define EXPECT_PAGE(tools, protocol_version, cursor, expected)                                               \
  cr_expect_str_eq(page(tools, protocol_version, cursor), expected, "%s: %s", cursor,                        \
                   page(tools, protocol_version, cursor))

enum { HALF = (MCP__PAGES_MAX_BYTES - 1) / 2, REST = MCP__PAGES_MAX_BYTES - 1 - HALF };

static void make_tools(mcp__tools_t *tools, const mcp_tool_t *table) {
  char problem[400] = "";
  cr_assert_eq(mcp__tools_init(tools, table, problem, sizeof problem), 0, "%s", problem);
}

static void add_tool(mcp__tools_t *tools, const char *name, size_t bytes) {
  char problem[400] = "";
  mcp_tool_t tool = tool_of(name, bytes, NULL);
  cr_assert_eq(mcp__tools_add(tools, &tool, problem, sizeof problem), 0, "%s", problem);
}

Test(dispatch, tools_that_just_fit_a_page) {
  mcp__tools_t tools;
  make_tools(&tools, (mcp_tool_t[]){tool_of("a", HALF, NULL), tool_of("b", REST, NULL), MCP_TOOL_END});
  EXPECT_PAGE(&tools, MCP__2025_11_25, "null", "a b");
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"1\"", "refused");
  mcp__tools_deinit(&tools);
  make_tools(&tools, (mcp_tool_t[]){tool_of("a", HALF, NULL), tool_of("b", REST + 1, NULL), MCP_TOOL_END});
  EXPECT_PAGE(&tools, MCP__2025_11_25, "null", "a > 1");
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"1\"", "b");
  mcp__tools_deinit(&tools);
  expect_no_leak();
}

/* Output schemas take up space only from 2025-06-18 on. */
Test(dispatch, pages_with_and_without_output_schemas) {
  mcp__tools_t tools;
  make_tools(&tools, (mcp_tool_t[]){tool_of("a", HALF, VALUE), tool_of("b", REST, VALUE), MCP_TOOL_END});
  EXPECT_PAGE(&tools, MCP__2025_03_26, "null", "a b");
  EXPECT_PAGE(&tools, MCP__2025_06_18, "null", "a > 1");
  EXPECT_PAGE(&tools, MCP__2025_06_18, "\"1\"", "b");
  EXPECT_PAGE(&tools, MCP__2025_03_26, "\"1\"", "b");
  mcp__tools_deinit(&tools);
  expect_no_leak();
}

Test(dispatch, cursors_that_were_never_given) {
  static const char *const junk[] = {"\"\"",
                                     "\"0\"",
                                     "\"01\"",
                                     "\"3\"",
                                     "\"4\"",
                                     "\"-1\"",
                                     "\"+1\"",
                                     "\" 1\"",
                                     "\"1 \"",
                                     "\"1x\"",
                                     "\"1\\u0000\"",
                                     "\"x\"",
                                     "1",
                                     "[]",
                                     "{}",
                                     "true",
                                     "1.0",
                                     "\"18446744073709551615\"",
                                     "\"18446744073709551617\"",
                                     "\"99999999999999999999\"",
                                     "\"000000000000000000001\"",
                                     "\"111111111111111111111111111111\""};
  mcp__tools_t tools;
  make_tools(&tools, (mcp_tool_t[]){tool_of("a", HALF, NULL), tool_of("b", HALF, NULL),
                                    tool_of("c", HALF, NULL), MCP_TOOL_END});
  EXPECT_PAGE(&tools, MCP__2025_11_25, "null", "a b > 2");
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"2\"", "c");
  for (size_t i = 0; i < sizeof junk / sizeof *junk; i++)
    EXPECT_PAGE(&tools, MCP__2025_11_25, junk[i], "refused");
  mcp__tools_deinit(&tools);
  expect_no_leak();
}

Test(dispatch, a_page_when_memory_runs_out) {
  char text[] = M("\"tools/list\"") "\0\0\0";
  mcp__tools_t tools;
  mcp__arena_t arena;
  mcp__message_t message;
  mcp__dispatch_result_t result;
  make_tools(&tools, (mcp_tool_t[]){tool_of("a", HALF, NULL), tool_of("b", REST + 1, NULL), MCP_TOOL_END});
  mcp__server_info_t self = {"s", "1", &tools};
  mcp__arena_init(&arena, 4096);
  mcp__jsonrpc_parse(text, strlen(text), 1000, &arena, &message);
  while (mcp__arena_alloc(&arena, 16) != NULL) {
  }
  mcp__dispatch(&self, MCP__2025_11_25, &message, &arena, &result);
  cr_expect_eq(result.action, MCP__DO_REFUSE);
  cr_expect_eq(result.code, MCP_INTERNAL_ERROR);
  mcp__arena_deinit(&arena);
  mcp__tools_deinit(&tools);
  expect_no_leak();
}

/* Tools that stay are listed exactly once, whatever changes between two pages. */
Test(dispatch, cursors_outlive_changes) {
  mcp__tools_t tools;
  make_tools(&tools,
             (mcp_tool_t[]){tool_of("a", HALF, NULL), tool_of("b", HALF, NULL), tool_of("c", HALF, NULL),
                            tool_of("d", HALF, NULL), tool_of("e", HALF, NULL), MCP_TOOL_END});
  EXPECT_PAGE(&tools, MCP__2025_11_25, "null", "a b > 2");
  cr_assert_eq(mcp__tools_remove(&tools, "a"), 0); /* c would move up to b */
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"2\"", "c d > 4");
  cr_assert_eq(mcp__tools_remove(&tools, "b"), 0); /* the tool of the cursor */
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"2\"", "c d > 4");
  add_tool(&tools, "a", HALF); /* added again as a new one */
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"4\"", "e a");
  add_tool(&tools, "f", HALF);
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"4\"", "e a > 6");
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"6\"", "f");
  cr_assert_eq(mcp__tools_remove(&tools, "f"), 0);
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"6\"", ""); /* returned when there were more tools */
  EXPECT_PAGE(&tools, MCP__2025_11_25, "null", "c d > 4");
  cr_assert_eq(mcp__tools_remove(&tools, "c"), 0);
  cr_assert_eq(mcp__tools_remove(&tools, "d"), 0);
  EXPECT_PAGE(&tools, MCP__2025_11_25, "null", "e a"); /* the remaining tools fit one page */
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"4\"", "e a");
  EXPECT_PAGE(&tools, MCP__2025_11_25, "\"7\"", "refused");
  mcp__tools_deinit(&tools);
  expect_no_leak();
}

Test(dispatch, tools_when_memory_runs_out) {
  use_failing_allocator();
  for (int once = 0; once < 2; once++) {
    int status = UV_ENOMEM;
    memory.once = once == 1;
    for (long allocations = 0; status != 0; allocations++) {
      mcp__tools_t tools;
      char problem[400] = "";
      cr_assert_lt(allocations, 100);
      memory.allowed = allocations;
      status = mcp__tools_init(&tools, given, problem, sizeof problem);
      cr_expect(status == 0 || (status == UV_ENOMEM && strcmp(problem, "out of memory") == 0), "%d: %s",
                status, problem);
      mcp__tools_deinit(&tools);
      cr_assert_eq(memory.live, 0);
    }
  }
  expect_no_leak();
}

Test(dispatch, exchanges) {
  FILE *file = fopen(TEST_DATA "/jsonrpc.jsonl", "r");
  cr_assert_not_null(file, "%s", TEST_DATA "/jsonrpc.jsonl");
  static char line[20000];
  size_t count = 0;
  for (; fgets(line, sizeof line, file) != NULL; count++)
    replay(line);
  fclose(file);
  cr_expect_geq(count, 60);
  expect_no_leak();
}

Test(dispatch, memory_that_runs_out) {
  static const char *const texts[] = {
      M("\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\"}"),
      M("\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"value\":\"a\"}}"),
      M("\"tools/call\",\"params\":{\"name\":\"nothing\"}"),
      M("\"tools/call\",\"params\":{\"name\":\"any\"}"),
      M("\"any\",\"params\":{\"_meta\":{},\"value\":\"a\"}"),
      M("\"tools/list\""),
      M("\"nothing\""),
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    for (size_t filled = 0; filled < 4096; filled += 16) { /* the arena ends at every position */
      decided_t decided = {0};
      char problem[400];
      cr_assert_eq(mcp__tools_init(&decided.tools, given, problem, sizeof problem), 0);
      mcp__server_info_t self = {"a", "1", &decided.tools};
      mcp__arena_init(&decided.arena, 4096);
      decided.text = calloc(1, strlen(texts[i]) + MCP__JSON_PADDING);
      memcpy(decided.text, texts[i], strlen(texts[i]));
      mcp__arena_alloc(&decided.arena, filled);
      mcp__jsonrpc_parse(decided.text, strlen(texts[i]), 1000, &decided.arena, &decided.message);
      mcp__dispatch(&self, MCP__2024_11_05, &decided.message, &decided.arena, &decided.result);
      const mcp__dispatch_result_t *result = &decided.result;
      cr_expect_neq(result->action, MCP__DO_NOTHING);
      if (result->action == MCP__DO_RESPOND) {
        char *text = whole(result);
        yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
        cr_expect_not_null(doc, "%s with %zu", texts[i], filled);
        yyjson_doc_free(doc);
        free(text);
      }
      cr_expect(result->action != MCP__DO_REFUSE || (result->code != 0 && result->problem != NULL));
      cr_expect(result->action != MCP__DO_CALL || yyjson_is_obj(result->args));
      cr_expect(result->action != MCP__DO_CALL || strstr(texts[i], "value") == NULL ||
                yyjson_obj_size(result->args) == 1);
      decided_deinit(&decided);
    }
  expect_no_leak();
}
