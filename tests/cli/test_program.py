"""`iccm` run as a program: output and exit codes, with the real echo server and with misbehaving fake servers."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
import unittest

from fake_server import DISCONNECT, NO_RESPONSE, Response, FakeServer, mcp, plain_http, silent, text_result
from services import (
    INHERITED_ENV,
    PROGRAMS,
    SANITIZER_REPORT,
    WAIT_S,
    SingleServer,
    free_port,
    growing_timeout,
    http_get,
    main,
)

OK, USAGE, PROTOCOL, REFUSED, UNREACHABLE, TOOL, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130


def start(*words, **options):
    environment = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ}
    environment |= options.pop("env", {})
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", PROGRAMS["iccm"], *map(str, words)],
        env=environment,
        **options,
    )


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out.decode(), err.decode()
        assert not SANITIZER_REPORT.search(self.err), self.err

    def __repr__(self):
        return f"code {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def iccm(*words, stdin=None, **options):
    if stdin is not None:
        options["stdin"] = subprocess.PIPE
    process = start(*words, **options)
    try:
        out, err = process.communicate(stdin, WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"iccm {words} hangs: {process.communicate()}") from None
    return Outcome(process.returncode, out or b"", err or b"")


def iccm_late(*words, told="no (answer|response)"):
    """The outcome with a short timeout, doubled until stderr matches told."""
    return growing_timeout(0.3, lambda seconds: iccm(*words, "--timeout", seconds), lambda outcome: re.search(told, outcome.err))


def on_terminal(columns, *words, env=None, streams=("stdin", "stdout")):
    """Runs iccm with these streams on a terminal of so many columns. Returns the exit code and the terminal's text."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = start(*words, **dict.fromkeys(streams, slave), env=env or {})
    os.close(slave)
    shown = b""
    while select.select([master], [], [], WAIT_S)[0]:
        try:
            shown += os.read(master, 65536)
        except OSError:  # the program has ended
            break
    process.communicate(timeout=WAIT_S)
    os.close(master)
    return process.returncode, shown.decode().replace("\r\n", "\n")


class Case(unittest.TestCase):
    def expect(self, outcome, code, *patterns):
        """Expects the code, nothing on stdout, and one line on stderr that matches all patterns."""
        self.assertEqual(outcome.code, code, outcome)
        self.assertEqual(outcome.out, "", outcome)
        self.assertRegex(outcome.err, r"\Aiccm: [^\n]+\n\Z")
        for pattern in patterns:
            self.assertRegex(outcome.err, pattern)

    def expect_json_error(self, outcome, code):
        self.assertEqual(outcome.code, code, outcome)
        self.assertEqual(outcome.out.count("\n"), 1)
        error = json.loads(outcome.out)["error"]
        self.assertEqual(error["exit_code"], code)
        self.assertIsInstance(error["message"], str)
        return error


