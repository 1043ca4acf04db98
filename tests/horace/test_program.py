"""The real horace with an independent client: the exact responses of each tool, every refusal, duplicates, collections,
states, a large file, one that is written to all the time, its log lines, `horace scan`, full and broken disks, its settings.
"""
import asyncio
import contextlib
import datetime
import json
import mmap
import os
import pty
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest
import uuid
import zipfile
from pathlib import Path

import websockets

from caller import CallError, Caller, connect, request, round_trip, tool_call
from disk import SmallDisk, unshare_mounts
from horace import FILES, ON_POSTGRESQL, REGISTERED, VERSIONS, WORK, Horace, info, sha256, snapshot, versions_of
from postgresql import Postgresql, bin_directory, psql
from services import (
    INHERITED_ENV,
    PROGRAMS,
    SANITIZER_REPORT,
    WAIT_S,
    AsyncTestCase,
    System,
    free_port,
    http_get,
    in_background,
    main,
    run_program,
    wait_ready,
    wait_until,
    wait_until_async,
)

INVALID_PARAMS, TOOL_ERROR = -32602, -32000
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
FOUND = ["file_id", "path", "owner", "purpose", "tags", "size", "mime_type", "created_at", "updated_at", "version", "checksum",
         "collection"]  # fmt: skip
LEAKS = re.compile(r"SELECT|INSERT|UPDATE |sqlite|constraint|horace_files|errno|\.[ch]:\d|/usr/|/etc/|\.db\b", re.I)
TEXT, TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
WHOLE, OBJECT = {"type": "integer"}, {"type": "object"}
TOOLS = {
    "horace_register_file": (
        "Register a file with Horace catalog",
        {
            "file_path": {"type": "string", "description": "Absolute path to file in /mnt/irina_storage/"},
            "metadata": {
                "type": "object",
                "description": "File metadata",
                "properties": {"owner": TEXT, "purpose": TEXT, "tags": TEXTS, "collection": TEXT, "correlation_id": TEXT},
            },
        },
        ["file_path", "metadata"],
    ),
    "horace_search_files": (
        "Search file catalog by metadata",
        {
            "tags": TEXTS, "owner": TEXT, "created_after": TEXT, "created_before": TEXT, "file_type": TEXT, "min_size": WHOLE,
            "max_size": WHOLE, "collection": TEXT, "status": TEXT, "limit": WHOLE, "offset": WHOLE,
        },
        None,
    ),
    "horace_get_file_info": (
        "Get detailed metadata for specific file",
        {"file_id": TEXT, "include_versions": {"type": "boolean"}},
        ["file_id"],
    ),
    "horace_create_collection": (
        "Create or update a file collection",
        {"name": TEXT, "description": TEXT, "file_ids": TEXTS, "metadata": OBJECT},
        ["name"],
    ),
    "horace_list_collections": ("List all collections", {"limit": WHOLE, "offset": WHOLE}, None),
    "horace_update_file": (
        "Update file metadata or trigger re-versioning",
        {"file_id": TEXT, "metadata": OBJECT, "check_for_changes": {"type": "boolean"}},
        ["file_id"],
    ),
    "horace_restore_version": (
        "Restore a file to a previous version",
        {"file_id": TEXT, "version": WHOLE},
        ["file_id", "version"],
    ),
}  # fmt: skip


class Case(AsyncTestCase):
    """Each test has a new Horace."""

    maxDiff = None
    settings = {}

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.horace = self.enterContext(Horace(**self.settings))
        self.caller = await self.enterAsyncContext(Caller(self.horace.url))
        self.files = self.horace.files

    async def restart(self):
        """Restarts horace. Returns a new caller."""
        self.horace.restart()
        self.caller = await self.enterAsyncContext(Caller(self.horace.url))

    def write_file(self, name, data):
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    async def register(self, name, data=None, **metadata):
        if data is not None:
            self.write_file(name, data)
        return await self.caller.call("horace_register_file", {"file_path": str(name), "metadata": metadata})

    async def register_new(self, name, data=None, **metadata):
        """Registers a new file. Returns its id."""
        answer = await self.register(name, data if data is not None else f"bytes of {name}", **metadata)
        self.assertEqual((set(answer), answer["version"]), (REGISTERED, 1))
        return answer["file_id"]

    async def search(self, **arguments):
        return await self.caller.call("horace_search_files", arguments)

    async def found_names(self, **arguments):
        """Searches. Returns the names of the files, in order."""
        answer = await self.search(**arguments)
        self.assertEqual(answer["total_count"], len(answer["results"]), arguments)
        return [Path(row["path"]).name for row in answer["results"]]

    async def info(self, file_id):
        return await info(self.caller, file_id)

    async def update(self, file_id, check=None, **metadata):
        arguments = {"file_id": file_id, "metadata": metadata, "check_for_changes": check}
        return await self.caller.call("horace_update_file", arguments)

    async def restore(self, file_id, version):
        return await self.caller.call("horace_restore_version", {"file_id": file_id, "version": version})

    async def create_collection(self, name, **arguments):
        return await self.caller.call("horace_create_collection", {"name": name} | arguments)

    async def list_collections(self, **arguments):
        return await self.caller.call("horace_list_collections", arguments)

    async def assert_refused(self, tool, arguments, words, code=INVALID_PARAMS, error_code=None):
        with self.subTest(tool=tool, arguments=str(arguments)[:200]):
            with self.assertRaises(CallError) as raised:
                await self.caller.call(tool, arguments)
            error = raised.exception
            said = TOOL_ERROR if error_code else code
            self.assertEqual((error.code, (error.data or {}).get("error_code")), (said, error_code), error.message)
            self.assertIn(words, error.message)
            self.assertNotRegex(error.message.replace(str(self.horace.storage), ""), LEAKS)

    def sql(self, text):
        """Runs SQL in horace's database from outside."""
        if ON_POSTGRESQL:
            psql(text, self.horace.settings["HORACE_DB_NAME"])
            return
        with contextlib.closing(sqlite3.connect(self.horace.storage / "horace.db")) as database, database:
            database.execute(text)


class Protocol(Case):
    async def test_tools_are_those_that_callers_know(self):
        listed = {tool["name"]: tool for tool in (await self.caller.request("tools/list"))["result"]["tools"]}
        self.assertEqual(list(listed), list(TOOLS))
        for name, (description, properties, required) in TOOLS.items():
            tool, schema = listed[name], listed[name]["inputSchema"]
            self.assertEqual((tool["description"], schema["type"], schema.get("required")), (description, "object", required))
            if name == "horace_search_files":  # has more than callers of old know
                more = {key: schema["properties"].pop(key) for key in ("sort_by", "order", "query")}
                nested = more["query"]["properties"]
                self.assertEqual(nested, properties | {key: more[key] for key in ("sort_by", "order")})
                self.assertEqual(more["order"]["enum"], ["asc", "desc"])
            self.assertEqual(schema["properties"], properties, name)

    async def test_arguments_that_are_not_known(self):
        file_id = await self.register_new("a.txt")
        for tool, arguments, unknown, nearest in (
            ("search_files", {}, "ownr", "owner"),
            ("search_files", {}, "query/ownr", "owner"),
            ("search_files", {"limit": 5}, "query/query", "order"),
            ("get_file_info", {"file_id": file_id}, "versions", "include_versions"),
            ("list_collections", {}, "limits", "limit"),
            ("update_file", {"file_id": file_id, "metadata": {"owner": "x"}}, "check_for_change", "check_for_changes"),
            ("restore_version", {"file_id": file_id, "version": 1}, "versions", "version"),
        ):
            outer, _, inner = unknown.partition("/")
            given = arguments | {outer: {inner: "x"} if inner else "x"}
            words = f'/{unknown}: not allowed; did you mean "{nearest}"?'
            await self.assert_refused(f"horace_{tool}", given, words)
            direct = await self.caller.request(f"horace_{tool}", given | {"_meta": {"trace_id": "t"}})
            self.assertEqual((direct["error"]["code"], direct["error"]["message"]), (INVALID_PARAMS, words))
        self.assertEqual((await self.info(file_id))["owner"], None)
        direct = await self.caller.request("horace_search_files", {"query": {"owner": None}, "_meta": {}})
        self.assertEqual(direct["result"]["total_count"], 1)

    async def test_what_is_not_known_is_named_by_what_stores(self):
        self.write_file("a.txt", "text")
        file = {"file_path": "a.txt", "metadata": {"owner": "me", "anything": {"b": 1}}, "owner": "x", "tags": None}
        self.assertEqual((await self.caller.call("horace_register_file", file))["ignored"], ["owner"])
        self.assertEqual((await self.caller.call("horace_register_file", file))["ignored"], ["owner"])
        collection = await self.caller.request("horace_create_collection", {"name": "c", "files": [], "_meta": {}})
        self.assertEqual(collection["result"]["ignored"], ["files"])

    async def test_callers_that_skip_initialize_and_direct_calls(self):
        path = str(self.write_file("a.txt", "text"))
        async with connect(self.horace.url) as ws:
            answer = await round_trip(ws, tool_call(1, "horace_register_file", file_path=path, metadata={}))
            text = json.loads(answer["result"]["content"][0]["text"])
            direct = await round_trip(ws, request(2, "horace_register_file", file_path=path, metadata={}))
            self.assertEqual(direct["result"]["file_id"], text["file_id"])
            (row,) = (await round_trip(ws, request(3, "horace_search_files", owner=None)))["result"]["results"]
            self.assertEqual(row["path"], path)
            missing = (await round_trip(ws, request(4, "horace_get_file_info", file_id=str(uuid.uuid4()))))["error"]
            self.assertEqual((missing["code"], missing["data"]), (TOOL_ERROR, {"error_code": "FILE_NOT_FOUND"}))
            self.assertEqual((await round_trip(ws, request(5, "horace_purge")))["error"]["code"], -32601)
            self.assertEqual((await round_trip(ws, request(6, "horace_restore_version", version=1)))["error"]["code"], INVALID_PARAMS)

    async def test_null_is_not_given(self):
        file_id = await self.register_new("a.txt", "text", owner=None, purpose=None, tags=None, collection=None, correlation_id=None)
        self.assertEqual((await self.info(file_id))["tags"], [])
        nothing = dict.fromkeys(TOOLS["horace_search_files"][1] | {"sort_by": 0, "order": 0})
        self.assertEqual(await self.search(**nothing), await self.search())
        self.assertEqual(await self.search(query=nothing), await self.search(query=None))
        shown = await self.caller.call("horace_get_file_info", {"file_id": file_id, "include_versions": None})
        self.assertNotIn("versions", shown)
        created = await self.create_collection("c", description=None, file_ids=None, metadata=None)
        self.assertEqual((created["description"], created["file_count"]), (None, 0))
        self.assertEqual((await self.list_collections(limit=None, offset=None))["total_count"], 1)
        changed = await self.caller.call("horace_update_file", {"file_id": file_id, "metadata": None, "check_for_changes": None})
        self.assertEqual((changed["updated_fields"], changed["version_created"]), ([], None))

    async def test_newer_callers_get_failures_as_results(self):
        async with connect(self.horace.url) as ws:
            params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
            await round_trip(ws, request(1, "initialize", **params))
            result = (await round_trip(ws, tool_call(2, "horace_register_file", file_path="nothing", metadata={})))["result"]
            self.assertTrue(result["isError"])
            self.assertIn("FILE_NOT_FOUND", json.dumps(result))


