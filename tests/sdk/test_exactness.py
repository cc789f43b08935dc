"""Encode, decode, compare: a value arrives equal to what was sent, or is refused when it is sent.

The types are generated, and values of them; what is not of its type, or not of any type that JSON has, is listed by
kind. What the codec decides without a round trip is held to the same rule.
"""

import collections
import dataclasses
import enum
import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path, PurePath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy import BadInput
from understudy.codec import CallCodec, ResultCodec
from understudy.values import Decoder

T = TypeVar("T")
BERLIN = ZoneInfo("Europe/Berlin")

Typed = tuple[Any, st.SearchStrategy[Any]]
"""An annotation, and values of it."""


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2**40


class Word(enum.StrEnum):
    YES = "yes"
    NO = "no"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Box(Generic[T]):
    content: T
    more: list[T] = field(default_factory=list[T])


@dataclass
class Chain:
    value: int
    next: "Chain | None" = None


# --- types and values of them, all of which arrive


texts = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\ufdd0\udce9\ud8000dc89"), max_size=5)
numbers = st.integers() | st.integers(-(2**200), 2**200)
floats = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
LEAVES: list[Typed] = [
    (str, texts),
    (int, numbers),
    (bool, st.booleans()),
    (float, floats),
    (bytes, st.binary(max_size=5)),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.none() | st.just(UTC) | offsets).map(lambda at: at.replace(fold=0))),
    (time, st.times(timezones=st.none() | offsets).map(lambda at: at.replace(fold=0))),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False)),
    (Path, texts.map(lambda text: Path(text.replace("\0", "")))),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Word, st.sampled_from(Word)),
    (Rights, st.integers(0, 3).map(Rights)),
    (Literal["on", 1, None], st.sampled_from(["on", 1, None])),
    (Annotated[int, msgspec.Meta(ge=0)], st.integers(0, 2**70)),
    (str | None, st.none() | texts),
    (int | str | bool | None, st.none() | texts | numbers | st.booleans()),
    (int | float | str, texts | numbers | floats),
]
KEYS: list[Typed] = [*LEAVES[:2], LEAVES[3], LEAVES[5], LEAVES[9], *LEAVES[12:15]]

json = st.recursive(
    st.none() | st.booleans() | numbers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def compound(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    several = st.lists(inner, min_size=1, max_size=3)
    keys = st.sampled_from(KEYS)
    classes: list[Callable[[list[tuple[str, Any]]], Any]] = [
        lambda fields: make_dataclass("Data", fields),
        lambda fields: make_dataclass("Frozen", fields, frozen=True, slots=True),
        lambda fields: msgspec.defstruct("Struct", fields),
        lambda fields: msgspec.defstruct("Row", fields, array_like=True),
        lambda fields: msgspec.defstruct("Named", fields, rename="camel", tag=True),
        lambda fields: _FUNCTIONAL.NamedTuple("Pair", fields),
        lambda fields: _FUNCTIONAL.TypedDict("Keys", dict(fields)),
    ]
    return st.one_of(
        inner.map(lambda t: _of(list, t[0], st.lists(t[1], max_size=3))),
        inner.map(lambda t: _of(tuple, (t[0], ...), st.lists(t[1], max_size=3).map(tuple))),
        several.map(lambda ts: _of(tuple, tuple(t[0] for t in ts), st.tuples(*(t[1] for t in ts)))),
        keys.map(lambda t: _of(set, t[0], st.sets(t[1], max_size=3))),
        keys.map(lambda t: _of(frozenset, t[0], st.frozensets(t[1], max_size=3))),
        st.tuples(keys, inner).map(
            lambda p: _of(dict, (p[0][0], p[1][0]), st.dictionaries(p[0][1], p[1][1], max_size=3))
        ),
        inner.map(lambda t: _of(Box, t[0], st.builds(Box, t[1], st.lists(t[1], max_size=2)))),
        st.tuples(st.sampled_from(classes), several).map(lambda p: _class(*p)),
    )


_FUNCTIONAL: Any = typing
"""The functional forms, which type checkers know with literal names only."""


def _of(generic: Any, arguments: Any, values: st.SearchStrategy[Any]) -> Typed:
    return generic[arguments], values


def _class(make: Callable[[list[tuple[str, Any]]], Any], parts: list[Typed]) -> Typed:
    kind = make([(f"f_{index}", annotation) for index, (annotation, _) in enumerate(parts)])
    return kind, st.builds(kind, **{f"f_{index}": given for index, (_, given) in enumerate(parts)})


leaves = st.sampled_from([*LEAVES, (Any, json)])
typed = st.recursive(leaves, compound, max_leaves=5)
relaxed = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much], deadline=None
)


