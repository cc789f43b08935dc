"""The methods that are calls, as the .proto files have them: `RunService.StartRun` is `start_run` of `Calls`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from google.protobuf.descriptor import Descriptor, FileDescriptor, ServiceDescriptor

from understudy_proto.v1 import actors_pb2, jobs_pb2, nodes_pb2, resources_pb2, runs_pb2, schedules_pb2

FILES: Final[tuple[FileDescriptor, ...]] = (
    runs_pb2.DESCRIPTOR,
    actors_pb2.DESCRIPTOR,
    jobs_pb2.DESCRIPTOR,
    schedules_pb2.DESCRIPTOR,
    resources_pb2.DESCRIPTOR,
    nodes_pb2.DESCRIPTOR,
)
SERVICES: Final[tuple[ServiceDescriptor, ...]] = tuple(
    service for file in FILES for service in file.services_by_name.values()
)
_WORDS: Final = re.compile(r"(?<!^)(?=[A-Z])")


def snake(name: str) -> str:
    return _WORDS.sub("_", name).lower()


FULL_NAMES: Final[Mapping[str, str]] = {
    snake(method.name): f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods
}
RESPONSES: Final[Mapping[str, Descriptor]] = {
    snake(method.name): method.output_type for service in SERVICES for method in service.methods
}
