"""Dewey and Horace on PostgreSQL with a standby that is promoted after the primary is lost.

If the primary waits for the standby (synchronous_standby_names), everything that a response reported as stored or found is on
the promoted standby: also if a call got no response and its repetition had nothing to write, if somebody cancelled the wait,
and under load. As a control, a pair that does not wait loses lines.
"""
import asyncio
import time
import unittest
import uuid
from datetime import datetime, timezone

from caller import CallError, Caller
from horace import Horace
from log_audit import FAST_RETRIES, LineTracker, LogAuditCase, LogLoad
from postgresql import ReplicatedPair, bin_directory, psql
from services import (
    WAIT_S,
    AsyncTestCase,
    SingleServer,
    System,
    is_ready,
    main,
    wait_ready,
    wait_until,
    wait_until_async,
)

POOL_MAX = 4  # examples/stores/conn_pool.h: connections that write


def line(message):
    created = datetime.now(timezone.utc).isoformat()
    return {"id": str(uuid.uuid4()), "created_at": created, "component": "test", "level": "INFO", "message": message}


class Replicated(AsyncTestCase):
    @classmethod
    def setUpClass(cls):
        if bin_directory() is None:
            raise unittest.SkipTest("there is no PostgreSQL below /usr/lib/postgresql")

    def start_pair(self, **settings):
        self.pair = ReplicatedPair(**settings)
        self.addCleanup(self.pair.close)

    async def start_dewey(self, **settings):
        alone = self.enterContext(SingleServer("dewey", DEWEY_MCP_PORT=0, **(self.pair.environment() | settings)))
        self.dewey_port = alone.port
        wait_ready(alone.port)
        self.dewey = await self.enterAsyncContext(Caller(alone.url))

    async def start_horace(self, **settings):
        place = {name.replace("DEWEY", "HORACE"): value for name, value in self.pair.environment().items()}
        self.store = self.enterContext(Horace(**(place | settings)))
        self.horace = await self.enterAsyncContext(Caller(self.store.url))

    def calls(self, name):
        """One of each kind that stores or removes, as (who, tool, arguments)."""
        (self.store.files / name).write_text(f"bytes of {name}")
        return [
            (self.dewey, "dewey_store_logs_batch", {"logs": [line(f"{name} {number}") for number in range(10)]}),
            (self.dewey, "dewey_set_startup_context", {"name": name, "content": name}),
            (self.horace, "horace_register_file", {"file_path": name, "metadata": {"owner": "me"}}),
        ]

    async def all_refused(self, calls):
        """Each of the failed calls asks for a retry: none was reported as stored."""
        answers = await asyncio.gather(*(who.call(*words) for who, *words in calls), return_exceptions=True)
        for answer, (_, *words) in zip(answers, calls):
            self.assertIsInstance(answer, CallError, f"{words} was answered {answer}")
            self.assertTrue(answer.data and answer.data["retry"], f"{words} was answered {answer}")

    async def insist(self, who, tool, arguments):
        """Makes the call again for as long as it asks for that."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return await who.call(tool, arguments)
            except CallError as error:
                if not (error.data and error.data.get("retry")) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)

    async def all_answered(self, calls):
        return await asyncio.gather(*(self.insist(*call) for call in calls))

    def on_standby(self, sql):
        return psql(sql, **self.pair.standby.environment())

    def assert_on_standby(self, *names):
        """All that calls() has stored for these."""
        messages = sorted(f"{name} {number}" for name in names for number in range(10))
        self.assertEqual(sorted(self.on_standby("SELECT message FROM logs WHERE message <> 'of no test'").split("\n")), messages)
        contexts = self.on_standby("SELECT name FROM startup_contexts").split()
        files = self.on_standby("SELECT path FROM horace_files WHERE status = 'active'").split()
        self.assertEqual((sorted(contexts), sorted(files)), (sorted(names), sorted(names)))


class Lost(Replicated):
    async def test_what_was_answered_outlives_the_primary_also_when_asked_twice(self):
        self.start_pair()
        await self.start_dewey(DEWEY_DB_TIMEOUT=1)
        await self.start_horace(HORACE_DB_TIMEOUT=1)
        await self.all_answered(self.calls("before"))
        conversation = (await self.insist(self.dewey, "dewey_begin_conversation", {}))["conversation_id"]
        removal = (self.dewey, "dewey_delete_conversation", {"conversation_id": conversation, "force": True})
        other = (await self.insist(self.dewey, "dewey_begin_conversation", {}))["conversation_id"]
        message = {"conversation_id": other, "role": "user", "content": "once", "turn_number": 1}
        turn = (self.dewey, "dewey_store_message", message)
        (self.store.files / "twin").write_text("bytes of before")
        twin = (self.horace, "horace_register_file", {"file_path": "twin", "metadata": {}})
        calls = [*self.calls("alone"), twin, turn, removal]
        self.pair.standby.kill()
        await self.all_refused(calls)
        self.pair.primary.kill()
        self.pair.primary.start()
        await self.all_refused(calls)
        self.assertTrue(self.store.staged_files(), "settled on the word of the primary alone")
        self.assertTrue(is_ready(self.dewey_port, 503))
        self.assertEqual(len(await self.dewey.call("dewey_query_logs", {})), 20)
        self.pair.start_standby()
        await self.all_answered(calls[:-2])
        with self.assertRaisesRegex(CallError, "the turn number is in use"):
            await self.insist(*turn)
        with self.assertRaisesRegex(CallError, "there is no such conversation"):
            await self.insist(*removal)
        self.pair.lose_primary()
        self.assert_on_standby("before", "alone")
        self.assertEqual(self.on_standby(f"SELECT count(*) FROM conversations WHERE id = '{conversation}'"), "0")
        self.assertEqual(self.on_standby("SELECT content FROM messages"), "once")
        self.assertEqual(self.on_standby("SELECT count(*) FROM horace_paths WHERE path = 'twin'"), "1")
        await self.all_answered(self.calls("after"))
        self.assert_on_standby("before", "alone", "after")

    async def test_a_primary_that_was_cut_off_is_left_for_the_promoted_one(self):
        self.start_pair()
        await self.start_dewey(DEWEY_DB_TIMEOUT=1)
        self.pair.promote()  # the other one still accepts writes, and waits for a standby that is none any more
        await self.insist(self.dewey, "dewey_store_logs_batch", {"logs": [line("of both")]})
        self.assertEqual(self.on_standby("SELECT message FROM logs"), "of both")

    async def test_a_primary_that_does_not_wait_loses_lines(self):
        self.start_pair(synchronous=False)
        await self.start_dewey()
        self.pair.standby.kill()
        lines = [line(f"lost {number}") for number in range(10)]
        self.assertEqual((await self.dewey.call("dewey_store_logs_batch", {"logs": lines}))["inserted_count"], 10)
        self.pair.primary.kill()
        self.pair.standby.start()
        self.pair.promote()
        self.assertEqual(self.on_standby("SELECT count(*) FROM logs"), "0")


class Waits(Replicated):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pair = ReplicatedPair()
        cls.addClassCleanup(cls.pair.close)

    def setUp(self):
        if self.pair.standby.process.poll() is not None:
            self.pair.start_standby()

    async def test_waits_that_somebody_ends_are_not_taken_for_success(self):
        await self.start_dewey()
        await self.start_horace()
        calls = self.calls("cancelled")
        self.pair.standby.kill()
        refused = asyncio.create_task(self.all_refused(calls))
        while not refused.done():
            await asyncio.to_thread(self.pair.sync_waits, "pg_cancel_backend(pid)")
            await asyncio.sleep(0.05)
        await refused
        self.assertEqual(len(await self.dewey.call("dewey_query_logs", {"search": "cancelled"})), 10)
        answered = asyncio.create_task(self.all_answered(calls))
        await wait_until_async(lambda: self.pair.sync_waits() == "3", "three that wait")
        await asyncio.to_thread(self.pair.sync_waits, "pg_cancel_backend(pid)")
        self.pair.start_standby()  # on this thread, with which it ends
        logs, _, file = await answered
        self.assertEqual((logs["inserted_count"], logs["duplicates"], set(file)), (0, 10, {"file_id", "message"}))
        wait_until(lambda: self.on_standby("SELECT count(*) FROM horace_files") == "1", "the standby has replayed it")
        self.assert_on_standby("cancelled")
        self.assertFalse(self.store.staged_files())

    async def test_waits_that_were_given_up_do_not_pile_up(self):
        await self.start_dewey(DEWEY_DB_TIMEOUT=1)
        self.pair.standby.kill()
        for _ in range(3):
            await self.all_refused([(self.dewey, "dewey_store_logs_batch", {"logs": [line("of no test")]}) for _ in range(POOL_MAX)])
        wait_until(lambda: int(self.pair.sync_waits()) <= 2 * POOL_MAX, "fewer that wait than have given up")


class Promoted(Replicated, LogAuditCase):
    async def test_nothing_is_lost_or_doubled_when_the_standby_takes_over_under_load(self):
        self.start_pair()
        system = self.enterContext(System(**(FAST_RETRIES | self.pair.environment()))).start()
        tracker = LineTracker()
        load = LogLoad(system.godot_url, tracker, rate=1000)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await self.stored(500)
            await asyncio.to_thread(self.pair.lose_primary)
            await self.stored(1000)
            load.ended = True
        self.assertEqual(await self.audit(system, tracker), 0)

    async def stored(self, count):
        """On the standby, whatever it is by now."""
        asked = "SELECT count(*) FROM logs"
        await wait_until_async(lambda: int(self.on_standby(asked)) > count, f"more than {count} lines")


if __name__ == "__main__":
    main()
