"""Opens HTTP requests that the server does not answer for a long time, and holds them. test_vanished.py runs it inside a
network namespace.

usage: hold_requests.py HOST PORT        (a slow_server; prints "open" once the server has all requests)
"""
import json
import signal
import sys
from http.client import HTTPConnection

from services import WAIT_S
from streamable_http import ACCEPT, INITIALIZE, modern, modern_headers


def send(method, message=None, **headers):
    conn = HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=WAIT_S)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"method": method, "url": "/mcp", "body": message and json.dumps(message)}
    conn.request(headers={"Accept": ACCEPT, "Content-Type": "application/json"} | headers, **body)
    return conn


def post(message, **headers):
    return send("POST", message, **modern_headers(message), **headers)


def main():
    session = send("POST", INITIALIZE).getresponse().headers["Mcp-Session-Id"]
    listen = modern("subscriptions/listen", notifications={"toolsListChanged": True})
    call = modern("tools/call", name="later", arguments={"ms": 3_600_000})
    streams = [send("GET", Mcp_Session_Id=session, MCP_Protocol_Version="2025-11-25"), post(listen), post(call)]
    held = [stream.getresponse() for stream in streams]  # the one to the call becomes a stream after some seconds
    held.append(post(call, Accept="application/json"))
    print("open", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
