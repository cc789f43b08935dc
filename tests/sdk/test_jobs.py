"""Jobs from end to end: what users write, on a real node, against an outside system that keeps its own books."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from understudy import App, BadRequest, Retry, embedded, task_info, testing
from understudy.errors import BadDefinition
from understudy.jobs import Job, Status, done, failed, pending

pytestmark = pytest.mark.anyio


class StepFailed(Exception):
    pass


@dataclass
class System:
    """An outside system: jobs by handle, by the key they were submitted with."""

    polls_each: int = 2
    fails: int = 0
    submitted: list[str] = field(default_factory=list[str])
    polls: int = 0
    calls: list[str] = field(default_factory=list[str])
    left: dict[str, int] = field(default_factory=dict[str, int])
    broken_cancels: int = 0

    def submit(self, key: str) -> str:
        self.submitted.append(key)
        handle = f"job-{len(self.submitted)}"
        self.left[handle] = self.polls_each
        self.calls.append(f"submit {handle}")
        return handle

    def poll(self, handle: str) -> Status[str]:
        self.polls += 1
        self.left[handle] -= 1
        if self.left[handle] >= 0:
            return pending()
        self.calls.append(f"ended {handle}")
        if self.fails:
            self.fails -= 1
            return failed(StepFailed(handle))
        return done(f"{handle} is done")

    def cancel(self, handle: str) -> None:
        if self.broken_cancels:
            self.broken_cancels -= 1
            raise OSError("try again")
        self.calls.append(f"cancel {handle}")


system = System()


@pytest.fixture(autouse=True)
def fresh() -> None:
    system.__init__()  # type: ignore[misc]


app = App("jobs")


class Step(Job[str, str]):
    async def submit(self, idempotency_key: str, name: str, size: int = 1) -> str:
        return system.submit(idempotency_key)

    async def poll(self, handle: str) -> Status[str]:
        return system.poll(handle)

    async def cancel(self, handle: str) -> None:
        system.cancel(handle)


step = app.job(every="10s", retry=Retry(delays=["5s"]), timeout="10m", raises=[StepFailed])(Step)


class ThreadStep(Job[str, str]):
    def submit(self, idempotency_key: str, name: str) -> str:
        return system.submit(idempotency_key)

    def poll_many(self, handles: list[str]) -> list[Status[str]]:
        return [system.poll(handle) for handle in handles]


thread_step = app.job(every="10s")(ThreadStep)


tokens: list[str] = []


class ByHand(Job[str, int]):
    async def submit(self, idempotency_key: str) -> str:
        tokens.append(task_info().completion_token)
        return "ticket"


ticket = app.job(timeout="1d")(ByHand)


@app.workflow
async def one(name: str) -> str:
    return await step(name, size=2)


@app.workflow
async def many(count: int) -> list[str]:
    return list(await asyncio.gather(*(thread_step(f"step {i}") for i in range(count))))


@app.workflow
async def impatient(name: str) -> str:
    try:
        async with asyncio.timeout(25):
            return await step(name)
    except TimeoutError:
        return "too slow"


@app.workflow
async def by_hand() -> int:
    return await ticket()


async def test_job_is_submitted_once_polled_until_it_ends_and_its_result_is_the_calls() -> None:
    async with testing.node(app) as client:
        assert await client.run(one, "a", id="r1") == "job-1 is done"
    assert system.polls == 3
    assert system.submitted == ["default/run/r1:1:1:1"]
    assert system.calls == ["submit job-1", "ended job-1"]


async def test_polls_of_a_job_that_goes_on_write_nothing() -> None:
    system.polls_each = 40
    async with testing.node(app) as client:
        run = await client.start(one, "a")
        await client.advance("5m")
        turns = len(await run.history())
        assert system.polls >= 20
        await client.advance("1m")
        assert len(await run.history()) == turns == 2


async def test_jobs_in_threads_are_polled_together() -> None:
    async with testing.node(app) as client:
        results = await client.run(many, 5)
    assert sorted(results) == [f"job-{i} is done" for i in range(1, 6)]


async def test_failed_job_is_tried_again_under_a_key_of_its_own() -> None:
    system.fails = 1
    async with testing.node(app) as client:
        assert await client.run(one, "a", id="r1") == "job-2 is done"
    assert system.submitted == ["default/run/r1:1:1:1", "default/run/r1:1:1:2"]
    assert not any(call.startswith("cancel") for call in system.calls), "it had ended by itself"


async def test_listed_error_of_a_failed_job_reaches_the_workflow_as_itself() -> None:
    system.fails = 2

    @app.workflow(name="catches")
    async def catches() -> str:
        try:
            return await step("a")
        except StepFailed as error:
            return f"caught {error}"

    async with testing.node(app) as client:
        assert await client.run(catches) == "caught job-2"


async def test_job_that_times_out_is_cancelled_before_it_is_tried_again() -> None:
    system.polls_each = 1_000
    system.broken_cancels = 3
    async with testing.node(app) as client:
        run = await client.start(one, "a")
        await client.advance("10m")
        assert system.calls == ["submit job-1"]
        await client.advance("15s")
        assert system.calls == ["submit job-1", "cancel job-1", "submit job-2"]
        with pytest.raises(Exception, match="still running"):
            await run.result()
        await client.advance("1m")
    assert system.calls == ["submit job-1", "cancel job-1", "submit job-2", "cancel job-2"]


async def test_job_that_nobody_awaits_any_more_is_cancelled() -> None:
    system.polls_each = 1_000
    async with testing.node(app) as client:
        assert await client.run(impatient, "a") == "too slow"
        await client.advance("1s")
    assert system.calls == ["submit job-1", "cancel job-1"]


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_job_of_a_run_that_is_ended_is_cancelled_even_if_that_takes_many_attempts(how: str) -> None:
    system.polls_each = 1_000
    system.broken_cancels = 5
    async with testing.node(app) as client:
        run = await client.start(one, "a")
        await client.advance("30s")
        await getattr(run, how)()
        await client.advance("5m")
        assert (await run.describe()).status in ("cancelled", "terminated")
        polls = system.polls
        await client.advance("5m")
        assert system.polls == polls
    assert system.calls == ["submit job-1", "cancel job-1"]


async def test_job_is_just_submitted_and_polled_outside_a_workflow() -> None:
    system.polls_each = 0
    assert await step("a") == "job-1 is done"


def test_job_without_a_submit_that_takes_the_key_is_refused() -> None:
    other = App("other")
    with pytest.raises(BadDefinition, match="idempotency_key"):

        @other.job()
        class NoKey(Job[str, str]):
            async def submit(self, name: str) -> str:
                return ""


# --- completed from outside


async def test_job_without_a_poll_is_completed_by_whoever_has_its_token() -> None:
    tokens.clear()
    async with testing.node(app) as client:
        run = await client.start(by_hand)
        await client.advance("1h")
        [job] = await run.jobs()
        assert (job.task, job.status, job.handle) == ("ByHand", "open", "ticket")
        await client.complete(tokens[0], 42)
        assert await run.result() == 42
        with pytest.raises(BadRequest, match="no job waits"):
            await client.complete(tokens[0], 43)


async def test_job_may_be_failed_from_outside() -> None:
    tokens.clear()
    async with testing.node(app) as client:
        run = await client.start(by_hand)
        await client.advance("1s")
        await client.fail(tokens[0], ValueError("no"))
        with pytest.raises(Exception, match="no"):
            await run.result()


async def test_text_that_is_no_completion_token_is_refused() -> None:
    async with testing.node(app) as client:
        for token in ("", "x", "!!!!", "W10"):
            with pytest.raises(BadRequest, match="no completion token"):
                await client.complete(token, 1)


# --- across the life of nodes


async def test_next_node_goes_on_watching_what_the_last_one_submitted(tmp_path: Path) -> None:
    fast = App("fast")

    class Quick(Job[str, str]):
        async def submit(self, idempotency_key: str) -> str:
            return system.submit(idempotency_key)

        async def poll(self, handle: str) -> Status[str]:
            return system.poll(handle)

    quick_step = fast.job(name="Step", every="20ms")(Quick)

    @fast.workflow(name="quick")
    async def quick() -> str:
        return await quick_step()

    system.polls_each = 1_000_000
    store = f"sqlite:///{tmp_path / 'state.db'}"
    async with embedded(fast, store=store) as client:
        run = await client.start(quick, id="r1")
        while not system.polls:  # noqa: ASYNC110 - the outside system is polled from the node's thread
            await asyncio.sleep(0.005)
    system.polls = 0
    system.left["job-1"] = 2
    async with embedded(fast, store=store) as client:
        assert await client.handle("r1", quick).result() == "job-1 is done"
    assert run.run_id == "r1"
    assert len(system.submitted) == 1
