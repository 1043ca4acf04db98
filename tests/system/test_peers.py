"""Third-party clients list and call tools: Python's websockets and the TypeScript SDK's WebSocket transport."""
import json

from caller import Caller
from services import AsyncTestCase, SingleServer, System, main, npm_peers, run_program, wait_until

VALUE = {"text": "a\u00fc\u20ac\U0001f600\n\"\\", "list": [1, -2.5, None, True, {}], "large": 9007199254740991}


def typescript(url, tool, arguments):
    run = run_program(["node", "ts_client.mjs", url, tool, json.dumps(arguments)], cwd=npm_peers())
    if run.returncode != 0:
        raise AssertionError(run.stderr)
    return json.loads(run.stdout)


class Echo(AsyncTestCase):
    @classmethod
    def setUpClass(cls):
        cls.url = cls.enterClassContext(SingleServer("echo", "0")).url

    async def test_websockets_lists_and_calls(self):
        async with Caller(self.url, subprotocols=["mcp"]) as caller:
            params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            self.assertEqual((await caller.request("initialize", params))["result"]["protocolVersion"], "2025-06-18")
            tools = (await caller.request("tools/list"))["result"]["tools"]
            self.assertEqual([tool["name"] for tool in tools], ["echo"])
            self.assertEqual(await caller.call("echo", VALUE), VALUE)
            answer = await caller.request("tools/call", {"name": "echo", "arguments": VALUE})
            self.assertEqual(answer["result"].get("structuredContent", VALUE), VALUE)

    def test_typescript_lists_and_calls(self):
        said = typescript(self.url, "echo", VALUE)
        self.assertEqual(said["server"]["name"], "echo")
        self.assertIn("tools", said["capabilities"])
        self.assertEqual(said["tools"], ["echo"])
        self.assertEqual(json.loads(said["result"]["content"][0]["text"]), VALUE)
        self.assertEqual(said["result"].get("structuredContent", VALUE), VALUE)
        self.assertEqual(said["unknown"], -32602)


class Godot(AsyncTestCase):
    @classmethod
    def setUpClass(cls):
        cls.system = cls.enterClassContext(System())
        cls.system.start()

    async def test_typescript_logs_and_queries(self):
        entry = {"component": "typescript", "level": "INFO", "message": "from the SDK", "data": VALUE}
        said = typescript(self.system.godot_url, "logger_log", entry)
        self.assertIn("logger_query", said["tools"])
        self.assertEqual(json.loads(said["result"]["content"][0]["text"])["status"], "ok")

        def rows():
            result = typescript(self.system.godot_url, "logger_query", {"component": "typescript"})["result"]
            self.assertFalse(result.get("isError", False), result)
            return json.loads(result["content"][0]["text"])

        (row,) = wait_until(rows, "the entry is stored")
        self.assertEqual({name: row[name] for name in entry}, entry)
        async with Caller(self.system.godot_url) as caller:
            self.assertEqual((await caller.call("logger_query", {"component": "typescript"}))[0]["id"], row["id"])


if __name__ == "__main__":
    main()
