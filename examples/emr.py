"""One EMR cluster for many runs: made when the first of them needs it, shared, and terminated when nobody does.

    understudy run examples/emr.py:nightly --input '{"days": ["2026-11-23", "2026-11-24"], "scripts": ["s3://jobs/a.py"]}'
    understudy resources history EmrCluster/reports             who made it, who terminated it, and why

It needs boto3, and credentials and region where boto3 looks for them. An idle cluster is terminated by a node: after
`understudy run` has left, by the next one on the same store, or by an `understudy node` that stays. (Should none ever
come, EMR's own policy ends it after an hour.)

To try it at no cost there is `moto`, whose steps never get on; the tests have a proxy before it, with which they do:

    python -m tests.examples.emr_proxy 5000                     in the repository, with the development dependencies
    export AWS_ENDPOINT_URL=http://localhost:5000 AWS_DEFAULT_REGION=eu-central-1
    export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any      and then as above

Kill it at any moment and start it again: there will be one cluster, and no step is submitted twice. EMR takes no
idempotency tokens, so everything that is made carries a name by which `find` knows it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from boto3.session import Session
from botocore.config import Config

from understudy import App, Health, Resource, Retry
from understudy.jobs import Job, Status, done, failed, pending

app = App("emr")

STEPS_AT_ONCE = 4
"""A lease of one unit is the right to run one step at a time."""
PREFIX = "understudy"
ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]


@dataclass
class ClusterSpec:
    """Asked for under the same `name` with another spec, a cluster has to be drained first."""

    name: str = "reports"
    release: str = "emr-7.5.0"
    instance_type: str = "m5.xlarge"
    instances: int = 3


@dataclass
class StepId:
    cluster: str
    step: str


class StepFailed(Exception):
    """EMR ran it, and it failed."""


# --- the business


@app.workflow
async def nightly(days: list[str], scripts: list[str]) -> int:
    """How many steps have been run. Each day is a run of its own; they all share one cluster."""
    return sum(await asyncio.gather(*(report(day, scripts) for day in days)))


@app.workflow
async def report(day: str, scripts: list[str]) -> int:
    """The scripts, one after the other."""
    spec = ClusterSpec()
    async with EmrCluster.at(spec.name, spec).lease(wait="2h") as cluster:
        for script in scripts:
            await run_step(cluster.handle, ["spark-submit", script, "--day", day])
    return len(scripts)


# --- the cluster


@app.resource(capacity=STEPS_AT_ONCE, idle_timeout="10m", check_every="15s", sweep_every="1h")
class EmrCluster(Resource[ClusterSpec, str]):
    """The fence in a cluster's name tells it from all that were before it under the same spec."""

    def create(self, spec: ClusterSpec, fence: int) -> str:
        made = emr().run_job_flow(
            Name=f"{PREFIX}/{spec.name}/{fence}",
            ReleaseLabel=spec.release,
            Applications=[{"Name": "Spark"}],
            Instances={
                "MasterInstanceType": spec.instance_type,
                "SlaveInstanceType": spec.instance_type,
                "InstanceCount": spec.instances,
                "KeepJobFlowAliveWhenNoSteps": True,
            },
            StepConcurrencyLevel=STEPS_AT_ONCE,
            AutoTerminationPolicy={"IdleTimeout": 3600},
            JobFlowRole="EMR_EC2_DefaultRole",
            ServiceRole="EMR_DefaultRole",
            VisibleToAllUsers=True,
            Tags=[{"Key": "understudy:resource", "Value": spec.name}, {"Key": "understudy:fence", "Value": str(fence)}],
        )
        return str(made["JobFlowId"])

    def find(self, spec: ClusterSpec, fence: int) -> str | None:
        return next(clusters(f"{PREFIX}/{spec.name}/{fence}"), None)

    def check(self, handle: str) -> Health:
        state = emr().describe_cluster(ClusterId=handle)["Cluster"]["Status"]["State"]
        if state in ("STARTING", "BOOTSTRAPPING"):
            return "starting"
        return "healthy" if state in ALIVE else "gone"

    def destroy(self, handle: str, fence: int) -> None:
        emr().terminate_job_flows(JobFlowIds=[handle])

    def list(self, spec: ClusterSpec) -> Sequence[str]:
        return [*clusters(f"{PREFIX}/{spec.name}/")]


# --- what runs in it


class EmrStep(Job[StepId, None]):
    """A step, watched until it ends. Its name is the key it was submitted with."""

    def submit(self, idempotency_key: str, cluster: str, command: list[str]) -> StepId:
        step = {
            "Name": idempotency_key,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": command},
        }
        added = emr().add_job_flow_steps(JobFlowId=cluster, Steps=[step])
        return StepId(cluster, added["StepIds"][0])

    def find(self, idempotency_key: str) -> StepId | None:
        """EMR cannot look for names, so all steps of our clusters are looked through. It is rarely called."""
        for cluster in clusters(f"{PREFIX}/"):
            for step in pages("list_steps", "Steps", ClusterId=cluster):
                if step["Name"] == idempotency_key:
                    return StepId(cluster, step["Id"])
        return None

    def poll(self, handle: StepId) -> Status[None]:
        status = emr().describe_step(ClusterId=handle.cluster, StepId=handle.step)["Step"]["Status"]
        match status["State"]:
            case "PENDING" | "RUNNING" | "CANCEL_PENDING":
                return pending()
            case "COMPLETED":
                return done(None)
            case ended:
                why = status.get("FailureDetails", {}).get("Reason", "EMR gives no reason")
                return failed(StepFailed(f"{handle.step} {ended}: {why}"))

    def cancel(self, handle: StepId) -> None:
        emr().cancel_steps(ClusterId=handle.cluster, StepIds=[handle.step], StepCancellationOption="TERMINATE_PROCESS")


# Not as a decorator, because mypy takes no notice of what those make of a class.
run_step = app.job(
    every="10s", rate="5/s", timeout="4h", retry=Retry(attempts=2, final=(StepFailed,)), raises=[StepFailed]
)(EmrStep)


# --- EMR


@cache
def emr() -> Any:
    """For all threads. It repeats nothing by itself, because it would not look first what became of the last try."""
    session: Any = Session()
    return session.client("emr", config=Config(retries={"total_max_attempts": 1}, read_timeout=30))


def clusters(name: str) -> Iterator[str]:
    """The ids of those alive whose name begins so (those of resources end in `/`), newest first."""
    for cluster in pages("list_clusters", "Clusters", ClusterStates=ALIVE):
        if cluster["Name"] == name or (name.endswith("/") and cluster["Name"].startswith(name)):
            yield cluster["Id"]


def pages(call: str, field: str, **arguments: Any) -> Iterator[Any]:
    for page in emr().get_paginator(call).paginate(**arguments):
        yield from page[field]
