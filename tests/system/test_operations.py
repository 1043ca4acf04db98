"""docs/operations.md against the programs: its table of variables is complete, its metrics exist, and its commands back up and
restore the data.
"""
import asyncio
import os
import re
import shutil
import sqlite3
import unittest
from contextlib import closing
from pathlib import Path

from caller import Caller, read_log_rows
from log_audit import LogAuditCase
from postgresql import Postgresql, bin_directory, psql
from services import (
    PROGRAMS,
    SOURCE,
    ProgramGroup,
    SingleServer,
    System,
    http_get,
    main,
    run_program,
    wait_ready,
    wait_until,
)

PAGE = (SOURCE / "docs/operations.md").read_text()
TOOLS = (SOURCE / "docs/tools.md").read_text()
BEFORE = 100  # lines stored before a backup begins
DATABASE = "HOST", "PORT", "NAME", "USER", "PASSWORD", "TIMEOUT", "PATH"  # see examples/stores/database.h
PROGRAMS_WITH_PAGES = "dewey", "feed", "godot-server", "godot-worker", "horace", "iccm"


def commands(program):
    """Those of the page that begin so, without what is said about them."""
    return [line.split("  #")[0] for line in re.findall(rf"^    ({program} .*)$", PAGE, re.M)]


def vacuum_of(service):
    (statement,) = re.findall(rf"""^    sqlite3 \S+/{service}\.db "(VACUUM INTO '[^']+')"$""", PAGE, re.M)
    return statement


def another_horace(place, label="horace", **settings):
    """Started, with a new storage unless settings name one."""
    settings = {"HORACE_MCP_PORT": "0", "HORACE_STORAGE_PATH": str(place.directory / "storage")} | settings
    return place.add_instance("horace", label, **settings).start()


class Table:
    """The table of variables: who reads a name, and what holds where it is not set."""

    def __init__(self):
        rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.M)
        self.names = [name for name, _, _ in rows]
        self.readers = {name: set(readers.split(", ")) for name, readers, _ in rows}
        self.defaults = {name: default.split("; ")[0] for name, _, default in rows}

    def of(self, reader):
        return {name for name in self.names if reader in self.readers[name]}


def read_in(pattern, leave_out="-"):
    """Names that sources take from the environment."""
    found = set()
    for file in SOURCE.glob(pattern):
        if leave_out not in str(file.relative_to(SOURCE)):
            found |= set(re.findall(r'\b(?:getenv|read_int|read_seconds|mcp_env_\w+|mcp__setting)\(\s*"([A-Z_]+)"', file.read_text()))
            for component in re.findall(r'\bdatabase_from_env\([^"]*"([A-Z]+)"', file.read_text()):
                found |= {f"{component}_DB_{word}" for word in DATABASE}
    return found


def manual(program):
    """What a manual page says about variables: the default of each; "": none is said."""
    text = (SOURCE / f"docs/man/{program}.1").read_text().split(".Sh ENVIRONMENT")[1].split("\n.Sh ")[0]
    said = {}
    for names, default in re.findall(r"^\.It Ev ([A-Z_ ,]+?)(?: Pq (.*))?$", text, re.M):
        names, defaults = names.split(" , "), default.split(", ")
        said |= dict(zip(names, defaults if len(defaults) == len(names) else [default] * len(names)))
    return said


class Variables(unittest.TestCase):
    table = Table()

    def test_none_is_missing_and_none_invented(self):
        launcher = set(re.findall(r'"\$\{([A-Z_]+):=', (SOURCE / "godot/run").read_text()))
        sources = read_in("iccm_network/**/*.c") | read_in("godot/*.c") | read_in("examples/dewey/*.c")
        sources |= read_in("examples/horace/*.c")
        self.assertEqual(sorted(self.table.names), sorted(sources | launcher))
        self.assertEqual(self.table.of("make run"), launcher)
        self.assertEqual(self.table.of("components"), read_in("iccm_network/**/*.c", leave_out="/cli/"))

    def test_all_of_them_are_known_where_others_are_warned_of(self):
        listed = (SOURCE / "iccm_network/base/env_check.c").read_text().split("known_variables[] = {")[1].split("}")[0]
        self.assertEqual(sorted([*re.findall(r'"([A-Z_]+)"', listed), "NO_COLOR"]), sorted(self.table.names))

    def test_it_says_what_manual_pages_and_help_say(self):
        """And --help, to which api/programs holds these."""
        for program in PROGRAMS_WITH_PAGES:
            with self.subTest(program):
                said = manual(program)
                helped = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", run_program([PROGRAMS[program], "--help"]).stdout)
                self.assertGreater(len(helped), 2)
                self.assertEqual(set(helped) - set(self.table.names), set())
                self.assertEqual(self.table.of(program), set(said))
                given = {name: default for name, default in said.items() if default}
                self.assertEqual({name: self.table.defaults[name] for name in given}, given)


