/* test_server_tools.c: what tools may promise and answer, on each revision: results of a promised shape, content of all
 * types. */
#include "scene.h"

#include <string.h>

TestSuite(server_tools, .timeout = 60);

static mcp_server_t *server;
static wire_t *peer;
static int status; /* what ending the last call gave */

static void reply_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  status = mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), yyjson_obj_get(args, "result")));
}

static void text_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  const char *text = yyjson_get_str(yyjson_obj_get(args, "text"));
  status = mcp_call_reply_text(call, text, strlen(text));
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  status = mcp_call_fail(call, MCP_TOOL_ERROR, yyjson_val_mut_copy(mcp_call_doc(call), args), "no");
}

static void content_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  (void)arg;
  status = mcp_call_reply_content(call, yyjson_val_mut_copy(doc, yyjson_obj_get(args, "content")),
                                  yyjson_val_mut_copy(doc, yyjson_obj_get(args, "structured")),
                                  yyjson_get_bool(yyjson_obj_get(args, "is_error")));
}

#define SHAPE "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]}"

static const mcp_tool_t tools[] = {
    {.name = "shaped", .handler = reply_tool, .output_schema = SHAPE},
    {.name = "shaped_on_pool", .handler = reply_tool, .flags = MCP_TOOL_BLOCKING, .output_schema = SHAPE},
    {.name = "shaped_text", .handler = text_tool, .output_schema = SHAPE},
    {.name = "shaped_failure", .handler = fail_tool, .output_schema = SHAPE},
    {.name = "shaped_content", .handler = content_tool, .output_schema = SHAPE},
    {.name = "content", .handler = content_tool},
    {.name = "content_on_pool", .handler = content_tool, .flags = MCP_TOOL_BLOCKING},
    MCP_TOOL_END,
};

static const char *const revisions[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};
enum { INITIALIZE = 1000000 };

static wire_t *open_peer(const char *revision) {
  wire_t *wire = wire_open(mcp_server_port(server));
  wire_text(wire, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"%s\"}}",
            INITIALIZE, revision);
  wire_text(wire, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
  wire_settle(wire);
  cr_assert_eq(wire_answers(wire, INITIALIZE), 1);
  return wire;
}

static void open_with(const char *revision) {
  scene_open();
  server = mcp_server_new("tools", "1", 0, tools);
  cr_assert_not_null(server, "%s", mcp_last_error());
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  peer = open_peer(revision);
}

static void close_all(void) {
  stage_stop(server);
  scene_close();
}

static void ask(int id, const char *tool, const char *args) {
  wire_call(peer, id, tool, args);
  RUN_UNTIL(wire_answers(peer, id) == 1);
}

#define FITS "\"content\":[{\"type\":\"text\",\"text\":\"{\\\"n\\\":5}\"}]"

Test(server_tools, a_result_of_the_promised_shape) {
  for (int i = 0; i < 4; i++) {
    open_with(revisions[i]);
    ask(1, "shaped", "{\"result\":{\"n\":5}}");
    ask(2, "shaped_on_pool", "{\"result\":{\"n\":5}}");
    ask(3, "shaped_text", "{\"text\":\"{\\\"n\\\":5}\"}");
    for (int id = 1; id <= 3; id++) {
      cr_expect(wire_says(peer, id, FITS), "%s: %s", revisions[i], wire_answer(peer, id));
      cr_expect_eq(wire_says(peer, id, "\"structuredContent\":{\"n\":5}"), i >= 2, "%s", wire_answer(peer, id));
    }
    close_all();
  }
}

Test(server_tools, a_result_of_another_shape_is_an_internal_error) {
  static const char *const rows[][2] = {
      {"shaped", "{\"result\":{\"n\":\"5\"}}"},  {"shaped", "{\"result\":[5]}"},
      {"shaped", "{\"result\":{}}"},             {"shaped_on_pool", "{\"result\":{\"n\":1.5}}"},
      {"shaped_text", "{\"text\":\"{\"}"},       {"shaped_text", "{\"text\":\"\"}"},
      {"shaped_text", "{\"text\":\"{} {}\"}"},
      {"shaped_content", "{\"content\":[]}"},    {"shaped_content", "{\"content\":[],\"structured\":{\"n\":[]}}"},
  };
  for (int i = 0; i < 4; i++) {
    open_with(revisions[i]);
    for (int id = 0; id < (int)(sizeof rows / sizeof *rows); id++) {
      ask(id, rows[id][0], rows[id][1]);
      cr_expect(wire_says(peer, id, "\"code\":-32603"), "%s", wire_answer(peer, id));
      cr_expect_eq(status, MCP_EANSWER);
    }
    cr_expect(scene_logged("a result of the tool shaped: output_schema /n: \"5\" is not an integer"));
    cr_expect(scene_logged("a result of the tool shaped_on_pool: output_schema /n: 1.5 is not an integer"));
    cr_expect(scene_logged("a result of the tool shaped_content: structured is required by its output_schema"));
    close_all();
  }
}

/* Clients judge structuredContent by the schema: data of an error is none. */
Test(server_tools, a_failure_need_not_have_the_shape) {
  open_with("2025-06-18");
  ask(1, "shaped_failure", "{\"n\":\"x\"}");
  cr_expect(wire_says(peer, 1, "\"isError\":true"), "%s", wire_answer(peer, 1));
  cr_expect(!wire_says(peer, 1, "structuredContent"), "%s", wire_answer(peer, 1));
  ask(2, "shaped_content", "{\"content\":[],\"structured\":{\"n\":[]},\"is_error\":true}");
  cr_expect(wire_says(peer, 2, "{\"content\":[],\"isError\":true}"), "%s", wire_answer(peer, 2));
  close_all();
}

#define BLOCKS                                                                                                        \
  "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\",\"data\":\"AAE=\",\"mimeType\":\"image/png\"},"            \
  "{\"type\":\"audio\",\"data\":\"\",\"mimeType\":\"audio/wav\"},"                                                    \
  "{\"type\":\"resource_link\",\"uri\":\"file:///a\",\"name\":\"a\",\"size\":1},"                                     \
  "{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\",\"text\":\"t\"}},"                                            \
  "{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\",\"blob\":\"AAEC\"}}]"

Test(server_tools, content_of_all_types) {
  for (int i = 0; i < 4; i++) {
    open_with(revisions[i]);
    ask(1, "content", "{\"content\":" BLOCKS "}");
    ask(2, "content_on_pool", "{\"content\":" BLOCKS "}");
    ask(3, "content", "{\"content\":" BLOCKS ",\"structured\":{\"a\":1}}");
    for (int id = 1; id <= 2; id++)
      cr_expect(wire_says(peer, id, "\"result\":{\"content\":" BLOCKS "}}"), "%s", wire_answer(peer, id));
    cr_expect(wire_says(peer, 3, i >= 2 ? "\"content\":" BLOCKS ",\"structuredContent\":{\"a\":1}}}"
                                        : "\"content\":" BLOCKS "}}"),
              "%s", wire_answer(peer, 3));
    ask(4, "content", "{\"content\":" BLOCKS ",\"is_error\":true}");
    cr_expect(wire_says(peer, 4, i >= 1 ? "\"content\":" BLOCKS ",\"isError\":true}}"
                                        : "\"error\":{\"code\":-32000,\"message\":\"a\",\"data\":" BLOCKS "}"),
              "%s", wire_answer(peer, 4));
    cr_expect_eq(status, 0);
    close_all();
  }
}

Test(server_tools, content_for_direct_calls) {
  open_with("2025-11-25");
  wire_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"content\",\"params\":{\"content\":" BLOCKS "}}");
  wire_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"content\",\"params\":{\"content\":[],"
                  "\"structured\":{\"a\":1}}}");
  wire_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"content\",\"params\":{\"content\":[],"
                  "\"structured\":{\"a\":1},\"is_error\":true}}");
  wire_settle(peer);
  cr_expect(wire_says(peer, 1, "\"result\":" BLOCKS "}"), "%s", wire_answer(peer, 1));
  cr_expect(wire_says(peer, 2, "\"result\":{\"a\":1}}"), "%s", wire_answer(peer, 2));
  cr_expect(wire_says(peer, 3, "\"error\":{\"code\":-32000,\"message\":\"tool error\",\"data\":{\"a\":1}}"), "%s",
            wire_answer(peer, 3));
  close_all();
}

