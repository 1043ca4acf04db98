"""The errors of the library as exceptions: code, name and text are the same as in C."""
from __future__ import annotations

import errno
from typing import Any

from ._native import ffi, lib

TOOL_ERROR = -32000
INTERNAL_ERROR = -32603
INVALID_PARAMS = -32602
_OF_JSON_RPC = range(-32768, -31999)
_OF_TOOLS = range(-32099, -31999)


class McpError(Exception):
    """A function of the library failed, or the peer responded with an error.

    code is a negative number: a system error, an error of the library, or the code of a JSON-RPC error. name is its name
    in C, such as "MCP_ETIMEOUT". data is the data of a JSON-RPC error, or None. str() is the text for people.
    """

    code: int
    data: Any

    def __init__(self, code: int, message: str | None = None, data: Any = None) -> None:
        super().__init__(code, message, data)
        self.code, self.data = code, data
        self._message = message or text_of(code)

    @property
    def name(self) -> str:
        """The name of the code in C, such as "MCP_ETIMEOUT"; "" if it has none."""
        name = lib.pymcp_error_name(self.code)
        return ffi.string(name).decode() if name else errno.errorcode.get(-self.code, "")

    def __str__(self) -> str:
        return self._message


class ToolError(McpError):
    """A tool failed. A tool raises it, with a message for its caller; a client's call raises it for the caller.

    The message must not contain paths, SQL or secrets. code is MCP_TOOL_ERROR, another one from -32000 to -32099, or, if
    the arguments are wrong, -32602. data is any JSON value that a program at the other end can use.
    """

    def __init__(self, message: str, code: int = TOOL_ERROR, data: Any = None) -> None:
        if code not in _OF_JSON_RPC:
            raise ValueError(f"invalid code {code}: expected a JSON-RPC code, such as -32000")
        super().__init__(code, message, data)
        self.args = (message, code, data)


def text_of(code: int) -> str:
    """The library's text of a code."""
    return ffi.string(lib.mcp_strerror(code)).decode()


def last_error(code: int) -> McpError:
    """The error of a function that sets mcp_last_error()."""
    return McpError(code, ffi.string(lib.mcp_last_error()).decode(errors="replace"))


def check(status: int) -> None:
    """Raises the error of a function that has failed."""
    if status != 0:
        raise McpError(status)


def of_result(status: int, is_error: bool, message: str | None, data: Any) -> McpError:
    """The error of a request that has ended."""
    if is_error or status in _OF_TOOLS:
        return ToolError(message or text_of(TOOL_ERROR), status or TOOL_ERROR, data)
    return McpError(status, message, data)
