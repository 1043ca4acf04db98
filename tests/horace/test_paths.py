"""Paths that lead, or would lead, out of the storage: links, dots, mounts, races, and what is no regular file. Never is a byte
from outside kept, never is anything outside written, and nothing makes horace wait.
"""
import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import stat
import time
import unittest

from caller import CallError, Caller
from disk import SmallDisk, on_file_open, unshare_mounts
from horace import ARCHIVE, FILES, ON_POSTGRESQL, VERSIONS, WORK, Horace, expect_error, info, records, snapshot
from services import WAIT_S, AsyncTestCase, ProgramGroup, in_background, main, run_program

SECRET = b"SECRET of somebody else\n" * 1000
AT_FDCWD, RENAME_EXCHANGE = -100, 2
TOOL_ERROR, INVALID_PARAMS = -32000, -32602
REFUSED = ("INVALID_PATH", "FILE_NOT_FOUND")
RACE_S = float(os.environ.get("TEST_SECONDS", 1))
libc = ctypes.CDLL(None, use_errno=True)


class Case(AsyncTestCase):
    """A horace, and a directory with a secret beside its storage, which must not change."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.horace = self.enterContext(Horace())
        self.caller = await self.enterAsyncContext(Caller(self.horace.url))
        self.files = self.horace.files
        self.outside = self.horace.directory.resolve() / "outside"
        self.outside.mkdir()
        for name in ("a.txt", "secret"):
            (self.outside / name).write_bytes(SECRET)

    async def asyncTearDown(self):
        self.horace.wait_idle()
        found = {path.name: path.read_bytes() for path in self.outside.iterdir()}
        self.assertEqual(found, {"a.txt": SECRET, "secret": SECRET})
        for name, data in self.horace.tree().items():
            if not name.startswith(f"{FILES}/"):
                self.assertFalse(SECRET[:1000] in data, f"{name} has bytes from outside")

    async def register(self, path, **metadata):
        return await self.caller.call("horace_register_file", {"file_path": str(path), "metadata": metadata})

    async def versions(self, name, *texts):
        """Registers each text in turn at that path. Returns the id."""
        for text in texts:
            (self.files / name).parent.mkdir(exist_ok=True)
            (self.files / name).write_text(text)
            file_id = (await self.register(name))["file_id"]
        return file_id

    async def set_status(self, file_id, status):
        return await self.caller.call("horace_update_file", {"file_id": file_id, "metadata": {"status": status}})

    async def assert_refused(self, path, *codes):
        """Expects one of the codes, by default any for a refused path."""
        with self.subTest(path=str(path)[:100]):
            code = await expect_error(self.caller, "horace_register_file", file_path=str(path), metadata={})
            self.assertIn(code, codes or REFUSED)

    async def assert_nothing_known(self):
        self.assertEqual(await records(self.caller), [])
        self.assertFalse([name for name in self.horace.tree() if not name.startswith(f"{FILES}/")])


class Refused(Case):
    async def test_links_that_lead_out(self):
        storage, files = self.horace.storage, self.files
        (files / "d").mkdir()
        for name, target in (
            ("file", self.outside / "secret"),
            ("directory", self.outside),
            ("relative", "../../outside/secret"),
            ("d/deep", "../../../outside"),
            ("chain", "file"),
            ("through", "directory/secret"),
            ("storage", ".."),
            ("root", "/"),
            ("process", "/proc/self/root"),
            ("descriptors", "/proc/self/fd"),
        ):
            (files / name).symlink_to(target)
        for path in ("file", "directory/secret", "relative", "d/deep/secret", "chain", "through", "directory/../secret"):
            await self.assert_refused(path, "INVALID_PATH")
            await self.assert_refused(files / path, "INVALID_PATH")
        for path in ("storage/horace.db", "storage/files/file", "root/etc/passwd", "process/etc/passwd", "descriptors/0"):
            await self.assert_refused(path)
        await self.assert_refused(f"storage/../{self.outside.name}/secret")
        await self.assert_refused(storage / "files/storage/../outside/secret")
        await self.assert_nothing_known()

    async def test_links_that_lead_nowhere(self):
        for name, target in (("loop", "loop"), ("one", "other"), ("other", "one"), ("dangling", "nowhere")):
            (self.files / name).symlink_to(target)
        for path in ("loop", "one", "dangling", "loop/x", "dangling/x"):
            await self.assert_refused(path)
        await self.assert_nothing_known()

    async def test_dots_and_absolute_paths(self):
        files = self.files
        (files / "d").mkdir()
        for path in (
            "../../outside/secret",
            "d/../../../outside/secret",
            files / "../../outside/secret",
            self.outside / "secret",
            "/etc/passwd",
            f"/{'../' * 30}etc/passwd",
            f"{files}x/secret",
            f"{files}/../files/../../outside/secret",
        ):
            await self.assert_refused(path, "INVALID_PATH")
        await self.assert_nothing_known()

    async def test_the_storages_own(self):
        file_id = await self.versions("a", "one", "two")
        storage = self.horace.storage
        (self.files / "link").symlink_to(f"../{VERSIONS}")
        kept = self.horace.version_path(file_id, 1)
        for path in (storage / kept, f"../{kept}", f"link/{file_id[-2:]}/{file_id}.1", storage / "horace.db", "../horace.db",
                     storage / ".horace_lock"):  # fmt: skip
            await self.assert_refused(path, "INVALID_PATH")
        self.assertEqual(len(await records(self.caller)), 1)

    async def test_what_horace_keeps_is_private(self):
        """Also if it was open before; users' files keep their mode, also after unarchiving."""

        def open_to_others():
            kept = VERSIONS, ARCHIVE, WORK, ".horace_lock", "horace.db", "horace.db-wal", "horace.db-shm"
            paths = [self.horace.storage / name for name in kept]
            return [path.name for path in paths if path.exists() and path.stat().st_mode & 0o007]

        os.umask(0o022)
        file_id = await self.versions("a.txt", "1")
        (self.files / "a.txt").chmod(0o664)
        file_id = await self.versions("a.txt", "2")
        self.assertEqual(open_to_others(), [])
        for name in VERSIONS, ARCHIVE:
            (self.horace.storage / name).chmod(0o755)
        if not ON_POSTGRESQL:
            (self.horace.storage / "horace.db").chmod(0o644)
        await asyncio.to_thread(self.horace.restart)
        self.assertEqual(open_to_others(), [])
        async with Caller(self.horace.url) as caller:
            self.assertEqual((self.files / "a.txt").stat().st_mode & 0o777, 0o664)
            (self.files / "a.txt").unlink()
            await caller.call("horace_restore_version", {"file_id": file_id, "version": 2})
        self.assertEqual((self.files / "a.txt").stat().st_mode & 0o004, 0o004)

    async def test_what_is_no_file(self):
        files = self.files
        (files / "d").mkdir()
        os.mkfifo(files / "fifo")
        (files / "device").symlink_to("/dev/null")
        (files / "fifo link").symlink_to("fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            os.chdir(files)  # a socket's path is short
            listener.bind("socket")
            os.chdir("/")
            for path in ("d", "d/", "fifo", "fifo link", "socket", "device", "", ".", "..", "/", files, f"{files}/"):
                await self.assert_refused(path, "INVALID_PATH")
        await self.assert_nothing_known()

    async def test_devices(self):
        try:
            os.mknod(self.files / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            raise unittest.SkipTest("no device can be made here") from None
        await self.assert_refused("zero", "INVALID_PATH")

    async def test_texts_that_are_no_path(self):
        (self.files / "a").write_text("x")
        for path in ("a/b", "a/", "a/.", "a/..", "x" * 256, "x/" * 5000, "x" * 100_000, "a" + "/." * 3000, "nothing", "\ud83d\ude00"):
            with self.subTest(path=path[:20]):
                await self.assert_refused(path)
        for path in ("a\0", "a\0b", "\0", None, 7, ["a"], {}):
            with self.subTest(path=path), self.assertRaises(CallError) as raised:
                await self.register_as_is(path)
            self.assertIn(raised.exception.code, (TOOL_ERROR, INVALID_PARAMS))
        await self.assert_nothing_known()

    async def register_as_is(self, path):
        return await self.caller.call("horace_register_file", {"file_path": path, "metadata": {}})

    async def test_a_mount_inside(self):
        unshare_mounts()
        place = self.files / "mounted"
        place.mkdir()
        mounted = run_program(["mount", "--bind", self.outside, place])
        if mounted.returncode != 0:
            raise unittest.SkipTest(f"no mounts here: {mounted.stderr.strip()}")
        self.addCleanup(run_program, ["umount", "--lazy", place])
        with Horace() as inner:  # one that lives in our namespace, where the mount is seen
            inner_place = inner.files / "mounted"
            inner_place.mkdir()
            run_program(["mount", "--bind", self.outside, inner_place]).check_returncode()
            try:
                (inner.files / "link").symlink_to("mounted/secret")
                async with Caller(inner.url) as caller:
                    for path in ("mounted/secret", "link", inner_place / "a.txt", "mounted/../mounted/secret"):
                        code = await expect_error(caller, "horace_register_file", file_path=str(path), metadata={})
                        self.assertEqual(code, "INVALID_PATH", path)
                    self.assertEqual(await records(caller), [])
            finally:
                run_program(["umount", "--lazy", inner_place]).check_returncode()

    def test_files_that_are_a_mount(self):
        """Files are renamed between the storage's directories."""
        with SmallDisk(1 << 20) as disk, ProgramGroup() as place:
            files = place.directory / "storage/files"
            files.mkdir(parents=True)
            run_program(["mount", "--bind", disk.path, files]).check_returncode()
            try:
                settings = {"HORACE_MCP_PORT": "0", "HORACE_STORAGE_PATH": str(files.parent)}
                horace = place.add_instance("horace", "horace", **settings).start()
                self.assertEqual(horace.wait(), 1)
                self.assertIn("must be on one file system", horace.output())
            finally:
                run_program(["umount", "--lazy", files]).check_returncode()


class Followed(Case):
    async def test_links_inside_lead_to_one_record(self):
        file_id = await self.versions("d/real.txt", "text")
        (self.files / "link").symlink_to("d/real.txt")
        (self.files / "dir").symlink_to("d")
        (self.files / "d" / "up").symlink_to("../d/real.txt")
        for path in ("link", "dir/real.txt", "d/up", "d/../d/./real.txt", ".//d//real.txt", "dir/../d/real.txt",
                     f"{self.files}/link", f"{self.files}/./d/real.txt", f"{self.files}//d/real.txt"):  # fmt: skip
            with self.subTest(path=path):
                answer = await self.register(path)
                self.assertEqual((answer["file_id"], set(answer)), (file_id, {"file_id", "message"}))
        (known,) = await records(self.caller)
        self.assertEqual(known["path"], str(self.files / "d/real.txt"))
        self.assertFalse(known.get("other_paths"))

    async def test_names_of_any_kind(self):
        names = ["new\nline", "a b", "'quote'", '"double"', "100%", "%s%n", "-rf", "back\\slash", "\u00fc\u0308", "\u202e.txt", "*", "~",
                 "\x01\x7f", "...", "x" * 255, ".hidden", "a;b", "$(x)", "\U0001f600"]  # fmt: skip
        for name in names:
            await self.versions(name, f"one {name}", f"two {name}")
        state = await snapshot(self.caller, self.horace)
        for name in names:
            self.assertEqual(state[name]["versions"], {1: f"one {name}".encode(), 2: f"two {name}".encode()})
        for known in await records(self.caller):
            await self.caller.call("horace_restore_version", {"file_id": known["file_id"], "version": 1})
        for name in names:
            self.assertEqual((self.files / name).read_text(), f"one {name}")


class Exchanged(Case):
    """A registered file or directory is exchanged for a link."""

    async def try_all(self, file_id):
        """Calls every operation on it; each may fail with a code."""
        for arguments in ({"check_for_changes": True}, {"metadata": {"status": "archived"}}, {"metadata": {"status": "active"}}):
            with contextlib.suppress(CallError):
                await self.caller.call("horace_update_file", {"file_id": file_id} | arguments)
        for version in (1, 2):
            with contextlib.suppress(CallError):
                await self.caller.call("horace_restore_version", {"file_id": file_id, "version": version})

    async def test_a_file_for_a_link_out(self):
        file_id = await self.versions("a.txt", "one", "two")
        (self.files / "a.txt").unlink()
        (self.files / "a.txt").symlink_to(self.outside / "a.txt")
        with self.assertRaises(CallError):
            await self.caller.call("horace_update_file", {"file_id": file_id, "check_for_changes": True})
        await self.try_all(file_id)

    async def test_a_directory_for_a_link_out(self):
        file_id = await self.versions("d/a.txt", "one", "two")
        (self.files / "d").rename(self.files / "was")
        (self.files / "d").symlink_to(self.outside)
        for version in (1, 2):
            with self.assertRaises(CallError):
                await self.caller.call("horace_restore_version", {"file_id": file_id, "version": version})
        await self.try_all(file_id)
        self.assertEqual((self.files / "was/a.txt").read_text(), "two")
        self.assertEqual((await info(self.caller, file_id))["current_version"], 2)

    async def test_bringing_back_through_a_link_out(self):
        file_id = await self.versions("d/b.txt", "one", "two")
        await self.set_status(file_id, "archived")
        (self.files / "d").rmdir()
        (self.files / "d").symlink_to(self.outside)
        with self.assertRaises(CallError):
            await self.set_status(file_id, "active")
        self.assertEqual((await info(self.caller, file_id))["status"], "archived")
        (self.files / "d").unlink()
        await self.set_status(file_id, "active")
        self.assertEqual((self.files / "d/b.txt").read_text(), "two")

    async def test_a_file_for_a_directory_or_a_fifo(self):
        for number, make in enumerate((os.mkdir, os.mkfifo)):
            name = f"n{number}"
            file_id = await self.versions(name, f"one {number}", f"two {number}")
            (self.files / name).unlink()
            make(self.files / name)
            await self.try_all(file_id)


class Replaced(Case):
    """A file is replaced between horace's opening it and reading its path."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.beside = self.horace.storage / "beside"
        self.beside.mkdir()
        (self.files / "a").write_text("the first")
        self.replaced = 0

    def replacing(self, most):
        """Replaces the file at each opening by horace, at most `most` times."""
        for number in range(most):
            (self.beside / f"{number}").write_text(f"number {number}")

        def replace(pid):
            if pid == self.horace.program.process.pid and self.replaced < most:
                (self.beside / f"{self.replaced}").rename(self.files / "a")
                self.replaced += 1

        return on_file_open(self.files, replace)

    async def test_a_few_times(self):
        with self.replacing(5):
            answer = await self.register("a")
        self.assertEqual((self.replaced, answer["version"]), (5, 1))
        self.assertEqual((await snapshot(self.caller, self.horace))["a"]["versions"], {1: b"number 4"})

    async def test_again_and_again(self):
        with self.replacing(300), self.assertRaises(CallError) as raised:
            await self.register("a")
        self.assertEqual((raised.exception.data["error_code"], raised.exception.data["retry"]), ("FILE_BUSY", True))
        self.assertLess(self.replaced, 300)
        await self.register("a")

    async def test_under_a_lease(self):
        """Another process holds a lease on the file."""
        previous = signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which the kernel asks for it
        self.addCleanup(signal.signal, signal.SIGIO, previous)
        with open(self.files / "a", "r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            await self.assert_refused("a", "FILE_BUSY")
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        file_id = (await self.register("a"))["file_id"]
        with open(self.files / "a", "r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            for tool, arguments in (("horace_update_file", {"check_for_changes": True}), ("horace_restore_version", {"version": 1})):
                self.assertEqual(await expect_error(self.caller, tool, file_id=file_id, **arguments), "FILE_BUSY")


class Races(Case):
    def exchange(self, one, other):
        paths = [os.fsencode(self.files / name) for name in (one, other)]
        if libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")

    @contextlib.contextmanager
    def exchanging(self, one, other):
        """Exchanges them repeatedly in a thread, until the end of the block."""
        times = 0

        def run(ended):
            nonlocal times
            while not ended.is_set():
                with contextlib.suppress(FileNotFoundError):  # it is archived at the moment
                    self.exchange(one, other)
                    times += 1

        with in_background(run):
            yield
        self.assertGreater(times, 10)

    async def race(self, name, one, other):
        """Four callers register, check, restore and move a file, while two names of its path are exchanged."""
        (self.files / "d").mkdir()
        file_id = await self.versions(name, "one", "two")
        ends, done, codes = time.monotonic() + RACE_S, 0, set()

        async def work():
            nonlocal done
            async with Caller(self.horace.url) as caller:
                while time.monotonic() < ends or (done <= 10 and time.monotonic() < ends + WAIT_S):
                    for tool, arguments in (
                        ("horace_register_file", {"file_path": name, "metadata": {}}),
                        ("horace_update_file", {"file_id": file_id, "check_for_changes": True}),
                        ("horace_restore_version", {"file_id": file_id, "version": 1 + done % 20}),
                        ("horace_update_file", {"file_id": file_id, "metadata": {"status": "archived"}}),
                        ("horace_update_file", {"file_id": file_id, "metadata": {"status": "active"}}),
                    ):
                        try:
                            await caller.call(tool, arguments)
                            done += 1
                        except CallError as error:
                            self.assertEqual(error.code, TOOL_ERROR, error)
                            codes.add(error.data["error_code"])

        with self.exchanging(one, other):
            await asyncio.gather(*(work() for _ in range(4)))
        self.assertGreater(done, 10, codes)
        self.horace.wait_idle()

    async def test_a_directory_and_a_link_out(self):
        (self.files / "link").symlink_to(self.outside)
        await self.race("d/a.txt", "d", "link")

    async def test_a_file_and_a_link_out(self):
        (self.files / "link").symlink_to(self.outside / "a.txt")
        await self.race("d/a.txt", "d/a.txt", "link")


if __name__ == "__main__":
    main()
