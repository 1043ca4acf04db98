"""An MCP client over Python's websockets, with many calls in flight; responses are matched by id.

Happy path: `async with Caller(url) as caller: result = await caller.call("echo", {"a": 1})`.
Failure modes: an error response raises CallError; a lost connection fails all calls in flight with ConnectionError;
nothing waits longer than WAIT_S of services.py.

Works with websockets 10 to 15, whose connect() names some arguments differently.
"""
import asyncio
import itertools
import json
import os

import websockets
from websockets.exceptions import ConnectionClosed

from services import WAIT_S

# Options of a server: no limits on size, and WAIT_S where there is a time limit.
SERVER_OPTIONS = {"max_size": None, "ping_interval": None, "close_timeout": WAIT_S}
SERVER_OPTIONS |= {"open_timeout": WAIT_S} if int(websockets.__version__.partition(".")[0]) >= 13 else {}
os.environ["no_proxy"] = "*"  # newer websockets use the environment's proxy even for loopback


class CallError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")


def request(number, method, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method} | ({"params": params} if params else {})


def tool_call(number, tool, **arguments):
    return request(number, "tools/call", name=tool, arguments=arguments)


def connect(url, **options):
    """Connects without the library's limits on size and time, unless options set them."""
    for name, value in (("max_size", None), ("ping_interval", None), ("open_timeout", WAIT_S), ("close_timeout", WAIT_S)):
        options.setdefault(name, value)
    return websockets.connect(url, **options)


async def round_trip(ws, message):
    """Sends a message (an object, or text as is) and returns the next message received."""
    await ws.send(message if isinstance(message, (str, bytes)) else json.dumps(message))
    return json.loads(await asyncio.wait_for(ws.recv(), WAIT_S))


async def close_code(ws):
    """Reads until the server closes; returns its close code."""
    await asyncio.wait_for(ws.wait_closed(), WAIT_S)
    return ws.close_code


class Caller:
    def __init__(self, url, **options):
        self.url, self.options, self.pending, self.ids = url, options, {}, itertools.count()

    async def __aenter__(self):
        self.ws = await connect(self.url, **self.options)
        self.reader = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *_):
        await self.ws.close()
        await self.reader

    async def read(self):
        try:
            async for text in self.ws:
                answer = json.loads(text)
                future = self.pending.pop(answer["id"])
                if not future.done():
                    future.set_result(answer)
        except ConnectionClosed:
            pass
        finally:
            for future in self.pending.values():
                if not future.done():
                    future.set_exception(ConnectionError("closed before the response"))
                    future.exception()  # retrieved, in case it is never awaited

    async def request(self, method, params=None):
        """Returns the whole response message."""
        if self.reader.done():
            raise ConnectionError("closed")
        number = next(self.ids)
        self.pending[number] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": number, "method": method}
        try:
            await self.ws.send(json.dumps(message if params is None else message | {"params": params}))
        except ConnectionClosed:
            raise ConnectionError("closed") from None
        return await asyncio.wait_for(self.pending[number], WAIT_S)

    async def call(self, tool, arguments=None):
        """Returns the tool's result, parsed from its text content."""
        answer = await self.request("tools/call", {"name": tool, "arguments": arguments or {}})
        if "error" in answer:
            raise CallError(answer["error"])
        content = answer["result"]["content"]
        assert len(content) == 1 and content[0]["type"] == "text", content
        return json.loads(content[0]["text"])


async def read_log_rows(caller, tool="logger_query", **filters):
    """Yields every row of Godot's log, page by page."""
    cursor = ""
    while cursor is not None:
        page = await caller.call(tool, {"limit": 1000, "cursor": cursor} | filters)
        for row in page["logs"]:
            yield row
        cursor = page.get("next_cursor") or None
        assert page["logs"] or cursor is None, "an empty page that is not the last"
