"""The promise: a logger_log that was answered "ok" is stored exactly once, whatever ends the worker or Dewey meanwhile.

A file of lines goes in through Godot over several connections with many calls in flight; each line has an id, so that a
call whose fate is unknown can be repeated. On the way the worker is killed with SIGKILL again and again, and Dewey is
killed and away for a while, which no caller may notice; in a second, shorter run Redis and Godot's server are killed,
too; in a third, two servers share a port, two workers a queue, and one of each is killed. Then everything is read back
through logger_query, page by page.

The judge: every line acknowledged, every acknowledged line stored, with the payload it had, none twice, nothing that
was not sent; at the end a fresh entry gets through.

The environment moves its size: TEST_LINES (50000), TEST_KILLS (10), TEST_AWAY_S (20).
"""
import asyncio
import os
import time
import uuid
from datetime import datetime, timedelta, timezone

from websockets.exceptions import WebSocketException

from caller import CallError, Caller, read_all
from services import AsyncCase, System, is_ready, main

LINES = int(os.environ.get("TEST_LINES", 50000))
KILLS = int(os.environ.get("TEST_KILLS", 10))
AWAY_S = float(os.environ.get("TEST_AWAY_S", 20))
CONNECTIONS, IN_FLIGHT = 8, 32
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
COMPONENT = "delivery"
MANY_CONNECTIONS = 24  # so many that both of two servers on one port get some
ROUNDS = 3  # of killing everything
DRAIN_S = 180


def write_file(path, lines):
    """Lines of all lengths and alphabets, none like another."""
    tails = ("", " plain", ' "quoted" \\ and \t tab', " \u00e4\u00f6 \u4e2d\u6587 \U0001f600", " long" * 100)
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            file.write(f"line {number} of {lines}{tails[number % len(tails)]}\n")


def entries_of(path):
    """The file as entries, by their ids."""
    start = datetime.now(timezone.utc) - timedelta(hours=1)
    entries = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"line:{number}"))
            created = start + timedelta(microseconds=number)
            entries[identity] = {
                "id": identity,
                "component": COMPONENT,
                "level": LEVELS[number % len(LEVELS)],
                "message": line.rstrip("\n"),
                "trace_id": f"trace-{number // 100}" if number % 3 else None,
                "data": {"number": number, "nested": {"odd": number % 2 == 1}} if number % 2 else None,
                "created_at": created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            }
    return entries


class Sending:
    """Sends entries until each has been acknowledged; what failed is sent again, as it was."""

    def __init__(self, url, entries, connections=CONNECTIONS):
        self.url, self.left, self.connections = url, list(reversed(entries.values())), connections
        self.total, self.acknowledged, self.repeated, self.failed = len(entries), 0, 0, 0

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(self.connection())
        assert self.acknowledged == self.total
        return time.monotonic()

    async def connection(self):
        while self.left:
            try:
                async with Caller(self.url) as caller, asyncio.TaskGroup() as group:
                    for _ in range(IN_FLIGHT):
                        group.create_task(self.lane(caller))
            except (OSError, WebSocketException):  # not there, or gone before it was a WebSocket
                await asyncio.sleep(0.05)

    async def lane(self, caller):
        while self.left:
            entry = self.left.pop()
            try:
                if entry["data"] and entry["data"]["number"] % 500 == 1:  # as a caller that missed the answer
                    await caller.call("logger_log", entry)
                    self.repeated += 1
                answer = await caller.call("logger_log", entry)
                assert answer == {"status": "ok", "message": "Log entry queued."}, answer
                self.acknowledged += 1
            except CallError as error:
                assert error.code == -32000, error
                self.again(entry)
                await asyncio.sleep(0.05)
            except ConnectionError:
                self.again(entry)
                return

    def again(self, entry):
        self.failed += 1
        self.left.append(entry)

    async def reached(self, share):
        while self.acknowledged < share * self.total:
            await asyncio.sleep(0.002)


