"""Connections that break at each byte of a conversation, in several ways, between real clients and a real server, with and
without TLS.

A conversation is upgrade, initialize, one call, close. Its call ends exactly once, the server releases all its resources, and
the calls of another client succeed all the time. The quick form runs each fault at a sample of the bytes. The long form runs
all bytes and waits until the server detects vanished peers:

    FAULTS=all PYTHONPATH=tests/lib TEST_BUILD=build-asan /usr/bin/python3 tests/system/test_faults.py
"""
import asyncio
import contextlib
import json
import os
import ssl

from websockets.exceptions import ConnectionClosed

from caller import Caller, connect, tool_call
from faulty_proxy import BREAKING_FAULTS, FaultyProxy, FaultyTlsProxy
from services import PROGRAMS, WAIT_S, AsyncTestCase, ProgramGroup, SingleServer, main, run_program, wait_until_async

ALL = os.environ.get("FAULTS") == "all"
STRIDE = 1 if ALL else 29  # bytes between two places
TIMEOUT_MS = 1500  # of what is broken so that nothing but a time-out ends it; what comes to its end by itself has WAIT_S
AT_ONCE = 32  # a server takes 128 that have not said what they want
DIRECTIONS = ("up", "down")
PATIENCE_MS = int(WAIT_S * 1000)
LARGE = 2_000_000  # bytes
UPGRADE = 120  # bytes: both halves of it are longer
HANDSHAKE = 500  # TLS's
MCP_ETIMEOUT, MCP_EDISCONNECTED, MCP_EUPGRADE, MCP_ETLS = -5003, -5004, -5007, -5016


def descriptors(program):
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))


class Bystander:
    """A client with its own connection; leaving the block fails if one of its calls got no response."""

    def __init__(self, url, **options):
        self.caller, self.calls = Caller(url, **options), 0

    async def __aenter__(self):
        await self.caller.__aenter__()
        self.over = asyncio.Event()
        self.task = asyncio.create_task(self.run())
        return self

    async def run(self):
        while not self.over.is_set():
            assert await self.caller.call("echo", {"call": self.calls}) == {"call": self.calls}
            self.calls += 1
            await asyncio.sleep(0.02)

    async def __aexit__(self, kind, *_):
        self.over.set()
        await self.task
        await self.caller.__aexit__()
        if kind is None:
            assert self.calls > 0


class FaultCase(AsyncTestCase):
    stride, more_ends, scheme = STRIDE, set(), "ws"

    async def asyncSetUp(self):
        await super().asyncSetUp()
        await self.start()
        self.at_rest = descriptors(self.server.program)

    async def start(self):
        self.environment, self.tls = {}, {}
        self.server = self.enterContext(SingleServer("echo", "0"))
        self.bystander = await self.enterAsyncContext(Bystander(self.server.url))
        self.faults = await self.enterAsyncContext(FaultyProxy(self.server.port, self.scheme))

    async def released(self):
        """Waits until the server has nothing left of the conversations."""
        await wait_until_async(lambda: descriptors(self.server.program) <= self.at_rest, "the server lets go of connections that are over")

    async def converse(self, urls, timeout_ms=TIMEOUT_MS):
        """Plays each in the library's client: answers the statuses of the calls, all of which have ended."""
        words = ["setpriv", "--pdeathsig", "KILL", PROGRAMS["conversations"], str(timeout_ms), str(AT_ONCE)]
        pipe = asyncio.subprocess.PIPE
        environment = os.environ | self.environment
        program = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        talk = program.communicate("".join(f"{url}\n" for url in urls).encode())
        out, err = await asyncio.wait_for(talk, WAIT_S + len(urls) / AT_ONCE * TIMEOUT_MS / 1000)
        self.assertEqual(program.returncode, 0, err.decode(errors="replace"))
        ends = sorted([int(word) for word in line.split()] for line in out.decode().splitlines())
        self.assertEqual([end[0] for end in ends], list(range(1, len(urls) + 1)))
        return [end[1] for end in ends]

    async def places(self, play):
        """(direction, bytes) at which a conversation may break: play("none", …) succeeds."""
        await play([self.faults.url("none", "up", 0)], PATIENCE_MS)
        passed = {direction: self.faults.passed["/none/up/0", direction] for direction in DIRECTIONS}
        return [(direction, at) for direction in DIRECTIONS for at in range(0, passed[direction], self.stride)]


