"""`iccm trace`: a request through two real components, as a tree."""
import json
import uuid

from fake_server import FakeServer, mcp, text_result
from services import BUILD, System, main, wait_until
from test_program import OK, TOOL, UNREACHABLE, USAGE, Case, free_port, iccm

RELAY = BUILD / "tests/system/relay"


class Trace(Case):
    def component(self, system, name, *arguments):
        program = system.add(name, RELAY, name, 0, *arguments)
        system.programs.insert(0, system.programs.pop())  # stopped before the programs that it ships logs to
        program.environment = system.settings | {"LOGGING_ENABLED": "true", "GODOT_URL": system.godot_url}
        return f"ws://127.0.0.1:{program.start().port()}"

    def test_two_components(self):
        with System().start() as system:
            for name in "first", "second":
                self.assertEqual(
                    iccm("call", system.godot_url, "logger_set_level", f"component={name}", "level=TRACE").code, OK)
            first = self.component(system, "first", self.component(system, "second"))

            def whole():
                """The trace of a new request, once both components log at TRACE."""
                trace = f"t-{uuid.uuid4()}"
                self.assertEqual(iccm("call", "--trace", trace, first, "ask", "subject=one").code, OK)

                def rows():
                    tree = json.loads(iccm("trace", "--json", trace, system.godot_url).out)
                    return tree if len(tree["calls"]) == 2 and len(tree["lines"]) >= 2 else None

                tree = wait_until(rows, "both components' lines")
                return tree if [call["outcome"] for call in tree["calls"]] == ["ok", "ok"] else None

            tree = wait_until(whole, "calls at TRACE")
            outer, inner = tree["calls"]
            self.assertEqual([(call["component"], call["tool"], call["depth"]) for call in tree["calls"]],
                             [("first", "ask", 0), ("second", "work", 1)])
            self.assertEqual(inner["parent_span_id"], outer["span_id"])
            self.assertGreaterEqual(outer["duration_ms"], inner["duration_ms"])
            outcome = iccm("trace", tree["trace_id"], env={"GODOT_URL": system.godot_url})
            self.assertEqual((outcome.code, outcome.err), (OK, ""))
            self.assertRegex(outcome.out, r"(?m)^ +\+0\.\d{3} ms +\d+\.\d{3} ms  first: ask  ok$")
            self.assertRegex(outcome.out, r"(?m)^ +\+\d+\.\d{3} ms +\d+\.\d{3} ms    second: work  ok$")
            self.assertRegex(outcome.out, r"(?m)^ +\+\d+\.\d{3} ms {19}INFO asks for one")
            outcome = iccm("trace", "nobody's", system.godot_url)
            self.assertEqual((outcome.code, outcome.out), (USAGE, ""))
            self.assertIn("no log lines of trace nobody's", outcome.err)

    def test_failures(self):
        with FakeServer(mcp(lambda _method, _params: text_result("away") | {"isError": True})) as peer:
            self.expect(iccm("trace", "t", peer.url), TOOL, "away")
        self.expect(iccm("trace", "t", f"ws://127.0.0.1:{free_port()}"), UNREACHABLE)


if __name__ == "__main__":
    main()
