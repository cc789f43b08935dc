"""What leaves user code comes back as it was, or is refused by the name of the field that would not."""

import enum
import os
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from understudy import BadDefinition, BadInput
from understudy.codec import ResultCodec
from understudy.exactness import MAX_DEPTH
from understudy.values import MAX_VALUE_BYTES, Decoder, encode


@dataclass
class Item:
    name: str
    price: float = 1.0


class Order(msgspec.Struct):
    id: str
    items: list[Item] = []


class Invoice(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    number: int
    due: datetime
    file: Path
    total: float = pydantic.Field(default=0.0, alias="sum")


class Options(TypedDict):
    depth: int
    name: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


class Number(int):
    pass


def there_and_back(value: Any, annotation: Any = Any) -> Any:
    return Decoder(annotation, "value").decode(encode(value, "value"), "value")


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, None),
        (True, bool),
        (2**70, int),
        (-1.5, float),
        ("héllo \U0001f40d", str),
        (b"\x00\xff", bytes),
        (datetime(2026, 11, 3, 4, 5, 6, 7, tzinfo=UTC), datetime),
        (datetime(2026, 11, 3), datetime),  # noqa: DTZ001 - naive ones must survive too
        (date(2026, 11, 3), date),
        (time(4, 5), time),
        (timedelta(days=1, microseconds=3), timedelta),
        (UUID(int=5), UUID),
        (Decimal("1.10"), Decimal),
        (Path("a/b.txt"), Path),
        (None, Path | None),
        ((1, "a"), tuple[int, str]),
        ((1, 2, 3), tuple[int, ...]),
        ({1, 2}, set[int]),
        (frozenset({"a"}), frozenset[str]),
        ({1: "a"}, dict[int, str]),
        ({Colour.RED: Level.LOW}, dict[Colour, Level]),
        (Point(1, 2), Point),
        (Order("o", [Item("a", 2.5)]), Order),
        ({"depth": 1}, Options),
        ([Item("a")], list[Item]),
        ({"a": [Path("x")]}, dict[str, list[Path]]),
        ("on", Literal["on", "off"]),
    ],
)
def test_a_value_comes_back_equal_and_of_its_annotated_type(value: object, annotation: object) -> None:
    back = there_and_back(value, annotation)

    assert back == value
    assert type(back) is type(value)


def test_a_pydantic_model_comes_back_strict_aliases_and_nested_in_other_types() -> None:
    invoice = Invoice(number=1, due=datetime(2026, 1, 1, tzinfo=UTC), file=Path("a"), sum=2.5)

    assert there_and_back({"a": [invoice]}, dict[str, list[Invoice]]) == {"a": [invoice]}


def test_without_an_annotation_a_value_comes_back_as_plain_json_types() -> None:
    assert there_and_back([Item("a"), (1, 2), Path("x"), Colour.RED]) == [
        {"name": "a", "price": 1.0},
        [1, 2],
        "x",
        "red",
    ]


@pytest.mark.parametrize("annotation", [str, Any])
def test_a_file_name_that_is_not_unicode_survives(annotation: object) -> None:
    name = os.fsdecode(b"caf\xe9.txt")

    assert there_and_back(name, annotation) == name


def test_surrogates_survive_in_keys_paths_and_structs_inside_a_larger_document() -> None:
    order = Order("\udce9", [Item("\udc80")])
    document = msgspec.json.encode({"result": msgspec.Raw(encode({"\udcff": order}, "value"))})

    parts = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    document.decode("utf-8", "strict")

    assert Decoder(dict[str, Order], "value").decode(parts["result"], "value") == {"\udcff": order}
    assert there_and_back(Path("\udce9"), Path) == Path("\udce9")


texts = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\ufdd0\udce9\ud8000dc89"))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(plain)
@example("\ufdd0dce9")
@example("\ufdd0\ud800")
def test_every_plain_value_comes_back_equal(value: object) -> None:
    assert there_and_back(value) == value


