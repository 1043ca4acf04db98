"""Dewey's tools for conversations, in the real program with an independent client: the exact responses of each tool,
wrong arguments, limits.
"""
import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import uuid

import test_program
from caller import CallError
from services import PROGRAMS, WAIT_S, main, wait_until_async
from test_program import TOOL_ERROR, iso

NOBODY = "00000000-0000-4000-8000-000000000000"
OUTSIDE = "messages_file: not an absolute path inside an allowed directory"
MESSAGE_MAX = 16 * 1024 * 1024
# AddressSanitizer would keep 256 MiB of what was freed, where memory is measured.
FREED_AT_ONCE = {"ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:quarantine_size_mb=1"}


class Case(test_program.Case):
    async def tool(self, name, /, **arguments):
        return await self.caller.call(f"dewey_{name}", arguments)

    async def begin(self, **arguments):
        return (await self.tool("begin_conversation", **arguments))["conversation_id"]

    async def say(self, conversation, content, role="user", **more):
        return await self.tool("store_message", conversation_id=conversation, role=role, content=content, **more)

    async def read(self, conversation):
        return await self.tool("get_conversation", conversation_id=conversation)

    async def said(self, conversation):
        return [message["content"] for message in (await self.read(conversation))["messages"]]


class Talking(Case):
    async def test_what_it_does_not_know_is_named(self):
        begun = await self.tool("begin_conversation", title="t", session_id=None)
        self.assertEqual(begun["ignored"], ["title"])
        said = await self.say(begun["conversation_id"], "x", timestamp=iso(), name=None, tool_calls=[1])
        self.assertEqual(said["ignored"], ["timestamp", "tool_calls"])
        many = {"messages": [{"role": "user", "content": "x"}], "file": "y"}
        self.assertEqual((await self.tool("store_messages_bulk", **many))["ignored"], ["file"])
        direct = await self.caller.request("dewey_store_messages_bulk", many | {"_meta": {}})
        self.assertEqual(direct["result"]["ignored"], ["file"])
        many |= {"conversation_id": begun["conversation_id"], "session_id": "s", "metadata": {}, "file": None}
        self.assertEqual((await self.tool("store_messages_bulk", **many))["ignored"], ["session_id", "metadata"])

    async def test_arguments_that_are_not_known_are_refused(self):
        one = {"conversation_id": await self.begin()}
        for tool, arguments, unknown, nearest in (
            ("get_conversation", one, "limit", "conversation_id"),
            ("list_conversations", {}, "sesion_id", "session_id"),
            ("delete_conversation", one, "forced", "force"),
            ("search", {"query": "x"}, "start", "start_date"),
            ("get_startup_context", {}, "names", "name"),
            ("set_startup_context", {"name": "n", "content": "c"}, "is_active", "set_active"),
            ("list_startup_contexts", {}, "content", "include_content"),
            ("delete_startup_context", {"name": "n", "force": True}, "id", "name"),
        ):
            await self.assert_unknown(f"dewey_{tool}", arguments, unknown, nearest)
        self.assertEqual((await self.tool("list_conversations"))["total"], 1)

    async def test_a_conversation_is_begun_continued_and_read(self):
        before = iso()
        begun = await self.tool("begin_conversation", session_id="s", metadata={"a": {"b": [1, "\u00fc"]}})
        self.assertEqual(list(begun), ["conversation_id", "session_id", "created_at"])
        self.assertEqual((begun["session_id"], uuid.UUID(begun["conversation_id"]).version), ("s", 7))
        self.assertTrue(before <= begun["created_at"] <= iso())
        conversation = begun["conversation_id"]
        first = await self.say(conversation, "hello")
        self.assertEqual(list(first), ["message_id", "turn_number", "created_at"])
        second = await self.say(conversation, "hi", "assistant", metadata={"model": "m"})
        self.assertEqual([first["turn_number"], second["turn_number"]], [1, 2])
        self.assertEqual(
            await self.read(conversation),
            begun
            | {
                "updated_at": second["created_at"],
                "metadata": {"a": {"b": [1, "\u00fc"]}},
                "messages": [
                    {"id": first["message_id"], "turn": 1, "role": "user", "content": "hello", "metadata": None,
                     "created_at": first["created_at"]},
                    {"id": second["message_id"], "turn": 2, "role": "assistant", "content": "hi",
                     "metadata": {"model": "m"}, "created_at": second["created_at"]},
                ],
            },
        )  # fmt: skip

    async def test_what_is_not_given_is_null(self):
        for arguments in ({}, {"session_id": None, "metadata": None}):
            begun = await self.tool("begin_conversation", **arguments)
            self.assertIsNone(begun["session_id"])
            read = await self.read(begun["conversation_id"])
            self.assertEqual((read["session_id"], read["metadata"], read["messages"]), (None, None, []))
            self.assertEqual(read["updated_at"], read["created_at"])

    async def test_each_role_and_turn(self):
        conversation = await self.begin()
        for turn, role in enumerate(("user", "assistant", "system", "tool"), 10):
            answer = await self.say(conversation, role, role, turn_number=turn)
            self.assertEqual(answer["turn_number"], turn)
        self.assertEqual((await self.say(conversation, "next", turn_number=None))["turn_number"], 14)
        self.assertEqual((await self.say(conversation, "first", turn_number=1))["turn_number"], 1)
        self.assertEqual(await self.said(conversation), ["first", "user", "assistant", "system", "tool", "next"])

    async def test_many_at_once_get_turns_of_their_own(self):
        conversation = await self.begin()
        answers = await asyncio.gather(*[self.say(conversation, str(number)) for number in range(100)])
        self.assertEqual(sorted(answer["turn_number"] for answer in answers), list(range(1, 101)))

    async def test_any_text_comes_back(self):
        conversation = await self.begin(session_id="s\0", metadata={"\0": "\0"})
        for content in ("", " ", "a\0b", "a\ud83d", '"\\\n\u2028', "\U0001f4dc" * 100):
            await self.say(conversation, content, metadata={"of": content})
        read = await self.read(conversation)
        self.assertEqual((read["session_id"], read["metadata"]), ("s\ufffd", {"\ufffd": "\ufffd"}))
        wanted = ["", " ", "a\ufffdb", "a\ufffd", '"\\\n\u2028', "\U0001f4dc" * 100]
        self.assertEqual([message["content"] for message in read["messages"]], wanted)
        self.assertEqual([message["metadata"]["of"] for message in read["messages"]], wanted)

    async def test_wrong_arguments(self):
        conversation = await self.begin()
        fine = {"conversation_id": conversation, "role": "user", "content": "x"}
        for change, words in (
            ({"conversation_id": "x"}, "conversation_id is not a UUID"),
            ({"conversation_id": conversation + "\0"}, "conversation_id is not a UUID"),
            ({"conversation_id": None}, "conversation_id"),
            ({"role": "nobody"}, "role must be one of user, assistant, system, tool"),
            ({"role": "user\0"}, "role must be one of"),
            ({"role": "User"}, "role must be one of"),
            ({"content": 7}, "content"),
            ({"content": None}, "content"),
            ({"turn_number": 0}, "turn_number must be from 1 to 2147483647"),
            ({"turn_number": -1}, "turn_number"),
            ({"turn_number": 2**31}, "turn_number"),
            ({"turn_number": 10**30}, "turn_number"),
            ({"turn_number": 1.5}, "turn_number"),
            ({"metadata": []}, "metadata"),
        ):
            await self.assert_refused("dewey_store_message", fine | change, words)
        for missing in fine:
            await self.assert_refused("dewey_store_message", {name: fine[name] for name in fine if name != missing}, missing)
        for arguments, words in (
            ({"session_id": 1}, "session_id"),
            ({"session_id": "x" * 1025}, "session_id is longer than 1024 bytes"),
            ({"metadata": "x"}, "metadata"),
            ({"metadata": {"x": "x" * 256 * 1024}}, "metadata is larger than 256 KiB"),
        ):
            await self.assert_refused("dewey_begin_conversation", arguments, words)
        self.assertEqual(await self.said(conversation), [])

    async def test_what_is_not_there_or_taken_is_a_tool_error(self):
        missing = {"conversation_id": NOBODY}
        there_is_none = "there is no such conversation"
        await self.assert_refused("dewey_store_message", missing | {"role": "user", "content": ""}, there_is_none, TOOL_ERROR)
        await self.assert_refused("dewey_get_conversation", missing, there_is_none, TOOL_ERROR)
        await self.assert_refused("dewey_delete_conversation", missing | {"force": True}, there_is_none, TOOL_ERROR)
        conversation = await self.begin()
        await self.say(conversation, "x", turn_number=2**31 - 1)
        again = {"conversation_id": conversation, "role": "user", "content": "", "turn_number": 2**31 - 1}
        await self.assert_refused("dewey_store_message", again, "the turn number is in use", TOOL_ERROR)
        del again["turn_number"]
        await self.assert_refused("dewey_store_message", again, "there is no turn number left", TOOL_ERROR)

    async def test_limits(self):
        conversation = await self.begin(session_id="x" * 1024, metadata={"x": "x" * (256 * 1024 - 8)})
        await self.say(conversation, "x" * MESSAGE_MAX)
        await self.assert_refused(
            "dewey_store_message", {"conversation_id": conversation, "role": "user", "content": "x" * (MESSAGE_MAX + 1)},
            "the message is larger than 16 MiB",
        )  # fmt: skip
        self.assertEqual([len(content) for content in await self.said(conversation)], [MESSAGE_MAX])
        for _ in range(4):
            await self.say(conversation, "x" * MESSAGE_MAX)
        await self.assert_refused(
            "dewey_get_conversation", {"conversation_id": conversation}, "the answer is larger than 64 MiB", TOOL_ERROR
        )

    async def test_what_was_answered_survives_kill_9(self):
        conversation, acknowledged = await self.begin(), []

        async def talk():
            while True:
                acknowledged.append((await self.say(conversation, "x"))["message_id"])

        async def kill():
            while len(acknowledged) < 50:
                await asyncio.sleep(0)
            self.dewey.program.kill()

        with self.assertRaises(ConnectionError):
            await asyncio.gather(talk(), kill())
        self.dewey.restart()
        async with test_program.Caller(self.dewey.url) as caller:
            read = await caller.call("dewey_get_conversation", {"conversation_id": conversation})
        self.assertLessEqual(set(acknowledged), {message["id"] for message in read["messages"]})


