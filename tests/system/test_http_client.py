"""The client over HTTP: `iccm` against our servers, and against fake ones that speak HTTP as a case defines."""
import contextlib
import json
import socket
import subprocess
import threading
import unittest
from pathlib import Path

from services import PROGRAMS, SANITIZER_REPORT, WAIT_S, SingleServer, free_port, main, run_program, wait_until

META = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
OK, PROTOCOL, REFUSED, UNREACHABLE, TOOL, TIMEOUT = 0, 2, 3, 4, 5, 6
SESSION = "Session-1"


def iccm(*words, seconds=WAIT_S, **environment):
    run = subprocess.run([PROGRAMS["iccm"], *map(str, words)], capture_output=True, text=True, timeout=seconds,
                         env={"PATH": "/bin:/usr/bin"} | environment)
    if SANITIZER_REPORT.search(run.stderr):
        raise AssertionError(run.stderr)
    return run


class Request:
    def __init__(self, conn, number, method, path, headers, body):
        self.conn, self.number, self.method, self.path, self.headers = conn, number, method, path, headers
        self.message = json.loads(body) if body else {}
        self.rpc = self.message.get("method")
        self.id = self.message.get("id")
        self.params = self.message.get("params", {})


def response(status, body=b"", *headers, type="application/json", framing=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Reason", *headers]
    lines += [f"Content-Type: {type}"] if body else []
    lines += [framing or f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def result(request, **members):
    return {"jsonrpc": "2.0", "id": request.id, "result": members}


def error(request, code, message="no", **data):
    return {"jsonrpc": "2.0", "id": request.id, "error": {"code": code, "message": message} | data}


def text(request, words="fine"):
    return result(request, content=[{"type": "text", "text": words}], resultType="complete")


def event(message):
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def events(*messages, end=b""):
    """A stream until the end of the connection."""
    return response(200, b"".join(map(event, messages)) + end, type="text/event-stream", framing="Connection: close")


DISCOVERED = {"supportedVersions": [MODERN, "2025-11-25"], "capabilities": {"tools": {}}, "resultType": "complete"}
TOOLS = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
CLOSE = object()


class Fake:
    """answer(request) returns the bytes of the response, CLOSE, or None once it has written them itself."""

    def __init__(self, answer):
        self.answer, self.requests, self.connections, self.lock = answer, [], 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                conn = self.listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(conn, self.connections), daemon=True).start()

    def serve(self, conn, number):
        with contextlib.suppress(ConnectionError), conn, conn.makefile("rb") as lines:
            while start := lines.readline().decode().split():
                headers = {}
                while line := lines.readline().decode().strip():
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                body = lines.read(int(headers.get("content-length", 0)))
                request = Request(conn, number, start[0], start[1], headers, body)
                with self.lock:
                    self.requests.append(request)
                answer = self.answer(request)
                if answer is CLOSE:
                    return
                if answer is not None:
                    conn.sendall(answer)
                    if b"Connection: close" in answer.partition(b"\r\n\r\n")[0]:
                        return

    def seen(self, *names):
        """The requests by their method of MCP or HTTP."""
        with self.lock:
            return [each for each in self.requests if (each.rpc or each.method) in names]

    @property
    def order(self):
        with self.lock:
            return [each.rpc or each.method for each in self.requests]


def modern(answer=None):
    """A modern server; answer(request) may take over."""

    def serve(request):
        own = answer(request) if answer is not None else None
        if own is not None:
            return own
        if request.rpc == "server/discover":
            return response(200, result(request, **DISCOVERED))
        if request.rpc == "tools/list":
            return response(200, result(request, **TOOLS))
        return response(200, text(request))

    return Fake(serve)


def legacy(refusal, answer=None, version="2025-06-18", session=SESSION):
    """A server of sessions; refusal(request) answers server/discover."""

    def serve(request):
        own = answer(request) if answer is not None else None
        if own is not None:
            return own
        if request.rpc == "server/discover":
            return refusal(request)
        if request.rpc == "initialize":
            members = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "old", "version": "1"}}
            return response(200, result(request, **members), *([f"Mcp-Session-Id: {session}"] if session else []))
        if request.id is None:
            return response(202 if request.rpc else 200)
        if request.rpc == "tools/list":
            return response(200, result(request, **TOOLS))
        return response(200, text(request))

    return Fake(serve)


