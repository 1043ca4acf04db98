"""Writes the answers of one call into a new directory below the output directory.

Happy path: write() writes one file for each model when it has answered, so that no more answers are in memory than models
are answering. Failure: PROVIDER_ERROR with the reason, such as a full disk. The
functions block: call them in a thread.
"""
import errno
import json
import os
import re
import threading
import time

from .beneath import DIRECTORY, open_directory
from .failure import PROVIDER_ERROR, Failure

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OutputDirectory:
    """root and parts: the output directory. The new one below it is made by the first write."""

    def __init__(self, root, parts, correlation_id):
        self.root, self.parts = root, parts
        self.name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{correlation_id[:8]}"
        self.path = os.path.join(root, *parts, self.name)
        self.lock, self.fd, self.closed = threading.Lock(), None, False

    def write(self, name, text):
        """Writes a new file; returns its path."""
        with self.lock:  # a call that is cancelled closes the directory while another thread writes
            try:
                if self.fd is None:
                    self.fd = self.make()
                fd = os.open(name, NEW_FILE, 0o640, dir_fd=self.fd)
                with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
                    file.write(text)
            except OSError as error:
                raise cannot_write(error) from None
        return os.path.join(self.path, name)

    def make(self):
        if self.closed:
            raise OSError(errno.ECANCELED, "")
        parent = open_directory(self.root, self.parts, create=True)
        try:
            os.mkdir(self.name, 0o750, dir_fd=parent)
            return os.open(self.name, DIRECTORY, dir_fd=parent)
        finally:
            os.close(parent)

    def write_json(self, name, value):
        return self.write(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def close(self):
        with self.lock:
            if self.fd is not None:
                os.close(self.fd)
            self.fd, self.closed = None, True


def answer_name(number, model_name):
    """The name of a model's file; the number distinguishes models whose names differ in other characters only."""
    return f"{number:02}-{re.sub('[^A-Za-z0-9._-]', '_', model_name)}.md"


def cannot_write(error):
    return Failure(PROVIDER_ERROR, f"cannot write below FIEDLER_OUTPUT_PATH: {os.strerror(error.errno)}")
