"""Commands with an idempotency key: taken once, and remembered for ten minutes, or for as long as they are open."""

from __future__ import annotations

from understudy_runtime.core.deliveries import MAX_REMEMBERED, REMEMBERED_S, Deliveries, apply_received, apply_replied
from understudy_runtime.core.kinds import NULL
from understudy_runtime.core.records.deliveries import Delivered, Replied


def received(deliveries: Deliveries, number: int, at: float) -> None:
    apply_received(deliveries, Delivered(number, "wait", NULL, ask=True, idempotency_key=f"key-{number}"), at)


def test_the_key_of_an_ask_is_kept_for_as_long_as_it_is_open() -> None:
    deliveries = Deliveries()
    received(deliveries, 1, 0.0)
    received(deliveries, 2, REMEMBERED_S + 1)
    assert "key-1" in deliveries.remembered, "asked again, it would be done twice"
    apply_replied(deliveries, Replied(1))
    received(deliveries, 3, REMEMBERED_S + 2)
    received(deliveries, 4, 3 * REMEMBERED_S)
    assert "key-1" not in deliveries.remembered


def test_however_many_come_the_keys_of_open_ones_stay_and_the_number_is_bounded() -> None:
    deliveries = Deliveries()
    received(deliveries, 1, 0.0)
    for number in range(2, 2 * MAX_REMEMBERED):
        received(deliveries, number, 1.0)
        apply_replied(deliveries, Replied(number))
    assert "key-1" in deliveries.remembered
    assert len(deliveries.remembered) == MAX_REMEMBERED
