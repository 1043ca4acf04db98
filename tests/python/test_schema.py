"""Type hints and the schemas that they become; JSON values and the Python values that they become."""
import dataclasses
import enum
import functools
import typing
import unittest
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict, Union

from iccm_network import _schema
from common import main

Name = NewType("Name", str)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0
    colour: Optional[Colour] = None


class Box(TypedDict):
    label: str
    corner: NotRequired[Point]


@dataclasses.dataclass
class Node:
    next: Optional["Node"] = None


POINT = {
    "type": "object",
    "properties": {
        "x": {"type": "number"},
        "y": {"type": "number"},
        "colour": {"anyOf": [{"type": "string", "enum": ["red", "blue"]}, {"type": "null"}]},
    },
    "additionalProperties": False,
    "required": ["x"],
}
# A hint, its schema, a JSON value, and the Python value.
HINTS = [
    (Any, {}, [1], [1]),
    (str, {"type": "string"}, "a", "a"),
    (bool, {"type": "boolean"}, True, True),
    (None, {"type": "null"}, None, None),
    (dict, {"type": "object"}, {"a": 1}, {"a": 1}),
    (list, {"type": "array"}, [1], [1]),
    (typing.List, {"type": "array"}, [1], [1]),
    (tuple, {"type": "array"}, [1], (1,)),
    (Name, {"type": "string"}, "a", "a"),
    (list[int], {"type": "array", "items": {"type": "integer"}}, [1], [1]),
    (typing.Sequence[int], {"type": "array", "items": {"type": "integer"}}, [1], [1]),
    (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}, ["a"], {"a"}),
    (frozenset[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}, ["a"], frozenset("a")),
    (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}, [1, 2], (1, 2)),
    (
        tuple[int, Colour],
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string", "enum": ["red", "blue"]}],
         "minItems": 2, "maxItems": 2},
        [1, "red"],
        (1, Colour.RED),
    ),
    (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}, {"a": 1.5}, {"a": 1.5}),
    (dict[str, Colour], {"type": "object", "additionalProperties": {"type": "string", "enum": ["red", "blue"]}},
     {"a": "red"}, {"a": Colour.RED}),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}, "a", "a"),
    (Literal["a", 1], {"enum": ["a", 1]}, 1, 1),
    (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1, 1),
    (Optional[Colour], {"anyOf": [{"type": "string", "enum": ["red", "blue"]}, {"type": "null"}]}, None, None),
    (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1, 1),
    (Annotated[int, "how many", {"minimum": 1}], {"type": "integer", "description": "how many", "minimum": 1}, 1, 1),
    (Point, POINT, {"x": 1, "y": None, "colour": "red"}, Point(1, 0, Colour.RED)),
    (list[Point], {"type": "array", "items": POINT}, [{"x": 1}], [Point(1)]),
    (
        Box,
        {"type": "object", "properties": {"label": {"type": "string"}, "corner": POINT}, "additionalProperties": False,
         "required": ["label"]},
        {"label": "a", "corner": {"x": 1}},
        {"label": "a", "corner": Point(1)},
    ),
]  # fmt: skip
UNKNOWN = [complex, list[complex], typing.Callable[[int], int], Union[Point, Box], Node, typing.TypeVar("T")]


class Hints(unittest.TestCase):
    def test_each_hint_has_its_schema_and_its_value(self):
        for hint, schema, value, expected in HINTS:
            with self.subTest(hint=hint):
                kind = _schema._of_type(hint, {}, ())
                self.assertEqual(kind.schema, schema)
                self.assertEqual(kind.convert(value) if kind.convert else value, expected)

    def test_a_type_without_a_schema_is_named_with_the_remedy(self):
        for hint in UNKNOWN:
            with self.subTest(hint=hint):

                def tool(given):
                    pass

                tool.__annotations__["given"] = hint
                with self.assertRaisesRegex(TypeError, r"^tool: the parameter given has .*: give schema=$"):
                    _schema.of_function(tool, None)


class Functions(unittest.TestCase):
    def arguments(self, fn, schema=None):
        return _schema.of_function(fn, schema)

    def test_parameters_without_a_default_are_required(self):
        def tool(a: str, b: Optional[int] = None, *, c: int | None, d: list[int] = [1], e: Any = object()):
            pass

        found = self.arguments(tool)
        self.assertEqual(
            found.schema,
            {
                "type": "object",
                "properties": {
                    "a": {"type": "string"},
                    "b": {"type": "integer"},  # null: not given
                    "c": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "d": {"type": "array", "items": {"type": "integer"}, "default": [1]},
                    "e": {},
                },
                "required": ["a", "c"],
            },
        )
        self.assertEqual((found.optional, found.names), (set("bde"), set("abcde")))

    def test_no_parameters(self):
        self.assertEqual(self.arguments(lambda: None).schema, {"type": "object", "properties": {}})

    def test_any_arguments(self):
        def tool(a: int, **more):
            pass

        self.assertIsNone(self.arguments(tool).names)

    def test_a_given_schema_is_not_changed(self):
        schema = {"type": "object", "properties": {"a-b": {}}, "required": ["a-b"]}
        found = self.arguments(lambda **args: None, schema)
        self.assertIs(found.schema, schema)

    def test_partial_methods_and_objects(self):
        class Tools:
            def method(self, a: int):
                pass

            def __call__(self, b: str):
                pass

        def tool(a: int, c: str):
            pass

        for fn, name, kind in (
            (Tools().method, "a", "integer"),
            (Tools(), "b", "string"),
            (functools.partial(tool, 1), "c", "string"),
        ):
            self.assertEqual(self.arguments(fn).schema["properties"], {name: {"type": kind}})

    def test_parameters_that_have_no_name_are_refused(self):
        def tool(a, /):
            pass

        for fn in (tool, lambda *args: None):
            with self.assertRaisesRegex(TypeError, "cannot be passed by name"):
                self.arguments(fn)

    def test_hints_that_cannot_be_resolved(self):
        def tool(a: "Nowhere"):  # noqa: F821
            pass

        with self.assertRaisesRegex(TypeError, "^tool: cannot resolve its type hints .*Nowhere"):
            self.arguments(tool)


class Models(unittest.TestCase):
    def test_a_pydantic_model(self):
        try:
            import pydantic
        except ImportError:
            self.skipTest("python3-pydantic is not installed")

        class Part(pydantic.BaseModel):
            n: int

        class Whole(pydantic.BaseModel):
            part: Part

        def tool(a: Whole, b: list[Whole]):
            pass

        found = _schema.of_function(tool, None)
        place, pointer = next((word, found.schema[word]) for word in ("$defs", "definitions") if word in found.schema)
        self.assertEqual(list(pointer), ["Part"])
        self.assertEqual(found.schema["properties"]["a"]["properties"]["part"]["$ref"], f"#/{place}/Part")
        self.assertEqual(found.convert["b"]([{"part": {"n": 1}}]), [Whole(part=Part(n=1))])


if __name__ == "__main__":
    main()
