"""Threads for tools that are plain functions: a few, started when they are needed, that do not keep the process alive.

concurrent.futures' own pool waits at the end of the process for functions that never return; a server that is told to
stop must end.
"""
from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from ._errors import ToolError

MAX_WAITING = 1024  # functions that wait for a thread, as in C


class Threads(Executor):
    """At most count threads, which take functions in the order in which they were submitted."""

    def __init__(self, name: str, count: int) -> None:
        self._name, self._count, self._started = name, count, 0
        self._idle = threading.Semaphore(0)
        self._work: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self._work.qsize() >= MAX_WAITING:
            raise ToolError("the server is busy, retry later", data={"retry": True})
        future: Future[Any] = Future()
        self._work.put((future, fn, args, kwargs))
        if not self._idle.acquire(blocking=False) and self._started < self._count:
            self._started += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends each thread after its function; waits for none."""
        for _ in range(self._started):
            self._work.put(None)
        self._started = 0

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, fn, args, kwargs = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # also SystemExit: it is raised where the future is awaited
                    future.set_exception(error)
            del item, future, fn, args, kwargs
            self._idle.release()
