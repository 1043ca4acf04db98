"""One line to the library's log: stderr, and Godot while a server runs. Any thread."""
from __future__ import annotations

import sys
from typing import Any

from . import _json
from ._loop import is_forked
from ._native import ffi, lib

LEVELS = {
    "TRACE": lib.MCP_LOG_TRACE,
    "DEBUG": lib.MCP_LOG_DEBUG,
    "INFO": lib.MCP_LOG_INFO,
    "WARN": lib.MCP_LOG_WARN,
    "ERROR": lib.MCP_LOG_ERROR,
}


def enabled(level: int) -> bool:
    """Whether a line of this level goes anywhere."""
    return bool(lib.mcp_log_enabled(level))


def write(level: int, part: str, message: str, data: Any = None, span: bytes | None = None) -> None:
    """Writes a line; span is that of the call that it belongs to. Data that is not JSON becomes its repr()."""
    if is_forked():  # the library's thread, which writes the lines, has stayed in the parent
        print(f"{part}: {message}", file=sys.stderr)
        return
    text = message.encode(errors="replace")
    more = ffi.NULL if data is None else _data(data)
    where = ffi.NULL if span is None else ffi.from_buffer("mcp_span_t *", span)
    lib.mcp_log_text(level, part.encode(errors="replace"), where, text, len(text), more, len(more) if more else 0)


def _data(data: Any) -> bytes:
    try:
        return _json.dumps(data)
    except (TypeError, ValueError, RecursionError):
        return _json.dumps(repr(data).encode(errors="replace").decode())
