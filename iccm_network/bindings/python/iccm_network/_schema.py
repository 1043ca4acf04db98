"""The JSON Schema of a function's arguments from its type hints, and how arguments become what the hints say."""
from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import json
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

Convert = Callable[[Any], Any]
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null", None: "null"}
_LISTS = {list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection}
_SETS = {set, frozenset, collections.abc.Set}
_DICTS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}


class Kind(NamedTuple):
    """A type: its schema, and what makes its values from JSON; None if they are the JSON values."""

    schema: dict[str, Any]
    convert: Convert | None = None


class Arguments(NamedTuple):
    """The arguments of a function."""

    schema: dict[str, Any]
    optional: frozenset[str]  # that have a default
    names: frozenset[str] | None  # that it accepts; None: any, it has **kwargs
    convert: dict[str, Convert]


def of_function(fn: Callable[..., Any], schema: dict[str, Any] | None) -> Arguments:
    """The arguments of a function, by its hints, or by a schema. Raises TypeError where a schema must be given."""
    parameters = _parameters(fn)
    named = [each for each in parameters if each.kind is not each.VAR_KEYWORD]
    names = frozenset(each.name for each in named) if len(named) == len(parameters) else None
    optional = frozenset(each.name for each in named if each.default is not each.empty)
    if schema is not None:
        return Arguments(schema, optional, names, {})
    hints = _hints(fn)
    properties, convert, shared = {}, {}, {}
    for each in named:
        kind = _of_parameter(fn, each, hints.get(each.name, Any), shared)
        properties[each.name] = kind.schema
        if kind.convert is not None:
            convert[each.name] = kind.convert
    required = [name for name in properties if name not in optional]
    made = {"type": "object", "properties": properties} | ({"required": required} if required else {}) | shared
    return Arguments(made, optional, names, convert)


