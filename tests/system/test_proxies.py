"""nginx and HAProxy in front of a server, with the configurations of docs/operations.md: WebSocket, HTTP of both eras, streams
of events, TLS that ends at the proxy, large messages, restarts of the server.

The test replaces the addresses and the files in the documented blocks, adds a listener without TLS, and runs each proxy as the
current user, with all its files in a temporary directory.
"""
import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import unittest
from http.client import HTTPSConnection

from caller import connect, round_trip, tool_call
from services import (
    PROGRAMS,
    SOURCE,
    WAIT_S,
    AsyncTestCase,
    ProgramGroup,
    free_port,
    http_get,
    main,
    run_program,
    wait_until,
)
from streamable_http import INITIALIZE, META, Client, events, legacy, modern, modern_headers

PAGE = (SOURCE / "docs/operations.md").read_text()
NAME = "mcp.example.com"  # the server's, in the documented blocks
BACKEND = "127.0.0.1:8070"  # its address there
LIMIT = 16 * 1024 * 1024  # ICCM_MAX_MESSAGE_BYTES of components

# What is around the block in Debian's nginx.conf, and what keeps nginx inside of one directory. A single process ends as a
# whole if it is killed.
NGINX = """daemon off;
master_process off;
pid {place}/nginx.pid;
error_log stderr;
events {{ worker_connections 768; }}
http {{
access_log off;
sendfile on;
tcp_nopush on;
gzip on;
client_body_temp_path {place}/client_body;
proxy_temp_path {place}/proxy;
fastcgi_temp_path {place}/fastcgi;
uwsgi_temp_path {place}/uwsgi;
scgi_temp_path {place}/scgi;
{block}
}}
"""
# The time limits of Debian's haproxy.cfg, which the block has to override where they are too short.
HAPROXY = """defaults
    mode http
    timeout connect 5000
    timeout client 50000
    timeout server 50000
{block}
"""


def block(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
    return found


def replaced(text, **changes):
    """The block with other values; each old one, a pattern, occurs once."""
    for old, new in changes.values():
        text, count = re.subn(old, lambda _, new=new: str(new), text)
        assert count == 1, f"{old!r} occurs {count} times in the documented block"
    return text


def documented_settings():
    """The server's settings on the page, without the token."""
    names = "ICCM_ALLOWED_HOSTS", "ICCM_ALLOWED_ORIGINS"
    return {name: re.search(rf"^    {name}=(\S+)$", PAGE, re.M)[1] for name in names}


def find_program(name):
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        raise unittest.SkipTest(f"{name} is not installed")
    return path


def accepts(program, port):
    """Whether a program accepts connections; fails if it has ended."""
    if program.process.poll() is not None:
        raise AssertionError(program.failure_text(f"ended with {program.process.returncode}"))
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S).close()
        return True
    except ConnectionError:
        return False


class Site(ProgramGroup):
    """A server, and a proxy in front of it. .secure and .clear are the proxy's ports with TLS and without."""

    def __init__(self, command, server="everything", **settings):
        super().__init__(**settings)
        self.secure, self.clear, self.backend = free_port(), free_port(), free_port()
        made = run_program([PROGRAMS["certificates"], self.directory])
        assert made.returncode == 0, made.stderr
        self.context = ssl.create_default_context(cafile=self.directory / "ca.pem")
        self.proxy = self.add("proxy", *command(self))
        self.server = self.add(server, PROGRAMS[server], self.backend)

    def __enter__(self):
        try:
            self.start_server()
            self.proxy.start()
            wait_until(lambda: accepts(self.proxy, self.clear) and accepts(self.proxy, self.secure), "the proxy accepts connections")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        if self.proxy.process is not None and self.proxy.process.poll() is None:
            self.proxy.kill()  # HAProxy ends by SIGTERM, not with an exit status
        return super().__exit__(kind, error, trace)

    def start_server(self):
        self.server.start()
        self.server.wait_for("listening on port")

    def client(self, tls=True):
        client = Client(self.clear)
        if tls:
            client.conn = HTTPSConnection("127.0.0.1", self.secure, context=self.context, timeout=WAIT_S)
        return client

    def websocket(self, tls):
        return connect(f"wss://127.0.0.1:{self.secure}", ssl=self.context) if tls else connect(f"ws://127.0.0.1:{self.clear}")

    def wait_for_metric(self, name, value):
        """Asks the server itself."""
        line = f"\n{name} {value}\n"
        wait_until(lambda: line in http_get(self.backend, path="/metrics").body.decode(), line)


