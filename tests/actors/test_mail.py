"""Messages between actors are durable: each is taken exactly once, and each ask is answered."""

from __future__ import annotations

import asyncio

import pytest

from tests.actors.world import RecordedStore, cut_after, living, run, starting
from understudy import Actor, App, handler, start, tell, wait_until
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Description
from understudy_runtime.storage.memory import MemoryStore

pytestmark = pytest.mark.anyio

app = App("mail")


@app.workflow
class Ended:
    async def run(self) -> None:
        """It ends at once."""

    @handler
    def note(self, text: str) -> str:
        return text


@app.workflow
async def asks_the_dead(name: str) -> list[str]:
    from understudy import ask

    async def one(text: str) -> str:
        try:
            return await ask(name, Ended.note, text)
        except Exception as error:
            return str(error)

    return await asyncio.gather(*[one(text) for text in "abc"])


@app.workflow
async def starts_then_asks() -> list[str]:
    from understudy import ask

    start(Ended, id="child")
    answers: list[str] = []
    for text in "ab":
        try:
            answers.append(await ask("child", Ended.note, text))
        except Exception as error:
            answers.append(str(error))
    return answers


@pytest.mark.parametrize("exists", [False, True])
async def test_every_ask_of_a_run_that_cannot_answer_is_refused(exists: bool) -> None:
    async with living([app], MemoryStore()) as world:
        if exists:
            world.deliver(run("dead"), starting("Ended"))
            await world.result(run("dead"))
        world.deliver(run("one"), starting("asks_the_dead", "dead"))
        described = await world.result(run("one"))
    assert described.status == "succeeded", described
    assert str(described.result).count("dead") == 0
    answers = bytes(described.result or b"").decode()
    assert answers.count("has ended" if exists else "there is no run") == 3


async def test_an_answer_that_leaves_no_record_is_not_taken_for_another() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("one"), starting("starts_then_asks"))
        described = await world.result(run("one"))
    assert bytes(described.result or b"").decode().count("has ended") == 2


@app.actor
class Book(Actor):
    lines: list[str] = []

    @handler
    def write(self, line: str) -> int:
        self.lines.append(line)
        return len(self.lines)


@app.workflow
async def writes(name: str) -> int:
    book = Book.at("log")
    for number in range(5):
        book.tell(Book.write, f"{name}{number}")
    return await book.ask(Book.write, f"{name} end")


@app.workflow
class Chat:
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def run(self, count: int) -> list[str]:
        await wait_until(lambda: len(self.heard) >= count)
        return self.heard

    @handler
    def say(self, text: str) -> None:
        self.heard.append(text)


@app.workflow
async def says(name: str) -> None:
    for number in range(3):
        tell("chat", Chat.say, f"{name}{number}")


async def test_a_message_is_taken_once_wherever_the_crash_comes() -> None:
    """Between the sender's commit and the receiver's turn, and between the receiver's commit and its release."""
    store = RecordedStore()
    async with living([app], store) as world:
        for name in "ab":
            world.deliver(run(name), starting("writes", name))
            await world.result(run(name))
    for turns in range(1, len(store.written) + 1):
        async with living([app], await cut_after(store.written, turns)) as world:
            for name in "ab":
                world.deliver(run(name), starting("writes", name))
                await world.result(run(name))
            book: Description = await world.describe(actor_key("default", "Book", "log"))
        lines = bytes(book.result or b"").decode()
        assert [lines.count(f'"{name}{n}"') for name in "ab" for n in range(5)] == [1] * 10, turns
        assert lines.count("end") == 2


async def test_messages_of_one_sender_are_taken_in_the_order_in_which_they_were_sent() -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("chat"), starting("Chat", 6))
        for name in "ab":
            world.deliver(run(name), starting("says", name))
        described = await world.result(run("chat"))
    heard = bytes(described.result or b"").decode()
    for name in "ab":
        assert heard.index(f"{name}0") < heard.index(f"{name}1") < heard.index(f"{name}2")
