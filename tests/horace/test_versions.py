"""Versions against a model: files are written, registered, changed, restored, archived, deleted, brought back and lost at
random, horace is stopped and killed in between, and every version that is listed has the bytes that the model says.

The environment moves size and chance: TEST_STEPS (100), TEST_KILLS (4), TEST_SEED; with DEWEY_DB_HOST (postgresql.py) on PostgreSQL.
"""
import asyncio
import contextlib
import copy
import os
import random
import uuid

from caller import CallError, Caller
from horace import FILES, REGISTERED, Horace, expect_error, info, records, sha256, snapshot, versions_of
from services import AsyncTestCase, main

STEPS = int(os.environ.get("TEST_STEPS", 100))
KILLS = int(os.environ.get("TEST_KILLS", 4))
SEED = int(os.environ.get("TEST_SEED", random.randrange(1 << 32)))
KEPT = 3


class Record:
    """A registered file."""

    def __init__(self, file_id, path, data):
        self.file_id, self.path, self.status, self.archive = file_id, path, "active", None
        self.versions, self.current = {1: data}, 1

    def add(self, data):
        """Adds a version and drops those beyond the limit."""
        self.current += 1
        self.versions[self.current] = data
        self.versions.pop(self.current - KEPT, None)

    @property
    def data(self):
        return self.versions[self.current]

    def state(self):
        """The state in the form of look()."""
        return {"status": self.status, "versions": self.versions, "archive": self.archive}