def _sent(annotation: Any, value: Any) -> Any:
    """What arrives of it."""
    decoder = Decoder(annotation, "f(): v")
    return decoder.decode(decoder.encode(value, "f(): v"), "f(): v")


@relaxed
@given(typed.flatmap(lambda t: st.tuples(st.just(t[0]), t[1])))
def test_a_value_of_its_type_arrives_equal(sent: tuple[Any, Any]) -> None:
    annotation, value = sent
    arrived = _sent(annotation, value)

    assert arrived == value
    assert repr(arrived) == repr(value) or _holds_a_set(value)


@relaxed
@given(typed.flatmap(lambda t: st.tuples(st.just(t[0]), t[1], t[1])))
def test_arguments_that_differ_have_different_digests_and_equal_ones_the_same(sent: tuple[Any, Any, Any]) -> None:
    annotation, one, other = sent

    codec = CallCodec(_task_of(annotation))

    if one != other:
        assert codec.encode((one,))[1] != codec.encode((other,))[1]
    elif repr(one) == repr(other):
        assert codec.encode((one,))[1] == codec.encode((other,))[1]
    assert codec.encode((one,))[1] == codec.encode_unproven((one,))[1]


def _task_of(annotation: Any) -> Callable[..., Any]:
    def task(value: Any) -> None:
        raise NotImplementedError

    task.__annotations__ = {"value": annotation, "return": annotation}
    return task


def _holds_a_set(value: Any) -> bool:
    return "set(" in repr(value) or "{" in repr(value)


# --- values of any kind, in places that say nothing of them


anything = st.recursive(
    st.one_of(*(values for _, values in LEAVES)) | st.floats(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(*(values for _, values in KEYS)), inner, max_size=3),
        st.sets(st.one_of(*(values for _, values in KEYS)), max_size=3),
        st.builds(Box, inner),
    ),
    max_leaves=8,
)


class Event(pydantic.BaseModel):
    payload: Any = None


@relaxed
@given(anything)
def test_without_a_type_a_value_arrives_equal_or_is_refused(value: object) -> None:
    for annotation, sent in ((Any, value), (object, value), (dict[str, Any], {"a": value}), (Event, _event(value))):
        try:
            arrived = _sent(annotation, sent)
        except BadInput:
            continue
        assert arrived == sent


def _event(value: object) -> Event:
    return Event.model_construct(payload=value)


@relaxed
@given(
    st.lists(typed, min_size=1, max_size=3).flatmap(lambda ts: st.tuples(st.just(ts), st.tuples(*(t[1] for t in ts))))
)
def test_a_model_of_any_fields_arrives_equal_or_is_refused(sent: tuple[list[Typed], tuple[Any, ...]]) -> None:
    parts, given_values = sent
    fields: dict[str, Any] = {f"f_{index}": (annotation, ...) for index, (annotation, _) in enumerate(parts)}
    try:
        model = pydantic.create_model("Model", **fields)
        value = model(**{f"f_{index}": item for index, item in enumerate(given_values)})
    except (pydantic.ValidationError, pydantic.PydanticUserError, TypeError, NameError):
        return  # what msgspec has and pydantic does not
    try:
        arrived = _sent(model, value)
    except BadInput:
        return
    assert arrived == value


@relaxed
@given(st.sampled_from(LEAVES), anything)
def test_a_value_of_another_type_arrives_equal_or_is_refused(known: Typed, value: object) -> None:
    try:
        arrived = _sent(known[0], value)
    except BadInput:
        return
    assert arrived == value


# --- pydantic


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


class Animal(pydantic.BaseModel):
    name: str


class Dog(Animal):
    tricks: list[str] = []


class Cat(pydantic.BaseModel):
    name: str


class Zoo(pydantic.BaseModel):
    pet: Animal
    others: list[Cat | Animal] = []


