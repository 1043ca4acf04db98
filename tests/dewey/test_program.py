"""The real dewey with an independent client: the exact responses of each tool, invalid arguments, pages, restarts,
kill -9, retention, a full disk, and the settings.
"""
import asyncio
import contextlib
import datetime
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
import unittest
import unittest.mock
import uuid

from caller import CallError, Caller, connect, round_trip
from disk import SmallDisk
from postgresql import psql
from services import ATTEMPTS, PROGRAMS, WAIT_S, SingleServer, http_get, main, run_program, wait_ready, wait_until

INVALID_PARAMS, TOOL_ERROR = -32602, -32000
ON_POSTGRESQL = "DEWEY_DB_HOST" in os.environ
PYTHONS_LIMIT = 1024 * 1024  # a client of Python's websockets closes beyond it, unless told otherwise


def iso(seconds_ago=0):
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line(message="a message", **more):
    return {"id": str(uuid.uuid4()), "created_at": iso(), "component": "test", "level": "INFO", "message": message} | more


def new_database():
    if not ON_POSTGRESQL:
        return {}
    name = f"dewey_{uuid.uuid4().hex}"
    psql(f"CREATE DATABASE {name}")
    return {key: value for key, value in os.environ.items() if key.startswith("DEWEY_DB_")} | {"DEWEY_DB_NAME": name}


def figure(port, name):
    """The value of a line of /metrics."""
    for text in http_get(port, path="/metrics").body.decode().splitlines():
        if text.startswith(name + " "):
            return float(text.rpartition(" ")[2])
    raise AssertionError(f"no {name} in /metrics")


class Dewey(SingleServer):
    """With DEWEY_DB_HOST set (tests/lib/postgresql.py) on a new PostgreSQL database, else on SQLite."""

    def __init__(self, **settings):
        super().__init__("dewey", DEWEY_MCP_PORT=0, **(new_database() | settings))

    def __enter__(self):
        super().__enter__()
        wait_ready(self.port)
        return self

    @property
    def database(self):
        return self.directory / "dewey.db"

    def restart(self, well=True):
        if self.program.process is not None:
            self.program.stop()
        super().__enter__()
        if well:
            wait_ready(self.port)


class Case(unittest.IsolatedAsyncioTestCase):
    """Each test has a new Dewey."""

    async def asyncSetUp(self):
        self.dewey = self.enterContext(Dewey())
        self.caller = await self.enterAsyncContext(Caller(self.dewey.url))

    async def store(self, *lines):
        return await self.caller.call("dewey_store_logs_batch", {"logs": list(lines)})

    async def query(self, **arguments):
        return await self.caller.call("dewey_query_logs", arguments)

    async def found(self, **arguments):
        """Queries. Returns the messages, newest first."""
        return [row["message"] for row in await self.query(**arguments)]

    async def clear(self, **arguments):
        return await self.caller.call("dewey_clear_logs", arguments)

    def sql(self, sql, on_postgresql):
        if ON_POSTGRESQL:
            return psql(on_postgresql, self.dewey.settings["DEWEY_DB_NAME"])
        with contextlib.closing(sqlite3.connect(self.dewey.database)) as database:
            return database.executescript(sql)

    async def stats(self):
        return await self.caller.call("dewey_get_log_stats")

    async def assert_refused(self, tool, arguments, words, code=INVALID_PARAMS):
        with self.assertRaises(CallError, msg=arguments) as raised:
            await self.caller.call(tool, arguments)
        self.assertEqual(raised.exception.code, code, arguments)
        self.assertIn(words, raised.exception.message)


    async def assert_unknown(self, tool, arguments, unknown, nearest):
        """An argument of that name is refused, in tools/call and in a direct call; null is not given."""
        words = f"/{unknown}: not allowed" + (f'; did you mean "{nearest}"?' if nearest else "")
        await self.assert_refused(tool, arguments | {unknown: "x"}, words)
        answer = await self.caller.request(tool, arguments | {unknown: ["x"], "_meta": {"trace_id": "t"}})
        self.assertEqual((answer["error"]["code"], answer["error"]["message"]), (INVALID_PARAMS, words))


