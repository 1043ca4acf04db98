"""A server of Python functions: every kind of function, arguments, failures, cancellation, start and stop."""
import asyncio
import contextvars
import dataclasses
import enum
import functools
import gc
import hashlib
import logging
import os
import tempfile
import threading
import time
import weakref
from typing import Optional
from unittest import mock

from common import LONG, Case, main
from iccm_network import Client, Content, McpError, Server, ToolError, _loop, current_call
from iccm_network._native import lib

HUGE = "9" * 5000  # digits that int() of Python refuses


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    colour: Optional[Colour] = None

    def __post_init__(self):
        if self.x < 0:
            raise ValueError("x is\nnegative")


class Kinds(Case):
    async def test_functions_of_every_kind(self):
        server = self.server()

        class Tools:
            def __init__(self, greeting):
                self.greeting = greeting

            async def method(self, name: str):
                return f"{self.greeting} {name}"

            def plain(self, name: str):
                return f"{self.greeting} {name}"

            async def __call__(self, name: str):
                return f"{self.greeting} {name}"

        async def greet(greeting: str, name: str):
            return f"{greeting} {name}"

        tools = Tools("hello")
        server.tool(tools.method)
        server.tool(tools.plain)
        server.tool(name="object")(tools)
        server.tool(name="partial")(functools.partial(greet, "hello"))
        server.tool(name="lambda")(lambda name: f"hello {name}")
        server.tool(name="keywords", schema={"type": "object"})(lambda **args: f"hello {args['na-me']}")
        client = await self.serve(server)
        for tool in ("method", "plain", "object", "partial", "lambda"):
            self.assertEqual(await client.call(tool, {"name": "Ada"}), "hello Ada", tool)
        self.assertEqual(await client.call("keywords", {"na-me": "Ada"}), "hello Ada")

    async def test_a_decorated_function_stays_what_it_is(self):
        server = self.server()

        @server.tool
        def double(n: int) -> int:
            """Doubles"""
            return 2 * n

        self.assertEqual((double(4), double.__doc__), (8, "Doubles"))

    async def test_results_of_every_kind(self):
        values = [None, True, 1, 1.5, "ä\0", [1], {"a": {"b": None}}, (1, 2), Colour.RED, Point(1, Colour.RED), {3}]
        server = self.server()
        server.tool(name="value")(lambda at: values[at])
        client = await self.serve(server)
        got = [await client.call("value", {"at": at}) for at in range(len(values))]
        plain = {"x": 1, "colour": "red"}
        self.assertEqual(got, [None, True, 1, 1.5, "ä\0", [1], {"a": {"b": None}}, [1, 2], "red", plain, [3]])

    async def test_content_blocks(self):
        server = self.server()
        blocks = [{"type": "image", "data": "aGk=", "mimeType": "image/png"}, {"type": "text", "text": "b"}]
        server.tool(name="blocks")(lambda: Content(blocks))
        server.tool(name="both")(lambda: Content([{"type": "text", "text": "a"}], {"n": 1}))
        server.tool(name="failed")(lambda: Content([{"type": "text", "text": "a failure"}], is_error=True))
        server.tool(name="invalid")(lambda: Content([{"type": "nothing"}]))
        client = await self.serve(server)
        self.assertEqual((await client.request("tools/call", {"name": "blocks"}))["content"], blocks)
        self.assertEqual(await client.request("both"), {"n": 1})  # a direct call
        with self.assertRaisesRegex(ToolError, "^a failure$"):
            await client.call("failed")
        with self.assertRaises(McpError) as raised:
            await client.call("invalid")
        self.assertEqual(raised.exception.name, "MCP_INTERNAL_ERROR")

    async def test_the_list_of_tools(self):
        server = self.server()
        hints = {"readOnlyHint": True}

        @server.tool(title="A title", annotations=hints, output_schema={"type": "object", "properties": {"n": {}}})
        async def shown(n: int = 3):
            """Shows
            itself"""

        @server.tool(unlisted=True, description="Another description")
        async def hidden():
            """Is hidden"""

        client = await self.serve(server)
        (tool,) = await client.list_tools()
        schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}}
        self.assertEqual((tool["name"], tool["description"], tool["inputSchema"]), ("shown", "Shows\nitself", schema))
        self.assertIsNone(await client.call("hidden"))