class Registering(Case):
    async def test_a_new_file_and_its_next_version(self):
        path = self.write_file("d/report.csv", "a,b\n1,2\n")
        answer = await self.register(path, owner="me", purpose="to see", tags=["x", "y", "x"], correlation_id="c-1", extra={"n": [1]})
        self.assertEqual(list(answer), ["file_id", "checksum", "size", "mime_type", "registered_at", "version"])
        self.assertEqual(uuid.UUID(answer["file_id"]).version, 7)
        self.assertRegex(answer["registered_at"], TIME)
        wanted = {"checksum": sha256(b"a,b\n1,2\n"), "size": 8, "mime_type": "text/csv", "version": 1}
        self.assertEqual({name: answer[name] for name in wanted}, wanted)
        shown = await self.info(answer["file_id"])
        self.assertEqual(list(shown), FOUND + ["status", "correlation_id", "current_version", "metadata", "versions"])
        described = {"owner": "me", "purpose": "to see", "tags": ["x", "y"], "collection": None, "status": "active",
                     "correlation_id": "c-1", "metadata": {"extra": {"n": [1]}}, "path": str(path), "current_version": 1}  # fmt: skip
        self.assertEqual({name: shown[name] for name in described}, described)
        self.assertEqual(shown["created_at"], answer["registered_at"])
        self.assertEqual(list(shown["versions"][0]), ["version", "timestamp", "size", "checksum", "path"])
        again = await self.register("d/report.csv", "a,b\n1,2\n3,4\n", owner="you", extra=None)
        self.assertEqual((again["file_id"], again["version"], again["size"]), (answer["file_id"], 2, 12))
        changed = await self.info(answer["file_id"])
        self.assertEqual(versions_of(self.horace, changed), {1: b"a,b\n1,2\n", 2: b"a,b\n1,2\n3,4\n"})
        self.assertEqual((changed["owner"], changed["purpose"], changed["created_at"]), ("you", "to see", shown["created_at"]))
        self.assertNotIn("metadata", changed)

    async def test_kinds(self):
        png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89"
        for name, data, kind in (
            ("a.txt", "some words\n", "text/plain"),
            ("a.MD", "# words\n", "text/markdown"),
            ("a.json", '{"a": 1}', "application/json"),
            ("a.csv", "a,b\n1,2\n2,3\n", "text/csv"),
            ("picture.txt", png, "image/png"),
            ("a.pdf", b"%PDF-1.4\n1 0 obj\n", "application/pdf"),
            ("a.bin", b"\0\1\2\3" * 10, "application/octet-stream"),
            ("noextension", "words again\n", "text/plain"),
        ):
            self.assertEqual((await self.register(name, data))["mime_type"], kind, name)
        self.assertEqual((await self.register("empty", ""))["size"], 0)

    async def test_kinds_of_text_go_by_the_name(self):
        """Text of any kind is text; binary data stays binary."""
        png, packet = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0", b"G\x1f\xff\x10" + bytes(184)
        for name, data, kind in (
            ("urgent.txt", "P1 outages of this week\nnone\n", "text/plain"), ("P3.md", "P3 10 20 things to do\n", "text/markdown"),
            ("formats.txt", "GIF89a is a format\n", "text/plain"), ("seven.txt", "7", "text/plain"), ("eight", "8", "text/plain"),
            ("letter.txt", "From: a@b\nTo: c@d\nSubject: e\n\nf\n", "text/plain"), ("code.txt", "#include <stdio.h>\nint a(void);\n", "text/plain"),
            ("page.txt", "<!DOCTYPE html><html></html>\n", "text/plain"), ("part.html", "<p>part\n", "text/html"),
            ("one.jsonl", '{"a":1}\n', "application/jsonl"), ("two.jsonl", '{"a":1}\n{"a":2}\n', "application/jsonl"),
            ("one.json", "1", "application/json"), ("plain.js", "let a = 1\n", "text/javascript"),
            ("module.js", "export const a = 1;\n", "text/javascript"), ("plain.ts", "let a: number = 1\n", "text/x-typescript"),
            ("module.ts", "import { a } from 'b';\nexport class C {}\n", "text/x-typescript"), ("G.ts", "G" * 1000, "text/x-typescript"),
            ("stream.ts", packet * 10, "video/mp2t"), ("cut.ts", (b"G@\0\x10" + b"\xff" * 184) * 5 + b"G", "video/mp2t"),
            ("with times.mts", (bytes(4) + packet) * 10, "video/mp2t"), ("noise.ts", b"G" + bytes(1000), "application/octet-stream"),
            ("a.py", "import os\ndef f():\n    pass\n", "text/x-python"), ("b.py", "a = 1\n", "text/x-python"),
            ("a.css", "/* none */\n", "text/css"), ("a.yaml", "a: 1\n", "application/yaml"), ("a.csv", "a\n", "text/csv"),
            ("latin.csv", "gr\u00f6\u00dfe;1\n".encode("latin-1"), "text/csv"), ("wide.csv", "a;1\n".encode("utf-16"), "text/csv"),
            ("a.svg", '<?xml version="1.0"?><svg/>', "image/svg+xml"), ("b.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
            ("a.md", png + b"\1", "image/png"), ("b.md", b"\0\1\2\3" * 11, "application/octet-stream"), ("a.pbm", "P1\n2 2\n0 1\n1 0\n", "image/x-portable-bitmap"),
            ("empty.MD", "", "text/markdown"),
        ):  # fmt: skip
            self.assertEqual((await self.register(name, data))["mime_type"], kind, name)

    async def test_kinds_of_archives_go_by_the_name(self):
        ooxml, odf = "application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument."
        for name, kind in (
            ("a.zip", "application/zip"), ("a.xyz", "application/zip"), ("a.txt", "application/zip"),
            ("a.docx", ooxml + "wordprocessingml.document"), ("a.xlsx", ooxml + "spreadsheetml.sheet"), ("a.odt", odf + "text"),
            ("a.jar", "application/java-archive"), ("a.EPUB", "application/epub+zip"),
        ):  # fmt: skip
            with zipfile.ZipFile(self.files / name, "w") as archive:  # a large picture first
                archive.writestr("picture.png", random.Random(name).randbytes(100_000))
                archive.writestr("word/document.xml", "<a/>")
            self.assertEqual((await self.register(name))["mime_type"], kind, name)
        with zipfile.ZipFile(self.files / "not a sheet.xlsx", "w") as archive:
            archive.writestr("mimetype", odf + "text")
        self.assertEqual((await self.register("not a sheet.xlsx"))["mime_type"], odf + "text")
        for name, kind in (("a.doc", "application/msword"), ("a.xls", "application/vnd.ms-excel"), ("a.ole", "application/x-ole-storage")):
            data = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600) + name.encode()
            self.assertEqual((await self.register(name, data))["mime_type"], kind, name)

    async def test_texts_of_any_characters(self):
        nasty = "'; DROP TABLE horace_files; -- \u00fc\u202e\U0001f600\"\\%_\n\x01"
        file_id = await self.register_new(f"{nasty.replace('/', '')}.txt", owner=nasty, purpose=nasty, tags=[nasty], correlation_id=nasty, **{nasty: nasty})
        shown = await self.info(file_id)
        for name in ("owner", "purpose", "correlation_id"):
            self.assertEqual(shown[name], nasty)
        self.assertEqual((shown["tags"], shown["metadata"]), ([nasty], {nasty: nasty}))
        await self.create_collection(nasty, description=nasty, file_ids=[file_id], metadata={nasty: nasty})
        self.assertEqual(len(await self.found_names(owner=nasty, tags=[nasty], collection=nasty)), 1)
        for value in ("'; DROP TABLE horace_files; --", "%", "_", "' OR '1'='1"):
            for name in ("owner", "file_type"):
                self.assertEqual(await self.found_names(**{name: value}), [])
            self.assertEqual(await self.found_names(tags=[value]), [])

    async def test_nul_becomes_the_replacement_character(self):
        file_id = await self.register_new("a.txt", owner="a\0b", purpose="\0", tags=["\0t"], correlation_id="c\0", more={"\0": ["\0"]})
        await self.create_collection("n\0", description="d\0", file_ids=[file_id], metadata={"\0": "\0"})
        shown = await self.info(file_id)
        wanted = ("a\ufffdb", "\ufffd", ["\ufffdt"], "c\ufffd", "n\ufffd")
        self.assertEqual(tuple(shown[name] for name in ("owner", "purpose", "tags", "correlation_id", "collection")), wanted)
        self.assertEqual(await self.found_names(tags=["\0t"], owner="a\0b", collection="n\0"), ["a.txt"])

    async def test_large_metadata(self):
        just = {"more": "x" * (64 * 1024 - 20)}
        file_id = await self.register_new("a.txt", **just)
        self.assertEqual((await self.info(file_id))["metadata"], just)
        huge = {"more": "x" * 64 * 1024}
        self.write_file("b.txt", "b")
        for tool, arguments in (
            ("horace_register_file", {"file_path": "b.txt", "metadata": huge}),
            ("horace_update_file", {"file_id": file_id, "metadata": huge}),
            ("horace_update_file", {"file_id": file_id, "metadata": {"another": "x" * 100}}),
        ):
            await self.assert_refused(tool, arguments, "larger than 64 KiB", error_code="METADATA_TOO_LARGE")
        await self.assert_refused("horace_create_collection", {"name": "c", "metadata": huge}, "too large")
        self.assertEqual(await self.found_names(), ["a.txt"])
        self.assertEqual((await self.info(file_id))["metadata"], just)

    async def test_names_that_cannot_be_written_as_text(self):
        with open(os.path.join(os.fsencode(self.files), b"not\xff"), "wb") as file:
            file.write(b"x")
        (self.files / "link").symlink_to(os.fsdecode(b"not\xff"))
        await self.assert_refused("horace_register_file", {"file_path": "link", "metadata": {}}, "UTF-8", error_code="INVALID_PATH")
        self.assertEqual(await self.found_names(), [])

    async def test_wrong_arguments(self):
        self.write_file("a", "a")
        long = "x" * 257
        for metadata, words in (
            (None, "metadata"), ([], "metadata"), ("x", "metadata"), (7, "metadata"),
            ({"owner": 7}, "owner"), ({"owner": long}, "owner is too long"), ({"purpose": "x" * 4097}, "purpose is too long"),
            ({"correlation_id": "x" * 129}, "correlation_id is too long"), ({"correlation_id": {}}, "correlation_id"),
            ({"tags": "x"}, "tags"), ({"tags": [1]}, "tags"), ({"tags": [None]}, "tags"), ({"tags": [""]}, "tags must be"),
            ({"tags": ["x" * 129]}, "tags must be"), ({"tags": [str(n) for n in range(65)]}, "tags has more than 64"),
            ({"collection": 1}, "collection"), ({"collection": ["c"]}, "collection"),
        ):  # fmt: skip
            await self.assert_refused("horace_register_file", {"file_path": "a", "metadata": metadata}, words)
        for arguments, words in (({"metadata": {}}, "file_path"), ({"file_path": "a"}, "metadata"), ({"file_path": 1, "metadata": {}}, "file_path"),
                                 ({}, "required")):  # fmt: skip
            await self.assert_refused("horace_register_file", arguments, words)
        for collection in ("none", str(uuid.uuid4())):
            await self.assert_refused("horace_register_file", {"file_path": "a", "metadata": {"collection": collection}}, "no such collection",
                                      error_code="COLLECTION_NOT_FOUND")  # fmt: skip
        for path, code in (("nothing", "FILE_NOT_FOUND"), ("a/b", "FILE_NOT_FOUND"), ("", "INVALID_PATH"), (".", "INVALID_PATH"),
                           ("/etc/passwd", "INVALID_PATH"), ("../horace.db", "INVALID_PATH"), ("a\0", "INVALID_PATH")):  # fmt: skip
            await self.assert_refused("horace_register_file", {"file_path": path, "metadata": {}}, "", error_code=code)
        self.assertEqual(await self.found_names(status="all"), [])
        self.assertEqual(os.listdir(self.horace.storage / VERSIONS), [])


