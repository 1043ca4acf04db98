"""MCP servers and clients over WebSocket, HTTP and stdio, on the asyncio loop that runs.

A server is its tools:

    from iccm_network import Server

    server = Server("greeter", port=9000)

    @server.tool
    async def greet(name: str) -> dict:
        "Greets somebody by name"
        return {"greeting": "hello", "to": name}

    server.run()

A client calls them:

    async with Client("localhost:9000") as greeter:
        print(await greeter.call("greet", {"name": "Ada"}))

Arguments are checked against the tool's schema before its function runs. A failure is a McpError with a code and a name;
a tool fails by raising ToolError. The package is a layer on the C library iccm-network, which has the same names, limits
and environment variables: see docs/api.md there. It starts no thread for the network; functions that are not `async` run
on a few threads of their server.
"""
from . import env
from ._calls import Call, current_call
from ._client import Client, call
from ._errors import McpError, ToolError
from ._logging import LogHandler, redact
from ._native import ffi as _ffi, lib as _lib
from ._server import Content, Server
from ._sync import SyncClient, sync_call

__all__ = [
    "Call", "Client", "Content", "LogHandler", "McpError", "Server", "SyncClient", "ToolError", "call", "current_call",
    "env", "redact", "sync_call",
]  # fmt: skip
__version__ = _ffi.string(_lib.mcp_version()).decode()