class Roles(Case):
    async def test_a_role_permits_what_the_tools_declare(self):
        with tempfile.NamedTemporaryFile("w") as file, mock.patch.dict(os.environ, ICCM_TOKENS=file.name):
            file.write(f"walt write never sha256:{hashlib.sha256(b'a-token').hexdigest()}\n")
            file.flush()
            server = self.server()

            @server.tool
            async def plain():
                return 1

            @server.tool(admin=True)
            async def rule():
                return 2

            client = await self.serve(server, auth_token="a-token")
            self.assertEqual(await client.call("plain"), 1)
            with self.assertRaisesRegex(ToolError, 'rule needs the role admin: the token "walt" has the role write'):
                await client.call("rule")
            file.truncate(0)
            server.reload()
            with self.assertRaises(McpError):
                await client.call("plain")


class Arguments(Case):
    async def refused(self, client, tool, args):
        with self.assertRaises(McpError) as raised:
            await client.call(tool, args)
        self.assertEqual(raised.exception.name, "MCP_INVALID_PARAMS", args)
        return str(raised.exception)

    async def test_bad_input_never_reaches_the_function(self):
        server, seen = self.server(), []

        @server.tool
        async def tool(name: str, n: int = 3):
            seen.append(name)

        client = await self.serve(server)
        self.assertIn("name", await self.refused(client, "tool", {}))
        self.assertIn("n", await self.refused(client, "tool", {"name": "a", "n": "b"}))
        self.assertIn('did you mean "name"', await self.refused(client, "tool", {"name": "a", "nme": "b"}))
        self.assertEqual(seen, [])

    async def test_unknown_arguments_can_be_dropped(self):
        server = self.server()
        server.tool(name="drops", strict=False)(lambda a=0: a)
        server.tool(name="keeps")(lambda **args: args)
        client = await self.serve(server)
        self.assertEqual(await client.call("drops", {"a": 1, "b": 2}), 1)
        self.assertEqual(await client.call("keeps", {"a": 1, "b": None}), {"a": 1, "b": None})

    async def test_null_counts_as_not_given(self):
        server = self.server()

        @server.tool
        async def tool(a: int | None, b: int = 3, c: Optional[Colour] = Colour.RED):
            return [a, b, c]

        client = await self.serve(server)
        self.assertEqual(await client.call("tool", {"a": None, "b": None, "c": None}), [None, 3, "red"])

    async def test_classes_are_made(self):
        server = self.server()

        @server.tool
        async def tool(points: list[Point]):
            return [[type(each).__name__, each.x, each.colour and each.colour.name] for each in points]

        client = await self.serve(server)
        answer = await client.call("tool", {"points": [{"x": 1, "colour": "red"}, {"x": 2}]})
        self.assertEqual(answer, [["Point", 1, "RED"], ["Point", 2, None]])
        self.assertEqual(await self.refused(client, "tool", {"points": [{"x": -1}]}), "invalid arguments: x is negative")
        await self.refused(client, "tool", {"points": [{"x": 1, "z": 1}]})

    async def test_a_number_that_python_refuses(self):
        server = self.server()
        server.tool(name="tool")(lambda **args: list(args))
        client = await self.serve(server)
        # The client sends JSON text that Python would not write.
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = f'{{"jsonrpc":"2.0","id":1,"method":"tool","params":{{"n":{HUGE}}}}}'
        head = (
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write((head + body).encode())
        self.assertIn(b"-32602", await reader.read())
        writer.close()
        self.assertEqual(await client.call("tool", {"n": 1}), ["n"])


class Failures(Case):
    async def error(self, client, tool, args=None):
        with self.assertRaises(McpError) as raised:
            await client.call(tool, args)
        return raised.exception

    async def test_what_a_function_raises(self):
        server = self.server()

        @server.tool
        async def raises(kind: str):
            if kind == "tool":
                raise ToolError("cannot do it")
            if kind == "data":
                raise ToolError("not found", -32050, {"error_code": "NOT_FOUND"})
            if kind == "params":
                raise ToolError("wrong", -32602)
            if kind == "not json":
                raise ToolError("odd data", data=object())
            if kind == "other":
                raise FileNotFoundError(2, "no such file", "/etc/secret")
            async with Client(f"127.0.0.1:{server.port}") as itself:
                await itself.call("nowhere", timeout=LONG)

        client = await self.serve(server)
        expected = {
            "tool": (ToolError, -32000, "cannot do it", None),
            "data": (ToolError, -32050, "not found", {"error_code": "NOT_FOUND"}),
            "params": (McpError, -32602, "wrong", None),
            "not json": (ToolError, -32000, "odd data", None),
            "other": (McpError, -32603, "the tool failed: see the log of the server", None),
            "nested": (ToolError, -32000, "unknown tool: nowhere", None),
        }
        for kind, wanted in expected.items():
            with self.assertLogs("iccm_network", logging.ERROR) if kind == "other" else self.assertNoLogs("iccm_network"):
                error = await self.error(client, "raises", {"kind": kind})
            self.assertEqual((type(error), error.code, str(error), error.data), wanted, kind)

    async def test_the_log_has_the_traceback(self):
        server = self.server()
        server.tool(name="divide")(lambda: 1 / 0)
        client = await self.serve(server)
        with self.assertLogs("iccm_network", logging.ERROR) as logs:
            self.assertEqual((await self.error(client, "divide")).code, -32603)
        self.assertIn("the tool divide of tested failed", logs.output[0])
        self.assertIn("ZeroDivisionError", logs.output[0])

    async def test_a_result_that_is_not_json(self):
        loop: list = []
        loop.append(loop)
        deep: list = []
        for _ in range(100_000):
            deep = [deep]
        values = [float("nan"), float("inf"), "\ud800", object(), b"bytes", loop, deep, {(1, 2): 3}]
        server = self.server()
        server.tool(name="value")(lambda at: values[at])
        client = await self.serve(server)
        for at in range(len(values)):
            with self.assertLogs("iccm_network", logging.ERROR):
                self.assertEqual((await self.error(client, "value", {"at": at})).name, "MCP_INTERNAL_ERROR", at)
        while deep:  # its destructor would recurse
            deep = deep[0]

    async def test_a_result_that_does_not_match_its_schema(self):
        server = self.server()
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        server.tool(name="tool", output_schema=schema)(lambda n: {"n": n})
        client = await self.serve(server)
        self.assertEqual(await client.call("tool", {"n": 1}), {"n": 1})
        self.assertEqual((await self.error(client, "tool", {"n": "x"})).name, "MCP_INTERNAL_ERROR")

    async def test_wrong_definitions_fail_where_they_stand(self):
        for name, version, port in (("", "1", 0), ("a", "1", 65536), ("a", "1", -1)):
            with self.assertRaises(McpError) as raised:
                Server(name, version, port)
            self.assertEqual(raised.exception.name, "MCP_EINVAL")
            self.assertNotEqual(str(raised.exception), "")
        for setting, value in (("call_timeout", 0), ("max_connections", 0), ("auth_token", "a b"), ("log_url", "ftp://a")):
            with self.assertRaisesRegex(McpError, f"^{setting}: "):
                Server("a", **{setting: value})
        server = self.server()
        server.tool(name="taken")(lambda: None)
        wrong = [{"name": "a b"}, {"name": "taken"}, {"schema": {"type": "nothing"}}, {"output_schema": {"type": "array"}}]
        for options in wrong:
            with self.assertRaises(McpError) as raised:
                server.tool(**options)(lambda: None)
            self.assertEqual(raised.exception.name, "MCP_ETOOL", options)


class Progress(Case):
    async def test_progress_of_tasks_and_threads(self):
        server, seen = self.server(), []

        @server.tool
        async def steps(n: int):
            for step in range(n):
                current_call().progress(step + 1, n, f"step {step + 1}")
                while len(seen) <= step:  # until it has arrived
                    await asyncio.sleep(0.001)
            current_call().progress(0)  # does not rise
            current_call().progress(float("nan"))

        @server.tool
        def thread(n: int):
            for step in range(n):
                current_call().progress(step + 1, n, f"step {step + 1}")
                while len(seen) <= step:
                    time.sleep(0.001)

        client = await self.serve(server)
        for tool in ("steps", "thread"):
            seen.clear()
            await client.call(tool, {"n": 3}, on_progress=lambda *report: seen.append(report))
            self.assertEqual(seen, [(step, 3, f"step {step}") for step in (1, 2, 3)], tool)

    async def test_a_flood_of_reports_of_a_thread_is_one(self):
        server, seen = self.server(), []

        @server.tool
        def flood():
            for step in range(100_000):
                current_call().progress(step + 1)

        client = await self.serve(server)
        await client.call("flood", on_progress=lambda *report: seen.append(report), timeout=LONG)
        self.assertEqual(seen[-1][0], 100_000)
        self.assertLess(len(seen), 10_000)

    async def test_after_the_end_it_does_nothing(self):
        server, calls = self.server(), []
        server.tool(name="keep")(lambda: calls.append(current_call()))
        client = await self.serve(server)
        await client.call("keep")
        calls[0].progress(1)
        await asyncio.to_thread(calls[0].progress, 1)
        self.assertIsNone(await client.call("keep"))


class Cancellation(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.seen, self.running, self.go = [], 0, threading.Event()
        server = self.tested = self.server(shutdown_timeout=0.1, threads=2)

        @server.tool
        async def forever():
            self.running += 1
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                self.seen.append(current_call().cancel_reason)
                raise
            finally:
                self.running -= 1

        @server.tool
        def blocked():
            self.running += 1
            call = current_call()
            while not call.cancelled and not self.go.is_set():
                time.sleep(0.001)
            self.seen.append(call.cancel_reason)
            self.running -= 1

        @server.tool
        async def stubborn():
            self.running += 1
            while not self.go.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    self.seen.append("ignored")
            self.running -= 1

        self.client = await self.serve(server)

    def start(self, tool, **options):
        return asyncio.create_task(self.client.call(tool, timeout=LONG, **options))

    async def begun(self, tool, count=1):
        calls = [self.start(tool) for _ in range(count)]
        await self.eventually(lambda: self.running == count)
        return calls

    async def test_the_caller_cancels(self):
        for tool in ("forever", "blocked"):
            (call,) = await self.begun(tool)
            call.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await call
            await self.eventually(lambda: self.seen == ["requested"])
            await self.eventually(lambda: self.running == 0)
            self.seen.clear()

    async def test_the_caller_leaves(self):
        async with Client(self.client.url) as client:
            call = asyncio.create_task(client.call("forever", timeout=LONG))
            await self.eventually(lambda: self.running == 1)
        with self.assertRaises(McpError) as raised:
            await call
        self.assertEqual(raised.exception.name, "MCP_ECLOSED")
        await self.eventually(lambda: self.seen == ["disconnected"])

    async def test_the_deadline_passes(self):
        server = self.server("short", call_timeout=0.05)
        reasons = []

        @server.tool
        async def wait():
            try:
                await asyncio.sleep(LONG)
            finally:
                reasons.append(current_call().cancel_reason)

        client = await self.serve(server)
        with self.assertRaises(McpError) as raised:
            await client.call("wait", timeout=LONG)
        self.assertEqual(raised.exception.name, "MCP_INTERNAL_ERROR")
        await self.eventually(lambda: reasons == ["deadline"])

    async def test_cancelled_before_the_first_step(self):
        loop = self.tested._loop
        for _ in range(20):
            calls = [self.start("forever") for _ in range(30)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        self.client._loop.kick()
        await self.eventually(lambda: not loop.calls and self.running == 0)
        (call,) = await self.begun("forever")  # and it serves
        call.cancel()

    async def test_a_task_that_somebody_else_cancels_before_its_first_step(self):
        loop, made = self.tested._loop, []
        original = loop.asyncio.create_task

        def create(work, **options):
            task = original(work, **options)
            if work.__name__ == "_serve":
                made.append(task)
                task.cancel()
            return task

        loop.asyncio.create_task = create
        try:
            with self.assertRaisesRegex(McpError, "the call was cancelled"):
                await self.client.call("forever", timeout=LONG)
        finally:
            del loop.asyncio.create_task
        self.assertEqual((len(made), self.running, loop.calls), (1, 0, {}))

    async def test_a_function_that_waits_for_a_thread_never_runs(self):
        calls = await self.begun("blocked", 2)
        waiting = self.start("blocked")
        await self.eventually(lambda: len(self.tested._loop.calls) == 3)
        await asyncio.sleep(0)
        waiting.cancel()
        await self.eventually(lambda: len(self.tested._loop.calls) == 2)
        self.go.set()
        await asyncio.gather(*calls)
        self.assertEqual(self.seen, [None, None])

    async def test_a_function_may_finish_after_its_cancellation(self):
        (call,) = await self.begun("stubborn")
        call.cancel()
        await self.eventually(lambda: self.seen == ["ignored"])
        self.go.set()
        await self.eventually(lambda: self.running == 0 and not self.tested._loop.calls)

    async def test_a_stop_lets_calls_finish(self):
        calls = await self.begun("blocked", 2)
        stop = asyncio.create_task(self.tested.stop(LONG))
        await asyncio.sleep(0.05)
        self.assertFalse(stop.done())
        self.go.set()
        self.assertEqual(await asyncio.gather(*calls), [None, None])
        await stop

    async def test_a_stop_cancels_and_then_abandons(self):
        calls = [*await self.begun("forever"), self.start("blocked"), self.start("stubborn")]
        await self.eventually(lambda: self.running == 3)
        with self.assertLogs("iccm_network", logging.ERROR) as logs:
            await self.tested.stop()
        self.assertEqual(["the tool stubborn" in line for line in logs.output], [True])
        for call in calls:
            with self.assertRaisesRegex(McpError, "the server is stopping"):
                await call
        self.assertEqual(sorted(self.seen), ["ignored", "stopping", "stopping"])
        self.go.set()
        await self.eventually(lambda: self.running == 0)


class Contexts(Case):
    async def test_the_current_call(self):
        server, seen = self.server(), {}

        async def inner(tool):
            await asyncio.sleep(0)
            seen[tool].append(current_call())

        @server.tool
        async def task(tool: str):
            seen[tool] = [current_call()]
            await asyncio.create_task(inner(tool))
            await asyncio.gather(inner(tool), asyncio.to_thread(lambda: seen[tool].append(current_call())))
            return current_call().trace_id

        @server.tool
        def thread(tool: str):
            seen[tool] = [current_call()]
            return current_call().trace_id

        client = await self.serve(server)
        self.assertIsNone(current_call())
        answers = await asyncio.gather(*(
            client.call(("task", "thread")[at % 2], {"tool": str(at)}, trace_id=f"trace ä {at}") for at in range(20)
        ))  # fmt: skip
        self.assertEqual(answers, [f"trace ä {at}" for at in range(20)])
        for at in range(20):
            self.assertEqual({call.trace_id for call in seen[str(at)]}, {f"trace ä {at}"})
        self.assertIsNone(await client.call("thread", {"tool": "none"}))
        self.assertIsNone(current_call())

    async def test_a_variable_of_one_call_is_not_seen_by_the_next(self):
        variable = contextvars.ContextVar("variable", default="unset")
        server = self.server()

        @server.tool
        async def get_and_set(value: str):
            before = variable.get()
            variable.set(value)
            return before

        server.tool(name="thread")(lambda value: (variable.get(), variable.set(value))[0])
        client = await self.serve(server)
        for at in range(4):
            self.assertEqual(await client.call("get_and_set", {"value": str(at)}), "unset")
            self.assertEqual(await client.call("thread", {"value": str(at)}), "unset")

    async def test_timeouts_of_asyncio_work_in_a_tool(self):
        server = self.server()

        @server.tool
        async def impatient():
            try:
                async with asyncio.timeout(0):
                    await asyncio.sleep(LONG)
            except TimeoutError:
                return "timeout"

        client = await self.serve(server)
        self.assertEqual(await client.call("impatient"), "timeout")


class Life(Case):
    async def test_a_server_starts_again(self):
        server = self.server()
        server.tool(name="one")(lambda: 1)
        for _ in range(3):
            await server.start()
            async with Client(f"127.0.0.1:{server.port}") as client:
                self.assertEqual(await client.call("one"), 1)
            await server.stop()
            await server.stop()  # nothing to do

    def test_a_server_starts_again_on_another_loop(self):
        server = self.server()
        server.tool(name="one")(lambda: 1)

        async def once():
            async with server, Client(f"127.0.0.1:{server.port}") as client:
                return await client.call("one")

        self.assertEqual([asyncio.run(once()) for _ in range(3)], [1, 1, 1])

    async def test_many_servers_share_a_loop(self):
        servers = [self.server(str(at)) for at in range(4)]
        clients = []
        for at, server in enumerate(servers):
            server.tool(name="which")(lambda at=at: at)
            clients.append(await self.serve(server))
        self.assertEqual(await asyncio.gather(*(client.call("which") for client in clients)), [0, 1, 2, 3])

    async def test_it_starts_once_and_stops_once(self):
        server = self.server()
        async with server:
            with self.assertRaisesRegex(McpError, "started already"):
                await server.start()
            other = self.server(port=server.port)
            with self.assertRaises(McpError) as raised:
                await other.start()
            self.assertEqual(raised.exception.name, "MCP_EADDRINUSE")
            self.assertRegex(str(raised.exception), f"^cannot start tested on port {server.port}: address already in use$")
            await asyncio.gather(server.stop(), server.stop())

    async def test_tools_come_and_go(self):
        server = self.server()
        client = await self.serve(server)
        server.tool(name="late")(lambda: "late")
        self.assertEqual(await client.call("late"), "late")
        server.remove_tool("late")
        with self.assertRaisesRegex(McpError, "unknown tool"):
            await client.call("late")
        with self.assertRaises(McpError) as raised:
            server.remove_tool("late")
        self.assertEqual(raised.exception.name, "MCP_ENOENT")

    async def test_a_removed_tool_finishes_its_calls(self):
        server, go, begun = self.server(), asyncio.Event(), asyncio.Event()

        @server.tool
        async def wait():
            begun.set()
            await go.wait()
            return "done"

        client = await self.serve(server)
        call = asyncio.create_task(client.call("wait", timeout=LONG))
        await begun.wait()
        server.remove_tool("wait")
        go.set()
        self.assertEqual(await call, "done")

    async def test_a_removed_tool_finishes_calls_that_have_not_begun(self):
        server, go, begun = self.server(), asyncio.Event(), []

        @server.tool
        async def wait():
            begun.append(1)
            await go.wait()
            return "done"

        client = await self.serve(server)
        calls = [asyncio.create_task(client.call("wait", timeout=LONG)) for _ in range(70)]
        await self.eventually(lambda: len(begun) == 64, "the rest waits in the connection")
        server.remove_tool("wait")
        go.set()
        self.assertEqual(await asyncio.gather(*calls), ["done"] * 70)

    async def test_a_removed_tool_is_forgotten(self):
        server = self.server()
        await self.serve(server)

        def add():
            function = functools.partial(lambda: 1)
            server.tool(name="passing")(function)
            return weakref.ref(function)

        for _ in range(2):
            function = add()
            server.remove_tool("passing")
            gc.collect()
            self.assertIsNone(function())

    async def test_dependencies(self):
        server = self.server()
        await self.serve(server)

        async def ready():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

        self.assertIn(b" 200 ", await ready())
        server.set_dependency("disk", "it is full")
        self.assertIn(b"it is full", await ready())
        server.set_dependency("disk")
        self.assertIn(b" 200 ", await ready())

    async def test_a_stop_that_is_given_up_goes_on(self):
        server = self.server()
        await server.start()
        loop = server._loop
        stop = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        stop.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await stop
        await self.eventually(lambda: loop.native is None)
        async with server:
            self.assertGreater(server.port, 0)

    async def test_more_functions_than_may_wait_for_a_thread(self):
        server, go = self.server(threads=1), threading.Event()
        server.tool(name="wait")(lambda: go.wait())
        async with server:
            clients = [Client(f"127.0.0.1:{server.port}") for _ in range(20)]
            calls = [asyncio.create_task(client.call("wait", timeout=LONG)) for client in clients for _ in range(60)]
            failed = []
            for call in calls:
                call.add_done_callback(failed.append)
            await self.eventually(lambda: len(failed) >= 1)
            go.set()
            results = await asyncio.gather(*calls, return_exceptions=True)
            errors = [each for each in results if isinstance(each, ToolError)]
            self.assertEqual({str(each) for each in errors}, {"the server is busy, retry later"})
            self.assertEqual({each.data["retry"] for each in errors}, {True})
            self.assertEqual(results.count(True) + len(errors), 1200)
            for client in clients:
                await client.close()

    async def test_an_idle_server_hardly_turns(self):
        class Counting:
            turns = 0

            def __getattr__(self, name):
                return getattr(lib, name)

            def pymcp_loop_turn(self, loop):
                self.turns += 1
                return lib.pymcp_loop_turn(loop)

        await self.serve(self.server())
        began, counting = time.monotonic(), Counting()
        with mock.patch.object(_loop, "lib", counting):
            await asyncio.sleep(1)
        self.assertLess(counting.turns, 50 * (time.monotonic() - began))


if __name__ == "__main__":
    main()
