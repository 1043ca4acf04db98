"""A server of tools that are Python functions.

Happy path: a decorated function becomes a tool of the library's server, which checks the arguments of each call; a task
then runs the function and ends the call with what it returns. Failure modes: what the function raises becomes the error
that errors of its kind have in C; a cancelled call cancels its task; a function that goes on after its call was cancelled
is abandoned when the server has stopped.
"""
from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import json
import logging
import os
import signal
import types
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from . import _calls, _json, _schema
from ._calls import Call
from ._errors import INTERNAL_ERROR, INVALID_PARAMS, TOOL_ERROR, McpError, ToolError, check, last_error
from ._executor import Threads
from ._loop import Loop, next_id, require_no_fork
from ._native import ffi, lib

_Function = TypeVar("_Function", bound=Callable[..., Any])
_MCP_EINVAL, _MCP_ESTATE = -22, -5001
_log = logging.getLogger("iccm_network")


@dataclass
class Content:
    """A result of content blocks: text, image, audio, resource_link or resource, each as a dict of MCP's members.

        return Content([{"type": "image", "data": base64_text, "mimeType": "image/png"}])

    structured is the result for programs. is_error tells that the tool failed.
    """

    blocks: list[dict[str, Any]]
    structured: dict[str, Any] | None = None
    is_error: bool = False


