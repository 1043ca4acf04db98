"""Dewey on PostgreSQL: a server that is unavailable, restarts, dies or holds locks; several Deweys on one
database; partitions; and databases of older installations. Started by tests/lib/postgresql.py for itself.
"""
import asyncio
import contextlib
import datetime
import json
import os
import re
import shutil
import socket
import subprocess
import unittest

from caller import CallError, Caller, connect, round_trip
from disk import SmallDisk
from postgresql import Postgresql, bin_directory, psql, psql_environment
from services import SOURCE, SingleServer, free_port, http_get, main, wait_ready, wait_until, wait_until_async
from test_program import line

LEGACY = (SOURCE / "tests/data/legacy.sql").read_text()
TOOL_ERROR = -32000


class Dewey(SingleServer):
    def __init__(self, server, **settings):
        super().__init__("dewey", DEWEY_MCP_PORT=0, **(server.environment() | settings))

    def reason(self):
        return http_get(self.port, path="/readyz").body.decode()


class Case(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        if bin_directory() is None:
            raise unittest.SkipTest("there is no PostgreSQL below /usr/lib/postgresql")
        cls.server = Postgresql()
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def setUp(self):
        self.database = f"d_{self._testMethodName[5:50]}"
        self.sql(f"CREATE DATABASE {self.database}", "postgres")

    def sql(self, text, database=None):
        return psql(text, database or self.database, **self.server.environment())

    @contextlib.contextmanager
    def transaction(self, sql):
        """A transaction that runs SQL at the beginning and commits at the end of the block."""
        words = [str(bin_directory() / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", self.database]
        place = psql_environment(**self.server.environment())
        with subprocess.Popen(words, env=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
            session.stdin.write(f"BEGIN; {sql}; SELECT 'begun';\n")
            session.stdin.flush()
            while "begun" not in (said := session.stdout.readline()):
                self.assertNotEqual(said, "", f"the end of {sql}")
            yield
            session.stdin.write("COMMIT;\n")
            session.stdin.close()
            self.assertEqual(session.wait(), 0)

    def dewey(self, **settings):
        return self.enterContext(Dewey(self.server, DEWEY_DB_NAME=self.database, **settings))

    async def caller(self, dewey):
        wait_ready(dewey.port)
        return await self.enterAsyncContext(Caller(dewey.url))

    async def store(self, caller, *lines):
        return (await caller.call("dewey_store_logs_batch", {"logs": list(lines)}))["inserted_count"]

    async def messages(self, caller, **filters):
        return [row["message"] for row in await caller.call("dewey_query_logs", filters)]


class Away(Case):
    async def test_a_server_that_is_away_is_waited_for(self):
        other = Postgresql()
        self.addCleanup(other.close)
        dewey = self.enterContext(Dewey(other, DEWEY_DB_NAME="postgres"))
        wait_until(lambda: "the database cannot be reached" in dewey.reason(), "the reason in /readyz")
        async with Caller(dewey.url) as caller:
            with self.assertRaises(CallError) as raised:
                await self.store(caller, line())
            self.assertEqual(raised.exception.code, TOOL_ERROR)
            other.start()
            wait_ready(dewey.port)
            self.assertEqual(await self.store(caller, line()), 1)

    async def test_a_first_host_that_swallows_everything_is_passed_over(self):
        with contextlib.ExitStack() as sockets:
            hole = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            for _ in range(3):  # fill its backlog: from then on the kernel drops what arrives
                filler = sockets.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(hole.getsockname())
            ports = f"{hole.getsockname()[1]},{self.server.port}"
            dewey = self.dewey(DEWEY_DB_HOST="127.0.0.1,127.0.0.1", DEWEY_DB_PORT=ports)
            self.assertEqual(await self.store(await self.caller(dewey), line()), 1)

    async def test_what_is_wrong_is_named(self):
        for settings, words in [
            ({"DEWEY_DB_PASSWORD": "wrong"}, "the database refuses the user or password"),
            ({"DEWEY_DB_NAME": "nobody_made_this"}, "the database does not exist"),
            ({"DEWEY_DB_PORT": str(free_port())}, "the database cannot be reached"),
        ]:
            with Dewey(self.server, **({"DEWEY_DB_NAME": self.database} | settings)) as dewey:
                wait_until(lambda: words in dewey.reason(), f"{words!r} in /readyz")
                self.assertNotIn(self.server.password, dewey.program.output())

    async def test_restarts_and_kills_lose_nothing_that_was_acknowledged(self):
        server = Postgresql(fsync="on")
        self.addCleanup(server.close)
        server.start()
        dewey = self.enterContext(Dewey(server, DEWEY_DB_NAME="postgres"))
        caller, stored, ending = await self.caller(dewey), [], asyncio.Event()

        async def store_for_ever():
            while not ending.is_set():
                lines = [line() for _ in range(10)]
                try:
                    await self.store(caller, *lines)
                    stored.extend(entry["id"] for entry in lines)
                except CallError:
                    await asyncio.sleep(0.02)

        async def more_than(count):
            await wait_until_async(lambda: len(stored) >= count, f"{count} lines are stored")

        tasks = [asyncio.create_task(store_for_ever()) for _ in range(4)]
        for end in (server.kill, server.stop, server.kill):
            await more_than(len(stored) + 200)
            await asyncio.to_thread(end)
            await asyncio.to_thread(server.start)
        await more_than(len(stored) + 200)
        ending.set()
        await asyncio.gather(*tasks)
        there = set(psql("SELECT id FROM logs", "postgres", **server.environment()).split())
        self.assertEqual(set(stored) - there, set())

    async def test_a_full_disk_is_named_until_there_is_room_for_work(self):
        with SmallDisk(48 << 20) as disk, contextlib.closing(Postgresql()) as other:
            place = disk.path / "tablespace"
            place.mkdir()
            if os.geteuid() == 0:
                shutil.chown(place, "postgres", "postgres")
            other.start()
            environment = other.environment()
            psql(f"CREATE TABLESPACE small LOCATION '{place}'", "postgres", **environment)
            psql("CREATE DATABASE d TABLESPACE small", "postgres", **environment)
            with Dewey(other, DEWEY_DB_NAME="d") as dewey:
                caller = await self.caller(dewey)
                disk.fill(leave=1 << 20)
                with self.assertRaisesRegex(CallError, "storing failed, retry"):
                    await self.store(caller, *[line(os.urandom(2000).hex()) for _ in range(1000)])
                self.assertEqual(dewey.reason(), "store: disk full\n")
                dewey.program.wait_for("testing for free space: 53100")
                self.assertEqual(dewey.reason(), "store: disk full\n", "a little is written, and less than work is")
                disk.empty()
                wait_ready(dewey.port)
                self.assertEqual(await self.store(caller, line()), 1)

    async def test_a_lock_is_no_failure_of_the_store(self):
        dewey = self.dewey()
        caller = await self.caller(dewey)
        with self.transaction("LOCK TABLE logs"):
            storing = asyncio.create_task(self.store(caller, line("behind the lock")))
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            await wait_until_async(lambda: self.sql(waits) != "0", "somebody who waits for the lock")
        self.assertEqual(await storing, 1)
        self.assertEqual(http_get(dewey.port, path="/readyz").status, 200)


class Tables(Case):
    async def test_several_deweys_share_a_database(self):
        deweys = [self.dewey() for _ in range(4)]
        callers = [await self.caller(dewey) for dewey in deweys]
        lines = [line(f"line {number}") for number in range(200)]
        inserted = await asyncio.gather(*(self.store(caller, *lines) for caller in callers))
        self.assertEqual(sum(inserted), 200)
        self.assertEqual(self.sql("SELECT count(*), count(DISTINCT id) FROM logs"), "200|200")

    async def test_lines_stand_in_the_partitions_of_their_days(self):
        caller, now = await self.caller(self.dewey()), datetime.datetime.now(datetime.timezone.utc)
        days = [now - datetime.timedelta(days=days) for days in (0, 1, -0.9, 400)]
        await self.store(caller, *(line(created_at=day.isoformat()) for day in days))
        places = self.sql("SELECT tableoid::regclass FROM logs ORDER BY created_at DESC").split()
        named = [f"logs_day_{day:%Y%m%d}" for day in days]
        self.assertEqual(places, [named[2], named[0], named[1], "logs_other"])

    async def test_lines_from_ahead_move_into_their_day_when_it_is_made(self):
        caller = await self.caller(self.dewey())
        ahead = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=10)
        await self.store(caller, line("of today"))
        self.sql("INSERT INTO logs(id, component, level, message, created_at)"
                 f" VALUES(gen_random_uuid(), 'c', 'INFO', 'from ahead', '{ahead.isoformat()}')")  # fmt: skip
        self.sql(f"SELECT dewey_make_day('{ahead:%Y-%m-%d}')")
        where = self.sql("SELECT tableoid::regclass FROM logs WHERE message = 'from ahead'")
        self.assertEqual(where, f"logs_day_{ahead:%Y%m%d}")
        self.assertEqual(await self.messages(caller), ["from ahead", "of today"])

    async def test_days_that_are_over_are_dropped(self):
        with Dewey(self.server, DEWEY_DB_NAME=self.database) as dewey:
            caller = await self.caller(dewey)
            old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=20)
            self.sql(f"SELECT dewey_make_day('{old:%Y-%m-%d}')")
            await self.store(caller, *(line(created_at=old.isoformat()) for _ in range(7)), line("of today"))
            await caller.ws.close()
        caller = await self.caller(dewey := self.dewey())
        dewey.program.wait_for("removed 7 log lines older than 7 days")
        self.assertEqual(self.sql(f"SELECT to_regclass('logs_day_{old:%Y%m%d}') IS NULL"), "t")
        self.assertEqual(await self.messages(caller), ["of today"])

    async def test_several_deweys_drop_the_same_days(self):
        callers = [await self.caller(self.dewey()) for _ in range(4)]
        old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=60)
        days = [old + datetime.timedelta(days=number) for number in range(40)]
        self.sql("".join(f"SELECT dewey_make_day('{day:%Y-%m-%d}');" for day in days))
        await self.store(callers[0], *(line(created_at=day.isoformat()) for day in days), line("of today"))
        cleared = await asyncio.gather(*(caller.call("dewey_clear_logs", {}) for caller in callers))
        self.assertEqual(sum(answer["deleted_count"] for answer in cleared), len(days))
        self.assertEqual(await self.messages(callers[0]), ["of today"])

    async def test_a_day_that_is_in_use_stops_nobody_who_stores(self):
        caller = await self.caller(self.dewey())
        old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=20)
        self.sql(f"SELECT dewey_make_day('{old:%Y-%m-%d}')")
        await self.store(caller, line("old", created_at=old.isoformat()))
        with self.transaction("SELECT count(*) FROM logs"):
            cleared = asyncio.create_task(caller.call("dewey_clear_logs", {}))
            self.assertEqual(await self.store(caller, line("of today")), 1)
            self.assertEqual(await cleared, {"status": "ok", "deleted_count": 1})
        self.assertEqual(await self.messages(caller), ["of today"])

    async def test_a_line_that_is_committed_late_is_not_missed(self):
        first, second = await self.caller(self.dewey()), await self.caller(self.dewey())
        cursor = (await first.call("dewey_query_logs", {"cursor": "arrival"}))["next_cursor"]

        async def arrived(**filters):
            nonlocal cursor
            page = await first.call("dewey_query_logs", {"cursor": cursor} | filters)
            cursor = page["next_cursor"]
            return [row["message"] for row in page["logs"]]

        late = ("INSERT INTO logs(id, component, level, message, created_at) VALUES"
                " (gen_random_uuid(), 'c', 'INFO', 'late', now()), (gen_random_uuid(), 'c', 'INFO', 'later', now())")  # fmt: skip
        with self.transaction(late), self.transaction(late):
            await self.store(second, line("meanwhile"))
            self.assertEqual(await arrived(), ["meanwhile"])
            await self.store(second, line("and"))
            await self.store(second, line("on"))
            self.assertEqual(await arrived(limit=1), ["and"])
        self.assertEqual(await arrived(limit=1), ["on"])
        await self.store(second, line("newest"))
        came = [*await arrived(limit=3), *await arrived(), *await arrived()]
        self.assertEqual(sorted(came[:2]), ["late", "later"])
        self.assertEqual(sorted(came), ["late", "late", "later", "later", "newest"])

    async def test_version_1_is_brought_up_to_date_while_others_store(self):
        self.sql((SOURCE / "examples/dewey/pq_schema.sql").read_text())
        store = ("SET lock_timeout = 5000; INSERT INTO logs(id, component, level, message, created_at)"
                 " VALUES(gen_random_uuid(), 'c', 'INFO', 'of version 1', now())")  # fmt: skip
        files = "SELECT relname, relfilenode FROM pg_class WHERE relname ~ '^logs_' AND relkind = 'r' ORDER BY 1"
        self.sql(store)
        before = self.sql(files)
        with self.transaction("SELECT count(*) FROM logs"):
            dewey = self.dewey()
            tries = lambda: dewey.program.output().count("migrating the database")
            wait_until(lambda: tries() >= 2, "two attempts")
            self.sql(store)
            self.assertIn("not been", dewey.reason())
        caller = await self.caller(dewey)
        wait_until(lambda: self.sql("SELECT dewey_day_to_index() IS NULL") == "t", "the indexes")
        self.assertEqual(self.sql(files), before)
        self.assertEqual(self.sql("SELECT count(*), count(arrival) FROM logs"), "2|0")
        cursor = (await caller.call("dewey_query_logs", {"cursor": "arrival"}))["next_cursor"]
        await self.store(caller, line("new"))
        page = await caller.call("dewey_query_logs", {"cursor": cursor})
        self.assertEqual([row["message"] for row in page["logs"]], ["new"])
        self.sql("DROP INDEX logs_other_arrival")
        self.dewey()
        wait_until(lambda: self.sql("SELECT dewey_day_to_index() IS NULL") == "t", "the index")

    def make_version_2(self, lines=400):
        """Tables of version 2 with a line and a message for each number, on several days."""
        for step in ("pq_schema", "pq_arrivals"):
            self.sql("BEGIN;" + (SOURCE / f"examples/dewey/{step}.sql").read_text() + ";COMMIT")
        self.sql(f"""
            SELECT dewey_make_days(dewey_today());
            UPDATE dewey_schema SET version = 2;
            INSERT INTO logs(id, component, level, message, created_at)
              SELECT gen_random_uuid(), 'c', 'INFO', 'Café 数据库 ' || CASE WHEN n % 10 = 0 THEN 'tenth' ELSE 'of ' || n END,
                now() - n * interval '15 minutes' FROM generate_series(1, {lines}) AS n;
            INSERT INTO conversations VALUES(gen_random_uuid(), NULL, NULL, now(), now());
            INSERT INTO messages(id, conversation_id, turn_number, role, content, created_at)
              SELECT gen_random_uuid(), conversations.id, n, 'user', 'Café 数据库 ' || n, now()
              FROM conversations, generate_series(1, {lines}) AS n""")

    async def count(self, caller, words):
        """Of lines and of messages."""
        lines = await caller.call("dewey_query_logs", {"search": words, "limit": 1000})
        return len(lines), (await caller.call("dewey_search", {"query": words, "limit": 1}))["total"]

    async def test_words_are_indexed_anew_while_others_store(self):
        self.make_version_2()
        files = "SELECT relname, relfilenode FROM pg_class WHERE relname ~ '^(logs|messages)' AND relkind = 'r' ORDER BY 1"
        before = self.sql(files)
        today = self.sql("SELECT 'logs_day_' || to_char(dewey_today(), 'YYYYMMDD')")
        with self.transaction("SELECT pg_advisory_lock(7306934505)"):
            callers = [await self.caller(self.dewey()) for _ in range(2)]
            self.sql(f"""
                CREATE INDEX {today}_plain ON {today} USING gin((dewey_words(left(message, 65536))::tsvector));
                UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{today}_plain'::regclass""")
            for caller in callers:
                self.assertEqual(await self.count(caller, "café"), (400, 400))
                self.assertEqual(await self.count(caller, "数据"), (0, 0))
                self.assertEqual(await self.count(caller, "->"), (0, 0))
            await self.store(callers[0], line("Café 数据库 new"))
            ahead = self.sql("SELECT dewey_make_day(dewey_today() + 20), to_regclass('logs_day_' || to_char(dewey_today() + 20, 'YYYYMMDD'))")
            self.assertRegex(ahead, "logs_day")
        stored = 1
        while self.sql("SELECT words_at IS NULL FROM dewey_schema") == "t":
            stored += await self.store(callers[0], line("Café 数据库 new"))
            self.assertEqual(len(await self.messages(callers[1], search="tenth")), 40)
        for caller in callers:
            self.assertEqual(await self.count(caller, "cafe"), (400 + stored, 400))
            self.assertEqual(await self.count(caller, "数据"), (400 + stored, 400))
        self.assertEqual(self.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0")
        self.assertNotEqual(self.sql("SELECT to_regclass('dewey_logs_words')"), "", "a search of before may be on its way")
        self.sql("UPDATE dewey_schema SET words_at = words_at - interval '1 hour'")
        wait_until(lambda: self.sql("SELECT to_regclass('dewey_logs_words')") == "", "the end of the older index")
        self.assertEqual(self.sql("SELECT count(*) FROM pg_attribute WHERE attname = 'words' AND attrelid = 'messages'::regclass"), "0")
        self.assertEqual(self.sql("SELECT dewey_words_state()"), "0")
        self.assertEqual([row for row in self.sql(files).split("\n") if row in before.split("\n")], before.split("\n"))
        self.assertEqual(await self.count(callers[0], "数据"), (400 + stored, 400))
        plan = self.sql("SET enable_seqscan = off; EXPLAIN SELECT FROM logs WHERE dewey_words(left(message, 65536))::tsvector @@ 'x'")
        self.assertNotIn("Seq Scan", plan)

    async def test_a_killed_dewey_leaves_indexes_to_the_next(self):
        self.make_version_2(4000)
        while self.sql("SELECT to_regclass('dewey_logs_plain')") == "" or self.sql("SELECT words_at IS NULL FROM dewey_schema") == "t":
            dewey = self.dewey()
            wait_ready(dewey.port)
            wait_until(lambda: "rebuilding the text index" in dewey.program.output() or self.sql("SELECT words_at FROM dewey_schema") != "",
                  "the beginning of an index")  # fmt: skip
            dewey.program.kill()
        caller = await self.caller(self.dewey())
        self.assertEqual((await self.count(caller, "数据"))[1], 4000)
        self.assertEqual(self.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0")

    async def test_a_server_without_icu_is_named(self):
        self.sql("DELETE FROM pg_collation WHERE collname = 'und-x-icu'")
        dewey = self.dewey()
        wait_until(lambda: "without ICU" in dewey.reason(), "the reason in /readyz")
        self.assertEqual(self.sql("SELECT to_regclass('logs') IS NULL"), "t")

    async def test_data_that_jsonb_cannot_hold_is_kept_as_text(self):
        dewey = self.dewey()
        wait_ready(dewey.port)
        entries = [line(data={"n": 77}), line(data={"a": 1})]
        asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "dewey_store_logs_batch", "params": {"logs": entries}})
        async with connect(dewey.url) as ws:
            answer = await round_trip(ws, asked.replace(": 77}", ": 1e300000}"))
        self.assertEqual(answer["result"]["inserted_count"], 2, answer)
        kinds = self.sql("SELECT jsonb_typeof(data), data FROM logs ORDER BY 1").split("\n")
        self.assertEqual(kinds, ['object|{"a": 1}', 'string|"{\\"n\\":1e300000}"'])

    async def test_long_texts_of_any_characters_are_stored(self):
        caller = await self.caller(self.dewey())
        begun = await caller.call("dewey_begin_conversation", {})
        texts = ["\U0001f600 " * 300_000, " ".join(chr(0x10000 + n) for n in range(200_000)), "x" * 1_000_000]
        for text in texts:
            arguments = {"conversation_id": begun["conversation_id"], "role": "user", "content": text}
            await caller.call("dewey_store_message", arguments)
        await self.store(caller, *(line(text[:30_000], component=text[:64]) for text in texts))
        read = await caller.call("dewey_get_conversation", {"conversation_id": begun["conversation_id"]})
        self.assertEqual([message["content"] for message in read["messages"]], texts)
        self.assertEqual(await self.messages(caller, component=texts[2][:64]), [texts[2][:30_000]])

    async def test_tables_of_a_newer_dewey_are_left_alone(self):
        with Dewey(self.server, DEWEY_DB_NAME=self.database) as dewey:
            wait_ready(dewey.port)
        self.sql("UPDATE dewey_schema SET version = 99")
        dewey = self.dewey()
        wait_until(lambda: "newer version" in dewey.reason(), "the reason in /readyz")

    async def test_tables_of_another_program_are_left_alone(self):
        self.sql("CREATE TABLE logs(x integer)")
        dewey = self.dewey()
        dewey.program.wait_for("the table logs was made by another program")
        self.assertEqual(self.sql("SELECT count(*) FROM logs"), "0")
        self.assertEqual(self.sql("SELECT to_regclass('dewey_schema') IS NULL"), "t")


