"""Fixtures that several folders of tests share."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from local.run_kafka import LocalKafka

# The same examples each time, and no time limit: chance and a busy machine fail no test. `make fuzz` is the place to explore.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


def find_free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(autouse=True, scope="module")
def own_temporary_folder() -> Iterator[None]:
    """An embedded store moves its process's TMPDIR beside itself: what one module opened must not reach the next."""
    before = os.environ.get("TMPDIR")
    yield
    if before is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = before


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function: each call gives another free port of 127.0.0.1."""
    return find_free_port


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A real broker for the whole run; tests use topics and groups of their own. `kafka.bootstrap` is its address."""
    with LocalKafka(tmp_path_factory.mktemp("kafka"), find_free_port(), find_free_port()) as running:
        yield running
