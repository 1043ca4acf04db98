"""All known kinds of callers: without initialize, direct calls, nulls, unusual ids, invalid messages, many calls at once.

The tests use real servers, real sockets and a third-party client; slow_server.c has tools that are slow or fail.
"""
import asyncio
import json
import re
import signal
import time

from caller import CallError, Caller, connect, request, round_trip, tool_call
from services import WAIT_S, AsyncTestCase, SingleServer, System, main, wait_ready, wait_until_async

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWER = VERSIONS[1:]
NUMBERS = "0 1 -1 -0 1e2 1.5 9007199254740993 -9223372036854775808 18446744073709551615 123456789012345678901234567890"
IDS = (*NUMBERS.split(), '""', '"0"', '"9007199254740993"', '"a b"', '"\u00fc\\u0041\\n\\\\"')


async def initialize(ws, version):
    answer = await round_trip(ws, request("init", "initialize", protocolVersion=version, capabilities={}, clientInfo={}))
    await ws.send(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
    return answer["result"]


async def answers(ws, count):
    return [json.loads(await asyncio.wait_for(ws.recv(), WAIT_S)) for _ in range(count)]


class SlowServerCase(AsyncTestCase):
    @classmethod
    def setUpClass(cls):
        cls.url = cls.enterClassContext(SingleServer("slow_server", "0")).url


class Versions(SlowServerCase):
    async def test_a_known_version_is_echoed(self):
        for version in VERSIONS:
            async with connect(self.url) as ws:
                result = await initialize(ws, version)
                self.assertEqual(result["protocolVersion"], version)
                self.assertEqual(result["serverInfo"], {"name": "slow", "version": "1.0.0"})
                self.assertIn("tools", result["capabilities"])

    async def test_an_unknown_version_gets_the_newest(self):
        async with connect(self.url) as ws:
            self.assertEqual((await initialize(ws, "1999-01-01"))["protocolVersion"], VERSIONS[-1])

    async def test_initialize_without_params_is_the_oldest(self):
        for message in (request(1, "initialize"), request(1, "initialize") | {"params": {}}):
            async with connect(self.url) as ws:
                self.assertEqual((await round_trip(ws, message))["result"]["protocolVersion"], VERSIONS[0])
                self.assertEqual((await round_trip(ws, tool_call(2, "no_such_tool")))["error"]["code"], -32601)

    async def test_an_unknown_tool_has_the_code_of_the_version(self):
        for version in (None, *VERSIONS):
            async with connect(self.url) as ws:
                if version:
                    await initialize(ws, version)
                code = (await round_trip(ws, tool_call(1, "no_such_tool")))["error"]["code"]
                self.assertEqual(code, -32602 if version in NEWER else -32601, version)
                self.assertEqual((await round_trip(ws, request(2, "no_such_tool")))["error"]["code"], -32601, version)

    async def test_a_tool_that_fails_has_the_shape_of_the_version(self):
        for version in (None, *VERSIONS):
            async with connect(self.url) as ws:
                if version:
                    await initialize(ws, version)
                answer = await round_trip(ws, tool_call(1, "refuse"))
                if version in NEWER:
                    self.assertTrue(answer["result"]["isError"], version)
                    self.assertEqual(answer["result"]["content"][0]["text"], "refused on purpose")
                else:
                    self.assertEqual(answer["error"], {"code": -32000, "message": "refused on purpose"}, version)
                direct = await round_trip(ws, request(2, "refuse"))
                self.assertEqual(direct["error"], {"code": -32000, "message": "refused on purpose"}, version)

    async def test_a_tool_may_choose_code_and_data(self):
        wanted = {"code": -32050, "message": "failed on purpose", "data": {"error_code": "ON_PURPOSE"}}
        async with connect(self.url) as ws:
            self.assertEqual((await round_trip(ws, tool_call(1, "fail")))["error"], wanted)
            self.assertEqual((await round_trip(ws, request(2, "fail")))["error"], wanted)


class Messages(SlowServerCase):
    async def test_nothing_needs_initialize(self):
        async with connect(self.url) as ws:
            self.assertEqual((await round_trip(ws, request(1, "ping")))["result"], {})
            tools = (await round_trip(ws, request(2, "tools/list")))["result"]["tools"]
            names = {tool["name"] for tool in tools}
            self.assertEqual(names, {"sleep", "later", "forget", "refuse", "fail", "nonsense", "print", "lines", "shaped"})
            for tool in tools:
                self.assertEqual(tool["inputSchema"]["type"], "object")
            answer = await round_trip(ws, tool_call(3, "later", ms=0))
            self.assertEqual(json.loads(answer["result"]["content"][0]["text"]), {"ms": 0})
            self.assertFalse(answer["result"].get("isError", False))

    async def test_a_direct_call_answers_the_bare_result(self):
        async with connect(self.url) as ws:
            self.assertEqual(await round_trip(ws, request(1, "later", ms=1)), {"jsonrpc": "2.0", "id": 1, "result": {"ms": 1}})
            self.assertEqual((await round_trip(ws, request(2, "sleep", ms=1)))["result"], {"ms": 1})
            self.assertEqual((await round_trip(ws, request(3, "later")))["error"]["code"], -32602)

    async def test_junk_is_answered_with_parse_error(self):
        async with connect(self.url) as ws:
            half, deep = json.dumps(request(1, "ping"))[:-1], "[" * 65 + "]" * 65
            for text in ("{", "hello", "", "{'a':1}", half, half + "}}", deep):
                answer = await round_trip(ws, text)
                self.assertEqual((answer["error"]["code"], answer["id"]), (-32700, None), text)

    async def test_json_that_is_no_request_is_invalid(self):
        ping = json.dumps(request(7, "ping"))
        async with connect(self.url) as ws:
            for text, number in (
                *((text, None) for text in ("[]", "1", "null", "true", '"x"', "{}", f"[{ping}]")),
                ('{"id":1,"method":"ping"}', 1),
                ('{"jsonrpc":"2.0","id":2}', 2),
                ('{"jsonrpc":"2.0","id":3,"method":4}', 3),
                ('{"jsonrpc":"1.0","id":"x","method":"ping"}', "x"),
                ('{"jsonrpc":"2.0","id":{},"method":"ping"}', None),
                ('{"jsonrpc":"2.0","id":true,"method":"ping"}', None),
                ('{"jsonrpc":"2.0","id":[5],"method":"ping"}', None),
            ):
                answer = await round_trip(ws, text)
                self.assertEqual((answer["error"]["code"], answer["id"]), (-32600, number), text)

    async def test_wrong_params_are_named(self):
        async with connect(self.url) as ws:
            for params in (
                {},
                {"name": 1},
                *({"name": "later", "arguments": wrong} for wrong in ([], {}, {"ms": "1"}, {"ms": -1})),
            ):
                answer = await round_trip(ws, request(1, "tools/call") | {"params": params})
                self.assertEqual((answer["error"]["code"], answer["id"]), (-32602, 1), params)
            self.assertIn("ms", answer["error"]["message"])

    async def test_notifications_are_never_answered(self):
        async with connect(self.url) as ws:
            for method, params in (
                *((name, None) for name in ("notifications/initialized", "no/such", "ping", "tools/list", "fail")),
                ("notifications/cancelled", {"requestId": 99}),
                ("initialize", {}),
                ("tools/call", {"name": "later", "arguments": {"ms": 0}}),
                ("tools/call", {"name": "no_such_tool"}),
                ("tools/call", {"name": "refuse"}),
                ("later", {"ms": 0}),
            ):
                message = {"jsonrpc": "2.0", "method": method}
                await ws.send(json.dumps(message if params is None else message | {"params": params}))
            await ws.send('{"jsonrpc":"2.0","id":1,"result":{}}')  # an answer to nothing that was asked
            await ws.send(json.dumps(tool_call(5, "later", ms=100)))  # long after those above would have been answered
            self.assertEqual([answer["id"] for answer in await answers(ws, 1)], [5])

    async def test_ids_come_back_as_they_came(self):
        async with connect(self.url) as ws:
            for text in IDS:
                for rest in (
                    '"method":"ping"',
                    '"method":"no_such_method"',
                    '"method":"later","params":{"ms":0}',
                    '"method":"tools/call","params":{"name":"sleep","arguments":{"ms":0}}',
                ):
                    await ws.send(f'{{"jsonrpc":"2.0","id":{text},{rest}}}')
                    answer = await asyncio.wait_for(ws.recv(), WAIT_S)
                    if text.startswith('"'):  # the same text, however it is escaped
                        self.assertEqual(json.loads(answer)["id"], json.loads(text))
                    else:
                        self.assertRegex(answer, rf'"id": ?{re.escape(text)}[,}}]')

    async def test_what_a_handler_does_wrong_is_an_internal_error(self):
        async with connect(self.url) as ws:
            for tool in ("forget", "nonsense"):
                self.assertEqual((await round_trip(ws, tool_call(1, tool)))["error"]["code"], -32603, tool)
                self.assertEqual((await round_trip(ws, request(2, tool)))["error"]["code"], -32603, tool)


class InFlight(SlowServerCase):
    async def all_of(self, calls, enough):
        """The answers to calls(ms) on one connection; with more milliseconds where those were over too soon for this machine."""
        ms = 300
        while True:
            async with connect(self.url) as ws:
                asked = calls(ms)
                for message in asked:
                    await ws.send(json.dumps(message))
                came = await answers(ws, len(asked))
            if enough(came) or ms > WAIT_S * 1000:
                return came
            ms *= 2

    async def test_answers_come_in_the_order_in_which_they_are_ready(self):
        for tool in ("later", "sleep"):

            def calls(ms):
                return [tool_call("slow", tool, ms=ms), *(tool_call(number, "later", ms=0) for number in range(30))]

            order = [answer["id"] for answer in await self.all_of(calls, lambda came: came[30]["id"] == "slow")]
            self.assertEqual(sorted(order[:30]), list(range(30)))
            self.assertEqual(order[30], "slow")

    async def test_a_slow_tool_stops_nobody(self):
        def calls(ms):  # more than the pool has threads
            return [*(tool_call(number, "sleep", ms=ms) for number in range(20)), request("ping", "ping")]

        async with connect(self.url) as other:
            working = asyncio.create_task(self.all_of(calls, lambda came: came[0]["id"] == "ping"))
            self.assertEqual((await round_trip(other, request("ping", "ping")))["id"], "ping")
            first, *rest = [answer["id"] for answer in await working]
        self.assertEqual((first, set(rest)), ("ping", set(range(20))))

    async def test_more_than_the_limit_only_wait(self):
        async with connect(self.url) as ws:
            for number in range(300):
                await ws.send(json.dumps(tool_call(number, "later", ms=30)))
            self.assertEqual({answer["id"] for answer in await answers(ws, 300)}, set(range(300)))

    async def test_an_id_in_flight_is_not_taken_twice(self):
        def calls(ms):
            return [tool_call(1, "later", ms=ms), tool_call(1, "later", ms=ms)]

        first, second = await self.all_of(calls, lambda came: "error" in came[0])
        self.assertEqual((first["id"], first["error"]["code"]), (1, -32600))
        self.assertEqual((second["id"], "result" in second), (1, True))
        async with connect(self.url) as ws:
            for _ in range(2):
                self.assertIn("result", await round_trip(ws, tool_call(1, "later", ms=0)))

    async def test_a_peer_may_leave_at_any_time(self):
        for tool in ("later", "sleep"):
            for polite in (True, False):
                async with connect(self.url) as ws:
                    for number in range(10):
                        await ws.send(json.dumps(tool_call(number, tool, ms=100)))
                    if not polite:
                        ws.transport.abort()
        async with connect(self.url) as ws:
            self.assertEqual((await round_trip(ws, tool_call(1, "sleep", ms=150)))["id"], 1)


class Godot(AsyncTestCase):
    @classmethod
    def setUpClass(cls):
        cls.system = cls.enterClassContext(System())
        cls.system.start()

    async def stored(self, caller, **filters):
        """The rows of a query, once there are any."""
        return await wait_until_async(lambda: caller.call("logger_query", filters), f"something is stored for {filters}")

    async def test_the_tools_are_listed(self):
        async with Caller(self.system.godot_url) as caller:
            tools = {tool["name"]: tool for tool in (await caller.request("tools/list"))["result"]["tools"]}
        self.assertLessEqual({"logger_log", "logger_query", "logger_clear", "logger_set_level"}, set(tools))
        self.assertNotIn("godot_logger_log", tools)
        self.assertEqual(tools["logger_log"]["description"], "Push a log entry to the logging queue")
        self.assertEqual(set(tools["logger_log"]["inputSchema"]["required"]), {"component", "level", "message"})

    async def test_an_entry_as_older_callers_send_it(self):
        entry = {"component": "nulls", "level": "info", "message": "older", "trace_id": None, "data": None}
        async with Caller(self.system.godot_url) as caller:
            self.assertEqual(await caller.call("logger_log", entry), {"status": "ok", "message": "Log entry queued."})
            (row,) = await self.stored(caller, component="nulls", level=None, search=None)
        self.assertEqual({name: row[name] for name in entry}, entry | {"level": "INFO"})

    async def test_a_direct_call_logs_too(self):
        entry = {"component": "direct", "level": "WARN", "message": "directly", "data": {"a": [1, None, "\u00fc"]}}
        async with Caller(self.system.godot_url) as caller:
            self.assertEqual((await caller.request("logger_log", entry))["result"]["status"], "ok")
            (row,) = await self.stored(caller, component="direct")
            self.assertEqual({name: row[name] for name in entry}, entry)
            bare = (await caller.request("logger_query", {"component": "direct"}))["result"]
            self.assertEqual([row["message"] for row in bare], ["directly"])

    async def test_levels_in_any_case_under_either_name(self):
        async with Caller(self.system.godot_url) as caller:
            for level in ("trace", "DEBUG", "Info", "WARN", "eRROR"):
                await caller.call("godot_logger_log", {"component": "levels", "level": level, "message": level})
            for level in ("Information", "fatal", "", None, 1):
                with self.assertRaises(CallError) as caught:
                    await caller.call("logger_log", {"component": "levels", "level": level, "message": "x"})
                self.assertEqual(caught.exception.code, -32602)
                self.assertIn("level", caught.exception.message)
            rows = []
            while len(rows) < 5:
                rows = await self.stored(caller, component="levels")
        self.assertEqual({row["level"] for row in rows}, {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"})

    async def test_a_query_that_waits_for_dewey_holds_nobody_up(self):
        async with Caller(self.system.godot_url) as caller:
            await caller.call("logger_query", {"limit": 1})
            self.system.dewey.signal(signal.SIGSTOP)
            try:
                began = time.monotonic()
                waiting = [asyncio.create_task(caller.call("logger_query", {"limit": 1})) for _ in range(10)]
                await caller.call("logger_log", {"component": "meanwhile", "level": "INFO", "message": "logged"})
                self.assertFalse(any(task.done() for task in waiting))
                ends = []
                for task in waiting:
                    with self.assertRaises(CallError) as caught:
                        await task
                    self.assertEqual(caught.exception.code, -32000)
                    ends.append(time.monotonic() - began)
                self.assertLess(ends[-1], 3 * ends[0], "one after the other")
            finally:
                self.system.dewey.signal(signal.SIGCONT)
            await asyncio.to_thread(wait_ready, self.system.godot_port)
            await self.stored(caller, component="meanwhile")


if __name__ == "__main__":
    main()
