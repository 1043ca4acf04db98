"""The official conformance suite of MCP, against tests/peers/everything.c and tests/peers/conformance_client.py over HTTP.

Happy path: the suite runs all scenarios of one requirement set, and its verdict on each one is the expected one. A
scenario that fails today is listed by name: if it begins to pass, the test fails until the list is correct again. Of the
scenarios for clients, each of CLIENT has to pass; the others are about OAuth and elicitation, which the client lacks.
"""
import contextlib
import json
import re
import unittest

from services import ATTEMPTS, PROGRAMS, SOURCE, WAIT_S, SingleServer, main, npm_node, npm_peers, run_program

TOOLS = """tools-list tools-call-simple-text tools-call-image tools-call-audio tools-call-embedded-resource
    tools-call-mixed-content tools-call-error tools-call-with-progress"""
PROMPTS = "prompts-list prompts-get-simple prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image"
RESOURCES = "resources-list resources-read-text resources-read-binary resources-templates-read"


def names(*lists):
    return set(" ".join(lists).split())


PASS = {
    "2025-11-25": names(
        TOOLS, "server-initialize ping server-sse-multiple-streams dns-rebinding-protection",
        "server-session-lifecycle json-schema-2020-12",
    ),
    "2026-07-28": names(
        TOOLS, "server-stateless server-sse-multiple-streams dns-rebinding-protection",
        "http-header-validation http-custom-header-server-validation json-schema-2020-12",
    ),
}
# The suite counts these as passed, but only because everything.c refuses what they call, or because they check nothing.
PROVE_NOTHING = {
    "2025-11-25": names("server-sse-polling"),
    "2026-07-28": names(
        "sep-2164-resource-not-found input-required-result-missing-input-response",
        "input-required-result-unsupported-methods input-required-result-ignore-extra-params",
        "input-required-result-validate-input tasks-status-notifications",
    ),
}
FAIL = {
    "2025-11-25": names(
        PROMPTS, RESOURCES, "resources-subscribe resources-unsubscribe completion-complete",
        "logging-set-level tools-call-with-logging tools-call-sampling tools-call-elicitation",
        "elicitation-sep1034-defaults elicitation-sep1330-enums",
    ),
    "2026-07-28": names(
        PROMPTS, RESOURCES, "caching completion-complete",  # caching: of prompts and resources
        "input-required-result-basic-elicitation input-required-result-basic-sampling",
        "input-required-result-basic-list-roots input-required-result-request-state",
        "input-required-result-multiple-input-requests input-required-result-multi-round",
        "input-required-result-non-tool-request input-required-result-result-type",
        "input-required-result-tampered-state input-required-result-capability-check",
        # an extension of MCP
        "tasks-lifecycle tasks-capability-negotiation tasks-wire-fields tasks-request-state-removal tasks-mrtr-input",
        "tasks-request-headers tasks-dispatch-and-envelope tasks-required-task-error tasks-mrtr-composition",
    ),
}
# The checks that are neither passed nor failed in the scenarios of PASS.
OPEN = {"2025-11-25": set(), "2026-07-28": {("server-stateless", "sep-2575-server-sends-prompts-list-changed-on-subscription")}}


CLIENT = {
    "2025-11-25": names("initialize tools_call"),
    "2026-07-28": names(
        "tools_call request-metadata http-standard-headers http-custom-headers http-invalid-tool-headers",
        "json-schema-ref-no-deref",
    ),
}
SUITE = "node_modules/@modelcontextprotocol/conformance/dist/index.js"


class Suite:
    """One run of the suite: the verdict on each scenario, and its checks."""

    def __init__(self, version):
        with SingleServer("everything", "0") as server:
            results = server.directory / "results"
            run = run_program([
                npm_node(), npm_peers() / SUITE, "server", "--url", f"http://127.0.0.1:{server.port}/mcp", "--requirements", version,
                "--timeout", int(WAIT_S * 1000), "--output-dir", results,
            ])  # fmt: skip
            verdicts = re.findall(r"^([✓✗]) ([\w-]+): \d+ passed, \d+ failed$", run.stdout, re.M)
            self.passed = {name for sign, name in verdicts if sign == "✓"}
            self.failed = {name for sign, name in verdicts if sign == "✗"}
            self.checks = {self.scenario(path): json.loads(path.read_text()) for path in results.glob("*/checks.json")}
        assert verdicts and self.passed | self.failed == set(self.checks), run.stdout + run.stderr

    @staticmethod
    def scenario(path):
        return re.fullmatch(r"server-(.*)-\d{4}-\d\d-\d\dT[\d-]+Z", path.parent.name)[1]

    def checks_of(self, scenarios, *statuses):
        return {(name, check["id"]) for name in scenarios for check in self.checks[name] if check["status"] in statuses}

    def failures_text(self, scenarios):
        failures = [check for name in scenarios for check in self.checks[name] if check["status"] == "FAILURE"]
        return "\n".join(f"{check['id']}: {check.get('errorMessage')}" for check in failures)


class ConformanceSuite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        npm_node()

    def judge(self, version):
        suite = Suite(version)
        for name in sorted(suite.passed | suite.failed):
            print(f"{version} {name}: {'passed' if name in suite.passed else 'failed'}")
        unexpected = suite.failed - FAIL[version]
        self.assertEqual(unexpected, set(), suite.failures_text(unexpected))
        self.assertEqual(suite.passed & FAIL[version], set(), "they pass now: move them to PASS")
        self.assertEqual(suite.failed, FAIL[version])
        self.assertEqual(suite.passed, PASS[version] | PROVE_NOTHING[version])
        self.assertEqual(suite.checks_of(PASS[version], "WARNING", "SKIPPED"), OPEN[version])

    def test_2025_11_25(self):
        self.judge("2025-11-25")

    def test_2026_07_28(self):
        self.judge("2026-07-28")


class ClientScenarios(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        npm_node()

    def judge(self, version, scenario):
        client = f"/usr/bin/python3 {SOURCE / 'tests/peers/conformance_client.py'} {PROGRAMS['iccm']}"
        run = run_program([
            npm_node(), npm_peers() / SUITE, "client", "--command", client, "--scenario", scenario,
            "--spec-version", version, "--timeout", int(WAIT_S * 1000),
        ])  # fmt: skip
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout + run.stderr, r"Passed: [1-9]\d*/\d+, 0 failed, \d+ warnings")

    def test_scenarios(self):
        for version, scenarios in CLIENT.items():
            for scenario in sorted(scenarios):
                with self.subTest(version=version, scenario=scenario):
                    self.judge(version, scenario)

    def test_the_time_of_a_reconnect(self):
        """The suite measures up to the last GET, so the stream of the session must come before the call."""
        for _ in range(ATTEMPTS):
            with contextlib.suppress(AssertionError):
                return self.judge("2025-11-25", "sse-retry")
        self.judge("2025-11-25", "sse-retry")


if __name__ == "__main__":
    main()
