"""logging through the library: lines on stderr and at Godot, with trace and span, redacted, without recursion.

Godot is played by a server of this package.
"""
import asyncio
import logging
import threading
import unittest
import unittest.mock

from common import LONG, Case, main, program
from iccm_network import Client, LogHandler, McpError, Server, call, current_call, env, redact
from services import ProgramGroup, free_port, wait_until_async

redact("pin code")


class Shipping(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.lines, port = [], free_port()
        godot = self.server("godot", port=port)

        @godot.tool
        async def logger_log(**entry):
            self.lines.append(entry)
            logging.getLogger("godot").debug("has a line")  # does not come back: this server ships nothing of its own
            return {"status": "ok"}

        self.tested = Server("tested", log_url=f"ws://127.0.0.1:{port}")
        await self.enterAsyncContext(self.tested)  # the first one: lines of other parts are its lines
        await self.enterAsyncContext(godot)
        self.client = await self.enterAsyncContext(Client(f"127.0.0.1:{self.tested.port}"))
        self.log = logging.getLogger("a.logger")
        root, self.handler = logging.getLogger(), LogHandler()
        root.addHandler(self.handler)
        level = root.level
        root.setLevel(logging.DEBUG)
        self.addCleanup(root.setLevel, level)
        self.addCleanup(root.removeHandler, self.handler)

    def find(self, message):
        return [line for line in self.lines if line["message"] == message]

    async def line(self, message):
        await self.eventually(lambda: self.find(message), message)
        (line,) = self.find(message)
        return line

    async def test_levels(self):
        levels = {1: "TRACE", 10: "DEBUG", 15: "DEBUG", 20: "INFO", 30: "WARN", 40: "ERROR", 50: "ERROR", 100: "ERROR"}
        for number in levels:
            self.log.log(number, "level %d", number)
        await self.line("level 100")
        shown = {number: name for number, name in levels.items() if number >= 20}  # LOG_LEVEL is INFO
        for number, name in shown.items():
            self.assertEqual((await self.line(f"level {number}"))["level"], name)
        self.assertEqual([self.find(f"level {number}") for number in (1, 10, 15)], [[], [], []])

    async def test_text_data_and_exceptions(self):
        data = {"n": 1, "token": "t", "PinCode": 1, "o": {"password": "p"}}
        self.log.info("ä\ud800\0 %s", "and\nmore", extra={"data": data})
        line = await self.line("ä?? and\nmore")
        secret = {"token": "[REDACTED]", "PinCode": "[REDACTED]", "o": {"password": "[REDACTED]"}}
        self.assertEqual(line["data"], {"part": "a.logger", "n": 1} | secret)
        self.log.info("odd", extra={"data": object})
        self.assertIn("<class 'object'>", str((await self.line("odd"))["data"]))
        try:
            raise ValueError("why")
        except ValueError:
            self.log.exception("failed")
        await self.eventually(lambda: any(line["message"].startswith("failed\nTraceback") for line in self.lines))
        self.log.info("too %s", "many", "arguments")  # logging reports it on stderr
        self.log.info("the end")
        await self.line("the end")

    async def test_a_line_has_the_trace_and_the_span_of_its_call(self):
        @self.tested.tool
        async def task():
            self.log.info("in a task")
            await asyncio.sleep(0)
            await asyncio.create_task(self.deeper())
            current_call().log("INFO", "by the call", {"n": 1})
            return await call(f"127.0.0.1:{self.tested.port}", "thread", timeout=LONG)

        @self.tested.tool
        def thread():
            self.log.info("in a thread")
            threading.Timer(0, logging.getLogger("elsewhere").info, ["outside"]).start()

        await self.client.call("task", timeout=LONG, trace_id="the trace")
        texts = ("in a task", "deeper", "by the call", "in a thread")
        of_task, of_deeper, of_call, of_thread = [await self.line(text) for text in texts]
        self.assertEqual({line["trace_id"] for line in (of_task, of_deeper, of_call, of_thread)}, {"the trace"})
        span = of_task["data"]["span_id"]
        self.assertEqual({span}, {line["data"]["span_id"] for line in (of_deeper, of_call)})
        self.assertEqual((of_call["data"]["n"], of_call["component"]), (1, "tested"))
        self.assertEqual(of_thread["data"]["parent_span_id"], span)
        self.assertNotEqual(of_thread["data"]["span_id"], span)
        self.assertIsNone((await self.line("outside")).get("trace_id"))

    async def deeper(self):
        self.log.info("deeper")

    async def test_a_line_after_the_end_of_its_call_has_its_trace(self):
        ended = asyncio.Event()

        async def later():
            await ended.wait()
            self.log.info("later")

        @self.tested.tool
        async def tool():
            self.task = asyncio.create_task(later())

        await self.client.call("tool", timeout=LONG, trace_id="the trace")
        ended.set()
        self.assertEqual((await self.line("later"))["trace_id"], "the trace")

    async def test_no_line_makes_another_one(self):
        """Everything that Python logs goes through the handler, also what it logs about this."""

        class Talks:
            def __str__(self):
                logging.getLogger("inner").info("while a line is made")
                return "talks"

        asyncio.get_running_loop().set_debug(True)  # asyncio logs, too
        self.log.info("%s", Talks())
        await self.line("talks")
        await self.line("while a line is made")
        for _ in range(20):
            self.log.info("again")
        self.log.info("the end")
        await self.line("the end")
        self.assertEqual(len(self.find("again")), 20)
        self.assertEqual(len(self.find("talks")), 1)

    async def test_lines_of_many_threads(self):
        def lines(number):
            for at in range(100):
                self.log.info("thread %d line %d", number, at)

        await asyncio.gather(*(asyncio.to_thread(lines, number) for number in range(4)))
        await self.eventually(lambda: sum(line["message"].startswith("thread ") for line in self.lines) >= 400)
        self.assertEqual(len({line["message"] for line in self.lines if line["message"].startswith("thread ")}), 400)


class Stderr(Case):
    async def test_a_program_without_a_server(self):
        with ProgramGroup(LOG_LEVEL="DEBUG") as group:
            text = """
                import logging
                from iccm_network import LogHandler
                logging.basicConfig(handlers=[LogHandler("a part")], level=1)
                logging.debug("debug\\x1b[1m")
                logging.log(1, "trace")
                """
            with program(group, text) as script:
                self.assertEqual(script.wait(), 0)
            self.assertRegex(script.output(), r"^\S+ DEBUG a part: debug\\u001b\[1m\n$")

    async def test_a_server_that_ships_nothing(self):
        with ProgramGroup() as group:
            text = """
                import logging
                from iccm_network import LogHandler, Server
                logging.basicConfig(handlers=[LogHandler()], level=logging.INFO)
                server = Server("quiet")
                @server.tool
                async def fails(): raise KeyError("a key")
                server.run()
                """
            with program(group, text) as script:
                with self.assertRaises(McpError):
                    await call(f"127.0.0.1:{script.port()}", "fails", timeout=LONG)
                await wait_until_async(lambda: "KeyError" in script.output(), "the traceback is logged")
            self.assertIn("ERROR iccm_network: the tool fails of quiet failed", script.output())


class Environment(unittest.TestCase):
    def test_settings(self):
        with unittest.mock.patch.dict("os.environ", {"A": "7", "B": "yes", "C": "ä", "D": "/a:/b c", "BAD": "x", "EMPTY": ""}):
            self.assertEqual((env.int("A", 1, 0, 9), env.int("EMPTY", 1, 0, 9), env.int("UNSET", 1, 0, 9)), (7, 1, 1))
            self.assertEqual((env.bool("B", False), env.bool("UNSET", False)), (True, False))
            self.assertEqual((env.text("C"), env.text("UNSET"), env.text("UNSET", "d")), ("ä", None, "d"))
            self.assertEqual((env.directories("D"), env.directories("UNSET")), (["/a", "/b c"], []))
            for wrong in (lambda: env.int("BAD", 1, 0, 9), lambda: env.int("A", 1, 0, 6), lambda: env.bool("A", False),
                          lambda: env.directories("C")):  # fmt: skip
                with self.assertRaises(McpError) as raised:
                    wrong()
                self.assertEqual(raised.exception.name, "MCP_EENV")
            env.check_names()

    def test_the_data_directory(self):
        import tempfile

        with tempfile.TemporaryDirectory() as place, unittest.mock.patch.dict("os.environ", {"ICCM_DATA": place}):
            self.assertEqual(env.data_path("A_DB_PATH", "a.db"), f"{place}/a.db")


if __name__ == "__main__":
    main()
