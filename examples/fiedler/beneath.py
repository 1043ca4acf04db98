"""Opens files and directories below a root that the operator allows.

Happy path: the components of the path are opened one after the other, relative to the directory before, without
following symbolic links; the checks are part of each open, so that nothing can be exchanged in between. Failure: a path
outside of every root, with "..", or with a symbolic link is ACCESS_DENIED, whether it exists or not.
"""
import errno
import os
import stat

from .failure import ACCESS_DENIED, FILE_NOT_FOUND, INVALID_INPUT, Failure, shown

MAX_PATH_BYTES, MAX_DEPTH = 4096, 64
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def below(roots, path):
    """Returns (root, components) of a path below one of the roots; an absolute path, or relative to the only root."""
    denied = Failure(ACCESS_DENIED, f'"{shown(path, 100)}" is not below an allowed directory')
    if len(path.encode(errors="replace")) > MAX_PATH_BYTES or "\0" in path:
        raise denied
    for root in roots:
        inner = path[len(root.rstrip("/")) :] if path.startswith(root.rstrip("/") + "/") or path == root else None
        if inner is None and len(roots) == 1 and not path.startswith("/"):
            inner = path
        if inner is not None:
            parts = [part for part in inner.split("/") if part not in ("", ".")]
            if ".." in parts or len(parts) > MAX_DEPTH:
                raise denied
            return root, parts
    raise denied


def open_directory(root, parts, create=False):
    """Returns a descriptor of the directory; create makes the missing ones below the root."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise refused(error, "the allowed directory") from None
    for part in parts:
        try:
            if create:
                make_directory(fd, part)
            inner = os.open(part, DIRECTORY, dir_fd=fd)
        except OSError as error:
            raise refused(error, "/".join(parts)) from None
        finally:
            os.close(fd)
        fd = inner
    return fd


def make_directory(fd, name):
    try:
        os.mkdir(name, 0o750, dir_fd=fd)
    except FileExistsError:
        pass


def read_file(root, parts, limit):
    """Reads a regular file, at most limit + 1 bytes of it."""
    if not parts:
        raise Failure(INVALID_INPUT, "an allowed directory is not a file: name a file below it")
    directory = open_directory(root, parts[:-1])
    try:
        fd = os.open(parts[-1], FILE, dir_fd=directory)
    except OSError as error:
        raise refused(error, "/".join(parts)) from None
    finally:
        os.close(directory)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Failure(INVALID_INPUT, f'"{shown("/".join(parts), 100)}" is not a regular file')
        with open(fd, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(fd)


def refused(error, path):
    path = shown(path, 100)
    if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
        return Failure(FILE_NOT_FOUND, f'"{path}" does not exist')
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM):
        return Failure(ACCESS_DENIED, f'"{path}" cannot be opened: a symbolic link, not a directory, or no permission')
    return Failure(ACCESS_DENIED, f'"{path}" cannot be opened: {os.strerror(error.errno)}')
