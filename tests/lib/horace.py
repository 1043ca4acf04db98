"""Runs the real horace on a new storage, and inspects the storage.

Happy path: `with Horace() as horace`, a test puts files into horace.files, `async with Caller(horace.url)` calls the tools,
and `await snapshot(caller, horace)` returns all records and files after comparing each version's bytes with its record.
With DEWEY_DB_HOST in the environment (postgresql.py) it uses a new database there, otherwise SQLite.

Failure modes: an unexpected, missing or different byte in the storage fails snapshot().
"""
import hashlib
import os
import uuid
from pathlib import Path

from caller import CallError
from postgresql import psql
from services import SingleServer, wait_ready, wait_until

ON_POSTGRESQL = "DEWEY_DB_HOST" in os.environ
FILES, VERSIONS, ARCHIVE, WORK = "files", ".horace_versions", ".horace_archive", ".horace_work"
REGISTERED = {"file_id", "checksum", "size", "mime_type", "registered_at", "version"}


def new_database():
    """Settings for a new, empty database; none for SQLite, whose file is in the storage."""
    if not ON_POSTGRESQL:
        return {}
    name = f"horace_{uuid.uuid4().hex}"
    psql(f"CREATE DATABASE {name}")
    given = {key.replace("DEWEY", "HORACE"): value for key, value in os.environ.items() if key.startswith("DEWEY_DB_")}
    return given | {"HORACE_DB_NAME": name}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Horace(SingleServer):
    def __init__(self, **settings):
        super().__init__("horace", HORACE_MCP_PORT=0, **(new_database() | settings))
        self.use(self.directory.resolve() / "storage")

    def use(self, storage):
        """Uses that storage from the next start on."""
        self.storage, self.files = storage, storage / FILES
        self.files.mkdir(parents=True, exist_ok=True)
        self.settings["HORACE_STORAGE_PATH"] = str(storage)

    def __enter__(self):
        super().__enter__()
        wait_ready(self.port)
        return self

    def restart(self, kill=False):
        if self.program.process is not None:
            self.program.kill() if kill else self.program.stop()
        return self.__enter__()

    def tree(self):
        """All stored regular files and their bytes, by relative path."""
        found = {}
        for place in (FILES, VERSIONS, ARCHIVE):
            for directory, _, names in os.walk(self.storage / place):
                for path in (Path(directory) / name for name in names):
                    if path.is_file() and not path.is_symlink():
                        found[str(path.relative_to(self.storage))] = path.read_bytes()
        return found

    def staged_files(self):
        """Names in the work directory; empty when no operation is in progress."""
        return os.listdir(self.storage / WORK)

    def wait_idle(self):
        wait_until(lambda: not self.staged_files(), "the work directory is empty")

    def version_path(self, file_id, version):
        return f"{VERSIONS}/{file_id[-2:]}/{file_id}.{version}"

    def archive_path(self, file_id):
        return f"{ARCHIVE}/{file_id[-2:]}/{file_id}"


async def expect_error(caller, tool, **arguments):
    """Calls a tool that must fail; returns its error code."""
    try:
        answer = await caller.call(tool, arguments)
    except CallError as error:
        assert error.code == -32000, f"{tool} {arguments}: {error}"
        return error.data["error_code"]
    raise AssertionError(f"{tool} {arguments} answered {answer}")


async def info(caller, file_id):
    return await caller.call("horace_get_file_info", {"file_id": file_id, "include_versions": True})


def versions_of(horace, answer):
    """The bytes of each version in a file's info, by number, checked against size and checksum."""
    kept = {}
    for version in answer["versions"]:
        number, path = version["version"], Path(version["path"])
        assert str(path) == f"{horace.storage}/{horace.version_path(answer['file_id'], number)}", path
        kept[number] = path.read_bytes()
        assert version["size"] == len(kept[number]) and version["checksum"] == sha256(kept[number]), (path, version)
    newest = answer["versions"][0]
    assert [version["version"] for version in answer["versions"]] == sorted(kept, reverse=True), answer
    for name in ("checksum", "size", "version"):
        assert answer[name] == newest[name], (name, answer)
    assert answer["current_version"] == newest["version"], answer
    return kept


async def records(caller):
    """The info of all files, in every status."""
    found = await caller.call("horace_search_files", {"status": "all", "limit": 1000})
    assert found["total_count"] == len(found["results"]), found
    return [await info(caller, result["file_id"]) for result in found["results"]]


def unexpected_files(horace, known, tree):
    """Files in the storage's own directories without a record, and files of records that are missing."""
    wanted = {horace.archive_path(answer["file_id"]) for answer in known if answer["status"] == "archived"}
    wanted |= {horace.version_path(answer["file_id"], kept["version"]) for answer in known for kept in answer["versions"]}
    return {name for name in tree if not name.startswith(f"{FILES}/")} ^ wanted


async def snapshot(caller, horace):
    """All records and files. Except for the ids the result is the same in each run: it contains no times."""
    horace.wait_idle()
    known, tree, state = await records(caller), horace.tree(), {"ids": {}}
    assert not unexpected_files(horace, known, tree), unexpected_files(horace, known, tree)
    for answer in known:
        name = answer["path"].removeprefix(f"{horace.files}/")
        assert name not in state, f"two records of {name}"
        state["ids"][name] = answer["file_id"]
        state[name] = {key: answer.get(key) for key in ("status", "owner", "purpose", "tags", "collection", "mime_type")}
        state[name]["versions"] = versions_of(horace, answer)
        state[name]["archive"] = tree.get(horace.archive_path(answer["file_id"]))
    state["collections"] = {
        found["name"]: (found["description"], found["file_count"])
        for found in (await caller.call("horace_list_collections"))["collections"]
    }
    state["files"] = {name: data for name, data in tree.items() if name.startswith(f"{FILES}/")}
    return state
