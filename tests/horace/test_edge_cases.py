"""Edge cases: unusual input, unusual files, and changes of files at unusual moments.

With DEWEY_DB_HOST (postgresql.py) on PostgreSQL.
"""
import asyncio
import contextlib
import fcntl
import os
import resource
import shutil
import sqlite3
import subprocess
import time
import unittest

from caller import CallError, Caller
from horace import ON_POSTGRESQL, Horace, expect_error, info, snapshot
from postgresql import bin_directory, psql, psql_environment
from services import (
    ATTEMPTS,
    PROGRAMS,
    WAIT_S,
    AsyncTestCase,
    http_get,
    in_background,
    is_ready,
    main,
    run_program,
    wait_until,
    wait_until_async,
)

INVALID_PARAMS, FICLONE = -32602, 0x40049409


def set_in_catalogue(horace, values):
    """Updates the rows of all files, or of those that a WHERE in values selects."""
    run_in_catalogue(horace, f"UPDATE horace_files SET {values}")


def run_in_catalogue(horace, sql):
    if ON_POSTGRESQL:
        psql(sql, horace.settings["HORACE_DB_NAME"])
        return
    with contextlib.closing(sqlite3.connect(horace.storage / "horace.db")) as database, database:
        database.execute(sql)


class Case(AsyncTestCase):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.horace = self.enterContext(Horace())
        self.caller = await self.enterAsyncContext(Caller(self.horace.url))
        self.files = self.horace.files

    async def register(self, path, **metadata):
        return await self.caller.call("horace_register_file", {"file_path": str(path), "metadata": metadata})

    async def write(self, name, data):
        (self.files / name).write_bytes(data)
        return await self.register(name)

    async def set_status(self, file_id, status):
        return await self.caller.call("horace_update_file", {"file_id": file_id, "metadata": {"status": status}})

    async def search(self, **filters):
        return await self.caller.call("horace_search_files", filters)


class Texts(Case):
    async def test_a_type_that_grows(self):
        """A NUL becomes three bytes."""
        for file_type, fits in (("\0" * 42, True), ("\0" * 43, False), ("\0" * 126, False), ("x" * 126, True), ("x" * 127, False),
                                ("\0" * 41 + "/*", True)):  # fmt: skip
            with self.subTest(file_type):
                if fits:
                    self.assertEqual((await self.search(file_type=file_type))["total_count"], 0)
                else:
                    with self.assertRaises(CallError) as raised:
                        await self.search(file_type=file_type)
                    self.assertEqual(raised.exception.code, INVALID_PARAMS)

    async def test_long_paths(self):
        """PostgreSQL's indexes cannot hold every valid path."""
        length = len(os.fsencode(self.files)) + 1
        for wanted, longest in ((2048, True), (2049, False), (4095 - length, False)):
            path = "/".join(os.urandom(125).hex() for _ in range(17))[: wanted - 1] + "x"
            self.make(path, os.urandom(10))
            with self.subTest(wanted):
                if longest:
                    self.assertEqual((await self.register(path))["size"], 10)
                else:
                    self.assertEqual(await expect_error(self.caller, "horace_register_file", file_path=path, metadata={}), "INVALID_PATH")
                self.assertTrue(is_ready(self.horace.port))

    def make(self, path, data):
        """Creates it component by component, since the whole path is too long."""
        *directories, last = path.split("/")
        at = os.open(self.files, os.O_RDONLY)
        for name in directories:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=at)
            above, at = at, os.open(name, os.O_RDONLY, dir_fd=at)
            os.close(above)
        file = os.open(last, os.O_WRONLY | os.O_CREAT, dir_fd=at)
        os.write(file, data)
        os.close(file)
        os.close(at)

    async def test_metadata_without_end(self):
        """Refused before its members are compared pairwise."""
        (self.files / "a").write_text("x")
        for count, fits in ((4096, True), (4097, False), (100_000, False)):
            metadata = {f"{number:x}": 1 for number in range(count)}
            if fits:
                await self.register("a", **metadata)
                continue
            with self.assertRaises(CallError) as raised:
                await asyncio.wait_for(self.register("a", **metadata), WAIT_S)
            self.assertEqual(raised.exception.code, INVALID_PARAMS)


