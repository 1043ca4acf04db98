"""TLS with third-party peers: Python's ssl and websockets as clients and as servers, and invalid bytes."""
import asyncio
import json
import re
import shutil
import signal
import socket
import ssl
import time
import urllib.request
from pathlib import Path

from caller import SERVER_OPTIONS, Caller, connect, tool_call
from services import (
    PROGRAMS,
    WAIT_S,
    AsyncTestCase,
    SingleServer,
    System,
    http,
    http_get,
    main,
    run_program,
    wait_until,
)

HANDSHAKE_S = 5


class Case(AsyncTestCase):
    def setUp(self):
        self.place = Path(self.enterContext(SingleServer("echo", "0")).directory)  # ends with the server in clear
        made = run_program([PROGRAMS["certificates"], self.place])
        self.assertEqual(made.returncode, 0, made.stderr)
        self.trusting = ssl.create_default_context(cafile=self.place / "ca.pem")

    def settings(self, certificate="good.pem", key="key.pem"):
        return {"ICCM_TLS_CERT": self.place / certificate, "ICCM_TLS_KEY": self.place / key}

    def serve(self, name="echo", *arguments, **settings):
        server = self.enterContext(SingleServer(name, *(arguments or ("0",)), **(self.settings() | settings)))
        server.url = f"wss://localhost:{server.port}"
        return server

    def caller(self, server, **options):
        return Caller(server.url, ssl=self.trusting, **options)

    def get(self, server, path):
        with urllib.request.urlopen(f"https://localhost:{server.port}{path}", context=self.trusting) as answer:
            return answer.status, answer.read().decode()

    def iccm(self, *words, ca="ca.pem", **environment):
        """Exit code and output; ca None means the system trust store."""
        env = {"ICCM_TLS_CA": str(self.place / ca)} if ca else {}
        run = run_program([PROGRAMS["iccm"], "--json", *words], env=env | environment)
        return run.returncode, json.loads(run.stdout)

    def assert_refused(self, answer, exit_code, *words):
        code, said = answer
        self.assertEqual(code, exit_code, said)
        for each in words:
            self.assertIn(each, said["error"]["message"])