class Usage(Case):
    def test_help(self):
        outcome = iccm("--help")
        self.assertEqual((outcome.code, outcome.err), (OK, ""))
        for word in ("list", "call", "ping", "bench", "doctor", "bridge", "listen", "logs", "stats", "trace", "canary", "--timeout", "--json", "Exit codes"):
            self.assertIn(word, outcome.out)
        for command in ("list", "call", "ping", "bench", "doctor", "bridge", "listen", "logs", "stats", "trace", "canary", "new", "manifest"):
            outcome = iccm(command, "--help")
            self.assertEqual((outcome.code, outcome.err), (OK, ""))
            self.assertIn(f"Usage: iccm {command} ", outcome.out)
            self.assertLessEqual(max(map(len, outcome.out.splitlines())), 80)

    def test_version(self):
        outcome = iccm("--version")
        self.assertEqual((outcome.code, outcome.err), (OK, ""))
        self.assertRegex(outcome.out, r"\Aiccm \d+\.\d+\.\d+\n\Z")

    def test_what_is_wrong_is_named(self):
        for words, pattern in (
            ((), "no command given"),
            (("fly", "x"), "fly is not a command"),
            (("ping",), "too few arguments; see iccm ping --help"),
            (("list", "x", "y"), "too many"),
            (("call", "x"), "too few"),
            (("ping", "--wings", "x"), "--wings is not an option"),
            (("ping", "x", "-w"), "-w is not an option"),
            (("ping", "x", "--json=yes"), "--json=yes is not an option"),
            (("ping", "x", "--" + 100 * "y"), "--yyy"),
            (("list", "x", "--count", "3"), "--count is not an option of iccm list"),
            (("ping", "x", "--count"), "--count needs a value"),
            (("ping", "x", "--count", "0"), "--count takes a number from 1 to"),
            (("ping", "x", "--count", "3x"), "--count takes a number"),
            (("ping", "x", "--timeout", "nan"), "--timeout takes seconds from"),
            (("ping", "x", "--timeout", "0"), "--timeout takes seconds from"),
            (("ping", "x", "--timeout", "1e9"), "--timeout takes seconds from"),
            (("bench", "x", "y", "--server-pid", "-1"), "--server-pid takes the id of a process"),
            (("call", "127.0.0.1:1", "echo", "--trace", ""), "--trace takes 1 to 128 bytes"),
            (("call", "127.0.0.1:1", "echo", "--trace", 129 * "t"), "--trace takes 1 to 128 bytes"),
            (("stats", "--stdio", "true"), "--stdio is not an option of iccm stats"),
            (("ready", "--stdio", "true"), "--stdio is not an option of iccm ready"),
            (("listen", "--stdio", "true"), "--stdio is not an option of iccm listen"),
            (("doctor", "--stdio"), "--stdio needs a program"),
            (("doctor", "x", "--stdio", "true"), "too many arguments; see iccm doctor --help"),
            (("list", "127.0.0.1:1", "--trace", "t"), "--trace is not an option of iccm list"),
            (("bench", "127.0.0.1:1", "echo", "--progress"), "--progress is not an option of iccm bench"),
            (("call", "127.0.0.1:1", "echo", "--progress=yes"), "--progress=yes is not an option"),
            (("call", "127.0.0.1:1", "echo", "{"), "not valid JSON"),
            (("call", "127.0.0.1:1", "echo", "word"), "word.*neither key=value nor"),
            (("call", "127.0.0.1:1", "echo", "a:=word"), "a:=word.*not valid JSON"),
            (("bench", "127.0.0.1:1", "echo", "word"), "word.*neither key=value nor"),
            (("bench", "127.0.0.1:1", "echo", "--server-pid", "2147483647"), "no process 2147483647"),
            (("list", "ftp://127.0.0.1:1"), "ws://"),
            (("bench", "ws://:x", "echo"), "ws://"),
        ):
            with self.subTest(words=words):
                self.expect(iccm(*words), USAGE, pattern)

    def test_json_errors_also_for_usage_wherever_json_stands(self):
        for words in (("fly", "--json"), ("--bad", "list", "--json"), ("list", "ws://", "--json")):
            with self.subTest(words=words):
                self.expect_json_error(iccm(*words), USAGE)