class Case(unittest.TestCase):
    def expect(self, run, code, pattern=""):
        self.assertEqual(run.returncode, code, (run.stdout, run.stderr))
        if pattern:
            self.assertRegex(run.stdout + run.stderr, pattern)


class OurServers(Case):
    def test_commands(self):
        with SingleServer("everything", "0") as server:
            url = f"http://127.0.0.1:{server.port}"
            self.expect(iccm("list", url), OK, "test_simple_text")
            self.expect(iccm("ping", "--count", 3, f"{url}/mcp"), OK, "ping 3")
            self.expect(iccm("call", url, "test_simple_text"), OK, "This is a simple text")
            self.expect(iccm("call", url, "test_error_handling"), TOOL, "intentionally")
            self.expect(iccm("call", url, "no_such_tool"), PROTOCOL, "no_such_tool")
            run = iccm("call", "--progress", url, "test_tool_with_progress")
            self.expect(run, OK, "done in three steps")
            self.assertIn("50", run.stderr)
            self.expect(iccm("call", f"ws://127.0.0.1:{server.port}", "test_simple_text"), OK, "This is a simple text")
            self.expect(iccm("ready", url), OK)

    def test_a_page_is_no_endpoint(self):
        with SingleServer("echo", "0") as server:
            self.expect(iccm("list", f"http://127.0.0.1:{server.port}/metrics"), PROTOCOL, "HTTP 405.*many servers use /mcp")

    def test_arguments_that_are_repeated_in_headers(self):
        with SingleServer("everything", "0") as server:
            for value in "north", "süd", "", " x ", "=?base64?YQ==?=":
                run = iccm("call", f"http://127.0.0.1:{server.port}", "test_x_mcp_header", json.dumps({"region": value}))
                self.expect(run, OK)

    def test_many_calls_share_eight_connections(self):
        with SingleServer("echo", "0") as server:
            run = iccm("bench", "--json", "--connections", 2, "--in-flight", 40, "--seconds", 1, f"http://127.0.0.1:{server.port}", "echo", "text=x")
            self.expect(run, OK, '"failed":0|"errors":0')

    def test_token(self):
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="secret") as server:
            url = f"http://127.0.0.1:{server.port}"
            self.expect(iccm("call", url, "echo", "text=x", ICCM_AUTH_TOKEN="secret"), OK, "x")
            for token in ({}, {"ICCM_AUTH_TOKEN": "wrong"}):
                self.expect(iccm("call", url, "echo", "text=x", **token), REFUSED, "HTTP 401.*token")


