"""The library as its users have it: installed into a directory, found by pkg-config, linked, called.

CMake and Meson's subprojects are other ways to the same library. The component that README.md shows is built and called, too: what is printed there has to work as it stands.
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


VERSION = os.environ["TEST_VERSION"]
for tool in ("cmake",):
    if shutil.which(tool) is None:
        print(f"NOT RUN: install: there is no {tool}")


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

    def cmake(self, description, *options):
        """Configures and builds examples/echo.c by a CMakeLists.txt that ends with description; answers the result."""
        directory = Path(tempfile.mkdtemp(dir=self.root))
        (directory / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.18)\nproject(user C)\nadd_executable(program {SOURCE}/examples/echo.c)\n"
            + description)
        sanitizers = os.environ["TEST_SANITIZE"]
        flags = [] if sanitizers == "none" else [f"-DCMAKE_C_FLAGS=-fsanitize={sanitizers}"]
        configured = finished(["cmake", "-S", directory, "-B", directory, *flags,
                               f"-DCMAKE_PREFIX_PATH={self.libraries.parents[1]};{self.libraries.parent}", *options], 120)
        if configured.returncode == 0:
            run("cmake", "--build", directory)
        return configured, directory / "program"

    @unittest.skipUnless(shutil.which("cmake"), "no cmake")
    def test_example_by_cmake(self):
        for component, target in ("", "iccm::network"), ("COMPONENTS static", "iccm::network_static"):
            with self.subTest(target):
                configured, program = self.cmake(
                    f"find_package(iccm-network {VERSION} REQUIRED {component})\n"
                    f"target_link_libraries(program PRIVATE {target})\n")
                self.assertEqual(configured.returncode, 0, configured.stderr)
                self.assertEqual("libiccm_network.so.0" in run("readelf", "-d", program), component == "")
                self.assertEqual(self.call(program, ["0"], "echo", {"a": [1]}), {"a": [1]})

    @unittest.skipUnless(shutil.which("cmake"), "no cmake")
    def test_cmake_is_refused_what_is_not_there(self):
        major, minor, patch = map(int, VERSION.split("."))
        for wish, words in {f"{major}.{minor}.{patch + 1}": "version", f"{major}.{minor + 1}": "version",
                            f"{major + 1}.{minor}": "version", "COMPONENTS other": 'no component "other"'}.items():
            with self.subTest(wish):
                configured, _ = self.cmake(f"find_package(iccm-network {wish} REQUIRED)\n")
                self.assertNotEqual(configured.returncode, 0)
                self.assertIn(words, " ".join(configured.stderr.split()))

    def test_as_a_subproject_of_meson(self):
        directory = Path(tempfile.mkdtemp(dir=self.root))
        (directory / "subprojects").mkdir()
        (directory / "subprojects/iccm-network").symlink_to(SOURCE)
        shutil.copy(SOURCE / "examples/echo.c", directory)
        (directory / "meson.build").write_text(
            "project('user', 'c')\n"
            "executable('program', 'echo.c',\n"
            "           dependencies: dependency('iccm-network', fallback: 'iccm-network'))\n")
        run("meson", "setup", directory / "build", directory, "--force-fallback-for=iccm-network",
            f"-Db_sanitize={os.environ['TEST_SANITIZE']}", "-Db_lundef=false")
        run("ninja", "-C", directory / "build", "-j2", "program")
        self.assertEqual(self.call(directory / "build/program", ["0"], "echo", {"a": [1]}), {"a": [1]})
        built = {path.name for path in (directory / "build").rglob("*")}
        self.assertFalse(built & {"godot", "examples", "cli"}, "the parent wants the library alone")


if __name__ == "__main__":
    unittest.main()