class Server(Case):
    async def test_both_versions(self):
        server = self.serve()
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            self.trusting.minimum_version = self.trusting.maximum_version = version
            async with self.caller(server) as caller:
                self.assertEqual(await caller.call("echo", {"a": 1}), {"a": 1})
                large = {"text": "x" * 2_000_000}
                self.assertEqual(await caller.call("echo", large), large)
                answers = await asyncio.gather(*(caller.call("echo", {"n": n}) for n in range(500)))
                self.assertEqual(answers, [{"n": n} for n in range(500)])

    async def test_reads_when_the_peer_does(self):
        """More than the buffers of the system, taken late: nothing is lost, nothing is mixed up."""
        server = self.serve()
        numbers = list(range(16))
        async with connect(server.url, ssl=self.trusting, max_queue=1) as ws:

            async def send_all():
                for number in numbers:
                    await ws.send(json.dumps(tool_call(number, "echo", n=number, text="y" * 1_000_000)))

            sending = asyncio.create_task(send_all())
            async with self.caller(server) as other:
                self.assertEqual(await other.call("echo", {"b": 2}), {"b": 2})
            self.assertEqual([json.loads(await ws.recv())["id"] for _ in numbers], numbers)
            await sending

    def test_pages(self):
        server = self.serve()
        self.assertEqual(self.get(server, "/healthz"), (200, "alive\n"))
        self.assertEqual(self.get(server, "/readyz"), (200, "ready\n"))
        self.assertIn("wss:// instead of https://", self.get(server, "/")[1])
        self.assertIn("iccm_connections", self.get(server, "/metrics")[1])

    def test_plain_http_is_told(self):
        server = self.serve()
        answer = http_get(server.port)
        self.assertEqual((answer.status, answer.closed), (400, True))
        self.assertIn(b"wss://", answer.body)
        self.assertRegex(self.get(server, "/metrics")[1], r'iccm_refusals_total\{reason="tls"\} 1\n')
        server.program.wait_for(r"refused 127\.0\.0\.1:\d+ in the TLS handshake: the peer does not speak TLS")

    def test_refusals_are_summed_up(self):
        """One line a second counts all refusals, from any number of peers."""
        server = self.serve()
        began = time.monotonic()
        for _ in range(40):
            http_get(server.port)

        def told():
            lines = re.findall(r"refused (\d+(?= peers)|127\.0\.0\.1:\d+).* in the TLS handshake", server.program.output())
            return len(lines), sum(1 if ":" in who else int(who) for who in lines)

        wait_until(lambda: told()[1] == 40, "all refusals are logged")
        self.assertLessEqual(told()[0], time.monotonic() - began + 1)
        server.program.wait_for(r"refused \d+ peers in the TLS handshake, the last of them 127\.0\.0\.1:\d+: the peer does not")

    def test_junk_and_silence(self):
        """At each place of the handshake; another client is served meanwhile."""
        server = self.serve()
        hello = self.client_hello()
        for junk in (b"\xff" * 300, b"\x16\x03\x01\xff\xff" + b"\0" * 70000, hello[:-1] + b"\0" * 5, hello + b"junk" * 99):
            http(server.port, junk, seconds=1)
        began = time.monotonic()
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        silent[1].sendall(hello[:100])
        silent[2].sendall(hello)
        self.assertEqual(self.get(server, "/healthz")[0], 200)
        for peer in silent:
            peer.settimeout(WAIT_S)
            while peer.recv(4096):
                pass
            peer.close()
        self.assertGreater(time.monotonic() - began, HANDSHAKE_S - 1)
        self.assertEqual(self.get(server, "/healthz")[0], 200)

    def client_hello(self):
        outgoing = ssl.MemoryBIO()
        try:
            self.trusting.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
        except ssl.SSLWantReadError:
            return outgoing.read()

    async def test_with_a_token(self):
        server = self.serve(ICCM_AUTH_TOKEN="open-sesame")
        self.assertEqual(self.iccm("list", server.url, ICCM_AUTH_TOKEN="open-sesame")[0], 0)
        self.assert_refused(self.iccm("list", server.url), 3, "401")

    def test_will_not_start(self):
        for settings, words in (
            ({"ICCM_TLS_CERT": self.place / "good.pem"}, "ICCM_TLS_KEY"),
            ({"ICCM_TLS_KEY": self.place / "key.pem"}, "ICCM_TLS_CERT"),
            (self.settings("absent.pem"), "absent.pem"),
            (self.settings(key="other.key.pem"), "other.key.pem"),
            (self.settings(key="locked.key.pem"), "without a password"),
        ):
            env = {name: str(value) for name, value in settings.items()} | {"LOGGING_ENABLED": "false"}
            run = run_program([PROGRAMS["echo"], "0"], env=env)
            self.assertEqual(run.returncode, 1)
            self.assertIn(words, run.stderr)


class Reload(Case):
    def setUp(self):
        super().setUp()
        for name in "good.pem", "key.pem":
            shutil.copy(self.place / name, self.place / f"used.{name}")

    def until_date(self, server):
        """When the certificate that new connections get ends."""
        with socket.create_connection(("127.0.0.1", server.port)) as link:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(link) as secured:
                return secured.getpeercert(binary_form=True)

    async def test_hangup(self):
        server = self.serve(**self.settings("used.good.pem", "used.key.pem"))
        before = self.until_date(server)
        async with self.caller(server) as caller:
            shutil.copy(self.place / "other_host.pem", self.place / "used.good.pem")
            self.assertEqual(self.until_date(server), before, "not before the signal")
            server.program.signal(signal.SIGHUP)
            server.program.wait_for("certificate reloaded")
            self.assertNotEqual(self.until_date(server), before)
            self.assertEqual(await caller.call("echo", {"still": "here"}), {"still": "here"})
        after = self.until_date(server)
        (self.place / "used.good.pem").write_text("no certificate")
        server.program.signal(signal.SIGHUP)
        server.program.wait_for(r"ERROR .*cannot reload the certificate, keeping the old one: .*used\.good\.pem")
        self.assertEqual(self.until_date(server), after)
        shutil.copy(self.place / "good.pem", self.place / "used.good.pem")
        server.program.signal(signal.SIGHUP)
        wait_until(lambda: self.until_date(server) == before, "the first certificate is back")
        async with self.caller(server) as caller:
            self.assertEqual(await caller.call("echo", {}), {})


