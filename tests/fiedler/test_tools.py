"""Fiedler's tools, as their callers see them, with a provider that does everything that a provider can do wrong."""
import asyncio
import contextlib
import http.client
import json
import os
import re
import stat
import tempfile
import unittest
from pathlib import Path

from caller import CallError, Caller, connect, request
from chat_provider import ANSWER, ChatProvider
from program import COMMAND, KEY, Fiedler, environment, models_file
from services import SOURCE, WAIT_S, AsyncTestCase, System, main, run_program, wait_until_async

INVALID_INPUT, ACCESS_DENIED = "INVALID_INPUT", "ACCESS_DENIED"
FILE_NOT_FOUND, PROVIDER_ERROR = "FILE_NOT_FOUND", "PROVIDER_ERROR"
IN_KEYRING = {"PYTHON_KEYRING_BACKEND": "file_keyring.Keyring"}


class Case(AsyncTestCase):
    async def start(self, models, **options):
        """Starts a provider and a Fiedler; self.caller calls its tools."""
        self.provider = await self.enterAsyncContext(ChatProvider())
        self.fiedler = self.enterContext(Fiedler(self.provider.url, models, **options))
        self.caller = await self.enterAsyncContext(Caller(self.fiedler.url))

    async def send(self, *models, **arguments):
        return await self.caller.call("fiedler_send", {"prompt": "question", "models": models} | arguments)

    async def fails(self, code, tool, **arguments):
        """Calls a tool that must fail; returns the error object."""
        with self.assertRaises(CallError) as caught:
            await self.caller.call(tool, arguments)
        error = caught.exception
        self.assertEqual((error.code, error.data["error"]["code"]), (-32000, code), error)
        self.assertEqual(error.data["error"]["message"], error.message)
        return error.data["error"]

    async def arrived(self, behaviour, count=1):
        await wait_until_async(lambda: len(self.provider.of(behaviour)) >= count, f"{count} requests of {behaviour}")
        return self.provider.of(behaviour)[-1]


class Definitions(Case):
    async def test_word_for_word(self):
        await self.start(["stream"])
        tools = json.loads((SOURCE / "tests/data/seed_tools.json").read_text())
        names = ("name", "description", "inputSchema")
        wanted = [{name: tool[name] for name in names} for tool in tools if tool["component"] == "fiedler"]
        self.assertEqual(len(wanted), 8)
        listed = (await self.caller.request("tools/list"))["result"]["tools"]
        self.assertEqual([{name: tool[name] for name in names} for tool in listed], wanted)

    async def test_errors_of_the_library(self):
        await self.start(["stream"])
        for tool, arguments, code in (("fiedler_send", {}, -32602), ("fiedler_set_key", {"provider": "test"}, -32602),
                                      ("fiedler_nothing", {}, -32601), ("fiedler_send", {"prompt": 5}, -32602),
                                      ("fiedler_get_config", {"models": []}, -32602)):
            with self.subTest(f"{tool} {arguments}"), self.assertRaises(CallError) as caught:
                await self.caller.call(tool, arguments)
            self.assertEqual(caught.exception.code, code)

    def test_vendors_are_named_in_the_definition_only(self):
        tools = {tool["name"]: tool for tool in json.loads((SOURCE / "tests/data/seed_tools.json").read_text())}
        line = tools["fiedler_set_key"]["inputSchema"]["properties"]["provider"]["description"]
        names = set(re.findall(r"\w+", line.partition(": ")[2])) - {"or", "together"}  # words of other meaning, too
        self.assertEqual((SOURCE / "examples/fiedler/tools.py").read_text().count(line), 1)
        for path in [*(SOURCE / "examples/fiedler").glob("*.*"), *(SOURCE / "tests/fiedler").glob("*.*")]:
            words = set(re.findall(r"[a-z]+", path.read_text().replace(line, "").lower()))
            self.assertEqual(words & names, set(), path.name)


