from understudy_proto.v1 import values_pb2 as _values_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Address(_message.Message):
    __slots__ = ("kind", "id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class TellRequest(_message.Message):
    __slots__ = ("namespace", "address", "handler", "arguments", "idempotency_key")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: Address
    handler: str
    arguments: _values_pb2.Arguments
    idempotency_key: str
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[_Union[Address, _Mapping]] = ..., handler: _Optional[str] = ..., arguments: _Optional[_Union[_values_pb2.Arguments, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class TellResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("namespace", "address", "handler", "arguments", "readonly", "idempotency_key")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    READONLY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    address: Address
    handler: str
    arguments: _values_pb2.Arguments
    readonly: bool
    idempotency_key: str
    def __init__(self, namespace: _Optional[str] = ..., address: _Optional[_Union[Address, _Mapping]] = ..., handler: _Optional[str] = ..., arguments: _Optional[_Union[_values_pb2.Arguments, _Mapping]] = ..., readonly: _Optional[bool] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("result", "failure")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    result: bytes
    failure: _values_pb2.Failure
    def __init__(self, result: _Optional[bytes] = ..., failure: _Optional[_Union[_values_pb2.Failure, _Mapping]] = ...) -> None: ...
