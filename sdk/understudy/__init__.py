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

from understudy.actors import Actor, ActorRef, ask, forget, handler, readonly, remind, remind_every, tell
from understudy.app import App
from understudy.client import Client, RunHandle
from understudy.context import TaskInfo
from understudy.door import HistoryTurn, RetryPlan, RunDescription, RunSummary
from understudy.embedded import embedded
from understudy.errors import (
    AlreadyExists,
    AskCycle,
    AskFailed,
    BadDefinition,
    BadInput,
    BadRequest,
    Bug,
    LeaseLost,
    LeaseTimedOut,
    NotAllowed,
    NotDurable,
    OperationUncertain,
    Overloaded,
    ResourceFailed,
    RunCancelled,
    RunEnded,
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
from understudy.leases import Held, LeaseBlock, leases, lock, semaphore
from understudy.options import Duration, Retry, RetryPolicy, seconds
from understudy.resources import Resource, ResourceRef, operation
from understudy.resourcing import Health
from understudy.schedules import Schedules
from understudy.scheduling import ScheduleDescription, ScheduledRun, ScheduleSpec
from understudy.tasks import Task
from understudy.workflows import Workflow, call, start

__all__ = [
    "Actor",
    "ActorRef",
    "AlreadyExists",
    "App",
    "AskCycle",
    "AskFailed",
    "BadDefinition",
    "BadInput",
    "BadRequest",
    "Bug",
    "Client",
    "Duration",
    "Health",
    "Held",
    "HistoryTurn",
    "LeaseBlock",
    "LeaseLost",
    "LeaseTimedOut",
    "NotAllowed",
    "NotDurable",
    "OperationUncertain",
    "Overloaded",
    "Resource",
    "ResourceFailed",
    "ResourceRef",
    "Retry",
    "RetryPlan",
    "RetryPolicy",
    "RunCancelled",
    "RunDescription",
    "RunEnded",
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
    "forget",
    "handler",
    "heartbeat",
    "leases",
    "lock",
    "now",
    "operation",
    "patched",
    "random",
    "readonly",
    "remind",
    "remind_every",
    "scheduled_for",
    "seconds",
    "semaphore",
    "start",
    "task_info",
    "tell",
    "uuid4",
    "wait_until",
]