class ModernServer(Case):
    def test_requests(self):
        with modern() as server:
            self.expect(iccm("call", "--trace", "t1", f"{server.url}/some/path?x=1", "echo", "text=a", ICCM_AUTH_TOKEN="T"), OK, "fine")
            discover, call = server.requests[0], server.seen("tools/call")[0]
            self.assertEqual((discover.rpc, discover.method, discover.path), ("server/discover", "POST", "/some/path?x=1"))
            for each in server.requests:
                meta = each.params["_meta"]
                self.assertEqual((meta[f"{META}protocolVersion"], meta[f"{META}clientCapabilities"]), (MODERN, {}))
                self.assertEqual(meta[f"{META}clientInfo"]["name"], "iccm-network")
                headers = {name: each.headers.get(name) for name in (
                    "mcp-protocol-version", "mcp-method", "content-type", "accept", "authorization", "host", "mcp-session-id")}
                self.assertEqual(headers, {
                    "mcp-protocol-version": MODERN, "mcp-method": each.rpc, "content-type": "application/json",
                    "accept": "application/json, text/event-stream", "authorization": "Bearer T",
                    "host": f"127.0.0.1:{server.port}", "mcp-session-id": None})  # fmt: skip
            self.assertEqual((call.headers["mcp-name"], call.params["arguments"]), ("echo", {"text": "a"}))
            self.assertEqual(call.params["_meta"]["trace_id"], "t1")
            self.assertEqual(server.connections, 1)

    def test_a_response_split_at_every_byte(self):
        def bodies(request):
            body = json.dumps(result(request, **DISCOVERED)).encode()
            chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:])) + b"0\r\n\r\n"
            head = b"HTTP/1.1 200 OK\r\nContent-Type: "
            note = {"jsonrpc": "2.0", "method": "notifications/other", "params": {}}
            stream = b": x\r\n\r\n", event(note), event(result(request, **DISCOVERED))
            yield response(200, body)
            yield head + b"application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
            yield (b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
                   b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in stream) + b"0\r\n\r\n")

        def answer(request):
            if not isinstance(request.id, int):  # the client's own question
                return None
            kind, at = places.pop(0)
            whole = [*bodies(request)][kind]
            request.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in whole[:at], whole[at:]:
                request.conn.sendall(part)
            return b""

        sizes = [len(each) for each in bodies(Request(None, 0, "", "", {}, b'{"id": 100}'))]
        places = [(kind, at) for kind, size in enumerate(sizes) for at in range(1, size)]
        with modern(answer) as server:
            self.expect(iccm("ping", "--count", len(places) - 1, server.url), OK)
            self.assertEqual(places, [])
            self.assertLessEqual(server.connections, 8)  # a stream that has not ended keeps its connection

    def test_a_body_until_the_end_of_the_connection(self):
        def answer(request):
            if request.rpc == "tools/call":
                return response(200, text(request), framing="Connection: close")
            return None

        with modern(answer) as server:
            self.expect(iccm("call", server.url, "echo"), OK, "fine")

    def test_kept_connections_are_used_again(self):
        with modern() as server:
            self.expect(iccm("ping", "--count", 5, server.url), OK)
            self.assertEqual((server.connections, len(server.requests)), (1, 7))
            self.assertEqual(set(server.order), {"server/discover"})

    def test_a_request_that_meets_a_closed_connection_is_repeated_once(self):
        calls = []

        def answer(request):
            if request.rpc == "tools/call":
                calls.append(request.number)
                return CLOSE if len(calls) < closes + 1 else None
            return None

        for closes, code in (1, OK), (2, PROTOCOL):
            calls.clear()
            with modern(answer) as server:
                self.expect(iccm("call", server.url, "echo"), code)
                self.assertEqual(calls, [1, 2])

    def test_a_new_connection_that_closes_is_no_reason_to_repeat(self):
        def answer(request):
            if request.rpc == "server/discover":
                return response(200, result(request, **DISCOVERED), "Connection: close")
            return CLOSE if request.rpc == "tools/call" else None

        with modern(answer) as server:
            self.expect(iccm("call", server.url, "echo"), PROTOCOL, "closed")
            self.assertEqual(len(server.seen("tools/call")), 1)

    def test_a_part_of_a_response_is_no_reason_to_repeat(self):
        def answer(request):
            if request.rpc == "tools/call":
                request.conn.sendall(response(200, text(request))[:-3])
                return CLOSE
            return None

        with modern(answer) as server:
            self.expect(iccm("call", server.url, "echo"), PROTOCOL)
            self.assertEqual(len(server.seen("tools/call")), 1)

    def test_progress_and_other_events(self):
        def answer(request):
            if request.rpc != "tools/call":
                return None
            token = request.params["_meta"]["progressToken"]
            notes = [{"jsonrpc": "2.0", "method": "notifications/progress",
                      "params": {"progressToken": token, "progress": each, "total": 4, "message": f"step {each}"}} for each in (1, 2, 3)]
            return events(*notes, text(request), {"jsonrpc": "2.0", "id": request.id, "result": {"late": 1}})

        with modern(answer) as server:
            run = iccm("call", "--progress", server.url, "echo")
            self.expect(run, OK, "fine")
            for step in 1, 2, 3:
                self.assertIn(f"step {step}", run.stderr)

    def test_a_stream_without_the_response(self):
        with modern(lambda request: events(end=b": x\n\n") if request.rpc == "tools/call" else None) as server:
            self.expect(iccm("call", server.url, "echo"), PROTOCOL, "ended without the response")

    def test_a_stream_that_goes_on_behind_the_response(self):
        gone = threading.Event()

        def answer(request):
            if request.rpc == "tools/call":
                request.conn.sendall(response(200, event(text(request)), type="text/event-stream", framing="Connection: close"))
                request.conn.recv(1)
                gone.set()
                return CLOSE
            return None

        with modern(answer) as server:
            self.expect(iccm("call", server.url, "echo"), OK, "fine")
            self.assertTrue(gone.wait(WAIT_S))

    def test_a_call_that_is_out_of_time_closes_its_connection(self):
        gone = threading.Event()

        def answer(request):
            if request.rpc == "tools/call":
                if request.conn.recv(1) == b"":
                    gone.set()
                return CLOSE
            return None

        with modern(answer) as server:
            self.expect(iccm("call", "--timeout", "1", server.url, "echo"), TIMEOUT, "no answer within 1000 ms")
            self.assertTrue(gone.wait(WAIT_S))
            self.assertNotIn("notifications/cancelled", server.order)

    def test_the_list_of_tools_is_read_for_headers(self):
        """By iccm first, which checks the arguments; and once more where the server refuses the call."""
        plain = {"type": "object", "properties": {"a": {"type": "string"}}}
        marked = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}

        def answer(request):
            if request.rpc == "tools/list" and "cursor" not in request.params:
                return response(200, result(request, tools=[], nextCursor="2"))
            if request.rpc == "tools/list":
                return response(200, result(request, tools=[{"name": "echo", "inputSchema": schemas.pop(0)}]))
            if request.rpc == "tools/call" and request.headers.get("mcp-param-a") != wanted:
                return response(400, error(request, -32020, "header mismatch"))
            return None

        pages = ["tools/list", "tools/list"]
        for schemas, wanted, code, order in (
            ([marked], "x", OK, [*pages, "tools/call"]),
            ([plain, marked], "x", OK, [*pages, "tools/call", *pages, "tools/call"]),
            ([marked, plain], None, OK, [*pages, "tools/call", *pages, "tools/call"]),
            ([plain, marked], "y", TOOL, [*pages, "tools/call", *pages, "tools/call"]),
        ):
            with modern(answer) as server:
                self.expect(iccm("call", server.url, "echo", "a=x"), code, "fine" if code == OK else "header mismatch")
                self.assertEqual(server.order, ["server/discover", *order])

    def test_a_tool_whose_headers_are_invalid_is_left_out(self):
        """In the version that has these headers alone, and over HTTP alone."""
        invalid = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
        tools = [{"name": name, "inputSchema": schema} for name, schema in (("bad", invalid), ("good", {"type": "object"}))]

        def answer(request):
            return response(200, result(request, tools=tools)) if request.rpc == "tools/list" else None

        with modern(answer) as server:
            run = iccm("list", "--verbose", server.url)
            self.assertEqual((run.returncode, run.stdout.split()), (OK, ["good"]))
            left_out = "left the tool bad out of the list: x-mcp-header of /a stands at a type that is none of"
            self.assertEqual(run.stderr.count("x-mcp-header"), 1)
            self.assertIn(left_out, run.stderr)
        with legacy(lambda request: response(404), answer) as server:
            self.assertRegex(iccm("list", server.url).stdout, r"(?sm)\Abad\n.*^good\n")

    def test_a_response_for_another_request(self):
        def answer(request):
            if request.rpc == "tools/call":
                return response(200, {"jsonrpc": "2.0", "id": request.id + 1, "result": {}})
            return None

        with modern(answer) as server:
            self.expect(iccm("call", server.url, "echo"), PROTOCOL, "unknown id")

    def test_responses_that_are_none(self):
        cases = ((response(200, b"<html>hello", type="text/html"), PROTOCOL, 'HTTP 200 with text/html "<html>hello"'),
                 (response(202), PROTOCOL, "HTTP 202 without a response"),
                 (response(204), PROTOCOL, "HTTP 204"),
                 (response(302, b"", "Location: https://elsewhere/mcp"), PROTOCOL, "not followed, use the address https://elsewhere/mcp"),
                 (response(404, b"gone", type="text/plain"), PROTOCOL, 'HTTP 404 with text/plain "gone": no MCP endpoint'),
                 (response(405), PROTOCOL, "HTTP 405"), (response(406), PROTOCOL, "HTTP 406"), (response(415), PROTOCOL, "HTTP 415"),
                 (response(401), REFUSED, "HTTP 401"), (response(403), REFUSED, "HTTP 403"),
                 (response(503, b"busy", type="text/plain"), PROTOCOL, "retry later"), (response(429), PROTOCOL, "retry later"),
                 (response(502, b"<h1>Bad Gateway", type="text/html"), PROTOCOL, "HTTP 502"),
                 (response(200, b"{"), PROTOCOL, "unreadable|without a response"), (b"SSH-2.0-OpenSSH\r\n", PROTOCOL, "not HTTP"),
                 (response(200, b"", "X: " + "x" * 9000), PROTOCOL, "head of the response is too large"))  # fmt: skip
        for answer, code, pattern in cases:
            for at in "server/discover", "tools/call":
                with self.subTest(pattern=pattern, at=at):
                    def serve(request, at=at, answer=answer):
                        is_handshake = at == "server/discover" and request.rpc in ("server/discover", "initialize")
                        return answer if request.rpc == at or is_handshake else None

                    with modern(serve) as server:
                        self.expect(iccm("call", server.url, "echo"), code, pattern)

    def test_errors_of_json_rpc_with_a_status(self):
        def answer(request):
            return response(404, error(request, -32601, "no such method")) if request.rpc == "tools/call" else None

        with modern(answer) as server:
            self.expect(iccm("call", server.url, "echo"), PROTOCOL, "no such method")
        with modern(lambda request: response(400, {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "bad"}})
                    if request.rpc == "tools/call" else None) as server:  # fmt: skip
            self.expect(iccm("call", server.url, "echo"), PROTOCOL, "bad")

    def test_a_server_that_is_away(self):
        self.expect(iccm("call", f"http://127.0.0.1:{free_port()}", "echo"), UNREACHABLE, "refused")
        with modern() as server:  # the next address of a list, of another kind
            self.expect(iccm("call", f"ws://127.0.0.1:{free_port()},{server.url}", "echo"), OK, "fine")

    def test_a_server_that_never_answers(self):
        def answer(request):
            request.conn.recv(1)
            return CLOSE

        with Fake(answer) as server:
            self.expect(iccm("call", "--timeout", "1", server.url, "echo"), TIMEOUT, "did not answer server/discover")

    def test_a_server_of_other_versions_alone(self):
        def answer(request):
            return response(400, error(request, -32022, "unsupported", data={"supported": ["2999-01-01"], "requested": MODERN}))

        with Fake(answer) as server:
            self.expect(iccm("call", server.url, "echo"), PROTOCOL, "-32022")
            self.assertEqual(server.order, ["server/discover"])