Test(server_tools, wrong_content_is_an_internal_error) {
  static const char *const rows[][2] = {
      {"{}", "/: must be an array"},
      {"[5]", "/0/type: must be"},
      {"[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"video\"}]", "/1/type: must be"},
      {"[{\"type\":\"text\"}]", "/0/text: required, a string"},
      {"[{\"type\":\"text\",\"text\":5}]", "/0/text: required, a string"},
      {"[{\"type\":\"image\",\"data\":\"AAE=\"}]", "/0/mimeType: required, a string"},
      {"[{\"type\":\"image\",\"data\":\"AA=\",\"mimeType\":\"a/b\"}]", "/0/data: is not base64"},
      {"[{\"type\":\"image\",\"data\":\"A===\",\"mimeType\":\"a/b\"}]", "/0/data: is not base64"},
      {"[{\"type\":\"audio\",\"data\":\"AA=A\",\"mimeType\":\"a/b\"}]", "/0/data: is not base64"},
      {"[{\"type\":\"resource_link\",\"uri\":\"a:b\"}]", "/0/name: required, a string"},
      {"[{\"type\":\"resource\"}]", "/0/resource: required, an object"},
      {"[{\"type\":\"resource\",\"resource\":{\"text\":\"\"}}]", "/0/resource/uri: required, a string"},
      {"[{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\"}}]", "/0/resource: text or blob is required"},
      {"[{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\",\"blob\":\"?\"}}]", "/0/resource/blob: is not base64"},
  };
  open_with("2025-11-25");
  for (int id = 0; id < (int)(sizeof rows / sizeof *rows); id++) {
    char args[300], logged[200];
    snprintf(args, sizeof args, "{\"content\":%s}", rows[id][0]);
    ask(id, "content", args);
    cr_expect(wire_says(peer, id, "\"code\":-32603"), "%s", wire_answer(peer, id));
    cr_expect_eq(status, MCP_EANSWER);
    snprintf(logged, sizeof logged, "a result of the tool content: content %s", rows[id][1]);
    cr_expect(scene_logged(logged), "%s", logged);
  }
  ask(100, "content", "{\"content\":[],\"structured\":[]}");
  cr_expect(wire_says(peer, 100, "\"code\":-32603"));
  cr_expect(scene_logged("a result of the tool content: structured must be an object"));
  close_all();
}