class States(Case):
    async def test_the_bytes_of_an_archived_file_at_its_path(self):
        file_id = (await self.write("a", b"one"))["file_id"]
        await self.set_status(file_id, "archived")
        self.assertEqual((await self.write("a", b"one"))["file_id"], file_id)
        (self.files / "a").unlink()
        await self.set_status(file_id, "active")
        self.assertEqual((await snapshot(self.caller, self.horace))["a"]["versions"], {1: b"one"})

    async def test_a_path_where_others_bytes_were(self):
        """Once it is removed, the archived file returns to its own path."""
        file_id = (await self.write("a", b"one"))["file_id"]
        other = (await self.write("b", b"two"))["file_id"]
        await self.set_status(file_id, "archived")
        self.assertEqual((await self.write("a", b"two"))["file_id"], other)
        (self.files / "a").unlink()
        await self.set_status(file_id, "active")
        self.assertEqual((self.files / "a").read_bytes(), b"one")
        self.assertNotIn("other_paths", await info(self.caller, other))

    async def test_versions_that_horace_can_read(self):
        """Also for a file that its owner cannot read: horace owns the versions."""
        (self.files / "a").write_bytes(b"one")
        (self.files / "a").chmod(0o044)
        file_id = (await self.register("a"))["file_id"]
        self.assertEqual((self.horace.storage / self.horace.version_path(file_id, 1)).stat().st_mode & 0o777, 0o444)

    async def test_other_bytes_at_an_archived_files_path(self):
        file_id = (await self.write("a", b"one"))["file_id"]
        await self.set_status(file_id, "archived")
        await self.write("a", b"one")
        self.assertNotEqual((await self.write("a", b"two"))["file_id"], file_id)
        known = await info(self.caller, file_id)
        self.assertEqual((known["status"], known["version"]), ("archived", 1))


class Damaged(Case):
    async def test_a_row_that_is_not_as_it_was_stored(self):
        """Nothing remains; leaks are reported when horace exits."""
        if ON_POSTGRESQL:
            raise unittest.SkipTest("PostgreSQL keeps the types of its columns; odds plays it")
        (self.files / "a").write_text("x")
        await self.register("a", more="y" * 1000)
        with contextlib.closing(sqlite3.connect(self.horace.storage / "horace.db")) as database, database:
            database.execute("UPDATE horace_files SET id = x'01'")
            database.execute("UPDATE horace_paths SET file = x'01'")
        self.assertEqual(await expect_error(self.caller, "horace_register_file", file_path="a", metadata={}), "STORE_UNAVAILABLE")


