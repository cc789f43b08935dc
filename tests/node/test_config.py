"""A configuration comes from options, environment and file, in this order; what is wrong with it is one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from typer.core import TyperGroup

from understudy_runtime.cli.commands import app
from understudy_runtime.node.addresses import Address, parse_address
from understudy_runtime.node.config import BadConfig, NodeConfig, load_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.toml"


def test_an_option_counts_before_the_environment_and_that_before_the_file(file: Path) -> None:
    file.write_text('name = "file"\nnamespace = "file"\nstore = "file"\nthreads = 5\n')
    environment = {"UNDERSTUDY_NAME": "environment", "UNDERSTUDY_NAMESPACE": "environment", "UNDERSTUDY_THREADS": ""}
    config = load_config({"name": "option", "namespace": None}, environment, str(file))
    assert (config.name, config.namespace, config.store) == ("option", "environment", "file")
    assert config.threads == 5
    assert config.listen == NodeConfig().listen


def test_values_of_the_environment_are_read_as_what_they_should_be() -> None:
    config = load_config({}, {"UNDERSTUDY_GRACE_S": "2.5", "UNDERSTUDY_INSECURE": "true", "UNDERSTUDY_TEST_ETCD": "x"})
    assert (config.grace_s, config.insecure) == (2.5, True)


@pytest.mark.parametrize(
    ("options", "environment", "toml", "complaint"),
    [
        ({"listen": "nowhere"}, {}, "", "--listen: 'nowhere' will not do: write host:port"),
        ({}, {"UNDERSTUDY_THREADS": "many"}, "", "UNDERSTUDY_THREADS: 'many' will not do: expected `int`"),
        ({}, {"UNDERSTUDY_THREADS": "0"}, "", "UNDERSTUDY_THREADS: 0 will not do: from 1 to 10000"),
        ({"retention": "9m"}, {}, "", "--retention: '9m' will not do: a duration of 10 minutes at least"),
        ({}, {"UNDERSTUDY_RETENTION": "old"}, "", "UNDERSTUDY_RETENTION: 'old' will not do: a duration"),
        ({}, {}, "grace_s = -1", "grace_s in {file}: -1.0 will not do: from 0 to 86400 seconds"),
        ({}, {}, "thread = 1", "thread in {file}: there is no such field; there are: store, namespace"),
        ({}, {}, "threads =", "--config {file}: not TOML: "),
        ({}, {}, 'log_format = "xml"', "log_format in {file}: 'xml' will not do: invalid enum value"),
        (
            {"tls_cert": __file__},
            {},
            "",
            "--tls-key (by default): '' will not do: tls_cert and tls_key need one another",
        ),
        ({"tokens": "missing.toml"}, {}, "", "--tokens: 'missing.toml' will not do: there is no such file"),
        ({"listen": "0.0.0.0:7607"}, {}, "", "--listen: '0.0.0.0:7607' will not do: others could connect, so it needs"),
    ],
)
def test_what_is_wrong_is_named_with_where_it_came_from(
    options: dict[str, Any], environment: dict[str, str], toml: str, complaint: str, file: Path
) -> None:
    file.write_text(toml)
    with pytest.raises(BadConfig) as refused:
        load_config(options, environment, str(file))
    assert str(refused.value).startswith(complaint.format(file=file))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"--config .*node\.toml: No such file"):
        load_config({}, {}, str(tmp_path / "node.toml"))


def test_an_address_for_others_needs_tls_and_tokens_or_the_word_insecure(file: Path) -> None:
    file.touch()
    open_to_all = {"listen": ":7607"}
    with_tls = {**open_to_all, "tls_cert": str(file), "tls_key": str(file)}
    with pytest.raises(BadConfig):
        load_config(with_tls, {})
    assert load_config({**with_tls, "tokens": str(file)}, {}).listen == ":7607"
    assert load_config({**open_to_all, "insecure": True}, {}).listen == ":7607"


def test_every_field_has_an_option_and_every_option_a_field() -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    options = {option.name for option in command.commands["node"].params}
    fields = {field.name for field in msgspec.structs.fields(NodeConfig)}
    assert options - {"targets", "config", "check_replay", "parent"} == fields


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:1", Address("127.0.0.1", 1), True),
        ("localhost:65535", Address("localhost", 65_535), True),
        ("[::1]:7607", Address("::1", 7607), True),
        (":7607", Address("0.0.0.0", 7607), False),
        ("127.0.0.1.example.org:1", Address("127.0.0.1.example.org", 1), False),
        ("[::]:0", Address("::", 0), False),
    ],
)
def test_addresses(text: str, address: Address, loopback: bool) -> None:
    assert parse_address(text) == address
    assert parse_address(text).loopback == loopback


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:65536", "::1:7607", "http://host:1", "host:-1"])
def test_what_is_no_address(text: str) -> None:
    assert not parse_address(text).valid
