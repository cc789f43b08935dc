"""The app that the tests of the gRPC door serve."""

from __future__ import annotations

from understudy import Actor, App, handler, readonly, wait_until

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