class Configuration(Case):
    async def test_models(self):
        await self.start({"stream": {"aliases": ["s", "x/y"], "max_tokens": 5, "capabilities": ["text"]}, "json": {}})
        listed = (await self.caller.call("fiedler_list_models"))["models"]
        self.assertEqual(listed, [
            {"name": "stream", "provider": "test", "aliases": ["s", "x/y"], "max_tokens": 5, "capabilities": ["text"]},
            {"name": "json", "provider": "test", "aliases": [], "max_tokens": 1000, "capabilities": []}])
        config = await self.caller.call("fiedler_get_config")
        output = str(self.fiedler.output.resolve())
        self.assertEqual(config, {"models": [], "output_dir": output, "total_available_models": 2})
        await self.fails(INVALID_INPUT, "fiedler_send", prompt="no model yet")
        answer = await self.caller.call("fiedler_set_models", {"models": ["json", "s", "stream", "x/y"]})
        self.assertEqual(answer, {"status": "configured", "models": ["json", "stream"]})
        answer = await self.caller.call("fiedler_send", {"prompt": "q"})
        self.assertEqual([result["model"] for result in answer["results"]], ["json", "stream"])
        for models in ([], ["stream", "nothing"], ["s"] * 17):
            await self.fails(INVALID_INPUT, "fiedler_set_models", models=models)
        self.assertEqual((await self.caller.call("fiedler_get_config"))["models"], ["json", "stream"])

    async def test_output(self):
        await self.start(["stream"])
        output = self.fiedler.output.resolve()
        (self.fiedler.directory / "elsewhere").mkdir()
        (output / "link").symlink_to(self.fiedler.directory / "elsewhere")
        for path in ("/tmp", f"{output}2", "../elsewhere", "a/../../b", "link", "link/inner", "a\0b", "a" * 5000):
            with self.subTest(path[:30]):
                await self.fails(ACCESS_DENIED, "fiedler_set_output", output_dir=path)
        for path in ("a/b", str(output / "c"), str(output)):
            answer = await self.caller.call("fiedler_set_output", {"output_dir": path})
            self.assertEqual(answer, {"status": "configured", "output_dir": str(output / path)})
            self.assertEqual(Path((await self.send("stream"))["output_dir"]).parent, output / path)

    async def test_both_last(self):
        await self.start(["stream", "json"])
        await self.caller.call("fiedler_set_models", {"models": ["json"]})
        await self.caller.call("fiedler_set_output", {"output_dir": "kept"})
        config = await self.caller.call("fiedler_get_config")
        self.fiedler.restart()
        async with Caller(self.fiedler.url) as caller:
            self.assertEqual(await caller.call("fiedler_get_config"), config)
        self.fiedler.models.write_text(self.fiedler.models.read_text().replace("models.\"json\"", "models.\"other\""))
        self.fiedler.restart()
        async with Caller(self.fiedler.url) as caller:
            self.assertEqual(await caller.call("fiedler_get_config"), config | {"models": []})
        self.assertIn("a default model is no longer in the model file", self.fiedler.program.output())


class Keys(Case):
    async def test_in_a_file(self):
        await self.start(["stream"], needs_key=True)
        error = await self.fails(PROVIDER_ERROR, "fiedler_send", prompt="q", models=["stream"])
        self.assertIn("there is no key for test: store one with fiedler_set_key", error["message"])
        self.assertEqual(self.provider.requests, [])
        answer = await self.caller.call("fiedler_set_key", {"provider": "test", "api_key": KEY})
        self.assertEqual((answer["status"], answer["storage"]), ("stored", "file"))
        self.assertIn("not encrypted", answer["note"])
        self.assertIn("not encrypted", self.fiedler.program.output())
        file = self.fiedler.data / "fiedler-keys.json"
        self.assertEqual((stat.S_IMODE(file.stat().st_mode), json.loads(file.read_text())), (0o600, {"test": KEY}))
        self.assertEqual((await self.caller.call("fiedler_list_keys"))["providers"], ["test"])
        await self.send("stream")
        self.assertEqual(self.provider.requests[0].headers["authorization"], f"Bearer {KEY}")
        file.chmod(0o644)
        self.assertIn("chmod 600", (await self.fails(PROVIDER_ERROR, "fiedler_list_keys"))["message"])
        file.chmod(0o600)
        await self.caller.call("fiedler_delete_key", {"provider": "test"})
        self.assertEqual((await self.caller.call("fiedler_list_keys"))["providers"], [])
        await self.fails(INVALID_INPUT, "fiedler_delete_key", provider="test")

    async def test_in_the_system_keyring(self):
        await self.start(["stream"], settings=IN_KEYRING | {"KEYRING_FILE": "/nowhere"}, needs_key=True)
        self.fiedler.settings["KEYRING_FILE"] = str(self.fiedler.directory / "keyring")
        self.fiedler.restart()
        async with Caller(self.fiedler.url) as self.caller:
            answer = await self.caller.call("fiedler_set_key", {"provider": "test", "api_key": KEY})
            self.assertEqual(answer, {"status": "stored", "provider": "test", "storage": "system keyring"})
            self.assertEqual(json.loads((self.fiedler.directory / "keyring").read_text()), {"fiedler/test": KEY})
            self.assertFalse((self.fiedler.data / "fiedler-keys.json").exists())
            await self.send("stream")
            self.assertEqual(self.provider.requests[0].headers["authorization"], f"Bearer {KEY}")
            error = await self.fails(PROVIDER_ERROR, "fiedler_set_key", provider="test", api_key="locked-0123456789")
            self.assertIn("KeyringLocked", error["message"])
            answer = await self.caller.call("fiedler_list_keys")
            self.assertEqual(answer, {"providers": ["test"], "storage": "system keyring"})
            await self.caller.call("fiedler_delete_key", {"provider": "test"})
            await self.fails(INVALID_INPUT, "fiedler_delete_key", provider="test")
        self.fiedler.program.stop()
        self.assertNotIn("locked-0123456789", self.fiedler.program.output())

    async def test_what_is_refused(self):
        await self.start(["stream"])
        for provider, key in (("other", KEY), ("Test", KEY), ("test", "short"), ("test", "with space 0123"),
                              ("test", "a\r\nb" * 9)):  # fmt: skip
            error = await self.fails(INVALID_INPUT, "fiedler_set_key", provider=provider, api_key=key)
            self.assertNotIn(key, json.dumps(error))


