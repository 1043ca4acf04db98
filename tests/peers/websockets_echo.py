#!/usr/bin/python3
"""An MCP echo server on plain websockets, as components had it before the library: for tests/bench/python.

usage: websockets_echo.py PORT        (0: a free one, which it names)
"""
import asyncio
import json
import sys

import websockets


def answer(message):
    method, params = message["method"], message.get("params") or {}
    if method == "initialize":
        version = params.get("protocolVersion", "2024-11-05")
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "echo", "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": json.dumps(params["arguments"])}]}
    return {}


async def serve(ws):
    async for text in ws:
        message = json.loads(text)
        if "id" in message:
            await ws.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}))


async def main():
    async with websockets.serve(serve, "127.0.0.1", int(sys.argv[1]), compression=None, ping_interval=None) as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.Future()


asyncio.run(main())