class Model:
    """A model of a horace; each operation runs on both, and the responses are compared."""

    def __init__(self, test, horace, caller, chance, paths):
        self.test, self.horace, self.caller, self.chance, self.paths = test, horace, caller, chance, paths
        self.records, self.done = {}, []

    def present(self, path):
        """The bytes of the file; None: no file."""
        file = self.horace.files / path
        return file.read_bytes() if file.exists() else None

    def some(self, *states):
        found = [record for record in self.records.values() if record.status in states]
        return self.chance.choice(found) if found else None

    # ---- what others do to the files ----------------------------------------------------------------------

    def content(self, path):
        """New bytes, those of some file, or the present ones with one byte changed."""
        kind, old = self.chance.randrange(4), self.present(path)
        if kind == 0 and old:
            return bytes([old[0] ^ 1]) + old[1:]
        if kind == 1 and self.records:
            return self.chance.choice(list(self.chance.choice(list(self.records.values())).versions.values()))
        return self.chance.randbytes(self.chance.choice((0, 1, 100, 5000, 70_000)))

    async def write(self):
        path = self.chance.choice(self.paths)
        known = self.records.get(path)
        if known is not None and known.status == "archived":
            return  # its place is its own; PATH_TAKEN has a test
        file, data = self.horace.files / path, self.content(path)
        times = (file.stat().st_atime_ns, file.stat().st_mtime_ns) if file.exists() else None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if times and self.chance.random() < 0.3:
            os.utime(file, ns=times)  # who judges by size and time is fooled
        self.done.append(f"write {path}: {len(data)} bytes")

    async def lose(self):
        path = self.chance.choice(self.paths)
        if self.present(path) is not None and self.chance.random() < 0.3:
            (self.horace.files / path).unlink()
            self.done.append(f"lose {path}")

    async def restart(self):
        if self.chance.random() < 0.2:
            kill = self.chance.random() < 0.5
            await self.caller.__aexit__()
            self.horace.restart(kill)
            self.caller = await Caller(self.horace.url).__aenter__()
            self.done.append("kill and start" if kill else "restart")

    # ---- what callers do ----------------------------------------------------------------------------------

    async def register(self):
        path = self.chance.choice(self.paths)
        data, record = self.present(path), self.records.get(path)
        self.done.append(f"register {path}")
        arguments = {"file_path": self.chance.choice((path, str(self.horace.files / path))), "metadata": {"owner": "me"}}
        if data is None:
            code = await expect_error(self.caller, "horace_register_file", **arguments)
            self.test.assertEqual(code, "FILE_NOT_FOUND")
            return
        renamed = self.renamed(record, data)
        answer = await self.caller.call("horace_register_file", arguments)
        if renamed:
            self.test.assertEqual(set(answer), {"file_id", "message"})
            self.move(renamed[answer["file_id"]], path)
            return
        if record is not None:
            self.test.assertEqual(answer["file_id"], record.file_id)
            self.registered_again(record, data, answer)
            return
        same = {one.file_id for one in self.records.values() if one.status != "deleted" and one.data == data}
        if same:
            self.test.assertEqual(set(answer), {"file_id", "message"})
            self.test.assertIn(answer["file_id"], same)
        else:
            self.records[path] = Record(answer["file_id"], path, data)
            self.check_registered(self.records[path], answer)

    def renamed(self, known, data):
        """The records that may have been renamed to a file with these bytes: they are gone from their paths."""
        if known is not None and (known.status != "deleted" or known.data == data):
            return {}
        return {
            one.file_id: one
            for one in self.records.values()
            if one is not known and one.status == "active" and one.data == data and self.present(one.path) is None
        }

    def move(self, record, path):
        self.records.pop(record.path)
        record.path = path
        self.records[path] = record  # a deleted one leaves its place

    def registered_again(self, record, data, answer):
        was_deleted, record.status = record.status == "deleted", "active"
        if data != record.data:
            record.add(data)
        elif not was_deleted:
            self.test.assertEqual(set(answer), {"file_id", "message"})
            return
        self.check_registered(record, answer)

    def check_registered(self, record, answer):
        self.test.assertEqual(set(answer), REGISTERED)
        said = [answer[key] for key in ("file_id", "version", "checksum", "size")]
        self.test.assertEqual(said, [record.file_id, record.current, sha256(record.data), len(record.data)])

    async def update(self):
        record = self.some("active")
        if record is None:
            return
        data, purpose = self.present(record.path), uuid.uuid4().hex
        check = self.chance.random() < 0.7
        self.done.append(f"update {record.path}" + ", check" * check)
        arguments = {"file_id": record.file_id, "metadata": {"purpose": purpose}, "check_for_changes": check}
        if check and data is None:
            self.test.assertEqual(await expect_error(self.caller, "horace_update_file", **arguments), "FILE_MISSING")
            return
        answer = await self.caller.call("horace_update_file", arguments)
        changed = check and data != record.data
        if changed:
            record.add(data)
        self.test.assertEqual(
            answer,
            {
                "file_id": record.file_id,
                "updated_fields": ["purpose"],
                "version_created": record.current if changed else None,
                "current_version": record.current,
            },
        )
        self.test.assertEqual((await info(self.caller, record.file_id))["purpose"], purpose)

    async def restore(self):
        record = self.some("active")
        if record is None:
            return
        present, version = self.present(record.path), self.chance.randint(1, record.current + 1)
        self.done.append(f"restore {record.path} to {version}")
        arguments = {"file_id": record.file_id, "version": version}
        if version not in record.versions:
            code = await expect_error(self.caller, "horace_restore_version", **arguments)
            self.test.assertEqual(code, "VERSION_NOT_FOUND")
            return
        data = record.versions[version]
        answer = await self.caller.call("horace_restore_version", arguments)
        if present is not None and present != record.data:
            record.add(present)
        record.add(data)
        self.test.assertEqual(
            answer,
            {
                "file_id": record.file_id,
                "restored_to_version": version,
                "new_version_created": record.current,
                "current_path": str(self.horace.files / record.path),
            },
        )
        self.test.assertEqual(self.present(record.path), data)

    async def set_status(self, record, status):
        self.done.append(f"{record.path}: {record.status} -> {status}")
        arguments = {"file_id": record.file_id, "metadata": {"status": status}}
        return await self.caller.call("horace_update_file", arguments)

    async def archive(self):
        record = self.some("active")
        if record is not None and (data := self.present(record.path)) is not None:
            await self.set_status(record, "archived")
            record.status, record.archive = "archived", data

    async def bring_back(self):
        if (record := self.some("archived", "deleted")) is not None:
            data = record.archive if record.status == "archived" else self.present(record.path)
            await self.set_status(record, "active")
            record.status, record.archive = "active", None
            self.test.assertEqual(self.present(record.path), data)

    async def delete(self):
        if self.chance.random() < 0.3 and (record := self.some("active")) is not None:
            before = self.present(record.path)
            await self.set_status(record, "deleted")
            record.status = "deleted"
            self.test.assertEqual(self.present(record.path), before)

    async def step(self):
        steps = (self.write, self.write, self.register, self.register, self.update, self.restore, self.lose, self.restart)
        await self.chance.choice((*steps, self.archive, self.bring_back, self.delete))()

    # ---- existing files -----------------------------------------------------------------------------------

    async def check(self):
        present = {f"{FILES}/{path}": data for path in self.paths if (data := self.present(path)) is not None}
        state = await snapshot(self.caller, self.horace)
        ids = {record.path: record.file_id for record in self.records.values()}
        said = [state.pop(key) for key in ("files", "collections", "ids")]
        self.test.assertEqual(said, [present, {}, ids])
        found = {path: {key: one[key] for key in ("status", "versions", "archive")} for path, one in state.items()}
        self.test.assertEqual(found, {record.path: record.state() for record in self.records.values()})


