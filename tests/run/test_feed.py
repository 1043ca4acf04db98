"""The feeder with the real Godot: every line arrives once, whatever bytes it contains and whichever program is killed."""
import asyncio
import json
import signal
import subprocess
import unittest

import websockets

from services import BUILD, PROGRAMS, WAIT_S, System, free_port, main, wait_until

FEED = BUILD / "examples/feed/feed"


def feed(*words, text=b""):
    return subprocess.run([FEED, *map(str, words)], input=text, capture_output=True, timeout=WAIT_S)


def everything(system):
    """All messages of the component feed, oldest first, page by page."""
    messages, cursor = [], ""
    while cursor is not None:
        arguments = json.dumps({"component": "feed", "limit": 1000, "cursor": cursor})
        command = [PROGRAMS["iccm"], "--json", "call", system.godot_url, "logger_query", arguments]
        page = json.loads(subprocess.run(command, capture_output=True, timeout=WAIT_S, check=True).stdout)
        messages += [row["message"] for row in page["logs"]]
        cursor = page.get("next_cursor")
    return messages[::-1]


class Feeding(unittest.TestCase):
    def test_lines_of_every_kind_arrive_in_order(self):
        long = "é" * 100000  # 200,000 bytes: four entries, none cut inside a character
        cases = [b"\r", b"of Windows\r", b"\r\r", b"a\rb", b"plain", "déjà vu \U0001f600".encode(), b"\xff\xc3(\xed\xa0\x80", b"tab\tand \x1b[31m", b"", b" "]
        text = b"\n".join(cases) + b"\n" + long.encode() + b"\nno newline\r"
        with System() as system:
            system.start()
            run = feed(system.godot_url, text=b"\xef\xbb\xbf" + text)  # with a byte order mark, as some editors write it
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertRegex(run.stdout, rb"\A13 lines accepted as feed in \d+\.\d s, 0 refused, 0 not delivered\n\Z")
            wait_until(lambda: len(everything(system)) == 13, "everything is stored")
            messages = everything(system)
        marks = "\ufffd\ufffd(\ufffd\ufffd\ufffd"
        self.assertEqual(messages[:3], ["of Windows", "\r", "a\rb"])
        messages = messages[3:]
        self.assertEqual(messages[:5], ["plain", "déjà vu \U0001f600", marks, "tab\tand \x1b[31m", " "])
        self.assertEqual("".join(messages[5:9]), long)
        self.assertEqual(messages[9], "no newline\r")

    def test_a_server_killed_and_stopped_on_the_way_costs_nothing(self):
        lines = [f"line {number}" for number in range(20000)]
        with System() as system:
            system.start()
            with subprocess.Popen([FEED, system.godot_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                for part, end in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, None)):
                    process.stdin.write("".join(f"{line}\n" for line in lines[part * 5000 : part * 5000 + 5000]).encode())
                    process.stdin.flush()  # what the pipe does not hold the feeder has taken, and calls are in flight
                    if end is not None:
                        system.godot.signal(end)
                        system.godot.wait()
                        system.godot.start().wait_for("listening on port")
                out, _ = process.communicate(timeout=WAIT_S)
            self.assertEqual(process.returncode, 0, out)
            self.assertIn(b"20000 lines accepted", out)
            wait_until(lambda: len(everything(system)) >= len(lines), "everything is stored")
            self.assertEqual(sorted(everything(system)), sorted(lines))

    def test_an_entry_that_will_never_be_accepted_is_passed_over(self):
        with System() as system:
            system.start()
            text = b"small\n" + b"\x01" * 60000 + b"\nsmall too\n"  # the second has 360,000 bytes once it is JSON
            run = feed(system.godot_url, text=text)
            self.assertEqual(run.returncode, 1, run.stdout)
            self.assertIn(b"feed: line 2 refused: ", run.stderr)
            self.assertRegex(run.stdout, rb"\A2 lines accepted as feed in .* 1 refused, 0 not delivered\n\Z")

    def test_words_of_a_server(self):
        """What it refuses with is shown on one line that no terminal obeys."""

        async def serve(socket):
            async for text in socket:
                asked = json.loads(text)
                words = "\x1b[31mred\x9b31m\u202edesrever\nfeed: forged"
                if "id" in asked:
                    error = {"code": -32602, "message": words}
                    await socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}))

        async def fed():
            async with websockets.serve(serve, "127.0.0.1", 0) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                return await asyncio.to_thread(feed, url, text=b"one\n")

        run = asyncio.run(fed())
        self.assertEqual(run.returncode, 1, run)
        self.assertRegex(run.stderr, rb"\Afeed: line 1 refused: .*\\u001b\[31mred\\u009b31m\\u202edesrever\\nfeed: forged\n\Z")

    def test_nobody_there_ends_at_the_deadline(self):
        run = feed("--deadline", 1, f"ws://127.0.0.1:{free_port()}", text=b"one\n" * 200)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"feed: line 1 given up: ", run.stderr)
        self.assertIn(b"0 lines accepted", run.stdout)

    def test_input_that_cannot_be_read(self):
        for name, reason in ("/nowhere/to be found", b"No such file"), ("/", b"cannot read: "):
            run = feed(f"ws://127.0.0.1:{free_port()}", name)
            self.assertEqual(run.returncode, 1)
            self.assertIn(reason, run.stderr)

    def test_wrong_usage(self):
        for words, said in (
            ([], "no address"),
            (["--level", "LOUD", "ws://x"], "--level takes TRACE"),
            (["--deadline", "soon", "ws://x"], "--deadline takes seconds"),
            (["--deadline"], "--deadline needs a value"),
            (["a", "b", "c"], "too many arguments"),
            (["--no"], "--no is not an option"),
        ):
            run = feed(*words)
            self.assertEqual((run.returncode, run.stdout), (2, b""), words)
            self.assertRegex(run.stderr.decode(), rf"\Afeed: {said}[^\n]*; see feed --help\n\Z")
        self.assertEqual(feed("ftp://x").returncode, 2)

    def test_help_and_version(self):
        for option, said in ("--help", rb"\Ausage: feed "), ("-h", rb"\Ausage: feed "), ("--version", rb"\Afeed \d+\.\d+"):
            run = feed(option)
            self.assertEqual((run.returncode, run.stderr), (0, b""), option)
            self.assertRegex(run.stdout, said)


main()
