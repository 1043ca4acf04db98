"""Godot, Dewey and Horace list their tools exactly as they were defined before this library existed
(tests/data/seed_tools.json), so that existing callers and models keep working. The allowed additions are listed here.
"""
import asyncio
import json
import re
import unittest

from caller import Caller
from services import SOURCE, System, main

LEVELS = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
STRING, OBJECT = {"type": "string"}, {"type": "object"}
# Tools that were called, but not defined; without their properties.
TOOLS_ADDED = {
    "dewey_store_logs_batch": ("Store a batch of log entries (up to 1,000)", OBJECT | {"required": ["logs"]}),
    "dewey_clear_logs": ("Clear logs older than a time, by component and level", OBJECT),
}
# Properties, without their descriptions, which are free.
ADDED = {
    "logger_log": {"id": STRING, "created_at": STRING},
    "logger_query": {"search": STRING, "data": OBJECT, "cursor": STRING},
    "logger_clear": {"level": STRING},
    "dewey_query_logs": {"data": OBJECT, "cursor": STRING},
    "dewey_store_logs_batch": {"logs": {"type": "array", "items": OBJECT, "maxItems": 1000}},
    "dewey_clear_logs": {"before_time": STRING, "component": STRING, "level": STRING},
    "horace_search_files": {"sort_by": STRING | {"enum": ["created_at", "updated_at", "size", "path", "owner", "mime_type", "version"]},
                            "order": STRING | {"enum": ["asc", "desc"]}},
}
NESTED = {"horace_search_files": {"query": OBJECT}}  # the same arguments once more
WIDENED = {"logger_log": {"level": {"type": "string", "enum": LEVELS + [level.lower() for level in LEVELS]}}}


def defined(component):
    tools = json.loads((SOURCE / "tests/data/seed_tools.json").read_text())
    return {tool["name"]: (tool["description"], tool["inputSchema"]) for tool in tools if tool["component"] == component}


def expected(name, schema):
    properties = schema.get("properties", {}) | WIDENED.get(name, {}) | ADDED.get(name, {})
    if name in NESTED:
        properties = properties | {"query": OBJECT | {"properties": properties}}
    return schema | {"properties": properties}


def comparable(name, schema):
    """Without the descriptions of what was added."""
    free = ADDED.get(name, {}) | NESTED.get(name, {})
    rules = schema["properties"].items()
    bare = {each: {word: rule[word] for word in rule if word != "description"} for each, rule in rules if each in free}
    return schema | {"properties": schema["properties"] | bare}


async def listed(port):
    async with Caller(f"ws://127.0.0.1:{port}") as caller:
        return (await caller.request("tools/list"))["result"]["tools"]


class Definitions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.system = cls.enterClassContext(System())

    def compare(self, program, definitions, names):
        tools = asyncio.run(listed(program.start().port()))
        self.assertLessEqual(names, {tool["name"] for tool in tools})
        for tool in tools:
            name = tool["name"]
            with self.subTest(name):
                description, schema = definitions[name]
                self.assertEqual(tool["description"], description)
                self.assertEqual(comparable(name, tool["inputSchema"]), expected(name, schema))

    def test_godot(self):
        self.compare(self.system.godot, defined("godot"), {*defined("godot")})

    def test_dewey(self):
        names = {*defined("dewey"), *TOOLS_ADDED}
        self.compare(self.system.dewey, defined("dewey") | TOOLS_ADDED, names)

    def test_horace(self):
        settings = {"HORACE_MCP_PORT": "0", "HORACE_STORAGE_PATH": str(self.system.directory / "storage")}
        self.compare(self.system.add_instance("horace", "horace", **settings), defined("horace"), {*defined("horace")})


class ErrorCodes(unittest.TestCase):
    def test_of_horace_are_in_the_documentation(self):
        sources = "".join(file.read_text() for file in (SOURCE / "examples/horace").glob("*.c"))
        said = set(re.findall(r'\bfailure_set(?:_retry)?\([^"]*"([A-Z_]+)"', sources))
        rows = re.findall(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) ", (SOURCE / "docs/errors.md").read_text(), re.M)
        documented = set(re.findall(r"`([A-Z_]+)`", "".join(rows)))
        self.assertEqual({code for code in documented if not code.startswith("MCP_")}, said)


if __name__ == "__main__":
    main()
