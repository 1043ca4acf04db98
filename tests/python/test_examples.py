"""The examples: README's component in Python, and examples/python/. Called by `iccm` and by the package."""
import asyncio
import json
import os
import pydoc
import re
import unittest

import iccm_network
from common import EXAMPLES, LONG, PYTHON_ENV, Case, main, program
from iccm_network import Client, ToolError
from services import PROGRAMS, SOURCE, Program, ProgramGroup, run_program, wait_until_async


class Readme(unittest.TestCase):
    def test_the_component(self):
        (text,) = re.findall(r"^```python\n(.*?)^```$", (SOURCE / "README.md").read_text(), re.M | re.S)
        self.assertLessEqual(len(text.strip().splitlines()), 10)
        with ProgramGroup() as group, program(group, text.replace("port=9000", "port=0")) as greeter:
            url = f"localhost:{greeter.port()}"
            run = run_program([PROGRAMS["iccm"], "--json", "call", url, "greet", "name=Ada"])
            self.assertEqual((run.returncode, json.loads(run.stdout)), (0, {"greeting": "hello", "to": "Ada"}), run.stderr)


class Component(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        group = self.enterContext(ProgramGroup())
        self.program = Program("component", ["/usr/bin/python3", "-u", EXAMPLES / "component.py", 0], group.directory,
                               group.settings | PYTHON_ENV)  # fmt: skip
        group.programs.append(self.program.start())
        self.client = await self.enterAsyncContext(Client(f"127.0.0.1:{self.program.port()}"))

    async def call(self, name, **args):
        return await self.client.call(name, args, timeout=LONG)

    async def test_every_tool(self):
        self.assertGreater(await self.call("disk"), 0)
        self.assertEqual(await self.call("count", to=3), 3)
        self.assertEqual(await asyncio.gather(self.call("meet"), self.call("meet")), ["met", "met"])
        self.assertEqual(await self.call("centre", points=[{"x": 1}, {"x": 3, "y": 4}]), {"x": 2, "y": 2})
        with self.assertRaises(ToolError) as raised:
            await self.call("centre", points=[])
        self.assertEqual(raised.exception.data, {"error_code": "NO_POINTS"})
        self.assertEqual((await self.call("picture"))["content"][0]["mimeType"], "image/png")
        self.assertEqual(await self.call("ask", url=self.client.url, tool="disk"), {"answer": await self.call("disk")})
        self.assertEqual({tool["name"] for tool in await self.client.list_tools()},
                         {"disk", "count", "meet", "centre", "picture", "ask"})  # fmt: skip

    async def test_cancellation(self):
        first = asyncio.create_task(self.call("meet"))
        counting = asyncio.create_task(self.call("count", to=10**9))
        await asyncio.sleep(0.1)
        first.cancel()
        counting.cancel()
        await wait_until_async(lambda: "cancelled after" in self.program.output(), "the count is cancelled")
        self.assertEqual(await asyncio.gather(self.call("meet"), self.call("meet")), ["met", "met"])


class Package(unittest.TestCase):
    def test_help_has_every_public_name_with_a_docstring(self):
        text = pydoc.render_doc(iccm_network, renderer=pydoc.plaintext)
        for name in iccm_network.__all__:
            thing = getattr(iccm_network, name)
            self.assertTrue(thing.__doc__, name)
            self.assertIn(name, text)
            members = vars(thing) if isinstance(thing, type) else {}
            undocumented = [f"{name}.{member}" for member, value in members.items()
                            if not member.startswith("_") and callable(value) and not value.__doc__]  # fmt: skip
            self.assertEqual(undocumented, [])

    def test_it_is_typed(self):
        directory = os.path.dirname(iccm_network.__file__)
        self.assertLessEqual({"py.typed", "_native.pyi"}, set(os.listdir(directory)))

    def test_there_is_no_main(self):
        run = run_program(["/usr/bin/python3", "-m", "iccm_network"])
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("iccm_network.__main__", run.stderr)

    def test_the_version_is_that_of_the_library(self):
        run = run_program([PROGRAMS["iccm"], "--version"])
        self.assertIn(iccm_network.__version__, run.stdout)


if __name__ == "__main__":
    main()
