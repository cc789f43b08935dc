"""Codecs of user code's signatures: what a call, a result and an actor's state are as JSON.

A codec is made from a signature when its function is decorated and refuses annotations it could not serve
there. A parameter without an annotation takes plain JSON types. Whatever user code gets has been decoded by a
codec, live or replayed, so both see the same values.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, get_origin, get_type_hints

import msgspec
from msgspec import Raw

from understudy import values
from understudy.errors import BadDefinition, BadInput
from understudy.exactness import MAX_DEPTH

_EMPTY: Final[dict[str, Any]] = {}

MAX_KNOWN_SHAPES: Final = 64
"""Combinations of classes that a codec remembers as known to arrive as they are; others are looked at each time."""


class _Call(msgspec.Struct, frozen=True):
    args: Sequence[Any]
    kwargs: Mapping[str, Any] = {}


class _RawCall(msgspec.Struct, frozen=True):
    args: list[Raw]
    kwargs: dict[str, Raw]


_decode_call: Final = msgspec.json.Decoder(_RawCall).decode
_JSON: Final = msgspec.json.Decoder(dict[str, Any] | list[Any] | str | float | bool | None)
_JSON_ARRAY: Final = msgspec.json.Decoder(list[Raw])
_JSON_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])


if sys.version_info >= (3, 14):
    from annotationlib import Format

    def signature_of(fn: Callable[..., Any]) -> inspect.Signature:
        """The signature without resolved annotations, which may name what is not defined yet."""
        return inspect.signature(fn, annotation_format=Format.STRING)

else:

    def signature_of(fn: Callable[..., Any]) -> inspect.Signature:
        """The signature without resolved annotations, which may name what is not defined yet."""
        return inspect.signature(fn)


def annotations_of(subject: Any, name: str, names_in_scope: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved annotations; `names_in_scope` are those of the place where `subject` is decorated."""
    parameters = {
        each.__name__: each for each in getattr(subject, "__type_params__", ())
    }  # not known to 3.12's strings
    try:
        return get_type_hints(subject, localns={**names_in_scope, **parameters}, include_extras=True)
    except (NameError, AttributeError) as error:
        raise values.unresolved(name, error) from None
    except (TypeError, SyntaxError) as error:
        raise BadDefinition(f"{name}: an annotation cannot be resolved: {error}") from None


