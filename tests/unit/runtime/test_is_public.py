"""Which addresses we connect to when mail or DNS names them."""

import pytest

from runtime.is_public import is_public


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "240.0.0.1",
     "198.18.0.1", "192.88.99.1", "255.255.255.255", "192.0.0.8",
     "::1", "::", "fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0", "fc00::1", "fd00::1", "ff02::1", "ff0e::1", "fec0::1",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:192.0.0.8",  # IPv4-mapped
     "::127.0.0.1", "::7f00:1", "::8.8.8.8",  # IPv4-compatible, of old
     "::ffff:0:7f00:1", "::ffff:0:808:808",  # IPv4-translated (RFC 2765)
     "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "64:ff9b:1::808:808",  # NAT64, and the local one
     "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:1::1",  # 6to4
     "2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
     "2001:db8::1", "2001:2::1", "2001:10::1", "3fff::1", "100::1", "5f00::1", "4000::1", "1::1", "e000::1",
     "localhost", "127.1", "0x7f000001", "2130706433", "8.8.8.8:25", "[2606:4700::1111]", ""],
)  # fmt: skip
def test_inner_addresses_are_not_public_in_any_clothing(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "2a00:1450::1a", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)
