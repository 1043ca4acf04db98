"""Godot's server, tested by calls: the tools, their errors, levels, readiness, settings."""
import asyncio
import json
import signal
import socket
import subprocess
import unittest
import uuid

from caller import CallError, Caller, connect, round_trip
from services import PROGRAMS, WAIT_S, free_port, http_get, main, retry_within, wait_ready, wait_until_async
from fake_store import FakeStoreSystem, ErrorResponse

ENTRY = {"component": "c", "level": "INFO", "message": "m"}
QUEUED = {"status": "ok", "message": "Log entry queued."}
BELOW = {"status": "ok", "message": "Below the level of its component; not queued."}
NAMES = ["logger_log", "logger_query", "logger_clear", "logger_set_level", "conversation_begin",
         "conversation_store_message", "conversation_store_messages_bulk"]  # fmt: skip
V4 = "919108f7-52d1-4320-9bac-f847db4148a8"
V7 = "01890a5d-ac96-774b-bcce-b302099a8057"


class ServerCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.system = await self.enterAsyncContext(FakeStoreSystem())
        await self.system.fake_store.open()
        self.system.godot.start()
        await asyncio.to_thread(wait_ready, self.system.godot_port)
        self.caller = await self.enterAsyncContext(Caller(self.system.godot_url))

    def newest(self):
        return json.loads(self.system.resp_command("LINDEX", "logs:queue", 0))

    async def refused(self, code, tool, arguments):
        with self.assertRaises(CallError) as caught:
            await self.caller.call(tool, arguments)
        self.assertEqual(caught.exception.code, code, caught.exception.message)
        return caught.exception.message


