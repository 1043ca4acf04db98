"""Roots of Debian for the tests of the packages, and the services in them.

Happy path: begin() once; `with Root("bookworm") as root` copies a minimal Debian that contains only git and make in addition.
root.run() runs a command in it as root, with the network of this machine. `with Services(root) as services` starts installed
services as their units say, but without systemd, in a network namespace of their own.

debootstrap makes each Debian once, in build-packages/; packages that apt fetched are also kept there. Packages in a root start
no services. All mounts belong to this process and end with it.

Failure modes: begin() returns the reason why this machine has no roots; a command that fails raises with the end of its
output; a service that does not start or does not exit with 0 raises with the end of its log.
"""
import os
import re
import shutil
import string
import subprocess
import sys
import tempfile
from pathlib import Path

from debian import mirror
from disk import unshare_mounts
from network_namespace import NetworkNamespace
from services import SOURCE, WAIT_S, Program, run_program, wait_until

STORE = SOURCE / "build-packages"
BUILD_S = 30 * WAIT_S


def begin(suites):
    """Returns None, or the reason why this machine cannot make the roots."""
    if os.getuid() != 0:
        return "it needs root"
    run = run_program([SOURCE / ".ci/install", "packages"], BUILD_S)
    if run.returncode != 0:
        return (run.stderr.strip().splitlines() or ["debootstrap cannot be installed"])[-1]
    if mirror() is None:
        return "apt's configuration names no mirror"
    STORE.mkdir(exist_ok=True)
    unshare_mounts()
    return next(filter(None, map(make_base, suites)), None)


def make_base(suite):
    """Returns None, or why there is no base of this suite."""
    base = STORE / suite
    if base.exists():
        return None
    unfinished = STORE / f"{suite}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates,git,make", suite, unfinished, mirror()]
    run = run_program(command, BUILD_S)
    if run.returncode != 0:
        return f"debootstrap {suite}: {(run.stdout + run.stderr).strip().splitlines()[-1]}"
    (unfinished / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")  # Debian's installer makes it
    policy = unfinished / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    unfinished.rename(base)
    return None


def mount(*words):
    subprocess.run(["mount", *words], check=True)


class Root:
    def __init__(self, suite):
        self.suite = suite

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix=f"{self.suite}-", dir=STORE))
        subprocess.run(["cp", "-a", f"{STORE / self.suite}/.", self.path], check=True)
        mount("-t", "proc", "proc", self.path / "proc")
        kept = STORE / f"{self.suite}.archives"
        (kept / "partial").mkdir(parents=True, exist_ok=True)
        mount("--bind", kept, self.path / "var/cache/apt/archives")
        self.run("apt-get", "-qq", "update")
        return self

    def __exit__(self, *_):
        for mounted in "proc", "var/cache/apt/archives":
            subprocess.run(["umount", "--lazy", self.path / mounted], check=True)
        shutil.rmtree(self.path)

    def command(self, *words):
        variables = ["HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return ["chroot", self.path, "env", "-i", *variables, *words]

    def try_run(self, *words, inside=()):
        """Runs a command, in the namespace that `inside` enters; returns its result."""
        return run_program([*inside, *self.command(*words)], BUILD_S)

    def run(self, *words):
        """Runs a command that must succeed; returns its output."""
        run = self.try_run(*words)
        assert run.returncode == 0, f"{self.suite}: {words}: {run.stdout[-4000:]}{run.stderr[-4000:]}"
        return run.stdout

    def apt(self, *words):
        return self.run("apt-get", "-qq", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", "-y", *words)

    def exists(self, path):
        return os.path.lexists(self.path / path.lstrip("/"))


class Unit:
    """What systemd would do for an installed unit: (command, environment, directory, user, umask)."""

    def __init__(self, root, name):
        text = (root.path / f"usr/lib/systemd/system/{name}.service").read_text().replace("%S", "/var/lib")
        self.values = {}
        for key, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
            self.values.setdefault(key, []).append(value)
        words = [word for line in self.values.get("Environment", []) for word in line.split()]
        for file in self.values.get("EnvironmentFile", []):
            words += re.findall(r"^\w+=.*$", (root.path / file.lstrip("-/")).read_text(), re.M)
        self.environment = dict(word.split("=", 1) for word in words)
        self.command = string.Template(self.values["ExecStart"][0]).substitute(self.environment).split()
        self.user, self.umask = self.values["User"][0], self.values["UMask"][-1]
        self.directory = self.values.get("WorkingDirectory", ["/"])[0]


class Services:
    """Services in a network namespace; stopped at the end."""

    def __init__(self, root):
        self.root, self.programs = root, {}

    def __enter__(self):
        self.logs = tempfile.TemporaryDirectory(prefix="iccm-packages-")
        self.network = NetworkNamespace().__enter__()
        self.inside = ["ip", "netns", "exec", self.network.name]
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is None:
                self.stop(*self.programs)
        finally:
            for program in self.programs.values():
                if program.process is not None:
                    program.kill()
                if error is not None:
                    print(program.failure_text("the test failed"), file=sys.stderr)
            self.network.__exit__()
            self.logs.cleanup()

    def start(self, *names):
        for name in names:
            unit = Unit(self.root, name)
            words = ["setpriv", f"--reuid={unit.user}", f"--regid={unit.user}", "--init-groups", "--pdeathsig", "KILL"]
            words += ["env", "-i", f"--chdir={unit.directory}", "PATH=/usr/bin:/bin"]
            words += [f"{key}={value}" for key, value in unit.environment.items()]
            self.launch(name, *words, "sh", "-c", f'umask {unit.umask}; exec "$@"', "sh", *unit.command)

    def launch(self, name, *words):
        command = [*self.inside, *self.root.command(*words)]
        self.programs[name] = Program(name, command, self.logs.name, {}).start()

    def stop(self, *names):
        for name in names:
            self.programs[name].stop()

    def call(self, *words):
        """Runs `iccm call`; returns its output, or None if it failed."""
        run = self.root.try_run("iccm", "call", "--json", *words, inside=self.inside)
        return run.stdout if run.returncode == 0 else None

    def wait_ready(self, name, port):
        def ready():
            program = self.programs[name]
            assert program.process.poll() is None, program.failure_text("has ended")
            return self.root.try_run("iccm", "ready", f"localhost:{port}", inside=self.inside).returncode == 0

        wait_until(ready, f"{name} is ready")
