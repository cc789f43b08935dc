"""Arguments of calls: bound like Python binds them, one digest however they were written, typed when they arrive."""

import enum
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from understudy import BadDefinition, BadInput
from understudy.codec import CallCodec


@dataclass
class Order:
    id: str
    cents: int = 100


def charge(order: Order, times: int = 1, *, note: str = "") -> str:
    raise NotImplementedError


def single(order: Order) -> str:
    raise NotImplementedError


def anything(*args: int, **kwargs: str) -> None:
    raise NotImplementedError


def untyped(a, /, b=2):  # type: ignore[no-untyped-def] # pyright: ignore
    raise NotImplementedError


class Thing:
    def method(self, n: int) -> None:
        raise NotImplementedError


def test_arguments_arrive_typed_as_annotated() -> None:
    codec = CallCodec(charge)
    data, _ = codec.encode((Order("a"),), {"note": "n"})

    assert msgspec.json.decode(data) == {"args": [{"id": "a", "cents": 100}], "kwargs": {"note": "n"}}
    assert codec.decode(data) == ((Order("a"),), {"note": "n"})
    assert codec.decode(msgspec.Raw(data)) == ((Order("a"),), {"note": "n"})


def test_what_arrives_is_never_the_object_that_was_given() -> None:
    order = Order("a")
    codec = CallCodec(single)

    assert codec.decode(codec.encode((order,))[0])[0][0] is not order


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((Order("a"), 2), {}), ((Order("a"),), {"times": 2}), ((), {"times": 2, "order": Order("a")})],
)
def test_a_call_has_one_form_and_one_digest_however_it_is_written(args: Any, kwargs: Any) -> None:
    codec = CallCodec(charge)

    assert codec.encode(args, kwargs) == codec.encode((Order("a"), 2))


def test_the_digest_tells_arguments_apart_and_not_the_order_of_dicts_and_sets() -> None:
    def task(value: Any, other: Any = None) -> None:
        raise NotImplementedError

    digest = CallCodec(task).digest

    assert digest(({"a": 1, "b": 2},)) == digest(({"b": 2, "a": 1},))
    assert digest(({8, 0},)) == digest(({0, 8},))
    assert digest(([1, 2],)) != digest(([2, 1],))
    assert digest(("12",)) != digest((12,))
    assert digest((1, None)) != digest((1,))


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


def test_sets_without_an_order_of_their_own_have_a_digest() -> None:
    def task(value: Any) -> None:
        raise NotImplementedError

    digest = CallCodec(task).digest

    assert digest(({1, "a"},)) == digest(({"a", 1},))
    assert digest(([{Colour.RED, Colour.BLUE}],)) == digest(([{Colour.BLUE, Colour.RED}],))
    assert digest(([{Colour.RED}],)) != digest(([{Colour.BLUE}],))


def test_digests_are_the_same_in_every_process() -> None:
    script = (
        "from understudy.codec import CallCodec\n"
        "def task(value): ...\n"
        "print(CallCodec(task).digest(({'names': {'a', 'b', 'c', '\\udce9', 1}, 'x': [{'d', 'e'}]},)))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        for seed in ("1", "2", "3")
    ]

    assert len({run.stdout for run in runs}) == 1


MISFITS: list[tuple[Any, ...]] = [
    (charge, (), {}, "charge(order, times=..., note=...) needs a value for 'order'"),
    (charge, (1, 2, 3), {}, "takes at most 2 positional arguments, not 3"),
    (charge, (1,), {"order": 2}, "got 'order' both by position and by name"),
    (charge, (1,), {"tims": 2}, "has no parameter 'tims'"),
    (untyped, (), {"a": 1}, "has no parameter 'a'"),
    (single, (float("nan"),), {}, "single(): order: nan is"),
    (charge, (1,), {"note": 1j}, "charge(): note: a complex"),
    (anything, (1, 2j), {}, "anything(): argument 2: a complex"),
]


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "complaint"),
    MISFITS,
)
def test_arguments_that_do_not_fit_the_signature_are_refused_by_the_name_of_the_parameter(
    fn: Any, args: Any, kwargs: Any, complaint: str
) -> None:
    with pytest.raises(BadInput) as refused:
        CallCodec(fn).encode(args, kwargs)

    assert complaint in str(refused.value)