class Proxied:
    """The tests, for each proxy."""

    @classmethod
    def setUpClass(cls):
        find_program(cls.program)
        cls.site = cls.enterClassContext(Site(cls.command, **documented_settings()))

    def for_each_client(self, check):
        """Calls check(client) with a client that uses TLS, and with one that does not."""
        for tls in True, False:
            with self.subTest(tls=tls), self.site.client(tls) as client:
                check(client)

    def begin(self, client):
        """A session of the legacy era: the headers that name it."""
        status, headers, body = client.post(INITIALIZE)
        self.assertEqual(status, 200, body)
        session = {"Mcp-Session-Id": headers["Mcp-Session-Id"], "MCP-Protocol-Version": body["result"]["protocolVersion"]}
        self.assertEqual(client.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, session)[0], 202)
        return session

    async def test_a_websocket_carries_calls_and_pings(self):
        for tls in True, False:
            async with self.site.websocket(tls) as ws:
                await (await ws.ping())
                self.assertEqual((await round_trip(ws, INITIALIZE))["result"]["protocolVersion"], "2025-11-25")
                self.assertEqual((await round_trip(ws, legacy("ping", 1)))["result"], {})
                answer = await round_trip(ws, tool_call(2, "test_x_mcp_header", region="x" * 1_000_000))
                self.assertEqual(len(json.loads(answer["result"]["content"][0]["text"])["region"]), 1_000_000)

    def test_a_legacy_session_from_initialize_to_delete(self):
        def check(client):
            session = self.begin(client)
            self.assertEqual(client.post(legacy("ping"), session)[2]["result"], {})
            self.assertEqual(client.post(legacy("tools/call", name="test_simple_text"), session)[0], 200)
            self.assertEqual(client.send("DELETE", headers=session).read(), b"")
            self.assertEqual(client.post(legacy("ping"), session)[0], 404)

        self.for_each_client(check)

    def test_modern_calls(self):
        def check(client):
            for number in range(3):
                status, headers, body = client.call("test_simple_text", number)
                self.assertEqual((status, headers["Content-Type"], body["id"]), (200, "application/json", number))
                self.assertEqual(body["result"]["resultType"], "complete")

        self.for_each_client(check)

    def test_a_subscription_gets_its_notifications_while_its_stream_is_open(self):
        listens = modern("subscriptions/listen", "s", notifications={"toolsListChanged": True})

        def check(client):
            stream = events(client.send("POST", body=listens, headers=modern_headers(listens)))
            self.assertEqual(next(stream)["method"], "notifications/subscriptions/acknowledged")
            for _ in range(3):
                with self.site.client() as other:
                    self.assertEqual(other.call("test_trigger_tool_change")[0], 200)
                self.assertEqual(next(stream)["method"], "notifications/tools/list_changed")

        self.for_each_client(check)

    def test_the_stream_of_a_session_gets_its_notifications_while_it_is_open(self):
        def check(client):
            session = self.begin(client)
            with self.site.client() as listener:
                answer = listener.send("GET", headers=session | {"Accept": "text/event-stream"})
                self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
                client.post(legacy("tools/call", name="test_trigger_tool_change"), session)
                self.assertEqual(next(events(answer))["method"], "notifications/tools/list_changed")
                client.send("DELETE", headers=session).read()
                self.assertEqual(answer.read().strip(), b"")  # it ends with its session

        self.for_each_client(check)

    def test_progress_comes_during_a_call_and_closing_its_stream_cancels_it(self):
        message = modern("tools/call", meta={"progressToken": 1}, name="later", arguments={"ms": 1, "steps": 10**9})
        with Site(self.command, "slow_server") as site:
            for cancelled, tls in (1, True), (2, False):
                with site.client(tls) as client:
                    stream = events(client.send("POST", body=message, headers=modern_headers(message)))
                    self.assertEqual([next(stream)["method"] for _ in range(3)], ["notifications/progress"] * 3)
                site.wait_for_metric('iccm_calls_total{tool="later",outcome="cancelled"}', cancelled)
                site.wait_for_metric("iccm_calls_in_flight", 0)

    def test_closing_the_connection_cancels_a_call_that_has_sent_nothing(self):
        message = modern("tools/call", name="later", arguments={"ms": 1, "steps": 10**9})
        headers = modern_headers(message) | {"Accept": "application/json", "Content-Type": "application/json"}
        with Site(self.command, "slow_server") as site:
            for cancelled, tls in (1, True), (2, False):
                with site.client(tls) as client:
                    client.conn.request("POST", "/mcp", json.dumps(message), headers)
                    site.wait_for_metric("iccm_calls_in_flight", 1)
                site.wait_for_metric('iccm_calls_total{tool="later",outcome="cancelled"}', cancelled)
                site.wait_for_metric("iccm_calls_in_flight", 0)

    def test_messages_of_every_size_that_the_server_accepts(self):
        padding = LIMIT - len(json.dumps(legacy("tools/call", name="test_x_mcp_header", arguments={"region": ""})))

        def check(client):
            text = "x" * padding
            status, _, body = client.post(legacy("tools/call", name="test_x_mcp_header", arguments={"region": text}))
            self.assertEqual((status, json.loads(body["result"]["content"][0]["text"])["region"] == text), (200, True))

        self.for_each_client(check)

    def test_a_message_above_the_limit(self):
        def check(client):
            head = f"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
            client.conn.connect()
            client.conn.sock.sendall(head.encode())
            self.assertRegex(client.conn.sock.recv(4096), rb"^HTTP/1\.1 413 ")

        self.for_each_client(check)

    def test_names_and_origins_of_the_proxy_are_admitted_as_documented(self):
        def check(client):
            for host, origin, status in (
                (NAME, None, 200),
                (NAME, f"https://{NAME}", 200),
                (NAME, "https://evil.example", 403),
                ("evil.example", "http://evil.example", 403),
            ):
                headers = {"Host": host, "Origin": origin}
                self.assertEqual(client.post(legacy("ping"), headers)[0], status, headers)
            for host, status in (NAME, 200), ("evil.example", 403):
                answer = client.send("GET", "/metrics", headers={"Host": host, "Accept": None})
                answer.read()
                self.assertEqual(answer.status, status, host)

        self.for_each_client(check)

    def test_the_token_is_passed_on(self):
        with Site(self.command, ICCM_AUTH_TOKEN="open-sesame") as site, site.client() as client:
            self.assertEqual(client.post(legacy("ping"))[0], 401)
            self.assertEqual(client.post(legacy("ping"), {"Authorization": "Bearer open-sesame"})[0], 200)

    async def test_a_server_that_stops_is_unavailable_until_it_has_started_again(self):
        listens = modern("subscriptions/listen", 7, notifications={"toolsListChanged": True})

        def status():
            with site.client() as other:
                return other.call("test_simple_text")[0]

        with Site(self.command) as site, site.client() as client:
            session = self.begin(client)
            stream = events(client.send("POST", body=listens, headers=modern_headers(listens)))
            next(stream)
            async with site.websocket(tls=True) as ws:
                await round_trip(ws, INITIALIZE)
                await asyncio.to_thread(site.server.stop)
                self.assertEqual([each["result"]["_meta"] for each in stream], [{f"{META}subscriptionId": 7}])
                await ws.wait_closed()
                self.assertEqual(ws.close_code, 1012)
            wait_until(lambda: status() == self.unavailable, "the server is unavailable")
            site.start_server()
            wait_until(lambda: status() == 200, "the server is served again")
            self.assertEqual(client.post(legacy("ping"), session)[0], 404)  # sessions end with their server
            self.begin(client)


