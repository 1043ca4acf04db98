#!/usr/bin/python3
"""Long-running load on the real programs; memory and descriptors at the end are compared with the start.

usage: TEST_BUILD=build tests/soak/soak.py [connects|idle|mixed]... [--short] [--amount N] [--seconds S] [--tls] [--seed N]

  connects  N connections (100,000) that are opened, used and closed, each in one of several ways, most of them abrupt
  idle      N connections (5,000) that stay open for S seconds (45: each is pinged twice) while others are served
  mixed     S seconds (600) of a complete installation, Godot, worker, Dewey and Redis, under callers, invalid bytes and
            resets; every acknowledged line must be stored once

Runs all parts unless some are named. Use a build with ASan and UBSan: a sanitizer report, including leaks, is a failure. Each
part prints one line of figures.
"""
import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import resource
import select
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from caller import CallError, Caller, read_log_rows, tool_call  # noqa: E402
from services import PROGRAMS, WAIT_S, SingleServer, System, http_get, run_program, wait_until  # noqa: E402

MIB = 1 << 20
SLACK_MIB, SLACK = 12, 0.1  # that memory may have grown by: allocators keep what they have had, …
SLACK_DEWEY_MIB = 140  # … and Dewey fills its caches of pages, 64 MiB for writing, 8 times 8 MiB for reading
THREADS = 4
CALL = json.dumps(tool_call(1, "echo", text="x" * 100)).encode()
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# A freed block would otherwise be kept for long, and look like a leak.
SANITIZERS = {"ASAN_OPTIONS": "quarantine_size_mb=2:" + os.environ.get("ASAN_OPTIONS", "")}


def frame(opcode, payload):
    """A client's frame, masked by zeros."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


class Usage:
    """What a process holds."""

    def __init__(self, program):
        pid = program.process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        self.memory = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024
        self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))

    def __str__(self):
        return f"{self.memory / MIB:.1f} MiB, {self.descriptors} descriptors"


class Watch:
    """A program's usage from here on; in the end it has to be what it was."""

    def __init__(self, program, slack_mib=SLACK_MIB):
        self.program, self.before, self.slack_mib = program, Usage(program), slack_mib

    def end(self):
        name = self.program.name
        wait_until(lambda: Usage(self.program).descriptors <= self.before.descriptors, f"{name} closes its descriptors")
        allowed = self.before.memory * (1 + SLACK) + self.slack_mib * MIB
        after = Usage(self.program)
        assert after.memory <= allowed, f"{name} had {self.before}, and has {after}"
        return f"{name} before {self.before}, after {after}"


def connections(port, context, name="iccm_connections"):
    """How many there are; or, by another name, were."""
    if context is None:
        text = http_get(port, path="/metrics").body.decode()
    else:
        with peer(port, context) as link:
            link.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: link.recv(65536), b"")).decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])


