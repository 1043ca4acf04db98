"""A WebSocket proxy between clients and one backend, as deployments put it in front of ICCM's servers.

usage: forwarder.py PORT BACKEND-URL [RETRY-SECONDS]        (port 0: a free one)

Happy path: each client gets its own connection to the backend, with the path that the client requested; text messages are
forwarded in both directions unread. Failure modes: if the backend closes, the client's connection stays open; the proxy
reconnects until it succeeds and sends the message that failed, but no second initialize; calls in flight are lost. If the
client closes, its backend connection is closed too.
"""
import asyncio
import os
import signal
import sys

import websockets
from websockets.exceptions import ConnectionClosed, WebSocketException

LIMITS = {"max_size": 1 << 20, "ping_interval": 20, "ping_timeout": None}  # what such relays have; their 20 s for a pong are no test's


def path_of(client):
    """Its place changed between the versions of websockets."""
    return client.request.path if hasattr(client, "request") else client.path


class Session:
    """One client and its connection to the backend, which is replaced when it ends."""

    def __init__(self, client, url, retry_s):
        self.client, self.url, self.retry_s = client, url, retry_s
        self.lock = asyncio.Lock()
        self.backend = None

    async def connected(self, lost=None):
        """A connection to the backend that is not the lost one; made by the first task that needs it."""
        async with self.lock:
            while self.backend is lost:
                try:
                    self.backend = await websockets.connect(self.url, open_timeout=None, **LIMITS)
                except (OSError, asyncio.TimeoutError, WebSocketException) as error:
                    print(f"forwarder: backend unavailable: {error!r}", file=sys.stderr, flush=True)
                    await asyncio.sleep(self.retry_s)
            return self.backend

    async def upward(self):
        backend = await self.connected()
        async for message in self.client:
            while True:
                try:
                    await backend.send(message)
                    break
                except ConnectionClosed:
                    backend = await self.connected(lost=backend)

    async def downward(self):
        backend = await self.connected()
        while True:
            try:
                async for message in backend:
                    await self.client.send(message)
            except ConnectionClosed:
                pass
            backend = await self.connected(lost=backend)

    async def run(self):
        down = asyncio.create_task(self.downward())
        try:
            await self.upward()
        except ConnectionClosed:
            pass
        finally:
            down.cancel()
            if self.backend is not None:
                await self.backend.close()


async def forward(port, url, retry_s):
    async def on_client(client, *_):
        await Session(client, url + path_of(client), retry_s).run()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with websockets.serve(on_client, "127.0.0.1", port, **LIMITS) as server:
        sockets = getattr(server, "sockets", None) or server.server.sockets
        print(f"forwarder: listening on port {sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
        await stop.wait()


if __name__ == "__main__":
    os.environ["no_proxy"] = "*"
    asyncio.run(forward(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.1))
