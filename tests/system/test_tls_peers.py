"""Malicious and misconfigured TLS peers: each affects its own connection only, and gets an error where one can be sent.
"""
import json
import os
import re
import signal
import socket
import ssl
import struct
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from caller import tool_call
from services import (
    ATTEMPTS,
    PROGRAMS,
    WAIT_S,
    ProgramGroup,
    SingleServer,
    growing_timeout,
    main,
    request_head,
    run_program,
    wait_until,
)
from tls_peer import MIB, TlsPeer, text_frame

RECORD = {"change_cipher_spec": 20, "alert": 21, "handshake": 22}
TLS_1_0 = 0x0301  # what the first records of all versions say


def record(kind, body):
    return struct.pack("!BHH", RECORD[kind], TLS_1_0, len(body)) + body


class Case(unittest.TestCase):
    program, arguments = "echo", ("0",)

    def setUp(self):
        place = self.enterContext(ProgramGroup())
        self.directory = place.directory
        made = run_program([PROGRAMS["certificates"], self.directory])
        self.assertEqual(made.returncode, 0, made.stderr)
        self.context = ssl.create_default_context(cafile=self.directory / "ca.pem")
        settings = {"ICCM_TLS_CERT": self.directory / "good.pem", "ICCM_TLS_KEY": self.directory / "key.pem"}
        self.server = self.enterContext(SingleServer(self.program, *self.arguments, **settings))

    def peer(self):
        return self.enterContext(TlsPeer(self.server.port, self.context))

    def hello(self):
        outgoing = ssl.MemoryBIO()
        try:
            self.context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
        except ssl.SSLWantReadError:
            return outgoing.read()

    def ask(self, text='{"a":1}', name="echo"):
        """One call by a peer that nothing is wrong with."""
        with TlsPeer(self.server.port, self.context) as peer:
            peer.handshake().upgrade().send(text_frame(json.dumps(tool_call(1, name, **json.loads(text)))))
            self.assertIn(b'"result"', peer.read(b'"id":1'))


class Ends(Case):
    """A peer that says with its last request that nothing follows gets the answer, as it would in clear."""

    def test_close_notify_behind_a_request(self):
        peer = self.peer().handshake()
        peer.tls.write(request_head(1, "localhost", "/healthz"))
        peer.end()
        peer.flush()
        self.assertIn(b"alive", peer.read())

    def test_close_notify_behind_a_call(self):
        peer = self.peer().handshake().upgrade()
        peer.tls.write(text_frame(json.dumps(tool_call(7, "echo", text="last"))))
        peer.end()
        peer.flush()
        self.assertIn(b"last", peer.read())


