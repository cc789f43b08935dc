"""A session at the command line: every command, for people and as JSON, at a node and on the file that it leaves.

What changes from one session to the next (times, ports, paths, ids that are made up) is masked by `MASKS`, and columns
are two spaces apart, so that the goldens do not depend on how wide a masked value is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from tests.cli.conftest import Ended
from tests.node.nodes import NodeProcess, environment
from understudy_runtime.core.completion import completion_token
from understudy_runtime.core.keys import run_key
from understudy_runtime.core.messages import Token

DESK: Final = """
from understudy import Actor, App, Health, Resource, handler, lock, readonly, semaphore, wait_until
from understudy.jobs import Job

app = App("desk", build="build-1")


@app.task
async def add(a: int, b: int) -> int:
    return a + b


@app.workflow
async def total(numbers: list[int], start: int = 0) -> int:
    for number in numbers:
        start = await add(start, number)
    return start


@app.workflow
async def broken(why: str) -> None:
    await add(1, 1)
    raise ValueError(why)


@app.workflow
class Approval:
    def __init__(self) -> None:
        self.verdict: str | None = None

    async def run(self) -> str:
        return await wait_until(lambda: self.verdict)

    @handler
    def decide(self, verdict: str) -> str:
        if not verdict:
            raise ValueError("say something")
        self.verdict = verdict
        return f"noted: {verdict}"

    @readonly
    def current(self) -> str | None:
        return self.verdict


class Print(Job[dict[str, str], int]):
    async def submit(self, idempotency_key: str, page: str) -> dict[str, str]:
        return {"tray": page}


print_page = app.job(name="Print")(Print)


@app.workflow
async def copy(page: str) -> int:
    return await print_page(page)


@app.actor
class Counter(Actor):
    count: int = 0

    @handler
    def add(self, number: int) -> int:
        self.count += number
        return self.count

    @readonly
    def get(self) -> int:
        return self.count


@app.resource(capacity=4)
class Cluster(Resource[str, str]):
    async def create(self, spec: str, fence: int) -> str:
        return f"{spec}-{fence}"

    async def destroy(self, handle: str, fence: int) -> None: ...


@app.workflow
class Using:
    def __init__(self) -> None:
        self.held = self.done = False

    async def run(self, name: str) -> int:
        async with Cluster.at(name, "small").lease(units=2) as cluster, lock("ledger"), semaphore("seats", 5).lease(3):
            self.held = True
            await wait_until(lambda: self.done)
            return cluster.fence

    @handler
    def end(self) -> None:
        self.done = True

    @handler
    async def begun(self) -> bool:
        return await wait_until(lambda: self.held)
