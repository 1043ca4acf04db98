"""The benchmarks run and print figures; the figures are not checked."""
import re
import unittest

from postgresql import bin_directory
from services import BUILD, SOURCE, main, npm_peers, run_program


class Bench(unittest.TestCase):
    def test_a_short_comparison(self):
        npm_peers()
        command = [SOURCE / "tests/bench/compare", "--seconds", "1", "--rounds", "1"]
        run = run_program(command)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"(?m)^iccm-network +[\d,]+ ")
        self.assertRegex(run.stdout, r"(?m)^Node ws +[\d,]+ ")
        self.assertRegex(run.stdout, r"(?m)^Node ws .* 1\.0 ")

    def test_what_a_log_line_costs(self):
        run = run_program([BUILD / "tests/bench/log_cost", "1"])
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        for godot in ("off", "live", "dead", "silent", "slow"):
            self.assertRegex(run.stdout, rf"(?m)^{godot} +\d+ +\d+\.\d+$")

    def test_what_an_idle_connection_costs(self):
        run = run_program([SOURCE / "tests/bench/idle_memory", "10", "0.1"])
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"(?m)^in clear +-?[\d.]+ KiB each\nin TLS +[\d.]+ KiB each$")

    def test_how_fast_a_queue_is_emptied(self):
        command = [SOURCE / "tests/bench/delivery", "--lines", "2000", "--rounds", "1", "--in-flight", "1", "4"]
        run = run_program(command)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"(?m)^ +1 +[\d,]+ .*\n +4 +[\d,]+ ")

    def test_how_long_dewey_searches(self):
        stores = ["sqlite"] if bin_directory() is None else ["sqlite", "postgresql"]
        command = [SOURCE / "tests/bench/rows", "--rows", "2000", "--rounds", "1", "--stores", *stores]
        run = run_program(command)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(len(re.findall(r"(?m)^  data within an hour .* [\d.]+ +[\d.]+ +[\d.]+$", run.stdout)), len(stores), run.stdout)

    def test_how_long_horace_searches_and_registers(self):
        stores = ["sqlite"] if bin_directory() is None else ["sqlite", "postgresql"]
        command = [SOURCE / "tests/bench/files", "--files", "1100", "--rounds", "1", "--megabytes", "1", "--registrations", "1"]
        run = run_program([*command, "--stores", *stores])
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(len(re.findall(r"(?m)^  the slowest search takes [\d.]+ ms", run.stdout)), len(stores), run.stdout)
        self.assertEqual(len(re.findall(r"(?m)^  1 MB registered in \d+ ms", run.stdout)), len(stores), run.stdout)


if __name__ == "__main__":
    main()
