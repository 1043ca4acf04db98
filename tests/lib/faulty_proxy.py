"""A TCP proxy that injects faults: the request path selects the fault and the byte at which it occurs.

Happy path: `async with FaultyProxy(port) as faults:` takes clients on faults.port of 127.0.0.1 and connects each of them to
port. The path of the client's first request names the fault, so one proxy can run all cases at the same time:
faults.url("reset", "up", 17) is /reset/up/17. "up" is the direction to the server, "down" the direction to the client.

    none        no fault
    delay N     each chunk is delayed by N ms
    chop N      each chunk is forwarded in pieces of 1 to N bytes
    stall N     N bytes pass, later bytes are discarded; the connection stays open until an end closes it
    half N      N bytes pass, then end of file; later bytes are discarded
    reset N     N bytes pass, then both ends get a reset
    junk N      N bytes pass, then random bytes, then the rest
    vanish N    N bytes pass, then neither direction forwards anything and both stay open, until release()

In TLS the proxy cannot see the path: FaultyTlsProxy opens a port per case instead.

Failure modes: if the server does not accept, the client gets a reset; leaving the block closes all connections.
"""
import asyncio
import random
import socket
import struct
from functools import partial

BREAKING_FAULTS = ("stall", "half", "reset", "junk", "vanish")
CHUNK = 65536


def reset(writer):
    """Closes with a reset; unsent data is discarded."""
    sock = writer.get_extra_info("socket")
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def discard(reader):
    while await reader.read(CHUNK):
        pass


class ProxiedConnection:
    """One client and its connection to the server."""

    def __init__(self, faults, client, server, path):
        self.faults, self.writers = faults, {"up": server[1], "down": client[1]}
        self.readers = {"up": client[0], "down": server[0]}
        self.path = path
        _, self.fault, self.direction, at = path.split("/")
        self.at = int(at)
        self.random = random.Random(path)

    async def run(self, first):
        """Ends when both directions have ended; one that fails or vanishes ends the other."""
        pumps = [asyncio.ensure_future(self.pump("up", first)), asyncio.ensure_future(self.pump("down", b""))]
        try:
            await asyncio.gather(*pumps)
            for writer in self.writers.values():
                writer.close()
        except (OSError, Vanished) as end:
            for pump in pumps:
                pump.cancel()
            if isinstance(end, Vanished):
                for writer in self.writers.values():
                    writer.transport.pause_reading()
                await self.faults.released.wait()
        finally:
            for writer in self.writers.values():
                if not writer.is_closing():
                    reset(writer)

    async def pump(self, direction, chunk):
        reader, writer = self.readers[direction], self.writers[direction]
        fault = self.fault if direction == self.direction else "none"
        chunk, passed = chunk or await reader.read(CHUNK), 0
        while chunk:
            self.faults.count(self.path, direction, len(chunk))
            if fault in BREAKING_FAULTS and passed + len(chunk) >= self.at:
                await self.write(writer, chunk[: self.at - passed], "none")
                chunk = await self.break_at(fault, reader, writer, chunk[self.at - passed :])
                fault = "none"
            if chunk:
                await self.write(writer, chunk, fault)
            passed += len(chunk)
            chunk = await reader.read(CHUNK)
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()

    async def write(self, writer, chunk, fault):
        if fault == "delay":
            await asyncio.sleep(self.at / 1000)
        while fault == "chop" and chunk:
            size = self.random.randint(1, self.at)
            writer.write(chunk[:size])
            await writer.drain()
            await asyncio.sleep(0)  # lets the peers read between two pieces
            chunk = chunk[size:]
        writer.write(chunk)
        await writer.drain()

    async def break_at(self, fault, reader, writer, rest):
        """Applies the fault; returns the part of the chunk that still has to be forwarded."""
        if fault == "junk":
            return self.random.randbytes(self.random.randint(1, 40)) + rest
        if fault == "reset":
            raise ConnectionResetError
        if fault == "vanish":
            raise Vanished
        if fault == "half":
            writer.write_eof()
        await discard(reader)
        return b""


class Vanished(Exception):
    pass


class FaultyProxy:
    def __init__(self, server_port, scheme="ws"):
        self.scheme = scheme
        self.server_port, self.released = server_port, asyncio.Event()
        self.connections, self.passed = set(), {}

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.on_client, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.listener.close()
        await self.release()

    def url(self, fault, direction, at):
        return f"{self.scheme}://127.0.0.1:{self.port}/{fault}/{direction}/{at}"

    def count(self, path, direction, size):
        key = (path, direction)
        self.passed[key] = self.passed.get(key, 0) + size

    async def on_client(self, reader, writer, path=None):
        self.connections.add(asyncio.current_task())
        try:
            first = await reader.readuntil(b" HTTP/") if path is None else b""
            server = await asyncio.open_connection("127.0.0.1", self.server_port)
            await ProxiedConnection(self, (reader, writer), server, path or first.decode().split(" ")[1]).run(first)
        except (OSError, asyncio.IncompleteReadError):
            reset(writer)
        finally:
            self.connections.discard(asyncio.current_task())

    async def release(self):
        """Ends the vanished connections and waits for all; cancels those that are still open after 1 s."""
        self.released.set()
        if self.connections:
            await asyncio.wait(self.connections, timeout=1)
        for connection in self.connections:
            connection.cancel()
        if self.connections:
            await asyncio.wait(self.connections)
        self.released.clear()


class FaultyTlsProxy(FaultyProxy):
    async def __aenter__(self):
        self.listeners = []
        return self

    async def __aexit__(self, *_):
        for listener in await asyncio.gather(*self.listeners):
            listener.close()
        await self.release()

    def url(self, fault, direction, at):
        on_client = partial(self.on_client, path=f"/{fault}/{direction}/{at}")
        sock = socket.create_server(("127.0.0.1", 0))
        self.listeners.append(asyncio.ensure_future(asyncio.start_server(on_client, sock=sock)))
        return f"{self.scheme}s://127.0.0.1:{sock.getsockname()[1]}/"
