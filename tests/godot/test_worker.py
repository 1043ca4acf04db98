"""Godot's worker against a store that refuses, disconnects, is unavailable or fails: no entry is lost or stored twice, and
every entry that is dropped or becomes a dead letter is counted."""
import asyncio
import json
import os
import random
import unittest
import uuid
from datetime import datetime, timezone

from caller import CallError, Caller
from services import PROGRAMS, main, run_program, wait_ready
from fake_store import FakeStoreSystem, ErrorResponse, Disconnect

KILLS = int(os.environ.get("TEST_KILLS", 40))  # of the worker with its spool


def entries(count, first=0):
    """Entries as the server queues them."""
    now = datetime.now(timezone.utc).isoformat()
    names = range(first, first + count)
    return [
        {"id": str(uuid.uuid4()), "created_at": now, "component": "c", "level": "INFO", "message": str(name)}
        for name in names
    ]


def legacy(message):
    return {"component": "old", "level": "info", "message": message, "created_at": "2024-01-01T00:00:00.%fZ"}


class WorkerCase(unittest.IsolatedAsyncioTestCase):
    settings = {}

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.system = await self.enterAsyncContext(FakeStoreSystem(**self.settings))
        self.store = self.system.fake_store

    async def stored_all(self, count):
        """Entries that Godot has not made itself."""

        def stored():
            return sum(entry["component"] != "godot" for entry in self.store.stored.values())

        await self.system.until(lambda: stored() >= count, f"{count} entries are stored")
        await self.system.wait_drained()
        self.assertEqual(stored(), count)


