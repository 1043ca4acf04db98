"""The TypeScript SDK's clients and servers, version 1 and 2.

usage: test_typescript.py [--all] [-v] [NAME]...        (--all: every cell of the matrix, class Interop)

Interop is the matrix of SDK, transport and era: tests/peers/ts_interop.mjs plays the same steps in each cell. The other
classes are single requests of the WebSocket client of version 1, as that client sees them.

Happy path: a case of tests/peers/ts_rows.mjs runs against a real server and prints its result, which is compared with the
expectation here. For tests of our client the server is built with the same SDK (ts_server.mjs).
"""
import json
import os
import re
import ssl
import subprocess
import sys
import unittest
import urllib.request
from typing import NamedTuple

from services import (
    PROGRAMS,
    WAIT_S,
    ProgramGroup,
    SingleServer,
    free_port,
    main,
    npm_node,
    npm_peers,
    run_program,
    wait_until,
    websocket_upgrade,
)

NEWEST = "2025-11-25"
MODERN = "2026-07-28"
ALL = "--all" in sys.argv
TOKEN = "open-sesame"


def start(case, url):
    command = ["setpriv", "--pdeathsig", "KILL", "node", "ts_rows.mjs", case, url]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=npm_peers(), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)


def told(process):
    """What a case saw, from the last line that it printed."""
    try:
        out, err = process.communicate(timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"the client hangs: {process.communicate()}") from None
    if process.returncode != 0:
        raise AssertionError(err)
    return json.loads(out)


def iccm(*words):
    run = run_program([PROGRAMS["iccm"], *words])
    assert run.returncode == 0, run
    return run.stdout


