"""Builds the Debian packages on bare Debian 12 and 13, and installs, upgrades, removes and purges them there.

    make test-packages          # as root, with a network; build-packages/ keeps what debootstrap and apt fetched

`make deb` runs in a root that contains git and make only, lintian checks its packages, and a component is compiled with the
development package. In another root the packages of a lower version are installed first. They are built from the same tree,
with a lower version in debian/changelog. The services run without systemd, but with users, settings and directories of their
units, and a line and a file that were stored before the upgrade are found after it.

If the machine cannot make the roots, the test prints the reason and exits with status 1, because nothing was tested.
"""
import json
import re
import shutil
import subprocess
import sys
import unittest

import roots
from roots import Root, Services
from services import SOURCE, main, wait_until

OLDER = "0.1.9"
PORTS = {"dewey": 9020, "godot-server": 9060, "horace": 8070}
UNITS = "godot-redis", "dewey", "godot-server", "godot-worker", "horace"
PACKAGES = "libiccm-network0", "iccm", "godot", "dewey", "horace"
USERS = "dewey", "godot", "horace"
STATE = {"dewey": "dewey", "godot-redis": "godot", "godot-worker": "godot", "horace": "horace"}
BUILD_OPTIONS = "DEB_BUILD_OPTIONS=nocheck noautodbgsym"

PYTHON = """
from iccm_network import Server

server = Server("echo", "1", 9000)

@server.tool
async def echo(text: str):
    return {"text": text}

server.run()
"""
NODE = """
const { Server } = require("iccm-network");
new Server("echo", { port: 9000 }).tool("echo", { description: "Returns its arguments" }, (args) => args).run();
"""


def version():
    return re.search(r"^project\(.* version: '([^']+)'", (SOURCE / "meson.build").read_text(), re.M)[1]


def copy_tree(root):
    """What git knows, with changes that are not committed."""
    (root.path / "project").mkdir()
    copy = 'cd "$1" && git ls-files -z | tar -c --null -T - | tar -x -C "$2"'
    subprocess.run(["sh", "-c", copy, "sh", SOURCE, root.path / "project"], check=True)


