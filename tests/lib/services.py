"""Starts, monitors and stops the real programs for the system tests.

Happy path: a test creates a System and starts the programs it needs, on free ports and with all data in a temporary
directory, and waits for /readyz. On exit all programs are stopped, have exited with 0 and are reaped.

Failure modes: a program that does not start, is not ready in time, exits with another status than 0 (sanitizers exit
with 1), or prints a sanitizer report fails the test with the end of its log. Programs never outlive the test: the kernel
kills them when the parent's thread ends (setpriv --pdeathsig), so start them on the main thread only.

Run one test manually: PYTHONPATH=tests/lib TEST_BUILD=build /usr/bin/python3 tests/system/test_http.py [-v] [NAME]...
"""
import asyncio
import contextlib
import fcntl
import inspect
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TEST_BUILD", SOURCE / "build")).resolve()
PROGRAMS = {
    "conversations": BUILD / "tests/system/conversations",
    "dewey": BUILD / "examples/dewey/dewey",
    "echo": BUILD / "examples/echo",
    "everything": BUILD / "tests/system/everything",
    "feed": BUILD / "examples/feed/feed",
    "godot-server": BUILD / "godot/godot-server",
    "godot-worker": BUILD / "godot/godot-worker",
    "horace": BUILD / "examples/horace/horace",
    "iccm": BUILD / "iccm_network/cli/iccm",
    "certificates": BUILD / "tests/certificates",
    "slow_server": BUILD / "tests/system/slow_server",
}
# Programs in another language that take the place of those in C: executable files of the same names in a directory.
if servers := os.environ.get("TEST_SERVERS"):
    PROGRAMS |= {path.name: path for path in Path(servers).iterdir() if path.name in PROGRAMS and path.is_file()}
INHERITED_ENV = ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "LLVM_PROFILE_FILE")
REDIS_SETTINGS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
    "save": "",
}
# The time limit for everything that a test waits for. Slow machines set a multiplier.
WAIT_S = 60 * float(os.environ.get("TEST_TIMEOUT_MULTIPLIER", "1"))
# Attempts of retry_within(): on a slow machine one has to be fast enough. A program that waits for its own limit never is.
ATTEMPTS = 10
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer")
# Errors of npm without a network, or without a trusted one.
NO_REGISTRY = re.compile(r"\b(ECONN\w+|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|\w*CERT\w*|UNABLE_TO_\w+)\b")


