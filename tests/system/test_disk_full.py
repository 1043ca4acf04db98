"""Full disks of Redis, Dewey, the spool and Horace's storage while callers log: callers get an error, everything recovers by
itself when there is space again, and no acknowledged line is lost (log_audit.py).

Redis with appendfsync always exits when it cannot write; the test restarts it, as a supervisor does. Environment variables:
TEST_TIMES (4), how often Dewey's disk is filled, and TEST_SEED.
"""
import asyncio
import contextlib
import os
import random
import uuid

from caller import CallError, Caller
from disk import SmallDisk
from log_audit import FAST_RETRIES, LineTracker, LogAuditCase, LogLoad
from services import SingleServer, System, http_get, main, wait_until_async

TIMES = int(os.environ.get("TEST_TIMES", 4))
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 32)))
SPOOL_FULL = "cannot save a batch to disk, it stays in Redis: no space left on device"


def ready_text(port):
    """What /readyz says, when it does not say yes."""
    try:
        answer = http_get(port, path="/readyz")
    except OSError:
        return ""
    return answer.body.decode() if answer.status == 503 else ""


@contextlib.asynccontextmanager
async def callers(system, rate=500):
    """Log until the body ends; before it begins, some lines have been acknowledged."""
    load = LogLoad(system.godot_url, LineTracker(), rate=rate)
    running = asyncio.create_task(load.run())
    try:
        await acknowledged(load, 100)
        yield load
    finally:
        load.ended = True
        await running


async def stored(system, count):
    async with Caller(system.godot_url) as caller:

        async def are_stored():
            return len(await caller.call("logger_query", {"component": "delivery", "limit": count})) == count

        await wait_until_async(are_stored, f"{count} lines are stored")


async def acknowledged(load, more):
    goal = load.acknowledged + more
    await wait_until_async(lambda: load.acknowledged >= goal, f"{more} more lines are acknowledged")


class Supervisor:
    """Starts a program again that has ended by itself."""

    def __init__(self, program):
        self.program, self.starts = program, 0

    async def __aenter__(self):
        self.task = asyncio.create_task(self.watch())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()

    async def watch(self):
        while True:
            await asyncio.sleep(0.1)
            if self.program.process.poll() is not None:
                self.program.wait()
                self.program.start()
                self.starts += 1


