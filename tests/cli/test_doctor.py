"""`iccm doctor` against real faulty set-ups: each fault has its own text, name and exit code, and is found in time.

Every set-up is examined twice in parallel, as text and with --json; both reports must agree.
"""
import asyncio
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import websockets

from network_namespace import NetworkNamespace, has_ipv6
from fake_server import DISCONNECT, NO_RESPONSE, Response, FakeServer, mcp, plain_http, read_frame, silent, text_result, upgrade
from services import PROGRAMS, SANITIZER_REPORT, WAIT_S, SingleServer, System, free_port, growing_timeout, main

OK, USAGE, PROTOCOL, REFUSED, UNREACHABLE, TIMEOUT = 0, 1, 2, 3, 4, 6
WEBSOCKET_STAGES = ["name", "connect", "tls", "upgrade", "initialize", "tools/list", "pings", "large message", "bad JSON"]
HTTP_STAGES = ["name", "connect", "tls", "discover", "initialize", "tools/list", "stream", "large message", "bad JSON"]
STDIO_STAGES = ["start", "discover", "initialize", "tools/list", "bad JSON", "end of input"]
NAME = "server.iccm.test"
OUTSIDE, INSIDE, NOBODY = "10.231.78.1", "10.231.78.2", "10.231.78.9"
OUTSIDE_6, INSIDE_6 = "fd5c:1ccd:78::1", "fd5c:1ccd:78::2"


class Report:
    """The output of both runs."""

    def __init__(self, text, code, report, seconds):
        self.text, self.code, self.seconds = text, code, seconds
        self.findings = report["findings"]
        self.report = report
        self.bad = [each for each in self.findings if each["verdict"] != "ok"]
        self.names = [each["name"] for each in self.bad]

    def finding(self, name):
        return next(each for each in self.bad if each["name"] == name)


class Case(unittest.TestCase):
    def examine(self, url, *options, within=(), env=None, arguments=None):
        """arguments: url is a program, with these arguments."""
        target = [url] if arguments is None else ["--stdio", url, *arguments]
        stages = STDIO_STAGES if arguments is not None else HTTP_STAGES if url.startswith("http") else WEBSOCKET_STAGES
        began = time.monotonic()
        runs = [
            subprocess.Popen(
                [*within, "setpriv", "--pdeathsig", "KILL", PROGRAMS["iccm"], "doctor", *map(str, options), *more, *target],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=None if env is None else os.environ | env,
            )
            for more in ((), ("--json",))
        ]
        try:
            (text, problem), (report, problem_2) = [run.communicate(timeout=WAIT_S) for run in runs]
        finally:
            for run in runs:
                run.kill()
        self.assertEqual(problem + problem_2, "")
        self.assertFalse(SANITIZER_REPORT.search(text + report))
        self.assertEqual(runs[0].returncode, runs[1].returncode, text + report)
        return self.check(Report(text, runs[0].returncode, json.loads(report), time.monotonic() - began), url, stages)

    def check(self, report, url, stages):
        """Checks what every report must fulfil."""
        self.assertEqual((report.report["url"], report.report["exit_code"]), (url, report.code))
        count = {verdict: sum(each["verdict"] == verdict for each in report.findings) for verdict in ("failed", "warning")}
        self.assertEqual((report.report["problems"], report.report["warnings"]), tuple(count.values()))
        self.assertEqual(report.code != OK, count["failed"] > 0, report.text)
        order = [stages.index(each["stage"]) for each in report.findings]
        self.assertEqual(order, sorted(order))
        for each in report.findings:
            self.assertGreaterEqual(each["ms"], 0)
            self.assertTrue(each["what"])
            self.assertEqual(each["verdict"] == "ok", each["cause"] is None)
            if each["cause"] is not None:
                self.assertIn(f"cause: {each['cause']}\n", report.text)
                self.assertIn(f"to do: {each['to_do']}\n", report.text)
        self.assertRegex(report.text, r"\n(no problem|1 problem|\d+ problems) found[^\n]*\n\Z")
        return report

    def expect(self, report, code, name, stage, *words):
        """Expects one fault; fake servers also cause loopback_only_seen_inside."""
        names = [each for each in report.names if each != "loopback_only_seen_inside"]
        self.assertEqual((report.code, names), (code, [name]), report.text)
        finding = report.finding(name)
        self.assertEqual(finding["stage"], stage)
        for word in words:
            self.assertIn(word, " ".join((finding["what"], finding["cause"], finding["to_do"])))
        return finding

    def expect_peer(self, serve, *expected):
        with FakeServer(serve) as peer:
            return self.expect(self.examine(peer.url), *expected)