class Sizes(Case):
    def growing(self, path):
        """A thread appends a page a thousand times a second until the end; a slow copy must end too."""

        def run(ended):
            size = os.stat(path).st_size
            while not ended.wait(0.001):
                size += 4096
                os.truncate(path, size)

        return in_background(run)

    def make_sparse(self, name, size):
        (self.files / name).touch()
        os.truncate(self.files / name, size)

    async def test_a_file_that_grows_for_ever(self):
        """A file that grows faster than it can be read."""
        self.make_sparse("log", 32 << 20)
        with self.growing(self.files / "log"):
            for _ in range(ATTEMPTS):
                with contextlib.suppress(AssertionError):  # it was registered: the machine has had no time for its growing
                    code = await expect_error(self.caller, "horace_register_file", file_path="log", metadata={})
                    break
        self.assertEqual(code, "FILE_BUSY")
        self.assertFalse(self.horace.staged_files())

    async def test_more_holes_than_room(self):
        """Refused before the disk is full of them."""
        size = shutil.disk_usage(self.files).free + (64 << 30)
        self.make_sparse("holes", size)
        if self.can_clone("holes"):
            raise unittest.SkipTest("files share their blocks here, holes too")
        self.assertEqual(await expect_error(self.caller, "horace_register_file", file_path="holes", metadata={}), "STORAGE_FULL")
        self.assertFalse(self.horace.staged_files())
        self.assertGreater((await self.write("a", b"one"))["size"], 0)

    async def test_a_limit_on_the_size_of_files(self):
        """Handled like a full disk: the operator must act."""
        resource.prlimit(self.horace.program.process.pid, resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
        (self.files / "a").write_bytes(bytes(5 << 20))
        self.assertEqual(await expect_error(self.caller, "horace_register_file", file_path="a", metadata={}), "STORAGE_FULL")
        self.assertEqual((await self.write("b", b"one"))["size"], 3)

    def can_clone(self, name):
        with open(self.files / name, "rb") as file, open(self.horace.storage / "clone", "wb") as clone:
            with contextlib.suppress(OSError):
                fcntl.ioctl(clone, FICLONE, file.fileno())
                return True
        return False

    async def test_stopped_while_it_removes_something_huge(self):
        """The read that verifies that the file is the deleted one."""
        file_id = (await self.write("a", b"one"))["file_id"]
        await self.set_status(file_id, "deleted")
        self.horace.program.stop()
        self.make_sparse("a", 1 << 40)
        set_in_catalogue(self.horace, f"size = {1 << 40}, deleted_at = {'to_timestamp(1)' if ON_POSTGRESQL else 1}")
        self.horace.restart()
        wait_until(lambda: f"{file_id}.purge" in self.horace.staged_files(), "it is being removed")
        self.horace.program.stop()
        self.assertEqual((self.files / "a").stat().st_size, 1 << 40)


class Clocks(Case):
    async def test_nothing_is_removed_by_a_clock_that_is_ahead_until_an_operator_says_so(self):
        """Changes the time of the last removal instead of the clock."""
        await self.set_status((await self.write("a", b"one"))["file_id"], "deleted")
        await self.caller.__aexit__()
        self.horace.program.stop()
        set_in_catalogue(self.horace, f"deleted_at = {'to_timestamp(1)' if ON_POSTGRESQL else 1}")
        run_in_catalogue(self.horace, f"UPDATE horace_retention SET began_at = {'to_timestamp(1)' if ON_POSTGRESQL else 1}")
        self.horace.restart()
        self.horace.program.wait_for("no deleted files are removed for 24 hours")
        held = lambda: b"\nhorace_retention_held 1\n" in http_get(self.horace.port, path="/metrics").body
        self.assertTrue(held())
        self.caller = await Caller(self.horace.url).__aenter__()
        self.assertEqual((await self.search(status="deleted"))["total_count"], 1)
        run = run_program([PROGRAMS["horace"], "--resume-retention"], env=self.horace.settings)
        self.assertEqual((run.returncode, run.stdout), (0, "files deleted 30 days ago are removed by this machine's clock\n"))
        self.horace.program.wait_for("deleted 30 days ago")
        wait_until(lambda: not held(), "that it is no longer held")
        self.assertEqual((await self.search(status="all"))["total_count"], 0)


class Removing(Case):
    async def test_one_that_cannot_be_removed(self):
        """The other files are removed, also at the next start."""
        stuck = (await self.write("stuck", b"one"))["file_id"]
        version = self.horace.storage / self.horace.version_path(stuck, 1)
        version.unlink()
        version.mkdir()
        await self.set_status(stuck, "deleted")
        for name in ("a", "b"):
            await self.set_status((await self.write(name, name.encode()))["file_id"], "deleted")
            await self.caller.__aexit__()
            self.horace.program.stop()
            set_in_catalogue(self.horace, f"deleted_at = {'to_timestamp(1)' if ON_POSTGRESQL else 1} WHERE status = 'deleted'")
            self.horace.restart()
            self.caller = await Caller(self.horace.url).__aenter__()

            async def one_is_left():
                return (await self.search(status="deleted"))["total_count"] == 1

            await wait_until_async(one_is_left, "the other is removed")
            self.assertEqual([found["file_id"] for found in (await self.search(status="all"))["results"]], [stuck])
        self.assertEqual(self.horace.staged_files(), [f"{stuck}.purge"])


# A commit waits for a lock, and does not end when its caller has gone: as if its disk did not respond.
SLOW_COMMITS = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM set_config('client_connection_check_interval', '0', true), pg_advisory_xact_lock_shared(7);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON horace_versions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();
CREATE CONSTRAINT TRIGGER wait AFTER UPDATE OF status ON horace_files DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION wait();
"""


class Commits(AsyncTestCase):
    """Horace is killed during a commit, which is still running when the next Horace recovers."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        if not ON_POSTGRESQL:
            raise unittest.SkipTest("SQLite commits in horace itself; edge-cases-postgresql covers it")
        self.horace = self.enterContext(Horace())
        self.file, self.database = self.horace.files / "a", self.horace.settings["HORACE_DB_NAME"]

    async def call(self, tool, **arguments):
        async with Caller(self.horace.url) as caller:
            return await caller.call(tool, arguments)

    async def register(self, text):
        self.file.write_text(text)
        return await self.call("horace_register_file", file_path="a", metadata={})

    def waiting(self):
        """The number of connections that wait for a lock."""
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.database}' AND wait_event_type = 'Lock'"
        return int(psql(sql))

    @contextlib.contextmanager
    def commits_held(self):
        """Commits wait until the end of the block."""
        psql(SLOW_COMMITS, self.database)
        words = [bin_directory() / "psql", "-XqAt", "-d", self.database]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=psql_environment()) as holder:
            holder.stdin.write("SELECT pg_advisory_lock(7);\n\\echo held\n")
            holder.stdin.flush()
            while holder.stdout.readline() != "held\n":
                pass
            yield
            holder.stdin.close()
        wait_until(lambda: not self.waiting(), "everything is committed")

    async def commit_late(self, call):
        with self.commits_held():
            working = asyncio.create_task(call)
            while not self.waiting():
                await asyncio.sleep(0.01)
            self.horace.program.kill()
            with self.assertRaises(ConnectionError):
                await working
            self.horace.restart()
            self.assertTrue(any(self.restart_s() < 8 for _ in range(ATTEMPTS)), "it waits to the end of lock_timeout")

    def restart_s(self):
        """The duration of a start that waits for the commit."""
        wait_until(lambda: self.waiting() > 1 or not self.horace.staged_files(), "horace looks what became of it")
        began = time.monotonic()
        self.horace.restart()
        return time.monotonic() - began

    async def look(self):
        async with Caller(self.horace.url) as caller:
            return await snapshot(caller, self.horace)

    async def test_a_new_file(self):
        await self.commit_late(self.register("one"))
        self.assertEqual((await self.look())["a"]["versions"], {1: b"one"})

    async def test_a_new_version(self):
        await self.register("one")
        await self.commit_late(self.register("two"))
        self.assertEqual((await self.look())["a"]["versions"], {1: b"one", 2: b"two"})

    async def test_a_move(self):
        file_id = (await self.register("one"))["file_id"]
        await self.commit_late(self.call("horace_update_file", file_id=file_id, metadata={"status": "archived"}))
        state = await self.look()
        self.assertEqual((state["a"]["status"], state["a"]["archive"], state["files"]), ("archived", b"one", {}))


if __name__ == "__main__":
    main()