class Storing(Case):
    async def test_nothing_to_store(self):
        nothing = {"status": "ok", "message": "No logs to store."}
        self.assertEqual(await self.store(), nothing)
        answer = await self.caller.call("dewey_store_logs_batch", {"logs": [], "entries": [line()]})
        self.assertEqual(answer, nothing | {"ignored": ["entries"]})

    async def test_what_it_does_not_know_is_named(self):
        sent = {"logs": [line()], "component": "c", "trace_id": None}
        stored = {"status": "ok", "inserted_count": 1, "duplicates": 0, "rejected": [], "ignored": ["component"]}
        self.assertEqual(await self.caller.call("dewey_store_logs_batch", sent), stored)
        direct = await self.caller.request("dewey_store_logs_batch", sent | {"logs": [line()], "_meta": {}})
        self.assertEqual(direct["result"], stored)
        lines = [line(host="h", pid=1), line(host="i", traceid=None), line() | {"level": "x", "user": {}}, line()]
        answer = await self.store(*lines)
        self.assertEqual((answer["inserted_count"], answer["ignored"]), (3, ["host", "pid", "user"]))
        for count in (64, 65):
            answer = await self.store(line(**{str(n): n for n in range(count)}))
            self.assertEqual(answer["ignored"], [str(n) for n in range(64)])

    async def test_a_line_comes_back_with_its_age(self):
        sent = line("hello", trace_id="t-1", data={"a": [1, 2.5, None, {"b": "\u00fc"}]}, level="warn", created_at=iso(60))
        answer = await self.store(sent)
        self.assertEqual(answer, {"status": "ok", "inserted_count": 1, "duplicates": 0, "rejected": []})
        (row,) = await self.query()
        self.assertEqual(list(row), ["id", "trace_id", "component", "level", "message", "data", "created_at", "age"])
        self.assertTrue(60 <= row.pop("age") < 120)
        self.assertEqual(row, sent | {"level": "WARN"})

    async def test_nulls_and_what_is_missing(self):
        began = iso()
        await self.store({"component": "c", "level": "INFO", "message": "m", "trace_id": None, "data": None})
        (row,) = await self.query()
        self.assertEqual((row["trace_id"], row["data"]), (None, None))
        self.assertEqual(uuid.UUID(row["id"]).version, 7)
        self.assertTrue(began[:19] <= row["created_at"][:19] <= iso()[:19])

    async def test_the_same_again_is_stored_once(self):
        lines = [line(str(number)) for number in range(1000)]
        self.assertEqual((await self.store(*lines))["inserted_count"], 1000)
        answer = await self.store(*lines)
        self.assertEqual(answer, {"status": "ok", "inserted_count": 0, "duplicates": 1000, "rejected": []})
        self.assertEqual((await self.stats())["total_count"], 1000)

    async def test_refused_lines_are_named_and_the_others_stored(self):
        bad = line(level="LOUD")
        answer = await self.store(line("1"), bad, line("2", id="no uuid"), {"level": "INFO", "message": "m"}, line("3"))
        self.assertEqual(
            answer,
            {
                "status": "ok",
                "inserted_count": 2,
                "duplicates": 0,
                "rejected": [
                    {"index": 1, "id": bad["id"], "reason": "level must be one of TRACE, DEBUG, INFO, WARN, ERROR"},
                    {"index": 2, "id": "no uuid", "reason": "id must be a UUID"},
                    {"index": 3, "id": None, "reason": "component is required and must be a text"},
                ],
            },
        )
        self.assertCountEqual(await self.found(), ["1", "3"])

    async def test_a_time_that_cannot_be_read_is_kept(self):
        await self.store(line(created_at="2025-01-01T00:00:00.%fZ", data={"a": 1}))
        (row,) = await self.query()
        self.assertEqual(row["data"], {"a": 1, "original_created_at": "2025-01-01T00:00:00.%fZ"})
        self.assertTrue(0 <= row["age"] < 60)

    async def test_nul_becomes_the_replacement_character(self):
        await self.store(line("a\0b", component="c\0", trace_id="\0", data={"\0": ["\0"]}))
        (row,) = await self.query()
        self.assertEqual(
            (row["message"], row["component"], row["trace_id"], row["data"]),
            ("a\ufffdb", "c\ufffd", "\ufffd", {"\ufffd": ["\ufffd"]}),
        )
        for asked in ({"component": "c\0"}, {"trace_id": "\0"}, {"data": {"\0": ["\0"]}}):
            self.assertEqual(await self.query(**asked), [row | {"age": unittest.mock.ANY}], asked)
        self.assertEqual((await self.clear(before_time="2999-01-01", component="c\0"))["deleted_count"], 1)

    async def test_limits(self):
        too_long = line("x" * (256 * 1024 + 1))
        answer = await self.store(too_long, line("x" * (256 * 1024 - 100)))
        self.assertEqual(
            answer["rejected"], [{"index": 0, "id": too_long["id"], "reason": "the log line is larger than 256 KiB"}]
        )
        self.assertEqual(answer["inserted_count"], 1)
        full = [line("x" * 250_000) for _ in range(33)]
        self.assertEqual((await self.store(*full))["inserted_count"], 33)
        await self.assert_refused("dewey_store_logs_batch", {"logs": [line("x" * 250_000) for _ in range(34)]}, "8 MiB")
        await self.assert_refused("dewey_store_logs_batch", {"logs": [line()] * 1001}, "logs")
        self.assertEqual((await self.stats())["total_count"], 34)

    async def test_a_components_name_has_at_most_256_bytes(self):
        answer = await self.store(line(component="c" * 256), line(component="c" * 257), line(component="\u00e4" * 129))
        self.assertEqual([(one["index"], one["reason"]) for one in answer["rejected"]],
                         [(1, "component must have at most 256 bytes"), (2, "component must have at most 256 bytes")])
        self.assertEqual(answer["inserted_count"], 1)

    async def test_wrong_arguments(self):
        for arguments in ({}, {"logs": None}, {"logs": {}}, {"logs": "x"}, {"logs": [1]}, {"logs": [None]}):
            await self.assert_refused("dewey_store_logs_batch", arguments, "logs")

    async def test_a_direct_call_answers_the_bare_result(self):
        async with connect(self.dewey.url) as ws:
            message = {"jsonrpc": "2.0", "id": 1, "method": "dewey_store_logs_batch", "params": {"logs": [line()]}}
            wanted = {"status": "ok", "inserted_count": 1, "duplicates": 0, "rejected": []}
            self.assertEqual(await round_trip(ws, message), {"jsonrpc": "2.0", "id": 1, "result": wanted})
            message = {"jsonrpc": "2.0", "id": 2, "method": "dewey_query_logs", "params": {}}
            self.assertEqual(len((await round_trip(ws, message))["result"]), 1)


