"""A TCP proxy that breaks connections on purpose, each in the way and at the byte that its client asks for.

Happy path: `async with FaultyProxy(port) as faults:` takes clients on faults.port of 127.0.0.1 and connects each of them to
port. What is to go wrong stands in the path of the request that a client begins with, so that one proxy plays all cases
at the same time: faults.url("reset", "up", 17) is /reset/up/17. up is what goes to the server, down what comes back.

    none        nothing
    delay N     each chunk waits N ms
    chop N      each chunk passes in pieces of 1 to N bytes
    stall N     N bytes pass, what follows is swallowed; everything stays open until an end leaves
    half N      N bytes pass, then there is an end of file; what follows is swallowed
    reset N     N bytes pass, then both ends get a reset
    junk N      N bytes pass, then bytes that nobody sent, then the rest
    vanish N    N bytes pass, then nothing goes either way, and nobody is told, until release()

In TLS there is no path to be seen: FaultyTlsProxy gives each case a port of its own instead.

Failure modes: a server that does not accept resets the client; leaving the block ends whatever is still there.
"""
import asyncio
import random
import socket
import struct
from functools import partial

BREAKING_FAULTS = ("stall", "half", "reset", "junk", "vanish")
CHUNK = 65536


def reset(writer):
    """Closes without a farewell: what is not sent is dropped, and the other end reads a reset."""
    link = writer.get_extra_info("socket")
    if link.fileno() >= 0:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def swallow(reader):
    while await reader.read(CHUNK):
        pass


class Link:
    """One client and its connection to the server."""

    def __init__(self, faults, client, server, path):
        self.faults, self.writers = faults, {"up": server[1], "down": client[1]}
        self.readers = {"up": client[0], "down": server[0]}
        self.path = path
        _, self.fault, self.direction, at = path.split("/")
        self.at = int(at)
        self.chance = random.Random(path)

    async def run(self, first):
        """The end of both directions ends it; one that fails or vanishes takes the other with it."""
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
            size = self.chance.randint(1, self.at)
            writer.write(chunk[:size])
            await writer.drain()
            await asyncio.sleep(0)  # the other ends read between two pieces
            chunk = chunk[size:]
        writer.write(chunk)
        await writer.drain()

    async def break_at(self, fault, reader, writer, rest):
        """Answers what is still to pass of the chunk in which it happened."""
        if fault == "junk":
            return self.chance.randbytes(self.chance.randint(1, 40)) + rest
        if fault == "reset":
            raise ConnectionResetError
        if fault == "vanish":
            raise Vanished
        if fault == "half":
            writer.write_eof()
        await swallow(reader)
        return b""


class Vanished(Exception):
    pass


class FaultyProxy:
    def __init__(self, server_port):
        self.server_port, self.released = server_port, asyncio.Event()
        self.links, self.passed = set(), {}

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.on_client, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.listener.close()
        await self.release()

    def url(self, fault, direction, at):
        return f"ws://127.0.0.1:{self.port}/{fault}/{direction}/{at}"

    def count(self, path, direction, size):
        key = (path, direction)
        self.passed[key] = self.passed.get(key, 0) + size

    async def on_client(self, reader, writer, path=None):
        self.links.add(asyncio.current_task())
        try:
            first = await reader.readuntil(b" HTTP/") if path is None else b""
            server = await asyncio.open_connection("127.0.0.1", self.server_port)
            await Link(self, (reader, writer), server, path or first.decode().split(" ")[1]).run(first)
        except (OSError, asyncio.IncompleteReadError):
            reset(writer)
        finally:
            self.links.discard(asyncio.current_task())

    async def release(self):
        """Ends those that have vanished, and waits for all to end; those that do not by themselves are cut."""
        self.released.set()
        if self.links:
            await asyncio.wait(self.links, timeout=1)
        for link in self.links:
            link.cancel()
        if self.links:
            await asyncio.wait(self.links)
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
        link = socket.create_server(("127.0.0.1", 0))
        self.listeners.append(asyncio.ensure_future(asyncio.start_server(on_client, sock=link)))
        return f"wss://127.0.0.1:{link.getsockname()[1]}/"
