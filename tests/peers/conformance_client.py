#!/usr/bin/python3
"""The client of the official conformance suite: `iccm` lists the server's tools and calls each of them.

usage: conformance_client.py ICCM URL

The suite may say in MCP_CONFORMANCE_CONTEXT which calls to make; else the arguments are the required ones, of their types.
A call that the server refuses is no failure of this program: the suite judges what it received.
"""
import json
import os
import subprocess
import sys

VALUES = {"string": "text", "integer": 1, "number": 1.5, "boolean": True}
iccm, url = sys.argv[1:]


def arguments_of(tool):
    schema = tool["inputSchema"]
    types = {name: value.get("type") for name, value in schema.get("properties", {}).items()}
    return {name: VALUES[types[name]] for name in schema.get("required", []) if types.get(name) in VALUES}


listed = subprocess.run([iccm, "list", "--json", url], stdout=subprocess.PIPE, text=True, check=True)
context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
calls = context.get("toolCalls") or [{"name": tool["name"], "arguments": arguments_of(tool)} for tool in json.loads(listed.stdout)]
for call in calls:
    subprocess.run([iccm, "call", url, call["name"], "-"], input=json.dumps(call["arguments"]), text=True)
