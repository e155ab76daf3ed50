"""Who may connect: nobody fills the places, and nobody comes for nothing without end."""

from typing import Any

import pytest

from contracts.settings import Smtp
from ingest.smtp.connections import Connections


class Open:
    in_data = False

    def say_goodbye(self) -> None:
        pass


def places(**settings: Any) -> Connections:
    return Connections(Smtp.model_validate(settings))


def fill(connections: Connections, ip: str, tries: int = 500) -> int:
    return sum(connections.enter(Open(), ip) is not None for _ in range(tries))


def test_one_peer_has_its_number_and_an_ipv6_network_is_one_peer() -> None:
    connections = places(connections=2000, connects_per_peer=10_000)
    assert fill(connections, "192.0.2.1") == 50
    assert sum(fill(connections, f"2001:db8::{number}", 10) for number in range(1, 30)) == 50
    assert fill(connections, "2001:db8:0:1::1") == 50


@pytest.mark.parametrize("peers", [10, 30])
def test_some_peers_do_not_fill_all_places(peers: int) -> None:
    connections = places(connects_per_peer=10_000)
    taken = sum(fill(connections, f"192.0.2.{number}") for number in range(peers))
    assert 250 < taken < 500
    assert fill(connections, "198.51.100.1", 1) == 1, "a newcomer finds a place"


def test_a_place_is_free_when_its_connection_is_gone() -> None:
    connections = places(connections=4, connections_per_peer=1)
    first = Open()
    assert connections.enter(first, "192.0.2.1") is not None and fill(connections, "192.0.2.1") == 0
    connections.leave(first, "192.0.2.1")
    assert fill(connections, "192.0.2.1") == 1


def test_who_connects_for_nothing_is_sent_away_and_who_brings_mail_is_not() -> None:
    connections = places(connects_per_peer=20)

    def connect(brings: bool) -> bool:
        opened = Open()
        entered = connections.enter(opened, "192.0.2.1") is not None
        if entered and brings:
            connections.peers.bring_message("192.0.2.1", taken=False)
        connections.leave(opened, "192.0.2.1")
        return entered

    assert all(connect(brings=True) for _ in range(500))
    assert sum(connect(brings=False) for _ in range(500)) <= 21


def test_who_guesses_addresses_is_slowed_then_sent_away_and_does_not_come_in_again() -> None:
    connections = places(unknown_recipients_per_peer=20)
    peers, ip = connections.peers, "2001:db8::1"
    answers = [(peers.refuse_recipient(ip), peers.delay(ip)) for _ in range(21)]
    assert [delay > 0 for _, delay in answers[:7]] == [False] * 5 + [True] * 2
    assert [more for more, _ in answers] == [True] * 20 + [False]
    assert connections.enter(Open(), "2001:db8::2") is None, "nor does its neighbour of the same network"
    peers.bring_message(ip, taken=False)
    assert connections.enter(Open(), ip) is None
    for _ in range(3):
        peers.bring_message(ip, taken=True)
    assert connections.enter(Open(), ip) is None, "a message beside each guess would make guessing free"
    for _ in range(10):
        peers.bring_message(ip, taken=True)
    assert connections.enter(Open(), ip) is not None


def test_trusted_networks_have_no_limit_by_peer() -> None:
    connections = places(trusted=["192.0.2.0/24", "2001:db8::/32"], unknown_recipients_per_peer=1, connects_per_peer=1)
    for ip in ("192.0.2.1", "2001:db8::1"):
        assert all(connections.peers.refuse_recipient(ip) for _ in range(100))
        assert fill(connections, ip, 200) == 200
