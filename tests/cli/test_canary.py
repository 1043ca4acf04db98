"""`iccm canary`: with a real Godot that restarts, and with fake servers that lose, double or delay accepted lines."""
import json
import signal
import uuid

from fake_server import NO_RESPONSE, Response, FakeServer, mcp, text_result
from services import WAIT_S, System, free_port, growing_timeout, main, wait_until
from test_program import INTERRUPTED, OK, TOOL, UNREACHABLE, USAGE, Case, iccm, start

OK_ANSWER = text_result({"status": "ok"})
FIELDS = ("logged", "read", "lost", "doubled", "late", "missing", "refused", "unsure")


def log_that(rows_of):
    """A fake server that accepts all lines; a query returns rows_of(lines, number of the query)."""
    lines, queries = [], []

    def answer(_method, params):
        if params["name"] == "logger_log":
            if params["arguments"]["data"]["number"] == 0:  # of a new run
                lines.clear(), queries.clear()
            lines.append(params["arguments"] | {"id": str(uuid.uuid4())})
            return OK_ANSWER
        queries.append(params["arguments"])
        return text_result({"logs": rows_of(lines, len(queries))[::-1], "next_cursor": None})

    return FakeServer(mcp(answer))


class Canary(Case):
    def summary(self, outcome, code, **wanted):
        self.assertEqual(outcome.code, code, outcome)
        last = json.loads(outcome.out.splitlines()[-1])
        self.assertEqual(last["event"], "summary")
        self.assertEqual({name: last[name] for name in wanted}, wanted, outcome)
        self.assertEqual([name for name in FIELDS if name not in last], [])
        return last

    def judged(self, peer, code, unread=0, **wanted):
        """The outcome of a run, repeated with more time until it logs two lines and none is late on a slow machine."""

        def run(seconds):
            return iccm("canary", "--json", "--seconds", seconds, "--late", seconds - 0.5, peer.url)

        def enough(outcome):
            last = json.loads(outcome.out.splitlines()[-1])
            return last["logged"] > 1 and last["late"] == 0

        outcome = growing_timeout(1.5, run, enough)
        last = self.summary(outcome, code, late=0, **wanted)
        self.assertEqual(last["logged"] - last["read"], unread)
        return outcome

    def stopped(self, process, number):
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_S)
        return process.returncode, out.decode(), err.decode()

    def test_a_real_log(self):
        with System().start() as system:
            outcome = iccm("canary", "--json", "--seconds", "2.5", "--late", WAIT_S, system.godot_url)
            last = self.summary(outcome, OK, lost=0, doubled=0, late=0, missing=0, refused=0, unsure=0)
            self.assertEqual((last["read"], last["logged"] > 1), (last["logged"], True))
            rows = iccm("logs", "--json", "--trace", last["trace_id"], system.godot_url).out.splitlines()
            self.assertEqual([json.loads(row)["data"]["number"] for row in rows], list(range(last["logged"])))
            process = start("canary", env={"GODOT_URL": system.godot_url})
            stored = lambda: int(json.loads(iccm("call", "--json", system.dewey_url, "dewey_get_log_stats").out)["total_count"])
            wait_until(lambda: stored() >= 4, "the first line is stored")
            system.godot.kill()
            self.assertIn(b"iccm: Godot request failed: ", process.stderr.readline())
            system.godot.start()
            self.assertIn(b"Godot responds again", process.stderr.readline())
            code, out, _ = self.stopped(process, signal.SIGTERM)
            self.assertEqual(code, OK, out)
            self.assertRegex(out, r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ summary: [1-9]\d* logged, \d+ read, 0 lost, 0 doubled, "
                                  r"0 late, \d+ missing, \d+ refused, \d+ unsure; slowest \d+\.\d s\n\Z")

    def test_lost_doubled_late(self):
        with log_that(lambda lines, _: lines[1:]) as peer:
            self.judged(peer, TOOL, unread=1, lost=1, doubled=0, missing=0)
        with log_that(lambda lines, _: lines + [lines[0] | {"id": "another"}]) as peer:
            outcome = self.judged(peer, TOOL, lost=0, doubled=1)
            self.assertEqual(json.loads(outcome.out.splitlines()[0])["event"], "trouble")
        with log_that(lambda lines, number: lines if number > 2 else []) as peer:
            last = self.summary(iccm("canary", "--json", "--seconds", "2.5", "--late", "0.5", peer.url), TOOL, lost=0, doubled=0)
            self.assertEqual(last["read"], last["logged"])
            self.assertGreaterEqual(last["late"], 1)
            self.assertGreaterEqual(last["slowest_ms"], 1500)
        with log_that(lambda lines, _: ["x", {}, {"id": 1}, {"id": "y", "data": {"number": 99}}] + lines) as peer:
            self.judged(peer, OK)

    def test_answers_that_are_errors_or_do_not_come(self):
        numbers = []

        def answer(_method, params):
            if params["name"] != "logger_log":
                return text_result({"logs": [], "next_cursor": None})
            numbers.append(params["arguments"]["data"]["number"])
            if len(numbers) == 1:
                return OK_ANSWER
            if len(numbers) == 2:
                raise Response({"code": -32000, "message": "queue unavailable, retry"})
            return NO_RESPONSE

        with FakeServer(mcp(answer)) as peer:
            words = ("--timeout", "3", "--seconds", "60", "--late", WAIT_S, "--json")
            process = start("canary", *words, peer.url)
            wait_until(lambda: len(numbers) >= 3, "three lines")
            self.assertIn(b"queue unavailable", process.stderr.readline())
            code, out, _ = self.stopped(process, signal.SIGTERM)
            self.assertEqual(code, OK, out)
            last = json.loads(out.splitlines()[-1])
            self.assertEqual([last[name] for name in FIELDS], [1, 0, 0, 0, 0, 1, 1, 1])

    def test_its_end(self):
        with log_that(lambda lines, _: lines) as peer:
            process = start("canary", "--json", peer.url)
            wait_until(peer.connected.is_set, "a connection")
            code, out, err = self.stopped(process, signal.SIGINT)
            self.assertEqual((code, err), (INTERRUPTED, ""))
            self.assertEqual(json.loads(out)["event"], "summary")
        self.expect(iccm("canary", f"ws://127.0.0.1:{free_port()}"), UNREACHABLE)
        self.expect(iccm("canary", "--late", "0", "ws://127.0.0.1:1"), USAGE, "--late")
        with FakeServer(mcp(lambda _method, _params: text_result("no") | {"isError": True})) as peer:
            self.expect(iccm("canary", peer.url), TOOL, "logger_log: no")


if __name__ == "__main__":
    main()
