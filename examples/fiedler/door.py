"""The proxy's sockets, before and beside aiohttp.

Happy path: a connection is counted and handed to aiohttp; serve() ties a request to it. Failure: a peer that may not
connect, and connections above the limit, are refused without reading a byte; one that sends no complete request in
HEAD_S is closed (aiohttp itself would wait without a limit); one that leaves cancels its request, so that the request
upstream ends, too.
"""
import asyncio
import errno
import socket

MAX_CONNECTIONS, HEAD_S = 256, 30
REASONS = {403: "Forbidden", 503: "Service Unavailable"}


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
    def __init__(self, door):
        self.door, self.handler, self.timer, self.request = door, None, None, None

    def connection_made(self, transport):
        problem = self.door.problem(transport)
        if problem is not None:
            transport.write(refusal(*problem))
            transport.close()
            return
        self.door.connections.add(self)
        self.timer = asyncio.get_running_loop().call_later(HEAD_S, transport.abort)
        self.handler = self.door.server()
        self.handler.connection_made(transport)

    async def serve(self, request):
        """Awaits a request's coroutine; cancels it if the peer leaves."""
        self.timer.cancel()  # aiohttp limits the time to the next request
        self.request = asyncio.ensure_future(request)
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

    def data_received(self, data):
        if self.handler is not None:
            self.handler.data_received(data)

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
