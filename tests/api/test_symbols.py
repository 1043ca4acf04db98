"""The shared library exports exactly the symbols of its version script, and a header declares each with MCP_EXPORT.

Programs are linked against the version script: removing a name breaks them, so its changes must be deliberate.
"""
import os
import re
import unittest

from services import SOURCE, run_program

HEADERS = {path.name: path.read_text() for path in (SOURCE / "iccm_network/include").glob("*.h")}
LISTED = re.findall(r"^  (\w+);$", (SOURCE / "iccm_network/iccm_network.map").read_text(), re.M)


def declared():
    """The functions of the headers: names in front of a parenthesis, without comments, macros and callback types; and
    whether MCP_EXPORT stands in front."""
    for text in HEADERS.values():
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        text = re.sub(r"^#.*(\\\n.*)*$", "", text, flags=re.M)
        for statement in re.split(r"[;{}]", text):
            for name in re.findall(r"\b(mcp_\w+)\(", statement):
                yield name, statement.split()[0] == "MCP_EXPORT"


def exported():
    result = run_program(["nm", "-D", "--defined-only", os.environ["TEST_LIBRARY"]])
    assert result.returncode == 0, result.stderr
    symbols = (line.split() for line in result.stdout.splitlines())
    return {(kind, name.split("@")[0]) for _, kind, name in symbols if kind != "A"}


class Symbols(unittest.TestCase):
    def test_headers_declare_what_is_listed(self):
        self.assertEqual(sorted(declared()), [(name, True) for name in LISTED], "sorted, each name once")

    def test_library_exports_what_is_listed_and_functions_alone(self):
        self.assertEqual(exported(), {("T", name) for name in LISTED})

    def test_no_other_function_is_visible(self):
        """Not even to programs that the static library is linked into, and which export their own."""
        result = run_program(["readelf", "--symbols", "--wide", os.environ["TEST_STATIC_LIBRARY"]])
        assert result.returncode == 0, result.stderr
        visible = re.findall(r"(?:GLOBAL|WEAK) +DEFAULT +\d+ (\w+)$", result.stdout, re.M)
        self.assertEqual(set(visible), set(LISTED))

    def test_errors_have_names_of_the_header(self):
        text = "".join(HEADERS.values())
        self.assertEqual(re.findall(r"UV_E\w+", text), [])
        defined = set(re.findall(r"^  X\((MCP_E\w+), ", text, re.M))
        self.assertIn("MCP_EINVAL", defined)
        named = {name for name in re.findall(r"\bMCP_E\w+", text) if not name.startswith(("MCP_ERROR_", "MCP_EXPORT"))}
        self.assertEqual(named, defined)


if __name__ == "__main__":
    unittest.main()