def healthy(method, params):
    if method == "tools/list":
        return {"tools": [{"name": "nothing", "inputSchema": {"type": "object"}}]}
    if method == "ping":
        return {}
    raise Response(error={"code": -32601, "message": f"no {method}"})


def sends(data):
    """Sends data after the first bytes from the client."""

    def serve(conn):
        conn.recv(65536)
        conn.sendall(data)

    return serve


class Healthy(Case):
    def expect_healthy(self, url):
        report = self.examine(url)
        self.assertEqual((report.code, report.names), (OK, []), report.text)
        self.assertTrue(report.text.endswith("no problem found\n"))
        self.assertLessEqual(report.text.count("\n"), 14)
        self.assertEqual(set(WEBSOCKET_STAGES) - {"tls"}, {each["stage"] for each in report.findings})

    def test_echo(self):
        with SingleServer("echo", "0") as echo:
            self.expect_healthy(echo.url)
            self.expect_healthy(f"localhost:{echo.port}/any/path")

    def test_a_token(self):
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="word") as echo:
            report = self.examine(echo.url, "--token", "word")
            self.assertEqual((report.code, report.names), (OK, []), report.text)
            for options in (), ("--token", "another"):
                self.expect(self.examine(echo.url, *options), REFUSED, "unauthorized", "upgrade", "--token")

    def test_godot(self):
        with System() as system:
            system.start()
            self.expect_healthy(system.godot_url)
            self.assertEqual(system.redis_int("LLEN", "logs:queue"), 0)

    def test_peers_of_the_tests(self):
        """Variants of other programs: responses to notifications, an empty extension header, early hints."""
        error = '{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"}%s}'
        for how in (
            {},
            {"notification_reply": error % ""},
            {"notification_reply": error % ',"id":null'},
            {"more": b"Sec-WebSocket-Extensions: \r\n"},
            {"before": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"},
        ):
            with self.subTest(how), FakeServer(mcp(healthy, **how)) as peer:
                report = self.examine(peer.url)
                self.assertEqual(report.code, OK, report.text)
                self.assertLessEqual(set(report.names), {"loopback_only_seen_inside"})


class Name(Case):
    def test_unknown(self):
        url = "ws://no-such-host.invalid:9000"
        words = ("no-such-host.invalid", "misspelt", "container", "/etc/hosts")
        self.expect(self.examine(url), UNREACHABLE, "name_unknown", "name", *words)

    def test_not_an_address(self):
        for url in ("ftp://127.0.0.1:1", "ws://127.0.0.1:99999", "ws://"):
            run = subprocess.run([PROGRAMS["iccm"], "doctor", "--json", url], capture_output=True, text=True)
            self.assertEqual((run.returncode, json.loads(run.stdout)["error"]["exit_code"]), (1, 1))


class Connect(Case):
    def test_wrong_port(self):
        url = f"ws://127.0.0.1:{free_port()}"
        words = ("refused", "No program listens on this port", "is not running", "another port", "localhost is that container")
        self.expect(self.examine(url), UNREACHABLE, "refused_loopback", "connect", *words)


class ConnectAfar(Case):
    """Between two networks."""

    def setUp(self):
        self.other = self.enterContext(NetworkNamespace())
        self.other.addresses(f"{OUTSIDE}/24", f"{INSIDE}/24")
        self.within = ("ip", "netns", "exec", self.other.name)

    def drop_packets_to(self, address):
        """Sends the packets to a MAC address that does not exist."""
        self.other.make("-n", self.other.name, "neigh", "add", address, "lladdr", "02:00:00:00:00:99", "dev", self.other.inside)

    def test_black_hole(self):
        self.drop_packets_to(NOBODY)
        report = self.examine(f"ws://{NOBODY}:9000", within=self.within)
        words = ("did not respond", "not even with a refusal", "firewall", "container that no longer exists")
        self.expect(report, UNREACHABLE, "dead_address", "connect", *words)
        self.assertGreater(report.seconds, 4)

    def test_name_of_a_dead_container(self):
        self.other.names(f"{NOBODY} {NAME}")
        report = self.examine(f"ws://{NAME}:9000", within=self.within)
        words = ("no machine has this address", "the name still refers to a container that no longer exists")
        self.expect(report, UNREACHABLE, "no_machine", "connect", *words)
        self.assertIn(f"{NAME} is {NOBODY}", report.text)

    def test_name_of_a_dead_and_a_living_container(self):
        self.other.names(f"{NOBODY} {NAME}", f"{OUTSIDE} {NAME}")
        self.drop_packets_to(NOBODY)
        with SingleServer("echo", "0") as echo:
            report = self.examine(f"ws://{NAME}:{echo.port}", within=self.within)
        words = (NOBODY, "also has an address that does not respond", "/etc/hosts")
        self.expect(report, OK, "dead_other_accepts", "connect", *words)
        self.assertIn("no problem found, 1 warning", report.text)

    def test_name_server_is_away(self):
        self.other.names("127.0.0.1 localhost")
        (self.other.hosts / "resolv.conf").write_text(f"nameserver {NOBODY}\n")
        self.drop_packets_to(NOBODY)
        report = self.examine(f"ws://{NAME}:9000", within=self.within)
        words = ("name server did not respond", "/etc/resolv.conf")
        self.expect(report, UNREACHABLE, "name_late", "name", *words)
        stats = (*self.within, PROGRAMS["iccm"], "stats", "--timeout", "1", f"ws://{NAME}:9000")
        run = subprocess.run(stats, capture_output=True, text=True, timeout=WAIT_S)
        self.assertEqual(run.returncode, UNREACHABLE, run)
        self.assertRegex(run.stderr, r"^iccm: /metrics: .*timed out")

    def test_no_route(self):
        report = self.examine("ws://198.51.100.7:9000", within=self.within)
        self.expect(report, UNREACHABLE, "no_route", "connect", "no route to that network", "ip route get")

    def test_refused_afar(self):
        report = self.examine(f"ws://{OUTSIDE}:{free_port()}", within=self.within)
        words = ("no program listens", "bound to 127.0.0.1;", "ss -ltn", "0.0.0.0")
        self.expect(report, UNREACHABLE, "refused", "connect", *words)

    def test_bound_to_loopback_and_called_by_another_address(self):
        with FakeServer(mcp(healthy)) as peer:
            report = self.examine(f"ws://{OUTSIDE}:{peer.port}")
        words = ("127.0.0.1 accepts it", "bound to 127.0.0.1 only", "Bind the server to 0.0.0.0")
        self.expect(report, UNREACHABLE, "loopback_only", "connect", *words)

    def test_bound_to_loopback_and_called_there(self):
        with FakeServer(mcp(healthy)) as peer:
            report = self.examine(peer.url)
        self.assertEqual((report.code, report.names), (OK, ["loopback_only_seen_inside"]), report.text)
        self.assertIn("reachable from this machine, and from no other", report.text)

    def test_refused_by_ipv6_and_accepted_by_ipv4(self):
        if not has_ipv6():
            self.skipTest("no IPv6 on this machine")
        self.other.addresses(f"{OUTSIDE_6}/64", f"{INSIDE_6}/64")
        self.other.names(f"{OUTSIDE_6} {NAME}", f"{OUTSIDE} {NAME}")
        with FakeServer(mcp(healthy), host=OUTSIDE) as peer:
            report = self.examine(f"ws://{NAME}:{peer.port}", within=self.within)
        words = (f"[{OUTSIDE_6}]", "refused", "often on IPv4, but not on IPv6", "0.0.0.0 and [::]")
        self.expect(report, OK, "refused_other_accepts", "connect", *words)
        self.assertIn(f"{OUTSIDE}:{peer.port} switches to WebSocket", report.text)

    def test_public_address(self):
        self.other.addresses("203.0.113.1/24", "203.0.113.2/24")
        with SingleServer("echo", "0") as echo:
            report = self.examine(f"ws://203.0.113.1:{echo.port}", within=self.within)
        words = ("HTTP/1.1 403", "does not admit clients from this address", "ICCM_ALLOW_PUBLIC=1")
        self.expect(report, REFUSED, "forbidden", "upgrade", *words)


class Upgrade(Case):
    def test_plain_http_server(self):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            report = self.examine(f"ws://127.0.0.1:{server.server_port}")
            server.shutdown()
        words = ("200 OK", "plain web server", "a proxy that does not forward the WebSocket upgrade")
        self.expect(report, PROTOCOL, "page", "upgrade", *words)

    def test_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate it sends an alert

        def serve(conn):
            conn.settimeout(WAIT_S)
            with context.wrap_socket(conn, server_side=True) as tls:
                tls.recv(1)

        self.expect_peer(serve, PROTOCOL, "tls", "upgrade", "speaks TLS", "plain port", "wss://")

    def test_tls_behind_an_http_answer(self):
        """Many web servers respond with plain HTTP on their TLS port."""

        def serve(conn):
            if conn.recv(65536)[0] == 0x16:
                conn.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
            else:
                conn.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        self.expect_peer(serve, PROTOCOL, "tls", "upgrade", "400 Bad Request", "speaks TLS")

    def test_silent(self):
        words = ("sent no response", "accepts connections on this port but does not respond", "it hangs")
        self.expect_peer(silent, UNREACHABLE, "upgrade_silent", "upgrade", *words)

    def test_endless_bytes(self):
        def serve(conn):
            conn.recv(65536)
            while True:
                conn.sendall(b"H")
                time.sleep(0.05)

        self.expect_peer(serve, PROTOCOL, "not_http", "upgrade", "is not HTTP")

    def test_headers_without_end(self):
        def serve(conn):
            conn.recv(65536)
            conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
            while True:
                conn.sendall(b"X-Wait: yes\r\n")
                time.sleep(0.5)

        self.expect_peer(serve, PROTOCOL, "upgrade_unfinished", "upgrade", "101", "is incomplete")

    def test_closes_on_the_request(self):
        words = ("closed the connection without a response", "crashed on the request")
        self.expect_peer(lambda conn: conn.recv(65536), PROTOCOL, "upgrade_closed", "upgrade", *words)

    def test_answers_of_http(self):
        for status, name, code, words in (
            (302, "redirect", PROTOCOL, ("Location: http://elsewhere/", "redirects clients to another address")),
            (400, "bad_request", PROTOCOL, ("a proxy has removed the headers Upgrade and Connection",)),
            (401, "unauthorized", REFUSED, ("HTTP/1.1 401", "requires a token", "Ask the server's operator")),
            (404, "no_path", PROTOCOL, ("no WebSocket at this path",)),
            (426, "bad_request", PROTOCOL, ("rejected the upgrade request as invalid",)),
            (500, "other_status", PROTOCOL, ("HTTP/1.1 500",)),
            (502, "gateway", PROTOCOL, ("cannot reach the server behind it",)),
            (503, "busy", PROTOCOL, ("no more connections", "ICCM_MAX_CONNECTIONS")),
        ):
            with self.subTest(status=status):
                headers = "Location: http://elsewhere/\r\n" if status == 302 else ""
                finding = self.expect_peer(plain_http(status, "Words", headers), code, name, "upgrade", *words)
                self.assertIn('"no"', finding["what"])

    def test_wrong_accept(self):
        words = ("Sec-WebSocket-Accept", "repeats an old response")
        self.expect_peer(lambda conn: upgrade(conn, b"another"), PROTOCOL, "wrong_accept", "upgrade", *words)

    def test_wrong_switch(self):
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n"
        self.expect_peer(sends(answer), PROTOCOL, "wrong_switch", "upgrade", "violates the WebSocket protocol")

    def test_redis(self):
        with System() as system:
            system.start_redis()
            report = self.examine(f"ws://127.0.0.1:{system.redis_port}")
        self.assertEqual(report.code, PROTOCOL)
        self.assertIn(report.names[-1], ("redis", "upgrade_closed"), report.text)

    def test_other_protocols(self):
        self.expect_peer(sends(b"SSH-2.0-Server_1\r\n"), PROTOCOL, "ssh", "upgrade", "SSH-2.0", "SSH server")
        self.expect_peer(sends(b"-ERR unknown command\r\n"), PROTOCOL, "redis", "upgrade", "Redis", "9060")
        self.expect_peer(sends(b"\x1b[2J\xff\x00 hello"), PROTOCOL, "not_http", "upgrade", "\\u001b[2J\\xff", "not HTTP")


class Tls(Case):
    """wss:// URLs."""

    def setUp(self):
        self.place = self.enterContext(tempfile.TemporaryDirectory())
        subprocess.run([PROGRAMS["certificates"], self.place], check=True)
        self.environment = {"ICCM_TLS_CA": f"{self.place}/ca.pem"}

    def serving(self, certificate="good.pem", **settings):
        """The echo server with TLS; returns its URL."""
        files = {"ICCM_TLS_CERT": f"{self.place}/{certificate}", "ICCM_TLS_KEY": f"{self.place}/key.pem"}
        server = self.enterContext(SingleServer("echo", "0", **(files | settings)))
        return f"wss://localhost:{server.port}"

    def expect_tls(self, url, name, *words, code=PROTOCOL, **environment):
        report = self.examine(url, env=self.environment | environment)
        names = [each for each in report.names if each != "loopback_only_seen_inside"]
        self.assertEqual((report.code, set(names)), (code, {name}), report.text)
        self.assertEqual(report.finding(name)["stage"], "tls")
        for word in words:
            self.assertIn(word, report.text)

    def test_healthy(self):
        report = self.examine(self.serving(), env=self.environment)
        self.assertEqual((report.code, report.names), (OK, []), report.text)
        for word in "TLSv1.3", "for localhost, 127.0.0.1, ::1", "signed by Test Office", "valid until 20":
            self.assertIn(word, report.text)
        self.assertEqual({each["stage"] for each in report.findings}, set(WEBSOCKET_STAGES))

    def test_certificates(self):
        self.expect_tls(self.serving("expired.pem"), "tls_expired", "has expired", "Renew it")
        self.expect_tls(self.serving("not_yet_valid.pem"), "tls_not_yet", "not valid yet", "date -u")
        self.expect_tls(self.serving("other_host.pem"), "tls_wrong_name", "is for elsewhere.example", "another server")
        self.expect_tls(self.serving("self_signed.pem"), "tls_untrusted", "is self-signed", "ICCM_TLS_CA")
        self.expect_tls(self.serving(), "tls_untrusted", "ca-certificates", ICCM_TLS_CA="")
        self.assertEqual(self.examine(self.serving("self_signed.pem"), "--insecure", env=self.environment).code, OK)

    def test_file_of_authorities(self):
        key = f"{self.place}/key.pem"
        self.expect_tls(self.serving(), "tls_ca", "unset it", code=USAGE, ICCM_TLS_CA=key)

    def test_no_tls_there(self):
        clear = self.enterContext(SingleServer("echo", "0"))
        self.expect_tls(f"wss://localhost:{clear.port}", "tls_not_spoken", "plain text here", "Use ws://")
        with FakeServer(sends(b"SSH-2.0-OpenSSH_9.2p1\r\n")) as peer:
            self.expect_tls(peer.url.replace("ws", "wss", 1), "tls_not_spoken")

    def test_closes_or_is_silent(self):
        with FakeServer(lambda conn: conn.recv(65536)) as peer:
            self.expect_tls(peer.url.replace("ws", "wss", 1), "tls_closed", "closed the connection during the TLS handshake", "ws://")
        with FakeServer(silent) as peer:
            self.expect_tls(peer.url.replace("ws", "wss", 1), "tls_silent", "waits for another", code=UNREACHABLE)

    def test_no_version_in_common(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.place}/good.pem", f"{self.place}/key.pem")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")

        def serve(conn):
            with context.wrap_socket(conn, server_side=True) as tls:
                tls.recv(1)

        with FakeServer(serve) as peer:
            self.expect_tls(peer.url.replace("ws", "wss", 1), "tls_refused", "no version or cipher")

    def test_our_own_tls_port_in_clear(self):
        report = self.examine(self.serving().replace("wss", "ws", 1))
        self.assertEqual((report.code, set(report.names)), (PROTOCOL, {"tls"}), report.text)
        self.assertIn("Use wss://", report.text)

    def test_the_upgrade_over_it(self):
        url = self.serving(ICCM_AUTH_TOKEN="open-sesame")
        report = self.examine(url, env=self.environment)
        self.assertEqual((report.code, set(report.names)), (REFUSED, {"unauthorized"}), report.text)
        report = self.examine(url, env=self.environment | {"ICCM_AUTH_TOKEN": "open-sesame"})
        self.assertEqual(report.code, OK, report.text)


