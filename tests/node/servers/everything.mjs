// everything.mjs: tests/peers/everything.c on the package: the server that the official conformance suite asks for.
import { setTimeout as sleep } from "node:timers/promises";
import { Content, McpError, Server } from "iccm-network";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
const string = { type: "string" };
const SCHEMA_2020_12 = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: { address: { $anchor: "addressDef", type: "object", properties: { street: string, city: string } } },
  properties: {
    name: string, address: { $ref: "#/$defs/address" }, contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: string, email: string,
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
};

const server = new Server("everything", { port: Number(process.argv[2] ?? 0) });
const answers = (name, description, blocks, options) => server.tool(name, { description, ...options }, () => new Content(blocks));
const text = (words) => ({ type: "text", text: words });
const resource = (uri, mimeType, words) => ({ type: "resource", resource: { uri, mimeType, text: words } });
const image = { type: "image", data: PIXEL, mimeType: "image/png" };
const nothing = [text("nothing to do")];

answers("test_simple_text", "Answers a text", [text("This is a simple text response for testing.")]);
answers("test_image_content", "Answers an image", [image]);
answers("test_audio_content", "Answers a sound", [{ type: "audio", data: SILENCE, mimeType: "audio/wav" }]);
answers("test_embedded_resource", "Answers a resource", [
  resource("test://embedded-resource", "text/plain", "This is an embedded resource content."),
]);
answers("test_multiple_content_types", "Answers three blocks", [
  text("Multiple content types test:"), image,
  resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
]);
server.tool("test_error_handling", { description: "Fails" }, () => {
  throw new McpError("This tool intentionally returns an error for testing");
});
server.tool("test_tool_with_progress", { description: "Reports its progress" }, async (_, call) => {
  for (const step of [0, 50, 100]) {
    call.progress(step, 100);
    await sleep(100);
  }
  return new Content([text("done in three steps")]);
});
answers("test_missing_capability", "Needs a client with sampling", nothing, { clientCapabilities: { sampling: {} } });
answers("test_streaming_elicitation", "Answers at once", nothing);
answers("test_logging_tool", "Logs nothing", nothing);
let extra = false;
server.tool("test_trigger_tool_change", { description: "Changes the tools" }, () => {
  if (extra) server.removeTool("test_extra_tool");
  else answers("test_extra_tool", "Comes and goes", nothing);
  extra = !extra;
  return new Content([text("the list of tools has changed")]);
});
server.tool("test_until_cancelled", { description: "Never ends by itself" }, async (_, call) => {
  for (let step = 1; !call.signal.aborted; step++) {
    call.progress(step);
    await sleep(10);
  }
});
answers("json_schema_2020_12_tool", "Tool with JSON Schema 2020-12 features", nothing, { schema: SCHEMA_2020_12 });
server.tool("test_x_mcp_header", {
  description: "Has an argument that HTTP repeats in a header",
  schema: { type: "object", properties: { region: { ...string, "x-mcp-header": "Region" }, query: string } },
  outputSchema: { type: "object", properties: { region: string }, required: ["region"] },
}, ({ region }) => ({ region: region ?? "none" }));

await server.run();