class Hidden(pydantic.BaseModel):
    seen: int = 0
    hidden: int = pydantic.Field(default=0, exclude=True)
    _private: int = pydantic.PrivateAttr(default=0)


class Stamped(pydantic.BaseModel):
    _at: datetime = pydantic.PrivateAttr(default_factory=lambda: datetime.now(UTC))


class Lockable(pydantic.BaseModel):
    _lock: object = pydantic.PrivateAttr(default_factory=object)


class Rounded(pydantic.BaseModel):
    value: float

    @pydantic.field_serializer("value")
    def _round(self, value: float) -> float:
        return round(value, 1)


class Rich(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    many: collections.deque[int] = collections.deque()
    counts: collections.Counter[str] = collections.Counter()
    address: IPv4Address | None = None
    pair: tuple[int, frozenset[str]] | None = None
    keys: dict[int | str, int] = {}
    data: bytes = b""
    at: datetime | None = None
    level: Level | None = None
    path: Path | None = None
    big: int = 0


class Quarrelsome(pydantic.BaseModel):
    value: int

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("nobody is equal to me")


class Agreeable(pydantic.BaseModel):
    value: int = pydantic.Field(exclude=True, default=0)

    def __eq__(self, other: object) -> bool:
        return True


def _hidden(private: int) -> Hidden:
    hidden = Hidden()
    hidden._private = private  # pyright: ignore[reportPrivateUsage]
    return hidden


@pytest.mark.parametrize(
    "value",
    [
        Zoo(pet=Animal(name="a"), others=[Cat(name="c")]),
        Hidden(seen=1),
        Lockable(),
        Rounded(value=1.5),
        Rich(many=collections.deque([1]), counts=collections.Counter("aab"), address=IPv4Address("1.2.3.4")),
        Rich(pair=(1, frozenset("ab")), keys={"a": 1}, at=datetime(2026, 7, 1, tzinfo=UTC), level=Level.LOW),
        Rich(path=Path("a"), data=b"abc", big=2**100),
        Rich.model_validate({"more": {"a": [1, 2.5, None]}}),
        Event(payload=[1, {"a": "b"}]),
    ],
)
def test_a_model_arrives_equal(value: Any) -> None:
    arrived = _sent(type(value), value)

    assert arrived == value or isinstance(value, Lockable)


def test_the_equality_of_a_users_class_decides_nothing() -> None:
    assert _sent(Quarrelsome, Quarrelsome(value=1)).value == 1
    with pytest.raises(BadInput, match=r"\.value: 5 would arrive as 0"):
        _sent(Agreeable, Agreeable(value=5))


CHANGED_MODELS: list[tuple[Any, str]] = [
    (Login(user="a", password=pydantic.SecretStr("p")), r"\.password: a SecretStr would arrive masked"),
    (Zoo(pet=Dog(name="r", tricks=["sit"])), r"\.pet: a Dog would arrive as an Animal"),
    (Zoo(pet=Animal(name="a"), others=[Animal(name="b")]), r"\.others\[0\]: an Animal would arrive as a Cat"),
    (Hidden(hidden=3), r"\.hidden: 3 would arrive as 0"),
    (_hidden(3), r"\._private: 3 would arrive as 0"),
    (Stamped(), r"\._at: .* would arrive as "),
    (Rounded(value=1.25), r"\.value: 1.25 would arrive as 1.2"),
    (Event(payload=math.inf), r"\.payload: inf would arrive as None"),
    (Event(payload=math.nan), r"\.payload: nan would arrive as None"),
    (Event(payload=(1, 2)), r"\.payload: a tuple would arrive as a list"),
    (Event(payload={1: 2}), r"\.payload\[1\]: the key 1 would arrive as '1'"),
    (Event(payload=Dog(name="r")), r"\.payload: a Dog would arrive as a dict"),
    (Event(payload=date(2026, 1, 1)), r"\.payload: 2026-01-01 would arrive as a str"),
    (Rich(keys={1: 1, "1": 2}), r"\.keys\[1\]: the key 1 would arrive as '1'"),
    (Rich(data=b"\xff"), "Rich does not give all of itself to JSON"),
    (Rich(at=datetime(1880, 1, 1, tzinfo=BERLIN)), r"\.at: 1880-01-01T00:00:00\+00:53:28 would arrive as"),
    (Rich.model_validate({"more": (1,)}), r"\.more: a tuple would arrive as a list"),
]


@pytest.mark.parametrize(("value", "complaint"), CHANGED_MODELS)
def test_what_a_model_keeps_from_json_is_refused_by_name(value: Any, complaint: str) -> None:
    with pytest.raises(BadInput, match=r"f\(\): v" + complaint if complaint[0] == "\\" else complaint) as refused:
        _sent(type(value), value)

    assert "\n" not in str(refused.value)


def test_an_error_does_not_tell_a_secret() -> None:
    class Sly(pydantic.BaseModel):
        password: str = pydantic.Field(default="", exclude=True)

    for value in (Login(user="a", password=pydantic.SecretStr("hush")), Sly(password="hush")):
        with pytest.raises(BadInput) as refused:
            _sent(type(value), value)
        assert "hush" not in str(refused.value)


# --- the rest, by kind


@dataclass
class Item:
    name: str


@dataclass
class Special(Item):
    extra: int = 0


@dataclass
class Counting:
    count: int

    def __post_init__(self) -> None:
        self.count += 1


class Options(TypedDict):
    depth: int
    name: NotRequired[str]


class Holder(msgspec.Struct):
    anything: Any = None
    item: Item | None = None


class Point(NamedTuple):
    x: int
    y: Any = None


CHANGED: list[tuple[Any, Any, str]] = [
    (Any, (1, 2), ": a tuple would arrive as a list; annotate it as tuple, or make a list of it yourself"),
    (object, [{"a": {1}}], r"\[0\]\['a'\]: a set would arrive as a list"),
    (Any, Item("a"), ": an Item would arrive as a dict"),
    (Any, b"a", ": a bytes would arrive as a str"),
    (Any, Colour.RED, ": a Colour would arrive as a str"),
    (Any, {1: 2}, r"\[1\]: the key 1 would arrive as '1'"),
    (Holder, Holder((1,)), r"\.anything: a tuple would arrive as a list"),
    (Holder, Holder(item=Special("a", 1)), r"\.item: a Special would arrive as an Item"),
    (Point, Point(1, {1}), r"\.y: a set would arrive as a list"),
    (list[Item], [Item("a"), Special("b")], r"\[1\]: a Special would arrive as an Item"),
    (dict[int | str, str], {1: "int", "1": "text"}, r"\[1\]: the key 1 would arrive as '1'"),
    (dict[str, int], {1: 2}, r"\[1\]: the key 1 would arrive as '1'"),
    (dict[tuple[int, int], int], {(1, 2): 3}, ": a tuple cannot be a key in JSON; pass a list of pairs"),
    (dict[bool, int], {True: 1}, ": a bool cannot be a key in JSON; pass a list of pairs"),
    (Options, {"depth": 1, "deep": 2}, r"\['deep'\]: it would be lost"),
    (Options, {"deep": 2, "depth": 1}, r"\['deep'\]: it would be lost"),
    (Counting, Counting(1), r"\.count: 2 would arrive as 3"),
    (Sequence[int], (1, 2), ": a tuple would arrive as a list"),
    (tuple[int, ...], [1], ": a list would arrive as a tuple"),
    (str, UUID(int=1), ": 00000000-0000-0000-0000-000000000001 would arrive as a str"),
    (str, Path("a"), ": a PosixPath would arrive as a str"),
    (Item, {"name": "a"}, ": a dict would arrive as an Item"),
    (bytes, bytearray(b"a"), ": a bytearray would arrive as a bytes"),
    (float, 2**53 + 1, ": 9007199254740993 would arrive as 9007199254740992.0"),
    (list[float], [1, 2**1000 + 1], r"\[1\]: "),
    (int, True, ": Expected `int`, got `bool`"),
    (str, 1, ": Expected `str`, got `int`"),
    (Annotated[int, msgspec.Meta(gt=3)], 3, ": Expected `int` >= 4"),
    (datetime, datetime(1880, 1, 1, tzinfo=BERLIN), ": 1880-01-01T00:00:00.00:53:28 would arrive .*; pass it in UTC"),
    (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), ": .* is a time that its zone has twice or not at all"),
    (datetime, datetime(2026, 10, 25, 2, 30, fold=1), ": .* would arrive without its fold=1"),  # noqa: DTZ001
    (time, time(4, tzinfo=BERLIN), ": 04:00:00 would arrive without its time zone"),
    (time, time(4, tzinfo=timezone(timedelta(seconds=30))), ": 04:00:00.00:00:30 would arrive as 04:00:00.00:00"),
]