class Talk(Case):
    def test_closes_after_the_upgrade(self):
        words = ("closed the connection without a close frame", "before it responds", "log shows why")
        self.expect_peer(upgrade, PROTOCOL, "initialize_closed", "initialize", *words)

    def test_closes_with_a_reason(self):
        def serve(conn):
            upgrade(conn)
            read_frame(conn.makefile("rb"))
            conn.sendall(b"\x88\x0b\x03\xf0go away\n!")

        self.expect_peer(serve, PROTOCOL, "initialize_closed", "initialize", "1008: go away\\n!")

    def test_initialize_is_not_answered(self):
        serve = mcp(healthy, initialize=lambda *_: NO_RESPONSE)
        self.expect_peer(serve, TIMEOUT, "initialize_silent", "initialize", "does not respond to `initialize`")

    def test_does_not_speak_json(self):
        def hello(*_):
            raise Response(text="hello")

        self.expect_peer(mcp(healthy, initialize=hello), PROTOCOL, "not_json", "initialize", "not with JSON-RPC")

    def test_knows_no_initialize(self):
        serve = mcp(healthy, initialize=healthy)
        self.expect_peer(serve, OK, "initialize_error", "initialize", "-32601", "older components", "ignore this error")

    def expect_without(self, missing, answer, *expected):
        def serve(method, params):
            return answer() if method == missing else healthy(method, params)

        return self.expect_peer(mcp(serve), *expected)

    def test_tools_list(self):
        def unknown():
            raise Response(error={"code": -32601, "message": "no such method"})

        def failing():
            raise Response(error={"code": -32603, "message": "broken"})

        words = ("no such method", "no method `tools/list`", "Calls of known tools may work")
        self.expect_without("tools/list", unknown, PROTOCOL, "tools_missing", "tools/list", *words)
        self.expect_without("tools/list", failing, PROTOCOL, "tools_error", "tools/list", "-32603", "broken")
        self.expect_without("tools/list", lambda: {}, PROTOCOL, "tools_error", "tools/list", "no array of tools")
        self.expect_without("tools/list", lambda: NO_RESPONSE, TIMEOUT, "silent", "tools/list", "no response", "it hangs")
        self.expect_without("tools/list", lambda: DISCONNECT, PROTOCOL, "closed", "tools/list", "closed the connection")

    def test_pings(self):
        def unknown():
            raise Response(error={"code": -32601, "message": "no such method"})

        words = ("ping", "requires of every peer", "close idle connections")
        self.expect_peer(mcp(healthy, pongs=False), TIMEOUT, "no_pong", "pings", *words)
        self.expect_without("ping", unknown, OK, "no_mcp_ping", "pings", "does not know the MCP method `ping`")

    def test_large_message_is_lost(self):
        self.expect_without("tools/call", lambda: DISCONNECT, PROTOCOL, "large_closed", "large message", "does not survive")
        self.expect_without("tools/call", lambda: NO_RESPONSE, TIMEOUT, "large_silent", "large message", "MTU")

    def test_no_tool_is_called(self):
        asked = []

        def serve(method, params):
            asked.append((method, params.get("name") if params else None))
            return text_result("done") if method == "tools/call" else healthy(method, params)

        with FakeServer(mcp(serve)) as peer:
            self.assertEqual(self.examine(peer.url).code, OK)
        self.assertEqual({name for method, name in asked if method == "tools/call"}, {"iccm_doctor_no_such_tool"})
        self.assertEqual({method for method, _ in asked}, {"tools/list", "ping", "tools/call"})

    def test_limit_of_1_mib(self):
        """Python's websockets server with its defaults."""
        loop, ready = asyncio.new_event_loop(), threading.Event()

        async def serve(ws, *_):
            async for text in ws:
                try:
                    request = json.loads(text)
                except ValueError:
                    request = {"id": None, "method": "nothing"}
                if "id" not in request:
                    continue
                reply = {"jsonrpc": "2.0", "id": request["id"]}
                if request["method"] in ("initialize", "ping", "tools/list"):
                    await ws.send(json.dumps(reply | {"result": {"tools": [], "protocolVersion": "2024-11-05"}}))
                else:
                    await ws.send(json.dumps(reply | {"error": {"code": -32700, "message": "not JSON"}}))

        async def run():
            # the server does not read the rest of an oversized message: do not wait for the close handshake
            async with websockets.serve(serve, "127.0.0.1", 0, ping_interval=None, close_timeout=1) as server:
                self.port = next(iter(server.sockets)).getsockname()[1]
                self.stop = asyncio.Event()
                ready.set()
                await self.stop.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
        thread.start()
        self.assertTrue(ready.wait(WAIT_S))
        report = self.examine(f"ws://127.0.0.1:{self.port}")
        loop.call_soon_threadsafe(self.stop.set)
        thread.join(WAIT_S)
        loop.close()
        words = ("1009", "above its limit, often the 1 MiB", "max_size")
        self.expect(report, PROTOCOL, "large_limit", "large message", *words)
        self.assertIn("bad JSON is answered with error -32700", report.text)  # over a new connection

    def test_silent_on_bad_json(self):
        words = ("first logging server in Python", "hang until their own timeout", "-32700")
        self.expect_peer(mcp(healthy, parse_errors=False), OK, "bad_json_silent", "bad JSON", *words)

    def test_bad_json_otherwise(self):
        def serve(answer):
            def after_all(conn):
                upgrade(conn)
                stream = conn.makefile("rb")
                while True:
                    opcode, payload = read_frame(stream)
                    if opcode == 9:
                        conn.sendall(b"\x8a\x00")
                    elif payload.endswith(b":"):
                        if answer is None:
                            return
                        conn.sendall(b"\x81" + bytes([len(answer)]) + answer)
                    elif opcode == 1 and b'"id"' in payload:
                        reply = json.dumps({"jsonrpc": "2.0", "id": json.loads(payload)["id"], "result": {"tools": []}})
                        conn.sendall(b"\x81" + bytes([len(reply)]) + reply.encode())

            return after_all

        self.expect_peer(serve(None), OK, "bad_json_closed", "bad JSON", "all other calls on the connection are lost")
        answer = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"what?"}}'
        self.expect_peer(serve(answer), OK, "bad_json_answer", "bad JSON", "-32000", "what?")

    def test_cannot_reconnect(self):
        """The first connection is lost, and reconnecting fails."""
        conns = []

        def serve(conn):
            conns.append(conn)
            if len(conns) == 1:
                mcp(lambda *_: DISCONNECT)(conn)

        with FakeServer(serve) as peer:
            run = subprocess.run([PROGRAMS["iccm"], "doctor", "--json", peer.url], capture_output=True, text=True)
        findings = json.loads(run.stdout)["findings"]
        self.assertEqual((run.returncode, findings[-2]["name"], findings[-2]["stage"]), (PROTOCOL, "closed", "tools/list"))
        self.assertEqual((findings[-1]["name"], findings[-1]["stage"]), ("closed", "pings"))
        self.assertIn("cannot reconnect to", findings[-1]["what"])


