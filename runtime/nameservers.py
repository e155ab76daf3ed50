"""Read the settings' list of name servers into addresses and ports."""

import ipaddress
import socket


def parse_nameservers(nameservers: list[str]) -> list[tuple[str, int]]:
    """ "host", "host:port", "v6" or "[v6]:port" → (address, port). Raises ValueError naming the bad entry.

    A host name is resolved once, by the system, because a resolver needs addresses."""
    return [_parse(entry.strip()) for entry in nameservers]


def _parse(entry: str) -> tuple[str, int]:
    host, port = entry, 53
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = _port(entry, rest.removeprefix(":")) if rest else 53
    elif entry.count(":") == 1:
        host, _, digits = entry.partition(":")
        port = _port(entry, digits)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"name server {entry!r} is neither an address nor a known host") from error
    return str(found[0][4][0]), port


def _port(entry: str, digits: str) -> int:
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 65536:
        raise ValueError(f"name server {entry!r} has no valid port")
    return int(digits)