class Echo(Case):
    """The real server."""

    @classmethod
    def setUpClass(cls):
        cls.echo = SingleServer("echo", "0").__enter__()
        cls.addClassCleanup(cls.echo.__exit__, None, None, None)
        cls.url = cls.echo.url

    def test_list(self):
        outcome = iccm("list", self.url)
        self.assertEqual((outcome.code, outcome.err), (OK, ""))
        self.assertRegex(outcome.out, r"(?m)^echo\n  \S")
        outcome = iccm("list", "--json", self.url)
        self.assertEqual((outcome.code, outcome.err), (OK, ""))
        self.assertEqual(outcome.out.count("\n"), 1)
        self.assertIn("echo", [tool["name"] for tool in json.loads(outcome.out)])

    def test_arguments_arrive_as_they_were_given(self):
        wanted = {"text": "größe", "n": 3, "deep": {"a": [None, True]}, "s": "5"}
        for words, stdin in (
            (("text=größe", "n=3", 'deep={"a":[null,true]}', 's="5"'), None),
            ((json.dumps(wanted),), None),
            (("-",), json.dumps(wanted).encode()),
        ):
            with self.subTest(words=words):
                outcome = iccm("call", self.url, "echo", *words, "--json", stdin=stdin)
                self.assertEqual((outcome.code, outcome.err), (OK, ""), outcome)
                self.assertEqual(json.loads(outcome.out), wanted)

    def test_no_address_is_that_of_godot(self):
        listed = iccm("list", self.url)
        for godot in self.url, f"127.0.0.1:{free_port()},{self.url}":
            environment = {"GODOT_URL": godot}
            self.assertEqual(str(iccm("list", env=environment)), str(listed))
            self.assertEqual(iccm("ready", env=environment).out, "ready\n")
            self.assertIn("connections", iccm("stats", env=environment).out)

    def test_a_token_in_an_address_is_not_shown(self):
        url = f"{self.url}/path?token=open-sesame"
        for words in ("doctor",), ("doctor", "--json"), ("list", "--verbose"), ("call", "--verbose", "echo"), ("ready", "--verbose"), ("bridge", "--verbose"):
            with self.subTest(words=words):
                outcome = iccm(words[0], url, *words[1:], stdin=b"")
                self.assertNotIn("open-sesame", outcome.out + outcome.err)
        self.assertIn("/path?[REDACTED]", iccm("doctor", url).out)

    def test_a_password_in_an_address_is_not_shown(self):
        for address in "ws://u:hush%40127.0.0.1:1", "ws://127.0.0.1:0/?token=hush":
            for words in (address,), ("list", address), ("call", address, "x"), ("call", self.url, "x", address), ("doctor", address), \
                    ("bridge", address), ("stats", address), ("dead", address), (f"--url={address}",):
                with self.subTest(words=words):
                    outcome = iccm(*words, stdin=b"")
                    self.assertNotEqual(outcome.code, OK)
                    self.assertNotRegex(outcome.out + outcome.err, "hush")

    def test_a_variable_that_is_misspelt(self):
        outcome = iccm("list", self.url, env={"ICCM_AUTH_TOKN": "open-sesame"})
        self.assertEqual(outcome.code, OK)
        self.assertEqual(outcome.err, "iccm: warning: ICCM_AUTH_TOKN is not a known environment variable; did you mean ICCM_AUTH_TOKEN?\n")

    def test_the_doctor_raises_no_refusals(self):
        refused = lambda: re.findall(r"^iccm_refusals_total\{.*$", http_get(self.echo.port, path="/metrics").body.decode(), re.M)
        before = refused()
        for url in self.url, self.url.replace("ws", "http"):
            self.assertEqual(iccm("doctor", url).code, OK)
            self.assertEqual(refused(), before)

    def test_addresses_in_short(self):
        for url in (f"127.0.0.1:{self.echo.port}", f"localhost:{self.echo.port}", f"{self.url}/any/path"):
            outcome = iccm("call", url, "echo", "a=1", "--json")
            self.assertEqual((outcome.code, outcome.out), (OK, '{"a":1}\n'), outcome)

    def test_large_arguments_and_answer(self):
        wanted = {"text": "x" * 5_000_000}
        outcome = iccm("call", self.url, "echo", "-", "--json", stdin=json.dumps(wanted).encode())
        self.assertEqual(outcome.code, OK, outcome.err)
        self.assertEqual(json.loads(outcome.out), wanted)

    def test_unknown_tool(self):
        self.expect(iccm("call", self.url, "no_such_tool"), PROTOCOL, "no_such_tool", "-32601", "iccm list")
        error = self.expect_json_error(iccm("call", "--json", self.url, "no_such_tool"), PROTOCOL)
        self.assertEqual(error["code"], -32601)

    def test_ping(self):
        outcome = iccm("ping", self.url)
        self.assertEqual((outcome.code, outcome.err), (OK, ""), outcome)
        self.assertEqual(len(re.findall(r"(?m)^ping \d: [\d.]+ ms$", outcome.out)), 4)
        self.assertRegex(outcome.out, r"(?m)^min [\d.]+ ms, median [\d.]+ ms, max [\d.]+ ms\n\Z")
        outcome = iccm("ping", "--json", "--count", "3", self.url)
        measured = json.loads(outcome.out)
        self.assertEqual(len(measured["round_trips_ms"]), 3)
        self.assertEqual(sorted(measured["round_trips_ms"])[1], measured["median_ms"])
        self.assertLessEqual(measured["min_ms"], measured["median_ms"])
        self.assertLessEqual(measured["median_ms"], measured["max_ms"])

    def test_ping_of_a_server_that_does_not_know_it(self):
        def unknown(_method, _params):
            raise Response(error={"code": -32601, "message": "no such method"})

        with FakeServer(mcp(unknown)) as peer:
            outcome = iccm("ping", peer.url, "--count", 2)
        self.assertEqual((outcome.code, outcome.err), (OK, ""), outcome)
        self.assertIn("ping 2: ", outcome.out)

    def test_a_server_that_answers_notifications(self):
        def nothing(_method, _params):
            return text_result({"done": True})

        for more in "", ',"id":null':
            notification_reply = '{"jsonrpc":"2.0","error":{"code":-32601,"message":"no such method"}%s}' % more
            with self.subTest(more), FakeServer(mcp(nothing, notification_reply=notification_reply)) as peer:
                outcome = iccm("call", peer.url, "x", "--json", "a=1")
            self.assertEqual((outcome.code, json.loads(outcome.out)), (OK, {"done": True}), outcome)

    def test_an_error_without_data(self):
        def failing(_method, _params):
            raise Response(error={"code": -32000, "message": "broken", "data": None})

        with FakeServer(mcp(failing)) as peer:
            outcome = iccm("call", peer.url, "x")
        self.assertIn("broken", outcome.err)
        self.assertNotIn("data", outcome.err)

    def test_bench(self):
        words = ("bench", "--connections", 3, "--in-flight", 4, "--seconds", 0.5, self.url, "echo", "text=hello")
        outcome = iccm(*words, "--server-pid", self.echo.program.process.pid)
        self.assertEqual((outcome.code, outcome.err), (OK, ""), outcome)
        for pattern in (r"^calls/s  +\d+$", r"^p50  +[\d.]+ µs$", r"^p99  +[\d.]+ µs$", r"^errors +0$", r"server \d+ %"):
            self.assertRegex(outcome.out, "(?m)" + pattern)
        outcome = iccm(*words, "--json", "--server-pid", self.echo.program.process.pid)
        figures = json.loads(outcome.out)
        self.assertGreater(figures["calls"], 0)
        self.assertAlmostEqual(figures["calls_per_second"] * figures["seconds"], figures["calls"], delta=1 + figures["calls"] / 100)
        self.assertLessEqual(figures["p50_us"], figures["p99_us"])
        self.assertLessEqual(figures["p99_us"], figures["max_us"])
        self.assertGreaterEqual(figures["seconds"], 0.49)  # timers count whole milliseconds
        self.assertEqual((figures["errors"], figures["errors_by_code"]), (0, {}))
        self.assertGreater(figures["server_cpu_seconds"], 0)
        self.assertGreater(figures["calls_per_server_cpu_second"], 0)

    def test_bench_stops_where_the_first_call_fails(self):
        self.expect(iccm("bench", self.url, "no_such_tool"), PROTOCOL, "no_such_tool", "-32601")

    def test_standard_streams_that_are_closed(self):
        for closed, code in (("<&-", OK), (">&-", USAGE), ("2>&-", OK), ("<&- >&- 2>&-", USAGE)):
            for command in ("list", "ping", "doctor", "bench --seconds 0.1", "call"):
                words = f'"$0" {command} {self.url} {"echo" if command[0] in "bc" else ""} {closed}'
                run = subprocess.run(["bash", "-c", words, PROGRAMS["iccm"]], capture_output=True, timeout=WAIT_S)
                self.assertEqual((run.returncode, SANITIZER_REPORT.search(run.stderr.decode())), (code, None), (words, run))

    def test_terminal_gets_colours_and_wrapping(self):
        code, shown = on_terminal(40, "list", self.url)
        self.assertEqual(code, OK)
        self.assertIn("\033[1mecho\033[0m\n", shown)

    def test_colours_are_for_terminals_alone(self):
        for words in (("list",), ("doctor",), ("call", "echo", "text=x"), ("ping",), ("bench", "echo", "--seconds", "0.1"), ("bridge",)):
            words = (words[0], self.url, *words[1:])
            with self.subTest(words=words):
                outcome = iccm(*words)
                self.assertEqual(outcome.code, OK, outcome)
                self.assertNotIn("\033", outcome.out + outcome.err)
                if words[0] == "bridge":
                    continue  # it would wait for input
                for environment, coloured in (({}, words[0] in ("list", "doctor")), ({"NO_COLOR": ""}, words[0] in ("list", "doctor")), ({"NO_COLOR": "1"}, False)):
                    code, shown = on_terminal(80, *words, env=environment)
                    self.assertEqual((code, "\033" in shown), (OK, coloured), shown)
                self.assertNotIn("\033", on_terminal(80, *words, "--json")[1])

    def test_reader_that_leaves_is_no_error(self):
        for words in (("list", self.url), ("ping", "--count", 100000, self.url)):
            read, write = os.pipe()
            os.close(read)
            try:
                outcome = iccm(*words, stdout=write)
            finally:
                os.close(write)
            self.assertEqual((outcome.code, outcome.err), (OK, ""))

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            outcome = iccm("list", self.url, stdout=full)
        self.expect(outcome, USAGE, "cannot write standard output: No space left")

    def test_verbose_shows_the_connection(self):
        quiet, verbose = iccm("ping", self.url), iccm("ping", "--verbose", self.url)
        self.assertEqual((quiet.code, quiet.err, verbose.code), (OK, "", OK))
        self.assertRegex(verbose.err, f"(?m)^DEBUG iccm: connected to {self.url}$")


