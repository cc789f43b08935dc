"""A short piece of chaos: nothing that was acknowledged is lost, stuck or done twice."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SECONDS = 20


@pytest.mark.slow
def test_nothing_is_lost_in_a_short_chaos() -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--seconds", str(SECONDS), "--seed", "7", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    report = json.loads(ran.stdout)
    assert (report["lost"], report["stuck"], report["doubled"]) == (0, 0, 0), report
    assert report["runs"] > 0
    assert sum(report["faults"].values()) > 0
    assert ran.returncode == 0
