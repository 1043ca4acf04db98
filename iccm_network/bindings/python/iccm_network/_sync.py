"""The client in its blocking form, for scripts and for functions that run on a thread of a server.

It is the client on an asyncio loop that runs only during a call. A server may have closed the connection since the last
call, as it does if a WebSocket client answers no ping: a call takes that in before it sends, and then connects again. A
call that is made while a plain function serves a call is cancelled with it, as that of an `async` function is.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ._calls import current_call
from ._client import Client, Progress
from ._errors import McpError

_MCP_ESTATE = -5001


class SyncClient:
    """A client whose methods block.

        with SyncClient("localhost:9000") as greeter:
            print(greeter.call("greet", {"name": "Ada"}))

    The settings are those of Client. Not for a thread that runs a loop: use Client there.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        self._client = Client(url, **settings)
        self._runner = asyncio.Runner()

    def call(
        self,
        tool: str,
        args: dict[str, Any] | None = None,
        *,
        timeout: float = 30.0,
        on_progress: Progress | None = None,
        trace_id: str | None = None,
    ) -> Any:
        """Calls a tool and returns its result, as Client.call() does."""
        options = {"timeout": timeout, "on_progress": on_progress, "trace_id": trace_id}
        return self._run(lambda: self._begin(self._client.call(tool, args, **options)))

    def request(self, method: str, params: dict[str, Any] | None = None, *, timeout: float = 30.0) -> Any:
        """Sends a request of any method, as Client.request() does."""
        return self._run(lambda: self._begin(self._client.request(method, params, timeout=timeout)))

    def list_tools(self, *, timeout: float = 30.0) -> list[dict[str, Any]]:
        """The tools of the server."""
        return self._run(lambda: self._begin(self._client.list_tools(timeout=timeout)))

    def close(self) -> None:
        """Closes the connection."""
        self._run(self._client.close)
        self._runner.close()

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        if asyncio._get_running_loop() is not None:
            raise McpError(_MCP_ESTATE, "a blocking call would stop the loop of this thread: use Client and await")
        return self._runner.run(begin())

    async def _begin(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine, cancelled with the call that this thread serves."""
        self._client._catch_up()
        call = current_call()
        if call is None:
            return await work
        task = asyncio.ensure_future(work)
        with call.cancelling(task):
            return await task


def sync_call(
    url: str,
    tool: str,
    args: dict[str, Any] | None = None,
    *,
    timeout: float = 30.0,
    on_progress: Progress | None = None,
    trace_id: str | None = None,
) -> Any:
    """Calls a tool of the server at url, on a connection for this call alone, and blocks. As SyncClient.call()."""
    with SyncClient(url) as client:
        return client.call(tool, args, timeout=timeout, on_progress=on_progress, trace_id=trace_id)