class Client(Case):
    """The library's client, by way of iccm."""

    async def foreign(self, certificate="good.pem", **options):
        """The address of a server of Python's, which answers every message as a tool's result."""

        async def answer(ws, *_path):
            async for message in ws:
                asked = json.loads(message)
                if "id" in asked:
                    result = {"content": [{"type": "text", "text": json.dumps(asked["params"].get("arguments", {}))}]}
                    await ws.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}))

        import websockets

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.place / certificate, self.place / "key.pem")
        for name, value in options.items():
            setattr(context, name, value)
        server = await websockets.serve(answer, "127.0.0.1", 0, ssl=context, **SERVER_OPTIONS)
        self.addAsyncCleanup(server.wait_closed)
        self.addCleanup(server.close)
        return f"wss://localhost:{server.sockets[0].getsockname()[1]}"

    async def run_iccm(self, *words, **options):
        return await asyncio.get_running_loop().run_in_executor(None, lambda: self.iccm(*words, **options))

    async def test_a_server_of_another_kind(self):
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            url = await self.foreign(minimum_version=version, maximum_version=version)
            for host in "localhost", "127.0.0.1":
                here = url.replace("localhost", host)
                text = "z" * 100_000
                self.assertEqual(await self.run_iccm("call", here, "t", f"text={text}"), (0, {"text": text}))

    async def test_certificates(self):
        for certificate, words in (
            ("expired.pem", "has expired"),
            ("not_yet_valid.pem", "clocks"),
            ("other_host.pem", "is for elsewhere.example"),
            ("self_signed.pem", "ICCM_TLS_CA"),
        ):
            url = await self.foreign(certificate)
            self.assert_refused(await self.run_iccm("call", url, "t"), 2, words)
            self.assertEqual((await self.run_iccm("--insecure", "call", url, "t"))[0], 0)
        url = await self.foreign()
        self.assert_refused(await self.run_iccm("call", url, "t", ca=None), 2, "ICCM_TLS_CA")
        self.assert_refused(await self.run_iccm("call", url, "t", ca="key.pem"), 1, "key.pem")
        self.assertEqual((await self.run_iccm("call", url, "t", ca="ca.pem"))[0], 0)

    async def test_one_speaks_tls_and_the_other_does_not(self):
        clear = self.enterContext(SingleServer("echo", "0"))
        secured = self.serve()
        self.assert_refused(self.iccm("list", f"wss://localhost:{clear.port}"), 2, "use ws://")
        self.assert_refused(self.iccm("list", f"ws://localhost:{secured.port}"), 2, "wss://")
        url = await self.foreign()
        self.assert_refused(await self.run_iccm("list", url.replace("wss", "ws")), 2)

    async def test_silent_in_the_handshake(self):
        listener = socket.create_server(("127.0.0.1", 0))
        with listener:
            url = f"wss://localhost:{listener.getsockname()[1]}"
            self.assert_refused(await self.run_iccm("list", url), 2, "handshake")


class Whole(Case):
    async def test_an_installation(self):
        """Godot, its worker and Dewey, all in TLS; Dewey's own lines go to Godot by it."""
        system = System(**self.settings(), ICCM_TLS_CA=self.place / "ca.pem", LOGGING_ENABLED="true")
        system.settings["DEWEY_MCP_URL"] = f"wss://localhost:{system.dewey_port}"
        system.settings["GODOT_URL"] = url = f"wss://localhost:{system.godot_port}"
        self.enterContext(system)
        system.start_redis()
        for program in system.dewey, system.godot, system.worker:
            program.start()
        system.dewey.wait_for("listening on port")
        system.godot.wait_for("listening on port")

        def lines(component):
            code, answer = self.iccm("call", url, "logger_query", f"component={component}")
            return code == 0 and answer

        self.assertEqual(self.iccm("call", url, "logger_log", "component=test", "level=INFO", "message=secured")[0], 0)
        wait_until(lambda: lines("test"), "the line has come through")
        wait_until(lambda: lines("dewey"), "Dewey's own lines have, too")


if __name__ == "__main__":
    main()
