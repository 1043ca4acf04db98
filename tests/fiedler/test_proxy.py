"""Fiedler's HTTP proxy: what it passes on, what it refuses, and whom it admits, compared with the library's port."""
import asyncio
import itertools
import json
import shutil
import signal
import ssl
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from types import SimpleNamespace

import aiohttp

from caller import Caller
from chat_provider import ANSWER, ChatProvider
from fiedler import door, models, proxy
from fiedler.admission import Admission
from fiedler.keys import FileStore
from fiedler.keys import Keys
from fiedler.provider import new_session
from fiedler.redact import Secrets
from network_namespace import NetworkNamespace
from program import KEY, Fiedler, models_file
from services import PROGRAMS, WAIT_S, AsyncTestCase, http, main, run_program, wait_until_async

PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "question"}]


class Case(AsyncTestCase):
    async def start(self, models, **options):
        self.provider = await self.enterAsyncContext(ChatProvider())
        self.fiedler = self.enterContext(Fiedler(self.provider.url, models, **options))
        timeout = aiohttp.ClientTimeout(total=WAIT_S)
        self.session = await self.enterAsyncContext(aiohttp.ClientSession(
            self.fiedler.proxy_url, timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)))  # each request its own

    def post(self, model, headers=None, **members):
        return self.session.post(PATH, json={"model": model, "messages": MESSAGES} | members, headers=headers)

    async def ask(self, model, **members):
        """Returns the status and the value of the response."""
        async with self.post(model, **members) as response:
            return response.status, await response.json()

    async def arrived(self, behaviour, count=1):
        await wait_until_async(lambda: len(self.provider.of(behaviour)) >= count, f"{count} requests of {behaviour}")
        return self.provider.of(behaviour)[-1]


