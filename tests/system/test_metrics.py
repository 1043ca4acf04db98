"""GET /metrics of the real programs, checked with a strict parser of the Prometheus text format 0.0.4."""
import math
import re
import time
import unittest
import uuid

from caller import CallError, Caller
from services import (
    WAIT_S,
    AsyncTestCase,
    ProgramGroup,
    SingleServer,
    System,
    http_get,
    main,
    wait_until,
    websocket_upgrade,
)

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
NUMBER = r"[+-]?Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\\n]|\\[\\n])*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({NUMBER})")
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def matched(pattern, line):
    match = pattern.fullmatch(line)
    assert match, f"not what stands there by the format: {line!r}"
    return match


def parse(text):
    """{name: (type, {labels: value})}; each metric has its HELP and TYPE, then its samples, and none comes twice."""
    assert text.endswith("\n") and "\r" not in text
    metrics, lines, samples, seen = {}, iter(text[:-1].split("\n")), None, set()
    for line in lines:
        if line.startswith("#"):
            name = matched(HELP, line)[1]
            again, kind = matched(TYPE, next(lines)).groups()
            assert name == again and name not in metrics, line
            samples = {}
            metrics[name] = kind, samples
            continue
        match = matched(SAMPLE, line)
        assert match[1] in [name + suffix for suffix in SUFFIXES[kind]], line
        pairs = re.findall(LABEL, match[2] or "")
        labels = frozenset(pairs)
        assert len(dict(pairs)) == len(pairs), line
        assert (match[1], labels) not in seen, line
        seen.add((match[1], labels))
        samples[match[1].removeprefix(name), labels] = float(match[match.lastindex])
    for name, (kind, samples) in metrics.items():
        if kind == "histogram":
            check_histogram(name, samples)
        if kind != "gauge":
            assert all(value >= 0 for value in samples.values()), name
    return metrics


def check_histogram(name, samples):
    """Buckets rise up to the count, for each set of labels, and there are all three of bucket, sum and count."""
    buckets = {}
    for (suffix, labels), value in samples.items():
        if suffix == "_bucket":
            (bound,) = [float(value) for key, value in labels if key == "le"]
            rest = frozenset(label for label in labels if label[0] != "le")
            buckets.setdefault(rest, []).append((bound, value))
    assert buckets.keys() == {labels for suffix, labels in samples if suffix == "_count"}, name
    assert buckets.keys() == {labels for suffix, labels in samples if suffix == "_sum"}, name
    for labels, each in buckets.items():
        assert each == sorted(each) and [value for _, value in each] == sorted(value for _, value in each), name
        assert each[-1] == (math.inf, samples["_count", labels]), name


def scrape(port):
    answer = http_get(port, path="/metrics")
    assert answer.status == 200 and answer.closed
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert int(answer.headers["content-length"]) == len(answer.body)
    return parse(answer.body.decode())


def value(metrics, name, suffix="", **labels):
    return metrics[name][1].get((suffix, frozenset(labels.items())))


class Parser(unittest.TestCase):
    """It refuses what it should."""

    def test_refused(self):
        head = "# HELP a h\n# TYPE a counter\n"
        self.assertEqual(value(parse(head + 'a{b="\\"\\\\\\n"} 1\n'), "a", b='\\"\\\\\\n'), 1)
        for text in ("a 1", 'a{b="c\\d"} 1\n', 'a{b="c"}1\n', "a 1\na 1\n", "a 01x\n", "b 1\n", "a -1\n", 'a{b="c",} 1\n'):
            with self.subTest(text), self.assertRaises(AssertionError):
                parse(head + text)
        with self.assertRaises(AssertionError):
            parse("# HELP a h\n# TYPE b counter\n")
        with self.assertRaises(AssertionError):
            parse('# HELP a h\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n')


class Echo(AsyncTestCase):
    async def test_counts_what_happened(self):
        with SingleServer("echo", "0") as echo:
            before = scrape(echo.port)
            self.assertEqual(value(before, "iccm_connections"), 0)
            self.assertEqual(value(before, "iccm_calls_total", tool="echo", outcome="ok"), 0)
            self.assertEqual(websocket_upgrade(echo.port, "Origin: https://elsewhere.example").status, 403)
            async with Caller(echo.url) as caller:
                for _ in range(10):
                    await caller.call("echo", {"a": 1})
                with self.assertRaises(CallError):
                    await caller.call('"}\n# a name to be counted under', {})
                after = scrape(echo.port)
            self.assertEqual(value(after, "iccm_connections"), 1)
            self.assertEqual(value(after, "iccm_connections_total"), 1)
            self.assertEqual(value(after, "iccm_calls_in_flight"), 0)
            self.assertEqual(value(after, "iccm_calls_total", tool="echo", outcome="ok"), 10)
            self.assertEqual(value(after, "iccm_refusals_total", reason="403"), 1)
            self.assertEqual(value(after, "iccm_call_duration_seconds", "_count", tool="echo"), 10)
            self.assertTrue(0 < value(after, "iccm_call_duration_seconds", "_sum", tool="echo") < 10 * WAIT_S)
            self.assertEqual({dict(labels)["tool"] for _, labels in after["iccm_calls_total"][1]}, {"echo"})
            for name in "iccm_received_bytes_total", "iccm_sent_bytes_total":
                self.assertGreater(value(after, name), value(before, name))


