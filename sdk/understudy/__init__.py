"""understudy: durable workflows and resources in plain Python.

    from understudy import App, Retry

    app = App("shop")

    @app.task(retry=Retry(attempts=5), timeout="30s")
    async def charge(order_id: str, cents: int) -> str: ...

    @app.workflow
    async def checkout(order_id: str, cents: int) -> str:
        return await charge(order_id, cents)

    async with understudy.embedded(app, store="sqlite:///shop.db") as client:
        receipt = await client.run(checkout, "o-1", 990, id="o-1")

Importing this package loads neither the runtime nor grpc.
"""

from understudy.actors import Actor, ActorRef, ask, handler, readonly, tell
from understudy.app import App
from understudy.client import Client, RunHandle
from understudy.context import TaskInfo
from understudy.door import HistoryTurn, RetryPlan, RunDescription, RunSummary
from understudy.embedded import embedded
from understudy.errors import (
    AlreadyExists,
    AskFailed,
    BadDefinition,
    BadInput,
    BadRequest,
    Bug,
    NotAllowed,
    NotDurable,
    Overloaded,
    RunCancelled,
    RunError,
    RunFailed,
    RunHeld,
    RunTerminated,
    RunTimedOut,
    StoreError,
    TaskFailed,
    TaskTimedOut,
    UnderstudyError,
    UnknownName,
    Unreachable,
)
from understudy.functions import (
    continue_as_new,
    heartbeat,
    now,
    patched,
    random,
    scheduled_for,
    task_info,
    uuid4,
    wait_until,
)
from understudy.options import Duration, Retry, RetryPolicy, seconds
from understudy.schedules import Schedules
from understudy.scheduling import ScheduleDescription, ScheduledRun, ScheduleSpec
from understudy.tasks import Task
from understudy.workflows import Workflow, call, start

__all__ = [
    "Actor",
    "ActorRef",
    "AlreadyExists",
    "App",
    "AskFailed",
    "BadDefinition",
    "BadInput",
    "BadRequest",
    "Bug",
    "Client",
    "Duration",
    "HistoryTurn",
    "NotAllowed",
    "NotDurable",
    "Overloaded",
    "Retry",
    "RetryPlan",
    "RetryPolicy",
    "RunCancelled",
    "RunDescription",
    "RunError",
    "RunFailed",
    "RunHandle",
    "RunHeld",
    "RunSummary",
    "RunTerminated",
    "RunTimedOut",
    "ScheduleDescription",
    "ScheduleSpec",
    "ScheduledRun",
    "Schedules",
    "StoreError",
    "Task",
    "TaskFailed",
    "TaskInfo",
    "TaskTimedOut",
    "UnderstudyError",
    "UnknownName",
    "Unreachable",
    "Workflow",
    "ask",
    "call",
    "continue_as_new",
    "embedded",
    "handler",
    "heartbeat",
    "now",
    "patched",
    "random",
    "readonly",
    "scheduled_for",
    "seconds",
    "start",
    "task_info",
    "tell",
    "uuid4",
    "wait_until",
]