async def trouble(system, sending):
    """Kills the worker at even distances, a third of the times with Dewey away; answers how often it held a batch."""
    held = 0
    away_from, away_to = KILLS // 3, 2 * KILLS // 3
    back_at = None
    for kill in range(KILLS):
        if kill == away_from:
            system.dewey.kill()
            back_at = time.monotonic() + AWAY_S
        if kill == away_to:
            await asyncio.sleep(back_at - time.monotonic())
            system.dewey.start()
        await sending.reached((kill + 1) / (KILLS + 2))
        held += await has_batch(system)
        system.worker.kill()
        system.worker.start()
    return held


async def kill_one_of_each(system, sending, server, worker):
    """Kills the first server and later the second, which may only end when the first is back, and a worker."""
    for share, victim in enumerate((system.godot, worker, server), 1):
        await sending.reached(share / 5)
        failed = sending.failed
        victim.kill()
        while victim is not worker and sending.failed == failed:  # it had connections
            await asyncio.sleep(0.002)
        if victim is system.godot:
            victim.start().port()  # waits until it listens
    worker.start()


async def has_batch(system):
    """Waits until the worker holds a batch: within a second, unless the queue is empty."""
    for _ in range(500):
        if system.redis_count("ZCARD", "logs:inflight") > 0:
            return True
        await asyncio.sleep(0.002)
    return False


async def kill_in_turn(system, sending):
    """Kills everything that there is, one after the other, again and again."""
    victims = (system.redis, system.godot, system.worker, system.dewey) * ROUNDS
    for number, victim in enumerate(victims):
        await sending.reached((number + 1) / (len(victims) + 2))
        victim.kill()
        await asyncio.sleep(0.1)  # long enough for the others to notice
        victim.start()


def comparable(row):
    created = datetime.fromisoformat(row["created_at"].replace("Z", "+00:00"))
    return {name: row[name] for name in ("id", "component", "level", "message", "trace_id", "data")} | {"at": created}


