"""One server over IPv4, IPv6 and by name, from this machine and from another network.

The other network is a namespace with a veth pair; its host names are in /etc/netns/NAME/hosts, which only the namespace sees.
If namespaces are not available, the tests that need one are skipped with the reason.
"""
import json
import sys
import unittest
from pathlib import Path

from caller import Caller
from network_namespace import NetworkNamespace, has_ipv6
from services import PROGRAMS, AsyncTestCase, SingleServer, System, http_get, main, run_program

ONE_CALL = Path(__file__).with_name("one_call.py")
HOSTNAME = "server.iccm.test"
VALUE = {"from": "afar"}


class Here(AsyncTestCase):
    async def served_at(self, host):
        with SingleServer("echo", "0") as echo:
            async with Caller(f"ws://{host}:{echo.port}") as caller:
                self.assertEqual(await caller.call("echo", VALUE), VALUE)
            self.assertEqual(http_get(echo.port, path="/healthz", host=host.strip("[]")).status, 200)
            iccm = [PROGRAMS["iccm"], "--json", "call", f"ws://{host}:{echo.port}", "echo", json.dumps(VALUE)]
            run = run_program(iccm)
            self.assertEqual((run.returncode, json.loads(run.stdout)), (0, VALUE), run.stderr)

    async def test_by_ipv4(self):
        await self.served_at("127.0.0.1")

    async def test_by_ipv6(self):
        if not has_ipv6():
            self.skipTest("no IPv6 on this machine")
        await self.served_at("[::1]")

    async def test_by_name(self):
        await self.served_at("localhost")


class Afar(unittest.TestCase):
    def setUp(self):
        self.other = self.enterContext(NetworkNamespace())

    def called_from_afar(self, url, tool="echo", arguments=VALUE):
        """By both clients; their answers have to be the same."""
        run = self.other.run(sys.executable, ONE_CALL, url, tool, json.dumps(arguments))
        self.assertEqual(run.returncode, 0, f"{url}: {run.stderr}")
        answer = json.loads(run.stdout)
        run = self.other.run(PROGRAMS["iccm"], "--json", "call", url, tool, json.dumps(arguments))
        self.assertEqual((run.returncode, json.loads(run.stdout)), (0, answer), f"{url}: {run.stderr}")
        return answer

    def test_by_ipv4(self):
        self.other.addresses("10.231.77.1/24", "10.231.77.2/24")
        with SingleServer("echo", "0") as echo:
            self.assertEqual(self.called_from_afar(f"ws://10.231.77.1:{echo.port}/any/path"), VALUE)

    def test_by_ipv6(self):
        if not has_ipv6():
            self.skipTest("no IPv6 on this machine")
        self.other.addresses("fd5c:1ccd:77::1/64", "fd5c:1ccd:77::2/64")
        with SingleServer("echo", "0") as echo:
            self.assertEqual(self.called_from_afar(f"ws://[fd5c:1ccd:77::1]:{echo.port}"), VALUE)

    def test_by_name(self):
        self.other.addresses("10.231.77.1/24", "10.231.77.2/24")
        self.other.names(f"10.231.77.1 {HOSTNAME}", "127.0.0.1 localhost")
        with SingleServer("echo", "0") as echo:
            self.assertEqual(self.called_from_afar(f"ws://{HOSTNAME}:{echo.port}"), VALUE)

    def test_by_a_name_whose_first_address_is_dead(self):
        self.other.addresses("10.231.77.1/24", "10.231.77.2/24")
        self.other.names(f"127.0.0.1 {HOSTNAME}", f"10.231.77.9 {HOSTNAME}", f"10.231.77.1 {HOSTNAME}")
        with SingleServer("echo", "0") as echo:
            url = f"ws://{HOSTNAME}:{echo.port}"
            run = self.other.run(PROGRAMS["iccm"], "--json", "call", url, "echo", json.dumps(VALUE))
            self.assertEqual((run.returncode, run.stdout and json.loads(run.stdout)), (0, VALUE), run.stderr)

    def test_godot(self):
        self.other.addresses("10.231.77.1/24", "10.231.77.2/24")
        with System() as system:
            system.start()
            url = f"ws://10.231.77.1:{system.godot_port}"
            entry = {"component": "afar", "level": "INFO", "message": "from afar"}
            self.assertEqual(self.called_from_afar(url, "logger_log", entry)["status"], "ok")
            self.assertIsInstance(self.called_from_afar(url, "logger_query", {"component": "nobody"}), list)

    def test_a_public_address_is_refused_unless_allowed(self):
        self.other.addresses("203.0.113.1/24", "203.0.113.2/24")
        with SingleServer("echo", "0") as echo:
            url = f"ws://203.0.113.1:{echo.port}"
            run = self.other.run(PROGRAMS["iccm"], "call", url, "echo", "{}")
            self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
            run = self.other.run(sys.executable, ONE_CALL, url, "echo", "{}")
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("403", run.stderr)
            echo.program.wait_for("ICCM_ALLOW_PUBLIC")
            echo.program.wait_for(r"203\.0\.113\.2")
        with SingleServer("echo", "0", ICCM_ALLOW_PUBLIC=1) as echo:
            self.assertEqual(self.called_from_afar(f"ws://203.0.113.1:{echo.port}"), VALUE)
        with SingleServer("echo", "0", ICCM_AUTH_TOKEN="open-sesame") as echo:
            url = f"ws://203.0.113.1:{echo.port}"
            run = self.other.run(PROGRAMS["iccm"], "call", url, "echo", "{}")
            self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
            self.assertIn("401", run.stderr)
            run = self.other.run(PROGRAMS["iccm"], "--token", "open-sesame", "call", url, "echo", "{}")
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


if __name__ == "__main__":
    main()
