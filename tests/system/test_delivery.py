"""Delivery guarantee: a logger_log call with the response "ok" is stored exactly once, whatever is killed, unless the queue
overflows; every drop is counted and reported in the log.

Callers log continuously over several connections, with many calls in flight. Programs are killed with SIGKILL and restarted,
and log_audit.py checks the result:

  Delivery    the worker is killed, always with a batch in flight, and Dewey is stopped for a while; no call fails
  Kills       Redis, Godot's server, two workers and Dewey are killed at random times, sometimes together; with room in the
              queue, with a queue that overflows, with a spool on disk, and with two servers on one port
  Overflow    one and a half times the queue's capacity is logged while Dewey is stopped
  Ahead       lines with a time in the far future
  Outage      Dewey or Redis is not available

Environment variables set size and randomness. Delivery: TEST_LINES (50000), TEST_AWAY_S (20), TEST_WORKER_KILLS (10). Each of
Kills: TEST_KILLS (6), TEST_SECONDS (0; the test ends when both are reached), TEST_RATE (2000 a second), TEST_GONE_S (3, the
maximum time until a restart), TEST_SEED; a run of hours needs only larger values. Overflow: TEST_FLOOD (15000 lines).
"""
import asyncio
import contextlib
import json
import os
import random
import time
import uuid

from caller import CallError, Caller, read_log_rows
from log_audit import ACKNOWLEDGED, COMPONENT, FAST_RETRIES, STORED, LineTracker, LogAuditCase, LogLoad
from services import PROGRAMS, AsyncTestCase, System, is_ready, main, retry_within, run_program, wait_until_async

LINES = int(os.environ.get("TEST_LINES", 50000))
WORKER_KILLS = int(os.environ.get("TEST_WORKER_KILLS", 10))
AWAY_S = float(os.environ.get("TEST_AWAY_S", 20))
KILLS = int(os.environ.get("TEST_KILLS", 6))
SECONDS = float(os.environ.get("TEST_SECONDS", 0))
RATE = float(os.environ.get("TEST_RATE", 2000))
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 32)))
FLOOD = int(os.environ.get("TEST_FLOOD", 15000))
GONE_S = float(os.environ.get("TEST_GONE_S", 3))
PAUSE_S = 0.8  # between two kills, at most
DEFAULT_BOUND = 100_000
REWRITING = ("--auto-aof-rewrite-min-size", "64kb", "--auto-aof-rewrite-percentage", "20")  # so that kills meet it, too
TO_DISK = "saving batches to disk"  # says a worker that begins with it


async def kill_worker(system, load):
    """Kills the worker at equal intervals, a third of the times without Dewey; returns how often it held a batch."""
    held = 0
    away_from, away_to = WORKER_KILLS // 3, 2 * WORKER_KILLS // 3
    back_at = None
    for kill in range(WORKER_KILLS):
        if kill == away_from:
            system.dewey.kill()
            back_at = time.monotonic() + AWAY_S
        if kill == away_to:
            await asyncio.sleep(back_at - time.monotonic())
            system.dewey.start()
        await load.reached((kill + 1) / (WORKER_KILLS + 2))
        held += await has_batch(system)
        system.worker.kill()
        system.worker.start()
    return held


async def has_batch(system):
    """Waits until the worker holds a batch: within a second, unless the queue is empty."""
    for _ in range(500):
        if system.redis_int("ZCARD", "logs:inflight") > 0:
            return True
        await asyncio.sleep(0.002)
    return False


async def kill_at_random(victims, load):
    """Kills any of those that were killed least often, so that a short run includes all, and continues while one is
    down; returns how often each was killed."""
    chance, ends = random.Random(SEED), time.monotonic() + SECONDS
    deaths = {victim.name: 0 for victim in victims}
    async with asyncio.TaskGroup() as group:
        while sum(deaths.values()) < KILLS or time.monotonic() < ends:
            await asyncio.sleep(chance.uniform(0, PAUSE_S))
            alive = [victim for victim in victims if victim.process is not None]
            if not alive:
                continue
            victim = min(alive, key=lambda program: (deaths[program.name], chance.random()))
            assert victim.process.poll() is None, victim.failure_text("ended by itself")
            victim.kill()
            deaths[victim.name] += 1
            group.create_task(start_again(victim, GONE_S * chance.random() ** 4))
    load.ended = True
    return deaths