def _parameters(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    found = list(inspect.signature(fn).parameters.values())
    for each in found:
        if each.kind in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL):
            raise TypeError(f"{_name(fn)}: the parameter {each.name} cannot be passed by name")
    return found


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    target = fn if inspect.isroutine(fn) else type(fn).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as error:
        raise TypeError(f"{_name(fn)}: cannot resolve its type hints ({error}): import the name, or give schema=") from None


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _of_parameter(fn: Callable[..., Any], parameter: inspect.Parameter, hint: Any, shared: dict[str, Any]) -> Kind:
    optional = parameter.default is not parameter.empty
    try:
        kind = _of_type(_without_none(hint) if optional else hint, shared, ())
    except TypeError as error:
        raise TypeError(f"{_name(fn)}: the parameter {parameter.name} has {error}: give schema=") from None
    if optional and parameter.default is not None and _is_json(parameter.default):
        return kind._replace(schema=kind.schema | {"default": parameter.default})
    return kind


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _without_none(hint: Any) -> Any:
    """A hint without its "or None": for an argument that is not required, null means that it is not given."""
    if typing.get_origin(hint) is typing.Annotated:
        base, *extras = typing.get_args(hint)
        return typing.Annotated[(_without_none(base), *extras)]
    if _is_union(hint):
        return typing.Union[tuple(each for each in typing.get_args(hint) if each is not type(None)) or (None,)]
    return hint


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _of_type(hint: Any, shared: dict[str, Any], inside: tuple[Any, ...]) -> Kind:
    """shared receives the definitions of pydantic models; inside are the classes that this hint is a part of."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _of_annotated(*args, shared=shared, inside=inside)
    if origin in (typing.Required, typing.NotRequired):
        return _of_type(args[0], shared, inside)
    if origin is typing.Literal:
        return _of_values(args)
    if _is_union(hint):
        return _of_union(args, shared, inside)
    if args:
        return _of_container(origin, args, shared, inside)
    if hint in (Any, object):
        return Kind({})
    if hint in _SIMPLE:
        return Kind({"type": _SIMPLE[hint]})
    if hasattr(hint, "__supertype__"):  # NewType
        return _of_type(hint.__supertype__, shared, inside)
    return _of_class(typing.get_origin(hint) or hint, shared, inside)  # typing.List is list


def _of_annotated(base: Any, *extras: Any, shared: dict[str, Any], inside: tuple[Any, ...]) -> Kind:
    """A text is the description; a dict holds more keywords of JSON Schema."""
    kind = _of_type(base, shared, inside)
    for extra in extras:
        if isinstance(extra, str):
            kind = kind._replace(schema=kind.schema | {"description": extra})
        elif isinstance(extra, dict):
            kind = kind._replace(schema=kind.schema | extra)
    return kind


def _of_values(values: tuple[Any, ...]) -> Kind:
    kinds = {_SIMPLE.get(type(value)) for value in values}
    same = {"type": kinds.pop()} if len(kinds) == 1 and None not in kinds else {}
    return Kind(same | {"enum": list(values)})


def _of_union(members: tuple[Any, ...], shared: dict[str, Any], inside: tuple[Any, ...]) -> Kind:
    kinds = [_of_type(each, shared, inside) for each in members]
    schema = {"anyOf": [kind.schema for kind in kinds]}
    converts = [kind.convert for kind in kinds if kind.convert is not None]
    if not converts:
        return Kind(schema)
    if len(members) > 2 or type(None) not in members:
        raise TypeError("a union of classes")
    return Kind(schema, lambda value: None if value is None else converts[0](value))


def _of_container(origin: Any, args: tuple[Any, ...], shared: dict[str, Any], inside: tuple[Any, ...]) -> Kind:
    if origin in _DICTS:
        item = _of_type(args[1], shared, inside)
        return Kind({"type": "object", "additionalProperties": item.schema}, _each_value(item.convert))
    if origin is tuple and args[-1:] != (...,):
        kinds = [_of_type(each, shared, inside) for each in args]
        schema = {"type": "array", "prefixItems": [kind.schema for kind in kinds]}
        schema |= {"minItems": len(kinds), "maxItems": len(kinds)}
        return Kind(schema, lambda value: tuple(kind.convert(v) if kind.convert else v for kind, v in zip(kinds, value)))
    if origin is tuple or origin in _LISTS or origin in _SETS:
        item = _of_type(args[0], shared, inside)
        schema = {"type": "array", "items": item.schema} | ({"uniqueItems": True} if origin in _SETS else {})
        return Kind(schema, _each_item(origin, item.convert))
    raise TypeError(f"a type without a schema ({getattr(origin, '__name__', origin)})")


def _each_value(convert: Convert | None) -> Convert | None:
    return convert and (lambda value: {name: convert(each) for name, each in value.items()})


def _each_item(origin: Any, convert: Convert | None) -> Convert | None:
    into = tuple if origin is tuple else frozenset if origin is frozenset else set if origin in _SETS else None
    if into is None:
        return convert and (lambda value: [convert(each) for each in value])
    return lambda value: into(map(convert, value) if convert else value)


def _of_class(hint: Any, shared: dict[str, Any], inside: tuple[Any, ...]) -> Kind:
    if not isinstance(hint, type):
        raise TypeError(f"a type without a schema ({hint!r})")
    if hint in inside:
        raise TypeError(f"a class that contains itself ({hint.__name__})")
    if hint in _DICTS:
        return Kind({"type": "object"})
    if hint is tuple or hint in _LISTS or hint in _SETS:
        return Kind({"type": "array"} | ({"uniqueItems": True} if hint in _SETS else {}), _each_item(hint, None))
    if issubclass(hint, enum.Enum):
        return _of_values(tuple(each.value for each in hint))._replace(convert=hint)
    if hasattr(hint, "model_json_schema") or (hasattr(hint, "__fields__") and hasattr(hint, "parse_obj")):
        return _of_model(hint, shared)
    if dataclasses.is_dataclass(hint):
        return _of_dataclass(hint, shared, (*inside, hint))
    if typing.is_typeddict(hint):
        return _of_typed_dict(hint, shared, (*inside, hint))
    raise TypeError(f"a type without a schema ({hint.__name__})")


def _of_model(model: Any, shared: dict[str, Any]) -> Kind:
    """A pydantic model, of version 2 or 1. Its definitions belong to the root, which "$ref" points to."""
    newer = hasattr(model, "model_json_schema")
    schema = dict(model.model_json_schema() if newer else model.schema())
    for word in ("$defs", "definitions"):
        if word in schema:
            shared.setdefault(word, {}).update(schema.pop(word))
    return Kind(schema, model.model_validate if newer else model.parse_obj)


def _of_dataclass(cls: Any, shared: dict[str, Any], inside: tuple[Any, ...]) -> Kind:
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    kinds = {field.name: _of_type(hints[field.name], shared, inside) for field in fields}
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    make = _converter_of_members(kinds, required)
    return Kind(_object_schema(kinds, required), lambda value: cls(**make(value)))


def _of_typed_dict(cls: Any, shared: dict[str, Any], inside: tuple[Any, ...]) -> Kind:
    hints = typing.get_type_hints(cls, include_extras=True)
    kinds = {name: _of_type(hint, shared, inside) for name, hint in hints.items()}
    converts = any(kind.convert for kind in kinds.values())
    required = [name for name in hints if name in cls.__required_keys__]
    return Kind(_object_schema(kinds, required), _converter_of_members(kinds, required) if converts else None)


def _object_schema(kinds: dict[str, Kind], required: list[str]) -> dict[str, Any]:
    properties = {name: kind.schema for name, kind in kinds.items()}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def _converter_of_members(kinds: dict[str, Kind], required: list[str]) -> Convert:
    converts = {name: kind.convert for name, kind in kinds.items() if kind.convert is not None}

    def convert(value: dict[str, Any]) -> dict[str, Any]:
        given = {name: each for name, each in value.items() if each is not None or name in required}
        return {name: converts[name](each) if name in converts else each for name, each in given.items()}

    return convert
