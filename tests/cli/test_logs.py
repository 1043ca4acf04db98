"""`iccm logs`: the log of a real Godot with its store, filtered and followed through restarts; fake servers with malformed
results."""
import datetime
import json
import os
import signal
import time
import uuid

from network_namespace import NetworkNamespace
from fake_server import DISCONNECT, NO_RESPONSE, Response, FakeServer, mcp, text_result
from services import PROGRAMS, WAIT_S, Program, System, free_port, growing_timeout, main, wait_until
from test_program import INTERRUPTED, OK, PROTOCOL, TIMEOUT, TOOL, UNREACHABLE, USAGE, Case, iccm, on_terminal, start


def ago(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def row(message, seconds=0.0, **more):
    more.setdefault("id", str(uuid.uuid4()))
    return {"trace_id": None, "component": "c", "level": "INFO", "message": message, "data": None,
            "created_at": ago(seconds), "age": seconds} | more


class Following:
    """Runs `iccm logs --follow` with its output in a file."""

    def __init__(self, directory, *words):
        self.program = Program(f"iccm-{uuid.uuid4()}", [], directory, {})
        self.path = self.program.log.with_suffix(".out")
        self.out = self.path.open("wb")
        self.errors = self.program.log.open("wb")
        self.process = start("logs", "--follow", *words, stdout=self.out, stderr=self.errors)

    def lines(self):
        return self.path.read_text().splitlines()

    def wait_for(self, text):
        wait_until(lambda: any(text in line for line in self.lines()), f"a line with {text}")

    def wait_for_error(self, text):
        wait_until(lambda: text in self.program.log.read_text(), f"{text} on stderr")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.out.close()
        self.errors.close()


class RealLog(Case):
    def test_filters_and_following(self):
        with System().start() as system:
            self.store(system, row("the first one", 7200, component="ada"),
                       row("the second one", 600, component="bob", level="WARN", trace_id="t-1", data={"n": 1}),
                       row("third", 60, component="ada", level="ERROR"))
            self.filters(system)
            self.following(system)

    def store(self, system, *rows):
        rows = [{name: value for name, value in one.items() if name != "age" and value is not None} for one in rows]
        outcome = iccm("call", system.dewey_url, "dewey_store_logs_batch", "-", stdin=json.dumps({"logs": rows}).encode())
        self.assertEqual(outcome.code, OK, outcome)

    def test_an_answer_with_json_in_its_text_that_is_nested_too_deep(self):
        page = json.dumps({"logs": [row("deep", data="@")], "next_cursor": None})
        for depth, code in ((61, OK), (62, PROTOCOL), (30_000, PROTOCOL)):
            text = page.replace('"@"', "[" * depth + "]" * depth)
            with FakeServer(mcp(lambda method, params: text_result(text))) as peer:
                self.assertEqual(iccm("logs", peer.url).code, code, depth)

    def filters(self, system):
        for words, wanted in (
            ((), ["the first one", "the second one", "third"]),
            (("--component", "ada"), ["the first one", "third"]),
            (("--level", "WARN"), ["the second one", "third"]),
            (("--level", "wArn"), ["the second one", "third"]),
            (("--since", ago(9000)[:10], "--until", ago(0)[:10]), ["the first one", "the second one", "third"]),
            (("--until", ago(86400 + 7200)[:10]), []),
            (("--trace", "t-1"), ["the second one"]),
            (("--text", "one"), ["the first one", "the second one"]),
            (("--since", "15m"), ["the second one", "third"]),
            (("--until", "15m"), ["the first one"]),
            (("--since", ago(3600), "--until", ago(300)), ["the second one"]),
            (("--lines", "1"), ["third"]),
            (("--component", "nobody"), []),
        ):
            with self.subTest(words):
                outcome = iccm("logs", "--json", *words, system.godot_url)
                self.assertEqual((outcome.code, outcome.err), (OK, ""))
                self.assertEqual([json.loads(line)["message"] for line in outcome.out.splitlines()], wanted)
        outcome = iccm("logs", env={"GODOT_URL": system.godot_url})
        self.assertRegex(outcome.out.splitlines()[1],
                         r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} WARN  bob: the second one  trace t-1  {"n":1}$')
        outcome = iccm("logs", "--since", "1d", "--lines", "2", system.godot_url)
        self.assertEqual((outcome.code, len(outcome.out.splitlines())), (OK, 2))
        self.assertIn("only the newest 2 lines are shown", outcome.err)
        code, shown = on_terminal(80, "logs", system.godot_url)
        self.assertEqual(code, OK)
        self.assertIn("\x1b[31mERROR\x1b[0m", shown)

    def following(self, system):
        log = lambda message: iccm("call", system.godot_url, "logger_log", "component=me", "level=INFO",
                                   f"message={message}")
        with Following(system.directory, "--lines", "1", system.godot_url) as following:
            following.wait_for("third")
            self.assertEqual(log("new").code, OK)
            following.wait_for("new")
            self.store(system, row("late", 5), row("of long ago", 7200))
            following.wait_for("late")
            system.godot.stop()
            following.wait_for_error("no response from Godot")
            self.store(system, row("much later", 50))
            system.godot.start()
            following.wait_for_error("responds again")
            following.wait_for("much later")
            self.assertEqual(log("after it").code, OK)
            following.wait_for("after it")
            following.process.send_signal(signal.SIGINT)
            self.assertEqual(following.process.wait(WAIT_S), INTERRUPTED)
            messages = [line.split(": ", 1)[1] for line in following.lines()]
            self.assertEqual(messages, ["third", "new", "late", "of long ago", "much later", "after it"])
        self.store(system, *[row(f"ahead {number}", -80000) for number in range(110)])
        with Following(system.directory, system.godot_url) as following:
            following.wait_for("ahead 1")
            self.assertEqual(log("written now").code, OK)
            following.wait_for("written now")


def godot(rows_of):
    """A fake server whose logger_query returns rows_of(arguments, number)."""
    asked = []

    def answer(_method, params):
        asked.append(params["arguments"])
        value = rows_of(params["arguments"], len(asked))
        if value in (DISCONNECT, NO_RESPONSE):
            return value
        return text_result({"logs": value, "next_cursor": None} if isinstance(value, list) else value)

    return FakeServer(mcp(answer)), asked


class OddPeers(Case):
    def test_pages(self):
        pages = {"": (["e", "d"], "1"), "1": (["c"], "2"), "2": ([], None)}

        def rows_of(arguments, _number):
            messages, following = pages[arguments["cursor"]]
            return {"logs": [row(message) for message in messages], "next_cursor": following}

        peer, asked = godot(rows_of)
        with peer:
            outcome = iccm("logs", peer.url)
            self.assertEqual([line[-1] for line in outcome.out.splitlines()], ["c", "d", "e"])
            self.assertEqual([one["limit"] for one in asked], [100, 98, 97])
            asked.clear()
            outcome = iccm("logs", "--lines", "2", peer.url)
            self.assertEqual((len(outcome.out.splitlines()), len(asked)), (2, 1))

    def test_the_time_out_that_is_named_is_the_one_that_was_set(self):
        """Also for a later request, which had less time."""

        def rows_of(arguments, _number):
            if arguments["cursor"]:
                return NO_RESPONSE
            time.sleep(0.002)  # so that there is less
            return {"logs": [row("more")], "next_cursor": "1"}

        peer, _ = godot(rows_of)
        with peer:
            outcome = growing_timeout(0.3, lambda seconds: iccm("logs", peer.url, "--timeout", seconds), lambda outcome: "no answer" in outcome.err)
        self.assertEqual(outcome.code, TIMEOUT, outcome)
        self.assertRegex(outcome.err, r"127\.0\.0\.1:\d+: no answer within [1-9]\d*00 ms")

    def test_a_cursor_without_end(self):
        peer, _ = godot(lambda _arguments, number: {"logs": [row("again")], "next_cursor": str(number)})
        with peer:
            outcome = iccm("logs", "--lines", "50", peer.url)
            self.assertEqual((outcome.code, len(outcome.out.splitlines())), (OK, 50), outcome)
        peer, _ = godot(lambda _arguments, _number: {"logs": [], "next_cursor": "x"})
        with peer:
            self.assertEqual(iccm("logs", peer.url).code, OK)

    def test_answers_of_another_shape(self):
        for value in ({"rows": []}, {"logs": 7}, 7, "text"):
            peer, _ = godot(lambda _arguments, _number, value=value: value)
            with self.subTest(value), peer:
                self.expect(iccm("logs", peer.url), PROTOCOL, "has no array logs")
        peer, _ = godot(lambda _arguments, _number: [7, None, "x", {}, {"message": 1}])
        with peer:
            outcome = iccm("logs", peer.url)
            self.assertEqual((outcome.code, len(outcome.out.splitlines())), (OK, 5), outcome)

    def test_what_rows_hold_cannot_move_the_cursor(self):
        evil = "\x1b]0;title\x07\x9b2J\u202e\nx"
        peer, _ = godot(lambda _arguments, _number: [row(evil, component=evil, level=evil, trace_id=evil,
                                                         created_at=evil, data={evil: evil})])
        with peer:
            outcome = iccm("logs", peer.url)
            self.assertEqual(outcome.out.count("\n"), 1)
            for character in "\x1b\x07\x9b\u202e":
                self.assertNotIn(character, outcome.out)
            self.assertEqual(len(json.loads(iccm("logs", "--json", peer.url).out)["message"]), len(evil))

    def test_failures(self):
        with FakeServer(mcp(lambda _method, _params: text_result("away") | {"isError": True})) as peer:
            self.expect(iccm("logs", peer.url), TOOL, "away")
            self.expect(iccm("logs", "-f", peer.url), TOOL, "away")
            self.assertEqual(self.expect_json_error(iccm("logs", "--json", peer.url), TOOL)["message"], "away")
        self.expect(iccm("logs", f"ws://127.0.0.1:{free_port()}"), UNREACHABLE)
        self.expect(iccm("logs", env={"GODOT_URL": "ftp://x"}), USAGE)
        for words in (("--level", "LOUD"), ("--since", "soon"), ("--until", "1x"), ("--lines", "0")):
            with self.subTest(words):
                self.expect(iccm("logs", *words, "ws://127.0.0.1:1"), USAGE, words[0])

    def test_godot_where_it_is_unless_set(self):
        """The host name godot-mcp if it resolves, else localhost."""
        with NetworkNamespace() as other:
            other.names("127.0.0.1 localhost")
            run = other.run("env", "-u", "GODOT_URL", PROGRAMS["iccm"], "logs")
            self.assertEqual(run.returncode, UNREACHABLE, run)
            self.assertRegex(run.stderr, r"godot-mcp:9060: cannot resolve the host name: .*; localhost:9060: 127\.0\.0\.1:9060: ")
            (other.hosts / "hosts").write_text("127.0.0.1 localhost godot-mcp\n")
            run = other.run("env", "-u", "GODOT_URL", PROGRAMS["iccm"], "logs")
            self.assertEqual(run.returncode, UNREACHABLE, run)
            self.assertRegex(run.stderr, r"godot-mcp:9060: 127\.0\.0\.1:9060: ")
            self.assertNotIn("; localhost:9060", run.stderr)

    def test_following_through_failures(self):
        first, late = row("first", 1), row("late", 7200)
        future = row("of tomorrow", -86400)
        pages = {"arrival": ([], "1"), "": ([first], None), "1": ([first, future], "2"), "2": ([late], "3")}
        failed = []

        def rows_of(arguments, _number):
            cursor = arguments["cursor"]
            if cursor == "2" and not failed:
                failed.append(raised := Response({"code": -32000, "message": "log store unavailable, retry"}))
                raise raised
            if cursor == "2" and len(failed) == 1:
                failed.append(DISCONNECT)
                return DISCONNECT
            rows, following = pages.get(cursor, ([], cursor))
            return {"logs": rows, "next_cursor": following}

        peer, asked = godot(rows_of)
        with peer, System() as place, Following(place.directory, peer.url) as following:
            following.wait_for("late")
            wait_until(lambda: [one["cursor"] for one in asked].count("3") >= 2, "two more queries")
            self.assertEqual([line.split(": ", 1)[1] for line in following.lines()], ["first", "of tomorrow", "late"])
            errors = following.program.log.read_text()
            self.assertEqual(errors.count("no response from Godot"), 1, errors)
            self.assertEqual(errors.count("responds again"), 1, errors)
            self.assertIsNone(following.process.poll())

    def test_a_store_that_cannot_be_followed(self):
        peer, _ = godot(lambda _arguments, _number: [row("more")])
        with peer:
            self.expect(iccm("logs", "-f", peer.url), PROTOCOL, "cannot be followed")

    def test_a_reader_that_leaves(self):
        for rows in ([row("more")], []):
            peer, asked = godot(lambda arguments, _number, rows=rows: {"logs": [] if arguments["cursor"] == "arrival" else rows,
                                                                        "next_cursor": "x" if arguments["cursor"] else None})
            with peer:
                reader, writer = os.pipe()
                process = start("logs", "-f", peer.url, stdout=writer)
                os.close(writer)
                wait_until(lambda: len(asked) >= 3, "three queries")
                os.close(reader)
                self.assertEqual(process.wait(WAIT_S), OK)
                self.assertEqual(process.stderr.read(), b"")
                process.stderr.close()


if __name__ == "__main__":
    main()
