"""Log lines of real components, through Godot into the store: found by trace id, redacted, at the level that Godot received; none
lost or duplicated when Godot is killed; no loop; and a Godot that is not available slows nobody down.

Environment variable: TEST_LINES (1000).
"""
import asyncio
import fcntl
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest
from contextlib import AsyncExitStack
from pathlib import Path

from caller import Caller
from services import (
    ATTEMPTS,
    BUILD,
    PROGRAMS,
    WAIT_S,
    AsyncTestCase,
    ProgramGroup,
    SingleServer,
    System,
    free_port,
    main,
    run_program,
    wait_ready,
    wait_until,
    wait_until_async,
)
from streamable_http import INITIALIZE, META, Client, events, modern, modern_headers
from test_network import NetworkNamespace

LINES = int(os.environ.get("TEST_LINES", 1000))
RELAY = BUILD / "tests/system/relay"
GONE = "[REDACTED]"


class Shipping(System):
    """A System to which components ship their lines."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.shipping = {"LOGGING_ENABLED": "true", "GODOT_URL": self.godot_url}

    def component(self, name, *command, **settings):
        program = self.add(name, *command)
        self.programs.remove(program)
        self.programs.insert(0, program)  # it ends before those that it ships to
        program.environment = self.settings | self.shipping | settings
        return program.start()


async def everything(godot, **wanted):
    """All rows there are, oldest first."""
    rows, cursor = [], ""
    while cursor is not None:
        page = await godot.call("logger_query", wanted | {"limit": 1000, "cursor": cursor})
        rows += page["logs"]
        cursor = page["next_cursor"]
    return rows[::-1]


async def call_as(caller, tool, arguments, trace_id):
    answer = await caller.request("tools/call", {"name": tool, "arguments": arguments, "_meta": {"trace_id": trace_id}})
    assert "result" in answer, answer


def url_of(program):
    return f"ws://127.0.0.1:{program.port()}"


class OlderGodot(http.server.BaseHTTPRequestHandler):
    """Serves 2025-11-25 over HTTP: sessions, and a stream with the level of the component that asked for it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def respond(self, status, value=None, **headers):
        body = json.dumps(value).encode() if value is not None else b""
        self.send_response(status)
        for name, text in ({"Content-Type": "application/json", "Content-Length": len(body)} | headers).items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = {"jsonrpc": "2.0", "id": message.get("id")}
        if message["method"] == "initialize":
            self.server.asked = message["params"]["capabilities"]["experimental"]["iccm/log_level"]
            result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "older", "version": "1"}}
            self.respond(200, reply | {"result": result}, Mcp_Session_Id="s1")
        elif message["method"] == "tools/call":
            self.server.lines.append(message["params"]["arguments"])
            self.respond(200, reply | {"result": {"content": [{"type": "text", "text": "{}"}]}})
        elif "id" in message:
            self.respond(400, reply | {"error": {"code": -32000, "message": "Unsupported protocol version"}})
        else:
            self.respond(202)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        notice = {"jsonrpc": "2.0", "method": "notifications/iccm/log_level", "params": self.server.asked | {"level": "TRACE"}}
        self.wfile.write(f"data: {json.dumps(notice)}\n\n".encode())
        self.server.stopping.wait(WAIT_S)

    def do_DELETE(self):
        self.respond(200)


