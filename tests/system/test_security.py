"""A whole installation with a token: everything works for those who have it, and nothing for those who have not."""
import json
import unittest

from caller import Caller, connect
from services import PROGRAMS, Alone, AsyncCase, System, finished, http_get, main, until, upgrade

TOKEN = "open-sesame/1="
SPEAKABLE = "open-sesame-1"  # for a browser, which can offer it as a subprotocol
HUSHED = "hush-hush"


def bearer(token):
    return f"Authorization: Bearer {token}"


def iccm(*words, token=None):
    """Exit code, and what it printed or complained about."""
    run = finished([PROGRAMS["iccm"], "--json", *words], env={"ICCM_AUTH_TOKEN": token} if token else {})
    return run.returncode, json.loads(run.stdout)


def log_line(url, message, token):
    return iccm("call", url, "logger_log", "component=test", "level=INFO", f"message={message}", token=token)


def stored(url, token, **filters):
    code, answer = iccm("call", url, "logger_query", json.dumps(filters), token=token)
    assert code == 0, answer
    return answer


class Whole(AsyncCase):
    def start(self, token=TOKEN, **settings):
        system = self.enterContext(System(ICCM_AUTH_TOKEN=token, **settings))
        system.settings["GODOT_URL"] = system.godot_url
        return system.start()

    def assert_not_logged(self, system, *tokens):
        for log in system.directory.glob("*.log"):
            for token in tokens:
                self.assertNotIn(token, log.read_text(errors="replace"), log.name)

    def assert_not_in_metrics(self, system, token):
        for port in system.godot_port, system.dewey_port:
            answer = http_get(port, bearer(token), path="/metrics")
            self.assertEqual(answer.status, 200)
            self.assertNotIn(token, answer.body.decode())

    async def test_with_the_token(self):
        system = self.start(SPEAKABLE, LOGGING_ENABLED="true", LOG_LEVEL="TRACE")
        async with Caller(system.godot_url, subprotocols=["mcp", f"mcp.auth.{SPEAKABLE}"]) as caller:
            self.assertEqual(caller.ws.subprotocol, "mcp")
            answer = await caller.call("logger_log", {"component": "test", "level": "INFO", "message": "by socket"})
            self.assertEqual(answer["status"], "ok")
        self.assertEqual(log_line(system.godot_url, "by iccm", SPEAKABLE)[0], 0)
        until(lambda: len(stored(system.godot_url, SPEAKABLE, component="test")) == 2, "the worker has stored both")
        until(lambda: stored(system.godot_url, SPEAKABLE, component="dewey"), "Dewey's own lines have come, too")
        self.assert_not_logged(system, SPEAKABLE)
        self.assert_not_in_metrics(system, SPEAKABLE)

    def test_without_it_or_with_another(self):
        system = self.start()
        for port, url in ((system.godot_port, system.godot_url), (system.dewey_port, system.dewey_url)):
            for headers in ((), (bearer(HUSHED),), (f"Sec-WebSocket-Protocol: mcp, mcp.auth.{HUSHED}",)):
                answer = upgrade(port, *headers)
                self.assertEqual(answer.status, 401)
                self.assertRegex(answer.headers["www-authenticate"], r"\ABearer\b")
            self.assertEqual(upgrade(port, bearer(TOKEN)).status, 101)
            for token in (None, HUSHED):
                code, answer = iccm("list", url, token=token)
                self.assertEqual((code, answer["error"]["exit_code"]), (3, 3))
                self.assertIn("ICCM_AUTH_TOKEN", answer["error"]["message"])
            self.assertEqual(iccm("list", url, token=TOKEN)[0], 0)
        system.godot.wait_for(r"refused 127\.0\.0\.1:\d+ with 401")
        self.assert_not_logged(system, TOKEN, HUSHED)
        self.assert_not_in_metrics(system, TOKEN)

    def test_health_checks_need_none(self):
        system = self.start()
        for port in system.godot_port, system.dewey_port:
            self.assertEqual(http_get(port, path="/healthz").status, 200)
            self.assertEqual(http_get(port, path="/readyz").status, 200)
            for path in "/", "/metrics":
                self.assertEqual(http_get(port, path=path).status, 401)
                self.assertEqual(http_get(port, bearer(TOKEN), path=path).status, 200)
        system.dewey.kill()
        until(lambda: http_get(system.godot_port, path="/readyz").status == 503, "Godot notices")
        self.assertNotIn(b"dewey", http_get(system.godot_port, path="/readyz").body)
        self.assertIn(b"dewey", http_get(system.godot_port, bearer(TOKEN), path="/readyz").body)

    def test_a_worker_with_another_token_loses_nothing(self):
        system = self.start()
        self.assertEqual(log_line(system.godot_url, "first", TOKEN)[0], 0)
        until(lambda: len(stored(system.godot_url, TOKEN, component="test")) == 1, "the worker works")
        system.worker.stop()
        system.worker.environment = system.settings | {"ICCM_AUTH_TOKEN": HUSHED}
        system.worker.start()
        self.assertEqual(log_line(system.godot_url, "waits", TOKEN)[0], 0)
        system.worker.wait_for("401.*ICCM_AUTH_TOKEN")
        self.assertEqual(len(stored(system.godot_url, TOKEN, component="test")), 1)
        system.worker.stop()
        system.worker.environment = system.settings
        system.worker.start()
        until(lambda: len(stored(system.godot_url, TOKEN, component="test")) == 2, "it is stored")
        self.assert_not_logged(system, TOKEN, HUSHED)


class Programs(unittest.TestCase):
    def test_what_is_no_token_ends_each_of_them(self):
        with Alone("echo", "0") as echo:
            for name in "echo", "dewey", "godot-server", "godot-worker", "horace":
                program = echo.add(f"{name}-broken", PROGRAMS[name], *(["0"] if name == "echo" else []))
                program.environment = echo.settings | {"ICCM_AUTH_TOKEN": "hush hush", "DEWEY_MCP_PORT": "0", "HORACE_MCP_PORT": "0",
                                                          "HORACE_STORAGE_PATH": str(echo.directory / "storage")}
                program.start()
                self.assertNotEqual(program.wait(), 0, name)
                self.assertIn("ICCM_AUTH_TOKEN", program.output())
                self.assertNotIn("hush", program.output())


class Browsers(AsyncCase):
    async def test_the_token_does_not_replace_the_origin(self):
        offer = f"Sec-WebSocket-Protocol: mcp, mcp.auth.{SPEAKABLE}"
        with Alone("echo", "0", ICCM_AUTH_TOKEN=SPEAKABLE, ICCM_ALLOWED_ORIGINS="http://fine") as echo:
            self.assertEqual(upgrade(echo.port, offer, "Origin: http://evil").status, 403)
            self.assertEqual(upgrade(echo.port, "Origin: http://fine").status, 401)
            async with connect(echo.url, origin="http://fine", subprotocols=["mcp", f"mcp.auth.{SPEAKABLE}"]) as ws:
                self.assertEqual(ws.subprotocol, "mcp")


if __name__ == "__main__":
    main()
