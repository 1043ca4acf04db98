"""docs/tools.md is what the running servers say: every tool that they list, with real calls and the real answers.

The calls stand in tests/data/tool_calls.json, in the order in which they are made; a hidden one only sets the stage, as does a
file that is written for Horace. What differs from run to run has a stand-in: ids that a server makes, its times, ages, sizes
and ranks, where Horace's storage is; a stand-in may be an argument of a later call. `ninja -C BUILD tools-page` writes the page anew; run as a test, this compares it.
"""
import asyncio
import json
import re
import sys
import textwrap
import unittest
from collections import Counter

from caller import Caller
from services import SOURCE, System, main, wait_until

PAGE = SOURCE / "docs/tools.md"
CALLS = json.loads((SOURCE / "tests/data/tool_calls.json").read_text())
TITLES = {"godot": "Godot", "dewey": "Dewey", "horace": "Horace"}
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
VERSION_PATH = re.compile(rf"/[0-9a-f]{{2}}/({ID.pattern})(\.\d+)")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
VARIES = {"age", "rank", "estimated_db_size"}
WIDTH = 120  # of a line; JSON that fits stands on one

HEAD = """# The tools

What Godot, Dewey and Horace can be asked to do, each with a call and its answer. This page is made by making these calls to
the real programs, and a test compares the two; `ninja -C build-asan tools-page` writes it anew.

Arguments and answers are those of MCP's `tools/call`, without what they travel in:

```json
{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "logger_set_level", "arguments": {"component": "fiedler", "level": "WARN"}}}
{"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "{\\"status\\":\\"ok\\", …}"}]}}
```

With `iccm` that is `iccm call localhost:9060 logger_set_level component=fiedler level=WARN`, and instead of `key=value` the
arguments may be given as they stand here, in quotes. From revision 2025-03-26 of MCP on, an error with code -32000 is a
result with `isError` and the same words; [errors.md](errors.md) says more. An argument that is null counts as not given.

Tools that read, change or delete refuse an argument that they do not know with -32602. Those that store
(`logger_log`, `conversation_…`, `dewey_begin_conversation`, `dewey_store_…`, `horace_register_file`,
`horace_create_collection`) keep what they know, and name the rest in their answer's `ignored`.

`<conversation_id>`, `<time>` and the like stand for what differs from call to call. Times are ISO 8601, in UTC with
microseconds in answers; in arguments with `Z`, an offset, or neither (UTC).
"""


class Words:
    """Stands in for what differs, and knows what each stand-in stood for."""

    def __init__(self, calls, storage):
        self.given, self.storage = json.dumps(calls), str(storage)
        self.ids, self.values, self.counts = {}, {}, Counter()

    def stand_in(self, name, text):
        """For an id, by the first name that it had."""
        if text not in self.ids:
            self.counts[name] += 1
            word = f"<{name}>" if self.counts[name] == 1 else f"<{name} {self.counts[name]}>"
            self.ids[text], self.values[word] = word, text
        return self.ids[text]

    def comparable(self, value, name=""):
        if isinstance(value, dict):
            return {key: self.comparable(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self.comparable(each, name.removesuffix("s")) for each in value]
        if name in VARIES and value is not None:
            return f"<{name}>"
        if not isinstance(value, str) or value in self.given:
            return value
        if self.storage in value:
            value = value.replace(self.storage, "/var/lib/horace")
            return VERSION_PATH.sub(lambda found: f"/…/{self.stand_in('file_id', found[1])}{found[3]}", value)
        if ID.fullmatch(value):
            return self.stand_in(name, value)
        return "<time>" if TIME.fullmatch(value) else value

    def real(self, value):
        if isinstance(value, dict):
            return {key: self.real(each) for key, each in value.items()}
        return self.values.get(value, value) if isinstance(value, str) else value


def laid_out(value, indent=""):
    """JSON, on one line where that is short."""
    text = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(text) <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return text
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key)}: {laid_out(each, inner)}" for key, each in value.items()]
    else:
        parts = [inner + laid_out(each, inner) for each in value]
    ends = "{}" if isinstance(value, dict) else "[]"
    return f"{ends[0]}\n" + ",\n".join(parts) + f"\n{indent}{ends[1]}"


