"""Bash completion of `iccm`: it offers exactly the commands and options in --help."""
import re
import subprocess
import unittest

from services import PROGRAMS, SOURCE, main, run_program

SCRIPT = SOURCE / "iccm_network/cli/completion.bash"
ASK = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _iccm; printf "%s\\n" "${COMPREPLY[@]}"'


def offered(*words):
    """The completions of the last word."""
    run = run_program(["bash", "-u", "-c", ASK, "bash", SCRIPT, "iccm", *words])
    assert (run.returncode, run.stderr) == (0, ""), run
    return run.stdout.split()


def help_of(*words):
    return subprocess.run([PROGRAMS["iccm"], *words, "--help"], capture_output=True, text=True, check=True).stdout


def options(text):
    return sorted(set(re.findall(r"(?<![\w-])--[a-z-]+", text)))


VALUES = {"--trace": ["new"], "--level": ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]}
COMMANDS = re.findall(r"^  iccm ([a-z]+) ", help_of(), re.M)


class Completion(unittest.TestCase):
    def test_commands(self):
        self.assertGreater(len(COMMANDS), 6)
        self.assertEqual(offered(""), COMMANDS)
        self.assertEqual(offered("--json", "--timeout", "3", ""), COMMANDS)
        self.assertEqual(offered("--timeout", "=", "3", ""), COMMANDS)
        self.assertEqual(offered("b"), ["bench", "bridge"])
        self.assertEqual(offered("list", "l"), [])

    def test_options(self):
        self.assertEqual(sorted(offered("--")), options(help_of()))
        for command in COMMANDS:
            with self.subTest(command):
                self.assertEqual(sorted(offered(command, "--")), options(help_of(command)))
                self.assertEqual(sorted(offered("--timeout", "3", command, "ws://x", "-")), options(help_of(command)))
        self.assertEqual(offered("bench", "--c"), ["--connections"])

    def test_every_option_with_a_value_is_known_as_such(self):
        taking = set(re.findall(r"^  (--[a-z-]+) [A-Z]+ ", "".join(map(help_of, COMMANDS)), re.M))
        self.assertIn("--server-pid", taking)
        for option in taking:
            with self.subTest(option):
                self.assertEqual(offered(option, ""), VALUES.get(option, []))
                self.assertEqual(offered(option, "list", "ping", "--c"), ["--count"], "list is the option's value")
                self.assertEqual(offered(option, "="), [])
                self.assertEqual(offered(option, "=", "l"), [])

    def test_what_to_do_with_dead_letters(self):
        self.assertEqual(offered("dead", ""), ["list", "replay", "discard"])
        self.assertEqual(offered("--json", "dead", "re"), ["replay"])
        self.assertEqual(offered("dead", "list", ""), [])

    def test_kinds_of_manifests(self):
        self.assertEqual(offered("manifest", ""), ["server", "mcpb"])
        self.assertEqual(offered("--json", "manifest", "m"), ["mcpb"])
        self.assertEqual(offered("manifest", "server", ""), [])

    def test_nothing_else(self):
        for words in (("call", ""), ("call", "ws", ":", "//127.0.0.1:1", ""), ("listen", ""), ("fly", "")):
            self.assertEqual(offered(*words), [])

    def test_bash_takes_it(self):
        run = run_program(["bash", "-c", f'source "{SCRIPT}"; complete -p iccm'])
        self.assertEqual(run.stdout, "complete -F _iccm iccm\n")


if __name__ == "__main__":
    main()
