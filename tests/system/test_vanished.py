"""Peers that vanish without closing their connections, as when a machine loses power: the other side notices in bounded time,
even if it writes nothing.

The peers are in a network namespace whose link is taken down. If namespaces are not available, the test is skipped with the
reason.
"""
import sys
import unittest
from pathlib import Path

from network_namespace import NetworkNamespace
from services import PROGRAMS, SOURCE, ProgramGroup, SingleServer, main, wait_until
from test_metrics import scrape, value

HOLD_REQUESTS = Path(__file__).with_name("hold_requests.py")
HERE, AFAR = "10.231.79.1", "10.231.79.2"
HELD = 4  # requests of hold_requests.py
HOUR_MS = 3_600_000


class Vanished(unittest.TestCase):
    def setUp(self):
        self.other = self.enterContext(NetworkNamespace())
        self.other.addresses(f"{HERE}/24", f"{AFAR}/24")

    def afar(self, group, name, *command):
        return group.add(name, "ip", "netns", "exec", self.other.name, *command).start()

    def test_http_requests_that_wait_and_streams(self):
        with SingleServer("slow_server", "0") as server, ProgramGroup(PYTHONPATH=SOURCE / "tests/lib") as group:
            caller = self.afar(group, "caller", PROGRAMS["iccm"], "--timeout", HOUR_MS // 1000, "call",
                               f"http://{HERE}:{server.port}", "later", f"ms={HOUR_MS}")
            holder = self.afar(group, "holder", sys.executable, HOLD_REQUESTS, HERE, server.port)
            holder.wait_for("^open$")

            def state():
                metrics = scrape(server.port)
                return value(metrics, "iccm_connections"), value(metrics, "iccm_calls_in_flight")

            wait_until(lambda: state()[1] == 3, "the calls of iccm and of the requests")
            self.assertGreaterEqual(state()[0], HELD + 1)
            self.other.take_down()
            wait_until(lambda: state() == (0, 0), "the server notices that its clients have vanished")
            self.assertEqual(caller.wait(), 2, caller.output())  # it notices the same of the server
            holder.kill()


if __name__ == "__main__":
    main()