# ---- one server ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def echo(options, **settings):
    """A server of the library's; and what a client needs to speak TLS with it, or None."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        context = None
        if options.tls:
            run_program([PROGRAMS["certificates"], place]).check_returncode()
            settings |= {"ICCM_TLS_CERT": f"{place}/good.pem", "ICCM_TLS_KEY": f"{place}/key.pem"}
            context = ssl.create_default_context(cafile=f"{place}/ca.pem")
        yield stack.enter_context(SingleServer("echo", "0", **SANITIZERS, **settings)), context


def peer(port, context):
    link = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link if context is None else context.wrap_socket(link, server_hostname="localhost", suppress_ragged_eofs=True)


def upgraded(port, context):
    link = peer(port, context)
    link.sendall(UPGRADE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = link.recv(4096)
        assert piece, answer
        answer += piece
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return link


def called(link):
    link.sendall(frame(1, CALL))
    assert b'"result"' in link.recv(65536)


def reset(link):
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def visit_and_close(port, context):
    with upgraded(port, context) as link:
        called(link)
        link.sendall(frame(8, b"\x03\xe8"))
        while link.recv(4096):
            pass


def visit_and_leave(port, context):
    with upgraded(port, context) as link:
        called(link)


def visit_and_reset(port, context):
    with upgraded(port, context) as link:
        called(link)
        reset(link)


def leave_with_calls_in_flight(port, context):
    with upgraded(port, context) as link:
        link.sendall(frame(1, CALL) * 20)
        reset(link)


def break_the_protocol(port, context):
    with upgraded(port, context) as link:
        link.sendall(b"\xff" * 20)
        while link.recv(4096):
            pass


def leave_in_a_message(port, context):
    with upgraded(port, context) as link:
        link.sendall(frame(1, bytes(100_000))[:50_000])


def leave_in_the_upgrade(port, context):
    with peer(port, context) as link:
        link.sendall(UPGRADE[: random.randrange(len(UPGRADE))])


def ask_for_a_page(port, context):
    with peer(port, context) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 200 ")


def say_junk(port, _context):
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as link:
        link.sendall(random.randbytes(200))


VISITS = [
    visit_and_close, visit_and_leave, visit_and_reset, leave_with_calls_in_flight, break_the_protocol,
    leave_in_a_message, leave_in_the_upgrade, ask_for_a_page, say_junk,
]  # fmt: skip


def visit(port, context, count, problems):
    for number in range(count):
        try:
            VISITS[number % len(VISITS)](port, context)
        except ConnectionError:
            pass  # an answer to junk may be overtaken by a reset
        except Exception as problem:  # anything else fails the run
            problems.append(problem)
            return


def visit_in_threads(port, context, count):
    problems = []
    threads = [threading.Thread(target=visit, args=(port, context, count // THREADS, problems)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def run_connects(options):
    with echo(options) as (server, context):
        visit_in_threads(server.port, context, 100 * len(VISITS))
        wait_until(lambda: connections(server.port, context) == 0, "all connections have gone")
        watch, began = Watch(server.program), time.monotonic()
        before = connections(server.port, context, "iccm_connections_total")
        visit_in_threads(server.port, context, options.amount)
        wait_until(lambda: connections(server.port, context) == 0, "all connections have gone")
        seconds = time.monotonic() - began
        upgraded_count = connections(server.port, context, "iccm_connections_total") - before
        assert upgraded_count >= options.amount * 6 // len(VISITS) - THREADS * len(VISITS), upgraded_count
        said = f"{options.amount} connections, {upgraded_count} of them upgraded, in {seconds:.1f} s"
        return f"{said}; {watch.end()}"


class Crowd:
    """Idle connections, which answer pings and nothing else."""

    def __init__(self, port, context, count):
        self.links, self.poll, self.pings = {}, select.epoll(), 0
        for _ in range(count):
            link = upgraded(port, context)
            link.setblocking(False)
            self.links[link.fileno()] = link
            self.poll.register(link.fileno(), select.EPOLLIN)

    def answer(self, seconds):
        for number, _ in self.poll.poll(seconds):
            link = self.links[number]
            try:
                data = link.recv(4096)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            assert data == b"\x89\x00", f"an idle connection received {data!r}"
            link.sendall(frame(10, b""))
            self.pings += 1

    def close(self):
        self.poll.close()
        for link in self.links.values():
            link.close()


def run_idle(options):
    with echo(options, ICCM_MAX_CONNECTIONS=options.amount + 100) as (server, context):
        empty = Usage(server.program)
        Crowd(server.port, context, options.amount).close()  # an allocator keeps for the next what the first has had
        wait_until(lambda: connections(server.port, context) == 0, "all connections have gone")
        watch = Watch(server.program)
        crowd = Crowd(server.port, context, options.amount)
        full, calls, until_s = Usage(server.program), 0, time.monotonic() + options.seconds
        with upgraded(server.port, context) as other:
            while time.monotonic() < until_s:
                crowd.answer(0.05)
                called(other)
                calls += 1
            assert connections(server.port, context) == options.amount + 1
        each = (full.memory - empty.memory) / options.amount / 1024
        crowd.close()
        wait_until(lambda: connections(server.port, context) == 0, "all connections have gone")
        said = f"{options.amount} idle for {options.seconds} s, {each:.1f} KiB each, {crowd.pings} pings answered"
        return f"{said}, {calls} calls of another served meanwhile; {watch.end()}"


# ---- a whole installation -------------------------------------------------------------------------------------------


class Load:
    """Callers of a Godot, well-behaved and not, and the responses that they got."""

    def __init__(self, system, seconds):
        self.system, self.ends = system, time.monotonic() + seconds
        self.trace, self.acknowledged, self.refused, self.asked, self.junk = str(uuid.uuid4()), 0, 0, 0, 0

    def goes_on(self):
        return time.monotonic() < self.ends

    async def log(self):
        async with Caller(self.system.godot_url) as caller:
            while self.goes_on():
                line = {"component": "soak", "level": "INFO", "message": "m" * random.choice([10, 200, 5000])}
                answer = await caller.call("logger_log", line | {"trace_id": self.trace})
                self.acknowledged += answer["status"] == "ok"
                await asyncio.sleep(random.random() * 0.02)

    async def ask(self):
        while self.goes_on():
            async with Caller(self.system.godot_url) as caller:
                for _ in range(20):
                    answer = await caller.call("logger_query", {"component": "soak", "limit": 50})
                    assert isinstance(answer, list)
                    self.asked += 1
                    try:
                        await caller.call("logger_log", {"component": "soak"})
                    except CallError:
                        self.refused += 1
                    await asyncio.sleep(random.random() * 0.05)

    def misbehave(self):
        port = self.system.godot_port
        while self.goes_on():
            try:
                random.choice([leave_in_a_message, leave_in_the_upgrade, break_the_protocol, say_junk])(port, None)
                self.junk += 1
            except OSError:
                pass
            time.sleep(0.005)

    async def run(self):
        loop = asyncio.get_running_loop()
        rude = [loop.run_in_executor(None, self.misbehave) for _ in range(2)]
        await asyncio.gather(*(self.log() for _ in range(8)), *(self.ask() for _ in range(2)), *rude)

    async def stored(self):
        """How many lines there are, and how many of them twice."""
        async with Caller(self.system.godot_url) as caller:
            ids = [row["id"] async for row in read_log_rows(caller, trace_id=self.trace)]
            return len(ids), len(ids) - len(set(ids))


def run_mixed(options):
    with System(**SANITIZERS) as system:
        system.start()
        asyncio.run(Load(system, max(2, options.seconds / 10)).run())  # until everything has what it needs
        wait_until(lambda: system.redis_int("LLEN", "logs:queue") == 0, "the queue is empty", 2 * WAIT_S)
        watches = [Watch(system.godot), Watch(system.worker), Watch(system.dewey, SLACK_DEWEY_MIB)]
        load = Load(system, options.seconds)
        asyncio.run(load.run())
        stored = twice = 0
        wait_until(lambda: asyncio.run(load.stored())[0] >= load.acknowledged, "what was acknowledged is stored", 5 * WAIT_S)
        stored, twice = asyncio.run(load.stored())
        assert (stored, twice) == (load.acknowledged, 0), f"{load.acknowledged} acknowledged, {stored} stored, {twice} twice"
        said = f"{options.seconds} s, {stored} lines acknowledged, all stored once; {load.asked} queries, "
        said += f"{load.refused} refusals, {load.junk} rude connections"
        return "; ".join([said, *(watch.end() for watch in watches)])


# What runs, and how many connections and seconds: as said above, and short.
PARTS = {
    "connects": (run_connects, (100_000, 0), (1_800, 0)),
    "idle": (run_idle, (5_000, 45), (200, 2)),
    "mixed": (run_mixed, (0, 600), (0, 5)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=" ".join(PARTS))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--amount", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    asked = parser.parse_args()
    if not set(asked.parts) <= set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    random.seed(asked.seed)
    print(f"seed {asked.seed}", flush=True)
    for name in asked.parts or PARTS:
        run, long, short = PARTS[name]
        amount, seconds = short if asked.short else long
        options = argparse.Namespace(amount=asked.amount or amount, seconds=asked.seconds or seconds, tls=asked.tls)
        print(f"{name}: {run(options)}", flush=True)


if __name__ == "__main__":
    main()
