"""Importing understudy is light and says what is public."""

import subprocess
import sys

import understudy


def test_importing_loads_neither_the_runtime_nor_grpc() -> None:
    script = "import sys, understudy; print({'grpc', 'understudy_runtime'} & {m.split('.')[0] for m in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == "set()\n"


def test_every_public_name_exists_and_they_are_sorted() -> None:
    assert understudy.__all__ == sorted(understudy.__all__)
    assert all(hasattr(understudy, name) for name in understudy.__all__)