class Duplicates(Case):
    async def test_the_same_again(self):
        file_id = await self.register_new("a.txt", "text", owner="me")
        for metadata in ({}, {"owner": "me"}, {"owner": None, "purpose": None}):
            again = await self.register("a.txt", **metadata)
            self.assertEqual((again["file_id"], set(again)), (file_id, {"file_id", "message"}))
        self.assertNotIn("other_paths", await self.info(file_id))

    async def test_what_is_said_of_known_bytes_is_named(self):
        await self.caller.call("horace_create_collection", {"name": "c"})
        held = {"owner": "me", "purpose": "p", "tags": ["x", "y"], "collection": "c", "correlation_id": "1",
                "kept": {"a": [1, 2.5, None]}, "big": 10**30}  # fmt: skip
        file_id = await self.register_new("a.txt", "text", **held)
        other = {"owner": "you", "tags": ["y", "x"], "kept": {"a": [1]}, "more": 1}
        self.write_file("b.txt", "text")
        for name in ("a.txt", "b.txt"):
            for metadata, ignored in ((held, None), (other, list(other)), (held | {"purpose": "q"}, ["purpose"])):
                answer = await self.register(name, **metadata)
                self.assertEqual((answer["file_id"], answer.get("ignored")), (file_id, ignored), metadata)
        arguments = {"file_path": "b.txt", "metadata": {"owner": "you"}, "tags": ["z"], "_meta": {}}
        direct = await self.caller.request("horace_register_file", arguments)
        self.assertEqual(direct["result"]["ignored"], ["tags", "owner"])
        self.assertEqual((await self.info(file_id))["owner"], "me")

    async def test_a_file_that_was_renamed_keeps_its_history(self):
        file_id = await self.register_new("draft.txt", "one", owner="me")
        (self.files / "draft.txt").rename(self.files / "final.md")
        answer = await self.register("final.md", owner="you")
        self.assertEqual((answer["file_id"], answer["ignored"]), (file_id, ["owner"]))
        info = await self.info(file_id)
        self.assertEqual((info["path"], info["mime_type"], info["owner"]), (str(self.files / "final.md"), "text/markdown", "me"))
        self.assertNotIn("other_paths", info)
        self.assertEqual(await self.found_names(file_type="md"), ["final.md"])
        changed = await self.register("final.md", "two")
        self.assertEqual((changed["file_id"], changed["version"]), (file_id, 2))
        restored = await self.caller.call("horace_restore_version", {"file_id": file_id, "version": 1})
        self.assertEqual(restored["current_path"], str(self.files / "final.md"))
        self.assertEqual((self.files / "final.md").read_text(), "one")
        other = await self.register_new("draft.txt", "of its own")
        self.assertNotEqual(other, file_id)

    async def test_renamed_to_where_its_copy_was(self):
        file_id = await self.register_new("a/one.txt", "text")
        await self.register("b/one.txt", "text")
        await self.register("c/one.txt", "text")
        shutil.rmtree(self.files / "a")
        self.assertEqual((await self.register("b/one.txt"))["file_id"], file_id)
        info = await self.info(file_id)
        self.assertEqual((info["path"], info["other_paths"]), (str(self.files / "b/one.txt"), [str(self.files / "c/one.txt")]))
        self.assertEqual((await self.register("b/one.txt", "changed"))["version"], 2)

    async def test_renamed_onto_the_path_of_another(self):
        file_id, other = await self.register_new("a.txt", "text"), await self.register_new("b.txt", "other")
        (self.files / "a.txt").replace(self.files / "b.txt")
        changed = await self.register("b.txt")
        self.assertEqual((changed["file_id"], changed["version"]), (other, 2))
        self.assertEqual((await self.info(file_id))["path"], str(self.files / "a.txt"))

    async def test_renamed_to_where_a_deleted_file_was(self):
        for name, gone in (("onto", False), ("free", True)):
            renamed, deleted = await self.register_new(f"{name}.txt", f"{name} 1"), await self.register_new(f"d {name}.txt", f"{name} old")
            await self.register(f"{name}.txt", f"{name} 2")
            await self.update(deleted, status="deleted")
            if gone:
                (self.files / f"d {name}.txt").unlink()
            (self.files / f"{name}.txt").replace(self.files / f"d {name}.txt")
            self.assertEqual((await self.register(f"d {name}.txt"))["file_id"], renamed)
            shown, left = await self.info(renamed), await self.info(deleted)
            self.assertEqual((shown["path"], shown["status"]), (str(self.files / f"d {name}.txt"), "active"))
            self.assertEqual(versions_of(self.horace, shown), {1: f"{name} 1".encode(), 2: f"{name} 2".encode()})
            self.assertEqual((left["status"], versions_of(self.horace, left)), ("deleted", {1: f"{name} old".encode()}))
            back = {"file_id": deleted, "metadata": {"status": "active"}}
            await self.assert_refused("horace_update_file", back, "path", error_code="PATH_TAKEN")
            self.assertEqual((await self.register(f"d {name}.txt", f"{name} 3"))["version"], 3)
            (self.files / f"d {name}.txt").rename(self.files / f"{name} again.txt")
            self.assertEqual((await self.register(f"{name} again.txt"))["file_id"], renamed)
            await self.update(deleted, status="active")
            await self.caller.call("horace_restore_version", {"file_id": deleted, "version": 1})
            self.assertEqual((self.files / f"d {name}.txt").read_text(), f"{name} old")
        deleted = await self.register_new("e.txt", "its own")
        await self.update(deleted, status="deleted")
        await self.register("f.txt", "a copy's")
        self.assertEqual((await self.register("e.txt", "a copy's"))["file_id"], deleted, "f.txt is still there")

    async def test_a_directory_that_was_renamed(self):
        """Each file keeps its versions, whichever is registered first, even if their bytes have become equal."""
        ids = {name: await self.register_new(f"was/{name}", f"bytes of {name}") for name in "abc"}
        for name in "bc":
            await self.register(f"was/{name}", "bytes of a")
        (self.files / "was").rename(self.files / "is")
        for name in "cab":
            self.assertEqual((await self.register(f"is/{name}"))["file_id"], ids[name])
        for name, file_id in ids.items():
            self.assertEqual((await self.info(file_id))["path"], str(self.files / "is" / name))

    async def test_at_very_many_paths(self):
        file_id = await self.register_new("empty", "")
        for number in range(101):
            await self.register(f"{number:03}", "")
        self.assertEqual(len((await self.info(file_id))["other_paths"]), 100)

    async def test_at_another_path_which_is_kept(self):
        file_id = await self.register_new("a.txt", "text")
        for name in ("z/copy.txt", "b.txt", "b.txt"):
            answer = await self.register(name, "text")
            self.assertEqual((answer["file_id"], set(answer)), (file_id, {"file_id", "message"}))
        others = [str(self.files / "b.txt"), str(self.files / "z/copy.txt")]
        self.assertEqual((await self.info(file_id))["other_paths"], others)
        (row,) = (await self.search())["results"]
        self.assertEqual((row["path"], row["other_paths"]), (str(self.files / "a.txt"), others))
        await self.restart()
        self.assertEqual((await self.info(file_id))["other_paths"], others)

    async def test_changed_at_the_other_path(self):
        file_id = await self.register_new("a.txt", "text")
        await self.register("b.txt", "text")
        other = await self.register_new("b.txt", "of its own")
        self.assertNotEqual(other, file_id)
        self.assertNotIn("other_paths", await self.info(file_id))
        await self.register("b.txt", "text")
        self.assertEqual((await self.info(other))["versions"][0]["version"], 2, "a file keeps its own path")

    async def test_changed_at_its_own_path(self):
        file_id = await self.register_new("a.txt", "text")
        await self.register("b.txt", "text")
        self.assertEqual((await self.register("a.txt", "more text"))["version"], 2)
        other = await self.register("b.txt")
        self.assertEqual((set(other), other["version"]), (REGISTERED, 1), "these bytes are no file's current ones any more")
        self.assertNotEqual(other["file_id"], file_id)
        self.assertNotIn("other_paths", await self.info(file_id))

    async def test_deleted_and_registered_again(self):
        file_id = await self.register_new("a.txt", "text")
        await self.update(file_id, status="deleted")
        again = await self.register("a.txt", owner="you")
        self.assertEqual((again["file_id"], again["version"]), (file_id, 1))
        shown = await self.info(file_id)
        self.assertEqual((shown["status"], shown["owner"]), ("active", "you"))
        await self.update(file_id, status="deleted")
        self.assertEqual((await self.register("a.txt", "changed"))["version"], 2)
        self.assertEqual(versions_of(self.horace, await self.info(file_id)), {1: b"text", 2: b"changed"})

    async def test_the_bytes_of_a_deleted_file_at_another_path(self):
        await self.register("a.txt", "text")
        await self.register("b.txt", "text")
        (row,) = (await self.search())["results"]
        await self.update(row["file_id"], status="deleted")
        for name in ("b.txt", "c.txt"):
            answer = await self.register(name, "text")
            self.assertNotEqual(answer["file_id"], row["file_id"])
        self.assertEqual(await self.found_names(), ["b.txt"])

    async def test_pairs_at_once_become_one_file_each(self):
        other = await self.enterAsyncContext(Caller(self.horace.url))
        for number in range(20):
            for name in ("one", "two"):
                self.write_file(f"{number}/{name}", f"bytes {number}" * 1000)

        async def pair(number):
            calls = [
                caller.call("horace_register_file", {"file_path": f"{number}/{name}", "metadata": {}})
                for caller, name in ((self.caller, "one"), (other, "two"))
            ]
            answers = await asyncio.gather(*calls)
            self.assertEqual(len({answer["file_id"] for answer in answers}), 1)
            self.assertEqual(sorted("message" in answer for answer in answers), [False, True])

        await asyncio.gather(*(pair(number) for number in range(20)))
        rows = (await self.search())["results"]
        self.assertEqual([len(row["other_paths"]) for row in rows], [1] * 20)
        await snapshot(self.caller, self.horace)

    async def test_one_path_by_many_at_once(self):
        path = str(self.write_file("a.txt", "text" * 1000))
        answers = await asyncio.gather(*(self.register(path) for _ in range(20)))
        self.assertEqual(len({answer["file_id"] for answer in answers}), 1)
        self.assertEqual(sum("version" in answer for answer in answers), 1)
        await snapshot(self.caller, self.horace)


