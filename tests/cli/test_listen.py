"""`iccm listen`: its output for correct and faulty clients, and its limits."""
import json
import re
import signal
import socket
import struct
import subprocess
import unittest

from network_namespace import NetworkNamespace
from services import PROGRAMS, SANITIZER_REPORT, WAIT_S, ProgramGroup, free_port, main, wait_until
from streamable_http import INITIALIZE, Client, legacy, modern, modern_headers



class Listen(ProgramGroup):
    """`with Listen() as it:` runs `iccm listen` on it.port; it.shown() returns its output so far."""

    def __init__(self, *options):
        super().__init__()
        self.program = self.add("iccm-listen", PROGRAMS["iccm"], "listen", *options, "0")

    def __enter__(self):
        self.program.start()
        self.port = int(self.program.wait_for(r"listening on port (\d+)")[1])
        return self

    def __exit__(self, kind, error, trace):
        if self.program.process is not None and error is None:
            self.program.signal(signal.SIGINT)
            assert self.program.wait() == 130
        super().__exit__(kind, error, trace)

    def shown(self):
        return self.program.output()

    def wait_for(self, pattern):
        return self.program.wait_for(pattern)


def iccm(*words):
    return subprocess.run(
        [PROGRAMS["iccm"], *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S
    )


def connected(port):
    conn = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    conn.sendall(
        b"GET /here HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += conn.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return conn


def frame(payload, opcode=1):
    """A frame with a mask of zeros, which does not change the payload."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size) if size < 65536 else None
    return bytes([0x80 | opcode]) + (length or b"\xff" + struct.pack("!Q", size)) + bytes(4) + payload


SECRETS = (
    b"GET /p?token=hunter-2 HTTP/1.1\r\nHost: a\r\naUTHORIZATION: Bearer hunter-2\r\nX-Api-Key:hunter-2\r\nProxy-Authorization: Basic"
    b" hunter-2\r\nSec-WebSocket-Protocol: mcp, mcp.auth.hunter-2,MCP.auth.hunter-2\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Cookie: a=hunter-2\r\nReferer: https://u:hunter-2@a/b?hunter-2\r\n\r\n"
)


def read_to_end(conn):
    data = b""
    try:
        while piece := conn.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


class Shows(unittest.TestCase):
    def test_no_secrets(self):
        """The head as a whole, byte by byte, folded, and incomplete."""
        folded = SECRETS.replace(b"Bearer ", b"Bearer\r\n ")
        with Listen() as it:
            for pieces in [SECRETS], [bytes([byte]) for byte in SECRETS], [folded], [SECRETS[: SECRETS.index(b"-2\r")]]:
                with socket.create_connection(("127.0.0.1", it.port), timeout=WAIT_S) as conn:
                    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for piece in pieces:
                        conn.sendall(piece)
                    conn.shutdown(socket.SHUT_WR)
                    read_to_end(conn)
            it.wait_for(r"(?m)^#4 - disconnected")
            shown = it.shown()
        self.assertNotIn("hunter", shown)
        self.assertEqual(len(re.findall(r"(?mi)^#\d > authorization: \[REDACTED\]$", shown)), 4, shown)
        self.assertIn("#1 > GET /p?[REDACTED] HTTP/1.1\n", shown)
        self.assertIn("#1 > Cookie: [REDACTED]\n", shown)
        self.assertIn("#1 > Referer: https://[REDACTED]@a/b?[REDACTED]\n", shown)
        self.assertIn("#1 > X-Api-Key: [REDACTED]\n", shown)
        self.assertIn("#1 > Sec-WebSocket-Protocol: mcp, mcp.auth.[REDACTED],MCP.auth.[REDACTED]\n", shown)
        self.assertIn("#2 > Sec-WebSocket-Protocol: mcp, mcp.auth.[REDACTED],MCP.auth.[REDACTED]\n", shown)

    def test_a_call(self):
        with Listen() as it:
            run = iccm("call", f"127.0.0.1:{it.port}/path", "anything", "text=größe")
            self.assertEqual((run.returncode, run.stdout), (0, "received\n"), run.stderr)
            it.wait_for(r"^#1 - closed with 1000$")
            shown = it.shown()
        order = (
            "#1 - 127.0.0.1:",
            "#1 > GET /path HTTP/1.1\n",
            "#1 < HTTP/1.1 101 Switching Protocols\n",
            '"method":"initialize"',
            '#1 < {"jsonrpc":"2.0"',
            '"arguments":{"text":"größe"}',
            '"text":"received"',
            "#1 - closed with 1000\n",
        )
        places = [shown.find(each) for each in order]
        self.assertNotIn(-1, places, shown)
        self.assertEqual(places, sorted(places), shown)

    def test_what_the_other_commands_need(self):
        with Listen() as it:
            self.assertEqual(json.loads(iccm("list", "--json", f"127.0.0.1:{it.port}").stdout), [])
            self.assertEqual(iccm("ping", f"127.0.0.1:{it.port}").returncode, 0)
            run = iccm("doctor", f"localhost:{it.port}")
            self.assertEqual((run.returncode, run.stdout.splitlines()[-1]), (0, "no problem found"))

    def test_json(self):
        with Listen("--json") as it:
            self.assertEqual(iccm("ping", f"127.0.0.1:{it.port}").returncode, 0)
            it.wait_for("closed with 1000")
            lines = [json.loads(line) for line in it.shown().splitlines() if not line.startswith("iccm: ")]
        self.assertEqual({tuple(line) for line in lines}, {("guest", "event", "text")})
        self.assertEqual({line["event"] for line in lines}, {"received", "sent", "note"})
        self.assertIn("ping", [json.loads(line["text"]).get("method") for line in lines if line["text"].startswith("{")])

    def test_what_is_wrong(self):
        with Listen() as it, connected(it.port) as conn:
            conn.sendall(frame(b'{"jsonrpc":') + frame(b'{"jsonrpc":"2.0","id":"x","method":"fly"}') + frame(b"[]"))
            it.wait_for(r"^#1 > \{\"jsonrpc\":$")
            it.wait_for(r'^#1 < \{.*"id":null.*-32700')
            it.wait_for(r'^#1 < \{.*"id":"x".*-32601')
            it.wait_for(r'^#1 < \{.*"id":null.*-32600')
            conn.sendall(frame(b"\x00", opcode=2))
            it.wait_for(r"^#1 - violated the WebSocket protocol, closed with 1003")
            self.assertTrue(read_to_end(conn))

    def test_nothing_moves_the_cursor(self):
        with Listen() as it, connected(it.port) as conn:
            conn.sendall(frame(b'"\x1b[2J\xc2\x9b"'))
            it.wait_for(r'^#1 > "\\u001b\[2J\\u009b"$')

    def test_what_is_neither_websocket_nor_a_message(self):
        for sent, status, pattern in (
            (b"GET / HTTP/1.0\r\n\r\n", b"405", "< iccm listen has no pages, sessions or streams"),
            (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", b"415", "refused with 415: unsupported Content-Type"),
            (b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", b"405", "refused with 405"),
            (b"\x16\x03\x01\x00\xff", b"400", "refused with 400"),
        ):
            with self.subTest(sent=sent), Listen() as it:
                with socket.create_connection(("127.0.0.1", it.port), timeout=WAIT_S) as conn:
                    conn.sendall(sent)
                    self.assertTrue(read_to_end(conn).startswith(b"HTTP/1.1 " + status))
                it.wait_for(pattern)

    def test_disconnect_without_a_close_frame(self):
        with Listen() as it:
            connected(it.port).close()
            it.wait_for(r"^#1 - disconnected: closed without a close frame$")


class Http(unittest.TestCase):
    def setUp(self):
        self.it = self.enterContext(Listen())
        self.client = self.enterContext(Client(self.it.port))

    def test_a_call_in_both_eras(self):
        message = modern("tools/call", name="anything", arguments={"text": "größe"})
        status, headers, body = self.client.post(message, modern_headers(message))
        self.assertEqual((status, body["result"]["content"][0]["text"], body["result"]["resultType"]), (200, "received", "complete"))
        self.assertEqual(self.client.post(INITIALIZE)[2]["result"]["protocolVersion"], "2025-11-25")
        status, _, text = self.client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.assertEqual((status, text), (202, ""))
        body = self.client.post(legacy("tools/call", 7, name="anything", arguments={}))[2]
        self.assertEqual((body["id"], body["result"]["content"][0]["text"]), (7, "received"))
        self.it.wait_for("(?s)HTTP/1.1 200 OK.*HTTP/1.1 200 OK.*HTTP/1.1 202 Accepted.*HTTP/1.1 200 OK")
        shown = self.it.shown()
        places = [shown.find(each) for each in ("#1 > POST /mcp HTTP/1.1\n", "#1 > Mcp-Name: anything\n", '"text": "gr', "#1 < HTTP/1.1 200 OK\n",
                                                '"text":"received"', '#1 > {"jsonrpc": "2.0", "id": 0, "method": "initialize"')]  # fmt: skip
        self.assertNotIn(-1, places, shown)
        self.assertEqual(places, sorted(places), shown)
        self.assertNotIn("#2 ", shown)  # one connection

    def test_what_the_other_commands_need(self):
        url = f"http://127.0.0.1:{self.it.port}"
        self.assertEqual(json.loads(iccm("list", "--json", url).stdout), [])
        self.assertEqual(iccm("ping", url).returncode, 0)
        run = iccm("call", url, "anything", "a=1")
        self.assertEqual((run.returncode, run.stdout), (0, "received\n"), run.stderr)
        run = iccm("doctor", f"http://localhost:{self.it.port}")
        self.assertEqual((run.returncode, run.stdout.splitlines()[-1]), (0, "no problem found"), run.stdout)

    def test_what_is_wrong(self):
        message = modern("tools/call", name="anything", arguments={})
        for body, headers, status, code in (
            (message, modern_headers(message, **{"Mcp-Name": None}), 400, -32020),
            (message, {}, 400, -32020),
            (modern("fly"), modern_headers(modern("fly")), 404, -32601),
            (legacy("fly"), {}, 200, -32601),
            ('{"jsonrpc":', {}, 400, -32700),
            ("[]", {}, 400, -32600),
        ):
            got, _, answer = self.client.post(body, headers)
            self.assertEqual((got, answer["error"]["code"]), (status, code), answer)
        status, _, answer = self.client.post(modern("subscriptions/listen", notifications={}), modern_headers(modern("subscriptions/listen")))
        self.assertEqual((status, answer["error"]["message"]), (404, "iccm listen has no subscriptions"))

    def test_requests_in_pieces_and_in_a_row(self):
        one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" \
              b'8\r\n{"jsonrp\r\n1d\r\nc":"2.0","id":1,"method":"pin\r\n3\r\ng"}\r\n0\r\n\r\n'
        for pieces in [2 * one], [bytes([byte]) for byte in one]:
            with socket.create_connection(("127.0.0.1", self.it.port), timeout=WAIT_S) as conn:
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in pieces:
                    conn.sendall(piece)
                conn.shutdown(socket.SHUT_WR)
                self.assertIn(b'"result":{}', conn.recv(65536))

    def test_a_body_that_is_too_large(self):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        for rest in b"Content-Length: 16777217\r\n\r\n1", b"Transfer-Encoding: chunked\r\n\r\n1000001\r\n1":
            with socket.create_connection(("127.0.0.1", self.it.port), timeout=WAIT_S) as conn:
                conn.sendall(head + rest)
                self.assertTrue(conn.recv(12).endswith(b"413"))
        self.it.wait_for("refused with 413: the body is larger than the limit")

    def test_pages_of_browsers(self):
        own = {"Origin": f"http://localhost:{self.it.port}", "Host": f"localhost:{self.it.port}"}
        self.assertEqual(self.client.send("OPTIONS", headers=own).status, 204)
        self.client.conn.close()
        self.assertEqual(self.client.post(legacy("ping"), own)[1]["Access-Control-Allow-Origin"], own["Origin"])
        refused = self.client.post(legacy("ping"), own | {"Content-Type": "text/plain"})
        self.assertEqual((refused[0], refused[1]["Access-Control-Allow-Origin"]), (415, own["Origin"]))
        refused = self.client.post(legacy("ping"), own | {"Origin": "http://evil.example"})
        self.assertEqual((refused[0], refused[1]["Access-Control-Allow-Origin"]), (403, None))


class Limits(unittest.TestCase):
    def test_a_long_message_is_cut_where_it_is_shown(self):
        with Listen() as it, connected(it.port) as conn:
            conn.sendall(frame(b'"' + 65534 * b"x" + b'"'))
            it.wait_for(r'^#1 > "x{65534}"$')
            conn.sendall(frame(b'"' + 65535 * b"x" + b'"'))
            it.wait_for(r'^#1 > "x{65535}… \(65537 bytes in all\)$')

    def test_a_message_that_is_too_large(self):
        with Listen() as it, connected(it.port) as conn:
            conn.sendall(frame(b"1" * ((16 << 20) + 1))[:100])
            it.wait_for(r"closed with 1009")

    def test_answers_that_are_not_taken(self):
        with Listen() as it, connected(it.port) as conn:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            message = frame(json.dumps({"jsonrpc": "2.0", "id": "x" * 500_000, "method": "ping"}).encode())
            try:
                for _ in range(100):
                    conn.sendall(message)
            except OSError:
                pass  # it has closed
            it.wait_for(r"^#1 - closed by the server: the client does not read its responses")
            self.assertEqual(iccm("ping", f"127.0.0.1:{it.port}").returncode, 0)

    def test_pages_of_browsers(self):
        """The Origin check is that of a server."""
        upgrade = SECRETS.replace(b"Host: a", b"Host: %s\r\nOrigin: %s")
        cases = ((b"localhost:1", b"https://evil.example", b"403"), (b"evil.example", b"http://evil.example", b"403"),
                 (b"localhost:1", b"http://localhost:1", b"101"))  # fmt: skip
        with Listen() as it:
            for host, origin, status in cases:
                with socket.create_connection(("127.0.0.1", it.port), timeout=WAIT_S) as conn:
                    conn.sendall(upgrade % (host, origin))
                    self.assertEqual(conn.recv(12)[9:], status, origin)
            it.wait_for(r"(?m)^#2 - refused with 403: .*ICCM_ALLOWED_HOSTS")
            self.assertRegex(it.shown(), r"(?m)^#1 - refused with 403: .*ICCM_ALLOWED_ORIGINS")

    def test_too_many_connections(self):
        with Listen() as it:
            conns = [connected(it.port) for _ in range(64)]
            with socket.create_connection(("127.0.0.1", it.port), timeout=WAIT_S) as conn:
                self.assertTrue(read_to_end(conn).startswith(b"HTTP/1.1 503 "))
            conns.pop().close()
            it.wait_for("^#64 - disconnected")
            wait_until(lambda: iccm("ping", f"127.0.0.1:{it.port}").returncode == 0, "a place is free again")
            for conn in conns:
                conn.close()

    def test_a_public_address_is_refused(self):
        with NetworkNamespace() as other, Listen() as it:
            other.addresses("203.0.113.1/24", "203.0.113.2/24")
            run = other.run(PROGRAMS["iccm"], "ping", f"203.0.113.1:{it.port}")
            self.assertEqual(run.returncode, 3, run.stderr)
            it.wait_for("refused with 403")


class Usage(unittest.TestCase):
    def expect_usage(self, pattern, *words):
        run = iccm("listen", "--json", *words)
        self.assertEqual((run.returncode, json.loads(run.stdout)["error"]["exit_code"]), (1, 1), run.stderr)
        self.assertRegex(run.stderr, pattern)
        self.assertFalse(SANITIZER_REPORT.search(run.stderr))

    def test_ports(self):
        for word in ("x", "-1", "65536", "90 0", ""):
            self.expect_usage("0 to 65535|is not an option", word)
        self.expect_usage("too many arguments", "9000", "9001")

    def test_a_port_in_use(self):
        with socket.create_server(("0.0.0.0", 0)) as taken:
            self.expect_usage(r"cannot listen on port \d+: address already in use", str(taken.getsockname()[1]))

    def test_output_that_is_not_read_or_cannot_be_written(self):
        for target, code, words in (("| true", 0, r"\A\Z"), ("> /dev/full", 1, "iccm: cannot write standard output: No space left")):
            shell = ["bash", "-o", "pipefail", "-c", f'timeout {WAIT_S} "$0" listen 0 {target}', PROGRAMS["iccm"]]
            with subprocess.Popen(shell, stderr=subprocess.PIPE, text=True) as run:
                port = int(run.stderr.readline().split("port ")[1].split()[0])
                iccm("ping", f"127.0.0.1:{port}")
                self.assertEqual(run.wait(WAIT_S), code)
                self.assertRegex(run.stderr.read(), words)

    def test_by_number(self):
        port = free_port()
        with ProgramGroup() as place:
            program = place.add("iccm-listen", PROGRAMS["iccm"], "listen", port).start()
            self.assertEqual(program.wait_for(r"listening on port (\d+) on all addresses")[1], str(port))
            self.assertEqual(iccm("ping", f"127.0.0.1:{port}").returncode, 0)
            self.assertTrue(re.search("^#1 ", program.output(), re.M))
            program.signal(signal.SIGINT)
            self.assertEqual(program.wait(), 130)


if __name__ == "__main__":
    main()
