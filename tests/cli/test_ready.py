"""`iccm ready`: servers whose dependencies are available or not, and other servers."""
import json

from fake_server import FakeServer, plain_http, silent
from services import PROGRAMS, ProgramGroup, SingleServer, System, free_port, main, run_program, wait_until
from test_program import OK, PROTOCOL, TIMEOUT, TOOL, UNREACHABLE, USAGE, Case, iccm, iccm_late


class Ready(Case):
    def test_a_server_that_needs_nothing(self):
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="open-sesame") as echo:
            for url in echo.url, f"http://127.0.0.1:{echo.port}", f"http://127.0.0.1:{echo.port}/mcp":
                outcome = iccm("ready", url)
                self.assertEqual((outcome.code, outcome.out, outcome.err), (OK, "ready\n", ""))
            self.assertEqual(json.loads(iccm("ready", "--json", echo.url).out), {"ready": True})

    def test_what_is_lacking(self):
        with System() as system:
            system.godot.start().wait_for("listening on port")
            self.expect(iccm("ready", system.godot_url), TOOL, "iccm: not ready: ")
            wait_until(lambda: iccm("ready", system.godot_url).err.count("onnection refused") == 2, "both are refused")
            err = iccm("ready", system.godot_url).err
            self.assertRegex(err, r"\Aiccm: not ready: dewey: [^;\n]*refused[^;\n]*; redis: [^;\n]*refused[^;\n]*\n\Z")
            self.expect_json_error(iccm("ready", "--json", system.godot_url), TOOL)
            system.start_redis()
            wait_until(lambda: "redis" not in iccm("ready", system.godot_url).err, "connected to Redis")
            system.start_dewey()
            wait_until(lambda: iccm("ready", system.godot_url).code == OK, "all dependencies are available")

    def test_tls(self):
        with ProgramGroup() as place:
            run_program([PROGRAMS["certificates"], place.directory], check=True)
            certificate, key = (place.directory / f"{name}.pem" for name in ("good", "key"))
            with SingleServer("echo", "0", ICCM_TLS_CERT=certificate, ICCM_TLS_KEY=key) as echo:
                url = f"wss://localhost:{echo.port}"
                self.assertEqual(iccm("ready", "--insecure", url).code, OK)
                self.expect(iccm("ready", url), PROTOCOL, "certificate")

    def test_others(self):
        with FakeServer(plain_http(404, "Not Found")) as peer:
            self.expect(iccm("ready", peer.url), PROTOCOL, "HTTP 404 to GET /readyz")
        with FakeServer(silent) as peer:
            self.expect(iccm_late("ready", peer.url), TIMEOUT)
        with FakeServer(lambda conn: conn.sendall(b"HTTP/1.1 503 Full\r\n\r\n" + b"x" * 10000 + b"\n")) as peer:
            self.assertLess(len(iccm("ready", peer.url).err), 1000)
        self.expect(iccm("ready", f"ws://127.0.0.1:{free_port()}"), UNREACHABLE)
        self.expect(iccm("ready", "ftp://x"), USAGE)


if __name__ == "__main__":
    main()
