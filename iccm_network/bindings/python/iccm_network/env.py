"""Settings of a program from environment variables, as all components read them.

A variable that is unset or empty has its default. A value that cannot be read raises McpError (MCP_EENV), and the log has
a line that names the variable, its value and the allowed values: let the program end.
"""
from __future__ import annotations

import builtins

from ._errors import check
from ._native import ffi, lib

__all__ = ["bool", "check_names", "data_path", "directories", "int", "text"]
_PATH_SIZE = 4096


def int(name: str, default: builtins.int, min: builtins.int, max: builtins.int) -> builtins.int:
    """A whole number from min to max."""
    out = ffi.new("int64_t *")
    check(lib.mcp_env_int(name.encode(), default, min, max, out))
    return out[0]


def bool(name: str, default: builtins.bool) -> builtins.bool:
    """A boolean: 0, 1, true, false, yes, no, on or off, in upper or lower case."""
    out = ffi.new("bool *")
    check(lib.mcp_env_bool(name.encode(), default, out))
    return out[0]


def text(name: str, default: str | None = None) -> str | None:
    """A text."""
    found = lib.mcp_env_text(name.encode(), ffi.NULL)
    return ffi.string(found).decode(errors="surrogateescape") if found else default


def directories(name: str) -> list[str]:
    """Absolute paths, which the variable separates by colons."""
    out = ffi.new("const char **")
    check(lib.mcp_env_directories(name.encode(), out))
    return [each for each in ffi.string(out[0]).decode(errors="surrogateescape").split(":") if each]


def data_path(name: str, file: str) -> str:
    """The path of a file that the program stores: the variable, or the file in the data directory ICCM_DATA (./data).

    The data directory is created if it does not exist.
    """
    path = ffi.new("char[]", _PATH_SIZE)
    check(lib.mcp_env_data_path(name.encode(), file.encode(), path, _PATH_SIZE))
    return ffi.string(path).decode(errors="surrogateescape")


def check_names() -> None:
    """Logs a warning for each variable that looks like a misspelt one (ICCM_AUTH_TOKN). A Server does this, too."""
    lib.mcp_env_check()
