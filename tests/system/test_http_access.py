"""Who may use MCP over HTTP: certificates, the token, private and public addresses, headers of proxies, Host and Origin. The
rules are those of WebSocket.

Public peers are in a network namespace. If namespaces are not available, their tests are skipped with the reason.
"""
import json
import ssl
import unittest
from http.client import HTTPConnection, HTTPSConnection

from network_namespace import NetworkNamespace
from services import PROGRAMS, WAIT_S, ProgramGroup, SingleServer, http, main, run_program
from streamable_http import ACCEPT, INITIALIZE, legacy, modern, modern_headers

TOKEN = "open-sesame"
REFUSED, PROTOCOL = 3, 2  # exit codes of iccm
PUBLIC, PUBLIC_PEER = "198.18.79.1", "198.18.79.2"
PRIVATE, PRIVATE_PEER = "10.231.80.1", "10.231.80.2"
FORWARDED = {
    "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1;host=localhost;proto=https",
    "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
}
DISCOVER = modern("server/discover")
CALL = modern("tools/call", name="echo", arguments={"n": 1})
REQUESTS = [  # method, headers, message: each kind that MCP knows
    ("POST", modern_headers(CALL), CALL),
    ("POST", {}, legacy("ping")),
    ("POST", {}, INITIALIZE),
    ("GET", {"Mcp-Session-Id": "0"}, None),
    ("DELETE", {"Mcp-Session-Id": "0"}, None),
]


def ask(conn, method, headers, message, **more):
    """Status, headers and body of one request."""
    named = {"Accept": ACCEPT, "Content-Type": "application/json"} | headers
    named |= {name.replace("_", "-"): value for name, value in more.items()}
    try:
        conn.request(method, "/mcp", None if message is None else json.dumps(message), named)
        answer = conn.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        conn.close()


def iccm(url, *options, **environment):
    command = [PROGRAMS["iccm"], *options, "call", url, "echo", "n=1"]
    return run_program(command, env={"LOGGING_ENABLED": "false", **environment})


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = cls.enterClassContext(ProgramGroup()).directory
        run_program([PROGRAMS["certificates"], cls.place]).check_returncode()
        cls.ca = str(cls.place / "ca.pem")
        cls.context = ssl.create_default_context(cafile=cls.ca)

    def serve(self, certificate="good.pem", **settings):
        files = {"ICCM_TLS_CERT": self.place / certificate, "ICCM_TLS_KEY": self.place / "key.pem"}
        return self.enterContext(SingleServer("echo", "0", **files, **settings)).port

    def ask(self, port, *request, **more):
        return ask(HTTPSConnection("localhost", port, timeout=WAIT_S, context=self.context), *request, **more)

    def test_every_request_needs_the_token(self):
        port = self.serve(ICCM_AUTH_TOKEN=TOKEN)
        for request in REQUESTS:
            for wrong in {}, {"Authorization": "Bearer open-sesam"}, {"Authorization": f"Basic {TOKEN}"}:
                status, headers, text = self.ask(port, *request, **wrong)
                self.assertEqual(status, 401, request)
                self.assertTrue(headers["WWW-Authenticate"].startswith("Bearer"))
                self.assertNotIn(TOKEN, text)
            expected = 404 if "Mcp-Session-Id" in request[1] else 200
            self.assertEqual(self.ask(port, *request, Authorization=f"Bearer {TOKEN}")[0], expected, request)

    def test_a_session_and_its_stream(self):
        port = self.serve(ICCM_AUTH_TOKEN=TOKEN)
        token = {"Authorization": f"Bearer {TOKEN}"}
        session = self.ask(port, "POST", token, INITIALIZE)[1]["Mcp-Session-Id"]
        named = token | {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
        stream = HTTPSConnection("localhost", port, timeout=WAIT_S, context=self.context)
        self.addCleanup(stream.close)
        stream.request("GET", "/mcp", None, named | {"Accept": ACCEPT})
        answer = stream.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        self.assertEqual(self.ask(port, "GET", {**named, "Authorization": "Bearer other"}, None)[0], 401)
        self.assertEqual(self.ask(port, "DELETE", named, None)[0], 200)
        self.assertEqual(answer.read().strip(), b":")  # its end, behind the comment that begins it

    def test_our_client_with_the_token_and_without(self):
        url = f"https://localhost:{self.serve(ICCM_AUTH_TOKEN=TOKEN)}"
        run = iccm(url, "--token", TOKEN, ICCM_TLS_CA=self.ca)
        self.assertEqual((run.returncode, json.loads(run.stdout)), (0, {"n": 1}), run.stderr)
        for options in (), ("--token", "other"):
            run = iccm(url, *options, ICCM_TLS_CA=self.ca)
            self.assertEqual(run.returncode, REFUSED, run.stderr)
            self.assertIn("401", run.stderr)

    def test_our_client_sends_nothing_to_a_wrong_certificate(self):
        for certificate, words in (
            ("expired.pem", "has expired"), ("not_yet_valid.pem", "clocks"), ("other_host.pem", "is for elsewhere.example"),
            ("self_signed.pem", "ICCM_TLS_CA"),
        ):
            with self.subTest(certificate):
                url = f"https://localhost:{self.serve(certificate, ICCM_AUTH_TOKEN=TOKEN)}"
                run = iccm(url, "--token", TOKEN, ICCM_TLS_CA=self.ca)
                self.assertEqual(run.returncode, PROTOCOL, run.stderr)
                self.assertIn(words, run.stderr)
                self.assertEqual(iccm(url, "--insecure", "--token", TOKEN).returncode, 0)

    def test_a_request_in_clear_text_is_told(self):
        body = json.dumps(legacy("ping")).encode()
        head = f"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = http(self.serve(), head.encode() + body)
        self.assertEqual((answer.status, b"https://" in answer.body), (400, True), answer.raw)


class Addresses(unittest.TestCase):
    def setUp(self):
        self.other = self.enterContext(NetworkNamespace())

    def status_afar(self, url, method, headers, message):
        """The status that curl gets in the namespace."""
        named = {"Accept": ACCEPT, "Content-Type": "application/json"} | headers
        words = [word for name, value in named.items() for word in ("-H", f"{name}: {value}")]
        words += ["-d", json.dumps(message)] if message is not None else []
        run = self.other.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, *words, url)
        self.assertEqual(run.returncode, 0, run.stderr)
        return int(run.stdout)

    def statuses(self, url, **more):
        return {self.status_afar(url, method, headers | more, message) for method, headers, message in REQUESTS}

    def test_a_public_peer_needs_a_token(self):
        self.other.addresses(f"{PUBLIC}/24", f"{PUBLIC_PEER}/24")
        with SingleServer("echo", "0") as server:
            url = f"http://{PUBLIC}:{server.port}/mcp"
            self.assertEqual(self.statuses(url), {403})
            self.assertEqual(self.statuses(url, **FORWARDED), {403})  # what a client says of itself
            self.assertEqual(self.statuses(url, Authorization=f"Bearer {TOKEN}"), {403})
            run = self.other.run(PROGRAMS["iccm"], "call", f"http://{PUBLIC}:{server.port}", "echo", "n=1")
            self.assertEqual(run.returncode, REFUSED, run.stdout + run.stderr)
            server.program.wait_for(f"{PUBLIC_PEER}(?s:.)*ICCM_ALLOW_PUBLIC")
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN=TOKEN) as server:
            url = f"http://{PUBLIC}:{server.port}/mcp"
            self.assertEqual(self.statuses(url), {401})
            self.assertEqual(self.statuses(url, Authorization=f"Bearer {TOKEN}"), {200, 404})
        with SingleServer("echo", "0", ICCM_ALLOW_PUBLIC=1) as server:
            self.assertEqual(self.statuses(f"http://{PUBLIC}:{server.port}/mcp"), {200, 404})

    def test_a_private_peer_needs_none(self):
        self.other.addresses(f"{PRIVATE}/24", f"{PRIVATE_PEER}/24")
        with SingleServer("echo", "0") as server:
            url = f"http://{PRIVATE}:{server.port}/mcp"
            self.assertEqual(self.statuses(url), {200, 404})
            self.assertEqual(self.statuses(url, **{"X-Forwarded-For": PUBLIC_PEER}), {200, 404})  # a proxy in the same network


