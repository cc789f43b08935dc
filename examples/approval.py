"""An order that a person must approve: three days, one handler, one compensation.

    python examples/approval.py

Stock is reserved, somebody outside decides, then the card is charged; whatever goes wrong on the way (a
refusal, silence for three days, a declined card, a cancelled run) gives the reserved stock back. All of it
survives the death of the process at any moment.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import understudy
from understudy import App, Retry, handler, readonly, seconds, wait_until

app = App("approval")

Verdict = Literal["approved", "refused"]

PATIENCE = seconds("3d")
"""How long an order waits for its approval."""


@dataclass
class Order:
    id: str
    item: str
    cents: int


@dataclass
class Outcome:
    """`charge` is the payment's number, where there was one."""

    order: str
    ended: Literal["paid", "refused", "declined", "timed out"]
    charge: str | None = None


class CardDeclined(Exception):
    """The bank will not pay; asking again will not help."""


@app.task(retry=Retry(attempts=5, first="1s"))
async def reserve_stock(order: Order) -> str:
    return f"reservation-{order.id}"


@app.task(retry=Retry(delays=["1s", "5m", "1h"]))
async def release_stock(reservation: str) -> None:
    """Give it back. Safe to repeat, as every compensation must be."""


@app.task(retry=Retry(attempts=5, first="1s", final=(CardDeclined,)), timeout="30s", raises=(CardDeclined,))
async def charge(order: Order) -> str:
    if order.cents > 100_000:
        raise CardDeclined("over the limit")
    return f"charge-{order.id}"


@app.workflow
class Approval:
    """Told `decide` by whoever decides; asked `current` by whoever wants to know."""

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self.state = "reserving stock"

    async def run(self, order: Order) -> Outcome:
        reservation = await reserve_stock(order)
        try:
            outcome = await self.settle(order)
        except BaseException:
            await release_stock(reservation)  # whatever went wrong, a cancelled run included
            raise
        if outcome.ended != "paid":
            self.state = "releasing stock"
            await release_stock(reservation)
        self.state = outcome.ended
        return outcome

    async def settle(self, order: Order) -> Outcome:
        """Everything after the reservation and before what becomes of it."""
        try:
            if await self.approval() == "refused":
                return Outcome(order.id, "refused")
            self.state = "charging"
            return Outcome(order.id, "paid", await charge(order))
        except TimeoutError:
            return Outcome(order.id, "timed out")
        except CardDeclined:
            return Outcome(order.id, "declined")

    async def approval(self) -> Verdict:
        self.state = "waiting for approval"
        async with asyncio.timeout(PATIENCE):
            return await wait_until(lambda: self.verdict)

    @handler
    def decide(self, verdict: Verdict) -> None:
        self.verdict = verdict

    @readonly
    def current(self) -> str:
        return self.state


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder, 'approval.db')}"
        async with understudy.embedded(app, store=store) as client:
            order = Order("4711", "teapot", 2_500)
            run = await client.start(Approval, order, id=order.id)
            print("the order is", await run.ask(Approval.current))
            await run.tell(Approval.decide, "approved")
            print(await run.result())


if __name__ == "__main__":
    asyncio.run(main())