class Figures(unittest.TestCase):
    def test_each_that_is_named_is_there(self):
        named = set(re.findall(r"`((?:godot|dewey|horace|iccm)_[a-z_]+)", PAGE))
        named -= {"iccm_network", "dewey_schema", "horace_schema", *re.findall(r"\b(?:dewey|horace)_\w+", TOOLS)}
        with System() as system:
            horace = another_horace(system)
            system.start()
            ports = horace.port(), system.dewey_port, system.godot_port
            shown = wait_until(lambda: self.shown(ports), "Godot's figures of the queue")
        self.assertGreater(len(named), 20)
        self.assertEqual(named - set(re.findall(r"^# TYPE (\w+) ", shown, re.M)), set())

    def shown(self, ports):
        text = "".join(http_get(port, path="/metrics").body.decode() for port in ports)
        return text if "\ngodot_queued_entries " in text else None


class Backups(LogAuditCase):
    """A backup contains everything that was acknowledged before it, while storing continues."""

    async def store_around(self, store, work):
        """Stores lines 0, 1, 2, ... before the work and beside it."""
        for number in range(BEFORE):
            await store(number)
        done = asyncio.create_task(asyncio.to_thread(work))
        number = BEFORE
        while not done.done():
            await store(number)
            number += 1
        await done

    def in_dewey(self, caller):
        """Stores a line by Dewey's tool, and every tenth as a message, too."""

        async def store(number):
            entry = {"component": "backup", "level": "INFO", "message": f"line {number}", "data": {"number": number}}
            await caller.call("dewey_store_logs_batch", {"logs": [entry]})
            if number % 10 == 0:
                await caller.call("dewey_store_messages_bulk", {"messages": [{"role": "user", "content": "kept"}]})

        return store

    def in_godot(self, caller):
        return lambda number: caller.call(
            "logger_log", {"component": "backup", "level": "INFO", "message": f"line {number}"})

    async def numbers(self, caller, **how):
        return sorted([int(row["message"].split()[1]) async for row in read_log_rows(caller, component="backup", **how)])

    async def check(self, dewey):
        """It has what was stored before the backup, finds it, and takes more."""
        wait_ready(dewey.port)
        async with Caller(dewey.url) as caller:
            numbers = await self.numbers(caller, tool="dewey_query_logs")
            self.assertEqual(numbers, list(range(len(numbers))))
            self.assertGreaterEqual(len(numbers), BEFORE)
            found = await caller.call("dewey_query_logs", {"search": "line 7", "data": {"number": 7}})
            self.assertEqual([row["message"] for row in found], ["line 7"])
            kept = await caller.call("dewey_search", {"query": "kept"})
            self.assertGreaterEqual(kept["total"], BEFORE // 10)
            await self.in_dewey(caller)(len(numbers))
            self.assertEqual((await caller.call("dewey_get_log_stats"))["total_count"], len(numbers) + 1)

    async def test_sqlite(self):
        statement = vacuum_of("dewey")
        with SingleServer("dewey", DEWEY_MCP_PORT=0) as dewey:
            copy = f"{dewey.directory}/copy-of-"

            def back_up():
                with closing(sqlite3.connect(dewey.directory / "dewey.db")) as database:
                    database.execute(statement.replace("/backup/", copy))

            async with Caller(dewey.url) as caller:
                await self.store_around(self.in_dewey(caller), back_up)
            with SingleServer("dewey", DEWEY_MCP_PORT=0, DEWEY_DB_PATH=copy + "dewey.db") as restored:
                await self.check(restored)

    @unittest.skipIf(bin_directory() is None, "there is no PostgreSQL below /usr/lib/postgresql")
    async def test_postgresql(self):
        server = Postgresql()
        self.addCleanup(server.close)
        settings = server.start().environment() | {"DEWEY_MCP_PORT": 0}
        psql("CREATE DATABASE dewey", **server.environment())
        words = os.environ | {"PGPASSWORD": server.password, "PATH": f"{bin_directory()}:{os.environ['PATH']}"}

        def run(command):
            command = command.replace("-h db", f"-h 127.0.0.1 -p {server.port}").replace("/backup/", f"{server.directory}/")
            done = run_program(["sh", "-c", command], env=words)
            self.assertEqual(done.returncode, 0, done.stderr)

        with SingleServer("dewey", **settings) as dewey:
            wait_ready(dewey.port)
            async with Caller(dewey.url) as caller:
                await self.store_around(self.in_dewey(caller), lambda: run(*commands("pg_dump")))
        for command in commands("createdb") + commands("pg_restore"):
            run(command)
        with SingleServer("dewey", **settings | {"DEWEY_DB_NAME": "restored"}) as restored:
            await self.check(restored)

    async def test_horace(self):
        """Versions are made while it is copied; each one that the copy knows can be had from it."""
        with ProgramGroup() as place:
            backup = place.directory / "backup"
            backup.mkdir()
            horace = another_horace(place, HORACE_VERSION_COUNT="1000")
            url = f"ws://127.0.0.1:{horace.port()}"

            def run(command):
                command = command.replace("/var/lib/horace", str(place.directory / "storage"))
                return run_program(["sh", "-c", command.replace("/backup", str(backup))])

            def back_up():
                with closing(sqlite3.connect(place.directory / "storage/horace.db")) as database:
                    database.execute(vacuum_of("horace").replace("/backup", str(backup)))
                for command in commands("mkdir") + commands("cd"):
                    run(command)

            async with Caller(url) as caller:
                await self.store_around(self.in_horace(caller, place.directory / "storage/files/a.txt"), back_up)
            shutil.copy(backup / "horace.db", backup / "storage/horace.db")
            await self.check_horace(another_horace(place, "restored", HORACE_STORAGE_PATH=str(backup / "storage")))

    def in_horace(self, caller, file):
        async def store(number):
            file.write_text(f"state {number}")
            await caller.call("horace_register_file", {"file_path": file.name, "metadata": {}})

        return store

    async def check_horace(self, horace):
        async with Caller(f"ws://127.0.0.1:{horace.port()}") as caller:
            (found,) = (await caller.call("horace_search_files"))["results"]
            self.assertGreaterEqual(found["version"], BEFORE)
            about = await caller.call("horace_get_file_info", {"file_id": found["file_id"], "include_versions": True})
            texts = [Path(version["path"]).read_text() for version in about["versions"]]
            self.assertEqual(texts, [f"state {number}" for number in reversed(range(found["version"]))])
            restored = {"file_id": found["file_id"], "version": 1}
            answer = await caller.call("horace_restore_version", restored)
            self.assertEqual(Path(answer["current_path"]).read_text(), "state 0")

    async def test_the_queue(self):
        with System() as system, System() as other:
            system.start_redis()
            system.godot.start().port()

            def back_up():
                *before, after = commands("redis-cli")
                for command in before:
                    self.redis(system, command)
                shutil.copytree(system.directory / "appendonlydir", other.directory / "appendonlydir")
                self.redis(system, after)

            async with Caller(system.godot_url) as caller:
                await self.store_around(self.in_godot(caller), back_up)
            other.start()
            await self.drained(other)
            async with Caller(other.godot_url) as caller:
                numbers = await self.numbers(caller)
            self.assertEqual(numbers, list(range(len(numbers))))
            self.assertGreaterEqual(len(numbers), BEFORE)

    def redis(self, system, command):
        """One of the page's commands; a question is asked until its answer is 0."""
        asked = command.split(" | grep ")
        words = ["redis-cli", "-p", system.redis_port, *asked[0].split()[1:]]
        wanted = "OK" if len(asked) == 1 else f"{asked[1].strip()}:0"
        wait_until(lambda: wanted in run_program(words).stdout, command)


if __name__ == "__main__":
    main()
