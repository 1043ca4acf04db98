/* everything.c: the server that the official conformance suite asks for, over our own transports.
 *
 * usage: everything PORT
 *
 * Happy path: it listens on the port (0: a free one, which the log names), with tools of the names and
 * answers that the suite expects. What the library does not serve (resources, prompts) is not there. Failure:
 * a tool that the suite calls differently answers as the library does. */
#include <iccm_network.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char red_pixel[] =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
static const char silence[] = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

static mcp_server_t *server;

/* ---- content ------------------------------------------------------------------------------------------ */

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *blocks, const char *text) {
  yyjson_mut_val *block = yyjson_mut_arr_add_obj(doc, blocks);
  yyjson_mut_obj_add_str(doc, block, "type", "text");
  yyjson_mut_obj_add_str(doc, block, "text", text);
}

static void add_data(yyjson_mut_doc *doc, yyjson_mut_val *blocks, const char *type, const char *data,
                     const char *mime_type) {
  yyjson_mut_val *block = yyjson_mut_arr_add_obj(doc, blocks);
  yyjson_mut_obj_add_str(doc, block, "type", type);
  yyjson_mut_obj_add_str(doc, block, "data", data);
  yyjson_mut_obj_add_str(doc, block, "mimeType", mime_type);
}

static void add_resource(yyjson_mut_doc *doc, yyjson_mut_val *blocks, const char *uri, const char *mime_type,
                         const char *text) {
  yyjson_mut_val *block = yyjson_mut_arr_add_obj(doc, blocks);
  yyjson_mut_obj_add_str(doc, block, "type", "resource");
  yyjson_mut_val *resource = yyjson_mut_obj_add_obj(doc, block, "resource");
  yyjson_mut_obj_add_str(doc, resource, "uri", uri);
  yyjson_mut_obj_add_str(doc, resource, "mimeType", mime_type);
  yyjson_mut_obj_add_str(doc, resource, "text", text);
}

static void reply_text(mcp_call_t *call, const char *text) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *blocks = yyjson_mut_arr(doc);
  add_text(doc, blocks, text);
  mcp_call_reply_content(call, blocks, NULL, false);
}

/* ---- tools -------------------------------------------------------------------------------------------- */

static void simple_text(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  reply_text(call, "This is a simple text response for testing.");
}

static void image(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *blocks = yyjson_mut_arr(doc);
  (void)args;
  (void)arg;
  add_data(doc, blocks, "image", red_pixel, "image/png");
  mcp_call_reply_content(call, blocks, NULL, false);
}

static void audio(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *blocks = yyjson_mut_arr(doc);
  (void)args;
  (void)arg;
  add_data(doc, blocks, "audio", silence, "audio/wav");
  mcp_call_reply_content(call, blocks, NULL, false);
}

static void embedded_resource(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *blocks = yyjson_mut_arr(doc);
  (void)args;
  (void)arg;
  add_resource(doc, blocks, "test://embedded-resource", "text/plain",
               "This is an embedded resource content.");
  mcp_call_reply_content(call, blocks, NULL, false);
}

static void mixed_content(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *blocks = yyjson_mut_arr(doc);
  (void)args;
  (void)arg;
  add_text(doc, blocks, "Multiple content types test:");
  add_data(doc, blocks, "image", red_pixel, "image/png");
  add_resource(doc, blocks, "test://mixed-content-resource", "application/json",
               "{\"test\":\"data\",\"value\":123}");
  mcp_call_reply_content(call, blocks, NULL, false);
}

static void failing(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_tool_error(call, "This tool intentionally returns an error for testing");
}

static void progress(mcp_call_t *call, yyjson_val *args, void *arg) {
  const struct timespec pause = {.tv_nsec = 100000000};
  (void)args;
  (void)arg;
  for (int step = 0; step <= 100; step += 50) {
    mcp_call_progress(call, step, 100, NULL);
    nanosleep(&pause, NULL);
  }
  reply_text(call, "done in three steps");
}

