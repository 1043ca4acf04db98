"""Godot's conversation tools, tested by calls: with a real Dewey, and with a fake store for its rare failures.
"""
import asyncio
import itertools
import json
import os
import pathlib
import re
import tempfile
import uuid

from caller import CallError, Caller
from services import AsyncTestCase, is_ready, main, retry_within, wait_ready, wait_until_async
from fake_store import FakeStoreSystem, ErrorResponse, Disconnect

NOBODY = "00000000-0000-4000-8000-000000000000"
OUTSIDE = "messages_file: not an absolute path inside an allowed directory"
UNAVAILABLE = "conversation store unavailable, retry"
MAY_BE_STORED = "the conversation store did not respond: the messages may be stored; check before you retry"
MIXED = [
    {"role": "user", "content": "one"},
    {"type": "summary", "x": [1]},
    {"message": {"role": "assistant", "content": [{"type": "text", "text": "two"}]}, "n": 2},
    {"role": "nobody", "content": "three", "metadata": {"a": 1}},
]
STORED = [
    (1, "user", "one", None),
    (2, "system", "summary", MIXED[1]),
    (3, "assistant", '[{"type":"text","text":"two"}]', MIXED[2]),
    (4, "system", "three", {"a": 1, "role": "nobody"}),
]


class Case(AsyncTestCase):
    SETTINGS = {}

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.directory / "in").mkdir()
        paths = {"GODOT_IMPORT_PATHS": f"/nowhere:{self.directory}/in"}
        self.system = await self.enterAsyncContext(FakeStoreSystem(**paths | self.SETTINGS))
        await self.start_store()
        self.system.godot.start()
        await asyncio.to_thread(wait_ready, self.system.godot_port)
        self.caller = await self.enterAsyncContext(Caller(self.system.godot_url))

    async def tool(self, name, /, **arguments):
        return await self.caller.call(f"conversation_{name}", arguments)

    async def refused(self, code, name, /, **arguments):
        with self.assertRaises(CallError) as caught:
            await self.tool(name, **arguments)
        self.assertEqual(caught.exception.code, code, caught.exception.message)
        self.assertNotIn(str(self.directory), caught.exception.message)
        return caught.exception.message

    def write(self, content, name="file.json"):
        path = self.directory / "in" / name
        path.write_text(content)
        return str(path)


class WithDewey(Case):
    async def start_store(self):
        await asyncio.to_thread(self.system.start_dewey)
        self.dewey = await self.enterAsyncContext(Caller(self.system.dewey_url))

    async def read(self, conversation):
        answer = await self.dewey.call("dewey_get_conversation", {"conversation_id": conversation})
        return [(row["turn"], row["role"], row["content"], row["metadata"]) for row in answer["messages"]]

    async def conversations(self):
        return (await self.dewey.call("dewey_list_conversations"))["total"]