class Godot(AsyncTestCase):
    """What its server and its worker have done, at the server."""

    async def test_counts_entries_on_all_their_ways(self):
        entry = {"component": "c", "level": "INFO", "message": "m"}
        with System() as system:
            system.start()
            async with Caller(system.godot_url) as caller:
                for _ in range(5):
                    await caller.call("logger_log", entry)
                with self.assertRaises(CallError):
                    await caller.call("logger_log", entry | {"id": "no UUID"})
                await caller.call("logger_set_level", {"component": "quiet", "level": "ERROR"})
                await caller.call("logger_log", entry | {"component": "quiet"})
            system.redis_command("LPUSH", "logs:queue", "nothing")
            metrics = wait_until(lambda: self.seen(system, stored=6, dead=1), "all is counted, and the line that names the level")
            for outcome, count in {"accepted": 5, "refused": 1, "below_level": 1, "unavailable": 0}.items():
                self.assertEqual(value(metrics, "godot_entries_total", outcome=outcome), count)
            self.assertEqual(value(metrics, "godot_dead_letters"), 1)
            self.assertGreaterEqual(value(metrics, "godot_batches_total"), 1)
            self.assertTrue(0 < value(metrics, "godot_batch_seconds_total") < 10 * WAIT_S)
            for name in "queued_entries", "leased_entries", "spooled_bytes", "dropped_total", "retried_total":
                self.assertEqual(value(metrics, f"godot_{name}"), 0)

    async def test_counts_what_waits_and_what_is_dropped(self):
        with System(MAX_QUEUE_SIZE=10, RETRY_INITIAL_DELAY=0.02, RETRY_MAX_DELAY=0.1) as system:
            system.start_redis()
            system.godot.start()
            system.worker.start()
            system.godot.port()
            wait_until(lambda: b"redis" not in http_get(system.godot_port, path="/readyz").body, "Godot has found Redis")
            async with Caller(system.godot_url) as caller:
                for number in range(14):
                    await caller.call("logger_log", {"component": "c", "level": "INFO", "message": str(number)})
            metrics = wait_until(lambda: self.seen(system, dropped=4), "all is counted")
            waiting = value(metrics, "godot_queued_entries") + value(metrics, "godot_leased_entries")
            self.assertEqual(waiting, 10)
            self.assertEqual(value(metrics, "godot_stored_total"), 0)
            system.start_dewey()
            metrics = wait_until(lambda: self.seen(system, stored=11), "all is stored, and the line that names the drops")
            self.assertGreater(value(metrics, "godot_retried_total"), 0)

    def seen(self, system, **totals):
        metrics = scrape(system.godot_port)
        if all(value(metrics, f"godot_{name}_total") == total for name, total in totals.items()):
            return metrics
        return None


def by_label(metrics, prefix, names):
    """Of counters with one label: {name: {the label's value: how many}}."""
    return {
        name: {dict(labels).popitem()[1]: number for (_, labels), number in metrics[f"{prefix}_{name}_total"][1].items()}
        for name in names
    }