class Time(Case):
    def test_silent_in_every_stage(self):
        serve = mcp(lambda *_: NO_RESPONSE, pongs=False, parse_errors=False)
        with FakeServer(serve) as peer:
            report = self.examine(peer.url)
        self.assertEqual(report.code, TIMEOUT)
        names = [name for name in report.names if name != "loopback_only_seen_inside"]
        self.assertEqual(names, ["silent", "no_pong", "silent", "large_silent", "bad_json_silent"], report.text)

    def test_a_flood_without_an_answer(self):
        def serve(conn):
            upgrade(conn)
            message = b'{"jsonrpc":"2.0","method":"notifications/more"}'
            while True:
                conn.sendall(1000 * (b"\x81" + bytes([len(message)]) + message))

        self.expect_peer(serve, TIMEOUT, "initialize_silent", "initialize", "no response")

    def test_a_limit_for_everything(self):
        serve = mcp(lambda *_: NO_RESPONSE, pongs=False, parse_errors=False)
        with FakeServer(serve) as peer:
            report = growing_timeout(1, lambda seconds: self.examine(peer.url, "--timeout", seconds), lambda report: report.code != UNREACHABLE)
        self.expect(report, TIMEOUT, "no_time", "tools/list", "--timeout SECONDS")
        with FakeServer(silent) as peer:
            report = self.examine(peer.url, "--timeout", "0.5")
        self.expect(report, UNREACHABLE, "no_time_to_connect", "upgrade", "--timeout SECONDS")

    def test_no_time_at_all(self):
        with SingleServer("echo", "0") as echo:
            report = self.examine(echo.url, "--timeout", "0.001")
        self.expect(report, UNREACHABLE, "no_time_to_connect", report.findings[-1]["stage"])


if __name__ == "__main__":
    main()
