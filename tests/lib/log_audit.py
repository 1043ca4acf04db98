"""Log load, and an audit that compares the log with the lines that were sent.

Happy path: a LogLoad logs the lines of a LineTracker while the test injects faults; then a LogAuditCase waits until the
queue and the spool are empty, and reads all rows through logger_query, page by page. The audit checks: each acknowledged
line is stored, or counted as dropped; each stored line was sent, is unchanged except for redacted secrets, and is stored
once; the log reports every drop; there are no dead letters; a new entry is stored. A call may fail with its connection, or
with the error that the queue is unavailable.

Each line is derived from its number and has an id, so that a call with an unknown result can be repeated.
"""
import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections import deque
from datetime import datetime, timedelta, timezone
from pathlib import Path

from websockets.exceptions import WebSocketException

from caller import CallError, Caller, read_log_rows
from services import AsyncTestCase, is_ready, wait_until_async

CONNECTIONS, IN_FLIGHT = 8, 32
COMPONENT = "delivery"
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
TAILS = ("", " plain", ' "quoted" \\ and \t tab', " \u00e4\u00f6 \u4e2d\u6587 \U0001f600", " long" * 100)
ID = "5ee0da7a-0000-8000-8000-"  # and the number
ACKNOWLEDGED, STORED = 1, 2
UNAVAILABLE = "-32000: queue unavailable, retry"
FAST_RETRIES = {"RETRY_INITIAL_DELAY": "0.1", "RETRY_MAX_DELAY": "1"}  # settings of a System
logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each call on a connection that is gone


class LineTracker:
    """The lines by number, with one byte of flags each, so that hours of load fit into memory."""

    def __init__(self):
        self.start = datetime.now(timezone.utc) - timedelta(hours=1)
        self.known = bytearray()
        self.sent = 0  # calls, including repeated ones

    def next_number(self):
        self.known.append(0)
        return len(self.known) - 1

    def entry(self, number):
        """Lines with different lengths and alphabets, all distinct."""
        created = self.start + timedelta(microseconds=number)
        return {
            "id": f"{ID}{number:012x}",
            "component": COMPONENT,
            "level": LEVELS[number % len(LEVELS)],
            "message": f"line {number}{TAILS[number % len(TAILS)]}",
            "trace_id": f"trace-{number // 100}" if number % 3 else None,
            "data": {"number": number, "nested": {"odd": number % 2 == 1, "token": f"t{number}"}} if number % 2 else None,
            "created_at": created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }

    def check_row(self, row):
        """Checks a row of the log and marks its line as stored; returns an error message or None."""
        number = int(row["id"].removeprefix(ID), 16) if row["id"].startswith(ID) else len(self.known)
        if number >= len(self.known):
            return "never sent"
        if self.known[number] & STORED:
            return "stored twice"
        self.known[number] |= STORED
        entry = self.entry(number)
        if entry["data"] is not None:
            entry["data"]["nested"]["token"] = "[REDACTED]"
        same = all(row[name] == entry[name] for name in entry if name != "created_at")
        return None if same and time_of(row) == time_of(entry) else f"sent as {entry}"

    def count(self, wanted, mask=ACKNOWLEDGED | STORED):
        return sum(number for known, number in self.counts().items() if known & mask == wanted)

    def counts(self):
        return {known: self.known.count(known) for known in range(4)}


def time_of(row):
    return datetime.fromisoformat(row["created_at"].replace("Z", "+00:00"))


