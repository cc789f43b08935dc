"""python -m benchmarks.count [WORKLOAD...] [--python PYTHON]: instructions for each unit of work, as cachegrind counts.

Seconds differ by a tenth between identical runs on a machine that others use; instructions by less than a hundredth.
Each workload is run with 1,000 units and with 50, in a process of its own, client and node together; the difference is
what 950 units take. Needs valgrind. `--python` names the interpreter of another environment, of another release say.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys

from benchmarks.counted import WORKLOADS

MANY, FEW = 1000, 50


def instructions(python: str, workload: str, units: int) -> int:
    """Those of one whole process."""
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", python]
    ran = subprocess.run(
        [*command, "-m", "benchmarks.counted", workload, str(units)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", ran.stderr)
    if ran.returncode != 0 or found is None:
        sys.exit(f"{workload} could not be counted:\n{ran.stderr}")
    return int(found[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.count", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    for workload in given.workloads or WORKLOADS:
        counted = [instructions(given.python, workload, units) for units in (MANY, FEW)]
        print(f"{workload:12} {(counted[0] - counted[1]) / (MANY - FEW):12,.0f} instructions per unit", flush=True)


if __name__ == "__main__":
    main()
