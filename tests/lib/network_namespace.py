"""A second network for tests: a network namespace connected by a veth pair.

Its host names are in /etc/netns/NAME/hosts, which only the namespace sees. If namespaces are not available, the test is
skipped with the reason.
"""
import os
import shutil
import socket
import unittest
from pathlib import Path

from services import run_program


def ip(*words):
    return run_program(["ip", *words])


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


class NetworkNamespace:
    """A namespace with addresses on both ends of a veth pair; removed on exit."""

    def __init__(self):
        self.name = f"iccm{os.getpid()}"
        self.inside, self.outside = f"i{os.getpid()}", f"o{os.getpid()}"
        self.hosts = Path("/etc/netns") / self.name

    def __enter__(self):
        try:
            self.make("netns", "add", self.name)
            self.make("link", "add", self.outside, "type", "veth", "peer", "name", self.inside, "netns", self.name)
            for device, where in ((self.outside, ()), (self.inside, ("-n", self.name))):
                self.make(*where, "link", "set", device, "up")
            self.make("-n", self.name, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        ip("link", "del", self.outside)
        ip("netns", "del", self.name)
        shutil.rmtree(self.hosts, ignore_errors=True)

    def make(self, *words):
        try:
            run = ip(*words)
        except OSError as error:
            raise unittest.SkipTest(f"no network namespaces here: {error}") from None
        if run.returncode != 0:
            raise unittest.SkipTest(f"no network namespaces here: ip {' '.join(words)}: {run.stderr.strip()}")

    def addresses(self, outside, inside):
        """Sets the address of the outer (server) and of the inner (client) end, both of one network."""
        nodad = ("nodad",) if ":" in outside else ()
        self.make("addr", "add", outside, "dev", self.outside, *nodad)
        self.make("-n", self.name, "addr", "add", inside, "dev", self.inside, *nodad)

    def take_down(self):
        """The inner end neither sends nor receives any more."""
        self.make("-n", self.name, "link", "set", self.inside, "down")

    def names(self, *lines):
        self.hosts.mkdir(parents=True)
        (self.hosts / "hosts").write_text("\n".join(lines) + "\n")

    def run(self, *command):
        return run_program(["ip", "netns", "exec", self.name, *command])
