"""The standard library's logging on the library's log."""
from __future__ import annotations

import logging

from . import _log
from ._calls import current_call
from ._errors import check
from ._native import lib


class _NoLock:
    """The lock of a handler that needs none; logging uses it in one of two ways, by its version."""

    def acquire(self) -> None:
        pass

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class LogHandler(logging.Handler):
    """Writes records to the library's log: to stderr and, while a server of this process runs, to Godot.

        logging.basicConfig(handlers=[LogHandler()], level=logging.INFO)

    A record of a function that serves a call gets the trace and the span of the call. part names the origin of the
    lines; without it that is the name of the logger. `extra={"data": ...}` adds JSON, in which secrets are redacted.
    """

    def __init__(self, part: str | None = None, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self.part = part
        self.setFormatter(logging.Formatter("%(message)s"))

    def createLock(self) -> None:
        """Without effect: the library's log takes lines of several threads."""
        self.lock = _NoLock()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record; logging calls it."""
        level = _level(record.levelno)
        if not _log.enabled(level):
            return
        try:
            call = current_call()
            message, data = self.format(record), getattr(record, "data", None)
            _log.write(level, self.part or record.name, message, data, call and call.span)
        except Exception:
            self.handleError(record)


def _level(number: int) -> int:
    if number < logging.DEBUG:
        return lib.MCP_LOG_TRACE
    if number < logging.INFO:
        return lib.MCP_LOG_DEBUG
    if number < logging.WARNING:
        return lib.MCP_LOG_INFO
    return lib.MCP_LOG_WARN if number < logging.ERROR else lib.MCP_LOG_ERROR


def redact(name: str) -> None:
    """Adds a name whose values are secrets in the data of log lines. Call it before the first server starts."""
    check(lib.mcp_log_redact(name.encode()))