def kind(rule):
    if "enum" in rule:
        return " ".join(f"`{word}`" for word in rule["enum"])
    of = f" of {rule['items']['type']}s" if "items" in rule else ""
    return rule["type"] + of + (f", else {rule['default']}" if "default" in rule else "")


def arguments(schema):
    rules, required = schema.get("properties", {}), schema.get("required", [])
    if not rules:
        return "No arguments.\n"
    rows = [f"| `{name}`{' (required)' if name in required else ''} | {kind(rule)} | {rule.get('description', '')} |\n"
            for name, rule in rules.items()]
    return "| argument | what | |\n|---|---|---|\n" + "".join(rows)


def example(call, answer):
    said = textwrap.fill(call.get("says", ""), WIDTH)
    said += "\n\n" if said else ""
    asked = f"```json\n{laid_out(call['arguments'])}\n```\n"
    if "error" in answer:
        error = answer["error"]
        kind = error.get("data", {}).get("error_code")
        code = f"{error['code']}, `{kind}`" if kind else error["code"]
        return f"{said}{asked}\nis refused with {code}: “{error['message']}”\n"
    (content,) = answer["result"]["content"]
    return f"{said}{asked}\nis answered\n\n```json\n{laid_out(json.loads(content['text']))}\n```\n"


class Players:
    """One caller for each server, and the tools that it lists."""

    def __init__(self, system, **callers):
        self.system, self.callers = system, callers

    async def listed(self):
        return {server: (await caller.request("tools/list"))["result"]["tools"] for server, caller in self.callers.items()}

    async def play(self, calls):
        """Yields each call that is to be shown, with its answer."""
        of = {server: Words(calls, storage_of(self.system)) for server in self.callers}
        for call in calls:
            if "write" in call:
                self.write(call["write"], call["text"])
                continue
            words = of[call["server"]]
            params = {"name": call["tool"], "arguments": words.real(call["arguments"])}
            answer = await self.callers[call["server"]].request("tools/call", params)
            if call["tool"] == "logger_log":  # the next may want to read it
                wait_until(self.all_is_stored, "the line is stored")
            if "result" in answer:
                (content,) = answer["result"]["content"]
                content["text"] = json.dumps(words.comparable(json.loads(content["text"])))
            else:
                answer["error"]["message"] = words.comparable(answer["error"]["message"])
            if not call.get("hidden"):
                yield call, answer

    def write(self, path, text):
        file = storage_of(self.system) / "files" / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def all_is_stored(self):
        """From the queue lines go under a lease, and from there to the store."""
        return self.system.redis_command("LLEN", "logs:queue") == self.system.redis_command("ZCARD", "logs:inflight") == "0"


async def page_of(system, horace_url):
    async with Caller(system.godot_url) as godot, Caller(system.dewey_url) as dewey, Caller(horace_url) as horace:
        players = Players(system, godot=godot, dewey=dewey, horace=horace)
        listed = await players.listed()
        examples = {}
        async for call, answer in players.play(CALLS):
            examples.setdefault((call["server"], call["tool"]), []).append(example(call, answer))
    text = HEAD
    for server, tools in listed.items():
        text += f"\n## {TITLES[server]}\n"
        for tool in tools:
            played = examples.pop((server, tool["name"]), None)
            assert played, f"{tool['name']} of {server} is listed, but tests/data/tool_calls.json has no call of it"
            text += f"\n### {tool['name']}\n\n{tool['description']}\n\n{arguments(tool['inputSchema'])}\n"
            text += "\n".join(played)
    assert not examples, f"no server lists {', '.join(name for _, name in examples)}"
    return text


def storage_of(system):
    return system.directory / "storage"


def make():
    with System(LOG_RETENTION_DAYS=36500) as system:
        horace = system.add_instance("horace", "horace", HORACE_MCP_PORT="0", HORACE_STORAGE_PATH=str(storage_of(system)))
        port = horace.start().port()
        return asyncio.run(page_of(system.start(), f"ws://127.0.0.1:{port}"))


class Tools(unittest.TestCase):
    maxDiff = None

    def test_the_page_is_what_the_servers_say(self):
        self.assertEqual(PAGE.read_text(), make(), "\n`ninja -C BUILD tools-page` writes docs/tools.md anew")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(make())
    else:
        main()