class Dewey(AsyncTestCase):
    """What its tools have done with the store."""

    NOTHING = {
        "log_entries": {"stored": 0, "duplicate": 0, "rejected": 0},
        "log_deleted": {"retention": 0, "clear": 0},
        "rows": {"logs": 0, "conversations": 0, "messages": 0, "contexts": 0},
        "conversations": {"begun": 0, "deleted": 0},
        "messages": {"stored": 0, "deleted": 0},
        "store_errors": {"busy": 0, "slow": 0, "failed": 0},
    }

    def figures(self, port):
        return by_label(scrape(port), "dewey", self.NOTHING)

    async def test_counts_log_lines(self):
        with SingleServer("dewey", DEWEY_MCP_PORT=0, LOG_RETENTION_DAYS=36500) as dewey:  # these lines are old
            began = time.time()
            self.assertEqual(self.figures(dewey.port), self.NOTHING)
            async with Caller(dewey.url) as caller:
                lines = [
                    {"id": str(uuid.uuid4()), "created_at": "2024-01-01T00:00:00Z", "component": "c", "level": level,
                     "message": level} for level in ("INFO", "WARN", "ERROR", "LOUD")
                ]
                for _ in range(2):
                    await caller.call("dewey_store_logs_batch", {"logs": lines})
                await caller.call("dewey_store_logs_batch", {"logs": []})
                self.assertEqual(len(await caller.call("dewey_query_logs", {"level": "WARN"})), 2)
                self.assertEqual(len(await caller.call("dewey_query_logs", {"level": "ERROR"})), 1)
                await caller.call("dewey_clear_logs", {"level": "INFO", "before_time": "2025-01-01"})
                await caller.call("dewey_clear_logs", {"before_time": "2025-01-01"})
            wanted = {"log_entries": {"stored": 3, "duplicate": 3, "rejected": 2},
                      "log_deleted": {"retention": 0, "clear": 3}, "rows": self.NOTHING["rows"] | {"logs": 3}}
            self.assertEqual(self.figures(dewey.port), self.NOTHING | wanted)
            metrics = scrape(dewey.port)
            self.assertEqual(value(metrics, "dewey_log_batches_total"), 2)
            self.assertEqual(value(metrics, "dewey_store_failing"), 0)
            self.assertTrue(began - 1 < value(metrics, "dewey_store_worked_timestamp_seconds") < time.time() + 1)

    async def test_counts_conversations(self):
        with SingleServer("dewey", DEWEY_MCP_PORT=0) as dewey:
            async with Caller(dewey.url) as caller:
                first = (await caller.call("dewey_begin_conversation"))["conversation_id"]
                message = {"role": "user", "content": "hello"}
                await caller.call("dewey_store_message", message | {"conversation_id": first})
                await caller.call("dewey_store_messages_bulk", {"messages": [message] * 2})
                await caller.call("dewey_store_messages_bulk", {"messages": [message], "conversation_id": first})
                with self.assertRaises(CallError):
                    await caller.call("dewey_store_message", message | {"conversation_id": str(uuid.uuid4())})
                await caller.call("dewey_get_conversation", {"conversation_id": first})
                await caller.call("dewey_search", {"query": "hello"})
                await caller.call("dewey_list_conversations")
                await caller.call("dewey_set_startup_context", {"name": "n", "content": "c"})
                await caller.call("dewey_list_startup_contexts")
                await caller.call("dewey_delete_conversation", {"conversation_id": first, "force": True})
            wanted = {"conversations": {"begun": 2, "deleted": 1}, "messages": {"stored": 4, "deleted": 2},
                      "rows": {"logs": 0, "conversations": 2, "messages": 6, "contexts": 1}}
            self.assertEqual(self.figures(dewey.port), self.NOTHING | wanted)


class Horace(AsyncTestCase):
    """What became of files."""

    NOTHING = {
        "registrations": {"new": 0, "changed": 0, "again": 0, "duplicate": 0, "renamed": 0},
        "versions": {"made": 0, "restored": 0, "pruned": 0},
        "files": {"active": 0, "archived": 0, "deleted": 0, "removed": 0},
        "rows": {"files": 0, "collections": 0},
        "store_errors": {"busy": 0, "slow": 0, "failed": 0},
    }

    async def test_counts_files_and_versions(self):
        with ProgramGroup() as place:
            storage = place.directory / "storage"
            settings = {"HORACE_MCP_PORT": "0", "HORACE_STORAGE_PATH": str(storage), "HORACE_VERSION_COUNT": "2"}
            port = place.add_instance("horace", "horace", **settings).start().port()
            self.assertEqual(by_label(scrape(port), "horace", self.NOTHING), self.NOTHING)
            async with Caller(f"ws://127.0.0.1:{port}") as caller:
                for text in "one", "one", "two", "three":  # of the three versions two are left
                    (storage / "files/a").write_text(text)
                    file_id = (await caller.call("horace_register_file", {"file_path": "a", "metadata": {}}))["file_id"]
                await caller.call("horace_restore_version", {"file_id": file_id, "version": 2})
                for status in "archived", "active", "deleted":
                    await caller.call("horace_update_file", {"file_id": file_id, "metadata": {"status": status}})
                await caller.call("horace_register_file", {"file_path": "a", "metadata": {}})
                await caller.call("horace_search_files")
                await caller.call("horace_create_collection", {"name": "c"})
                await caller.call("horace_list_collections")
            figures = by_label(scrape(port), "horace", self.NOTHING)
            self.assertEqual(figures["registrations"],
                             {"new": 1, "changed": 2, "again": 1, "duplicate": 1, "renamed": 0})
            self.assertEqual(figures["versions"], {"made": 3, "restored": 1, "pruned": 2})
            self.assertEqual(figures["files"], {"active": 2, "archived": 1, "deleted": 1, "removed": 0})
            self.assertEqual(figures["rows"], {"files": 1, "collections": 1})
            self.assertEqual(figures["store_errors"], self.NOTHING["store_errors"])
            self.assertEqual(value(scrape(port), "horace_store_failing"), 0)


if __name__ == "__main__":
    main()