static void unused(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  reply_text(call, "nothing to do");
}

static void trigger_tool_change(mcp_call_t *call, yyjson_val *args, void *arg) {
  static const mcp_tool_t extra = {
      .name = "test_extra_tool", .description = "Comes and goes", .handler = unused};
  (void)args;
  (void)arg;
  if (mcp_server_remove_tool(server, extra.name) != 0)
    mcp_server_add_tool(server, &extra);
  reply_text(call, "the list of tools has changed");
}

static void region(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *result = yyjson_mut_obj(doc);
  (void)arg;
  yyjson_mut_obj_add_strcpy(doc, result, "region", mcp_arg_text(args, "region", "none", NULL));
  mcp_call_reply(call, result);
}

/* Not of the suite: for clients that give up. */
static void until_cancelled(mcp_call_t *call, yyjson_val *args, void *arg) {
  const struct timespec pause = {.tv_nsec = 10000000};
  (void)args;
  (void)arg;
  for (int step = 1; !mcp_call_cancelled(call); step++) {
    mcp_call_progress(call, step, 0, NULL);
    nanosleep(&pause, NULL);
  }
  reply_text(call, "nobody reads this");
}

static const char schema_2020_12[] =
    MCP_JSON({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "$defs": {
    "address": {
      "$anchor": "addressDef",
      "type": "object",
      "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
    }
  },
  "properties": {
    "name": {"type": "string"},
    "address": {"$ref": "#/$defs/address"},
    "contactMethod": {"type": "string", "enum": ["phone", "email"]},
    "phone": {"type": "string"},
    "email": {"type": "string"}
  },
  "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
  "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
  "then": {"required": ["phone"]},
  "else": {"required": ["email"]},
  "additionalProperties": false
});

static const char region_input[] =
    "{\"type\":\"object\",\"properties\":{\"region\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"},"
    "\"query\":{\"type\":\"string\"}}}";
static const char region_output[] =
    "{\"type\":\"object\",\"properties\":{\"region\":{\"type\":\"string\"}},\"required\":[\"region\"]}";

static const mcp_tool_t tools[] = {
    {.name = "test_simple_text", .description = "Answers a text", .handler = simple_text},
    {.name = "test_image_content", .description = "Answers an image", .handler = image},
    {.name = "test_audio_content", .description = "Answers a sound", .handler = audio},
    {.name = "test_embedded_resource", .description = "Answers a resource", .handler = embedded_resource},
    {.name = "test_multiple_content_types", .description = "Answers three blocks", .handler = mixed_content},
    {.name = "test_error_handling", .description = "Fails", .handler = failing},
    {.name = "test_tool_with_progress",
     .description = "Reports its progress",
     .handler = progress,
     .flags = MCP_TOOL_BLOCKING},
    {.name = "test_missing_capability",
     .description = "Needs a client with sampling",
     .handler = unused,
     .client_capabilities = "{\"sampling\":{}}"},
    {.name = "test_streaming_elicitation", .description = "Answers at once", .handler = unused},
    {.name = "test_logging_tool", .description = "Logs nothing", .handler = unused},
    {.name = "test_trigger_tool_change", .description = "Changes the tools", .handler = trigger_tool_change},
    {.name = "test_until_cancelled",
     .description = "Never ends by itself",
     .handler = until_cancelled,
     .flags = MCP_TOOL_BLOCKING},
    {.name = "json_schema_2020_12_tool",
     .description = "Tool with JSON Schema 2020-12 features",
     .input_schema = schema_2020_12,
     .handler = unused},
    {.name = "test_x_mcp_header",
     .description = "Has an argument that HTTP repeats in a header",
     .input_schema = region_input,
     .output_schema = region_output,
     .handler = region},
    MCP_TOOL_END,
};

int main(int argc, char **argv) {
  server = mcp_server_new("everything", "1.0.0", argc > 1 ? atoi(argv[1]) : 0, tools);
  int status = server != NULL ? mcp_server_run(server) : 1;
  mcp_server_free(server);
  return status != 0;
}