class Delivery(AsyncCase):
    async def test_every_line_arrives_once(self):
        with System() as system:
            system.start()
            entries = self.entries(system, LINES)
            sending = Sending(system.godot_url, entries)
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                sent = group.create_task(sending.run())
                held = group.create_task(trouble(system, sending))
            self.assertEqual(sending.failed, 0, "callers noticed something")
            await self.drained(system)
            stored = time.monotonic()
            await self.judge(system, entries)
            print(
                f"{LINES} lines: acknowledged after {sent.result() - began:.1f} s, stored after {stored - began:.1f} "
                f"s; {KILLS} kills of the worker ({held.result()} with a batch in hand), Dewey away {AWAY_S:.0f} s, "
                f"{sending.repeated} sent twice",
                flush=True,
            )

    async def test_nothing_acknowledged_is_lost_whatever_is_killed(self):
        with System() as system:
            system.start()
            entries = self.entries(system, LINES // 5)
            sending = Sending(system.godot_url, entries)
            async with asyncio.TaskGroup() as group:
                group.create_task(sending.run())
                group.create_task(kill_in_turn(system, sending))
            await self.drained(system)
            await self.judge(system, entries)
            print(f"{LINES // 5} lines: everything killed {ROUNDS} times, {sending.failed} calls failed and repeated")

    async def test_several_servers_and_workers(self):
        with System(ICCM_REUSEPORT=1) as system:
            server = system.another("godot-server", "godot-server-2")
            worker = system.another("godot-worker", "godot-worker-2", GODOT_WORKER_NAME="worker-2")
            system.start()
            server.start().port()
            worker.start()
            entries = self.entries(system, LINES // 10)
            sending = Sending(system.godot_url, entries, MANY_CONNECTIONS)
            async with asyncio.TaskGroup() as group:
                group.create_task(sending.run())
                group.create_task(kill_one_of_each(system, sending, server, worker))
            await self.drained(system)
            await self.judge(system, entries)
            print(f"{LINES // 10} lines: 2 servers on one port, 2 workers on one queue, {sending.failed} calls repeated")

    def entries(self, system, lines):
        path = system.directory / "lines.txt"
        write_file(path, lines)
        entries = entries_of(path)
        self.assertEqual(len(entries), lines)
        return entries

    async def drained(self, system):
        deadline = time.monotonic() + DRAIN_S
        while system.redis_count("LLEN", "logs:queue") + system.redis_count("ZCARD", "logs:inflight") > 0:
            self.assertLess(time.monotonic(), deadline, "the queue is not drained")
            await asyncio.sleep(0.05)
        while not await asyncio.to_thread(is_ready, system.godot_port):
            self.assertLess(time.monotonic(), deadline, "Godot has not found Dewey again")
            await asyncio.sleep(0.05)

    async def judge(self, system, entries):
        async with Caller(system.godot_url) as caller:
            rows = await read_all(caller, component=COMPONENT)
            self.compare(entries, rows)
            await self.fresh_entry(caller)
        self.assertEqual(system.redis_count("LLEN", "logs:dead"), 0)
        self.assertEqual(system.redis_count("GET", "logs:dropped"), 0)

    def compare(self, entries, rows):
        identities = [row["id"] for row in rows]
        self.assertEqual(len(set(identities)), len(identities), "stored twice")
        missing = set(entries) - set(identities)
        self.assertEqual((len(missing), sorted(missing)[:5]), (0, []), "missing")
        self.assertEqual(set(identities) - set(entries), set(), "never sent")
        for row in rows:
            self.assertEqual(comparable(row), comparable(entries[row["id"]]))
        keys = [(comparable(row)["at"], row["id"]) for row in rows]
        self.assertEqual(keys, sorted(keys, reverse=True), "newest first")

    async def fresh_entry(self, caller):
        await caller.call("logger_log", {"component": "fresh", "level": "INFO", "message": "at the end"})
        deadline = time.monotonic() + 30
        while not (rows := await caller.call("logger_query", {"component": "fresh"})):
            self.assertLess(time.monotonic(), deadline, "a fresh entry does not get through")
            await asyncio.sleep(0.05)
        self.assertEqual([row["message"] for row in rows], ["at the end"])


class Outage(AsyncCase):
    async def test_a_query_without_dewey_fails_at_once(self):
        with System() as system:
            system.start()
            await asyncio.to_thread(system.dewey.stop)
            async with Caller(system.godot_url) as caller:
                while await asyncio.to_thread(is_ready, system.godot_port):
                    await asyncio.sleep(0.02)
                began = time.monotonic()
                with self.assertRaises(CallError) as caught:
                    await caller.call("logger_query", {"limit": 1})
                self.assertEqual(caught.exception.code, -32000)
                self.assertLess(time.monotonic() - began, 2)
                entry = {"component": "outage", "level": "INFO", "message": "meanwhile"}
                self.assertEqual((await caller.call("logger_log", entry))["message"], "Log entry queued.")
                system.dewey.start()
                rows = []
                deadline = time.monotonic() + 60
                while not rows:
                    self.assertLess(time.monotonic(), deadline, "what came meanwhile is not stored")
                    try:
                        rows = await caller.call("logger_query", {"component": "outage"})
                    except CallError:
                        pass
                    await asyncio.sleep(0.05)
                self.assertEqual([row["message"] for row in rows], ["meanwhile"])

    async def test_without_redis_nothing_is_ok(self):
        with System() as system:
            system.start()
            entry = {"component": "no redis", "level": "INFO", "message": "m"}
            async with Caller(system.godot_url) as caller:
                await caller.call("logger_log", entry | {"message": "before"})
                await asyncio.to_thread(system.redis.kill)
                with self.assertRaises(CallError) as caught:
                    await caller.call("logger_log", entry | {"message": "refused"})
                self.assertEqual(caught.exception.code, -32000)
                self.assertEqual(caught.exception.message, "queue unavailable, retry")
                system.start_redis()
                deadline = time.monotonic() + 60
                while not await asyncio.to_thread(is_ready, system.godot_port):
                    self.assertLess(time.monotonic(), deadline)
                    await asyncio.sleep(0.05)
                await caller.call("logger_log", entry | {"message": "after"})
                messages = set()
                while messages != {"before", "after"}:
                    self.assertLess(time.monotonic(), deadline, messages)
                    messages = {row["message"] for row in await caller.call("logger_query", {"component": "no redis"})}
                    await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