@pytest.mark.parametrize(("annotation", "value", "complaint"), CHANGED)
def test_what_would_change_on_its_way_is_refused_by_name_where_it_is_sent(
    annotation: Any, value: Any, complaint: str
) -> None:
    task = _task_of(annotation)

    with pytest.raises(BadInput, match=r"task\(\): value" + complaint):
        CallCodec(task, name="task").encode((value,))
    with pytest.raises(BadInput, match=r"task\(\): value" + complaint):
        CallCodec(task, name="task").encode((), {"value": value})
    with pytest.raises(BadInput, match=r"the result of f\(\)" + complaint):
        ResultCodec(task, name="f").encode(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, 3),
        (str, Word.YES),
        (int, Level.HIGH),
        (PurePath, Path("a")),
        (datetime, datetime(2026, 7, 1, tzinfo=BERLIN)),
        (Decimal, Decimal("NaN")),
        (Chain, Chain(1, Chain(2, Chain(3)))),
        (dict[int | str, str], {"a": "b"}),
        (Holder, Holder([1, {"a": None}], Item("x"))),
    ],
)
def test_what_arrives_equal_is_taken_although_its_class_is_another(annotation: Any, value: Any) -> None:
    arrived = _sent(annotation, value)

    assert arrived == value or str(arrived) == str(value) == "NaN"


