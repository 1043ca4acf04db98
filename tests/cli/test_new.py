"""`iccm new`: the component that it writes is built, tested and called; invalid requests fail and leave no files."""
import json
import os
import resource
import shutil
import tempfile
import unittest
from pathlib import Path

from services import BUILD, SOURCE, ProgramGroup, main, run_program
from test_program import OK, PROTOCOL, USAGE, Case, iccm

TEMPLATE = SOURCE / "iccm_network/cli/template"
MAX_EXPOSURE = 20  # of 100, by systemd's own counting
if shutil.which("systemd-analyze") is None:
    print("NOT RUN: new: there is no systemd-analyze")


def run(*command, **options):
    result = run_program(command, **options)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


class Directory(Case):
    def setUp(self):
        self.place = Path(tempfile.mkdtemp(prefix="iccm-new-"))
        self.addCleanup(shutil.rmtree, self.place)

    def new(self, *words, **options):
        return iccm("new", *words, cwd=self.place, **options)

    def made(self):
        return sorted(str(path.relative_to(self.place)) for path in self.place.rglob("*"))


class Component(Directory):
    def setUp(self):
        super().setUp()
        outcome = self.new("my-part_2")
        self.assertEqual((outcome.code, outcome.err), (OK, ""))
        self.printed, self.source = outcome.out, self.place / "my-part_2"

    def test_files(self):
        self.assertEqual(self.printed.split(), [f"my-part_2/{name}" for name in (
            "README.md", "my-part_2.c", "test_my-part_2.c", "meson.build", "my-part_2.service")])
        self.assertEqual(self.made(), sorted(["my-part_2", *self.printed.split()]))
        for path in TEMPLATE.iterdir():
            text, written = path.read_text(), self.source / path.name.replace("NAME", "my-part_2")
            hardening = (SOURCE / "godot/systemd/hardening.conf").read_text().strip()
            self.assertEqual(written.read_text(), text.replace("NAME", "my-part_2").replace("@HARDENING@", hardening))
        for number, line in enumerate((self.source / "my-part_2.c").read_text().splitlines(), 1):
            self.assertLessEqual(len(line), 120, number)

    def test_it_is_built_tested_and_called(self):
        build, sanitizers = self.source / "build", os.environ["TEST_SANITIZE"]
        environment = os.environ | {"CC": os.environ["TEST_CC"], "PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled"),
                                    "LD_LIBRARY_PATH": str(BUILD / "iccm_network")}
        run("meson", "setup", "-Dwerror=true", f"-Db_sanitize={sanitizers}", "-Db_lundef=false", "build", cwd=self.source,
            env=environment)
        run("meson", "compile", "-C", "build", cwd=self.source, env=environment)
        self.assertRegex(run("meson", "test", "-C", "build", cwd=self.source, env=environment), r"(?m)^Ok: +1")
        with ProgramGroup(MCP_PORT=0, LD_LIBRARY_PATH=BUILD / "iccm_network") as place:
            server = f"localhost:{place.add('component', build / 'my-part_2').start().port()}"
            self.assertEqual(json.loads(iccm("call", "--json", server, "greet", "name=Ada").out),
                             {"greeting": "hello", "to": "Ada"})
            self.assertEqual(iccm("call", server, "count_primes", "below=100").out, "25\n")
            self.expect(iccm("call", server, "count_primes", "below=-1"), PROTOCOL, "/below")
            self.expect(iccm("call", server, "greet"), PROTOCOL, "/name")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_its_unit_passes_the_checks_of_systemd(self):
        unit = self.source / "my-part_2.service"
        unit.write_text(unit.read_text().replace("ExecStart=my-part_2", "ExecStart=true"))
        self.assertEqual(run_program(["systemd-analyze", "verify", "--man=no", unit]).stderr.count(unit.name), 0)
        run("systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", unit)


class Refused(Directory):
    def test_names(self):
        self.assertEqual(self.new("_" + 63 * "x").code, OK)
        self.assertEqual(self.new("-v", "--", "x").code, USAGE)
        before = self.made()
        for name in "", "9lives", "-part", "a.b", "a/b", "..", "a b", "größe", "a\n", "a\x1b", "ws://u:hush@x", 65 * "x":
            with self.subTest(name):
                outcome = self.new("--", name)
                self.expect(outcome, USAGE, "invalid name .*: use 1 to 64 letters, digits, - and _, beginning with a letter or _")
                self.assertNotRegex(outcome.err, "hush|\x1b")
        for name in "test", "all", "meson-part":
            with self.subTest(name):
                self.expect(self.new(name), USAGE, f"invalid name {name}: Meson reserves it")
        self.expect(self.new(), USAGE, "too few arguments")
        self.expect(self.new("a", "b"), USAGE, "too many arguments")
        self.expect_json_error(self.new("--json", "9"), USAGE)
        self.assertEqual(self.made(), before)

    def test_what_exists_is_left_alone(self):
        (self.place / "empty").mkdir()
        (self.place / "file").write_text("mine")
        (self.place / "link").symlink_to("nowhere")
        before = self.made()
        for name in "empty", "file", "link":
            with self.subTest(name):
                self.expect(self.new(name), USAGE, f"{name} already exists")
        self.assertEqual(self.made(), before)
        self.assertEqual((self.place / "file").read_text(), "mine")

    def test_a_place_that_takes_no_directory(self):
        self.expect(iccm("new", "part", cwd="/proc"), USAGE, "cannot write part: .*nothing was kept")

    def test_a_disk_that_is_full_after_some_files(self):
        """Simulated with RLIMIT_FSIZE, once for each file size: writing fails as on a full disk."""
        self.assertEqual(self.new("whole").code, OK)
        sizes = {path.stat().st_size for path in (self.place / "whole").iterdir()}
        before, reached = self.made(), set()
        for limit in 0, *(size - 1 for size in sizes):
            outcome = self.new("part1", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            self.expect(outcome, USAGE, r"cannot write part1/\S+: file too large \(nothing was kept\)")
            reached.add(outcome.err.split(": ")[1])
            self.assertEqual(self.made(), before)
        self.assertGreater(len(reached), 1, "each time the first file failed")
        self.assertEqual(self.new("part1").code, OK)

    def test_json(self):
        outcome = self.new("--json", "part")
        self.assertEqual((outcome.code, outcome.err), (OK, ""))
        self.assertEqual(sorted(["part", *json.loads(outcome.out)["files"]]), self.made())


if __name__ == "__main__":
    main()
