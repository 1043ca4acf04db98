"""The layers of the source: docs/layers.py checks them against docs/overview.md, and it detects violations."""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from services import SOURCE, main

sys.path.insert(0, str(SOURCE / "docs"))
import layers  # noqa: E402


class Layers(unittest.TestCase):
    def test_each_include_leads_down(self):
        self.assertEqual(list(layers.problems()), [])


class Copy(unittest.TestCase):
    """A copy of the sources, in which one thing is wrong."""

    def setUp(self):
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        for folder in ["docs", *(f"iccm_network/{layer}" for layer in layers.LAYERS), *layers.PROGRAMS]:
            shutil.copytree(SOURCE / folder, self.place / folder, dirs_exist_ok=True)

    def expect(self, problem):
        self.assertEqual(list(layers.problems(self.place)), [problem])

    def include(self, file, header):
        path = self.place / file
        path.write_text(f'#include "{header}"\n' + path.read_text())

    def test_a_layer_above(self):
        self.include("iccm_network/base/buf.c", "server/pool.h")
        found = list(layers.problems(self.place))
        self.assertIn("iccm_network/base/buf includes server/pool.h: a layer above", found)

    def test_a_module_below_in_the_table(self):
        self.include("iccm_network/server/pool.h", "server/conn.h")
        self.expect("iccm_network/server/pool includes conn, which stands below it in overview.md")

    def test_modules_below_in_the_tables_of_programs(self):
        self.include("godot/spool_control.c", "sender.h")
        self.include("iccm_network/cli/print.c", "table.h")
        self.assertEqual(sorted(layers.problems(self.place)),
                         ["godot/spool_control includes sender, which stands below it in overview.md",
                          "iccm_network/cli/print includes table, which stands below it in overview.md"])

    def test_a_service_that_looks_below_the_public_header(self):
        self.include("godot/levels.c", "base/buf.h")
        found = list(layers.problems(self.place))
        self.assertIn("godot/levels includes base/buf.h, which is the library's own", found)

    def test_a_module_without_a_row(self):
        (self.place / "iccm_network/mcp/news.c").write_text("")
        self.expect("iccm_network/mcp/news: has no row in overview.md")

    def test_a_row_without_a_module(self):
        (self.place / "iccm_network/mcp/ids.c").unlink()
        (self.place / "iccm_network/mcp/ids.h").unlink()
        self.expect("iccm_network/mcp: overview.md has a row for ids, which does not exist")


if __name__ == "__main__":
    main()