class Bulk(Case):
    async def store(self, *messages, **arguments):
        return await self.tool("store_messages_bulk", messages=list(messages), **arguments)

    async def stored(self, *messages):
        """Stores them. Returns (role, content, metadata) of each."""
        read = await self.read((await self.store(*messages))["conversation_id"])
        return [(message["role"], message["content"], message["metadata"]) for message in read["messages"]]

    async def test_into_a_new_and_an_existing_conversation(self):
        messages = [{"role": "user", "content": f"{number}"} for number in range(2500)]
        answer = await self.store(*messages, session_id="s", metadata={"a": 1})
        self.assertEqual(list(answer), ["conversation_id", "stored", "message_ids"])
        self.assertEqual(answer["stored"], 2500)
        read = await self.read(answer["conversation_id"])
        self.assertEqual((read["session_id"], read["metadata"]), ("s", {"a": 1}))
        self.assertEqual([message["id"] for message in read["messages"]], answer["message_ids"])
        self.assertEqual([message["content"] for message in read["messages"]], [f"{number}" for number in range(2500)])
        again = await self.store({"role": "tool", "content": "last"}, conversation_id=answer["conversation_id"])
        self.assertEqual((again["conversation_id"], again["stored"]), (answer["conversation_id"], 1))
        last = (await self.read(answer["conversation_id"]))["messages"][-1]
        self.assertEqual((last["turn"], last["role"], last["id"]), (2501, "tool", again["message_ids"][0]))

    async def test_entries_become_messages(self):
        nested = {"type": "assistant", "uuid": "u", "message": {"role": "assistant", "content": [{"type": "text", "text": "t"}]}}
        for entry, wanted in (
            ({"role": "user", "content": "c"}, ("user", "c", None)),
            ({"role": "user", "content": "c", "metadata": {"k": 1}, "more": None}, ("user", "c", {"k": 1})),
            ({"role": "user", "content": "c", "metadata": {"k": 1}, "more": [1, {}]}, ("user", "c", {"k": 1, "more": [1, {}]})),
            ({"role": "user", "content": "c", "metadata": {"k": 1}, "k": 2}, ("user", "c", {"metadata": {"k": 1}, "k": 2})),
            ({"role": "user", "content": "c", "metadata": [1], "k": 2}, ("user", "c", {"metadata": [1], "k": 2})),
            ({"role": "assistant", "content": "c", "tool_calls": [{"id": "1"}]}, ("assistant", "c", {"tool_calls": [{"id": "1"}]})),
            ({"role": "tool", "content": "c", "tool_call_id": "a\0"}, ("tool", "c", {"tool_call_id": "a\ufffd"})),
            ({"role": "tool", "content": [1, {"a": "b"}]}, ("tool", '[1,{"a":"b"}]', None)),
            ({"role": "user", "content": 7}, ("user", "7", None)),
            ({"role": "user", "content": ""}, ("user", "", None)),
            ({"role": "critic", "content": "c"}, ("system", "c", {"role": "critic"})),
            ({"role": 7, "content": "c"}, ("system", "c", {"role": 7})),
            (nested, ("assistant", '[{"type":"text","text":"t"}]', nested)),
            ({"message": {"role": "user", "content": "c"}}, ("user", "c", ...)),
            ({"message": {"content": "c"}, "role": "user"}, ("system", "c", ...)),
            ({"message": {"role": "user"}}, ("user", "NA", ...)),
            ({"message": {}}, ("system", "NA", ...)),
            ({"message": "m", "role": "user", "content": "c"}, ("user", "c", {"message": "m"})),
            ({"message": "m"}, ("system", "unknown", ...)),
            ({"type": "snapshot", "x": [1]}, ("system", "snapshot", ...)),
            ({"role": "assistant", "content": None, "calls": [1]}, ("system", "unknown", ...)),
            ({"content": "c"}, ("system", "unknown", ...)),
            ({}, ("system", "unknown", {})),
            ({"role": "user", "content": "a\0", "metadata": {"\0": 1}}, ("user", "a\ufffd", {"\ufffd": 1})),
        ):
            wanted = tuple(entry if part is ... else part for part in wanted)
            self.assertEqual(await self.stored(entry), [wanted], entry)

    async def test_times_of_entries_are_kept(self):
        then, day = "2025-03-01T10:00:00.000000Z", 86400
        whole = {"type": "user", "message": {"role": "user", "content": "trip"}, "timestamp": "2025-03-01T11:00:00+01:00"}
        inner = {"message": {"role": "user", "content": "trip", "created_at": then}}
        plain = {"role": "user", "content": "trip"}
        now = time.time()
        kept = [whole, inner, {"type": "trip", "created_at": then}, plain | {"created_at": then, "timestamp": None},
                plain | {"timestamp": "2025-03-01 10:00"}, plain | {"timestamp": 1740823200}, plain | {"timestamp": 1740823200000.0}]  # fmt: skip
        metadata = [*kept[:3], None, None, None, None]
        others = [plain | {"timestamp": given} for given in ("then", "", -1, 10**15, True, {"s": 1}, int(now + 2 * day), iso(-2 * day))]
        stored = (await self.store(*kept, *others))["conversation_id"]
        read = (await self.read(stored))["messages"]
        self.assertEqual([(row["created_at"], row["metadata"]) for row in read[: len(kept)]], [(then, was) for was in metadata])
        for row, entry in zip(read[len(kept) :], others, strict=True):
            self.assertLess(iso(60), row["created_at"])
            self.assertEqual(row["metadata"], {"timestamp": entry["timestamp"]})
        found = await self.tool("search", query="trip", start_date="2025-03-01", end_date="2025-03-01", limit=100)
        self.assertEqual(found["total"], len(kept))

    async def test_all_or_nothing(self):
        conversation = await self.begin()
        fine, large = {"role": "user", "content": "x"}, {"role": "user", "content": "x" * (MESSAGE_MAX + 1)}
        for arguments, words in (
            ({"messages": []}, "messages must hold at least one message"),
            ({"messages": None}, "messages must hold at least one message"),
            ({}, "messages must hold at least one message"),
            ({"messages": [fine, 7]}, "messages"),
            ({"messages": {}}, "messages"),
            ({"messages": [fine, fine, large]}, "message 3 is larger than 16 MiB"),
            ({"messages": [fine], "conversation_id": "x"}, "conversation_id is not a UUID"),
            ({"messages": [fine], "session_id": "x" * 1025, "conversation_id": None}, "session_id is longer"),
            ({"messages": [fine], "metadata": {"x": "x" * 256 * 1024}, "conversation_id": None}, "metadata is larger"),
            ({"messages_file": "/etc/passwd"}, OUTSIDE),
            ({"messages_file": ""}, OUTSIDE),
        ):
            arguments = {"conversation_id": conversation} | arguments
            await self.assert_refused("dewey_store_messages_bulk", arguments, words)
        await self.assert_refused(
            "dewey_store_messages_bulk", {"messages": [fine], "conversation_id": NOBODY}, "there is no such", TOOL_ERROR
        )
        self.assertEqual(await self.said(conversation), [])
        self.assertEqual((await self.tool("list_conversations"))["total"], 1)


