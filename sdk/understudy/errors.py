"""Errors, ordered by whose fault they are.

    UnderstudyError
    ├── BadRequest             the caller's: wrong name, input that does not fit, conflicting id
    │   ├── UnknownName            no such workflow, task, actor, handler or run
    │   ├── BadInput               a value does not fit the annotation it is meant for
    │   ├── BadDefinition          a decorated function the runtime cannot serve (raised when the app is built)
    │   ├── AlreadyExists          the run id is taken, by a run of other arguments or with `if_exists="error"`
    │   └── RunEnded               a message for a run that has ended
    ├── RunError               the run's: how it ended, seen by whoever awaits its result
    │   ├── RunFailed, RunCancelled, RunTerminated, RunTimedOut
    │   └── RunHeld                stopped and waiting for a person
    ├── TaskFailed             a task's, seen by the workflow that called it
    │   └── TaskTimedOut
    ├── AskFailed              a handler's, seen by whoever asked it
    ├── LeaseTimedOut          nobody's: others held the resource for as long as one was willing to wait
    ├── LeaseLost              the holder's: it comes with a lease that has ended
    ├── ResourceFailed         the resource's: it could not be created, or is of no use any more
    ├── OperationUncertain     nobody's: it was done, or it was not, and nobody can tell
    │   └── AskCycle               nobody's in particular: actors that ask each other in a circle
    ├── Overloaded             nobody's: a bound was reached; try again after `retry_after_s`
    ├── NotAllowed             the caller's: no token, or one whose role is not enough
    ├── Unreachable            the network's: no node answers
    ├── StoreError             the store's: full disk, I/O error, corrupt file, locked by another process
    └── Bug                    ours

`NotDurable` is a RuntimeError: asyncio and anyio treat NotImplementedError as an invitation to fall
back to hidden threads. `Evicted` and `Stalled` are BaseExceptions, so that no `except Exception` in
user code swallows them.
"""

from __future__ import annotations


def _named(error: Exception, type_name: str, message: str) -> str:
    """What `error` says of the exception that it tells of, whose name is left out if `error` itself has it."""
    if not message:
        return type_name
    return message if type_name == type(error).__name__ else f"{type_name}: {message}"


class UnderstudyError(Exception):
    """The base of every error that understudy raises on purpose."""


class BadRequest(UnderstudyError):
    """The caller asked for something that cannot be; asking again unchanged will not help."""


class UnknownName(BadRequest):
    """No workflow, task, actor, handler or run is known by that name."""


class BadInput(BadRequest):
    """A value does not fit its annotation, or cannot be encoded; the message names the field."""


class BadDefinition(BadRequest):
    """A definition cannot be served, for example because of an unsupported annotation."""


class AlreadyExists(BadRequest):
    """A run of that id exists, and was started with something else, or nobody wanted it to exist."""


class RunEnded(BadRequest):
    """A message was for a run that has ended: it takes none any more, and this one was not taken."""


class RunError(UnderstudyError):
    """A run ended in another way than success. `run_id` tells which."""

    def __init__(self, run_id: str, message: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class RunFailed(RunError):
    """Workflow code raised. `type`, `detail` and `traceback` are those of its exception."""

    def __init__(self, run_id: str, type: str, detail: str, traceback: str = "") -> None:
        super().__init__(run_id, f"run {run_id} failed: {type}: {detail}" if detail else f"run {run_id} failed: {type}")
        self.type = type
        self.detail = detail
        self.traceback = traceback


class RunCancelled(RunError):
    """The run was cancelled and has finished its clean-up."""


class RunTerminated(RunError):
    """The run was ended at once, without clean-up."""


class RunTimedOut(RunError):
    """The run's total deadline passed."""


class RunHeld(RunError):
    """The run is stopped and waits for a person. `why` is diverged, stalled, poisoned or uncertain."""

    def __init__(self, run_id: str, why: str, detail: str) -> None:
        super().__init__(run_id, f"run {run_id} is held ({why}): {detail}")
        self.why = why
        self.detail = detail


class TaskFailed(UnderstudyError):
    """A task gave up. `type`, `message` and `traceback` are those of the last attempt's exception."""

    def __init__(self, type: str, message: str, traceback: str = "") -> None:
        super().__init__(_named(self, type, message))
        self.type = type
        self.message = message
        self.traceback = traceback


class TaskTimedOut(TaskFailed):
    """The last attempt, or all attempts together, took too long."""


class AskFailed(UnderstudyError):
    """An asked handler raised. `type`, `message` and `traceback` are those of its exception."""

    def __init__(self, type: str, message: str, traceback: str = "") -> None:
        super().__init__(_named(self, type, message))
        self.type = type
        self.message = message
        self.traceback = traceback


class AskCycle(AskFailed):
    """The asked actor waits, by way of others, for the one that asks: neither could ever answer.

    An actor takes one message at a time. The message names the circle; tell instead of asking somewhere in it. The ask
    that closes the circle raises it, and so do those before it whose handlers do not catch it.
    """


class LeaseTimedOut(UnderstudyError):
    """No lease could be had within the time that was given. Wait longer, or see who holds it."""


class LeaseLost(UnderstudyError):
    """The lease has ended while its holder thought that it had it: get another one, and begin again what needs it."""


class ResourceFailed(UnderstudyError):
    """The resource could not be created, or is of no use any more; `understudy resources show` says why."""


class OperationUncertain(UnderstudyError):
    """An operation was under way when its node was lost: look at the outside system before you repeat it."""


class Overloaded(UnderstudyError):
    """A bound was reached; nothing was accepted. Try again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotAllowed(UnderstudyError):
    """The node does not let the caller do this: he gave no token, or one whose role is not enough."""


class Unreachable(UnderstudyError):
    """No node answers at that address. What was asked last may have been done, or not."""


class Misplaced(Unreachable):
    """The node that was asked does not run this actor, and could not find out in time who does. Ask again."""


class StoreError(UnderstudyError):
    """The store cannot be used; nothing that was not made durable has been acknowledged."""


class Bug(UnderstudyError):
    """A fault of understudy itself. Please report it, with the message."""


class NotDurable(RuntimeError):
    """Workflow code used something that would not survive a restart. Put it in a task."""


class Evicted(BaseException):
    """Raised inside a run's coroutines when the run leaves memory; never seen by finished code."""


class Stalled(BaseException):
    """Raised inside workflow code that keeps one step busy for too long."""
