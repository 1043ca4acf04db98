#!/usr/bin/python3
"""A server with one tool, echo, which returns its arguments. The argument is the port; 0 picks a free one."""
import sys

from iccm_network import Server

server = Server("echo", "0.1.0", int(sys.argv[1]) if len(sys.argv) > 1 else 9000)


@server.tool
async def echo(**args):
    """Answers its arguments"""
    return args


server.run()
