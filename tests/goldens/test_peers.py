"""What nodes of the last release say is understood, what is said to them is what they know, and so are large rows."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
import pytest

from tests.goldens.filling import expanded
from tests.goldens.lines import Line, read
from tests.goldens.peers import ENVELOPES, OWN, THEIRS, Sent, judged, large_values, on_the_wire
from tests.goldens.test_formats import missing
from understudy_proto.v1 import peers_pb2
from understudy_runtime.actors import journal
from understudy_runtime.core.peering import Opening
from understudy_runtime.core.ports import JournalRow
from understudy_runtime.core.transport import Envelope
from understudy_runtime.rpc import envelope_wire, peer_wire

SAID: Final = read("envelopes")
HELLOS: Final = {line.name: line for line in read("hellos")}


def sent(line: Line) -> Sent:
    return msgspec.json.decode(line.text, type=Sent)


@pytest.mark.parametrize("line", SAID, ids=lambda line: line.name)
def test_an_envelope_is_read_as_it_was_and_said_again_the_same(line: Line) -> None:
    said = peers_pb2.PeerEnvelope.FromString(sent(line).data)
    read_as = envelope_wire.envelope(said)
    assert type(read_as) is ENVELOPES[line.of]
    assert missing(line.whole, expanded(read_as)) == []
    assert bytes(on_the_wire(envelope_wire.to_envelope(_known(read_as)))) == bytes(line.text)


def _known(envelope: Envelope | None) -> Envelope:
    assert envelope is not None
    return envelope


def test_there_is_a_golden_of_every_envelope() -> None:
    assert {line.of for line in SAID} == set(ENVELOPES)
    assert set(get_args(Envelope)) == set(ENVELOPES.values())


def test_a_hello_is_said_and_read_as_ever() -> None:
    golden = HELLOS["frame-hello"]
    frame = peers_pb2.PeerFrame.FromString(sent(golden).data)
    assert expanded(peer_wire.opening(frame.hello)) == golden.whole
    said = peer_wire.to_hello(OWN, "n2", "life-2", Opening(7, 2**63, 9, 10_000))
    assert missing(sent(golden).json, msgspec.json.decode(on_the_wire(said), type=Sent).json) == []


@pytest.mark.parametrize("name", ["frame-batch", "frame-ping"])
def test_a_batch_is_said_again_the_same(name: str) -> None:
    batch = peer_wire.batch(peers_pb2.PeerFrame.FromString(sent(HELLOS[name]).data))
    assert bytes(on_the_wire(peer_wire.to_frame(batch))) == bytes(HELLOS[name].text)


@pytest.mark.parametrize("name", judged())
def test_a_hello_is_judged_as_ever(name: str) -> None:
    line = HELLOS[f"judged-{name}"]
    refused = peer_wire.judge(THEIRS, peers_pb2.PeerHello.FromString(sent(line).data))
    why: Any = None if refused is None else [refused.code.name, refused.reason]
    assert why == line.whole


@pytest.mark.parametrize("line", read("rows"), ids=lambda line: line.variant)
def test_rows_keep_large_values_apart_as_ever(line: Line) -> None:
    records = large_values()[line.variant]
    row, blobs = journal.encode(records)
    assert (row, {blob.digest: len(blob.body) for blob in blobs}) == (bytes(line.text), line.whole)
    found = journal.decode(
        JournalRow(1, "default/run/r", 1, 0.0, bytes(line.text)), {blob.digest: blob.body for blob in blobs}
    )
    assert list(map(expanded, found.records)) == list(map(expanded, records))
