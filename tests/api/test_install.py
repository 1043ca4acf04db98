"""The library as users get it: installed into a directory, found by pkg-config, linked and called.

CMake and Meson subprojects use the same library: examples/component.c is built with each, and each of its tools is called. The
component in README.md is built exactly as printed.
"""
import asyncio
import json
import os
import re
import shlex
import shutil
import tempfile
import unittest
from pathlib import Path

from caller import CallError, Caller, connect, request, round_trip, tool_call
from services import BUILD, PROGRAMS, SOURCE, WAIT_S, ProgramGroup, main, npm_peers, run_program


BUILD_S = 10 * WAIT_S  # of a program that builds the library
README = (SOURCE / "README.md").read_text()


def run(*command, **options):
    result = run_program(command, BUILD_S, **options)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def result(answer):
    return json.loads(answer["result"]["content"][0]["text"])


def counting(number, to):
    """A call of count that requests progress reports."""
    return json.dumps(request(number, "tools/call", name="count", arguments={"to": to},
                              _meta={"progressToken": number}))


async def receive(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), WAIT_S))


async def messages_until(ws, number):
    """Each message up to the answer of this number, that one too."""
    message = {}
    while message.get("id") != number:
        message = await receive(ws)
        yield message


def component_of_readme():
    blocks = re.findall(r"^```c\n(.*?)^```$", README, re.M | re.S)
    return next(block for block in blocks if "int main" in block)


