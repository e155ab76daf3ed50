import pytest

from runtime.name_peer import name_peer


@pytest.mark.parametrize(
    ("ip", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_an_ipv6_peer_is_its_network(ip: str, peer: str) -> None:
    assert name_peer(ip) == peer