async def start_again(victim, after_s):
    await asyncio.sleep(after_s)
    victim.start()


class Delivery(LogAuditCase):
    async def test_every_line_arrives_once(self):
        with System() as system:
            system.start()
            tracker = LineTracker()
            load = LogLoad(system.godot_url, tracker, LINES)
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                sent = group.create_task(load.run())
                held = group.create_task(kill_worker(system, load))
            self.assertEqual(load.failed, 0, "callers noticed something")
            self.assertEqual(load.acknowledged, LINES)
            self.assertEqual(await self.audit(system, tracker), 0)
            print(
                f"{LINES} lines: acknowledged after {sent.result() - began:.1f} s, stored and read after "
                f"{time.monotonic() - began:.1f} s; {WORKER_KILLS} kills of the worker ({held.result()} with a batch "
                f"in hand), without Dewey for {AWAY_S:.0f} s, {tracker.sent - load.acknowledged} sent twice",
                flush=True,
            )


class Kills(LogAuditCase):
    """What was acknowledged survives whatever is killed."""

    async def killed(self, **settings):
        print(f"TEST_SEED={SEED}", flush=True)
        with System(**(FAST_RETRIES | settings)) as system:
            system.redis.command += REWRITING
            second = system.add_instance("godot-worker", "second-worker", GODOT_WORKER_NAME="second")
            system.start()
            second.start()
            tracker = LineTracker()
            load = LogLoad(system.godot_url, tracker, rate=RATE)
            victims = [system.redis, system.godot, system.worker, second, system.dewey]
            if "ICCM_REUSEPORT" in settings:
                victims.append(system.add_instance("godot-server", "second-server").start())
                victims[-1].port()  # waits until it listens
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run())
                deaths = group.create_task(kill_at_random(victims, load))
            dropped = await self.audit(system, tracker)
            counts = tracker.counts()
            to_disk = sum(worker.log.read_text().count(TO_DISK) for worker in (system.worker, second))
            print(
                f"{sum(deaths.result().values())} kills {deaths.result()}; {len(tracker.known)} lines: "
                f"{counts[ACKNOWLEDGED | STORED]} acknowledged and stored, {counts[ACKNOWLEDGED]} acknowledged and "
                f"not, {counts[STORED]} stored though not acknowledged, {counts[0]} neither; {dropped} were dropped; "
                f"{to_disk} times to disk; {load.failed} calls failed",
                flush=True,
            )
            return dropped

    async def test_with_room_in_the_queue(self):
        self.assertEqual(await self.killed(), 0)

    async def test_with_a_queue_that_overflows(self):
        await self.killed(MAX_QUEUE_SIZE=100, BATCH_SIZE=20)

    async def test_with_two_servers_on_one_port(self):
        self.assertEqual(await self.killed(ICCM_REUSEPORT=1), 0)

    async def test_with_a_spool(self):
        await self.killed(MAX_QUEUE_SIZE=1000, BATCH_SIZE=20, GODOT_SPOOL_MAX_BYTES=1 << 30)


class Overflow(LogAuditCase):
    async def test_exactly_the_newest_are_left(self):
        bound = FLOOD * 2 // 3
        with System(**({} if bound == DEFAULT_BOUND else {"MAX_QUEUE_SIZE": bound})) as system:
            system.start()
            system.dewey.kill()
            path = system.directory / "lines"
            path.write_text("".join(f"line {number}\n" for number in range(FLOOD)))
            fed = await asyncio.to_thread(
                run_program, [PROGRAMS["feed"], "--component", COMPONENT, system.godot_url, path]
            )
            self.assertIn(f"{FLOOD} lines accepted", fed.stdout, fed.stderr)
            system.dewey.start()
            await self.drained(system)
            self.assertEqual(system.redis_int("GET", "logs:dropped"), FLOOD - bound)
            async with Caller(system.godot_url) as caller:
                messages = [row["message"] async for row in read_log_rows(caller, component=COMPONENT)]
                said = [row async for row in read_log_rows(caller, component="godot")]
            newest = [f"line {number}" for number in reversed(range(FLOOD - bound, FLOOD))]
            self.assertTrue(messages == newest, f"{len(messages)}, from {messages[:1]} to {messages[-1:]}")
            self.assertEqual(sum(row["data"]["dropped"] for row in said), FLOOD - bound)
            for row in said:
                self.assertRegex(row["message"], r"^\d+ entries dropped between 2\S+Z and 2\S+Z$")
                self.assertEqual(row["level"], "WARN")
            print(f"{FLOOD} lines without Dewey: {len(messages)} left, {FLOOD - bound} dropped, {said[0]['message']}")