class OurClient(FaultCase):
    async def test_slow_and_in_pieces_is_whole(self):
        pieces = [("delay", 20), ("delay", 200), ("chop", 1), ("chop", 2), ("chop", 7), ("chop", 100)]
        urls = [self.faults.url(fault, direction, at) for fault, at in pieces for direction in DIRECTIONS]
        self.assertEqual(set(await self.converse(urls, PATIENCE_MS)), {0})
        await self.released()

    async def breaks(self, fault):
        """At each place: no peer gets a response to an incomplete upgrade, and none uses an incomplete response."""
        places = await self.places(self.converse)
        urls = [self.faults.url(fault, *place) for place in places]
        ends = await self.converse(urls, PATIENCE_MS if fault == "reset" else TIMEOUT_MS)
        if not (ALL and fault == "vanish"):
            await self.faults.release()
        await self.released()
        early = {end for (_, at), end in zip(places, ends) if at < UPGRADE}
        self.assertNotIn(0, early)
        ends = {MCP_ETIMEOUT, MCP_EUPGRADE} if fault != "reset" else {MCP_EUPGRADE, MCP_EDISCONNECTED}
        self.assertLessEqual(early, ends | self.more_ends)

    async def test_stalls(self):
        await self.breaks("stall")

    async def test_ends_of_file(self):
        await self.breaks("half")

    async def test_resets(self):
        await self.breaks("reset")

    async def test_vanishes(self):
        await self.breaks("vanish")

    async def test_junk(self):
        """Which may be harmless where it came, in a word for people or between blanks."""
        places = await self.places(self.converse)
        await self.converse([self.faults.url("junk", *place) for place in places])
        await self.released()


class OurHttpClient(OurClient):
    """The same over HTTP: two requests on one connection. What is broken may be repeated on another, which breaks there, too."""

    scheme = "http"


class StockPeer(FaultCase):
    """The same with a client that is not ours; each gets one answer at the most."""

    text = "small"

    async def talk(self, url, seconds):
        answers = []
        async with connect(url, open_timeout=seconds, close_timeout=0.2, **self.tls) as ws:
            await ws.send(json.dumps(tool_call(1, "echo", text=self.text)))
            answers.append(json.loads(await asyncio.wait_for(ws.recv(), seconds)))
            await ws.close()
            with contextlib.suppress(ConnectionClosed):  # on a slow machine the time for the close is too short
                async for message in ws:
                    answers.append(json.loads(message))
        return answers

    async def play(self, urls, timeout_ms=TIMEOUT_MS):
        room = asyncio.Semaphore(AT_ONCE)

        async def one(url):
            async with room:
                try:
                    return await self.talk(url, timeout_ms / 1000)
                except Exception:  # whatever its library makes of what breaks
                    return []

        answers = await asyncio.gather(*map(one, urls))
        for url, got in zip(urls, answers):
            self.assertLessEqual(len(got), 1, url)
        return answers

    async def test_breaks(self):
        places = (await self.places(self.play))[:: 1 if ALL else 2]
        for fault in BREAKING_FAULTS:
            with self.subTest(fault):
                await self.play([self.faults.url(fault, *place) for place in places])
                await self.faults.release()
                await self.released()

    async def test_breaks_inside_large_messages(self):
        self.text = "large" * (LARGE // 5)
        places = [(direction, at) for direction in DIRECTIONS for at in (1000, LARGE // 2, LARGE)]
        for fault in BREAKING_FAULTS:
            with self.subTest(fault):
                answers = await self.play([self.faults.url(fault, *place) for place in places])
                self.assertNotIn(1, [len(got) for got in answers] if fault != "junk" else [])
                await self.faults.release()
                await self.released()
        whole = await self.play([self.faults.url("chop", way, 20000) for way in DIRECTIONS], PATIENCE_MS)
        self.assertEqual([len(json.dumps(got[0])) > LARGE for got in whole], [True, True])

    async def test_slow_and_in_pieces_is_whole(self):
        urls = [self.faults.url(fault, way, 3) for fault in ("delay", "chop") for way in DIRECTIONS]
        for answers in await self.play(urls, PATIENCE_MS):
            self.assertEqual(answers[0]["id"], 1)


class Secured:
    """The same through TLS, where a conversation is longer, and each bit counts."""

    stride, more_ends = 1 if ALL else 199, {MCP_ETLS}

    async def start(self):
        place = self.enterContext(ProgramGroup()).directory
        made = run_program([PROGRAMS["certificates"], place])
        self.assertEqual(made.returncode, 0, made.stderr)
        files = {"ICCM_TLS_CERT": place / "good.pem", "ICCM_TLS_KEY": place / "key.pem"}
        self.environment = {"ICCM_TLS_CA": str(place / "ca.pem")}
        self.tls = {"ssl": ssl.create_default_context(cafile=place / "ca.pem")}
        self.server = self.enterContext(SingleServer("echo", "0", **files))
        url = f"wss://127.0.0.1:{self.server.port}"
        self.bystander = await self.enterAsyncContext(Bystander(url, **self.tls))
        self.faults = await self.enterAsyncContext(FaultyTlsProxy(self.server.port, self.scheme))


class OurSecuredClient(Secured, OurClient):
    async def test_junk(self):
        """It always breaks the connection: a client only gets responses that were sent before it."""
        places = await self.places(self.converse)
        ends = await self.converse([self.faults.url("junk", *place) for place in places])
        self.assertEqual([place for place, end in zip(places, ends) if end == 0 and place[1] < HANDSHAKE], [])
        await self.released()


class OurSecuredHttpClient(OurSecuredClient):
    scheme = "http"


class SecuredStockPeer(Secured, StockPeer):
    pass


class Vanished(FaultCase):
    async def test_half_a_request_is_released_by_the_server_alone(self):
        """At once, and without a notification."""
        await self.converse([self.faults.url("vanish", "up", at) for at in range(0, 150, 5)])
        await self.released()


if __name__ == "__main__":
    main()