@contextlib.contextmanager
def in_background(run):
    """Runs run(ended) in a thread; leaving the block sets the event and joins the thread."""
    ended = threading.Event()
    thread = threading.Thread(target=run, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def wait_until(condition, what, seconds=WAIT_S):
    """Polls condition until it is true and returns its value. Only benchmarks pass a time limit."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)
    return value


async def wait_until_async(condition, what):
    """As wait_until(), without blocking the event loop: condition runs in a thread and may return a coroutine."""
    deadline = time.monotonic() + WAIT_S
    while True:
        value = await asyncio.to_thread(condition)
        if value := await value if inspect.iscoroutine(value) else value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")
        await asyncio.sleep(0.01)


async def retry_within(limit_s, call):
    """Awaits call() until one attempt takes less than limit_s, a time limit of the program; returns its result."""
    for _ in range(ATTEMPTS):
        began = time.monotonic()
        answer = await call()
        if time.monotonic() - began < limit_s:
            return answer
    raise AssertionError(f"never within {limit_s} s")


def growing_timeout(seconds, run, enough):
    """Calls run(seconds) with a program's time-out, doubled until enough(result) is true; returns the result."""
    while not enough(answer := run(seconds)) and seconds < WAIT_S:
        seconds *= 2
    return answer


def free_port():
    """Returns a port without a listener, below the kernel's ephemeral ports. Concurrent tests get other ports: this
    process holds an abstract socket whose name contains the port."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, socket.socket(socket.AF_UNIX) as name:
            try:
                name.bind(f"\0iccm test port {port}")
                probe.bind(("", port))
                name.detach()
                return port
            except OSError:
                continue


def run_program(command, seconds=WAIT_S, **options):
    """Runs a program without input until it exits; returns subprocess.CompletedProcess."""
    command = [str(word) for word in command]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, **options
    )


class Program:
    """A program that can be started repeatedly; all its output is appended to one log."""

    def __init__(self, name, command, directory, environment):
        self.name, self.command, self.environment = name, [str(part) for part in command], environment
        self.log = Path(directory) / f"{name}.log"
        self.process, self.started_at = None, 0

    def start(self):
        assert self.process is None, f"{self.name} runs already"
        self.started_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command],
                env={name: os.environ[name] for name in INHERITED_ENV if name in os.environ} | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def output(self):
        """Its output since the last start."""
        with self.log.open("rb") as log:
            log.seek(self.started_at)
            return log.read().decode(errors="replace")

    def wait_for(self, pattern):
        """Waits for a line of its log and returns the match."""

        def found():
            match = re.search(pattern, self.output(), re.M)
            if match is None and self.process.poll() is not None:
                raise AssertionError(self.failure_text(f"ended with {self.process.returncode} before {pattern!r}"))
            return match

        return wait_until(found, f"{pattern!r} in the log of {self.name}")

    def port(self):
        return int(self.wait_for(r"listening on port (\d+)")[1])

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def wait(self):
        """Waits until it exits; returns the exit status."""
        try:
            status = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(self.failure_text(f"still ran {WAIT_S:.0f} s after it should have ended")) from None
        self.process = None
        return status

    def stop(self):
        """Sends SIGTERM; fails unless the exit status is 0. A program without output yet may also die of the signal."""
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        status = self.wait()
        if status != 0 and not (status == -signal.SIGTERM and not self.output()):
            raise AssertionError(self.failure_text(f"ended with {status}"))

    def check_sanitizer_report(self):
        if self.log.exists() and (report := SANITIZER_REPORT.search(self.log.read_text(errors="replace"))):
            raise AssertionError(self.failure_text(report[0]))

    def failure_text(self, what):
        return f"{self.name}: {what}; the end of its log:\n{self.log.read_text(errors='replace')[-4000:]}"


class ProgramGroup:
    """A temporary directory and programs that use it; both are removed on exit.

    Settings are environment variables for all its programs: System(MAX_QUEUE_SIZE=10).
    """

    def __init__(self, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="iccm-test-"))
        self.programs = []  # in the order in which they are stopped
        self.settings = {"ICCM_DATA": str(self.directory), "LOGGING_ENABLED": "false"}
        self.settings |= {name: str(value) for name, value in settings.items()}

    def add(self, name, *command):
        program = Program(name, command or [PROGRAMS[name]], self.directory, self.settings)
        self.programs.append(program)
        return program

    def add_instance(self, name, label, **settings):
        """Adds an instance of a program with its own settings; it is stopped before the others."""
        program = self.add(label, PROGRAMS[name])
        program.environment = program.environment | settings
        self.programs.insert(0, self.programs.pop())
        return program

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is None:
                for program in self.programs:
                    program.stop()
                    program.check_sanitizer_report()
        except BaseException as problem:
            error = problem
            raise
        finally:
            for program in self.programs:
                if program.process is not None:
                    program.kill()
                if error is not None and program.log.exists():
                    print(program.failure_text("the test failed"), file=sys.stderr)
            shutil.rmtree(self.directory)


class SingleServer(ProgramGroup):
    """A server without dependencies: SingleServer("echo", "0"); .port and .url are set when it listens."""

    def __init__(self, name, *arguments, **settings):
        super().__init__(**settings)
        self.program = self.add(name, PROGRAMS[name], *arguments)

    def __enter__(self):
        try:
            self.program.start()
            self.port = self.program.port()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self.url = f"ws://127.0.0.1:{self.port}"
        return self


class System(ProgramGroup):
    """The programs of one ICCM installation, on free ports; a test starts those it needs."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.redis_port, self.dewey_port, self.godot_port = free_port(), free_port(), free_port()
        self.godot_url = f"ws://127.0.0.1:{self.godot_port}"
        self.dewey_url = f"ws://127.0.0.1:{self.dewey_port}"
        self.settings |= {
            "MCP_PORT": str(self.godot_port),
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis_port),
            "DEWEY_MCP_PORT": str(self.dewey_port),
            "DEWEY_MCP_URL": self.dewey_url,
            "DEWEY_DB_PATH": str(self.directory / "dewey.db"),
        }
        self.worker = self.add("godot-worker")
        self.godot = self.add("godot-server")
        self.dewey = self.add("dewey")
        redis = [word for name, value in REDIS_SETTINGS.items() for word in (f"--{name}", value)]
        start = SOURCE / "godot/godot-redis"
        self.redis = self.add("redis", start, self.directory, "--port", self.redis_port, *redis)

    def start_redis(self):
        self.redis.start()
        wait_until(lambda: self.redis_command("PING") == "PONG", "Redis responds")

    def start_dewey(self):
        self.dewey.start()
        wait_ready(self.dewey_port)

    def start(self):
        """Starts all programs; returns when Godot is ready."""
        self.start_redis()
        self.start_dewey()
        self.godot.start()
        self.worker.start()
        wait_ready(self.godot_port)
        return self

    def redis_command(self, *words):
        """Runs a command; returns a single value as text. None: no value, or Redis is not available."""
        try:
            with socket.create_connection(("127.0.0.1", self.redis_port), timeout=WAIT_S) as link:
                link.sendall(" ".join(words).encode() + b"\r\n")
                answer = link.makefile("r")
                first = answer.readline().strip()
                if first == "$-1":
                    return None
                return answer.readline().strip() if first.startswith("$") else first[1:]
        except OSError:
            return None

    def redis_int(self, *words):
        return int(self.redis_command(*words) or 0)