class DiskFull(LogAuditCase):
    async def test_of_redis(self):
        with SmallDisk(32 << 20) as disk, System(**FAST_RETRIES) as system:
            system.redis.command[1] = str(disk.path)
            system.start()
            async with Supervisor(system.redis) as supervisor:
                async with callers(system) as load:
                    disk.fill()
                    await wait_until_async(lambda: load.failed, "a call fails")
                    await wait_until_async(lambda: "redis: disk full: " in ready_text(system.godot_port), "/readyz says so")
                    await wait_until_async(lambda: supervisor.starts >= 3, "Redis ends again and again")
                    disk.empty()
                    await acknowledged(load, 500)
                self.assertEqual(await self.audit(system, load.tracker), 0)
            print(
                f"{load.acknowledged} acknowledged, {load.failed} calls failed, "
                f"{supervisor.starts} starts of Redis"
            )

    async def test_of_a_redis_that_refuses(self):
        # with another appendfsync it continues, and responds with the text of errno
        with SmallDisk(32 << 20) as disk, System(**FAST_RETRIES) as system:
            system.redis.command[1] = str(disk.path)
            system.redis.command += ["--appendfsync", "everysec"]
            system.start()
            async with callers(system) as load:
                disk.fill()
                await wait_until_async(lambda: "redis: Redis refuses: disk full: MISCONF" in ready_text(system.godot_port), "/readyz says so")
                disk.empty()
                await acknowledged(load, 100)

    async def test_of_dewey(self):
        with SmallDisk(64 << 20) as disk, System(**FAST_RETRIES) as system:
            system.settings["DEWEY_DB_PATH"] = str(disk.path / "dewey.db")
            system.start()
            async with callers(system) as load:
                await stored(system, 10)
                disk.fill()
                said = await wait_until_async(lambda: ready_text(system.dewey_port), "/readyz says so")
                self.assertEqual(said, "store: disk full\n")
                await wait_until_async(lambda: "dewey: disk full\n" == ready_text(system.godot_port), "/readyz of Godot says so, too")
                await self.refused(system)
                await stored(system, 10) # queries still work
                await acknowledged(load, 500)
                await wait_until_async(lambda: "it is kept, and retried" in system.worker.output(), "retries end")
                disk.empty()
                await acknowledged(load, 500)
            self.assertEqual(await self.audit(system, load.tracker), 0)
            self.assertEqual(load.failed, 0)
            print(f"/readyz said {said.strip()!r}; {load.acknowledged} acknowledged")

    async def test_of_dewey_again_and_again(self):
        # while some entries find room and others do not, none must be taken for the cause and put aside
        print(f"TEST_SEED={SEED}", flush=True)
        chance, impatient = random.Random(SEED), {"RETRY_MAX_ATTEMPTS": 1, "BATCH_SIZE": 20}
        with SmallDisk(256 << 20) as disk, System(**(FAST_RETRIES | impatient)) as system:
            system.settings["DEWEY_DB_PATH"] = str(disk.path / "dewey.db")
            system.start()
            async with callers(system) as load:
                for _ in range(TIMES):
                    disk.fill(leave=chance.randrange(200_000))
                    await asyncio.sleep(chance.uniform(0.1, 1))
                    disk.empty()
                    await asyncio.sleep(chance.uniform(0, 0.2))
            self.assertEqual(await self.audit(system, load.tracker), 0)
            print(f"{TIMES} times full; {load.acknowledged} acknowledged")

    async def test_of_the_spool(self):
        # without Dewey: entries are spooled to disk while it has space, the rest stays in Redis
        settings = {"MAX_QUEUE_SIZE": 1000, "BATCH_SIZE": 20, "GODOT_SPOOL_MAX_BYTES": 1 << 30}
        with SmallDisk(16 << 20) as disk, System(GODOT_SPOOL_DIR=disk.path, **(FAST_RETRIES | settings)) as system:
            system.start()
            async with callers(system) as load:
                system.dewey.kill()
                disk.fill(leave=100_000)
                await wait_until_async(lambda: SPOOL_FULL in system.worker.output(), "the worker says that it is full")
                refused = disk.used()
                disk.empty()
                await wait_until_async(lambda: disk.used() > refused + 100_000, "the spool continues")
            system.dewey.start()
            dropped = await self.audit(system, load.tracker)
            print(f"{load.acknowledged} acknowledged, {dropped} dropped")

    async def test_of_horaces_storage(self):
        with SmallDisk(8 << 20) as disk, SingleServer("horace", HORACE_MCP_PORT=0, HORACE_STORAGE_PATH=disk.path) as horace:
            file, work = disk.path / "files/a.bin", disk.path / ".horace_work"
            file.write_bytes(b"1" * 300_000)
            async with Caller(horace.url) as caller:
                file_id = (await caller.call("horace_register_file", {"file_path": "a.bin", "metadata": {}}))["file_id"]
                with file.open("r+b") as again:  # in the place that it has
                    again.write(b"2" * 300_000)
                disk.fill()
                await self.refused_by_horace(caller, "horace_register_file", file_path="a.bin", metadata={})
                await self.refused_by_horace(caller, "horace_restore_version", file_id=file_id, version=1)
                said = await wait_until_async(lambda: ready_text(horace.port), "/readyz says so")
                self.assertRegex(said, "\\A((storage|store): disk full\n)+\\Z")
                self.assertEqual((await caller.call("horace_search_files"))["results"][0]["version"], 1)
                self.assertEqual((file.read_bytes(), [*work.iterdir()]), (b"2" * 300_000, []))
                disk.empty()
                await wait_until_async(lambda: not ready_text(horace.port), "it is ready again")
                restored = await caller.call("horace_restore_version", {"file_id": file_id, "version": 1})
                self.assertEqual((restored["new_version_created"], file.read_bytes()), (3, b"1" * 300_000))
            print(f"/readyz said {said.strip()!r}")

    async def refused_by_horace(self, caller, tool, **arguments):
        with self.assertRaises(CallError) as caught:
            await caller.call(tool, arguments)
        self.assertEqual(caught.exception.data, {"error_code": "STORAGE_FULL", "retry": True})

    async def refused(self, system):
        entry = {"component": "direct", "level": "INFO", "message": "m", "created_at": "2026-01-01T00:00:00Z"}
        async with Caller(system.dewey_url) as caller:
            with self.assertRaises(CallError) as caught:
                for _ in range(1000):  # some still find room
                    await caller.call("dewey_store_logs_batch", {"logs": [entry | {"id": str(uuid.uuid4())}]})
        self.assertEqual(str(caught.exception), "-32000: storing failed, retry")


if __name__ == "__main__":
    main()
