"""The committed code is that of the .proto files, and these say what everything means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

PROTO = Path(__file__).parents[2] / "proto"


def test_the_generated_code_is_current() -> None:
    check = subprocess.run(
        [sys.executable, str(PROTO / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr


def test_every_message_field_method_and_value_has_a_comment(tmp_path: Path) -> None:
    out = tmp_path / "all.binpb"
    files = [str(path.relative_to(PROTO)) for path in PROTO.glob("understudy_proto/v1/*.proto")]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", "--include_source_info"]
    subprocess.run([*protoc, f"--descriptor_set_out={out}", *files], check=True)
    found = FileDescriptorSet.FromString(out.read_bytes()).file

    bare = [f"{file.name}: {name}" for file in found for name in _without_comment(file)]

    assert len(found) == len(files) > 0
    assert bare == []


def _without_comment(file: Any) -> Iterator[str]:
    commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
    for path, name in _elements(file):
        if path not in commented:
            yield name


def _elements(file: Any) -> Iterator[tuple[tuple[int, ...], str]]:
    """Everything that is declared, with its path as protoc counts it."""
    for m, message in enumerate(file.message_type):
        yield (4, m), message.name
        for f, field in enumerate(message.field):
            yield (4, m, 2, f), f"{message.name}.{field.name}"
    for e, enum in enumerate(file.enum_type):
        yield (5, e), enum.name
        for v, value in enumerate(enum.value):
            yield (5, e, 2, v), value.name
    for s, service in enumerate(file.service):
        yield (6, s), service.name
        for r, method in enumerate(service.method):
            yield (6, s, 2, r), f"{service.name}.{method.name}"


@pytest.mark.parametrize("suffix", ["_pb2.py", "_pb2.pyi", "_pb2_grpc.py"])
def test_the_check_notices_a_change(tmp_path: Path, suffix: str) -> None:
    copy = tmp_path / "proto"
    subprocess.run(["cp", "-r", str(PROTO), str(copy)], check=True)
    (copy / f"understudy_proto/v1/runs{suffix}").write_text("# edited by hand\n")
    check = subprocess.run(
        [sys.executable, str(copy / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 1
    assert f"runs{suffix}" in check.stderr