class Token(Case):
    TOKEN = "open-sesame/1="

    @classmethod
    def setUpClass(cls):
        cls.url = cls.enterClassContext(SingleServer("echo", "0", ICCM_AUTH_TOKEN=cls.TOKEN)).url

    def test_every_command_sends_it(self):
        for words in (("list", self.url), ("ping", "--count", 1, self.url), ("call", self.url, "echo", "a=1"),
                      ("bench", "--connections", 2, "--seconds", "0.1", self.url, "echo")):
            for given in (iccm(*words, "--token", self.TOKEN), iccm(*words, env={"ICCM_AUTH_TOKEN": self.TOKEN})):
                self.assertEqual(given.code, OK, given)

    def test_without_it_or_with_another(self):
        hushed = "hush-hush"
        for outcome in (
            iccm("call", self.url, "echo"),
            iccm("call", self.url, "echo", env={"ICCM_AUTH_TOKEN": hushed}),
            iccm("call", self.url, "echo", "--token", hushed),
            iccm("call", self.url, "echo", "--token", "", env={"ICCM_AUTH_TOKEN": self.TOKEN}),
        ):
            self.expect(outcome, REFUSED, "401", "ICCM_AUTH_TOKEN", "--token")
            self.assertNotIn(hushed, outcome.err)

    def test_the_option_wins(self):
        for other in ("hush-hush", "no token"):
            outcome = iccm("list", "--token", self.TOKEN, self.url, env={"ICCM_AUTH_TOKEN": other})
            self.assertEqual(outcome.code, OK, outcome)
        outcome = iccm("list", "--token", "hush-hush", self.url, env={"ICCM_AUTH_TOKEN": self.TOKEN})
        self.expect(outcome, REFUSED, "401")

    def test_what_is_no_token(self):
        for text in ("hush hush", "hush\r\nX-Evil: 1", "hush," + 512 * "x", 513 * "x"):
            for command in "list", "doctor":
                for outcome in (iccm(command, "--token", text, self.url), iccm(command, self.url, env={"ICCM_AUTH_TOKEN": text})):
                    self.expect(outcome, USAGE, "invalid ICCM_AUTH_TOKEN")
                    self.assertNotIn("hush", outcome.err)

    def test_it_is_in_no_line(self):
        outcome = iccm("--verbose", "--json", "list", "--token", self.TOKEN, self.url)
        self.assertEqual(outcome.code, OK, outcome)
        self.assertNotIn("sesame", outcome.out + outcome.err)


