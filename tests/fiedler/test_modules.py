"""Fiedler's modules that need no network: the model file, files below roots, packages, keys, secrets, events, admission."""
import asyncio
import json
import logging
import os
import stat
import tempfile
import threading
import unittest
import unittest.mock
from pathlib import Path

from fiedler import beneath, keys, models, package, private_file, redact, sse
from fiedler.admission import Admission
from fiedler.failure import ACCESS_DENIED, FILE_NOT_FOUND, INVALID_INPUT, PROVIDER_ERROR, Failure
from fiedler.output import OutputDirectory, answer_name
from services import SOURCE, AsyncTestCase, main

KEY = "sk-0123456789abcdef"
GOOD = {"providers": {"p": {"base_url": "http://localhost:1/v1"}}, "models": {"m": {"provider": "p", "max_tokens": 10}}}


class Place(unittest.TestCase):
    """A temporary directory."""

    def setUp(self):
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()

    def fails(self, code, function, *arguments):
        with self.assertRaises(Failure) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return str(caught.exception)


class ModelFile(Place):
    def changed(self, where, name, value):
        file = json.loads(json.dumps(GOOD))
        table = file
        for part in where.split(".") if where else []:
            table = table[part]
        table[name] = value
        return file

    def test_the_example(self):
        found = models.load(SOURCE / "examples/fiedler/models.example.toml")
        large = found.find("l")
        self.assertEqual((large.name, large.upstream_name, large.max_tokens), ("large-2", "large-2-2026-05", 16384))
        self.assertEqual(large.provider.base_url, "https://llm.example.com/v1")
        self.assertIs(found.find("large-2"), large)
        self.assertEqual(found.find("s").timeout_s, 300)
        self.assertEqual([model.name for model in found.find_all(["l", "large", "small"])], ["large-2", "small"])

    def test_bad_values_are_named(self):
        for where, name, value, said in (
            ("", "models", {}, "models"),
            ("", "modells", {}, "no such entry"),
            ("providers", "P", {"base_url": "http://x"}, "name of a provider"),
            ("providers.p", "base_url", "ftp://x/", "http:// or https://"),
            ("providers.p", "base_url", "http://user:password@x/", "http:// or https://"),
            ("providers.p", "base_url", "http://x/?key=1", "http:// or https://"),
            ("providers.p", "base_url", "http://x:99999/", "http:// or https://"),
            ("providers.p", "base_url", 5, "http:// or https://"),
            ("providers.p", "key", "abc", "no such entry"),
            ("providers.p", "needs_key", 1, "true or false"),
            ("models", "a b", {"provider": "p", "max_tokens": 1}, "name of a model"),
            ("models.m", "provider", "q", "one of p"),
            ("models.m", "provider", ["p"], "one of p"),
            ("models.m", "max_tokens", 0, "from 1 to 10000000"),
            ("models.m", "max_tokens", 10_000_001, "from 1 to 10000000"),
            ("models.m", "max_tokens", True, "from 1 to 10000000"),
            ("models.m", "max_tokens", 1.5, "from 1 to 10000000"),
            ("models.m", "timeout_s", 3601, "from 1 to 3600"),
            ("models.m", "aliases", ["m"], "each name and alias once"),
            ("models.m", "aliases", [5], "texts"),
            ("models.m", "options", {"messages": []}, "without"),
            ("models.m", "options", {"temperature": float("nan")}, "JSON"),
            ("models.m", "max_tokens_field", "tokens", "max_completion_tokens"),
        ):
            with self.subTest(f"{where}.{name} = {value}"), self.assertRaises(models.BadModelFile) as caught:
                models.parse(self.changed(where, name, value))
            self.assertIn(said, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_what_is_missing_is_named(self):
        with self.assertRaisesRegex(models.BadModelFile, "models.m.max_tokens is missing: expected a whole number"):
            models.parse(GOOD | {"models": {"m": {"provider": "p"}}})

    def test_limits_on_their_good_side(self):
        for name, value in (("max_tokens", 10_000_000), ("timeout_s", 3600), ("aliases", [f"a{i}" for i in range(32)])):
            models.parse(self.changed("models.m", name, value))

    def test_files_that_are_none(self):
        for content in (b"\xff", b"a = [", b"a = " + b"[" * 100000, b"#" * (models.MAX_FILE_BYTES + 1)):
            (self.place / "models.toml").write_bytes(content)
            with self.subTest(content[:9]), self.assertRaisesRegex(models.BadModelFile, "expected "):
                models.load(self.place / "models.toml")
        with self.assertRaisesRegex(models.BadModelFile, "expected a file that can be read: No such file"):
            models.load(self.place / "nothing")

    def test_unknown_names_get_the_nearest(self):
        found = models.load(SOURCE / "examples/fiedler/models.example.toml")
        self.assertIn('did you mean "large-2"', self.fails(INVALID_INPUT, found.find, "large-3"))
        self.assertIn("known: hosted, local", self.fails(INVALID_INPUT, found.provider, "x\nx" * 100000))


class Files(Place):
    def setUp(self):
        super().setUp()
        self.root = self.place / "root"
        (self.root / "inner").mkdir(parents=True)
        (self.root / "inner/file").write_text("content")
        (self.place / "secret").write_text("secret")

    def read(self, path, limit=100):
        return beneath.read_file(*beneath.below([str(self.root)], str(path)), limit)

    def test_a_file(self):
        for path in (self.root / "inner/file", "inner/file", f"{self.root}//inner/./file"):
            self.assertEqual(self.read(path), b"content")

    def test_no_more_than_the_limit_is_read(self):
        self.assertEqual(self.read("inner/file", 3), b"cont")

    def test_what_is_outside_is_denied_whether_it_exists(self):
        (self.root / "link").symlink_to(self.place / "secret")
        (self.root / "linked").symlink_to(self.place)
        (self.root / "near").symlink_to("inner/file")
        (self.place / "root2").mkdir()
        (self.place / "root2/file").write_text("other")
        for path in (
            self.place / "secret", self.place / "nothing", "../secret", "inner/../../secret", "link", "near",
            "linked/secret", self.place / "root2/file", "/", "/etc/passwd", "a\0b", "x" * 5000, "a/" * 65 + "b",
        ):  # fmt: skip
            with self.subTest(str(path)[:50]):
                self.assertNotIn("secret\n", self.fails(ACCESS_DENIED, self.read, path))

    def test_what_is_no_file(self):
        os.mkfifo(self.root / "pipe")
        for path in ("inner", "pipe", self.root):
            with self.subTest(path):
                self.fails(INVALID_INPUT, self.read, path)
        self.fails(FILE_NOT_FOUND, self.read, "inner/nothing")
        self.fails(FILE_NOT_FOUND, self.read, "nothing/file")
        self.fails(ACCESS_DENIED, self.read, "inner/file/further")

    def test_several_roots_and_none(self):
        roots = [str(self.place / "root2"), str(self.root) + "/"]
        self.assertEqual(beneath.read_file(*beneath.below(roots, f"{self.root}/inner/file"), 100), b"content")
        self.fails(ACCESS_DENIED, beneath.below, roots, "inner/file")  # relative to which?
        self.fails(ACCESS_DENIED, beneath.below, [], f"{self.root}/inner/file")

    def test_no_descriptor_is_left(self):
        def count():
            return len(os.listdir("/proc/self/fd"))

        before = count()
        for path in ("inner/file", "inner", "inner/nothing", "nothing/file", "/etc/passwd"):
            try:
                self.read(path)
            except Failure:
                pass
        os.close(beneath.open_directory(str(self.root), ["new", "inner"], create=True))
        self.assertEqual(count(), before)

    def compile(self, prompt, files, limit=1000):
        messages = json.loads(package.compile_package(prompt, files, [str(self.root)], limit))
        self.assertEqual([message["role"] for message in messages], ["user"])
        return messages[0]["content"]

    def test_a_package(self):
        text = self.compile("question äöü", ["inner/file", f"{self.root}/inner/file"])
        part = "===== inner/file (7 bytes) =====\ncontent"
        self.assertEqual(text, f"question äöü\n\n{part}\n\n{part}")
        self.assertNotIn(str(self.place), text)

    def test_the_limit_of_a_package(self):
        size = len(package.compile_package("q", ["inner/file"], [str(self.root)], 1000))
        self.compile("q", ["inner/file"], size)
        self.fails(INVALID_INPUT, self.compile, "q", ["inner/file"], size - 1)
        self.fails(INVALID_INPUT, self.compile, "q" * 2000, [])
        (self.root / "large").write_bytes(b"x" * 2000)
        self.fails(INVALID_INPUT, self.compile, "q", ["large"])
        (self.root / "controls").write_bytes(b"\1" * 500)  # six bytes each in JSON
        self.fails(INVALID_INPUT, self.compile, "q", ["controls"])

    def test_too_many_files_and_no_text(self):
        self.compile("q", ["inner/file"] * package.MAX_FILES, 100000)
        self.fails(INVALID_INPUT, self.compile, "q", ["inner/file"] * (package.MAX_FILES + 1), 100000)
        (self.root / "binary").write_bytes(b"\xff\xfe")
        self.fails(INVALID_INPUT, self.compile, "q", ["binary"])

    def test_lone_surrogates_are_replaced(self):
        self.assertEqual(self.compile("\ud800", []), "?")


class Output(Place):
    def test_files_of_a_call(self):
        output = OutputDirectory(str(self.place), ["a", "b"], "0123456789")
        self.assertEqual(list(self.place.iterdir()), [])  # nothing without an answer
        path = Path(output.write(answer_name(1, "meta/large:1"), "text \ud800"))
        self.assertEqual((path.name, path.read_text()), ("01-meta_large_1.md", "text ?"))
        self.assertEqual(path.parent.parent, self.place / "a/b")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o007, 0)
        self.fails(PROVIDER_ERROR, output.write, path.name, "again")
        output.close()
        self.fails(PROVIDER_ERROR, output.write, "late", "text")

    def test_a_link_in_its_place(self):
        (self.place / "root").mkdir()
        (self.place / "elsewhere").mkdir()
        (self.place / "root/a").symlink_to(self.place / "elsewhere")
        output = OutputDirectory(str(self.place / "root"), ["a"], "0123456789")
        self.fails(ACCESS_DENIED, output.write, "file", "text")
        self.assertEqual(list((self.place / "elsewhere").iterdir()), [])


class PrivateFiles(Place):
    def setUp(self):
        super().setUp()
        self.path = self.place / "keys.json"
        self.file = private_file.PrivateFile(str(self.path))

    def test_only_the_owner_reads_it(self):
        self.assertEqual(self.file.read(), {})
        os.umask(os.umask(0))
        for value in ({"a": "1"}, {"a": "2"}):
            self.file.write(value)
            self.assertEqual((self.file.read(), stat.S_IMODE(self.path.stat().st_mode)), (value, 0o600))
        self.assertEqual([path.name for path in self.place.iterdir()], ["keys.json"])

    def test_one_that_others_may_read_is_refused(self):
        self.file.write({"a": KEY})
        for mode in (0o640, 0o604, 0o620):
            self.path.chmod(mode)
            self.assertNotIn(KEY, self.fails(PROVIDER_ERROR, self.file.read))

    def test_what_is_no_object_is_refused(self):
        for text in ("", "[1]", "{nope", "[" * 100000, '{"a": "' + "x" * private_file.MAX_BYTES + '"}'):
            self.path.write_text(text)
            self.path.chmod(0o600)
            self.fails(PROVIDER_ERROR, self.file.read)

    def test_a_link_and_a_directory_are_refused(self):
        self.fails(PROVIDER_ERROR, private_file.PrivateFile(str(self.place)).read)
        self.file.write({"a": "1"})
        (self.place / "link").symlink_to(self.path)
        self.fails(PROVIDER_ERROR, private_file.PrivateFile(str(self.place / "link")).read)

    def test_a_temporary_file_of_somebody_else_is_not_used(self):
        (self.place / "keys.json.new").symlink_to(self.place / "victim")
        self.file.write({"a": "1"})
        self.assertFalse((self.place / "victim").exists())


