"""JSON text from and to Python values: compact, UTF-8, without NaN, dataclasses and pydantic models included."""
from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Set
from typing import Any

from ._native import ffi

_scan = json.JSONDecoder().scan_once


def _plain(value: Any) -> Any:
    """What stands in JSON for a value that json does not know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if hasattr(value, "model_dump"):  # pydantic 2
        return value.model_dump(mode="json")
    if hasattr(value, "__fields__") and hasattr(value, "json"):  # pydantic 1
        return json.loads(value.json())
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return list(value)
    raise TypeError(f"a value of type {type(value).__name__} is not JSON")


_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


def dumps(value: Any) -> bytes:
    """The JSON text of a value. Raises TypeError, ValueError (also for half a surrogate pair) or RecursionError."""
    return _encode(value).encode()


def loads(text: Any, length: int) -> Any:
    """The value of JSON text of the library, which is valid and has no white space around it."""
    return _scan(ffi.unpack(text, length).decode(), 0)[0]
