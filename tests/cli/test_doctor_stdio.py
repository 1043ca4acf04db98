"""`iccm doctor --stdio PROGRAM` against real faulty programs, which each test writes in Python."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from services import PROGRAMS, WAIT_S, main
from test_doctor import OK, PROTOCOL, STDIO_STAGES, TIMEOUT, UNREACHABLE, Case

# A server of MCP. The code of a test replaces its functions and sets its variables.
SERVER = """
import json, os, signal, sys, time

MODERN = LEGACY = True
UNKNOWN = {"error": {"code": -32601, "message": "no such method"}}

def send(message):
    print(json.dumps(message), flush=True)

def bad_line(line):
    send({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "not JSON"}})

def tools():
    return {"result": {"tools": [{"name": "nothing", "inputSchema": {"type": "object"}}]}}

def answer(method):
    if method == "server/discover" and MODERN:
        meta = {"io.modelcontextprotocol/serverInfo": {"name": "peer", "version": "1"}}
        return {"result": {"supportedVersions": ["2026-07-28"], "capabilities": {}, "_meta": meta}}
    if method == "initialize" and LEGACY:
        return {"result": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "peer", "version": "1"}}}
    return tools() if method == "tools/list" else UNKNOWN

def end():
    pass
"""
LOOP = """
for line in sys.stdin:
    try:
        message = json.loads(line)
    except ValueError:
        bad_line(line)
        continue
    if "id" in message:
        reply = answer(message["method"])
        if reply is not None:
            send({"jsonrpc": "2.0", "id": message["id"]} | reply)