class HangingStore:
    name = "hanging store"

    def __init__(self):
        self.begun, self.ended = threading.Event(), threading.Event()

    def get(self, _):
        self.begun.set()
        self.ended.wait()

    def set(self, _, key):
        raise RuntimeError(f"cannot store {key}")


class Keys(AsyncTestCase):
    def setUp(self):
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.secrets = redact.Secrets()

    def of(self, store):
        return keys.Keys(store, {"p": None, "q": None}, self.secrets)

    async def test_in_a_file(self):
        store = self.of(keys.FileStore(str(self.place / "keys.json")))
        self.assertIsNone(await store.get("p"))
        self.assertFalse(await store.delete("p"))
        await asyncio.gather(store.set("p", KEY), store.set("q", KEY + "2"))
        self.assertEqual((await store.get("p"), await store.list()), (KEY, ["p", "q"]))
        self.assertTrue(await store.delete("p"))
        self.assertEqual(await store.list(), ["q"])
        self.assertEqual(self.secrets.text(f"{KEY}2 {KEY}"), "[REDACTED] [REDACTED]")

    async def test_what_can_be_a_key(self):
        store = self.of(keys.FileStore(str(self.place / "keys.json")))
        for key in ("x" * 8, "x" * 4096):
            await store.set("p", key)
        for key in ("", "x" * 7, "x" * 4097, "with space", "line\r\nbreak", "ümlauts-in-it", "x" * 8 + "\n"):
            with self.subTest(key[:9]), self.assertRaises(Failure) as caught:
                await store.set("p", key)
            self.assertEqual(caught.exception.code, INVALID_INPUT)

    async def test_a_store_that_fails(self):
        with self.assertRaises(Failure) as caught:
            await self.of(HangingStore()).set("p", KEY)
        self.assertIn("RuntimeError", str(caught.exception))
        self.assertNotIn(KEY, str(caught.exception))

    async def test_a_store_that_hangs(self):
        store = HangingStore()
        self.addCleanup(store.ended.set)
        self.enterContext(unittest.mock.patch.object(keys, "TIMEOUT_S", 0.01))
        hanging = self.of(store)
        first = asyncio.create_task(hanging.get("p"))
        await asyncio.to_thread(store.begun.wait)
        calls = await asyncio.gather(first, *(hanging.get("p") for _ in range(keys.MAX_WAITING)), return_exceptions=True)
        for call in calls:
            self.assertIn("did not answer", str(call))
        with self.assertRaisesRegex(Failure, "busy"):
            await hanging.get("p")