class Searching(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        await self.create_collection("c")
        self.ids = {}
        for name, data, more in (
            ("a.txt", "1" * 10, {"owner": "ann", "tags": ["x", "y"], "collection": "c"}),
            ("b.CSV", "a,b\n" * 5, {"owner": "bob", "tags": ["x"]}),
            ("c.json", '{"a":1}', {"owner": "ann", "tags": ["y", "z"], "collection": "c"}),
            ("d.md", "4" * 40, {}),
        ):
            self.ids[name] = await self.register_new(name, data, **more)
        self.times = {Path(row["path"]).name: row["created_at"] for row in (await self.search())["results"]}
        await self.update(await self.register_new("old.txt"), status="archived")
        await self.update(await self.register_new("gone.txt"), status="deleted")

    async def test_the_whole_answer(self):
        answer = await self.search(owner="bob")
        self.assertEqual(list(answer), ["total_count", "results", "limit", "offset"])
        (row,) = answer["results"]
        self.assertEqual(list(row), FOUND)
        shown = await self.info(self.ids["b.CSV"])
        self.assertEqual(row, {name: shown[name] for name in FOUND})
        self.assertEqual((answer["limit"], answer["offset"]), (50, 0))

    async def test_each_filter_flat_nested_and_both(self):
        a, b, c, d = "a.txt", "b.CSV", "c.json", "d.md"
        newest_first = [d, c, b, a]
        collection_id = (await self.list_collections())["collections"][0]["collection_id"]
        first, today = min(self.times.values())[:10], max(self.times.values())[:10]
        yesterday = str(datetime.date.fromisoformat(first) - datetime.timedelta(days=1))
        for arguments, wanted in (
            ({}, newest_first),
            ({"tags": ["x"]}, [b, a]), ({"tags": ["y", "x"]}, [a]), ({"tags": ["x", "x"]}, [b, a]), ({"tags": ["x", "z"]}, []),
            ({"tags": []}, newest_first), ({"tags": ["X"]}, []), ({"tags": [str(n) for n in range(16)]}, []),
            ({"owner": "ann"}, [c, a]), ({"owner": "Ann"}, []),
            ({"created_after": self.times[b]}, [d, c, b]), ({"created_before": self.times[b]}, [b, a]),
            ({"created_after": self.times[b], "created_before": self.times[c]}, [c, b]),
            ({"created_after": first, "created_before": today}, newest_first), ({"created_before": yesterday}, []),
            ({"created_after": "2020-01-01"}, newest_first), ({"created_before": "2020-01-01T00:00:00+02:00"}, []),
            ({"file_type": "text/csv"}, [b]), ({"file_type": "text/*"}, [d, b, a]), ({"file_type": "csv"}, [b]),
            ({"file_type": ".csv"}, [b]), ({"file_type": "CSV"}, [b]), ({"file_type": "cs"}, []), ({"file_type": "image/*"}, []),
            ({"file_type": "text/c*"}, []), ({"file_type": "/*"}, []), ({"file_type": "."}, []),
            ({"min_size": 20}, [d, b]), ({"max_size": 20}, [c, b, a]), ({"min_size": 20, "max_size": 20}, [b]),
            ({"min_size": 21, "max_size": 20}, []), ({"min_size": 0, "max_size": 2**53}, newest_first), ({"max_size": 0}, []),
            ({"collection": "c"}, [c, a]), ({"collection": collection_id}, [c, a]),
            ({"status": "active"}, newest_first), ({"status": "archived"}, ["old.txt"]), ({"status": "deleted"}, ["gone.txt"]),
            ({"status": "all"}, ["gone.txt", "old.txt", *newest_first]),
            ({"tags": ["y"], "owner": "ann", "collection": "c", "file_type": "json", "min_size": 1, "status": "active"}, [c]),
        ):  # fmt: skip
            with self.subTest(arguments):
                self.assertEqual(await self.found_names(**arguments), wanted)
                self.assertEqual(await self.found_names(query=arguments), wanted)
                halves = dict(list(arguments.items())[1:])
                self.assertEqual(await self.found_names(query=dict(list(arguments.items())[:1]), **halves), wanted)
        self.assertEqual(await self.found_names(owner="bob", query={"owner": "ann"}), [c, a], "query wins")
        self.assertEqual(await self.found_names(owner="bob", query={"owner": None}), [b])

    async def test_orders(self):
        await self.register("a.txt", "1" * 15)
        a, b, c, d = "a.txt", "b.CSV", "c.json", "d.md"
        for sort_by, ascending in (
            ("created_at", [a, b, c, d]), ("updated_at", [b, c, d, a]), ("size", [c, a, b, d]), ("path", [a, b, c, d]),
            ("mime_type", [c, b, d, a]), ("version", [b, c, d, a]),
        ):  # fmt: skip
            with self.subTest(sort_by):
                self.assertEqual(await self.found_names(sort_by=sort_by, order="asc"), ascending)
                self.assertEqual(await self.found_names(sort_by=sort_by), ascending[::-1])
                self.assertEqual(await self.found_names(query={"sort_by": sort_by, "order": "desc"}), ascending[::-1])
        self.assertEqual(await self.found_names(sort_by="owner", order="asc"), [a, c, b, d])
        self.assertEqual(await self.found_names(sort_by="owner"), [b, c, a, d], "without an owner: last")
        self.assertEqual(await self.found_names(order="asc"), [a, b, c, d])

    async def test_pages(self):
        for limit in (1, 3, 1000):
            names, offset = [], 0
            while page := (await self.search(limit=limit, offset=offset, sort_by="path", order="asc"))["results"]:
                self.assertLessEqual(len(page), limit)
                names, offset = names + [Path(row["path"]).name for row in page], offset + len(page)
            self.assertEqual(names, ["a.txt", "b.CSV", "c.json", "d.md"])
        answer = await self.search(query={"limit": 2}, offset=3)
        self.assertEqual((answer["total_count"], len(answer["results"]), answer["limit"], answer["offset"]), (4, 1, 2, 3))
        self.assertEqual((await self.search(offset=2**53))["results"], [])

    async def test_wrong_arguments(self):
        for arguments, words in (
            ({"limit": 0}, "limit must be from 1 to 1000"), ({"limit": 1001}, "limit must be"), ({"limit": -1}, "limit must be"),
            ({"limit": "5"}, "limit"), ({"limit": 1.5}, "limit"), ({"limit": 10**30}, "limit"), ({"offset": -1}, "offset must be"),
            ({"offset": 10**30}, "offset"), ({"min_size": -1}, "min_size must be"), ({"max_size": -1}, "max_size must be"),
            ({"max_size": "big"}, "max_size"), ({"created_after": "yesterday"}, "created_after is not a time"),
            ({"created_before": ""}, "created_before is not a time"), ({"created_before": "2025-02-30"}, "created_before is not a time"),
            ({"created_after": 5}, "created_after"), ({"status": "gone"}, "status must be active, archived, deleted or all"),
            ({"status": ""}, "status must be"), ({"status": "all\0"}, "status must be"), ({"status": 1}, "status"),
            ({"tags": "x"}, "tags"), ({"tags": [1]}, "tags"), ({"tags": [str(n) for n in range(17)]}, "tags has more than 16 items"),
            ({"owner": "x" * 257}, "owner is longer than 256 bytes"), ({"owner": ["me"]}, "owner"),
            ({"file_type": ""}, "file_type is empty"), ({"file_type": "x" * 127}, "file_type is longer"), ({"file_type": 1}, "file_type"),
            ({"collection": 1}, "collection"), ({"sort_by": "name"}, "sort_by"), ({"order": "up"}, "order"),
        ):  # fmt: skip
            await self.assert_refused("horace_search_files", arguments, words)
            await self.assert_refused("horace_search_files", {"query": arguments}, words)
        for query in ("text", [], 1):
            await self.assert_refused("horace_search_files", {"query": query}, "query")
        for collection in ("none", "", str(uuid.uuid4())):
            await self.assert_refused("horace_search_files", {"collection": collection}, "no such", error_code="COLLECTION_NOT_FOUND")


class Changing(Case):
    async def test_metadata_field_by_field(self):
        file_id = await self.register_new("a.txt", owner="me", purpose="p", tags=["x", "y"], correlation_id="c", kept=1, gone=2)
        before = await self.info(file_id)
        answer = await self.update(file_id, owner="you", tags=["z"], purpose=None, gone=None, added=[True, None], correlation_id="")
        wanted = {"file_id": file_id, "version_created": None, "current_version": 1,
                  "updated_fields": ["owner", "tags", "purpose", "gone", "added", "correlation_id"]}  # fmt: skip
        self.assertEqual(answer, wanted)
        self.assertEqual(list(answer), ["file_id", "updated_fields", "version_created", "current_version"])
        shown = await self.info(file_id)
        changed = {"owner": "you", "tags": ["z"], "purpose": None, "correlation_id": None, "metadata": {"kept": 1, "added": [True, None]}}
        self.assertEqual(shown, before | changed | {"updated_at": shown["updated_at"]})
        self.assertGreater(shown["updated_at"], before["updated_at"])
        self.assertEqual(await self.found_names(tags=["x"]), [])
        self.assertEqual(await self.found_names(tags=["z"]), ["a.txt"])

    async def test_a_number_that_no_double_holds_freezes_nothing(self):
        file_id = await self.register_new("a.txt", owner="me")
        params = {"name": "horace_update_file", "arguments": {"file_id": file_id, "metadata": {"n": 77}}}
        asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        for number in ("1e400", "1e300000"):
            async with connect(self.horace.url) as ws:
                answer = await round_trip(ws, asked.replace(": 77}", f": {number}}}"))
            self.assertTrue("result" in answer or answer["error"]["code"] == INVALID_PARAMS, answer)
            self.assertEqual((await self.update(file_id, purpose="later"))["updated_fields"], ["purpose"])
        self.assertEqual((await self.info(file_id))["owner"], "me")
        self.assertEqual(http_get(self.horace.port, path="/readyz").status, 200)

    async def test_versions_checked_for_and_restored(self):
        file_id = await self.register_new("a.txt", "one")
        self.assertEqual((await self.update(file_id, check=True))["version_created"], None)
        self.write_file("a.txt", "two")
        self.assertEqual((await self.update(file_id, check=False))["version_created"], None)
        answer = await self.update(file_id, check=True, owner="me")
        self.assertEqual((answer["version_created"], answer["current_version"], answer["updated_fields"]), (2, 2, ["owner"]))
        restored = await self.restore(file_id, 1)
        self.assertEqual(list(restored), ["file_id", "restored_to_version", "new_version_created", "current_path"])
        path = str(self.files / "a.txt")
        self.assertEqual(restored, {"file_id": file_id, "restored_to_version": 1, "new_version_created": 3, "current_path": path})
        self.write_file("a.txt", "not registered")
        self.assertEqual((await self.restore(file_id, 2))["new_version_created"], 5)
        wanted = {1: b"one", 2: b"two", 3: b"one", 4: b"not registered", 5: b"two"}
        self.assertEqual(versions_of(self.horace, await self.info(file_id)), wanted)
        self.assertEqual((self.files / "a.txt").read_bytes(), b"two")
        await self.restore(file_id, 5)
        self.assertNotIn(1, versions_of(self.horace, await self.info(file_id)))
        await self.assert_refused("horace_restore_version", {"file_id": file_id, "version": 1}, "version 1", error_code="VERSION_NOT_FOUND")

    async def test_a_file_that_is_gone_is_brought_back(self):
        file_id = await self.register_new("d/a.txt", "one")
        shutil.rmtree(self.files / "d")
        for arguments in ({"check_for_changes": True}, {"metadata": {"status": "archived"}}):
            await self.assert_refused("horace_update_file", {"file_id": file_id} | arguments, "horace_restore_version", error_code="FILE_MISSING")
        self.assertEqual((await self.info(file_id))["status"], "active")
        await self.restore(file_id, 1)
        self.assertEqual((self.files / "d/a.txt").read_bytes(), b"one")

    async def test_a_version_that_is_damaged(self):
        file_id = await self.register_new("a.txt", "one")
        await self.register("a.txt", "two")
        kept = self.horace.storage / self.horace.version_path(file_id, 1)
        for damage in (lambda: kept.write_bytes(b"on3"), kept.unlink):
            damage()
            await self.assert_refused("horace_restore_version", {"file_id": file_id, "version": 1}, "damaged", error_code="VERSION_DAMAGED")
            self.assertEqual((self.files / "a.txt").read_bytes(), b"two")
            self.assertEqual((await self.info(file_id))["current_version"], 2)
        self.horace.wait_idle()

    async def test_mode_is_kept(self):
        file_id = await self.register_new("a.txt", "one")
        self.write_file("a.txt", "two").chmod(0o751)
        await self.restore(file_id, 1)
        self.assertEqual((self.files / "a.txt").stat().st_mode & 0o7777, 0o751)

    async def test_wrong_arguments(self):
        file_id = await self.register_new("a.txt")
        for wrong in ("", "x", "a.txt", file_id[:-1], file_id + "0", str(uuid.uuid4()), "\0", "' OR 1=1"):
            for tool, more in (("get_file_info", {}), ("update_file", {"metadata": {}}), ("restore_version", {"version": 1})):
                await self.assert_refused(f"horace_{tool}", {"file_id": wrong} | more, "", error_code="FILE_NOT_FOUND")
        for tool, arguments, words in (
            ("get_file_info", {}, "file_id"), ("get_file_info", {"file_id": 1}, "file_id"),
            ("get_file_info", {"file_id": file_id, "include_versions": "yes"}, "include_versions"),
            ("update_file", {"metadata": {}}, "file_id"), ("update_file", {"file_id": file_id, "metadata": []}, "metadata"),
            ("update_file", {"file_id": file_id, "check_for_changes": 1}, "check_for_changes"),
            ("update_file", {"file_id": file_id, "metadata": {"owner": 1}}, "owner must be a text"),
            ("update_file", {"file_id": file_id, "metadata": {"purpose": []}}, "purpose must be a text"),
            ("update_file", {"file_id": file_id, "metadata": {"tags": "x"}}, "tags must be an array of texts"),
            ("update_file", {"file_id": file_id, "metadata": {"tags": {"a": 1}}}, "tags must be an array of texts"),
            ("update_file", {"file_id": file_id, "metadata": {"tags": ["x", 1]}}, "tags must be texts of 1 to 128 bytes"),
            ("update_file", {"file_id": file_id, "metadata": {"status": "gone"}}, "status must be active, archived or deleted"),
            ("update_file", {"file_id": file_id, "metadata": {"status": None}}, "status must be"),
            ("update_file", {"file_id": file_id, "metadata": {"collection": 1}}, "collection must be a text"),
            ("restore_version", {"file_id": file_id}, "version"), ("restore_version", {"file_id": file_id, "version": "1"}, "version"),
            ("restore_version", {"file_id": file_id, "version": 0}, "version must be"),
            ("restore_version", {"file_id": file_id, "version": -1}, "version must be"),
            ("restore_version", {"file_id": file_id, "version": 1.5}, "version"),
            ("restore_version", {"file_id": file_id, "version": 2**40}, "version must be"),
        ):  # fmt: skip
            await self.assert_refused(f"horace_{tool}", arguments, words)
        await self.assert_refused("horace_restore_version", {"file_id": file_id, "version": 2}, "version 2", error_code="VERSION_NOT_FOUND")
        await self.assert_refused("horace_update_file", {"file_id": file_id, "metadata": {"collection": "none", "owner": "me"}}, "no such",
                                  error_code="COLLECTION_NOT_FOUND")  # fmt: skip
        self.assertIsNone((await self.info(file_id))["owner"], "nothing of what is refused is done")


class Collections(Case):
    async def test_created_and_updated(self):
        ids = [await self.register_new(name) for name in ("a", "b", "c")]
        created = await self.create_collection("reports", description="all of them", file_ids=ids[:2], metadata={"k": 1})
        self.assertEqual(list(created), ["collection_id", "name", "description", "file_count", "created_at", "metadata"])
        self.assertEqual((created["name"], created["description"], created["file_count"]), ("reports", "all of them", 2))
        self.assertRegex(created["created_at"], TIME)
        again = await self.create_collection("reports", file_ids=[ids[2], ids[2]])
        self.assertEqual(again, created | {"file_count": 3})
        changed = await self.create_collection("reports", description="", metadata={})
        self.assertEqual((changed["collection_id"], changed["file_count"]), (created["collection_id"], 3))
        self.assertEqual((changed["description"] or "", changed.get("metadata", {})), ("", {}))
        self.assertEqual((await self.info(ids[0]))["collection"], "reports")
        other = await self.create_collection("others", file_ids=ids[:1])
        self.assertEqual((other["file_count"], await self.found_names(collection="others")), (1, ["a"]))
        await self.update(ids[1], collection=None)
        await self.update(ids[2], collection=other["collection_id"])
        self.assertEqual(await self.found_names(collection="reports"), [])
        self.assertEqual({row["name"]: row["file_count"] for row in (await self.list_collections())["collections"]}, {"others": 2, "reports": 0})
        await self.update(ids[2], collection="")
        self.assertIsNone((await self.info(ids[2]))["collection"])

    async def test_pages(self):
        for number in range(7):
            await self.create_collection(f"c{number}")
        names, offset = [], 0
        while page := (await self.list_collections(limit=3, offset=offset))["collections"]:
            names, offset = names + [row["name"] for row in page], offset + 3
        self.assertEqual(names, [f"c{number}" for number in range(7)])
        answer = await self.list_collections(limit=1)
        self.assertEqual((list(answer), answer["total_count"]), (["total_count", "collections"], 7))
        for arguments, words in (({"limit": 0}, "limit must be"), ({"limit": 1001}, "limit must be"), ({"offset": -1}, "offset must be"),
                                 ({"limit": "all"}, "limit")):  # fmt: skip
            await self.assert_refused("horace_list_collections", arguments, words)

    async def test_one_that_is_called_as_another_ones_id(self):
        one = await self.caller.call("horace_create_collection", {"name": "one", "description": "first"})
        other = await self.caller.call("horace_create_collection", {"name": one["collection_id"]})
        self.assertNotEqual(other["collection_id"], one["collection_id"])
        self.assertEqual((other["name"], other["description"]), (one["collection_id"], None))

    async def test_an_unknown_file_changes_nothing(self):
        known = await self.register_new("a")
        await self.create_collection("old", description="as it was")
        for name in ("old", "new"):
            for wrong in (str(uuid.uuid4()), "no id", ""):
                arguments = {"name": name, "description": "changed", "file_ids": [known, wrong]}
                await self.assert_refused("horace_create_collection", arguments, "", error_code="FILE_NOT_FOUND")
        (row,) = (await self.list_collections())["collections"]
        self.assertEqual((row["name"], row["description"], row["file_count"]), ("old", "as it was", 0))
        self.assertIsNone((await self.info(known))["collection"])

    async def test_wrong_arguments(self):
        for arguments, words in (
            ({}, "name"), ({"name": None}, "name"), ({"name": 1}, "name"), ({"name": ""}, "name is empty"), ({"name": "x" * 257}, "name is longer"),
            ({"name": "c", "description": "x" * 4097}, "description is longer"), ({"name": "c", "description": 1}, "description"),
            ({"name": "c", "file_ids": "x"}, "file_ids"), ({"name": "c", "file_ids": [1]}, "file_ids"),
            ({"name": "c", "file_ids": [str(uuid.uuid4())] * 1001}, "file_ids has more than 1000"),
            ({"name": "c", "metadata": "x"}, "metadata"), ({"name": "c", "metadata": []}, "metadata"),
        ):  # fmt: skip
            await self.assert_refused("horace_create_collection", arguments, words)
        self.assertEqual((await self.list_collections())["total_count"], 0)

    async def test_one_name_by_many_at_once(self):
        answers = await asyncio.gather(*(self.create_collection("same", description=str(number)) for number in range(20)))
        self.assertEqual(len({answer["collection_id"] for answer in answers}), 1)
        self.assertEqual((await self.list_collections())["total_count"], 1)


class States(Case):
    async def status(self, file_id):
        return (await self.info(file_id))["status"]

    async def test_to_the_archive_and_back(self):
        file_id = await self.register_new("d/a.txt", "text", tags=["t"])
        answer = await self.update(file_id, status="archived")
        self.assertEqual(answer["updated_fields"], ["status"])
        archived = self.horace.storage / self.horace.archive_path(file_id)
        self.assertEqual(archived.read_bytes(), b"text")
        self.assertFalse((self.files / "d/a.txt").exists())
        self.assertEqual((await self.found_names(), await self.found_names(status="archived")), ([], ["a.txt"]))
        await self.update(file_id, status="archived")
        await self.assert_refused("horace_restore_version", {"file_id": file_id, "version": 1}, "archived", error_code="INVALID_STATE")
        await self.restart()
        await self.update(file_id, status="active")
        self.assertFalse(archived.exists())
        self.assertEqual((self.files / "d/a.txt").read_bytes(), b"text")
        self.assertEqual(await self.found_names(tags=["t"]), ["a.txt"])
        await snapshot(self.caller, self.horace)

    async def test_the_path_of_an_archived_file_is_free(self):
        file_id = await self.register_new("a.txt", "old")
        await self.update(file_id, status="archived")
        self.write_file("a.txt", "new")
        refused = {"file_id": file_id, "metadata": {"status": "active"}}
        await self.assert_refused("horace_update_file", refused, "path", error_code="PATH_TAKEN")
        other = await self.register_new("a.txt", "new")
        self.assertNotEqual(other, file_id)
        await self.assert_refused("horace_update_file", refused, "path", error_code="PATH_TAKEN")
        (self.files / "a.txt").unlink()
        await self.assert_refused("horace_update_file", refused, "path", error_code="PATH_TAKEN")
        self.assertEqual((await self.status(file_id), await self.status(other)), ("archived", "active"))
        await self.restore(other, 1)
        await self.update(other, status="archived")
        await self.update(file_id, status="active")
        self.assertEqual((self.files / "a.txt").read_bytes(), b"old")
        self.horace.wait_idle()

    async def test_the_bytes_of_an_archived_file_are_known(self):
        file_id = await self.register_new("a.txt", "text")
        await self.update(file_id, status="archived")
        answer = await self.register("b.txt", "text")
        self.assertEqual((answer["file_id"], set(answer)), (file_id, {"file_id", "message"}))

    async def test_deleted_and_back(self):
        file_id = await self.register_new("a.txt", "text")
        await self.create_collection("c", file_ids=[file_id])
        await self.update(file_id, status="deleted")
        self.assertTrue((self.files / "a.txt").exists())
        self.assertEqual((await self.found_names(), await self.found_names(status="deleted")), ([], ["a.txt"]))
        self.assertEqual((await self.list_collections())["collections"][0]["file_count"], 0)
        await self.assert_refused("horace_restore_version", {"file_id": file_id, "version": 1}, "deleted", error_code="INVALID_STATE")
        await self.update(file_id, status="active")
        self.assertEqual(await self.found_names(collection="c"), ["a.txt"])
        await self.update(file_id, status="archived")
        await self.update(file_id, status="deleted")
        self.assertTrue((self.horace.storage / self.horace.archive_path(file_id)).exists())
        await self.update(file_id, status="active")
        self.assertEqual((self.files / "a.txt").read_bytes(), b"text")

    async def test_thirty_days_later(self):
        for name in ("a", "b", "c", "d"):
            await self.register_new(name, owner=name, tags=["t"])
        await self.register("copy of a", "bytes of a")
        ids = {row["owner"]: row["file_id"] for row in (await self.search())["results"]}
        await self.create_collection("c", file_ids=[ids["a"]])
        await self.update(ids["c"], status="archived")
        for file_id in ids.values():
            await self.update(file_id, status="deleted")
        self.horace.program.stop()
        self.write_file("b", "somebody else's by now")
        almost = int((time.time() - 30 * 86400 + 3600) * 1e6)
        self.sql("UPDATE horace_files SET deleted_at = " + ("'2020-01-01'" if ON_POSTGRESQL else "1"))
        when = f"to_timestamp({almost / 1e6})" if ON_POSTGRESQL else str(almost)
        self.sql(f"UPDATE horace_files SET deleted_at = {when} WHERE owner = 'd'")
        await self.restart()
        for name in ("a", "b", "c"):
            self.horace.program.wait_for(rf"removed {name} \({ids[name]}\)")
        self.assertEqual(await self.found_names(status="all"), ["d"])
        await self.assert_refused("horace_get_file_info", {"file_id": ids["a"]}, "", error_code="FILE_NOT_FOUND")
        state = await snapshot(self.caller, self.horace)  # and no version or archived file is left
        self.assertEqual(set(state["files"]), {f"{FILES}/{name}" for name in ("b", "d", "copy of a")})
        self.assertEqual((self.files / "b").read_bytes(), b"somebody else's by now")
        self.assertIn('horace_files_total{to="removed"} 3', http_get(self.horace.port, path="/metrics").body.decode())
        self.assertEqual(await self.register_new("a") != ids["a"], True)

class Large(Case):
    # Else what has been freed is kept for a while, by the address sanitizer.
    settings = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}

    async def register_slowly(self, caller, path):
        """Returns a task that registers a file, once its copy has begun."""
        task = asyncio.create_task(caller.call("horace_register_file", {"file_path": str(path), "metadata": {}}))
        await wait_until_async(lambda: task.done() or self.horace.staged_files(), "copying has begun")
        self.assertFalse(task.done())
        return task

    def sparse(self, name, mib):
        with open(self.files / name, "wb") as file:
            file.truncate(mib << 20)
        return self.files / name

    def memory(self):
        """The peak memory of the process, in bytes."""
        status = Path(f"/proc/{self.horace.program.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024

    async def test_others_are_served_and_memory_stays(self):
        for number in range(20):
            await self.register_new(str(number))
        before, times = self.memory(), 0
        task = await self.register_slowly(self.caller, self.sparse("large", 300))
        async with Caller(self.horace.url) as other:
            while not task.done():
                await other.request("ping")
                self.assertEqual((await other.call("horace_search_files", {"limit": 5}))["limit"], 5)
                times += not task.done()
                await asyncio.sleep(0.02)
        answer = await task
        self.assertEqual((answer["size"], answer["version"]), (300 << 20, 1))
        self.assertGreater(times, 0)
        self.assertLess(self.memory() - before, 100 << 20)
        print(f"{times} times a ping and a search meanwhile", flush=True)

    async def test_who_leaves_or_cancels_ends_the_copy(self):
        path = self.sparse("large", 100)
        for leave in (self.close, self.cancel):
            async with Caller(self.horace.url) as other:
                task = await self.register_slowly(other, path)
                await leave(other)
                await asyncio.to_thread(self.horace.wait_idle)
                task.cancel()
            self.assertEqual((await self.search(status="all"))["total_count"], 0)
            self.assertEqual([name for name in self.horace.tree() if not name.startswith(FILES)], [])
        await self.register_new("small")

    async def close(self, caller):
        await caller.ws.close()

    async def cancel(self, caller):
        params = {"requestId": 0}
        await caller.ws.send(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))

    async def test_it_ends_while_a_copy_is_made(self):
        task = await self.register_slowly(self.caller, self.sparse("large", 100))
        self.horace.program.signal(signal.SIGTERM)
        self.assertEqual(await asyncio.to_thread(self.horace.program.wait), 0)
        with contextlib.suppress(CallError, ConnectionError):
            await task
        await self.restart()
        await asyncio.to_thread(self.horace.wait_idle)
        await snapshot(self.caller, self.horace)