class Talking(WithDewey):
    async def test_one_message_after_the_other(self):
        begun = await self.tool("begin", session_id="s", metadata={"a": 1})
        self.assertEqual(list(begun), ["conversation_id", "session_id", "created_at"])
        conversation = begun["conversation_id"]
        self.assertEqual((begun["session_id"], str(uuid.UUID(conversation))), ("s", conversation))
        one = await self.tool("store_message", conversation_id=conversation, role="user", content="one")
        self.assertEqual(list(one), ["message_id", "conversation_id", "turn_number", "created_at"])
        self.assertEqual((one["conversation_id"], one["turn_number"]), (conversation, 1))
        uuid.UUID(one["message_id"])
        for role, turn, wanted in (("assistant", 7, 7), ("tool", None, 8), ("system", 3, 3)):
            more = await self.tool("store_message", conversation_id=conversation, role=role, content=role,
                                   turn_number=turn, metadata={"of": role})  # fmt: skip
            self.assertEqual(more["turn_number"], wanted)
        said = [(1, "user", "one", None)]
        said += [(turn, role, role, {"of": role}) for turn, role in ((3, "system"), (7, "assistant"), (8, "tool"))]
        self.assertEqual(await self.read(conversation), said)
        self.assertIsNone((await self.tool("begin", session_id=None))["session_id"])
        await self.tool("store_message", conversation_id=conversation, role="user", content="\ud83d\0")
        self.assertEqual((await self.read(conversation))[-1], (9, "user", "\ufffd\ufffd", None))

    async def test_what_they_do_not_know_is_named(self):
        begun = await self.tool("begin", title="t", session_id=None)
        self.assertEqual(begun["ignored"], ["title"])
        one = {"conversation_id": begun["conversation_id"], "role": "user", "content": "one", "tool_calls": [1]}
        self.assertEqual((await self.tool("store_message", **one))["ignored"], ["tool_calls"])
        many = {"messages": MIXED, "file": "x", "_meta": {"trace_id": "t"}}
        direct = await self.caller.request("godot_conversation_store_messages_bulk", many)
        self.assertEqual(direct["result"]["ignored"], ["file"])
        many = {"messages": MIXED, "conversation_id": begun["conversation_id"], "session_id": "s", "files": "x"}
        self.assertEqual((await self.tool("store_messages_bulk", **many))["ignored"], ["files", "session_id"])

    async def test_the_older_names(self):
        begun = await self.caller.call("godot_conversation_begin")
        message = {"conversation_id": begun["conversation_id"], "role": "user", "content": "x"}
        self.assertEqual((await self.caller.call("godot_conversation_store_message", message))["turn_number"], 1)
        many = {"messages": MIXED, "conversation_id": begun["conversation_id"]}
        self.assertEqual((await self.caller.call("godot_conversation_store_messages_bulk", many))["messages_stored"], 4)

    async def test_what_the_store_refuses(self):
        fine = {"conversation_id": NOBODY, "role": "user", "content": "x"}
        for code, change, words in (
            (-32602, {"role": "nobody"}, "role"),
            (-32602, {"content": None}, "content"),
            (-32602, {"conversation_id": "x"}, "conversation_id is not a UUID"),
            (-32602, {"turn_number": 0}, "turn_number must be from 1"),
            (-32000, {}, "there is no such conversation"),
        ):
            self.assertIn(words, await self.refused(code, "store_message", **fine | change))
        self.assertIn("session_id", await self.refused(-32602, "begin", session_id="x" * 1025))
        begun = await self.tool("begin")
        message = begun | {"role": "user", "content": "x", "turn_number": 5}
        await self.tool("store_message", **message)
        self.assertEqual(await self.refused(-32000, "store_message", **message), "the turn number is in use")

    async def test_it_is_there_again_when_the_store_is(self):
        await asyncio.to_thread(self.system.dewey.stop)
        self.assertIn(await self.refused(-32000, "begin"), (UNAVAILABLE, MAY_BE_STORED))
        await wait_until_async(lambda: not is_ready(self.system.godot_port), "/readyz names the store")
        for tool, arguments in (
            ("begin", {}),
            ("store_messages_bulk", {"messages": MIXED}),
            ("store_messages_bulk", {"messages_file": self.write("[{}]")}),
        ):
            self.assertEqual(await retry_within(4, lambda: self.refused(-32000, tool, **arguments)), UNAVAILABLE)
        await asyncio.to_thread(self.system.start_dewey)
        await asyncio.to_thread(wait_ready, self.system.godot_port)
        self.assertEqual((await self.tool("store_messages_bulk", messages=MIXED))["messages_stored"], 4)


