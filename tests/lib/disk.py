"""Disks of a kind that a test needs, in a mount namespace of this process and what it starts from then on.

Happy path: `with SmallDisk(4 << 20) as disk`, programs write below disk.path, on a tmpfs; disk.fill() leaves them no room, and
disk.empty() gives it back. `with CloningDisk() as disk`: files there can share blocks. Where namespaces or mounts cannot be
made, or there is no program that makes such a disk, making one skips the test, which says so by name.
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
    """From here on nobody else sees what this process mounts, and nothing is left of it at its end."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise unittest.SkipTest(f"no mounts here: {os.strerror(ctypes.get_errno())}")


class Disk:
    """Mounted at a temporary directory, its path."""

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

    def room(self):
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize


class SmallDisk(Disk):
    def __init__(self, size):
        super().__init__("-t", "tmpfs", "-o", f"size={size}", "none")

    def fill(self, leave=0):
        """All but so many bytes are in use."""
        with open(self.path / "ballast", "wb") as ballast:
            while (room := self.room()) > leave:
                with contextlib.suppress(OSError):  # somebody else has written meanwhile
                    os.posix_fallocate(ballast.fileno(), 0, ballast.tell() + room - leave)
                    ballast.seek(0, os.SEEK_END)

    def used(self):
        """Bytes of all files but the one that fills it."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file() and file.name != "ballast")

    def empty(self):
        (self.path / "ballast").unlink()


class CloningDisk(Disk):
    """XFS, or Btrfs where only that can be made, in a sparse file."""

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
        os.close(events)  # lets all pass that still wait
        os.close(stop)