class Sending(Case):
    async def test_a_request_and_its_results(self):
        models = {"stream": {"max_tokens": 77, "options": {"temperature": 0.5}},
                  "whole": {"upstream_name": "json", "stream": False, "max_tokens_field": "max_completion_tokens"}}
        await self.start(models)
        (self.fiedler.files / "a.txt").write_text("content")
        answer = await self.send("stream", "whole", files=["a.txt"])
        self.assertEqual(answer["status"], "success")
        place = Path(answer["output_dir"])
        for number, (result, name) in enumerate(zip(answer["results"], models), 1):
            self.assertEqual(result.pop("output_file"), str(place / f"{number:02}-{name}.md"))
            self.assertEqual((place / f"{number:02}-{name}.md").read_text(), ANSWER)
            self.assertGreaterEqual(result.pop("duration_s"), 0)
            self.assertEqual(result, {
                "model": name, "provider": "test", "status": "success", "finish_reason": "stop", "text": ANSWER,
                "tokens": {"prompt": 7, "completion": 5}, "text_truncated": False})
        summary = json.loads(Path(answer["summary_file"]).read_text())
        self.assertEqual((summary["correlation_id"], len(summary["results"])), (answer["correlation_id"], 2))
        messages = [{"role": "user", "content": "question\n\n===== a.txt (7 bytes) =====\ncontent"}]
        self.assertEqual(self.provider.of("stream")[0].body, {
            "model": "stream", "max_tokens": 77, "temperature": 0.5, "stream": True, "messages": messages})
        self.assertEqual(self.provider.of("json")[0].body, {
            "model": "json", "max_completion_tokens": 1000, "stream": False, "messages": messages})
        self.assertEqual(self.provider.requests[0].line, "POST /v1/chat/completions HTTP/1.1")
        self.assertNotIn("authorization", self.provider.requests[0].headers)

    async def test_all_models_at_once(self):
        """The provider answers none before it has the requests of all."""
        await self.start({f"m{number}": {"upstream_name": "waits_for_others"} for number in range(16)})
        self.provider.together = 16
        answer = await self.send(*(f"m{number}" for number in range(16)))
        self.assertEqual([result["status"] for result in answer["results"]], ["success"] * 16)
        self.assertEqual(len({result["output_file"] for result in answer["results"]}), 16)

    async def test_everything_that_a_provider_does_wrong(self):
        wrong = {
            "unknown": "status 404: no such model",
            "huge": "has more than 20000 bytes",
            "huge_in_small_pieces": "has more than 20000 bytes|is too large",
            "huge_event": "event of the stream is too large",
            "huge_comments": "is too large",
            "huge_object": "has more than",
            "huge_head": "invalid HTTP response|closed the connection",
            "no_http": "invalid HTTP response",
            "no_json": "not JSON",
            "no_choices": "no choices",
            "other_types": "not text",
            "deep": "not JSON|has more than",
            "bad_event": "not JSON",
            "bad_chunk": "invalid HTTP response|closed the connection",
            "error_event": "overloaded",
            "cut": "closed the connection before its response was complete",
            "cut_cleanly": "ended after 6 bytes, before the answer was complete",
            "cut_object": "closed the connection before its response was complete",
            "status_401": "the key was refused .401.: store another one",
            "status_429": "status 429, retry after 17 s: slow down",
            "status_500": "status 500: failed",
            "redirect": "redirected .307., which is not followed",
            "compressed": "compressed its response",
        }
        await self.start([*wrong, "stream"], settings={"FIEDLER_MAX_ANSWER_BYTES": "20000"})
        for behaviour, said in wrong.items():
            with self.subTest(behaviour):
                answer = await self.send(behaviour, "stream")
                self.assertEqual(answer["status"], "partial_success")
                bad, good = answer["results"]
                self.assertEqual((bad["status"], bad["error"]["code"], good["text"]), ("failed", PROVIDER_ERROR, ANSWER))
                self.assertRegex(bad["error"]["message"], said)
                self.assertTrue(bad["error"]["message"].isprintable())
                self.assertLess(len(bad["error"]["message"]), 500)
        names = sorted(wrong)[:16]
        error = await self.fails(PROVIDER_ERROR, "fiedler_send", prompt="q", models=names)
        self.assertIn("no model answered: ", error["message"])
        self.assertEqual([result["model"] for result in error["results"]], names)
        self.assertEqual([each for each in self.provider.requests if "elsewhere" in each.line], [])

    async def test_a_provider_that_is_not_there(self):
        await self.start(["stream"])
        text = self.fiedler.models.read_text().replace(self.provider.url, "http://127.0.0.1:1/v1")
        self.fiedler.models.write_text(text)
        self.fiedler.restart()
        async with Caller(self.fiedler.url) as self.caller:
            error = await self.fails(PROVIDER_ERROR, "fiedler_send", prompt="q", models=["stream"])
        self.assertIn("cannot connect to test: Connection refused", error["message"])

    async def test_the_time_limit_of_a_model(self):
        names = ("hang", "hang_in_stream")
        await self.start({name: {"timeout_s": 1} for name in names} | {"stream": {}})
        answer = await self.send(*names, "stream")
        for result in answer["results"][:2]:
            self.assertIn("no complete answer in 1 s", result["error"]["message"])
        for name in names:
            await asyncio.wait_for(self.provider.of(name)[0].ended.wait(), WAIT_S)

    async def test_a_long_text_is_in_the_file_only(self):
        await self.start({"stream": {}, "long": {}})

        async def long(_, writer):
            await self.provider.stream_of(writer, ["ä" * 1000] * 200)

        self.provider.long = long
        answer = await self.send("long", "stream")
        result = answer["results"][0]
        self.assertEqual((result["text"], result["text_truncated"]), ("ä" * 32768, True))
        self.assertEqual(Path(result["output_file"]).read_text(), "ä" * 200_000)

    async def test_files(self):
        await self.start(["stream"], settings={"FIEDLER_MAX_PACKAGE_BYTES": "2000"})
        files = self.fiedler.files
        (files / "large").write_text("x" * 2000)
        (files / "binary").write_bytes(b"\xff\xfe")
        (files / "link").symlink_to("/etc/passwd")
        (files / "outside").symlink_to("/etc")
        for code, path in ((FILE_NOT_FOUND, "nothing"), (FILE_NOT_FOUND, str(files / "nothing")),
                           (ACCESS_DENIED, "/etc/passwd"), (ACCESS_DENIED, "../models.toml"), (ACCESS_DENIED, "link"),
                           (ACCESS_DENIED, "outside/passwd"), (ACCESS_DENIED, "/nothing"), (INVALID_INPUT, "large"),
                           (INVALID_INPUT, "binary"), (INVALID_INPUT, "")):  # fmt: skip
            with self.subTest(path):
                error = await self.fails(code, "fiedler_send", prompt="q", models=["stream"], files=[path])
                self.assertNotIn("root:", error["message"])
        self.assertEqual(self.provider.requests, [])
        self.assertEqual(list(self.fiedler.output.iterdir()), [])

    async def test_a_disk_that_cannot_be_written(self):
        await self.start(["stream"])
        self.fiedler.output.rmdir()
        error = await self.fails(PROVIDER_ERROR, "fiedler_send", prompt="q", models=["stream"])
        self.assertIn("does not exist", error["message"])
        self.assertNotIn(str(self.fiedler.output), error["message"])


