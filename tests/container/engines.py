"""Builds and runs images with docker or podman, or else with buildah and a chroot in new namespaces.

Happy path: `engine = find_engine()`; build() creates an image, `with engine.network():` a network in which containers find each
other by name. run() starts a container with a volume of volume(), execute() runs a command in it, stop() or kill() ends it.

An engine is used if it can run the base image, which it pulls if necessary. If none can, debootstrap creates the base image
from the machine's mirror, buildah builds on it, and unshare gives each container what an engine would: process 1, a network
address, a read-only root, its volume and its user. Images are kept in build-container/, so that the next build only rebuilds
what has changed; mounts and networks belong to this process and end with it.

Failure modes: Unable, with the reason, if neither way works; a failed build raises with the end of its output. Leaving the
block removes everything but the images.
"""
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from debian import mirror
from services import SOURCE, WAIT_S, run_program, wait_until

BASE = "debian:trixie-slim"
STORE = Path(os.environ.get("CONTAINER_STORE", SOURCE / "build-container"))
BUILD_S, FETCH_S = 30 * WAIT_S, 5 * WAIT_S
SHARED = f"iccm-test-{os.getpid()}"


class Unable(Exception):
    pass


def checked(command, seconds=WAIT_S, **options):
    run = run_program(command, seconds, **options)
    assert run.returncode == 0, f"{' '.join(map(str, command))}: {run.stdout[-4000:]}{run.stderr[-4000:]}"
    return run.stdout.strip()


