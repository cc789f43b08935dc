"""User code is typed end to end: mypy and pyright, both strict, agree with `typing_checks.py`."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKS = Path(__file__).with_name("typing_checks.py")
ROOT = CHECKS.parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "checker",
    [["mypy", "--strict", "--warn-unused-ignores"], ["pyright", "--pythonpath", sys.executable]],
    ids=lambda command: command[0],
)
def test_type_checkers_agree_with_what_user_code_expects(checker: list[str]) -> None:
    if find_spec(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")

    run = subprocess.run([sys.executable, "-m", *checker, str(CHECKS)], cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 0, run.stdout + run.stderr
