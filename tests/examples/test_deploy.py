"""The deployment examples say what a node understands."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import msgspec

from understudy_runtime.node.config import NodeConfig

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
FIELDS = {field.name for field in msgspec.structs.fields(NodeConfig)}


def test_every_field_of_the_file_is_one() -> None:
    config = msgspec.convert(tomllib.loads((DEPLOY / "node.toml").read_text()), NodeConfig)
    assert config.tls_cert
    assert config.tokens


def test_every_variable_of_the_container_is_one() -> None:
    names = re.findall(r"\bUNDERSTUDY_([A-Z_]+)=", (DEPLOY / "Containerfile").read_text())
    assert names
    assert {name.lower() for name in names} <= FIELDS


def test_systemd_waits_longer_than_the_node_takes() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names have capitals
    unit.read(DEPLOY / "understudy.service")
    grace_s = tomllib.loads((DEPLOY / "node.toml").read_text())["grace_s"]
    assert unit["Service"]["Type"] == "notify"
    assert int(unit["Service"]["TimeoutStopSec"]) > grace_s