class HttpResponse:
    """What a server sent until it closed, or until the time limit (then closed is false)."""

    def __init__(self, raw, closed, seconds):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.raw, self.closed, self.seconds = raw, closed, seconds
        lines = head.decode("latin-1").split("\r\n")
        match = re.match(r"HTTP/1\.1 (\d{3}) ", lines[0])
        self.status = int(match[1]) if match else None
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}


def http(port, request, seconds=WAIT_S, host="127.0.0.1"):
    """Sends bytes and reads until the server closes. After a 101 response only the head is read."""
    began, raw, closed = time.monotonic(), b"", False
    with socket.create_connection((host, port), timeout=seconds) as link:
        try:
            link.sendall(request)
            while not closed and not raw.startswith(b"HTTP/1.1 101 "):
                link.settimeout(max(0.01, began + seconds - time.monotonic()))
                piece = link.recv(65536)
                raw, closed = raw + piece, piece == b""
        except socket.timeout:
            pass
        except ConnectionError:
            closed = True
    return HttpResponse(raw, closed, time.monotonic() - began)


def http_get(port, *headers, path="/", host="127.0.0.1"):
    return http(port, request_head(port, host, path, "Connection: close", *headers), host=host)


def websocket_upgrade(port, *headers, path="/", host="127.0.0.1"):
    """Requests a WebSocket upgrade; returns the response."""
    fixed = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
    return http(port, request_head(port, host, path, *fixed, key, *headers), host=host)


def request_head(port, host, path, *headers):
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}:{port}", *headers, "", ""]).encode()


def is_ready(port, wanted=200):
    try:
        return http_get(port, path="/readyz").status == wanted
    except OSError:
        return False


def wait_ready(port, wanted=200):
    wait_until(lambda: is_ready(port, wanted), f"{wanted} from /readyz on port {port}")


def npm_peers():
    """Returns a copy of tests/peers with installed packages, below the build directory; created if missing or if the
    package list has changed. Skips the test if npm or its registry is not available."""
    if shutil.which("npm") is None:
        raise unittest.SkipTest("no npm here")
    place = BUILD / "tests/peers-installed"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run concurrently
        wanted = (SOURCE / "tests/peers/package-lock.json").read_bytes()
        done = place / "done"
        for source in (SOURCE / "tests/peers").iterdir():
            if not (place / source.name).exists() or (place / source.name).read_bytes() != source.read_bytes():
                shutil.copy(source, place)  # only if it differs: a program of another test may be reading it
        if not done.exists() or done.read_bytes() != wanted:
            command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
            run = run_program(command, seconds=5 * WAIT_S, cwd=place)
            if run.returncode != 0 and (cause := NO_REGISTRY.search(run.stderr)):
                raise unittest.SkipTest(f"npm's registry cannot be reached: {cause[0]}")
            assert run.returncode == 0, run.stderr
            done.write_bytes(wanted)
    return place


def npm_node():
    """Returns the path of the Node 22 that npm_peers() installs. Skips the test if npm has none for this machine."""
    node = npm_peers() / "node_modules/.bin/node"
    if not node.exists():
        raise unittest.SkipTest("npm has no Node 22 for this machine")
    return node


class AsyncTestCase(unittest.IsolatedAsyncioTestCase):
    """Without asyncio's debug mode, which is several times slower."""

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"NOT RUN: {test.id().removeprefix('__main__.')}: {reason}", flush=True)


class Runner(unittest.TextTestRunner):
    resultclass = Result

    def run(self, test):
        result = super().run(test)
        failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
        print(f"{result.passed} passed, {failed} failed, {len(result.skipped)} not run", flush=True)
        return result


def main():
    unittest.main(testRunner=Runner, verbosity=2)
