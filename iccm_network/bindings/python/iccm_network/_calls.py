"""A call that is being served, as its tool sees it: current_call().

A call is ended exactly once, also if its function fails; then the library forgets it, and progress(), log() and the other methods do
nothing. Everything here may be used on any thread: what the library takes on its own thread only is passed to it there.
"""
from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

from . import _json, _log
from ._loop import Loop
from ._native import ffi, lib

_current: contextvars.ContextVar[Call | None] = contextvars.ContextVar("iccm_network.call", default=None)
_SPAN_SIZE = ffi.sizeof("mcp_span_t")
_TRACE_SIZE = ffi.sizeof("char[129]")
_REASONS = {
    lib.MCP_CANCEL_REQUESTED: "requested",
    lib.MCP_CANCEL_DISCONNECTED: "disconnected",
    lib.MCP_CANCEL_DEADLINE: "deadline",
    lib.MCP_CANCEL_STOPPING: "stopping",
}


def current_call() -> Call | None:
    """The call that is being served here, also in a thread of a plain function; None elsewhere."""
    return _current.get()


class Call:
    """One call of a tool. Its function gets it by current_call()."""

    __slots__ = ("tool", "server", "cancel_reason", "span", "task", "_id", "_loop", "_native", "_report", "_reporting",
                 "_blocked")  # fmt: skip

    def __init__(self, loop: Loop, event: Any, tool: str, server: Any) -> None:
        self.tool, self.server = tool, server
        self.cancel_reason: str | None = None
        self.span: bytes = ffi.unpack(event.span, _SPAN_SIZE)
        self.task: asyncio.Task[None] | None = None
        self._loop, self._id, self._native = loop, event.id, event.call
        self._report: tuple[float, float, str | None] | None = None  # of a thread, the newest
        self._reporting = False  # the loop will take it
        self._blocked: asyncio.Task[Any] | None = None  # that a thread waits for, on a loop of its own
        loop.calls[self._id] = self

    @property
    def trace_id(self) -> str | None:
        """The trace id that the caller sent, or None."""
        return self.span[:_TRACE_SIZE].split(b"\0", 1)[0].decode() or None

    @property
    def cancelled(self) -> bool:
        """Whether the answer is no longer wanted. An `async` function gets CancelledError then; a plain one asks here."""
        return self.cancel_reason is not None

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tells the caller how far the call is, if it wants to know; total is what progress will be at the end.

        It is cheap: the newest report is sent, at most 20 times a second. One that does not rise is dropped.
        """
        report = float(progress), float(total or 0), message
        if self._native is None:
            return
        if self._loop.here():
            self._send_report(*report)
            return
        self._report = report  # before the flag is read: the loop reads in the other order
        if not self._reporting:
            self._reporting = True
            self._loop.asyncio.call_soon_threadsafe(self._send_newest_report)

    def log(self, level: str, message: str, data: Any = None) -> None:
        """Logs a line with the trace of the call. level is TRACE, DEBUG, INFO, WARN or ERROR; data is JSON."""
        _log.write(_log.LEVELS[level], self.server.name, message, data, self.span)

    def _send_newest_report(self) -> None:
        self._reporting = False
        report, self._report = self._report, None
        if report is not None:
            self._send_report(*report)

    def _send_report(self, progress: float, total: float, message: str | None) -> None:
        if self._native is not None:
            text = ffi.NULL if message is None else message.encode(errors="replace")
            lib.pymcp_call_progress(self._native, progress, total, text)
            self._loop.kick()

    # What follows is for the package.

    @contextlib.contextmanager
    def cancelling(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """Cancels a task of another thread with the call, as long as the block lasts."""
        self._blocked = task
        if self.cancelled:
            task.cancel()
        try:
            yield
        finally:
            self._blocked = None

    def on_cancel(self, reason: int) -> None:
        """PYMCP_CANCEL: the task ends the call."""
        self.cancel_reason = _REASONS[reason]
        if self.task is not None:
            self.task.cancel()
        if (blocked := self._blocked) is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                blocked.get_loop().call_soon_threadsafe(blocked.cancel)

    def _take(self) -> Any:
        native, self._native = self._native, None
        del self._loop.calls[self._id]
        return native

    def reply(self, value: Any) -> None:
        """Ends the call with a value. Raises TypeError, ValueError or RecursionError if it is not JSON: not ended then."""
        if self._native is not None:
            text = _json.dumps(value)
            lib.pymcp_call_reply(self._take(), text, len(text))
            self._loop.flush()

    def reply_content(self, content: Any, structured: Any, is_error: bool) -> None:
        """Ends the call with content blocks. Raises like reply()."""
        if self._native is not None:
            text = _json.dumps(content)
            more = ffi.NULL if structured is None else _json.dumps(structured)
            lib.pymcp_call_reply_content(self._take(), text, len(text), more, len(more) if more else 0, is_error)
            self._loop.flush()

    def fail(self, code: int, message: str, data: Any = None) -> None:
        """Ends the call with an error. Data that is not JSON is left out."""
        if self._native is not None:
            text = message.encode(errors="replace")
            try:
                more = ffi.NULL if data is None else _json.dumps(data)
            except (TypeError, ValueError, RecursionError):
                more = ffi.NULL
            lib.pymcp_call_fail(self._take(), code, text, len(text), more, len(more) if more else 0)
            self._loop.flush()


def enter(call: Call) -> None:
    """Makes a call the current one, for the rest of this task."""
    _current.set(call)
