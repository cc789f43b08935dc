"""Figures for Prometheus: what has happened is in them, under names that follow its conventions."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.node.nodes import NodeProcess, Yard


def figures(node: NodeProcess) -> dict[str, Metric]:
    return {metric.name: metric for metric in text_string_to_metric_families(node.get("/metrics").body)}


def value(metrics: dict[str, Metric], family: str, sample: str, **labels: str) -> float:
    (found,) = [s.value for s in metrics[family].samples if s.name == sample and s.labels.items() >= labels.items()]
    return float(found)


@pytest.fixture
def worked(yard: Yard) -> NodeProcess:
    """A node that has run three tasks one after the other."""
    node = yard.node("--name", "n1")
    client = node.client()
    assert client.result(client.start("total", "[[1, 2, 3]]")) == 6
    return node


def test_what_has_happened_is_counted(worked: NodeProcess) -> None:
    metrics = figures(worked)
    assert value(metrics, "understudy_turns", "understudy_turns_total") >= 4
    assert value(metrics, "understudy_commit_turns", "understudy_commit_turns_sum") >= 4
    assert value(metrics, "understudy_commits", "understudy_commits_total") == value(
        metrics, "understudy_commit_turns", "understudy_commit_turns_count"
    )
    for family, count in (("understudy_commit_duration_seconds", None), ("understudy_queue_wait_seconds", 3)):
        seen = value(metrics, family, f"{family}_count")
        assert seen == (value(metrics, "understudy_commits", "understudy_commits_total") if count is None else count)
        assert 0 <= value(metrics, family, f"{family}_sum") < 60
    ended = value(
        metrics, "understudy_task_attempts", "understudy_task_attempts_total", task="add", outcome="succeeded"
    )
    assert ended == 3
    seconds = "understudy_task_duration_seconds"
    assert value(metrics, seconds, f"{seconds}_count", task="add") == 3
    assert value(metrics, seconds, f"{seconds}_bucket", task="add", le="+Inf") == 3
    assert 0 < value(metrics, seconds, f"{seconds}_sum", task="add") < 3
    assert value(metrics, "understudy_open_attempts", "understudy_open_attempts") == 0
    assert value(metrics, "process_resident_memory_bytes", "process_resident_memory_bytes") > 2**20
    assert value(metrics, "understudy_node_info", "understudy_node_info", node="n1") == 1


def test_buckets_only_grow(worked: NodeProcess) -> None:
    for metric in figures(worked).values():
        if metric.type == "histogram" and "task" not in metric.samples[0].labels:
            buckets = [sample.value for sample in metric.samples if sample.name.endswith("_bucket")]
            assert buckets == sorted(buckets)
            assert buckets[-1] == value({metric.name: metric}, metric.name, f"{metric.name}_count")


def test_a_task_that_runs_is_seen_running(yard: Yard) -> None:
    node = yard.node()
    run = node.client().start("halting")
    yard.halted()
    metrics = figures(node)
    assert value(metrics, "understudy_running_attempts", "understudy_running_attempts") == 1
    assert value(metrics, "understudy_open_attempts", "understudy_open_attempts") == 1
    assert value(metrics, "understudy_worker_slots_used", "understudy_worker_slots_used") == 1
    yard.go_on("")
    node.client().result(run)


def test_names_follow_the_conventions(worked: NodeProcess) -> None:
    """What `promtool check metrics` looks at, as far as it concerns us; and promtool itself where there is one."""
    text = worked.get("/metrics").body
    for metric in text_string_to_metric_families(text):
        assert metric.documentation, metric.name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
        assert metric.type != "unknown", metric.name
        assert not re.search(r"_(count|sum|bucket|ms|milliseconds|kb|mb|gauge|counter|histogram)$", metric.name)
        if metric.type == "counter":
            assert all(sample.name.endswith("_total") for sample in metric.samples), metric.name
    promtool = shutil.which("promtool")
    if promtool is not None:
        checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /secrets HTTP/1.1\r\n\r\n", b"404"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET /livez?verbose HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", None),
    ],
)
def test_what_is_no_request_of_ours_gets_a_short_answer(yard: Yard, request_text: bytes, status: bytes | None) -> None:
    host, _, port = yard.node().logged("the node is ready")["http"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:
        link.sendall(request_text)
        answer = b""
        try:
            while more := link.recv(4_096):
                answer += more
        except ConnectionResetError:
            pass
    assert answer.split(b" ")[1:2] == ([] if status is None else [status])