def test_arguments_that_do_not_fit_the_annotation_are_refused_by_the_name_of_the_parameter() -> None:
    with pytest.raises(BadInput, match=r"charge\(\): order: Expected `str`, got `int` - at `\$\.id`"):
        CallCodec(charge).decode(b'{"args":[{"id":1}],"kwargs":{}}')
    with pytest.raises(BadInput, match=r"charge\(\): note: Expected `str`, got `int`"):
        CallCodec(charge).decode(b'{"args":[{"id":"a"}],"kwargs":{"note":1}}')
    with pytest.raises(BadInput, match=r"charge\(\): "):
        CallCodec(charge).decode(b"[]")


def test_variable_parameters_are_typed_too() -> None:
    codec = CallCodec(anything)

    assert codec.decode(codec.encode((1, 2), {"b": "x", "a": "y"})[0]) == ((1, 2), {"a": "y", "b": "x"})
    with pytest.raises(BadInput, match="argument 2: Expected `int`"):
        codec.decode(b'{"args":[1,"x"],"kwargs":{}}')
    with pytest.raises(BadInput, match="b: Expected `str`"):
        codec.decode(b'{"args":[],"kwargs":{"b":1}}')


def test_a_method_is_called_without_self() -> None:
    codec = CallCodec(Thing.method, skip_self=True)

    assert codec.decode(codec.encode((3,))[0]) == ((3,), {})


def test_an_argument_with_surrogates_arrives_beside_others() -> None:
    codec = CallCodec(charge)
    arguments = ((Order("\udce9"), 3), {"note": "\ufdd0dce9"})

    assert codec.decode(codec.encode(*arguments)[0]) == arguments


INPUTS: list[tuple[Any, ...]] = [
    (charge, '[{"id":"a"}, 2]', ((Order("a"), 2), {})),
    (charge, '{"order":{"id":"a"},"note":"n"}', ((Order("a"),), {"note": "n"})),
    (single, '{"id":"a"}', ((Order("a"),), {})),
    (single, '{"order":{"id":"a"}}', ((Order("a"),), {})),
    (untyped, "3", ((3,), {})),
    (untyped, '"x"', (("x",), {})),
    (untyped, "null", ((None,), {})),
    (anything, "{}", ((), {})),
]


@pytest.mark.parametrize(
    ("fn", "text", "expected"),
    INPUTS,
)
def test_input_written_as_json_becomes_arguments(fn: Any, text: str, expected: object) -> None:
    codec = CallCodec(fn)

    data, digest = codec.from_json(text)

    assert codec.decode(data) == expected
    assert digest == codec.encode(*codec.decode(data))[1]


@pytest.mark.parametrize(
    ("fn", "text", "complaint"),
    [
        (single, "{", "the input is not JSON"),
        (single, "NaN", "the input is not JSON"),
        (single, "\udce9", "the input is not JSON"),
        (single, "[1, 2]", "takes at most 1 positional arguments, not 2"),
        (single, "{}", "single(): order: Object missing required field `id`"),
        (single, "3", "single(): order: Expected `object`, got `int`"),
        (charge, '{"id": "a"}', "has no parameter 'id'"),
        (charge, "{}", "needs a value for 'order'"),
    ],
)
def test_input_that_does_not_fit_is_refused_in_one_line(fn: Any, text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        CallCodec(fn).from_json(text)

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unsupported_annotation_is_refused_by_function_and_parameter() -> None:
    def task(good: int, bad: complex) -> None:
        raise NotImplementedError

    with pytest.raises(BadDefinition, match=r"task\(\): parameter 'bad': complex has no JSON form"):
        CallCodec(task, name="task")
