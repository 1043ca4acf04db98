"""MCP over HTTP: requests of both eras, sessions, streams of events, and HTTP/1.1 itself."""
import json
import socket
import threading
import unittest

from services import PROGRAMS, WAIT_S, ProgramGroup, SingleServer, http, main, wait_until
from streamable_http import INITIALIZE, META, MODERN, Client, events, legacy, modern, modern_headers


class Modern(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = cls.enterClassContext(SingleServer("everything", "0")).port

    def setUp(self):
        self.client = self.enterContext(Client(self.port))

    def refused(self, message, headers, status, code):
        got, _, body = self.client.post(message, headers)
        self.assertEqual((got, body["error"]["code"], body["id"]), (status, code, message.get("id")), body)
        return body["error"]

    def test_a_call_is_answered_as_json_and_the_connection_stays(self):
        for number in range(3):
            status, headers, body = self.client.call("test_simple_text", number)
            self.assertEqual((status, headers["Content-Type"], body["id"]), (200, "application/json", number))
            self.assertEqual(body["result"]["content"][0]["text"], "This is a simple text response for testing.")
            self.assertEqual(body["result"]["resultType"], "complete")
            self.assertEqual(body["result"]["_meta"][f"{META}serverInfo"]["name"], "everything")
            self.assertNotIn("Connection", headers)

    def test_discover_and_list_say_how_long_they_may_be_kept(self):
        message = modern("server/discover")
        status, _, body = self.client.post(message, modern_headers(message))
        result = body["result"]
        self.assertEqual((status, result["supportedVersions"][0], result["resultType"]), (200, MODERN, "complete"))
        self.assertTrue(result["capabilities"]["tools"]["listChanged"])
        self.assertGreater(result["ttlMs"], 0)
        message = modern("tools/list")
        first = self.client.post(message, modern_headers(message))[2]["result"]
        self.assertEqual(first["cacheScope"], "private")
        self.assertEqual([tool["name"] for tool in first["tools"]],
                         [tool["name"] for tool in self.client.post(message, modern_headers(message))[2]["result"]["tools"]])

    def test_metadata_is_required(self):
        message = modern("tools/list")
        for missing in "protocolVersion", "clientCapabilities":
            broken = json.loads(json.dumps(message))
            del broken["params"]["_meta"][META + missing]
            self.refused(broken, modern_headers(message), 400, -32602)
        self.refused(legacy("tools/list"), modern_headers(message), 400, -32602)
        self.refused(legacy("server/discover"), {}, 400, -32602)

    def test_an_unknown_version_names_the_known_ones(self):
        message = modern("tools/list", version="2099-01-01")
        error = self.refused(message, modern_headers(message) | {"MCP-Protocol-Version": "2099-01-01"}, 400, -32022)
        self.assertEqual((error["data"]["supported"][0], error["data"]["requested"]), (MODERN, "2099-01-01"))

    def test_methods_of_older_versions_are_unknown(self):
        for method in "initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such":
            message = modern(method)
            self.refused(message, modern_headers(message), 404, -32601)

    def test_headers_have_to_match_the_body(self):
        message = modern("tools/call", name="test_x_mcp_header", arguments={"region": "us-west1"})
        fine = modern_headers(message) | {"Mcp-Param-Region": "us-west1"}
        self.assertEqual(self.client.post(message, fine)[0], 200)
        self.assertEqual(self.client.post(message, fine | {"mcp-param-REGION": None} | {"Mcp-Param-Region": "=?base64?dXMtd2VzdDE=?="})[0], 200)
        for change in (
            {"MCP-Protocol-Version": "2025-11-25"}, {"MCP-Protocol-Version": None}, {"Mcp-Method": "tools/list"}, {"Mcp-Method": None},
            {"Mcp-Method": "TOOLS/CALL"}, {"Mcp-Name": "test_simple_text"}, {"Mcp-Name": None}, {"Mcp-Param-Region": None},
            {"Mcp-Param-Region": "us-east1"}, {"Mcp-Param-Region": "=?base64?dXMtd2VzdDE?="}, {"Mcp-Param-Region": "=?base64?!!!!?="},
            {"Mcp-Name": "=?base64?AAAA?="}, {"Mcp-Param-Region": "us-west1\x80"},
        ):
            with self.subTest(change=change):
                self.refused(message, {name: value for name, value in (fine | change).items() if value is not None}, 400, -32020)
        unasked = modern("tools/call", name="test_x_mcp_header", arguments={})
        self.refused(unasked, fine, 400, -32020)
        encoded = modern("tools/call", name="test_simple_text", arguments={})
        self.assertEqual(self.client.post(encoded, modern_headers(encoded, **{"Mcp-Name": "=?base64?dGVzdF9zaW1wbGVfdGV4dA==?="}))[0], 200)

    def test_a_capability_that_the_client_lacks(self):
        message = modern("tools/call", name="test_missing_capability", arguments={})
        error = self.refused(message, modern_headers(message), 400, -32021)
        self.assertEqual(error["data"]["requiredCapabilities"], {"sampling": {}})
        message["params"]["_meta"][f"{META}clientCapabilities"] = {"sampling": {}}
        self.assertEqual(self.client.post(message, modern_headers(message))[0], 200)

    def test_failures_of_tools_and_arguments_are_results(self):
        for tool, arguments in ("test_error_handling", {}), ("test_x_mcp_header", {"region": 5}):
            message = modern("tools/call", name=tool, arguments=arguments)
            more = {"Mcp-Param-Region": "5"} if arguments else {}
            status, _, body = self.client.post(message, modern_headers(message) | more)
            self.assertEqual((status, body["result"]["isError"], body["result"]["resultType"]), (200, True, "complete"), tool)

    def test_progress_comes_as_events_before_the_response(self):
        message = modern("tools/call", meta={"progressToken": "p"}, name="test_tool_with_progress", arguments={})
        answer = self.client.send("POST", body=message, headers=modern_headers(message))
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        self.assertEqual((answer.headers["X-Accel-Buffering"], answer.headers["Cache-Control"]), ("no", "no-cache"))
        got = list(events(answer))
        self.assertEqual([each["params"]["progress"] for each in got[:-1]], [0, 50, 100])
        self.assertEqual((got[-1]["id"], "result" in got[-1]), (1, True))
        self.assertEqual(self.client.call("test_simple_text")[0], 200)  # on the same connection
        message["params"]["_meta"].pop("progressToken")
        self.assertEqual(self.client.post(message, modern_headers(message))[1]["Content-Type"], "application/json")

    def test_a_client_that_takes_no_events_gets_json(self):
        message = modern("tools/call", meta={"progressToken": 1}, name="test_tool_with_progress", arguments={})
        status, headers, _ = self.client.post(message, modern_headers(message) | {"Accept": "application/json"})
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))

    def test_a_client_that_takes_events_alone_gets_events(self):
        message = modern("tools/call", name="test_simple_text", arguments={})
        answer = self.client.send("POST", body=message, headers=modern_headers(message) | {"Accept": "text/event-stream"})
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        self.assertEqual([each["id"] for each in events(answer)], [1])

    def test_a_subscription_gets_what_it_asked_for(self):
        listens = modern("subscriptions/listen", "sub-1", notifications={"toolsListChanged": True, "promptsListChanged": True})
        answer = self.client.send("POST", body=listens, headers=modern_headers(listens))
        stream = events(answer)
        first = next(stream)
        self.assertEqual(first["method"], "notifications/subscriptions/acknowledged")
        self.assertEqual(first["params"], {"_meta": {f"{META}subscriptionId": "sub-1"}, "notifications": {"toolsListChanged": True}})
        with Client(self.port) as other:
            other.call("test_trigger_tool_change")
        self.assertEqual(next(stream), {"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
                                        "params": {"_meta": {f"{META}subscriptionId": "sub-1"}}})

    def test_a_subscription_without_events_is_refused(self):
        listens = modern("subscriptions/listen", 1, notifications={})
        got, _, body = self.client.post(listens, modern_headers(listens) | {"Accept": "application/json"})
        self.assertEqual((got, body["error"]["code"]), (400, -32600))

    def test_notifications_are_accepted_without_a_body(self):
        message = {"jsonrpc": "2.0", "method": "notifications/anything"}
        status, headers, text = self.client.post(message, {"MCP-Protocol-Version": MODERN})
        self.assertEqual((status, headers["Content-Length"], text), (202, "0", ""))

    def test_what_is_no_request(self):
        for body, code in ("{", -32700), ("[]", -32600), ("1", -32600), ("", -32700):
            status, _, answer = self.client.post(body, {"MCP-Protocol-Version": MODERN})
            self.assertEqual((status, answer["error"]["code"], answer["id"]), (400, code, None), body)


