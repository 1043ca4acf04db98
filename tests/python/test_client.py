"""Clients: results, errors by name, timeouts, cancellation, traces, progress, loops, and the blocking form."""
import asyncio
import contextlib
import gc
import json
import os
import re
import threading
import time
import unittest
import warnings

from common import LONG, Case, main
from iccm_network import Client, McpError, SyncClient, ToolError, call, current_call, sync_call
from iccm_network._native import ffi, lib
from services import free_port

# The names of C and the texts of mcp_strerror().
NAMES = {
    -5003: "MCP_ETIMEOUT", -5000: "MCP_EURL", -98: "MCP_EADDRINUSE", -32602: "MCP_INVALID_PARAMS", -32050: "MCP_TOOL_ERROR"
}  # fmt: skip


class Errors(unittest.TestCase):
    def test_names_and_texts_are_those_of_c(self):
        for code, name in NAMES.items():
            error = McpError(code)
            self.assertEqual((error.code, error.name), (code, name))
            self.assertEqual(str(error), ffi.string(lib.mcp_strerror(code)).decode())
        self.assertEqual((McpError(-111).name, McpError(-1000000).name), ("ECONNREFUSED", ""))

    def test_they_survive_pickle(self):
        import pickle

        for error in (McpError(-5003, "a"), ToolError("b", -32050, {"c": 1})):
            again = pickle.loads(pickle.dumps(error))
            self.assertEqual((type(again), str(again)), (type(error), str(error)))
            self.assertEqual((again.code, again.data), (error.code, error.data))

    def test_a_tool_error_has_a_code_of_json_rpc(self):
        with self.assertRaisesRegex(ValueError, "invalid code 5: expected"):
            ToolError("a", 5)


