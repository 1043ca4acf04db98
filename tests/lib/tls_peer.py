"""A TLS client with in-memory TLS and its own socket, so that a test controls which bytes are sent, and when.

Happy path: `with TlsPeer(port, context) as peer: peer.handshake().upgrade().send(text_frame(json))`.
Failure modes: ConnectionError if the server closes during the handshake; later, reading ends.
"""
import socket
import ssl
import struct

from services import WAIT_S, request_head

MIB = 1 << 20


def text_frame(text):
    """A text frame, masked with zeros: clients must mask, and zeros need no computation."""
    data = text.encode()
    if len(data) < 126:
        size = struct.pack("!BB", 0x81, 0x80 | len(data))
    elif len(data) < 65536:
        size = struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
    else:
        size = struct.pack("!BBQ", 0x81, 0x80 | 127, len(data))
    return size + bytes(4) + data


class PlainTransport:
    """The interface of ssl.SSLObject without TLS."""

    def __init__(self, incoming, outgoing):
        self.incoming, self.write = incoming, outgoing.write

    def do_handshake(self):
        pass

    def read(self, size):
        if self.incoming.pending == 0:
            raise ssl.SSLWantReadError
        return self.incoming.read(size)


class TlsPeer:
    """context: an SSLContext; None: no TLS."""

    def __init__(self, port, context):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = PlainTransport(self.incoming, self.outgoing)
        if context is not None:
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self, piece=MIB):
        data = self.outgoing.read()
        for at in range(0, len(data), piece):
            self.socket.sendall(data[at : at + piece])

    def receive(self):
        """Receives more bytes; False at end of input."""
        try:
            data = self.socket.recv(MIB)
        except ConnectionError:
            data = b""
        if data:
            self.incoming.write(data)
        return data != b""

    def handshake(self, piece=MIB):
        while True:
            try:
                self.tls.do_handshake()
                self.flush(piece)
                return self
            except ssl.SSLWantReadError:
                self.flush(piece)
                if not self.receive():
                    raise ConnectionError("closed in the handshake") from None

    def send(self, data, piece=MIB):
        self.tls.write(data)
        self.flush(piece)

    def end(self):
        """Queues a close_notify alert."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass

    def read(self, delimiter=None):
        """Reads up to these bytes or to the end of input."""
        received = bytearray()
        while delimiter is None or delimiter not in received:
            try:
                piece = self.tls.read(MIB)
                received += piece
                if not piece:
                    break
            except ssl.SSLWantReadError:
                if not self.receive():
                    break
            except ssl.SSLError:
                break
        return received

    def upgrade(self):
        headers = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        self.send(request_head(1, "localhost", "/", *headers, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        assert b" 101 " in self.read(b"\r\n\r\n")
        return self
