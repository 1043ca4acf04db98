#!/usr/bin/python3
"""Holds the includes of the C sources against the tables of docs/overview.md, and draws the layers there.

usage: docs/layers.py [--write]

Happy path: each folder of the library has a table in docs/overview.md under a heading with its name. The folders stand in
the order of their layers, the lowest first, and so do the modules in each table: a module includes what stands above it and
nothing else. A row may name several modules, which are one with several files. Programs have tables, too, and include the
public headers of the library; modules that see more are named below. Without --write a wrong include, a module without a
row, a row without a module or an outdated picture is reported, and the exit status is 1; with --write the picture is drawn anew.
"""
import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
PAGE = SOURCE / "docs/overview.md"
LIBRARY = "iccm_network"
LAYERS = ["base", "schema", "mcp", "transport", "client", "server"]
PUBLIC = ["iccm_network.h", "iccm_service.h"]
# Programs, and what each of them may include besides its own modules and the public headers.
PROGRAMS = {
    "iccm_network/cli": [], "iccm_network/bindings/node/addon": [], "iccm_network/bindings/python": [], "godot": [], "examples/stores": [], "examples/dewey": ["examples/stores"],
    "examples/horace": ["examples/stores"]}
# Modules of iccm that look below the public header, because they show details that it hides.
LOOK_BELOW = re.compile(r"doctor\w*|listen\w*|raw_\w+|fetch|token|bridge\w*|apply_schema")
BEGIN, END = "<!-- made by docs/layers.py --write -->\n", "<!-- end -->\n"
HEADING = re.compile(r"^#{2,3} (.*)$")
ROW = re.compile(r"^\| ((?:`\w+(?:\.h)?`(?:, )?)+) \|")
INCLUDE = re.compile(r'^#include ["<]([\w./]+\.h)[">]', re.MULTILINE)


def tables(text, folders):
    """The rows below each folder's heading, in order: {folder: [{module, …}, …]}."""
    found, folder, listed = {}, None, False
    for line in text.splitlines():
        if heading := HEADING.match(line):
            name = heading[1].strip("`").lower()
            folder = next((each for each in folders if name == each.split("/")[-1] or (name == "iccm" and each.endswith("/cli"))), None)
        elif line.startswith("|"):
            listed = listed or line.startswith("| module ")
        else:
            listed = False
        if folder and listed and (row := ROW.match(line)):
            found.setdefault(folder, []).append({word.removesuffix(".h") for word in re.findall(r"`([\w.]+)`", row[1])})
    return found


def modules(folder):
    """{module: its files}"""
    found = {}
    for path in sorted(folder.glob("*.[ch]")):
        found.setdefault(path.stem, []).append(path)
    return found


def included(files):
    return {name for path in files for name in INCLUDE.findall(path.read_text())}


def place(rows, module):
    return next((at for at, row in enumerate(rows) if module in row), None)


def check_rows(folder, rows, there):
    named = set().union(*rows) if rows else set()
    yield from (f"{folder}/{module}: has no row in {PAGE.name}" for module in sorted(there.keys() - named))
    yield from (f"{folder}: {PAGE.name} has a row for {module}, which does not exist" for module in sorted(named - there.keys()))


def check_sideways(folder, rows, module, other):
    own, theirs = place(rows, module), place(rows, other)
    if None not in (own, theirs) and theirs > own:
        yield f"{folder}/{module} includes {other}, which stands below it in {PAGE.name}"


def check_library(source, found):
    for layer in LAYERS:
        folder, rows = f"{LIBRARY}/{layer}", found.get(f"{LIBRARY}/{layer}", [])
        there = modules(source / folder)
        yield from check_rows(folder, rows, there)
        for module, files in there.items():
            for name in included(files):
                other, _, stem = name.removesuffix(".h").rpartition("/")
                if other == layer:
                    yield from check_sideways(folder, rows, module, stem)
                elif other in LAYERS and LAYERS.index(other) > LAYERS.index(layer):
                    yield f"{folder}/{module} includes {name}: a layer above"


def check_programs(source, found):
    for folder in PROGRAMS:
        there, rows = modules(source / folder), found.get(folder, [])
        yield from check_rows(folder, rows, there)
        for module, files in there.items():
            for name in included(files):
                if name.split("/")[0] in LAYERS and not (folder.endswith("/cli") and LOOK_BELOW.fullmatch(module)):
                    yield f"{folder}/{module} includes {name}, which is the library's own"
                elif name.removesuffix(".h") in there:
                    yield from check_sideways(folder, rows, module, name.removesuffix(".h"))


def edges(source):
    """(from, to) for each layer and program that includes another."""
    found = set()
    for layer in LAYERS:
        for files in modules(source / LIBRARY / layer).values():
            found |= {(layer, name.split("/")[0]) for name in included(files) if name.split("/")[0] in LAYERS}
    for folder, libraries in PROGRAMS.items():
        own = folder.split("/")[-1]
        for files in modules(source / folder).values():
            names = included(files)
            found |= {(own, "public headers") for name in names if name in PUBLIC}
            found |= {(own, name.split("/")[0]) for name in names if name.split("/")[0] in LAYERS}
            found |= {(own, each.split("/")[-1]) for each in libraries if names & {path.name for path in (source / each).glob("*.h")}}
    return sorted((a, b) for a, b in found if a != b)


def reduced(pairs):
    """Without those that follow from others."""
    def reaches(a, b, without):
        seen, left = set(), [a]
        while left:
            at = left.pop()
            for each in (y for x, y in pairs if x == at and (x, y) != without):
                if each == b:
                    return True
                if each not in seen:
                    seen.add(each)
                    left.append(each)
        return False

    return [(a, b) for a, b in pairs if not reaches(a, b, (a, b))]


def picture(source):
    lines = ["```mermaid", "graph TD"]
    lines += [f'  {a.replace(" ", "_")}["{a}"] --> {b.replace(" ", "_")}["{b}"]' for a, b in reduced(edges(source))]
    return "\n".join(lines + ["```", ""])


def with_picture(text, source):
    before, rest = text.split(BEGIN)
    return before + BEGIN + picture(source) + END + rest.split(END, 1)[1]


def problems(source=SOURCE):
    """One line each; none where all is well."""
    text = (source / "docs/overview.md").read_text()
    found = tables(text, [f"{LIBRARY}/{layer}" for layer in LAYERS] + list(PROGRAMS))
    yield from check_library(source, found)
    yield from check_programs(source, found)
    if text != with_picture(text, source):
        yield f"{PAGE.name}: the picture is outdated: docs/layers.py --write draws it anew"


def main():
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(with_picture(PAGE.read_text(), SOURCE))
        return 0
    found = list(problems())
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