class Calls(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        server = self.tested = self.server()
        self.running, self.ended, self.of_threads = 0, 0, []

        @server.tool
        async def echo(**args):
            return args

        @server.tool
        async def forever():
            self.running += 1
            try:
                await asyncio.sleep(LONG)
            finally:
                self.ended += 1

        @server.tool
        async def nested():
            async with Client(self.url) as client:
                return await client.call("forever", timeout=LONG)

        @server.tool
        def nested_in_thread():
            client = SyncClient(self.url)
            try:
                with client:
                    return client.call("forever", timeout=LONG)
            finally:
                self.of_threads.append(client)

        @server.tool
        async def trace(deep: int):
            if deep == 0:
                return current_call().trace_id
            return await call(self.url, "trace", {"deep": deep - 1}, timeout=LONG)

        @server.tool
        def trace_in_thread():
            return sync_call(self.url, "trace", {"deep": 1}, timeout=LONG)

        @server.tool
        async def after(then: str):
            client = self.client

            async def later():
                await asyncio.sleep(0.01)
                self.late = await client.call("trace", {"deep": 0}, timeout=LONG)

            self.task = asyncio.create_task(later())
            return then

        self.client = await self.serve(server)
        self.url = self.client.url

    async def error(self, waited):
        with self.assertRaises(McpError) as raised:
            await waited
        return raised.exception

    async def test_values_come_back(self):
        odd = {"ä\0": ["\U0001f600", -0.0, 2**63, {"b": []}]}
        for args in ({}, None, {"a": None}, odd, {"timeout": 1, "self": 2, "tool": 3}):
            self.assertEqual(await self.client.call("echo", args), args or {})
        big = {"text": "x" * 3_000_000}
        self.assertEqual(await self.client.call("echo", big, timeout=LONG), big)

    async def test_many_at_once(self):
        values = [{"n": n} for n in range(2000)]
        for some in (values[:1000], values[1000:]):
            self.assertEqual(await asyncio.gather(*(self.client.call("echo", each, timeout=LONG) for each in some)), some)

    async def test_more_than_may_wait(self):
        client = Client(f"127.0.0.1:{free_port()}")
        calls = [asyncio.create_task(client.call("echo", timeout=LONG)) for _ in range(1025)]
        error = await self.error(calls[1024])
        self.assertEqual(error.name, "MCP_ELIMIT")
        await client.close()
        self.assertEqual({(await self.error(each)).name for each in calls[:1024]}, {"MCP_ECLOSED"})

    async def test_requests_and_lists(self):
        self.assertEqual(await self.client.request("ping"), {})
        result = await self.client.request("tools/call", {"name": "echo", "arguments": {"a": 1}})
        self.assertEqual(result["content"], [{"type": "text", "text": '{"a":1}'}])
        self.assertEqual((await self.error(self.client.request("no/such"))).name, "MCP_METHOD_NOT_FOUND")
        self.assertIn("echo", [tool["name"] for tool in await self.client.list_tools()])

    async def test_values_that_are_not_json(self):
        loop: list = []
        loop.append(loop)
        for value in (float("nan"), object(), "\ud800", loop):
            error = await self.error(self.client.call("echo", {"a": value}))
            self.assertEqual(error.name, "MCP_EENCODE")
            self.assertIn("the value cannot be encoded as JSON: ", str(error))
        self.assertEqual((await self.error(self.client.call("\ud800"))).name, "MCP_EENCODE")
        self.assertEqual(self.client._loop.waiting, {})

    async def test_a_result_that_python_cannot_read(self):
        """JSON allows an integer of 5000 digits, int() of Python does not."""
        huge = f'{{"n":{"9" * 5000}}}'
        for member in (f'"result":{huge}', f'"error":{{"code":-32000,"message":"a","data":{huge}}}'):
            async with self.fake_server(member) as url, Client(url) as client:
                error = await self.error(client.request("ping", timeout=LONG))
                self.assertEqual(error.name, "MCP_EPROTOCOL")
                self.assertRegex(str(error), "^the peer violated the protocol: .*4300")

    @contextlib.asynccontextmanager
    async def fake_server(self, member):
        """An HTTP server that answers every request but initialize with this member; its address."""

        async def serve(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    length = re.search(rb"(?i)content-length: (\d+)", head)[1]
                    writer.write(answer(json.loads(await reader.readexactly(int(length)))).encode())

        def answer(request):
            if "id" not in request:
                return "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
            server = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"}}
            mine = f'"result":{json.dumps(server)}' if request["method"] == "initialize" else member
            text = f'{{"jsonrpc":"2.0","id":{json.dumps(request["id"])},{mine}}}'
            return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"

    async def test_errors_of_connections(self):
        self.assertEqual((await self.error(call("ftp://a", "echo"))).name, "MCP_EURL")
        async with Client(f"127.0.0.1:{free_port()}", fail_fast=True) as client:
            error = await self.error(client.call("echo", timeout=LONG))
            self.assertEqual(error.name, "MCP_ECONNECT")
        with self.assertRaisesRegex(McpError, "invalid argument"):
            await call(self.url, "echo", trace_id="x" * 129)

    async def test_a_setting_that_is_refused_refuses_every_call(self):
        """A retry must not connect without the settings: with the token, but without the authority that was demanded."""
        for url, settings in ((self.url, {"auth_token": "a b"}), ("wss://" + self.url, {"tls_ca": "/no/such/file"}),
                              (self.url, {"max_message_bytes": 1})):  # fmt: skip
            async with Client(url, **settings) as client:
                for begin in (client.call, client.request, client.call):
                    error = await self.error(begin("echo", timeout=LONG))
                    self.assertIn(next(iter(settings)), str(error))
                await self.error(client.connect())
        self.assertEqual(await self.client.call("echo"), {})

    async def test_a_setting_that_is_refused_leaves_nothing_behind(self):
        async def refused():
            await self.error(Client(self.url, auth_token="a b").call("echo"))

        def descriptors():
            asyncio.run(refused())
            return len(os.listdir("/proc/self/fd"))

        self.assertEqual(*await asyncio.to_thread(lambda: (descriptors(), descriptors())))

    async def test_a_timeout_cancels_the_call_at_the_server(self):
        error = await self.error(self.client.call("forever", timeout=0.1))
        self.assertEqual(error.name, "MCP_ETIMEOUT")
        await self.eventually(lambda: self.running == self.ended)

    async def test_a_cancelled_task_cancels_the_call_at_the_server(self):
        for tool, hops in (("forever", 1), ("nested", 1), ("nested_in_thread", 1)):
            self.running = self.ended = 0
            task = asyncio.create_task(self.client.call(tool, timeout=LONG))
            await self.eventually(lambda: self.running == hops)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            await self.eventually(lambda: self.ended == hops, tool)
        await self.eventually(lambda: not self.tested._loop.calls)
        await self.eventually(lambda: self.of_threads)
        self.assertIsNone(self.of_threads[0]._client._loop, "it is closed")

    async def test_a_call_that_is_cancelled_at_once(self):
        for _ in range(100):
            task = asyncio.create_task(self.client.call("forever", timeout=LONG))
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
        self.assertEqual(await self.client.call("echo", timeout=LONG), {})
        await self.eventually(lambda: not self.client._loop.waiting)

    async def test_200_calls_that_are_given_up_stop_nobody(self):
        tasks = [asyncio.create_task(self.client.call("forever", timeout=LONG)) for _ in range(200)]
        await self.eventually(lambda: self.running == 64)  # the rest waits in the connection
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.assertEqual(await self.client.call("echo", timeout=LONG), {})
        await self.eventually(lambda: self.running == self.ended)

    async def test_a_trace_is_passed_on(self):
        for tool, args in (("trace", {"deep": 0}), ("trace", {"deep": 3}), ("trace_in_thread", {})):
            self.assertEqual(await self.client.call(tool, args, timeout=LONG, trace_id="a trace"), "a trace", tool)
            self.assertIsNone(await self.client.call(tool, args, timeout=LONG))

    async def test_a_trace_outlives_its_call(self):
        await self.client.call("after", {"then": "x"}, trace_id="a trace")
        await self.task
        self.assertEqual(self.late, "a trace")

    async def test_a_client_that_is_closed(self):
        client = Client(self.url)
        await client.close()  # was never used
        self.assertEqual(await client.call("echo"), {})
        await asyncio.gather(client.close(), client.close())
        self.assertEqual((await self.error(client.call("echo"))).name, "MCP_ECLOSED")

    async def test_a_connection_without_calls(self):
        async with Client(self.url) as client:
            await client.connect()
            self.assertEqual(await client.call("echo", {"a": 1}), {"a": 1})

    async def test_a_client_that_nobody_closes_is_reported(self):
        client = Client(self.url)
        await client.call("echo")
        loop = client._loop
        with self.assertWarnsRegex(ResourceWarning, "was not closed"):
            native = client._native
            del client
            gc.collect()
        done = asyncio.Event()
        lib.pymcp_client_close(loop.native, native, loop.expect(lambda event: done.set()))
        loop.kick()
        await done.wait()
        loop.leave()

    async def test_progress_that_raises(self):
        server, errors = self.server(), []

        @server.tool
        async def steps():
            for step in range(3):
                current_call().progress(step + 1)
                await asyncio.sleep(0.06)

        client = await self.serve(server)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context["exception"]))
        await client.call("steps", on_progress=lambda *report: 1 / 0)
        self.assertEqual({type(each) for each in errors}, {ZeroDivisionError})

    async def test_a_client_belongs_to_its_loop(self):
        await self.client.call("echo")

        def elsewhere():
            asyncio.run(self.client.call("echo"))

        with self.assertRaisesRegex(McpError, "belongs to another loop"):
            await asyncio.to_thread(elsewhere)

    async def test_a_blocking_call_on_a_loop_is_refused(self):
        with self.assertRaisesRegex(McpError, "use Client and await"), warnings.catch_warnings():
            warnings.simplefilter("error")
            sync_call(self.url, "echo")

    async def test_a_timeout_is_never_early(self):
        """A timeout is never early, also after the loop was blocked: its clock is that of now."""
        await self.client.call("echo")
        time.sleep(0.3)
        began = time.monotonic()
        await self.error(self.client.call("forever", timeout=0.2))
        self.assertGreaterEqual(time.monotonic() - began, 0.2)


