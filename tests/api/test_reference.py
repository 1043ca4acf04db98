"""The API reference is generated from the headers, and every symbol has a comment.

Doxygen accepts the headers, and it does complain if a comment is missing.
"""
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from services import BUILD, SOURCE, run_program

HEADERS = {path.name: path.read_text() for path in (SOURCE / "iccm_network/include").glob("*.h")}
THERE = shutil.which("doxygen") is not None
if not THERE:
    print("NOT RUN: reference: there is no doxygen")


@unittest.skipUnless(THERE, "no doxygen")
class Reference(unittest.TestCase):
    def make(self, headers):
        """Makes the reference of the headers; answers what Doxygen complained about, and the pages."""
        directory = Path(tempfile.mkdtemp(prefix="iccm-reference-"))
        self.addCleanup(shutil.rmtree, directory)
        for name, text in headers.items():
            (directory / name).write_text(text)
        settings = (BUILD / "docs/Doxyfile").read_text() + (
            f'INPUT = "{directory}"\nOUTPUT_DIRECTORY = "{directory}"\n')
        (directory / "Doxyfile").write_text(settings)
        result = run_program(["doxygen", directory / "Doxyfile"])
        self.assertEqual(result.returncode != 0, result.stderr != "", result.stderr)
        return result.stderr, "".join(page.read_text() for page in (directory / "html").glob("*.html"))

    def test_every_symbol_is_documented(self):
        complaints, pages = self.make(HEADERS)
        self.assertEqual(complaints, "")
        code = re.sub(r"/\*.*?\*/", "", "".join(HEADERS.values()), flags=re.S)
        for name in re.findall(r"\bmcp_\w+(?=\()|\bMCP_E\w+(?=,)", code):
            self.assertIn(name, pages)
        self.assertIn("no address of the host accepted the connection", pages)

    def test_a_symbol_without_a_comment_is_refused(self):
        for added in "int mcp_bare(int number);", "typedef struct mcp_bare {\n  int number;\n} mcp_bare_t;", "#define MCP_BARE 1":
            with self.subTest(added):
                for name, text in HEADERS.items():
                    changed = text.replace("\n#ifdef __cplusplus\n}", f"\n{added}\n\n#ifdef __cplusplus\n}}")
                    self.assertRegex(self.make(HEADERS | {name: changed})[0], r"(?i)mcp_bare.* is not documented")


if __name__ == "__main__":
    unittest.main()
