from __future__ import annotations

import pytest
from msgspec import Raw

from understudy_runtime.execution import wire
from understudy_runtime.execution.wire import Beat, Done, Frames, FrameTooLarge, FromChild, Recalled, frame, from_child


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_frames_survive_any_division_of_the_stream(size: int) -> None:
    messages: list[FromChild] = [Recalled([1, 2]), Beat(1, Raw(b'{"at":7}')), Done(1, 0.5, Raw(b"[]")), Done(2, 0.0)]
    stream = b"".join(frame(message) for message in messages)
    frames = Frames()
    heard: list[FromChild] = []
    for at in range(0, len(stream), size):
        heard += [from_child.decode(body) for body in frames.feed(stream[at : at + size])]
    assert heard == messages


def test_message_over_the_limit_is_refused_and_one_at_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", len(frame(Beat(1, Raw(b'"1234"')))) - 4)
    frame(Beat(1, Raw(b'"1234"')))
    with pytest.raises(FrameTooLarge):
        frame(Beat(1, Raw(b'"12345"')))
