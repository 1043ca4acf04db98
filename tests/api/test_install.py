"""The library as its users have it: installed into a directory, found by pkg-config, linked, called.

The component that README.md shows is built and called, too: what is printed there has to work as it stands.
"""
import asyncio
import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from caller import Caller, CallError
from services import BUILD, SOURCE, Place, finished


def run(*command, **options):
    result = finished(command, 120, **options)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def component_of_readme():
    blocks = re.findall(r"^```c\n(.*?)^```$", (SOURCE / "README.md").read_text(), re.M | re.S)
    return next(block for block in blocks if "int main" in block)


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix="iccm-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root)
        (found,) = cls.root.rglob("iccm-network.pc")
        cls.libraries = found.parents[1]
        cls.environment = dict(os.environ, PKG_CONFIG_PATH=str(found.parent), PKG_CONFIG_SYSROOT_DIR=str(cls.root))

    def pkg_config(self, *options):
        # the sysroot is put in front of the system's own directories, too, which have nothing there
        return run("pkg-config", *options, "iccm-network", env=self.environment).split()

    def compile(self, source, *libraries):
        program = self.root / "program"
        sanitizers = os.environ["TEST_SANITIZE"]
        run(*os.environ["TEST_CC"].split(), "-Wall", "-Wextra", "-Werror",
            *([] if sanitizers == "none" else [f"-fsanitize={sanitizers}"]),
            source, "-o", program, *self.pkg_config("--cflags"), *libraries)
        return program

    def call(self, program, arguments, tool, given):
        async def ask(port):
            async with Caller(f"ws://localhost:{port}") as caller:
                return await caller.call(tool, given)

        with Place(LD_LIBRARY_PATH=self.libraries) as place:
            server = place.add("program", program, *arguments).start()
            return asyncio.run(ask(server.port()))

    def test_example_with_the_shared_library(self):
        program = self.compile(SOURCE / "examples/echo.c", *self.pkg_config("--libs"))
        self.assertIn("libiccm_network.so.0", run("readelf", "-d", program))
        self.assertEqual(self.call(program, ["0"], "echo", {"a": [1]}), {"a": [1]})

    def test_example_with_the_static_library(self):
        libraries = self.pkg_config("--static", "--libs")
        static = [str(self.libraries / "libiccm_network.a") if word == "-liccm_network" else word for word in libraries]
        program = self.compile(SOURCE / "examples/echo.c", *static)
        self.assertNotIn("libiccm_network", run("readelf", "-d", program))
        self.assertEqual(self.call(program, ["0"], "echo", {"a": [1]}), {"a": [1]})

    def test_users_need_no_library_but_this_and_yyjson(self):
        names = [word for word in self.pkg_config("--libs") if word.startswith("-l")]
        self.assertEqual(sorted(names), ["-liccm_network", "-lyyjson"])

    def test_the_header_is_the_only_one(self):
        headers = [path.name for path in self.root.rglob("*.h")]
        self.assertEqual(headers, ["iccm_network.h"])

    def test_the_component_of_the_readme(self):
        text = component_of_readme()
        self.assertLessEqual(len(text.splitlines()), 35)
        self.assertEqual(text.count(", 9000, tools"), 1)
        source = self.root / "greeter.c"
        source.write_text(text.replace(", 9000, tools", ", 0, tools"))
        program = self.compile(source, *self.pkg_config("--libs"))
        self.assertEqual(self.call(program, [], "greet", {"name": "Ada"}), {"greeting": "hello", "to": "Ada"})
        with self.assertRaises(CallError) as refused:
            self.call(program, [], "greet", {})
        self.assertEqual(refused.exception.code, -32602)


if __name__ == "__main__":
    unittest.main()
