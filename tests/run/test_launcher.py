"""The launcher of `make run`: it serves, it reports errors in one line, and it leaves no process running, however it ends.

Each test has its own ports and data directory. A process belongs to a run if its environment or its working directory has that
directory (Redis overwrites its environment with its title).
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from services import (
    BUILD,
    INHERITED_ENV,
    PROGRAMS,
    SANITIZER_REPORT,
    SOURCE,
    WAIT_S,
    free_port,
    main,
    run_program,
    wait_until,
    websocket_upgrade,
)

KILLED = "supervisord has not stopped within 4 s: killing it"
SLOW_TOOL = """#!/bin/sh
# Stands before another program of its name, and runs that; not before the test lets it, where it is the one to wait.
here=${{0%/*}} name=${{0##*/}}
if wanted=$(cat "$here/wait" 2>/dev/null) && case "$name $*" in *"$wanted"*) ;; *) false ;; esac; then
    : >"$here/waits"
    while [ -e "$here/wait" ]; do sleep 0.01; done
fi
exec {} "$@"
"""
LOG = Path("/var/log/dpkg.log")


def base_name(word):
    return word.rpartition("/")[2]


class Run:
    """One launcher with its own data and ports, which a test may spoil before it calls start()."""

    def __init__(self, data=None):
        self.place = Path(tempfile.mkdtemp(prefix="iccm run "))
        self.environment = {name: os.environ[name] for name in INHERITED_ENV if name in os.environ}
        self.environment |= {name: str(free_port()) for name in ("MCP_PORT", "REDIS_PORT", "DEWEY_MCP_PORT")}
        self.environment["ICCM_DATA"] = str(data or self.place / "data")
        self.build, self.process = BUILD, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):  # they end with the launcher, too
                os.kill(pid, signal.SIGKILL)
        if error is not None and (self.place / "err").exists():
            print(self.output("err")[-4000:])
        shutil.rmtree(self.place)

    @property
    def godot(self):
        return f"ws://localhost:{self.environment['MCP_PORT']}"

    @property
    def dewey(self):
        return f"ws://localhost:{self.environment['DEWEY_MCP_PORT']}"

    def slow(self, words):
        """From now on a command with these words waits before it begins, until .waits() and .goes_on() were called."""
        tools = self.place / "tools"
        tools.mkdir()
        for name in ("id", "setpriv"):
            (tools / name).write_text(SLOW_TOOL.format(shutil.which(name)))
            (tools / name).chmod(0o755)
        (tools / "wait").write_text(words)
        self.environment["PATH"] = f"{tools}:{os.environ['PATH']}"

    def waits(self):
        wait_until((self.place / "tools/waits").exists, "the command begins")

    def goes_on(self):
        (self.place / "tools/wait").unlink()

    def start(self):
        with (self.place / "out").open("wb") as out, (self.place / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [shutil.which("setpriv"), "--pdeathsig", "TERM", SOURCE / "godot/run", self.build],  # as the Makefile does
                cwd=self.place,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return self

    def output(self, name="out"):
        return (self.place / name).read_text(errors="replace")

    def up(self):
        def serving():
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.output('err')[-4000:]}")
            return "Ctrl-C" in self.output()

        wait_until(serving, "the launcher serves")
        return self

    def left(self):
        """The processes of this run, the launcher itself apart."""
        data, found = self.environment["ICCM_DATA"], {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                pid = int(process.name)
                variables = (process / "environ").read_bytes().split(b"\0")
                ours = f"ICCM_DATA={data}".encode() in variables or str((process / "cwd").readlink()).startswith(data)
                if ours and pid != self.process.pid:
                    found[pid] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
        return found

    def pid_of(self, program):
        """Its process: the first word of the command names it, or the second where the first is an interpreter."""

        def find():
            commands = self.left().items()
            return next((pid for pid, words in commands if program in map(base_name, words.split(" ")[:2])), None)

        return wait_until(find, f"{program} runs")

    def ended(self):
        """Waits for the end of the launcher and of everything it started, and answers its status."""
        status = self.process.wait(WAIT_S)
        wait_until(lambda: not self.left(), f"nothing left of {self.left()}")
        return status

    def refused(self):
        """The one line of a run that must not come up."""
        self.start()
        status = self.process.wait(WAIT_S)
        assert status == 1, f"status {status}: {self.output('err')}"
        assert not self.left(), self.left()
        assert self.output() == "", self.output()
        lines = self.output("err").splitlines()
        assert len(lines) == 1 and lines[0].startswith("godot/run: "), lines
        return lines[0]

    def call(self, url, tool, *arguments):
        command = [PROGRAMS["iccm"], "--json", "call", url, tool, *arguments]
        run = run_program(command, env=self.environment)
        assert run.returncode == 0, run.stdout + run.stderr
        return json.loads(run.stdout)

    def stored(self, component):
        return self.call(self.dewey, "dewey_get_log_stats")["count_by_component"].get(component, 0)


class Serving(unittest.TestCase):
    def test_feeds_shows_serves_and_stops(self):
        with Run() as run:
            run.start().up()
            out = run.output()
            component = re.search(r"^logger_query component=(\w+) limit=20$", out, re.M)[1]
            if LOG.exists():
                self.assertEqual(component, "dpkg")
            fed = int(re.search(rf"^(\d+) lines accepted as {component}\b.* 0 refused, 0 not delivered$", out, re.M)[1])
            self.assertGreater(fed, 0)
            self.assertEqual(run.stored(component), fed)
            table = out.partition("limit=20\n")[2].partition("\n\n")[0].splitlines()
            self.assertEqual(sum(component in row for row in table), min(20, fed), table)

            message = "a line of the test's own"
            run.call(run.godot, "logger_log", "component=mine", "level=INFO", f"message={message}")
            rows = wait_until(lambda: run.call(run.godot, "logger_query", "component=mine"), "the line is stored")
            self.assertEqual([row["message"] for row in rows], [message])

            run.process.terminate()
            self.assertEqual(run.ended(), 0)
            log = run.output("err")
            if KILLED not in log:  # by a machine that is too slow
                for program in "godot-server", "godot-worker", "redis", "dewey":
                    self.assertIn(f"stopped: {program} (exit status 0)", log)
            self.assertIsNone(SANITIZER_REPORT.search(log))

    def test_with_a_token(self):
        with Run() as run:
            run.environment["ICCM_AUTH_TOKEN"] = "open-sesame"
            run.start().up()
            component = re.search(r"^(\d+) lines accepted as (\w+)\b", run.output(), re.M)[2]
            self.assertGreater(run.stored(component), 0)
            for port in "MCP_PORT", "DEWEY_MCP_PORT":
                self.assertEqual(websocket_upgrade(int(run.environment[port])).status, 401)
            run.process.terminate()
            self.assertEqual(run.ended(), 0)
            self.assertNotIn("open-sesame", run.output() + run.output("err"))

    def test_data_is_private(self):
        """Of a new directory, and where an older version has left what others can read."""
        with Run() as run:
            data = run.place / "data"
            for name in "redis", "fed":
                (data / name).mkdir(mode=0o755, parents=True)
            run.start().up()
            self.assertEqual([data / name for name in ("redis", "fed", "dewey.db") if (data / name).stat().st_mode & 0o7], [])

    def test_a_second_start_keeps_the_data_and_feeds_nothing_twice(self):
        with Run() as run:
            run.start().up()
            component = re.search(r"^logger_query component=(\w+)", run.output(), re.M)[1]
            before = run.stored(component)
            run.process.terminate()
            self.assertEqual(run.ended(), 0)
            run.start().up()
            added = int(re.search(rf"^(\d+) lines accepted as {component}\b", run.output(), re.M)[1])
            self.assertEqual(run.stored(component), before + added)
            self.assertLess(added, before)

    def test_two_side_by_side_and_none_on_the_same_data(self):
        with Run() as one, Run() as two, Run(data=one.environment["ICCM_DATA"]) as third:
            one.start()
            two.start()
            one.up()
            two.up()
            one.call(one.godot, "logger_log", "component=mine", "level=INFO", "message=only here")
            wait_until(lambda: one.stored("mine") == 1, "stored")
            self.assertEqual(two.stored("mine"), 0)
            third.start()
            self.assertEqual(third.process.wait(WAIT_S), 1)
            self.assertRegex(third.output("err"), r"\Agodot/run: cannot use the directory ICCM_DATA=.*: another run is using it\n\Z")
            self.assertEqual(one.stored("mine"), 1)
            two.process.terminate()
            self.assertEqual(two.ended(), 0)
            one.process.terminate()
            self.assertEqual(one.ended(), 0)

    def test_each_program_comes_back_when_it_was_killed(self):
        with Run() as run:
            run.start().up()
            for program in "redis-server", "dewey", "godot-worker", "godot-server":
                os.kill(run.pid_of(program), signal.SIGKILL)
                gone = f"exited: {program.replace('redis-server', 'redis')} "
                wait_until(lambda: gone in run.output("err"), f"supervisord says that {program} has ended")
                feed = [BUILD / "examples/feed/feed", "--component", f"after {program}", run.godot]
                fed = subprocess.run(feed, input=b"once\n", stdout=subprocess.DEVNULL, timeout=WAIT_S)
                self.assertEqual(fed.returncode, 0)
            for program in "redis-server", "dewey", "godot-worker", "godot-server":
                wait_until(lambda: run.stored(f"after {program}") == 1, f"the line sent after {program} was killed")


class Ending(unittest.TestCase):
    def test_interrupt_of_the_whole_terminal_group(self):
        with Run() as run:
            run.start().up()
            os.killpg(run.process.pid, signal.SIGINT)
            self.assertEqual(run.ended(), 0)

    def test_signal_at_any_moment_of_the_start(self):
        for moment in 0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 1.6, 2, 2.4, 2.8:
            with self.subTest(moment=moment), Run() as run:
                run.start()
                time.sleep(moment)  # the moment is the input
                run.process.terminate()
                self.assertIn(run.ended(), (0, -signal.SIGTERM))  # the latter before there was anything to stop

    def test_killed_launcher_takes_everything_along(self):
        for moment in 0.1, 0.3, 1, None:
            with self.subTest(moment=moment), Run() as run:
                run.start()
                run.up() if moment is None else time.sleep(moment)
                run.process.kill()
                run.ended()

    def test_killed_launcher_whose_child_has_only_begun(self):
        """Each of those that it starts and leaves running, and what stands between two of them."""
        for words in "id -u", "setsid supervisord", "iccm --timeout 5 call", "feed --component":
            with self.subTest(words), Run() as run:
                run.slow(words)
                run.start()
                run.waits()
                run.process.kill()
                run.process.wait()
                run.goes_on()
                run.ended()

    def test_killed_supervisor_takes_everything_along(self):
        with Run() as run:
            run.start().up()
            os.kill(run.pid_of("supervisord"), signal.SIGKILL)
            self.assertEqual(run.ended(), 1)
            self.assertIn("godot/run: supervisord has exited\n", run.output("err"))

    def test_a_program_that_does_not_stop_is_killed(self):
        with Run() as run:
            run.start().up()
            for program in "godot-server", "dewey", "redis-server":
                os.kill(run.pid_of(program), signal.SIGSTOP)
            run.process.terminate()
            self.assertEqual(run.ended(), 0)
            self.assertIn(KILLED, run.output("err"))


class Refusing(unittest.TestCase):
    def test_port_in_use(self):
        for name, family, address in (
            ("MCP_PORT", socket.AF_INET, "127.0.0.1"),
            ("MCP_PORT", socket.AF_INET6, "::1"),
            ("REDIS_PORT", socket.AF_INET, "127.0.0.1"),
            ("DEWEY_MCP_PORT", socket.AF_INET, "0.0.0.0"),
        ):
            with self.subTest(name=name, address=address), Run() as run, socket.socket(family) as holder:
                try:
                    holder.bind((address, int(run.environment[name])))
                except OSError:
                    if family == socket.AF_INET:
                        raise
                    print(f"NOT RUN: {self.id()} by IPv6: there is none here", flush=True)
                    continue
                holder.listen()
                self.assertIn(f"cannot bind port {run.environment[name]}: address already in use (set {name})", run.refused())

    def test_port_that_is_none(self):
        for name in "MCP_PORT", "REDIS_PORT", "DEWEY_MCP_PORT":
            for value in "abc", "0", "65536", "-1", "99999999999999999999", "90 60":
                with self.subTest(name=name, value=value), Run() as run:
                    run.environment[name] = value
                    self.assertIn(f'invalid {name}="{value}": expected a port from 1 to 65535', run.refused())

    def test_the_same_port_twice(self):
        with Run() as run:
            run.environment["DEWEY_MCP_PORT"] = run.environment["MCP_PORT"]
            self.assertIn("DEWEY_MCP_PORT and MCP_PORT are both", run.refused())

    def test_data_directory_that_cannot_be(self):
        with Run() as run:
            (run.place / "file").touch()
            run.environment["ICCM_DATA"] = str(run.place / "file/data")
            self.assertIn("cannot create the directory ICCM_DATA=", run.refused())

    def test_data_directory_that_cannot_be_written(self):
        with Run() as run:
            data = run.place / "data"
            for name in "redis", "fed", "lock":  # a directory in the lock's place stops root, too
                (data / name).mkdir(parents=True)
            self.assertIn("cannot write to the directory ICCM_DATA=", run.refused())

    def test_packages_that_only_root_can_install(self):
        """What is printed works as it stands: it is this script, for apt-get alone does not find all of them."""
        with Run() as run:
            tools = run.place / "tools"
            tools.mkdir()
            for name, body in ("id", "echo 1000"), ("dpkg-query", "exit 1"), ("sudo", '"$@"'):
                (tools / name).write_text(f"#!/bin/sh\n{body}\n")
                (tools / name).chmod(0o755)
            script = SOURCE / ".ci/install"
            for name, command in ("sudo", f"sudo '{script}' run"), (None, f"su -c \"'{script}' run\""):
                environment = {"PATH": f"{tools}:/usr/bin:/bin"}
                if name is None:
                    (tools / "sudo").unlink()
                    if shutil.which("sudo", path=environment["PATH"]):
                        continue
                ended = run_program([script, "run"], env=environment)
                self.assertEqual((ended.returncode, ended.stdout), (1, ""))
                self.assertIn("libyyjson-dev", ended.stderr)
                self.assertEqual(ended.stderr.splitlines()[-1], f"install: only root can install them; run: {command}")

    def test_tls(self):
        with Run() as run:
            run.environment["ICCM_TLS_CERT"] = "/cert.pem"
            self.assertIn("ICCM_TLS_CERT or ICCM_TLS_KEY is set", run.refused())

    def test_a_program_that_cannot_start_ends_all(self):
        """With its own words as the last line, behind all that was logged meanwhile."""
        with contextlib.ExitStack() as stack:
            runs = []
            for variables, words in (
                ({"LOG_RETENTION_DAYS": "x"}, 'dewey cannot start: env: LOG_RETENTION_DAYS is "x": expected a whole number'),
                ({"ICCM_MAX_CONNECTIONS": "0"}, 'cannot start: env: ICCM_MAX_CONNECTIONS is "0": expected a whole number'),
                ({"BATCH_SIZE": "many"}, 'cannot start: env: BATCH_SIZE is "many": expected a whole number'),
                ({"GODOT_SPOOL_MAX_BYTES": "9999", "GODOT_SPOOL_DIR": "/dev/null/x"}, "godot-worker cannot start: spool: /dev/null/x"),
                ({}, "redis cannot start: Found an empty AOF manifest"),
            ):
                run = stack.enter_context(Run())
                run.environment |= variables
                if not variables:
                    manifest = run.place / "data/redis/appendonlydir/appendonly.aof.manifest"
                    manifest.parent.mkdir(parents=True)
                    manifest.write_text("\n")
                runs.append((run.start(), words))
            for run, words in runs:
                with self.subTest(words):
                    self.assertEqual(run.ended(), 1)
                    self.assertEqual(run.output(), "")
                    self.assertRegex(run.output("err").splitlines()[-1], rf"\Agodot/run: .*{re.escape(words)}")

    def test_missing_programs(self):
        for hidden in "redis-server", "supervisord":
            with self.subTest(hidden=hidden), Run() as run:
                tools = run.place / "tools"
                tools.mkdir()
                for directory in "/usr/bin", "/bin", "/usr/sbin", "/sbin":
                    for tool in Path(directory).iterdir():
                        if tool.name != hidden and not (tools / tool.name).is_symlink():
                            (tools / tool.name).symlink_to(tool)
                run.environment["PATH"] = str(tools)
                self.assertIn(f"{hidden} not found (run .ci/install run as root)", run.refused())

    def test_nothing_built(self):
        with Run() as run:
            run.build = run.place / "nowhere"
            self.assertIn("no build in ", run.refused())
            run.build.mkdir()
            self.assertIn("(run make build)", run.refused())


main()
