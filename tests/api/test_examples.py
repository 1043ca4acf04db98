"""The examples of docs/: every program printed there compiles without a warning, and does what the page says.

A page holds programs (blocks of C that open with a comment that names the file) and sessions (blocks of console). In a
session a command with & at its end starts a server, any other runs to its end, and what it prints has to be what stands
below it; … there is any text in a line, and alone any lines. Ports of a page are exchanged for free ones. Programs that do without <uv.h> are
compiled as C99. Python on a page is only compiled. Tests that a page names as `module/test` exist. A page is also
wrong if it names a thing that grep does not find.
"""
import contextlib
import os
import re
import shlex
import subprocess
import unittest
from pathlib import Path
from urllib.parse import urlsplit

from services import INHERITED_ENV, PROGRAMS, SOURCE, WAIT_S, ProgramGroup, http_get, run_program, wait_until

LIBRARY = Path(os.environ["TEST_LIBRARY"])
PAGES = ["api.md", "migration.md"]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def programs_of(text):
    named = [(re.match(r"/\* (\w+)\.c: ", block), block) for block in blocks(text, "c")]
    return {name[1]: block for name, block in named if name is not None}


def take_settings(words):
    """Removes NAME=value from the beginning of a command, as a shell does."""
    settings = {}
    while "=" in words[0]:
        name, _, settings[name] = words.pop(0).partition("=")
    return settings


class Session:
    """One console block, command by command, and the servers that it has started."""

    def __init__(self, place, programs):
        self.place, self.programs, self.ports = place, programs, {}

    def with_ports(self, text):
        return re.sub(r"localhost:(\d+)", lambda found: f"localhost:{self.ports[found[1]]}", text)

    def path_of(self, word):
        """The program that a command names; compiled now, when the ports of the servers before it are known."""
        if not word.startswith("./"):
            return PROGRAMS[Path(word).name]
        name = word[2:]
        text = re.sub(r'(mcp_server_new\("\w+", "[^"]*", )\d+', r"\g<1>0", self.with_ports(self.programs[name]))
        source = self.place.directory / f"{name}.c"
        source.write_text(text)
        sanitizers = os.environ["TEST_SANITIZE"]
        command = [*os.environ["TEST_CC"].split(), "-std=gnu11" if "<uv.h>" in text else "-std=c99", "-Wall", "-Wextra",
                   "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", f"-I{SOURCE / 'iccm_network/include'}", source, LIBRARY,
                   "-lyyjson", "-luv", "-o", source.with_suffix("")]
        result = run_program(command + ([] if sanitizers == "none" else [f"-fsanitize={sanitizers}"]))
        assert result.returncode == 0, result.stderr
        return source.with_suffix("")

    def start(self, words):
        """A server, which listens on the port of its environment, its argument, or its source."""
        settings = take_settings(words)
        path = self.path_of(words[0])
        given = [value for name, value in settings.items() if name.endswith("_PORT")] + words[1:]
        port = given[0] if given else re.search(r'mcp_server_new\(.*, (\d+), ', self.programs[words[0][2:]])[1]
        server = self.place.add(path.name, path, *["0"] * (len(words) - 1))
        server.environment = server.environment | {name: "0" if value == port else value
                                                   for name, value in settings.items()}
        self.ports[port] = server.start().port()

    def run(self, words):
        settings = take_settings(words)
        words = [self.with_ports(word) for word in words]
        if words[0] == "cat":
            return (self.place.directory / words[1]).read_text()
        if words[0] == "curl":
            address = urlsplit("http://" + words[1])
            return http_get(address.port, path=address.path).body.decode()
        inherited = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ}
        result = subprocess.run([self.path_of(words[0]), *words[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=WAIT_S,
                                env=inherited | self.place.settings | settings)
        return result.stdout


class Examples(unittest.TestCase):
    maxDiff = None

    def play(self, session, text):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
            words = shlex.split(command)
            if words[-1] == "&":
                session.start(words[:-1])
                continue
            lines = [r"(?:.*\n)*" if line == "…\n" else re.escape(line).replace("…", ".*")
                     for line in expected.splitlines(keepends=True)]
            pattern = "".join(lines)
            if words[0] == "cat":  # a log: its lines come a little later
                wait_until(lambda: re.fullmatch(pattern, session.run(words)), command)
                continue
            said = session.run(words)
            if re.fullmatch(pattern, said) is None:
                self.assertEqual(said, expected, command)

    def test_sessions(self):
        for page in PAGES:
            text = (SOURCE / "docs" / page).read_text()
            programs = programs_of(text)
            for console in blocks(text, "console"):
                with (self.subTest(page=page, session=console), ProgramGroup(LD_LIBRARY_PATH=LIBRARY.parent) as place,
                      contextlib.chdir(place.directory)):
                    self.play(Session(place, programs), console)

    def test_every_program_is_run(self):
        for page in PAGES:
            text = (SOURCE / "docs" / page).read_text()
            run = set(re.findall(r"\./(\w+)", "".join(blocks(text, "console"))))
            self.assertEqual(set(programs_of(text)), run, page)
            self.assertEqual(len(programs_of(text)), len(blocks(text, "c")), f"{page}: incomplete program")

    def test_python_compiles(self):
        for page in PAGES:
            for block in blocks((SOURCE / "docs" / page).read_text(), "python"):
                compile(block, page, "exec")

    def test_tests_that_are_named_exist(self):
        for page in PAGES:
            for module, test in re.findall(r"`(\w+)/(\w+)`", (SOURCE / "docs" / page).read_text()):
                files = (SOURCE / "tests").glob(f"*/test_{module}.*")
                self.assertTrue(any(re.search(rf"\b{test}\(|, {test}[,)]", file.read_text()) for file in files),
                                f"{page}: {module}/{test}")

    def test_nothing_of_the_network_is_in_horace(self):
        (command,) = re.findall(r"^    (grep .*)$", (SOURCE / "docs/migration.md").read_text(), re.M)
        result = run_program(["sh", "-c", command], cwd=SOURCE)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (1, "", ""))


if __name__ == "__main__":
    unittest.main()