class Floods(Case):
    """What would keep a server busy, or its memory, ends the connection or passes by."""

    def flood(self, first, piece, count):
        """Sends it as fast as it is taken, and answers what the server said until it closed."""
        peer = self.peer()
        try:
            peer.socket.sendall(first)
            for _ in range(count):
                peer.socket.sendall(piece)
        except ConnectionError:
            pass
        peer.socket.settimeout(WAIT_S)
        while peer.receive():
            pass
        return peer.incoming.read()

    def test_in_the_handshake(self):
        hello = self.hello()
        large = struct.pack("!BBH", 1, 0xFF, 0xFFFF)  # a ClientHello of 16 MiB begins
        before = self.memory()
        for what, first, piece in (
            ("empty records", b"", 100 * record("handshake", b"")),
            ("empty records behind a hello", hello, 100 * record("handshake", b"")),
            ("warnings", hello, 100 * record("alert", b"\x01\x5a")),
            ("warnings first", b"", 100 * record("alert", b"\x01\x5a")),
            ("change cipher spec", hello, 100 * record("change_cipher_spec", b"\x01")),
            ("an endless hello", record("handshake", large), 10 * record("handshake", b"x" * 16384)),
            ("a certificate without content", hello, 10 * record("handshake", b"\x0b\xff\xff\xff" + b"x" * 16380)),
        ):
            with self.subTest(what):
                said = self.flood(first, piece, 100)
                self.ask()
                self.assertLess(len(said), 8192)
        self.assertLess(self.memory() - before, 64 * MIB)

    def memory(self):
        with open(f"/proc/{self.server.program.process.pid}/statm") as pages:
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def test_byte_by_byte(self):
        peer = self.peer().handshake(1).upgrade()
        peer.send(text_frame(json.dumps(tool_call(1, "echo", text="slow"))), 1)
        self.assertIn(b"slow", peer.read(b'"id":1'))

    def test_behind_the_end(self):
        peer = self.peer().handshake().upgrade()
        peer.end()
        peer.flush()
        peer.socket.sendall(b"\x17\x03\x03\x40\x00" + b"x" * 16384)
        peer.read()
        self.ask()

    def test_junk_behind_the_upgrade(self):
        peer = self.peer().handshake().upgrade()
        peer.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        peer.read()
        self.server.program.wait_for(
            r"WARN  echo: closed 127\.0\.0\.1:\d+ for a TLS error: TLS failed: (wrong version number|record layer failure)"
        )

    def test_two_requests_at_once(self):
        peer = self.peer().handshake()
        peer.send(request_head(1, "localhost", "/healthz") + 2 * request_head(1, "localhost", "/healthz", "Connection: close"))
        self.assertEqual(peer.read().count(b"HTTP/1.1 "), 2)  # nothing behind the one that closes


class Lives(Case):
    def test_stops_amid_handshakes(self):
        """At each stage of the handshake; a silent peer does not keep its place for the 5 s of the timeout."""
        self.assertTrue(any(self.stop_amid_handshakes() < 3 for _ in range(ATTEMPTS)))

    def stop_amid_handshakes(self):
        """Answers how long it took."""
        hello = self.hello()
        for said in (b"", hello[:50], hello, hello + b"\x14\x03\x03\x00\x01\x01"):
            self.peer().socket.sendall(said)
        self.peer().handshake()
        self.peer().handshake().send(b"GET / HT")
        self.peer().handshake().upgrade()
        self.ask()
        began = time.monotonic()
        self.server.program.stop()
        took = time.monotonic() - began
        self.server.__enter__()
        return took

    def test_hangups_under_load(self):
        """The certificate changes while connections come and go: none of them notices."""
        over = threading.Event()

        def ask_on():
            self.ask()
            while not over.is_set():
                self.ask()

        with ThreadPoolExecutor(3) as pool:
            askers = [pool.submit(ask_on) for _ in range(3)]
            try:
                for number in range(30):
                    self.server.program.signal(signal.SIGHUP)
                    wait_until(lambda: self.told("certificate reloaded") > number, "the certificate is read again")
            finally:
                over.set()
            for asker in askers:
                asker.result()

    def told(self, words):
        return len(re.findall(words, self.server.program.output()))

    def test_hangups_without_files(self):
        """Gone, empty, a directory: the server logs it and continues with the old files."""
        cert, key = self.directory / "good.pem", self.directory / "key.pem"
        for path in cert, key:
            kept = path.read_bytes()
            for spoil in path.unlink, path.touch, lambda: (path.unlink(), path.mkdir()):
                words = f"ERROR .*cannot reload the certificate, keeping the old one.*{path.name}"
                told = self.told(words)
                spoil()
                self.server.program.signal(signal.SIGHUP)
                wait_until(lambda: self.told(words) > told, "it is logged")
                self.ask()
            path.rmdir()
            path.write_bytes(kept)