class Stopping(unittest.TestCase):
    def test_a_stop_ends_subscriptions_with_their_response(self):
        with ProgramGroup() as group:
            server = group.add("everything", PROGRAMS["everything"], "0")
            server.start()
            with Client(server.port()) as client:
                listens = modern("subscriptions/listen", 7, notifications={"toolsListChanged": True})
                stream = events(client.send("POST", body=listens, headers=modern_headers(listens)))
                next(stream)
                server.signal(15)
                self.assertEqual([(each["id"], each["result"]["_meta"]) for each in stream], [(7, {f"{META}subscriptionId": 7})])
            server.wait()


class Legacy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = cls.enterClassContext(SingleServer("everything", "0")).port

    def setUp(self):
        self.client = self.enterContext(Client(self.port))

    def begin(self):
        """A session: the headers that name it."""
        status, headers, body = self.client.post(INITIALIZE)
        self.assertEqual((status, body["result"]["protocolVersion"]), (200, "2025-11-25"))
        session = {"Mcp-Session-Id": headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
        self.assertRegex(headers["Mcp-Session-Id"], r"\A[0-9a-f]{32}\Z")
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        self.assertEqual(self.client.post(initialized, session)[0], 202)
        return session

    def test_a_session_from_initialize_to_delete(self):
        session = self.begin()
        self.assertEqual(self.client.post(legacy("ping"), session)[2]["result"], {})
        self.assertEqual(self.client.post(legacy("tools/call", name="test_simple_text"), session)[0], 200)
        self.assertEqual(self.client.send("DELETE", headers=session).read(), b"")
        self.assertEqual(self.client.post(legacy("ping"), session)[0], 404)
        with Client(self.port) as other:
            self.assertEqual(other.send("DELETE", headers=session).status, 404)

    def test_requests_without_a_session_are_served(self):
        status, headers, body = self.client.post(legacy("tools/call", name="test_simple_text"))
        self.assertEqual((status, "result" in body), (200, True))
        self.assertNotIn("resultType", body["result"])
        self.assertNotIn("Mcp-Session-Id", headers)
        status, headers, body = self.client.post(legacy("tools/call", name="test_simple_text", arguments={"say": "initialize"}))
        self.assertEqual(status, 200)
        self.assertNotIn("Mcp-Session-Id", headers)

    def test_an_unknown_session_or_version(self):
        self.assertEqual(self.client.post(legacy("ping"), {"Mcp-Session-Id": "0" * 32})[0], 404)
        self.assertEqual(self.client.post(legacy("ping"), {"MCP-Protocol-Version": "1999-01-01"})[0], 400)
        for method in "GET", "DELETE":
            answer = self.client.send(method, headers={"Accept": "text/event-stream"})
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "POST, OPTIONS"), method)
            answer.read()

    def test_the_stream_of_a_session_gets_what_is_sent_unasked(self):
        session = self.begin()
        with Client(self.port) as listener:
            answer = listener.send("GET", headers=session | {"Accept": "text/event-stream"})
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
            self.client.post(legacy("tools/call", name="test_trigger_tool_change"), session)
            self.assertEqual(next(events(answer)), {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            self.client.send("DELETE", headers=session).read()
            self.assertEqual(answer.read(), b"\n")  # it ends with its session

    def test_a_cancelled_call_ends_without_a_response(self):
        session = self.begin()
        call = legacy("tools/call", 9, name="test_tool_with_progress", _meta={"progressToken": 9})
        with Client(self.port) as caller:
            answer = caller.send("POST", body=call, headers=session)
            stream = events(answer)
            next(stream)
            cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}}
            self.assertEqual(self.client.post(cancelled, session)[0], 202)
            self.assertNotIn(9, [each.get("id") for each in stream])

    def test_a_closed_connection_cancels_nothing_in_a_session(self):
        session = self.begin()
        with Client(self.port) as caller:
            call = legacy("tools/call", 11, name="test_tool_with_progress", _meta={"progressToken": 1})
            next(events(caller.send("POST", body=call, headers=session)))
        message = legacy("tools/call", 11, name="test_simple_text")

        def id_is_free():  # while the first call goes on its id is in use
            return self.client.post(message, session)[0] == 200

        self.assertFalse(id_is_free())
        wait_until(id_is_free, "the end of the call")