class Busy(Case):
    SIZE, CHUNK, LETTERS = 8 << 20, 64 << 10, b"abcdefgh"

    def writing(self, path, mapped):
        """A thread that overwrites a file with one letter after the other, sometimes with a pause."""
        chance = random.Random(1)

        def run(ended):
            with open(path, "r+b", buffering=0) as file, mmap.mmap(file.fileno(), self.SIZE) as memory:
                while not ended.is_set():
                    for letter in self.LETTERS:
                        if mapped:
                            for at in range(0, self.SIZE, self.CHUNK):
                                memory[at : at + self.CHUNK] = bytes([letter]) * self.CHUNK
                        else:
                            os.pwrite(file.fileno(), bytes([letter]) * self.SIZE, 0)
                        ended.wait(chance.choice((0, 0, 0.1)))

        return in_background(run)

    def assert_state(self, data):
        """Of one moment: one letter, or one that has been written over a part of the letter before. The bytes of a
        chunk may change in any order."""
        first, last = data[:1], data[-1:]
        begin, end = len(data) - len(data.lstrip(first)), len(data.rstrip(last))
        self.assertEqual(len(data), self.SIZE)
        self.assertLessEqual(end - begin, self.CHUNK, "of two moments")
        if first != last:
            self.assertEqual(first[0], self.LETTERS[(self.LETTERS.index(last) + 1) % 8], "of two moments")

    async def work_on(self, mapped):
        """Creates versions while a thread writes; each is complete, or the call asks to retry."""
        path = self.write_file("busy", b"h" * self.SIZE)
        file_id, codes, ends = await self.register_new("busy", path.read_bytes()), set(), time.monotonic() + 1.5
        with self.writing(path, mapped):
            while time.monotonic() < ends:
                for tool, arguments in (
                    ("horace_register_file", {"file_path": "busy", "metadata": {}}),
                    ("horace_update_file", {"file_id": file_id, "check_for_changes": True}),
                ):
                    try:
                        answer = await self.caller.call(tool, arguments)
                        if version := answer.get("version") or answer.get("version_created"):
                            self.assert_state((self.horace.storage / self.horace.version_path(file_id, version)).read_bytes())
                    except CallError as error:
                        codes.add(error.data["error_code"])
                        self.assertTrue(error.data["retry"])
        versions_of(self.horace, await self.info(file_id))
        self.assertLessEqual(codes, {"FILE_BUSY"})
        print(f"{(await self.info(file_id))['version']} versions of a file that was written to; refused: {codes}", flush=True)
        self.horace.wait_idle()

    async def test_no_version_is_torn(self):
        await self.work_on(mapped=False)

    async def test_no_version_of_a_file_in_memory_is_torn(self):
        await self.work_on(mapped=True)  # whose times do not change with every byte


