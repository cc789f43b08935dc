"""The EMR cluster that many runs share: made once, ended when idle, and neither twice however the node dies.

Ten idle minutes pass in virtual time. What the proxy in front of moto does for honesty is in `emr_proxy.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from examples import emr as example
from tests.cli.conftest import PATIENCE_S, Cli, cli
from tests.examples.emr_proxy import Emr
from understudy import RunCancelled, testing

__all__ = ["cli"]  # the fixture of the command's own tests

DAYS = ["2026-11-22", "2026-11-23", "2026-11-24"]
SCRIPTS = ["s3://jobs/load.py", "s3://jobs/sum.py"]
REPORTS = json.dumps({"day": DAYS[0], "scripts": SCRIPTS})
SHORTER = {'check_every="15s"': 'check_every="50ms"', 'every="10s", rate="5/s"': 'every="50ms", rate="100/s"'}
"""Times of the example that a test in real time does not have."""


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, int]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def emr(moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Emr]:
    """Empty, and where boto3 looks for EMR, here and in commands."""
    proxy = Emr(moto)
    proxy.reset()
    given = {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    example.emr.cache_clear()
    yield proxy
    proxy.close()
    example.emr.cache_clear()


def clusters() -> list[Any]:
    """All there have ever been, oldest first."""
    found = example.pages("list_clusters", "Clusters")
    return sorted(found, key=lambda cluster: str(cluster["Status"]["Timeline"]["CreationDateTime"]))


def states() -> list[str]:
    return [cluster["Status"]["State"] for cluster in clusters()]


@pytest.mark.anyio
async def test_runs_share_one_cluster_which_is_ended_when_idle_and_made_anew_when_wanted(emr: Emr) -> None:
    async with testing.node(example.app) as client:
        assert await client.run(example.nightly, DAYS, SCRIPTS) == len(DAYS) * len(SCRIPTS)
        assert (emr.done["RunJobFlow"], len(emr.steps)) == (1, 6)
        assert emr.most_running > 1, "the days had the cluster at the same time"
        await client.advance("9m")
        assert emr.done["TerminateJobFlows"] == 0
        await client.advance("90s")
        assert states() == ["TERMINATED"]

        assert await client.run(example.report, DAYS[0], SCRIPTS) == len(SCRIPTS)
        assert (emr.done["RunJobFlow"], len(emr.steps)) == (2, 8)
        first, second = (cluster["Name"].rpartition("/")[2] for cluster in clusters())
        assert int(first) < int(second), "fences grow across recreation"


@pytest.mark.anyio
async def test_more_days_than_the_cluster_takes_wait_for_their_turn(emr: Emr) -> None:
    days = [f"2026-11-{day:02}" for day in range(1, 11)]
    async with testing.node(example.app) as client:
        assert await client.run(example.nightly, days, SCRIPTS[:1]) == len(days)
    assert emr.done["RunJobFlow"] == 1
    assert 1 < emr.most_running <= example.STEPS_AT_ONCE


@pytest.mark.anyio
async def test_a_step_that_fails_fails_the_run_and_leaves_the_cluster_to_the_others(emr: Emr) -> None:
    emr.step_end = "FAILED"
    async with testing.node(example.app) as client:
        run = await client.start(example.report, DAYS[0], SCRIPTS)
        with pytest.raises(Exception, match=r"StepFailed: s-\w+ FAILED"):
            await run.result()
        assert len(emr.steps) == 1, "what has run and failed is not run again"
        emr.step_end = "COMPLETED"
        assert await client.run(example.report, DAYS[0], SCRIPTS) == len(SCRIPTS)
    assert emr.done["RunJobFlow"] == 1


@pytest.mark.anyio
async def test_a_cancelled_run_stops_its_step_and_gives_its_lease_back(emr: Emr) -> None:
    emr.step_end = "RUNNING"
    async with testing.node(example.app) as client:
        run = await client.start(example.report, DAYS[0], SCRIPTS)
        await client.advance("2m")
        assert emr.states() == ["RUNNING"]
        await run.cancel("not needed")
        with pytest.raises(RunCancelled):
            await run.result()
        await client.advance("11m")
        assert emr.states() == ["CANCELLED"]
        assert states() == ["TERMINATED"]


@pytest.mark.anyio
async def test_a_cluster_that_is_shut_takes_no_steps(emr: Emr) -> None:
    cluster = example.EmrCluster().create(example.ClusterSpec(), 1)
    example.EmrCluster().destroy(cluster, 1)
    with pytest.raises(Exception, match="ValidationException"):
        example.EmrStep().submit("key", cluster, ["true"])
    assert states() == ["TERMINATED"]


@pytest.fixture
def program(cli: Cli, emr: Emr) -> str:
    """The example with shorter times; commands see the same EMR."""
    text = Path(example.__file__ or "").read_text()
    for long, short in SHORTER.items():
        assert long in text
        text = text.replace(long, short)
    (cli.at / "emr.py").write_text(text)
    return "emr.py"


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["RunJobFlow", "AddJobFlowSteps"])
def test_killed_before_the_answer_came_nothing_is_done_twice(cli: Cli, emr: Emr, program: str, operation: str) -> None:
    command = ("run", f"{program}:report", "--input", REPORTS, "--id", "r")
    with emr.holding(operation) as held:
        killed = cli.start(*command)
        assert held.reached.wait(PATIENCE_S), killed.communicate()
        killed.kill()
        killed.wait(PATIENCE_S)
    ended = cli(*command)
    assert (ended.code, ended.json) == (0, len(SCRIPTS)), ended.err
    assert emr.done["RunJobFlow"] == 1
    assert len(emr.steps) == len(SCRIPTS) == len({*emr.steps.values()})


@pytest.mark.slow
def test_the_commands_of_the_example_work(cli: Cli, emr: Emr, program: str) -> None:
    given = json.dumps({"days": DAYS, "scripts": SCRIPTS})
    ended = cli("run", f"{program}:nightly", "--input", given)
    assert (ended.code, ended.json) == (0, 6), ended.err
    history = cli("resources", "history", "EmrCluster/reports")
    assert history.code == 0, history.err
    assert "a lease is wanted" in history.out
