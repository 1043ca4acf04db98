"""The wheel of `make wheel`, in a virtual environment that sees Debian's python3-cffi-backend: it serves and calls."""
import json
import tempfile
import unittest
from pathlib import Path

from common import main
from services import SOURCE, run_program

SCRIPT = """
import asyncio, json
import iccm_network
from iccm_network import Client, Server

server = Server("wheel", log_url=False)

@server.tool
async def where() -> str:
    return iccm_network.__file__

async def main():
    async with server, Client(f"127.0.0.1:{server.port}") as client:
        print(json.dumps([await client.call("where"), iccm_network.__version__]))

asyncio.run(main())
"""


class Wheel(unittest.TestCase):
    def run_it(self, *command):
        run = run_program(command, env={"PATH": "/usr/bin:/bin"})
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run.stdout

    def test_it_installs_and_works(self):
        wheels = list((SOURCE / "build/wheel").glob("*.whl"))
        if not wheels:
            self.skipTest("there is no wheel: run make wheel")
        (wheel,) = wheels
        self.assertRegex(wheel.name, r"^iccm_network-[\d.]+-cp311-abi3-linux_\w+\.whl$")
        place = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.run_it("/usr/bin/python3", "-m", "venv", "--system-site-packages", place)
        self.run_it(place / "bin/pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
        where, version = json.loads(self.run_it(place / "bin/python", "-c", SCRIPT))
        self.assertTrue(where.startswith(str(place)), where)
        self.assertIn(f"-{version}-", wheel.name)


if __name__ == "__main__":
    main()
