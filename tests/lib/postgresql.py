"""Starts a PostgreSQL server for tests and runs a command that uses it.

    /usr/bin/python3 tests/lib/postgresql.py COMMAND [ARGUMENT]...

DEWEY_DB_HOST, _PORT, _USER and _PASSWORD hold the server's address and a superuser for COMMAND, which creates its own
databases or schemas. The server is the newest version installed, stores its data in a temporary directory, runs without
fsync, and stops when the command ends. Started as root it runs as the user postgres, because PostgreSQL refuses to run as
root. If PostgreSQL is not installed, the command is not run, and a NOT RUN line is printed.
"""
import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from services import WAIT_S, free_port, wait_until

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
}
ORPHANS = "pre-existing shared memory block"  # the error while processes of a killed predecessor still run


def bin_directory():
    """The directory with initdb, postgres and createdb of the newest version; None if not installed."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in found), key=lambda path: int(path.parts[-2]), default=None)


def as_server_user(*command):
    """Wraps the command: runs it as the server's user and kills it when this process ends."""
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "KILL", *user, *(str(word) for word in command)]


class Postgresql:
    """A server that can be stopped, killed and restarted; close() deletes its data. With a primary: a standby of it."""

    def __init__(self, primary=None, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.data, self.bin, self.process = self.directory / "data", bin_directory(), None
        self.port, self.password = free_port(), primary.password if primary else secrets.token_hex(8)
        self.settings = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.directory)} | settings
        (self.directory / "password").write_text(self.password)
        for path in (self.directory, self.directory / "password"):
            if os.geteuid() == 0:
                shutil.chown(path, "postgres", "postgres")
        self.directory.chmod(0o700)
        self.copy(primary) if primary else self.make()

    def make(self):
        words = [f"--pwfile={self.directory}/password", "--auth=scram-sha-256", "--username=dewey", "--encoding=UTF8"]
        words += ["--locale=C.UTF-8", "--no-sync", "-D", self.data]
        subprocess.run(as_server_user(self.bin / "initdb", *words), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def copy(self, primary):
        words = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D", self.data]
        environment = psql_environment(**primary.environment())
        subprocess.run(as_server_user(self.bin / "pg_basebackup", *words), check=True, env=environment, cwd="/")

    def environment(self):
        return {
            "DEWEY_DB_HOST": "127.0.0.1",
            "DEWEY_DB_PORT": str(self.port),
            "DEWEY_DB_USER": "dewey",
            "DEWEY_DB_PASSWORD": self.password,
        }

    def start(self):
        deadline = time.monotonic() + WAIT_S
        self.spawn()
        while not self.answers():
            if self.process.poll() is not None and self.log_text(ORPHANS):
                self.spawn()
            elif self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("PostgreSQL did not start:\n" + self.log_text()[-4000:])
            time.sleep(0.05)
        return self

    def spawn(self):
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        command = as_server_user(self.bin / "postgres", "-D", self.data, *options)
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    def log_text(self, words=""):
        """Its log since the last start; "" unless it contains the words."""
        text = (self.directory / "log").read_text(errors="replace")
        return text if words in text else ""

    def answers(self):
        command = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command).returncode == 0

    def stop(self):
        """A fast shutdown: sessions are ended."""
        self.process.send_signal(2)
        self.process.wait(WAIT_S)

    def kill(self):
        """Kills all its processes at once, like a power failure."""
        children = re.findall(r"\d+", (Path("/proc") / str(self.process.pid) / "task" / str(self.process.pid) / "children").read_text())
        for child in [*children, self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), 9)
        self.process.wait(WAIT_S)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class ReplicatedPair:
    """A primary and a standby that streams from it. If synchronous, commits wait for the standby."""

    def __init__(self, synchronous=True):
        self.primary = Postgresql(synchronous_standby_names="standby" if synchronous else "").start()
        self.standby = Postgresql(self.primary, cluster_name="standby", wal_retrieve_retry_interval="100ms")
        self.start_standby()

    def start_standby(self):
        self.standby.start()
        self.wait_until_query("t", "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")

    def wait_until_query(self, wanted, sql):
        wait_until(lambda: psql(sql, **self.primary.environment()) == wanted, f"{wanted} from the primary, asked {sql}")

    def sync_waits(self, sql="count(*)"):
        """Queries the sessions that wait for the standby."""
        return psql(f"SELECT {sql} FROM pg_stat_activity WHERE wait_event = 'SyncRep'", **self.primary.environment())

    def environment(self):
        """Settings with both hosts, the read-only standby first."""
        hosts = [self.standby.environment(), self.primary.environment()]
        both = {name: ",".join(host[name] for host in hosts) for name in ("DEWEY_DB_HOST", "DEWEY_DB_PORT")}
        return hosts[0] | both | {"DEWEY_DB_NAME": "postgres"}

    def lose_primary(self):
        """Kills the primary for good and promotes the standby."""
        self.primary.kill()
        self.promote()

    def promote(self):
        psql("SELECT pg_promote()", **self.standby.environment())

    def close(self):
        for server in (self.standby, self.primary):
            if server.process is not None and server.process.poll() is None:
                server.kill()
            server.close()


def psql_environment(**environment):
    """The environment of psql for the server in DEWEY_DB_*."""
    words = os.environ | environment
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}
    return words | {name: words[f"DEWEY_DB_{part}"] for part, name in names.items()}


def psql(sql, database="postgres", **environment):
    """Runs SQL on the server in DEWEY_DB_*; returns the output as text."""
    words = psql_environment(**environment)
    command = [bin_directory() / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database]
    run = subprocess.run(command, input=sql, env=words, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def main(command):
    if bin_directory() is None:
        print(f"NOT RUN: {command[-1]}: there is no PostgreSQL below /usr/lib/postgresql")
        print("0 passed, 0 failed, 1 not run")
        return 0
    server = Postgresql()
    try:
        server.start()
        return subprocess.run(command, env=os.environ | server.environment()).returncode
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
