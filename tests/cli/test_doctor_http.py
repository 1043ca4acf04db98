"""`iccm doctor http://…` against real faulty set-ups: servers that speak one version, web servers, and nginx with the usual
mistakes in its configuration.
"""
import asyncio
import http.server
import json
import os
import shutil
import socket
import tempfile
import threading
import time

import websockets

from fake_server import FakeServer, silent
from services import PROGRAMS, WAIT_S, ProgramGroup, SingleServer, free_port, growing_timeout, main, run_program, wait_until
from test_doctor import HTTP_STAGES, OK, PROTOCOL, REFUSED, TIMEOUT, UNREACHABLE, Case, sends

MODERN, LEGACY = "2026-07-28", "2025-11-25"
UNKNOWN_METHOD = {"error": {"code": -32601, "message": "no such method"}}


class Request:
    def __init__(self, handler):
        self.verb, self.path, self.headers = handler.command, handler.path, handler.headers
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        try:
            self.message = json.loads(self.body) if self.body else {}
        except ValueError:
            self.message = None
        self.method = (self.message or {}).get("method")
        self.is_modern = handler.headers.get("MCP-Protocol-Version") == MODERN


class Answer:
    def __init__(self, status, body=b"", type="text/html", **headers):
        self.status, self.type = status, type
        self.body = body if isinstance(body, bytes) else body.encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def rpc(request, members, status=200, **headers):
    message = {"jsonrpc": "2.0", "id": (request.message or {}).get("id")} | members
    return Answer(status, json.dumps(message), "application/json", **headers)


class Peer:
    """An HTTP server on loopback: serve(request) returns an Answer, None to close the connection without one, or a function that
    writes to the socket. .requests are those received."""

    def __init__(self, serve):
        peer, self.requests = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version, sys_version = "Peer/1", ""

            def log_message(self, *_):
                pass

            def respond(self):
                request = Request(self)
                peer.requests.append(request)
                answer = serve(request)
                if callable(answer):
                    answer(self.wfile)
                if not isinstance(answer, Answer):
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in ({"Content-Type": answer.type, "Content-Length": len(answer.body)} | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            do_POST = do_GET = do_DELETE = respond

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}/mcp"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def begun_stream(wfile):
    wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n")
    wfile.flush()
    time.sleep(WAIT_S)


def healthy(modern=True, legacy=True, session="s1", **instead):
    """An MCP server. instead: a method, or the verb of HTTP without a body, and the function that answers it."""

    def results(request):
        if request.message is None:
            return rpc(request, {"error": {"code": -32700, "message": "not JSON"}}, 400)
        if request.verb == "GET":
            return Answer(405)
        if request.verb == "DELETE" or request.method == "notifications/initialized":
            return Answer(202)
        if request.is_modern and not modern:
            return rpc(request, {"error": {"code": -32000, "message": "Unsupported protocol version"}}, 400)
        if not request.is_modern and not legacy:
            return rpc(request, UNKNOWN_METHOD, 404)
        if request.method == "initialize":
            result = {"protocolVersion": LEGACY, "capabilities": {}, "serverInfo": {"name": "peer", "version": "1"}}
            return rpc(request, {"result": result}, **({"Mcp_Session_Id": session} if session else {}))
        if request.method == "server/discover":
            return rpc(request, {"result": {"supportedVersions": [MODERN], "capabilities": {}}})
        if request.method == "tools/list":
            return rpc(request, {"result": {"tools": [{"name": "nothing", "inputSchema": {"type": "object"}}]}})
        return rpc(request, UNKNOWN_METHOD)

    def serve(request):
        key = (request.method or request.verb).replace("/", "_") if request.message is not None else "bad_json"
        return instead.get(key, results)(request)

    return serve


class HttpCase(Case):
    def expect_peer(self, serve, *expected):
        with Peer(serve) as peer:
            return self.expect(self.examine(peer.url), *expected)