class BadPeers(Case):
    """Each failure has its exit code and its message."""

    def test_nobody_listens(self):
        port = free_port()
        for command in (("list",), ("ping",), ("call", "echo"), ("bench", "echo")):
            with self.subTest(command=command):
                outcome = iccm(command[0], f"ws://127.0.0.1:{port}", *command[1:])
                self.expect(outcome, UNREACHABLE, "refused", rf"127\.0\.0\.1:{port}", "check that the server is running")
        error = self.expect_json_error(iccm("ping", "--json", f"ws://127.0.0.1:{port}"), UNREACHABLE)
        self.assertIn("check that the server is running", error["hint"])

    def test_unknown_name(self):
        self.expect(iccm("ping", "no-such-host.invalid:9"), UNREACHABLE, "no-such-host.invalid", "check the host name")

    def test_nothing_accepts(self):
        """A listener with a full queue drops packets like a firewall."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            fillers = []
            for _ in range(8):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                fillers.append(filler)
            outcome = iccm("ping", "--timeout", "0.5", f"127.0.0.1:{listener.getsockname()[1]}")
            for filler in fillers:
                filler.close()
        self.expect(outcome, UNREACHABLE, "not connected within 500 ms", "firewall")

    def test_silent_before_the_upgrade(self):
        with FakeServer(silent) as peer:
            for url, words in (peer.url, ("did not answer the WebSocket upgrade", "the server does not hang")), (
                peer.url.replace("ws:", "wss:"), ("did not answer the TLS handshake", "speaks TLS"),
            ):
                for command in ("ping", url), ("list", url), ("call", url, "x"), ("bench", url, "x"):
                    outcome = iccm_late(*command, told="accepted the connection")
                    self.expect(outcome, TIMEOUT, "not connected within [1-9][0-9]*00 ms", *words)
                    self.assertNotIn("firewall", outcome.err)

    def test_silent_behind_the_upgrade(self):
        with FakeServer(mcp(lambda *_: NO_RESPONSE, initialize=lambda *_: NO_RESPONSE)) as peer:
            outcome = iccm_late("list", peer.url, told="did not answer initialize")
            self.expect(outcome, TIMEOUT, "not connected within", "did not answer initialize", "the server does not hang")
            self.assertNotIn("firewall", outcome.err)

    def test_silent_after_the_upgrade(self):
        with FakeServer(mcp(lambda *_: NO_RESPONSE)) as peer:
            for words in (("ping", peer.url), ("list", peer.url), ("call", peer.url, "x"), ("bench", peer.url, "x")):
                self.expect(iccm_late(*words), TIMEOUT, "no answer within [1-9][0-9]*00 ms", "--timeout")

    def test_the_time_out_that_is_named_is_the_one_that_was_set(self):
        """Also for a later request, which had less time."""

        def answer(method, params):
            if "cursor" in params:
                return NO_RESPONSE
            time.sleep(0.002)  # so that there is less
            return {"tools": [], "nextCursor": "more"}

        with FakeServer(mcp(answer)) as peer:
            outcome = growing_timeout(0.3, lambda seconds: iccm("list", peer.url, "--timeout", seconds), lambda outcome: "no answer" in outcome.err)
        self.expect(outcome, TIMEOUT, r"127\.0\.0\.1:\d+: no answer within [1-9]\d*00 ms")

    def test_refused(self):
        for status in (401, 403):
            with FakeServer(plain_http(status)) as peer:
                self.expect(iccm("ping", peer.url), REFUSED, str(status), "ICCM_AUTH_TOKEN", "ICCM_ALLOW_PUBLIC")

    def test_plain_http_server(self):
        for status in (200, 404, 503):
            with FakeServer(plain_http(status)) as peer:
                self.expect(iccm("ping", peer.url), PROTOCOL, str(status))

    def test_not_http_at_all(self):
        with FakeServer(lambda conn: conn.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")) as peer:
            self.expect(iccm("ping", peer.url), PROTOCOL)

    def test_leaves_before_the_answer(self):
        with FakeServer(mcp(lambda *_: DISCONNECT)) as peer:
            self.expect(iccm("call", peer.url, "x"), PROTOCOL, "closed the connection", "may have been executed")

    def test_answers_that_are_not_json_rpc(self):
        for text in ("not json", "[]", '{"jsonrpc":"2.0","id":1}'):

            def answer(*_, text=text):
                raise Response(text=text)

            with FakeServer(mcp(answer)) as peer, self.subTest(text=text):
                outcome = iccm_late("call", peer.url, "x")
                self.assertIn(outcome.code, (PROTOCOL, TIMEOUT), outcome)

    def test_errors_of_tools_and_of_the_protocol(self):
        for code, exit_code in ((-32000, TOOL), (-32099, TOOL), (-32602, PROTOCOL), (-32603, PROTOCOL)):

            def answer(*_, code=code):
                raise Response(error={"code": code, "message": "no\033[2J such\nfile", "data": {"why": "gone"}})

            with FakeServer(mcp(answer)) as peer, self.subTest(code=code):
                outcome = iccm("call", peer.url, "x")
                self.expect(outcome, exit_code, r"no\\u001b\[2J such\\nfile", r'data: {"why":"gone"}')
                error = self.expect_json_error(iccm("call", "--json", peer.url, "x"), exit_code)
                self.assertEqual((error["code"], error["data"]), (code, {"why": "gone"}))

    def test_result_that_is_an_error(self):
        with FakeServer(mcp(lambda *_: text_result("disk full") | {"isError": True})) as peer:
            self.expect(iccm("call", peer.url, "x"), TOOL, "disk full")

    def test_interrupt(self):
        with FakeServer(silent) as peer:
            process = start("ping", peer.url)
            self.assertTrue(peer.connected.wait(WAIT_S))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.communicate(timeout=WAIT_S), (b"", b""))
            self.assertEqual(process.returncode, INTERRUPTED)


class Answers(Case):
    """The output for results that only a fake server gives."""

    def call(self, result, *words):
        with FakeServer(mcp(lambda *_: result)) as peer:
            outcome = iccm("call", peer.url, "x", *words)
        self.assertEqual((outcome.code, outcome.err), (OK, ""), outcome)
        return outcome.out

    def test_values(self):
        rows = [{"id": 1, "level": "INFO"}, {"id": 22, "level": None}]

        def log(message, second):
            at = f"2026-11-21T07:24:0{second}.123456Z"
            row = {"id": "a", "trace_id": None, "component": "me", "level": "INFO", "message": message, "created_at": at}
            return row | {"data": {"n": 1}, "age": 5.5}

        def shown_log(message, second):
            return f'2026-11-21 07:24:0{second}.123 INFO  me: {message}  {{"n":1}}\n'

        for value, shown in (
            (rows, "id\tlevel\n1\tINFO\n22\t-\n"),
            ({"status": "ok"}, '{\n  "status": "ok"\n}\n'),
            ([log("second", 2), log("first", 1)], f"{shown_log('first', 1)}{shown_log('second', 2)}"),
            ([log("first", 1), log("second", 2)], f"{shown_log('first', 1)}{shown_log('second', 2)}"),
            ([log("x", 1) | {"level": None}], None),
            ("two\nlines", "two\nlines\n"),
            ("\033]0;title\a", "\\u001b]0;title\\u0007\n"),
            ([], "[]\n"),
            (5, "5\n"),
        ):
            with self.subTest(value=value):
                if shown is None:
                    self.assertIn("created_at", self.call(text_result(value)).splitlines()[0])
                else:
                    self.assertEqual(self.call(text_result(value)), shown)

    def test_json(self):
        self.assertEqual(self.call(text_result({"a": [1, "\x9b"]}), "--json"), '{"a":[1,"\\u009b"]}\n')

    def test_several_parts(self):
        parts = [{"type": "text", "text": "first"}, {"type": "image", "mimeType": "image/png", "data": "AAAA"}]
        shown = self.call({"content": parts})
        self.assertTrue(shown.startswith("first\n{\n"), shown)
        self.assertIn('"mimeType": "image/png"', shown)

    def test_structured(self):
        self.assertEqual(self.call({"content": [], "structuredContent": {"a": 1}}, "--json"), '{"a":1}\n')

    def test_arguments_that_are_not_listed_are_warned_of(self):
        nested = {"type": "object", "properties": {"owner": {}, "limit": {}}}
        schema = {"type": "object", "properties": {"component": {}, "query": nested, "data": {"type": "object"}}}
        for listed, words, warned in (
            (schema, ("component=a", 'data={"any":1}', 'query={"owner":"b"}'), []),
            (schema, ("compnent=a", "limit=5"), [("compnent", "component"), ("limit", "data")]),
            (schema, ('query={"ownr":"b"}', "\033[2J=1"), [("ownr", "owner"), (r"\\u001b\[2J", "data")]),
            (schema | {"properties": {}}, ("a=1",), [("a", None)]),
            ({"type": "object"}, ("a=1",), []),
            (schema | {"additionalProperties": {"type": "string"}}, ("a=1",), []),
            (None, ("a=1",), []),
            ([1], ("a=1",), []),
        ):
            calls = []

            def answer(method, params, listed=listed, calls=calls):
                if method == "tools/list":
                    if listed is None:
                        raise Response(error={"code": -32601, "message": "no"})
                    return {"tools": [{"name": "y"}, {"name": "x", "inputSchema": listed}]}
                calls.append(params)
                return text_result("done")

            with FakeServer(mcp(answer)) as peer, self.subTest(words=words, listed=listed):
                outcome = iccm("call", peer.url, "x", *words)
                self.assertEqual((outcome.code, outcome.out, len(calls)), (OK, "done\n", 1), outcome)
                wanted = "".join(
                    rf'iccm: warning: the schema of x has no argument "{name}"' + (rf' \(nearest: "{near}"\)' if near else "") + "\n"
                    for name, near in warned
                )
                self.assertRegex(outcome.err, rf"\A{wanted}\Z")

    def test_arguments_have_the_types_of_the_schema(self):
        schema = {"properties": {"text": {"type": "string"}, "n": {"type": "integer"}}}
        words = "text=404", "n=5", "code=7", "forced:=7"
        as_listed = {"text": "404", "n": 5, "code": 7, "forced": 7}
        for listed, command, wanted in (
            (schema, ("call",), as_listed),
            (None, ("call",), as_listed | {"text": 404}),
            (schema, ("bench", "--connections", 1, "--in-flight", 1, "--seconds", "0.1"), as_listed),
        ):
            seen = []

            def answer(method, params, listed=listed, seen=seen):
                if method == "tools/list":
                    return {"tools": [{"name": "x", "inputSchema": listed}] if listed else []}
                seen.append(params["arguments"])
                return text_result("done")

            with FakeServer(mcp(answer)) as peer, self.subTest(command=command, listed=listed):
                outcome = iccm(command[0], peer.url, "x", *words, *command[1:])
                self.assertEqual(outcome.code, OK, outcome)
                self.assertEqual(seen[0], wanted)

    def test_a_list_that_does_not_come_holds_up_no_call(self):
        with FakeServer(mcp(lambda method, _: NO_RESPONSE if method == "tools/list" else text_result(1))) as peer:
            outcome = iccm("call", "--timeout", "2", peer.url, "x", "a=1")
        self.assertEqual((outcome.code, outcome.out, outcome.err), (OK, "1\n", ""), outcome)

    def test_a_list_that_is_none_holds_up_no_call(self):
        for listed in ({}, [], {"tools": {}}):
            # the fake server does not respond to a close frame: the second connection must not end the command
            with FakeServer(mcp(lambda method, _, listed=listed: listed if method == "tools/list" else text_result(1))) as peer, self.subTest(listed=listed):
                outcome = iccm("call", peer.url, "x", "a=1")
                self.assertEqual((outcome.code, outcome.out), (OK, "1\n"), outcome)

    def test_trace(self):
        metas = []
        with FakeServer(mcp(lambda _, params: metas.append(params.get("_meta")) or text_result(1))) as peer:
            self.assertEqual(iccm("call", peer.url, "x").code, OK)
            given = iccm("call", "--trace", "mine", peer.url, "x")
            made = iccm("call", "--trace", "new", "--json", peer.url, "x")
        self.assertEqual((given.out, given.err, made.out), ("1\n", "", "1\n"))
        self.assertRegex(made.err, r"\Atrace [0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}\n\Z")
        self.assertEqual(metas, [None, {"trace_id": "mine"}, {"trace_id": made.err.split()[1]}])

    def test_progress(self):
        reports = [
            {"progress": 1, "total": 4, "message": "a\tb\x1b[2J"},
            {"progress": 1.001, "total": 4, "message": "a\tb\x1b[2J"},  # looks the same
            {"progress": 2, "total": 4},
            {"progress": 9, "total": 4, "message": 60 * "ä"},
            {"progress": 10},
            {"progress": 10.5, "message": "half"},
        ]
        asked = []
        lines = [r" 25 % a\tb\u001b[2J", " 50 %", "100 % " + 60 * "ä", "10", "10.5 half"]
        with FakeServer(mcp(lambda _, params: asked.append("progressToken" in params.get("_meta", {})) or text_result(1), progress=reports)) as peer:
            plain = iccm("call", peer.url, "x")
            piped = iccm("call", "--progress", peer.url, "x")
            code, shown = on_terminal(30, "call", "--progress", peer.url, "x", streams=("stdin", "stdout", "stderr"))
            narrow = on_terminal(10, "call", "--progress", peer.url, "x", streams=("stderr",))[1]
        self.assertEqual((plain.out, plain.err), ("1\n", ""))
        self.assertEqual((piped.code, piped.out, piped.err.splitlines()), (OK, "1\n", lines))
        bars = [r"[##........]  25 % a\tb…", "[#####.....]  50 %", "[##########] 100 % " + 9 * "ä" + "…"]
        self.assertEqual((code, shown.split("\r\x1b[K")), (OK, ["", *bars, *lines[3:], "1\n"]))
        self.assertEqual(narrow.split("\r\x1b[K")[1:4], [" 25 % a…", " 50 %", "100 % ää…"])
        self.assertEqual(asked, [False, True, True, True])

    def test_progress_of_a_call_that_fails(self):
        def answer(_method, _params):
            raise Response(error={"code": -32000, "message": "broken"})

        with FakeServer(mcp(answer, progress=[{"progress": 1, "total": 2, "message": "working"}])) as peer:
            outcome = iccm("call", "--progress", peer.url, "x")
        self.assertEqual((outcome.code, outcome.out), (TOOL, ""))
        self.assertRegex(outcome.err, r"\A 50 % working\niccm: [^\n]*broken[^\n]*\n\Z")

    def test_table_is_cut_to_the_terminal(self):
        rows = [{"id": 1, "message": "x" * 100}]
        with FakeServer(mcp(lambda *_: text_result(rows))) as peer:
            _, shown = on_terminal(30, "call", peer.url, "x")
        self.assertIn("x…\n", shown)
        lines = re.sub("\033\\[\\d*m", "", shown).splitlines()
        self.assertLessEqual(max(map(len, lines)), 30)
        self.assertIn("x" * 100, self.call(text_result(rows)))

    def test_list_follows_the_pages(self):
        def answer(_method, params):
            page = int((params or {}).get("cursor", "0"))
            result = {"tools": [{"name": f"tool{page}", "inputSchema": {"type": "object"}}]}
            return result | ({"nextCursor": str(page + 1)} if page < 2 else {})

        with FakeServer(mcp(answer)) as peer:
            self.assertEqual(iccm("list", peer.url).out, "tool0\n\ntool1\n\ntool2\n")

    def test_list_that_never_ends(self):
        with FakeServer(mcp(lambda *_: {"tools": [], "nextCursor": "again"})) as peer:
            self.expect(iccm("list", peer.url), PROTOCOL, "does not end")

    def test_list_of_nothing(self):
        for result in ({}, {"tools": {}}, [], None):
            with FakeServer(mcp(lambda *_, result=result: result)) as peer, self.subTest(result=result):
                self.expect(iccm("list", peer.url), PROTOCOL)

    def bench(self, special, *words):
        """Two calls in flight; the result is "ok", for every fiftieth call that of special()."""
        calls = 0

        def answer(*_):
            nonlocal calls
            calls += 1
            return special() if calls % 50 == 0 else text_result("ok")

        def run(seconds):
            return iccm("bench", "--connections", 1, "--in-flight", 2, "--seconds", seconds, peer.url, "x", *words)

        with FakeServer(mcp(answer)) as peer:
            return growing_timeout(1, run, lambda _: calls > 100)

    def test_bench_counts_errors_by_code(self):
        def fail():
            raise Response(error={"code": -32000, "message": "busy"})

        outcome = self.bench(fail, "--json")
        figures = json.loads(outcome.out)
        self.assertEqual(outcome.code, TOOL)
        self.assertEqual(figures["errors_by_code"], {"-32000": figures["errors"]})
        self.assertGreater(figures["errors"], 0)
        self.assertGreater(figures["calls"], figures["errors"])
        outcome = self.bench(fail)
        self.assertEqual(outcome.code, TOOL)
        self.assertRegex(outcome.out, r"(?m)^  \d+ with code -32000: busy$")

    def test_bench_survives_a_server_that_leaves(self):
        outcome = self.bench(lambda: DISCONNECT, "--json")
        figures = json.loads(outcome.out)
        self.assertIn(outcome.code, (PROTOCOL, UNREACHABLE))  # the connection was lost, or reconnecting failed
        self.assertGreater(figures["errors"], 0)
        self.assertGreater(figures["calls"], 0)


if __name__ == "__main__":
    main()
