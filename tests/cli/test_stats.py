"""`iccm stats`: metrics of real servers, in plain text and over TLS, with and without the right token; and other servers."""
import json

from fake_server import FakeServer, plain_http, silent
from services import PROGRAMS, ProgramGroup, SingleServer, free_port, main, run_program
from test_program import OK, PROTOCOL, REFUSED, TIMEOUT, UNREACHABLE, USAGE, Case, iccm, iccm_late


def answering(body, head="HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"):
    def serve(conn):
        conn.recv(65536)
        conn.sendall(head.encode() + body)

    return FakeServer(serve)


class Real(Case):
    def test_counters(self):
        with SingleServer("echo", "0") as echo:
            for _ in range(3):
                self.assertEqual(iccm("call", echo.url, "echo", "text=x").code, OK)
            outcome = iccm("stats", "--json", echo.url)
            self.assertEqual((outcome.code, outcome.err), (OK, ""))
            stats = json.loads(outcome.out)
            self.assertEqual((stats["server"]["connections_total"], stats["server"]["calls_in_flight"]), (3, 0))
            (call,) = stats["calls"]
            self.assertEqual((call["tool"], call["ok"], call["count"]), ("echo", 3, 3))
            self.assertTrue(0 < call["p50_ms"] <= call["p90_ms"] <= call["p99_ms"], call)
            self.assertGreater(call["mean_ms"], 0)
            for url in echo.url, f"http://127.0.0.1:{echo.port}", f"http://127.0.0.1:{echo.port}/mcp":
                outcome = iccm("stats", url)
                self.assertEqual((outcome.code, outcome.err), (OK, ""))
                self.assertRegex(outcome.out, r"(?m)^connections_total +3$")
            self.assertRegex(outcome.out, r"(?m)^tool\tok\tmean_ms\tp50_ms\tp90_ms\tp99_ms\necho\t3\t")

    def test_dewey(self):
        with SingleServer("dewey", DEWEY_MCP_PORT=0) as dewey:
            logs = '[{"component":"c","level":"INFO","message":"m"},{"component":"c","level":"LOUD","message":"m"}]'
            self.assertEqual(iccm("call", dewey.url, "dewey_store_logs_batch", f"logs={logs}").code, OK)
            outcome = iccm("stats", dewey.url)
            self.assertEqual((outcome.code, outcome.err), (OK, ""))
            for shown in (r'dewey_log_entries_total\toutcome=stored\t1', r'dewey_store_failing\t\t0',
                          r'dewey_log_entries_total\toutcome=rejected\t1',
                          r'dewey_store_worked_timestamp_seconds\t\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ'):
                self.assertRegex(outcome.out, rf"(?m)^{shown}$")

    def test_token(self):
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="right") as echo:
            self.expect(iccm("stats", echo.url), REFUSED, "401")
            self.expect(iccm("stats", "--token", "wrong", echo.url), REFUSED, "401")
            self.expect(iccm("stats", "--token", "no token", echo.url), USAGE, "ICCM_AUTH_TOKEN")
            self.assertEqual(iccm("stats", "--token", "right", echo.url).code, OK)

    def test_tls(self):
        with ProgramGroup() as place:
            run_program([PROGRAMS["certificates"], place.directory], check=True)
            certificate, key, ca = (place.directory / f"{name}.pem" for name in ("good", "key", "ca"))
            with SingleServer("echo", "0", ICCM_TLS_CERT=certificate, ICCM_TLS_KEY=key) as echo:
                url = f"wss://localhost:{echo.port}"
                outcome = iccm("stats", url, env={"ICCM_TLS_CA": str(ca)})
                self.assertEqual(outcome.code, OK, outcome)
                self.assertRegex(outcome.out, r"(?m)^connections +0$")
                self.expect(iccm("stats", url), PROTOCOL, "certificate")
                self.assertEqual(iccm("stats", "--insecure", url).code, OK)
                self.expect(iccm("stats", url, env={"ICCM_TLS_CA": "/none"}), USAGE, "/none")
                self.assertNotEqual(iccm("stats", f"ws://localhost:{echo.port}").code, OK)


class Peers(Case):
    def test_those_that_are_none_of_ours(self):
        for peer, pattern in (
            (FakeServer(plain_http(404, "Not Found")), "HTTP 404 to GET /metrics"),
            (answering(b"<html>\n"), "not in the Prometheus text format"),
            (answering(b""), "not in the Prometheus text format"),
            (answering(b"a 1\n", head="HELO\r\n"), "is not HTTP"),
            (answering(b"", head=""), "closed the connection before it responded"),
            (answering(b"a 1\n" * (6 << 20)), "larger than 20 MiB"),
        ):
            with self.subTest(pattern), peer:
                self.expect(iccm("stats", peer.url), PROTOCOL, pattern)

    def test_what_it_cannot_reach(self):
        self.expect(iccm("stats", f"ws://127.0.0.1:{free_port()}"), UNREACHABLE)
        self.expect(iccm("stats", "ws://no-such-host.invalid"), UNREACHABLE)
        self.expect(iccm("stats", "ftp://x"), USAGE)
        with FakeServer(silent) as peer:
            self.expect(iccm_late("stats", peer.url), TIMEOUT)
            self.expect(iccm_late("stats", peer.url.replace("ws:", "wss:")), TIMEOUT)
            self.expect_json_error(iccm_late("stats", "--json", peer.url), TIMEOUT)


if __name__ == "__main__":
    main()
