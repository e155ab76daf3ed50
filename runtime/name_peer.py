"""Who counts as one peer, wherever a limit is by peer."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def name_peer(ip: str) -> str:
    """Who counts as one peer: an IPv4 address, or the /64 of an IPv6 one, since whoever has one of its addresses has all of them
    (RFC 6177)."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv4Address):
        return ip
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
