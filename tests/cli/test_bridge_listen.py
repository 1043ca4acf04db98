"""`iccm bridge --listen`: HTTP of both eras and WebSocket in front of servers that only speak WebSocket: one of Python's
websockets that knows 2024-11-05 alone, and the library's own."""
import asyncio
import json
import queue
import signal
import threading
import unittest
from http.client import HTTPConnection

import websockets

from caller import SERVER_OPTIONS, Caller, CallError
from fake_server import FakeServer, mcp, read_frame, send_text, silent, upgrade
from services import PROGRAMS, WAIT_S, ProgramGroup, SingleServer, free_port, http_get, main, run_program, wait_ready, wait_until

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
ADD = {"name": "add", "title": "Add", "description": "Adds \u00fc", "inputSchema": NUMBERS, "outputSchema": SUM,
       "annotations": {"readOnlyHint": True}}
PICTURE = {"type": "image", "data": "AAAA", "mimeType": "image/png"}


class Upstream:
    """A server of Python's websockets that knows 2024-11-05 alone. It lists tools, or fails to if that is None, and records
    the messages that it receives. without_initialize: that method is unknown to it."""

    def __init__(self, port=None, without_initialize=False):
        self.port, self.without_initialize = port or free_port(), without_initialize
        self.url = f"ws://127.0.0.1:{self.port}/path"
        self.tools = [ADD] + [{"name": name} for name in ("error", "plain", "blocks", "progress", "wait")]
        self.received, self.headers, self.sockets = queue.Queue(), None, set()
        self.loop = asyncio.new_event_loop()

    def __enter__(self):
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.run(self.listen())
        return self

    def __exit__(self, *_):
        self.run(self.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    async def listen(self):
        return await websockets.serve(self.serve, "127.0.0.1", self.port, **SERVER_OPTIONS)

    async def stop(self):
        self.server.close()
        await self.server.wait_closed()

    def notify(self, method):
        for ws in list(self.sockets):
            self.run(ws.send(json.dumps({"jsonrpc": "2.0", "method": method})))

    def next(self, method):
        """The params of the next message with this method."""
        while (message := self.received.get(timeout=WAIT_S))["method"] != method:
            pass
        return message.get("params")

    async def serve(self, ws, _path=None):
        self.sockets.add(ws)
        self.headers = ws.request_headers if hasattr(ws, "request_headers") else ws.request.headers
        try:
            async for text in ws:
                message = json.loads(text)
                self.received.put(message)
                if "id" in message:
                    async for answer in self.answers(message["method"], message.get("params") or {}):
                        await ws.send(json.dumps({"jsonrpc": "2.0"} | answer | ({} if "method" in answer else {"id": message["id"]})))
        except websockets.exceptions.ConnectionClosed:
            pass
        self.sockets.discard(ws)

    async def answers(self, method, params):
        if method == "initialize" and not self.without_initialize:
            info = {"name": "old-server", "version": "7"}
            yield {"result": {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": info}}
        elif method == "tools/list" and self.tools is not None:
            yield {"result": {"tools": self.tools}}
        elif method == "tools/call":
            async for answer in self.call(params["name"], params["arguments"], params["_meta"].get("progressToken")):
                yield answer
        else:
            yield {"error": {"code": -32601, "message": f"unknown method {method}"}}

    async def call(self, tool, arguments, token):
        if tool == "add":
            result = {"sum": arguments["a"] + arguments.get("b", 0)}
            yield {"result": {"content": [{"type": "text", "text": json.dumps(result)}], "structuredContent": result}}
        elif tool == "error":
            yield {"error": arguments}
        elif tool == "plain":
            yield {"result": arguments}
        elif tool == "blocks":
            yield {"result": {"content": [{"type": "text", "text": "see"}, PICTURE]} | arguments}
        elif tool == "progress":
            for each in 1, 2, 3:
                report = {"progressToken": token, "progress": each, "total": 3, "message": f"step {each}"}
                yield {"method": "notifications/progress", "params": report}
            yield {"result": {"content": []}}
        else:
            assert tool == "wait", tool


def modern(method, number=1, meta=None, **params):
    params["_meta"] = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}} | (meta or {})
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def legacy(method, number=1, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


class Client:
    """An HTTP connection, which is kept alive."""

    def __init__(self, port):
        self.conn = HTTPConnection("127.0.0.1", port, timeout=WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def send(self, message, **headers):
        headers |= {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if "_meta" in message["params"]:
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"]}
            headers |= {"Mcp-Name": message["params"]["name"]} if "name" in message["params"] else {}
        self.conn.request("POST", "/mcp", json.dumps(message), headers)
        return self.conn.getresponse()

    def post(self, message, **headers):
        """Status and JSON of the response."""
        answer = self.send(message, **headers)
        return answer.status, json.loads(answer.read())

    def call(self, tool, **arguments):
        return self.post(modern("tools/call", name=tool, arguments=arguments))[1]

    def tools(self):
        return self.post(modern("tools/list"))[1]["result"]["tools"]

    def names(self):
        return sorted(tool["name"] for tool in self.tools())


def events(answer):
    for line in answer:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


class Bridge(ProgramGroup):
    """A bridge on a free port; .client is connected to it."""

    def __init__(self, url, *options, **settings):
        super().__init__(**settings)
        self.program = self.add("bridge", PROGRAMS["iccm"], "bridge", "--listen", "0", *options, url)

    def __enter__(self):
        try:
            self.program.start()
            self.port = self.program.port()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self.client = Client(self.port)
        return self

    def __exit__(self, kind, error, trace):
        if hasattr(self, "client"):
            self.client.conn.close()
        super().__exit__(kind, error, trace)

    def readyz(self):
        return http_get(self.port, path="/readyz").body.decode()


class Case(unittest.TestCase):
    def bridged(self, *options, **settings):
        """An Upstream and a bridge in front of it."""
        upstream = self.enterContext(Upstream())
        bridge = self.enterContext(Bridge(upstream.url, *options, **settings))
        return upstream, bridge

    def expect_tool_error(self, answer, pattern):
        self.assertTrue(answer["result"]["isError"], answer)
        self.assertRegex(answer["result"]["content"][0]["text"], pattern)


class Served(Case):
    def test_tools_and_name_are_those_of_the_upstream(self):
        upstream, bridge = self.bridged()
        tools = {tool["name"]: tool for tool in bridge.client.tools()}
        self.assertEqual(tools["add"], ADD)
        self.assertEqual(tools["plain"]["inputSchema"], {"type": "object"})
        self.assertEqual(sorted(tools), sorted(tool["name"] for tool in upstream.tools))
        _, answer = bridge.client.post(modern("server/discover"))
        self.assertEqual(answer["result"]["_meta"][f"{META}serverInfo"]["name"], "old-server")
        self.assertEqual(http_get(bridge.port, path="/readyz").status, 200)

    def test_a_call_of_2026(self):
        upstream, bridge = self.bridged()
        result = bridge.client.call("add", a=2, b=3)["result"]
        self.assertEqual((result["structuredContent"], result["resultType"]), ({"sum": 5}, "complete"))
        params = upstream.next("tools/call")
        self.assertEqual((params["name"], params["arguments"]), ("add", {"a": 2, "b": 3}))

    def test_calls_of_older_versions(self):
        _, bridge = self.bridged()
        begin = legacy("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"})
        answer = bridge.client.send(begin)
        session = answer.headers["Mcp-Session-Id"]
        self.assertEqual(json.loads(answer.read())["result"]["serverInfo"]["name"], "old-server")
        call = legacy("tools/call", name="add", arguments={"a": 1})
        for headers in {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}, {}:
            status, answer = bridge.client.post(call, **headers)
            self.assertEqual((status, json.loads(answer["result"]["content"][0]["text"])), (200, {"sum": 1}))

    def test_a_call_over_websocket(self):
        _, bridge = self.bridged()

        async def talk():
            async with Caller(f"ws://127.0.0.1:{bridge.port}") as caller:
                self.assertEqual(await caller.call("add", {"a": 4}), {"sum": 4})
                with self.assertRaises(CallError) as raised:
                    await caller.call("error", {"code": -32050, "message": "no", "data": {"x": 1}})
                self.assertEqual((raised.exception.code, raised.exception.message, raised.exception.data), (-32050, "no", {"x": 1}))

        asyncio.run(talk())

    def test_the_trace_continues(self):
        upstream, bridge = self.bridged()
        bridge.client.post(modern("tools/call", meta={"trace_id": "t-1"}, name="add", arguments={"a": 1}))
        self.assertEqual(upstream.next("tools/call")["_meta"]["trace_id"], "t-1")

    def test_an_upstream_without_initialize(self):
        upstream = self.enterContext(Upstream(without_initialize=True))
        bridge = self.enterContext(Bridge(upstream.url))
        self.assertEqual(bridge.client.call("add", a=1)["result"]["structuredContent"], {"sum": 1})
        _, answer = bridge.client.post(modern("server/discover"))
        self.assertEqual(answer["result"]["_meta"][f"{META}serverInfo"]["name"], "bridge")

    def test_a_server_of_the_library(self):
        with SingleServer("echo", "0") as echo, Bridge(echo.url) as bridge:
            self.assertEqual(bridge.client.names(), ["echo"])
            result = bridge.client.call("echo", text="\u00e4", number=1.5, deep=[{"a": None}])["result"]
            self.assertEqual(json.loads(result["content"][0]["text"]), {"text": "\u00e4", "number": 1.5, "deep": [{"a": None}]})
            large = 3000000 * "x"
            self.assertEqual(json.loads(bridge.client.call("echo", text=large)["result"]["content"][0]["text"])["text"], large)

    def test_the_token(self):
        upstream, bridge = self.bridged(ICCM_AUTH_TOKEN="secret")
        self.assertEqual(upstream.headers["Authorization"], "Bearer secret")
        call = modern("tools/call", name="add", arguments={"a": 1})
        self.assertEqual(bridge.client.send(call).status, 401)
        with Client(bridge.port) as client:
            self.assertEqual(client.post(call, Authorization="Bearer secret")[0], 200)


class Results(Case):
    def test_content_blocks_are_passed_unchanged(self):
        _, bridge = self.bridged()
        result = bridge.client.call("blocks", structuredContent={"x": 1})["result"]
        self.assertEqual(result["content"], [{"type": "text", "text": "see"}, PICTURE])
        self.assertEqual(result["structuredContent"], {"x": 1})
        self.assertNotIn("isError", result)
        self.expect_tool_error(bridge.client.call("blocks", isError=True), "^see$")

    def test_a_result_without_content(self):
        _, bridge = self.bridged()
        result = bridge.client.call("plain", x=[1])["result"]
        self.assertEqual((result["structuredContent"], json.loads(result["content"][0]["text"])), ({"x": [1]}, {"x": [1]}))

    def test_errors_of_a_tool(self):
        _, bridge = self.bridged()
        for code in -32000, -32099, -31999, 404, -1:
            answer = bridge.client.call("error", code=code, message="it broke", data={"retry": True})
            self.expect_tool_error(answer, "^it broke$")
            self.assertEqual(answer["result"]["structuredContent"], {"retry": True})

    def test_other_errors(self):
        _, bridge = self.bridged()
        for code, wanted in (-32602, -32602), (-32603, -32603), (-32601, -32603), (-32700, -32603), (-32600, -32603), (-32500, -32603):
            error = bridge.client.call("error", code=code, message="it broke", data=[1])["error"]
            self.assertEqual(error, {"code": wanted, "message": "it broke", "data": [1]})

    def test_arguments_are_validated(self):
        upstream, bridge = self.bridged()
        self.expect_tool_error(bridge.client.call("add", a="x"), "/a")
        bridge.client.call("add", a=1)
        self.assertEqual(upstream.next("tools/call")["arguments"], {"a": 1}, "the invalid call was not forwarded")

    def test_no_response_in_time(self):
        _, bridge = self.bridged("--timeout", "0.2")
        self.expect_tool_error(bridge.client.call("wait"), r"^ws://127\.0\.0\.1:\d+/path: no answer within 200 ms$")


class Streams(Case):
    def test_progress(self):
        _, bridge = self.bridged()
        answer = bridge.client.send(modern("tools/call", meta={"progressToken": "mine"}, name="progress", arguments={}))
        *reports, last = events(answer)
        self.assertEqual(reports[-1]["params"], {"progressToken": "mine", "progress": 3, "total": 3, "message": "step 3"})
        self.assertEqual(last["result"]["content"], [])

    def test_closing_the_stream_cancels_the_call(self):
        upstream, bridge = self.bridged()
        with Client(bridge.port) as client:
            client.conn.request("POST", "/mcp", json.dumps(modern("tools/call", name="wait", arguments={})), {
                "Accept": "application/json, text/event-stream", "Content-Type": "application/json",
                "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "wait"})
            while (message := upstream.received.get(timeout=WAIT_S))["method"] != "tools/call":
                pass
        self.assertEqual(upstream.next("notifications/cancelled")["requestId"], message["id"])

    def test_a_changed_list(self):
        upstream, bridge = self.bridged()
        listens = modern("subscriptions/listen", notifications={"toolsListChanged": True})
        stream = events(bridge.client.send(listens))
        next(stream)
        upstream.tools = [ADD | {"description": "changed"}, {"name": "new", "inputSchema": {"type": "object"}}]
        upstream.notify("notifications/tools/list_changed")
        self.assertEqual(next(stream)["method"], "notifications/tools/list_changed")
        with Client(bridge.port) as client:
            wait_until(lambda: client.names() == ["add", "new"], "the list is the new one")
            self.assertEqual({tool["description"] for tool in client.tools()}, {"changed", ""})
            upstream.tools = None
            upstream.notify("notifications/tools/list_changed")
            bridge.program.wait_for("cannot list the tools of ws://.*: unknown method tools/list")
            self.assertEqual(client.names(), ["add", "new"], "the old list stays")
            self.assertEqual(http_get(bridge.port, path="/readyz").status, 200)
            upstream.tools = [ADD]
            wait_until(lambda: client.names() == ["add"], "the list is read again")

    def test_tools_that_cannot_be_served_are_left_out(self):
        with Upstream() as upstream:
            upstream.tools += [{"name": "no name"}, {"name": "bad", "inputSchema": {"type": "object", "properties": 5}}, {}, 7, ADD]
            with Bridge(upstream.url) as bridge:
                self.assertEqual(bridge.client.names(), ["add", "blocks", "error", "plain", "progress", "wait"])
                self.assertRegex(bridge.program.output(), 'tool "no name": the name must be')
                self.assertRegex(bridge.program.output(), "tool bad: input_schema /properties")

    def test_the_number_of_names_is_limited(self):
        with Upstream() as upstream:
            upstream.tools = [{"name": f"tool-{number}"} for number in range(1030)]
            with Bridge(upstream.url) as bridge:
                bridge.program.wait_for("tool tool-1029 left out: more than 1024 names of tools")
                self.assertEqual(len(bridge.program.output().split("left out")), 1 + 6)


class Unavailable(Case):
    def test_an_upstream_that_is_restarted(self):
        with Upstream() as upstream, Bridge(upstream.url) as bridge:
            self.assertEqual(bridge.client.call("add", a=1)["result"]["structuredContent"], {"sum": 1})
            with Client(bridge.port) as waiting:
                waiting.conn.request("GET", "/healthz")
                waiting.conn.getresponse().read()
                asking = threading.Thread(target=lambda: answers.append(waiting.call("wait")))
                answers = []
                asking.start()
                upstream.next("tools/call")
                upstream.next("tools/call")
                upstream.run(upstream.stop())
                asking.join(WAIT_S)
            self.expect_tool_error(answers[0], rf"^{upstream.url}: .*(closed|lost|disconnected)")
            wait_ready(bridge.port, 503)
            self.assertIn(f"cannot reach {upstream.url}: ", bridge.readyz())
            upstream.tools = [ADD, {"name": "changed"}]
            upstream.server = upstream.run(upstream.listen())
            wait_until(lambda: bridge.client.names() == ["add", "changed"], "the new list")
            self.assertEqual(bridge.client.call("add", a=2)["result"]["structuredContent"], {"sum": 2})
            self.assertEqual(http_get(bridge.port, path="/readyz").status, 200)

    def test_calls_fail_at_once_while_it_is_unavailable(self):
        with Upstream() as upstream, Bridge(upstream.url) as bridge:
            upstream.run(upstream.stop())
            wait_ready(bridge.port, 503)
            answer = bridge.client.call("plain")
            self.expect_tool_error(answer, rf"^cannot reach {upstream.url}: (connection refused|the peer closed with 1001)$")
            self.assertEqual(answer["result"]["structuredContent"], {"retry": True})

    def test_an_upstream_that_is_not_there_at_the_start(self):
        port = free_port()
        with Bridge(f"ws://127.0.0.1:{port}/path") as bridge:
            self.assertEqual(bridge.client.tools(), [])
            self.assertEqual(http_get(bridge.port, path="/readyz").status, 503)
            self.assertIn(f"cannot reach ws://127.0.0.1:{port}/path: connection refused", bridge.readyz())
            with Upstream(port):
                wait_ready(bridge.port)
                self.assertEqual(bridge.client.call("add", a=1)["result"]["structuredContent"], {"sum": 1})

    def test_an_upstream_that_is_no_websocket_server(self):
        with FakeServer(silent) as peer, Bridge(peer.url, "--timeout", "0.3") as bridge:
            self.assertEqual(bridge.client.tools(), [])
            self.assertIn(f"cannot reach {peer.url}: ", bridge.readyz())

    def test_an_upstream_that_lists_no_tools(self):
        def answer(method, _params):
            return {"tools": 5} if method == "tools/list" else {}

        with FakeServer(mcp(answer)) as peer, Bridge(peer.url) as bridge:
            self.assertIn("cannot list its tools", bridge.readyz())
            bridge.program.wait_for("cannot list the tools of ws://.*: .*no array of tools")

    def test_an_upstream_that_does_not_respond_to_close(self):
        def serve(conn):
            upgrade(conn)
            stream = conn.makefile("rb")
            while True:
                opcode, payload = read_frame(stream)
                message = json.loads(payload) if opcode == 1 else {}
                if "id" in message:
                    result = {"tools": [ADD]} if message["method"] == "tools/list" else {}
                    send_text(conn, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))

        with FakeServer(serve) as peer, Bridge(peer.url) as bridge:
            self.assertEqual(bridge.client.names(), ["add"])

    def test_the_query_of_the_address_is_not_shown(self):
        with Bridge(f"ws://127.0.0.1:{free_port()}/?key=hidden") as bridge:
            for text in bridge.readyz(), bridge.program.output(), str(bridge.client.call("none")):
                self.assertNotIn("hidden", text)


class Life(Case):
    def test_a_stop_ends_calls_in_flight(self):
        for number in signal.SIGTERM, signal.SIGINT:
            with Upstream() as upstream, Bridge(upstream.url) as bridge:
                answers = []
                asking = threading.Thread(target=lambda: answers.append(bridge.client.call("wait")))
                asking.start()
                upstream.next("tools/call")
                bridge.program.signal(number)
                asking.join(WAIT_S)
                self.assertIn("the server is stopping", str(answers[0]))
                self.assertEqual(bridge.program.wait(), 0)

    def test_log_lines_are_not_sent_to_godot(self):
        received = []

        def answer(method, params):
            received.append((method, params))
            return {"tools": [{"name": "logger_log"}]} if method == "tools/list" else {"content": []}

        with FakeServer(mcp(answer)) as godot, Bridge(godot.url, GODOT_URL=godot.url, LOGGING_ENABLED="true") as bridge:
            bridge.client.call("logger_log", message="mine")
            bridge.client.call("none")
        self.assertEqual([params["arguments"] for method, params in received if method == "tools/call"], [{"message": "mine"}])

    def test_usage(self):
        with SingleServer("echo", "0") as echo:
            for words, pattern in (
                (("--listen", "65536", "a"), "--listen takes a port from 0 to 65535"),
                (("--listen", "x", "a"), "--listen takes a port"),
                (("--listen", "0", "--trace", "t", "a"), "--trace and --listen cannot be combined"),
                (("--listen", "0", "nonsense://"), "the scheme must be ws://, wss://, http:// or https://"),
                (("--listen", str(echo.port), echo.url), f"cannot listen on port {echo.port}: address already in use"),
            ):
                run = run_program([PROGRAMS["iccm"], "bridge", *words])
                self.assertEqual((run.returncode, run.stdout), (1, ""), run)
                self.assertRegex(run.stderr, pattern)


if __name__ == "__main__":
    main()