class Blocking(Case):
    async def test_the_blocking_form(self):
        server, seen = self.server(), []

        @server.tool
        async def echo(**args):
            current_call().progress(1, 2, "half")
            return args

        await self.enterAsyncContext(server)
        url = f"127.0.0.1:{server.port}"

        def script():
            self.assertEqual(sync_call(url, "echo", {"a": 1}, timeout=LONG), {"a": 1})
            with SyncClient(url) as client:
                for n in range(3):
                    answer = client.call("echo", {"n": n}, timeout=LONG, on_progress=lambda *report: seen.append(report))
                    self.assertEqual(answer, {"n": n})
                self.assertEqual(client.request("ping", timeout=LONG), {})
                self.assertEqual([tool["name"] for tool in client.list_tools(timeout=LONG)], ["echo"])
                with self.assertRaises(McpError):
                    client.call("nothing", timeout=LONG)

        await asyncio.to_thread(script)
        self.assertEqual(seen, [(1, 2, "half")] * 3)

    async def test_a_server_that_restarts_between_two_calls(self):
        server = self.server(port=free_port())
        server.tool(name="one")(lambda: 1)
        loop = asyncio.get_running_loop()

        def script():
            with SyncClient(f"127.0.0.1:{server.port}") as client:
                self.assertEqual(client.call("one", timeout=LONG), 1)
                for step in (server.stop, server.start):
                    asyncio.run_coroutine_threadsafe(step(), loop).result()
                self.assertEqual(client.call("one", timeout=LONG), 1)

        async with server:
            await asyncio.to_thread(script)

    async def test_on_many_threads(self):
        server = self.server()
        server.tool(name="one")(lambda: 1)
        await self.enterAsyncContext(server)
        got, url = [], f"127.0.0.1:{server.port}"
        threads = [threading.Thread(target=lambda: got.append(sync_call(url, "one", timeout=LONG))) for _ in range(8)]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
        self.assertEqual(got, [1] * 8)


if __name__ == "__main__":
    main()