class Http11(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = cls.enterClassContext(SingleServer("everything", "0", ICCM_MAX_MESSAGE_BYTES="65536")).port

    def post(self, body, *headers, version="1.1", length=True):
        lines = [f"POST /mcp HTTP/{version}", "Host: localhost", "Content-Type: application/json", *headers]
        lines += [f"Content-Length: {len(body)}"] if length else []
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    PING = json.dumps(legacy("ping")).encode()
    CLOSE = "Connection: close"

    def answer(self, request, status):
        got = http(self.port, request)
        self.assertEqual(got.status, status, request[:200])
        return got

    def test_bodies(self):
        self.answer(self.post(self.PING, self.CLOSE), 200)
        chunks = b"".join(b"%x;name=value\r\n%c\r\n" % (1, each) for each in self.PING) + b"0\r\nTrailer: x\r\n\r\n"
        self.answer(self.post(b"", self.CLOSE, "Transfer-Encoding: chunked", length=False) + chunks, 200)
        self.answer(self.post(self.PING, "Transfer-Encoding: chunked"), 400)
        self.answer(self.post(self.PING, f"Content-Length: {len(self.PING)}"), 400)
        self.answer(self.post(b"", "Transfer-Encoding: gzip, chunked", length=False), 501)
        self.answer(self.post(b"", "Transfer-Encoding: chunked", length=False) + b"zz\r\n", 400)
        self.answer(self.post(b"", "Transfer-Encoding: chunked", length=False) + b"1;" + b"x" * 20000 + b"\r\n", 400)
        self.answer(self.post(self.PING, "Content-Encoding: gzip"), 415)

    def test_the_limit_of_a_body(self):
        padding = 65536 - len(json.dumps(legacy("ping", text="")))
        fine, over = (json.dumps(legacy("ping", text="x" * (padding + more))).encode() for more in (0, 1))
        self.answer(self.post(fine, self.CLOSE), 200)
        self.answer(self.post(over, self.CLOSE), 413)
        for body, status in (fine, 200), (over, 413):
            chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            self.answer(self.post(b"", self.CLOSE, "Transfer-Encoding: chunked", length=False) + chunked, status)
        self.answer(self.post(b"", "Transfer-Encoding: chunked", length=False) + b"ffffffffffffffff\r\n", 413)

    def test_what_a_post_needs(self):
        self.answer(self.post(self.PING, self.CLOSE, "Accept: text/html"), 406)
        self.answer(self.post(self.PING, self.CLOSE, "Accept: application/json;q=0, text/html"), 406)
        self.answer(self.post(self.PING, self.CLOSE, "Accept: */*"), 200)
        self.answer(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415)
        self.answer(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 415)
        self.answer(b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 400)
        for page in b"/healthz", b"/readyz", b"/metrics":
            self.answer(b"POST " + page + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405)
        self.answer(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405)
        self.answer(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 400)
        self.answer(self.post(self.PING, self.CLOSE, "Origin: http://evil.example"), 403)

    def test_http_1_0_closes(self):
        got = self.answer(self.post(self.PING, version="1.0"), 200)
        self.assertTrue(got.closed)

    def test_pipelined_requests_are_answered_in_order(self):
        slow = json.dumps(legacy("tools/call", 1, name="test_tool_with_progress")).encode()
        requests = self.post(slow) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + self.post(json.dumps(legacy("ping", 3)).encode(), self.CLOSE)
        raw = self.exchange(requests)
        self.assertEqual(raw.count(b"HTTP/1.1 200 OK"), 3)
        self.assertLess(raw.index(b'"id":1'), raw.index(b"alive"))
        self.assertLess(raw.index(b"alive"), raw.index(b'"id":3'))

    def test_byte_by_byte(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as conn:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in self.post(self.PING, self.CLOSE, "hOST2: x"):
                conn.send(bytes((byte,)))
            self.assertIn(b'"result":{}', self.read_all(conn))

    def test_continue_is_sent_before_the_body(self):
        head, _, body = self.post(self.PING, self.CLOSE, "Expect: 100-continue").partition(b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as conn:
            conn.sendall(head + b"\r\n\r\n")
            self.assertEqual(conn.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            conn.sendall(body)
            self.assertIn(b"200 OK", self.read_all(conn))
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as conn:
            conn.sendall(head.replace(b"application/json", b"text/plain") + b"\r\n\r\n")
            self.assertIn(b"HTTP/1.1 415", self.read_all(conn))  # and no leave to go on

    def test_preflight_and_cors(self):
        with Client(self.port) as client:
            own = {"Origin": f"http://localhost:{self.port}", "Host": f"localhost:{self.port}"}
            answer = client.send("OPTIONS", headers=own | {"Access-Control-Request-Method": "POST"})
            self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (204, own["Origin"]))
            self.assertIn("POST", answer.headers["Access-Control-Allow-Methods"])
            answer.read()
            status, headers, _ = client.post(legacy("ping"), own)
            self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (200, own["Origin"]))
            self.assertNotIn("Access-Control-Allow-Origin", client.post(legacy("ping"))[1])

    def test_a_page_may_read_refusals_if_its_origin_is_allowed(self):
        own = {"Origin": f"http://localhost:{self.port}", "Host": f"localhost:{self.port}"}
        other = own | {"Origin": "http://evil.example"}
        for status, verb, headers, body in (
            (415, "POST", {"Content-Type": "text/plain"}, "{}"),
            (406, "POST", {"Accept": "text/html"}, "{}"),
            (405, "PUT", {}, None),
            (400, "POST", {}, "["),
            (400, "POST", {"Transfer-Encoding": "chunked"}, b"x\r\n"),
            (404, "POST", {"Mcp-Session-Id": "0", "MCP-Protocol-Version": "2025-11-25"}, json.dumps(legacy("ping"))),
        ):
            with self.subTest(status=status, headers=headers):
                for page, allowed in (own, own["Origin"]), (other, None):
                    with Client(self.port) as client:
                        answer = client.send(verb, body=body, headers=page | headers)
                        self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]),
                                         (status if allowed or status == 405 else 403, allowed), answer.read())
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="word", ICCM_ALLOWED_ORIGINS="https://a.example") as echo, Client(echo.port) as client:
            answer = client.send("POST", body=legacy("ping"), headers={"Origin": "https://a.example"})
            self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (401, "https://a.example"))
            self.assertIn("WWW-Authenticate", answer.headers["Access-Control-Expose-Headers"])

    def test_a_page_and_a_message_and_a_websocket_on_one_connection(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as conn:
            conn.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + self.post(self.PING) +
                         b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + b"\x88\x80\x00\x00\x00\x00")
            raw = self.read_all(conn)
            self.assertLess(raw.index(b"alive"), raw.index(b'"result":{}'))
            self.assertLess(raw.index(b'"result":{}'), raw.index(b"101 Switching Protocols"))

    def test_a_body_that_ends_early_is_no_request(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as conn:
            conn.sendall(self.post(self.PING)[:-1])
            conn.shutdown(socket.SHUT_WR)
            self.assertEqual(self.read_all(conn), b"")

    def exchange(self, request):
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as conn:
            conn.sendall(request)
            return self.read_all(conn)

    def read_all(self, conn):
        raw = b""
        while piece := conn.recv(65536):
            raw += piece
        return raw


class Ids(unittest.TestCase):
    def test_everybody_may_use_the_same_id(self):
        """Each of many clients, which all use id 1, gets the answer to its own argument."""
        port = self.enterContext(SingleServer("everything", "0")).port
        wrong = []

        def ask(number):
            with Client(port) as client:
                for turn in range(5):
                    text = f"client-{number}-{turn}"
                    message = modern("tools/call", 1, name="test_x_mcp_header", arguments={"region": text})
                    body = client.post(message, modern_headers(message) | {"Mcp-Param-Region": text})[2]
                    if body["result"]["structuredContent"]["region"] != text:
                        wrong.append((text, body))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    main()
