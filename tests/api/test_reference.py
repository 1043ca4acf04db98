"""The reference of the API can be made from the header, in which no symbol is without a comment.

What Doxygen says about the header as it is counts as much as that it complains where a comment is missing.
"""
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from services import BUILD, SOURCE, finished

HEADER = SOURCE / "iccm_network/include/iccm_network.h"
THERE = shutil.which("doxygen") is not None
if not THERE:
    print("NOT RUN: reference: there is no doxygen")


@unittest.skipUnless(THERE, "no doxygen")
class Reference(unittest.TestCase):
    def make(self, header):
        """Makes the reference of a header; answers what Doxygen complained about, and the pages."""
        directory = Path(tempfile.mkdtemp(prefix="iccm-reference-"))
        self.addCleanup(shutil.rmtree, directory)
        (directory / HEADER.name).write_text(header)
        settings = (BUILD / "docs/Doxyfile").read_text() + (
            f'INPUT = "{directory / HEADER.name}"\nOUTPUT_DIRECTORY = "{directory}"\n')
        (directory / "Doxyfile").write_text(settings)
        result = finished(["doxygen", directory / "Doxyfile"])
        self.assertEqual(result.returncode != 0, result.stderr != "", result.stderr)
        return result.stderr, "".join(page.read_text() for page in (directory / "html").glob("*.html"))

    def test_every_symbol_is_documented(self):
        complaints, pages = self.make(HEADER.read_text())
        self.assertEqual(complaints, "")
        for name in re.findall(r"\bmcp_\w+(?=\()|\bMCP_E\w+(?=,)", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)):
            self.assertIn(name, pages)
        self.assertIn("no address of the host accepted the connection", pages)

    def test_a_symbol_without_a_comment_is_refused(self):
        for added in "int mcp_bare(int number);", "typedef struct mcp_bare {\n  int number;\n} mcp_bare_t;", "#define MCP_BARE 1":
            with self.subTest(added):
                header = HEADER.read_text().replace("\n#ifdef __cplusplus\n}", f"\n{added}\n\n#ifdef __cplusplus\n}}")
                self.assertRegex(self.make(header)[0], r"(?i)mcp_bare.* is not documented")


if __name__ == "__main__":
    unittest.main()
