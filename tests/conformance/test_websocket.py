"""The WebSocket layer, in both roles, against the cases of the Autobahn testsuite: tests/data/websocket.jsonl, and
its group 9 of sizes, which is made here.

Each case is a list of steps played over a raw socket with frames of this program's own making; what comes back is taken
apart, compared with what the case accepts, and the close with the codes that it names. The peers are ws_echo, which is the
layer by itself, and whole MCP servers and clients, against which all cases with text alone can be played. Verdicts: OK,
non-strict (allowed, but not what the case hopes for), informational (the standard leaves it open), failed. A case that is
anything but OK is printed with what happened, and fails the test unless NAMED has it with the same verdict and a reason.

Every wait ends as soon as its event has occurred; only the `wait` steps of the cases take their time. A peer that
says nothing at all fails after the limit of all tests (services.WAIT_S).

By hand: PYTHONPATH=tests/lib TEST_BUILD=build-asan /usr/bin/python3 tests/conformance/test_websocket.py
"""
import base64
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import os
import socket
import struct
import subprocess
import time
import unittest

from services import BUILD, PROGRAMS, SANITIZER_REPORT, SOURCE, WAIT_S, ProgramGroup, main

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
AT_ONCE = 8
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

NAMED = {
    "7.1.6": ("informational", "how much is still echoed before a close is the peer's choice; here all of it"),
    "7.13.1": ("informational", "whether close code 5000 is an error is left open; here it is"),
    "7.13.2": ("informational", "whether close code 65535 is an error is left open; here it is"),
}


class Broken(Exception):
    """The peer sent what no case accepts."""


# ---- frames


