"""The container files are checked against the sources without building images; `make test-container` builds them."""
import configparser
import re
import shutil
import socket
import unittest

from services import PROGRAMS, SOURCE, WAIT_S, ProgramGroup, free_port, main, run_program, wait_until

DOCKERFILES = {
    "godot": SOURCE / "godot/Dockerfile",
    "dewey": SOURCE / "examples/dewey/Dockerfile",
    "horace": SOURCE / "examples/horace/Dockerfile",
}
MANUALS = {"godot": ("godot-server", "godot-worker"), "dewey": ("dewey",), "horace": ("horace",)}
COMPOSE = SOURCE / "docker-compose.yml"
ENGINES_STOP_S = 10  # between SIGTERM and SIGKILL
# What an entry that was answered "ok" owes its life to.
REDIS = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "save": "",
    "maxmemory-policy": "noeviction",
}


def documented(service):
    pages = "".join((SOURCE / f"docs/man/{name}.1").read_text() for name in MANUALS[service])
    return set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", pages))


def service_block(name):
    return re.search(rf"^  {name}:\n((?:    .*\n|\n)*)", COMPOSE.read_text(), re.M)[1]


def instructions(service):
    """[(word, the rest)], continued lines in one."""
    text = re.sub(r"^#.*\n", "", DOCKERFILES[service].read_text(), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line]


def admitted(path):
    """Whether .dockerignore lets it into the build."""
    words = [line[1:] for line in (SOURCE / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    return any(path == word or path.startswith(word + "/") for word in words)


def setting(port, name):
    """What a running Redis has; None: it does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as link:
            link.sendall(f"CONFIG GET {name}\r\n".encode())
            answer = link.makefile()
            return [answer.readline().rstrip("\r\n") for _ in range(5)][4]
    except OSError:
        return None


class Dockerfiles(unittest.TestCase):
    def test_all_are_compiled_in_the_same_way(self):
        stages = []
        for service in DOCKERFILES:
            build = instructions(service)
            build = build[: [word for word, _ in build].index("FROM", 1)]
            stages.append([(word, re.sub(r"(build/)?(godot|examples)/[a-z/-]+ *", "", rest)) for word, rest in build])
        self.assertEqual(stages, [stages[0]] * len(DOCKERFILES))

    def test_they_get_what_the_build_reads(self):
        for directory in re.findall(r"^ *subdir\('([^']+)'\)", (SOURCE / "meson.build").read_text(), re.M):
            if directory != "tests":
                self.assertTrue(admitted(f"{directory}/meson.build"), directory)
        for service in DOCKERFILES:
            for word, rest in instructions(service):
                if word == "COPY" and not rest.startswith("--from") and rest != ". .":
                    for path in rest.split()[:-1]:
                        self.assertTrue((SOURCE / path).exists() and admitted(path), path)

    def test_the_last_stage_is_as_the_documentation_says(self):
        for service, port in ("godot", "9060"), ("dewey", "9020"), ("horace", "8070"):
            with self.subTest(service):
                last = dict(instructions(service))  # of each word the last
                self.assertEqual((last["EXPOSE"], last["VOLUME"]), (port, "/data"))
                self.assertRegex(last["USER"], r"^[1-9]\d*:[1-9]\d*$")
                self.assertIn(" iccm ", last["HEALTHCHECK"])
                names = set(re.findall(r"([A-Z_]+)=", last["ENV"]))
                self.assertEqual(names - documented(service), set())


class Compose(unittest.TestCase):
    def test_every_variable_is_one_that_the_programs_document(self):
        for service in DOCKERFILES:
            with self.subTest(service):
                names = set(re.findall(r"^      ([A-Z_]+):", service_block(service), re.M))
                self.assertGreater(len(names), 5)
                self.assertEqual(names - documented(service), set())

    def test_it_holds_no_secret(self):
        for name, value in re.findall(r"^ +(\w*(?:PASSWORD|TOKEN)\w*):(.*)$", COMPOSE.read_text(), re.M):
            self.assertRegex(value.strip(), r'^("\$\{DEWEY_DB_PASSWORD:\?.*\}")?$', name)

    def test_ports_are_published_on_loopback_unless_told_otherwise(self):
        for service in DOCKERFILES:
            ports = re.findall(r"^    ports: (.*)$", service_block(service), re.M)
            published = r'\["\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}:\$\{[A-Z]+_PORT:-(\d+)\}:\1"\]'
            self.assertEqual(len(ports), 1, service)
            self.assertRegex(ports[0], published, service)
        self.assertEqual(len(re.findall(r"^ +ports:", COMPOSE.read_text(), re.M)), len(DOCKERFILES))

    @unittest.skipUnless(shutil.which("docker-compose"), "no docker-compose")
    def test_it_is_well_formed(self):
        command = ["docker-compose", "--file", COMPOSE, "config"]
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        fine = run_program(command, env=environment | {"DEWEY_DB_PASSWORD": "of the test"})
        self.assertEqual(fine.returncode, 0, fine.stderr)
        self.assertRegex(fine.stdout, r"(?m)^  iccm_network:\n    name: iccm_network$")
        without = run_program(command, env=environment)
        self.assertNotEqual(without.returncode, 0)
        self.assertIn("the password of the database", without.stderr)


class Settings(unittest.TestCase):
    def test_supervisord_starts_again_and_stops_within_an_engines_patience(self):
        settings = configparser.RawConfigParser()
        settings.read(SOURCE / "godot/supervisord.conf")
        programs = {name[8:]: settings[name] for name in settings.sections() if name.startswith("program:")}
        self.assertEqual(set(programs), {"godot-server", "godot-worker", "redis"})
        grouped = {name: words["programs"].split(",") for name, words in settings.items() if name.startswith("group:")}
        stops = [max(int(programs[name]["stopwaitsecs"]) for name in names) for names in grouped.values()]
        stops += [int(programs[name]["stopwaitsecs"]) for name in programs if name not in sum(grouped.values(), [])]
        self.assertLess(sum(stops), ENGINES_STOP_S - 2)
        for name, words in programs.items():
            with self.subTest(name):
                self.assertEqual(words["autorestart"], "true")
                self.assertGreaterEqual(int(words["startretries"]), 1000000)
                program = words["command"].split()[3].strip('"').removeprefix("%(here)s/")
                copied = [rest.split()[:-1] for word, rest in instructions("godot") if word == "COPY"]
                self.assertTrue(program in PROGRAMS or f"godot/{program}" in sum(copied, []), program)

    def test_redis_is_what_the_promise_needs(self):
        with ProgramGroup() as place:
            port = free_port()
            redis = place.add("redis", "redis-server", SOURCE / "godot/redis.conf", "--port", port, "--dir", place.directory)
            redis.start()
            wait_until(lambda: setting(port, "port") == str(port), "Redis answers")
            self.assertEqual({name: setting(port, name) for name in REDIS}, REDIS)


main()