end()
"""
ONLY_LEGACY = "MODERN = False\n"


class StdioCase(Case):
    def setUp(self):
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, text, first="#!" + sys.executable, mode=0o755):
        path = self.place / "server.py"
        path.write_text(f"{first}\n{text}")
        path.chmod(mode)
        return str(path)

    def examine_server(self, code, *options):
        return self.examine(self.write(SERVER + code + LOOP), *options, arguments=[])

    def expect_server(self, code, *expected):
        return self.expect(self.examine_server(code), *expected)


class Healthy(StdioCase):
    def test_a_component(self):
        report = self.examine(str(PROGRAMS["echo"]), arguments=["0"])
        self.assertEqual((report.code, report.names), (OK, []), report.text)
        self.assertEqual({each["stage"] for each in report.findings}, set(STDIO_STAGES))
        for words in ("echo", "MCP protocol version 2026-07-28", "MCP protocol version 2025-11-25", "error -32700", "ends when its standard input ends"):
            self.assertIn(words, report.text)
        self.assertTrue(report.text.startswith(f"{PROGRAMS['echo']}\n"))

    def test_found_in_path_and_arguments(self):
        self.write(SERVER + "assert sys.argv[1:] == ['--json', '', '--stdio']\n" + LOOP)
        environment = {"PATH": f"{self.place}:{os.environ['PATH']}"}
        report = self.examine("server.py", arguments=["--json", "", "--stdio"], env=environment)
        self.assertEqual((report.code, report.names), (OK, []), report.text)

    def test_one_era(self):
        words = ("peer 1, MCP protocol version 2025-11-25", "before 2026-07-28")
        self.expect_server(ONLY_LEGACY, OK, "only_legacy", "initialize", *words)
        self.expect_server("LEGACY = False\n", OK, "only_modern", "initialize", "-32601", "no such method")


class Start(StdioCase):
    def test_not_found(self):
        for name in "no-such-program-of-iccm", f"{self.place}/nothing", f"{self.write('')}/below":
            report = self.examine(name, arguments=[])
            self.expect(report, UNREACHABLE, "program_not_found", "start", "cannot start the program", "absolute path")
            self.assertEqual(len(report.findings), 1)

    def test_a_name_that_is_not_utf_8(self):
        command = [PROGRAMS["iccm"], "doctor", "--json", "--stdio", b"/no\xff"]
        run = subprocess.run(command, capture_output=True, timeout=WAIT_S)
        self.assertEqual((run.returncode, json.loads(run.stdout)["url"]), (UNREACHABLE, "/no\\xff"), run)

    def test_not_executable(self):
        path = self.write("", mode=0o644)
        self.expect(self.examine(path, arguments=[]), UNREACHABLE, "not_executable", "start", "permission denied", "chmod +x")
        self.expect(self.examine(str(self.place), arguments=[]), UNREACHABLE, "not_executable", "start", "a directory")

    def test_no_interpreter(self):
        path = self.write("", first="#!/no/such/python3")
        self.expect(self.examine(path, arguments=[]), UNREACHABLE, "no_interpreter", "start", "first line (#!)")

    def test_other_reasons(self):
        (self.place / "itself").symlink_to("itself")
        report = self.examine(str(self.place / "itself"), arguments=[])
        self.expect(report, UNREACHABLE, "not_started", "start", "too many symbolic links")


class Output(StdioCase):
    def test_text(self):
        finding = self.expect_server(
            "print('Server\\x1b[2J ' + 200 * 'x', flush=True)\n", PROTOCOL, "stdout_text", "discover",
            "1 line of standard output is no message", "stdout must carry messages only", "file=sys.stderr")
        self.assertIn("…", finding["what"])
        self.assertLess(len(finding["what"]), 200)
        self.assertNotIn("\x1b", finding["what"])

    def test_text_later(self):
        noisy = "def tools(answer=tools):\n    print('listing', 1, sep='\\n', flush=True)\n    return answer()\n"
        report = self.examine_server(noisy)
        self.expect(report, PROTOCOL, "stdout_text", "tools/list", "4 lines of standard output are no message", '"listing"')

    def test_ends_at_once(self):
        for code, words in (
            ("print('a', 'the reason\\n', sep='\\n', file=sys.stderr)\nsys.exit(3)\n", ("exit status 3", 'ends with "the reason"')),
            ("print(100000 * 'x', file=sys.stderr)\nimport no_such_module\n", ("exit status 1", "No module named 'no_such_module'")),
            ("sys.exit(0)\n", ("exit status 0", "standard error is empty", "check the arguments")),
            ("os.kill(os.getpid(), signal.SIGKILL)\n", ("signal 9",)),
        ):
            with self.subTest(words=words):
                report = self.examine_server(code)
                self.expect(report, PROTOCOL, "program_ended", "initialize", *words)
                self.assertEqual([each["stage"] for each in report.findings], ["start", "discover", "initialize"])

    def test_text_and_the_end(self):
        report = self.examine("echo", arguments=["usage: echo URL"])
        self.assertEqual((report.code, report.names), (PROTOCOL, ["stdout_text", "program_ended"]), report.text)
        self.assertIn('"usage: echo URL"', report.text)

    def test_closed_output(self):
        self.expect_server("os.close(1)\ntime.sleep(600)\n", PROTOCOL, "program_ended", "initialize", "closed its standard output")

    def test_nothing(self):
        report = self.examine_server("def answer(method):\n    return None\n")
        self.expect(report, TIMEOUT, "program_silent", "initialize", "no response", "flush=True")

    def test_nothing_within_the_limit_of_the_run(self):
        report = self.examine_server("time.sleep(600)\n", "--timeout", 1)
        self.expect(report, TIMEOUT, "no_time", "discover", "--timeout")


class Versions(StdioCase):
    def test_ends_at_discover(self):
        code = ONLY_LEGACY + "def answer(method, answer=answer):\n    return answer(method) if method != 'server/discover' else sys.exit(2)\n"
        finding = self.expect_server(code, OK, "ends_at_discover", "initialize", "2025-11-25", "-32601")
        self.assertIn("peer 1", finding["what"])

    def test_no_version(self):
        self.expect_server("MODERN = LEGACY = False\n", PROTOCOL, "no_version", "initialize", "no such method")
        code = "def answer(method):\n    return {'result': {'protocolVersion': '2031-01-01'}} if method == 'initialize' else UNKNOWN\n"
        self.expect_server(code, PROTOCOL, "no_version", "initialize", "a protocol version that is not supported")
        code = "UNKNOWN = {'error': {'code': -32022, 'message': '2031 alone', 'data': {'supported': ['2031-01-01']}}}\nMODERN = False\n"
        self.expect_server(code, PROTOCOL, "no_version", "discover", "-32022", "2031 alone")


class Talk(StdioCase):
    def test_tools_list(self):
        for tools, name, words in (
            ("return {'error': {'code': -32603, 'message': 'broken'}}", "tools_error", ("-32603", "broken")),
            ("return {'result': {}}", "tools_error", ("an unexpected result",)),
            ("return UNKNOWN", "tools_missing", ("-32601",)),
            ("sys.exit('a bug')", "program_ended", ("exit status 1", '"a bug"')),
        ):
            with self.subTest(tools=tools):
                report = self.examine_server(f"LEGACY = False\ndef tools():\n    {tools}\n")
                self.assertEqual((report.code, report.names), (PROTOCOL, ["only_modern", name]), report.text)
                finding = report.finding(name)
                self.assertEqual(finding["stage"], "tools/list")
                for word in words:
                    self.assertIn(word, finding["what"])
                self.assertEqual(report.findings[-1]["verdict"], "ok", "the last stage still runs")

    def test_tools_list_without_response(self):
        report = self.examine_server("LEGACY = False\ndef tools():\n    return None\n")
        self.assertEqual((report.code, report.names), (TIMEOUT, ["only_modern", "silent"]), report.text)

    def test_bad_json(self):
        for code, name, words in (
            ("pass", "bad_json_silent", ("no response", "-32700")),
            ("send({'jsonrpc': '2.0', 'id': None, 'error': {'code': -32600, 'message': 'what?'}})", "bad_json_answer", ("-32600",)),
            ("raise ValueError('bad line')", "bad_json_ended", ("exit status 1", "ValueError: bad line", "-32700")),
        ):
            with self.subTest(name=name):
                self.expect_server(f"def bad_line(line):\n    {code}\n", OK, name, "bad JSON", *words)

    def test_end_of_input(self):
        for ignored in "", "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n":
            with self.subTest(ignored=ignored):
                (self.place / "pids").write_text("")
                pid = f"open({str(self.place / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
                code = f"{pid}def end():\n{ignored}    time.sleep(600)\n"
                self.expect_server(code, OK, "program_stays", "end of input", "does not end when stdin ends", "still runs")
                for each in (self.place / "pids").read_text().split():
                    self.assertFalse(Path(f"/proc/{each}").exists(), "it was ended by signals")


if __name__ == "__main__":
    main()