class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {"ICCM_ALLOWED_ORIGINS": "https://app.example", "ICCM_ALLOWED_HOSTS": "server.example"}
        cls.port = cls.enterClassContext(SingleServer("echo", "0", **settings)).port

    def status(self, *request, **more):
        return ask(HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S), *request, **more)[0]

    def test_origins(self):
        own = f"http://127.0.0.1:{self.port}"
        for method, headers, message in REQUESTS:
            served = 404 if message is None else 200
            for origin in own, "https://app.example":
                self.assertEqual(self.status(method, headers, message, Origin=origin), served, origin)
            for origin in "https://evil.example", "https://app.example.evil.example", "http://app.example", "null", own.replace("http", "https"):
                self.assertEqual(self.status(method, headers, message, Origin=origin), 403, origin)

    def test_headers_of_proxies_name_no_origin(self):
        request = "POST", modern_headers(DISCOVER), DISCOVER
        self.assertEqual(self.status(*request, **FORWARDED), 200)
        self.assertEqual(self.status(*request, **FORWARDED, Origin="https://evil.example"), 403)
        self.assertEqual(self.status(*request, **FORWARDED, Origin=f"https://127.0.0.1:{self.port}"), 403)

    def test_hosts(self):
        for method, headers, message in REQUESTS:
            for host in "evil.example", f"evil.example:{self.port}":
                same = {"Host": host, "Origin": f"http://{host}"}
                self.assertEqual(self.status(method, headers | same, message), 403, (method, host))
            if method == "GET":  # browsers send no Origin with it
                self.assertEqual(self.status(method, headers | {"Host": "evil.example"}, message), 403)
                self.assertEqual(self.status(method, headers | {"Host": "server.example"}, message), 404)
        self.assertEqual(self.status(*REQUESTS[0], Host="server.example", Origin="http://server.example"), 200)


if __name__ == "__main__":
    main()