class Legacy(Case):
    async def test_everything_is_taken_over(self):
        self.sql(LEGACY)
        dewey = self.dewey()
        caller = await self.caller(dewey)
        dewey.program.wait_for("log lines of the older installation are kept until LOG_RETENTION_DAYS is set")
        self.assertEqual(await self.messages(caller, search="of old", level="WARN"), ["a line of old"])
        (row,) = await caller.call("dewey_query_logs", {"trace_id": "30000000-0000-4000-8000-000000000001"})
        del row["age"]
        self.assertEqual(
            row,
            {
                "id": "20000000-0000-4000-8000-000000000001",
                "trace_id": "30000000-0000-4000-8000-000000000001",
                "component": "older",
                "level": "WARN",
                "message": "a line of old",
                "data": {"k": 1},
                "created_at": "2024-03-01T10:00:00.654321Z",
            },
        )
        self.assertEqual((await caller.call("dewey_get_log_stats"))["total_count"], 5002)
        read = await caller.call("dewey_get_conversation", {"conversation_id": "10000000-0000-4000-8000-000000000001"})
        self.assertEqual(read["metadata"], {"from": "older"})
        self.assertEqual(read["created_at"], "2024-03-01T10:00:00.123456Z")
        turns = [(message["turn"], message["role"], message["content"]) for message in read["messages"]]
        self.assertEqual(turns, [(1, "user", "a question of old"), (3, "assistant", "an answer of old")])
        self.assertEqual((await caller.call("dewey_search", {"query": "answer"}))["total"], 1)
        self.assertEqual((await caller.call("dewey_get_startup_context"))["name"], "second")
        self.assertEqual(len((await caller.call("dewey_list_startup_contexts"))["contexts"]), 3)
        self.assertEqual(self.sql("SELECT count(*) FROM legacy_logs"), "5002")

    async def test_logs_without_trace_ids_and_without_the_rest(self):
        self.sql(re.search(r"CREATE TABLE logs\(.*?;", LEGACY, re.S)[0].replace("  trace_id uuid,\n", ""))
        self.sql("INSERT INTO logs(component, level, message) VALUES('c', 'ERROR', 'without a trace')")
        caller = await self.caller(self.dewey())
        self.assertEqual(await self.messages(caller), ["without a trace"])

    async def test_retention_that_is_set_is_announced_and_then_kept(self):
        self.sql(LEGACY)
        dewey = self.dewey(LOG_RETENTION_DAYS="30")
        caller = await self.caller(dewey)
        dewey.program.wait_for("removed 5002 log lines older than 30 days")
        self.assertRegex(dewey.program.output(), r"(?s)older than 30 days will be removed.*removed 5002")
        self.assertEqual(await self.messages(caller), [])

    async def test_a_takeover_that_fails_changes_nothing(self):
        self.sql(LEGACY + "CREATE TABLE legacy_logs(x integer);")
        dewey = self.dewey()
        dewey.program.wait_for("setting the older tables aside")
        self.assertEqual(self.sql("SELECT count(*) FROM logs"), "5002")
        self.sql("DROP TABLE legacy_logs")
        wait_ready(dewey.port)
        self.assertEqual(self.sql("SELECT count(*) FROM logs"), "5002")


if __name__ == "__main__":
    main()