class Levels(AsyncTestCase):
    WITHIN_S, ROUNDS = 1.0, 10  # of which a busy machine may spoil all but one

    async def shipped(self, godot, caller, component):
        """Makes a call, and answers whether lines at TRACE came of it: they stand before the one at INFO."""
        trace = f"try {time.monotonic()}"
        await call_as(caller, "work", {"subject": "one"}, trace)
        await wait_until_async(lambda: everything(godot, trace_id=trace, level="INFO"), f"{component}'s line")
        rows = await everything(godot, trace_id=trace)
        self.assertEqual({row["component"] for row in rows}, {component})
        return any(row["message"] == "Tool call started" for row in rows)

    async def obeys(self, setter, godot, caller, component):
        """Both directions, each within a second at least once; one Godot sets the level, another sends it."""
        quick = set()
        for _ in range(self.ROUNDS):
            for level in ("TRACE", "INFO"):
                await setter.call("logger_set_level", {"component": component, "level": level})
                await asyncio.sleep(self.WITHIN_S)  # the very time that is promised
                if await self.shipped(godot, caller, component) == (level == "TRACE"):
                    quick.add(level)
                else:
                    await wait_until_async(lambda: self.is_at(level, godot, caller, component), f"{component} obeys {level}")
            if len(quick) == 2:
                return
        self.fail(f"{component} obeys later than {self.WITHIN_S} s: {quick}")

    async def is_at(self, level, *component):
        return await self.shipped(*component) == (level == "TRACE")

    async def test_two_godots(self):
        with Shipping() as system:
            port = free_port()
            other = system.add_instance("godot-server", "godot-server-2", MCP_PORT=str(port))
            other_url = f"ws://127.0.0.1:{port}"
            system.start()
            other.start()
            wait_ready(port)
            near = system.component("near", RELAY, "near", 0)
            far = system.component("far", RELAY, "far", 0, GODOT_URL=other_url)
            web = system.component("web", RELAY, "web", 0, GODOT_URL=f"http://127.0.0.1:{port}")
            async with Caller(system.godot_url) as setter, Caller(other_url) as godot:
                components = {"near": near, "far": far, "web": web}
                async with asyncio.TaskGroup() as group, AsyncExitStack() as callers:
                    tasks = [
                        group.create_task(self.obeys(setter, godot, await callers.enter_async_context(Caller(url_of(program))), name))
                        for name, program in components.items()
                    ]
                    await asyncio.wait(tasks)

    async def test_a_subscription_is_requested_again(self):
        """Over HTTP: Godot is restarted."""
        with Shipping().start() as system:
            web = system.component("web", RELAY, "web", 0, GODOT_URL=f"http://127.0.0.1:{system.godot_port}")
            async with Caller(url_of(web)) as caller:
                for level in "TRACE", "INFO":
                    async with Caller(system.godot_url) as godot:
                        await godot.call("logger_set_level", {"component": "web", "level": level})
                        await wait_until_async(lambda: self.is_at(level, godot, caller, "web"), f"web obeys {level}")
                    system.godot.kill()
                    system.godot.start()
                    wait_ready(system.godot_port)

    async def test_an_older_godot_over_http(self):
        """Its notice comes over the stream of the session."""
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OlderGodot) as godot, Shipping() as system:
            godot.daemon_threads, godot.block_on_close = True, False
            godot.lines, godot.stopping = [], threading.Event()
            threading.Thread(target=godot.serve_forever, args=(0.05,), daemon=True).start()
            web = system.component("web", RELAY, "web", 0, GODOT_URL=f"http://127.0.0.1:{godot.server_port}/mcp")
            async with Caller(url_of(web)) as caller:

                async def ships_all():
                    await call_as(caller, "work", {"subject": "one"}, "t")
                    return any(line["level"] == "TRACE" for line in godot.lines)

                await wait_until_async(ships_all, "web obeys TRACE")
            godot.stopping.set()
            godot.shutdown()

    async def test_the_notice_over_http(self):
        """In both eras, to a peer that asks for it."""
        capability = {"experimental": {"iccm/log_level": {"component": "peer"}}}
        with System().start() as system, Client(system.godot_port) as old, Client(system.godot_port) as new:
            message = INITIALIZE | {"params": INITIALIZE["params"] | {"capabilities": capability}}
            session = {"Mcp-Session-Id": old.post(message)[1]["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
            streams = [events(old.send("GET", headers=session))]
            message = modern("subscriptions/listen", notifications={"iccm/log_level": True}, meta={f"{META}clientCapabilities": capability})
            streams.append(events(new.send("POST", body=message, headers=modern_headers(message))))
            acknowledged = next(streams[1])
            self.assertEqual(acknowledged["params"]["notifications"], {"iccm/log_level": True})
            async with Caller(system.godot_url) as setter:
                for level in None, "ERROR", "TRACE":
                    if level is not None:
                        await setter.call("logger_set_level", {"component": "peer", "level": level})
                    for stream in streams:
                        await asyncio.to_thread(self.read_until, level, stream)

    def read_until(self, level, stream):
        for notice in stream:  # a change may be reported more than once
            self.assertEqual((notice["method"], notice["params"]["component"]), ("notifications/iccm/log_level", "peer"))
            if notice["params"]["level"] == level:
                return
        self.fail(f"the stream ended before {level}")


class Traces(AsyncTestCase):
    async def test_a_request_through_two_components(self):
        secrets = {
            "subject": "one",
            "who": {"name": "x", "db_password": "hush"},
            "list": [[{"accessToken": "hush", "n": 1}], {"API-Key": ["hush"]}],
            "authorization": {"deep": "hush"},
        }
        with Shipping().start() as system:
            second = system.component("second", RELAY, "second", 0)
            first = system.component("first", RELAY, "first", 0, url_of(second))
            async with Caller(url_of(first)) as caller, Caller(system.godot_url) as godot:
                await call_as(caller, "ask", secrets, "before")
                await wait_until_async(lambda: everything(godot, trace_id="before", component="second"), "lines at INFO")
                for name in ("first", "second"):
                    await godot.call("logger_set_level", {"component": name, "level": "TRACE"})

                async def both_heard():
                    trace = f"try {time.monotonic()}"
                    await call_as(caller, "ask", secrets, trace)
                    for name in ("first", "second"):  # whose line at INFO comes behind this one at TRACE
                        await wait_until_async(lambda: everything(godot, trace_id=trace, component=name, level="INFO"), name)
                    rows = await everything(godot, trace_id=trace)
                    return len({row["component"] for row in rows if row["message"] == "Tool call started"}) == 2

                await wait_until_async(both_heard, "both components ship from TRACE on")
                await call_as(caller, "ask", secrets, "the trace")

                async def whole():
                    rows = await everything(godot, trace_id="the trace")
                    return rows if len(rows) >= 8 else None

                rows = await wait_until_async(whole, "eight lines of the trace")
                self.check_trace(rows)
                before = await everything(godot, trace_id="before")
                self.assertEqual([row["message"] for row in before], ["asks for one", "works on one"])
                await godot.call("logger_set_level", {"component": "first", "level": "ERROR"})

                async def dumb():
                    trace = f"try {time.monotonic()}"
                    await call_as(caller, "ask", secrets, trace)
                    await wait_until_async(lambda: everything(godot, trace_id=trace, component="second"), "the second one's")
                    return not await everything(godot, trace_id=trace, component="first")

                await wait_until_async(dumb, "the first component ships errors alone")
            for program in (first, second):
                self.assertNotIn("hush", program.output())

    def check_trace(self, rows):
        said = sorted((row["component"], row["message"]) for row in rows)
        own = ["MCP request received", "Tool call completed", "Tool call started"]
        self.assertEqual(
            said,
            [("first", text) for text in own + ["asks for one"]] + [("second", text) for text in own + ["works on one"]],
        )
        self.assertNotIn("hush", json.dumps(rows))
        spans = {}
        for row in rows:
            if row["message"] == "MCP request received":
                continue
            data = row["data"]
            spans.setdefault(row["component"], set()).add((data["span_id"], data.get("parent_span_id")))
            if " one" in row["message"]:
                self.assertEqual(data["who"], {"name": "x", "db_password": GONE})
                self.assertEqual(data["list"], [[{"accessToken": GONE, "n": 1}], {"API-Key": GONE}])
                self.assertEqual(data["authorization"], GONE)
        [(outer, nobody)], [(inner, parent)] = spans["first"], spans["second"]
        self.assertIsNone(nobody)
        self.assertEqual(parent, outer)
        self.assertNotEqual(inner, outer)


class Delivery(AsyncTestCase):
    async def test_godot_is_killed_and_comes_back(self):
        with Shipping().start() as system:
            program = system.component("worker-like", RELAY, "worker-like", 0)
            async with Caller(url_of(program)) as caller:
                for number in range(LINES):
                    if number == LINES // 4:
                        system.godot.kill()  # with lines on their way
                    await caller.call("work", {"subject": f"{number:06}"})
                system.godot.start()
                wait_ready(system.godot_port)
                async with Caller(system.godot_url) as godot:

                    async def all_there():
                        rows = await everything(godot, component="worker-like")
                        return rows if any(row["message"] == f"works on {LINES - 1:06}" for row in rows) else None

                    await wait_until_async(all_there, "the last line")
                    await wait_until_async(lambda: self.drained(system), "an empty queue")
                    rows = await everything(godot, component="worker-like")
            said = [row["message"] for row in rows if row["message"].startswith("works on")]
            self.assertEqual(sorted(said), [f"works on {number:06}" for number in range(LINES)])
            self.assertEqual(len({row["id"] for row in rows}), len(rows))

    async def drained(self, system):
        return system.redis_int("LLEN", "logs:queue") == 0

    async def test_what_is_said_last_arrives(self):
        with Shipping().start() as system:
            program = system.component("brief", RELAY, "brief", 0)
            async with Caller(url_of(program)) as caller, Caller(system.godot_url) as godot:
                await wait_until_async(lambda: everything(godot, component="brief"), "the first line")
                await caller.call("work", {"subject": "last"})
                program.stop()

                async def stopped():
                    rows = await everything(godot, component="brief")
                    return rows if rows[-1]["message"] == "Server stopped" else None

                said = [row["message"] for row in await wait_until_async(stopped, "the last line")]
                self.assertIn("works on last", said)
                self.assertIn("Server stopping", said)

    async def test_storing_lines_makes_no_lines(self):
        with Shipping() as system:
            system.dewey.environment = system.settings | system.shipping | {"LOG_LEVEL": "TRACE"}
            system.start()
            async with Caller(system.godot_url) as godot, Caller(system.dewey_url) as dewey:
                await wait_until_async(lambda: everything(godot, component="dewey"), "Dewey's first line")
                for batch in range(10):
                    for number in range(20):
                        entry = {"component": "busy", "level": "INFO", "message": f"{batch}.{number}"}
                        await godot.call("logger_log", entry)

                    async def stored():
                        stats = await dewey.call("dewey_get_log_stats")
                        return stats["count_by_component"].get("busy") == 20 * (batch + 1)

                    await wait_until_async(stored, f"batch {batch} in the store")
                    await dewey.call("dewey_query_logs", {"component": "busy", "limit": 1})
                await wait_until_async(lambda: Delivery.drained(self, system), "an empty queue")
                stats = await dewey.call("dewey_get_log_stats")
                said = [row["message"] for row in await everything(godot, component="dewey")]
                self.assertNotIn("Client connected", said)
                self.assertFalse([text for text in said if "call" in text or "request" in text], said)
                self.assertEqual(stats["count_by_component"], {"busy": 200, "dewey": len(said)})

    async def test_what_is_too_deep_for_godot_arrives_cut(self):
        deep = {}
        for _ in range(55):
            deep = {"a": deep}
        with Shipping().start() as system:
            program = system.component("deep", PROGRAMS["slow_server"], 0, LOG_LEVEL="TRACE")
            async with Caller(url_of(program)) as caller, Caller(system.godot_url) as godot:
                answer = await caller.request("tools/call", {"name": "sleep", "arguments": {"ms": 0, "deep": deep}})
                self.assertIn("result", answer)

                async def started():
                    rows = await everything(godot, component="slow")
                    return [row for row in rows if row["message"] == "Tool call started"]

                [row] = await wait_until_async(started, "the call's line")
                self.assertIn(GONE, json.dumps(row["data"]))
            self.assertNotIn("was refused", program.output())


class Away(AsyncTestCase):
    """A component whose Godot is unavailable or does not work."""

    async def serves(self, url, **settings):
        """Calls are answered at once, and so is SIGTERM."""
        for _ in range(ATTEMPTS):
            call_s, stop_s = await self.longest(url, **settings)
            if call_s < 0.8 and stop_s < 2.5:
                return
        self.fail(f"always as slow as {call_s} s for a call and {stop_s} s for the end")

    async def longest(self, url, **settings):
        """Seconds that a call took, and that the end took."""
        with SingleServer("echo", "0", GODOT_URL=url, **{"LOGGING_ENABLED": "true", "LOG_LEVEL": "TRACE"} | settings) as echo:
            slowest, end = 0, time.monotonic() + 3  # longer than the first attempts to connect take
            async with Caller(echo.url) as caller:
                while time.monotonic() < end:
                    began = time.monotonic()
                    await caller.call("echo", {"some": "arguments" * 20})
                    slowest = max(slowest, time.monotonic() - began)
            began = time.monotonic()
            echo.program.stop()
            return slowest, time.monotonic() - began

    async def test_nobody_listens(self):
        await self.serves(f"ws://127.0.0.1:{free_port()}")

    async def test_somebody_listens_and_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            await self.serves(f"ws://127.0.0.1:{silent.getsockname()[1]}")

    async def test_a_name_that_nobody_has(self):
        await self.serves("ws://godot.invalid:9060")

    async def test_a_network_that_swallows_everything(self):
        with NetworkNamespace() as other:
            other.addresses("10.231.78.1/24", "10.231.78.2/24")
            other.make("-n", other.name, "addr", "del", "10.231.78.2/24", "dev", other.inside)
            other.make("neigh", "add", "10.231.78.2", "lladdr", "02:00:00:00:00:02", "dev", other.outside)
            await self.serves("ws://10.231.78.2:9060")

    async def test_no_logging(self):
        with socket.create_server(("127.0.0.1", 0)) as godot:
            url = f"ws://127.0.0.1:{godot.getsockname()[1]}"
            await self.serves(url, LOGGING_ENABLED="false")
            godot.setblocking(False)
            with self.assertRaises(BlockingIOError):
                godot.accept()


class Settings(unittest.TestCase):
    def refused(self, command, variable, value, allowed):
        with ProgramGroup(**{variable: value}) as place:
            run = run_program(command, env={"PATH": os.environ["PATH"]} | place.settings)
        lines = run.stderr.splitlines()
        self.assertEqual((run.returncode, len(lines)), (1, 1), run.stderr)
        for words in (variable, value, allowed):
            self.assertIn(words, lines[0])

    def test_settings_that_cannot_be_read(self):
        servers = ([PROGRAMS["echo"], "0"], [PROGRAMS["godot-server"]], [PROGRAMS["dewey"]])
        for command in servers:
            for url in ("ftp://godot:9060", "ws://", "ws://godot:port"):
                with self.subTest(command=command[0].name, url=url):
                    self.refused(command, "GODOT_URL", url, "ws://host:port")
            with self.subTest(command=command[0].name):
                self.refused(command, "LOGGING_ENABLED", "perhaps", "false")
        for command in (*servers, [PROGRAMS["godot-worker"]]):
            with self.subTest(command=command[0].name):
                self.refused(command, "LOG_LEVEL", "LOUD", "TRACE, DEBUG, INFO, WARN or ERROR")


class NobodyReads(AsyncTestCase):
    """stderr is a pipe that is full."""

    def small_pipe(self, filled):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        if filled:
            os.set_blocking(writer, False)
            with self.assertRaises(BlockingIOError):
                while True:
                    os.write(writer, b"x" * 4096)
            os.set_blocking(writer, True)
        return reader, writer

    async def full_pipe(self, filled):
        port = free_port()
        environment = {"PATH": os.environ["PATH"], "LOG_LEVEL": "TRACE", "GODOT_URL": f"ws://127.0.0.1:{free_port()}"}
        reader, writer = self.small_pipe(filled)
        process = subprocess.Popen([PROGRAMS["echo"], str(port)], stderr=writer, env=environment)
        os.close(writer)
        try:
            wait_until(lambda: self.listens(port), "the server listens")
            async with Caller(f"ws://127.0.0.1:{port}") as caller:
                for number in range(300):
                    self.assertEqual(await caller.call("echo", {"n": number}), {"n": number})
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(WAIT_S), 0)
            output = os.read(reader, 65536).decode()
        finally:
            process.kill()
            process.wait()
            os.close(reader)
        # A pipe of one page is full with what was written first: any line may be that.
        self.assertEqual(re.search(r"^\S+Z [A-Z]+ +\w+: ", output) is not None, not filled)

    def listens(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=WAIT_S).close()
            return True
        except OSError:
            return False

    async def test_it_fills_up(self):
        await self.full_pipe(False)

    async def test_it_was_full_before(self):
        await self.full_pipe(True)

    def test_a_program_without_a_server(self):
        """Whose lines are written where they are made."""
        environment = {"PATH": os.environ["PATH"], "LOG_LEVEL": "TRACE", "REDIS_PORT": str(free_port())}
        reader, writer = self.small_pipe(True)
        process = subprocess.Popen([PROGRAMS["godot-worker"]], stderr=writer, env=environment)
        os.close(writer)
        try:
            wait_until(lambda: self.catches(process.pid, signal.SIGTERM), "the worker runs")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(WAIT_S), 0)
        finally:
            process.kill()
            process.wait()
            os.close(reader)

    def catches(self, pid, number):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        return int(status["SigCgt"], 16) >> (number - 1) & 1


if __name__ == "__main__":
    main()