class Healthy(HttpCase):
    def test_both_eras(self):
        with SingleServer("echo", "0") as echo:
            report = self.examine(f"http://localhost:{echo.port}/any/path")
            self.assertEqual((report.code, report.names), (OK, []), report.text)
            self.assertEqual(set(HTTP_STAGES) - {"tls"}, {each["stage"] for each in report.findings})
            self.assertIn("serves echo", report.text)
            self.assertIn(f"protocol version {LEGACY}, with a session", report.text)
            self.assertIn("a stream of events begins at once", report.text)
            self.assertTrue(report.text.startswith(f"http://localhost:{echo.port}/any/path\n"))

    def test_one_era(self):
        for session in "s1", None:
            self.expect_peer(healthy(modern=False, session=session), OK, "only_legacy", "initialize", "before 2026-07-28", "Nothing")
        words = ("HTTP 404", "-32601", "no version of MCP before 2026-07-28")
        self.expect_peer(healthy(legacy=False), OK, "only_modern", "initialize", *words)
        streams = {"GET": lambda _: begun_stream}
        self.expect_peer(healthy(modern=False, **streams), OK, "only_legacy", "initialize")

    def test_a_token(self):
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="word") as echo:
            url = f"http://127.0.0.1:{echo.port}"
            self.assertEqual(self.examine(f"{url}/mcp", "--token", "word").names, [])
            for options in (), ("--token", "another"):
                words = ("HTTP/1.1 401", "requires a token", "--token")
                self.expect(self.examine(f"{url}/mcp", *options), REFUSED, "unauthorized", "discover", *words)

    def test_no_tool_is_called_and_the_session_ends(self):
        with Peer(healthy()) as peer:
            self.assertEqual(self.examine(peer.url).code, OK)
        names = {request.message["params"]["name"] for request in peer.requests if request.method == "tools/call"}
        self.assertEqual(names, {"iccm_doctor_no_such_tool"})
        self.assertEqual([each.headers["Mcp-Session-Id"] for each in peer.requests if each.verb == "DELETE"], ["s1", "s1"])


class Endpoint(HttpCase):
    def test_wrong_path(self):
        def serve(request):
            return healthy()(request) if request.path == "/mcp" else Answer(404, "<h1>Not Found</h1>\n")

        with Peer(serve) as peer:
            report = self.examine(peer.url.replace("/mcp", "/nothing"))
        words = ("404", '"<h1>Not Found</h1>"', "at the path /mcp", "Use the path /mcp")
        self.expect(report, PROTOCOL, "wrong_path", "initialize", *words)
        with SingleServer("echo", "0") as echo:
            report = self.examine(f"http://127.0.0.1:{echo.port}/healthz")
        self.expect(report, PROTOCOL, "wrong_path", "initialize", "405 Method Not Allowed")

    def test_statuses(self):
        for status, name, code, stage, words in (
            (200, "http_page", PROTOCOL, "discover", ("a page that is no message of MCP", "a login", '"<html>"')),
            (301, "redirect", PROTOCOL, "discover", ("Location: https://elsewhere/mcp/", "do not follow redirects")),
            (307, "redirect", PROTOCOL, "discover", ("Location: https://elsewhere/mcp/",)),
            (400, "http_other_status", PROTOCOL, "initialize", ("HTTP/1.1 400", "rejects the POST")),
            (401, "unauthorized", REFUSED, "discover", ("requires a token", "Ask the server's operator")),
            (403, "forbidden", REFUSED, "discover", ("does not admit clients from this address",)),
            (404, "no_endpoint", PROTOCOL, "initialize", ("nor at /mcp", "Server: Peer/1", "which paths it forwards")),
            (405, "no_post", PROTOCOL, "initialize", ("takes no POST at this path", "HTTP with SSE")),
            (406, "not_acceptable", PROTOCOL, "discover", ("Accept: application/json, text/event-stream",)),
            (415, "media_type", PROTOCOL, "discover", ("Content-Type: application/json",)),
            (426, "http_other_status", PROTOCOL, "initialize", ("426",)),
            (500, "http_other_status", PROTOCOL, "discover", ("HTTP/1.1 500",)),
            (502, "gateway", PROTOCOL, "discover", ("cannot reach the server behind it",)),
            (503, "busy", PROTOCOL, "discover", ("no more connections",)),
        ):
            with self.subTest(status=status):
                headers = {"Location": "https://elsewhere/mcp/?secret"} if status in (301, 307) else {}
                answer = Answer(status, "<html>\n", **headers)
                finding = self.expect_peer(lambda _, answer=answer: answer, code, name, stage, *words)
                self.assertNotIn("secret", finding["what"])

    def test_no_version(self):
        def other(request):
            result = {"protocolVersion": "2031-01-01", "serverInfo": {}}
            return rpc(request, {"result": result} if request.method == "initialize" else UNKNOWN_METHOD)

        self.expect_peer(lambda request: rpc(request, UNKNOWN_METHOD), PROTOCOL, "no_version", "initialize", "no such method")
        self.expect_peer(other, PROTOCOL, "no_version", "initialize", "a protocol version that is not supported")
        error = {"error": {"code": -32022, "message": "2031 alone", "data": {"supported": ["2031-01-01"]}}}
        self.expect_peer(lambda request: rpc(request, error, 400), PROTOCOL, "no_version", "discover", "-32022", "2031 alone")

    def test_websocket_alone(self):
        async def echo(conn, *_):
            async for text in conn:
                await conn.send(text)

        async def run():
            async with websockets.serve(echo, "127.0.0.1", 0) as server:
                port = next(iter(server.sockets)).getsockname()[1]
                return await asyncio.to_thread(self.examine, f"http://127.0.0.1:{port}/mcp")

        report = asyncio.run(run())
        self.assertEqual((report.code, report.names[-1]), (PROTOCOL, "only_websocket"), report.text)
        self.assertIn("Use ws:// instead of http://", report.text)
        self.assertIn("iccm bridge --listen PORT", report.text)

    def test_no_http(self):
        for data, name, words in (
            (b"SSH-2.0-Server_1\r\n", "ssh", ("SSH server",)),
            (b"-ERR unknown command\r\n", "redis", ("9060",)),
            (b"\xff\x00 hello", "not_http", ("not HTTP",)),
        ):
            with FakeServer(sends(data)) as peer:
                self.expect(self.examine(peer.url.replace("ws", "http") + "/mcp"), PROTOCOL, name, "discover", *words)

    def test_no_response(self):
        with FakeServer(lambda conn: conn.recv(65536)) as peer:
            report = self.examine(peer.url.replace("ws", "http") + "/mcp")
        self.expect(report, PROTOCOL, "http_closed", "discover", "closed the connection without a response", "crashed")
        with FakeServer(silent) as peer:
            report = self.examine(peer.url.replace("ws", "http") + "/mcp")
        self.expect(report, UNREACHABLE, "http_silent", "discover", "sent no response", "it hangs")

    def test_half_a_response(self):
        def half(wfile):
            wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
            wfile.flush()
            time.sleep(WAIT_S)

        self.expect_peer(lambda _: half, PROTOCOL, "http_unfinished", "discover", "200 OK", "stopped sending")


