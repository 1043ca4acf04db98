"""tests/system/slow_server.c in Python: the same tools, for the same tests."""
import asyncio
import os
import sys
import time
from typing import Literal

from iccm_network import Content, Server, ToolError, current_call

server = Server("slow", "1.0.0", int(sys.argv[1]) if len(sys.argv) > 1 else 0)


def ms_schema(**more):
    return {"type": "object", "properties": {"ms": {"type": "integer", "minimum": 0}, **more}, "required": ["ms"]}


@server.tool(schema=ms_schema())
def sleep(**args):
    """Blocks its thread, then answers its arguments"""
    time.sleep(args["ms"] / 1000)
    return args


@server.tool(schema=ms_schema(steps={"type": "integer", "minimum": 1}))
async def later(**args):
    """Answers its arguments after a while"""
    steps = args.get("steps", 1)
    for step in range(steps):
        await asyncio.sleep(args["ms"] / 1000)
        current_call().progress(step + 1, steps)
    return args


@server.tool
def forget():
    """Never answers"""
    raise RuntimeError("a function always answers; this is as near as it gets")


@server.tool
async def refuse():
    """Cannot do it"""
    raise ToolError("refused on purpose")


@server.tool
async def fail():
    """Fails with its own code"""
    raise ToolError("failed on purpose", -32050, {"error_code": "ON_PURPOSE"})


@server.tool
async def nonsense():
    """Answers what is not UTF-8"""
    return "\udcff\udcfe"


@server.tool(name="print")
def print_tool():
    """Prints to standard output"""
    print("printed by a handler", flush=True)
    os.write(1, b"written by a handler\n")
    return len(os.read(0, 64))


@server.tool
async def lines():
    """Answers JSON with line breaks"""
    return {"two": "li\nes"}


@server.tool(output_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
async def shaped(how: Literal["right", "wrong", "bare", "refused"]):
    """Answers what it promises, or something else"""
    if how == "refused":
        raise ToolError("refused on purpose")
    if how == "bare":
        return Content([{"type": "text", "text": '{"n":1}'}])
    return {"n": "no number" if how == "wrong" else 1}


server.run()
