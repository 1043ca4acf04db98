"""A peer that has its TLS in memory and its socket in its own hands, and so decides which bytes travel, and when.

Happy path: `with TlsPeer(port, context) as peer: peer.handshake().upgrade().send(text_frame(json))`.
Failure modes: a server that closes in the handshake raises; later it ends what is read.
"""
import socket
import ssl
import struct

from services import WAIT_S, request_head

MIB = 1 << 20


def text_frame(text):
    """Masked with zeros: a client has to, and this is quicker."""
    data = text.encode()
    if len(data) < 126:
        size = struct.pack("!BB", 0x81, 0x80 | len(data))
    elif len(data) < 65536:
        size = struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
    else:
        size = struct.pack("!BBQ", 0x81, 0x80 | 127, len(data))
    return size + bytes(4) + data


class PlainTransport:
    """What ssl's object does, doing nothing."""

    def __init__(self, incoming, outgoing):
        self.incoming, self.write = incoming, outgoing.write

    def do_handshake(self):
        pass

    def read(self, size):
        if self.incoming.pending == 0:
            raise ssl.SSLWantReadError
        return self.incoming.read(size)


class TlsPeer:
    """context None: in clear."""

    def __init__(self, port, context):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = PlainTransport(self.incoming, self.outgoing)
        if context is not None:
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()

    def flush(self, piece=MIB):
        data = self.outgoing.read()
        for at in range(0, len(data), piece):
            self.link.sendall(data[at : at + piece])

    def receive(self):
        """More of the server's bytes; False: that was all."""
        try:
            data = self.link.recv(MIB)
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
        """Says close_notify, into what is to be sent."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass

    def read(self, until_there=None):
        """What the server says, up to these bytes or to its end."""
        said = bytearray()
        while until_there is None or until_there not in said:
            try:
                piece = self.tls.read(MIB)
                said += piece
                if not piece:
                    break
            except ssl.SSLWantReadError:
                if not self.receive():
                    break
            except ssl.SSLError:
                break
        return said

    def upgrade(self):
        headers = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        self.send(request_head(1, "localhost", "/", *headers, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        assert b" 101 " in self.read(b"\r\n\r\n")
        return self
