"""The app that the tests of the gRPC door serve."""

from __future__ import annotations

import asyncio

from understudy import Actor, App, Resource, handler, readonly, wait_until
from understudy.jobs import Job

app = App("shop")


class Declined(Exception):
    pass


@app.task(raises=(Declined,))
async def charge(cents: int) -> int:
    if cents < 0:
        raise Declined("no credit", cents)
    return cents


@app.workflow(raises=(Declined,))
async def checkout(cents: int, note: str = "") -> str:
    return f"{await charge(cents)}{note}"


@app.workflow
async def echo(value: object) -> object:
    return value


@app.workflow
async def break_down() -> None:
    raise ValueError("broken")


class Print(Job[str, int]):
    """A page at a printer, which says itself when it is done."""

    async def submit(self, idempotency_key: str, page: str) -> str:
        return f"printed {page}"


class Fax(Job[str, str]):
    """Something that nobody can tell the fate of."""

    async def submit(self, idempotency_key: str) -> str:
        return await asyncio.Future()


print_page = app.job()(Print)
fax = app.job(unknown="hold")(Fax)


@app.resource(capacity=2)
class Till(Resource[str, str]):
    """It is there already."""


@app.resource(capacity=2)
class Van(Resource[str, str]):
    """It is there already."""


@app.workflow
async def brochure(pages: list[str]) -> int:
    return sum(await asyncio.gather(*(print_page(page) for page in pages)))


@app.workflow
async def send_fax() -> str:
    return await fax()


@app.actor
class Desk(Actor):
    pages: int = 0

    @handler
    async def copy(self, page: str) -> int:
        self.pages += await print_page(page)
        return self.pages

    @handler
    async def send(self) -> str:
        return await fax()


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
        return verdict

    @readonly
    def current(self) -> str | None:
        return self.verdict


@app.actor
class Counter(Actor):
    value: int = 0

    @handler
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @readonly
    def get(self) -> int:
        return self.value


@app.workflow
async def tally(count: int) -> int:
    """Tells and asks so many counters, each of its own."""
    total = 0
    for number in range(count):
        counter = Counter.at(f"tally-{number}")
        counter.tell(Counter.add, 0)
        total += await counter.ask(Counter.add, 1)
    return total