LOSSY: list[tuple[Any, str]] = [
    (float("nan"), "value: nan is a float that JSON cannot hold"),
    ([1.0, float("inf")], "value: [1]: inf is"),
    ({"a": [0, Item("x", float("-inf"))]}, "value: ['a'][1].price: -inf is"),
    (Order("o", [Item("a"), Item("b", float("nan"))]), "value: items[1].price: nan is"),
    ({float("nan"): 1}, "nan is"),
    ((1, {2.5, float("inf")}), "inf is"),
    (Text("a"), "value: a Text would come back as a plain str; pass str(...) of it"),
    (Number(1), "a Number would come back as a plain int"),
    ({"a": Counter("ab")}, "value: ['a']: a Counter would come back as a plain dict"),
    ({Text("a"): 1}, "a Text would come back as a plain str"),
    ([OrderedDict(a=1)], "value: [0]: a OrderedDict would"),
    (defaultdict(int), "a defaultdict would"),
    (1j, "value: a complex has no JSON form"),
    ([object()], "value: [0]: a object has no JSON form"),
    ({(1, 2): 3}, "value: "),
]


@pytest.mark.parametrize(
    ("value", "complaint"),
    LOSSY,
)
def test_what_would_change_silently_is_refused_by_name(value: object, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        encode(value, "value")

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_nan_inside_a_pydantic_model_is_refused_by_name() -> None:
    invoice = Invoice(number=1, due=datetime(2026, 1, 1, tzinfo=UTC), file=Path("a"), sum=float("nan"))

    with pytest.raises(BadInput, match=r"Invoice.*total.*nan"):
        encode([invoice], "value")


def test_a_value_that_contains_itself_is_refused() -> None:
    knot: list[object] = []
    knot.append({"again": knot})

    with pytest.raises(BadInput, match="value: the value contains itself, or is nested more than 200 deep"):
        encode(knot, "value")


def test_a_value_of_the_greatest_depth_is_taken_and_one_level_more_is_not() -> None:
    nested: object = 1.5
    for _ in range(MAX_DEPTH):
        nested = [nested]

    assert there_and_back(nested) == nested
    with pytest.raises(BadInput, match="nested more than"):
        encode([nested], "value")


def test_a_value_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    largest = "x" * (MAX_VALUE_BYTES - 2)

    assert len(encode(largest, "value")) == MAX_VALUE_BYTES
    with pytest.raises(BadInput, match=f"{MAX_VALUE_BYTES + 1} bytes are more than a value may have"):
        encode(largest + "x", "value")


def test_a_value_that_does_not_fit_its_annotation_is_refused_by_the_path_of_the_field() -> None:
    with pytest.raises(BadInput, match=r"value: Expected `str`, got `int` - at `\$\.items\[0\]\.name`"):
        Decoder(Order, "value").decode(b'{"id":"a","items":[{"name":1}]}', "value")


def test_a_model_that_does_not_validate_is_refused_in_one_line() -> None:
    with pytest.raises(BadInput) as refused:
        Decoder(list[Invoice], "value").decode(b'[{"number":"x"}]', "value")

    assert "number" in str(refused.value)
    assert "\n" not in str(refused.value)


class Opaque:
    pass


@dataclass
class Carrier:
    cargo: list[Opaque]


@pytest.mark.parametrize("annotation", [Opaque, list[Opaque], Carrier, dict[str, Carrier | None], complex, Path | str])
def test_an_annotation_that_could_not_be_served_is_refused_beforehand(annotation: object) -> None:
    with pytest.raises(BadDefinition):
        Decoder(annotation, "task(): parameter 'x'")


def test_a_recursive_type_is_served() -> None:
    assert there_and_back(Tree(1, [Tree(2)]), Tree) == Tree(1, [Tree(2)])


@dataclass
class Tree:
    value: int
    children: "list[Tree] | None" = None


def test_a_result_that_does_not_fit_its_annotation_is_refused_where_it_is_made() -> None:
    def size() -> int:
        raise NotImplementedError

    codec = ResultCodec(size)

    assert codec.decode(codec.encode(3)) == 3
    with pytest.raises(BadInput, match=r"the result of .*size\(\): Expected `int`, got `str`"):
        codec.encode("3")