class Asked(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        npm_peers()
        cls.server = cls.enterClassContext(SingleServer("slow_server", "0"))
        cls.idle = start("idle", cls.server.url)  # for 20 s, beside the others
        cls.addClassCleanup(cls.idle.kill)

    def see(self, case):
        return told(start(case, self.server.url))

    def test_offers_are_served(self):
        seen = self.see("handshake")
        offered = {name.lower(): value for name, value in seen["offered"].items()}
        self.assertEqual(offered["sec-websocket-protocol"], "mcp")
        self.assertRegex(offered["sec-websocket-extensions"], "permessage-deflate")
        self.assertTrue({"origin", "authorization"}.isdisjoint(offered), offered)
        self.assertEqual((seen["protocol"], seen["extensions"]), ("mcp", ""))
        self.assertGreater(seen["tools"], 0)

    def test_the_subprotocol_is_echoed_exactly(self):
        seen = self.see("subprotocol")
        self.assertRegex(seen["none"], "no subprotocol")
        self.assertRegex(seen["other"], "invalid subprotocol")
        for offer in ("mcp", "mcp.version.1, mcp", "mcp,other"):
            reply = websocket_upgrade(self.server.port, f"Sec-WebSocket-Protocol: {offer}")
            lines = reply.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
            said = [line for line in lines if re.match("sec-websocket-(protocol|extensions)", line, re.I)]
            self.assertEqual(said, ["Sec-WebSocket-Protocol: mcp"], offer)

    def test_ids_begin_with_0(self):
        seen = self.see("ids")
        sent = [["initialize", 0], ["notifications/initialized", None], ["ping", 1], ["tools/list", 2]]
        self.assertEqual(seen, {"sent": sent, "answered": [0, 1, 2]})

    def test_0_is_a_progress_token(self):
        seen = self.see("token_zero")
        self.assertEqual((seen["sent"]["id"], seen["sent"]["params"]["_meta"]), (0, {"progressToken": 0}))
        *notes, answer = seen["received"]
        self.assertEqual((answer["id"], seen["result"]), (0, answer["result"]))
        self.assertEqual({note["method"] for note in notes}, {"notifications/progress"})
        for note in notes:
            self.assertIs(type(note["params"]["progressToken"]), int)
            self.assertEqual((note["params"]["progressToken"], note["params"]["total"]), (0, 4))
        self.assertEqual(seen["heard"], [note["params"]["progress"] for note in notes][: len(seen["heard"])])
        self.assertGreater(len(seen["heard"]), 0)

    def test_the_version_is_echoed_where_it_is_known(self):
        seen = self.see("versions")
        self.assertEqual(seen["answers"].pop("2024-10-07"), NEWEST)  # which is not one of ours
        self.assertEqual(seen["answers"], {version: version for version in seen["answers"]})
        self.assertLessEqual({NEWEST, "2025-06-18", "2025-03-26", "2024-11-05"}, set(seen["answers"]))
        self.assertRegex(seen["unknown"], "not supported: 1999-01-01")

    def test_an_initialize_that_is_given_up(self):
        seen = self.see("abandoned")
        self.assertEqual(seen["code"], -32001)
        self.assertEqual(seen["sent"], [["initialize", None], ["notifications/cancelled", 0], ["ping", None]])

    def test_text_only(self):
        self.assertEqual(self.see("binary"), {"closed": 1003, "received": 3, "binary": 0})

    def test_never_a_batch_and_a_null_id_only_where_none_was_read(self):
        seen = self.see("no_batch")
        nulls = [[None, -32600], [None, -32600], [None, -32700], [None, -32600]]
        others = [[71, -32600], ["72", -32601], [73, -32602], [1, None]]
        self.assertEqual(seen["answers"], nulls + others)
        self.assertGreater(seen["complaints"], 0)

    def test_both_kinds_of_ping(self):
        self.assertEqual(self.see("pings"), {"answer": {}, "pong": "there?"})

    def test_the_ping_of_an_idle_server(self):
        self.assertEqual(told(self.idle), {"answer": {}})

    def test_nothing_is_sent_after_a_cancel(self):
        seen = self.see("cancelled")
        self.assertEqual(seen["told"], [-32001, -32001])
        self.assertEqual(sorted(seen["cancelled"]), seen["ids"])
        self.assertEqual((seen["after"], seen["errors"]), ([seen["last"]], []))
        self.assertEqual(json.loads(seen["content"][0]["text"]), {"ms": 1500})

    def test_progress_and_result_keep_their_order(self):
        seen = self.see("order")
        *progress, last = seen["frames"]
        self.assertEqual(last, "result")
        self.assertEqual(progress, sorted(set(progress)))
        self.assertEqual(progress[-1], 5)
        self.assertEqual(seen["heard"], progress[: len(seen["heard"])])
        self.assertEqual(json.loads(seen["result"]["content"][0]["text"]), {"ms": 80, "steps": 5})

    def test_what_is_promised_is_checked_before_it_is_sent(self):
        seen = self.see("output")
        self.assertEqual(seen["promised"]["required"], ["n"])
        self.assertEqual(seen["right"], {"n": 1})
        self.assertEqual((seen["wrong"], seen["bare"], seen["refused"]), (-32603, -32603, True))
        failed = {"structured": None, "is_error": False, "code": -32603}
        right = {"structured": {"n": 1}, "is_error": False, "code": None}
        self.assertEqual(seen["frames"], [right, failed, failed, {"structured": None, "is_error": True, "code": None}])


class AskedOfOneAlone(unittest.TestCase):
    """Tests that need a separate server: it is killed, or has another limit."""

    @classmethod
    def setUpClass(cls):
        npm_peers()

    def test_a_lost_connection_comes_back_with_a_new_initialize(self):
        with SingleServer("slow_server", str(free_port())) as server:
            client = start("lost", server.url)
            self.addCleanup(client.kill)
            self.assertEqual(client.stdout.readline(), "in flight\n", "see its end")
            server.program.kill()
            server.program.start()
            seen = told(client)
        self.assertEqual([failure["code"] for failure in seen["failures"]], [-32000] * 3)
        self.assertEqual(seen["after"]["message"], "Not connected")
        self.assertEqual(json.loads(seen["result"]["content"][0]["text"]), {"ms": 0, "again": True})
        self.assertEqual(seen["sent"], ["initialize", "notifications/initialized", "tools/call"])

    def test_20_mb_are_fine_and_beyond_either_limit_is_1009(self):
        with SingleServer("slow_server", "0", ICCM_MAX_MESSAGE_BYTES=64 << 20) as server:
            seen = told(start("large", server.url))
        self.assertEqual(seen["fine"]["length"], len('{"ms":0,"text":""}') + 20_000_000)
        self.assertEqual((seen["ours"]["length"], seen["ours"]["closed"]), (None, 1009))
        self.assertEqual(seen["theirs"]["length"], None)
        self.assertRegex(seen["theirs"]["errors"][0], "Max payload size exceeded")


class Ours(unittest.TestCase):
    """Our client, and a server of the SDK."""

    @classmethod
    def setUpClass(cls):
        place = cls.enterClassContext(ProgramGroup())
        program = place.add("ts-server", "node", npm_peers() / "ts_server.mjs", "0")
        cls.url = f"ws://127.0.0.1:{program.start().port()}"

    def test_it_answers_when_it_is_asked_back(self):
        seen = json.loads(iccm("call", "--json", self.url, "look_back"))
        self.assertEqual(seen, {"ping": {}, "unknown": -32601, "pong": "there?"})

    def test_it_follows_the_pages_of_which_theirs_fetches_one(self):
        seen = told(start("one_page", self.url))
        self.assertEqual((seen["tools"], seen["nextCursor"]), (["look_back"], "1"))
        self.assertEqual(iccm("list", self.url).split(), ["look_back", "second", "third"])


class Bridged(unittest.TestCase):
    def test_a_stdio_host_outlives_its_server(self):
        command = ["setpriv", "--pdeathsig", "KILL", "node", "ts_stdio.mjs", PROGRAMS["iccm"], "bridge"]
        with SingleServer("slow_server", str(free_port())) as server:
            host = subprocess.Popen(
                [*command, server.url], cwd=npm_peers(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
            )
            try:
                self.assertEqual(host.stdout.readline(), "calling\n")
                server.program.kill()
                server.program.start()
                seen = json.loads(host.communicate(timeout=WAIT_S)[0])
            finally:
                host.kill()
                host.communicate()
        self.assertEqual(host.returncode, 0)
        self.assertEqual((seen["server"], seen["first"], seen["again"]), ("slow", {"ms": 1}, {"ms": 20, "steps": 3}))
        self.assertEqual((seen["lost"]["code"], seen["lost"]["data"]["cause"]), (-32000, "lost"))
        self.assertEqual(seen["progress"][0], 1)  # the last one comes with the answer, and the SDK drops it then
        self.assertIn("sleep", seen["tools"])


class Cell(NamedTuple):
    sdk: str  # of the client
    transport: str
    era: str
    server: str = "ours"

    def name(self):
        return "_".join(self)

    def row(self):
        server = "our server" if self.server == "ours" else f"SDK {sdk_version('server', self.server)}"
        return f"SDK {sdk_version('client', self.sdk):8} {self.transport:12} {self.era:8} {server:12}"

    def expected(self):
        """Era and version."""
        legacy = self.era == "legacy" or self.server == "v1"
        return ("legacy", NEWEST) if legacy else ("modern", MODERN)


def sdk_version(part, sdk):
    package = "sdk" if sdk == "v1" else part
    path = npm_peers() / "node_modules/@modelcontextprotocol" / package / "package.json"
    return json.loads(path.read_text())["version"]


CLIENTS = [("v1", "legacy"), ("v2", "legacy"), ("v2", "auto"), ("v2", "modern")]
TRANSPORTS = ["http", "https", "websocket", "bridge"]
SHORT = [
    Cell("v1", "http", "legacy"),
    Cell("v2", "http", "legacy"),
    Cell("v2", "http", "auto"),
    Cell("v2", "http", "modern"),
    Cell("v2", "websocket", "modern"),
    Cell("v2", "bridge", "auto"),
]
# The last rows have no part of ours: they show that what fails elsewhere is ours.
EVERY = [Cell(sdk, transport, era) for transport in TRANSPORTS for sdk, era in CLIENTS]
EVERY += [
    Cell(sdk, "http", era, server)
    for server in ("v1", "v2")
    for sdk, era in CLIENTS
    if (era, server) != ("modern", "v1")
]


class OurClient(unittest.TestCase):
    """`iccm` with servers of both versions of the SDK over HTTP: version 1 is legacy, version 2 serves both eras."""

    def test_calls(self):
        npm_node()
        for sdk in "v1", "v2":
            with self.subTest(sdk=sdk), ProgramGroup() as group:
                program = group.add("server", npm_node(), npm_peers() / "ts_http_server.mjs", sdk, "0")
                url = f"http://127.0.0.1:{program.start().port()}/mcp"
                self.assertIn("test_x_mcp_header", iccm("list", url))
                self.assertIn("simple text response", iccm("call", url, "test_simple_text"))
                self.assertEqual(json.loads(iccm("call", url, "test_x_mcp_header", "region=us-west1")), {"region": "us-west1"})
                self.assertIn("done in three steps", iccm("call", "--progress", url, "test_tool_with_progress"))
                failed = run_program([PROGRAMS["iccm"], "call", url, "test_error_handling"])
                self.assertNotEqual(failed.returncode, 0)
                self.assertIn("intentionally returns an error", failed.stderr)
                self.assertIn("ping 1:", iccm("ping", "--count", "1", url))


class Interop(unittest.TestCase):
    """One test for each cell; the table of all is printed at the end."""

    @classmethod
    def setUpClass(cls):
        npm_node()
        cls.place = cls.enterClassContext(ProgramGroup()).directory
        run_program([PROGRAMS["certificates"], cls.place]).check_returncode()
        files = {"ICCM_TLS_CERT": cls.place / "good.pem", "ICCM_TLS_KEY": cls.place / "key.pem"}
        cls.tls = files | {"ICCM_AUTH_TOKEN": TOKEN}
        cls.results = {}
        cls.addClassCleanup(cls.print_table)

    @classmethod
    def print_table(cls):
        for cell, result in cls.results.items():
            print(f"{cell.row()} {result}")
        if not ALL:
            print(f"{len(EVERY)} cells: make test-interop")

    def play(self, cell):
        self.results[cell] = "failed"
        if cell.server == "ours":
            self.play_with_ours(cell)
        else:
            with ProgramGroup() as group:
                program = group.add("server", npm_node(), npm_peers() / "ts_http_server.mjs", cell.server, "0")
                port = program.start().port()
                self.check(cell, self.steps(cell, f"http://127.0.0.1:{port}/mcp"))
                program.wait_for("^cancelled$")
        self.results[cell] = "passed"

    def play_with_ours(self, cell):
        secure = cell.transport == "https"
        with SingleServer("everything", "0", **(self.tls if secure else {})) as server:
            scheme = {"http": "http", "https": "https"}.get(cell.transport, "ws")
            url = f"{scheme}://localhost:{server.port}/mcp"
            target = [PROGRAMS["iccm"], "bridge", url] if cell.transport == "bridge" else [url]
            environment = {"TOKEN": TOKEN, "NODE_EXTRA_CA_CERTS": str(self.place / "ca.pem")} if secure else {}
            self.check(cell, self.steps(cell, *target, **environment))
            page = f"{'https' if secure else 'http'}://localhost:{server.port}/metrics"
            ended = 'iccm_calls_total{tool="test_until_cancelled",outcome="cancelled"} 1\n'
            wait_until(lambda: ended in self.fetch(page), "the server has cancelled the call that was given up")

    def fetch(self, url):
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        context = ssl.create_default_context(cafile=self.place / "ca.pem")
        with urllib.request.urlopen(request, timeout=WAIT_S, context=context) as page:
            return page.read().decode()

    def steps(self, cell, *target, **environment):
        transport = {"https": "http", "bridge": "stdio"}.get(cell.transport, cell.transport)
        command = ["setpriv", "--pdeathsig", "KILL", npm_node(), "ts_interop.mjs", cell.sdk, transport, cell.era, *target]
        run = run_program(command, cwd=npm_peers(), env=os.environ | environment)
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def check(self, cell, seen):
        era, version = cell.expected()
        self.assertEqual(seen["server"]["name"], "everything" if cell.server == "ours" else "ts-http-server")
        self.assertEqual(seen["era"], era)
        no_version = cell.sdk == "v1" and not cell.transport.startswith("http")  # only that transport keeps it
        self.assertEqual(seen["version"], None if no_version else version)
        self.assertIn("test_until_cancelled", seen["tools"])
        self.assertEqual(seen.get("ping"), {} if era == "legacy" else None)
        self.assertEqual(seen["text"], [{"type": "text", "text": "This is a simple text response for testing."}])
        self.assertEqual(seen["types"], ["text", "image", "resource"])
        self.assertEqual(seen["region"], {"region": "\u00dcbersee, \u6771"})
        self.assertTrue(seen["refused"]["isError"])
        self.assertRegex(seen["refused"]["content"][0]["text"], "intentionally returns an error")
        self.assertEqual((seen["unknown"], seen["misfit"]), (-32602, True))
        progress = seen["progress"]["progress"]  # the SDK drops what arrives together with the result
        self.assertEqual(progress, sorted(set(progress) & {0, 50, 100}))
        self.assertEqual(seen["progress"]["text"], "done in three steps")
        self.assertEqual(seen["many"], 20)
        self.assertEqual(seen["givenUp"], {"failed": True, "aborted": True})
        self.assertTrue(seen["changed"])
        self.assertEqual(seen.get("session"), True if era == "legacy" and cell.transport.startswith("http") else None)
        # What was sent before the server received the cancellation.
        late = "progress notification for an unknown token"
        self.assertEqual([error for error in seen["errors"] if late not in error], [])


def add_cell(cell):
    setattr(Interop, f"test_{cell.name()}", lambda self: self.play(cell))


for each in EVERY if ALL else SHORT:
    add_cell(each)


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--all"]
    main()