@dataclass
class _Tool:
    name: str
    fn: Callable[..., Any]
    is_async: bool
    arguments: _schema.Arguments

    def prepare(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments for the function. null for one that has a default counts as not given, as in C."""
        _, optional, names, convert = self.arguments
        if None in args.values():
            args = {name: value for name, value in args.items() if value is not None or name not in optional}
        if names is not None and not names.issuperset(args):
            args = {name: value for name, value in args.items() if name in names}
        for name, make in convert.items():
            if name in args:
                args[name] = make(args[name])
        return args


class Server:
    """A server that offers tools.

        server = Server("greeter", port=9000)

        @server.tool
        async def greet(name: str) -> dict:
            "Greets somebody by name"
            return {"greeting": "hello", "to": name}

        server.run()

    name is also the component of its log lines. It listens on all addresses; port 0 picks a free one. Every other
    setting has the default of the library, which the environment refines (ICCM_..., docs/api.md):

    call_timeout, shutdown_timeout  seconds that a call may take, and that a stop waits for calls (300, 3)
    log_url                         the Godot that gets the log lines; False sends none
    auth_token                      the token that callers must send
    tls                             the files of the certificate and of its key
    allow_public                    whether callers outside private networks need no token
    allowed_origins, allowed_hosts  what pages in browsers may use, separated by commas
    max_connections, max_message_bytes, max_memory_bytes, max_connects_per_second, max_messages_per_second
    reuseport                       whether other servers of this user share the port
    threads                         how many functions that are not `async` run at a time (8)
    """

    def __init__(
        self,
        name: str,
        version: str = "1.0.0",
        port: int = 0,
        *,
        call_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        log_url: str | bool | None = None,
        auth_token: str | None = None,
        tls: tuple[str, str] | None = None,
        allow_public: bool | None = None,
        allowed_origins: str | None = None,
        allowed_hosts: str | None = None,
        max_connections: int | None = None,
        max_message_bytes: int | None = None,
        max_memory_bytes: int | None = None,
        max_connects_per_second: int | None = None,
        max_messages_per_second: int | None = None,
        reuseport: bool | None = None,
        threads: int = 8,
    ) -> None:
        require_no_fork()
        self.name = name
        native = lib.pymcp_server_new(name.encode(), version.encode(), port)
        if not native:
            raise last_error(_MCP_EINVAL)
        self._native = ffi.gc(native, lib.pymcp_server_free)
        self._server = lib.pymcp_server_native(native)
        self._tools: dict[int, _Tool] = {}
        self._loop: Loop | None = None  # not None: started
        self._id = next_id()
        self._stopped: asyncio.Future[None] | None = None  # not None: stopping
        self._threads, self._executor = threads, None
        self._set("call_timeout_ms", call_timeout, _milliseconds)
        self._set("shutdown_timeout_ms", shutdown_timeout, _milliseconds)
        self._set("log_url", log_url, lambda url: _text(url) if url else ffi.NULL)
        self._set("auth_token", auth_token, _text)
        self._set("tls", tls, lambda files: tuple(map(_text, files)))
        self._set("allow_public", allow_public, bool)
        self._set("allowed_origins", allowed_origins, _text)
        self._set("allowed_hosts", allowed_hosts, _text)
        self._set("max_connections", max_connections, int)
        self._set("max_message_bytes", max_message_bytes, int)
        self._set("max_memory_bytes", max_memory_bytes, int)
        self._set("max_connects_per_second", max_connects_per_second, int)
        self._set("max_messages_per_second", max_messages_per_second, int)
        self._set("reuseport", reuseport, bool)

    def _set(self, setting: str, value: Any, convert: Callable[[Any], Any]) -> None:
        if value is None:
            return
        converted = convert(value)
        values = converted if isinstance(converted, tuple) else (converted,)
        status = getattr(lib, f"mcp_server_set_{setting}")(self._server, *values)
        if status != 0:
            raise McpError(status, f"{setting.removesuffix('_ms')}: {McpError(status)}")

    @overload
    def tool(self, fn: _Function, /) -> _Function: ...

    @overload
    def tool(
        self, *, name: str | None = None, description: str | None = None, schema: dict[str, Any] | None = None,
        output_schema: dict[str, Any] | None = None, title: str | None = None, annotations: dict[str, Any] | None = None,
        client_capabilities: dict[str, Any] | None = None, strict: bool | None = None, unlisted: bool = False, admin: bool = False,
    ) -> Callable[[_Function], _Function]: ...  # fmt: skip

    def tool(self, fn=None, /, *, name=None, description=None, schema=None, output_schema=None, title=None,
             annotations=None, client_capabilities=None, strict=None, unlisted=False, admin=False):  # fmt: skip
        """Makes a tool of a function: `@server.tool`, or `@server.tool(name=...)`.

        An `async` function runs on the loop. Any other function runs on a thread and may block; it should ask
        current_call().cancelled from time to time.

        name         the name, if it is not that of the function
        description  for users and language models, if it is not the docstring
        schema       the JSON Schema of the arguments, if it is not that of the type hints. Hints may be str, int, float,
                     bool, lists, dicts, Optional, Literal, Enum, dataclasses, TypedDict, pydantic models, and Annotated
                     with a description (a str) or more keywords of JSON Schema (a dict)
        output_schema, title, annotations  as in MCP
        client_capabilities  what a client must have declared, from MCP 2026-07-28 on, such as {"sampling": {}}
        strict       whether unknown arguments are refused; otherwise they are dropped. Default: unless there is **kwargs
        unlisted     whether tools/list hides the tool
        admin        whether only tokens with the role admin may call the tool (ICCM_TOKENS)

        The result is any JSON value, a dataclass, a pydantic model, or Content. A tool can be added at any time.
        """
        if fn is None:
            return functools.partial(self.tool, name=name, description=description, schema=schema, title=title,
                                     output_schema=output_schema, annotations=annotations, strict=strict,
                                     client_capabilities=client_capabilities, unlisted=unlisted, admin=admin)  # fmt: skip
        arguments = _schema.of_function(fn, schema)
        tool = _Tool(name or getattr(fn, "__name__", type(fn).__name__), fn, _is_async(fn), arguments)
        strict = arguments.names is not None if strict is None else strict
        definition = {
            "name": tool.name,
            "description": inspect.getdoc(fn) if description is None else description,
            "input_schema": json.dumps(arguments.schema),
            "title": title,
            "output_schema": output_schema and json.dumps(output_schema),
            "annotations": annotations and json.dumps(annotations),
            "client_capabilities": client_capabilities and json.dumps(client_capabilities),
        }
        texts = {member: ffi.new("char[]", text.encode()) for member, text in definition.items() if text is not None}
        flags = (lib.MCP_TOOL_STRICT if strict else 0) | (lib.MCP_TOOL_UNLISTED if unlisted else 0)
        flags |= lib.MCP_TOOL_ADMIN if admin else 0
        number = next_id()
        status = lib.pymcp_server_add_tool(self._native, ffi.new("mcp_tool_t *", {**texts, "flags": flags}), number)
        self._forget_unused()
        if status != 0:
            raise McpError(status, f"tool {tool.name!r}: {McpError(status)}")
        self._tools[number] = tool
        self._kick()
        return fn

    def remove_tool(self, name: str) -> None:
        """Removes a tool. Its calls in flight end normally."""
        check(lib.mcp_server_remove_tool(self._server, name.encode()))
        self._forget_unused()
        self._kick()

    def set_dependency(self, dependency: str, reason: str | None = None) -> None:
        """Reports something that the server needs as available, or the reason why not: /readyz returns 503 then."""
        check(lib.mcp_server_set_dependency(self._server, _text(dependency), ffi.NULL if reason is None else _text(reason)))

    def reload(self) -> None:
        """Reads the certificate, its key and the file of tokens (ICCM_TOKENS) again."""
        status = lib.mcp_server_reload(self._server)
        if status != 0:
            raise last_error(status) if status == _MCP_EINVAL else McpError(status)

    @property
    def port(self) -> int:
        """The port: once started, the one in use."""
        return lib.mcp_server_port(self._server)

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then stops gracefully; a second signal ends the process at once.

        If the server has a certificate or a file of tokens (ICCM_TOKENS), SIGHUP calls reload(), unless the program handles
        that signal itself.
        """
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """As run(), on the running loop, of the main thread. Afterwards SIGTERM and SIGINT do what they did before."""
        async with self:
            with _end_signals() as ended:
                if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else the program has its own handler
                    lib.mcp_server_reload_on_sighup(self._server)  # an error is logged
                await ended.wait()
                await self.stop()

    async def start(self) -> Server:
        """Listens, and serves while the loop runs."""
        if self._loop is not None:
            raise McpError(_MCP_ESTATE, "the server is started already")
        loop = Loop.enter()
        status = lib.pymcp_server_start(self._native, loop.native, self._id)
        if status != 0:
            loop.leave()
            raise McpError(status, f"cannot start {self.name} on port {self.port}: {McpError(status)}")
        self._loop, loop.servers[self._id] = loop, self._on_call
        loop.kick()
        return self

    async def stop(self, timeout: float | None = None) -> None:
        """Stops gracefully: lets calls in flight finish within timeout seconds (shutdown_timeout), then cancels them."""
        loop = self._loop
        if loop is None:
            return
        if self._stopped is None:
            self._set("shutdown_timeout_ms", timeout, _milliseconds)
            check(lib.pymcp_server_stop(self._native, loop.expect(lambda event: self._on_stopped())))
            self._stopped = loop.asyncio.create_future()
            loop.kick()
        await asyncio.shield(self._stopped)
        await loop.freed()

    async def __aenter__(self) -> Server:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _forget_unused(self) -> None:
        """Forgets the tools that were removed and whose calls have ended, also those that have waited for their turn."""
        while number := lib.pymcp_server_next_unused(self._native):
            self._tools.pop(number, None)

    def _kick(self) -> None:
        if self._loop is not None:
            self._loop.kick()

    def _on_stopped(self) -> None:
        loop, stopped = self._loop, self._stopped
        assert loop is not None and stopped is not None
        self._loop = self._stopped = None
        del loop.servers[self._id]
        for call in [each for each in loop.calls.values() if each.server is self]:
            _log.error("the tool %s of %s still runs: its call was cancelled when the server stopped", call.tool, self.name)
            call.fail(INTERNAL_ERROR, "the server is stopping")
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
        loop.leave()
        stopped.set_result(None)

    def _on_call(self, event: Any) -> None:
        tool = self._tools[event.tool]
        call = Call(self._loop, event, tool.name, self)
        try:
            args = tool.prepare(_json.loads(event.text, event.len))
        except Exception as error:  # of a converter: the schema did not say everything
            call.fail(INVALID_PARAMS, f"invalid arguments: {' '.join(str(error).split())}")
            return
        work = self._serve(call, tool, args)
        work.send(None)  # into its try: it ends the call even if its task is cancelled before the first step
        call.task = self._loop.asyncio.create_task(work)

    async def _serve(self, call: Call, tool: _Tool, args: dict[str, Any]) -> None:
        try:
            await _next_step()
            _calls.enter(call)
            value = await tool.fn(**args) if tool.is_async else await self._in_thread(tool.fn, args)
            if isinstance(value, Content):
                call.reply_content(value.blocks, value.structured, value.is_error)
            else:
                call.reply(value)
        except ToolError as error:
            call.fail(error.code, str(error), error.data)
        except McpError as error:  # of a call that the function made
            call.fail(TOOL_ERROR, str(error))
        except Exception:
            _log.exception("the tool %s of %s failed", tool.name, self.name)
            call.fail(INTERNAL_ERROR, "the tool failed: see the log of the server")
        finally:  # cancelled, or the program ends
            call.fail(INTERNAL_ERROR, "the call was cancelled")

    async def _in_thread(self, fn: Callable[..., Any], args: dict[str, Any]) -> Any:
        if self._executor is None:
            self._executor = Threads(self.name, self._threads)
        run = functools.partial(contextvars.copy_context().run, fn, **args)
        return await asyncio.get_running_loop().run_in_executor(self._executor, run)


@contextlib.contextmanager
def _end_signals() -> Iterator[asyncio.Event]:
    """SIGTERM and SIGINT, as long as the block lasts: the first one sets the event, the second one ends the process."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    before: dict[signal.Signals, Any] = {}

    def end() -> None:
        ended.set()
        for number in before:
            loop.remove_signal_handler(number)
            signal.signal(number, lambda number, _: os._exit(128 + number))

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            loop.add_signal_handler(number, end)
            before[number] = handler
        yield ended
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


@types.coroutine
def _next_step() -> Generator[None, None, None]:
    yield


def _is_async(fn: Callable[..., Any]) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))


def _text(text: str) -> bytes:
    return text.encode()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
