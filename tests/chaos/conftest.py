"""A storm has a pipeline of its own, which it may break."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.storm import Storm

FOLDER = Path(__file__).parent
Brew = Callable[..., Storm]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every storm needs the machine for itself."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.alone)


@pytest.fixture
def brew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brew]:
    """A function that starts a pipeline with these changes of its settings."""
    started: list[Storm] = []

    def start(**settings: Any) -> Storm:
        storm = Storm(tmp_path_factory.mktemp("storm"), settings)
        started.append(storm)
        storm.start()
        return storm

    yield start
    for storm in started:
        storm.close()
