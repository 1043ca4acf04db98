#!/usr/bin/python3
"""A component with every kind of tool: blocking, concurrent, with progress and cancellation, with a class as argument,
with content blocks, and with a call of another server. The argument is the port."""
import asyncio
import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import Annotated, Literal

from iccm_network import Client, Content, LogHandler, Server, ToolError, current_call

logging.basicConfig(handlers=[LogHandler()], level=logging.INFO)
log = logging.getLogger("component")
server = Server("component", port=int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
waiting: list[asyncio.Future] = []  # the call of meet that waits for a second one


@server.tool
def disk(path: Literal["/", "/tmp"] = "/") -> int:
    """Free bytes of a file system. A function that is not async runs on a thread: it may block"""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


@server.tool
def count(to: Annotated[int, "how far", {"minimum": 0}]) -> int:
    """Counts, and tells its progress"""
    call = current_call()
    for done in range(to):
        if call.cancelled:  # the caller gets no answer any more
            log.info("cancelled after %d", done)
            return done
        time.sleep(0.01)
        call.progress(done + 1, to)
    return to


@server.tool
async def meet() -> str:
    """Answers two callers at once"""
    if waiting:
        waiting.pop().set_result("met")
        return "met"
    second = asyncio.get_running_loop().create_future()
    waiting.append(second)
    try:
        return await second
    except asyncio.CancelledError:  # the caller has gone
        waiting.remove(second)
        raise


@dataclass
class Point:
    x: float
    y: float = 0


@server.tool
async def centre(points: list[Point]) -> Point:
    """The centre of some points"""
    if not points:
        raise ToolError("no points, no centre", data={"error_code": "NO_POINTS"})
    return Point(sum(p.x for p in points) / len(points), sum(p.y for p in points) / len(points))


@server.tool
async def picture() -> Content:
    """A picture, as a content block"""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
    return Content([{"type": "image", "data": pixel, "mimeType": "image/png"}])


@server.tool
async def ask(url: str, tool: str) -> dict:
    """Calls a tool of another server, with the trace of this call"""
    async with Client(url) as other:
        answer = await other.call(tool, timeout=10)
    log.info("asked", extra={"data": {"url": url, "tool": tool}})
    return {"answer": answer}


server.run()
