"""Every workload runs at a tiny size and reports what it promises. How fast it is, is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import Figures, medians, percentile
from benchmarks.place import is_in_memory
from benchmarks.served import lag_p99_ms, parse
from benchmarks.workloads import WORKLOADS
from tests.storage.database import running_database

REPOSITORY = Path(__file__).parents[2]
TINY = {
    "limits": ["--fsyncs", "3", "--rows", "20", "--batch", "10"],
    "hello": ["--runs", "4", "--in-flight-runs", "2", "--alone", "2"],
    "chain": ["--steps", "3", "--runs", "2", "--run-steps", "2"],
    "fanout": ["--tasks", "5"],
    "asks": ["--actors", "3", "--asks", "6"],
    "neighbour": ["--runs", "2", "--run-steps", "2"],
    "recovery": ["--runs", "4", "--run-steps", "3"],
    "census-speedup": ["--files", "4"],
    "sleepers": ["--runs", "4", "--per-second", "100", "--sleep-s", "0.1"],
    "pingpong": ["--pings", "3", "--ping-runs", "2", "--each", "2"],
    "messages": ["--messages", "4", "--messages-alone", "2", "--callers", "2"],
    "waiters": ["--clients", "3"],
    "leases": ["--pairs", "4", "--shared", "2", "--shared-pairs", "2"],
    "lease-queue": ["--waiters", "5"],
    "checks": ["--checked", "3", "--check-every-s", "0.05", "--checked-s", "0.3"],
    "jobs": ["--jobs", "3", "--poll-every-s", "0.05", "--watched-s", "0.3"],
    "envelopes": ["--envelopes", "250", "--echoes", "3"],
    "overload": ["--load-steps", "2", "--load-s", "0.2", "--capacity-runs", "5"],
}
ONLY_OF_A_DATABASE = ["commits"]
ONLY_VIA_GRPC = ["waiters", "overload"]
PROMISED = {
    "workload": str,
    "variant": str,
    "store": str,
    "via": str,
    "rate": float,
    "unit": str,
    "p50_ms": float,
    "p99_ms": float,
    "rss_mb": float,
    "runs": int,
    "repeats": int,
}


def benchmark(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--dir", str(folder)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("workload", "via"),
    [
        *((name, "embedded") for name in WORKLOADS if name not in (*ONLY_VIA_GRPC, *ONLY_OF_A_DATABASE)),
        *((workload, "grpc") for workload in ["hello", "pingpong", "messages", *ONLY_VIA_GRPC]),
    ],
)
def test_every_workload_prints_the_promised_fields_and_leaves_nothing_behind(
    workload: str, via: str, tmp_path: Path
) -> None:
    figures = lines(benchmark(tmp_path, workload, "--via", via, "--json", "--repeats", "1", *TINY[workload]))
    assert list(tmp_path.iterdir()) == []
    assert figures
    for line in figures:
        assert {name: type(line[name]) for name in PROMISED} == PROMISED
        assert line["workload"] == workload
        assert line["store"] == "sqlite"
        assert line["via"] == via
        assert line["rate"] > 0
        assert line.get("lost", 0) == 0


def test_commits_are_measured_on_a_database_at_three_distances(tmp_path: Path) -> None:
    sizes = ["--runs", "6", "--in-flight-runs", "20", "--alone", "2"]
    with running_database() as database:
        url = f"postgresql://postgres@/postgres?host={database.socket.parent}"
        figures = lines(benchmark(tmp_path, "commits", "--store", url, "--json", "--repeats", "1", *sizes))
    assert [line["variant"] for line in figures] == [
        f"{ms} ms more, {runs} in flight" for ms in (0, 1, 5) for runs in (1, 10, 20)
    ]
    alone = [line["p50_ms"] for line in figures if ", 1 in" in line["variant"]]
    assert alone[2] >= 10, "two commits, one after the other, each 5 ms away"


def test_other_figures_become_ratios_to_limits_of_the_same_run(tmp_path: Path) -> None:
    sizes = TINY["limits"] + TINY["fanout"]
    *limits, fanout = lines(benchmark(tmp_path, "limits", "fanout", "--json", "--repeats", "1", *sizes))
    assert fanout["of_fsync"] == pytest.approx(fanout["rate"] / limits[0]["rate"], abs=0.001)


def test_without_json_there_is_a_table(tmp_path: Path) -> None:
    done = benchmark(tmp_path, "fanout", "--store", "memory", "--repeats", "1", *TINY["fanout"])
    assert done.returncode == 0, done.stderr
    assert "tasks/s" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonesuch"], "invalid choice: 'nonesuch'"),
        (["hello", "--files", "3"], "--files is a size of census-speedup"),
        (["recovery", "--store", "memory"], "recovery needs --store sqlite"),
        (["hello", "--runs", "0"], "must be 1 or more"),
        (["commits"], "commits needs --store postgresql://"),
        (["overload"], "overload needs --via grpc"),
        (["sleepers", "--via", "grpc"], "sleepers needs --via embedded"),
        (["sleepers", "--sleep-s", "nan"], "must be more than 0"),
    ],
)
def test_bad_usage_is_one_clear_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = benchmark(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_a_folder_in_memory_is_told_from_one_on_a_disk(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"none / ext4 rw 0 0\nnone {tmp_path.resolve()} tmpfs rw 0 0\n")
    assert is_in_memory(tmp_path / "deeper", mounts)
    assert not is_in_memory(tmp_path.parent, mounts)


def test_what_a_node_is_like_inside_is_read_from_its_metrics() -> None:
    page = "\n".join(
        [
            "process_resident_memory_bytes 5.24288e+07",
            'understudy_loop_lag_seconds_bucket{le="0.01"} %s',
            'understudy_loop_lag_seconds_bucket{le="0.05"} %s',
            'understudy_loop_lag_seconds_bucket{le="+Inf"} %s',
        ]
    )
    before, after = parse(page % ("7.0", "7.0", "9.0")), parse(page % ("97.0", "106.0", "109.0"))
    assert before.rss_mb == 50
    assert lag_p99_ms(before, after) == 50


def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed() -> None:
    assert percentile([3, 1, 2, 4], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([7], 0.99) == 7


def test_the_median_is_taken_of_each_number() -> None:
    repeats = [
        Figures(variant="v", rate=rate, unit="u", p50_ms=p50, p99_ms=9, rss_mb=1, runs=5, more={"lost": lost})
        for rate, p50, lost in [(10, 3, 0), (30, 1, 2), (20, 2, 1)]
    ]
    assert medians(repeats) == Figures(
        variant="v", rate=20, unit="u", p50_ms=2, p99_ms=9, rss_mb=1, runs=5, more={"lost": 1}
    )
