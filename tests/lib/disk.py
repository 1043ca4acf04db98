"""File systems for tests, in a mount namespace that this process and its later children share.

Happy path: `with SmallDisk(4 << 20) as disk`, programs write below disk.path, on a tmpfs; disk.fill() fills it, and
disk.empty() frees the space again. `with CloningDisk() as disk`: files there can share blocks. If namespaces, mounts or the
mkfs program are not available, the test is skipped with the reason.
"""
import contextlib
import ctypes
import os
import select
import shutil
import struct
import tempfile
import threading
import unittest
from pathlib import Path

from services import run_program

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 1 << 14, 1 << 18
FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_OPEN_PERM, FAN_EVENT_ON_CHILD, FAN_ALLOW = 4, 1, 0x10000, 0x08000000, 1
AT_FDCWD = -100


def unshare_mounts():
    """Makes later mounts of this process private; the kernel removes them when it exits."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise unittest.SkipTest(f"no mounts here: {os.strerror(ctypes.get_errno())}")


class Disk:
    """A file system mounted at a temporary directory, in .path."""

    def __init__(self, *mount):
        self.mount = mount

    def __enter__(self):
        unshare_mounts()
        self.path = Path(tempfile.mkdtemp(prefix="iccm-disk-"))
        mounted = run_program(["mount", *self.mount, self.path])
        if mounted.returncode != 0:
            self.path.rmdir()
            raise unittest.SkipTest(f"no mounts here: {mounted.stderr.strip()}")
        return self

    def __exit__(self, *_):
        run_program(["umount", "--lazy", self.path]).check_returncode()
        self.path.rmdir()

    def free_bytes(self):
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize


class SmallDisk(Disk):
    def __init__(self, size):
        super().__init__("-t", "tmpfs", "-o", f"size={size}", "none")

    def fill(self, leave=0):
        """Uses all but so many bytes."""
        with open(self.path / "ballast", "wb") as ballast:
            while (room := self.free_bytes()) > leave:
                with contextlib.suppress(OSError):  # another process has written meanwhile
                    os.posix_fallocate(ballast.fileno(), 0, ballast.tell() + room - leave)
                    ballast.seek(0, os.SEEK_END)

    def used(self):
        """Bytes of all files except the ballast."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file() and file.name != "ballast")

    def empty(self):
        (self.path / "ballast").unlink()


class CloningDisk(Disk):
    """XFS, or Btrfs if mkfs.xfs is not installed, in a sparse file."""

    def __init__(self):
        with tempfile.NamedTemporaryFile(prefix="iccm-disk-", delete=False) as image:
            image.truncate(512 << 20)
        self.image = Path(image.name)
        super().__init__("-o", "loop", self.image)

    def __enter__(self):
        program = shutil.which("mkfs.xfs") or shutil.which("mkfs.btrfs")
        try:
            if program is None:
                raise unittest.SkipTest("no mkfs.xfs and no mkfs.btrfs here")
            run_program([program, "-q", self.image]).check_returncode()
            return super().__enter__()
        finally:
            self.image.unlink()  # the mount holds it


@contextlib.contextmanager
def on_file_open(directory, act):
    """Calls act(pid) in a thread before a process opens a file in the directory; the open waits for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    events = libc.fanotify_init(FAN_CLASS_CONTENT, os.O_RDONLY)
    mask = ctypes.c_uint64(FAN_OPEN_PERM | FAN_EVENT_ON_CHILD)
    if events < 0 or libc.fanotify_mark(events, FAN_MARK_ADD, mask, AT_FDCWD, os.fsencode(directory)) != 0:
        raise unittest.SkipTest(f"no fanotify here: {os.strerror(ctypes.get_errno())}")
    stop, wake = os.pipe()

    def serve():
        while select.select([events, stop], [], [])[0] == [events]:
            for _, _, _, _, _, file, pid in struct.iter_unpack("=IBBHQii", os.read(events, 4096)):
                try:
                    act(pid)
                finally:
                    os.write(events, struct.pack("=iI", file, FAN_ALLOW))
                    os.close(file)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        os.close(wake)
        thread.join()
        os.close(events)  # allows all opens that still wait
        os.close(stop)
