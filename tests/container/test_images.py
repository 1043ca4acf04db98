"""Builds and runs the images: iccm calls Godot, Dewey and Horace from another network namespace; their processes are killed and
the containers stopped, killed and recreated on the same volumes.

    make test-container                    # the first available of docker, podman, buildah in a chroot
    ENGINE=podman make test-container      # this engine

If no engine is available, it prints the reason and exits with status 1, because nothing was tested.
"""
import json
import re
import signal
import sys
import unittest

from engines import BASE, Unable, find_engine, stopped
from services import main, wait_until

GODOT, DEWEY, HORACE = "iccm/godot", "iccm/dewey", "iccm/horace"
URL = "ws://godot-mcp:9060"
engine = None
TOOLS = "cc", "gcc", "ld", "make", "meson", "ninja", "git", "pkg-config"
PROCESSES = "supervisord", "redis-server", "godot-server", "godot-worker"
# "PID NAME" of each process but the asking shell; there is no ps in a small image.
LIST = 'for each in /proc/[0-9]*; do read -r name <"$each/comm" && echo "${each#/proc/} $name"; done 2>/dev/null; true'


def inside(name, *words):
    run = engine.execute(name, *words)
    assert run.returncode == 0, f"{name}: {words}: {run.stdout}{run.stderr}\n{engine.output(name)[-4000:]}"
    return run.stdout


def iccm(*words):
    """Runs it in the caller's container, which is neither Godot's nor Dewey's; answers how it ended."""
    return engine.execute("caller", "iccm", "--timeout", "10", "--json", *words)


def log(component, message):
    """Tries until it is accepted: what was answered "ok" has to arrive."""
    words = "call", URL, "logger_log", f"component={component}", "level=INFO", f"message={message}"
    wait_until(lambda: iccm(*words).returncode == 0, f"an entry of {component} is accepted")


def stored(component):
    """Tries until it is answered: an engine's names may lag behind when a container was made anew."""
    words = "call", URL, "logger_query", f"component={component}", "limit=1000"
    run = wait_until(lambda: (answer := iccm(*words)).returncode == 0 and answer, f"a query for {component} is answered")
    return [row["message"] for row in json.loads(run.stdout)][::-1]


def pid_of(name, program):
    found = [line.split()[0] for line in inside(name, "sh", "-c", LIST).splitlines() if line.split()[1:] == [program]]
    return int(found[0]) if found else None


def health(name, tag):
    """The image's own check: (whether it is fine, what it said)."""
    kind, *words = engine.config(tag)["Healthcheck"]["Test"]
    run = engine.execute(name, *(["sh", "-c", *words] if kind == "CMD-SHELL" else words))
    return run.returncode == 0, run.stdout + run.stderr


def until_healthy(name, tag):
    def healthy():
        assert engine.ended(name) is None, f"{name} has ended with {engine.ended(name)}: {engine.output(name)[-4000:]}"
        return health(name, tag)[0]

    wait_until(healthy, f"{name} is healthy")