class Files(Case):
    """Messages in files below the allowed directory."""

    async def asyncSetUp(self):
        self.place = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.place / "in").mkdir()
        self.dewey = self.enterContext(test_program.Dewey(DEWEY_IMPORT_PATHS=f"/nowhere:{self.place}/in", **FREED_AT_ONCE))
        self.caller = await self.enterAsyncContext(test_program.Caller(self.dewey.url))

    def write(self, content, name="file.json"):
        path = self.place / "in" / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    async def store(self, path, **arguments):
        return await self.tool("store_messages_bulk", messages_file=path, **arguments)

    async def test_an_array_and_json_lines(self):
        entries = [{"role": "user", "content": "one"}, {"type": "summary", "x": [1]},
                   {"message": {"role": "assistant", "content": "two"}}]  # fmt: skip
        lines = "".join(json.dumps(entry) + "\n\n" for entry in entries)
        for text in (json.dumps(entries), json.dumps(entries, indent=2), lines):
            answer = await self.store(self.write(text), session_id="s", messages=None)
            read = await self.read(answer["conversation_id"])
            self.assertEqual((answer["stored"], read["session_id"]), (3, "s"))
            self.assertEqual([message["id"] for message in read["messages"]], answer["message_ids"])
            self.assertEqual(
                [(message["role"], message["content"], message["metadata"]) for message in read["messages"]],
                [("user", "one", None), ("system", "summary", entries[1]), ("assistant", "two", entries[2])],
            )
        again = await self.store(self.write('{"role":"tool","content":"\\ud83d\\u0000"}'), conversation_id=read["conversation_id"])
        self.assertEqual(again["stored"], 1)
        self.assertEqual((await self.said(read["conversation_id"]))[-1], "\ufffd\ufffd")

    async def test_what_cannot_be_read_stores_nothing(self):
        fine = '{"role":"user","content":"x"}'
        for content, words in (
            ("", "messages_file holds no messages"),
            ("[]", "messages_file holds no messages"),
            ("role,content", 'messages_file "file.json": entry 1, line 1, is not an object; expected a JSON array of objects or one object per line'),
            (f"{fine}\n{fine[:-1]}", 'messages_file "file.json": entry 2, line 2, is incomplete'),
            (f"[{fine}, {{x}}]", 'messages_file "file.json": entry 2, line 1, is not valid JSON: unexpected character, expected a string for object key'),
            (f'{fine}\n{{"content":"{"x" * MESSAGE_MAX}"}}', 'messages_file "file.json": entry 2, line 2, is larger than 16 MiB'),
        ):
            arguments = {"messages_file": self.write(content)}
            await self.assert_refused("dewey_store_messages_bulk", arguments, words, TOOL_ERROR)
        self.assertEqual((await self.tool("list_conversations"))["total"], 0)

    async def test_files_elsewhere_are_not_told_of(self):
        (self.place / "secret").write_text("[]")
        (self.place / "in" / "link").symlink_to(self.place / "secret")
        (self.place / "in" / "directory").mkdir()
        os.mkfifo(self.place / "in" / "fifo")
        for path in ("/etc/passwd", "/etc/none", "/etc/shadow", f"{self.place}/secret", f"{self.place}/in/../secret",
                     f"{self.place}/in/link", f"{self.place}/none", "file.json", "file.json\0"):  # fmt: skip
            arguments = {"messages_file": path}
            await self.assert_refused("dewey_store_messages_bulk", arguments, OUTSIDE)
        for name, words in (("none", "no such file"), ("directory", "not a regular"), ("fifo", "not a regular")):
            arguments = {"messages_file": f"{self.place}/in/{name}"}
            await self.assert_refused("dewey_store_messages_bulk", arguments, words, TOOL_ERROR)
        both = {"messages_file": self.write("[{}]"), "messages": [{}]}
        await self.assert_refused("dewey_store_messages_bulk", both, "give messages or messages_file, not both")

    def peak_kib(self):
        status = pathlib.Path(f"/proc/{self.dewey.program.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])

    def write_large(self, messages):
        """A file of 2 MB for each message."""
        return self.write((json.dumps({"role": "user", "content": "word " * 400_000}) + "\n") * messages)

    async def begin_import(self):
        """Returns an import once it is in the middle of its file."""
        importing = asyncio.create_task(self.store(self.write_large(50)))
        journal = self.dewey.directory / "dewey.db-wal"
        await wait_until_async(lambda: journal.exists() and journal.stat().st_size >= 1_000_000, "the store is written to")
        return importing

    async def assert_nothing_stored(self):
        async with test_program.Caller(self.dewey.url) as caller:
            self.assertEqual((await caller.call("dewey_list_conversations"))["total"], 0)
            await caller.call("dewey_begin_conversation")

    async def test_an_import_ends_when_nobody_waits_for_it(self):
        importing = await self.begin_import()
        await self.caller.ws.close()
        with self.assertRaises(ConnectionError):
            await importing
        await self.assert_nothing_stored()

    async def test_the_program_ends_with_all_of_an_import_or_nothing(self):
        importing = await self.begin_import()
        self.dewey.program.signal(signal.SIGTERM)
        self.assertEqual(await asyncio.to_thread(self.dewey.program.wait), 0)
        (answer,) = await asyncio.gather(importing, return_exceptions=True)
        self.dewey.restart()
        async with test_program.Caller(self.dewey.url) as caller:
            listed = (await caller.call("dewey_list_conversations"))["conversations"]
        self.assertIn([row["message_count"] for row in listed], ([50],) if isinstance(answer, dict) else ([], [50]))

    async def test_a_large_file_takes_little_memory(self):
        path = self.write_large(95)
        before = self.peak_kib()
        self.assertEqual((await self.store(path))["stored"], 95)
        # 64 MiB are the writer's cache of pages
        self.assertLess(self.peak_kib() - before, 160 * 1024)
        self.assertEqual((await self.tool("search", query="word", limit=1))["total"], 95)

    async def test_a_setting_that_is_no_absolute_path_ends_it(self):
        for value in ("data", "/a:b", "/a::/b"):
            run = subprocess.run([PROGRAMS["dewey"]], env={"DEWEY_IMPORT_PATHS": value}, capture_output=True, text=True,
                                 timeout=WAIT_S)  # fmt: skip
            self.assertEqual(run.returncode, 1)
            self.assertIn(f'DEWEY_IMPORT_PATHS is "{value}": expected absolute directories', run.stderr)


class Listing(Case):
    async def listed(self, **arguments):
        answer = await self.tool("list_conversations", **arguments)
        return [row["id"] for row in answer["conversations"]]

    async def test_pages_sessions_and_order(self):
        self.assertEqual(
            await self.tool("list_conversations"), {"conversations": [], "total": 0, "limit": 20, "offset": 0}
        )
        begun = [await self.begin(session_id=f"s{number % 2}", metadata={"n": number}) for number in range(25)]
        newest = begun[::-1]
        said = await self.say(begun[3], "x")
        answer = await self.tool("list_conversations", limit=2, offset=21)
        self.assertEqual([answer[name] for name in ("total", "limit", "offset")], [25, 2, 21])
        row = answer["conversations"][0]
        self.assertEqual(list(row), ["id", "session_id", "created_at", "updated_at", "metadata", "message_count"])
        self.assertEqual((row["id"], row["session_id"], row["metadata"], row["message_count"]), (begun[3], "s1", {"n": 3}, 1))
        self.assertEqual(row["updated_at"], said["created_at"])
        for arguments, wanted in (
            ({}, newest[:20]),
            ({"limit": None, "offset": None, "sort_by": None, "session_id": None}, newest[:20]),
            ({"limit": 100}, newest),
            ({"limit": 100, "sort_by": "created_at"}, newest),
            ({"limit": 2, "sort_by": "updated_at"}, [begun[3], begun[24]]),
            ({"limit": 2, "session_id": "s0"}, [begun[24], begun[22]]),
            ({"limit": 2, "session_id": "s1", "sort_by": "updated_at"}, [begun[3], begun[23]]),
            ({"session_id": "none"}, []),
            ({"offset": 25}, []),
        ):
            self.assertEqual(await self.listed(**arguments), wanted, arguments)

    async def test_wrong_arguments(self):
        for arguments, words in (
            ({"limit": 0}, "limit must be from 1 to 100"),
            ({"limit": 101}, "limit"),
            ({"offset": -1}, "offset"),
            ({"offset": 10**30}, "offset"),
            ({"sort_by": "id; DROP TABLE conversations"}, "sort_by must be created_at or updated_at"),
            ({"sort_by": ""}, "sort_by"),
            ({"sort_by": "updated_at\0"}, "sort_by"),
            ({"session_id": "x" * 1025}, "session_id"),
        ):
            await self.assert_refused("dewey_list_conversations", arguments, words)


class Deleting(Case):
    async def test_with_force_alone(self):
        conversation, other = await self.begin(), await self.begin()
        for number in range(3):
            await self.say(conversation, f"{number}")
            await self.say(other, f"other {number}")
        for arguments in ({}, {"force": False}, {"force": None}):
            await self.assert_refused("dewey_delete_conversation", {"conversation_id": conversation} | arguments, "needs force")
        self.assertEqual(len(await self.said(conversation)), 3)
        answer = await self.tool("delete_conversation", conversation_id=conversation, force=True)
        self.assertEqual(answer, {"deleted": True, "messages_deleted": 3})
        with self.assertRaises(CallError):
            await self.read(conversation)
        self.assertEqual(len(await self.said(other)), 3)

    async def test_wrong_arguments(self):
        for arguments in ({}, {"conversation_id": "x", "force": True}, {"conversation_id": NOBODY, "force": "yes"}):
            await self.assert_refused("dewey_delete_conversation", arguments, "conversation_id" if len(arguments) < 2 or
                                      arguments["conversation_id"] == "x" else "force")  # fmt: skip


class Searching(Case):
    async def search(self, query, **arguments):
        return await self.tool("search", query=query, **arguments)

    async def found(self, query, **arguments):
        return [row["content"] for row in (await self.search(query, **arguments))["results"]]

    async def test_rows_ranks_and_total(self):
        conversation = await self.begin(session_id="s", metadata={"m": 1})
        said = await self.say(conversation, "the quick fox", "assistant", metadata={"k": 1})
        answer = await self.search("Fox")
        self.assertGreater(answer["results"][0].pop("rank"), 0)
        row = {"message_id": said["message_id"], "conversation_id": conversation, "turn": 1, "role": "assistant",
               "content": "the quick fox", "created_at": said["created_at"], "metadata": {"k": 1}, "session_id": "s",
               "conversation_metadata": {"m": 1}}  # fmt: skip
        self.assertEqual(answer, {"results": [row], "total": 1, "limit": 20, "offset": 0})
        await self.say(conversation, "fox fox fox")
        await self.say(conversation, "a fox in a long sentence about many things that are none and say little of any")
        self.assertEqual([content[:9] for content in await self.found("fox")], ["fox fox f", "the quick", "a fox in "])
        ranks = [row["rank"] for row in (await self.search("fox"))["results"]]
        self.assertEqual(ranks, sorted(ranks, reverse=True))

    async def test_filters_and_pages(self):
        one, two = await self.begin(session_id="one"), await self.begin()
        for number in range(30):
            await self.say(one if number % 2 else two, f"word {number}")
        newest = [f"word {number}" for number in range(29, -1, -1)]
        for arguments, wanted in (
            ({}, newest[:20]),
            ({"limit": 100}, newest),
            ({"limit": 5, "offset": 3}, newest[3:8]),
            ({"offset": 30}, []),
            ({"session_id": "one", "limit": 3}, newest[0:6:2]),
            ({"session_id": "none"}, []),
            ({"start_date": iso()[:10], "end_date": iso()[:10], "limit": 1}, newest[:1]),
            ({"start_date": iso(-3600)}, []),
            ({"end_date": iso(3600)}, []),
            ({"end_date": None, "start_date": None, "session_id": None, "limit": 1, "offset": None}, newest[:1]),
        ):
            self.assertEqual(await self.found("word", **arguments), wanted, arguments)
        answer = await self.search("word", session_id="one", limit=1)
        self.assertEqual((answer["total"], answer["limit"], answer["offset"]), (15, 1, 0))

    async def test_words_are_no_language(self):
        conversation = await self.begin()
        for content in ("apple pie", "apple", "gr\u00fc\u00dfe pie"):
            await self.say(conversation, content)
        for query, wanted in (
            ("pie apple", 1), ("APPLE", 2), ("GR\u00dc\u00dfE", 1), ("apple OR pie", 0), ("apple NOT pie", 0), ("app*", 0),
            ('"apple', 2), ("content:apple", 0), ("!!!", 0), ("apple\0", 2), ("(", 0), ("^apple", 2),
        ):  # fmt: skip
            self.assertEqual((await self.search(query))["total"], wanted, query)

    async def test_texts_without_blanks_and_with_nul(self):
        conversation = await self.begin()
        for content in ("重启gateway后数据库连接失败，请联系管理员查看日志，然后重试", "数据库数据库数据库", "before\0after"):
            await self.say(conversation, content)
        self.assertEqual([content[:3] for content in await self.found("数据库")], ["数据库", "重启g"])
        for query, wanted in (("gateway", 1), ("before", 1), ("after", 1), ("before\0after", 1), ("->", 0), ("库数据", 1)):
            self.assertEqual((await self.search(query))["total"], wanted, query)

    async def test_what_is_deleted_is_not_found(self):
        conversation, other = await self.begin(), await self.begin()
        await self.say(conversation, "word of one " + "x" * 300_000)
        await self.say(other, "word of two")
        await self.tool("delete_conversation", conversation_id=conversation, force=True)
        self.assertEqual(await self.found("word"), ["word of two"])
        self.assertEqual((await self.search("one"))["total"], 0)

    async def test_wrong_arguments(self):
        for arguments, words in (
            ({}, "query"),
            ({"query": ""}, "query must hold at least one word"),
            ({"query": " \t\n"}, "query must hold at least one word"),
            ({"query": "x" * 1025}, "query is longer than 1024 bytes"),
            ({"query": "x", "start_date": "yesterday"}, "start_date is not a time"),
            ({"query": "x", "end_date": "2025-02-30"}, "end_date is not a time"),
            ({"query": "x", "limit": 0}, "limit must be from 1 to 100"),
            ({"query": "x", "limit": 101}, "limit"),
            ({"query": "x", "offset": -1}, "offset"),
            ({"query": "x", "session_id": 1}, "session_id"),
        ):
            await self.assert_refused("dewey_search", arguments, words)


class Contexts(Case):
    async def test_one_is_active(self):
        self.assertIsNone(await self.tool("get_startup_context"))
        self.assertEqual(await self.tool("list_startup_contexts"), {"contexts": []})
        first = await self.tool("set_startup_context", name="b", content="of b")
        self.assertEqual(list(first), ["id", "name", "is_active", "created_at"])
        self.assertEqual((first["name"], first["is_active"]), ("b", True))
        second = await self.tool("set_startup_context", name="a", content="of a", set_active=None)
        await self.tool("set_startup_context", name="c", content="of c", set_active=False)
        active = await self.tool("get_startup_context")
        self.assertEqual(list(active), ["id", "name", "content", "is_active", "created_at", "updated_at"])
        self.assertEqual((active["id"], active["content"], active["is_active"]), (second["id"], "of a", True))
        named = await self.tool("get_startup_context", name="b")
        self.assertEqual((named["id"], named["content"], named["is_active"]), (first["id"], "of b", False))
        self.assertIsNone(await self.tool("get_startup_context", name="nobody"))
        listed = (await self.tool("list_startup_contexts"))["contexts"]
        self.assertEqual([(row["name"], row["is_active"]) for row in listed], [("a", True), ("b", False), ("c", False)])
        self.assertNotIn("content", listed[0])
        listed = (await self.tool("list_startup_contexts", include_content=True))["contexts"]
        self.assertEqual([row["content"] for row in listed], ["of a", "of b", "of c"])
        self.assertEqual(listed[0], active)

    async def test_changing_one_keeps_its_id(self):
        first = await self.tool("set_startup_context", name="a", content="1")
        again = await self.tool("set_startup_context", name="a", content="2", set_active=False)
        self.assertEqual(again, first | {"is_active": False})
        row = await self.tool("get_startup_context", name="a")
        self.assertEqual((row["content"], row["is_active"]), ("2", False))
        self.assertGreater(row["updated_at"], row["created_at"])
        self.assertIsNone(await self.tool("get_startup_context"))

    async def test_many_at_once_leave_one_active(self):
        await asyncio.gather(*[self.tool("set_startup_context", name=f"{n % 7}", content="x") for n in range(50)])
        listed = (await self.tool("list_startup_contexts"))["contexts"]
        self.assertEqual((len(listed), sum(row["is_active"] for row in listed)), (7, 1))

    async def test_deleting(self):
        await self.tool("set_startup_context", name="a", content="x")
        await self.assert_refused("dewey_delete_startup_context", {"name": "a"}, "needs force")
        self.assertEqual(await self.tool("delete_startup_context", name="a", force=True), {"deleted": True})
        self.assertIsNone(await self.tool("get_startup_context"))
        there_is_none = "there is no such startup context"
        await self.assert_refused("dewey_delete_startup_context", {"name": "a", "force": True}, there_is_none, TOOL_ERROR)

    async def test_limits_and_wrong_arguments(self):
        await self.tool("set_startup_context", name="n" * 256, content="x" * 1024 * 1024)
        await self.tool("set_startup_context", name="a\0", content="b\0")
        self.assertEqual((await self.tool("get_startup_context"))["name"], "a\ufffd")
        self.assertEqual((await self.tool("get_startup_context", name="a\0"))["content"], "b\ufffd")
        for tool, arguments, words in (
            ("set", {"name": "", "content": "x"}, "name must not be empty"),
            ("set", {"name": "n" * 257, "content": "x"}, "name is longer than 256 bytes"),
            ("set", {"name": "n", "content": "x" * (1024 * 1024 + 1)}, "content is longer than 1048576 bytes"),
            ("set", {"name": "n"}, "content"),
            ("set", {"name": "n", "content": None}, "content"),
            ("set", {"name": "n", "content": "x", "set_active": 1}, "set_active"),
            ("get", {"name": 1}, "name"),
            ("delete", {"force": True}, "name"),
        ):
            await self.assert_refused(f"dewey_{tool}_startup_context", arguments, words)


if __name__ == "__main__":
    main()