class Log(ServerCase):
    async def test_the_tools_and_their_older_names(self):
        tools = (await self.caller.request("tools/list"))["result"]["tools"]
        self.assertEqual([tool["name"] for tool in tools], NAMES)
        self.assertEqual(await self.caller.call("godot_logger_log", ENTRY), QUEUED)
        self.assertEqual(await self.caller.call("godot_logger_query", {}), [])
        self.assertEqual((await self.caller.call("godot_logger_clear", {}))["deleted_count"], 0)
        level = {"component": "c", "level": "WARN"}
        self.assertEqual(await self.caller.call("godot_logger_set_level", level), {"status": "ok"} | level)

    async def test_what_it_does_not_know_is_named(self):
        entry = ENTRY | {"traceid": "t", "data": {"any": 1}, "user": {"a": 1}, "host": None}
        ignored = {"ignored": ["traceid", "user"]}
        self.assertEqual(await self.caller.call("logger_log", entry), QUEUED | ignored)
        self.assertEqual((await self.caller.request("godot_logger_log", entry | {"_meta": {}}))["result"], QUEUED | ignored)
        self.assertEqual(self.system.resp_int("LLEN", "logs:queue"), 2)
        await self.caller.call("logger_set_level", {"component": "c", "level": "WARN"})
        self.assertEqual(await self.caller.call("logger_log", entry), BELOW | ignored)

    async def test_the_text_of_the_answer(self):
        answer = await self.caller.request("tools/call", {"name": "logger_log", "arguments": ENTRY})
        self.assertEqual(answer["result"]["content"][0]["text"], '{"status":"ok","message":"Log entry queued."}')

    async def test_an_entry_gets_its_key(self):
        nulls = {"trace_id": None, "data": None, "id": None, "created_at": None}
        await self.caller.call("logger_log", ENTRY | {"level": "warn"} | nulls)
        entry = self.newest()
        self.assertEqual(uuid.UUID(entry["id"]).version, 7)
        self.assertRegex(entry["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual((entry["level"], entry["trace_id"], entry["data"]), ("WARN", None, None))

    async def test_a_given_key_is_kept(self):
        await self.caller.call("logger_log", ENTRY | {"id": V4.upper(), "created_at": "2024-01-01T01:00:00+01:00"})
        self.assertEqual((self.newest()["id"], self.newest()["created_at"]), (V4, "2024-01-01T00:00:00.000000Z"))
        await self.caller.call("logger_log", ENTRY | {"id": V7})
        self.assertTrue(self.newest()["created_at"].startswith("2023-06-"))

    async def test_a_time_that_cannot_be_read_is_refused(self):
        for given in ("2024-01-01T00:00:00.%fZ", "", "yesterday", "1704067200"):
            for more in ({}, {"id": V7}, {"id": V4}):
                words = await self.refused(-32602, "logger_log", ENTRY | more | {"created_at": given})
                self.assertRegex(words, "^created_at is not a time in ISO 8601, such as 2")
        direct = await self.caller.request("godot_logger_log", ENTRY | {"created_at": "x"})
        self.assertEqual(direct["error"]["code"], -32602)
        self.assertEqual(self.system.resp_int("LLEN", "logs:queue"), 0)

    async def test_times_as_others_write_them(self):
        for given, wanted in (
            ("2026-03-01T10:15Z", "2026-03-01T10:15:00.000000Z"),
            ("2026-03-01t10:15:30.5z", "2026-03-01T10:15:30.500000Z"),
            ("2026-02-28T24:00+00:00", "2026-03-01T00:00:00.000000Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ):
            await self.caller.call("logger_log", ENTRY | {"created_at": given})
            self.assertEqual(self.newest()["created_at"], wanted)

    async def test_secrets_are_redacted(self):
        """Members are redacted by name before they are queued, and counted; strings are not changed."""
        data = {"user": "u", "dbPassword": "hunter2", "list": [{"api-key": {"a": 1}}], "tokens": 3, "deep": {"TOKEN": None}}
        await self.caller.call("logger_log", ENTRY | {"message": "token=hunter2", "data": data, "secret": "hunter2"})
        entry = self.newest()
        gone = {"user": "u", "dbPassword": "[REDACTED]", "list": [{"api-key": "[REDACTED]"}], "tokens": 3}
        self.assertEqual((entry["message"], entry["data"]), ("token=hunter2", gone | {"deep": {"TOKEN": "[REDACTED]"}}))
        self.assertNotIn("secret", entry)
        self.assertIn(b"\ngodot_redacted_total 3\n", http_get(self.system.godot_port, path="/metrics").body)

    async def test_half_a_surrogate_pair_becomes_a_character(self):
        await self.caller.call("logger_log", ENTRY | {"message": "a\ud83d", "data": {"\ude00": "\U0001f600"}})
        self.assertEqual((self.newest()["message"], self.newest()["data"]), ("a\ufffd", {"\ufffd": "\U0001f600"}))

    async def test_the_trace_id_of_the_request(self):
        params = {"name": "logger_log", "arguments": ENTRY, "_meta": {"trace_id": "from the request"}}
        await self.caller.request("tools/call", params)
        self.assertEqual(self.newest()["trace_id"], "from the request")
        params["arguments"] = ENTRY | {"trace_id": "its own"}
        await self.caller.request("tools/call", params)
        self.assertEqual(self.newest()["trace_id"], "its own")

    async def test_what_the_store_would_refuse(self):
        for wrong in (
            {"component": 1},
            {"component": "c" * 257},
            {"level": "FATAL"},
            {"level": "WARNING"},
            {"level": "info\0"},
            {"level": " info"},
            {"level": ""},
            {"level": 1},
            {"level": None},
            {"message": None},
            {"trace_id": "t" * 129},
            {"data": [1]},
            {"id": "17"},
            {"id": V4},
            {"message": "x" * (256 * 1024)},
        ):
            await self.refused(-32602, "logger_log", ENTRY | wrong)
        self.assertEqual(self.system.resp_int("LLEN", "logs:queue"), 0)
        await self.caller.call("logger_log", ENTRY | {"component": "c" * 256, "trace_id": "t" * 128, "message": "x" * (256 * 1024 - 500)})

    async def test_many_at_once_in_order(self):
        calls = (self.caller.call("logger_log", ENTRY | {"message": str(i)}) for i in range(3000))
        answers = await asyncio.gather(*calls)
        self.assertEqual(answers, [QUEUED] * 3000)
        queue = [json.loads(entry)["message"] for entry in self.system.resp_command("LRANGE", "logs:queue", 0, -1)]
        self.assertEqual(queue, [str(i) for i in reversed(range(3000))])


class Levels(ServerCase):
    async def test_are_obeyed(self):
        level = {"component": "c", "level": "WARN"}
        self.assertEqual(await self.caller.call("logger_set_level", level), {"status": "ok"} | level)
        self.assertEqual(await self.caller.call("logger_log", ENTRY), BELOW)
        self.assertEqual(await self.caller.call("logger_log", ENTRY | {"level": "warn"}), QUEUED)
        self.assertEqual(await self.caller.call("logger_log", ENTRY | {"component": "d"}), QUEUED)
        self.assertEqual(self.system.resp_command("HGET", "logger_config:levels", "c"), b"WARN")

    async def test_in_any_case(self):
        for name in "logger_set_level", "godot_logger_set_level":
            for level in "warn", "Warn", "wARN", "WARN":
                answer = await self.caller.call(name, {"component": level, "level": level})
                self.assertEqual(answer, {"status": "ok", "component": level, "level": "WARN"})
                self.assertEqual(self.system.resp_command("HGET", "logger_config:levels", level), b"WARN")
                self.assertEqual(await self.caller.call("logger_log", ENTRY | {"component": level, "level": "Info"}), BELOW)
        self.system.resp_command("HSET", "logger_config:levels", "by hand", "Error")
        await self.caller.call("logger_set_level", {"component": "c", "level": "TRACE"})  # loads all levels
        self.assertEqual(await self.caller.call("logger_log", ENTRY | {"component": "by hand", "level": "warn"}), BELOW)
        for level in "info", "Info", "iNFO":
            self.assertEqual(await self.caller.call("godot_logger_log", ENTRY | {"level": level}), QUEUED)
        kept = [json.loads(entry) for entry in self.system.resp_command("LRANGE", "logs:queue", 0, -1)]
        self.assertEqual([entry["level"] for entry in kept if entry["component"] == "c"], ["INFO"] * 3)

    async def test_are_heard_of_and_outlive_the_server(self):
        port = free_port()
        second = self.system.add_instance("godot-server", "second", MCP_PORT=str(port)).start()
        await asyncio.to_thread(wait_ready, port)
        async with Caller(f"ws://127.0.0.1:{port}") as other:
            await other.call("logger_set_level", {"component": "c", "level": "ERROR"})
            while await self.caller.call("logger_log", ENTRY) != BELOW:
                await asyncio.sleep(0.01)
        second.stop()
        second.start()
        await asyncio.to_thread(wait_ready, port)
        async with Caller(f"ws://127.0.0.1:{port}") as other:
            self.assertEqual(await other.call("logger_log", ENTRY), BELOW)

    async def test_are_removed(self):
        level = {"component": "c", "level": "WARN"}
        await self.caller.call("logger_set_level", level)
        self.assertEqual(await self.caller.call("logger_log", ENTRY), BELOW)
        for _ in range(2):  # the second has nothing to do
            removed = await self.caller.call("godot_remove_level", {"component": "c"})
            self.assertEqual(removed, {"status": "ok", "component": "c", "level": None})
            self.assertEqual(await self.caller.call("logger_log", ENTRY), QUEUED)
        self.assertEqual(self.system.resp_int("HLEN", "logger_config:levels"), 0)
        await self.refused(-32602, "godot_remove_level", {"component": ""})

    async def test_of_at_most_10000_components(self):
        self.system.resp_command("HSET", "logger_config:levels", *(word for n in range(9999) for word in (f"c{n}", "WARN")))
        await self.caller.call("logger_set_level", {"component": "last", "level": "WARN"})
        words = await self.refused(-32000, "logger_set_level", {"component": "more", "level": "WARN"})
        self.assertEqual(words, "10000 components have a level already (godot_remove_level removes one)")
        self.assertEqual(http_get(self.system.godot_port, path="/readyz").status, 200, "the caller's, not Redis'")
        await self.caller.call("logger_set_level", {"component": "last", "level": "ERROR"})
        await self.caller.call("godot_remove_level", {"component": "c7"})
        await self.caller.call("logger_set_level", {"component": "more", "level": "WARN"})

    async def test_wrong_ones(self):
        for level in "LOUD", "warning", "INFO\0", "", None, 3:
            words = await self.refused(-32602, "logger_set_level", {"component": "c", "level": level})
            if isinstance(level, str):
                self.assertEqual(words, "level is none of TRACE, DEBUG, INFO, WARN, ERROR")
        await self.refused(-32602, "logger_set_level", {"component": "", "level": "WARN"})
        await self.refused(-32602, "logger_set_level", {"component": "c" * 257, "level": "WARN"})


class Store(ServerCase):
    async def test_arguments_that_were_given_are_passed_on(self):
        given = {"component": "c", "search": "words", "cursor": "", "data": {"a": 1}, "level": None, "unknown": None}
        await self.caller.call("logger_query", given)
        wanted = {"component": "c", "search": "words", "cursor": "", "data": {"a": 1}, "limit": 100}
        self.assertEqual(self.system.fake_store.calls[-1], ("dewey_query_logs", wanted))
        for limit in 7, 7.0:
            await self.caller.call("logger_query", {"limit": limit})
            self.assertEqual(repr(self.system.fake_store.calls[-1]), repr(("dewey_query_logs", {"limit": 7})))
        await self.caller.call("logger_clear", {"component": "c", "level": "INFO", "before_time": None})
        self.assertEqual(self.system.fake_store.calls[-1], ("dewey_clear_logs", {"component": "c", "level": "INFO"}))
        await self.caller.call("logger_clear", {"dry_run": True})
        self.assertEqual(self.system.fake_store.calls[-1], ("dewey_clear_logs", {"dry_run": True}))

    async def test_arguments_that_are_not_known_are_refused(self):
        level = {"component": "c", "level": "WARN"}
        for tool, known, unknown, nearest in (
            ("logger_query", {}, "compnent", "component"),
            ("logger_query", {}, "traceid", "trace_id"),
            ("logger_clear", {"before_time": "2100-01-01T00:00:00Z"}, "compnent", "component"),
            ("logger_clear", {}, "before", "before_time"),
            ("logger_clear", {}, "trace_id", "level"),
            ("logger_set_level", level, "components", "component"),
        ):
            words = f'/{unknown}: not allowed; did you mean "{nearest}"?'
            for name in (tool, f"godot_{tool}"):
                self.assertEqual(await self.refused(-32602, name, known | {unknown: "c"}), words)
                direct = await self.caller.request(name, known | {unknown: "c"})
                self.assertEqual((direct["error"]["code"], direct["error"]["message"]), (-32602, words))
        for tool in ("list", "replay", "discard"):
            self.assertIn('"limit"', await self.refused(-32602, f"godot_dead_{tool}", {"limits": 1}))
        self.assertEqual(self.system.fake_store.calls, [])
        self.assertEqual(self.system.resp_command("HLEN", "logger_config:levels"), 0)

    async def test_meta_is_no_argument_of_a_direct_call(self):
        for tool, asked in (("logger_query", "dewey_query_logs"), ("godot_logger_clear", "dewey_clear_logs")):
            answer = await self.caller.request(tool, {"component": "c", "_meta": {"trace_id": "t"}})
            self.assertIn("result", answer)
            self.assertEqual((self.system.fake_store.calls[-1][0], self.system.fake_store.traces[-1]), (asked, "t"))

    async def test_the_trace_id_is_passed_on(self):
        params = {"name": "logger_query", "arguments": {}, "_meta": {"trace_id": "one trace"}}
        await self.caller.request("tools/call", params)
        await self.caller.request("tools/call", params | {"name": "logger_clear"})
        await self.caller.call("logger_query", {})
        self.assertEqual(self.system.fake_store.traces[-3:], ["one trace", "one trace", None])

    async def test_answers_come_as_they_are(self):
        text = '[ {"message":"\\u00e4", "age": 1.50} ]'
        self.system.fake_store.answers["dewey_query_logs"] = text
        answer = await self.caller.request("tools/call", {"name": "logger_query", "arguments": {}})
        self.assertEqual(answer["result"]["content"][0]["text"], text)

    async def test_errors(self):
        answers = self.system.fake_store.answers
        answers["dewey_query_logs"] = ErrorResponse(-32602, "start_time cannot be read")
        self.assertEqual(await self.refused(-32602, "logger_query", {}), "start_time cannot be read")
        answers["dewey_query_logs"] = ErrorResponse(-32000, "the query took too long")
        self.assertEqual(await self.refused(-32000, "logger_query", {}), "the query took too long")
        await self.system.fake_store.close()
        self.assertEqual(await self.refused(-32000, "logger_query", {}), "log store unavailable, retry")
        at_once = await retry_within(4, lambda: self.refused(-32000, "logger_clear", {}))  # not after the timeout of 8 s
        self.assertEqual(at_once, "log store unavailable, retry")


class Readiness(ServerCase):
    async def test_names_what_is_missing(self):
        port = self.system.godot_port

        def body():
            return http_get(port, path="/readyz").body.decode()

        self.assertEqual(http_get(port, path="/readyz").status, 200)
        await self.system.fake_store.close()
        await wait_until_async(lambda: "dewey" in body(), "/readyz names the store")
        self.assertNotIn("redis", body())
        self.system.redis.kill()
        await wait_until_async(lambda: "redis" in body(), "/readyz names Redis")
        self.assertEqual(http_get(port, path="/healthz").status, 200)
        self.assertEqual(await self.refused(-32000, "logger_log", ENTRY), "queue unavailable, retry")
        self.system.start_redis()
        await self.system.fake_store.open()
        await asyncio.to_thread(wait_ready, port)
        self.assertEqual(await self.caller.call("logger_log", ENTRY), QUEUED)

    def reason(self):
        return http_get(self.system.godot_port, path="/readyz").body.decode()

    async def test_a_redis_that_refuses_is_named_with_calls_and_without(self):
        command, port = self.system.resp_command, self.system.godot_port
        for broken, healed, words, calls in (
            (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "READONLY", True),
            (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "OOM", False),
            (("SET", "logs:queue", "x"), ("DEL", "logs:queue"), "WRONGTYPE", True),
            (("SET", "logs:state", "x"), ("DEL", "logs:state"), "WRONGTYPE", False),
            (("SET", "logs:inflight", "x"), ("DEL", "logs:inflight"), "WRONGTYPE", True),
        ):
            with self.subTest(broken=broken):
                command("DEL", "logs:queue", "logs:state", "logs:inflight")
                command(*broken)
                if calls:
                    await self.refused(-32000, "logger_log", ENTRY)
                    self.assertIn("redis: Redis refuses: ", self.reason())
                await wait_until_async(lambda: f"redis: Redis refuses: {words}" in self.reason(), "/readyz says so")
                command(*healed)
                await asyncio.to_thread(wait_ready, port)
                self.assertEqual(await self.caller.call("logger_log", ENTRY), QUEUED)

    async def test_a_store_that_does_not_work_is_named(self):
        self.system.fake_store.not_ready_error = {"code": -32000, "message": "the database cannot be reached"}
        await wait_until_async(lambda: self.reason() == "dewey: the database cannot be reached\n", "/readyz names it")
        self.system.fake_store.not_ready_error = None
        await asyncio.to_thread(wait_ready, self.system.godot_port)

    async def test_a_silent_redis_is_an_error_in_bounded_time(self):
        self.system.redis.signal(signal.SIGSTOP)
        try:
            self.assertEqual(await self.refused(-32000, "logger_log", ENTRY), "queue unavailable, retry")
        finally:
            self.system.redis.signal(signal.SIGCONT)
        await asyncio.to_thread(wait_ready, self.system.godot_port)
        self.assertEqual(await self.caller.call("logger_log", ENTRY), QUEUED)

    async def test_time_in_which_it_did_not_run_is_not_the_silence_of_redis(self):
        self.system.redis.signal(signal.SIGSTOP)
        call = asyncio.create_task(self.caller.call("logger_log", ENTRY))
        await self.caller.request("ping")  # answered after it: the entry was sent to Redis
        self.system.godot.signal(signal.SIGSTOP)
        self.system.redis.signal(signal.SIGCONT)
        await asyncio.sleep(7)  # two seconds longer than QUEUE_SILENCE_MS
        self.system.godot.signal(signal.SIGCONT)
        self.assertEqual(await call, QUEUED)
        self.assertNotIn("Redis does not respond", self.system.godot.output())

    async def test_what_was_taken_is_answered_before_the_end(self):
        calls = [asyncio.create_task(self.caller.call("logger_log", ENTRY)) for _ in range(60)]
        await asyncio.sleep(0)  # they are sent
        async with connect(self.system.godot_url) as ws:
            await round_trip(ws, {"jsonrpc": "2.0", "id": 1, "method": "ping"})
            self.system.godot.signal(signal.SIGTERM)
            done = await asyncio.gather(*calls, return_exceptions=True)
        self.assertEqual(await asyncio.to_thread(self.system.godot.wait), 0)
        self.assertEqual(self.system.resp_int("LLEN", "logs:queue"), sum(answer == QUEUED for answer in done))
        self.assertIn(QUEUED, done)


    async def test_it_ends_while_the_store_owes_an_answer(self):
        """The call ends by the deadline of the shutdown; its response is up to the library."""
        silence = asyncio.Event()

        async def silent(name, arguments):
            await silence.wait()

        self.system.fake_store.run = silent
        call = asyncio.create_task(self.caller.call("logger_query", {}))
        await self.system.until(lambda: self.system.fake_store.calls, "the store is asked")
        self.system.godot.signal(signal.SIGTERM)
        self.assertEqual(await asyncio.to_thread(self.system.godot.wait), 0)
        silence.set()
        with self.assertRaises((CallError, ConnectionError)):
            await call


class CommandLine(unittest.TestCase):
    def run_program(self, *words, **settings):
        return subprocess.run(words, env=settings, capture_output=True, text=True, timeout=WAIT_S)

    def test_help_and_version(self):
        for name in ("godot-server", "godot-worker"):
            for option in ("--help", "-h"):
                self.assertRegex(self.run_program(PROGRAMS[name], option).stdout, rf"^usage: {name} (.*\n)*.* LOG_QUEUE_NAME ")
            for option in ("--version", "-V"):
                self.assertRegex(self.run_program(PROGRAMS[name], option).stdout, rf"^{name} \d+\.\d+\.\d+\n$")
            for wrong in ("--wrong", "extra", "-v"):
                run = self.run_program(PROGRAMS[name], wrong)
                self.assertEqual((run.returncode, run.stdout), (2, ""))
                self.assertRegex(run.stderr, rf"^{name}: .*--help.*\n$")

    def test_a_port_in_use_ends_the_server_with_one_line(self):
        with socket.create_server(("0.0.0.0", 0)) as taken:
            port = taken.getsockname()[1]
            run = self.run_program(PROGRAMS["godot-server"], MCP_PORT=str(port))
            self.assertEqual(run.returncode, 1)
            (problem,) = [text for text in run.stderr.splitlines() if " ERROR " in text]
            self.assertIn(f"cannot listen on port {port}: address already in use", problem)

    def test_a_bad_setting_ends_the_program_with_one_line(self):
        for variable, value in (
            ("MCP_PORT", "abc"),
            ("REDIS_PORT", "0"),
            ("MAX_QUEUE_SIZE", "-1"),
            ("BATCH_SIZE", "1001"),
            ("RETRY_INITIAL_DELAY", "soon"),
            ("RETRY_MAX_DELAY", "0"),
            ("DEWEY_CONNECT_TIMEOUT", "-3"),
            ("GODOT_WORKER_NAME", "a b"),
            ("GODOT_WORKER_NAME", "."),
            ("GODOT_WORKER_NAME", ".."),
            ("LOG_QUEUE_NAME", "logs:dead"),
            ("LOG_QUEUE_NAME", "logs:batch:7"),
            ("LOG_QUEUE_NAME", "logger_config:levels"),
            ("DEWEY_MCP_URL", "http://x y"),
            ("LOG_LEVEL", "loud"),
            ("GODOT_IMPORT_PATHS", "a:/b"),
        ):
            for name in ("godot-server", "godot-worker"):
                run = self.run_program(PROGRAMS[name], **{variable: value})
                self.assertEqual(run.returncode, 1, (name, variable))
                lines = run.stderr.strip().splitlines()
                self.assertEqual(len(lines), 1, lines)
                self.assertIn(value, lines[0])


if __name__ == "__main__":
    main()
