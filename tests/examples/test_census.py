"""The census: what it counts, and that it goes on where it was killed."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from examples import census as example
from tests.cli.conftest import PATIENCE_S, Cli, cli

__all__ = ["cli"]  # the fixture of the command's own tests

FILES = 40
CENSUS = str(Path(example.__file__ or "").resolve())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """FILES files of three lines each, one of which is not Python."""
    root = tmp_path / "code"
    (root / "deep").mkdir(parents=True)
    for number in range(FILES - 1):
        where = root / "deep" if number % 2 else root
        (where / f"m{number:02}.py").write_text(f"import os, sys\nfrom json import dumps\ndef f{number}(): pass\n")
    (root / "broken.py").write_text("def\n\n\n")
    (root / "notes.txt").write_text("not counted")
    return root


def test_it_counts_what_is_there(folder: Path) -> None:
    report = example.in_one_process(str(folder))
    assert (report.files, report.lines, report.skipped, report.functions) == (FILES, (FILES - 1) * 3, 1, FILES - 1)
    assert report.skipped_files == ["broken.py"]
    assert {use.module: use.imports for use in report.most_imported} == dict.fromkeys(("os", "sys", "json"), FILES - 1)
    assert len(report.slowest_files) == example.TOP
    assert report.unreadable_folders == []


def test_the_longest_function_is_found_wherever_it_is(folder: Path) -> None:
    (folder / "deep" / "long.py").write_text("class C:\n    async def long(self):\n        a = 1\n\n        return a\n")
    assert example.in_one_process(str(folder)).longest_function == example.Function("long", "deep/long.py", 2, 4)


def test_relative_imports_name_no_module(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("from . import a\nfrom .b import c\nimport os.path\n")
    assert example.survey.fn(str(tmp_path), "m.py").imports == {"os": 1}


def test_an_empty_folder_has_a_report_too(tmp_path: Path) -> None:
    report = example.in_one_process(str(tmp_path))
    assert (report.files, report.lines, report.longest_function) == (0, 0, None)


def test_the_default_is_the_standard_library_without_installed_packages() -> None:
    listing = example.list_files.fn(None)
    assert {"ast.py", "json/__init__.py"} <= {*listing.files}
    assert not any("site-packages" in file for file in listing.files)


def test_understudy_comes_to_the_same_report_as_one_process(cli: Cli, folder: Path) -> None:
    ended = cli("run", f"{CENSUS}:census", "--input", json.dumps({"folder": str(folder)}))
    assert ended.code == 0, ended.err
    assert _without_times(ended.json) == _without_times(_plain(example.in_one_process(str(folder))))


def test_a_folder_that_is_not_there_fails_the_run_at_once(cli: Cli) -> None:
    ended = cli("run", f"{CENSUS}:census", "--input", '["nowhere"]', "--json")
    assert ended.code == 1
    assert "FileNotFoundError" in ended.json["error"]["message"]


def test_killed_half_way_it_goes_on_and_parses_nothing_twice(cli: Cli, folder: Path) -> None:
    last = folder / "zz.py"
    os.mkfifo(last)  # a file whose reading does not end until somebody writes to it
    command = ("run", f"{CENSUS}:census", "--input", json.dumps({"folder": str(folder)}), "--id", "c")
    killed = cli.start(*command)
    with last.open("w"):
        killed.kill()
        killed.wait(PATIENCE_S)
    before = _finished(cli)
    last.unlink()
    last.write_text("import os\n")
    ended = cli(*command)
    assert ended.code == 0, ended.err
    assert (ended.json["files"], ended.json["skipped"]) == (FILES + 1, 1)
    after = _finished(cli)
    assert before <= after, "what had finished stays finished"
    assert before.total() >= 1
    assert after.total() == FILES - 1 + 3, "every call finished once: the listing, the files that parse, the sum"
    assert {*after.values()} == {1}


def _finished(cli: Cli) -> Counter[int]:
    """How often each call has succeeded, by the journal."""
    turns = cli("runs", "history", "c", "--json").json
    return Counter(record["call"] for turn in turns for record in turn["records"] if record["t"] == "TaskSucceeded")


def _plain(report: example.Report) -> Any:
    return msgspec.to_builtins(report)


def _without_times(report: dict[str, Any]) -> dict[str, Any]:
    assert {file["file"] for file in report["slowest_files"]}
    return {name: value for name, value in report.items() if name != "slowest_files"}