class Many(WithDewey):
    async def test_in_the_call(self):
        stored = await self.tool("store_messages_bulk", messages=MIXED, session_id="s", metadata={"a": 1}, messages_file=None)
        self.assertEqual(list(stored), ["conversation_id", "messages_stored", "status"])
        self.assertEqual((stored["messages_stored"], stored["status"]), (4, "success"))
        self.assertEqual(await self.read(stored["conversation_id"]), STORED)
        more = [{"role": "tool", "content": str(number)} for number in range(1500)]
        stored = await self.tool("store_messages_bulk", messages=more, conversation_id=stored["conversation_id"])
        self.assertEqual(stored["messages_stored"], 1500)
        self.assertEqual((await self.read(stored["conversation_id"]))[-1], (1504, "tool", "1499", None))

    async def test_in_a_file(self):
        lines = "".join(json.dumps(entry) + "\n\n" for entry in MIXED)
        for text in (json.dumps(MIXED), json.dumps(MIXED, indent=2), lines, lines.replace("\n", "")):
            path = self.write(text)
            stored = await self.tool("store_messages_bulk", messages_file=path, messages=[], session_id="s")
            self.assertEqual((stored["messages_stored"], stored["status"]), (4, "success"))
            self.assertEqual(await self.read(stored["conversation_id"]), STORED)
        path = self.write('{"role":"user","content":"\\ud83d\\u0000","metadata":{"n":12345678901234567890123}}')
        await self.tool("store_messages_bulk", messages_file=path, conversation_id=stored["conversation_id"])
        said = await self.read(stored["conversation_id"])
        self.assertEqual(said[-1], (5, "user", "\ufffd\ufffd", {"n": 12345678901234567890123}))

    async def test_in_a_file_larger_than_what_a_client_takes_unless_said(self):
        path = self.write("".join(json.dumps({"role": "user", "content": str(number) + "x" * 2**20}) for number in range(24)))
        stored = await self.tool("store_messages_bulk", messages_file=path)
        self.assertEqual(stored["messages_stored"], 24)
        self.assertEqual([row[0] for row in await self.read(stored["conversation_id"])], list(range(1, 25)))

    async def test_what_is_wrong_stores_nothing(self):
        fine = '{"role":"user","content":"x"}'
        for content, words in (
            ("", "messages_file holds no messages"),
            ("[]", "messages_file holds no messages"),
            ("role,content", 'messages_file "file.json": entry 1, line 1, is not an object; expected a JSON array of objects or one object per line'),
            (f"{fine}\n{fine[:-1]}", 'messages_file "file.json": entry 2, line 2, is incomplete'),
            (f"[{fine}, {{x}}]", 'messages_file "file.json": entry 2, line 1, is not valid JSON: unexpected character, expected a string for object key'),
            (f'{fine}\n{{"content":"{"x" * 2**24}"}}', 'messages_file "file.json": entry 2, line 2, is larger than 16 MiB'),
        ):
            self.assertEqual(await self.refused(-32000, "store_messages_bulk", messages_file=self.write(content)), words)
        for code, arguments, words in (
            (-32602, {}, "give messages, at least one, or messages_file"),
            (-32602, {"messages": []}, "give messages, at least one, or messages_file"),
            (-32602, {"messages": [7]}, "messages"),
            (-32602, {"messages": [{}], "messages_file": "/x"}, "give messages or messages_file, not both"),
            (-32602, {"messages": [{}], "conversation_id": "x"}, "conversation_id is not a UUID"),
            (-32602, {"messages_file": self.write(fine), "session_id": "x" * 1025}, "session_id is longer"),
            (-32000, {"messages_file": self.write(fine), "conversation_id": NOBODY}, "there is no such conversation"),
        ):
            self.assertIn(words, await self.refused(code, "store_messages_bulk", **arguments))
        self.assertEqual(await self.conversations(), 0)

    async def test_files_elsewhere_are_not_told_of(self):
        (self.directory / "secret").write_text("[{}]")
        (self.directory / "in" / "link").symlink_to(self.directory / "secret")
        (self.directory / "in" / "directory").mkdir()
        os.mkfifo(self.directory / "in" / "fifo")
        for path in ("/etc/passwd", "/etc/none", f"{self.directory}/secret", f"{self.directory}/in/../secret", "", "file.json\0",
                     f"{self.directory}/in/link", f"{self.directory}/none", "file.json"):  # fmt: skip
            self.assertIn(OUTSIDE, await self.refused(-32602, "store_messages_bulk", messages_file=path))
        for name, words in (("none", "no such file"), ("directory", "not a regular"), ("fifo", "not a regular")):
            path = f"{self.directory}/in/{name}"
            self.assertIn(words, await self.refused(-32000, "store_messages_bulk", messages_file=path))
        self.assertEqual(await self.conversations(), 0)

    async def test_a_store_that_dies_amid_an_import_has_all_of_it_or_nothing(self):
        entries = ({"role": "user", "content": f"word {number} " * 100} for number in range(10000))
        path = self.write("".join(map(json.dumps, entries)))
        call = asyncio.create_task(self.tool("store_messages_bulk", messages_file=path))
        log = pathlib.Path(self.system.directory) / "dewey.db-wal"
        await wait_until_async(lambda: call.done() or log.exists() and log.stat().st_size > 2**20, "Dewey writes")
        self.system.dewey.kill()
        try:
            answer = await call
        except CallError as error:
            answer = error.message
        await asyncio.to_thread(self.system.start_dewey)
        async with Caller(self.system.dewey_url) as dewey:
            rows = (await dewey.call("dewey_list_conversations"))["conversations"]
        if answer == MAY_BE_STORED:
            self.assertIn([row["message_count"] for row in rows], ([], [10000]))
        else:
            self.assertEqual([row["message_count"] for row in rows], [answer["messages_stored"]])