class Nginx(Proxied, AsyncTestCase):
    program, unavailable = "nginx", 502

    @staticmethod
    def command(site):
        text = replaced(
            block("nginx"),
            backend=(re.escape(BACKEND), f"127.0.0.1:{site.backend}"),
            listeners=(r"listen 443 ssl;", f"listen 127.0.0.1:{site.secure} ssl; listen 127.0.0.1:{site.clear};"),
            certificate=(r"(?<=ssl_certificate )[^;]+", site.directory / "good.pem"),
            key=(r"(?<=ssl_certificate_key )[^;]+", site.directory / "key.pem"),
        )
        (site.directory / "nginx.conf").write_text(NGINX.format(place=site.directory, block=text))
        return find_program("nginx"), "-p", site.directory, "-e", "stderr", "-c", site.directory / "nginx.conf"


class Haproxy(Proxied, AsyncTestCase):
    program, unavailable = "haproxy", 503

    @staticmethod
    def command(site):
        both = site.directory / "both.pem"
        both.write_text((site.directory / "good.pem").read_text() + (site.directory / "key.pem").read_text())
        text = replaced(
            block("haproxy"),
            backend=(re.escape(BACKEND), f"127.0.0.1:{site.backend}"),
            listeners=(r"bind :443 ", f"bind 127.0.0.1:{site.clear}\n    bind 127.0.0.1:{site.secure} "),
            certificate=(r"(?<=crt )\S+", both),
        )
        (site.directory / "haproxy.cfg").write_text(HAPROXY.format(block=text))
        return find_program("haproxy"), "-db", "-f", site.directory / "haproxy.cfg"


if __name__ == "__main__":
    main()
