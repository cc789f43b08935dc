"""The README says what is true: its code runs, its commands are there, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import understudy
import understudy_runtime

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_sample_runs_and_the_second_time_reads_its_result(tmp_path: Path) -> None:
    (tmp_path / "party.py").write_text(_block("python"))
    for _ in range(2):
        assert _python(tmp_path, "party.py") == "['hello Ada', 'hello Grace']\n"


def test_the_command_of_the_sample_runs_it_too(tmp_path: Path) -> None:
    (tmp_path / "party.py").write_text(_block("python"))
    out = _python(tmp_path, "-m", "understudy_runtime.cli", "run", "party.py:party", "--input", '{"names": ["Ada"]}')
    assert out == '[\n  "hello Ada"\n]\n'


def test_the_sample_of_shared_things_runs_and_the_second_time_reads_its_result(tmp_path: Path) -> None:
    (tmp_path / "printer.py").write_text(_blocks("python")[1])
    for _ in range(2):
        assert _python(tmp_path, "printer.py") == "23\n"


def test_every_command_of_the_table_exists() -> None:
    rows = re.findall(r"^\| [a-z, ]+ \| (`understudy .*) \|$", README, re.MULTILINE)
    assert len(rows) == 8
    known = {group: _python(ROOT, "-m", "understudy_runtime.cli", *group.split(), "--help") for group in _groups(rows)}
    for group, commands in _groups(rows).items():
        assert [c for c in commands if not re.search(rf"^\W*{c}\b", known[group], re.MULTILINE)] == []


def test_every_command_that_is_shown_exists() -> None:
    commands = {tuple(words.split()) for words in re.findall(r"^understudy ((?:runs )?[a-z]+)", README, re.MULTILINE)}
    assert ("run",) in commands
    for command in commands:
        _python(ROOT, "-m", "understudy_runtime.cli", *command, "--help")


def test_every_link_into_the_repository_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^):]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def _groups(rows: list[str]) -> dict[str, list[str]]:
    """The commands of the table, by the group that they are in; "" for those without."""
    groups: dict[str, list[str]] = {}
    group = ""
    for shown in re.findall(r"`([^`]+)`", " ".join(rows)):
        words = [word for word in shown.split() if not word.isupper()]
        if words[0] == "understudy":
            group = words[1] if len(words) > 2 else ""
        groups.setdefault(group, []).append(words[-1])
    return groups


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _block(language: str) -> str:
    return _blocks(language)[0]


def _python(folder: Path, *arguments: str) -> str:
    roots = [str(Path(package.__file__ or "").parents[1]) for package in (understudy, understudy_runtime)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout
