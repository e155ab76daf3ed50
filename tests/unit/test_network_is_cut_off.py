"""That a unit test has no network is itself tested."""

import asyncio
import socket

import httpx
import pytest

Refused = pytest.fail.Exception


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_no_socket_reaches_out_and_none_listens(family: socket.AddressFamily) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as one:
            for attempt in (one.bind, one.connect, one.connect_ex, lambda address: one.sendto(b"x", address)):
                with pytest.raises(Refused, match="a unit test has no network"):
                    attempt(("127.0.0.1", 9))  # type: ignore[operator]


async def test_asyncio_may_neither_listen_nor_connect_nor_look_up() -> None:
    with pytest.raises(Refused, match="a unit test has no network"):
        await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    with pytest.raises(Refused, match="a unit test has no network"):
        await asyncio.open_connection("127.0.0.1", 9)
    with pytest.raises(Refused, match="getaddrinfo"):
        socket.create_connection(("example.com", 80))


def test_code_that_handles_failures_of_its_network_does_not_hide_that_it_reached_out() -> None:
    with pytest.raises(Refused):
        httpx.get("http://127.0.0.1:9/", trust_env=False)


def test_a_pair_of_unix_sockets_works() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.send(b"x")
        assert other.recv(1) == b"x"
