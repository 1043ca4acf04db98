"""The library's libuv loop inside an asyncio loop: one for each asyncio loop that has servers or clients.

Happy path: asyncio watches the descriptor of the libuv loop and its next timer; each time, the libuv loop makes one turn
without waiting, and the events of that turn go to the calls, servers and requests that they belong to, by their ids. What
calls the library outside of a turn asks for one by kick(), because output is written in turns. The loop is freed when its
last user has left.

Failure modes: an exception while an event is handled goes to the exception handler of the asyncio loop. In a forked child
the loops of the parent are gone: what uses one of them raises McpError, because they share descriptors with the parent's.
"""
from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ._errors import McpError
from ._native import lib

_MCP_ENOMEM, _MCP_ESTATE = -12, -5001
_MILLISECOND = 0.001
_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Loop] = weakref.WeakKeyDictionary()
_ids = itertools.count(1)
_used = False  # this process has had a loop, and with it threads of the library
_forked = False  # this process was forked from such a one


def next_id() -> int:
    """A number that no server, tool, request or wait of this process has had."""
    return next(_ids)


class Loop:
    """The library's part of one asyncio loop. Get it by enter()."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        global _used
        _used = True
        self.native = lib.pymcp_loop_new()
        if not self.native:
            raise McpError(_MCP_ENOMEM, "cannot create a loop: not enough memory or file descriptors")
        self.asyncio = loop
        self.context = contextvars.copy_context()  # tasks start with it
        self.calls: dict[int, Any] = {}  # that are being served, with on_cancel(reason)
        self.servers: dict[int, Callable[[Any], None]] = {}  # take PYMCP_CALL
        self.waiting: dict[int, Callable[[Any], None]] = {}  # take the other events
        self._users, self._turning, self._kicked = 0, False, False
        self._timer: asyncio.TimerHandle | None = None
        self._freed: asyncio.Future[None] = loop.create_future()
        self._fd = lib.pymcp_loop_fd(self.native)
        loop.add_reader(self._fd, self._turn)

    @classmethod
    def enter(cls) -> Loop:
        """The loop of the running asyncio loop, for one more user."""
        require_no_fork()
        running = asyncio.get_running_loop()
        if running not in _loops:
            _loops[running] = cls(running)
        self = _loops[running]
        self.thread = threading.get_ident()
        self._users += 1
        return self

    def leave(self) -> None:
        """One user less. The loop is freed when no connection is left."""
        self._users -= 1
        self.kick()

    async def freed(self) -> None:
        """Returns when the loop is freed, or at once if it has other users."""
        if self._users == 0:
            await asyncio.shield(self._freed)

    def here(self) -> bool:
        """Whether this is the thread of the loop."""
        return threading.get_ident() == self.thread

    def kick(self) -> None:
        """Asks for a turn soon, after a call into the library."""
        if not self._kicked:
            self._kicked = True
            self.asyncio.call_soon(self._turn, context=self.context)

    def flush(self) -> None:
        """A turn now, where nothing else will be written with it."""
        if self._turning or self.calls:
            self.kick()
        else:
            self.context.copy().run(self._turn)

    def catch_up(self) -> None:
        """Takes in what has happened while the asyncio loop stood still: due timers in the first turn, then what arrived."""
        for _ in range(0 if _forked else 2):
            self.context.copy().run(self._turn)

    def expect(self, take: Callable[[Any], None]) -> int:
        """An id for events, which take() receives until the last one."""
        number = next_id()
        self.waiting[number] = take
        return number

    def _turn(self) -> None:
        if self.native is None:  # a kick that came late
            return
        self._kicked, self._turning = False, True
        wait_ms = lib.pymcp_loop_turn(self.native)
        while event := lib.pymcp_loop_next(self.native):
            try:
                self._deliver(event)
            except Exception as error:
                self.asyncio.call_exception_handler({"message": "iccm_network", "exception": error})
        self._turning = False
        if not self._kicked:
            self._schedule(wait_ms)

    def _deliver(self, event: Any) -> None:
        kind = event.kind
        if kind == lib.PYMCP_CALL:
            self.servers[event.owner](event)
        elif kind == lib.PYMCP_CANCEL:
            self.calls[event.id].on_cancel(event.status)
        elif kind == lib.PYMCP_PROGRESS:
            self.waiting[event.id](event)
        else:
            self.waiting.pop(event.id)(event)

    def _schedule(self, wait_ms: int) -> None:
        if wait_ms < 0:
            if self._users == 0:
                self._free()
        elif wait_ms == 0:
            self.kick()
        else:
            due = self.asyncio.time() + wait_ms / 1000
            if self._timer is None or due < self._timer.when() - _MILLISECOND:  # libuv's clock has whole milliseconds
                self._set_timer(due)

    def _set_timer(self, due: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.asyncio.call_at(due, self._on_timer, context=self.context) if due is not None else None

    def _on_timer(self) -> None:
        self._timer = None
        self._turn()

    def _free(self) -> None:
        self.asyncio.remove_reader(self._fd)
        self._set_timer(None)
        lib.pymcp_loop_free(self.native)
        self.native = None
        _loops.pop(self.asyncio, None)
        self._freed.set_result(None)


def require_no_fork() -> None:
    """Raises McpError in a child of a process that used servers or clients."""
    if _forked:
        raise McpError(
            _MCP_ESTATE, "this process was forked from one that used iccm_network: start it by 'spawn', or fork before"
        )


def is_forked() -> bool:
    """Whether the library's own threads were left behind in the parent."""
    return _forked


def _after_fork() -> None:
    global _forked
    _forked = _forked or _used
    _loops.clear()


os.register_at_fork(after_in_child=_after_fork)
