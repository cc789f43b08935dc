"""User code's errors reach the caller as themselves where `raises=` says so, and otherwise as text."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from understudy import AskFailed, RunFailed, RunTimedOut, TaskFailed, TaskTimedOut
from understudy.failures import (
    MAX_MESSAGE_CHARS,
    MAX_TRACEBACK_CHARS,
    FailureFields,
    decode_ask_failure,
    decode_failure,
    decode_run_failure,
    encode_failure,
    run_ended,
)


class Declined(Exception):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{why} ({code})")
        self.code = code


class HardDeclined(Declined):
    pass


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [ValueError("bad", 3), KeyError("k"), OSError(2, "gone"), Declined(5, "no money")],
    ids=repr,
)
def test_a_listed_error_comes_back_as_itself(error: Exception) -> None:
    back = decode_failure(encode_failure(raised(error), (type(error),)), (type(error),))

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args


def test_a_listed_error_keeps_its_attributes() -> None:
    back = decode_failure(encode_failure(Declined(5, "no money"), (Declined,)), (Declined,))

    assert isinstance(back, Declined)
    assert back.code == 5


def test_a_subclass_of_a_listed_error_is_caught_as_the_listed_one() -> None:
    back = decode_failure(encode_failure(HardDeclined(5, "no"), (Declined,)), (Declined,))

    assert type(back) is Declined
    assert back.code == 5


def test_any_other_error_becomes_text_with_its_traceback() -> None:
    back = decode_failure(encode_failure(raised(Declined(5, "no"))), (ValueError,))

    assert isinstance(back, TaskFailed)
    assert (back.type, back.message) == ("Declined", "no (5)")
    assert "raise error" in back.traceback


@pytest.mark.parametrize("raises", [(), (ValueError,)])
def test_the_traceback_of_the_workflow_begins_where_the_task_raised(raises: tuple[type[Exception], ...]) -> None:
    task_failed = decode_failure(encode_failure(raised(ValueError("first cause")), raises), raises)
    run_failed = encode_failure(raised(task_failed))

    assert run_failed.traceback.index("raise error") < run_failed.traceback.index("direct cause of")
    assert run_failed.traceback.index("ValueError: first cause") < run_failed.traceback.index("direct cause of")


def test_a_listed_error_without_a_json_form_becomes_text() -> None:
    back = decode_failure(encode_failure(ValueError(object()), (ValueError,)), (ValueError,))

    assert isinstance(back, TaskFailed)
    assert back.type == "ValueError"


def test_an_error_whose_message_cannot_be_made_is_still_told() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "RuntimeError" in encode_failure(Broken()).message


def test_messages_and_tracebacks_are_bounded_and_always_unicode() -> None:
    failure = encode_failure(ValueError("\udce9" + "x" * 100_000))

    assert len(failure.message) == MAX_MESSAGE_CHARS
    assert len(failure.traceback) == MAX_TRACEBACK_CHARS
    msgspec.json.encode(failure)


def test_an_error_is_final_if_it_or_a_base_of_it_is_listed_as_final() -> None:
    assert encode_failure(HardDeclined(1, ""), (), ("Declined",)).final
    assert not encode_failure(Declined(1, ""), (), ("HardDeclined",)).final


def test_a_timeout_is_told_apart() -> None:
    assert isinstance(decode_failure(FailureFields("Timeout", "30 s", kind="timeout")), TaskTimedOut)


def test_a_failed_run_raises_its_own_error_or_says_which_run_failed() -> None:
    failure = encode_failure(Declined(5, "no"), (Declined,))

    assert isinstance(decode_run_failure("r1", failure, (Declined,)), Declined)
    error = decode_run_failure("r1", failure)
    assert isinstance(error, RunFailed)
    assert str(error) == "run r1 failed: Declined: no (5)"


def test_a_run_that_was_ended_from_outside_says_how() -> None:
    error = run_ended("r1", "timed_out", "after 3 days")

    assert isinstance(error, RunTimedOut)
    assert str(error) == "run r1 timed out: after 3 days"


def test_no_error_says_its_own_name_twice() -> None:
    timed_out = TaskTimedOut("TaskTimedOut", "no heartbeat for 5 s")
    assert str(timed_out) == "no heartbeat for 5 s"
    told = decode_run_failure("r", encode_failure(raised(timed_out)))
    assert str(told) == "run r failed: TaskTimedOut: no heartbeat for 5 s"
    asked = decode_ask_failure(encode_failure(raised(AskFailed("ValueError", "x"))))
    assert str(asked) == "ValueError: x"
    assert str(TaskFailed("ValueError", "x")) == "ValueError: x"
    assert str(TaskFailed("TaskFailed", "")) == "TaskFailed"


def _of_the_runtime(body: Callable[[], None], module: str) -> None:
    """Call `body` from a frame of that module."""
    scope: dict[str, Any] = {"__name__": module, "body": body}
    exec("def begin(): body()", scope)
    scope["begin"]()


@pytest.mark.parametrize(
    "module", ["understudy_runtime.execution.program.actors", "understudy.jobs", "asyncio.runners"]
)
def test_a_traceback_begins_in_user_code(module: str) -> None:
    def handler() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x") as caught:
        _of_the_runtime(handler, module)
    error, frames = caught.value, caught.value.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_name != "begin":
        frames = frames.tb_next
    error.__traceback__ = frames
    lines = encode_failure(error).traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in handler")


def test_a_traceback_without_user_code_is_kept() -> None:
    error = raised(ValueError("x"))
    error.__traceback__ = None
    assert encode_failure(error).traceback == "ValueError: x\n"
