"""SIGKILL before each change that an operation makes to the storage (killer.c): when horace runs again, everything is as
before the operation or as after it, byte for byte; nothing is under way; and the operation can be done. Likewise while
deleted files, whose time has come, are removed.

A sample is played, TEST_SEED chooses it; TEST_KILLS=all plays every kill of every operation, TEST_KILLS=NAME those of one.
In a part of the runs horace is killed once more while it repairs.
"""
import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import time
import unittest

from caller import Caller
from horace import FILES, Horace, sha256, snapshot
from services import BUILD, AsyncTestCase, is_ready, main, wait_until

WHICH = os.environ.get("TEST_KILLS", "")
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 32)))
KILLER, NO_TRACING, KILLED = BUILD / "tests/horace/killer", 77, 137
KEPT, SAMPLE_S, MOST = 3, 0.4, 400
NEW, OLD, PRESENT, ONE = b"new " * 30_000, b"old " * 20_000, b"present " * 9000, b"one"


class KilledHorace(Horace):
    def trace(self, spec):
        """Starts under killer, which kills it at change number spec. Returns False if it was killed before it was ready."""
        command = self.program.command
        try:
            self.program.command = [str(word) for word in (KILLER, spec, self.storage, *command)]
            self.program.start()
        finally:
            self.program.command = command
        wait_until(lambda: self.program.process.poll() is not None or self.listens(), "horace is ready")
        return self.program.process.poll() is None

    def listens(self):
        with contextlib.suppress(AssertionError):
            self.port = self.program.port()
            self.url = f"ws://127.0.0.1:{self.port}"
            return is_ready(self.port)

    def end(self):
        """Ends it in any state. Returns the system call that killer printed."""
        if self.program.process.poll() is None:
            self.program.kill()
        self.program.process = None
        return self.program.output().rpartition("killer: ")[2].strip()


class Operation:
    """A tool call, on files whose state prepare() has set up."""

    def __init__(self, name, prepare, tool, arguments):
        self.name, self.prepare, self.tool, self.arguments = name, prepare, tool, arguments

    async def run(self, caller, ids):
        return await caller.call(self.tool, self.arguments(ids))


async def register(caller, horace, name, *contents):
    """Registers each content in turn at that path. Returns the id."""
    for data in contents:
        (horace.files / name).write_bytes(data)
        answer = await caller.call("horace_register_file", {"file_path": name, "metadata": {"owner": "me", "tags": ["t"]}})
    return answer["file_id"]


async def set_status(caller, file_id, status):
    await caller.call("horace_update_file", {"file_id": file_id, "metadata": {"status": status}})


async def with_a_new_file(caller, horace):
    (horace.files / "a").write_bytes(NEW)


async def changed(caller, horace):
    await register(caller, horace, "a", ONE, b"two", OLD)
    (horace.files / "a").write_bytes(NEW)


async def versioned(caller, horace):
    await register(caller, horace, "a", OLD, b"two", NEW)


async def missing(caller, horace):
    await versioned(caller, horace)
    (horace.files / "a").unlink()


async def versioned_and_changed(caller, horace):
    await versioned(caller, horace)
    (horace.files / "a").write_bytes(PRESENT)


async def archived(caller, horace):
    await set_status(caller, await register(caller, horace, "a", ONE, NEW), "archived")


async def two(caller, horace):
    await register(caller, horace, "a", ONE)
    await register(caller, horace, "b", b"two")


def of_a(**more):
    return lambda ids: {"file_id": ids["a"]} | more


