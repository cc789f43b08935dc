"""host:port, as people write it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

DEFAULT_PORT: Final = 7607
DEFAULT_ADDRESS: Final = f"127.0.0.1:{DEFAULT_PORT}"
"""Where a node listens, and a worker looks for it, unless told otherwise: only this machine can connect."""
MAX_PORT: Final = 65_535
ANYWHERE: Final = frozenset({"", "0.0.0.0", "::"})


class Address(NamedTuple):
    """`port` is -1 where what was written is no address."""

    host: str
    port: int

    @property
    def valid(self) -> bool:
        return self.port >= 0

    @property
    def loopback(self) -> bool:
        """Only this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def anywhere(self) -> bool:
        """It stands for all of this machine's addresses, so nobody can connect to it by that name."""
        return self.host in ANYWHERE

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


NO_ADDRESS: Final = Address("", -1)


def parse_address(text: str) -> Address:
    """The address, or one that is not `valid`. An IPv6 host is in brackets; `:7607` is any address of the machine."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        return NO_ADDRESS
    if host.startswith("[") and host.endswith("]"):
        return Address(host[1:-1], int(port))
    if ":" in host or host != host.strip() or "/" in host:
        return NO_ADDRESS
    return Address(host or "0.0.0.0", int(port))
