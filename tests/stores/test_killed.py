"""db.h while PostgreSQL is killed, unavailable and started again: nothing hangs, committed data exists, other data does not."""
import os
import select
import subprocess
import unittest

from postgresql import Postgresql, bin_directory
from services import BUILD, WAIT_S, main

OK, FAILED = "0", "7"  # of store_code
UNAVAILABLE = "the database cannot be reached"


@unittest.skipIf(bin_directory() is None, "there is no PostgreSQL below /usr/lib/postgresql")
class Killed(unittest.TestCase):
    def setUp(self):
        self.server = Postgresql().start()
        self.addCleanup(self.server.close)
        environment = os.environ | self.server.environment() | {"DEWEY_DB_NAME": "postgres"}
        self.steps = subprocess.Popen([BUILD / "tests/stores/db-commands"], env=environment, text=True, stdin=-1, stdout=-1)
        self.addCleanup(self.end)
        self.take("check", OK)

    def end(self):
        self.steps.communicate()
        self.assertEqual(self.steps.returncode, 0)

    def take(self, step, *expected):
        self.steps.stdin.write(step + "\n")
        self.steps.stdin.flush()
        self.assertTrue(select.select([self.steps.stdout], [], [], WAIT_S)[0], f"{step} hangs")
        answer = self.steps.stdout.readline().strip()
        self.assertEqual(answer, " ".join(expected), step)

    def add(self):
        for step in "begin", "add", "end":
            self.take(step, OK)

    def restart_server(self):
        self.take("check", FAILED, UNAVAILABLE)
        self.take("begin", FAILED, UNAVAILABLE)
        self.server.start()

    def test_between_two_statements(self):
        self.add()
        self.take("begin", OK)
        self.take("add", OK)
        self.server.kill()
        self.take("add", FAILED, UNAVAILABLE)
        self.take("end", FAILED)
        self.restart_server()
        self.take("count", "1", OK)
        self.add()
        self.take("count", "2", OK)

    def test_before_the_commit(self):
        self.take("begin", OK)
        self.take("add", OK)
        self.server.kill()
        self.take("end", FAILED, UNAVAILABLE)
        self.restart_server()
        self.take("count", "0", OK)

    def test_while_nothing_is_done(self):
        self.add()
        self.server.kill()
        self.restart_server()
        self.take("check", OK)
        self.take("count", "1", OK)
        self.add()
        self.take("count", "2", OK)


if __name__ == "__main__":
    main()