class Logs(AsyncTestCase):
    async def test_what_is_done_is_found_in_the_log(self):
        with System() as system:
            system.start()
            storage = system.directory / "storage"
            (storage / FILES).mkdir(parents=True)
            settings = {"HORACE_MCP_PORT": "0", "HORACE_STORAGE_PATH": str(storage), "GODOT_URL": system.godot_url, "LOGGING_ENABLED": "true"}
            horace = system.add_instance("horace", "horace", **settings).start()
            wait_ready(horace.port())
            async with Caller(f"ws://127.0.0.1:{horace.port()}") as caller:
                for data in ("one", "two"):
                    (storage / FILES / "a.txt").write_text(data)
                    known = await caller.call("horace_register_file", {"file_path": "a.txt", "metadata": {}})
                file_id = known["file_id"]
                await caller.call("horace_restore_version", {"file_id": file_id, "version": 1})
                with self.assertRaises(CallError):
                    await caller.call("horace_register_file", {"file_path": "/etc/passwd", "metadata": {}})
            wanted = ["Registered: a.txt", "New version registered: a.txt", "Restored: a.txt", "Tool error"]
            rows = []

            def read():
                run = run_program([PROGRAMS["iccm"], "logs", "--json", "--component", "horace", system.godot_url])
                rows[:] = [json.loads(line) for line in run.stdout.splitlines()]
                return set(wanted) <= {row["message"] for row in rows}

            await asyncio.to_thread(wait_until, read, "Horace's lines in the log")
            said = {row["message"]: row for row in rows}
            self.assertEqual({row["component"] for row in rows}, {"horace"})
            self.assertEqual([said[message]["level"] for message in wanted], ["INFO", "INFO", "INFO", "ERROR"])
            about = {"file_id": file_id, "path": "a.txt", "version": 3, "size": 3}
            self.assertEqual({name: said["Restored: a.txt"]["data"].get(name) for name in about}, about)
            self.assertEqual(said["Tool error"]["data"]["tool_name"], "horace_register_file")
            self.assertIn("file_path must lead", said["Tool error"]["data"]["error"])