class Images(unittest.TestCase):
    def setUp(self):
        self.volumes = {name: engine.volume() for name in ("godot-mcp", "dewey", "horace")}

    def tearDown(self):
        for name in "godot-mcp", "second", "dewey", "horace", "caller":
            engine.remove(name)

    def godot(self, name="godot-mcp", **environment):
        engine.run(name, GODOT, self.volumes["godot-mcp"], DEWEY_MCP_URL="ws://dewey:9020", **environment)

    def dewey(self, **environment):
        engine.run("dewey", DEWEY, self.volumes["dewey"], GODOT_URL=URL, **environment)

    def horace(self, **environment):
        engine.run("horace", HORACE, self.volumes["horace"], GODOT_URL=URL, **environment)
        until_healthy("horace", HORACE)

    def start(self, **environment):
        engine.run("caller", GODOT, command=["sleep", "infinity"], **environment)
        self.dewey(**environment)
        self.godot(**environment)
        until_healthy("dewey", DEWEY)
        until_healthy("godot-mcp", GODOT)

    def test_they_hold_what_runs_and_run_as_ordinary_users(self):
        self.start()
        for name, tag in ("godot-mcp", GODOT), ("dewey", DEWEY):
            with self.subTest(tag):
                print(f"{tag}: {engine.size(tag) / 1e6:.0f} MB, {(engine.size(tag) - engine.size(BASE)) / 1e6:.0f} above {BASE}")
                self.assertNotEqual(inside(name, "id", "-u").strip(), "0")
                found = [tool for tool in TOOLS if engine.execute(name, "sh", "-c", f"command -v {tool}").returncode == 0]
                self.assertEqual(found, [])
                self.assertIn("/data", engine.config(tag)["Volumes"])
        running = [line.split()[1] for line in inside("godot-mcp", "sh", "-c", LIST).splitlines()]
        self.assertLessEqual(set(PROCESSES), set(running))

    def test_used_from_another_network_namespace(self):
        self.start()
        log("caller", "from elsewhere")
        wait_until(lambda: stored("caller") == ["from elsewhere"], "the entry is stored")
        for url in URL, "ws://dewey:9020":
            run = iccm("doctor", url)
            self.assertEqual(run.returncode, 0, run.stdout)
            self.assertEqual(json.loads(run.stdout)["problems"], 0)
        # Dewey's own lines come by the name that GODOT_URL has unless set
        wait_until(lambda: stored("dewey"), "Dewey's own lines are stored")
        connecting = engine.execute("caller", "bash", "-c", "exec 3<>/dev/tcp/godot-mcp/6379")
        self.assertIn("refused", connecting.stderr, "Redis is for Godot alone")

    def test_with_a_token(self):
        self.start(ICCM_AUTH_TOKEN="open-sesame")
        log("caller", "with a token")
        wait_until(lambda: stored("caller") == ["with a token"], "the entry is stored")
        self.assertEqual(iccm("--token", "wrong", "list", URL).returncode, 3)
        self.assertNotIn("open-sesame", engine.output("godot-mcp") + engine.output("dewey"))

    def test_each_process_comes_back_when_it_was_killed(self):
        self.start()
        sent = []
        for program in "redis-server", "godot-server", "godot-worker":
            killed = pid_of("godot-mcp", program)
            inside("godot-mcp", "sh", "-c", f"kill -9 {killed}")
            sent.append(f"after {program}")
            log("kills", sent[-1])
            wait_until(lambda: pid_of("godot-mcp", program) not in (None, killed), f"{program} comes back")
        wait_until(lambda: len(stored("kills")) >= len(sent), "everything is stored")
        self.assertEqual(sorted(stored("kills")), sorted(sent))
        until_healthy("godot-mcp", GODOT)
        self.assertIsNone(engine.ended("godot-mcp"))

    def test_what_was_accepted_is_kept_across_a_stop_a_kill_and_a_restart_of_both(self):
        self.start()
        log("kept", "stored before")
        wait_until(lambda: stored("kept") == ["stored before"], "the first is stored")
        self.assertEqual(stopped(engine, "dewey"), 0)
        log("kept", "before the stop")
        self.assertEqual(stopped(engine, "godot-mcp"), 0)
        self.godot()
        log("kept", "before the kill")
        engine.signal("godot-mcp", signal.SIGKILL)
        wait_until(lambda: engine.ended("godot-mcp") is not None, "the container ends")
        self.godot()
        self.dewey()
        wanted = ["before the kill", "before the stop", "stored before"]
        until_healthy("godot-mcp", GODOT)
        wait_until(lambda: len(stored("kept")) >= len(wanted), "everything is stored")
        self.assertEqual(sorted(stored("kept")), wanted)

    def test_the_health_check_says_what_is_missing(self):
        self.start()
        self.assertEqual(stopped(engine, "dewey"), 0)
        wait_until(lambda: not health("godot-mcp", GODOT)[0], "unhealthy without Dewey")
        self.assertRegex(health("godot-mcp", GODOT)[1], r"not ready: .*dewey: ")
        self.dewey()
        until_healthy("godot-mcp", GODOT)
        redis = pid_of("godot-mcp", "redis-server")
        inside("godot-mcp", "sh", "-c", f"kill -STOP {redis}")
        wait_until(lambda: not health("godot-mcp", GODOT)[0], "unhealthy without Redis")
        self.assertRegex(health("godot-mcp", GODOT)[1], r"not ready: .*redis: ")
        inside("godot-mcp", "sh", "-c", f"kill -CONT {redis}")
        until_healthy("godot-mcp", GODOT)

    def ask_horace(self, tool, **arguments):
        run = iccm("call", "ws://horace:8070", tool, json.dumps(arguments))
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return json.loads(run.stdout)

    def test_horace_keeps_versions_across_a_kill_and_a_restart(self):
        engine.run("caller", GODOT, command=["sleep", "infinity"])
        self.horace()
        self.assertNotEqual(inside("horace", "id", "-u").strip(), "0")
        inside("horace", "sh", "-c", "echo first >/data/files/a.txt")
        registered = self.ask_horace("horace_register_file", file_path="a.txt", metadata={})
        self.assertEqual((registered["mime_type"], registered["version"]), ("text/plain", 1))  # libmagic has its table
        inside("horace", "sh", "-c", "echo second >/data/files/a.txt; echo other >/data/files/b.txt")
        self.assertEqual(self.ask_horace("horace_register_file", file_path="a.txt", metadata={})["version"], 2)
        self.assertIn("1 registered", inside("horace", "horace", "scan"))
        engine.signal("horace", signal.SIGKILL)
        wait_until(lambda: engine.ended("horace") is not None, "the container ends")
        self.horace()
        restored = self.ask_horace("horace_restore_version", file_id=registered["file_id"], version=1)
        self.assertEqual(restored["new_version_created"], 3)
        self.assertEqual(inside("horace", "cat", "/data/files/a.txt"), "first\n")
        self.assertEqual(self.ask_horace("horace_search_files")["total_count"], 2)
        self.assertEqual(stopped(engine, "horace"), 0)

    def test_sigterm_ends_everything_in_order(self):
        self.start()
        self.assertEqual(stopped(engine, "godot-mcp"), 0)
        ends = re.findall(r"stopped: (\S+) \((.*?)\)", engine.output("godot-mcp"))
        self.assertEqual(dict(ends), {name: "exit status 0" for name in ("godot-server", "godot-worker", "redis")})
        self.assertEqual(ends[-1][0], "redis", "what uses it is stopped before it")
        self.assertEqual(stopped(engine, "dewey"), 0)

    def test_sighup_starts_the_programs_anew(self):
        self.start()
        before = pid_of("godot-mcp", "godot-server")
        engine.signal("godot-mcp", signal.SIGHUP)
        wait_until(lambda: pid_of("godot-mcp", "godot-server") not in (None, before), "another server")
        until_healthy("godot-mcp", GODOT)
        log("hup", "goes on")
        wait_until(lambda: stored("hup") == ["goes on"], "the entry is stored")

    def refused(self, name):
        wait_until(lambda: engine.ended(name) is not None, f"{name} ends")
        self.assertEqual(engine.ended(name), 1)
        lines = engine.output(name).splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_two_containers_on_one_volume(self):
        self.start()
        self.godot("second")
        self.assertRegex(self.refused("second"), "^godot/start: another container is using the volume")
        until_healthy("godot-mcp", GODOT)

    def test_a_volume_of_somebody_else(self):
        spoil = "touch /data/theirs && chmod 755 /data"
        engine.run("second", BASE, self.volumes["godot-mcp"], ["sh", "-c", spoil])
        wait_until(lambda: engine.ended("second") == 0, "the volume is spoilt")
        self.godot()
        self.assertRegex(self.refused("godot-mcp"), r"^godot/start: user 9060 cannot write to /data")

    def test_a_setting_that_cannot_be_read(self):
        self.dewey(LOG_RETENTION_DAYS="soon")
        self.assertRegex(self.refused("dewey"), 'LOG_RETENTION_DAYS is "soon"')


def begin():
    global engine
    try:
        engine = find_engine()
    except Unable as reason:
        print(f"NOT RUN: container: {reason}\n0 passed, 0 failed: no image was built, none was run", flush=True)
        sys.exit(1)
    print(f"building with {engine.name}", flush=True)
    engine.build("godot/Dockerfile", GODOT)
    engine.build("examples/dewey/Dockerfile", DEWEY)
    engine.build("examples/horace/Dockerfile", HORACE)
    with engine:
        main()


begin()