class TlsOverHttp(HttpCase):
    def setUp(self):
        self.place = self.enterContext(tempfile.TemporaryDirectory())
        self.assertEqual(run_program([PROGRAMS["certificates"], self.place]).returncode, 0)
        self.environment = {"ICCM_TLS_CA": f"{self.place}/ca.pem"}

    def test_both_ways_round(self):
        files = {"ICCM_TLS_CERT": f"{self.place}/good.pem", "ICCM_TLS_KEY": f"{self.place}/key.pem"}
        with SingleServer("echo", "0", **files) as echo:
            report = self.examine(f"https://localhost:{echo.port}/mcp", env=self.environment)
            self.assertEqual((report.code, report.names), (OK, []), report.text)
            self.assertEqual(set(HTTP_STAGES), {each["stage"] for each in report.findings})
            report = self.examine(f"http://127.0.0.1:{echo.port}/mcp")
            self.expect(report, PROTOCOL, "tls", "discover", "speaks TLS", "https:// instead of http://")
        with SingleServer("echo", "0") as echo:
            report = self.examine(f"https://127.0.0.1:{echo.port}/mcp", env=self.environment)
            self.expect(report, PROTOCOL, "tls_not_spoken", "tls", "http:// instead of https://")


class Sessions(HttpCase):
    def refuse_without_session(self, request):
        if request.headers["Mcp-Session-Id"] is None:
            return rpc(request, {"error": {"code": -32000, "message": "Bad Request: Mcp-Session-Id header is required"}}, 400)
        return Answer(404, "no such session", "text/plain")

    def test_missing_and_lost(self):
        serve = healthy(modern=False, session=None, tools_list=self.refuse_without_session)
        with Peer(serve) as peer:
            report = self.examine(peer.url)
        self.assertEqual((report.code, report.names[-1]), (PROTOCOL, "session_missing"), report.text)
        words = ("Mcp-Session-Id header is required", "a proxy has removed the header")
        for word in words:
            self.assertIn(word, report.text)
        with Peer(healthy(modern=False, tools_list=self.refuse_without_session)) as peer:
            report = self.examine(peer.url)
        self.assertEqual((report.code, report.names[-1]), (PROTOCOL, "session_lost"), report.text)
        self.assertIn("a load balancer sends the requests of one session to several processes", report.text)


