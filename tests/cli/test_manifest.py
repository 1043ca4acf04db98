"""`iccm manifest`: the files for the MCP registry and for mcpb bundles, and the values that it refuses.

The rules are stated here. The published schemas are not part of the tree. That of mcpb, and its validator, come from npm. No
package has that of server.json: if MCP_SCHEMAS names a directory with server.schema.json (schemas/2025-12-11/ in
github.com/modelcontextprotocol/static), the output is also validated against it.
"""
import json
import os
import tempfile
import unittest
from pathlib import Path

from fake_server import NO_RESPONSE, FakeServer, Response, mcp
from services import BUILD, SingleServer, free_port, main, npm_peers, run_program
from test_program import OK, PROTOCOL, TIMEOUT, UNREACHABLE, USAGE, Case, iccm, iccm_late

SCHEMAS = os.environ.get("MCP_SCHEMAS")
SERVER_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
NAME = "io.github.user/weather"
TOOLS = [{"name": "rain", "description": "Rain of\nthe next hour", "inputSchema": {"type": "object"}}, {"name": "sun"}]


def peer(tools=(), **info):
    """A fake server with these tools and this serverInfo."""

    def answer(method, _params):
        return {"tools": list(tools)} if method == "tools/list" else {}

    def initialize(_method, params):
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}

    return FakeServer(mcp(answer, initialize))


def made(*words):
    outcome = iccm("manifest", *words)
    assert (outcome.code, outcome.err) == (OK, ""), outcome
    return json.loads(outcome.out)