class Ahead(AsyncTestCase):
    async def test_a_time_far_ahead_is_stored_once_whichever_way_the_line_comes(self):
        entry = {"component": "ahead", "level": "INFO", "message": "m", "created_at": "9999-12-31T23:59:59Z"}
        ids = [str(uuid.uuid4()) for _ in range(3)]
        with System() as system:
            system.start()
            async with Caller(system.godot_url) as godot, Caller(system.dewey_url) as dewey:
                for _ in range(2):
                    await godot.call("logger_log", entry | {"id": ids[0]})
                    pushed = json.dumps(entry | {"id": ids[1]}).encode()
                    system.redis_command("LPUSH", "logs:queue", json.dumps(pushed.decode()).replace(" ", ""))
                    await dewey.call("dewey_store_logs_batch", {"logs": [entry | {"id": ids[2]}]})
                    while system.redis_int("LLEN", "logs:queue") + system.redis_int("ZCARD", "logs:inflight") > 0:
                        await asyncio.sleep(0.02)
                rows = await godot.call("logger_query", {"component": "ahead"})
                self.assertEqual(sorted(row["id"] for row in rows), sorted(ids))
                self.assertEqual({row["data"]["original_created_at"][:19] for row in rows}, {entry["created_at"][:19]})
                self.assertTrue(all(0 <= row["age"] < 120 for row in rows), rows)
                clear = {"component": "ahead", "before_time": entry["created_at"]}
                self.assertEqual((await godot.call("logger_clear", clear | {"dry_run": True}))["deleted_count"], 3)
                self.assertEqual(await godot.call("logger_clear", clear), {"status": "ok", "deleted_count": 3})


class Outage(AsyncTestCase):
    async def test_a_query_without_dewey_fails_at_once(self):
        with System() as system:
            system.start()
            await asyncio.to_thread(system.dewey.stop)
            async with Caller(system.godot_url) as caller:
                await wait_until_async(lambda: not is_ready(system.godot_port), "Godot reports Dewey as unavailable")

                async def refused():
                    with self.assertRaises(CallError) as caught:
                        await caller.call("logger_query", {"limit": 1})
                    self.assertEqual(caught.exception.code, -32000)

                await retry_within(4, refused)  # an answer is waited for 8 s
                entry = {"component": "outage", "level": "INFO", "message": "meanwhile"}
                self.assertEqual((await caller.call("logger_log", entry))["message"], "Log entry queued.")
                system.dewey.start()

                async def stored():
                    with contextlib.suppress(CallError):
                        return await caller.call("logger_query", {"component": "outage"})

                rows = await wait_until_async(stored, "what came meanwhile is stored")
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
                await wait_until_async(lambda: is_ready(system.godot_port), "Godot is ready again")
                await caller.call("logger_log", entry | {"message": "after"})

                async def both():
                    rows = await caller.call("logger_query", {"component": "no redis"})
                    return {row["message"] for row in rows} == {"before", "after"}

                await wait_until_async(both, "both lines are stored, and nothing else")

    async def test_a_transaction_that_a_kill_left_half_written_takes_nothing_with_it(self):
        half = b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nRPOP\r\n$10\r\nlogs:queue\r\n*3\r\n$5\r\nLPU"
        with System() as system:
            system.start_redis()
            system.godot.start()
            for message in "before", "after":
                await self.queued(system, message)
                system.redis.kill()
                if message == "before":
                    with (system.directory / "appendonlydir/appendonly.aof.1.incr.aof").open("ab") as file:
                        file.write(half)
                system.start_redis()
            self.assertEqual(system.redis_int("LLEN", "logs:queue"), 2)

    async def queued(self, system, message):
        """Once Godot has found Redis, the entry is taken."""

        async def taken():
            with contextlib.suppress(CallError, OSError):
                async with Caller(system.godot_url) as caller:
                    return await caller.call("logger_log", {"component": "half", "level": "INFO", "message": message})

        await wait_until_async(taken, "Godot finds Redis")


if __name__ == "__main__":
    main()