class CallCodec:
    """The arguments of one function: `{"args": [...], "kwargs": {...}}`.

    Arguments are brought into one form, by position as far as they go, so that the digest of a call does not
    depend on how it was written.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str = "",
        skip_self: bool = False,
        names_in_scope: Mapping[str, Any] = _EMPTY,
    ) -> None:
        self.name: Final = name or fn.__qualname__
        try:
            parameters = list(signature_of(fn).parameters.values())[1 if skip_self else 0 :]
        except (ValueError, TypeError) as error:
            raise BadDefinition(f"{self.name}: Python does not know its parameters: {error}") from None
        hints = annotations_of(fn, f"{self.name}()", names_in_scope)
        decoders = {
            parameter.name: values.Decoder(
                hints.get(parameter.name, Any), f"{self.name}(): parameter '{parameter.name}'"
            )
            for parameter in parameters
        }
        kinds = inspect.Parameter
        positional = [p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
        named = [p for p in parameters if p.kind is kinds.KEYWORD_ONLY]
        self._positional: Final = tuple(p.name for p in positional)
        self._unnameable: Final = frozenset(p.name for p in positional if p.kind is kinds.POSITIONAL_ONLY)
        self._required: Final = tuple(p.name for p in (*positional, *named) if p.default is kinds.empty)
        self._named: Final = tuple(p.name for p in named)
        self._rest: Final = next((decoders[p.name] for p in parameters if p.kind is kinds.VAR_POSITIONAL), None)
        self._others: Final = next((decoders[p.name] for p in parameters if p.kind is kinds.VAR_KEYWORD), None)
        self._decoders: Final = decoders
        self._call_label: Final = f"{self.name}()"
        self._steps: Final = [(decoders[name], f"{self._call_label}: {name}") for name in self._positional]
        self._proofs: Final = [decoders[name].proof for name in self._positional]
        self._known_shapes: Final[set[tuple[type, ...] | None]] = set()
        self._fewest: Final = sum(p.default is kinds.empty for p in positional)
        self._simple: Final = not any(p.default is kinds.empty for p in named)

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any] = _EMPTY) -> tuple[bytes, str]:
        """The call as JSON, and the digest of its arguments; BadInput names what would not arrive as it is."""
        shape = None if kwargs else tuple(map(type, args))
        if shape in self._known_shapes:
            data = values.encode_exact(_Call(args, kwargs), self._call_label)
            return data, values.digest(data, None, unordered=False)
        args, kwargs = self.bind(args, kwargs)
        unordered = None if kwargs else self._prove(args)
        if unordered is not None:
            call = _Call(args, kwargs)
            data = values.encode_exact(call, self._call_label)
            return data, values.digest(data, call, unordered)
        encoded = self.encode_unproven(args, kwargs)
        self._refuse_changes(args, kwargs, encoded[0])
        return encoded

    def encode_unproven(self, args: Sequence[Any], kwargs: Mapping[str, Any] = _EMPTY) -> tuple[bytes, str]:
        """What `encode` gives, also of arguments that change on their way.

        For callers that do not know the types, and for calls that a journal has already.
        """
        args, kwargs = self.bind(args, kwargs)
        names = self._positional if len(args) <= len(self._positional) else self._labels(len(args))
        call = _Call(args, kwargs)
        if kwargs:
            parts, names = (*args, *kwargs.values()), (*names[: len(args)], *kwargs)
            data, unordered = values.encode_parts(parts, names, call, self._call_label)
        else:
            data, unordered = values.encode_parts(args, names, call, self._call_label)
        return data, values.digest(data, call, unordered)

    def _prove(self, args: Sequence[Any]) -> bool | None:
        """None unless all of these are known to arrive as they are; else whether they may hold dicts or sets."""
        if len(args) > len(self._proofs):
            return None
        by_class, unordered = True, False
        for proof, value in zip(self._proofs, args, strict=False):
            if type(value) not in proof.kinds:
                if proof.look is None or not proof.look(value, MAX_DEPTH):
                    return None
                by_class, unordered = False, unordered or proof.unordered
        if by_class and len(self._known_shapes) < MAX_KNOWN_SHAPES:
            self._known_shapes.add(tuple(map(type, args)))
        return unordered

    def _refuse_changes(self, args: Sequence[Any], kwargs: Mapping[str, Any], data: bytes) -> None:
        arrived, named = self.decode(data)
        for label, sent, other in zip(self._labels(len(args)), args, arrived, strict=False):
            values.refuse_changes(sent, other, f"{self._call_label}: {label}")
        for name, sent in kwargs.items():
            values.refuse_changes(sent, named[name], f"{self._call_label}: {name}")

    def digest(self, args: Sequence[Any], kwargs: Mapping[str, Any] = _EMPTY) -> str:
        """The hexadecimal xxhash64 of these arguments."""
        return self.encode_unproven(args, kwargs)[1]

    def decode(self, data: bytes | Raw) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, typed as annotated; BadInput names the parameter that does not fit."""
        try:
            call = _decode_call(data)
        except msgspec.MsgspecError as error:
            raise BadInput(f"{self._call_label}: {error}") from None
        return self._decode(call.args, call.kwargs, values.has_escapes(data))

    def from_json(self, text: str) -> tuple[bytes, str]:
        """What `encode` gives, for arguments that a person wrote as JSON.

        An array holds positional arguments. An object holds arguments by name if its names are those of
        parameters; else, for a function of one parameter, it is that parameter. Anything else is one argument.
        """
        try:
            data = text.encode()
            plain = _JSON.decode(data)
        except (UnicodeEncodeError, msgspec.MsgspecError, RecursionError) as error:
            raise BadInput(f"the input is not JSON: {error}") from None
        if isinstance(plain, list):
            given = _RawCall(_JSON_ARRAY.decode(data), {})
        elif isinstance(plain, dict) and self._takes_by_name(_JSON_OBJECT.decode(data)):
            given = _RawCall([], _JSON_OBJECT.decode(data))
        else:
            given = _RawCall([Raw(data)], {})
        return self.encode(*self._decode(given.args, given.kwargs, escaped=False))

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The arguments in their one form; BadInput if they do not fit the signature."""
        if not kwargs and self._simple and self._fewest <= len(args) <= len(self._positional):
            return args, kwargs
        return self._bind_carefully(list(args), dict(kwargs))

    def _bind_carefully(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        if len(args) > len(self._positional) and self._rest is None:
            raise BadInput(f"{self} takes at most {len(self._positional)} positional arguments, not {len(args)}")
        given = set(self._positional[: len(args)])
        twice = given.intersection(kwargs) - self._unnameable
        if twice:
            raise BadInput(f"{self} got '{min(twice)}' both by position and by name")
        for name in self._positional[len(args) :]:
            if name not in kwargs or name in self._unnameable:
                break
            args.append(kwargs.pop(name))
            given.add(name)
        nameable = {*self._positional, *self._named} - self._unnameable - given
        unknown = kwargs.keys() - nameable
        if unknown and self._others is None:
            raise BadInput(f"{self} has no parameter '{min(unknown)}'")
        given.update(nameable.intersection(kwargs))
        missing = [name for name in self._required if name not in given]
        if missing:
            raise BadInput(f"{self} needs a value for '{missing[0]}'")
        return args, dict(sorted(kwargs.items()))

    def _decode(
        self, args: Sequence[Raw], kwargs: Mapping[str, Raw], escaped: bool
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = self.bind(args, kwargs)
        steps = self._steps if len(args) <= len(self._steps) else self._more_steps(len(args))
        decoded = tuple(
            [decoder.decode_part(raw, label, escaped) for (decoder, label), raw in zip(steps, args, strict=False)]
        )
        if not kwargs:
            return decoded, {}
        return decoded, {name: self._decode_named(name, raw, escaped) for name, raw in kwargs.items()}

    def _more_steps(self, count: int) -> list[tuple[values.Decoder, str]]:
        if self._rest is None:
            raise BadInput(f"{self} takes at most {len(self._steps)} positional arguments, not {count}")
        extra = self._labels(count)[len(self._steps) :]
        return [*self._steps, *((self._rest, f"{self._call_label}: {label}") for label in extra)]

    def _decode_named(self, name: str, raw: Raw, escaped: bool) -> Any:
        decoder = self._decoders[name] if name in self._positional or name in self._named else self._others
        if decoder is None:
            raise BadInput(f"{self} has no parameter '{name}'")
        return decoder.decode_part(raw, f"{self._call_label}: {name}", escaped)

    def _takes_by_name(self, given: Mapping[str, Any]) -> bool:
        nameable = {*self._positional, *self._named} - self._unnameable
        if len(self._decoders) != 1 or self._others is not None:
            return True
        return set(given) == nameable or (not given and not self._required)

    def _labels(self, count: int) -> tuple[str, ...]:
        extra = count - len(self._positional)
        return (*self._positional, *(f"argument {len(self._positional) + i + 1}" for i in range(extra)))

    def __str__(self) -> str:
        shown = [name if name in self._required else f"{name}=..." for name in (*self._positional, *self._named)]
        return f"{self.name}({', '.join(shown)})"


class ResultCodec:
    """The result of one function, typed by its return annotation."""

    def __init__(self, fn: Callable[..., Any], *, name: str = "", names_in_scope: Mapping[str, Any] = _EMPTY) -> None:
        self._label: Final = f"the result of {name or fn.__qualname__}()"
        annotation = annotations_of(fn, f"{name or fn.__qualname__}()", names_in_scope).get("return", Any)
        self._decoder: Final = values.Decoder(annotation, self._label)

    def encode(self, value: Any) -> bytes:
        """The result as JSON; BadInput if it would not arrive as it is, by its annotation."""
        return self._decoder.encode(value, self._label)

    def encode_unproven(self, value: Any) -> bytes:
        """What `encode` gives, also of a result that changes on its way: for one that a journal has already."""
        return values.encode(value, self._label)

    def decode(self, data: bytes | Raw) -> Any:
        return self._decoder.decode(data, self._label)


class StateCodec:
    """The durable state of an actor class: its annotated attributes, each with a default, as a JSON object.

    An attribute that older state does not have takes its default, and one that the class no longer has is
    dropped.
    """

    def __init__(self, cls: type[Any], *, names_in_scope: Mapping[str, Any] = _EMPTY) -> None:
        self._cls: Final = cls
        hints = annotations_of(cls, cls.__qualname__, names_in_scope)
        fields = {name: hint for name, hint in hints.items() if not _is_class_variable(hint)}
        for name in fields:
            if not hasattr(cls, name):
                raise BadDefinition(f"{cls.__qualname__}.{name} has no default; a new actor could not begin")
        self._decoders: Final = {
            name: values.Decoder(hint, f"{cls.__qualname__}.{name}") for name, hint in fields.items()
        }
        self._labels: Final = tuple(f".{name}" for name in fields)
        self._initial: Final = self._encode({name: getattr(cls, name) for name in fields}, BadDefinition)
        self._decode_fields(self._initial)

    def new(self) -> Any:
        """An actor that nobody has spoken to yet."""
        return self.decode(self._initial)

    def encode(self, actor: Any) -> bytes:
        """The state as JSON; BadInput names the attribute that cannot be kept."""
        undeclared = actor.__dict__.keys() - self._decoders.keys()
        if undeclared:
            raise BadInput(
                f"{self._cls.__qualname__}.{min(undeclared)} would be forgotten; "
                "declare it in the class, with an annotation and a default"
            )
        return self._encode({name: getattr(actor, name) for name in self._decoders}, BadInput)

    def decode(self, data: bytes | Raw) -> Any:
        """An actor of this state."""
        actor = object.__new__(self._cls)
        actor.__dict__.update(self._decode_fields(self._initial))
        if data is not self._initial:
            actor.__dict__.update(self._decode_fields(data))
        return actor

    def _encode(self, state: dict[str, Any], error: type[BadInput] | type[BadDefinition]) -> bytes:
        try:
            if all(decoder.proof.holds(state[name]) for name, decoder in self._decoders.items()):
                return values.encode_exact(state, self._cls.__qualname__)
            data = values.encode_parts(list(state.values()), self._labels, state, self._cls.__qualname__)[0]
            self._refuse_changes(state, data)
            return data
        except BadInput as unfit:
            raise error(str(unfit)) from None

    def _refuse_changes(self, state: dict[str, Any], data: bytes) -> None:
        arrived = self._decode_fields(data)
        for name, value in state.items():
            sent: Any = value
            if issubclass(type(sent), tuple) and type(arrived[name]) is list and not self._decoders[name].any:
                # The state is what the class declares: a tuple put where a list is declared becomes one.
                sent = list(sent)
            values.refuse_changes(sent, arrived[name], f"{self._cls.__qualname__}.{name}")

    def _decode_fields(self, data: bytes | Raw) -> dict[str, Any]:
        stored = _JSON_OBJECT.decode(data)
        return {
            name: decoder.decode(stored[name], f"{self._cls.__qualname__}.{name}")
            for name, decoder in self._decoders.items()
            if name in stored
        }


def _is_class_variable(annotation: Any) -> bool:
    return annotation is ClassVar or get_origin(annotation) is ClassVar