class Passing(Case):
    async def test_a_request_and_its_response(self):
        model = {"json": {"aliases": ["j"], "max_tokens": 50, "options": {"temperature": 0.5, "top_p": 1}}}
        await self.start(model, needs_key=True)
        async with Caller(self.fiedler.url) as caller:
            await caller.call("fiedler_set_key", {"provider": "test", "api_key": KEY})
        headers = {"Authorization": "Bearer of-the-caller", "X-Other": "secret", "Cookie": "a=b"}
        async with self.post("j", headers, temperature=1, user="u") as response:
            self.assertEqual((response.status, response.content_type), (200, "application/json"))
            value = await response.json()
        self.assertEqual(value["choices"][0]["message"]["content"], ANSWER)
        sent = self.provider.requests[0]
        self.assertEqual(sent.line, f"POST {PATH} HTTP/1.1")
        wanted = {"temperature": 1, "top_p": 1, "user": "u", "max_tokens": 50}
        self.assertEqual(sent.body, {"model": "json", "messages": MESSAGES} | wanted)
        self.assertEqual(sent.headers["authorization"], f"Bearer {KEY}")
        self.assertEqual({*sent.headers} & {"x-other", "cookie"}, set())

    async def test_a_stream_arrives_while_it_is_made(self):
        await self.start(["slow"])
        async with self.post("slow", stream=True) as response:
            self.assertEqual((response.status, response.content_type), (200, "text/event-stream"))
            self.assertIn("first", (await response.content.readany()).decode())
            self.provider.goes_on.set()  # the provider waits until the first piece has gone all the way
            rest = (await response.content.read()).decode()
        self.assertIn("second", rest)
        self.assertTrue(rest.endswith("data: [DONE]\n\n"))

    async def test_models_and_health(self):
        await self.start({"json": {"aliases": ["j"]}, "stream": {}})
        async with self.session.get("/v1/models") as response:
            self.assertEqual([model["id"] for model in (await response.json())["data"]], ["json", "stream"])
        async with self.session.get("/healthz") as response:
            self.assertEqual((response.status, await response.text()), (200, "ok\n"))
        for method, path, status in (("GET", "/", 404), ("GET", PATH, 405), ("POST", "/v1/models", 405),
                                     ("POST", "/v1/completions", 404)):  # fmt: skip
            async with self.session.request(method, path) as response:
                self.assertEqual((response.status, (await response.json())["error"]["code"]), (status, "INVALID_INPUT"))

    async def test_the_provider_is_the_one_of_the_model_file(self):
        await self.start(["json"])
        port = self.fiedler.proxy_port
        body = json.dumps({"model": "json", "messages": [], "base_url": "http://192.0.2.1/v1"})
        for target in (PATH, f"http://192.0.2.1{PATH}"):
            head = f"POST {target} HTTP/1.1\r\nHost: 192.0.2.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            response = await asyncio.to_thread(http, port, (head + body).encode())
            self.assertEqual(response.status, 200)
        self.assertEqual(len(self.provider.requests), 2)

    async def test_what_a_provider_does_wrong(self):
        wrong = {
            "status_401": (502, "the key was refused (401): store another one"),
            "redirect": (502, "redirected (307), which is not followed"),
            "compressed": (502, "compressed its response"),
            "no_http": (502, "invalid HTTP response"),
            "huge_head": (502, "test "),
        }
        await self.start([*wrong, "status_429", "status_500", "unknown"], needs_key=True)
        self.assertEqual((await self.ask("unknown"))[1]["error"]["code"], "PROVIDER_ERROR")  # no key
        async with Caller(self.fiedler.url) as caller:
            await caller.call("fiedler_set_key", {"provider": "test", "api_key": KEY})
        for model, (status, said) in wrong.items():
            with self.subTest(model):
                got, value = await self.ask(model)
                error = value["error"]
                self.assertEqual((got, error["code"], error["type"]), (status, "PROVIDER_ERROR", "PROVIDER_ERROR"))
                self.assertIn(said, error["message"])
        async with self.post("status_429") as response:  # passed on as it is
            self.assertEqual((response.status, response.headers["Retry-After"]), (429, "17"))
            self.assertEqual((await response.json())["error"]["message"], "slow down")
        status, value = await self.ask("status_500")
        self.assertEqual(status, 500)
        self.assertIn("with Bearer [REDACTED] xxx", value["error"]["message"])
        self.assertEqual((await self.ask("unknown"))[0], 404)
        self.assertEqual([each for each in self.provider.requests if "elsewhere" in each.line], [])

    async def test_what_is_cut_does_not_look_complete(self):
        behaviours = ["cut", "cut_object", "bad_chunk", "huge", "huge_object"]
        await self.start([*behaviours, "hang_in_stream"], settings={"FIEDLER_MAX_ANSWER_BYTES": "20000"})
        for behaviour in behaviours:
            with self.subTest(behaviour), self.assertRaises(aiohttp.ClientError):
                async with self.post(behaviour, stream=True) as response:
                    self.assertLess(response.status, 503)
                    if response.status != 502:  # else nothing had begun
                        await response.read()
                    else:
                        raise aiohttp.ClientPayloadError
            await asyncio.wait_for(self.provider.of(behaviour)[0].ended.wait(), WAIT_S)

    async def test_an_invalid_chunk_after_others(self):
        await self.start(["bad_chunk_later"])
        with self.assertRaises(aiohttp.ClientError):
            async with self.post("bad_chunk_later", stream=True) as response:
                await response.content.readany()
                self.provider.goes_on.set()
                await response.read()
        await asyncio.wait_for(self.provider.requests[0].ended.wait(), WAIT_S)
        self.fiedler.program.wait_for("closed the connection before its response was complete|invalid HTTP response")

    async def test_the_time_limit_of_a_model(self):
        await self.start({name: {"timeout_s": 1} for name in ("hang", "hang_in_stream")})
        status, value = await self.ask("hang")
        self.assertEqual((status, value["error"]["message"]), (502, "test: no complete response in 1 s"))
        with self.assertRaises(aiohttp.ClientError):
            async with self.post("hang_in_stream") as response:
                await response.read()

    async def test_a_caller_that_leaves_ends_the_request(self):
        await self.start(["hang", "hang_in_stream"])
        for behaviour in ("hang", "hang_in_stream"):
            call = asyncio.create_task(self.ask(behaviour))
            upstream = await self.arrived(behaviour)
            call.cancel()
            await asyncio.wait_for(upstream.ended.wait(), WAIT_S)
        self.fiedler.program.wait_for('"error":"the caller left')

    async def test_a_stop_ends_requests(self):
        await self.start(["hang"])
        call = asyncio.create_task(self.ask("hang"))
        upstream = await self.arrived("hang")
        await asyncio.to_thread(self.fiedler.program.stop)  # fails unless the exit status is 0
        await asyncio.wait_for(upstream.ended.wait(), WAIT_S)
        with self.assertRaises(aiohttp.ClientError):
            await call

    async def test_contents_are_logged_at_debug_only(self):
        for level in ("INFO", "DEBUG"):
            await self.start(["json"], settings={"LOG_LEVEL": level})
            await self.ask("json", password="hunter2", messages=[{"role": "user", "content": "the question"}])
            self.fiedler.program.wait_for("request passed on")
            self.fiedler.program.stop()
            output = self.fiedler.program.output()
            self.assertEqual("the question" in output, level == "DEBUG")
            self.assertNotIn("hunter2", output)


