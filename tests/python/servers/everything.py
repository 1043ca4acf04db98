"""tests/peers/everything.c in Python: the server that the official conformance suite asks for."""
import asyncio
import sys

from iccm_network import Content, McpError, Server, ToolError, current_call

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
REGION = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "query": {"type": "string"}},
}
REGION_RESULT = {"type": "object", "properties": {"region": {"type": "string"}}, "required": ["region"]}

server = Server("everything", "1.0.0", int(sys.argv[1]) if len(sys.argv) > 1 else 0)


def text(words):
    return {"type": "text", "text": words}


def resource(uri, mime_type, words):
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": words}}


def answers(name, description, *blocks, **options):
    @server.tool(name=name, description=description, strict=False, **options)
    async def answer(**_):
        return Content(list(blocks))


image = {"type": "image", "data": PIXEL, "mimeType": "image/png"}
answers("test_simple_text", "Answers a text", text("This is a simple text response for testing."))
answers("test_image_content", "Answers an image", image)
answers("test_audio_content", "Answers a sound", {"type": "audio", "data": SILENCE, "mimeType": "audio/wav"})
answers(
    "test_embedded_resource", "Answers a resource",
    resource("test://embedded-resource", "text/plain", "This is an embedded resource content."),
)  # fmt: skip
answers(
    "test_multiple_content_types", "Answers three blocks", text("Multiple content types test:"), image,
    resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
)  # fmt: skip
answers(
    "test_missing_capability", "Needs a client with sampling", text("nothing to do"), client_capabilities={"sampling": {}}
)
answers("test_streaming_elicitation", "Answers at once", text("nothing to do"))
answers("test_logging_tool", "Logs nothing", text("nothing to do"))
answers("json_schema_2020_12_tool", "Tool with JSON Schema 2020-12 features", text("nothing to do"), schema=SCHEMA_2020_12)


@server.tool
async def test_error_handling(**_):
    """Fails"""
    raise ToolError("This tool intentionally returns an error for testing")


@server.tool
async def test_tool_with_progress(**_):
    """Reports its progress"""
    for step in (0, 50, 100):
        current_call().progress(step, 100)
        await asyncio.sleep(0.1)
    return Content([text("done in three steps")])


@server.tool
async def test_trigger_tool_change(**_):
    """Changes the tools"""
    try:
        server.remove_tool("test_extra_tool")
    except McpError:
        answers("test_extra_tool", "Comes and goes", text("nothing to do"))
    return Content([text("the list of tools has changed")])


@server.tool
async def test_until_cancelled(**_):
    """Never ends by itself"""
    step = 0
    while True:
        step += 1
        current_call().progress(step)
        await asyncio.sleep(0.01)


@server.tool(schema=REGION, output_schema=REGION_RESULT)
async def test_x_mcp_header(**args):
    """Has an argument that HTTP repeats in a header"""
    return {"region": args.get("region", "none")}


server.run()
