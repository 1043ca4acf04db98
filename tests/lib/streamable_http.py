"""MCP over HTTP for tests: messages of both eras, and a client."""
import json
from http.client import HTTPConnection

from services import WAIT_S

ACCEPT = "application/json, text/event-stream"
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"


def metadata(version=MODERN, **more):
    return {f"{META}protocolVersion": version, f"{META}clientCapabilities": {}} | more


def modern(method, number=1, version=MODERN, meta=None, **params):
    params["_meta"] = metadata(version) | (meta or {})
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def legacy(method, number=1, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def modern_headers(message, **more):
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"]}
    if "name" in message.get("params", {}):
        headers["Mcp-Name"] = message["params"]["name"]
    return {name: value for name, value in (headers | more).items() if value is not None}


INITIALIZE = legacy("initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"})


class Client:
    """One connection, which is kept alive."""

    def __init__(self, port):
        self.conn = HTTPConnection("127.0.0.1", port, timeout=WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def send(self, method, path="/mcp", body=None, headers=None):
        all_headers = {"Accept": ACCEPT, "Content-Type": "application/json"} | (headers or {})
        self.conn.request(method, path, None if body is None else body if isinstance(body, (str, bytes)) else json.dumps(body),
                          {name: value for name, value in all_headers.items() if value is not None})
        return self.conn.getresponse()

    def post(self, body, headers=None, **options):
        """Status, headers and the JSON of the body, or its text."""
        answer = self.send("POST", body=body, headers=headers, **options)
        text = answer.read().decode()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, answer.headers, json.loads(text) if is_json else text

    def call(self, tool, number=1, **arguments):
        message = modern("tools/call", number, name=tool, arguments=arguments)
        return self.post(message, modern_headers(message))


def events(answer):
    """The messages of a stream, as they come; comments are left out."""
    for line in answer:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])