class Refusing(Case):
    async def test_bodies(self):
        model = {"json": {"max_tokens": 50, "stream": False, "max_input_bytes": 5000}}
        await self.start(model, settings={"FIEDLER_MAX_PACKAGE_BYTES": "10000"})
        for body in (b"", b"{", b"[]", b"5", b"{}", b'{"model": 5}', b'{"model": "nothing"}', b"[" * 60000, b"\xff",
                     b'{"model": "json", "max_tokens": 51}', b'{"model": "json", "max_completion_tokens": 0}',
                     b'{"model": "json", "max_tokens": "5"}', b'{"model": "json", "max_tokens": true}',
                     b'{"model": "json", "x": NaN}', b'{"model": "json", "x": 1e999}',
                     b'{"model": "json", "x": ' + b"[" * 600 + b"]" * 600 + b"}",
                     b'{"model": "json", "x": ' + b"[" * 64 + b"]" * 64 + b"}", b'{"model": "json", "n": 2}', b'{"model": "json", "stream": true}',
                     b'{"model": "json", "x": "' + b"x" * 5000 + b'"}', b" " * 80000,
                     b'{"model": "json", "max_tokens": ' + b"9" * 5000 + b"}"):  # fmt: skip
            with self.subTest(body[:40]):
                async with self.session.post(PATH, data=body) as response:
                    self.assertEqual((response.status, (await response.json())["error"]["code"]), (400, "INVALID_INPUT"))
        async with self.session.post(PATH, data=b"x", headers={"Content-Encoding": "gzip"}) as response:
            self.assertEqual(response.status, 400)
        self.assertEqual(self.provider.requests, [])
        for members in ({"max_tokens": 50}, {"max_tokens": None}, {"max_completion_tokens": 7}, {"n": None, "stream": False}):
            self.assertEqual((await self.ask("json", **members))[0], 200)
        self.assertEqual([request.body["max_tokens"] for request in self.provider.requests], [50, 50, 7, 50])

    async def test_requests_at_once(self):
        await self.start(["hang", "json"], settings={"FIEDLER_MAX_REQUESTS": "2"})
        calls = [asyncio.create_task(self.ask("hang")) for _ in range(2)]
        await self.arrived("hang", 2)
        async with self.post("json") as response:
            self.assertEqual((response.status, response.headers["Retry-After"]), (503, "1"))
        async with Caller(self.fiedler.url) as caller:  # the tools have room of their own
            answer = await caller.call("fiedler_send", {"prompt": "q", "models": ["json"]})
        self.assertEqual(answer["status"], "success")
        for call in calls:
            call.cancel()

        async def has_room():
            return (await self.ask("json"))[0] == 200

        await wait_until_async(has_room, "there is room again")