class Delivery(WorkerCase):
    async def test_batches_have_at_most_their_size_and_few_do_not_wait(self):
        await self.store.open()
        self.system.push(*entries(250))
        # several batches in flight would be stored in any order
        self.system.worker.environment = self.system.worker.environment | {"GODOT_BATCHES_IN_FLIGHT": "1"}
        self.system.worker.start()
        await self.stored_all(250)
        self.assertEqual([len(batch) for batch in self.store.batches], [100, 100, 50])
        self.assertEqual(self.store.messages(), [str(i) for i in range(250)], "the oldest first")
        self.system.push(*entries(1, 250))
        await self.stored_all(251)

    async def test_entries_of_old_producers(self):
        """The first response is lost; the entries sent again have the same keys."""
        sent = []

        def behave(logs):
            sent.append(logs)
            self.store.store(logs)
            if len(sent) == 1:
                raise Disconnect
            return self.store.store(logs)

        self.store.on_batch = behave
        await self.store.open()
        self.system.push(legacy("a"), legacy("a"), {"message": "b", "component": "c", "level": "WARN"})
        self.system.worker.start()
        await self.system.wait_drained()
        self.assertEqual(len(self.store.stored), 3)
        self.assertEqual(sent[0], sent[1])
        first = sent[0][0]
        self.assertEqual((first["level"], uuid.UUID(first["id"]).version), ("INFO", 5))
        self.assertEqual(first["data"], {"original_created_at": "2024-01-01T00:00:00.%fZ"})
        datetime.fromisoformat(first["created_at"].replace("Z", "+00:00"))

    async def test_what_is_no_entry_is_a_dead_letter(self):
        await self.store.open()
        self.system.push("no JSON", b"\xff\xfe", "[1]", *entries(2))
        self.system.worker.start()
        await self.stored_all(2)
        letters = {letter["reason"].split(" at ")[0]: letter for letter in self.system.dead_letters()}
        self.assertEqual(set(letters), {"not valid JSON", "not a JSON object"})
        self.assertEqual(letters["not a JSON object"]["entry"], "[1]")
        self.assertEqual(self.system.resp_int("HGET", "logs:state", "dead"), 3)

    async def test_secrets_of_other_producers(self):
        """They reach neither the store nor the dead letters, and are counted once, however often a batch is sent."""
        sent = []

        def behave(logs):
            sent.append(logs)
            if len(sent) == 1:
                raise Disconnect
            return self.store.store(logs, lambda entry: entry["message"] == "no" and "no")

        self.store.on_batch = behave
        secret = {"password": "hunter2", "data": {"a": [{"access_token": "hunter2"}]}}
        whole = entries(1)[0] | {"message": "token=hunter"} | secret
        await self.store.open()
        self.system.push(legacy("a") | secret, whole, legacy("no") | secret, [secret], '{"password": "hunter2"', *entries(1))
        self.system.worker.start()
        await self.stored_all(3)
        first, second, _ = self.store.stored.values()
        gone = {"a": [{"access_token": "[REDACTED]"}], "original_members": {"password": "[REDACTED]"}}
        self.assertEqual(first["data"], gone | {"original_created_at": "2024-01-01T00:00:00.%fZ"})
        del whole["password"]
        self.assertEqual(second, whole | {"created_at": second["created_at"], "data": gone})
        letters = {letter["reason"].split(" at byte ")[0]: letter["entry"] for letter in self.system.dead_letters()}
        self.assertEqual(letters["not valid JSON"], '{"password": [REDACTED]')
        self.assertEqual(set(letters), {"no", "not a JSON object", "not valid JSON"})
        for words in json.dumps(sent), *letters.values():
            self.assertNotIn("hunter2", words)
            self.assertIn("[REDACTED]", words)
        self.assertEqual(self.system.resp_int("HGET", "logs:state", "redacted"), 9)

    async def test_rejected_entries_are_dead_letters(self):
        self.store.on_batch = lambda logs: self.store.store(logs, lambda entry: entry["message"] == "3" and "no threes")
        await self.store.open()
        self.system.push(*entries(6))
        self.system.worker.start()
        await self.stored_all(5)
        (letter,) = self.system.dead_letters()
        self.assertEqual((letter["reason"], json.loads(letter["entry"])["message"]), ("no threes", "3"))

    async def test_a_refused_batch_is_halved(self):
        def behave(logs):
            if any(entry["message"] in ("17", "60") for entry in logs):
                raise ErrorResponse(-32602, "batch refused")
            return self.store.store(logs)

        self.store.on_batch = behave
        await self.store.open()
        self.system.push(*entries(100))
        self.system.worker.start()
        await self.stored_all(98)
        self.assertEqual({json.loads(letter["entry"])["message"] for letter in self.system.dead_letters()}, {"17", "60"})
        self.assertEqual({letter["reason"] for letter in self.system.dead_letters()}, {"batch refused"})

    async def test_a_tool_error_that_persists_finds_its_culprit(self):
        def behave(logs):
            if any(entry["message"] == "0" for entry in logs):
                raise ErrorResponse(-32000, "value too odd")
            return self.store.store(logs)

        self.store.on_batch = behave
        await self.store.open()
        self.system.push(*entries(1))  # alone: the store may have failed
        self.system.worker.start()
        await self.system.until(lambda: len(self.store.batches) > 8, "it is tried again and again")
        self.assertEqual(self.system.dead_letters(), [])
        self.system.push(*entries(5, 1))
        await self.stored_all(5)
        (letter,) = self.system.dead_letters()
        self.assertEqual((letter["reason"], json.loads(letter["entry"])["message"]), ("value too odd", "0"))

    async def test_an_entry_that_ends_the_store_each_time_is_found(self):
        def behave(logs):
            if any(entry["message"] == "7" for entry in logs):
                raise Disconnect
            return self.store.store(logs)

        self.store.on_batch = behave
        await self.store.open()
        self.system.push(*entries(20))
        self.system.worker.start()
        await self.stored_all(19)
        (letter,) = self.system.dead_letters()
        self.assertEqual(json.loads(letter["entry"])["message"], "7")

    async def test_a_store_that_closes_as_busy_blames_no_entry(self):
        def busy(logs):
            if any(entry["message"] == "7" for entry in logs):
                raise Disconnect(1013)
            return self.store.store(logs)

        self.store.on_batch = busy
        await self.store.open()
        self.system.push(*entries(20))
        self.system.worker.start()
        await self.system.until(lambda: len(self.store.batches) > 5, "it is retried without end")
        self.assertEqual({len(batch) for batch in self.store.batches}, {20})
        self.store.on_batch = self.store.store
        await self.stored_all(20)
        self.assertEqual(self.system.dead_letters(), [])

    async def test_an_entry_that_fits_into_no_message(self):
        await self.store.open()
        self.system.push(*entries(2), legacy("x" * (20 << 20)), *entries(2, 2))
        self.system.worker.start()
        await self.stored_all(4)
        (letter,) = self.system.dead_letters()
        self.assertEqual(len(letter["entry"]), 256 * 1024)
        self.assertGreater(letter["cut_from"], 20 << 20)

    async def test_a_store_that_is_ill_costs_nothing(self):
        def failing(logs):
            raise ErrorResponse(-32000, "disk full")

        self.store.on_batch = failing
        await self.store.open()
        self.system.push(*entries(20))
        self.system.worker.start()
        await self.system.until(lambda: len(self.store.batches) > 60, "it has been tried in all ways")
        self.store.on_batch = self.store.store
        await self.stored_all(20)
        self.assertEqual(self.system.dead_letters(), [])

    async def test_a_store_that_asks_to_retry_blames_no_entry(self):
        """Like a store whose disk has room for some entries only."""

        def nearly_full(logs):
            if any(int(entry["message"]) % 2 for entry in logs):
                raise ErrorResponse(-32000, "storing failed, retry", {"retry": True})
            return self.store.store(logs)

        self.store.on_batch = nearly_full
        await self.store.open()
        self.system.push(*entries(20))
        self.system.worker.start()
        await self.system.until(lambda: len(self.store.batches) > 20, "it is retried without end")
        self.assertEqual({len(batch) for batch in self.store.batches}, {20})
        self.store.on_batch = self.store.store
        await self.stored_all(20)
        self.assertEqual(self.system.dead_letters(), [])

    async def test_a_store_without_the_tool_is_waited_for(self):
        def old(logs):
            raise ErrorResponse(-32601, "unknown tool")

        self.store.on_batch = old
        await self.store.open()
        self.system.push(*entries(3))
        self.system.worker.start()
        await self.system.until(lambda: len(self.store.batches) > 10, "it is retried without end")
        self.store.on_batch = self.store.store
        await self.stored_all(3)


