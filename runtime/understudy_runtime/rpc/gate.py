"""The gate before every call: who is calling, and whether that caller may.

A token in `authorization: Bearer ...` counts before a client certificate. Who has neither is UNAUTHENTICATED, who has
too small a role is PERMISSION_DENIED. A stream is let in once, when it begins; but a session, which carries calls of
all kinds and may last for weeks, gets a `Pass`, by which each call is judged by what counts when it comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc.aio

from understudy_runtime.rpc.access import OPEN, Access, Caller, needed
from understudy_runtime.rpc.errors import Refusal, to_trailers

BEARER: Final = "bearer "
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = grpc.aio.ServicerContext[Any, Any]


class Gate(grpc.aio.ServerInterceptor):
    """`access` says what counts at the time of a call."""

    def __init__(self, access: Callable[[], Access]) -> None:
        self._access = access

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        details, method = handler_call_details, handler_call_details.method
        if method in OPEN:
            return await continuation(details)
        access, token = self._access(), _token(details)
        if token is None and access.knows_certificates:
            handler = await continuation(details)
            if handler is None:
                return None  # no such method: grpc answers that itself
            return _checked(handler, lambda context: _judge(_by_certificate(access, context), method))
        caller = None if token is None else access.by_token(token)
        refused = _judge(caller, method, unknown_token=token is not None)
        return await continuation(details) if refused is None else _denied(refused)

    def pass_for(self, context: Context) -> Pass:
        """Of the caller of a session that was let in."""
        token = _token_in(context.invocation_metadata())
        if token is not None:
            return Pass(self._access, lambda access: access.by_token(token), unknown_token=True)
        names = _names(context)
        return Pass(self._access, lambda access: access.by_certificate(names))


class Pass:
    """What the caller of a session may do. The look-up is made again only when what counts has changed."""

    def __init__(
        self, access: Callable[[], Access], look_up: Callable[[Access], Caller | None], *, unknown_token: bool = False
    ) -> None:
        self._access = access
        self._look_up = look_up
        self._unknown_token = unknown_token
        self._seen: Access | None = None
        self._refusals: dict[str, Refusal | None] = {}
        self._caller: Caller | None = None

    def renew(self) -> Refusal | None:
        """To be called now and then, such as once a batch; why the session is over, if the caller is unknown by now."""
        access = self._access()
        if access is not self._seen:
            self._seen, self._refusals = access, {}
            self._caller = self._look_up(access)
        return _judge(None, "", unknown_token=self._unknown_token) if self._caller is None else None

    def judge(self, method: str) -> Refusal | None:
        """Why this caller may not call this method, by its full name; None: he may."""
        if method not in self._refusals:
            self._refusals[method] = _judge(self._caller, method, unknown_token=self._unknown_token)
        return self._refusals[method]


def _token(details: grpc.HandlerCallDetails) -> str | None:
    return _token_in(details.invocation_metadata)


def _token_in(metadata: Any) -> str | None:
    for key, value in metadata or ():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if key == "authorization" and text[: len(BEARER)].lower() == BEARER:
            return text[len(BEARER) :].strip()
    return None


def _by_certificate(access: Access, context: Context) -> Caller | None:
    return access.by_certificate(_names(context))


def _names(context: Context) -> list[str]:
    peer = context.auth_context()
    named = (*peer.get("x509_common_name", ()), *peer.get("x509_subject_alternative_name", ()))
    return [name.decode("utf-8", "replace") for name in named]


def _judge(caller: Caller | None, method: str, *, unknown_token: bool = False) -> Refusal | None:
    """Why this caller may not; None: it may."""
    if caller is None:
        message = (
            "this token is not known here; it may have been withdrawn"
            if unknown_token
            else "this node wants to know who calls; send a token as `authorization: Bearer ...`"
        )
        return Refusal(grpc.StatusCode.UNAUTHENTICATED, message, "UNAUTHENTICATED")
    if not caller.may(method):
        message = f"{caller.name} lacks the role {needed(method)}, which {method.rpartition('/')[2]} needs"
        return Refusal(grpc.StatusCode.PERMISSION_DENIED, message, "PERMISSION_DENIED")
    return None


def _denied(refused: Refusal) -> Handler:
    """A handler that refuses without waiting for a request: of streams, because that is the most general kind."""

    async def refuse(requests: AsyncIterator[Any], context: Context) -> None:
        await context.abort(refused.code, refused.message, to_trailers(refused))

    return grpc.stream_stream_rpc_method_handler(refuse)


def _checked(handler: Handler, judge: Callable[[Context], Refusal | None]) -> Handler:
    """The same handler, behind a check that needs the call's context."""
    name = {(False, False): "unary_unary", (False, True): "unary_stream", (True, True): "stream_stream"}[
        bool(handler.request_streaming), bool(handler.response_streaming)
    ]
    behave = getattr(handler, name)

    async def check(request: Any, context: Context) -> Any:
        refused = judge(context)
        if refused is not None:
            await context.abort(refused.code, refused.message, to_trailers(refused))
        return await behave(request, context)

    make = getattr(grpc, f"{name}_rpc_method_handler")
    made: Handler = make(check, handler.request_deserializer, handler.response_serializer)
    return made
