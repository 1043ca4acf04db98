"""docs/scaling.md: two Godots, each with its own server, worker and queue, and two Deweys on one PostgreSQL.

Callers log to both while the Dewey of one and the worker of the other are killed and restarted: each line is stored once, and
all lines can be read through either Godot.
"""
import asyncio
import unittest
import uuid
from datetime import datetime, timezone

from caller import Caller
from log_audit import ACKNOWLEDGED, FAST_RETRIES, LineTracker, LogAuditCase, LogLoad
from postgresql import Postgresql, bin_directory, psql
from services import System, main, wait_ready, wait_until_async

RATE = 2000  # lines a second at each
MORE = 400


class Scaling(LogAuditCase):
    @classmethod
    def setUpClass(cls):
        if bin_directory() is None:
            raise unittest.SkipTest("there is no PostgreSQL below /usr/lib/postgresql")
        cls.server = Postgresql()
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def setUp(self):
        database = f"d_{self._testMethodName[5:25]}"
        psql(f"CREATE DATABASE {database}", **self.server.environment())
        settings = FAST_RETRIES | self.server.environment() | {"DEWEY_DB_NAME": database}
        self.north = self.enterContext(System(**settings))
        self.south = self.enterContext(System(**settings))
        for system in (self.north, self.south):
            system.start()

    async def test_each_line_is_stored_once_and_read_through_either(self):
        tracker = LineTracker()  # one for both: each line has a different number
        loads = [LogLoad(system.godot_url, tracker, rate=RATE) for system in (self.north, self.south)]
        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(load.run())
            await self.disturb(*loads)
            for load in loads:
                load.ended = True
        await self.drained(self.south)
        self.assertEqual(await self.audit(self.north, tracker), 0)
        tracker.known = bytearray(known & ACKNOWLEDGED for known in tracker.known)
        async with Caller(self.south.godot_url) as caller:
            await self.read_back(caller, tracker)
        self.assertEqual(tracker.count(ACKNOWLEDGED), 0, "read through one Godot, not through the other")

    async def disturb(self, north, south):
        """While one side cannot store, it still accepts lines, and the other side works normally."""
        await self.more(north)
        self.north.dewey.kill()
        await self.more(north)
        async with Caller(self.south.godot_url) as caller:
            self.assertEqual(len(await caller.call("logger_query", {"limit": 100})), 100)
        await self.more(south)
        self.south.worker.kill()
        await self.more(south)
        self.south.worker.start()
        self.north.dewey.start()
        await self.more(south)

    async def more(self, load):
        goal = load.acknowledged + MORE
        await wait_until_async(lambda: load.acknowledged >= goal, f"{MORE} more lines are acknowledged")

    async def test_what_they_share_and_what_not(self):
        for system in (self.north, self.south):
            wait_ready(system.godot_port)
        entry = {"component": "both", "level": "INFO", "message": "once", "id": str(uuid.uuid4())}
        entry["created_at"] = datetime.now(timezone.utc).isoformat()
        async with Caller(self.north.godot_url) as north, Caller(self.south.godot_url) as south:
            for caller in (north, south):  # as one who had no answer from the first
                await caller.call("logger_log", entry)
            await north.call("logger_set_level", {"component": "both", "level": "ERROR"})
            below = await north.call("logger_log", entry | {"id": str(uuid.uuid4())})
            self.assertIn("not queued", below["message"])
            queued = await south.call("logger_log", entry | {"id": str(uuid.uuid4()), "message": "of another level"})
            self.assertEqual(queued["message"], "Log entry queued.")
            for system in (self.north, self.south):
                await self.drained(system)
            for caller in (north, south):
                rows = await caller.call("logger_query", {"component": "both"})
                self.assertEqual(sorted(row["message"] for row in rows), ["of another level", "once"])
            begun = await north.call("conversation_begin", {"session_id": "shared"})
            stored = await south.call("conversation_store_message", {
                "conversation_id": begun["conversation_id"], "role": "user", "content": "said in the south"})
            self.assertEqual(stored["turn_number"], 1)


if __name__ == "__main__":
    main()
