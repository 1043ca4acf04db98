"""`iccm bridge` from the view of an MCP host: lines on pipes, with real servers that are killed and restarted, and with
misbehaving fake servers."""
import contextlib
import json
import math
import os
import pty
import queue
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from fake_server import FakeServer, plain_http, read_frame, silent, upgrade
from services import (
    INHERITED_ENV,
    PROGRAMS,
    SANITIZER_REPORT,
    WAIT_S,
    SingleServer,
    free_port,
    growing_timeout,
    main,
    run_program,
    wait_until,
)

MIB = 1 << 20
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {"roots": {}}, "clientInfo": {"name": "host", "version": "7"}}
WELCOME = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "peer", "version": "1"}}


def request(number, method, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def call(number, tool, **arguments):
    return request(number, "tools/call", name=tool, arguments=arguments)


def notification(method, **params):
    return {"jsonrpc": "2.0", "method": method, "params": params}


def start(*words, env=None, **options):
    environment = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ} | (env or {})
    command = ["setpriv", "--pdeathsig", "KILL", PROGRAMS["iccm"], "bridge", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, **({"stdin": pipe, "stdout": pipe, "stderr": pipe} | options))


class Bridge:
    """An MCP host: send() writes a line, receive() returns the next line as JSON. Leaving the context closes standard input
    and expects exit status 0 without another line. read=False: nothing is read before .read()."""

    def __init__(self, url, *options, read=True, read_errors=True, env=None):
        self.process = start(*options, url, env=env)
        self.lines, self.errors, self.threads = queue.Queue(), [], []
        if read:
            self.read()
        if read_errors:
            self.gather(self.process.stderr, self.errors.append)

    def gather(self, stream, put):
        def run():
            for line in stream:
                put(line.decode())
            put("")

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def read(self):
        self.gather(self.process.stdout, self.lines.put)

    def send(self, *messages):
        lines = [text if isinstance(text, str) else json.dumps(text) for text in messages]
        self.process.stdin.write("".join(line + "\n" for line in lines).encode())
        self.process.stdin.flush()

    def line(self):
        line = self.lines.get(timeout=WAIT_S)
        assert line.endswith("\n"), f"the bridge has ended: {self.stderr()}"
        return line[:-1]

    def receive(self):
        return json.loads(self.line())

    def exchange(self, message):
        self.send(message)
        return self.receive()

    def initialize(self):
        self.send(request(0, "initialize", **HELLO), notification("notifications/initialized"))
        return self.receive()

    def stderr(self):
        return "".join(self.errors)

    def wait_for(self, text):
        wait_until(lambda: text in self.stderr(), f"{text!r} in {self.stderr()!r}")

    def wait(self):
        code = self.process.wait(WAIT_S)
        for thread in self.threads:
            thread.join(WAIT_S)
        assert not SANITIZER_REPORT.search(self.stderr()), self.stderr()
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is None and self.process.poll() is None:
                self.process.stdin.close()
                assert self.wait() == 0, self.stderr()
                assert (rest := self.lines.get(timeout=WAIT_S)) == "", rest
        finally:
            self.close()
            if error is not None:
                print(self.stderr())

    def close(self):
        self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join(WAIT_S)
        for stream in self.process.stdin, self.process.stdout, self.process.stderr:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Connection:
    """One connection of a ScriptedServer: send() sends a message or text; received holds the messages after the handshake."""

    def __init__(self, conn):
        self.socket, self.received, self.handshake = conn, queue.Queue(), []

    def send(self, message):
        data = (message if isinstance(message, str) else json.dumps(message)).encode()
        size = len(data)
        head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
        self.socket.sendall(b"\x81" + head + data)

    def receive(self):
        return self.received.get(timeout=WAIT_S)

    def disconnect(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class ScriptedServer(FakeServer):
    """A server whose messages the test chooses: connection() returns the next connection after its handshake."""

    def __init__(self, welcome=WELCOME):
        super().__init__(self.talk)
        self.welcome, self.ready = welcome, queue.Queue()

    def talk(self, raw):
        upgrade(raw)
        conn, stream = Connection(raw), raw.makefile("rb")
        while True:
            opcode, payload = read_frame(stream)
            if opcode == 8:
                return
            if opcode != 1:
                continue
            message = json.loads(payload)
            if isinstance(message, dict) and message.get("method") == "initialize" and not conn.handshake:
                conn.handshake.append(message)
                conn.send({"jsonrpc": "2.0", "id": message["id"], "result": self.welcome})
            elif len(conn.handshake) == 1:
                conn.handshake.append(message)
                self.ready.put(conn)
            else:
                conn.received.put(payload.decode())

    def connection(self):
        return self.ready.get(timeout=WAIT_S)


class Case(unittest.TestCase):
    def expect_cause(self, answer, number, cause, pattern="."):
        self.assertEqual((answer["jsonrpc"], answer["id"], answer["error"]["code"]), ("2.0", number, -32000), answer)
        self.assertEqual(answer["error"]["data"]["cause"], cause)
        self.assertTrue(answer["error"]["data"]["to_do"])
        self.assertRegex(answer["error"]["message"], pattern)

    def expect_error(self, answer, number, code, pattern="."):
        self.assertEqual((answer["id"], answer["error"]["code"]), (number, code), answer)
        self.assertRegex(answer["error"]["message"], pattern)

    def initialized_within(self, seconds, url, pattern):
        """The response to initialize with this timeout, or a longer one until the response matches pattern."""

        def begin(seconds):
            with Bridge(url, "--timeout", seconds) as bridge:
                return bridge.initialize()

        return growing_timeout(seconds, begin, lambda answer: re.search(pattern, str(answer)))

    def long_enough(self, seconds):
        """A timeout, at least so many seconds, within which a bridge initializes on this machine."""
        began = time.monotonic()
        with self.bridged():
            return max(seconds, math.ceil(10 * (time.monotonic() - began)))

    @contextlib.contextmanager
    def bridged(self, *options, **settings):
        """A bridge, its connection to a ScriptedServer, and that server."""
        with ScriptedServer() as peer, Bridge(peer.url, *options, **settings) as bridge:
            self.assertEqual(bridge.initialize()["result"], WELCOME)
            yield bridge, peer.connection(), peer


class Passes(Case):
    def test_a_session_with_a_real_server(self):
        with SingleServer("echo", "0") as echo, Bridge(echo.url) as bridge:
            answer = bridge.initialize()
            self.assertEqual((answer["id"], answer["result"]["protocolVersion"]), (0, "2025-06-18"))
            self.assertEqual(answer["result"]["serverInfo"]["name"], "echo")
            tools = bridge.exchange(request("list", "tools/list"))
            self.assertEqual((tools["id"], tools["result"]["tools"][0]["name"]), ("list", "echo"))
            answer = bridge.exchange(call(9007199254740993, "echo", text="größe"))
            self.assertEqual((answer["id"], answer["result"]["structuredContent"]), (9007199254740993, {"text": "größe"}))
            self.expect_error(bridge.exchange(request(-1, "fly")), -1, -32601)
            self.assertEqual(bridge.exchange(request(2, "ping"))["result"], {})
        self.assertEqual(bridge.stderr(), f"iccm: connected to {echo.url}\n")

    def test_without_initialize(self):
        with SingleServer("echo", "0") as echo, Bridge(echo.url) as bridge:
            self.assertEqual(bridge.exchange(request(5, "ping")), {"jsonrpc": "2.0", "id": 5, "result": {}})
            self.assertEqual(bridge.initialize()["result"]["serverInfo"]["name"], "echo")

    def test_each_initialize_before_a_connection_has_its_own_answer(self):
        other = HELLO | {"protocolVersion": "2024-11-05"}
        second, ready = request(2, "initialize", **other), notification("notifications/initialized")
        with ScriptedServer() as peer, Bridge(peer.url) as bridge:
            bridge.send(request(1, "initialize", **HELLO), ready, second, ready, request(3, "ping"))
            conn = peer.connection()
            self.assertEqual(conn.handshake[0]["params"], HELLO)
            self.assertEqual([json.loads(conn.receive()) for _ in range(3)], [second, ready, request(3, "ping")])
            self.assertEqual(bridge.receive(), {"jsonrpc": "2.0", "id": 1, "result": WELCOME})
            for number in 2, 3:
                conn.send({"jsonrpc": "2.0", "id": number, "result": {}})
                self.assertEqual(bridge.receive(), {"jsonrpc": "2.0", "id": number, "result": {}})
            conn.disconnect()
            bridge.wait_for("retrying")
            bridge.send(request(4, "ping"))
            conn = peer.connection()
            self.assertEqual(conn.handshake[0]["params"], other, "what the host said last")
            conn.send({"jsonrpc": "2.0", "id": 4, "result": {}})
            self.assertEqual(bridge.receive()["id"], 4)

    def test_what_came_before_the_end_goes_on(self):
        told = [notification("notifications/told", n=n) for n in range(3)]
        for begins in False, True:
            with self.subTest(begins=begins), ScriptedServer() as peer, Bridge(peer.url) as bridge:
                bridge.send(*([request(0, "initialize", **HELLO)] if begins else []), *told)
                bridge.process.stdin.close()
                conn = peer.connection()
                if begins:
                    self.assertEqual(bridge.receive()["id"], 0)
                self.assertEqual([json.loads(conn.receive()) for _ in told], told)
                self.assertEqual(bridge.wait(), 0)

    def test_text_is_not_changed(self):
        sent = '{"jsonrpc" : "2.0", "id":1e2,"method":"x","params":{"a":123456789012345678901234567890,"b":1.10,"c":"\\u00e4"}}'
        came = '{"id": 1e2,\n\t"jsonrpc":"2.0",\r\n"result":{"n":-0.0e5,"m":123456789012345678901234567890}\n}'
        with self.bridged() as (bridge, conn, _):
            bridge.send(sent + "\r")
            self.assertEqual(conn.receive(), sent)
            conn.send(came)
            self.assertEqual(bridge.line(), came.replace("\n", " ").replace("\r", " "))
            bridge.send('{"jsonrpc":"2.0","id":"\\u00e4","method":"x"}')
            self.assertIn("\\u00e4", conn.receive())
            conn.send('{"jsonrpc":"2.0","id":"ä","result":{}}')
            self.assertEqual(bridge.receive()["id"], "ä", "the same id, written otherwise")

    def test_what_the_server_asks_and_tells(self):
        with self.bridged() as (bridge, conn, _):
            for message in (notification("notifications/tools/list_changed"), notification("notifications/progress", progressToken=1)):
                conn.send(message)
                self.assertEqual(bridge.receive(), message)
            for message in request(1, "ping"), request("r", "roots/list"):
                conn.send(message)
                self.assertEqual(bridge.receive(), message)
            bridge.send({"jsonrpc": "2.0", "id": "r", "error": {"code": -1, "message": "no"}})
            bridge.send({"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "id": "unasked", "result": {}})
            bridge.send(notification("notifications/roots/list_changed"))
            received = [json.loads(conn.receive()) for _ in range(3)]
            self.assertEqual([each.get("id") for each in received], ["r", 1, None])
            self.assertEqual(received[2]["method"], "notifications/roots/list_changed")

    def test_a_request_of_the_server_with_an_id_in_use(self):
        with self.bridged() as (bridge, conn, _):
            conn.send(request(1, "ping"))
            self.assertEqual(bridge.receive()["id"], 1)
            conn.send(request(1, "ping"))
            self.expect_error(json.loads(conn.receive()), 1, -32600)

    def test_cancelled_requests_get_no_answer(self):
        with self.bridged() as (bridge, conn, _):
            bridge.send(call(7, "x"))
            conn.receive()
            bridge.send(notification("notifications/cancelled", requestId=7))
            self.assertEqual(json.loads(conn.receive())["params"], {"requestId": 7})
            conn.send({"jsonrpc": "2.0", "id": 7, "result": {}})
            bridge.send(notification("notifications/cancelled", requestId=7), request("8", "ping"))
            self.assertEqual(json.loads(conn.receive())["id"], "8", "what was cancelled is not told again")
            conn.send({"jsonrpc": "2.0", "id": "8", "result": {}})
            self.assertEqual(bridge.receive()["id"], "8")

    def test_an_error_for_initialize(self):
        def refuse(conn):
            upgrade(conn)
            number = json.loads(read_frame(conn.makefile("rb"))[1])["id"]
            Connection(conn).send({"jsonrpc": "2.0", "id": number, "error": {"code": -32602, "message": "too new", "data": [1]}})
            silent(conn)

        with FakeServer(refuse) as peer, Bridge(peer.url) as bridge:
            self.assertEqual(bridge.initialize()["error"], {"code": -32602, "message": "too new", "data": [1]})

    def test_a_server_that_talks_nonsense(self):
        with self.bridged() as (bridge, conn, _):
            for text in ("nonsense", "[]", "1", '{"jsonrpc":"2.0","id":99,"result":{}}'):
                conn.send(text)
            conn.send(notification("notifications/last"))  # once it arrives, all messages before it were read
            self.assertEqual(bridge.receive()["method"], "notifications/last")
            bridge.send(request(1, "ping"))
            conn.receive()
            conn.send({"jsonrpc": "2.0", "id": 1, "result": {}})
            self.assertEqual(bridge.receive()["id"], 1)
            bridge.wait_for("received an invalid message: not valid JSON")

    def test_an_answer_that_cannot_be_read_is_an_error_at_once(self):
        for text in (
            '{"jsonrpc":"2.0","id":1,"result":{"mean":NaN}}',
            '[{"jsonrpc":"2.0","id":1,"result":{}}]',
            '{"jsonrpc":"2.0","id":1}',
            '{"jsonrpc":"2.0","id":1,"error":null}',
            '{"jsonrpc":"2.0","id":null,"result":{}}',
            '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}',
            '"done"',
        ):
            with self.subTest(text), self.bridged() as (bridge, conn, _):
                bridge.send(request(1, "ping"))
                conn.receive()
                conn.send(text)
                answer = bridge.receive()
                self.assertEqual((answer["id"], "error" in answer), (1, True), answer)

    def test_an_error_to_a_notification_ends_nothing(self):
        with self.bridged() as (bridge, conn, _):
            bridge.send(request(1, "ping"))
            conn.receive()
            conn.send('{"jsonrpc":"2.0","error":{"code":-32601,"message":"no such method"}}')
            conn.send('{"jsonrpc":"2.0","id":1.0,"result":{}}')
            self.assertEqual(bridge.receive()["result"], {})

    def test_a_byte_order_mark_goes_nowhere(self):
        with self.bridged() as (bridge, conn, _):
            bridge.send("\ufeff" + json.dumps(request(1, "ping")))
            self.assertEqual(json.loads(conn.receive()), request(1, "ping"))
            conn.send('\ufeff{"jsonrpc":"2.0","id":1,"result":{}}')
            self.assertEqual(bridge.receive()["id"], 1)

    def test_cancelled_by_the_value_of_the_id(self):
        with self.bridged() as (bridge, conn, _):
            bridge.send(request(1, "ping"))
            conn.receive()
            bridge.send('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1.0}}')
            conn.receive()
            conn.send('{"jsonrpc":"2.0","id":1,"result":{}}')
            bridge.send(request(2, "ping"))
            conn.receive()
            conn.send('{"jsonrpc":"2.0","id":2,"result":{}}')
            self.assertEqual(bridge.receive()["id"], 2)

    def test_a_trace_leaves_the_rest_as_it_is(self):
        with self.bridged("--trace", "my \"own\"") as (bridge, conn, _):
            mine = '"trace_id":"my \\"own\\""'
            for number, (sent, received) in enumerate((
                ('{"name":"x","arguments":{"n":1.10,"e":1E2}}', '{"_meta":{%s},"name":"x","arguments":{"n":1.10,"e":1E2}}'),
                ('{ "name":"x", "_meta" : { } }', '{ "name":"x", "_meta" : {%s } }'),
                ('{"_meta":{"a":{}},"name":"x"}', '{"_meta":{%s,"a":{}},"name":"x"}'),
                ('{"_meta":null,"name":"x"}', '{"_meta":null,"name":"x"}'),
                ('{"_meta":{"trace_id":"its"},"name":"x"}', '{"_meta":{"trace_id":"its"},"name":"x"}'),
            ), 1):
                text = '{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":%s}'
                bridge.send(text % (number, sent))
                self.assertEqual(conn.receive(), text % (number, received % mine if "%s" in received else received))
                conn.send({"jsonrpc": "2.0", "id": number, "result": {}})
                bridge.receive()

    def test_trace(self):
        with self.bridged("--trace", "mine") as (bridge, conn, _):
            bridge.send(call(1, "x", n=1.10))
            received = json.loads(conn.receive())
            self.assertEqual((received["params"]["_meta"], received["params"]["arguments"]), ({"trace_id": "mine"}, {"n": 1.1}))
            message = call(2, "x")
            message["params"]["_meta"] = {"progressToken": 3}
            bridge.send(message)
            self.assertEqual(json.loads(conn.receive())["params"]["_meta"], {"progressToken": 3, "trace_id": "mine"})
            message["id"], message["params"]["_meta"] = 3, {"trace_id": "own"}
            bridge.send(message, request(4, "tools/list"))
            self.assertEqual(json.loads(conn.receive())["params"]["_meta"], {"trace_id": "own"})
            self.assertNotIn("_meta", json.loads(conn.receive())["params"])
            for number in range(1, 5):
                conn.send({"jsonrpc": "2.0", "id": number, "result": {}})
                self.assertEqual(bridge.receive()["id"], number)

    def test_trace_made(self):
        with self.bridged("--trace", "new") as (bridge, conn, _):
            bridge.send(call(1, "x"))
            made = json.loads(conn.receive())["params"]["_meta"]["trace_id"]
            bridge.wait_for(f"iccm: trace {made}\n")
            conn.send({"jsonrpc": "2.0", "id": 1, "result": {}})
            bridge.receive()

    def test_token(self):
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="right") as echo:
            with Bridge(echo.url, "--token", "right") as bridge:
                self.assertIn("result", bridge.initialize())
            with Bridge(echo.url, env={"ICCM_AUTH_TOKEN": "right"}) as bridge:
                self.assertIn("result", bridge.initialize())
            with Bridge(echo.url, "--token", "wrong") as bridge:
                self.expect_cause(bridge.initialize(), 0, "refused", "401")

    def test_tls(self):
        with SingleServer("echo", "0") as clear:
            self.assertEqual(run_program([PROGRAMS["certificates"], clear.directory]).returncode, 0)
            files = {name: os.path.join(clear.directory, f"{name}.pem") for name in ("good", "key", "ca")}
            with SingleServer("echo", "0", ICCM_TLS_CERT=files["good"], ICCM_TLS_KEY=files["key"]) as echo:
                url = f"wss://localhost:{echo.port}"
                with Bridge(url, env={"ICCM_TLS_CA": files["ca"]}) as bridge:
                    self.assertEqual(bridge.initialize()["result"]["serverInfo"]["name"], "echo")
                    text = MIB * "x"
                    self.assertEqual(bridge.exchange(call(1, "echo", text=text))["result"]["structuredContent"]["text"], text)
                with Bridge(url, "--insecure") as bridge:
                    self.assertEqual(bridge.initialize()["result"]["serverInfo"]["name"], "echo")
                self.expect_cause(self.initialized_within(3, url, "certificate"), 0, "away", "certificate")


class Restarts(Case):
    def test_a_server_that_is_killed_and_comes_back(self):
        with SingleServer("slow_server", str(free_port())) as server, Bridge(server.url) as bridge:
            bridge.initialize()
            for _ in range(3):
                bridge.send(call(1, "later", ms=600000, steps=1), call(2, "sleep", ms=600000), request(3, "ping"))
                self.assertEqual(bridge.receive()["id"], 3)
                server.program.kill()
                for number in 1, 2:
                    self.expect_cause(bridge.receive(), number, "lost", "before the response arrived")
                bridge.send(call(4, "sleep", ms=1), request("5", "ping"))
                server.program.start()
                self.assertEqual({bridge.receive()["id"], bridge.receive()["id"]}, {4, "5"})
            self.assertEqual(bridge.exchange(request(6, "ping"))["result"], {})

    def test_each_request_is_answered_once_whenever_the_server_goes(self):
        count, kills = 6000, 4
        with SingleServer("slow_server", str(free_port())) as server, Bridge(server.url) as bridge:
            bridge.initialize()

            def ask():
                for number in range(1, count + 1):
                    bridge.send(call(number, "sleep", ms=1) if number % 50 == 0 else request(number, "ping"))

            asking = threading.Thread(target=ask)
            asking.start()
            answers = []
            for part in range(1, kills + 1):
                while len(answers) < part * count // (kills + 1):
                    answers.append(bridge.receive())
                server.program.kill()
                server.program.start()
            while len(answers) < count:
                answers.append(bridge.receive())
            asking.join()
            self.assertEqual(sorted(answer["id"] for answer in answers), list(range(1, count + 1)))
            causes = {answer["error"]["data"]["cause"] for answer in answers if "error" in answer}
            self.assertLessEqual(causes, {"lost", "full"})
            server.program.port()  # wait for the start: a starting server would die of the signal to stop

    def test_the_handshake_is_said_again_and_its_answer_hidden(self):
        with self.bridged() as (bridge, conn, peer):
            conn.send(request(1, "roots/list"))
            self.assertEqual(bridge.receive()["method"], "roots/list")
            bridge.send(call(1, "x"))
            conn.receive()
            conn.disconnect()
            self.expect_cause(bridge.receive(), 1, "lost")
            self.assertEqual(bridge.receive()["params"]["requestId"], 1, "the server's request is taken back")
            again = peer.connection()
            for each in conn, again:
                self.assertEqual([message["method"] for message in each.handshake], ["initialize", "notifications/initialized"])
                self.assertEqual(each.handshake[0]["params"], HELLO)
            again.send(request(1, "roots/list"))
            self.assertEqual(bridge.receive()["id"], 1)
            bridge.send({"jsonrpc": "2.0", "id": 1, "result": {"roots": []}})
            self.assertEqual(json.loads(again.receive())["result"], {"roots": []})

    def test_a_late_answer_of_the_host_reaches_nobody(self):
        with self.bridged() as (bridge, conn, peer):
            conn.send(request(1, "roots/list"))
            bridge.receive()
            conn.disconnect()
            self.assertEqual(bridge.receive()["method"], "notifications/cancelled")
            again = peer.connection()
            bridge.send({"jsonrpc": "2.0", "id": 1, "result": {"late": True}}, request(2, "ping"))
            self.assertEqual(json.loads(again.receive())["id"], 2)
            again.send({"jsonrpc": "2.0", "id": 2, "result": {}})
            bridge.receive()

    def test_while_a_request_waits_it_is_tried_every_second(self):
        came = []

        def try_soon(why):
            """Waits for two attempts with less than the client's own delay between them."""
            first = len(came)
            wait_until(lambda: any(after - before < 2.5 for before, after in zip(came[first:], came[first + 1 :])), why)

        with FakeServer(lambda _: came.append(time.monotonic())) as peer, Bridge(peer.url) as bridge:
            bridge.send(request(1, "ping"))
            wait_until(lambda: len(came) == 7, "attempts")
            try_soon("where the client's own delay would be 6.4 s, half of it more or less")
            count = len(came)
            bridge.send(notification("notifications/cancelled", requestId=1))
            wait_until(lambda: len(came) > count, "another attempt")
            bridge.send(request(2, "ping"))
            try_soon("where it would be 25.6 s")
            bridge.send(notification("notifications/cancelled", requestId=2))

    def test_a_server_that_starts_later_than_the_host(self):
        port = free_port()
        with SingleServer("echo", str(port)) as echo:
            echo.program.kill()
            with Bridge(echo.url) as bridge:
                bridge.send(request(0, "initialize", **HELLO), notification("notifications/initialized"), request(1, "ping"))
                bridge.send(request(2, "ping"), notification("notifications/cancelled", requestId=2))
                bridge.wait_for("connection refused; retrying")
                echo.program.start()
                self.assertEqual([bridge.receive()["id"] for _ in range(2)], [0, 1])


class Fails(Case):
    def test_a_server_that_is_away(self):
        initialized = self.initialized_within(0.3, f"127.0.0.1:{free_port()}", "connection refused")
        self.expect_cause(initialized, 0, "away", "not connected within [1-9][0-9]*00 ms; last error: .*connection refused")
        with Bridge(f"127.0.0.1:{free_port()}", "--timeout", "0.3") as bridge:
            for _ in range(2):
                self.expect_cause(bridge.exchange(request("a", "ping")), "a", "away", "not connected within 300 ms")

    def test_a_peer_that_is_no_mcp_server(self):
        for serve, pattern in ((plain_http(404), "404"), (lambda conn: conn.sendall(b"SSH-2.0\r\n"), "HTTP"), (silent, "not connected")):
            with FakeServer(serve) as peer:
                self.expect_cause(self.initialized_within(2, peer.url, pattern), 0, "away", pattern)

    def test_a_peer_that_refuses(self):
        with FakeServer(plain_http(403)) as peer, Bridge(peer.url) as bridge:
            self.expect_cause(bridge.initialize(), 0, "refused", "403")

    def test_a_peer_that_never_answers(self):
        seconds = self.long_enough(2)
        with self.bridged("--timeout", seconds) as (bridge, conn, _):
            self.expect_cause(bridge.exchange(call("c", "x")), "c", "timeout", f"no response within {seconds * 1000} ms")
            self.assertEqual(json.loads(conn.receive())["id"], "c")
            self.assertEqual(json.loads(conn.receive())["params"]["requestId"], "c")
            conn.send({"jsonrpc": "2.0", "id": "c", "result": {}})
            conn.send(notification("notifications/progress", progressToken=1))
            self.assertEqual(bridge.receive()["method"], "notifications/progress", "the late answer is dropped")

    def test_lines_that_are_no_messages(self):
        with SingleServer("echo", "0") as echo, Bridge(echo.url) as bridge:
            bridge.initialize()
            bridge.send("", "\r", "   x", "[]", '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', "1", '{"id":1}')
            for code in (-32700, -32600, -32600, -32600):
                self.expect_error(bridge.receive(), None, code)
            self.expect_error(bridge.receive(), 1, -32600, "jsonrpc")
            bridge.send('{"jsonrpc":"2.0","id":null,"method":"ping"}', "[" * 65 + "]" * 65, '{"jsonrpc":"2.0","id":2,"method":"ping"')
            for code in (-32600, -32700, -32700):
                self.expect_error(bridge.receive(), None, code)
            bridge.process.stdin.write(b"\xff\xfe\x00\n")
            self.assertEqual(bridge.exchange(request(3, "ping"))["error"]["code"], -32700)
            self.assertEqual(bridge.receive()["result"], {})

    def test_a_server_that_closes_with_words(self):
        reason = 'größe "1"\n'.encode()
        with self.bridged() as (bridge, conn, _):
            bridge.send(call(1, "x"))
            conn.receive()
            conn.socket.sendall(b"\x88" + bytes([2 + len(reason)]) + b"\x03\xe9" + reason)
            self.expect_cause(bridge.receive(), 1, "lost", 'the peer closed with 1001: größe "1"\n')

    def test_an_id_in_use(self):
        with self.bridged() as (bridge, conn, _):
            bridge.send(request(1, "ping"), request(1, "ping"))
            self.expect_error(bridge.receive(), 1, -32600, "already in flight")
            conn.send({"jsonrpc": "2.0", "id": 1, "result": {}})
            self.assertEqual(bridge.receive()["result"], {})

    def test_signals(self):
        for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
            with self.bridged() as (bridge, conn, _):
                bridge.send(call(1, "x"))
                conn.receive()
                bridge.process.send_signal(number)
                self.expect_cause(bridge.receive(), 1, "ended")
                self.assertEqual(bridge.wait(), code)
            with Bridge(f"127.0.0.1:{free_port()}") as bridge:
                bridge.send(request(1, "ping"))
                bridge.wait_for("not connected")
                bridge.process.send_signal(number)
                self.expect_cause(bridge.receive(), 1, "ended")
                self.assertEqual(bridge.wait(), code)


class Ends(Case):
    def test_a_subscription_neither_times_out_nor_is_awaited(self):
        """Its response comes when the server ends it, so no deadline counts, and the end of the input ends it."""
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
        with SingleServer("slow_server", "0") as server, Bridge(server.url, "--timeout", self.long_enough(2)) as bridge:
            bridge.initialize()
            bridge.send(request("sub", "subscriptions/listen", _meta=meta, notifications={"toolsListChanged": True}))
            self.assertEqual(bridge.receive()["method"], "notifications/subscriptions/acknowledged")
            bridge.send(call("slow", "sleep", ms=1000 * WAIT_S))
            self.expect_cause(bridge.receive(), "slow", "timeout")  # which was sent later: the other one had its time, too
            bridge.process.stdin.close()
            self.assertEqual(bridge.wait(), 0)

    def test_answers_are_awaited(self):
        with SingleServer("slow_server", "0") as server, Bridge(server.url) as bridge:
            bridge.initialize()
            bridge.send(call(1, "sleep", ms=500))
            bridge.process.stdin.write(json.dumps(request(2, "ping")).encode())  # without a newline
            bridge.process.stdin.close()
            self.assertEqual([bridge.receive()["id"] for _ in range(2)], [2, 1])
            self.assertEqual(bridge.wait(), 0)

    def test_answers_that_never_come(self):
        with self.bridged("--timeout", self.long_enough(2)) as (bridge, _, __):
            bridge.send(call(1, "x"))
            bridge.process.stdin.close()
            self.expect_cause(bridge.receive(), 1, "timeout")
            self.assertEqual(bridge.wait(), 0)

    def test_a_host_that_has_gone(self):
        with ScriptedServer() as peer:
            bridge = Bridge(peer.url, read=False)
            bridge.process.stdout.close()
            bridge.send(request(0, "initialize", **HELLO))
            self.assertEqual(bridge.wait(), 0)
            bridge.close()

    def conversation(self):
        return "".join(json.dumps(each) + "\n" for each in (request(0, "initialize", **HELLO), request(1, "ping"))).encode()

    def test_files(self):
        with SingleServer("echo", "0") as echo:
            source, target = os.path.join(echo.directory, "in"), os.path.join(echo.directory, "out")
            with open(source, "wb") as file:
                file.write(self.conversation())
            with open(source, "rb") as stdin, open(target, "wb") as stdout:
                process = start(echo.url, stdin=stdin, stdout=stdout)
                errors = process.communicate(timeout=WAIT_S)[1]
            self.assertEqual((process.returncode, SANITIZER_REPORT.search(errors.decode())), (0, None))
            with open(target, encoding="utf-8") as file:
                self.assertEqual([json.loads(line)["id"] for line in file], [0, 1])

    def test_a_terminal(self):
        master, slave = pty.openpty()
        with SingleServer("echo", "0") as echo:
            process = start(echo.url, stdin=slave)
            os.write(master, self.conversation())
            self.assertEqual([json.loads(process.stdout.readline())["id"] for _ in range(2)], [0, 1])
            os.write(master, b"\x04")  # Ctrl-D
            out = process.communicate(timeout=WAIT_S)[0]
            self.assertEqual((process.returncode, out), (0, b""))
        os.close(master)
        os.close(slave)

    def test_a_socket(self):
        ours, its = socket.socketpair()
        with SingleServer("echo", "0") as echo, ours, its:
            process = start(echo.url, stdin=its, stdout=its)
            ours.sendall(self.conversation())
            lines = ours.makefile("rb")
            self.assertEqual([json.loads(lines.readline())["id"] for _ in range(2)], [0, 1])
            ours.shutdown(socket.SHUT_WR)
            process.communicate(timeout=WAIT_S)
            self.assertEqual(process.returncode, 0)
            lines.close()

    def test_streams_that_are_closed_or_of_no_use(self):
        for closed, code in (("<&-", 0), ("<&- >&-", 0), (">&-", 1), ("2>&-", 0), ("0>&1", 1), ("< /", 1), ("> /dev/full", 1)):
            words = ["bash", "-c", f'"$0" bridge --timeout 0.1 127.0.0.1:{free_port()} {closed}', PROGRAMS["iccm"]]
            run = subprocess.run(words, input=self.conversation(), capture_output=True, timeout=WAIT_S)
            self.assertEqual((run.returncode, SANITIZER_REPORT.search(run.stderr.decode())), (code, None), (closed, run))

    def test_usage(self):
        for words, pattern in (
            ((), "too few"),
            (("a", "b"), "too many"),
            (("ftp://a",), "ws://"),
            (("--trace", "", "a"), "--trace takes 1 to 128"),
            (("--trace", 129 * "t", "a"), "--trace takes 1 to 128"),
            (("--count", "1", "a"), "not an option of iccm bridge"),
        ):
            process = start(*words)
            out, err = process.communicate(timeout=WAIT_S)
            self.assertEqual((process.returncode, out), (1, b""))
            self.assertRegex(err.decode(), pattern)


class Limits(Case):
    def test_a_long_line(self):
        with SingleServer("echo", "0") as echo, Bridge(echo.url) as bridge:
            bridge.initialize()
            text = json.dumps(request(1, "ping"))
            self.assertEqual(bridge.exchange(text + (16 * MIB - len(text)) * " ")["result"], {})
            self.expect_error(bridge.exchange(text + (16 * MIB + 1 - len(text)) * " "), None, -32600, "16 MiB")
            self.assertEqual(bridge.exchange(text)["result"], {})

    def test_a_long_id(self):
        with SingleServer("echo", "0") as echo, Bridge(echo.url) as bridge:
            self.assertEqual(bridge.exchange(request(1022 * "x", "ping"))["id"], 1022 * "x")
            self.expect_error(bridge.exchange(request(1023 * "x", "ping")), None, -32600, "1,024")

    def test_how_many_wait(self):
        with Bridge(f"127.0.0.1:{free_port()}", "--timeout", WAIT_S) as bridge:
            bridge.send(*(request(number, "ping") for number in range(1025)))
            self.expect_cause(bridge.receive(), 1024, "full")
            bridge.process.terminate()
            for number in range(1024):
                self.expect_cause(bridge.receive(), number, "ended")
            self.assertEqual(bridge.wait(), 0)

    def test_how_much_waits(self):
        with Bridge(f"127.0.0.1:{free_port()}", "--timeout", WAIT_S) as bridge:
            bridge.send(*(call(number, "x", text=8000000 * "x") for number in range(3)), request(3, "ping"))
            self.expect_cause(bridge.receive(), 2, "full")
            bridge.process.terminate()
            for number in 0, 1, 3:
                self.expect_cause(bridge.receive(), number, "ended")
            self.assertEqual(bridge.wait(), 0)

    def memory(self, process):
        (parent,) = [process.pid]
        with open(f"/proc/{parent}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    def test_a_host_that_does_not_read(self):
        """The server can send only as much as sockets and pipes hold; then the host reads everything."""
        count, text = 2000, 65536 * "x"
        with ScriptedServer() as peer, Bridge(peer.url, read=False) as bridge:
            bridge.send(request(0, "initialize", **HELLO), notification("notifications/initialized"))
            conn, said = peer.connection(), []

            def flood():
                for number in range(count):
                    conn.send(notification("notifications/message", number=number, text=text))
                    said.append(number)

            before = self.memory(bridge.process)
            flooding = threading.Thread(target=flood, daemon=True)
            flooding.start()
            progress = [-1, time.monotonic()]

            def stalled():  # no progress for a second: all buffers are full
                if progress[0] != len(said):
                    progress[:] = len(said), time.monotonic()
                return time.monotonic() - progress[1] > 1

            wait_until(stalled, "the server is held up")
            self.assertLess(len(said), count)
            self.assertLess(self.memory(bridge.process) - before, 48 * MIB)
            bridge.read()
            self.assertEqual(bridge.receive()["id"], 0)
            self.assertEqual([bridge.receive()["params"]["number"] for _ in range(count)], list(range(count)))

    def test_a_host_that_does_not_read_what_is_logged(self):
        with self.bridged("--verbose", read_errors=False) as (bridge, conn, _):
            for _ in range(5000):
                conn.send("nonsense")
            conn.send(notification("notifications/progress", progressToken=1))
            self.assertEqual(bridge.receive()["method"], "notifications/progress", "all nonsense is read")
            bridge.send(request(1, "ping"))
            conn.receive()
            conn.send({"jsonrpc": "2.0", "id": 1, "result": {}})
            self.assertEqual(bridge.receive()["id"], 1)

    def test_a_server_that_does_not_read(self):
        """The host is blocked, and its requests fail at their deadlines."""

        def serve(conn):
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            upgrade(conn)
            number = json.loads(read_frame(conn.makefile("rb"))[1])["id"]
            Connection(conn).send({"jsonrpc": "2.0", "id": number, "result": WELCOME})
            done.wait(WAIT_S)

        done = threading.Event()
        with FakeServer(serve) as peer, Bridge(peer.url, "--timeout", self.long_enough(4)) as bridge:
            bridge.initialize()
            count, asked = 100, []

            def flood():
                with contextlib.suppress(BrokenPipeError):  # when the bridge is killed
                    for number in range(1, count + 1):
                        bridge.send(call(number, "x", text=MIB * "x"))
                        asked.append(number)

            flooding = threading.Thread(target=flood, daemon=True)
            flooding.start()
            self.expect_cause(bridge.receive(), 1, "timeout")
            self.assertLess(len(asked), count, "the host is held up")
            self.assertLess(self.memory(bridge.process), 300 * MIB)
            bridge.process.kill()
            bridge.process.wait()
            flooding.join(WAIT_S)
            done.set()

    def test_an_answer_of_more_values_than_are_read(self):
        with self.bridged() as (bridge, conn, peer):
            bridge.send(request(1, "x"))
            conn.receive()
            conn.send('{"jsonrpc":"2.0","id":1,"result":[' + 8000000 * "1," + "1]}")
            self.expect_cause(bridge.receive(), 1, "lost", "out of memory for a message")
            peer.connection()

    def test_a_server_that_asks_and_does_not_read(self):
        """At most 32 MiB of rejections are queued."""
        ping = json.dumps(request(1, "ping")).encode()
        flood = 4096 * (b"\x81" + bytes([len(ping)]) + ping)

        def serve(conn):
            upgrade(conn)
            number = json.loads(read_frame(conn.makefile("rb"))[1])["id"]
            Connection(conn).send({"jsonrpc": "2.0", "id": number, "result": WELCOME})
            for _ in range(300):  # 150 MB of refusals
                conn.sendall(flood)
            silent(conn)

        with FakeServer(serve) as peer, Bridge(peer.url) as bridge:
            bridge.initialize()
            bridge.send(request(2, "ping"))
            self.assertEqual(bridge.receive()["method"], "ping")
            self.expect_cause(bridge.receive(), 2, "lost", "does not read the responses")
            bridge.process.terminate()
            bridge.wait()
            while bridge.lines.get(timeout=WAIT_S) != "":
                pass

    def test_a_host_that_asks_and_leaves_without_reading(self):
        with ScriptedServer() as peer:
            bridge = Bridge(peer.url, read=False)
            bridge.send(request(0, "initialize", **HELLO), notification("notifications/initialized"))
            conn = peer.connection()
            conn.send(notification("notifications/message", text=MIB * "x"))
            bridge.process.stdin.close()
            self.assertEqual(bridge.wait(), 0)
            bridge.close()


if __name__ == "__main__":
    main()