COMPONENT = SOURCE / "examples/component.c"
VERSION = os.environ["TEST_VERSION"]


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

    def call(self, program, tool, given):
        async def ask(port):
            async with Caller(f"ws://localhost:{port}") as caller:
                return await caller.call(tool, given)

        with ProgramGroup(LD_LIBRARY_PATH=self.libraries) as place:
            server = place.add("program", program).start()
            return asyncio.run(ask(server.port()))

    def use_component(self, program):
        """Calls each of the component's tools, receives progress, and checks that a cancelled call ends early."""
        with ProgramGroup(LD_LIBRARY_PATH=self.libraries) as place:
            component = place.add("component", program, "0").start()
            asyncio.run(self.call_tools(f"ws://localhost:{component.port()}"))
            component.wait_for(r"count: cancelled$")

    async def call_tools(self, url):
        async with connect(url) as ws:
            self.assertGreater(result(await round_trip(ws, tool_call(1, "disk"))), 0)
            await ws.send(json.dumps(tool_call(2, "meet")))
            self.assertEqual((await round_trip(ws, request(3, "ping")))["id"], 3, "the first to meet is answered later")
            await ws.send(json.dumps(tool_call(4, "meet")))
            met = [await receive(ws) for _ in range(2)]
            self.assertEqual([(answer["id"], result(answer)) for answer in met], [(2, "met"), (4, "met")])

            await ws.send(counting(5, 3))
            *progress, answer = [message async for message in messages_until(ws, 5)]
            self.assertEqual(result(answer), 3)
            self.assertEqual(progress[-1]["params"], {"progressToken": 5, "progress": 3, "total": 3})

            await ws.send(counting(6, 1000000))
            self.assertEqual((await receive(ws))["method"], "notifications/progress")
            await ws.send(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 6}}))
            await ws.send(json.dumps(request(7, "ping")))
            received = [message async for message in messages_until(ws, 7)]
            self.assertNotIn(6, [message.get("id") for message in received])

    def test_component_with_the_shared_library(self):
        program = self.compile(COMPONENT, *self.pkg_config("--libs"))
        self.assertIn("libiccm_network.so.0", run("readelf", "-d", program))
        self.use_component(program)

    def test_component_with_the_static_library(self):
        libraries = self.pkg_config("--static", "--libs")
        static = [str(self.libraries / "libiccm_network.a") if word == "-liccm_network" else word for word in libraries]
        program = self.compile(COMPONENT, *static)
        self.assertNotIn("libiccm_network", run("readelf", "-d", program))
        self.use_component(program)

    def test_the_changelog_has_a_section_of_this_version(self):
        changelog = (SOURCE / "CHANGELOG.md").read_text()
        self.assertRegex(changelog, rf"(?m)^## {re.escape(VERSION)} - \d{{4}}-\d\d-\d\d$")

    def test_users_need_no_library_but_this_and_yyjson(self):
        names = [word for word in self.pkg_config("--libs") if word.startswith("-l")]
        self.assertEqual(sorted(names), ["-liccm_network", "-lyyjson"])

    def test_no_other_header_is_installed(self):
        headers = sorted(path.name for path in self.root.rglob("*.h"))
        self.assertEqual(headers, ["iccm_network.h", "iccm_service.h"])

    def test_the_component_is_short(self):
        self.assertLess(len(COMPONENT.read_text().splitlines()), 60)

    def test_the_component_of_the_readme(self):
        text = component_of_readme()
        self.assertLessEqual(len(text.splitlines()), 35)
        self.assertEqual(text.count(", 9000, tools"), 1)
        program = self.compile_greeter()
        self.assertEqual(self.call(program, "greet", {"name": "Ada"}), {"greeting": "hello", "to": "Ada"})
        with self.assertRaises(CallError) as refused:
            self.call(program, "greet", {})
        self.assertEqual(refused.exception.code, -32602)

    def compile_greeter(self):
        source = self.root / "greeter.c"
        source.write_text(component_of_readme().replace(", 9000, tools", ", 0, tools"))
        return self.compile(source, *self.pkg_config("--libs"))

    def greeter(self):
        """Starts the README's component; returns its port."""
        group = self.enterContext(ProgramGroup(LD_LIBRARY_PATH=self.libraries))
        return group.add("greeter", self.compile_greeter()).start().port()

    def test_the_calls_of_the_readme(self):
        """Each command, with the program's port, prints the greeting."""
        commands = re.findall(r"^    ((?:curl|iccm call) (?:.*\\\n)*.*greet.*)\n", README, re.M)
        self.assertEqual([command.split("localhost")[0] for command in commands],
                         ["iccm call greet name=Ada --stdio ./greeter", "iccm call ws://", "iccm call http://", "curl -s http://"])
        port = self.greeter()
        for command in commands:
            with self.subTest(command):
                command = command.replace("localhost:9000", f"localhost:{port}").replace("./greeter", str(self.root / "program"))
                words = shlex.split(command.replace("\\\n", " "))
                if shutil.which(words[0], path=f"{PROGRAMS['iccm'].parent}:{os.environ['PATH']}") is None:
                    self.skipTest(f"no {words[0]} here")
                answer = run(PROGRAMS.get(words[0], words[0]), *words[1:],
                             env=os.environ | {"LD_LIBRARY_PATH": str(self.libraries), "LOGGING_ENABLED": "false"})
                self.assertRegex(answer.replace("\\", ""), r'"greeting": ?"hello",\s*"to": ?"Ada"|greeting\s+hello\s+to\s+Ada')

    def test_the_typescript_client_of_the_readme(self):
        programs = re.findall(r"^```js\n(.*?)^```$", README, re.M | re.S)
        (program,) = [text for text in programs if "@modelcontextprotocol/client" in text]
        place = npm_peers()
        program = program.replace("localhost:9000", f"localhost:{self.greeter()}")
        printed = run("node", "--input-type=module", "--eval", program, cwd=place)
        self.assertEqual(printed, re.search(r"// (\{.*\})\n", program)[1] + "\n")

    def cmake(self, description, *options):
        """Configures and builds the component by a CMakeLists.txt that ends with description; answers the result."""
        directory = Path(tempfile.mkdtemp(dir=self.root))
        (directory / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.18)\nproject(user C)\nadd_executable(program {COMPONENT})\n"
            + description)
        sanitizers = os.environ["TEST_SANITIZE"]
        flags = [] if sanitizers == "none" else [f"-DCMAKE_C_FLAGS=-fsanitize={sanitizers}"]
        configured = run_program(["cmake", "-S", directory, "-B", directory, *flags,
                               f"-DCMAKE_PREFIX_PATH={self.libraries.parents[1]};{self.libraries.parent}", *options], BUILD_S)
        if configured.returncode == 0:
            run("cmake", "--build", directory)
        return configured, directory / "program"

    @unittest.skipUnless(shutil.which("cmake"), "no cmake")
    def test_component_by_cmake(self):
        for component, target in ("", "iccm::network"), ("COMPONENTS static", "iccm::network_static"):
            with self.subTest(target):
                configured, program = self.cmake(
                    f"find_package(iccm-network {VERSION} REQUIRED {component})\n"
                    f"target_link_libraries(program PRIVATE {target})\n")
                self.assertEqual(configured.returncode, 0, configured.stderr)
                self.assertEqual("libiccm_network.so.0" in run("readelf", "-d", program), component == "")
                self.use_component(program)

    @unittest.skipUnless(shutil.which("cmake"), "no cmake")
    def test_cmake_is_refused_what_is_not_there(self):
        major, minor, patch = map(int, VERSION.split("."))
        for wish, words in {f"{major}.{minor}.{patch + 1}": "version", f"{major}.{minor + 1}": "version",
                            f"{major + 1}.{minor}": "version", "COMPONENTS other": 'no component "other"'}.items():
            with self.subTest(wish):
                configured, _ = self.cmake(f"find_package(iccm-network {wish} REQUIRED)\n")
                self.assertNotEqual(configured.returncode, 0)
                self.assertIn(words, " ".join(configured.stderr.split()))

    def test_component_with_the_library_as_a_subproject_of_meson(self):
        directory = Path(tempfile.mkdtemp(dir=self.root))
        (directory / "subprojects").mkdir()
        (directory / "subprojects/iccm-network").symlink_to(SOURCE)
        shutil.copy(COMPONENT, directory)
        (directory / "meson.build").write_text(
            "project('user', 'c')\n"
            "executable('program', 'component.c',\n"
            "           dependencies: dependency('iccm-network', fallback: 'iccm-network'))\n")
        run("meson", "setup", directory / "build", directory, "--force-fallback-for=iccm-network",
            f"-Db_sanitize={os.environ['TEST_SANITIZE']}", "-Db_lundef=false")
        run("ninja", "-C", directory / "build", "-j2", "program")
        self.use_component(directory / "build/program")
        built = {path.name for path in (directory / "build").rglob("*")}
        self.assertFalse(built & {"godot", "examples", "cli"}, "the parent wants the library alone")


if __name__ == "__main__":
    main()