class Querying(Case):
    async def test_each_filter(self):
        await self.store(
            line("one", component="a", level="ERROR", created_at="2025-11-21T10:00:00Z", trace_id="t", data={"k": {"n": 1}}),
            line("two", component="a", level="DEBUG", created_at="2025-11-21T10:00:01Z", data={"k": {"n": 2, "m": [1]}}),
            line("two three", component="b", level="INFO", created_at="2025-11-21T10:00:02Z", trace_id="t", data=[1]),
        )
        for arguments, wanted in (
            ({}, ["two three", "two", "one"]),
            ({"limit": 2}, ["two three", "two"]),
            ({"limit": 2.0}, ["two three", "two"]),
            ({"component": "a"}, ["two", "one"]),
            ({"trace_id": "t"}, ["two three", "one"]),
            ({"level": "INFO"}, ["two three", "one"]),
            ({"level": "error"}, ["one"]),
            ({"level": "Info"}, ["two three", "one"]),
            ({"start_time": "2025-11-21", "end_time": "2025-11-21"}, ["two three", "two", "one"]),
            ({"end_time": "2025-11-20"}, []),
            ({"start_time": "2025-11-22"}, []),
            ({"end_time": "2025-11-21T00:00Z"}, []),
            ({"end_time": "2025-11-21t10:00z"}, ["one"]),
            ({"end_time": "2025-11-21 11:00:01.0000000000+01"}, ["two", "one"]),
            ({"start_time": "2025-11-21T11:00:01+0100"}, ["two three", "two"]),
            ({"start_time": "2025-11-21T09:59:60Z", "end_time": "2025-11-21T10:00"}, ["one"]),
            ({"start_time": "2025-11-21T10:00:01Z"}, ["two three", "two"]),
            ({"end_time": "2025-11-21T12:00:01+02:00"}, ["two", "one"]),
            ({"start_time": "2025-11-21 10:00:00.5", "end_time": "2025-11-21 10:00:01.5"}, ["two"]),
            ({"search": "two"}, ["two three", "two"]),
            ({"search": "THREE two"}, ["two three"]),
            ({"search": 'two" OR "one'}, []),
            ({"search": ""}, ["two three", "two", "one"]),
            ({"search": " "}, []),
            ({"search": "\0"}, []),
            ({"search": "->"}, []),
            ({"data": {"k": {}}}, ["two", "one"]),
            ({"data": {"k": {"n": 2}}, "component": "a"}, ["two"]),
            ({"component": "a", "level": "ERROR", "search": "two"}, []),
            ({"component": "nobody"}, []),
            ({"trace_id": None, "component": None, "search": None, "data": None, "limit": None}, ["two three", "two", "one"]),
        ):  # fmt: skip
            self.assertEqual(await self.found(**arguments), wanted, arguments)

    async def test_words_of_texts_without_blanks_and_with_nul(self):
        texts = ["重启gateway后数据库连接失败", "データベース接続に失敗しました", "결제서버에서오류발생", "before\0after", "Café"]
        await self.store(*(line(text) for text in texts))
        for words, wanted in (("数据库", 0), ("gateway", 0), ("接続", 1), ("오류", 2), ("before", 3), ("after", 3), ("cafe", 4)):
            self.assertEqual(await self.found(search=words), [texts[wanted].replace("\0", "\ufffd")], words)

    async def test_arguments_that_are_not_known_are_refused(self):
        await self.assert_unknown("dewey_query_logs", {}, "compnent", "component")
        await self.assert_unknown("dewey_query_logs", {"limit": 5}, "min_level", "level")
        await self.assert_unknown("dewey_get_log_stats", {}, "component", None)
        self.assertEqual(await self.query(compnent=None, data={"any": {"name": 1}}), [])
        direct = await self.caller.request("dewey_query_logs", {"_meta": {"trace_id": "t"}, "limit": 5})
        self.assertEqual(direct["result"], [])

    async def test_a_hundred_unless_said(self):
        await self.store(*[line() for _ in range(1000)])
        self.assertEqual(len(await self.query()), 100)
        self.assertEqual(len(await self.query(limit=1000)), 1000)
        self.assertEqual(len(await self.query(limit=1)), 1)

    async def test_wrong_arguments(self):
        for arguments, words in (
            ({"limit": 0}, "limit"),
            ({"limit": 1001}, "limit"),
            ({"limit": -5}, "limit"),
            ({"limit": 10**30}, "limit"),
            ({"limit": "5"}, "limit"),
            ({"limit": 1.5}, "limit"),
            ({"level": "LOUD"}, "level must be one of"),
            ({"level": ""}, "level must be one of"),
            ({"level": "INFO\0"}, "level must be one of"),
            ({"level": 2}, "level"),
            ({"start_time": "yesterday"}, "start_time is not a time"),
            ({"end_time": "2025-13-01T00:00:00Z"}, "end_time is not a time"),
            ({"end_time": ""}, "end_time is not a time"),
            ({"cursor": "x"}, "invalid cursor"),
            ({"cursor": "1_2_3"}, "invalid cursor"),
            ({"data": "x"}, "data"),
            ({"data": [1]}, "data"),
            ({"data": {"k": "x" * 5000}}, "data is larger"),
            ({"search": "x" * 1025}, "search is longer"),
            ({"trace_id": 7}, "trace_id"),
        ):
            await self.assert_refused("dewey_query_logs", arguments, words)

    async def test_numbers_of_any_size(self):
        await self.store(line("large", data={"n": 2**70, "k": 1}), line("larger", data={"n": 2**70 + 1, "k": 1}))
        self.assertEqual(await self.found(data={"n": 2**70}), ["large"])
        self.assertEqual(await self.found(data={"k": 1}), ["larger", "large"])
        asked = {"jsonrpc": "2.0", "id": 1, "method": "dewey_query_logs", "params": {"data": {"a": {"n": 77}}}}
        async with connect(self.dewey.url) as ws:
            for number in ("1e400", "-1e999999999", "1" * 1100, "1" * 1101):
                answer = await round_trip(ws, json.dumps(asked).replace("77", number))
                self.assertTrue("result" in answer or answer["error"]["code"] == INVALID_PARAMS, answer)
                self.assertEqual("result" in answer, number != "1" * 1101 and "result" in answer, number[:20])
        self.assertEqual(http_get(self.dewey.port, path="/readyz").status, 200, "a caller's number is no failure of the store")
        self.assertEqual(figure(self.dewey.port, 'dewey_store_errors_total{kind="failed"}'), 0)

    async def test_an_answer_that_would_be_huge_is_refused(self):
        for _ in range(10):
            await self.store(*[line("x" * 250_000) for _ in range(30)])
        await self.assert_refused("dewey_query_logs", {"limit": 1000}, "read it in pages with cursor", TOOL_ERROR)
        self.assertEqual(len(await self.query(limit=100)), 100)