class Times(AsyncTestCase):
    """In this process, with limits so short that they pass."""

    async def start(self, **limits):
        for name, value in limits.items():
            self.enterContext(unittest.mock.patch.object(door if hasattr(door, name) else proxy, name, value))
        self.provider = await self.enterAsyncContext(ChatProvider())
        place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (place / "models.toml").write_text(models_file(self.provider.url, ["huge", "json", "hang"]))
        settings = SimpleNamespace(proxy_port=0, max_requests=4, max_package_bytes=10000, max_answer_bytes=1 << 24)
        found, secrets = models.load(place / "models.toml"), Secrets()
        keys = Keys(FileStore(str(place / "keys")), found.providers, secrets)
        admission = Admission(None, False, None, None, False)
        self.proxy = proxy.Proxy(settings, found, keys, secrets, await self.enterAsyncContext(new_session()), admission)
        await self.proxy.start(None)
        self.addAsyncCleanup(self.proxy.stop)

    async def connect(self, data=b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.addCleanup(writer.close)
        writer.write(data)
        return reader, writer

    async def ends(self, reader):
        try:
            return await asyncio.wait_for(reader.read(), WAIT_S)
        except ConnectionError:
            return b""

    async def test_no_complete_request(self):
        await self.start(HEAD_S=0.05)
        for data in (b"", b"GET / HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nX: "):
            reader, _ = await self.connect(data)
            self.assertEqual(await self.ends(reader), b"")

    async def test_the_head_of_a_request(self):
        await self.start()
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        for headers, status in ((b"a: " + b"b" * 3000 + b"\r\n", b"200"), (b"a:b\r\n" * 4000, b"431"),
                                (b"Transfer-Encoding: chunked\r\n", b"411")):  # fmt: skip
            reader, _ = await self.connect(head + headers + b"\r\n")
            self.assertIn(status, await asyncio.wait_for(reader.readline(), WAIT_S))
        reader, writer = await self.connect(head)
        ended = asyncio.create_task(self.ends(reader))
        while not ended.done() and not writer.is_closing():  # a head without an end
            writer.write(b"a:b\r\n" * 1000)
            await asyncio.sleep(0)
        self.assertIn((await ended)[:12], (b"HTTP/1.1 431", b""))

    async def test_one_request_after_the_other(self):
        await self.start()
        health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        body = json.dumps({"model": "json", "messages": []})
        post = f"\r\nPOST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}\r\n".encode()
        reader, writer = await self.connect()
        for data in (health, post, health, post):
            for at in range(len(data)):
                writer.write(data[at : at + 1])
                await asyncio.sleep(0)
            self.assertIn(b"200", await asyncio.wait_for(reader.readline(), WAIT_S))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
            if b"chunked" in head:
                await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), WAIT_S)
            else:
                await asyncio.wait_for(reader.readuntil(b"ok\n"), WAIT_S)

    async def test_requests_behind_one_that_is_served(self):
        await self.start()
        body = json.dumps({"model": "hang", "messages": []})
        hang = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        reader, writer = await self.connect(hang)
        await wait_until_async(lambda: self.provider.of("hang"), "the request has arrived")
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        self.assertEqual(await self.ends(reader), b"")
        await asyncio.wait_for(self.provider.of("hang")[0].ended.wait(), WAIT_S)
        reader, _ = await self.connect(hang + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(await self.ends(reader), b"")

    async def test_no_complete_body(self):
        await self.start(BODY_S=0.05)
        reader, _ = await self.connect(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{{".encode())
        self.assertIn(b"the body did not arrive in 0.05 s", await asyncio.wait_for(reader.readuntil(b"}}"), WAIT_S))

    async def test_a_response_that_nobody_reads(self):
        await self.start(WRITE_S=0.05)
        body = json.dumps({"model": "huge", "messages": []})
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        reader, _ = await self.connect((head + body).encode())
        reader._transport.pause_reading()
        await wait_until_async(lambda: self.provider.of("huge"), "the request has arrived")
        await asyncio.wait_for(self.provider.of("huge")[0].ended.wait(), WAIT_S)

    async def test_connections_at_once(self):
        await self.start(MAX_CONNECTIONS=2)
        health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        taken = [await self.connect(health) for _ in range(2)]
        for reader, _ in taken:
            await asyncio.wait_for(reader.readuntil(b"ok\n"), WAIT_S)
        reader, _ = await self.connect(health)
        self.assertTrue((await self.ends(reader)).startswith(b"HTTP/1.1 503 "))
        taken[0][1].close()

        async def admitted():
            reader, _ = await self.connect(health + b"")
            return (await asyncio.wait_for(reader.readline(), WAIT_S)).startswith(b"HTTP/1.1 200")

        await wait_until_async(admitted, "there is room again")


HOSTS = ("127.0.0.1:{port}", "localhost", "LOCALHOST:1", "[::1]:{port}", "[::1%25lo]", "[zz]", "fiedler", "a.local",
         "a.INTERNAL", ".local", "evil.example", "evil.example.", "listed.example", "LISTED.example.:5", "sub.listed.example",
         "127.0.0.1.evil.example", "0177.0.0.1", "::1", "a_b-c", "ä.local", "x.localhost:{port}")  # fmt: skip
ORIGINS = (None, "http://127.0.0.1:{port}", "http://127.0.0.1", "https://127.0.0.1:{port}", "ws://127.0.0.1:{port}",
           "http://localhost", "http://localhost/", "http://evil.example", "null", "", "http://", "://x", "http://page.example",
           "HTTP://Page.Example:80/", "http://page.example:81", "http://127.0.0.1:{port}/x", "http://x.localhost",
           "http://127.0.0.1:x", "http://[::1]:{port}", "http://evil.example@127.0.0.1")  # fmt: skip
TOKENS = (None, "Bearer the-token", "bearer the-token", "Bearer   the-token", "Bearer the-token ", "Bearer wrong", "Bearer",
          "Bearer ", "Basic the-token", "the-token", "Bearer the-tokenx", "Bearer\tthe-token")  # fmt: skip
LISTS = {"ICCM_ALLOWED_HOSTS": "listed.example, 127.0.0.9:1,", "ICCM_ALLOWED_ORIGINS": "http://page.example:80/,https://127.0.0.1"}
TOKEN = {"ICCM_AUTH_TOKEN": "the-token"}
PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
CHAT = json.dumps({"model": "json", "messages": []})
PAIRS = (("POST", PING, "/mcp", CHAT, PATH), ("GET", "", "/", "", "/v1/models"), ("GET", "", "/healthz", "", "/healthz"))


class Admitting(Case):
    """Requests to both ports: 401 and 403 must be the same."""

    def verdict(self, port, method, path, body, headers):
        head = [f"{method} {path} HTTP/1.1", "Connection: close", "Content-Type: application/json",
                "Accept: application/json, text/event-stream", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value.format(port=port)}" for name, value in headers if value is not None]
        status = http(port, ("\r\n".join([*head, "", ""]) + body).encode()).status
        return status if status in (400, 401, 403) else "admitted"

    def compare(self, cases):
        """Returns the verdicts that occurred, and the requests whose verdicts differ."""
        seen, different = set(), []
        for headers, (method, body, path, own_body, own_path) in itertools.product(cases, PAIRS):
            library = self.verdict(self.fiedler.port, method, path, body, headers)
            ours = self.verdict(self.fiedler.proxy_port, method, own_path, own_body, headers)
            seen.add(ours)
            if ours != library and library != 400:  # a Host that is none: the proxy need not see that
                different.append((ours, library, method, path, headers))
        return seen, different

    async def compare_with(self, settings, cases):
        await self.start(["json"], settings=settings)
        seen, different = await asyncio.to_thread(self.compare, cases)
        self.assertEqual(different, [])
        return seen

    def pages(self):
        pairs = [*itertools.product(HOSTS, (None, "http://page.example")), *itertools.product(HOSTS[10:13], ORIGINS)]
        return [[("Host", host), ("Origin", origin)] for host, origin in [*pairs, *itertools.product(HOSTS[:2], ORIGINS)]]

    async def test_without_a_token(self):
        self.assertLessEqual({403, "admitted"}, await self.compare_with({}, self.pages()))

    async def test_with_lists(self):
        self.assertLessEqual({403, "admitted"}, await self.compare_with(LISTS, self.pages()))

    async def test_with_lists_that_have_all(self):
        anything = {"ICCM_ALLOWED_HOSTS": "*", "ICCM_ALLOWED_ORIGINS": "*"}
        self.assertLessEqual({"admitted"}, await self.compare_with(anything, self.pages()))

    async def test_with_a_token(self):
        pages = (("127.0.0.1:{port}", None), ("evil.example", None), ("127.0.0.1", "http://evil.example"),
                 ("127.0.0.1", "http://127.0.0.1"))  # fmt: skip
        cases = [[("Host", host), ("Origin", origin), ("Authorization", token)]
                 for (host, origin), token in itertools.product(pages, TOKENS)]  # fmt: skip
        twice = [("Host", "localhost"), ("Authorization", "Bearer the-token"), ("Authorization", "Bearer the-token")]
        self.assertEqual(await self.compare_with(TOKEN, [*cases, twice]), {401, 403, "admitted"})

    async def test_public_addresses(self):
        other = self.enterContext(NetworkNamespace())
        other.addresses("203.0.113.1/24", "203.0.113.2/24")
        script = ("import http.client, sys\nhere = http.client.HTTPConnection('203.0.113.1', int(sys.argv[1]))\n"
                  "here.request('GET', '/healthz')\nprint(here.getresponse().status)")  # fmt: skip
        for settings, wanted in (({}, "403"), ({"ICCM_ALLOW_PUBLIC": "1"}, "200"), (TOKEN, "200")):
            await self.start(["json"], settings=settings)
            for port in (self.fiedler.port, self.fiedler.proxy_port):
                run = await asyncio.to_thread(other.run, sys.executable, "-c", script, port)
                self.assertEqual(run.stdout.strip(), wanted, run.stderr)

    async def test_with_tls(self):
        place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        made = run_program([PROGRAMS["certificates"], place])
        self.assertEqual(made.returncode, 0, made.stderr)
        certificate = {"ICCM_TLS_CERT": str(place / "good.pem"), "ICCM_TLS_KEY": str(place / "key.pem")}
        await self.start(["json"], settings=certificate)
        trusting = ssl.create_default_context(cafile=place / "ca.pem")
        port = self.fiedler.proxy_port
        for origin, status in ((None, 200), (f"https://localhost:{port}", 200), (f"http://localhost:{port}", 403)):
            headers = {} if origin is None else {"Origin": origin}
            async with aiohttp.ClientSession() as session:
                async with session.get(f"https://localhost:{port}/v1/models", ssl=trusting, headers=headers) as response:
                    self.assertEqual(response.status, status)
        in_clear = await asyncio.to_thread(http, port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIsNone(in_clear.status)
        before = await asyncio.to_thread(certificates_of, self.fiedler)
        shutil.copy(place / "other_host.pem", place / "good.pem")
        self.fiedler.program.signal(signal.SIGHUP)
        end = "-----END CERTIFICATE-----\n"
        new = (place / "good.pem").read_text().partition(end)[0] + end  # the issuer follows
        self.assertNotIn(new, before)
        await wait_until_async(lambda: certificates_of(self.fiedler) == [new, new], "the new certificate on both ports")


def certificates_of(fiedler):
    """Those of the tools' port and of the proxy."""
    return [ssl.get_server_certificate(("localhost", port), timeout=WAIT_S) for port in (fiedler.port, fiedler.proxy_port)]


if __name__ == "__main__":
    main()
