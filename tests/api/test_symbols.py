"""The shared library exports what the header declares, what symbols.txt lists, and nothing else.

symbols.txt is what users' programs are linked against: a name that goes from it breaks them, so a change of it is
deliberate.
"""
import os
import re
import unittest
from pathlib import Path

from services import SOURCE, finished

LISTED = set((Path(__file__).parent / "symbols.txt").read_text().split())


HEADER = (SOURCE / "iccm_network/include/iccm_network.h").read_text()


def declared():
    """The functions of the header: names in front of a parenthesis, without comments, macros and callback types."""
    text = HEADER
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^#.*(\\\n.*)*$", "", text, flags=re.M)
    return set(re.findall(r"\b(mcp_\w+)\(", text))


def exported():
    result = finished(["nm", "-D", "--defined-only", os.environ["TEST_LIBRARY"]])
    assert result.returncode == 0, result.stderr
    symbols = (line.split() for line in result.stdout.splitlines())
    return {(kind, name.split("@")[0]) for _, kind, name in symbols if kind != "A"}


class Symbols(unittest.TestCase):
    def test_header_declares_what_is_listed(self):
        self.assertEqual(declared(), LISTED)

    def test_library_exports_what_is_listed_and_functions_alone(self):
        self.assertEqual(exported(), {("T", name) for name in LISTED})

    def test_errors_have_names_of_the_header(self):
        self.assertEqual(re.findall(r"UV_E\w+", HEADER), [])
        defined = set(re.findall(r"^  X\((MCP_E\w+), ", HEADER, re.M))
        self.assertIn("MCP_EINVAL", defined)
        # "MCP_ERROR_MAP" and what it is made of are macros
        named = {name for name in re.findall(r"\bMCP_E\w+", HEADER) if not name.startswith("MCP_ERROR_")}
        self.assertEqual(named, defined)


if __name__ == "__main__":
    unittest.main()
