"""The proxy's sockets, before and beside aiohttp.

Happy path: a connection is counted and handed to aiohttp; serve() ties a request to it. Failure: a peer that may not
connect, and connections above the limit, are refused without reading a byte. A connection ends that sends no complete
request in HEAD_S (aiohttp itself would wait without a limit), or a request before the response to the last one. A peer
that leaves cancels its request, so that the request upstream ends, too.
"""
import asyncio
import errno
import socket

MAX_CONNECTIONS, HEAD_S = 256, 30
MAX_HEAD, MAX_WAITING = 16384, 1 << 20
REASONS = {403: "Forbidden", 411: "Length Required", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class Door:
    """The protocol factory of the listening socket. server: aiohttp's; peer_problem(address): (status, text) or None."""

    def __init__(self, server, peer_problem):
        self.server, self.peer_problem, self.connections = server, peer_problem, set()

    def __call__(self):
        return Connection(self)

    def problem(self, transport):
        if len(self.connections) >= MAX_CONNECTIONS:
            return 503, "too many connections, retry later"
        peer = transport.get_extra_info("peername")
        return self.peer_problem(peer[0]) if peer else (403, "the peer has no address")


class Connection(asyncio.Protocol):
    """Hands one request after the other to aiohttp: a head once it is complete, then the bytes of its body. aiohttp alone
    would take any number of headers, and of requests behind the one that is served."""

    def __init__(self, door):
        self.door, self.transport, self.handler, self.timer = door, None, None, None
        self.waiting = b""  # an incomplete head, or what follows one that aiohttp has not begun to serve
        self.handed = False  # whether aiohttp has such a head
        self.content, self.request = None, None  # of the last request: its body; its task while it is served

    def connection_made(self, transport):
        self.transport = transport
        problem = self.door.problem(transport)
        if problem is not None:
            self.refuse(*problem)
            return
        self.door.connections.add(self)
        self.timer = asyncio.get_running_loop().call_later(HEAD_S, transport.abort)
        self.handler = self.door.server()
        self.handler.connection_made(transport)

    def refuse(self, status, text):
        self.transport.write(refusal(status, text))
        self.transport.close()

    def data_received(self, data):
        if self.handler is None:
            return
        if self.content is not None and not self.content.is_eof():
            self.handler.data_received(data)  # which pauses reading while the body is not consumed
            if getattr(self.handler, "_messages", None):
                self.transport.abort()  # another request in the same bytes
            return
        self.waiting += data
        if self.request is None and not self.handed:
            self.hand_over()
        pipelined = self.request is not None and self.waiting.strip()  # some clients send a line end behind a body
        if pipelined or len(self.waiting) > MAX_WAITING:
            self.transport.abort()

    def hand_over(self):
        """Gives a complete head to aiohttp."""
        head, end, rest = self.waiting.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD:
            self.waiting = b""
            self.refuse(431, f"the head of a request has at most {MAX_HEAD} bytes")
        elif end and b"\ntransfer-encoding" in head.lower():  # whose trailers have no limit
            self.refuse(411, "send the body with Content-Length")
        elif end:
            self.handed, self.waiting = True, rest
            self.handler.data_received(head + end)

    async def serve(self, content, response):
        """Awaits the response to a request; cancels it if the peer leaves. content: the request's body."""
        self.timer.cancel()  # aiohttp limits the time to the next request
        self.handed, self.content, self.request = False, content, asyncio.ensure_future(response)
        body, self.waiting = self.waiting, b""
        if body:
            self.data_received(body)
        try:
            return await self.request
        finally:
            self.request = None

    def connection_lost(self, error):
        if self.handler is None:
            return
        self.timer.cancel()
        self.door.connections.discard(self)
        if self.request is not None:
            self.request.cancel()
        self.handler.connection_lost(error)

    def eof_received(self):
        return self.handler.eof_received() if self.handler is not None else None

    def pause_writing(self):
        if self.handler is not None:
            self.handler.pause_writing()

    def resume_writing(self):
        if self.handler is not None:
            self.handler.resume_writing()


def refusal(status, text):
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def listening_socket(port):
    """On all addresses: one socket for IPv4 and IPv6 where the machine has both, so that port 0 is one port."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise
    return socket.create_server(("", port), backlog=128)
