"""docs/migration.md: its Python program on the package, called as the one in C is, and the lines of networking that it counts."""
import os
import re
import unittest

from caller import CallError, Caller
from program import PACKAGES
from services import SOURCE, AsyncTestCase, ProgramGroup, SingleServer, main

PAGE = (SOURCE / "docs/migration.md").read_text()
PRELOAD = os.environ.get("TEST_PRELOAD", "")


def program(name):
    """On the package; the page has an older one of the same name."""
    blocks = re.findall(rf"^```python\n(# {name}: .*?)^```$", PAGE, re.M | re.S)
    (text,) = [block for block in blocks if "iccm_network" in block]
    return text


class Program(AsyncTestCase):
    async def test_a_class_with_a_table_of_tools(self):
        place = self.enterContext(ProgramGroup(SHELF_PORT=0, PYTHONPATH=PACKAGES[0], LD_PRELOAD=PRELOAD, ASAN_OPTIONS="detect_leaks=0"))
        (place.directory / "shelf.py").write_text(program("shelf.py"))
        shelf = place.add("shelf", "/usr/bin/python3", place.directory / "shelf.py").start()
        async with Caller(f"ws://127.0.0.1:{shelf.port()}") as caller:
            answer = await caller.request("tools/call", {"name": "shelf_add", "arguments": {"title": "a"}})
            self.assertRegex(answer["result"]["content"][0]["text"], r'^\{\n  "book_id": "[0-9a-f-]{36}"\n\}$')
            for arguments, code, data in (({"title": "a"}, -32000, {"error_code": "DUPLICATE"}), ({"titel": "b"}, -32602, None)):
                with self.assertRaises(CallError) as caught:
                    await caller.call("shelf_add", arguments)
                self.assertEqual((caught.exception.code, caught.exception.data), (code, data))

    async def test_the_one_in_python(self):
        text = program("notes.py")
        echo = self.enterContext(SingleServer("echo", "0"))
        place = self.enterContext(ProgramGroup(
            NOTES_PORT=0, REVIEW_URL=echo.url, PYTHONPATH=PACKAGES[0], LD_PRELOAD=PRELOAD, ASAN_OPTIONS="detect_leaks=0"))
        place.settings["NOTES_FILE"] = str(place.directory / "notes.txt")
        (place.directory / "notes.py").write_text(text)
        notes = place.add("notes", "/usr/bin/python3", place.directory / "notes.py").start()
        async with Caller(f"ws://127.0.0.1:{notes.port()}") as caller:
            note = {"text": "the first note"}
            self.assertEqual(await caller.call("note_add", note), {"stored": True})
            self.assertEqual((place.directory / "notes.txt").read_text(), "the first note\n")
            self.assertEqual(await caller.call("note_review", note), note)
            for tool, arguments, code in (("note_add", {}, -32602), ("main", {}, -32601), ("env", {}, -32601)):
                with self.assertRaises(CallError) as caught:
                    await caller.call(tool, arguments)
                self.assertEqual(caught.exception.code, code)


class Lines(unittest.TestCase):
    def test_after(self):
        ((calls, others),) = re.findall(r"grep -E '(.*)' \| grep -vcE '(.*)'$", PAGE, re.M)
        (of_python,) = re.findall(r"examples/fiedler/\*\.py` those that match `(.*)`\.", PAGE)

        def count(pattern, wanted, unwanted="^$"):
            lines = [line for path in SOURCE.glob(pattern) for line in path.read_text().splitlines()]
            return str(sum(bool(re.search(wanted, line)) and not re.search(unwanted, line) for line in lines))

        after = dict(re.findall(r"^\| (\w+)'s server \| \d+ \| (\d+) \|", PAGE, re.M))
        self.assertEqual(after, {
            "Dewey": count("examples/dewey/*.c", calls, others), "Horace": count("examples/horace/*.c", calls, others),
            "Godot": count("godot/*.c", calls, others), "Fiedler": count("examples/fiedler/*.py", of_python)})


if __name__ == "__main__":
    main()
