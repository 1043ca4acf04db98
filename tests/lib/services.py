"""Starts, watches and ends the real programs for the system tests.

Happy path: a test makes a System, starts what it needs of it on free ports with all data in a temporary directory,
waits for /readyz, and on leaving everything has been stopped, has exited with 0 and has been reaped.

What can go wrong: a program that does not start, is not ready in time, exits with anything but 0 (a leak or a bug
found by a sanitizer, too) or leaves a sanitizer's report behind fails the test with the end of its log. Programs die
with the test, whatever ends it: the kernel kills them when their parent's thread goes (setpriv --pdeathsig), so they
are started on the main thread only.

By hand: PYTHONPATH=tests/lib TEST_BUILD=build /usr/bin/python3 tests/system/test_http.py [-v] [NAME]...
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
    "feed": BUILD / "examples/feed/feed",
    "godot-server": BUILD / "godot/godot-server",
    "godot-worker": BUILD / "godot/godot-worker",
    "horace": BUILD / "examples/horace/horace",
    "iccm": BUILD / "iccm_network/cli/iccm",
    "certificates": BUILD / "tests/certificates",
    "slow_server": BUILD / "tests/system/slow_server",
}
INHERITED_ENV = ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "LLVM_PROFILE_FILE")
REDIS_SETTINGS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
    "save": "",
}
# For all that is waited for: what takes longer is taken to hang. A slow machine is given more.
WAIT_S = 60 * float(os.environ.get("TEST_TIMEOUT_MULTIPLIER", "1"))
# Of what a program does sooner than a limit of its own says: a slow machine may spoil all of them but one, and what waits
# for that limit is never sooner.
ATTEMPTS = 10
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer")
# What npm says where there is no network, or none that it trusts.
NO_REGISTRY = re.compile(r"\b(ECONN\w+|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|\w*CERT\w*|UNABLE_TO_\w+)\b")


@contextlib.contextmanager
def in_background(run):
    """Has run(ended) at work in a thread until the end, of which the event tells it."""
    ended = threading.Event()
    thread = threading.Thread(target=run, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def wait_until(condition, what, seconds=WAIT_S):
    """Polls condition until it is true, and answers its value. No test has a limit of its own; measurements may."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)
    return value


async def wait_until_async(condition, what):
    """The same while the loop serves on; condition, called in a thread, may answer a coroutine."""
    deadline = time.monotonic() + WAIT_S
    while True:
        value = await asyncio.to_thread(condition)
        if value := await value if inspect.iscoroutine(value) else value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")
        await asyncio.sleep(0.01)


async def retry_within(limit_s, call):
    """Makes a call, whose answer takes less time than a limit of the program's own, in one of the tries at least; its answer."""
    for _ in range(ATTEMPTS):
        began = time.monotonic()
        answer = await call()
        if time.monotonic() - began < limit_s:
            return answer
    raise AssertionError(f"never within {limit_s} s")


def growing_timeout(seconds, run, enough):
    """run(seconds) with a time-out of a program's own, and again with twice as much until that was enough for this machine;
    its answer."""
    while not enough(answer := run(seconds)) and seconds < WAIT_S:
        seconds *= 2
    return answer


def free_port():
    """A port that nobody listens on, below those that the kernel gives to outgoing connections; no test that runs beside
    this one is given it, too: as long as this process lives, it holds a name that is made of it."""
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
    """Runs a program to its end, without input; answers what it said and how it ended."""
    command = [str(word) for word in command]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, **options
    )


class Program:
    """One program that can be started again and again; its output is gathered in one log."""

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
        """What it wrote since its last start."""
        with self.log.open("rb") as log:
            log.seek(self.started_at)
            return log.read().decode(errors="replace")

    def wait_for(self, pattern):
        """Waits for a line of its log, and answers the match."""

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
        """Waits for its end, and answers its exit status."""
        try:
            status = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(self.failure_text(f"still ran {WAIT_S:.0f} s after it should have ended")) from None
        self.process = None
        return status

    def stop(self):
        """Ends it by SIGTERM; anything but a clean end fails. Of one that has said nothing yet, and only begun to
        start, the signal itself is that."""
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
    """A directory and the programs that write there; both end with it.

    Settings are environment variables for all its programs: System(MAX_QUEUE_SIZE=10).
    """

    def __init__(self, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="iccm-test-"))
        self.programs = []  # in the order in which they are ended
        self.settings = {"ICCM_DATA": str(self.directory), "LOGGING_ENABLED": "false"}
        self.settings |= {name: str(value) for name, value in settings.items()}

    def add(self, name, *command):
        program = Program(name, command or [PROGRAMS[name]], self.directory, self.settings)
        self.programs.append(program)
        return program

    def add_instance(self, name, label, **settings):
        """One more of a program, with settings of its own; it is ended before the others."""
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
    """One server that needs no other part: SingleServer("echo", "0"); its port in .port, its address in .url."""

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
    """The parts of one ICCM installation, on free ports; a test starts what it needs of them."""

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

    def add_instance(self, name, label, **settings):
        """One more of a program, with settings of its own."""
        program = self.add(label, PROGRAMS[name])
        program.environment = program.environment | settings
        self.programs.insert(0, self.programs.pop())
        return program

    def start_redis(self):
        self.redis.start()
        wait_until(lambda: self.redis_command("PING") == "PONG", "Redis answers")

    def start_dewey(self):
        self.dewey.start()
        wait_ready(self.dewey_port)

    def start(self):
        """Everything; returns when all of it is ready."""
        self.start_redis()
        self.start_dewey()
        self.godot.start()
        self.worker.start()
        wait_ready(self.godot_port)
        return self

    def redis_command(self, *words):
        """One command; its answer, where that is a single value, as text. None: no Redis, or no value."""
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
    """What a server said before it closed, or before patience ended (then closed is false)."""

    def __init__(self, raw, closed, seconds):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.raw, self.closed, self.seconds = raw, closed, seconds
        lines = head.decode("latin-1").split("\r\n")
        match = re.match(r"HTTP/1\.1 (\d{3}) ", lines[0])
        self.status = int(match[1]) if match else None
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}


def http(port, request, seconds=WAIT_S, host="127.0.0.1"):
    """Sends bytes, and reads until the server closes; an upgraded connection is left after its head."""
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
    """Asks for a WebSocket, and answers what the server said to that."""
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
    """The directory of tests/peers with its packages installed, made below the build directory when it is not there
    yet or the list of packages has changed. Skips the test where npm or its registry is out of reach."""
    if shutil.which("npm") is None:
        raise unittest.SkipTest("no npm here")
    place = BUILD / "tests/peers-installed"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        wanted = (SOURCE / "tests/peers/package-lock.json").read_bytes()
        done = place / "done"
        for source in (SOURCE / "tests/peers").iterdir():
            if not (place / source.name).exists() or (place / source.name).read_bytes() != source.read_bytes():
                shutil.copy(source, place)  # never needlessly: a program of another test may be reading it
        if not done.exists() or done.read_bytes() != wanted:
            command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
            run = run_program(command, seconds=5 * WAIT_S, cwd=place)
            if run.returncode != 0 and (cause := NO_REGISTRY.search(run.stderr)):
                raise unittest.SkipTest(f"npm's registry cannot be reached: {cause[0]}")
            assert run.returncode == 0, run.stderr
            done.write_bytes(wanted)
    return place


class AsyncTestCase(unittest.IsolatedAsyncioTestCase):
    """Without asyncio's debugging, which makes it several times slower."""

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
