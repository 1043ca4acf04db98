"""A complete installation with a token: every endpoint works with the token and is refused without it."""
import contextlib
import http.server
import json
import re
import shutil
import tempfile
import unittest

from caller import Caller, connect
from services import (
    PROGRAMS,
    AsyncTestCase,
    Program,
    SingleServer,
    System,
    free_port,
    http_get,
    in_background,
    main,
    run_program,
    wait_until,
    websocket_upgrade,
)
from services import http as raw_http

TOKEN = "open-sesame/1="
SPEAKABLE = "open-sesame-1"  # for a browser, which can offer it as a subprotocol
HUSHED = "hush-hush"
MAX_REGION = 1 << 28  # larger ones are the sanitizer's


def bearer(token):
    return f"Authorization: Bearer {token}"


# Each way to send a token, in pieces of memory of each kind.
OFFERS = (
    ("Authorization: Bearer {}",),
    ("Sec-WebSocket-Protocol: mcp, mcp.auth.{}",),
    ("Sec-WebSocket-Protocol: mcp", "Sec-WebSocket-Protocol: mcp.auth.{}"),
    ("Authorization: Bearer {}", *(f"X-{i}: {'x' * 200}" for i in range(20))),
)


def found_in_memory(program, text):
    """Each place of a program's heap and data that holds the text, with what stands in front; its stack has the environment."""
    found = []
    with open(f"/proc/{program.process.pid}/maps") as maps, open(f"/proc/{program.process.pid}/mem", "rb") as memory:
        for line in maps:
            first, last = (int(each, 16) for each in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or line.endswith("[stack]\n") or last - first > MAX_REGION:
                continue
            memory.seek(first)
            with contextlib.suppress(OSError):  # of a device
                data = memory.read(last - first)
                found += [data[max(0, each.start() - 30) : each.end()] for each in re.finditer(re.escape(text.encode()), data)]
    return [each for each in found if b"ICCM_AUTH_TOKEN=" not in each]  # the sanitizer's copy of the environment


def iccm(*words, token=None):
    """Exit code, and what it printed or complained about."""
    run = run_program([PROGRAMS["iccm"], "--json", *words], env={"ICCM_AUTH_TOKEN": token} if token else {})
    return run.returncode, json.loads(run.stdout)


def log_line(url, message, token):
    return iccm("call", url, "logger_log", "component=test", "level=INFO", f"message={message}", token=token)


def stored(url, token, **filters):
    code, answer = iccm("call", url, "logger_query", json.dumps(filters), token=token)
    assert code == 0, answer
    return answer


class Whole(AsyncTestCase):
    def start(self, token=TOKEN, **settings):
        system = self.enterContext(System(ICCM_AUTH_TOKEN=token, **settings))
        system.settings["GODOT_URL"] = system.godot_url
        return system.start()

    def assert_not_logged(self, system, *tokens):
        for log in system.directory.glob("*.log"):
            for token in tokens:
                self.assertNotIn(token, log.read_text(errors="replace"), log.name)

    def assert_not_in_metrics(self, system, token):
        for port in system.godot_port, system.dewey_port:
            answer = http_get(port, bearer(token), path="/metrics")
            self.assertEqual(answer.status, 200)
            self.assertNotIn(token, answer.body.decode())

    async def test_with_the_token(self):
        system = self.start(SPEAKABLE, LOGGING_ENABLED="true", LOG_LEVEL="TRACE")
        async with Caller(system.godot_url, subprotocols=["mcp", f"mcp.auth.{SPEAKABLE}"]) as caller:
            self.assertEqual(caller.ws.subprotocol, "mcp")
            answer = await caller.call("logger_log", {"component": "test", "level": "INFO", "message": "by socket"})
            self.assertEqual(answer["status"], "ok")
        self.assertEqual(log_line(system.godot_url, "by iccm", SPEAKABLE)[0], 0)
        wait_until(lambda: len(stored(system.godot_url, SPEAKABLE, component="test")) == 2, "the worker has stored both")
        wait_until(lambda: stored(system.godot_url, SPEAKABLE, component="dewey"), "Dewey's own lines have come, too")
        self.assert_not_logged(system, SPEAKABLE)
        self.assert_not_in_metrics(system, SPEAKABLE)

    def test_without_it_or_with_another(self):
        system = self.start()
        for port, url in ((system.godot_port, system.godot_url), (system.dewey_port, system.dewey_url)):
            for headers in ((), (bearer(HUSHED),), (f"Sec-WebSocket-Protocol: mcp, mcp.auth.{HUSHED}",)):
                answer = websocket_upgrade(port, *headers)
                self.assertEqual(answer.status, 401)
                self.assertRegex(answer.headers["www-authenticate"], r"\ABearer\b")
            self.assertEqual(websocket_upgrade(port, bearer(TOKEN)).status, 101)
            for token in (None, HUSHED):
                code, answer = iccm("list", url, token=token)
                self.assertEqual((code, answer["error"]["exit_code"]), (3, 3))
                self.assertIn("ICCM_AUTH_TOKEN", answer["error"]["message"])
            self.assertEqual(iccm("list", url, token=TOKEN)[0], 0)
        system.godot.wait_for(r"refused 127\.0\.0\.1:\d+ with 401")
        self.assert_not_logged(system, TOKEN, HUSHED)
        self.assert_not_in_metrics(system, TOKEN)

    def test_health_checks_need_none(self):
        system = self.start()
        for port in system.godot_port, system.dewey_port:
            self.assertEqual(http_get(port, path="/healthz").status, 200)
            self.assertEqual(http_get(port, path="/readyz").status, 200)
            for path in "/", "/metrics":
                self.assertEqual(http_get(port, path=path).status, 401)
                self.assertEqual(http_get(port, bearer(TOKEN), path=path).status, 200)
        system.dewey.kill()
        wait_until(lambda: http_get(system.godot_port, path="/readyz").status == 503, "Godot notices")
        self.assertNotIn(b"dewey", http_get(system.godot_port, path="/readyz").body)
        self.assertIn(b"dewey", http_get(system.godot_port, bearer(TOKEN), path="/readyz").body)

    def test_a_worker_with_another_token_loses_nothing(self):
        system = self.start()
        self.assertEqual(log_line(system.godot_url, "first", TOKEN)[0], 0)
        wait_until(lambda: len(stored(system.godot_url, TOKEN, component="test")) == 1, "the worker works")
        system.worker.stop()
        system.worker.environment = system.settings | {"ICCM_AUTH_TOKEN": HUSHED}
        system.worker.start()
        self.assertEqual(log_line(system.godot_url, "waits", TOKEN)[0], 0)
        system.worker.wait_for("401.*ICCM_AUTH_TOKEN")
        self.assertEqual(len(stored(system.godot_url, TOKEN, component="test")), 1)
        system.worker.stop()
        system.worker.environment = system.settings
        system.worker.start()
        wait_until(lambda: len(stored(system.godot_url, TOKEN, component="test")) == 2, "it is stored")
        self.assert_not_logged(system, TOKEN, HUSHED)


class Programs(unittest.TestCase):
    def test_what_is_no_token_ends_each_of_them(self):
        with SingleServer("echo", "0") as echo:
            for name in "echo", "dewey", "godot-server", "godot-worker", "horace":
                program = echo.add(f"{name}-broken", PROGRAMS[name], *(["0"] if name == "echo" else []))
                program.environment = echo.settings | {"ICCM_AUTH_TOKEN": "hush hush", "DEWEY_MCP_PORT": "0", "HORACE_MCP_PORT": "0",
                                                          "HORACE_STORAGE_PATH": str(echo.directory / "storage")}
                program.start()
                self.assertNotEqual(program.wait(), 0, name)
                self.assertIn("ICCM_AUTH_TOKEN", program.output())
                self.assertNotIn("hush", program.output())

    def test_no_password_of_an_address_is_shown(self):
        addresses = "ws://u:hush@127.0.0.1:1", "ws://u:hush%40127.0.0.1:1", "ws://127.0.0.1:0/?token=hush", "ws://u:hu?sh@127.0.0.1:1"
        with SingleServer("echo", "0") as echo:
            settings = {"DEWEY_MCP_PORT": "0", "HORACE_MCP_PORT": "0", "MCP_PORT": "0", "REDIS_PORT": str(free_port()),
                        "HORACE_STORAGE_PATH": str(echo.directory)}
            for name, variable, told in (
                ("echo", "GODOT_URL", None),
                ("echo", "LOG_LEVEL", None),
                ("echo", "ICCM_TLS_CERT", None),
                ("echo", "ICCM_ALLOWED_ORIGINS", r"cannot match any request"),
                ("echo", "ICCM_ALLOWED_HOSTS", r"cannot match any request"),
                ("godot-server", "DEWEY_MCP_URL", None),
                ("godot-server", "RETRY_INITIAL_DELAY", None),
                ("godot-server", "GODOT_WORKER_NAME", None),
                ("godot-worker", "DEWEY_MCP_URL", None),
                ("godot-worker", "REDIS_HOST", r"cannot resolve the host name of Redis"),
                ("godot-worker", "LOG_QUEUE_NAME", r"worker-1: "),
                ("dewey", "DEWEY_DB_HOST", None),
                ("dewey", "DEWEY_DB_NAME", None),
                ("horace", "HORACE_DB_HOST", None),
                ("horace", "HORACE_DB_PORT", None),
            ):
                for i, address in enumerate(addresses):
                    program = echo.add(f"{name}-{variable}-{i}", PROGRAMS[name], *(["0"] if name == "echo" else []))
                    program.environment = echo.settings | settings | {variable: address}
                    if variable.endswith(("_DB_NAME", "_DB_PORT")):
                        program.environment[f"{name.upper()}_DB_HOST"] = "127.0.0.1"
                    if variable == "ICCM_TLS_CERT":
                        program.environment["ICCM_TLS_KEY"] = address
                    with self.subTest(variable=variable, address=address):
                        program.start()
                        program.wait_for(told) if told else self.assertNotEqual(program.wait(), 0)
                        self.assertNotRegex(program.output(), r"hush|hu\?sh|hu@|u:")
                        self.assertIn("[REDACTED]", program.output())

    def test_a_worker_names_its_store_without_the_query(self):
        with SingleServer("echo", "0") as echo:
            worker = echo.add("worker", PROGRAMS["godot-worker"])
            worker.environment = echo.settings | {"REDIS_PORT": str(free_port()), "DEWEY_MCP_URL": f"ws://127.0.0.1:{free_port()}/p?token=hush"}
            worker.start()
            worker.wait_for(r"/p\?\[REDACTED\]")
            self.assertNotIn("hush", worker.output())

    def test_no_memory_keeps_a_token_that_was_sent(self):
        """Neither the server's nor that of a client, which has its own for the next connection, but nothing of what it sent."""
        token = "hush-" + "memory" * 5
        with SingleServer("echo", "0") as place:
            self.assertEqual(run_program([PROGRAMS["certificates"], place.directory]).returncode, 0)
            pem = lambda name: str(place.directory / f"{name}.pem")
            for scheme, settings in ("ws", {}), ("wss", {"ICCM_TLS_CERT": pem("good"), "ICCM_TLS_KEY": pem("key")}):
                with self.subTest(scheme=scheme), SingleServer("echo", "0", ICCM_AUTH_TOKEN=token, **settings) as echo:
                    for offer in OFFERS if scheme == "ws" else ():
                        self.assertEqual(websocket_upgrade(echo.port, *(each.format(token) for each in offer)).status, 101)
                        self.assertEqual(websocket_upgrade(echo.port, *(each.format(token + "x") for each in offer)).status, 401)
                    client = echo.add("client", PROGRAMS["echo"], "0")
                    client.environment = echo.settings | {"ICCM_TLS_CA": pem("ca"), "LOGGING_ENABLED": "true",
                                                          "GODOT_URL": f"{scheme}://localhost:{echo.port}"}
                    client.start()
                    client.wait_for(r"Godot rejected a log line")
                    self.assertEqual(found_in_memory(echo.program, token), [])
                    self.assertEqual([each for each in found_in_memory(client, token) if b"Bearer" in each], [])



# What its page sees of /metrics, and of a WebSocket, once its name leads to a server of ours; it says so to another port.
PAGE = """<script>
async function look() {{
  let seen = "";
  while (!/iccm_|ICCM_/.test(seen))
    seen = await fetch("/metrics").then(answer => answer.text()).catch(() => "");
  const socket = await new Promise(done => {{
    const ws = new WebSocket("ws://" + location.host + "/");
    ws.onopen = () => done("opened");
    ws.onerror = () => done("refused");
  }});
  await fetch("http://127.0.0.1:{ear}/", {{method: "POST", mode: "no-cors", body: socket + " " + seen}});
}}
look();
</script>"""


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.received.append(self.path)
        self.answer(PAGE.format(ear=self.server.ear).encode() if self.path == "/" else b"")

    def do_POST(self):
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(b"")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def pages(port, ear=0):
    """Serves PAGE, and records the requests and reports."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Pages) as server:
        server.ear, server.received = ear, []
        with in_background(lambda ended: server.serve_forever(0.01)):
            try:
                yield server
            finally:
                server.shutdown()


class Browsers(AsyncTestCase):
    async def test_a_token_admits_any_page(self):
        offer = f"Sec-WebSocket-Protocol: mcp, mcp.auth.{SPEAKABLE}"
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN=SPEAKABLE, ICCM_ALLOWED_ORIGINS="http://fine") as echo:
            self.assertEqual(websocket_upgrade(echo.port, offer, "Origin: http://evil").status, 101)
            self.assertEqual(websocket_upgrade(echo.port, bearer(SPEAKABLE), "Origin: http://evil").status, 101)
            self.assertEqual(websocket_upgrade(echo.port, bearer(HUSHED), "Origin: http://evil").status, 403)
            self.assertEqual(websocket_upgrade(echo.port, "Origin: http://evil").status, 403)
            self.assertEqual(websocket_upgrade(echo.port, "Origin: http://fine").status, 401)
            async with connect(echo.url, origin="http://fine", subprotocols=["mcp", f"mcp.auth.{SPEAKABLE}"]) as ws:
                self.assertEqual(ws.subprotocol, "mcp")

    def test_a_name_that_was_bound_anew_sees_nothing(self):
        with SingleServer("echo", "0") as echo:
            for path in "/metrics", "/", "/other":
                answer = self.get(echo.port, path, "evil.example")
                self.assertEqual(answer.status, 403)
                self.assertIn(b"ICCM_ALLOWED_HOSTS", answer.body)
                self.assertNotIn(b"iccm_", answer.body)
            for path in "/healthz", "/readyz":
                self.assertEqual(self.get(echo.port, path, "evil.example").status, 200)
            for host in "localhost", f"127.0.0.1:{echo.port}", "[::1]", "echo", "echo.iccm.svc.cluster.local":
                self.assertEqual(self.get(echo.port, "/metrics", host).status, 200, host)
        with SingleServer("echo", "0", ICCM_ALLOWED_HOSTS="echo.example.com") as echo:
            self.assertEqual(self.get(echo.port, "/metrics", f"echo.example.com:{echo.port}").status, 200)
            self.assertEqual(self.get(echo.port, "/metrics", "evil.example").status, 403)

    def get(self, port, path, host):
        return raw_http(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    @unittest.skipUnless(shutil.which("chromium"), "no chromium")
    def test_a_browser_whose_page_was_bound_anew(self):
        self.assertRegex(self.seen_from("evil.example"), "^refused .*ICCM_ALLOWED_HOSTS")
        self.assertRegex(self.seen_from("localhost"), "^opened (?s:.*)iccm_connections")  # the page can see, where it may

    def seen_from(self, host):
        """Responses that a page can read if its name resolves to its own server, and later to ours on the same port."""
        port = free_port()
        home = self.enterContext(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={home}/profile", f"--host-resolver-rules=MAP {host} 127.0.0.1"]
        with pages(0) as ear:
            with pages(port, ear.server_port) as own:
                browser = Program("chromium", [*command, f"http://{host}:{port}/"], home, {"HOME": home}).start()
                self.addCleanup(browser.kill)
                wait_until(lambda: own.received, "the page has been requested")
            with SingleServer("echo", port):
                return wait_until(lambda: ear.received, "the page has seen something")[0]


if __name__ == "__main__":
    main()