OPERATIONS = [
    Operation("register", with_a_new_file, "horace_register_file", lambda ids: {"file_path": "a", "metadata": {"tags": ["t"]}}),
    Operation("register_changed", changed, "horace_register_file", lambda ids: {"file_path": "a", "metadata": {"owner": "me"}}),
    Operation("check", changed, "horace_update_file", of_a(check_for_changes=True, metadata={"owner": "you"})),
    Operation("restore", versioned, "horace_restore_version", of_a(version=2)),
    Operation("restore_oldest", versioned, "horace_restore_version", of_a(version=1)),
    Operation("restore_changed", versioned_and_changed, "horace_restore_version", of_a(version=2)),
    Operation("restore_oldest_changed", versioned_and_changed, "horace_restore_version", of_a(version=1)),
    Operation("restore_missing", missing, "horace_restore_version", of_a(version=2)),
    Operation("archive", versioned, "horace_update_file", of_a(metadata={"status": "archived"})),
    Operation("bring_back", archived, "horace_update_file", of_a(metadata={"status": "active"})),
    Operation("collect", two, "horace_create_collection", lambda ids: {"name": "c", "file_ids": [ids["a"], ids["b"]]}),
]  # fmt: skip


def brief(value):
    """The state without bytes and ids, for comparison and for messages."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes, {sha256(value)[:8]}"
    return {key: brief(one) for key, one in value.items() if key != "ids"} if isinstance(value, dict) else value


async def until_async(condition, what):
    await asyncio.to_thread(wait_until, condition, what)


class KillTest:
    """One operation: the storage before and after it, and the operation with a kill."""

    def __init__(self, test, horace, operation):
        self.test, self.horace, self.operation = test, horace, operation
        self.before_at = horace.directory / f"before-{operation.name}"

    @contextlib.asynccontextmanager
    async def running(self):
        """A caller of a new horace, which is killed at the end."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.horace.end)
            self.horace.__enter__()
            async with Caller(self.horace.url) as caller:
                yield caller

    def use_copy(self):
        place = self.horace.directory.resolve() / "storage"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.before_at, place)
        self.horace.use(place)

    async def make(self):
        """Runs the operation without a kill."""
        self.horace.use(self.before_at.resolve())
        async with self.running() as caller:
            await self.operation.prepare(caller, self.horace)
        self.use_copy()
        async with self.running() as caller:
            state = await snapshot(caller, self.horace)
            self.before, self.ids = brief(state), state["ids"]
            await self.operation.run(caller, self.ids)
            self.after = brief(await snapshot(caller, self.horace))
        self.allowed = [self.before, self.after]

    async def kill(self, number, again):
        """Kills before change `number`, and before change `again` of the recovery (0: not). False: it ended earlier."""
        self.use_copy()
        was_ready = self.horace.trace(number)
        if self.horace.program.process.poll() == NO_TRACING:
            self.horace.program.process = None
            raise unittest.SkipTest("programs cannot be traced here")
        self.test.assertTrue(was_ready, self.horace.program.output())
        async with Caller(self.horace.url) as caller:
            self.horace.program.signal(10)
            try:
                await self.operation.run(caller, self.ids)
                self.horace.end()
                return False
            except ConnectionError:
                self.test.assertEqual(await asyncio.to_thread(self.horace.program.process.wait, 30), KILLED)
        said = self.horace.end()
        with self.test.subTest(self.operation.name, seed=SEED, said=said, again=again):
            self.check_raw()
            if again and self.horace.trace(f"+{again}"):
                await asyncio.to_thread(self.horace.wait_idle)
            if again:
                self.horace.end()
                self.check_raw()
            await self.check_repaired()
        return True

    def check_raw(self):
        """Files in files/ are complete at any time."""
        whole = [state["files"] for state in self.allowed]
        for name, data in self.horace.tree().items():
            if name.startswith(f"{FILES}/"):
                self.test.assertIn(brief(data), [files.get(name) for files in whole])

    async def check_repaired(self):
        async with self.running() as caller:
            found = await snapshot(caller, self.horace)
            state = brief(found)
            self.test.assertIn(state, self.allowed)
            if self.operation.tool == "horace_restore_version" and state == self.after:
                return  # another restore makes another version
            await self.operation.run(caller, found["ids"])
            self.test.assertEqual(brief(await snapshot(caller, self.horace)), self.after)


