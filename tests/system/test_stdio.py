"""Servers on standard input and output: both eras, the end of the input, limits, and handlers that print.

Happy path: a Host starts a program with pipes, as an MCP host does, sends lines and reads lines. Each line of standard
output has to be a JSON-RPC message. At the end it closes the input; the program then has to exit with 0.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from services import (
    INHERITED_ENV,
    PROGRAMS,
    SANITIZER_REPORT,
    WAIT_S,
    System,
    free_port,
    main,
    npm_peers,
    wait_until,
)

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


def request(method, number, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def call(tool, number, /, meta=None, **arguments):
    more = {"_meta": meta} if meta else {}
    return request("tools/call", number, name=tool, arguments=arguments, **more)


def modern(message, **meta):
    own = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}}
    params = message["params"]
    return message | {"params": params | {"_meta": params.get("_meta", {}) | own | meta}}


def notification(method, **params):
    return {"jsonrpc": "2.0", "method": method, "params": params}


def environment(**settings):
    inherited = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ}
    own = {"ICCM_TRANSPORT": "stdio", "LOGGING_ENABLED": "false"}
    return inherited | own | {name: str(value) for name, value in settings.items()}


class Host:
    """A program that serves its standard input and output."""

    def __init__(self, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **settings):
        self.log = tempfile.TemporaryFile("w+b")
        words = ["setpriv", "--pdeathsig", "KILL", *(str(PROGRAMS.get(word, word)) for word in command)]
        self.process = subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=self.log, env=environment(**settings))
        self.lines = self.process.stdout

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is None and self.process.poll() is None:
                self.end()
            report = SANITIZER_REPORT.search(self.errors())
            assert report is None, self.errors()
        except BaseException as problem:
            error = problem
            raise
        finally:
            if error is not None:
                print(self.errors()[-4000:])
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.log):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    def errors(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, *messages):
        self.write(b"".join(json.dumps(each).encode() + b"\n" for each in messages))

    def read(self):
        line = self.lines.readline()
        assert line.endswith(b"\n"), (line, self.errors())
        return json.loads(line)

    def ask(self, message):
        """Sends a request and reads its response, which has to be the next message."""
        self.send(message)
        answer = self.read()
        assert answer["id"] == message["id"], answer
        return answer

    def result(self, message):
        return self.ask(message)["result"]

    def initialize(self):
        self.result(request("initialize", "init", **INITIALIZE))
        self.send(notification("notifications/initialized"))
        return self

    def wait(self):
        return self.process.wait(WAIT_S)

    def end(self, status=0):
        """Closes the input; returns the messages that follow, up to the end of the output."""
        self.process.stdin.close()
        messages = [json.loads(line) for line in self.lines]
        assert self.wait() == status, self.errors()
        return messages


class Served(unittest.TestCase):
    def host(self, *command, **settings):
        return self.enterContext(Host(*command, **settings))

    def test_an_older_host(self):
        host = self.host("echo", "0")
        result = host.result(request("initialize", 0, **INITIALIZE))
        self.assertEqual((result["protocolVersion"], result["serverInfo"]["name"]), ("2025-11-25", "echo"))
        host.send(notification("notifications/initialized"))
        self.assertEqual(host.result(request("ping", 1)), {})
        self.assertEqual([tool["name"] for tool in host.result(request("tools/list", 2))["tools"]], ["echo"])
        self.assertEqual(host.result(call("echo", 3, text="grüße\n"))["structuredContent"], {"text": "grüße\n"})
        self.assertEqual(host.end(), [])
        self.assertIn("serving standard input and output", host.errors())
        self.assertNotIn("listening", host.errors())

    def test_a_host_of_2026_07_28(self):
        host = self.host("everything")
        found = host.result(modern(request("server/discover", 1)))
        self.assertEqual((found["supportedVersions"][0], found["resultType"]), (MODERN, "complete"))
        result = host.result(modern(call("test_simple_text", "two")))
        self.assertEqual(result["content"][0]["text"], "This is a simple text response for testing.")
        self.assertEqual(result["_meta"][f"{META}serverInfo"]["name"], "everything")
        error = host.ask(modern(request("tools/list", 3), **{f"{META}protocolVersion": "2099-01-01"}))["error"]
        self.assertEqual((error["code"], error["data"]["requested"]), (-32022, "2099-01-01"))
        self.assertEqual(host.ask(request("server/discover", 4))["error"]["code"], -32602)

    def test_both_eras_on_one_stream(self):
        host = self.host("everything").initialize()
        self.assertIn("resultType", host.result(modern(call("test_simple_text", 1))))
        self.assertNotIn("resultType", host.result(call("test_simple_text", 2)))

    def test_progress(self):
        host = self.host("everything").initialize()
        host.send(call("test_tool_with_progress", 1, {"progressToken": "p"}))
        seen = [host.read()]
        while "id" not in seen[-1]:
            seen.append(host.read())
        *notes, answer = seen
        self.assertEqual({note["params"]["progressToken"] for note in notes}, {"p"})
        self.assertEqual(answer["result"]["content"][0]["text"], "done in three steps")

    def test_a_cancelled_call_gets_no_response(self):
        host = self.host("slow_server").initialize()
        for wrap in (lambda message: message, modern):
            host.send(wrap(call("later", 1, ms=600000, steps=1)), notification("notifications/cancelled", requestId=1))
            self.assertEqual(host.ask(request("ping", 2))["id"], 2)
        self.assertEqual(host.end(), [])

    def test_subscriptions(self):
        host = self.host("everything")
        host.send(modern(request("subscriptions/listen", "sub", notifications={"toolsListChanged": True})))
        first = host.read()
        self.assertEqual(first["method"], "notifications/subscriptions/acknowledged")
        self.assertEqual(first["params"]["_meta"][f"{META}subscriptionId"], "sub")
        host.send(modern(call("test_trigger_tool_change", 2)))
        seen = {message.get("method", message.get("id")): message for message in (host.read(), host.read())}
        self.assertEqual(set(seen), {2, "notifications/tools/list_changed"})
        last = host.end()
        self.assertEqual([message["id"] for message in last], ["sub"])
        self.assertEqual(last[0]["result"]["_meta"][f"{META}subscriptionId"], "sub")

    def test_changed_tools_are_notified_to_an_older_host(self):
        host = self.host("everything").initialize()
        host.send(call("test_trigger_tool_change", 1))
        seen = [host.read(), host.read()]
        self.assertEqual({message.get("method") for message in seen}, {None, "notifications/tools/list_changed"})

    def test_handlers_that_print_do_not_break_the_stream(self):
        host = self.host("slow_server").initialize()
        self.assertEqual(host.result(call("print", 1))["content"][0]["text"], "0")  # no byte of the input
        self.assertEqual(host.result(request("ping", 2)), {})
        self.assertEqual(host.end(), [])
        errors = host.errors()  # lines of the log may stand between the two
        self.assertIn("printed by a handler\n", errors)
        self.assertIn("written by a handler\n", errors)

    def test_line_breaks_between_tokens_become_blanks(self):
        host = self.host("slow_server").initialize()
        self.assertEqual(host.result(call("lines", 1))["structuredContent"], {"two": "li\nes"})

    def test_many_requests_at_once_are_answered_in_full(self):
        host = self.host("echo", "0").initialize()
        numbers = range(20000)
        writer = threading.Thread(target=host.send, args=[call("echo", number, n=number) for number in numbers])
        writer.start()
        answers = [host.read() for _ in numbers]
        writer.join()
        self.assertEqual(
            [(answer["id"], answer["result"]["structuredContent"]["n"]) for answer in answers],
            [(number, number) for number in numbers],
        )

    def test_more_calls_than_run_at_once(self):
        host = self.host("slow_server").initialize()
        host.send(*(call("later", number, ms=1, steps=1) for number in range(200)))
        self.assertEqual(sorted(host.read()["id"] for _ in range(200)), list(range(200)))

    def test_a_message_rate(self):
        host = self.host("echo", "0", ICCM_MAX_MESSAGES_PER_SECOND=20)
        host.send(*(request("ping", number) for number in range(50)))
        self.assertEqual([host.read()["id"] for _ in range(50)], list(range(50)))

    def test_memory_is_limited(self):
        """Large messages wait for memory, and each is answered."""
        settings = {"ICCM_MAX_MESSAGE_BYTES": 4 << 20, "ICCM_MAX_MEMORY_BYTES": 20 << 20}
        host = self.host("slow_server", **settings).initialize()
        calls = [call("later", number, ms=20, steps=2, list=[1] * 500000) for number in range(40)]
        writer = threading.Thread(target=host.send, args=calls)
        writer.start()
        self.assertEqual(sorted(host.read()["id"] for _ in calls), list(range(40)))
        writer.join()

    def test_an_embedding_program_may_choose_the_port(self):
        host = self.host("echo", "0", ICCM_TRANSPORT="port")
        wait_until(lambda: "listening on port" in host.errors(), "it listens")
        host.process.send_signal(signal.SIGTERM)
        self.assertEqual(host.wait(), 0)

    def test_an_invalid_value_ends_the_start(self):
        for program in ("echo", "slow_server"):
            host = self.host(program, "0", ICCM_TRANSPORT="carrier pigeon")
            self.assertEqual(host.wait(), 1)
            self.assertIn('invalid ICCM_TRANSPORT "carrier pigeon": expected stdio or port', host.errors())
            self.assertEqual(host.lines.read(), b"")


class Lines(unittest.TestCase):
    """Input that is not simply one message a line."""

    def setUp(self):
        self.host = self.enterContext(Host("echo", "0", ICCM_MAX_MESSAGE_BYTES=100000))

    def test_blank_lines_crlf_and_a_byte_order_mark(self):
        ping = json.dumps(request("ping", 1)).encode()
        self.host.write(b"\xef\xbb\xbf" + ping + b"\r\n\n\r\n\xef\xbb\xbf\n" + ping + b"\n")
        self.assertEqual([self.host.read()["id"], self.host.read()["id"]], [1, 1])
        self.host.write(ping)  # the last one without a newline
        self.assertEqual([message["id"] for message in self.host.end()], [1])

    def test_a_message_in_pieces(self):
        for byte in json.dumps(request("ping", 1)).encode() + b"\r\n":
            self.host.write(bytes([byte]))
        self.assertEqual(self.host.read()["id"], 1)

    def refused(self, line, code):
        self.host.write(line + b"\n")
        answer = self.host.read()
        self.assertEqual((answer["id"], answer["error"]["code"]), (None, code), answer)
        return answer["error"]["message"]

    def test_what_is_no_message(self):
        self.refused(b"nonsense", -32700)
        self.refused(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\xff"}}', -32700)
        self.refused(b'{"jsonrpc":"2.0","id":1,"method":"\xc0\x80"}', -32700)
        self.refused(b"[]", -32600)
        self.assertEqual(self.host.ask(request("ping", 1))["result"], {})

    def exactly(self, size):
        empty = len(json.dumps(call("echo", 1, text="")))
        return json.dumps(call("echo", 1, text="x" * (size - empty))).encode()

    def test_the_limit_of_a_line(self):
        for ending in (b"\n", b"\r\n"):
            self.host.write(self.exactly(100000) + ending)
            self.assertIn("result", self.host.read())
            self.assertIn("larger than 100000 bytes", self.refused(self.exactly(100001) + ending[:-1], -32600))

    def test_a_huge_line_is_skipped(self):
        def write():
            for _ in range(64):
                self.host.write(b"x" * (1 << 20))
            self.host.write(b"\n" + json.dumps(request("ping", 1)).encode() + b"\n")

        writer = threading.Thread(target=write)
        writer.start()
        self.assertEqual(self.host.read()["error"]["code"], -32600)
        self.assertEqual(self.host.read()["id"], 1)
        writer.join()

    def test_a_huge_line_that_never_ends(self):
        self.host.write(b"x" * 200000)
        self.assertEqual([message["error"]["code"] for message in self.host.end()], [-32600])


class Ends(unittest.TestCase):
    def host(self, *command, **settings):
        return self.enterContext(Host(*command, **settings))

    def test_calls_in_flight_are_finished(self):
        host = self.host("slow_server").initialize()
        host.send(call("sleep", 1, ms=300), call("later", 2, ms=200, steps=2), call("echo", 3))
        messages = host.end()
        self.assertEqual({message["id"] for message in messages}, {1, 2, 3})
        self.assertEqual({message["id"] for message in messages if "result" in message}, {1, 2})

    def test_calls_that_wait_are_finished(self):
        host = self.host("slow_server").initialize()
        host.send(*(call("later", number, ms=20, steps=2) for number in range(150)))
        self.assertEqual({message["id"] for message in host.end() if "result" in message}, set(range(150)))

    def test_the_stop_is_logged_and_no_port_was_open(self):
        host = self.host("slow_server").initialize()
        sockets = [os.readlink(fd) for fd in Path(f"/proc/{host.process.pid}/fd").iterdir()]
        self.assertEqual([each for each in sockets if each.startswith("socket:") and self.is_tcp(each)], [])
        host.end()
        self.assertRegex(host.errors(), "Server stopping\n(.*\n)*.*Server stopped")

    @staticmethod
    def is_tcp(link):
        inode = link.removeprefix("socket:[").removesuffix("]")
        return any(inode in Path(f"/proc/net/{name}").read_text().split() for name in ("tcp", "tcp6"))

    def test_sigterm(self):
        for program in ("slow_server", "everything"):
            host = self.host(program).initialize()
            host.process.send_signal(signal.SIGTERM)
            self.assertEqual(host.lines.read(), b"")
            self.assertEqual(host.wait(), 0)

    def test_sigterm_with_a_call_in_flight(self):
        host = self.host("slow_server").initialize()
        host.send(call("later", 1, ms=600000, steps=1), request("ping", 2))
        self.assertEqual(host.read()["id"], 2)
        host.process.send_signal(signal.SIGTERM)
        self.assertEqual(host.read()["error"]["message"], "the server is stopping")
        self.assertEqual(host.wait(), 0)

    def test_sigterm_after_the_end_of_the_input(self):
        """Hosts close the input and send SIGTERM a little later: the first one does not count as a second one."""
        host = self.host("slow_server").initialize()
        host.send(call("later", 1, ms=600000, steps=1), request("ping", 2))
        self.assertEqual(host.read()["id"], 2)
        host.process.stdin.close()
        host.process.send_signal(signal.SIGTERM)
        self.assertEqual(json.loads(host.lines.readline())["error"]["message"], "the server is stopping")
        self.assertEqual(host.wait(), 0)

    def test_an_input_that_is_empty(self):
        for program in ("echo", "slow_server"):
            host = self.host(program, "0", stdin=subprocess.DEVNULL)
            self.assertEqual((host.lines.read(), host.wait()), (b"", 0))

    def test_an_input_or_output_that_is_closed(self):
        for redirection in ("<&-", ">&-"):
            host = self.host("sh", "-c", f'exec "$0" 0 {redirection}', PROGRAMS["slow_server"])
            self.assertEqual(host.wait(), 1)
            self.assertIn("cannot serve standard input and output: bad file descriptor", host.errors())

    def test_an_output_that_the_host_closes(self):
        host = self.host("slow_server").initialize()
        host.lines.close()
        host.send(call("later", 1, ms=600000, steps=1), request("ping", 2))
        self.assertEqual(host.wait(), 0)
        self.assertIn("it has closed standard output", host.errors())


class Streams(unittest.TestCase):
    """Standard input and output that are no pipes."""

    def test_files(self):
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            numbers = list(range(5000))
            source.write(b"".join(json.dumps(call("echo", each, n=each)).encode() + b"\n" for each in numbers))
            source.seek(0)
            with Host("echo", "0", stdin=source, stdout=target) as host:
                self.assertEqual(host.wait(), 0)
            target.seek(0)
            self.assertEqual([json.loads(line)["id"] for line in target], numbers)

    def test_a_socket(self):
        ours, theirs = socket.socketpair()
        with ours, Host("echo", "0", stdin=theirs, stdout=theirs) as host:
            theirs.close()
            ours.sendall(json.dumps(request("ping", 1)).encode() + b"\n")
            with ours.makefile("rb") as lines:
                self.assertEqual(json.loads(lines.readline())["id"], 1)
                ours.shutdown(socket.SHUT_WR)
                self.assertEqual(lines.read(), b"")
            self.assertEqual(host.wait(), 0)

    def test_a_terminal(self):
        ours, theirs = os.openpty()
        with open(ours, "r+b", buffering=0) as terminal, Host("echo", "0", stdin=theirs, stdout=theirs) as host:
            os.close(theirs)
            terminal.write(json.dumps(request("ping", 1)).encode() + b"\n")
            seen = b""
            while b'"result"' not in seen:
                seen += terminal.read(4096)
            terminal.write(b"\x04")  # end of input
            self.assertEqual(host.wait(), 0)


class Slow(unittest.TestCase):
    def test_a_host_that_reads_slowly_pauses_only_itself(self):
        with Host("echo", "0").initialize() as host:
            text, count = "x" * 50000, 1000
            writer = threading.Thread(target=host.send, args=[call("echo", each, text=text) for each in range(count)])
            writer.start()
            wait_until(lambda: self.settled(host), "it stops reading")
            self.assertTrue(writer.is_alive())  # far more is to be written than pipes and backlog hold
            self.assertEqual([host.read()["id"] for _ in range(count)], list(range(count)))
            writer.join()

    @staticmethod
    def read_bytes(host):
        return int(Path(f"/proc/{host.process.pid}/io").read_text().split("rchar: ")[1].split()[0])

    def settled(self, host):
        before = self.read_bytes(host)
        threading.Event().wait(0.2)
        return self.read_bytes(host) == before


class Services(unittest.TestCase):
    def test_godot_and_dewey(self):
        """Both serve a host on stdio; Godot calls a Dewey that listens."""
        with System() as system:
            system.start_redis()
            system.start_dewey()
            own = {name: value for name, value in system.settings.items()}
            own |= {"ICCM_TRANSPORT": "stdio"}
            with Host("godot-server", **own).initialize() as host:
                tools = {tool["name"] for tool in host.result(request("tools/list", 1))["tools"]}
                self.assertLessEqual({"logger_log", "logger_query", "conversation_begin"}, tools)
                answer = wait_until(lambda: self.begun(host), "Godot has connected to Dewey")
                self.assertIn("conversation_id", json.dumps(answer))
                self.assertEqual(host.end(), [])
        with tempfile.TemporaryDirectory() as directory:
            settings = {"DEWEY_DB_PATH": f"{directory}/d.db", "DEWEY_MCP_PORT": free_port()}
            with Host("dewey", **settings).initialize() as host:
                answer = host.result(call("dewey_begin_conversation", 1))
                self.assertFalse(answer.get("isError"), answer)
                self.assertEqual(host.end(), [])

    @staticmethod
    def begun(host):
        result = host.result(call("conversation_begin", 2))
        return None if result.get("isError") else result

    def test_log_lines_are_shipped(self):
        with System() as system:
            system.start()
            own = system.settings | {"ICCM_TRANSPORT": "stdio"}
            shipping = {"LOGGING_ENABLED": "true", "GODOT_URL": system.godot_url}
            with Host("godot-server", **own).initialize() as reader:
                with Host("slow_server", **shipping).initialize() as host:
                    host.result(call("refuse", 1))
                    wait_until(lambda: self.is_stored(reader, "refused on purpose"), "the line of the call is stored")
                wait_until(lambda: self.is_stored(reader, "Server stopped"), "the line of the stop is stored")

    @staticmethod
    def is_stored(host, text):
        result = host.result(call("logger_query", 1, component="slow", limit=100))
        return text in json.dumps(result)


class TypeScript(unittest.TestCase):
    def test_the_sdks_host(self):
        command = ["setpriv", "--pdeathsig", "KILL", "node", "ts_own_stdio.mjs", str(PROGRAMS["echo"]), "0"]
        run = subprocess.run(
            command, cwd=npm_peers(), env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=WAIT_S
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        seen = json.loads(run.stdout)
        self.assertEqual((seen["server"]["name"], seen["tools"], seen["errors"]), ("echo", ["echo"], []))
        self.assertEqual(seen["result"]["structuredContent"], {"text": "grüße\n", "list": [1, 2.5, None]})


if __name__ == "__main__":
    main()