class Pages(Case):
    async def read_pages(self, between=None, **arguments):
        """All rows, page by page, as Python's default client takes them."""
        rows, cursor, count = [], "", 0
        async with connect(self.dewey.url, max_size=PYTHONS_LIMIT) as ws:
            while cursor is not None:
                params = {"name": "dewey_query_logs", "arguments": arguments | {"cursor": cursor}}
                answer = await round_trip(ws, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
                page = json.loads(answer["result"]["content"][0]["text"])
                self.assertEqual(list(page), ["logs", "next_cursor"])
                rows, cursor, count = rows + page["logs"], page["next_cursor"], count + 1
                if between:
                    await between()
        return rows, count

    async def test_the_first_page_of_nothing(self):
        self.assertEqual(await self.query(cursor=""), {"logs": [], "next_cursor": None})

    async def test_exactly_full_pages_end_with_null(self):
        await self.store(*[line() for _ in range(20)])
        first = await self.query(cursor="", limit=10)
        self.assertEqual(len(first["logs"]), 10)
        second = await self.query(cursor=first["next_cursor"], limit=10)
        self.assertEqual((len(second["logs"]), second["next_cursor"]), (10, None))

    async def test_everything_is_read_once_while_new_lines_arrive(self):
        sent = [line(str(number), created_at=f"2025-11-21T10:00:{number % 7:02}Z") for number in range(2000)]
        await self.store(*sent[:1000])
        await self.store(*sent[1000:])

        async def more():
            await self.store(*[line("new") for _ in range(50)])

        rows, count = await self.read_pages(more, limit=150)
        self.assertEqual(count, 14)
        self.assertEqual([row["message"] for row in rows if row["message"] == "new"], [])
        self.assertEqual(sorted(row["id"] for row in rows), sorted(entry["id"] for entry in sent))
        keys = [(row["created_at"], row["id"]) for row in rows]
        self.assertEqual(keys, sorted(keys, reverse=True))

    async def test_pages_fit_into_a_megabyte_whatever_they_hold(self):
        for message in ("x" * 250_000, '"' * 125_000, "\x01" * 43_000, "\\\n" * 60_000, "\u00fc" * 120_000):
            await self.store(*[line(message) for _ in range(6)])
        rows, count = await self.read_pages(limit=1000)
        self.assertEqual(len(rows), 30)
        self.assertGreater(count, 8)

    async def test_the_largest_line_has_a_page(self):
        await self.store(line("\x01" * (256 * 1024 // 6 - 100)), line('"' * (128 * 1024 - 100)))
        rows, _ = await self.read_pages()
        self.assertEqual(len(rows), 2)


class Clearing(Case):
    async def test_a_filter_that_is_not_known_clears_nothing(self):
        await self.store(line("keep"))
        for unknown, nearest in (("compnent", "component"), ("before", "before_time"), ("trace_id", "level"), ("search", "level")):
            await self.assert_unknown("dewey_clear_logs", {"before_time": "2100-01-01"}, unknown, nearest)
        self.assertEqual(await self.found(), ["keep"])
        direct = await self.caller.request("dewey_clear_logs", {"before_time": "2100-01-01", "_meta": {"trace_id": "t"}})
        self.assertEqual(direct["result"]["deleted_count"], 1)

    async def fill(self):
        await self.store(
            line("1", created_at=iso(10 * 86400 - 60)),
            line("2", created_at=iso(3600), component="b"),
            line("3", created_at=iso(1800), level="ERROR"),
            line("4", created_at=iso(60)),
        )

    async def test_by_time_component_and_level(self):
        for arguments, left in (
            ({}, ["4", "3", "2"]),
            ({"before_time": None, "component": None, "level": None}, ["4", "3", "2"]),
            ({"before_time": iso(1000)}, ["4"]),
            ({"before_time": iso(-60), "component": "b"}, ["4", "3", "1"]),
            ({"before_time": iso(-60), "level": "error"}, ["4", "2", "1"]),
            ({"before_time": iso(-60), "level": "INFO"}, ["3"]),
            ({"before_time": iso(-60), "component": "test", "level": "INFO"}, ["3", "2"]),
            ({"before_time": iso(-60), "component": "nobody"}, ["4", "3", "2", "1"]),
            ({"component": "b"}, ["4", "3", "2", "1"]),
        ):
            await self.clear(before_time=iso(-60))
            await self.fill()
            answer = await self.clear(**arguments)
            self.assertEqual(answer, {"status": "ok", "deleted_count": 4 - len(left)}, arguments)
            self.assertEqual(await self.found(), left, arguments)

    async def test_wrong_arguments(self):
        for arguments, words in (
            ({"before_time": "now"}, "before_time is not a time in ISO 8601, such as 2026-11-21T07:24:07Z or 2026-11-21"),
            ({"level": "LOUD"}, "level must be one of"),
            ({"component": 1}, "component"),
            ({"dry_run": "yes"}, "dry_run"),
            ({"dry_run": 1}, "dry_run"),
        ):
            await self.assert_refused("dewey_clear_logs", arguments, words)

    async def test_a_date_alone_spares_that_day(self):
        await self.store(line("the day before", created_at="2026-01-04T23:59:59.999999Z"),
                         line("its first moment", created_at="2026-01-05T00:00:00Z"), line("its last", created_at="2026-01-05T23:59:59Z"))
        self.assertEqual((await self.clear(before_time="2026-01-05", dry_run=True))["deleted_count"], 1)
        self.assertEqual((await self.clear(before_time="2026-01-05"))["deleted_count"], 1)
        self.assertEqual(await self.found(), ["its last", "its first moment"])

    async def test_a_dry_run_counts_and_deletes_nothing(self):
        await self.fill()
        for arguments, count in (
            ({}, 1),
            ({"before_time": iso(-60)}, 4),
            ({"before_time": iso(-60), "component": "b"}, 1),
            ({"before_time": iso(-60), "level": "INFO"}, 3),
            ({"before_time": iso(-60), "component": "b", "level": "ERROR"}, 0),
            ({"before_time": iso(-60), "component": "b\0"}, 0),
        ):
            answer = await self.clear(dry_run=True, **arguments)
            self.assertEqual(answer, {"status": "ok", "deleted_count": count, "dry_run": True}, arguments)
        self.assertEqual(len(await self.found()), 4)
        self.assertEqual(await self.clear(before_time=iso(-60), dry_run=False), {"status": "ok", "deleted_count": 4})

    async def test_what_takes_long_is_deleted_in_pieces(self):
        for _ in range(5):
            await self.store(*[line(created_at=iso(100)) for _ in range(1000)])
        counting = ("WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {})"
                    " SELECT count(*) FROM numbers")  # fmt: skip
        began = time.monotonic()
        sqlite3.connect(":memory:").execute(counting.format(100_000)).fetchone()
        count = int(60 / (time.monotonic() - began))  # 0.6 ms for a line, where SQLite cannot sleep
        self.sql(f"CREATE TRIGGER slow BEFORE DELETE ON logs BEGIN SELECT ({counting.format(count)}); END",
                 "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';"
                 "CREATE TRIGGER slow BEFORE DELETE ON logs FOR EACH STATEMENT EXECUTE FUNCTION slow()")  # fmt: skip
        clearing = asyncio.create_task(self.clear(before_time=iso(50)))
        await self.store(line("kept"))
        until_begun = self.clear(before_time=iso(50))
        self.assertEqual(await until_begun, {"status": "ok", "deleted_count": 0, "more": True}, "one at a time")
        await self.store(line("kept, too"))
        self.assertFalse(clearing.done(), "storing waits for it")
        answer = await clearing
        self.assertEqual(answer, {"status": "ok", "deleted_count": answer["deleted_count"], "more": True})
        self.assertTrue(0 < answer["deleted_count"] < 5000, answer)
        self.sql("DROP TRIGGER slow", "DROP TRIGGER slow ON logs")
        rest = {"status": "ok", "deleted_count": 5000 - answer["deleted_count"]}
        self.assertEqual(await self.clear(before_time=iso(50)), rest)
        self.assertEqual(await self.found(), ["kept, too", "kept"])

    async def test_storing_goes_on_while_much_is_cleared(self):
        """A store call is answered before an earlier, longer clear call."""
        stored = 0
        for _ in range(ATTEMPTS):
            ended = await self.store_while_clearing()
            stored += ended.count("stored")
            self.assertEqual((await self.stats())["total_count"], stored)
            if ended[0] == "stored":
                return
        self.fail("storing waits for the clearing")

    async def clear_all(self, **arguments):
        """Clears in several calls. Returns the number deleted."""
        deleted, answer = 0, {"more": True}
        while "more" in answer:
            answer = await self.clear(**arguments)
            deleted += answer["deleted_count"]
        return deleted

    async def store_while_clearing(self):
        """The responses, in this order."""
        ended = []

        def begin(work, name):
            task = asyncio.create_task(work)
            task.add_done_callback(lambda _: ended.append(name))
            return task

        for _ in range(20):
            await self.store(*[line(created_at=iso(100)) for _ in range(1000)])
        clearing = begin(self.clear_all(before_time=iso(50)), "cleared")
        while not clearing.done():
            await begin(self.store(line("kept", created_at=iso(0))), "stored")
        self.assertEqual(await clearing, 20_000)
        return ended


class Clocks(Case):
    """Wrong clocks: Dewey's (simulated by changing the last retention) and those of producers."""

    async def restart_ahead(self, days):
        """Restarts Dewey with a clock that many days after the last retention."""
        self.dewey.program.stop()
        self.sql(f"UPDATE log_state SET retention_at = {int((time.time() - days * 86400) * 1e6)}",
                 f"UPDATE dewey_schema SET retention_at = '{iso(days * 86400)}'")  # fmt: skip
        self.dewey.restart()
        self.caller = await self.enterAsyncContext(Caller(self.dewey.url))

    def last_day(self, wanted):
        """True if PostgreSQL has the partition of the last prepared day."""
        day = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3)
        found = self.sql("", f"SELECT to_regclass('logs_day_{day:%Y%m%d}') IS NOT NULL")
        return not ON_POSTGRESQL or found == ("t" if wanted else "f")

    def drop_last_day(self):
        day = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3)
        self.sql("", f"DROP TABLE logs_day_{day:%Y%m%d}")

    async def test_nothing_is_removed_by_a_clock_that_is_ahead_until_an_operator_says_so(self):
        await self.store(line("old", created_at=iso(9 * 86400)), line("fresh"))
        self.drop_last_day()
        await self.restart_ahead(3)
        self.dewey.program.wait_for("no old log lines are removed for 24 hours")
        self.assertEqual(figure(self.dewey.port, "dewey_retention_held"), 1)
        await self.store(line("arrived meanwhile"), line("old, too", created_at=iso(9 * 86400)))
        with self.assertRaisesRegex(CallError, "nothing was deleted: Dewey's clock may be wrong"):
            await self.clear()
        self.assertEqual(await self.found(), ["arrived meanwhile", "fresh", "old, too", "old"])
        self.assertTrue(self.last_day(False), "a partition was made by a clock that may be wrong")
        self.dewey.restart()
        self.dewey.program.wait_for("no old log lines are removed for 24 hours")
        run = run_program([PROGRAMS["dewey"], "--resume-retention"], env=self.dewey.settings)
        self.assertEqual((run.returncode, run.stdout), (0, "log lines older than 7 days are removed by this machine's clock\n"))
        self.dewey.program.wait_for("removed 2 log lines older than 7 days")
        wait_until(lambda: self.last_day(True), "the partition")
        self.assertEqual(figure(self.dewey.port, "dewey_retention_held"), 0)
        async with Caller(self.dewey.url) as caller:
            rows = await caller.call("dewey_query_logs")
            self.assertEqual([row["message"] for row in rows], ["arrived meanwhile", "fresh"])
            await caller.call("dewey_clear_logs")

    async def test_two_days_without_a_retention_are_nothing_strange(self):
        await self.store(line("old", created_at=iso(9 * 86400)), line("fresh"))
        await self.restart_ahead(1.9)
        self.dewey.program.wait_for("removed 1 log lines older than 7 days")
        self.assertEqual(await self.found(), ["fresh"])

    async def test_a_clock_that_was_set_back_makes_no_line_older(self):
        await self.restart_ahead(-3)
        self.dewey.program.wait_for("no old log lines are removed for 24 hours")
        right = line("by a right clock", created_at=iso(-2.9 * 86400))
        unknown = {name: value for name, value in line("without a time").items() if name != "created_at"}
        await self.store(right, unknown)
        rows = {row["message"]: row for row in await self.query()}
        self.assertEqual((rows["by a right clock"]["created_at"], rows["by a right clock"]["data"]), (right["created_at"], None))
        self.assertTrue(-3 * 86400 - 1 <= rows["without a time"]["age"] < -2.9 * 86400, rows)

    async def test_times_far_ahead_are_replaced_by_the_same_for_each_retry(self):
        begun = iso()
        inside = uuid.UUID(int=int(time.time() * 1000 - 60_000) << 80 | 7 << 76 | 2 << 62 | random.getrandbits(60))
        ahead = uuid.UUID(int=253402300799000 << 80 | 7 << 76 | 2 << 62 | random.getrandbits(60))
        never = "9999-12-31T23:59:59Z"
        for given, kept in (
            (line(id=str(inside), created_at=never), True),
            (line(id=str(ahead), created_at=never), True),
            (line(created_at=never, data={"a": 1}), True),
            (line(created_at=iso(-86400 - 60)), True),
            (line(created_at="no time"), True),
            ({name: value for name, value in line().items() if name != "created_at"}, False),
            ({name: value for name, value in line(id=str(ahead)).items() if name != "created_at"}, False),
        ):
            answers = [await self.store(given), await self.store(given, given), await self.store(line("other"), given)]
            self.assertEqual([answer["inserted_count"] for answer in answers], [1, 0, 1], given)
            (row,) = [row for row in await self.query() if row["id"] == given["id"]]
            self.assertEqual((row["data"] or {}).get("original_created_at"), given["created_at"] if kept else None)
            if given["id"] == str(inside):
                self.assertTrue(55 < row["age"] < 120, row)
            else:
                self.assertTrue(begun <= row["created_at"] <= iso(), row)
            self.assertEqual((await self.clear(before_time=iso(-1)))["deleted_count"], 2, given)

    async def test_a_time_up_to_a_day_ahead_stays_unless_it_was_more_before(self):
        given = line(created_at=iso(-86400 + 60))
        self.assertEqual([(await self.store(given))["inserted_count"] for _ in range(2)], [1, 0])
        (row,) = await self.query()
        self.assertEqual((row["created_at"], row["data"]), (given["created_at"], None))
        given = line(created_at=iso(-86400 - 3600))
        await self.store(given)
        later = given | {"created_at": iso(-86400 + 60)}  # as it looks two hours later
        self.assertEqual((await self.store(later))["duplicates"], 1)
        self.assertEqual(len(await self.query()), 2)


class Arriving(Case):
    """Following by cursors that begin with "arrival"."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        await self.store(line("before"))
        page = await self.query(cursor="arrival")
        self.assertEqual((list(page), page["logs"]), (["logs", "next_cursor"], []))
        self.cursor = page["next_cursor"]

    async def arrived(self, **filters):
        """The lines that have arrived since the last call, page by page."""
        messages, logs = [], True
        while logs:
            page = await self.query(cursor=self.cursor, **filters)
            self.cursor, logs = page["next_cursor"], page["logs"]
            messages += [row["message"] for row in logs]
        return messages

    async def test_lines_come_once_and_as_they_arrive_whatever_their_times_are(self):
        self.assertEqual(await self.arrived(), [])
        for message, seconds in (("ahead", -80_000), ("now", 0), ("slow", 1200), ("of last year", 400 * 86400), ("now, too", 0)):
            await self.store(line(message, created_at=iso(seconds)))
        self.assertEqual(await self.arrived(), ["ahead", "now", "slow", "of last year", "now, too"])
        self.assertEqual(await self.arrived(), [])
        await self.store(*[line(str(number)) for number in range(100)])
        await self.store(*[line(str(number)) for number in range(100, 130)])
        came = await self.arrived(limit=7)
        self.assertEqual(sorted(came[:100], key=int) + sorted(came[100:], key=int), [str(number) for number in range(130)])
        again = line("again")
        for _ in range(2):
            await self.store(again)
        self.assertEqual(await self.arrived(), ["again"])
        lines = [line("x" * 250_000) for _ in range(9)]
        await self.store(*lines)
        self.assertEqual(await self.arrived(), [sent["message"] for sent in lines], "page by page")

    async def test_each_filter(self):
        await self.store(line("one", component="a", level="ERROR", trace_id="t", data={"k": 1}, created_at=iso(100)))
        await self.store(line("two words", component="b", level="DEBUG", data={"k": 2}))
        start = self.cursor
        for filters, wanted in (
            ({"component": "a"}, ["one"]),
            ({"component": "a\0"}, []),
            ({"level": "INFO"}, ["one"]),
            ({"trace_id": "t"}, ["one"]),
            ({"search": "words"}, ["two words"]),
            ({"search": ""}, ["one", "two words"]),
            ({"search": " "}, []),
            ({"search": "->"}, []),
            ({"data": {"k": 2}}, ["two words"]),
            ({"start_time": iso(50)}, ["two words"]),
            ({"end_time": iso(50)}, ["one"]),
            ({"component": "b", "level": "DEBUG", "search": "two", "data": {}, "limit": 1}, ["two words"]),
        ):  # fmt: skip
            self.cursor = start
            self.assertEqual(await self.arrived(**filters), wanted, filters)

    async def test_after_all_lines_are_gone_the_new_ones_come(self):
        await self.store(line("gone"))
        self.assertEqual(await self.arrived(), ["gone"])
        await self.clear(before_time=iso(-60))
        await self.store(line("new"))
        self.assertEqual(await self.arrived(), ["new"])
        cursor = self.cursor
        await self.store(line("gone, too"))
        await self.clear(before_time=iso(-60))
        self.dewey.restart()
        self.caller = await self.enterAsyncContext(Caller(self.dewey.url))
        await self.store(line("newer"))
        self.cursor = cursor
        self.assertEqual(await self.arrived(), ["newer"])

    async def test_cursors_that_are_none_or_another_databases(self):
        for cursor in ("arrivals", "arrival:", "arrival:x", "arrival:-1", "arrival: 1", "arrival:1:0:", "arrival:" + "9" * 40,
                       "arrival:0:9:", "arrival:1:9:3,2", "arrival:1:9:9", "arrival:1:9", "arrival:1:9:/1:9:",
                       "arrival:1:9:/x/5/y", "arrival:\0", "arrival:1:9:/1:9:/5/no-uuid"):  # fmt: skip
            await self.assert_refused("dewey_query_logs", {"cursor": cursor}, "invalid cursor: expected a next_cursor of this tool")
        self.assertEqual(http_get(self.dewey.port, path="/readyz").status, 200)
        for count, fits in ((16 * 1024 - 1, True), (16 * 1024, False)):
            running = "1:99:".ljust(count - 1, "5").replace("55", "5,") + "5"
            cursor = "arrival:" + (running if ON_POSTGRESQL else "1".zfill(count))
            if fits:
                await self.query(cursor=cursor)
            else:
                await self.assert_refused("dewey_query_logs", {"cursor": cursor}, "invalid cursor: expected a next_cursor of this tool")
        number = 1 << 60  # ahead of the database
        self.cursor = f"arrival:{number}:{number}:" if ON_POSTGRESQL else f"arrival:{number}"
        self.assertEqual(await self.arrived(), [])
        await self.store(line("after"))
        self.assertEqual(await self.arrived(), ["after"])


class Statistics(Case):
    async def test_of_nothing(self):
        stats = await self.stats()
        self.assertGreater(stats.pop("estimated_db_size"), 0)
        empty = {"total_count": 0, "count_by_component": {}, "count_by_level": {}}
        self.assertEqual(stats, empty | {"oldest_log_at": None, "newest_log_at": None})

    async def test_of_more_components_than_are_named(self):
        for names in (range(1000), range(1000, 1003)):
            await self.store(*[line(component=f"c{number:04}") for number in names])
            counts = (await self.stats())["count_by_component"]
            self.assertEqual((len(counts), sum(counts.values()), counts.get("others")),
                             (1000, 1000, None) if names[0] == 0 else (1001, 1003, 3))
        await self.store(line(component="a"), line(component="others"))
        counts = (await self.stats())["count_by_component"]
        self.assertEqual((len(counts), sum(counts.values()), counts["others"]), (1001, 1005, 5))

    async def test_of_some(self):
        await self.store(
            line(component="a", level="INFO", created_at="2025-11-21T10:00:00Z"),
            line(component="a", level="ERROR", created_at="2025-11-21T10:00:01Z"),
            line(component="b", level="INFO", created_at="2025-11-21T10:00:02Z"),
        )
        stats = await self.stats()
        self.assertGreater(stats.pop("estimated_db_size"), 4096)
        self.assertEqual(
            stats,
            {
                "total_count": 3,
                "count_by_component": {"a": 2, "b": 1},
                "count_by_level": {"INFO": 2, "ERROR": 1},
                "oldest_log_at": "2025-11-21T10:00:00.000000Z",
                "newest_log_at": "2025-11-21T10:00:02.000000Z",
            },
        )


class Living(Case):
    async def test_many_calls_at_once(self):
        async def work(number):
            lines = [line(f"{number}", component=f"c{number % 5}") for _ in range(100)]
            answers = await asyncio.gather(
                self.store(*lines), self.query(component=f"c{number % 5}"), self.stats(), self.query(search=str(number))
            )
            return answers[0]["inserted_count"]

        self.assertEqual(sum(await asyncio.gather(*[work(number) for number in range(40)])), 4000)
        self.assertEqual((await self.stats())["total_count"], 4000)

    async def test_a_batch_is_stored_quickly(self):
        batches = [[line(f"call {number} of dewey completed") for number in range(1000)] for _ in range(20)]
        began = time.monotonic()
        for batch in batches:
            await self.store(*batch)
        print(f"{20_000 / (time.monotonic() - began):,.0f} lines a second, one batch after the other", flush=True)

    async def test_what_was_answered_survives_kill_9(self):
        acknowledged = []

        async def store_for_ever():
            while True:
                lines = [line() for _ in range(20)]
                if (await self.store(*lines))["inserted_count"] == 20:
                    acknowledged.extend(entry["id"] for entry in lines)

        async def kill():
            while len(acknowledged) < 1000:
                await asyncio.sleep(0)
            self.dewey.program.kill()

        with self.assertRaises(ConnectionError):
            await asyncio.gather(store_for_ever(), kill())
        self.dewey.restart()
        async with Caller(self.dewey.url) as caller:
            rows, cursor = set(), ""
            while cursor is not None:
                page = await caller.call("dewey_query_logs", {"cursor": cursor, "limit": 1000})
                rows |= {row["id"] for row in page["logs"]}
                cursor = page["next_cursor"]
        self.assertLessEqual(set(acknowledged), rows)



class Sqlite(Case):
    """Conditions of the database file."""

    async def test_it_ends_in_order_and_finds_everything_again(self):
        await self.store(line("kept"))
        self.dewey.program.stop()
        self.assertEqual([file.name for file in self.dewey.directory.glob("dewey.db*")], ["dewey.db"], "no journal is left")
        self.dewey.restart()
        async with Caller(self.dewey.url) as caller:
            self.assertEqual([row["message"] for row in await caller.call("dewey_query_logs")], ["kept"])

    async def test_a_full_disk_is_a_tool_error_and_heals(self):
        await self.store(line("before"))
        pid = self.dewey.program.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (200 * 1024, unlimited[1]))
        lines = [line("x" * 1000) for _ in range(1000)]
        await self.assert_refused("dewey_store_logs_batch", {"logs": lines}, "storing failed, retry", TOOL_ERROR)
        self.assertEqual(await self.found(), ["before"])
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        self.assertEqual((await self.store(*lines))["inserted_count"], 1000)
        self.dewey.program.wait_for("storing failed")

    def readiness(self):
        answer = http_get(self.dewey.port, path="/readyz")
        return answer.status, answer.body.decode()

    async def test_a_store_that_fails_is_named_until_it_works(self):
        await self.store(line("before"))
        self.assertEqual(self.readiness(), (200, "ready\n"))
        pid = self.dewey.program.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        await self.assert_refused("dewey_store_logs_batch", {"logs": [line()]}, "storing failed, retry", TOOL_ERROR)
        status, reason = self.readiness()
        self.assertEqual(status, 503)
        self.assertEqual(reason, "store: disk full\n")
        self.assertEqual(await self.found(), ["before"])
        self.assertEqual(self.readiness()[0], 503, "that reading works says nothing about writing")
        self.assertEqual(figure(self.dewey.port, "dewey_store_failing"), 1)
        self.assertEqual(figure(self.dewey.port, 'dewey_store_errors_total{kind="failed"}'), 1)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        await self.store(line("after"))
        self.assertEqual(self.readiness(), (200, "ready\n"))
        self.assertEqual(figure(self.dewey.port, "dewey_store_failing"), 0)
        self.dewey.program.wait_for("store: available")

    async def test_a_store_that_fails_is_found_well_without_a_call(self):
        pid = self.dewey.program.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        await self.assert_refused("dewey_store_logs_batch", {"logs": [line()]}, "storing failed, retry", TOOL_ERROR)
        self.assertEqual(self.readiness()[0], 503)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        began = time.time()
        wait_ready(self.dewey.port)  # it looks every ten seconds
        self.assertGreaterEqual(figure(self.dewey.port, "dewey_store_worked_timestamp_seconds"), began - 1)
        self.assertEqual((await self.store(line()))["inserted_count"], 1)

    async def test_a_store_on_a_small_disk_is_found_well_without_a_call(self):
        """Smaller than the largest batch."""
        with SmallDisk(6 << 20) as disk, Dewey(DEWEY_DB_PATH=disk.path / "dewey.db") as dewey:
            async with Caller(dewey.url) as caller:
                disk.fill()
                with self.assertRaisesRegex(CallError, "storing failed, retry"):
                    while True:  # some still find room
                        await caller.call("dewey_store_logs_batch", {"logs": [line("x" * 1000) for _ in range(100)]})
                self.assertEqual(http_get(dewey.port, path="/readyz").body, b"store: disk full\n")
                disk.empty()
                await asyncio.to_thread(wait_ready, dewey.port)
            dewey.program.stop()

    async def test_a_database_that_cannot_be_read_is_named(self):
        await self.store(*[line("x" * 1000) for _ in range(1000)])
        self.dewey.program.stop()
        with self.dewey.database.open("r+b") as file:
            file.seek(256 * 1024)  # behind the schema
            file.write(b"\xa5" * 512 * 1024)
        self.dewey.restart(well=False)
        async with Caller(self.dewey.url) as caller:
            with self.assertRaises(CallError):
                await caller.call("dewey_query_logs", {"limit": 1000})
        status, reason = self.readiness()
        self.assertEqual((status, reason), (503, "store: database disk image is malformed\n"))

    async def test_a_file_that_was_removed_takes_nothing_more(self):
        for gone in ("dewey.db", "dewey.db-wal"):
            path, aside = self.dewey.directory / gone, self.dewey.directory / "aside"
            await self.store(line("before"))
            path.rename(aside)
            if gone == "dewey.db":  # without calls it checks every ten seconds
                wait_ready(self.dewey.port, 503)
            await self.assert_refused("dewey_store_logs_batch", {"logs": [line()]}, "storing failed, retry", TOOL_ERROR)
            self.assertEqual(self.readiness()[1], "store: the database file was removed or replaced\n")
            await self.assert_refused("dewey_begin_conversation", {}, "retry", TOOL_ERROR)
            await self.assert_refused("dewey_ready", {}, "the database file was removed or replaced", TOOL_ERROR)
            path.touch()  # another one
            await self.assert_refused("dewey_store_logs_batch", {"logs": [line()]}, "storing failed, retry", TOOL_ERROR)
            aside.rename(path)
            await self.store(line("after"))
            self.assertEqual(self.readiness(), (200, "ready\n"))
            self.assertEqual(await self.caller.call("dewey_ready", {}), {"ready": True})
        self.dewey.program.stop()
        self.dewey.restart()
        async with Caller(self.dewey.url) as caller:
            self.assertEqual(len(await caller.call("dewey_query_logs")), 4)

    async def test_a_check_writes_as_much_as_work_does(self):
        pid = self.dewey.program.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        lines = [line("x" * 1000) for _ in range(1000)]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (700 * 1024, unlimited[1]))
        await self.assert_refused("dewey_store_logs_batch", {"logs": lines}, "storing failed, retry", TOOL_ERROR)
        self.dewey.program.wait_for("testing for free space: File too large")
        self.assertEqual(self.readiness()[0], 503)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        wait_ready(self.dewey.port)
        self.assertEqual([file.name for file in self.dewey.directory.glob("*-room")], [])

    async def test_a_locked_database_is_a_tool_error(self):
        other = sqlite3.connect(self.dewey.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await self.assert_refused("dewey_store_logs_batch", {"logs": [line()]}, "storing failed, retry", TOOL_ERROR)
        self.assertEqual(await self.query(), [])
        self.assertEqual(self.readiness()[0], 200, "busy does not mean unavailable")
        self.assertEqual(figure(self.dewey.port, 'dewey_store_errors_total{kind="busy"}'), 1)
        other.execute("ROLLBACK")
        other.close()
        self.assertEqual((await self.store(line()))["inserted_count"], 1)


class Settings(unittest.IsolatedAsyncioTestCase):
    def run_dewey(self, *arguments, **environment):
        return subprocess.run([PROGRAMS["dewey"], *arguments], env=environment, capture_output=True, text=True, timeout=WAIT_S)

    def test_help_and_version(self):
        for option in ("--help", "-h"):
            run = self.run_dewey(option)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            for name in ("DEWEY_MCP_PORT", "DEWEY_DB_PATH", "DEWEY_IMPORT_PATHS", "ICCM_DATA", "LOG_RETENTION_DAYS",
                         "ICCM_MAX_MESSAGE_BYTES"):  # fmt: skip
                self.assertIn(name, run.stdout)
        for option in ("--version", "-V"):
            self.assertRegex(self.run_dewey(option).stdout, r"^dewey \d+\.\d+\.\d+\n$")
        for wrong in ("--port=1", "extra", "-x"):
            run = self.run_dewey(wrong)
            self.assertEqual((run.returncode, run.stdout), (2, ""))
            self.assertRegex(run.stderr, r"^dewey: .*--help.*\n$")

    def test_values_that_cannot_be_read_end_it_with_one_line(self):
        with Dewey() as place:
            for name, value in (
                ("DEWEY_MCP_PORT", "abc"), ("DEWEY_MCP_PORT", "65536"), ("LOG_RETENTION_DAYS", "0"),
                ("LOG_RETENTION_DAYS", "36501"), ("ICCM_MAX_MESSAGE_BYTES", "-1"), ("ICCM_MAX_MESSAGE_BYTES", "1G"),
            ):  # fmt: skip
                run = self.run_dewey(**{"ICCM_DATA": str(place.directory), name: value})
                self.assertEqual(run.returncode, 1, name)
                (problem,) = [text for text in run.stderr.splitlines() if name in text]
                self.assertIn(value, problem)

    def test_a_database_that_cannot_be_used_ends_it_with_a_reason(self):
        with Dewey() as place:
            text = place.directory / "text"
            text.write_text("no database" * 1000)
            for path in (text, place.directory / "missing" / "dewey.db", place.directory):
                run = self.run_dewey(DEWEY_MCP_PORT="0", DEWEY_DB_PATH=str(path))
                self.assertEqual(run.returncode, 1, path)
                self.assertIn(f'the database "{path}" cannot be used', run.stderr)
            run = self.run_dewey(DEWEY_MCP_PORT="0", ICCM_DATA=str(text / "below"))
            self.assertEqual(run.returncode, 1)
            self.assertIn("ICCM_DATA", run.stderr)

    def test_a_port_in_use_ends_it_with_a_reason(self):
        with Dewey() as place:
            run = self.run_dewey(DEWEY_MCP_PORT=str(place.port), DEWEY_DB_PATH=str(place.directory / "other.db"))
            self.assertEqual(run.returncode, 1)
            self.assertEqual(len([text for text in run.stderr.splitlines() if str(place.port) in text]), 1, run.stderr)

    async def test_the_data_directory_is_made(self):
        with Dewey() as place:
            place.program.stop()
            place.program.environment["ICCM_DATA"] = str(place.directory / "new")
            place.restart()
            self.assertTrue((place.directory / "new" / "dewey.db").exists())
            self.assertEqual(http_get(place.port, path="/healthz").status, 200)

    async def test_old_lines_are_removed_at_the_start(self):
        with Dewey(LOG_RETENTION_DAYS=36500) as place:
            async with Caller(place.url) as caller:
                old = [line(f"old {number}", created_at=iso(3 * 86400)) for number in range(1000)]
                await caller.call("dewey_store_logs_batch", {"logs": old})
                young = line("young", created_at=iso(86400))
                await caller.call("dewey_store_logs_batch", {"logs": [young]})
            place.program.environment["LOG_RETENTION_DAYS"] = "2"
            place.restart()
            place.program.wait_for("removed 1000 log lines older than 2 days")
            while figure(place.port, 'dewey_log_deleted_total{by="retention"}') != 1000:  # counted right behind
                await asyncio.sleep(0.01)
            async with Caller(place.url) as caller:
                self.assertEqual([row["message"] for row in await caller.call("dewey_query_logs")], ["young"])
                answer = await caller.call("dewey_query_logs", {"search": "old"})
                self.assertEqual(answer, [])

    async def test_messages_may_be_as_large_as_is_said(self):
        with Dewey(ICCM_MAX_MESSAGE_BYTES=100_000) as place:
            async with connect(place.url) as ws:
                params = {"logs": [line("x" * 90_000)]}
                answer = await round_trip(ws, {"jsonrpc": "2.0", "id": 1, "method": "dewey_store_logs_batch", "params": params})
                self.assertEqual(answer["result"]["inserted_count"], 1)
                await ws.send("x" * 100_001)
                await asyncio.wait_for(ws.wait_closed(), WAIT_S)
                self.assertEqual(ws.close_code, 1009)


class Stopping(Case):
    # Each row costs some 20 million comparisons: the last number searched for is missing.
    WANTED = {"k": list(range(39_000, 39_500)) + [-1]}

    async def start_long_query(self):
        """Returns a query of many seconds once it has begun."""
        for _ in range(6):
            await self.store(*[line(data={"k": list(range(40_000))}) for _ in range(30)])
        query = asyncio.create_task(self.query(data=self.WANTED))
        await asyncio.sleep(0)
        await self.caller.request("ping")
        return query

    async def test_it_ends_while_a_query_runs(self):
        query = await self.start_long_query()
        self.dewey.program.signal(signal.SIGTERM)
        self.assertEqual(await asyncio.to_thread(self.dewey.program.wait), 0)
        with self.assertRaises((CallError, ConnectionError)):
            await query
        self.assertEqual(self.caller.ws.close_code, 1012)

    async def test_a_query_ends_when_nobody_waits_for_it(self):
        for _ in range(ATTEMPTS):
            query = await self.start_long_query()
            await self.caller.ws.close()
            with self.assertRaises(ConnectionError):
                await query
            began = time.monotonic()
            self.dewey.program.stop()
            if time.monotonic() - began < 2:
                return
            self.dewey.restart()
            self.caller = await self.enterAsyncContext(Caller(self.dewey.url))
        self.fail("each end waits for the query")

    @unittest.skipIf(ON_POSTGRESQL, "no other program can lock all of it")
    async def test_it_ends_while_others_hold_the_lock(self):
        """Within the stop timeout of container engines, although writers and the check would wait longer."""
        other = sqlite3.connect(self.dewey.database, isolation_level=None)
        self.addCleanup(other.close)
        for _ in range(ATTEMPTS):
            other.execute("BEGIN IMMEDIATE")
            calls = [asyncio.create_task(self.store(line())) for _ in range(20)]
            await self.caller.request("ping")
            began = time.monotonic()
            await asyncio.to_thread(self.dewey.program.stop)
            took = time.monotonic() - began
            await asyncio.gather(*calls, return_exceptions=True)
            if took < 8:
                return
            other.execute("ROLLBACK")
            self.dewey.restart()
            self.caller = await self.enterAsyncContext(Caller(self.dewey.url))
        self.fail("each end waits for the lock")

    @unittest.skipIf(ON_POSTGRESQL, "each thread that stores has its own writer")
    async def test_queries_are_answered_while_many_wait_for_the_writer(self):
        other = sqlite3.connect(self.dewey.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        begun = [asyncio.create_task(self.caller.call("dewey_begin_conversation")) for _ in range(20)]
        stored = [asyncio.create_task(self.store(line())) for _ in range(10)]
        await asyncio.sleep(0)
        async with Caller(self.dewey.url) as reader:
            for _ in range(5):
                self.assertEqual(await reader.call("dewey_query_logs"), [])
        self.assertFalse(any(call.done() for call in begun + stored), "none has given up yet")
        other.execute("ROLLBACK")
        other.close()
        self.assertEqual(len({(await call)["conversation_id"] for call in begun}), 20)
        self.assertEqual(sum([(await call)["inserted_count"] for call in stored]), 10)

    async def test_storing_goes_on_while_long_queries_run(self):
        queries = [await self.start_long_query()] + [asyncio.create_task(self.query(data=self.WANTED)) for _ in range(20)]
        for _ in range(5):
            self.assertEqual((await self.store(line()))["inserted_count"], 1)
        await self.caller.ws.close()
        await asyncio.gather(*queries, return_exceptions=True)


if __name__ == "__main__":
    main()