class Kills(AsyncTestCase):
    maxDiff = 2000

    async def kill_everywhere(self, operation):
        """Kills at all changes, or at as many as time allows, from a random one on."""
        chance = random.Random(f"{SEED}{operation.name}")
        with KilledHorace(HORACE_VERSION_COUNT=KEPT) as horace:
            horace.program.stop()
            kill_test = KillTest(self, horace, operation)
            await kill_test.make()
            await kill_at_each(operation.name, kill_test.kill, chance)


async def kill_at_each(name, kill, chance):
    """Kills at the first change, the second, and so on, or at random ones."""
    kills, ends, limit = 0, time.monotonic() + SAMPLE_S, 64
    while kills < MOST and (WHICH or kills == 0 or time.monotonic() < ends):
        number = kills + 1 if WHICH else chance.randint(1, limit)
        if await kill(number, chance.choice((0, chance.randint(1, 40)))):
            kills += 1
        elif WHICH:
            break
        else:
            limit = number - 1
    assert 0 < kills < MOST, kills
    print(f"{name}: killed {kills} times", flush=True)


class Removal:
    """The removal of an expired deleted file, which no caller requests."""

    name = "remove"

    def __init__(self, changed):
        self.changed = changed

    async def prepare(self, caller, horace):
        await set_status(caller, await register(caller, horace, "a", ONE, OLD, NEW), "deleted")
        if self.changed:
            (horace.files / "a").write_bytes(PRESENT)


class RemovalKillTest(KillTest):
    async def make(self):
        self.horace.use(self.before_at.resolve())
        async with self.running() as caller:
            await self.operation.prepare(caller, self.horace)
        with contextlib.closing(sqlite3.connect(self.before_at / "horace.db")) as database, database:
            database.execute("UPDATE horace_files SET deleted_at = 1")
        present = brief({f"{FILES}/a": PRESENT if self.operation.changed else NEW})
        self.after = {"collections": {}, "files": present if self.operation.changed else {}}
        self.allowed = [self.after, {"files": present}]

    async def kill(self, number, again):
        """Kills during the start, when files are removed; at most once in a run."""
        self.use_copy()
        self.horace.trace(f"+{number}")
        await until_async(lambda: self.horace.program.process.poll() is not None or not self.remains(), "the file is removed")
        killed = self.horace.program.process.poll() is not None
        said = self.horace.end()
        with self.test.subTest(self.operation.name, seed=SEED, said=said):
            self.check_raw()
            async with self.running() as caller:
                await until_async(lambda: not self.remains(), "the file is removed")
                self.test.assertEqual(brief(await snapshot(caller, self.horace)), self.after)
        return killed

    def remains(self):
        """True if a part of the file still exists; its row is removed last."""
        with contextlib.closing(sqlite3.connect(self.horace.storage / "horace.db")) as database:
            return database.execute("SELECT count(*) FROM horace_files").fetchone() != (0,)


def add(operation):
    async def test(self):
        if WHICH not in ("", "all", operation.name):
            raise unittest.SkipTest(f"TEST_KILLS={WHICH}")
        await self.kill_everywhere(operation)

    setattr(Kills, f"test_{operation.name}", test)


def add_removal(name, changed):
    async def test(self):
        if WHICH not in ("", "all", name):
            raise unittest.SkipTest(f"TEST_KILLS={WHICH}")
        with KilledHorace(HORACE_VERSION_COUNT=KEPT) as horace:
            horace.program.stop()
            kill_test = RemovalKillTest(self, horace, Removal(changed))
            await kill_test.make()
            await kill_at_each(name, kill_test.kill, random.Random(f"{SEED}{name}"))

    setattr(Kills, f"test_{name}", test)


for each in OPERATIONS:
    add(each)
add_removal("remove", False)
add_removal("remove_changed", True)

if __name__ == "__main__":
    main()