class Calls(Case):
    """Progress and cancellation, over a connection of their own."""

    async def begin(self, *models, **meta):
        self.ws = await self.enterAsyncContext(connect(self.fiedler.url))
        params = {"name": "fiedler_send", "arguments": {"prompt": "q", "models": models}, "_meta": meta}
        await self.ws.send(json.dumps(request(1, "tools/call", **params)))

    async def receive(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), WAIT_S))

    async def test_progress(self):
        await self.start(["stream", "json", "slow"])
        await self.begin("stream", "json", "slow", progressToken="p")
        reports = []
        while "id" not in (message := await self.receive()):
            self.assertEqual(message["method"], "notifications/progress")
            reports.append(message["params"])
            if reports[-1]["progress"] >= 2:
                self.provider.goes_on.set()  # the third one waits for the reports of the others
        steps = [report["progress"] for report in reports]
        self.assertEqual(sorted({*steps}), steps)
        self.assertEqual({report["total"] for report in reports}, {3})
        self.assertRegex(reports[-1]["message"], "success|arriving")

    async def test_a_cancelled_call_ends_its_requests(self):
        await self.start(["hang", "hang_in_stream"])
        await self.begin("hang", "hang_in_stream")
        upstream = [await self.arrived("hang"), await self.arrived("hang_in_stream")]
        await self.ws.send(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        for each in upstream:
            await asyncio.wait_for(each.ended.wait(), WAIT_S)
        self.assertEqual(list(self.fiedler.output.iterdir()), [])

    async def test_a_caller_that_leaves_ends_its_requests(self):
        await self.start(["hang"])
        await self.begin("hang")
        upstream = await self.arrived("hang")
        self.ws.transport.abort()
        await asyncio.wait_for(upstream.ended.wait(), WAIT_S)

    async def test_a_stop_ends_requests(self):
        await self.start(["hang"])
        await self.begin("hang")
        upstream = await self.arrived("hang")
        await asyncio.to_thread(self.fiedler.program.stop)
        await asyncio.wait_for(upstream.ended.wait(), WAIT_S)


class Limits(Case):
    async def test_calls_at_once(self):
        await self.start(["hang", "stream"])
        calls = [asyncio.create_task(self.send("hang")) for _ in range(8)]
        await self.arrived("hang", 8)
        error = await self.fails(PROVIDER_ERROR, "fiedler_send", prompt="q", models=["stream"])
        self.assertIn("8 calls of fiedler_send are running: retry later", error["message"])
        await self.caller.ws.close()  # cancels the eight
        await asyncio.gather(*calls, return_exceptions=True)

        async def answered():
            async with Caller(self.fiedler.url) as caller:
                try:
                    return await caller.call("fiedler_send", {"prompt": "q", "models": ["stream"]})
                except CallError:
                    return None

        await wait_until_async(answered, "there is room again")

    async def test_requests_at_once(self):
        await self.start(["slow", "stream"], settings={"FIEDLER_MAX_REQUESTS": "1"})
        call = asyncio.create_task(self.send("slow", "stream"))
        await self.arrived("slow")
        self.assertEqual(self.provider.of("stream"), [])
        self.provider.goes_on.set()
        self.assertEqual((await call)["status"], "success")

    async def test_memory_of_all_models_at_once(self):
        """16 answers that never end cost what the limits allow, and not more."""
        models = {f"{name}{number}": {"upstream_name": name} for number in range(4)
                  for name in ("huge", "huge_in_small_pieces", "huge_event", "huge_object")}
        await self.start(models | {"stream": {}}, settings={"FIEDLER_MAX_ANSWER_BYTES": "100000"})
        await self.send("stream")
        before = self.fiedler.memory_peak()
        error = await self.fails(PROVIDER_ERROR, "fiedler_send", prompt="q", models=list(models))
        self.assertEqual(len(error["results"]), 16)
        self.assertLess(self.fiedler.memory_peak() - before, 40 << 20)

    async def test_arguments(self):
        await self.start(["stream"])
        (self.fiedler.files / "a").write_text("a")
        await self.send("stream", files=["a"] * 100)
        await self.fails(INVALID_INPUT, "fiedler_send", prompt="q", models=["stream"], files=["a"] * 101)
        await self.fails(INVALID_INPUT, "fiedler_send", prompt="x" * 1_100_000, models=["stream"])
        await self.fails(INVALID_INPUT, "fiedler_send", prompt="q", models=["x" * 1_000_000])
        await self.fails(INVALID_INPUT, "fiedler_send", prompt="q", models=[])

    async def test_the_input_of_a_model(self):
        await self.start({"stream": {"max_input_bytes": 1000}, "json": {}})
        answer = await self.send("stream", "json", prompt="x" * 1000)
        self.assertEqual([result["status"] for result in answer["results"]], ["failed", "success"])
        self.assertEqual(answer["results"][0]["error"]["code"], INVALID_INPUT)
        self.assertEqual(self.provider.of("stream"), [])


class Secrets(AsyncTestCase):
    async def start(self, models, **options):
        self.provider = await self.enterAsyncContext(ChatProvider())
        self.fiedler = self.enterContext(Fiedler(self.provider.url, models, needs_key=True, **options))
        self.outputs = []

    async def call(self, caller, tool, **arguments):
        self.outputs.append(json.dumps(await caller.request("tools/call", {"name": tool, "arguments": arguments})))

    async def test_no_key_anywhere(self):
        """Everything that can happen to a key, at the level that logs the most; then all output is searched."""
        behaviours = ["repeats_the_key", "repeats_the_key_at_once", "status_401", "status_500", "no_http", "cut"]
        await self.start(behaviours, settings={"LOG_LEVEL": "TRACE"})
        async with Caller(self.fiedler.url) as caller:
            await self.call(caller, "fiedler_set_key", provider="test", api_key=KEY)
            for wrong in ([KEY], KEY + " ", KEY + "ä", {"key": KEY}):
                await self.call(caller, "fiedler_set_key", provider="test", api_key=wrong)
            await self.call(caller, "fiedler_list_keys")
            await self.call(caller, "fiedler_send", prompt="q", models=behaviours)
            for behaviour in behaviours:
                await self.call(caller, "fiedler_send", prompt="q", models=[behaviour])
                body = json.dumps({"model": behaviour, "messages": [], "api_key": KEY})
                self.outputs.append(await asyncio.to_thread(post, self.fiedler.proxy_port, body.encode()))
        self.outputs += [path.read_text() for path in self.fiedler.output.rglob("*") if path.is_file()]
        process = Path(f"/proc/{self.fiedler.program.process.pid}")
        self.outputs += [(process / name).read_text() for name in ("cmdline", "environ", "comm")]
        self.fiedler.program.stop()  # its log is complete then
        self.outputs.append(self.fiedler.program.output())
        for output in self.outputs:
            self.assertNotIn(KEY, output)
        self.assertGreaterEqual("".join(self.outputs).count("You sent Bearer [REDACTED], thanks"), 6)
        self.assertIn("TRACE", self.outputs[-1])
        self.assertEqual({request.headers["authorization"] for request in self.provider.requests}, {f"Bearer {KEY}"})

    async def test_a_key_as_the_wrong_argument(self):
        await self.start(["stream"], settings={"LOG_LEVEL": "DEBUG"})
        async with Caller(self.fiedler.url) as caller:
            for tool in ("fiedler_set_key", "fiedler_delete_key"):
                await self.call(caller, tool, provider=KEY, **({"api_key": KEY} if tool == "fiedler_set_key" else {}))
        self.fiedler.program.stop()
        for output in (*self.outputs, self.fiedler.program.output()):
            self.assertNotIn(KEY, output)


class Settings(unittest.TestCase):
    def test_bad_values(self):
        place = Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
        (place / "good.toml").write_text(models_file("http://localhost:1/v1", ["stream"]))
        (place / "bad.toml").write_text(models_file("file:///etc", ["stream"]))
        (place / "file").write_text("")
        (place / "tokens").write_text("")
        good = {"PATH": os.environ["PATH"]} | environment(place, place / "good.toml")
        for name, value, allowed in (
            ("FIEDLER_MCP_PORT", "abc", "from 0 to 65535"),
            ("FIEDLER_PROXY_PORT", "65536", "from 0 to 65535"),
            ("FIEDLER_MAX_PACKAGE_BYTES", "1023", "from 1024 to 67108864"),
            ("FIEDLER_MAX_ANSWER_BYTES", "16777217", "from 1024 to 16777216"),
            ("FIEDLER_MAX_REQUESTS", "0", "from 1 to 256"),
            ("FIEDLER_IMPORT_PATHS", "files", "absolute directories separated by colons"),
            ("FIEDLER_IMPORT_PATHS", str(place), "directories without the file of the keys"),
            ("FIEDLER_OUTPUT_PATH", str(place / "file"), "expected a directory"),
            ("FIEDLER_MODELS_FILE", str(place / "nothing"), "expected a file that can be read"),
            ("FIEDLER_MODELS_FILE", str(place / "bad.toml"), "providers.test.base_url is"),
            ("FIEDLER_MODELS_FILE", "", "expected the path of a model file"),
            ("ICCM_AUTH_TOKEN", "a b", "expected 1 to 512 characters"),
            ("ICCM_ALLOW_PUBLIC", "maybe", "expected"),
            ("ICCM_TOKENS", str(place / "tokens"), "without ICCM_AUTH_TOKEN: expected both"),
        ):  # fmt: skip
            with self.subTest(f"{name}={value}"):
                run = run_program(COMMAND, env=good | {name: value}, cwd=place)
                lines = [line for line in run.stderr.splitlines() if "ERROR" in line]
                self.assertEqual((run.returncode, len(lines), run.stdout), (2, 1, ""), run.stderr)
                for part in (name, allowed, value if name != "ICCM_AUTH_TOKEN" else ""):
                    self.assertIn(part, lines[0])

    def test_the_documentation_has_all(self):
        place = SOURCE / "examples/fiedler"
        read = re.findall(r'env\.\w+\("(FIEDLER_[A-Z_]+)"', (place / "settings.py").read_text())
        documented = re.findall(r"^\| `(FIEDLER_[A-Z_]+)` \|", (place / "README.md").read_text(), re.M)
        self.assertEqual(sorted(documented), sorted(read))

    def test_a_port_that_is_in_use(self):
        with Fiedler("http://localhost:1/v1", ["stream"]) as fiedler:
            for name, port in (("FIEDLER_MCP_PORT", fiedler.port), ("FIEDLER_PROXY_PORT", fiedler.proxy_port)):
                run = run_program(COMMAND, env={"PATH": os.environ["PATH"]} | fiedler.settings | {name: str(port)})
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertRegex(run.stderr, f"(?i)port {port}: address already in use")
                self.assertNotIn("Traceback", run.stderr)


class Shipping(AsyncTestCase):
    """To a real Godot, whose store is read."""

    async def test_lines_of_tools_and_proxy(self):
        provider = await self.enterAsyncContext(ChatProvider())
        system = self.enterContext(System())
        system.start()
        shipping = {"LOGGING_ENABLED": "true", "GODOT_URL": system.godot_url, "LOG_LEVEL": "DEBUG"}
        fiedler = self.enterContext(Fiedler(provider.url, ["stream", "repeats_the_key_at_once"], settings=shipping))
        async with Caller(fiedler.url) as caller:
            await caller.call("fiedler_set_key", {"provider": "test", "api_key": KEY})
        body = json.dumps({"model": "repeats_the_key_at_once", "messages": [], "user": {"api_key": "named-secret"}}).encode()
        await asyncio.to_thread(post, fiedler.proxy_port, body)
        async with Caller(system.godot_url) as godot:
            rows = []

            async def stored():
                rows[:] = await godot.call("logger_query", {"component": "fiedler", "level": "DEBUG", "limit": 1000})
                return {"request passed on", "request and response"} <= {row["message"] for row in rows}

            await wait_until_async(stored, "the proxy's lines are in the store")
        text = json.dumps(rows)
        self.assertNotIn(KEY, text)
        self.assertNotIn("named-secret", text)
        passed = next(row for row in rows if row["message"] == "request passed on")
        data = passed["data"]
        self.assertEqual((passed["level"], data["model"], data["status"]), ("INFO", "repeats_the_key_at_once", 200))
        logged = next(row for row in rows if row["message"] == "request and response")
        self.assertIn("You sent Bearer [REDACTED], thanks", logged["data"]["response"])
        self.assertIn("[REDACTED]", logged["data"]["request"])


def post(port, body):
    """Returns what comes back, as far as it comes."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as connection:
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        try:
            return connection.getresponse().read().decode()
        except http.client.IncompleteRead as cut:
            return cut.partial.decode()


if __name__ == "__main__":
    main()
