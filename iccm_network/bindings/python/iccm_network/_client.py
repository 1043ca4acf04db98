"""A client that calls the tools of one server.

Happy path: call() hands the request to the library and waits for its result. A cancelled task cancels its request, at the
peer, too. A call that is made while a call is served passes its trace on; as the task that serves is cancelled with its
call, so are the calls that it waits for.
"""
from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

from . import _json
from ._calls import current_call
from ._errors import McpError, check, last_error, of_result
from ._loop import Loop, require_no_fork
from ._native import ffi, lib

Progress = Callable[[float, "float | None", "str | None"], Any]
_MCP_EURL, _MCP_ESTATE, _MCP_ECLOSED, _MCP_EPROTOCOL, _MCP_EENCODE = -5000, -5001, -5002, -5009, -5012


class Client:
    """A client of one server.

        async with Client("localhost:9000") as greeter:
            print(await greeter.call("greet", {"name": "Ada"}))

    url is "host:port", or an address with ws://, wss://, http:// or https://; several are separated by commas. The
    client connects with its first call, on the loop that runs then, and reconnects by itself; close() it in the end.

    auth_token         the token for the server; default ICCM_AUTH_TOKEN
    tls_ca             a file with the authorities to trust at wss:// and https://
    tls_verify         False: any certificate is accepted
    fail_fast          True: calls fail at once while the server is known to be unavailable
    max_message_bytes  of a message that is sent or received (16 MiB)
    """

    def __init__(
        self,
        url: str,
        *,
        auth_token: str | None = None,
        tls_ca: str | None = None,
        tls_verify: bool = True,
        fail_fast: bool = False,
        max_message_bytes: int | None = None,
    ) -> None:
        self._loop: Loop | None = None  # not None: in use
        self._native: Any = None
        self._closed: asyncio.Future[None] | None = None  # not None: closed or closing
        self.url = url
        self._settings = {
            "auth_token": None if auth_token is None else auth_token.encode(),
            "tls_ca": None if tls_ca is None else tls_ca.encode(),
            "tls_verify": None if tls_verify else False,
            "fail_fast": fail_fast or None,
            "max_message_bytes": max_message_bytes,
        }

    async def call(
        self,
        tool: str,
        args: dict[str, Any] | None = None,
        *,
        timeout: float = 30.0,
        on_progress: Progress | None = None,
        trace_id: str | None = None,
    ) -> Any:
        """Calls a tool and returns its result. timeout is in seconds, for connecting and answer together.

        The result is the structured content; or else the first text, parsed if it is JSON; or else all of it. A tool
        that fails raises ToolError, anything else McpError. on_progress gets progress, total (or None) and message (or
        None) of the reports that the tool sends. The trace is that of current_call(), or trace_id.
        """
        return await self._request(lib.PYMCP_TOOL, tool, args, timeout, on_progress, trace_id)

    async def request(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        timeout: float = 30.0,
        on_progress: Progress | None = None,
        trace_id: str | None = None,
    ) -> Any:
        """Sends a request of any method, such as "ping", and returns the whole result. Otherwise as call()."""
        return await self._request(lib.PYMCP_METHOD, method, params, timeout, on_progress, trace_id)

    async def list_tools(self, *, timeout: float = 30.0) -> list[dict[str, Any]]:
        """The tools of the server, of all pages."""
        return await self._request(lib.PYMCP_LIST_TOOLS, "", None, timeout, None, None)

    async def connect(self) -> None:
        """Begins to connect, and keeps the connection also without calls. Does not wait for it."""
        await self._open()
        check(lib.mcp_client_connect(self._native))
        self._loop.kick()

    async def close(self) -> None:
        """Closes the connection. Calls that still wait fail with MCP_ECLOSED."""
        loop = self._loop
        if loop is None:
            return
        if self._closed is None:
            check(lib.pymcp_client_close(loop.native, self._native, loop.expect(lambda event: self._on_closed())))
            self._closed = loop.asyncio.create_future()
            loop.kick()
        await asyncio.shield(self._closed)
        await loop.freed()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __del__(self) -> None:
        if self._loop is not None:
            warnings.warn(f"a client of {self.url} was not closed", ResourceWarning, source=self)

    async def _open(self) -> None:
        if self._closed is not None:
            raise McpError(_MCP_ECLOSED)
        if self._loop is not None:
            require_no_fork()
            if self._loop.asyncio is not asyncio.get_running_loop():
                raise McpError(_MCP_ESTATE, "this client belongs to another loop: create one for each loop")
            return
        loop = Loop.enter()
        native = lib.pymcp_client_new(loop.native, self.url.encode())
        if not native:
            loop.leave()
            raise last_error(_MCP_EURL)
        self._loop, self._native = loop, native
        try:
            self._apply_settings()
        except BaseException:  # never connect with only some of the settings
            await self.close()
            self._closed = None  # the next call tries again
            raise

    def _apply_settings(self) -> None:
        """Raises the error of the first setting that the library refuses."""
        for setting, value in self._settings.items():
            if value is None:
                continue
            status = getattr(lib, f"mcp_client_set_{setting}")(self._native, value)
            if status != 0:
                raise McpError(status, f"{setting}: {last_error(status) if setting == 'tls_ca' else McpError(status)}")

    def _catch_up(self) -> None:
        """For the blocking form, before a call: a connection that was lost since the last call is not used for it."""
        if self._loop is not None:
            self._loop.catch_up()

    def _on_closed(self) -> None:
        loop, closed = self._loop, self._closed
        assert loop is not None and closed is not None
        self._loop = self._native = None
        loop.leave()
        closed.set_result(None)

    async def _request(
        self, kind: int, name: str, params: Any, timeout: float, on_progress: Progress | None, trace_id: str | None
    ) -> Any:
        await self._open()
        loop = self._loop
        done = loop.asyncio.create_future()
        number = loop.expect(_receiver(done, on_progress))
        try:
            sent = self._send(kind, name, params, timeout, on_progress is not None, trace_id, number)
        except BaseException:
            del loop.waiting[number]
            raise
        loop.flush()
        try:
            return await done
        except asyncio.CancelledError:
            if self._native is not None:
                lib.mcp_client_cancel(self._native, sent)
                loop.kick()
            raise

    def _send(
        self, kind: int, name: str, params: Any, timeout: float, progress: bool, trace_id: str | None, number: int
    ) -> int:
        call = current_call()
        try:
            text = ffi.NULL if params is None else ffi.from_buffer(_json.dumps(params))
            tool = ffi.new("char[]", name.encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise McpError(_MCP_EENCODE, f"{McpError(_MCP_EENCODE)}: {error}") from None
        trace = ffi.NULL if trace_id is None else ffi.new("char[]", trace_id.encode())
        span = ffi.from_buffer(call.span) if call is not None and trace_id is None else ffi.NULL
        request = ffi.new("pymcp_request_t *", {
            "kind": kind, "name": tool, "params": text, "params_len": len(text) if text else 0, "trace_id": trace,
            "timeout_ms": max(1, round(timeout * 1000)), "span": span, "progress": progress,
        })  # fmt: skip
        sent = lib.pymcp_client_send(self._loop.native, self._native, request, number)
        if sent < 0:
            raise McpError(sent)
        return sent


def _receiver(done: asyncio.Future[Any], on_progress: Progress | None) -> Callable[[Any], None]:
    """Takes the events of a request."""

    def receive(event: Any) -> None:
        if done.done():  # its task was cancelled
            return
        message = ffi.string(event.message).decode(errors="replace") if event.message else None
        if event.kind == lib.PYMCP_PROGRESS:
            on_progress(event.progress, event.total or None, message)
            return
        try:
            value = _json.loads(event.text, event.len) if event.text else None
        except (ValueError, RecursionError) as error:  # such as an integer of more than 4,300 digits
            done.set_exception(McpError(_MCP_EPROTOCOL, f"{McpError(_MCP_EPROTOCOL)}: {error}"))
            return
        if event.status != 0 or event.is_error:
            done.set_exception(of_result(event.status, event.is_error, message, value))
        else:
            done.set_result(value)

    return receive


async def call(
    url: str,
    tool: str,
    args: dict[str, Any] | None = None,
    *,
    timeout: float = 30.0,
    on_progress: Progress | None = None,
    trace_id: str | None = None,
) -> Any:
    """Calls a tool of the server at url, on a connection for this call alone. As Client.call()."""
    async with Client(url) as client:
        return await client.call(tool, args, timeout=timeout, on_progress=on_progress, trace_id=trace_id)