def xor(data, mask):
    key = (mask * (len(data) // 4 + 1))[: len(data)]
    number = int.from_bytes(data, "little") ^ int.from_bytes(key, "little")
    return number.to_bytes(len(data), "little")


def length_of(size, masked):
    bit = 0x80 if masked else 0
    if size < 126:
        return bytes([bit | size])
    return struct.pack(">BH", bit | 126, size) if size < 65536 else struct.pack(">BQ", bit | 127, size)


class Wire:
    """One upgraded connection. As a client it masks what it sends and takes only what is not masked, and the reverse."""

    def __init__(self, link, is_client, headers, rest):
        self.link, self.is_client, self.headers, self.input = link, is_client, headers, bytearray(rest)
        self.events, self.close, self.ended = [], None, False
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def frame(self, op, payload=b"", fin=True, rsv=0):
        head = bytes([(0x80 if fin else 0) | rsv << 4 | op]) + length_of(len(payload), self.is_client)
        if not self.is_client:
            return head + payload
        mask = os.urandom(4)
        return head + mask + xor(payload, mask)

    def message(self, binary, payload, fragment=None):
        size = fragment or max(1, len(payload))
        pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        ops = [BINARY if binary else TEXT] + [CONTINUED] * (len(pieces) - 1)
        last = len(pieces) - 1
        return b"".join(self.frame(op, piece, i == last) for i, (op, piece) in enumerate(zip(ops, pieces)))

    def send(self, data, chop=None):
        """A peer that has closed may be gone: what it said before counts."""
        self.link.settimeout(WAIT_S)
        try:
            for at in range(0, len(data), chop or len(data) or 1):
                self.link.sendall(data[at : at + chop] if chop else data)
        except ConnectionError:
            pass

    def listen(self, seconds=WAIT_S, count=None):
        """Until the connection has ended, or so many events have come, or the time is over."""
        deadline = time.monotonic() + seconds
        while not self.ended and (count is None or len(self.events) < count):
            try:
                self.link.settimeout(max(0.001, deadline - time.monotonic()))
                piece = self.link.recv(1 << 16)
            except socket.timeout:
                return
            except ConnectionError as error:
                raise Broken(f"the connection broke: {error}") from None
            self.ended = piece == b""
            self.input += piece
            while self.take_frame():
                pass
        if self.ended and self.input:
            raise Broken(f"{len(self.input)} bytes of a frame, then the end")

    def take_frame(self):
        data = self.input
        if len(data) < 2:
            return False
        size, at = data[1] & 127, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(data) < at:
                return False
            size = int.from_bytes(data[2:at], "big")
        masked = data[1] & 0x80 != 0
        begin = at + (4 if masked else 0)
        if len(data) < begin + size:
            return False
        if masked == self.is_client or len(length_of(size, masked)) != at - 1:
            raise Broken("a frame's mask or the form of its length is wrong")
        payload = bytes(data[begin : begin + size])
        self.event(data[0], xor(payload, bytes(data[at:begin])) if masked else payload)
        del data[: begin + size]
        return True

    def event(self, first, payload):
        if self.close is not None:
            raise Broken("something came behind the close")
        if first in (0x80 | TEXT, 0x80 | BINARY):
            self.events.append(("message", payload, "text" if first & 15 == TEXT else "bin"))
        elif first == 0x80 | PONG:
            self.events.append(("pong", payload))
        elif first == 0x80 | CLOSE and len(payload) != 1:
            self.close = struct.unpack(">H", payload[:2])[0] if payload else 0  # 0: without a code
        else:
            raise Broken(f"a frame that begins with {first:#x}")


# ---- cases


def repeated(text, size):
    pattern = bytes.fromhex(text.removesuffix(".."))
    return (pattern * (size // max(1, len(pattern)) + 1))[:size]


def expected(outcome):
    """An outcome of the data as the events of a Wire."""
    for kind, *rest in outcome:
        if kind == "message":
            yield kind, repeated(rest[0], rest[1]), rest[2]
        else:
            yield kind, rest[0] if kind == "timeout" else bytes.fromhex(rest[0])


def from_data():
    cases = [json.loads(line) for line in (SOURCE / "tests/data/websocket.jsonl").read_text().splitlines()]
    by_id = {case["id"]: case for case in cases}
    for case in cases:
        for kind, step in case["send"]:
            if "len" in step:
                step["payload"] = repeated(step["hex"], step["len"])
        case["accept"] = {verdict: list(expected(outcome)) for verdict, outcome in case["accept"].items()}
    for whole, fragments in (("6.4.3", "6.4.1"), ("6.4.4", "6.4.2")):  # the same, inside one frame that is never complete
        parts = [step["payload"] for kind, step in by_id[fragments]["send"] if kind == "frame"]
        by_id[whole]["send"] = [["parts", {"parts": parts, "s": 1}]]
    big = by_id["7.1.6"]["send"][0][1]["payload"]  # the case hopes for the small one alone
    by_id["7.1.6"]["accept"] = {"OK": [("message", big, "text")] + by_id["7.1.6"]["accept"]["OK"]}
    return cases


def content(binary, size):
    """No two places are equal, and it has characters of all lengths; a text ends with a complete character."""
    if binary:
        return b"".join(struct.pack(">I", i * 2654435761 & 0xFFFFFFFF) for i in range((size + 3) // 4))[:size]
    line = "".join(f"{i:x} \u00e4\u20ac\U0001f600 " for i in range(min(size, 100000) // 10 + 1)).encode()
    return (line * (size // len(line) + 1))[:size].decode(errors="ignore").encode().ljust(size, b".")


def echoed(number, binary, payloads, **how):
    """A case of messages, each of which is sent when the one before has come back."""
    kind = "bin" if binary else "text"
    steps = []
    for i, payload in enumerate(payloads, 1):
        steps += [["message", {"bin": binary, "payload": payload} | how], ["until", {"count": i}]]
    return {
        "id": number,
        "send": [*steps, ["close", {"code": 1000, "reason_hex": None}]],
        "accept": {"OK": [("message", payload, kind) for payload in payloads]},
        "close": {"by": "tester", "codes": [1000]},
    }


def group_9():
    """One function for each case: together they are too large to be kept."""
    kib, mib = 1 << 10, 1 << 20
    for binary in (False, True):
        for i, size in enumerate((64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib), 1):
            yield lambda n=f"9.{1 + binary}.{i}", b=binary, s=size: echoed(n, b, [content(b, s)])
        for i, size in enumerate((64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib), 1):
            yield lambda n=f"9.{3 + binary}.{i}", b=binary, s=size: echoed(n, b, [content(b, 4 * mib)], fragment=s)
        for i, size in enumerate((64, 128, 256, 512, kib, 2 * kib), 1):
            yield lambda n=f"9.{5 + binary}.{i}", b=binary, s=size: echoed(n, b, [content(b, mib)], chop=s)
        for i, size in enumerate((0, 16, 64, kib, 4 * kib, 16 * kib), 1):
            yield lambda n=f"9.{7 + binary}.{i}", b=binary, s=size: echoed(n, b, [content(b, s)] * 1000)


# ---- playing them


class Play:
    """One case over one wire."""

    def __init__(self, case, wire):
        self.case, self.wire, self.pending = case, wire, b""
        self.logs_timeouts = any(event[0] == "timeout" for event in case["accept"]["OK"])

    def flush(self):
        self.wire.send(self.pending)
        self.pending = b""

    def put(self, data, chop=None, sync=False):
        """Frames travel together where the case does not say otherwise."""
        if chop:
            self.flush()
            self.wire.send(data, chop)
            return
        self.pending += data
        if sync:
            self.flush()

    def frame(self, step):
        self.put(self.wire.frame(step["op"], step["payload"], step["fin"], step["rsv"]), step["chop"], step["sync"])

    def message(self, step):
        self.put(self.wire.message(step["bin"], step["payload"], step.get("fragment")), step.get("chop"))

    def until(self, step):
        self.flush()
        self.wire.listen(count=step["count"])

    def fail_after(self, step):
        """What is hoped for ends the wait; where the peer has to close, that."""
        closes_later = self.case["send"][-1][0] == "close"
        self.until({"count": len(self.case["accept"]["OK"]) if closes_later else None})

    def wait(self, step, last=False):
        self.flush()
        self.wire.listen(WAIT_S / 4 if last else step["s"])
        if self.logs_timeouts and not self.wire.ended:
            count = sum(event[0] == "timeout" for event in self.wire.events)
            self.wire.events.append(("timeout", "AB"[count]))

    def parts(self, step):
        first, second = step["parts"]
        raw = self.wire.frame(TEXT, first + second + b"tail")  # which is never sent
        cut = len(raw) - 4 - len(second)
        self.wire.send(raw[:cut])
        self.wait(step)
        self.wire.send(raw[cut:-4])
        self.wait(step, last=True)

    def close(self, step):
        code = b"" if step["code"] is None else struct.pack(">H", step["code"])
        self.put(self.wire.frame(CLOSE, code + bytes.fromhex(step["reason_hex"] or "")))

    def run(self):
        """The verdict, and why."""
        steps = self.case["send"]
        try:
            for i, (kind, step) in enumerate(steps, 1):
                if kind == "wait":
                    self.wait(step, last=self.logs_timeouts and i == len(steps))
                else:
                    getattr(self, kind)(step)
            self.flush()
            self.wire.listen()
        except Broken as problem:
            return "failed", str(problem)
        return self.judge()

    def judge(self):
        wire, codes = self.wire, self.case["close"]["codes"]
        if not wire.ended:
            return "failed", "it did not end the connection"
        if wire.close is None:
            return "failed", "it ended the connection without a close"
        without = any(kind == "close" and step["code"] is None for kind, step in self.case["send"])
        if wire.close not in codes and not (without and wire.close == 0):
            return "failed", f"it closed with {wire.close}, not one of {codes}"
        for verdict, outcome in self.case["accept"].items():
            if wire.events == outcome:
                informational = NAMED.get(self.case["id"], ("",))[0] == "informational"
                return ("informational", f"closed with {wire.close}") if informational else (verdict, "")
        return "failed", f"it answered {brief(wire.events)}, not {brief(self.case['accept']['OK'])}"


def brief(events):
    return [(event[0], event[1][:20], len(event[1])) for event in events[:12]]


# ---- the roles


def read_head(link):
    link.settimeout(WAIT_S)
    raw = b""
    while b"\r\n\r\n" not in raw:
        piece = link.recv(65536)
        if not piece:
            raise Broken(f"the end inside of {raw!r}")
        raw += piece
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, rest


def accept_of(key):
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


@contextlib.contextmanager
def as_client(port):
    """A wire to a server; compression is offered each time."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as link:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET / HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", OFFER]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        link.sendall("\r\n".join(lines).encode())
        first, headers, rest = read_head(link)
        if not first.startswith("HTTP/1.1 101 ") or headers.get("sec-websocket-accept") != accept_of(key):
            raise Broken(f"it answered {first}")
        yield Wire(link, True, headers, rest)


@contextlib.contextmanager
def as_server(listener, *lines):
    """A wire to the client that connects next; lines are further ones of the answer."""
    with listener.accept()[0] as link:
        _, headers, rest = read_head(link)
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        answer += [f"Sec-WebSocket-Accept: {accept_of(headers['sec-websocket-key'])}", *lines, "", ""]
        link.sendall("\r\n".join(answer).encode())
        yield Wire(link, False, headers, rest)


def listening():
    listener = socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE)
    listener.settimeout(WAIT_S)
    return listener, listener.getsockname()[1]


def textual(answer):
    """The cases without binary, which MCP closes with 1003; answer is what comes back for a text, whatever it is."""
    for case in from_data():
        for outcome in case["accept"].values():
            outcome[:] = [again for event in outcome for again in (answer if event[0] == "message" else [event])]
        if all(step.get("op") != BINARY for _, step in case["send"]):
            yield case


class Role:
    """Plays all cases; each subclass defines the peer, and how a connection with it is made."""

    role, count = None, 301
    program = BUILD / "tests/conformance/ws_echo"

    def setUp(self):
        self.place = self.enterContext(ProgramGroup())
        self.start()

    def cases(self):
        return [*from_data(), *group_9()]

    def play(self, case):
        case = case() if callable(case) else case
        try:
            with self.connection() as wire:
                return case["id"], *Play(case, wire).run()
        except (Broken, OSError) as problem:
            return case["id"], "failed", repr(problem)

    def test_every_case(self):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(self.play, self.cases()))
        self.assertEqual(len({number for number, _, _ in results}), self.count)
        for number, verdict, what in results:
            if verdict != "OK":
                reason = NAMED.get(number, ("", "not named"))[1]
                print(f"{self.role}, {number}: {verdict.lower()}: {what} ({reason})")
        totals = collections.Counter(verdict for _, verdict, _ in results)
        counts = (f"{totals[verdict]} {verdict}" for verdict in ("OK", "NON-STRICT", "informational", "failed"))
        print(f"{self.role}: {', '.join(counts)}", flush=True)
        named = {number: verdict for number, (verdict, _) in NAMED.items()}
        self.assertEqual({number: verdict for number, verdict, _ in results if verdict != "OK"}, named)


class AsServer(Role, unittest.TestCase):
    """ws_echo as a server."""

    role = "as server"

    def start(self):
        self.port = self.place.add("ws_echo", self.program).start().port()

    def connection(self):
        return as_client(self.port)

    def test_compression_is_declined(self):
        with self.connection() as wire:
            self.assertNotIn("sec-websocket-extensions", wire.headers)
            wire.send(wire.frame(TEXT, b"plain") + wire.frame(TEXT, b"\xcaH\xcd\xc9\xc9\x07\x00", rsv=4))
            wire.listen()
        self.assertEqual((wire.events, wire.close), ([("message", b"plain", "text")], 1002))


class AsClient(Role, unittest.TestCase):
    """ws_echo as a client, which connects again and again."""

    role = "as client"

    def start(self):
        self.listener, port = listening()
        self.addCleanup(self.listener.close)
        self.place.add("ws_echo", self.program, port, AT_ONCE).start()

    def connection(self, *lines):
        return as_server(self.listener, *lines)

    def test_compression_is_neither_offered_nor_taken(self):
        with self.connection(OFFER.split(";")[0]) as wire:
            self.assertNotIn("sec-websocket-extensions", wire.headers)
            wire.send(wire.frame(TEXT, b"plain"))
            with contextlib.suppress(Broken):  # a reset, where the frame came before the client had gone, is an end, too
                wire.listen()
                self.assertTrue(wire.ended)
        self.assertEqual(wire.events, [])


class AsMcpServer(Role, unittest.TestCase):
    """A whole MCP server, which answers every text with the same error: it is not JSON."""

    role, count = "as MCP server", 237

    def start(self):
        self.port = self.place.add("echo", PROGRAMS["echo"], 0).start().port()

    def connection(self):
        return as_client(self.port)

    def cases(self):
        with self.connection() as wire:
            wire.send(wire.frame(TEXT, b"no JSON"))
            wire.listen(count=1)
        return textual(wire.events)


class AsMcpClient(Role, unittest.TestCase):
    """A whole MCP client, a new one for each case, which answers no text: its own initialize is what it waits for."""

    role, count = "as MCP client", 237

    def start(self):
        pass

    def cases(self):
        return textual([])

    @contextlib.contextmanager
    def connection(self):
        listener, port = listening()
        command = ["setpriv", "--pdeathsig", "KILL", PROGRAMS["iccm"], "list", f"127.0.0.1:{port}"]
        with listener, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as client:
            with as_server(listener) as wire:
                wire.listen(count=1)
                wire.events.clear()
                yield wire
            listener.close()  # it may try again
            said = client.communicate(timeout=WAIT_S)[1]
        if client.returncode <= 0 or SANITIZER_REPORT.search(said):
            raise Broken(f"the client ended with {client.returncode}: {said}")


if __name__ == "__main__":
    main()
