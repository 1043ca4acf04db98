"""A small JSON object in a file that only its owner can read.

Happy path: write() creates a temporary file of mode 0600 beside it and renames it, so that a reader sees the old or the new
object. Failure: read() refuses a file that others may read or that is not an object; a missing file is an empty object.
"""
import json
import os
import stat

from .failure import PROVIDER_ERROR, Failure

MAX_BYTES = 1 << 20


class PrivateFile:
    def __init__(self, path):
        self.path = path

    def read(self):
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self.failure(os.strerror(error.errno)) from None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise self.failure("others may read it, or it has another owner: chown and chmod 600 it")
            with open(fd, "rb", closefd=False) as file:
                text = file.read(MAX_BYTES + 1)
        finally:
            os.close(fd)
        try:
            value = json.loads(text) if len(text) <= MAX_BYTES else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self.failure("it does not contain a JSON object: repair or delete it")
        return value

    def write(self, value):
        temporary = f"{self.path}.new"
        try:
            try:
                os.unlink(temporary)
            except FileNotFoundError:
                pass
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w") as file:
                json.dump(value, file)
                file.flush()
                os.fsync(fd)
            os.replace(temporary, self.path)
        except OSError as error:
            raise self.failure(os.strerror(error.errno)) from None

    def failure(self, why):
        return Failure(PROVIDER_ERROR, f"cannot use {os.path.basename(self.path)} in Fiedler's data directory: {why}")