class InFlight(WorkerCase):
    """Several batches are in flight, and one while the store fails."""

    settings = {"BATCH_SIZE": "10", "GODOT_BATCHES_IN_FLIGHT": "3", "RETRY_MAX_ATTEMPTS": "2"}
    under_way = 0

    async def one(self, seconds=0.005):
        """Waits; returns the number of requests in progress at its start."""
        self.under_way += 1
        seen = self.under_way
        await asyncio.sleep(seconds)
        self.under_way -= 1
        return seen

    async def test_as_many_as_are_allowed_and_no_more(self):
        seen = []

        async def behave(logs):
            self.under_way += 1
            seen.append(self.under_way)
            while max(seen) < 3:  # wait until as many as allowed are in progress
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.005)
            self.under_way -= 1
            return self.store.store(logs)

        self.store.on_batch = behave
        await self.store.open()
        self.system.push(*entries(600))
        self.system.worker.start()
        await self.stored_all(600)
        batches = {tuple(log["id"] for log in batch) for batch in self.store.batches}  # one may have been sent again
        self.assertEqual((len(batches), max(seen)), (60, 3))

    async def test_a_store_that_fails_is_asked_by_one_alone(self):
        seen, failing = [], True

        async def behave(logs):
            seen.append(await self.one())
            if failing:
                raise ErrorResponse(-32000, "disk full")
            return self.store.store(logs)

        self.store.on_batch = behave
        await self.store.open()
        self.system.push(*entries(100))
        self.system.worker.start()
        await self.system.until(lambda: len(seen) > 15, "it is tried again and again")
        self.assertEqual(set(seen[3:]), {1})
        failing = False
        await self.stored_all(100)
        self.assertEqual(self.system.dead_letters(), [])

    async def test_an_entry_that_ends_the_store_each_time_costs_no_other(self):
        """Other batches in flight lose the connection, too."""

        async def behave(logs):
            await self.one()
            if any(entry["message"] == "77" for entry in logs):
                raise Disconnect
            await self.one(0.02)
            return self.store.store(logs)

        self.store.on_batch = behave
        await self.store.open()
        self.system.push(*entries(200))
        self.system.worker.start()
        await self.stored_all(199)
        (letter,) = self.system.dead_letters()
        self.assertEqual(json.loads(letter["entry"])["message"], "77")


