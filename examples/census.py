"""A census of a folder of Python source code: how many lines, which functions, what is imported most.

    understudy run examples/census.py:census                                    the standard library
    understudy run examples/census.py:census --input '{"folder": "src"}'        a folder of yours

One task lists the files, one task per file parses it, one task adds everything up. Parsing is CPU work, so
it runs in child processes, one per core. Kill the command at any moment and type it again: every file that
has been parsed stays parsed.
"""

from __future__ import annotations

import ast
import asyncio
import os
import sysconfig
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from understudy import App, Retry

app = App("census")

TOP = 10
"""How many entries each ranking of the report has."""


@dataclass
class Listing:
    """The files below `folder`, relative to it and sorted, and the sub-folders that could not be read."""

    folder: str
    files: list[str]
    unreadable: list[str]


@dataclass
class Function:
    name: str
    file: str
    line: int
    lines: int


@dataclass
class Survey:
    """What one file holds. `imports` counts import statements by top-level module."""

    file: str
    lines: int
    functions: int
    longest: Function | None
    imports: dict[str, int]
    parse_ms: float


@dataclass
class ModuleUse:
    module: str
    imports: int


@dataclass
class SlowFile:
    file: str
    parse_ms: float


@dataclass
class Report:
    """`lines` and all below are of the files that parsed; those that did not are counted and named."""

    folder: str
    files: int
    lines: int
    skipped: int
    functions: int
    longest_function: Function | None
    most_imported: list[ModuleUse]
    slowest_files: list[SlowFile]
    skipped_files: list[str] = field(default_factory=list[str])
    unreadable_folders: list[str] = field(default_factory=list[str])


@app.workflow
async def census(folder: str | None = None) -> Report:
    """Survey every Python file below `folder` (default: the standard library of the running Python)."""
    listing = await list_files(folder)
    surveys = await asyncio.gather(*(survey(listing.folder, file) for file in listing.files))
    return await add_up(listing, surveys)


@app.task(retry=Retry(attempts=3, first="200ms", final=(FileNotFoundError, NotADirectoryError)))
def list_files(folder: str | None) -> Listing:
    """Every `.py` file below `folder`; installed packages are left out of the standard library."""
    root = Path(folder or sysconfig.get_paths()["stdlib"]).resolve(strict=True)
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder")
    left_out = set[str]() if folder else {"site-packages", "dist-packages"}
    files: list[str] = []
    unreadable: list[str] = []
    for where, folders, names in os.walk(root, onerror=lambda error: unreadable.append(str(error.filename))):
        folders[:] = [name for name in folders if name not in left_out]
        files += (os.path.relpath(Path(where, name), root) for name in names if name.endswith(".py"))
    return Listing(str(root), sorted(files), sorted(unreadable))


@app.task(
    isolate="process",
    optional=True,
    timeout="60s",
    retry=Retry(attempts=3, first="200ms", final=(SyntaxError, ValueError, RecursionError)),
)
def survey(folder: str, file: str) -> Survey:
    """Parse one file. Code that is not Python is final; an I/O error is tried again."""
    source = Path(folder, file).read_bytes()
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old escapes and the like: they are that code's business
        tree = ast.parse(source)
    parse_ms = round((time.perf_counter() - began) * 1000, 3)
    functions: list[Function] = []
    imports: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append(Function(node.name, file, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1))
        imports.update(modules_of(node))
    longest = max(functions, key=lambda function: function.lines, default=None)
    return Survey(file, len(source.splitlines()), len(functions), longest, dict(imports), parse_ms)


@app.task
def add_up(listing: Listing, surveys: list[Survey | None]) -> Report:
    """The report; a file without a survey did not parse."""
    done = [survey for survey in surveys if survey]
    skipped = [file for file, survey in zip(listing.files, surveys, strict=True) if not survey]
    imports: Counter[str] = Counter()
    for survey in done:
        imports.update(survey.imports)
    slowest = sorted(done, key=lambda survey: survey.parse_ms, reverse=True)[:TOP]
    return Report(
        folder=listing.folder,
        files=len(listing.files),
        lines=sum(survey.lines for survey in done),
        skipped=len(skipped),
        functions=sum(survey.functions for survey in done),
        longest_function=longest_of(survey.longest for survey in done),
        most_imported=[ModuleUse(module, count) for module, count in imports.most_common(TOP)],
        slowest_files=[SlowFile(survey.file, survey.parse_ms) for survey in slowest],
        skipped_files=skipped,
        unreadable_folders=listing.unreadable,
    )


def modules_of(node: ast.AST) -> Iterator[str]:
    """The top-level modules that an import statement names; relative imports name none."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.partition(".")[0]


def longest_of(functions: Iterable[Function | None]) -> Function | None:
    known = (function for function in functions if function)
    return max(known, key=lambda function: function.lines, default=None)


def in_one_process(folder: str | None = None) -> Report:
    """The same census without understudy: what `census` is measured against."""
    listing: Listing = list_files.fn(folder)
    report: Report = add_up.fn(listing, [survey_or_none(listing.folder, file) for file in listing.files])
    return report


def survey_or_none(folder: str, file: str) -> Survey | None:
    try:
        surveyed: Survey = survey.fn(folder, file)
    except Exception:
        return None
    return surveyed
