"""Fake servers for `iccm` whose behaviour the test defines, down to single bytes.

`with FakeServer(serve) as peer:` listens on a free port of 127.0.0.1 or host, peer.port, and calls serve(conn) for each
connection in its own thread; the connection is closed when serve returns. Leaving the context stops listening and closes all
connections.

`mcp(answer)` makes a serve that speaks MCP over WebSocket: answer(method, params) returns the result, NO_RESPONSE or
DISCONNECT, or raises Response with an error or raw text. initialize does the same for that method; by default it succeeds.
Pings and bad JSON are answered unless pongs or parse_errors is false. notification_reply is sent for each notification, if
given. A request with a progress token gets a notification for each element of progress, its params without the token.
"""
import base64
import hashlib
import json
import re
import socket
import struct
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
NO_RESPONSE, DISCONNECT = object(), object()


class Response(Exception):
    """Raised instead of returning a result: the members of an error, or raw text to send."""

    def __init__(self, error=None, text=None):
        super().__init__()
        self.error, self.text = error, text


class FakeServer:
    def __init__(self, serve, host="127.0.0.1"):
        self.serve, self.conns = serve, []
        self.connected = threading.Event()  # set by the first connection
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"ws://{host}:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for conn in self.conns:
            conn.close()

    def accept(self):
        while True:
            try:
                conn = self.listener.accept()[0]
            except OSError:
                return
            self.conns.append(conn)
            self.connected.set()
            threading.Thread(target=self.run, args=(conn,), daemon=True).start()

    def run(self, conn):
        try:
            self.serve(conn)
            conn.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        conn.close()


def silent(conn):
    """Reads and never sends anything."""
    while conn.recv(65536):
        pass


def plain_http(status, reason="", headers=""):
    def serve(conn):
        conn.recv(65536)
        conn.sendall(f"HTTP/1.1 {status} {reason}\r\nContent-Length: 3\r\n{headers}\r\nno\n".encode())

    return serve


def upgrade(conn, guid=GUID, before=b"", more=b""):
    """The handshake; another guid makes it invalid. before: bytes before the response; more: further headers."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = conn.recv(65536)
        if not piece:
            raise ConnectionError
        head += piece
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]
    accept = base64.b64encode(hashlib.sha1(key + guid).digest())
    conn.sendall(
        before + b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + more + b"\r\n"
    )


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise ConnectionError
    return data


def read_frame(stream):
    """Opcode and payload of one masked frame (RFC 6455 5.2)."""
    first, second = read_exactly(stream, 2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", read_exactly(stream, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", read_exactly(stream, 8))
    mask = read_exactly(stream, 4)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(read_exactly(stream, length)))


def send_text(conn, text):
    data = text.encode()
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    conn.sendall(b"\x81" + size + data)


def initialize_result(_method, params):
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "peer", "version": "1"},
    }


def mcp(answer, initialize=initialize_result, pongs=True, parse_errors=True, notification_reply=None, progress=(), **handshake):
    def serve(conn):
        upgrade(conn, **handshake)
        stream = conn.makefile("rb")
        while True:
            opcode, payload = read_frame(stream)
            if opcode == 8:
                conn.sendall(b"\x88" + bytes([len(payload)]) + payload)
                return
            if opcode == 9 and pongs:
                conn.sendall(b"\x8a" + bytes([len(payload)]) + payload)
            if opcode != 1:
                continue
            try:
                request = json.loads(payload)
            except ValueError:
                if parse_errors:
                    error = {"code": -32700, "message": "not JSON"}
                    send_text(conn, json.dumps({"jsonrpc": "2.0", "id": None, "error": error}))
                continue
            if "id" not in request:
                if notification_reply is not None:
                    send_text(conn, notification_reply)
                continue
            reply = {"jsonrpc": "2.0", "id": request["id"]}
            token = ((request.get("params") or {}).get("_meta") or {}).get("progressToken")
            for report in progress if token is not None else ():
                params = {"progressToken": token} | report
                send_text(conn, json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))
            try:
                result = initialize if request["method"] == "initialize" else answer
                result = result(request["method"], request.get("params"))
                if result is DISCONNECT:
                    return
                if result is not NO_RESPONSE:
                    send_text(conn, json.dumps(reply | {"result": result}))
            except Response as response:
                send_text(conn, response.text or json.dumps(reply | {"error": response.error}))

    return serve


def text_result(value):
    """A tool result with one text part: value if it is a string, else its JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    return {"content": [{"type": "text", "text": text}]}
