"""Unit tests are pure: whoever reaches for the network from one of them fails, and is told where such a test belongs."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
REACHES_OUT = ("connect", "connect_ex", "bind", "sendto", "sendmsg")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Cut the network off for a unit test and its fixtures of every scope; all other tests pass by here as well."""
    with cut_off() if item.path.is_relative_to(HERE) else contextlib.nullcontext():
        return (yield)


@contextlib.contextmanager
def cut_off() -> Iterator[None]:
    """No connection, no listening, no look-up. What asyncio itself needs, a pair of Unix sockets, stays. Clients that are
    written in C (librdkafka) do not come by here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in REACHES_OUT:
            patch.setattr(socket.socket, name, refuse(name))
        patch.setattr(socket, "getaddrinfo", refuse_names)
        yield


def refuse(name: str) -> Any:
    """`socket.socket.<name>`, for Unix sockets only."""
    real = getattr(socket.socket, name)

    def refused(self: socket.socket, *arguments: Any) -> Any:
        if self.family != socket.AF_UNIX:
            # Not an Exception: code that handles its network's failures must not take this for one of them.
            pytest.fail(f"{name}{arguments}: a unit test has no network; what needs one goes to tests/integration")
        return real(self, *arguments)

    return refused


def refuse_names(host: object, *_: Any, **__: Any) -> Any:
    """`socket.getaddrinfo`, without the resolver."""
    pytest.fail(f"getaddrinfo({host!r}): a unit test has no network; what needs one goes to tests/integration")
