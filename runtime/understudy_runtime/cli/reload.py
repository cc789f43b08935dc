"""`understudy dev`: nodes in child processes, started again, one after the other, whenever their code changes.

A child is an ordinary `understudy node`; this process only watches files and children. A node that cannot start
(a syntax error, say) has said why; the next change gives it another chance. Files are looked at by their time and
size, a few times a second: that works everywhere, and for the few hundred files of an app it costs nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import util
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from understudy.errors import BadRequest
from understudy_runtime.cli.output import leave, note
from understudy_runtime.cli.refusals import refusals

EVERY_S: Final = 0.25
GRACE_S: Final = 2
STOP_S: Final = GRACE_S + 5.0
MAX_FILES: Final = 10_000
IGNORED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})

Stamps = dict[str, tuple[int, int]]


def serve_and_reload(targets: Sequence[str], options: Sequence[str], folders: Sequence[str]) -> NoReturn:
    with refusals():
        leave(supervised(targets, [options], folders))


def supervised(targets: Sequence[str], nodes: Sequence[Sequence[str]], folders: Sequence[str]) -> int:
    """Keep nodes with these options running until this process is asked to leave; the exit code. BadRequest."""
    return Supervisor(targets, nodes, [*map(_folder, targets), *map(Path, folders)]).run()


class Supervisor:
    """The parent. Signals end the children first, then this process with the exit code of the last of them."""

    def __init__(self, targets: Sequence[str], nodes: Sequence[Sequence[str]], folders: Sequence[Path]) -> None:
        self._commands = [
            [
                sys.executable, "-m", "understudy_runtime.cli", "node", *targets, *options,
                "--check-replay", "--grace-s", str(GRACE_S), "--parent", str(os.getpid()),
            ]
            for options in nodes
        ]  # fmt: skip
        self._folders = folders
        self._signal = 0
        self._woken = threading.Event()

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        seen = self._stamps()
        children: list[subprocess.Popen[bytes] | None] = [self._start(command) for command in self._commands]
        while not self._signal:
            self._woken.wait(EVERY_S)
            stamps = self._stamps()
            changed = sorted(path for path in {*seen, *stamps} if seen.get(path) != stamps.get(path))
            if changed and not self._signal:
                note(f"understudy: {_shown(changed)} changed; starting again")
                seen = stamps
                for place, command in enumerate(self._commands):
                    self._stop(children[place], signal.SIGTERM)
                    children[place] = self._start(command)
            for place, child in enumerate(children):
                if child is not None and child.poll() is not None:
                    note("understudy: the node has ended; it is started again when a file changes")
                    children[place] = None
        return max([0, *(self._stop(child, self._signal) for child in children)])

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._signal:
            os._exit(128 + number)
        self._signal = number
        self._woken.set()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        # A session of its own: a Ctrl-C at the terminal comes to this process, which passes it on once.
        return subprocess.Popen(command, start_new_session=True)

    def _stop(self, child: subprocess.Popen[bytes] | None, number: int) -> int:
        if child is None:
            return 0
        child.send_signal(number)
        try:
            return child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def _stamps(self) -> Stamps:
        stamps: Stamps = {}
        for folder in self._folders:
            for path in _python_files(folder):
                try:
                    stat = path.stat()
                except OSError:  # it went away between the look and this
                    continue
                stamps[str(path)] = (stat.st_mtime_ns, stat.st_size)
                if len(stamps) >= MAX_FILES:
                    return stamps
        return stamps


def _folder(target: str) -> Path:
    """Where the code of a target is, with what it is likely to import."""
    location, colon, name = target.rpartition(":")
    if not colon or name.endswith(".py") or "/" in name:
        location = target
    if location.endswith(".py") or "/" in location:
        return Path(location).resolve().parent
    sys.path.insert(0, "")
    try:
        spec = util.find_spec(location.partition(".")[0])
    finally:
        sys.path.pop(0)
    if spec is None or not spec.origin:
        raise BadRequest(f"{location}: no such module; give a dotted name, or a path that ends in .py")
    return Path(spec.origin).resolve().parent


def _python_files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in IGNORED and not name.startswith(".")]
        yield from (Path(place, name) for name in files if name.endswith(".py"))


def _shown(paths: Sequence[str]) -> str:
    first = os.path.relpath(paths[0])
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"