class Worker:
    """A caller with one file, until horace is killed: the file is then in the state before or after the last call."""

    def __init__(self, horace, number, chance):
        self.horace, self.chance, self.name = horace, chance, f"{number}.txt"
        self.file, self.answered = horace.files / self.name, 0
        self.record = self.next = None

    async def work(self):
        with contextlib.suppress(ConnectionError):
            async with Caller(self.horace.url) as caller:
                while True:
                    self.next = copy.deepcopy(self.record)
                    tool, arguments = self.prepare()
                    answer = await caller.call(tool, arguments)
                    self.next.file_id = answer["file_id"]
                    self.record, self.answered = self.next, self.answered + 1

    def prepare(self):
        """A random call; self.next is the state after it."""
        next, chance = self.next, self.chance.random()
        if next is not None and next.status == "archived":
            next.status, next.archive = "active", None
            return "horace_update_file", {"file_id": next.file_id, "metadata": {"status": "active"}}
        if next is not None and chance < 0.2 and self.file.read_bytes() == next.data:
            next.status, next.archive = "archived", next.data
            return "horace_update_file", {"file_id": next.file_id, "metadata": {"status": "archived"}}
        if next is not None and chance < 0.5 and self.file.read_bytes() == next.data:
            version = self.chance.choice(list(next.versions))
            next.add(next.versions[version])
            return "horace_restore_version", {"file_id": next.file_id, "version": version}
        data = self.chance.randbytes(self.chance.choice((20, 3000, 300_000)))
        self.file.write_bytes(data)
        if next is None:
            self.next = Record(None, self.name, data)
        else:
            next.add(data)
        return "horace_register_file", {"file_path": self.name, "metadata": {}}

    def check(self, test, state):
        """Adopts the state that is found, with the bytes in files/."""
        found = state.get(self.name)
        found = found and {key: found[key] for key in ("status", "versions", "archive")}
        is_next = found == self.next.state()
        if not is_next:
            test.assertEqual(found, self.record and self.record.state())
        present = state["files"].get(f"{FILES}/{self.name}")
        if is_next:
            test.assertEqual(present, None if self.next.status == "archived" else self.next.data)
            self.next.file_id = self.next.file_id or state["ids"][self.name]
            self.record = self.next
        elif self.record is not None and present is not None:
            test.assertIn(present, (self.record.data, self.next.data))