"""
MASKS: Final = (
    (r'"traceback": ?"(?:[^"\\\n]|\\.)*"', '"traceback": "TRACEBACK"'),
    (r'"traceback":"[^"\n]*\.\.\.', '"traceback":"TRACEBACK'),
    (r"(?s)Traceback \(most recent call last\):\n.*?\n(?=\S)", "TRACEBACK\n"),
    (r"Exception in callback Poller.*\nhandle: .*\nTRACEBACK\nRuntimeError: Event loop is closed\n", ""),
    (r"Usage: .*\nTry .*\n\n", ""),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z)?", "TIME"),
    (r"\b1[6-9]\d{8}(\.\d+)?\b", "SECONDS"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b[0-9a-f]{16,}\b", "MADE-UP-ID"),
    (r"(?<=failed, )\d+(\.\d+)? (s|ms|min)\b", "DURATION"),
    (r"\bW[yJ][A-Za-z0-9_-]{20,}", "TOKEN"),
    (r"us_[A-Za-z0-9_-]{40,}", "TOKEN"),
    (r'"bytes": \d+', '"bytes": SIZE'),
    (r"\b[\d.,]+ (bytes|KiB|MiB|KB|MB)\b", "SIZE"),
    (r'"version": "[^"]*"', '"version": "VERSION"'),
    (r" {3,}(?=\S)", "  "),
)
"""Pattern and mask, in this order. Indentation of JSON is masked as well, and does not matter."""


class Block(NamedTuple):
    """One command and what came of it, masked."""

    command: str
    text: str


class Step(NamedTuple):
    """`json`: it is asked for both, the second time with `--json`.

    `out_only`: what is said on standard error depends on how fast things are. `until`: it is asked again until that is
    in what is said.
    """

    arguments: tuple[str, ...]
    json: bool = False
    out_only: bool = False
    until: str = ""


def step(command: str, *more: str, json: bool = False, out_only: bool = False, until: str = "") -> Step:
    return Step((*command.split(), *more), json, out_only, until)


def _token(run_id: str) -> str:
    """By which the first job of a run can be completed."""
    return completion_token(Token(run_key("default", run_id), 1, 1, 1, 0))


AT_NODE: Final = (
    step("nodes list", json=True),
    step("shards list", json=True),
    step("definitions list", json=True),
    step("runs list", json=True),
    step("runs start total --id sum --input", '{"numbers": [1, 2]}'),
    step("runs start total --id sum --json --input", '{"numbers": [1, 2]}'),
    step("runs wait sum", json=True, out_only=True),
    step("runs start total --id at-once --wait --json --input", "[[1, 2], 4]", out_only=True),
    step("runs start broken --id bad --wait --input", '"no tea"'),
    step("runs start broken --id bad-too --wait --json --input", '"no tea"'),
    step("runs start Approval --id asked"),
    step("runs show asked", json=True),
    step("runs ask asked current", json=True),
    step("runs ask asked decide --input", '""'),
    step("runs ask asked decide --json --input", '""'),
    step("runs ask asked nothing"),
    step("runs tell asked decide --input", '["yes"]'),
    step("runs watch asked", json=True, out_only=True),
    step("runs list --status failed", json=True),
    step("runs list --workflow total --limit 1", json=True),
    step("runs list --status odd"),
    step("runs show sum", json=True),
    step("runs show bad", json=True),
    step("runs history sum", json=True),
    step("runs history bad", json=True),
    step("runs retry sum --dry-run", json=True),
    step("runs retry sum --redo add --dry-run"),
    step("runs retry bad --wait --json"),
    step("runs start Approval --id unwanted"),
    step("runs cancel unwanted --reason tired --wait"),
    step("runs start Approval --id stopped"),
    step("runs terminate stopped --reason enough --wait --json"),
    step("runs release sum"),
    step("runs show nobody", json=True),
    step("runs wait nobody"),
    step("runs tell nobody decide"),
    step("runs start nothing"),
    step("runs start total --input", "{"),
    step("runs start total --input", '{"numbers": "x"}'),
    step("runs start total --input", "@nowhere.json"),
    step("actors ask Counter/visits add --input", "[2]"),
    step("actors ask Counter/visits get", json=True),
    step("actors tell Counter/visits add --input", "[1]"),
    step("actors ask Counter/visits get"),
    step("actors list", json=True),
    step("actors list Counter --status held", json=True),
    step("actors show Counter/visits", json=True),
    step("actors show Counter/none"),
    step("actors ask Counter/visits nothing"),
    step("actors show Nothing/x"),
    step("runs start Using --id using --input", '["analytics"]'),
    step("runs ask using begun"),
    step("resources list", json=True),
    step("resources show Cluster/analytics", json=True),
    step("resources history Cluster/analytics --leases", json=True),
    step("resources set-capacity Cluster/analytics 6 --by ann --note more"),
    step("resources destroy Cluster/analytics --by ann"),
    step("resources drain Cluster/analytics --by ann --note enough"),
    step("resources resume Cluster/analytics --by ann"),
    step("resources settle Cluster/analytics created --by ann"),
    step("resources show Cluster/none"),
    step("resources show strange"),
    step("locks list", json=True),
    step("resources show lock/ledger", json=True),
    step("runs tell using end"),
    step("runs wait using", out_only=True),
    step("runs start copy --id copying --input", '["p"]'),
    step("jobs list", json=True, until="open"),
    step("jobs list --run copying --status open", json=True),
    step("jobs show copying 1", json=True),
    step("runs start copy --id printed --input", '["q"]'),
    step("jobs list --run printed", until="open"),
    step(f"jobs complete {_token('printed')} --result 5"),
    step("runs wait printed", out_only=True),
    step(f"jobs complete {_token('printed')} --result 6"),
    step("runs start copy --id jammed --input", '["r"]'),
    step("jobs list --run jammed", until="open"),
    step(f"jobs fail {_token('jammed')} jammed --type PaperJam"),
    step("runs wait jammed"),
    step("jobs settle copying 1 --absent"),
    step("jobs show copying 9"),
    step("jobs complete nonsense"),
    step("jobs fail nonsense oh"),
    step("schedules create nightly total --tz Europe/Berlin --note backup --cron", "0 3 * * *", "--input", "[[1]]"),
    step("schedules create nightly total --every 1h --input", "[[1]]"),
    step("schedules create nightly total --every 1h"),
    step("schedules create often total --every 1h --paused --input", "[[2]]"),
    step("schedules create odd total --every 0s --input", "[[2]]"),
    step("schedules list", json=True),
    step("schedules show nightly", json=True),
    step("schedules pause nightly --note later"),
    step("schedules resume nightly"),
    step("schedules backfill often --from 2026-01-01T00:00Z --to 2026-01-01T01:00Z"),
    step("schedules show often --json", until='"succeeded": 2'),
    step("schedules delete often"),
    step("schedules show nobody"),
    step("schedules trigger nobody"),
    step("schedules trigger nightly"),
    step("schedules show nightly --json", until='"succeeded": 1'),
    step("nodes drain nobody"),
    step("runs list --limit 0"),
    step("runs fly"),
    step("fly"),
    step("nodes drain n1 --grace-s 5"),
)
"""In the end the node leaves."""
ON_FILE: Final = (
    step("runs list", json=True),
    step("runs show sum", json=True),
    step("runs show bad", json=True),
    step("runs show copying", json=True),
    step("runs history sum", json=True),
    step("runs history asked", json=True),
    step("runs history bad-too", json=True),
    step("runs show nobody", json=True),
    step("runs retry sum --redo add --dry-run"),
    step("runs retry sum --redo add --dry-run --target desk.py:total", json=True),
    step("runs retry sum --redo add --target desk.py:total", json=True, out_only=True),
    step("runs cancel sum"),
    step("runs release sum"),
    step("resources list", json=True),
    step("resources show Cluster/analytics", json=True),
    step("resources history Cluster/analytics --leases"),
    step("resources drain Cluster/analytics"),
    step("locks list", json=True),
    step("jobs list", json=True),
    step("jobs show copying 1", json=True),
    step("schedules list", json=True),
    step("schedules show nightly", json=True),
    step("schedules create daily desk.py:total --every 1d --input", "[[3]]"),
    step("schedules pause daily --note never"),
    step("schedules show daily", json=True),
    step("schedules resume daily"),
    step("schedules delete daily"),
    step("run desk.py:total --id local --input", "[[1, 2]]", out_only=True),
    step("run desk.py:total --id local --json --input", "[[1, 2]]"),
    step("run desk.py:total --id local --input", "[[9]]"),
    step("run desk.py:broken --id worse --input", '["why"]', out_only=True),
    step("run desk.py:broken --id worse --json --input", '["why"]'),
    step("run desk.py:nothing"),
    step("run nowhere.py:total"),
    step("store prune --older-than 30d --dry-run", json=True),
    step("store prune --older-than 30d", json=True),
    step("store adopt", json=True),
)
ELSEWHERE: Final = (
    step("runs list"),
    step("runs list --store redis://x"),
    step("runs list --connect 127.0.0.1:1"),
    step("runs start total"),
    step("actors list"),
    step("nodes list"),
    step("store restore nowhere.db --into sqlite:///new.db"),
    step("tokens new ci --role operate"),
    step("tokens new ci --role read"),
    step("node"),
    step("worker"),
)
"""In a folder without a store, and without a node."""


def blocks(at: Path) -> Iterator[Block]:
    """All of it, in a folder that is empty."""
    (at / "desk.py").write_text(DESK)
    elsewhere = at / "elsewhere"
    elsewhere.mkdir()
    with closing(Commands(elsewhere)) as commands:
        yield from _taken(commands, "elsewhere", ELSEWHERE, at)
        with closing(NodeProcess(at, ("node", "desk.py:app", *_STORE, "--name", "n1", *_LISTEN))) as node:
            commands.env["UNDERSTUDY_CONNECT"] = node.address
            yield from _taken(commands, "node", AT_NODE, at)
            node.ended()
    with closing(Commands(at)) as commands:
        yield from _taken(commands, "file", ON_FILE, at, _STORE)
        yield from _taken(commands, "file", _backups(), at)


_STORE: Final = ("--store", "s.db")
_LISTEN: Final = ("--listen", "127.0.0.1:0")
MOST_TRIES: Final = 200


def _backups() -> Iterator[Step]:
    for form in ((), ("--json",)):
        backup = f"backup{len(form)}.db"
        yield Step(("store", "backup", backup, *_STORE, *form))
        yield Step(("store", "restore", backup, "--into", f"sqlite:///restored{len(form)}.db", *form))


class Commands:
    """`understudy` in the folder `at`; see `forking`."""

    def __init__(self, at: Path) -> None:
        self.env = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "TZ": "UTC", "USER": "me", "LOGNAME": "me"}
        roots = os.pathsep.join([environment()["PYTHONPATH"], str(Path(__file__).parents[2])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.goldens.forking"],
            cwd=at,
            env=environment() | {"PYTHONPATH": roots},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> Ended:
        to, of = self._process.stdin, self._process.stdout
        assert to is not None
        assert of is not None
        to.write(json.dumps([arguments, self.env]) + "\n")
        to.flush()
        return Ended(*json.loads(of.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=60)


def _taken(
    commands: Commands, where: str, steps: Iterable[Step], at: Path, more: Sequence[str] = ()
) -> Iterator[Block]:
    for each in steps:
        for form in ((), ("--json",)) if each.json else ((),):
            arguments = (*each.arguments, *more, *form)
            command = masked(" ".join(arguments), at)
            yield Block(f"{where}$ understudy {command}", _shown(_ended(commands, arguments, each), each, at))


def _ended(commands: Commands, arguments: Sequence[str], each: Step) -> Ended:
    ended = commands(*arguments)
    for _ in range(MOST_TRIES):
        if each.until in ended.out:
            break
        ended = commands(*arguments)
    return ended


def _shown(ended: Ended, each: Step, at: Path) -> str:
    told = "" if each.out_only else "".join(f"! {line}\n" for line in masked(ended.err, at).splitlines())
    return f"{masked(ended.out, at)}{told}= {ended.code}\n"


def as_text(session: Iterable[Block]) -> str:
    return "\n".join(f"{block.command}\n{block.text}" for block in session)


def masked(text: str, at: Path) -> str:
    text = text.replace(str(at), "FOLDER").replace(os.path.realpath(at), "FOLDER")
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return text
