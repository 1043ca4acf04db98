"""Calls one tool and prints the response. test_network.py runs it inside a network namespace.

usage: one_call.py URL TOOL ARGUMENTS-AS-JSON
"""
import asyncio
import json
import sys

from caller import Caller


async def call(url, tool, arguments):
    async with Caller(url) as caller:
        print(json.dumps(await caller.call(tool, json.loads(arguments))))


if __name__ == "__main__":
    asyncio.run(call(*sys.argv[1:]))