class Engine:
    """docker, or podman, whose command line is the same."""

    def __init__(self, program):
        self.name = self.program = program
        self.containers, self.volumes, self.networks = set(), [], []

    def __call__(self, *words, **options):
        return checked([self.program, *words], **options)

    def able(self):
        """None, or why not."""
        if shutil.which(self.program) is None:
            return "not installed"
        try:
            run = run_program([self.program, "run", "--rm", BASE, "true"], FETCH_S)
        except subprocess.TimeoutExpired:
            return f"{BASE} did not run within {FETCH_S} s"
        return None if run.returncode == 0 else (run.stderr.strip().splitlines() or ["it fails"])[-1]

    def build(self, dockerfile, tag):
        form = ["--format", "docker"] if self.program == "podman" else []  # the other has no health checks
        self("build", *form, "--file", SOURCE / dockerfile, "--tag", tag, SOURCE, seconds=BUILD_S)

    def config(self, tag):
        (image,) = json.loads(self("image", "inspect", tag))
        return image["Config"] | {"Healthcheck": image["Config"].get("Healthcheck") or image.get("Healthcheck")}

    def size(self, tag):
        return int(self("image", "inspect", "--format", "{{.Size}}", tag))

    def __enter__(self):
        self("network", "create", SHARED)
        return self

    def __exit__(self, *_):
        for container in [*self.containers]:
            self.remove(container)
        for volume in self.volumes:
            self("volume", "rm", volume)
        self("network", "rm", SHARED)

    def volume(self):
        """A new one, of which the first container's user becomes the owner, as the image says."""
        self.volumes.append(f"{SHARED}-{len(self.volumes)}")
        self("volume", "create", self.volumes[-1])
        return self.volumes[-1]

    def run(self, name, tag, volume=None, command=None, **environment):
        self.remove(name)
        self.containers.add(name)
        options = ["--network-alias", name, "--hostname", name, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
        options += ["--security-opt", "no-new-privileges", "--volume", f"{volume}:/data"] if volume else []
        options += [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
        options += ["--entrypoint", command[0]] if command else []
        self("run", "--detach", "--name", f"{SHARED}-{name}", "--network", SHARED, *options, tag, *(command or [])[1:])

    def execute(self, name, *words):
        """Runs a command in there, as its user; answers how it ended."""
        return run_program([self.program, "exec", f"{SHARED}-{name}", *words])

    def ended(self, name):
        """Its exit status; None: it runs."""
        state = self("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", f"{SHARED}-{name}").split()
        return int(state[1]) if state[0] in ("exited", "dead", "stopped") else None

    def signal(self, name, number):
        self("kill", "--signal", str(int(number)), f"{SHARED}-{name}")

    def output(self, name):
        run = run_program([self.program, "logs", f"{SHARED}-{name}"])
        return run.stdout + run.stderr

    def remove(self, name):
        if name in self.containers:
            run_program([self.program, "kill", f"{SHARED}-{name}"])  # podman's rm would ask it to end, and wait
            run_program([self.program, "rm", "--force", "--volumes", f"{SHARED}-{name}"])
            self.containers.discard(name)


# The container's own view, of which chroot's program becomes process 1. The image's root is read-only except for the volume.
INSIDE = r"""
set -e
root=$1 volume=$2 hosts=$3 name=$4
shift 4
hostname "$name"
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mount --bind "$hosts" "$root/etc/hosts"
[ -z "$volume" ] || mount --bind "$volume" "$root/data"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""


def owner(config):
    """The user and group, both numbers, that an image's program runs as."""
    user, _, group = (config["User"] or "0:0").partition(":")
    return int(user), int(group)


class Running:
    """A container of Chroot: process 1 with all that belongs to it."""

    def __init__(self, engine, name, tag, volume, command, environment):
        self.config = engine.config(tag)
        self.user, self.group = owner(self.config)
        variables = dict(word.split("=", 1) for word in self.config["Env"] or ["PATH=/usr/bin:/bin"]) | environment
        self.words = ["env", "-i", f"--chdir={self.config['WorkingDir'] or '/'}"]
        self.words += [f"{key}={value}" for key, value in variables.items()]
        self.mounted = engine.mount(tag)
        os.makedirs(f"{self.mounted[1]}/data", exist_ok=True)
        Path(self.mounted[1], "etc/hosts").touch()
        command = command or [*self.config["Entrypoint"], *(self.config["Cmd"] or [])]
        # to the container's user, as engines do it: a program may open /dev/stdout anew
        reading, writing = os.pipe()
        os.fchown(writing, self.user, self.group)
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", engine.namespace(name)]
            + ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", INSIDE, "sh"]
            + [self.mounted[1], volume or "", engine.hosts, name]
            + ["setpriv", f"--reuid={self.user}", f"--regid={self.group}", "--clear-groups", "--no-new-privs"]
            + [*self.words, *command],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
        os.close(writing)
        self.lines = []
        self.reader = threading.Thread(target=self.read, args=(os.fdopen(reading, "rb"),), daemon=True)
        self.reader.start()

    def read(self, pipe):
        with pipe:
            self.lines.extend(iter(pipe.readline, b""))

    def first(self):
        """Process 1 of its namespace, by the number that it has out here; None: it has ended, or has not started yet."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return int(children.read_text().split()[0])
        except (FileNotFoundError, IndexError, ProcessLookupError):
            return None

    def kill(self):
        """Returns when everything in there has ended: process 1 is the last."""
        if self.process.poll() is None:
            os.kill(self.first() or self.process.pid, signal.SIGKILL)
        self.process.wait()

    def is_inside(self):
        pid = self.first()
        try:
            return pid is not None and not os.path.samefile(f"/proc/{pid}/root", "/")
        except OSError:
            return False


CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000  # sched.h


def unshare(kind):
    """A namespace of this process's own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(kind) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Chroot:
    name = "buildah and a chroot"

    def __init__(self):
        self.containers, self.named = {}, []

    def __call__(self, *words, **options):
        options.setdefault("env", os.environ | {"BUILDAH_ISOLATION": "chroot"})
        return checked(["buildah", "--root", STORE / "images", "--runroot", STORE / "run", *words], **options)

    def able(self):
        if os.getuid() != 0:
            return "it needs root"
        run = run_program([SOURCE / ".ci/install", "container"], BUILD_S)
        if run.returncode != 0:
            return (run.stderr.strip().splitlines() or ["buildah and debootstrap cannot be installed"])[-1]
        run = run_program(["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "mount", "-t", "proc", "proc", "/proc"])
        if run.returncode != 0:
            return f"no namespaces: {run.stderr.strip()}"
        unshare(CLONE_NEWNS)
        checked(["mount", "--make-rprivate", "/"])
        return self.take_store() or self.make_base()

    def take_store(self):
        """For this process alone, and without what a run that was killed has left."""
        STORE.mkdir(exist_ok=True)
        self.lock = (STORE / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"another run uses {STORE}"
        shutil.rmtree(STORE / "run", ignore_errors=True)  # what was mounted, and no longer is
        self("rm", "--all")
        return None

    def make_base(self):
        """What an engine would fetch: a minimal Debian in which packages start no services. Named as buildah looks for it."""
        if self("images", "--quiet", "--filter", f"reference=localhost/{BASE}"):
            return None
        if mirror() is None:
            return "apt's configuration names no mirror"
        with tempfile.TemporaryDirectory(prefix="iccm-base-") as place:
            root = Path(place) / "root"
            run = run_program(["debootstrap", "--variant=minbase", BASE.partition(":")[2].partition("-")[0], root, mirror()], BUILD_S)
            if run.returncode != 0:
                return f"debootstrap: {(run.stdout + run.stderr).strip().splitlines()[-1]}"
            (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
            (root / "usr/sbin/policy-rc.d").chmod(0o755)
            checked(["chroot", root, "sh", "-c", "apt-get clean && rm -rf /var/lib/apt/lists/*"])
            container = self("from", "scratch")
            self("copy", "--quiet", container, root, "/", seconds=FETCH_S)
            self("commit", "--quiet", "--rm", container, f"localhost/{BASE}", seconds=FETCH_S)
        return None

    def build(self, dockerfile, tag):
        command = ["build", "--layers", "--format", "docker", "--isolation", "chroot", "--network", "host", "--pull-never"]
        self(*command, "--file", SOURCE / dockerfile, "--tag", f"localhost/{tag}", SOURCE, seconds=BUILD_S)

    def config(self, tag):
        return json.loads(self("inspect", "--type", "image", f"localhost/{tag}"))["Docker"]["config"]

    def size(self, tag):
        container, root = self.mount(tag)
        try:
            return int(checked(["du", "--summarize", "--bytes", "--one-file-system", root]).split()[0])
        finally:
            self("rm", container)

    def mount(self, tag):
        container = self("from", "--pull-never", f"localhost/{tag}", seconds=FETCH_S)
        return container, self("mount", container, seconds=FETCH_S)

    def __enter__(self):
        self.place = Path(tempfile.mkdtemp(prefix="iccm-container-"))
        self.hosts = self.place / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        unshare(CLONE_NEWNET)
        checked(["ip", "link", "add", "between", "type", "bridge"])
        checked(["ip", "link", "set", "between", "up"])
        os.makedirs("/run/netns", exist_ok=True)
        checked(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"])
        return self

    def __exit__(self, *_):
        for name in [*self.containers]:
            self.remove(name)
        shutil.rmtree(self.place)

    def namespace(self, name):
        """A network namespace that stays when the container of that name is made anew, on a bridge with the others."""
        if name not in self.named:
            self.named.append(name)
            outside, address = f"to{len(self.named)}", f"10.0.0.{len(self.named)}"
            for words in (
                ["netns", "add", name],
                ["link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name],
                ["link", "set", outside, "master", "between", "up"],
                ["-n", name, "addr", "add", f"{address}/24", "dev", "eth0"],
                ["-n", name, "link", "set", "eth0", "up"],
                ["-n", name, "link", "set", "lo", "up"],
            ):
                checked(["ip", *words])
            with self.hosts.open("a") as hosts:
                hosts.write(f"{address} {name}\n")
        return name

    def volume(self):
        return tempfile.mkdtemp(prefix="volume-", dir=self.place)

    def run(self, name, tag, volume=None, command=None, **environment):
        self.remove(name)
        if volume is not None and not os.listdir(volume):
            os.chown(volume, *owner(self.config(tag)))
        self.containers[name] = running = Running(self, name, tag, volume, command, environment)
        wait_until(lambda: running.is_inside() or running.process.poll() is not None, f"{name} has begun")

    def execute(self, name, *words):
        running = self.containers[name]
        enter = ["nsenter", f"--target={running.first()}", "--mount", "--pid", "--net", "--ipc", "--uts", "--root"]
        user = [f"--setuid={running.user}", f"--setgid={running.group}"]
        return run_program([*enter, *user, *running.words, *words])

    def ended(self, name):
        status = self.containers[name].process.poll()
        return status if status is None or status >= 0 else 128 - status

    def signal(self, name, number):
        os.kill(self.containers[name].first(), number)

    def output(self, name):
        running = self.containers[name]
        if running.process.poll() is not None:
            running.reader.join(5)
        return b"".join(running.lines).decode(errors="replace")

    def remove(self, name):
        running = self.containers.pop(name, None)
        if running is not None:
            running.kill()
            self("rm", running.mounted[0])


def find_engine():
    """The first that can, of ENGINE (docker, podman, chroot) where that is set."""
    engines = {"docker": Engine("docker"), "podman": Engine("podman"), "chroot": Chroot()}
    wanted, reasons = os.environ.get("ENGINE"), []
    for name, engine in engines.items():
        if wanted in (None, name):
            reason = engine.able()
            if reason is None:
                return engine
            reasons.append(f"{engine.name}: {reason}")
    raise Unable("; ".join(reasons) or f"ENGINE={wanted} is neither docker nor podman nor chroot")


def stopped(engine, name):
    """Stops it as engines do; answers its status."""
    engine.signal(name, signal.SIGTERM)
    wait_until(lambda: engine.ended(name) is not None, f"{name} ends on SIGTERM: {engine.output(name)[-2000:]}")
    return engine.ended(name)
