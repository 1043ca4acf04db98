"""On a file system with reflinks, versions and restored files share blocks with the file until it changes."""
import fcntl
import os
import struct

from caller import Caller
from disk import CloningDisk
from horace import Horace, info, snapshot, versions_of
from services import AsyncTestCase, main

FIEMAP, SYNC, LAST, SHARED = 0xC020660B, 1, 1, 0x2000  # linux/fiemap.h
EXTENTS_MAX = 64
BYTES = 8 << 20


def shares_blocks(path):
    """True if all blocks of a file are shared."""
    head = struct.Struct("=QQIIII")
    extent = struct.Struct("=QQQQQIIII")
    asked = bytearray(head.size + EXTENTS_MAX * extent.size)
    head.pack_into(asked, 0, 0, 2**64 - 1, SYNC, 0, EXTENTS_MAX, 0)
    with path.open("rb") as file:
        fcntl.ioctl(file, FIEMAP, asked)
    count = head.unpack_from(asked)[3]
    flags = [extent.unpack_from(asked, head.size + place * extent.size)[5] for place in range(count)]
    assert flags and flags[-1] & LAST, f"{path} has more than {EXTENTS_MAX} extents"
    return all(flag & SHARED for flag in flags)


class Clones(AsyncTestCase):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.disk = self.enterContext(CloningDisk())
        self.horace = Horace()
        self.horace.use(self.disk.path / "storage")
        self.enterContext(self.horace)
        self.caller = await self.enterAsyncContext(Caller(self.horace.url))
        self.file = self.horace.files / "large"

    def write(self, data):
        self.file.write_bytes(data)
        os.sync()

    async def register(self, data):
        self.write(data)
        return await self.register_file()

    async def register_file(self):
        return await self.caller.call("horace_register_file", {"file_path": "large", "metadata": {}})

    def version(self, file_id, number):
        return self.horace.storage / self.horace.version_path(file_id, number)

    async def test_versions_cost_no_room(self):
        self.write(os.urandom(BYTES))
        room = self.disk.free_bytes()
        file_id = (await self.register_file())["file_id"]
        os.sync()
        self.assertTrue(shares_blocks(self.version(file_id, 1)))
        self.assertLess(room - self.disk.free_bytes(), BYTES // 2)

    async def test_a_clone_does_not_change_with_the_file(self):
        first, second = os.urandom(BYTES), os.urandom(BYTES)
        file_id = (await self.register(first))["file_id"]
        await self.register(second)
        self.assertFalse(shares_blocks(self.version(file_id, 1)))
        self.assertTrue(shares_blocks(self.version(file_id, 2)))
        self.assertEqual(versions_of(self.horace, await info(self.caller, file_id)), {1: first, 2: second})

    async def test_a_restored_file_is_a_clone(self):
        first, second = os.urandom(BYTES), os.urandom(BYTES)
        file_id = (await self.register(first))["file_id"]
        await self.register(second)
        await self.caller.call("horace_restore_version", {"file_id": file_id, "version": 1})
        await snapshot(self.caller, self.horace)
        self.assertEqual(self.file.read_bytes(), first)
        self.assertTrue(shares_blocks(self.file))


if __name__ == "__main__":
    main()
