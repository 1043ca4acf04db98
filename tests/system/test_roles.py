"""Tokens with roles, through the real programs: `iccm token` makes them, Godot obeys them, and SIGHUP changes them.

Who clears logs, sets levels or moves dead letters is itself a line of the log.
"""
import asyncio
import json
import os
import signal
import unittest

from caller import CallError, Caller, close_code, connect, read_log_rows
from services import PROGRAMS, SingleServer, System, main, run_program, wait_until_async

OWN = "the-token-of-the-services"
ENTRY = {"component": "c", "level": "INFO", "message": "m"}


def make_token(path, name, role, *options):
    made = run_program([PROGRAMS["iccm"], "token", *options, path, name, role])
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def offering(token):
    return {"subprotocols": ["mcp", f"mcp.auth.{token}"]}


class Roles(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.system = self.enterContext(System(ICCM_AUTH_TOKEN=OWN))
        self.path = self.system.directory / "tokens"
        self.tokens = {role: make_token(self.path, f"{role}.person", role) for role in ("read", "write", "admin")}
        self.system.godot.environment = self.system.godot.environment | {"ICCM_TOKENS": str(self.path)}
        await asyncio.to_thread(self.system.start)

    async def caller(self, role):
        return await self.enterAsyncContext(Caller(self.system.godot_url, **offering(self.tokens[role])))

    async def refused(self, caller, role, tool, arguments):
        with self.assertRaises(CallError) as caught:
            await caller.call(tool, arguments)
        self.assertIn(f"{tool} needs the role {role}", caught.exception.message)
        self.assertEqual(caught.exception.code, -32000)

    async def lines_of_godot(self, caller, count):
        async def found():
            rows = [row async for row in read_log_rows(caller, component="godot")]
            return rows if len(rows) >= count else None

        return await wait_until_async(lambda: found(), f"{count} lines of the component godot")

    async def test_what_each_may_do_and_what_the_log_says_of_it(self):
        reader, writer, admin = [await self.caller(role) for role in ("read", "write", "admin")]
        await self.refused(reader, "write", "logger_log", ENTRY)
        await writer.call("logger_log", ENTRY)
        await self.refused(writer, "admin", "logger_clear", {})
        await self.refused(writer, "admin", "logger_set_level", {"component": "c", "level": "WARN"})
        await self.refused(writer, "admin", "godot_remove_level", {"component": "c"})
        await self.refused(reader, "admin", "godot_dead_discard", {})
        self.assertEqual(await reader.call("godot_dead_list"), {"total": 0, "letters": []})
        await reader.call("logger_query")
        await admin.call("logger_set_level", {"component": "c", "level": "WARN"})
        await admin.call("godot_remove_level", {"component": "c"})
        await admin.call("logger_clear", {"component": "nobody", "dry_run": True})
        await admin.call("logger_clear", {"component": "nobody"})
        rows = await self.lines_of_godot(reader, 3)
        self.assertEqual(sorted(row["message"] for row in rows), [
            "log level removed by admin.person", "log level set by admin.person", "logs cleared by admin.person"])  # fmt: skip
        by_message = {row["message"].split(" by ")[0]: row["data"] for row in rows}
        self.assertEqual(by_message["log level set"],
                         {"caller": "admin.person", "arguments": {"component": "c", "level": "WARN"}})  # fmt: skip
        cleared = by_message["logs cleared"]
        self.assertEqual((cleared["arguments"], cleared["result"]["deleted_count"]), ({"component": "nobody"}, 0))

    async def test_a_token_is_removed_and_another_added(self):
        reader = await connect(self.system.godot_url, **offering(self.tokens["read"]))
        kept = [line for line in self.path.read_text().splitlines() if not line.startswith("read.person")]
        self.path.write_text("\n".join(kept))
        self.tokens["new"] = make_token(self.path, "new.person", "read", "--until", "2999-12-31")
        self.system.godot.signal(signal.SIGHUP)
        self.system.godot.wait_for("tokens reloaded: 3")
        self.assertEqual(await close_code(reader), 1008)
        await (await self.caller("new")).call("logger_query")
        self.path.write_text("nonsense\n")
        self.system.godot.signal(signal.SIGHUP)
        self.system.godot.wait_for("ERROR .*cannot reload the tokens, keeping the old ones: .*line 1: expected NAME ROLE END")
        await (await self.caller("write")).call("logger_log", ENTRY)


class Startup(unittest.TestCase):
    def test_a_file_that_is_invalid_ends_the_start_with_one_line(self):
        with SingleServer("echo", "0") as echo:
            path = echo.directory / "tokens"
            for content, cause in ((None, "no such file"), ("a read never secret\n", "line 1: a digest is sha256:")):
                if content is not None:
                    path.write_text(content)
                ended = run_program([PROGRAMS["echo"], "0"], env={"ICCM_TOKENS": str(path)})
                self.assertEqual(ended.returncode, 1)
                lines = [line for line in ended.stderr.splitlines() if "ICCM_TOKENS" in line]
                self.assertEqual(len(lines), 1, ended.stderr)
                self.assertIn(cause, lines[0])
                self.assertNotIn("secret", ended.stderr)


class Command(unittest.TestCase):
    """iccm token."""

    def setUp(self):
        self.group = self.enterContext(SingleServer("echo", "0"))
        self.path = self.group.directory / "tokens"

    def run_token(self, *words):
        return run_program([PROGRAMS["iccm"], "token", *words])

    def test_it_prints_the_token_and_writes_the_digest(self):
        token = make_token(self.path, "a", "read")
        self.assertRegex(token, r"^[0-9a-f]{64}$")
        self.assertRegex(self.path.read_text(), r"^a read never sha256:[0-9a-f]{64}\n$")
        self.assertNotIn(token, self.path.read_text())
        self.assertEqual(self.path.stat().st_mode & 0o022, 0, "others may read it, as the services do, but not write it")
        answer = self.run_token("--json", "--until", "2030-01-01", self.path, "b", "admin")
        self.assertEqual(list(json.loads(answer.stdout)), ["token"])
        self.assertRegex(self.path.read_text().splitlines()[1], "^b admin 2030-01-01 sha256:")

    def test_it_adds_nothing_invalid(self):
        make_token(self.path, "a", "read")
        self.path.write_text(self.path.read_text().rstrip("\n"))  # a last line without its end
        make_token(self.path, "b", "write")
        before = self.path.read_text()
        self.assertEqual(len(before.splitlines()), 2)
        for words, cause in (
            ((self.path, "c", "boss"), "line 3: a role is read, write or admin"),
            ((self.path, "c d", "read"), "line 3: expected NAME ROLE END"),
            ((self.path, "c;", "read"), "line 3: a name has 1 to 64"),
            ((self.path, "#c", "read"), "not one line of a token"),
            ((self.path, f"c read never sha256:{'0' * 64}\nd", "admin"), "not one line of a token"),
            ((self.path, "c", f"read never sha256:{'0' * 64}\nd admin"), "not one line of a token"),
            (("--until", "soon", self.path, "c", "read"), "line 3: an end is never"),
            ((self.path, "c"), "no ROLE"),
            (("/nonexistent/tokens", "c", "read"), "cannot write /nonexistent/tokens: no such file"),
        ):
            answer = self.run_token(*words)
            self.assertEqual((answer.returncode, answer.stdout), (1, ""))
            self.assertIn(cause, answer.stderr)
        self.assertEqual(self.path.read_text(), before)

    def test_it_writes_to_regular_files_only(self):
        os.mkfifo(self.path)
        answer = self.run_token(self.path, "a", "read")
        self.assertEqual((answer.returncode, answer.stdout), (1, ""))
        self.assertIn("not a regular file (nothing was added)", answer.stderr)


if __name__ == "__main__":
    main()