class DeadLetters(WorkerCase):
    """iccm dead list, replay and discard, with Godot's server."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.odd = lambda entry: entry["message"].isdigit() and int(entry["message"]) % 2 and "odd"
        self.store.on_batch = lambda logs: self.store.store(logs, self.odd)
        await self.store.open()
        self.system.godot.start()
        await asyncio.to_thread(wait_ready, self.system.godot_port)

    async def run_iccm_dead(self, *words, status=0):
        environment = {"GODOT_URL": self.system.godot_url, "PATH": os.environ["PATH"]}
        run = await asyncio.to_thread(run_program, [PROGRAMS["iccm"], "dead", *words], env=environment)
        self.assertEqual(run.returncode, status, run.stderr)
        return run

    async def letters(self, *words):
        return [json.loads(line) for line in (await self.run_iccm_dead("list", "--json", *words)).stdout.splitlines()]

    async def refused(self, count):
        self.system.worker.start()
        self.system.push(*entries(count))
        await self.stored_all(count // 2)
        self.assertEqual(self.system.resp_int("LLEN", "logs:dead"), count // 2)

    async def test_listed_the_oldest_first(self):
        await self.refused(500)
        letters = await self.letters()
        messages = sorted(int(json.loads(letter["entry"])["message"]) for letter in letters)
        self.assertEqual(messages, list(range(1, 500, 2)))
        self.assertEqual([letter["at"] for letter in letters], sorted(letter["at"] for letter in letters))
        self.assertEqual({letter["reason"] for letter in letters}, {"odd"})
        self.assertEqual([letter["id"] for letter in letters], [json.loads(one["entry"])["id"] for one in letters])
        few = await self.run_iccm_dead("list", "3")
        self.assertRegex(few.stdout.splitlines()[2], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} odd: {"id":')
        self.assertEqual((len(few.stdout.splitlines()), few.stderr), (3, "iccm: 247 more, newer than these\n"))
        self.assertEqual(await self.letters("3", self.system.godot_url), letters[:3])
        self.assertEqual(self.system.resp_int("LLEN", "logs:dead"), 250, "a look changes nothing")

    async def test_pages_fit_into_a_megabyte(self):
        self.system.worker.start()
        self.odd = lambda entry: "odd"
        self.system.push(*({"component": "c", "level": "INFO", "message": "x" * 200000} for _ in range(12)))
        await self.system.until(lambda: self.system.resp_int("LLEN", "logs:dead") == 12, "they are refused")
        async with Caller(self.system.godot_url) as caller:
            answer = await caller.request("tools/call", {"name": "godot_dead_list", "arguments": {}})
            text = answer["result"]["content"][0]["text"]
            self.assertLess(len(json.dumps(answer)), 1 << 20)
            self.assertEqual((json.loads(text)["total"], len(json.loads(text)["letters"])), (12, 4))
        self.assertEqual(len(await self.letters()), 12)

    async def test_any_number_of_calls_takes_turns(self):
        """Large letters are listed one by one, and each call gets a response."""
        letter = json.dumps({"at": "2026-01-01T00:00:00.000000Z", "reason": "r", "entry": "\x01" * (1 << 18)})
        for _ in range(3):
            self.system.resp_command("LPUSH", "logs:dead", letter)
        async with Caller(self.system.godot_url) as caller:
            calls = [caller.call("godot_dead_list", {"offset": 1}) for _ in range(12)]
            pages = await asyncio.gather(*calls, caller.call("godot_dead_replay", {}))
        self.assertEqual([(page["total"], len(page["letters"])) for page in pages[:-1]], [(3, 1)] * 12)
        self.assertEqual(pages[-1], {"replayed": 3, "kept": 0})
        self.assertEqual(self.system.dead_letters(), [])

    async def test_replayed_once_the_store_takes_them(self):
        await self.refused(400)
        self.odd = lambda entry: None
        self.assertIn("150 put back into the queue, 0 kept", (await self.run_iccm_dead("replay", "150")).stdout)
        await self.stored_all(350)
        self.assertEqual(json.loads((await self.run_iccm_dead("replay", "--json")).stdout), {"replayed": 50, "kept": 0})
        await self.stored_all(400)
        self.assertEqual(self.system.dead_letters(), [])

    async def test_what_is_not_whole_stays(self):
        self.system.worker.start()
        self.system.push(b"\xff", "x" * 300000, *entries(2))
        await self.stored_all(1)
        cut, odd = sorted((letter for letter in await self.letters() if "entry" in letter), key=lambda one: one["reason"])
        self.assertEqual((cut["cut_from"], cut["id"], odd["id"]), (300000, None, json.loads(odd["entry"])["id"]))
        self.odd = lambda entry: None
        self.assertIn("1 put back into the queue, 2 kept", (await self.run_iccm_dead("replay")).stdout)
        await self.stored_all(2)
        self.assertEqual(len(self.system.dead_letters()), 2)

    async def test_what_is_no_letter(self):
        self.system.resp_command("LPUSH", "logs:dead", "junk", b"\xff\xfe", "[1]", '{"entry":7}')
        self.assertEqual([letter["id"] for letter in await self.letters()], [None] * 4)
        self.assertEqual((await self.run_iccm_dead("list")).stdout.count("\n"), 4)
        self.assertIn("0 put back into the queue, 4 kept", (await self.run_iccm_dead("replay")).stdout)
        self.assertEqual(json.loads((await self.run_iccm_dead("discard", "--json")).stdout), {"discarded": 4})

    async def test_discarded(self):
        await self.refused(20)
        self.assertEqual((await self.run_iccm_dead("discard", "4")).stdout, "4 discarded\n")
        self.assertEqual(len(self.system.dead_letters()), 6)
        self.assertEqual((await self.run_iccm_dead("discard")).stdout, "6 discarded\n")
        self.assertEqual((await self.run_iccm_dead("discard")).stdout, "0 discarded\n")
        nothing = await self.run_iccm_dead("list")
        self.assertEqual((nothing.stdout, nothing.stderr), ("", "iccm: there are no dead letters\n"))
        self.system.godot.wait_for("6 dead letters discarded")

    async def test_no_redis(self):
        await asyncio.to_thread(self.system.redis.kill)
        for action in ("list", "replay", "discard"):
            self.assertIn("queue unavailable, retry", (await self.run_iccm_dead(action, status=5)).stderr)
        self.system.start_redis()

    async def test_the_tools_check_what_they_are_asked(self):
        async with Caller(self.system.godot_url) as caller:
            for tool, wrong in (("list", {"limit": 0}), ("list", {"limit": 101}), ("list", {"offset": -1}),
                                ("replay", {"limit": 0}), ("discard", {"limit": 1e300}), ("discard", {"limit": "all"})):
                with self.assertRaises(CallError) as caught:
                    await caller.call(f"godot_dead_{tool}", wrong)
                self.assertEqual(caught.exception.code, -32602)
            beyond = await caller.call("godot_dead_list", {"offset": 1000000})
            self.assertEqual(beyond, {"total": 0, "letters": []})


class Unavailable(WorkerCase):
    async def test_the_store_comes_late_and_goes_and_comes(self):
        self.system.worker.start()
        self.system.push(*entries(150))
        await self.system.until(lambda: self.system.resp_int("ZCARD", "logs:inflight") > 0, "a batch is leased")
        await self.store.open()
        await self.stored_all(150)
        await self.store.close()
        self.system.push(*entries(150, 150))
        await self.system.until(lambda: self.system.resp_int("ZCARD", "logs:inflight") > 0, "a batch is leased")
        await self.store.open()
        await self.stored_all(300)

    async def test_redis_is_killed_under_way(self):
        await self.store.open()
        self.system.worker.start()
        for round_ in range(5):
            self.system.push(*entries(300, 300 * round_))
            self.system.redis.kill()
            self.system.start_redis()
        await self.stored_all(1500)

    async def test_the_worker_is_killed_under_way(self):
        """Batches sent before are mostly stored already: no entry is stored twice or lost."""

        async def slow(logs):
            self.store.store(logs)
            await asyncio.sleep(0.03)
            return self.store.store(logs)

        self.store.on_batch = slow
        await self.store.open()
        self.system.push(*entries(1500), *(legacy(str(i)) for i in range(500)))
        for _ in range(8):
            self.system.worker.start()
            seen = len(self.store.batches)
            await self.system.until(lambda: len(self.store.batches) > seen + 1, "it sends")
            self.system.worker.kill()
        self.system.worker.start()
        await self.stored_all(2000)

    async def test_a_lease_is_given_back_at_the_end(self):
        self.system.worker.start()
        self.system.push(*entries(10))
        await self.system.until(lambda: self.system.resp_int("ZCARD", "logs:inflight") > 0, "a batch is leased")
        await asyncio.to_thread(self.system.worker.stop)
        await self.store.open()
        other = self.system.add_instance("godot-worker", "other", GODOT_WORKER_NAME="worker-2").start()
        await self.stored_all(10)
        await asyncio.to_thread(other.stop)

    async def test_it_ends_while_the_store_is_silent(self):
        ended = asyncio.Event()

        async def silent(logs):
            await ended.wait()
            raise Disconnect

        self.store.on_batch = silent
        await self.store.open()
        self.system.worker.start()
        self.system.push(*entries(10))
        await self.system.until(lambda: len(self.store.batches) == 1, "a batch is sent")
        await asyncio.to_thread(self.system.worker.stop)
        ended.set()
        self.store.on_batch = self.store.store
        self.system.worker.start()
        await self.stored_all(10)

    async def test_two_workers(self):
        await self.store.open()
        self.system.worker.start()
        other = self.system.add_instance("godot-worker", "other", GODOT_WORKER_NAME="worker-2").start()
        for round_ in range(10):
            self.system.push(*entries(200, 200 * round_))
            other.kill()
            other.start()
        await self.system.until(lambda: len(self.store.stored) >= 1900, "most is stored")
        for n in self.system.resp_command("ZRANGE", "logs:inflight", 0, -1):
            self.system.resp_command("ZADD", "logs:inflight", "XX", 1, n)  # instead of waiting for the lease to end
        await self.stored_all(2000)


class Spool(WorkerCase):
    """The queue is nearly full and the store unavailable: the oldest batches are saved to disk, and restored."""

    settings = {"MAX_QUEUE_SIZE": "500", "BATCH_SIZE": "20", "GODOT_SPOOL_MAX_BYTES": str(64 << 20)}

    def held(self):
        return self.system.resp_int("LLEN", "logs:queue")

    def files(self):
        return list((self.system.directory / "spool" / "worker-1").glob("*"))

    async def push(self, new):
        """Pushes no faster than the worker claims, so that the bound is not reached. With one batch leased, more than 380
        queued entries are more than 80 %; with four leased, 30 more than 380 are still below the bound."""
        for first in range(0, len(new), 30):
            await self.system.until(lambda: self.held() <= 380, "there is room")
            self.system.push(*new[first : first + 30])

    def nothing_was_lost(self, count):
        self.assertEqual(sorted(int(message) for message in self.store.messages()), list(range(count)))
        self.assertEqual((self.system.resp_int("GET", "logs:dropped"), self.system.dead_letters()), (0, []))

    async def test_more_than_the_queue_holds(self):
        self.system.worker.start()
        await self.push(entries(2000))
        self.assertLessEqual(self.held(), 500)
        self.assertNotEqual(self.files(), [])
        await self.store.open()
        await self.stored_all(2000)
        self.nothing_was_lost(2000)
        await self.system.until(lambda: self.files() == [], "nothing is left on disk")

    async def test_no_secrets_on_disk(self):
        self.system.worker.start()
        await self.push([entry | {"token": "hunter2"} for entry in entries(600)])
        await self.system.until(self.files, "some are on disk")
        for file in self.files():
            self.assertNotIn(b"hunter2", file.read_bytes())
        await self.store.open()
        await self.stored_all(600)
        kept = {entry["data"]["original_members"]["token"] for entry in self.store.stored.values()}
        self.assertEqual(kept, {"[REDACTED]"})

    async def test_what_came_first_does_not_wait_for_what_came_last(self):
        self.system.worker.start()
        await self.push(entries(2000))
        await self.store.open()
        await self.stored_all(2000)
        positions = {message: position for position, message in enumerate(self.store.messages())}
        self.assertLess(sum(positions[str(i)] for i in range(200)), 200 * 1000, "in the first half, by and large")

    async def test_a_full_spool_leaves_the_bound_in_force(self):
        await asyncio.to_thread(self.system.worker.stop)
        small = self.system.add_instance("godot-worker", "small", GODOT_SPOOL_MAX_BYTES="40000").start()
        for first in range(0, 3000, 50):
            self.system.push(*entries(50, first))
            await asyncio.sleep(0.005)
        await self.system.until(lambda: self.system.resp_int("GET", "logs:dropped") > 0, "the bound is kept")
        self.assertLessEqual(sum(file.stat().st_size for file in self.files()), 40000)
        await self.store.open()
        await self.system.wait_drained()
        await self.system.until(lambda: self.files() == [], "nothing is left on disk")
        await self.system.wait_drained()
        own = sum(entry["component"] == "godot" for entry in self.store.stored.values())
        self.assertEqual(len(self.store.stored) - own + self.system.resp_int("GET", "logs:dropped"), 3000)
        await asyncio.to_thread(small.stop)

    async def test_a_directory_that_cannot_be_used_is_said_at_once(self):
        bad = self.system.add_instance("godot-worker", "bad", GODOT_SPOOL_DIR="/dev/null/spool").start()
        self.assertEqual(await asyncio.to_thread(bad.wait), 1)
        self.assertIn("/dev/null/spool", bad.output())

    async def test_the_data_directory_is_made(self):
        data = self.system.directory / "new"
        worker = self.system.add_instance("godot-worker", "new", GODOT_WORKER_NAME="new", ICCM_DATA=str(data)).start()
        await asyncio.to_thread(worker.wait_for, "connected to Redis")
        self.assertTrue((data / "spool" / "new").is_dir())
        await asyncio.to_thread(worker.stop)

    async def test_killed_again_and_again(self):
        """With the store available, unavailable, and losing responses; no entry is lost or stored under two keys."""
        answers, pushed = 0, entries(6000)

        def forgetful(logs):
            nonlocal answers
            answers += 1
            result = self.store.store(logs)
            if answers % 7 == 0:
                raise Disconnect
            return result

        self.store.on_batch = forgetful
        pushing = asyncio.create_task(self.push(pushed))
        chance = random.Random(5)
        for round_ in range(KILLS):
            self.system.worker.start()
            if round_ % 10 == 6:
                await self.store.open()
            if round_ % 10 == 9:
                await self.store.close()
            await asyncio.sleep(chance.uniform(0.05, 0.25))
            self.system.worker.kill()
        self.system.worker.start()
        await self.store.open()
        await pushing
        await self.stored_all(6000)
        self.nothing_was_lost(6000)
        await self.system.until(lambda: self.files() == [], "nothing is left on disk")


class Overflow(WorkerCase):
    settings = {"MAX_QUEUE_SIZE": "500"}

    def dropped(self):
        return self.system.resp_int("GET", "logs:dropped")

    async def reported(self):
        """Waits until drop reports name all drops."""

        def lines():
            return [entry for entry in self.store.stored.values() if entry["component"] == "godot"]

        def named():
            return sum(line["data"]["dropped"] for line in lines())

        await self.system.until(lambda: named() == self.dropped(), "the log names every drop")
        for line in lines():
            self.assertRegex(line["message"], r"^\d+ entries dropped between 2\S+Z and 2\S+Z$")
            self.assertEqual(line["level"], "WARN")

    async def test_exactly_the_newest_stay(self):
        self.system.godot.start()
        self.system.worker.start()
        await self.system.until(self.system.is_redis_connected, "the server has found Redis")
        async with Caller(self.system.godot_url) as caller:
            for first in range(0, 750, 50):
                calls = [caller.call("logger_log", entry) for entry in entries(50, first)]
                await asyncio.gather(*calls)
                await asyncio.sleep(0.01)  # the worker retries meanwhile
        await self.system.until(lambda: self.dropped() == 250, "all drops are counted")
        await self.store.open()
        await self.system.until(lambda: len(self.store.stored) >= 501, "all is stored, and the drops are named")
        messages = sorted(int(message) for message in self.store.messages() if message.isdigit())
        self.assertEqual(messages, list(range(250, 750)))
        await self.reported()

    async def test_old_producers_overflow_too(self):
        self.system.worker.start()
        self.system.push(*(legacy(str(i)) for i in range(2000)))
        await self.system.until(lambda: self.dropped() == 1500, "all drops are counted")
        await self.store.open()
        await self.system.until(lambda: len(self.store.stored) >= 501, "all is stored")
        messages = sorted(int(message) for message in self.store.messages() if message.isdigit())
        self.assertEqual(messages, list(range(1500, 2000)))
        await self.reported()

    async def test_the_books_balance(self):
        """Overflow, a worker that is killed, and a store that stores entries but loses its responses: in the end,
        acknowledged = stored + counted drops."""
        answers = 0

        def forgetful(logs):
            nonlocal answers
            answers += 1
            result = self.store.store(logs)
            if answers % 3 == 0:
                raise Disconnect
            return result

        self.store.on_batch = forgetful
        self.system.godot.start()
        self.system.worker.start()
        acknowledged = 0
        await self.system.until(self.system.is_redis_connected, "the server has found Redis")
        async with Caller(self.system.godot_url) as caller:
            for round_ in range(12):
                if round_ % 3 == 0:
                    await self.store.open()
                if round_ % 3 == 1:
                    await self.store.close()
                if round_ % 4 == 3:
                    self.system.worker.kill()
                    self.system.worker.start()
                calls = (caller.call("logger_log", entry) for entry in entries(400, 400 * round_))
                acknowledged += len(await asyncio.gather(*calls))
        await self.store.close()
        await self.store.open()
        await self.system.wait_drained()
        await self.reported()
        own = sum(entry["component"] == "godot" for entry in self.store.stored.values())
        self.assertEqual(acknowledged, 4800)
        self.assertGreater(self.dropped(), 0)
        self.assertEqual(len(self.store.stored) - own + self.dropped(), acknowledged)
        self.assertEqual(self.system.dead_letters(), [])


if __name__ == "__main__":
    main()