class Talk(HttpCase):
    def test_tools_list(self):
        def failing(request):
            return rpc(request, {"error": {"code": -32603, "message": "broken"}})

        for answer, name, code, words in (
            (lambda request: rpc(request, UNKNOWN_METHOD), "tools_missing", PROTOCOL, ("no method `tools/list`",)),
            (failing, "tools_error", PROTOCOL, ("-32603", "broken")),
            (lambda request: rpc(request, {"result": {}}), "tools_error", PROTOCOL, ("misunderstood",)),
            (lambda _: Answer(500, "oh"), "request_refused", PROTOCOL, ("500", '"oh"')),
            (lambda _: None, "closed", PROTOCOL, ("closed the connection",)),
            (lambda _: lambda wfile: time.sleep(WAIT_S), "silent", TIMEOUT, ("sent no response", "it hangs")),
        ):
            with self.subTest(name=name):
                self.expect_peer(healthy(legacy=False, tools_list=answer), code, name, "tools/list", *words)

    def expect(self, report, code, name, stage, *words):
        """Servers of these tests speak one version, which is a warning."""
        report.names = [each for each in report.names if each != "only_modern"]
        return super().expect(report, code, name, stage, *words)

    def test_large_message(self):
        large = {"tools_call": lambda _: Answer(413, "<html>\n")}
        words = ("413", "1 MiB is the default of nginx", "client_max_body_size")
        self.expect_peer(healthy(legacy=False, **large), PROTOCOL, "http_large_limit", "large message", *words)
        self.expect_peer(healthy(legacy=False, tools_call=lambda _: None), PROTOCOL, "large_closed", "large message", "does not survive")

    def test_bad_json(self):
        page = {"bad_json": lambda _: Answer(400, "SyntaxError")}
        self.expect_peer(healthy(legacy=False, **page), OK, "bad_json_answer", "bad JSON", "SyntaxError", "-32700")
        self.expect_peer(healthy(legacy=False, bad_json=lambda _: None), OK, "bad_json_closed", "bad JSON")

    def test_stream_that_does_not_begin(self):
        def waits(wfile):
            time.sleep(WAIT_S)

        answers = {"subscriptions_listen": lambda _: waits}
        words = ("sent no response", "a proxy buffers the response", "proxy_buffering off")
        self.expect_peer(healthy(legacy=False, **answers), TIMEOUT, "stream_buffered", "stream", *words)

    def test_time(self):
        serve = healthy(legacy=False, tools_list=lambda _: lambda wfile: time.sleep(WAIT_S))
        with Peer(serve) as peer:
            report = growing_timeout(1, lambda seconds: self.examine(peer.url, "--timeout", seconds), lambda report: report.code != UNREACHABLE)
        self.expect(report, TIMEOUT, "no_time", "tools/list", "--timeout SECONDS")


NGINX = """daemon off;
master_process off;
pid {place}/nginx.pid;
error_log stderr;
events {{ worker_connections 100; }}
http {{
access_log off;
client_body_temp_path {place}/client_body;
proxy_temp_path {place}/proxy;
fastcgi_temp_path {place}/fastcgi;
uwsgi_temp_path {place}/uwsgi;
scgi_temp_path {place}/scgi;
server {{
listen 127.0.0.1:{port};
location /buffered {{ proxy_pass http://127.0.0.1:{backend}/mcp; proxy_ignore_headers X-Accel-Buffering; client_max_body_size 9m; }}
location /small {{ proxy_pass http://127.0.0.1:{backend}/mcp; }}
location /moved {{ return 301 https://$host/mcp; }}
location /away {{ proxy_pass http://127.0.0.1:{nobody}; }}
}}
server {{
listen 127.0.0.1:{secure} ssl;
ssl_certificate {place}/good.pem;
ssl_certificate_key {place}/key.pem;
}}
}}
"""


class Nginx(HttpCase):
    """A server of the library behind nginx, with mistakes in its configuration. To the server nginx speaks HTTP/1.0, its default."""

    def test_mistakes(self):
        nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if nginx is None:
            self.skipTest("nginx is not installed")
        echo = self.enterContext(SingleServer("echo", "0"))
        group = self.enterContext(ProgramGroup())
        place, port, secure = group.directory, free_port(), free_port()
        self.assertEqual(run_program([PROGRAMS["certificates"], place]).returncode, 0)
        (place / "nginx.conf").write_text(NGINX.format(place=place, port=port, secure=secure, backend=echo.port, nobody=free_port()))
        proxy = group.add("proxy", nginx, "-e", "stderr", "-c", place / "nginx.conf").start()
        self.addCleanup(proxy.kill)

        def is_up():
            self.assertIsNone(proxy.process.poll(), proxy.output())
            with socket.socket() as conn:
                return conn.connect_ex(("127.0.0.1", port)) == 0

        wait_until(is_up, "nginx accepts connections")
        for path, name, code, stage, words in (
            ("buffered", "stream_buffered", TIMEOUT, "stream", ("a proxy buffers the response",)),
            ("small", "http_large_limit", PROTOCOL, "large message", ("413", "Server: nginx", "client_max_body_size")),
            ("moved", "redirect", PROTOCOL, "discover", ("Location: https://127.0.0.1/mcp",)),
            ("nothing", "no_endpoint", PROTOCOL, "initialize", ("404 Not Found", "Server: nginx")),
            ("away", "gateway", PROTOCOL, "discover", ("502 Bad Gateway",)),
        ):
            with self.subTest(path=path):
                self.expect(self.examine(f"http://127.0.0.1:{port}/{path}"), code, name, stage, *words)
        report = self.examine(f"http://127.0.0.1:{secure}/mcp")
        self.expect(report, PROTOCOL, "tls", "discover", "400 Bad Request", "speaks TLS", "https://")


if __name__ == "__main__":
    main()
