"""How a followed run is reported: its result to standard output, anything else to standard error, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from understudy.door import Outcome
from understudy_runtime.cli.begin import Begin
from understudy_runtime.cli.follow import Following, Interrupted, follow
from understudy_runtime.cli.output import INTERRUPTED, Output, leave, note
from understudy_runtime.cli.render import EXIT_CODES, complaint, ended, pretty


def follow_to_the_end(following: Following, begin: Begin, output: Output, as_json: bool) -> NoReturn:
    report(lambda: follow(following, begin), output, as_json)


def report(followed: Callable[[], Outcome], output: Output, as_json: bool) -> NoReturn:
    """Follow, and report how that ended."""
    try:
        outcome = followed()
    except Interrupted as interrupted:
        if as_json:
            error = {"type": "Interrupted", "message": "the run is not finished and can be resumed"}
            output.result(pretty({"id": interrupted.run_id, "status": "running", "error": error}))
        leave(INTERRUPTED)
    finish(outcome, output, as_json)


def finish(outcome: Outcome, output: Output, as_json: bool) -> NoReturn:
    """Report how the run ended, and end the process accordingly."""
    if as_json:
        output.result(pretty(ended(outcome)))
    elif outcome.status == "succeeded":
        output.result(pretty(ended(outcome)["result"]))
    leave_as_it_ended(outcome)


def leave_as_it_ended(outcome: Outcome) -> NoReturn:
    if outcome.status != "succeeded":
        note(complaint(outcome))
    leave(EXIT_CODES[outcome.status])
