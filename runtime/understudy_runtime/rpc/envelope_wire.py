"""The envelopes of peers.proto into our types and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from understudy_proto.v1 import peers_pb2, workers_pb2
from understudy_runtime.core.membership import Owner
from understudy_runtime.core.messages import Dispatch, Token
from understudy_runtime.core.needs import Offer
from understudy_runtime.core.transport import (
    Adopt,
    Decline,
    Envelope,
    Keeping,
    Lend,
    Loan,
    Noted,
    Offers,
    Recall,
    Report,
    Standing,
    Stop,
    Taken,
    Unknown,
    Wake,
)
from understudy_runtime.rpc.work_wire import to_token, token

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Dispatch).decode


def to_envelope(envelope: Envelope) -> peers_pb2.PeerEnvelope:
    match envelope:
        case Wake():
            return peers_pb2.PeerEnvelope(wake=peers_pb2.PeerWake(keys=envelope.keys))
        case Report():
            return peers_pb2.PeerEnvelope(report=peers_pb2.PeerReport(body=envelope.body))
        case Keeping(number, keeper, tokens):
            keeping = peers_pb2.PeerKeeping(
                number=number, node=keeper.node, incarnation=keeper.incarnation, attempts=map(to_token, tokens)
            )
            return peers_pb2.PeerEnvelope(keeping=keeping)
        case Noted(number):
            return peers_pb2.PeerEnvelope(noted=peers_pb2.PeerNoted(number=number))
        case Offers(after, standings):
            offers = peers_pb2.PeerOffers(after=after, standings=map(_to_standing, standings))
            return peers_pb2.PeerEnvelope(offers=offers)
        case Lend(number, loans):
            return peers_pb2.PeerEnvelope(lend=peers_pb2.PeerLend(number=number, loans=map(_to_loan, loans)))
        case Adopt(tokens) | Unknown(tokens) | Stop(tokens) | Taken(tokens) | Decline(tokens) | Recall(tokens):
            return _OF_ATTEMPTS[type(envelope)](list(map(to_token, tokens)))


def envelope(said: peers_pb2.PeerEnvelope) -> Envelope | None:
    """None if it is of a kind that this release does not know. MsgspecError if it cannot be read."""
    kind = said.WhichOneof("kind")
    return None if kind is None else _READ[kind](getattr(said, kind))


def _tokens(said: Iterable[workers_pb2.AttemptToken]) -> tuple[Token, ...]:
    return tuple(map(token, said))


def _to_standing(standing: Standing) -> peers_pb2.PeerStanding:
    offer = standing.offer
    return peers_pb2.PeerStanding(
        number=standing.number,
        offer=None if offer is None else _to_offer(offer),
        workers=standing.workers,
        slots=standing.slots,
        used=standing.used,
        room=standing.room,
    )


def _to_offer(offer: Offer) -> peers_pb2.PeerWorkerOffer:
    return peers_pb2.PeerWorkerOffer(
        tasks=sorted(offer.tasks),
        slots=offer.slots,
        labels=sorted(offer.labels),
        queues=sorted(offer.queues),
        namespace=offer.namespace,
    )


def _standing(said: peers_pb2.PeerStanding) -> Standing:
    offer = _offer(said.offer) if said.HasField("offer") else None
    return Standing(said.number, offer, said.workers, said.slots, said.used, said.room)


def _offer(said: peers_pb2.PeerWorkerOffer) -> Offer:
    return Offer(
        frozenset(said.tasks), said.slots, frozenset(said.labels), frozenset(said.queues), namespace=said.namespace
    )


def _to_loan(loan: Loan) -> peers_pb2.PeerLoan:
    return peers_pb2.PeerLoan(dispatch=_encode(loan.dispatch), since=loan.since, waits=loan.waits)


def _loan(said: peers_pb2.PeerLoan) -> Loan:
    return Loan(_decode(said.dispatch), said.since, said.waits)


_READ: Final[dict[str, Callable[[Any], Envelope]]] = {
    "wake": lambda said: Wake(tuple(said.keys)),
    "report": lambda said: Report(said.body),
    "keeping": lambda said: Keeping(said.number, Owner(said.node, said.incarnation), _tokens(said.attempts)),
    "noted": lambda said: Noted(said.number),
    "adopt": lambda said: Adopt(_tokens(said.attempts)),
    "unknown": lambda said: Unknown(_tokens(said.attempts)),
    "stop": lambda said: Stop(_tokens(said.attempts)),
    "taken": lambda said: Taken(_tokens(said.attempts)),
    "offers": lambda said: Offers(said.after, tuple(map(_standing, said.standings))),
    "lend": lambda said: Lend(said.number, tuple(map(_loan, said.loans))),
    "decline": lambda said: Decline(_tokens(said.attempts)),
    "recall": lambda said: Recall(_tokens(said.attempts)),
}
_OF_ATTEMPTS: Final[dict[type[Envelope], Callable[[list[workers_pb2.AttemptToken]], peers_pb2.PeerEnvelope]]] = {
    Adopt: lambda attempts: peers_pb2.PeerEnvelope(adopt=peers_pb2.PeerAdopt(attempts=attempts)),
    Unknown: lambda attempts: peers_pb2.PeerEnvelope(unknown=peers_pb2.PeerUnknown(attempts=attempts)),
    Stop: lambda attempts: peers_pb2.PeerEnvelope(stop=peers_pb2.PeerStop(attempts=attempts)),
    Taken: lambda attempts: peers_pb2.PeerEnvelope(taken=peers_pb2.PeerTaken(attempts=attempts)),
    Decline: lambda attempts: peers_pb2.PeerEnvelope(decline=peers_pb2.PeerDecline(attempts=attempts)),
    Recall: lambda attempts: peers_pb2.PeerEnvelope(recall=peers_pb2.PeerRecall(attempts=attempts)),
}
