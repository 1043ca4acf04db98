"""HTTP on a server's port, and how WebSocket connections are refused and closed."""
import asyncio
import json
import signal
import socket
import unittest

from caller import Caller, close_code, connect, request, round_trip, tool_call
from services import (
    WAIT_S,
    AsyncTestCase,
    SingleServer,
    System,
    http,
    http_get,
    is_ready,
    main,
    wait_ready,
    wait_until,
    websocket_upgrade,
)

CALL = tool_call(1, "echo", a=1)


class Plain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = cls.enterClassContext(SingleServer("echo", "0")).port

    def test_health_and_readiness(self):
        self.assertEqual(http_get(self.port, path="/healthz").status, 200)
        self.assertEqual(http_get(self.port, path="/readyz").status, 200)

    def test_other_pages_say_what_this_is(self):
        own = http_get(self.port, path="/")
        self.assertEqual(own.status, 200)
        self.assertIn(b"JSON-RPC 2.0 over WebSocket", own.body)
        for path in ("/favicon.ico", "/a/b?c=d", "*", "/readyz/", "//readyz", "/ready", "/health"):
            answer = http_get(self.port, path=path)
            self.assertEqual(answer.status, 404, path)
            self.assertTrue(answer.closed, path)
            self.assertEqual(answer.body, own.body, path)
            self.assertEqual(len(answer.body), int(answer.headers["content-length"]), path)

    def test_an_absolute_target(self):
        for path in ("/healthz", "/readyz", "/metrics", "/", ""):
            self.assertEqual(http_get(self.port, path=f"http://127.0.0.1:{self.port}{path}").status, 200, path)
        self.assertEqual(http_get(self.port, path="http://localhost/readyz/").status, 404)
        self.assertEqual(websocket_upgrade(self.port, path=f"ws://127.0.0.1:{self.port}/any").status, 101)

    def test_other_methods_are_answered(self):
        """POST and DELETE belong to MCP, but on the pages."""
        everywhere = "GET, HEAD, POST, DELETE, OPTIONS"
        for path, allowed in ("/", everywhere), *((page, "GET, HEAD, OPTIONS") for page in ("/healthz", "/readyz", "/metrics")):
            expected = {"HEAD": 200, "OPTIONS": 204, "PUT": 405, "TRACE": 405}
            expected |= {"POST": 415, "DELETE": 405} if path == "/" else {"POST": 405, "DELETE": 405}
            for method, status in expected.items():
                head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                answer = http(self.port, head.encode())
                self.assertEqual(answer.status, status, (method, path))
                self.assertTrue(answer.closed, method)
                self.assertEqual(answer.body != b"", status in (405, 415), method)
                if status == 405:
                    is_page = path != "/" and method in ("POST", "DELETE")
                    of_session = (method, path) == ("DELETE", "/")
                    self.assertEqual(answer.headers["allow"], allowed if is_page else "POST, OPTIONS" if of_session else everywhere)
                self.assertEqual("content-length" in answer.headers, status != 204, method)

    def test_head_has_the_headers_of_get(self):
        for path in "/", "/healthz", "/readyz", "/other":
            head = http(self.port, f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            got = http(self.port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            self.assertEqual((head.status, head.headers, head.body), (got.status, got.headers, b""), path)

    def test_garbage_is_answered_or_closed_at_once(self):
        for junk in (b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\r\n" * 100, b"\x00" * 4000):
            answer = http(self.port, junk)
            self.assertTrue(answer.closed, junk[:10])
            self.assertIn(answer.status, (400, 408, None), junk[:10])

    def test_half_a_request_is_given_up_after_5_s(self):
        for part in (b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"\r\n"):
            answer = http(self.port, part)
            self.assertTrue(answer.closed, part)
            self.assertEqual(answer.status, 408, part)
            self.assertGreater(answer.seconds, 4)

    def test_headers_have_a_limit(self):
        for send, own in ((http_get, 2), (websocket_upgrade, 5)):  # so many headers each sends itself
            fine = 101 if send is websocket_upgrade else 200
            path = {"path": "/healthz"}
            self.assertEqual(send(self.port, *["X-A: b"] * (64 - own), **path).status, fine)
            self.assertEqual(send(self.port, *["X-A: b"] * (65 - own), **path).status, 431)
        self.assertEqual(http_get(self.port, "X-A: " + "b" * 7900).status, 200)
        self.assertEqual(http_get(self.port, "X-A: " + "b" * 8192).status, 431)
        self.assertEqual(http_get(self.port, path="/" + "a" * 8192).status, 431)

    def test_a_half_upgrade_is_refused(self):
        head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        for rest in (
            "Sec-WebSocket-Version: 13\r\n",
            key,
            key + "Sec-WebSocket-Version: 8\r\n",
            "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n",
        ):
            answer = http(self.port, (head + rest + "\r\n").encode())
            self.assertIn(answer.status, (400, 426), rest)
            self.assertTrue(answer.closed, rest)

    def test_the_accept_key_and_the_subprotocol(self):
        answer = websocket_upgrade(self.port, path="/any/path?x=1")
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")  # RFC 6455 1.3
        self.assertNotIn("sec-websocket-protocol", answer.headers)
        self.assertNotIn("sec-websocket-extensions", answer.headers)
        for offer in ("mcp", "other, mcp", "mcp, other"):
            answer = websocket_upgrade(self.port, f"Sec-WebSocket-Protocol: {offer}")
            self.assertEqual(answer.headers.get("sec-websocket-protocol"), "mcp", offer)
        answer = websocket_upgrade(self.port, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        self.assertEqual(answer.status, 101)
        self.assertNotIn("sec-websocket-extensions", answer.headers)


class Settings(AsyncTestCase):
    def test_an_origin_must_be_listed(self):
        with SingleServer("echo", "0") as echo:
            self.assertEqual(websocket_upgrade(echo.port).status, 101)
            self.assertEqual(websocket_upgrade(echo.port, "Origin: http://localhost").status, 403)
        with SingleServer("echo", "0", ICCM_ALLOWED_ORIGINS="http://a.example,https://b.example:8443") as echo:
            self.assertEqual(websocket_upgrade(echo.port, "Origin: http://a.example").status, 101)
            self.assertEqual(websocket_upgrade(echo.port, "Origin: https://b.example:8443").status, 101)
            self.assertEqual(websocket_upgrade(echo.port, "Origin: http://a.example/").status, 101)
            for origin in ("http://c.example", "https://a.example", "http://a.example.c.example", "null"):
                self.assertEqual(websocket_upgrade(echo.port, f"Origin: {origin}").status, 403, origin)
        with SingleServer("echo", "0", ICCM_ALLOWED_ORIGINS="*") as echo:
            self.assertEqual(websocket_upgrade(echo.port, "Origin: null").status, 101)

    async def test_libraries_that_invent_an_origin(self):
        with SingleServer("echo", "0") as echo:
            # Python's websocket-client, libwebsockets, and Go's x/net/websocket as its documentation uses it
            for origin in (f"http://127.0.0.1:{echo.port}", "http://127.0.0.1", "http://127.0.0.1/"):
                async with connect(echo.url, origin=origin) as ws:
                    self.assertIn("result", await round_trip(ws, CALL), origin)

    async def test_connections_have_a_limit(self):
        with SingleServer("echo", "0", ICCM_MAX_CONNECTIONS=3) as echo:
            sockets = [await connect(echo.url) for _ in range(3)]
            answer = await asyncio.to_thread(websocket_upgrade, echo.port)
            self.assertEqual(answer.status, 503)
            self.assertTrue(answer.headers["retry-after"].isdigit())
            self.assertTrue(answer.closed)
            for ws in sockets:
                self.assertIn("result", await round_trip(ws, CALL))
                await ws.close()
            await asyncio.to_thread(wait_until, lambda: websocket_upgrade(echo.port).status == 101, "there is room again")

    async def test_messages_have_a_limit(self):
        with SingleServer("echo", "0", ICCM_MAX_MESSAGE_BYTES=100000) as echo:
            text = json.dumps(CALL)
            async with connect(echo.url) as ws:
                self.assertIn("result", await round_trip(ws, text + " " * (100000 - len(text))))
                await ws.send(text + " " * (100001 - len(text)))
                self.assertEqual(await close_code(ws), 1009)
            async with connect(echo.url) as ws:
                await ws.send(" " * 60000 for _ in range(3))  # in fragments, each of them allowed
                self.assertEqual(await close_code(ws), 1009)
            async with connect(echo.url) as ws:
                self.assertIn("result", await round_trip(ws, CALL))

    def test_a_setting_that_cannot_be_read_ends_the_program(self):
        for name, value in (
            ("ICCM_MAX_CONNECTIONS", "abc"),
            ("ICCM_MAX_MESSAGE_BYTES", "-1"),
            ("ICCM_ALLOW_PUBLIC", "perhaps"),
        ):
            with SingleServer("echo", "0") as echo:
                echo.settings[name] = value
                broken = echo.add("echo-broken", *echo.program.command)
                broken.start()
                self.assertNotEqual(broken.wait(), 0)
                self.assertIn(name, broken.output())
                self.assertIn(value, broken.output())

    def test_a_port_in_use_ends_the_program(self):
        with SingleServer("echo", "0") as echo:
            second = echo.add("echo-second", echo.program.command[0], echo.port)
            second.start()
            self.assertNotEqual(second.wait(), 0)
            self.assertIn(str(echo.port), second.output())


class Connections(AsyncTestCase):
    @classmethod
    def setUpClass(cls):
        cls.url = cls.enterClassContext(SingleServer("echo", "0")).url

    async def test_any_path_and_the_subprotocol(self):
        for path in ("", "/", "/mcp", "/a/b/c?d=e%20f"):
            async with connect(self.url + path, subprotocols=["mcp"]) as ws:
                self.assertEqual(ws.subprotocol, "mcp")
                self.assertIn("result", await round_trip(ws, CALL))

    async def test_binary_is_refused(self):
        async with connect(self.url) as ws:
            await ws.send(json.dumps(CALL).encode())
            self.assertEqual(await close_code(ws), 1003)

    async def test_text_that_is_not_utf8_is_refused(self):
        reader, writer = await asyncio.open_connection(*self.url.removeprefix("ws://").split(":"))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x82\0\0\0\0\xff\xfe")
        frame = await asyncio.wait_for(reader.readexactly(4), WAIT_S)
        self.assertEqual((frame[0], int.from_bytes(frame[2:4], "big")), (0x88, 1007))
        writer.close()

    async def test_pings_are_answered(self):
        async with connect(self.url) as ws:
            for data in (b"", b"x", b"y" * 125):
                await asyncio.wait_for(await ws.ping(data), WAIT_S)

    async def test_fragments_make_one_message(self):
        text = json.dumps(CALL)
        async with connect(self.url) as ws:
            await ws.send(text[at : at + 1] for at in range(len(text)))
            self.assertEqual(json.loads(await asyncio.wait_for(ws.recv(), WAIT_S))["id"], 1)

    async def test_large_messages_come_back(self):
        async with Caller(self.url) as caller:
            for size in (1, 125, 126, 65535, 65536, 1 << 20, 15 << 20):
                value = "a" * size
                self.assertEqual((await caller.call("echo", {"value": value}))["value"], value)


class Shutdown(AsyncTestCase):
    async def test_calls_in_flight_are_finished_first(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with SingleServer("slow_server", "0") as server:
                async with connect(server.url) as ws, connect(server.url) as idle:
                    for tool in ("later", "sleep"):
                        await ws.send(json.dumps(tool_call(tool, tool, ms=1000)))
                    await round_trip(idle, request(1, "ping"))
                    await asyncio.wait_for(await ws.ping(), WAIT_S)  # the calls have been read
                    server.program.signal(number)
                    answers = [json.loads(await asyncio.wait_for(ws.recv(), WAIT_S)) for _ in range(2)]
                    self.assertEqual({answer["id"] for answer in answers}, {"later", "sleep"})
                    self.assertTrue(all("result" in answer for answer in answers), answers)
                    self.assertEqual(await close_code(ws), 1012)
                    self.assertEqual(await close_code(idle), 1012)
                self.assertEqual(await asyncio.to_thread(server.program.wait), 0)

    async def test_a_call_that_takes_too_long_is_not_waited_for(self):
        with SingleServer("slow_server", "0") as server:
            async with connect(server.url) as ws:
                await ws.send(json.dumps(tool_call(1, "later", ms=600_000)))
                await asyncio.wait_for(await ws.ping(), WAIT_S)
                server.program.signal(signal.SIGTERM)
                answer = json.loads(await asyncio.wait_for(ws.recv(), WAIT_S))
                self.assertEqual((answer["id"], answer["error"]["code"]), (1, -32603))
                self.assertEqual(await close_code(ws), 1012)
            self.assertEqual(await asyncio.to_thread(server.program.wait), 0)

    async def test_a_second_signal_ends_it_at_once(self):
        with SingleServer("slow_server", "0") as server:
            async with connect(server.url) as ws:
                await ws.send(json.dumps(tool_call(1, "later", ms=60000)))
                await asyncio.wait_for(await ws.ping(), WAIT_S)
                server.program.signal(signal.SIGTERM)
                await asyncio.to_thread(wait_until, lambda: not connects(server.port), "it stops listening")
                server.program.signal(signal.SIGTERM)
                self.assertEqual(await asyncio.to_thread(server.program.wait), 128 + signal.SIGTERM)


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S).close()
        return True
    except OSError:
        return False


class Readiness(unittest.TestCase):
    def test_what_is_missing_is_named(self):
        with System() as system:
            system.godot.start()
            wait_until(lambda: is_ready(system.godot_port, 503), "Godot listens first")
            self.assertEqual(http_get(system.godot_port, path="/healthz").status, 200)
            self.assert_missing(system, "redis", "dewey")
            system.start_redis()
            self.assert_missing(system, "dewey", there="redis")
            system.start_dewey()
            wait_ready(system.godot_port)
            system.dewey.kill()
            wait_ready(system.godot_port, 503)
            self.assert_missing(system, "dewey", there="redis")
            system.start_dewey()
            wait_ready(system.godot_port)
            system.redis.kill()
            wait_ready(system.godot_port, 503)
            self.assert_missing(system, "redis", there="dewey")
            self.assertEqual(http_get(system.godot_port, path="/healthz").status, 200)
            system.start_redis()
            wait_ready(system.godot_port)

    def assert_missing(self, system, *missing, there=None):
        def text():
            answer = http_get(system.godot_port, path="/readyz")
            self.assertEqual(answer.status, 503)
            return answer.body.decode().lower()

        wait_until(lambda: all(name in text() for name in missing), f"{missing} is named as missing")
        if there:
            wait_until(lambda: there not in text(), f"{there} is not named any more")


if __name__ == "__main__":
    main()
