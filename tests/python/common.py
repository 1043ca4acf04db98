"""What the tests of the Python package share: a server and a client in one loop, programs, and uvloop where it is wanted.

TEST_UVLOOP=1 runs the cases of a file on uvloop.
"""
import asyncio
import contextlib
import os
import sys
import textwrap
from pathlib import Path

import services
from iccm_network import Client, Server
from services import AsyncTestCase, Program

LONG = 60 * 60  # seconds: a timeout that never passes
PYTHON_ENV = {name: os.environ[name] for name in ("PYTHONPATH", "LD_PRELOAD") if name in os.environ}
EXAMPLES = services.SOURCE / "examples/python"


def main():
    if os.environ.get("TEST_UVLOOP"):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    services.main()


class Case(AsyncTestCase):
    """server() makes a server that sends no log lines; serve() starts it and returns a client."""

    def server(self, name="tested", **settings):
        return Server(name, log_url=False, **settings)

    async def serve(self, server, **settings):
        await self.enterAsyncContext(server)
        return await self.enterAsyncContext(Client(f"127.0.0.1:{server.port}", **settings))

    async def eventually(self, condition, what="it"):
        async with asyncio.timeout(services.WAIT_S):
            while not condition():
                await asyncio.sleep(0.001)


@contextlib.contextmanager
def program(group, text, name="script"):
    """A Python program of the tests, started; its text is written to the group's directory."""
    path = Path(group.directory) / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    script = Program(name, ["/usr/bin/python3", "-u", path], group.directory, group.settings | PYTHON_ENV)
    group.programs.append(script)
    yield script.start()


sys.setswitchinterval(0.001)  # races between threads show earlier
