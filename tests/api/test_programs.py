"""The installed programs, manual pages and systemd units.

Programs are hardened. A manual page documents exactly the options and variables of its program. A unit passes systemd's checks
and restricts its program to the network.
"""
import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from services import BUILD, SOURCE, run_program

PROGRAMS = "dewey", "feed", "godot-server", "godot-worker", "horace", "iccm"
UNITS = "dewey", "godot-redis", "godot-server", "godot-worker", "horace"
ENDBR64 = b"\xf3\x0f\x1e\xfa"
RELEASE = SOURCE / "build"
MAX_EXPOSURE = 20  # of 100, by systemd's own counting: 92 where a unit says nothing
for tool in "man", "systemd-analyze":
    if shutil.which(tool) is None:
        print(f"NOT RUN: programs: there is no {tool}")
if not RELEASE.exists():
    print("NOT RUN: programs: there is no release build, by make build, to look at")


def run(*command, **options):
    result = run_program(command, **options)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def variables(text):
    return set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text))


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z-]+", text))


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix="iccm-programs-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root)
        cls.prefix = cls.root / os.environ["TEST_PREFIX"].lstrip("/")

    def program(self, name):
        return self.prefix / "bin" / name

    def page(self, name):
        return self.prefix / "share/man/man1" / f"{name}.1"

    def units(self):
        """Copies of the units, their programs where they are installed here."""
        for name in UNITS:
            text = (self.prefix / f"lib/systemd/system/{name}.service").read_text()
            unit = self.root / f"{name}.service"
            unit.write_text(text.replace(os.environ["TEST_PREFIX"] + "/", f"{self.prefix}/"))
            yield unit

    def check_hardened(self, prefix, fortified):
        (library,) = prefix.rglob("libiccm_network.so.0")
        for binary in [*(prefix / "bin" / name for name in PROGRAMS), library]:
            with self.subTest(binary):
                self.assertRegex(run("readelf", "-h", binary), r"Type:\s+DYN")
                self.assertRegex(run("readelf", "-d", binary), r"\(FLAGS(_1)?\).*NOW")
                headers = run("readelf", "-lW", binary)
                self.assertIn("GNU_RELRO", headers)
                self.assertRegex(headers, r"GNU_STACK(\s+0x\w+){5}\s+RW ")
                symbols = run("readelf", "--dyn-syms", "-W", binary)
                self.assertIn("__stack_chk_fail", symbols)
                if fortified:
                    self.assertIn("printf_chk", symbols)
                if os.environ["TEST_CF_PROTECTION"] == "1":  # in each function that may be called by its address
                    self.assertGreater(binary.read_bytes().count(ENDBR64), 100)

    def test_they_are_hardened(self):
        self.check_hardened(self.prefix, os.environ["TEST_FORTIFIED"] == "1")

    @unittest.skipUnless(RELEASE.exists(), "no release build")
    def test_the_release_is_hardened(self):
        """What `make build` makes; the sanitizers' builds are not fortified."""
        root = self.root / "release"
        run("meson", "install", "-C", RELEASE, "--no-rebuild", "--destdir", root)
        (prefix,) = (path.parents[1] for path in root.rglob("bin/iccm"))
        self.check_hardened(prefix, True)

    def test_pages_name_what_the_programs_know(self):
        for name in PROGRAMS:
            with self.subTest(name):
                said = run(self.program(name), "--help")
                page = self.page(name).read_text()
                if name == "iccm":
                    commands = re.findall(r"^  iccm ([a-z]+) ", said, re.M)
                    self.assertEqual(re.findall(r"^\.Nm\n\.Cm (\w+)$", page, re.M), commands)
                    self.assertEqual(re.findall(r"^\.It Cm (\w+)$", page, re.M), commands)
                    said += "".join(run(self.program(name), word, "--help") for word in commands)
                page_options = options(re.sub(r"\bFl -", "--", page))
                self.assertEqual(page_options, options(said) | {"--version", "--help"})
                binary = self.program(name).read_bytes()
                self.assertEqual({word for word in variables(page) if word.encode() not in binary}, set())
                other = "(worker)" if name == "godot-server" else "(server)"
                said = "".join(line for line in said.splitlines(True) if not line.endswith(other + "\n"))
                self.assertEqual(variables(said) - variables(page), set())

    def test_completion_is_where_bash_looks(self):
        script = self.prefix / "share/bash-completion/completions/iccm"
        self.assertEqual(run("bash", "-c", f"source '{script}'; complete -p iccm"), "complete -F _iccm iccm\n")

    @unittest.skipUnless(shutil.which("man"), "no man")
    def test_pages_are_well_formed(self):
        for name in PROGRAMS:
            with self.subTest(name):
                result = run_program(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", self.page(name)])
                self.assertEqual((result.returncode, result.stderr), (0, ""))
        if shutil.which("mandoc") is not None:
            run("mandoc", "-T", "lint", "-W", "warning", *map(self.page, PROGRAMS))

    def test_units_start_what_is_installed(self):
        for unit in self.units():
            with self.subTest(unit.name):
                text = unit.read_text()
                self.assertNotIn("@", text.replace("@system-service", "").replace("@privileged", ""))
                words = re.search(r"^ExecStart=(.*)$", text, re.M)[1].split()
                for path in [word for word in words if word.startswith("/")]:
                    self.assertTrue(Path(path).is_file(), path)
                    self.assertIn(str(self.prefix), path)

    def test_users_of_units_are_made(self):
        for unit in self.units():
            with self.subTest(unit.name):
                (user,) = re.findall(r"^User=(.*)$", unit.read_text(), re.M)
                made = (self.prefix / f"lib/sysusers.d/{user}.conf").read_text()
                self.assertRegex(made, rf"(?m)^u {user} - ")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_units_pass_the_checks_of_systemd(self):
        units = list(self.units())
        result = run_program(["systemd-analyze", "verify", "--man=no", *units])
        self.assertEqual(result.returncode, 0, result.stderr)
        complaints = [line for line in result.stderr.splitlines() if any(unit.name in line for unit in units)]
        self.assertEqual(complaints, [])
        for unit in units:
            with self.subTest(unit.name):
                run("systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", unit)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_drop_ins_of_the_documentation_pass_the_checks_of_systemd(self):
        drop_ins = re.findall(r"^```ini\n(.*?)^```$", (SOURCE / "docs/operations.md").read_text(), re.M | re.S)
        self.assertEqual(len(drop_ins), 2)
        for drop_in in drop_ins:
            for unit in self.units():
                if unit.stem in ("dewey", "godot-server", "horace"):
                    with self.subTest(unit.name, drop_in=drop_in):
                        unit.write_text(f"{unit.read_text()}\n{drop_in}")
                        result = run_program(["systemd-analyze", "verify", "--man=no", unit])
                        self.assertEqual((result.returncode, [line for line in result.stderr.splitlines() if unit.name in line]), (0, []))


if __name__ == "__main__":
    unittest.main()