class Small(WithDewey):
    SETTINGS = {"ICCM_MAX_MESSAGE_BYTES": 2**20}

    async def test_more_than_a_call_can_carry(self):
        path = self.write("".join(json.dumps({"role": "user", "content": "x" * 1000}) for _ in range(1100)))
        words = await self.refused(-32602, "store_messages_bulk", messages_file=path)
        self.assertIn("the messages are larger than 1048576 bytes, the limit of one call: send them in parts", words)
        path = self.write("".join(json.dumps({"role": "user", "content": "x" * 1000}) for _ in range(900)))
        self.assertEqual((await self.tool("store_messages_bulk", messages_file=path))["messages_stored"], 900)


class Nowhere(WithDewey):
    SETTINGS = {"GODOT_IMPORT_PATHS": ""}

    async def test_no_file_is_read_unless_directories_are_set(self):
        path = self.write("[{}]")
        self.assertIn(OUTSIDE, await self.refused(-32602, "store_messages_bulk", messages_file=path))


class WithFakeStore(Case):
    SETTINGS = {"LOGGING_ENABLED": "true"}
    CALLS = (
        ("begin", {}, "dewey_begin_conversation"),
        ("store_message", {"conversation_id": NOBODY, "role": "user", "content": "x"}, "dewey_store_message"),
        ("store_messages_bulk", {"messages": [{"a": 1}]}, "dewey_store_messages_bulk"),
    )

    async def start_store(self):
        self.store = self.system.fake_store
        # AddressSanitizer would keep 256 MiB of freed memory, which this test measures
        freed_at_once = f"{os.environ.get('ASAN_OPTIONS', '')}:quarantine_size_mb=1"
        self.system.godot.environment |= {"GODOT_URL": self.system.godot_url, "ASAN_OPTIONS": freed_at_once}
        await self.store.open()

    def answer_all(self, answer):
        for _, _, tool in self.CALLS:
            self.store.answers[tool] = answer

    async def silent(self, name, arguments):
        await self.may_answer.wait()
        return "{}"