class Versions(AsyncTestCase):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.horace = self.enterContext(Horace(HORACE_VERSION_COUNT=KEPT))

    async def test_at_random(self):
        chance = random.Random(SEED)
        paths = ["a.txt", "b.txt", "d/c.bin", "d/e/f", "ü \"'%_\\.md", "no"]
        model = Model(self, self.horace, await Caller(self.horace.url).__aenter__(), chance, paths)
        try:
            for step in range(STEPS):
                await model.step()
                if step % 5 == 0 or step == STEPS - 1:
                    await model.check()
        except BaseException:
            print(f"TEST_SEED={SEED} TEST_STEPS={STEPS}; what was done:", *model.done[-40:], sep="\n  ", flush=True)
            raise
        finally:
            await model.caller.__aexit__()

    async def test_callers_on_files_of_their_own(self):
        """Each caller gets the same results as alone."""

        async def work(number):
            async with Caller(self.horace.url) as caller:
                record, file = None, self.horace.files / f"{number}.txt"
                for step in range(8):
                    file.write_text(f"{number} {step}")
                    answer = await caller.call("horace_register_file", {"file_path": file.name, "metadata": {}})
                    if record is None:
                        record = Record(answer["file_id"], file.name, file.read_bytes())
                    else:
                        record.add(file.read_bytes())
                    self.assertEqual((answer["file_id"], answer["version"]), (record.file_id, record.current))
                    if step % 3 == 2:
                        arguments = {"file_id": record.file_id, "version": record.current - 1}
                        await caller.call("horace_restore_version", arguments)
                        record.add(record.versions[record.current - 1])
                return record

        done = await asyncio.gather(*(work(number) for number in range(12)))
        async with Caller(self.horace.url) as caller:
            state = await snapshot(caller, self.horace)
        self.assertEqual({one.path: state[one.path]["versions"] for one in done}, {one.path: one.versions for one in done})

    async def test_killed_at_work(self):
        """Changes that were reported exist; others exist completely or not at all."""
        workers = [Worker(self.horace, number, random.Random(f"{SEED} {number}")) for number in range(8)]
        chance = random.Random(SEED)
        for _ in range(KILLS):
            wanted = sum(worker.answered for worker in workers) + chance.randint(8, 40)
            working = [asyncio.create_task(worker.work()) for worker in workers]
            while sum(worker.answered for worker in workers) < wanted and not any(task.done() for task in working):
                await asyncio.sleep(chance.random() * 0.01)
            self.horace.program.kill()
            await asyncio.gather(*working)
            self.horace.restart()
            async with Caller(self.horace.url) as caller:
                state = await snapshot(caller, self.horace)
            for worker in workers:
                with self.subTest(worker.name, seed=SEED):
                    worker.check(self, state)

    async def test_callers_on_one_file(self):
        """The responses fit some order of the calls; all versions are complete."""
        file = self.horace.files / "one"
        file.write_text("first")

        async def work(number):
            async with Caller(self.horace.url) as caller:
                first = await caller.call("horace_register_file", {"file_path": "one", "metadata": {}})
                for step in range(3):
                    beside = file.with_name(f"beside {number}")
                    beside.write_text(f"{number} {step}")
                    beside.rename(file)
                    try:
                        await caller.call("horace_register_file", {"file_path": "one", "metadata": {}})
                        arguments = {"file_id": first["file_id"], "check_for_changes": True}
                        await caller.call("horace_update_file", arguments)
                        version = (await info(caller, first["file_id"]))["current_version"]
                        await caller.call("horace_restore_version", {"file_id": first["file_id"], "version": version})
                    except CallError as error:  # pruned meanwhile, or exchanged while it was read
                        self.assertIn(error.data["error_code"], ("VERSION_NOT_FOUND", "FILE_BUSY"))
                return first

        answers = await asyncio.gather(*(work(number) for number in range(6)))
        self.assertEqual(len({answer["file_id"] for answer in answers}), 1)
        self.assertEqual(sum("version" in answer and answer["version"] == 1 for answer in answers), 1)
        async with Caller(self.horace.url) as caller:
            kept = (await snapshot(caller, self.horace))["one"]["versions"]
            self.assertEqual(len(kept), KEPT)
            self.assertEqual(sorted(kept), list(range(min(kept), min(kept) + KEPT)))

    async def test_the_same_content_at_once_at_many_paths(self):
        """In any order, no two records have the same bytes."""
        paths = [f"{number}" for number in range(10)]
        for path in paths:
            (self.horace.files / path).write_text("the same")
        async with Caller(self.horace.url) as caller:
            calls = (caller.call("horace_register_file", {"file_path": path, "metadata": {}}) for path in paths)
            answers = await asyncio.gather(*calls)
            self.assertEqual(len({answer["file_id"] for answer in answers}), 1)
            self.assertEqual(sum("checksum" in answer for answer in answers), 1)
            (known,) = await records(caller)
            self.assertEqual(sorted([*known["other_paths"], known["path"]]), sorted(str(self.horace.files / path) for path in paths))
            self.assertEqual(versions_of(self.horace, known), {1: b"the same"})

    async def test_a_damaged_version_is_not_restored(self):
        file = self.horace.files / "a"
        async with Caller(self.horace.url) as caller:
            for text in ("one", "two"):
                file.write_text(text)
                file_id = (await caller.call("horace_register_file", {"file_path": "a", "metadata": {}}))["file_id"]
            kept = self.horace.storage / self.horace.version_path(file_id, 1)
            kept.chmod(0o600)
            kept.write_text("eno")
            code = await expect_error(caller, "horace_restore_version", file_id=file_id, version=1)
            self.assertEqual((code, file.read_text()), ("VERSION_DAMAGED", "two"))
            kept.unlink()
            code = await expect_error(caller, "horace_restore_version", file_id=file_id, version=1)
            self.assertEqual((code, file.read_text()), ("VERSION_DAMAGED", "two"))
            self.assertEqual((await info(caller, file_id))["current_version"], 2)
            self.horace.wait_idle()

    async def test_a_restore_whose_version_is_pruned_by_what_is_kept_before_it(self):
        """The present becomes version 4, which prunes version 1; the restore of version 1 still succeeds."""
        file = self.horace.files / "a"
        async with Caller(self.horace.url) as caller:
            for text in ("one", "two", "three"):
                file.write_text(text)
                file_id = (await caller.call("horace_register_file", {"file_path": "a", "metadata": {}}))["file_id"]
            file.write_text("present")
            answer = await caller.call("horace_restore_version", {"file_id": file_id, "version": 1})
            self.assertEqual((answer["new_version_created"], file.read_text()), (5, "one"))
            versions = (await snapshot(caller, self.horace))["a"]["versions"]
            self.assertEqual(versions, {3: b"three", 4: b"present", 5: b"one"})

    async def test_a_path_that_is_taken_meanwhile(self):
        """By a file, a directory, a pipe or a dangling link: the bytes stay in the archive until the path is free."""
        file = self.horace.files / "a"
        file.write_text("old")
        async with Caller(self.horace.url) as caller:
            file_id = (await caller.call("horace_register_file", {"file_path": "a", "metadata": {}}))["file_id"]
            arguments = {"file_id": file_id, "metadata": {"status": "active"}}
            await caller.call("horace_update_file", {"file_id": file_id, "metadata": {"status": "archived"}})
            self.assertFalse(file.exists())
            for take in (file.touch, file.mkdir, lambda: os.mkfifo(file), lambda: file.symlink_to("nowhere")):
                take()
                before = await snapshot(caller, self.horace)
                self.assertEqual(await expect_error(caller, "horace_update_file", **arguments), "PATH_TAKEN")
                self.assertEqual(await snapshot(caller, self.horace), before)
                file.rmdir() if file.is_dir() else file.unlink()
            await caller.call("horace_update_file", arguments)
            self.assertEqual(file.read_text(), "old")

    async def test_mode_and_owner_outlive_a_restore(self):
        file = self.horace.files / "run.sh"
        async with Caller(self.horace.url) as caller:
            for text in ("one", "two"):
                file.write_text(text)
                file.chmod(0o751)
                file_id = (await caller.call("horace_register_file", {"file_path": "run.sh", "metadata": {}}))["file_id"]
            owner = (12345, 54321) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
            os.chown(file, *owner)
            await caller.call("horace_restore_version", {"file_id": file_id, "version": 1})
            state = file.stat()
            self.assertEqual((state.st_mode & 0o7777, state.st_uid, state.st_gid), (0o751, *owner))


if __name__ == "__main__":
    main()
