"""The client over stdio: `iccm --stdio` with our own servers and those of the TypeScript SDK, and through the bridge.

tests/loop/test_client_stdio.c has the protocol and the failures of programs.
"""
import json
import os
import subprocess
import unittest

from services import INHERITED_ENV, PROGRAMS, SANITIZER_REPORT, WAIT_S, ProgramGroup, main, npm_node, npm_peers

OK, PROTOCOL, UNREACHABLE, TOOL, TIMEOUT = 0, 2, 4, 5, 6
EVERYTHING = PROGRAMS["everything"]


def iccm(*words, text=None, **environment):
    inherited = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ}
    run = subprocess.run([PROGRAMS["iccm"], *map(str, words)], capture_output=True, text=True, timeout=WAIT_S,
                         input=text, env=inherited | {"LOGGING_ENABLED": "false"} | environment)  # fmt: skip
    if SANITIZER_REPORT.search(run.stderr):
        raise AssertionError(run.stderr)
    return run


class OurServers(unittest.TestCase):
    """ICCM_TRANSPORT=stdio is set by the client."""

    def test_commands(self):
        listed = iccm("list", "--json", "--stdio", EVERYTHING)
        self.assertEqual(listed.returncode, OK, listed.stderr)
        self.assertIn("test_simple_text", listed.stdout)
        called = iccm("call", "test_x_mcp_header", "region=here", "--stdio", EVERYTHING)
        self.assertEqual((called.returncode, json.loads(called.stdout)), (OK, {"region": "here"}), called.stderr)
        read = iccm("call", "test_x_mcp_header", "-", "--stdio", EVERYTHING, text='{"region":"there"}')
        self.assertEqual(json.loads(read.stdout), {"region": "there"}, read.stderr)
        self.assertEqual(iccm("call", "test_error_handling", "--stdio", EVERYTHING).returncode, TOOL)
        pinged = iccm("ping", "--count", "2", "--stdio", EVERYTHING)
        self.assertIn("ping 2:", pinged.stdout)
        benched = iccm("bench", "--seconds", "0.1", "--json", "test_simple_text", "--stdio", EVERYTHING)
        self.assertEqual(benched.returncode, OK, benched.stderr)
        self.assertEqual(json.loads(benched.stdout)["connections"], 1)

    def test_progress(self):
        run = iccm("call", "--progress", "test_tool_with_progress", "--stdio", EVERYTHING)
        self.assertIn("50", run.stderr)
        self.assertEqual(run.returncode, OK)

    def test_arguments_of_the_program_are_not_those_of_iccm(self):
        run = iccm("list", "--json", "--stdio", PROGRAMS["echo"], "0", "--json", "--no-such-option")
        self.assertEqual(run.returncode, PROTOCOL)
        self.assertIn("usage: echo PORT", run.stderr)
        self.assertIn("the program ended with exit status 2", json.loads(run.stdout)["error"]["message"])

    def test_a_call_that_is_out_of_time(self):
        run = iccm("call", "--timeout", "1", "test_until_cancelled", "--stdio", EVERYTHING)
        self.assertEqual(run.returncode, TIMEOUT, run.stderr)


class Bridge(unittest.TestCase):
    def test_a_host_on_stdio(self):
        messages = [
            {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}}},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": {"name": "test_simple_text"}},
        ]
        text = "".join(json.dumps({"jsonrpc": "2.0"} | message) + "\n" for message in messages)
        run = iccm("bridge", "--stdio", EVERYTHING, text=text)
        self.assertEqual(run.returncode, OK, run.stderr)
        answers = {answer["id"]: answer["result"] for answer in map(json.loads, run.stdout.splitlines())}
        self.assertEqual(answers[1]["serverInfo"]["name"], "everything")
        self.assertIn("simple text response", answers[2]["content"][0]["text"])

    def test_a_server_that_knows_the_newest_version_alone(self):
        """It refuses initialize: the host's is answered from server/discover."""
        server = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    modern = "io.modelcontextprotocol/clientCapabilities" in request.get("params", {}).get("_meta", {})
    discovered = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "instructions": "be kind",
                  "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "newest", "version": "3"}}}
    answer = {"result": discovered if request["method"] == "server/discover" else {"content": []}}
    if not modern:
        answer = {"error": {"code": -32601, "message": "no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"]} | answer), flush=True)
"""
        messages = [
            {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}}},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": {"name": "x"}},
        ]
        text = "".join(json.dumps({"jsonrpc": "2.0"} | message) + "\n" for message in messages)
        run = iccm("bridge", "--stdio", "/usr/bin/python3", "-c", server, text=text)
        self.assertEqual(run.returncode, OK, run.stderr)
        answers = {answer["id"]: answer["result"] for answer in map(json.loads, run.stdout.splitlines())}
        self.assertEqual(answers[1], {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                      "serverInfo": {"name": "newest", "version": "3"}, "instructions": "be kind"})  # fmt: skip
        self.assertEqual(answers[2], {"content": []})

    def test_over_http(self):
        with ProgramGroup() as group:
            bridge = group.add("bridge", PROGRAMS["iccm"], "bridge", "--listen", "0", "--stdio", EVERYTHING)
            url = f"http://127.0.0.1:{bridge.start().port()}/mcp"
            self.assertIn("simple text response", iccm("call", url, "test_simple_text").stdout)


class Usage(unittest.TestCase):
    def test_refusals(self):
        for words, said in (
            (("list", "--stdio"), "--stdio needs a program"),
            (("list", "--stdio", ""), "--stdio needs a program"),
            (("list", "ws://x", "--stdio", "y"), "too many arguments"),
            (("call", "--stdio", "y"), "too few arguments"),
            (("stats", "--stdio", "y"), "--stdio is not an option of iccm stats"),
            (("stats", "--stdio", "y"), "--stdio is not an option of iccm stats"),
        ):
            with self.subTest(words=words):
                run = iccm(*words)
                self.assertEqual(run.returncode, 1)
                self.assertIn(said, run.stderr)

    def test_a_program_that_does_not_exist(self):
        run = iccm("list", "--stdio", "/nonexistent/server")
        self.assertEqual(run.returncode, UNREACHABLE)
        self.assertIn("cannot start the program: no such file or directory; check the path", run.stderr)

    def test_a_program_that_is_no_server(self):
        run = iccm("list", "--stdio", "sh", "-c", "exit 3")
        self.assertEqual(run.returncode, PROTOCOL)
        self.assertIn("sh: the program ended with exit status 3; check that the program is an MCP server", run.stderr)


class TypeScript(unittest.TestCase):
    def test_servers_of_both_versions(self):
        for sdk in "v1", "v2":
            server = ["--stdio", npm_node(), npm_peers() / "ts_http_server.mjs", sdk, "stdio"]
            with self.subTest(sdk=sdk):
                self.assertIn("test_x_mcp_header", iccm("list", *server).stdout)
                self.assertIn("simple text response", iccm("call", "test_simple_text", *server).stdout)
                called = iccm("call", "test_x_mcp_header", "region=us-west1", *server)
                self.assertEqual(json.loads(called.stdout), {"region": "us-west1"})
                self.assertIn("done in three steps", iccm("call", "--progress", "test_tool_with_progress", *server).stdout)
                failed = iccm("call", "test_error_handling", *server)
                self.assertEqual(failed.returncode, TOOL)
                self.assertIn("intentionally returns an error", failed.stderr)
                self.assertIn("ping 1:", iccm("ping", "--count", "1", *server).stdout)


if __name__ == "__main__":
    main()