class Redaction(unittest.TestCase):
    def setUp(self):
        self.secrets = redact.Secrets("the-token")
        self.secrets.add(KEY)

    def test_a_stream_in_any_pieces(self):
        text = f"before {KEY} between {KEY[:-1]} and {KEY}".encode()
        wanted = f"before [REDACTED] between {KEY[:-1]} and [REDACTED]".encode()
        for size in range(1, len(text) + 1):
            stream = self.secrets.stream()
            pieces = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
            self.assertEqual(b"".join(pieces) + stream.end(), wanted)

    def test_a_stream_does_not_wait_without_need(self):
        stream = self.secrets.stream()
        self.assertEqual(stream.feed(b"data: 1\n\n"), b"data: 1\n\n")
        self.assertEqual(stream.feed(KEY[:4].encode()), b"")
        self.assertEqual(stream.feed(b"other"), KEY[:4].encode() + b"other")

    def test_no_more_are_kept_than_allowed(self):
        for number in range(redact.KEPT):
            self.secrets.add(f"secret-{number:05}")
            self.secrets.add(KEY)  # is in use
        self.assertEqual(len(self.secrets.values), redact.KEPT)
        self.assertEqual(self.secrets.text(f"{KEY} the-token secret-00000"), "[REDACTED] [REDACTED] secret-00000")

    def test_log_records(self):
        try:
            raise ValueError(f"bad {KEY}")
        except ValueError as error:
            caught = (ValueError, error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "with %s", (KEY,), caught)
        record.data = {"a": [{"b": f"{KEY}!"}], "n": 5}
        redact.SecretFilter(self.secrets).filter(record)
        text = logging.Formatter("%(message)s").format(record)
        self.assertNotIn(KEY, text + json.dumps(record.data))
        self.assertIn("ValueError: bad [REDACTED]", text)
        self.assertEqual(record.data, {"a": [{"b": "[REDACTED]!"}], "n": 5})

    def test_names_of_secrets(self):
        value = {"api_key": 1, "API-Key": [2], "inner": [{"accessToken": 3, "tokens": 4}], "Authorization": 5}
        self.assertEqual(redact.without_named_secrets(value), {
            "api_key": "[REDACTED]", "API-Key": "[REDACTED]", "Authorization": "[REDACTED]",
            "inner": [{"accessToken": "[REDACTED]", "tokens": 4}]})


