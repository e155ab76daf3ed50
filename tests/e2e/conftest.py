"""One pipeline for all end-to-end tests of a run; the tests that break things start their own."""

from collections.abc import Iterator

import pytest

from tests.e2e.pipeline import Pipeline


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A running pipeline and the world around it."""
    running = Pipeline(tmp_path_factory.mktemp("pipeline"))
    try:
        yield running.start()
    finally:
        running.close()