class LegacyServer(Case):
    REFUSALS = (
        lambda request: response(400, b"Bad Request: no session", type="text/plain"),
        lambda request: response(400, {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Server not initialized"}}),
        lambda request: response(404), lambda request: response(405),
        lambda request: response(200, error(request, -32601)),
        lambda request: response(400, error(request, -32022, data={"supported": ["2025-06-18"], "requested": MODERN})),
        lambda request: events(error(request, -32601)),
    )  # fmt: skip

    def test_a_session(self):
        for refusal in self.REFUSALS:
            with legacy(refusal) as server:
                self.expect(iccm("call", server.url, "echo"), OK, "fine")
                order = [each for each in server.order if each != "GET"] # of the session's stream, at any time
                self.assertEqual(order, ["server/discover", "initialize", "notifications/initialized",
                                         *order[3:-1], "DELETE"])
                initialize = server.seen("initialize")[0]
                self.assertEqual(initialize.params["protocolVersion"], "2025-11-25")
                self.assertNotIn("mcp-session-id", initialize.headers)
                for each in server.requests[2:]:
                    self.assertEqual((each.headers["mcp-session-id"], each.headers["mcp-protocol-version"]), (SESSION, "2025-06-18"))
                    self.assertNotIn("mcp-method", each.headers)
                    self.assertNotIn("_meta", each.params)

    def test_without_a_session(self):
        with legacy(self.REFUSALS[0], session=None, version="2025-03-26") as server:
            self.expect(iccm("ping", server.url), OK)
            self.assertNotIn("DELETE", server.order)
            self.assertIn("ping", server.order)
            self.assertTrue(all("mcp-session-id" not in each.headers for each in server.requests))

    def test_initialize_as_a_stream(self):
        def answer(request):
            if request.rpc == "initialize":
                members = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "old", "version": "1"}}
                return response(200, event(result(request, **members)), f"Mcp-Session-Id: {SESSION}",
                                type="text/event-stream", framing="Connection: close")
            return events(text(request)) if request.rpc == "tools/call" else None

        with legacy(self.REFUSALS[0], answer) as server:
            self.expect(iccm("call", server.url, "echo"), OK, "fine")
            self.assertEqual(server.seen("tools/call")[0].headers["mcp-session-id"], SESSION)

    def streams(self, *answers):
        """A server whose calls are answered by a stream with the first text, and each GET after an event by the next."""
        texts = iter(answers)

        def answer(request):
            if request.rpc == "tools/call":
                answer.call = request
            if request.rpc == "tools/call" or "last-event-id" in request.headers:
                told = next(texts)
                told = told if isinstance(told, str) else told(answer.call)
                if told.startswith("HTTP/1.1"):
                    return told.encode()
                return response(200, told.encode(), type="text/event-stream", framing="Connection: close")
            return response(405) if request.method == "GET" else None

        return legacy(self.REFUSALS[0], answer, version="2025-11-25")

    def test_a_stream_that_ends_before_the_response_is_continued(self):
        def final(request):
            return "event: message\n" + event(text(request)).decode()

        begin, more = "id: e1\nretry: 1\ndata: \n\n", "id: e2\ndata: \n\n"
        for answers, ids in (
            ([begin, final], ["e1"]),
            ([begin, more, final], ["e1", "e2"]),
            ([begin, ": nothing\n\n", final], ["e1", "e1"]),
            ([begin + "id: half", final], ["e1"]),
        ):
            with self.subTest(ids=ids), self.streams(*answers) as server:
                self.expect(iccm("call", server.url, "echo"), OK, "fine")
                gets = [each for each in server.seen("GET") if "last-event-id" in each.headers]
                self.assertEqual([each.headers["last-event-id"] for each in gets], ids)
                for each in gets:
                    self.assertEqual(each.headers["accept"], "text/event-stream")
                    self.assertEqual((each.headers["mcp-session-id"], each.headers["mcp-protocol-version"]), (SESSION, "2025-11-25"))
                self.assertEqual(len(server.seen("tools/call")), 1)

    def test_a_stream_that_cannot_be_continued(self):
        ended = "the stream of events ended without the response"
        begin = "id: e1\nretry: 1\ndata: \n\n"
        for answers, pattern in (
            ([": nothing\n\n"], ended),
            (["id: \u00fc\ndata: \n\n"], ended),
            ([begin, "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"], f"{ended}, and the server does not continue it: HTTP 405"),
            ([begin, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"], f"{ended}, and the server does not continue it: HTTP 404"),
        ):
            with self.subTest(pattern=pattern), self.streams(*answers) as server:
                self.expect(iccm("call", server.url, "echo"), PROTOCOL, pattern)
                self.assertEqual(len(server.seen("tools/call")), 1)

    def test_a_call_whose_stream_is_continued_ends_in_time(self):
        with self.streams("id: e1\nretry: 3600000\ndata: \n\n") as server:
            self.expect(iccm("call", "--timeout", "1", server.url, "echo"), TIMEOUT, "no answer within 1000 ms")
            self.assertEqual(server.seen("notifications/cancelled")[0].params["requestId"], server.seen("tools/call")[0].id)

    def test_a_bridge_to_a_server_of_the_newest_version_alone(self):
        def answer(request):
            return response(400, error(request, -32022, data={"supported": [MODERN]})) if request.rpc == "initialize" else None

        with modern(answer) as server:
            params = {"protocolVersion": "2025-06-18", "capabilities": {}}
            lines = [{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params},
                     {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo"}}]  # fmt: skip
            run = subprocess.run([PROGRAMS["iccm"], "bridge", server.url], input="".join(json.dumps(line) + "\n" for line in lines),
                                 capture_output=True, text=True, timeout=WAIT_S)  # fmt: skip
        answers = {answer["id"]: answer["result"] for answer in map(json.loads, run.stdout.splitlines())}
        self.assertEqual(answers[1], {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                      "serverInfo": {"name": server.url, "version": ""}})  # fmt: skip
        self.assertEqual(answers[2]["content"][0]["text"], "fine")
        self.assertEqual(server.order, ["initialize", "server/discover", "tools/call"])

    def test_the_stream_of_a_session(self):
        """It is opened after the handshake, and again after its end; its messages reach the host of a bridge."""
        changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        gets = []

        def answer(request):
            if request.method != "GET":
                return None
            gets.append(request.headers.get("last-event-id"))
            told = b"id: n%d\nretry: 1\n" % len(gets) + event(changed | {"params": {"n": len(gets)}})
            return response(200, told, type="text/event-stream", framing="Connection: close")

        with legacy(self.REFUSALS[0], answer) as server:
            bridge = subprocess.Popen([PROGRAMS["iccm"], "bridge", server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True)  # fmt: skip
            with bridge:
                params = {"protocolVersion": "2025-06-18", "capabilities": {}}
                bridge.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}) + "\n")
                bridge.stdin.flush()
                lines = [json.loads(bridge.stdout.readline()) for _ in range(4)]
                bridge.stdin.close()
        self.assertEqual(lines[0]["id"], 1)
        self.assertEqual([each["params"]["n"] for each in lines[1:]], [1, 2, 3])
        self.assertEqual(gets[:3], [None, "n1", "n2"])

    def test_a_session_that_the_server_forgot(self):
        pings = []

        def answer(request):
            if request.rpc == "ping":
                pings.append(request.headers.get("mcp-session-id"))
                if len(pings) in forgets:
                    return response(404, {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "Session not found"}})
            return None

        for forgets, code in ([3], OK), ([3, 4], TOOL):
            pings.clear()
            with legacy(self.REFUSALS[0], answer) as server:
                self.expect(iccm("ping", "--count", 5, server.url), code)
                self.assertEqual(server.order.count("initialize"), 2)
                self.assertEqual(server.order.count("server/discover"), 1)

    def test_a_call_that_is_out_of_time_is_cancelled_by_a_notification(self):
        cancelled = threading.Event()

        def answer(request):
            if request.rpc == "notifications/cancelled":
                cancelled.set()
            if request.rpc == "tools/call":
                request.conn.recv(1)
                return CLOSE
            return None

        with legacy(self.REFUSALS[0], answer) as server:
            self.expect(iccm("call", "--timeout", "1", server.url, "echo"), TIMEOUT)
            wait_until(cancelled.is_set, "the cancellation")
            self.assertEqual(server.seen("notifications/cancelled")[0].params["requestId"], server.seen("tools/call")[0].id)

    def test_requests_of_the_server_are_answered(self):
        answered = threading.Event()

        def answer(request):
            if request.rpc == "tools/call":
                head = response(200, event({"jsonrpc": "2.0", "id": "s1", "method": "ping"}), type="text/event-stream", framing="Connection: close")
                request.conn.sendall(head)
                answered.wait(WAIT_S)
                request.conn.sendall(event(text(request)))
                return CLOSE
            if request.rpc is None and request.id == "s1":
                answered.set()
                return response(202)
            return None

        with legacy(self.REFUSALS[0], answer) as server:
            self.expect(iccm("call", server.url, "echo"), OK, "fine")
            self.assertTrue(answered.is_set())

    def test_a_bridge(self):
        def answer(request):
            if request.rpc == "tools/call":
                return response(200, text(request)) if request.params["name"] == "good" else response(500)
            return None

        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
        messages = [("i", "initialize", hello), ("a", "tools/call", {"name": "good"}), ("b", "tools/call", {"name": "bad"}), ("c", "tools/call", {"name": "good"})]
        with legacy(self.REFUSALS[0], answer) as server:
            bridge = subprocess.Popen([PROGRAMS["iccm"], "bridge", server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            with bridge:
                answers = []
                for number, method, params in messages:
                    print(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}), file=bridge.stdin, flush=True)
                    answers.append(json.loads(bridge.stdout.readline()))
                bridge.stdin.close()
            self.assertEqual(bridge.returncode, 0)
            self.assertEqual([(each["id"], "result" in each) for each in answers], [("i", True), ("a", True), ("b", False), ("c", True)])
            self.assertIn("HTTP 500", answers[2]["error"]["message"])
            self.assertNotIn("server/discover", server.order)

    def test_versions_and_sessions_that_cannot_be(self):
        for version, session, pattern in ("1999-01-01", SESSION, "not supported"), ("2025-06-18", "a b", "Mcp-Session-Id"):
            with legacy(self.REFUSALS[0], version=version, session=session) as server:
                self.expect(iccm("call", server.url, "echo"), PROTOCOL, pattern)

    def test_our_own_sessions(self):
        """The server without its modern half, behind a relay that refuses server/discover."""
        with SingleServer("everything", "0") as server:
            def answer(request):
                if request.rpc == "server/discover":
                    return response(405)
                headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
                body = json.dumps(request.message).encode() if request.message else b""
                lines = [f"{request.method} /mcp HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                with socket.create_connection(("127.0.0.1", server.port)) as conn:
                    conn.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                    return b"".join(iter(lambda: conn.recv(65536), b""))

            with Fake(answer) as fake:
                self.expect(iccm("list", fake.url), OK, "test_simple_text")
                run = iccm("call", "--progress", fake.url, "test_tool_with_progress")
                self.expect(run, OK, "done in three steps")
                self.assertIn("50", run.stderr)


class Tls(Case):
    def test_tls(self):
        with SingleServer("echo", "0") as plain:
            place = Path(plain.directory)
            self.assertEqual(run_program([PROGRAMS["certificates"], place]).returncode, 0)
            self.expect(iccm("call", f"https://localhost:{plain.port}", "echo", "text=x"), PROTOCOL, "or http://")
            settings = {"ICCM_TLS_CERT": place / "good.pem", "ICCM_TLS_KEY": place / "key.pem"}
            with SingleServer("echo", "0", **settings) as server:
                url, text_of_100_kb = f"https://localhost:{server.port}", 100_000 * "z"
                self.expect(iccm("call", url, "echo", f"text={text_of_100_kb}", ICCM_TLS_CA=str(place / "ca.pem")), OK, text_of_100_kb)
                self.expect(iccm("call", url, "echo", "text=x"), PROTOCOL, "ICCM_TLS_CA")
                self.expect(iccm("--insecure", "call", url, "echo", "text=x"), OK, "x")
                self.expect(iccm("call", url.replace("https", "http"), "echo", "text=x"), PROTOCOL, "https://")


if __name__ == "__main__":
    main()