class SlowReaders(Case):
    program = "slow_server"

    def test_answers_that_nobody_takes(self):
        """More than 32 MiB of them at once: closed, with a close frame that the peer gets if it reads in time."""
        peer = growing_timeout(1.5, self.ask_all, bool)
        self.server.program.wait_for("answers are not being read")
        peer.socket.settimeout(WAIT_S)
        said = peer.read()
        self.assertGreater(len(said), 32 * MIB)
        self.assertIn(struct.pack("!H", 1008) + b"answers are not being read", said[-200:])


    def ask_all(self, seconds):
        """A peer that has sent all calls before the first is answered; None: so many seconds were not enough."""
        peer, ends, text = self.peer().handshake().upgrade(), time.monotonic() + seconds, "z" * MIB
        try:
            for number in range(50):
                peer.socket.settimeout(max(0.001, ends - time.monotonic()))
                peer.send(text_frame(json.dumps(tool_call(number, "later", ms=int(seconds * 1000), text=text))))
            return peer
        except TimeoutError:
            peer.socket.close()
            return None


class Servers(Case):
    """Malicious servers: their clients get an error in time."""

    def serve(self, play, certificate="good.pem"):
        """Plays it with each connection that comes; answers the port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / certificate, self.directory / "key.pem")
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            with listener:
                while True:
                    try:
                        link = listener.accept()[0]
                    except OSError:
                        return
                    try:
                        with link:
                            play(link, context)
                    except (OSError, ValueError):
                        pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        return listener.getsockname()[1]

    def call(self, port):
        """Exit code and words of a client that calls."""
        command = [PROGRAMS["iccm"], "--json", "call", f"wss://localhost:{port}", "echo"]
        run = run_program(command, env={"ICCM_TLS_CA": str(self.directory / "ca.pem")})
        return run.returncode, json.loads(run.stdout)["error"]["message"]

    def expect_failure(self, play, words, **options):
        code, said = self.call(self.serve(play, **options))
        self.assertEqual(code, 2, said)
        self.assertRegex(said, words)

    @staticmethod
    def shake_and(act):
        """What plays the handshake, then this with the secured socket."""

        def play(link, context):
            link.settimeout(WAIT_S)
            with context.wrap_socket(link, server_side=True) as secured:
                act(secured)

        return play

    def test_a_chain_of_200_kb(self):
        between = (self.directory / "good.pem").read_text().split("-----END CERTIFICATE-----\n")[1]
        with open(self.directory / "good.pem") as good, open(self.directory / "chain.pem", "w") as chain:
            chain.write(good.read() + 500 * (between + "-----END CERTIFICATE-----\n"))
        play = self.shake_and(lambda secured: None)
        self.expect_failure(play, "TLS failed: excessive message size", certificate="chain.pem")

    def test_resets_in_the_handshake(self):
        def play(link, _):
            link.recv(1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        self.expect_failure(play, "reset")

    def test_junk_behind_the_handshake(self):
        def act(secured):
            secured.recv(MIB)
            os.write(secured.fileno(), b"\xff" * 3000)
            secured.recv(MIB)

        self.expect_failure(self.shake_and(act), "TLS failed: (wrong version number|record layer failure)")

    def test_ends_behind_the_handshake(self):
        self.expect_failure(self.shake_and(lambda secured: secured.unwrap()), "closed the connection")

    def test_a_log_that_hangs_in_the_handshake(self):
        """Its component still ends, and without a fault."""
        settings = {"LOGGING_ENABLED": "true", "ICCM_TLS_CA": self.directory / "ca.pem"}
        with socket.create_server(("127.0.0.1", 0)) as godot:
            godot.settimeout(WAIT_S)
            url = f"wss://127.0.0.1:{godot.getsockname()[1]}"
            with SingleServer("echo", "0", GODOT_URL=url, **settings) as component:
                with godot.accept()[0] as link:
                    self.assertTrue(link.recv(1))
                    component.program.stop()

    def test_floods(self):
        """Of empty records, warnings, and a message that never ends."""
        endless = record("handshake", b"\x02\xff\xff\xff" + bytes(9000))
        for what in record("handshake", b""), record("alert", b"\x01\x5a"), endless:

            def play(link, _, piece=100 * what):
                link.recv(MIB)
                while True:
                    link.sendall(piece)

            with self.subTest(what[:9]):
                self.expect_failure(play, "TLS failed: ")


if __name__ == "__main__":
    main()