class Packages:
    """The tests of a release. The root in which its packages are built is made once for all of them."""

    @classmethod
    def setUpClass(cls):
        cls.builder = cls.enterClassContext(Root(cls.suite))
        copy_tree(cls.builder)
        print(f"make deb on {cls.suite}", flush=True)
        cls.builder.run("env", BUILD_OPTIONS, "make", "-C", "/project", "deb")
        cls.new = cls.builder.path / "new"
        shutil.copytree(cls.builder.path / "project/build-deb", cls.new, ignore=shutil.ignore_patterns("source", "log"))

    def build_older(self):
        """Returns the directory of packages that differ in their version alone."""
        source = self.builder.path / "project/build-deb/source"
        changelog = source / "debian/changelog"
        changelog.write_text(changelog.read_text().replace(f"({version()}-", f"({OLDER}-"))
        build = "cd /project/build-deb/source && dpkg-buildpackage --build=binary --no-sign --no-pre-clean"
        self.builder.run("env", BUILD_OPTIONS, "sh", "-c", build)
        return source.parent

    def install(self, root, directory, wanted, *names):
        """By apt, as docs/operations.md says: on Debian 12 with Debian 13's libyyjson0."""
        place = root.path / "packages"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for pattern in [f"{name}_{wanted}-*.deb" for name in names] + [f"{name}_*.deb" for name in self.copies]:
            (file,) = directory.glob(pattern)
            shutil.copy(file, place)
        root.apt("install", *(f"./packages/{file.name}" for file in place.iterdir()))

    def test_lintian_finds_no_error(self):
        self.builder.apt("install", "lintian")
        (changes,) = self.new.glob(f"*_{version()}-*.changes")
        print(self.builder.run("lintian", "--allow-root", "--fail-on", "error", f"/new/{changes.name}"))

    def test_a_component_is_compiled_with_the_development_package(self):
        self.install(self.builder, self.new, version(), "libiccm-network0", "libiccm-network-dev", "iccm")
        source = re.search(r"^```c\n(.*?)^```$", (SOURCE / "README.md").read_text(), re.M | re.S)[1]
        (self.builder.path / "greeter.c").write_text(source)
        for kind, libraries in ("shared", "$(pkg-config --libs iccm-network)"), (
                "static", "$(pkg-config --static --libs iccm-network | sed 's/-liccm_network/-l:libiccm_network.a/')"):
            with self.subTest(kind), Services(self.builder) as services:
                self.builder.run("sh", "-c", f"cc /greeter.c $(pkg-config --cflags iccm-network) {libraries} -o /greeter")
                linked = "libiccm_network.so.0" in self.builder.run("readelf", "-d", "/greeter")
                self.assertEqual(linked, kind == "shared")
                services.launch("greeter", "env", "LOGGING_ENABLED=false", "/greeter")
                services.wait_ready("greeter", 9000)
                greeting = json.loads(services.call("localhost:9000", "greet", "name=Ada"))
                self.assertEqual(greeting, {"greeting": "hello", "to": "Ada"})

    def test_components_in_python_and_node(self):
        languages = "python3-iccm-network", "node-iccm-network"
        with Root(self.suite) as root:
            self.install(root, self.new, version(), "libiccm-network0", "iccm", *languages)
            (root.path / "echo.py").write_text(PYTHON)
            (root.path / "echo.js").write_text(NODE)
            for program, file in ("python3", "/echo.py"), ("node", "/echo.js"):
                with self.subTest(program), Services(root) as services:
                    services.launch("echo", "env", "LOGGING_ENABLED=false", program, file)
                    services.wait_ready("echo", 9000)
                    self.assertEqual(json.loads(services.call("localhost:9000", "echo", "text=hello")), {"text": "hello"})
            root.apt("purge", *languages)
            self.assertEqual(root.run("find", "/usr/lib", "-path", "*iccm[-_]network/*"), "")

    def test_installation_upgrade_removal_and_purge(self):
        older = self.build_older()
        with Root(self.suite) as root:
            self.install(root, older, OLDER, *PACKAGES)
            self.check_installed(root)
            with Services(root) as services:
                self.start(services)
                self.log(services, "stored before the upgrade")
                self.until_stored(services, ["stored before the upgrade"])
                (root.path / "var/lib/horace/files/plan.txt").write_text("a plan\n")
                registered = services.call("localhost:8070", "horace_register_file", "file_path=plan.txt", 'metadata={"owner": "me"}')
                self.assertEqual(json.loads(registered)["version"], 1)
                services.stop("dewey")
                self.log(services, "queued before the upgrade")
                settings = root.path / "etc/iccm/dewey.env"
                settings.write_text("LOG_RETENTION_DAYS=30\n")

                self.install(root, self.new, version(), *PACKAGES)
                self.assertEqual({self.version_of(root, name).partition("-")[0] for name in PACKAGES}, {version()})
                self.assertEqual(settings.read_text(), "LOG_RETENTION_DAYS=30\n")
                self.log(services, "accepted by the older programs")
                services.stop(*(name for name in UNITS if name != "dewey"))
                self.start(services)
                messages = ["stored before the upgrade", "queued before the upgrade", "accepted by the older programs"]
                self.until_stored(services, messages)
                self.log(services, "stored after the upgrade")
                self.until_stored(services, [*messages, "stored after the upgrade"])
                found = json.loads(services.call("localhost:8070", "horace_search_files", "owner=me"))
                self.assertEqual([row["path"] for row in found["results"]], ["/var/lib/horace/files/plan.txt"])

            root.apt("remove", *PACKAGES)
            self.assertEqual([name for name in ("dewey", "godot-server", "iccm") if root.exists(f"/usr/bin/{name}")], [])
            self.assertTrue(root.exists("/var/lib/dewey/dewey.db") and root.exists("/etc/iccm/dewey.env"))
            self.install(root, self.new, version(), *PACKAGES)
            with Services(root) as services:
                self.start(services)
                self.until_stored(services, [*messages, "stored after the upgrade"])

            root.apt("purge", *PACKAGES)
            shutil.rmtree(root.path / "packages")
            search = ["find", "/", "-xdev", *" -o ".join(f"-name *{word}*" for word in ("iccm", *USERS)).split()]
            self.assertEqual(root.run(*search), "")
            self.assertEqual([user for user in USERS if root.try_run("getent", "passwd", user).returncode == 0], [])

    def version_of(self, root, name):
        return root.run("dpkg-query", "-W", "-f=${Version}", name)

    def check_installed(self, root):
        for user in USERS:
            self.assertRegex(root.run("getent", "passwd", user), r":/usr/sbin/nologin$")
            self.assertEqual(root.run("stat", "-c", "%U %a", f"/etc/iccm/{user}.env"), "root 600\n")
            self.assertIn(f"/etc/iccm/{user}.env", root.run("dpkg-query", "-W", "-f=${Conffiles}", user))
        for directory, user in STATE.items():
            self.assertEqual(root.run("stat", "-c", "%U %G %a", f"/var/lib/{directory}"), f"{user} {user} 750\n")
        for unit in UNITS:
            self.assertTrue(root.exists(f"/var/lib/systemd/deb-systemd-helper-enabled/{unit}.service.dsh-also"), unit)
        self.assertEqual(root.run("systemctl", "is-enabled", *UNITS).split(), ["enabled"] * len(UNITS))
        verified = root.try_run("systemd-analyze", "verify", "--man=no", *(f"{unit}.service" for unit in UNITS))
        self.assertEqual([line for line in verified.stderr.splitlines() if any(unit in line for unit in UNITS)], [])
        self.assertEqual(verified.returncode, 0, verified.stderr)
        complete = "source /usr/share/bash-completion/completions/iccm && complete -p iccm"
        self.assertEqual(root.run("bash", "-c", complete), "complete -F _iccm iccm\n")
        for page in "dewey", "feed", "godot-server", "godot-worker", "horace", "iccm":
            self.assertTrue(root.exists(f"/usr/share/man/man1/{page}.1.gz"), page)

    def start(self, services):
        services.start(*UNITS)
        for name, port in PORTS.items():
            services.wait_ready(name, port)

    def log(self, services, message):
        words = "localhost:9060", "logger_log", "component=tester", "level=INFO", f"message={message}"
        wait_until(lambda: services.call(*words), f"{message!r} is accepted")

    def until_stored(self, services, messages):
        def stored():
            answer = services.call("localhost:9060", "logger_query", "component=tester")
            return answer is not None and sorted(row["message"] for row in json.loads(answer)) == sorted(messages)

        wait_until(stored, f"{messages} are stored")


class Debian12(Packages, unittest.TestCase):
    suite, copies = "bookworm", ("libyyjson0",)


class Debian13(Packages, unittest.TestCase):
    suite, copies = "trixie", ()


reason = roots.begin([Debian12.suite, Debian13.suite])
if reason is not None:
    print(f"NOT RUN: packages: {reason}\n0 passed, 0 failed: no package was built, none was installed", flush=True)
    sys.exit(1)
main()