class Manifest(Case):
    def test_server(self):
        with SingleServer("echo", "0") as echo:
            words = "server", "--name", NAME, "--description", "Returns its arguments", echo.url
            expected = {"$schema": SERVER_SCHEMA, "name": NAME, "description": "Returns its arguments", "version": "0.1.0"}
            self.assertEqual(made(*words), expected)
            expected["remotes"] = [{"type": "streamable-http", "url": "https://example.com:8443/mcp?a=b"}]
            self.assertEqual(made(*words, "--url", "https://example.com:8443/mcp?a=b"), expected)
            self.assertEqual(made(*words, "--server-version", "2.0.0-beta.1")["version"], "2.0.0-beta.1")

    def test_bundle(self):
        with SingleServer("echo", "0") as echo:
            manifest = made("mcpb", "--author", "Ann Ö", "--description", "Returns its arguments", echo.url, "--", "--port", "0", "a b")
        self.assertEqual(
            manifest,
            {
                "manifest_version": "0.3",
                "name": "echo",
                "version": "0.1.0",
                "description": "Returns its arguments",
                "author": {"name": "Ann Ö"},
                "server": {
                    "type": "binary",
                    "entry_point": "server/echo",
                    "mcp_config": {
                        "command": "${__dirname}/server/echo",
                        "args": ["--port", "0", "a b"],
                        "env": {"ICCM_TRANSPORT": "stdio"},
                    },
                },
                "tools": [{"name": "echo", "description": "Answers its arguments"}],
                "compatibility": {"platforms": ["linux"]},
            },
        )

    def test_values_of_the_server(self):
        with peer(TOOLS, name=NAME, version="3", description="Weather") as server:
            self.assertEqual([made("server", server.url)[key] for key in ("name", "version", "description")], [NAME, "3", "Weather"])
            manifest = made("mcpb", "--author", "Ann", server.url)
            self.assertEqual(manifest["tools"], [{key: tool[key] for key in tool if key != "inputSchema"} for tool in TOOLS])
            self.assertEqual(manifest["server"]["entry_point"], "server/weather", "without the namespace")
            manifest = made("mcpb", "--author", "Ann", "--command", "bin/w", "--name", "w", server.url)
            self.assertEqual((manifest["name"], manifest["server"]["entry_point"]), ("w", "bin/w"))
            self.assertEqual(manifest["server"]["mcp_config"]["command"], "${__dirname}/bin/w")

    def test_json_is_one_line(self):
        with peer(name=NAME, version="3", description="Weather") as server:
            self.assertEqual(iccm("manifest", "server", "--json", server.url).out.count("\n"), 1)
            self.assertGreater(iccm("manifest", "server", server.url).out.count("\n"), 4)

    def test_a_server_that_answers_initialize_once(self):
        begun = []

        def initialize(_method, params):
            begun.append(params)
            if len(begun) % 2 == 0:
                raise Response({"code": -32600, "message": "already initialized"})
            return {"protocolVersion": params["protocolVersion"], "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}

        with FakeServer(mcp(lambda _method, _params: {"tools": []}, initialize)) as server:
            self.expect(iccm("manifest", "server", server.url), USAGE, r"no name given \(set --name\)")
            words = "--name", NAME, "--server-version", "1", "--description", "Weather"
            self.assertEqual(made("server", *words, server.url)["version"], "1")

    def test_tools_that_are_none(self):
        with peer([{"name": 7}, 7, {"name": "rain", "description": 7}], name="w", version="1", description="W") as server:
            self.assertEqual(made("mcpb", "--author", "Ann", server.url)["tools"], [{"name": "rain"}])


class Refused(Case):
    def refuse(self, kind, option, *values):
        """These values are refused before the server is contacted."""
        for value in values:
            with self.subTest(value=value[:40]):
                outcome = iccm("manifest", kind, f"{option}={value}", f"127.0.0.1:{self.port}")
                self.expect(outcome, USAGE, rf"invalid {option[2:]} .*: expected .* \(set {option}\)")

    def allow(self, kind, option, *values):
        for value in values:
            with self.subTest(value=value[:40]):
                self.expect(iccm("manifest", kind, f"{option}={value}", f"127.0.0.1:{self.port}"), UNREACHABLE)

    def setUp(self):
        self.port = free_port()

    def test_names(self):
        self.refuse("server", "--name", "", "weather", "a/b", "io.x/", "/weather", "io.x/a/b", "io.x/we ather", "i_o.x/weather")
        self.refuse("server", "--name", "-io.x/weather", "io.x./weather", "io.x/weather_", "io.ö/weather", "io.x/" + "w" * 196)
        self.allow("server", "--name", "ab/cd", NAME, "Io-1.x/a._-b", "io.x/" + "w" * 195)
        self.refuse("mcpb", "--name", "", "a\nb", "w" * 65536)
        self.allow("mcpb", "--name", "My weather", NAME, "w" * 65535)

    def test_versions(self):
        for kind in "server", "mcpb":
            self.refuse(kind, "--server-version", "", "latest", "^1.2.3", "~1.2", ">=1.0", "<2", "=1", "1.x", "1.X.2", "1.2.*", "*", "x")
            self.refuse(kind, "--server-version", "1 - 2", "1.2 || 1.3", "1.x-beta", "1" * 256, "1\t")
            self.allow(kind, "--server-version", "1", "1.2.3", "v1.2", "2.1.0-alpha.1+linux.x86", "2026.12.01", "1" * 255)

    def test_descriptions(self):
        self.refuse("server", "--description", "", "a\nb", "ö" * 101)
        self.allow("server", "--description", "ö" * 100)
        self.refuse("mcpb", "--description", "", "a\x7f")
        self.allow("mcpb", "--description", "ö" * 101)

    def test_addresses(self):
        self.refuse("server", "--url", "", "example.com", "ws://example.com", "https://", "https:///mcp", "https://:80", "ftp://x", "HTTP://x")
        self.refuse("server", "--url", "https://u:secret@x/", "https://x/{id}", "https://x/a b", "https://x/\n")
        self.allow("server", "--url", "https://x", "http://[::1]:80/mcp", "https://example.com/@x?u=a@b#c")
        self.assertNotIn("secret", iccm("manifest", "server", "--url", "https://u:secret@x/", "x").err)

    def test_commands(self):
        self.refuse("mcpb", "--command", "", "/bin/sh", "../x", "a/../x", "a//b", "a/", "./a", ".hidden", "a\\b", "${HOME}/x", "a\n")
        self.allow("mcpb", "--command", "weather", "server/weather-1.0", "a/b c/d")

    def test_text_that_is_not_utf8(self):
        for option in "--author", "--name":
            self.expect(iccm("manifest", "mcpb", option, os.fsdecode(b"\xff"), "x"), USAGE, f"invalid {option[2:]}")
        self.expect(iccm("manifest", "mcpb", "x", os.fsdecode(b"\xff")), USAGE, "argument 1 of the program is not UTF-8")

    def test_values_of_the_server(self):
        good = {"name": NAME, "version": "1", "description": "Weather"}
        for name, value in {"name": "weather", "version": "latest", "description": "d" * 101}.items():
            with peer(**good | {name: value}) as server:
                option = "server-version" if name == "version" else name
                self.expect(iccm("manifest", "server", server.url), USAGE, rf"invalid {option} .* \(set --{option}\)")
        for value in {}, 7, "", None:
            with peer(**good | {"version": value}) as server:
                self.expect(iccm("manifest", "server", server.url), USAGE, r"no server-version given \(set --server-version\)")
        with peer(**good) as server:
            self.expect(iccm("manifest", "mcpb", server.url), USAGE, r"no author given \(set --author\)")
            error = self.expect_json_error(iccm("manifest", "mcpb", "--json", server.url), USAGE)
            self.assertEqual(error["message"], "no author given (set --author)")
        with peer(**good | {"name": "a/.."}) as server:
            self.expect(iccm("manifest", "mcpb", "--author", "Ann", server.url), USAGE, r"invalid command server/\.\.: ")

    def test_usage(self):
        self.expect(iccm("manifest"), USAGE, "too few arguments")
        self.expect(iccm("manifest", "server"), USAGE, "too few arguments")
        self.expect(iccm("manifest", "dxt", "x"), USAGE, "invalid kind of manifest dxt: expected server or mcpb")
        self.expect(iccm("manifest", "server", "x", "y"), USAGE, "too many arguments")
        for option in "--author", "--command":
            self.expect(iccm("manifest", "server", option, "x", "x"), USAGE, f"{option} is not an option of iccm manifest server")
        self.expect(iccm("manifest", "mcpb", "--url", "https://x", "x"), USAGE, "--url is not an option of iccm manifest mcpb")
        self.expect(iccm("manifest", "server", "ftp://x"), USAGE, "ftp")

    def test_failures(self):
        words = "manifest", "mcpb", "--author", "Ann", "--description", "Weather"
        with FakeServer(mcp(lambda _method, _params: NO_RESPONSE)) as server:
            self.expect(iccm_late(*words, server.url), TIMEOUT, "tools/list")

        def refuse(_method, _params):
            raise Response({"code": -32603, "message": "out of order"})

        with FakeServer(mcp(refuse)) as server:
            self.expect(iccm(*words, server.url), PROTOCOL, "tools/list: .*out of order")


class Schemas(unittest.TestCase):
    def check(self, schema, value):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(value, file)
            file.flush()
            run = run_program([BUILD / "tests/cli/schema_check", schema, file.name])
        self.assertEqual(run.stderr, "")
        self.assertIn(run.returncode, (0, 1), run.stdout)
        return run.stdout

    @unittest.skipUnless(SCHEMAS, "MCP_SCHEMAS names no directory with server.schema.json")
    def test_server(self):
        schema = Path(SCHEMAS) / "server.schema.json"
        with peer(name=NAME, version="1", description="d" * 100) as server:
            manifest = made("server", "--url", "https://example.com/mcp", server.url)
            self.assertEqual(self.check(schema, manifest), "")
            self.assertEqual(self.check(schema, made("server", server.url)), "")
        self.assertIn("name", self.check(schema, manifest | {"name": "weather"}))
        self.assertIn("description", self.check(schema, manifest | {"description": "d" * 101}))
        self.assertNotEqual(self.check(schema, manifest | {"remotes": [{"type": "websocket", "url": "x"}]}), "")

    def test_bundle(self):
        package = npm_peers() / "node_modules/@anthropic-ai/mcpb"
        schema = package / "dist/mcpb-manifest-v0.3.schema.json"
        with peer(TOOLS, name=NAME, version="1", description="Weather") as server:
            manifest = made("mcpb", "--author", "Ann", server.url, "7000")
        self.assertEqual(self.check(schema, manifest), "")
        self.assertNotEqual(self.check(schema, manifest | {"title": "unknown"}), "")
        self.assertIn("tools", self.check(schema, manifest | {"tools": TOOLS}))
        for value, code in (manifest, 0), (manifest | {"title": "unknown"}, 1):
            with tempfile.TemporaryDirectory() as place:
                (Path(place) / "manifest.json").write_text(json.dumps(value))
                run = run_program(["node", package / "dist/cli/cli.js", "validate", place])
            self.assertEqual(run.returncode, code, run.stdout + run.stderr)


if __name__ == "__main__":
    main()
