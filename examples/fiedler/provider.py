"""One request to the chat-completions endpoint of a provider.

Happy path: Upstream.open() sends the request and reads the head of the response; read() returns its body in pieces.
Failure: a Failure (PROVIDER_ERROR) that names the provider and the reason, for everything that a provider can do: no
connection, a redirect (never followed: the key would go elsewhere), a compressed or oversized body, a broken response, an
end in the middle. Texts of exceptions are not passed on, since they may contain what was sent.
"""
import asyncio
import contextlib
import errno
import functools
import os

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .failure import PROVIDER_ERROR, Failure

CONNECT_S, LOOK_S = 15, 1
HEAD_BYTES = 65536
PIECE_BYTES = 65536
WASTE = 64  # bytes of a streamed body for each byte of its answer, at most


def new_session():
    """A session without cookies, proxies and .netrc of the environment; a new connection for each request, so that none
    is sent on one that the provider is just closing."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    connector._factory = functools.partial(LimitedHead, loop=asyncio.get_running_loop())
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        auto_decompress=False,
        trust_env=False,
    )


class LimitedHead(ResponseHandler):
    """Aborts a response whose head, with interim ones, has more than HEAD_BYTES: aiohttp 3.11 stores any number of
    headers."""

    def __init__(self, loop):
        super().__init__(loop)
        self.head, self.left = b"", HEAD_BYTES  # None: the head is complete

    def data_received(self, data):
        if self.head is not None:
            self.look(data)
        super().data_received(data)

    def look(self, data):
        self.head += data
        while self.head is not None and (end := self.head.find(b"\r\n\r\n")) >= 0:
            interim = self.head[9:10] == b"1"  # HTTP/1.1 1xx
            self.left -= end
            self.head = self.head[end + 4 :] if interim and self.left > 0 else None
        if self.left < len(self.head or b"") and self.transport is not None:
            self.transport.abort()


class Upstream:
    def __init__(self, provider, response, max_bytes):
        self.provider, self.response, self.left = provider, response, max_bytes
        self.status, self.type = response.status, response.content_type

    @classmethod
    async def open(cls, session, model, key, parts, max_answer_bytes):
        """parts: the pieces of the request's body."""
        headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Length": str(sum(map(len, parts))),
            "Content-Type": "application/json",
            "User-Agent": "fiedler",
        }
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        with failures_of(model.provider.name):
            response = await session.post(f"{model.provider.base_url}/chat/completions", data=in_pieces(parts),
                                          headers=headers, allow_redirects=False)
        upstream = cls(model.provider.name, response, WASTE * max_answer_bytes)
        problem = upstream.problem()
        if problem is not None:
            upstream.close()
            raise Failure(PROVIDER_ERROR, f"{upstream.provider} {problem}")
        return upstream

    def problem(self):
        if 300 <= self.status < 400:
            return f"redirected ({self.status}), which is not followed: correct base_url in the model file"
        if self.response.headers.get("Content-Encoding", "identity").lower() != "identity":
            return "compressed its response, although it was told not to"
        return None

    @property
    def is_stream(self):
        return self.type == "text/event-stream"

    async def read(self):
        """The next piece of the body; empty at its end."""
        with failures_of(self.provider):
            piece = await self.next_piece()
        self.left -= len(piece)
        if self.left < 0:
            raise Failure(PROVIDER_ERROR, f"the response of {self.provider} is too large")
        return piece

    async def next_piece(self):
        """After an invalid chunk aiohttp 3.8 closes the connection, and lets the reader wait: that is looked at, too."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    return await self.response.content.readany()
            except TimeoutError:
                connection = self.response.connection
                if connection is None or connection.transport is None or connection.transport.is_closing():
                    raise ConnectionResetError from None

    async def read_all(self, limit):
        body = bytearray()
        while piece := await self.read():
            body += piece
            if len(body) > limit:
                raise Failure(PROVIDER_ERROR, f"the response of {self.provider} has more than {limit} bytes")
        return bytes(body)

    def close(self):
        """Ends the request, also in the middle."""
        self.response.close()


async def in_pieces(parts):
    """Small pieces, so that the body is not copied into the socket's buffer as a whole."""
    for part in parts:
        for at in range(0, len(part), PIECE_BYTES):
            yield part[at : at + PIECE_BYTES]


@contextlib.contextmanager
def failures_of(provider):
    try:
        yield
    except aiohttp.ClientSSLError:
        reason = f"TLS with {provider} failed: check base_url in the model file, and the certificate"
    except aiohttp.ClientConnectorError as error:
        reason = f"cannot connect to {provider}: {reason_of(error.os_error)}"
    except aiohttp.ServerTimeoutError:
        reason = f"cannot connect to {provider} in {CONNECT_S} s"
    except (aiohttp.ClientPayloadError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError):
        reason = f"{provider} closed the connection before its response was complete"
    except (aiohttp.ClientError, ValueError):
        reason = f"{provider} sent an invalid HTTP response"
    else:
        return
    raise Failure(PROVIDER_ERROR, reason)


def reason_of(error):
    """Without the address, which asyncio puts into the text."""
    return os.strerror(error.errno) if error.errno in errno.errorcode else error.strerror or "connection failed"