class Scan(Case):
    def scan(self, *words, **more):
        environment = os.environ | {"HORACE_STORAGE_PATH": str(self.horace.storage)} | more
        words = words or (self.horace.url,)
        return run_program([PROGRAMS["horace"], "scan", *words], env=environment)

    async def scan_ok(self, *words, **more):
        return await asyncio.to_thread(lambda: self.scan(*words, **more))

    async def test_secrets_of_an_address_are_not_shown(self):
        place = self.horace.url.removeprefix("ws://")
        for address in (f"ws://user:SEKRET@{place}", f"http://user:SEKRET@{place}",
                        "ws://127.0.0.1:1/?token=SEKRET", "ws://127.0.0.1:1/#SEKRET", "user:SEKRET@"):
            run = await self.scan_ok(address)
            self.assertEqual(run.returncode, 1, address)
            self.assertNotIn("SEKRET", run.stderr + run.stdout, address)
            self.assertTrue("[REDACTED]" in run.stderr or "ws://127.0.0.1:1/: " in run.stderr, run.stderr)

    async def test_a_directory_that_is_gone(self):
        await self.register_new("known")
        self.files.rename(self.files.with_name("elsewhere"))
        run = await self.scan_ok()
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stdout, "0 registered, 0 of them with bytes that were known; 1 failed; 1 were known\n")
        self.files.with_name("elsewhere").rename(self.files)

    async def test_new_files_once(self):
        await self.register_new("known")
        archived = await self.register_new("archived")
        await self.update(archived, status="archived")
        for name in ("d/e/new", "new 2", "d/same as known"):
            self.write_file(name, f"bytes of {name}" if "known" not in name else "bytes of known")
        (self.files / "link").symlink_to("new 2")
        os.mkfifo(self.files / "fifo")
        dry = await self.scan_ok("--dry-run", self.horace.url)
        new = [str(self.files / name) for name in ("d/e/new", "d/same as known", "new 2")]
        self.assertEqual((dry.returncode, sorted(dry.stdout.splitlines()), dry.stderr), (0, new, ""))
        self.assertEqual(await self.found_names(), ["known"])
        run = await self.scan_ok()
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(run.stdout, "3 registered, 1 of them with bytes that were known; 0 failed; 1 were known\n")
        self.assertCountEqual(await self.found_names(), ["known", "new", "new 2"])
        asked = http_get(self.horace.port, path="/metrics").body
        count = re.search(rb'iccm_calls_total{tool="horace_register_file",outcome="ok"} (\d+)', asked)[1]
        run = await self.scan_ok(f"ws://localhost:{self.horace.port}")
        self.assertEqual(run.stdout, "0 registered, 0 of them with bytes that were known; 0 failed; 4 were known\n")
        asked = http_get(self.horace.port, path="/metrics").body
        self.assertIn(b'iccm_calls_total{tool="horace_register_file",outcome="ok"} ' + count, asked)
        await self.update(archived, status="active")

    async def test_more_than_a_page(self):
        for number in range(1010):
            self.write_file(f"{number % 7}/{number}", f"bytes {number}")
        run = await self.scan_ok(HORACE_MCP_PORT=str(self.horace.port), *["--"])
        self.assertEqual(run.stdout, "1010 registered, 0 of them with bytes that were known; 0 failed; 0 were known\n")
        run = await self.scan_ok("--dry-run", self.horace.url)
        self.assertEqual((run.returncode, run.stdout), (0, ""))

    async def test_what_cannot_be_registered_is_named(self):
        self.write_file("good", "x")
        with open(os.path.join(os.fsencode(self.files), b"not\xff"), "wb") as file:
            file.write(b"y")
        environment = os.environ | {"HORACE_STORAGE_PATH": str(self.horace.storage)}
        for words, code in ((["--dry-run"], 0), ([], 1)):
            command = [PROGRAMS["horace"], "scan", *words, self.horace.url]
            run = await asyncio.to_thread(lambda: subprocess.run(command, env=environment, capture_output=True, timeout=WAIT_S))
            self.assertEqual(run.returncode, code, run)
        self.assertIn(b"1 registered, 0 of them with bytes that were known; 1 failed; 0 were known\n", run.stdout)
        self.assertRegex(run.stderr, rb"\Ahorace: [^\n]*/not\\xff: [^\n]*the name of the file is not UTF-8\n\Z")
        self.assertEqual(await self.found_names(), ["good"])

    async def test_a_server_that_is_away_and_wrong_words(self):
        self.write_file("a", "x")
        for words, more, code in (
            ((f"ws://127.0.0.1:{free_port()}",), {}, 1), (("http://x",), {}, 1), ((self.horace.url, "more"), {}, 2), (("--wrong",), {}, 2),
            ((self.horace.url,), {"HORACE_STORAGE_PATH": "/nowhere"}, 1), ((self.horace.url,), {"HORACE_MCP_PORT": "abc"}, 1),
        ):  # fmt: skip
            run = await self.scan_ok(*words, **more)
            self.assertEqual((run.returncode, run.stdout), (code, ""), words)
            self.assertRegex(run.stderr, r"horace|HORACE_")
        environment = {name: value for name, value in os.environ.items() if name != "HORACE_STORAGE_PATH"}
        run = run_program([PROGRAMS["horace"], "scan", self.horace.url], env=environment)
        self.assertEqual((run.returncode, "HORACE_STORAGE_PATH" in run.stderr), (1, True))
        self.assertEqual(await self.found_names(), [])

    async def test_words_of_a_server(self):
        """A server's message is printed on one line without control characters."""
        words, listed = "\x1b]0;title\a\x1b[31mred\x9b31m\u202edesrever\nhorace: forged", []

        async def serve(socket):
            async for text in socket:
                asked = json.loads(text)
                answer = {"error": {"code": -32000, "message": words}}
                if asked.get("method") == "initialize":
                    info = {"name": "f", "version": "1"}
                    answer = {"result": {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": info}}
                elif listed and "horace_search_files" in text:
                    answer = {"result": {"content": [{"type": "text", "text": '{"results":[]}'}]}}
                if "id" in asked:
                    await socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"]} | answer))

        self.write_file("a\x9b\u2066b", "x")
        shown = r"\\u001b\]0;title\\u0007\\u001b\[31mred\\u009b31m\\u202edesrever\\nhorace: forged\n\Z"
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            run = await self.scan_ok(url)
            self.assertRegex(run.stderr, r"\Ahorace: ws://\S+: .*" + shown)
            listed.append(True)
            run = await self.scan_ok(url)
            self.assertRegex(run.stderr, r"\Ahorace: \S+/a\\u009b\\u2066b: .*" + shown)

    async def test_more_links_to_one_file_than_are_shown(self):
        self.write_file("d/first", "the same")
        for number in range(120):
            os.link(self.files / "d/first", self.files / f"d/{number}")
        run = await self.scan_ok()
        self.assertEqual(run.stdout, "121 registered, 120 of them with bytes that were known; 0 failed; 0 were known\n")
        run = await self.scan_ok()
        self.assertEqual((run.returncode, run.stdout), (0, "0 registered, 0 of them with bytes that were known; 0 failed; 121 were known\n"))
        self.assertEqual(len((await self.search())["results"][0]["other_paths"]), 100)

    async def test_loops_mounts_and_depths_are_left_and_the_rest_registered(self):
        unshare_mounts()
        for name in ("d/good", "bound/not", "single"):
            self.write_file(name, f"bytes of {name}")
        (self.files / "d/loop").symlink_to("..")
        (self.files / "d/up").mkdir()
        (self.files / "d/alone").touch()
        for what, where in ((self.files / "bound", "d/up"), (self.files / "single", "d/alone")):
            run_program(["mount", "--bind", what, self.files / where]).check_returncode()
            self.addCleanup(run_program, ["umount", self.files / where])
        at = os.open(self.files, os.O_RDONLY)
        for _ in range(30):  # 30 names of 200 bytes
            os.mkdir("x" * 200, dir_fd=at)
            below = os.open("x" * 200, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        os.close(at)
        run = await self.scan_ok()
        self.assertEqual(run.stdout, "3 registered, 0 of them with bytes that were known; 1 failed; 0 were known\n")
        self.assertEqual(run.returncode, 1)
        self.assertIn("/d/up: skipped: it is another mount\n", run.stderr)
        self.assertIn("/d/alone: skipped: it is another mount\n", run.stderr)
        self.assertRegex(run.stderr, "x: File name too long\n")
        self.assertEqual(sorted(await self.found_names()), ["good", "not", "single"])
        shutil.rmtree(self.files / ("x" * 200))

    async def test_it_ends_while_others_add_and_take_away(self):
        """A catalogue that grows as fast as it is read, and files removed before they are registered."""
        pages = []

        async def serve(socket):
            async for text in socket:
                asked = json.loads(text)
                arguments, answer = asked.get("params", {}).get("arguments", {}), {}
                if "horace_search_files" in text:
                    pages.append(arguments["offset"])
                    rows = [{"path": f"/elsewhere/{len(pages)}/{number}"} for number in range(1000)]
                    answer = {"results": rows, "total_count": 1500 + 1000 * len(pages)}
                elif "horace_register_file" in text:
                    Path(arguments["file_path"]).unlink()
                    answer = None
                result = {"content": [{"type": "text", "text": json.dumps(answer)}]}
                if asked.get("method") == "initialize":
                    result = {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {"name": "f", "version": "1"}}
                said = {"result": result} if answer is not None else {"error": {"code": -32000, "message": "there is no such file"}}
                if "id" in asked:
                    await socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"]} | said))

        for name in ("a", "b/c"):
            self.write_file(name, name)
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            run = await self.scan_ok(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        self.assertEqual((run.returncode, run.stderr), (0, "horace: 2 files were gone before they were registered\n"))
        self.assertEqual(run.stdout, f"0 registered, 0 of them with bytes that were known; 0 failed; {1000 * len(pages)} were known\n")
        self.assertEqual(pages, [0, 1000, 2000] + [0, 1000, 2000, 3000, 4000, 5000])

    async def test_a_bar_on_a_terminal(self):
        for number in range(30):
            self.write_file(str(number), f"bytes {number}")
        master, slave = pty.openpty()
        environment = os.environ | {"HORACE_STORAGE_PATH": str(self.horace.storage)}
        command = [PROGRAMS["horace"], "scan", self.horace.url]
        with subprocess.Popen(command, env=environment, stdin=slave, stdout=subprocess.PIPE, stderr=slave) as process:
            os.close(slave)
            shown = b""
            with contextlib.suppress(OSError):  # it has ended
                while piece := await asyncio.to_thread(os.read, master, 65536):
                    shown += piece
            said = process.stdout.read().decode()
        os.close(master)
        self.assertEqual((process.returncode, said[:14]), (0, "30 registered,"))
        steps = [int(done) for done in re.findall(r"(\d+) of 30", shown.decode())]
        self.assertEqual((steps, steps[0], steps[-1]), (sorted(steps), 0, 30))
        self.assertIn("[" + "#" * 30 + "] 100 %", shown.decode())
        self.assertTrue(shown.endswith(b"\n"))


class Disks(AsyncTestCase):
    async def refused(self, caller, path, *codes):
        with self.assertRaises(CallError) as raised:
            await caller.call("horace_register_file", {"file_path": str(path), "metadata": {}})
        error = raised.exception
        self.assertEqual(error.code, TOOL_ERROR)
        self.assertIn(error.data["error_code"], codes)
        self.assertTrue(error.data["retry"])
        self.assertNotRegex(error.message, LEAKS)

    async def test_a_full_disk_is_said_and_heals(self):
        with SmallDisk(8 << 20) as disk, Horace() as horace:
            horace.program.stop()
            horace.use(disk.path / "storage")
            horace.restart()
            async with Caller(horace.url) as caller:
                for name, size in (("small", 10), ("large", 1 << 20)):
                    (horace.files / name).write_bytes(name.encode() * (size // len(name)))
                await caller.call("horace_register_file", {"file_path": "small", "metadata": {}})
                before = await snapshot(caller, horace)
                (horace.files / "other").write_bytes(b"other" * 10)
                for leave in (1 << 19, 0):
                    disk.fill(leave=leave)
                    await self.refused(caller, "large", "STORAGE_FULL")
                    horace.wait_idle()
                await self.refused(caller, "other", "STORAGE_FULL", "STORE_UNAVAILABLE")
                with self.assertRaises(CallError):
                    await caller.call("horace_create_collection", {"name": "c"})
                found = await snapshot(caller, horace)
                self.assertEqual([found[name] for name in ("ids", "small")], [before[name] for name in ("ids", "small")])
                disk.empty()
                for name in ("large", "other"):
                    self.assertEqual((await caller.call("horace_register_file", {"file_path": name, "metadata": {}}))["version"], 1)
                await caller.call("horace_create_collection", {"name": "c"})
                await snapshot(caller, horace)
            wait_ready(horace.port)
            horace.program.stop()  # before its disk is removed

    async def test_a_storage_or_a_database_that_was_removed_is_named(self):
        """Checked every ten seconds, so both cases wait in parallel."""
        files, database = self.enterContext(Horace()), self.enterContext(Horace())
        files.files.rename(files.storage / "aside")
        (database.storage / "horace.db").rename(database.storage / "aside")
        async with Caller(database.url) as caller:
            with self.assertRaises(CallError) as raised:
                await caller.call("horace_create_collection", {"name": "c"})
            self.assertEqual(raised.exception.data["error_code"], "STORE_UNAVAILABLE")
        for horace, words in ((files, "storage: "), (database, "store: the database file was removed or replaced")):
            await asyncio.to_thread(wait_ready, horace.port, 503)
            self.assertIn(words, http_get(horace.port, path="/readyz").body.decode())
        (files.storage / "aside").rename(files.files)
        (database.storage / "aside").rename(database.storage / "horace.db")
        for horace in (files, database):
            await asyncio.to_thread(wait_ready, horace.port)

    async def test_directories_that_were_exchanged_take_nothing(self):
        """The replaced directories; checked every ten seconds, so all cases wait in parallel."""
        places = {name: self.enterContext(Horace()) for name in (FILES, VERSIONS, WORK)}
        for name, horace in places.items():
            async with Caller(horace.url) as caller:
                await self.exchange(caller, horace, name)
        for name, horace in places.items():
            await asyncio.to_thread(wait_ready, horace.port, 503)
            said = http_get(horace.port, path="/readyz").body.decode()
            self.assertIn("storage: the storage's directories were moved or replaced: put them back, or restart Horace\n", said)
            run = await asyncio.to_thread(run_program, [PROGRAMS["horace"], "scan", horace.url], env=os.environ | {"HORACE_STORAGE_PATH": str(horace.storage)})
            self.assertEqual((run.returncode, "moved or replaced" in run.stderr), (1, True), run)
            shutil.rmtree(horace.storage / name)
            (horace.storage / "aside").rename(horace.storage / name)
            await asyncio.to_thread(wait_ready, horace.port)
            async with Caller(horace.url) as caller:
                again = await caller.call("horace_register_file", {"file_path": "a", "metadata": {}})
                self.assertEqual(again["version"], 3)
                await snapshot(caller, horace)

    async def exchange(self, caller, horace, name):
        file, aside = horace.files / "a", horace.storage / "aside"
        for text in ("one", "two"):
            file.write_text(text)
            answer = await caller.call("horace_register_file", {"file_path": "a", "metadata": {}})
        file_id = answer["file_id"]
        file.write_text("three")
        (horace.storage / name).rename(aside)
        shutil.copytree(aside, horace.storage / name)
        (horace.files / "b").write_text("new")
        trees = [horace.tree(), sorted(aside.rglob("*"))]
        for tool, arguments in (
            ("horace_register_file", {"file_path": "a", "metadata": {}}), ("horace_register_file", {"file_path": "b", "metadata": {}}),
            ("horace_update_file", {"file_id": file_id, "metadata": {"owner": "me"}}),
            ("horace_update_file", {"file_id": file_id, "metadata": {}, "check_for_changes": True}),
            ("horace_update_file", {"file_id": file_id, "metadata": {"status": "archived"}}),
            ("horace_restore_version", {"file_id": file_id, "version": 1}),
        ):  # fmt: skip
            with self.assertRaises(CallError) as raised:
                await caller.call(tool, arguments)
            self.assertEqual(raised.exception.data, {"error_code": "STORAGE_UNAVAILABLE", "retry": True}, arguments)
            self.assertIn("directories were moved or replaced", raised.exception.message)
        self.assertEqual([horace.tree(), sorted(aside.rglob("*"))], trees)
        self.assertEqual((await caller.call("horace_search_files"))["total_count"], 1)

    async def test_a_storage_that_cannot_be_written_to_is_named(self):
        """Checked every ten seconds, so both cases wait in parallel."""
        full, gone = self.enterContext(Horace()), self.enterContext(Horace())
        for horace in (full, gone):
            (horace.files / "a").write_bytes(b"a" * 100_000)
        pid = full.program.process.pid
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
        (gone.storage / WORK).rmdir()
        for horace, code in ((full, "STORAGE_FULL"), (gone, "STORAGE_UNAVAILABLE")):
            async with Caller(horace.url) as caller:
                await self.refused(caller, "a", code)
        for horace in (full, gone):
            await asyncio.to_thread(wait_ready, horace.port, 503)
            said = "disk full" if horace is full else "the storage's directories were moved or replaced"
            self.assertIn(f"storage: {said}", http_get(horace.port, path="/readyz").body.decode())
            self.assertEqual(http_get(horace.port, path="/healthz").status, 200)
            async with Caller(horace.url) as caller:
                self.assertEqual((await caller.call("horace_search_files"))["total_count"], 0)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        gone.restart()
        for horace in (full, gone):
            await asyncio.to_thread(wait_ready, horace.port)
            async with Caller(horace.url) as caller:
                self.assertEqual((await caller.call("horace_register_file", {"file_path": "a", "metadata": {}}))["version"], 1)
                await snapshot(caller, horace)


class Unavailable(AsyncTestCase):
    async def test_postgresql_that_is_killed_loses_nothing(self):
        if bin_directory() is None:
            raise unittest.SkipTest("there is no PostgreSQL below /usr/lib/postgresql")
        server = Postgresql()
        self.addCleanup(server.close)
        server.start()
        settings = {name.replace("DEWEY", "HORACE"): value for name, value in server.environment().items()}
        horace = self.enterContext(Horace(**(settings | {"HORACE_DB_NAME": "postgres"})))
        caller = await self.enterAsyncContext(Caller(horace.url))
        known, ending = {}, asyncio.Event()

        async def register_until_cancelled(worker):
            number = 0
            while not ending.is_set():
                name, data = f"{worker}-{number % 50}", f"{worker} {number}".encode() * 1000
                (horace.files / name).write_bytes(data)
                try:
                    answer = await caller.call("horace_register_file", {"file_path": name, "metadata": {}})
                    known[name], number = answer["file_id"], number + 1
                except CallError as error:
                    self.assertEqual((error.code, error.data["error_code"], error.data["retry"]), (TOOL_ERROR, "STORE_UNAVAILABLE", True))
                    await asyncio.sleep(0.02)

        async def more(count):
            goal = len(known) + count
            await wait_until_async(lambda: len(known) >= goal, f"{count} more are registered")

        tasks = [asyncio.create_task(register_until_cancelled(worker)) for worker in range(4)]
        await more(40)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await more(10)
        ending.set()
        await asyncio.gather(*tasks)
        await asyncio.to_thread(wait_ready, horace.port)
        await asyncio.to_thread(horace.wait_idle)
        state = await snapshot(caller, horace)
        self.assertEqual(known.items() - state["ids"].items(), set())
        for name in known:
            newest = max(state[name]["versions"])
            self.assertEqual(state[name]["versions"][newest], (horace.files / name).read_bytes())


class Settings(AsyncTestCase):
    def run_horace(self, *arguments, **environment):
        environment = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ} | environment
        return run_program([PROGRAMS["horace"], *arguments], env=environment)

    def assert_ends(self, words, **environment):
        run = self.run_horace(**{"HORACE_MCP_PORT": "0", "LOGGING_ENABLED": "false"} | environment)
        self.assertEqual((run.returncode, run.stdout), (1, ""), run.stderr)
        self.assertIn(words, run.stderr)
        self.assertNotRegex(run.stderr, SANITIZER_REPORT)
        return run.stderr

    def test_help_and_version(self):
        for option in ("--help", "-h"):
            run = self.run_horace(option)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            for name in ("HORACE_MCP_PORT", "HORACE_STORAGE_PATH", "HORACE_VERSION_COUNT", "HORACE_DB_PATH", "HORACE_DB_HOST", "scan"):
                self.assertIn(name, run.stdout)
        self.assertRegex(self.run_horace("--version").stdout, r"^horace \d+\.\d+\.\d+\n$")
        for wrong in ("--port=1", "extra", "-x"):
            run = self.run_horace(wrong)
            self.assertEqual((run.returncode, run.stdout), (2, ""))
            self.assertRegex(run.stderr, r"^horace: .*--help.*\n$")

    async def test_what_cannot_be_used_ends_it_with_a_reason(self):
        with Horace() as horace:
            horace.program.stop()
            storage = {"HORACE_STORAGE_PATH": str(horace.storage)}
            self.assert_ends("HORACE_STORAGE_PATH is not set")
            for name, value in (("HORACE_MCP_PORT", "abc"), ("HORACE_MCP_PORT", "65536"), ("HORACE_VERSION_COUNT", "1"),
                                ("HORACE_VERSION_COUNT", "1001"), ("HORACE_VERSION_COUNT", ""), ("ICCM_MAX_MESSAGE_BYTES", "-1")):  # fmt: skip
                if value:
                    said = self.assert_ends(name, **storage | {name: value})
                    (problem,) = [line for line in said.splitlines() if name in line]
                    self.assertIn(value, problem)
            self.assert_ends("it must not be the root directory", HORACE_STORAGE_PATH="/")
            file = horace.directory / "file"
            file.write_text("no directory, and no database" * 1000)
            for path in (file, file / "below", horace.directory / "no" / "parent"):
                self.assert_ends(f'HORACE_STORAGE_PATH "{path}"', HORACE_STORAGE_PATH=str(path))
            for path in (file, horace.directory / "missing" / "horace.db", horace.directory):
                self.assert_ends(f'the database "{path}" cannot be used', HORACE_DB_PATH=str(path), **storage)

    async def test_paths_as_the_operator_spells_them(self):
        with Horace() as horace:
            link = horace.directory / "link"
            link.symlink_to(horace.storage)
            (horace.files / "a").write_text("text")
            horace.settings["HORACE_STORAGE_PATH"] = f"{link}/"
            horace.restart()
            async with Caller(horace.url) as caller:
                for path in ("a", f"{link}/files/a", f"{horace.files}/a"):
                    await caller.call("horace_register_file", {"file_path": path, "metadata": {}})
                found = await caller.call("horace_search_files", {})
                self.assertEqual([row["path"] for row in found["results"]], [f"{horace.files}/a"])

    async def test_what_is_kept_is_no_business_of_others(self):
        with Horace() as horace:
            for name in (".horace_versions", ".horace_archive", ".horace_work"):
                self.assertEqual((horace.storage / name).stat().st_mode & 0o007, 0, name)

    async def test_a_second_one_on_the_same_storage(self):
        with Horace() as horace:
            self.assert_ends("another Horace uses it", HORACE_STORAGE_PATH=str(horace.storage))
            other = horace.directory / "other"
            self.assert_ends(str(horace.port), HORACE_STORAGE_PATH=str(other), HORACE_MCP_PORT=str(horace.port))
            async with Caller(horace.url) as caller:
                (horace.files / "a").write_text("x")
                self.assertEqual((await caller.call("horace_register_file", {"file_path": "a", "metadata": {}}))["version"], 1)
            horace.restart(kill=True)

    async def test_a_newer_database_is_left_alone(self):
        with Horace() as horace:
            horace.program.stop()
            database = horace.storage / "horace.db"
            with contextlib.closing(sqlite3.connect(database)) as opened, opened:
                (version,) = opened.execute("PRAGMA user_version").fetchone()
                opened.execute(f"PRAGMA user_version = {version + 1}")
            before = database.read_bytes()
            self.assert_ends("newer", HORACE_STORAGE_PATH=str(horace.storage))
            self.assertEqual(database.read_bytes(), before)


if __name__ == "__main__":
    main()
