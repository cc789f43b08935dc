"""Writes the goldens: what the code of a release encodes, decides and prints, as text that is kept and reviewed.

    git worktree add --detach ../release COMMIT
    PYTHONPATH=../release/sdk:../release/runtime:../release/proto python -m tests.goldens.make [PART ...]

The files in `data` were written by the code of commit 865bdf8. They are the promise that what this release wrote can
be read by all that come after it, so they are not written anew when code changes: only the tests beside them read
them. A format that is new gets lines of its own, written by the first release that has it: `--add` keeps all lines
that there are and writes only those of names that are not known yet. Where output is meant to change, such as the
words of a message, the line is changed by hand, and the commit says why.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import msgspec
from msgspec import Raw

from tests.goldens import conversions, formats, protocol
from tests.goldens.commands import commands
from tests.goldens.filling import COUNTS, expanded, variants
from tests.goldens.lines import DATA, Line, file_of, read, write
from tests.goldens.machines import driven, said
from tests.goldens.peers import ENVELOPES, OWN, THEIRS, judged, large_values, on_the_wire
from tests.goldens.session import as_text, blocks
from tests.goldens.surface import fields, public, row, structs
from tests.goldens.tables import tables
from understudy_runtime.actors import journal
from understudy_runtime.core.peering import Batch, Opening
from understudy_runtime.core.transport import Envelope, Noted
from understudy_runtime.rpc import envelope_wire, peer_wire

NULL: Final = Raw(b"null")
WHOLE: Final = ("least", "filled")
"""The variants of which all fields are kept too, so that a default cannot change unseen."""


def of_format(name: str) -> Iterator[Line]:
    form = formats.FORMATS[name]
    for of, kind in sorted(form.kinds.items()):
        for variant, made in variants(kind):
            value = form.decode(of, form.encode(made))  # what a state says twice, its decoder may put right
            whole = expanded(value) if variant in WHOLE else None
            yield Line(of, variant, Raw(form.encode(value)), whole)


def kinds_of_records() -> Iterator[Line]:
    """Whether a record is an input, a command or a note: replay depends on it."""
    for of, kind in sorted(formats.FORMATS["records"].kinds.items()):
        yield Line(of, kind.__mro__[1].__name__, NULL)


def rows() -> Iterator[Line]:
    """Rows whose large values are kept apart, with the digest and the size of each."""
    for name, records in large_values().items():
        row, blobs = journal.encode(records)
        yield Line("row", name, Raw(row), {blob.digest: len(blob.body) for blob in blobs})


def envelopes() -> Iterator[Line]:
    for of, kind in ENVELOPES.items():
        for variant, value in variants(kind, COUNTS):
            said = envelope_wire.to_envelope(cast("Envelope", value))
            yield Line(of, variant, on_the_wire(said), expanded(envelope_wire.envelope(said)))


def hellos() -> Iterator[Line]:
    first = peer_wire.to_hello(OWN, "n2", "life-2", Opening(7, 2**63, 9, 10_000))
    yield Line("frame", "hello", on_the_wire(first), expanded(peer_wire.opening(first.hello)))
    frame = peer_wire.to_frame(Batch(3, [envelope_wire.to_envelope(Noted(5))], 2**40, 10_000))
    yield Line("frame", "batch", on_the_wire(frame))
    yield Line("frame", "ping", on_the_wire(peer_wire.to_frame(Batch(1, [], 0, 0))))
    for name, hello in judged().items():
        refused = peer_wire.judge(THEIRS, hello)
        why = None if refused is None else [refused.code.name, refused.reason]
        yield Line("judged", name, on_the_wire(hello), why)


def snapshots() -> Iterator[Line]:
    for each in driven():
        yield Line(each.machine, each.name, Raw(each.snapshot), said(each.machine, each.snapshot, each.now))


def rows_of_tables() -> Iterator[Line]:
    for table, found in tables().items():
        for name, decided in found.items():
            yield Line(table, name, NULL, decided)


def surface() -> Iterator[Line]:
    for module, name, value in public():
        yield Line(module, name, NULL, row(value))


def fields_of_types() -> Iterator[Line]:
    for name, kind in structs().items():
        yield Line("understudy", name, NULL, fields(kind))


def descriptors() -> Iterator[Line]:
    for kind, name, declared in protocol.described():
        yield Line(kind, name, NULL, declared)


def protocol_messages() -> Iterator[Line]:
    for kind in protocol.messages():
        for variant, message in protocol.variants(kind):
            yield Line(kind.full_name, variant, on_the_wire(message))


def node_calls() -> Iterator[Line]:
    for name, variant, request, choice in conversions.requests():
        given: dict[str, Any] = {}
        done = conversions.carried_out(name, request, given, choice)
        yield Line(name, variant, on_the_wire(request), {"given": given, **done})


def client_calls() -> Iterator[Line]:
    for name, variant, arguments, choice in conversions.calls_of_doors():
        given: list[bytes] = []
        done = conversions.asked(name, arguments, given, choice)
        yield Line(name, variant, Raw(msgspec.json.encode(arguments)), {"given": given, **done})


def work_calls() -> Iterator[Line]:
    for name, variant, message in conversions.work():
        yield Line(name, variant, on_the_wire(message), conversions.between_worker_and_node(name, message))


def typed() -> Iterator[Line]:
    for name, declared in commands():
        yield Line("command", name, NULL, declared)


def write_session() -> None:
    """The one that is text as it stands, because it is read like a book."""
    with TemporaryDirectory() as folder:
        (DATA / "session.txt").write_text(as_text(blocks(Path(folder))), encoding="utf-8")


PARTS: Final[dict[str, Callable[[], Iterator[Line]]]] = {
    **{name: partial(of_format, name) for name in formats.FORMATS},
    "kinds": kinds_of_records,
    "rows": rows,
    "snapshots": snapshots,
    "envelopes": envelopes,
    "hellos": hellos,
    "tables": rows_of_tables,
    "descriptors": descriptors,
    "protocol": protocol_messages,
    "commands": typed,
    "node_calls": node_calls,
    "client_calls": client_calls,
    "work_calls": work_calls,
    "surface": surface,
    "fields": fields_of_types,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}, session; all if none is named"
    )
    options.add_argument("--add", action="store_true", help="keep the lines that there are")
    given = options.parse_args()
    if "session" in given.parts or not given.parts:
        write_session()
    for part in [part for part in given.parts or PARTS if part != "session"]:
        kept = read(part) if given.add and file_of(part).exists() else []
        known = {line.name for line in kept} | {line.of for line in kept if part in formats.FORMATS}
        write(part, [*kept, *(line for line in PARTS[part]() if not {line.name, line.of} & known)])


if __name__ == "__main__":
    main()