class LogLoad:
    """Callers that log lines. Half of the failed calls are repeated unchanged, the others are not."""

    def __init__(self, url, tracker, lines=None, rate=None):
        self.url, self.tracker, self.lines = url, tracker, lines
        self.pause_s = CONNECTIONS * IN_FLIGHT / rate if rate else 0
        self.again, self.acknowledged, self.failed, self.ended = deque(), 0, 0, False

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self.connection())
        return time.monotonic()

    def has_more(self):
        return not self.ended and (self.lines is None or self.again or len(self.tracker.known) < self.lines)

    async def connection(self):
        while self.has_more():
            try:
                async with Caller(self.url) as caller, asyncio.TaskGroup() as group:
                    for _ in range(IN_FLIGHT):
                        group.create_task(self.send_lines(caller))
            except (OSError, WebSocketException):  # not listening, or closed during the upgrade
                await asyncio.sleep(0.05)

    async def send_lines(self, caller):
        while self.has_more():
            number = self.again.popleft() if self.again else self.tracker.next_number()
            try:
                for _ in range(1 + (number % 500 == 1)):  # some are sent twice, as by a caller that lost the response
                    await self.log(caller, number)
                self.tracker.known[number] |= ACKNOWLEDGED
                self.acknowledged += 1
                await asyncio.sleep(self.pause_s * random.random() * 2)
            except CallError as error:
                assert str(error) == UNAVAILABLE, error
                self.fail(number)
                await asyncio.sleep(0.05)
            except ConnectionError:
                self.fail(number)
                return

    async def log(self, caller, number):
        self.tracker.sent += 1
        answer = await caller.call("logger_log", self.tracker.entry(number))
        assert answer == {"status": "ok", "message": "Log entry queued."}, answer

    def fail(self, number):
        self.failed += 1
        if number % 2:
            self.again.append(number)

    async def reached(self, share):
        while self.acknowledged < share * self.lines:
            await asyncio.sleep(0.002)


class LogAuditCase(AsyncTestCase):
    async def drained(self, system):
        """Waits until queue and spool are empty and all drops are reported. Checks twice, since entries move between them."""

        def is_done():
            named = system.redis_command("HGET", "logs:state", "unreported") is None
            spool = Path(system.settings.get("GODOT_SPOOL_DIR", system.directory / "spool"))
            on_disk = any(file.stat().st_size for file in spool.glob("*/*"))
            return named and not on_disk and system.redis_int("LLEN", "logs:queue") == 0 == leases()

        def leases():
            return system.redis_int("ZCARD", "logs:inflight")

        def is_over():
            return is_ready(system.godot_port) and is_done() and is_done()

        await wait_until_async(is_over, "the queue is drained and Godot is ready")

    async def audit(self, system, tracker):
        """Runs all checks; returns the number of dropped entries."""
        await self.drained(system)
        dropped = system.redis_int("GET", "logs:dropped")
        async with Caller(system.godot_url) as caller:
            await self.wait_answered(caller)
            await self.read_back(caller, tracker)
            named = [row["data"]["dropped"] async for row in read_log_rows(caller, component="godot")]
            await self.fresh_entry(caller)
        self.assertEqual(sum(named), dropped, "drops that the log names")
        missing, stored = tracker.count(ACKNOWLEDGED), tracker.count(STORED, STORED)
        first = [n for n, known in enumerate(tracker.known) if known == ACKNOWLEDGED][:5] if missing else []
        self.assertLessEqual(missing, dropped, f"acknowledged, but neither stored nor dropped; the first are {first}")
        self.assertLessEqual(dropped, tracker.sent - stored, "drops of what is stored, or was never sent")
        self.assertEqual(system.redis_int("LLEN", "logs:dead"), 0)
        return dropped

    async def wait_answered(self, caller):
        """With several servers on one port, this connection may belong to one that is not ready yet."""

        async def answers():
            with contextlib.suppress(CallError):
                await caller.call("logger_query", {"limit": 1})
                return True

        await wait_until_async(answers, "a query is answered")

    async def read_back(self, caller, tracker):
        newest = None
        async for row in read_log_rows(caller, component=COMPONENT):
            self.assertIsNone(tracker.check_row(row), row)
            key = (time_of(row), row["id"])
            self.assertTrue(newest is None or key < newest, "newest first")
            newest = key

    async def fresh_entry(self, caller):
        entry = {"component": "fresh", "level": "INFO", "message": "at the end"}
        entry |= {"id": str(uuid.uuid4()), "created_at": datetime.now(timezone.utc).isoformat()}  # stored once, however often it is sent

        async def is_taken():
            try:
                return await caller.call("logger_log", entry)
            except CallError as error:  # this server may have just lost Redis
                if "retry" not in error.message:
                    raise

        await wait_until_async(is_taken, "a fresh entry is taken")
        rows = await wait_until_async(lambda: caller.call("logger_query", {"component": "fresh"}), "a fresh entry gets through")
        self.assertEqual([row["message"] for row in rows], ["at the end"])