class Events(unittest.TestCase):
    def read(self, pieces, limit=1000):
        reader = sse.EventReader(limit)
        return [event for piece in pieces for event in reader.feed(piece)]

    def test_in_any_pieces_and_with_any_line_ends(self):
        lines = ["data: one", "", ": comment", "event: x", "data:two", "data:  lines", "", "id: 5", "", "data", "",
                 "data: cut"]  # fmt: skip
        wanted = [b"one", b"two\n lines", b""]
        for end in ("\n", "\r\n", "\r"):
            text = end.join(lines).encode()
            for size in range(1, len(text) + 1):
                self.assertEqual(self.read([text[at : at + size] for at in range(0, len(text), size)]), wanted)

    def test_the_limit_of_an_event(self):
        line = b"data: " + b"x" * 94
        self.assertEqual(self.read([line, b"\n\n"], 100), [b"x" * 94])
        for pieces in ([line + b"x"], [line[:50], line[50:] + b"x"], [b"data: " + b"x" * 50 + b"\n"] * 2):
            with self.assertRaises(sse.TooLarge):
                self.read(pieces, 100)


class Headers(dict):
    def getall(self, name, default):
        return self.get(name, default)


class Peers(unittest.TestCase):
    def test_private_addresses(self):
        admission = Admission(None, False, None, None, False)
        for address in ("127.0.0.1", "10.1.2.3", "172.31.255.255", "192.168.0.1", "169.254.1.1", "100.64.0.1", "::1",
                        "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1"):
            self.assertIsNone(admission.peer_problem(address), address)
        for address in ("8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8", "0.0.0.0", "::"):
            self.assertEqual(admission.peer_problem(address)[0], 403, address)

    def test_public_addresses_with_a_token_or_when_allowed(self):
        self.assertIsNone(Admission("token", False, None, None, False).peer_problem("8.8.8.8"))
        self.assertIsNone(Admission(None, True, None, None, False).peer_problem("8.8.8.8"))

    def test_two_headers_are_none(self):
        admission = Admission("token", False, None, None, False)
        for headers in ({"Authorization": ["Bearer token"] * 2}, {"Authorization": ["Bearer \udcff"]}):
            self.assertEqual(admission.problem("GET", "/v1/models", Headers(headers))[0], 401)


if __name__ == "__main__":
    main()
