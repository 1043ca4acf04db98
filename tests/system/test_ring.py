"""A request through components in C, Python, Node and C again: one trace, which `iccm trace` shows as a tree."""
import json
import unittest
import uuid

from services import BUILD, PROGRAMS, System, main, run_program, wait_until

RELAY, PYTHON, NODE = BUILD / "tests/system/relay", BUILD / "tests/python/ring", BUILD / "tests/node/servers/ring"


NO_LINES = 1  # yet


def iccm(*words, codes=(0,)):
    ended = run_program([PROGRAMS["iccm"], *words])
    assert ended.returncode in codes, ended.stderr
    return ended.stdout


class Ring(unittest.TestCase):
    def component(self, system, name, *command):
        program = system.add(name, *command)
        system.programs.insert(0, system.programs.pop())  # stopped before the programs that it ships logs to
        program.environment = system.settings | {"LOGGING_ENABLED": "true", "GODOT_URL": system.godot_url}
        return f"ws://127.0.0.1:{program.start().port()}"

    def test_one_trace_through_three_languages(self):
        names = ["first", "in-python", "in-node", "last"]
        with System().start() as system:
            for name in names:
                iccm("call", system.godot_url, "logger_set_level", f"component={name}", "level=TRACE")
            last = self.component(system, "last", RELAY, "last", 0)
            node = self.component(system, "in-node", NODE, "in-node", 0, last)
            python = self.component(system, "in-python", PYTHON, "in-python", 0, node)
            first = self.component(system, "first", RELAY, "first", 0, python)

            def whole():
                """The trace of a new request, once all components log at TRACE."""
                trace = f"t-{uuid.uuid4()}"
                answer = json.loads(iccm("call", "--json", "--trace", trace, first, "ask", "subject=one"))
                self.assertEqual(answer, {"subject": "one"})

                def rows():
                    tree = json.loads(iccm("trace", "--json", trace, system.godot_url, codes=(0, NO_LINES)))
                    return tree if len(tree.get("calls", [])) == 4 and len(tree["lines"]) >= 4 else None

                tree = wait_until(rows, "the lines of all components")
                return tree if [call["outcome"] for call in tree["calls"]] == ["ok"] * 4 else None

            tree = wait_until(whole, "calls at TRACE")
            calls = tree["calls"]
            self.assertEqual([(call["component"], call["depth"]) for call in calls], list(zip(names, range(4))))
            for outer, inner in zip(calls, calls[1:]):
                self.assertEqual(inner["parent_span_id"], outer["span_id"])
            spans = {call["span_id"]: call["component"] for call in calls}
            rows = [each["line"] for each in tree["lines"]]
            notes = {row["component"]: row for row in rows if row["message"] in ("asks for one", "passes on one", "works on one")}
            self.assertEqual(set(notes), set(names))
            for name, row in notes.items():
                self.assertEqual(spans[row["data"]["span_id"]], name, "a line belongs to the call of its component")


if __name__ == "__main__":
    main()