class Forwarding(WithFakeStore):
    async def test_what_the_store_is_asked(self):
        self.store.answers["dewey_begin_conversation"] = '{"conversation_id":"c","session_id":null,"created_at":"t"}'
        self.store.answers["dewey_store_message"] = '{"message_id":"m","turn_number":9,"created_at":"t"}'
        self.store.answers["dewey_store_messages_bulk"] = '{"conversation_id":"c","stored":1,"message_ids":["m"]}'
        answers, unknown = [], {"ignored": ["other"]}
        for name, arguments, tool in self.CALLS:
            params = {"name": f"conversation_{name}", "arguments": arguments | {"metadata": None, "other": 1}}
            answer = await self.caller.request("tools/call", params | {"_meta": {"trace_id": f"trace of {name}"}})
            answers.append(json.loads(answer["result"]["content"][0]["text"]))
            self.assertEqual((self.store.calls[-1], self.store.traces[-1]), ((tool, arguments), f"trace of {name}"))
        self.assertEqual(
            answers,
            [
                {"conversation_id": "c", "session_id": None, "created_at": "t"} | unknown,
                {"message_id": "m", "conversation_id": NOBODY, "turn_number": 9, "created_at": "t"} | unknown,
                {"conversation_id": "c", "messages_stored": 1, "status": "success"} | unknown,
            ],
        )
        # messages are sent unchanged
        path = self.write('{ "n": 1.50,\t"x":1e2 }{"role":1}')
        await self.tool("store_messages_bulk", messages_file=path, messages=None, session_id="s")
        self.assertEqual(self.store.calls[-1][1], {"session_id": "s", "messages": [{"n": 1.5, "x": 100}, {"role": 1}]})
        self.assertIn('[{ "n": 1.50,\t"x":1e2 },{"role":1}]', self.store.raw_messages[-1])

    async def test_errors_of_the_store(self):
        for (name, arguments, _), (code, wanted) in itertools.product(
            self.CALLS, ((-32602, -32602), (-32000, -32000), (-32007, -32007), (-32603, -32000), (-32601, -32000))
        ):
            self.answer_all(ErrorResponse(code, "words of the store", {"why": [1]}))
            with self.assertRaises(CallError) as caught:
                await self.tool(name, **arguments)
            error = caught.exception
            self.assertEqual((error.code, error.message, error.data), (wanted, "words of the store", {"why": [1]}))
        for answer in ("[]", "7", '{"conversation_id":"c"}', "no JSON"):
            self.answer_all(answer)
            for name, arguments, _ in self.CALLS:
                self.assertIn("invalid response", await self.refused(-32603, name, **arguments))

    async def test_a_store_that_goes_amid_a_call(self):
        self.answer_all(Disconnect())
        for name, arguments, _ in self.CALLS:
            await asyncio.to_thread(wait_ready, self.system.godot_port)
            self.assertEqual(await self.refused(-32000, name, **arguments), MAY_BE_STORED)

    def peak_kib(self):
        status = pathlib.Path(f"/proc/{self.system.godot.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])

    async def test_a_large_file_is_in_memory_twice_at_most(self):
        self.store.answers["dewey_store_messages_bulk"] = '{"conversation_id":"c","stored":40,"message_ids":[]}'
        path = self.write((json.dumps({"role": "user", "content": "x" * 2**20}) + "\n") * 40)
        before = self.peak_kib()
        self.assertEqual((await self.tool("store_messages_bulk", messages_file=path))["messages_stored"], 40)
        self.assertEqual(len(self.store.calls[-1][1]["messages"]), 40)
        self.assertLess(self.peak_kib() - before, 95 * 1024)

    async def test_a_silent_store_keeps_nobody_else_waiting(self):
        self.may_answer, self.store.run = asyncio.Event(), self.silent
        calls = [asyncio.create_task(self.refused(-32603, name, **arguments)) for name, arguments, _ in self.CALLS]
        await wait_until_async(lambda: len(self.store.calls) == 3, "all are asked")
        entry = {"component": "c", "level": "INFO", "message": "m"}
        self.assertEqual((await self.caller.call("logger_log", entry))["status"], "ok")
        self.may_answer.set()
        await asyncio.gather(*calls)

    async def test_callers_that_leave(self):
        self.may_answer, self.store.run = asyncio.Event(), self.silent
        async with Caller(self.system.godot_url) as leaving:
            calls = [asyncio.create_task(leaving.call(f"conversation_{name}", arguments)) for name, arguments, _ in self.CALLS]
            await wait_until_async(lambda: len(self.store.calls) == 3, "all are asked")
        await asyncio.gather(*calls, return_exceptions=True)
        await wait_until_async(lambda: self.store.notifications.count("notifications/cancelled") == 3, "the store is told")
        self.may_answer.set()

    async def test_it_ends_while_the_store_owes_answers(self):
        self.may_answer, self.store.run = asyncio.Event(), self.silent
        calls = [asyncio.create_task(self.tool(name, **arguments)) for name, arguments, _ in self.CALLS]
        await wait_until_async(lambda: len(self.store.calls) == 3, "all are asked")
        await asyncio.to_thread(self.system.godot.stop)
        self.may_answer.set()
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            self.assertIsInstance(answer, (CallError, ConnectionError))

    async def test_godot_does_not_log_to_itself(self):
        self.answer_all(ErrorResponse(-32000, "no"))
        for name, arguments, _ in self.CALLS:
            await self.refused(-32000, name, **arguments)
        await asyncio.to_thread(self.system.godot.stop)
        self.assertEqual(self.system.resp_int("LLEN", "logs:queue"), 0)


class Crowded(WithFakeStore):
    SETTINGS = {"ICCM_MAX_MESSAGE_BYTES": 2**20}

    async def test_memory_for_files_is_bounded(self):
        self.may_answer, self.store.run = asyncio.Event(), self.silent
        path = self.write(json.dumps({"role": "user", "content": "x" * 900_000}))
        calls = [asyncio.create_task(self.refused(-32603, "store_messages_bulk", messages_file=path)) for _ in range(2)]
        await wait_until_async(lambda: len(self.store.calls) == 2, "two are sent on")
        words = await self.refused(-32000, "store_messages_bulk", messages_file=path)
        self.assertEqual(words, "too many message files in progress, retry later")
        self.may_answer.set()
        await asyncio.gather(*calls)
        await self.refused(-32603, "store_messages_bulk", messages_file=path)


if __name__ == "__main__":
    main()
