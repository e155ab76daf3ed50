"""Whether an address belongs to the public internet: asked before every connection to a host that mail or DNS names."""

import ipaddress

# RFC 4291 section 2.4 and the special-purpose registries of IANA (RFC 6890). Only what is known to be public is: `is_global` differs
# between versions of Python, and says yes to what nobody has assigned.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo (RFC 4380), benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
_SPECIAL_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052; the local one of RFC 8215 leads inside


def is_public(address: str) -> bool:
    """False for what is no address, too. An IPv6 address that stands for an IPv4 one (mapped, 6to4, NAT64) is public where that one is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return _is_public_4(parsed)
    inner = parsed.ipv4_mapped or parsed.sixtofour
    if inner is None and parsed in _NAT64:
        inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    if inner is not None:
        return _is_public_4(inner)
    special = any(parsed in network for network in _SPECIAL_6)
    return parsed in _UNICAST and parsed.is_global and not special and parsed.scope_id is None


def _is_public_4(address: ipaddress.IPv4Address) -> bool:
    special = any(address in network for network in _SPECIAL_4)
    return address.is_global and not address.is_multicast and not address.is_reserved and not special