def test_variable_and_named_arguments_are_held_to_it_too() -> None:
    def task(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    codec = CallCodec(task, name="task")

    assert codec.decode(codec.encode((1, [2]), {"a": {"b": 3}})[0]) == ((1, [2]), {"a": {"b": 3}})
    with pytest.raises(BadInput, match=r"task\(\): argument 2: a tuple would arrive as a list"):
        codec.encode((1, (2,)))
    with pytest.raises(BadInput, match=r"task\(\): a: a tuple would arrive as a list"):
        codec.encode((1,), {"a": (2,)})
    with pytest.raises(BadInput, match=r"task\(\): a: a bool cannot be a key in JSON"):
        codec.encode((1,), {"a": {True: 1}})


def test_an_object_without_one_of_its_fields_is_refused() -> None:
    item = Item("a")
    del item.name

    with pytest.raises(BadInput, match=r"f\(\): v"):
        _sent(Item, item)


def test_a_chain_that_is_too_long_or_closes_is_refused() -> None:
    chain = Chain(0)
    for depth in range(300):
        chain = Chain(depth, chain)
    knot = Chain(1)
    knot.next = knot

    for endless in (chain, knot):
        with pytest.raises(BadInput, match="nested more than"):
            _sent(Chain, endless)


def test_simple_types_are_decided_without_a_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = CallCodec(_plain, name="plain")
    monkeypatch.setattr(CallCodec, "encode_unproven", None)

    codec.encode((1, "a", [Box(1.5)], {"a": [1]}))
    codec.encode((1, "a", [], {"a": {"b": [None, 1.5, "c"]}}, {"a": [1]}))


def _plain(
    number: int, text: str, boxes: list[Box[float]], rest: dict[str, Any], more: dict[Any, Any] | None = None
) -> None:
    raise NotImplementedError


def test_what_an_earlier_release_has_stored_is_still_decoded() -> None:
    """Its journals hold what today is refused when it is sent."""

    def task(value: Any, item: Item) -> None:
        raise NotImplementedError

    stored = b'{"args":[[1,2],{"name":"a","gone":1}],"kwargs":{}}'
    assert CallCodec(task).decode(stored) == (([1, 2], Item("a")), {})
    assert CallCodec(task).encode_unproven(((1, 2), Item("a")))[0] == b'{"args":[[1,2],{"name":"a"}],"kwargs":{}}'
    assert dataclasses.asdict(Item("a")) == {"name": "a"}


def test_texts_that_stand_for_others_have_digests_of_their_own_in_dicts_too() -> None:
    def task(value: Any) -> None:
        raise NotImplementedError

    codec = CallCodec(task)

    assert codec.encode(({"a": "\udce9"},))[1] != codec.encode(({"a": "\ufdd0dce9"},))[1]
