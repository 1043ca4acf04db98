"""`iccm dead` with invalid arguments, and with fake servers that are not Godot or return malformed results. The test with a
real Godot is tests/godot/test_worker.py."""
import json

from fake_server import Response, FakeServer, mcp, text_result
from services import free_port, main
from test_program import OK, PROTOCOL, TOOL, UNREACHABLE, USAGE, Case, iccm

LETTER = {"at": "2026-11-21T07:24:07.123456Z", "reason": "odd", "entry": '{"id":"1"}', "id": "1"}


def godot(answer_of):
    """A fake server whose tools return answer_of(tool, arguments)."""
    asked = []

    def answer(_method, params):
        asked.append((params["name"], params["arguments"]))
        return text_result(answer_of(*asked[-1]))

    return FakeServer(mcp(answer)), asked


class Words(Case):
    def test_wrong(self):
        for words in ((), ("lost",), ("list", "0"), ("list", "3x"), ("list", "-1"), ("replay", "1000001"),
                      ("list", "1", "ws://127.0.0.1:1", "x"), ("list", "ws://127.0.0.1:1", "1"), ("discard", "ftp://x"),
                      ("discard", "99999999999999999999"), ("list", "--follow")):
            with self.subTest(words):
                self.expect(iccm("dead", *words), USAGE)

    def test_number_and_address(self):
        peer, asked = godot(lambda _tool, _arguments: {"discarded": 1})
        with peer:
            for words in (("7", peer.url), ("7", peer.url.removeprefix("ws://")), (peer.url,)):
                self.assertEqual(iccm("dead", "discard", *words).code, OK)
            self.assertEqual(iccm("dead", "discard", "7", env={"GODOT_URL": peer.url}).code, OK)
        some, every = ("godot_dead_discard", {"limit": 7}), ("godot_dead_discard", {})
        self.assertEqual(asked, [some, some, every, some])


class OddPeers(Case):
    def test_no_godot(self):
        for code in (-32601, -32602):
            def unknown(_method, _params, code=code):
                raise Response({"code": code, "message": "unknown tool: godot_dead_list"})

            with self.subTest(code), FakeServer(mcp(unknown)) as peer:
                outcome = iccm("dead", "list", peer.url)
                self.expect(outcome, PROTOCOL, "unknown tool", "not a Godot server, or one without this tool")
                error = self.expect_json_error(iccm("dead", "list", "--json", peer.url), PROTOCOL)
                self.assertIn("not a Godot server", error["message"])
        self.expect(iccm("dead", "list", f"ws://127.0.0.1:{free_port()}"), UNREACHABLE)

    def test_a_tool_that_fails(self):
        with FakeServer(mcp(lambda _method, _params: text_result("queue unavailable") | {"isError": True})) as peer:
            for verb in ("list", "replay", "discard"):
                self.expect(iccm("dead", verb, peer.url), TOOL, "queue unavailable")

    def test_answers_of_another_shape(self):
        for value in ({}, 7, "text", {"letters": []}, {"total": 1, "letters": {}}, {"total": "1", "letters": []}):
            peer, _ = godot(lambda _tool, _arguments, value=value: value)
            with self.subTest(value), peer:
                for verb in ("list", "replay", "discard"):
                    self.expect(iccm("dead", verb, peer.url), PROTOCOL, "unexpected form")
        peer, _ = godot(lambda _tool, _arguments: {"total": 3, "letters": [7, None, {}]})
        with peer:
            outcome = iccm("dead", "list", peer.url)
            self.assertEqual((outcome.code, len(outcome.out.splitlines())), (OK, 3), outcome)

    def test_pages(self):
        def page(_tool, arguments):
            offset = arguments.get("offset", 0)
            return {"total": 250, "letters": [LETTER] * min(60, 250 - offset, arguments["limit"])}

        peer, asked = godot(page)
        with peer:
            self.assertEqual(len(iccm("dead", "list", "--json", peer.url).out.splitlines()), 250)
            self.assertEqual([arguments.get("offset", 0) for _, arguments in asked], [0, 60, 120, 180, 240])
            asked.clear()
            outcome = iccm("dead", "list", "130", peer.url)
            self.assertEqual([arguments["limit"] for _, arguments in asked], [100, 70, 10])
            self.assertEqual(outcome.out.splitlines(), ['2026-11-21 07:24:07.123 odd: {"id":"1"}'] * 130)
            self.assertIn("120 more", outcome.err)

    def test_pages_without_end(self):
        peer, asked = godot(lambda _tool, _arguments: {"total": len(asked) + 1, "letters": [LETTER]})
        with peer:
            self.assertNotEqual(iccm("dead", "list", "--timeout", "0.5", peer.url).code, OK)
        peer, _ = godot(lambda _tool, _arguments: {"total": 9, "letters": []})
        with peer:
            self.assertEqual(iccm("dead", "list", peer.url).code, OK)

    def test_what_letters_hold_cannot_move_the_cursor(self):
        evil = "\x1b]0;title\x07\x9b2J\u202e\nx"
        peer, _ = godot(lambda _tool, _arguments: {"total": 1, "letters": [{"at": evil, "reason": evil, "entry": evil}]})
        with peer:
            outcome = iccm("dead", "list", peer.url)
            self.assertEqual(outcome.out.count("\n"), 1)
            for character in "\x1b\x07\x9b\u202e":
                self.assertNotIn(character, outcome.out)
            self.assertEqual(json.loads(iccm("dead", "list", "--json", peer.url).out)["reason"], evil)


if __name__ == "__main__":
    main()
