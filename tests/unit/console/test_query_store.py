"""An answer of the store that cannot be read is asked for again, and no error of ours."""

from typing import Any, cast

import pytest

from console.query_store import StoreQueries
from contracts.errors import Unavailable
from runtime.expose_metrics import expose
from runtime.open_store import Store


class Answer:
    """What the driver gives: its reading may fail."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def named_results(self) -> list[dict[str, Any]]:
        if self._error is not None:
            raise self._error
        return [{"one": 1}]


class Torn:
    """A store whose first answers cannot be read."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.forgotten = 0

    @property
    def client(self) -> "Torn":
        return self

    def query(self, sql: str, **_more: Any) -> Answer:
        return Answer(self._errors.pop(0) if self._errors else None)

    def forget(self) -> None:
        self.forgotten += 1


async def test_once_is_asked_again_by_a_new_client_and_twice_is_unavailable() -> None:
    expose("console")
    torn = Torn(MemoryError())
    queries = StoreQueries(cast(Store, torn), 1 << 30)
    assert await queries.rows("SELECT 1 AS one") == [{"one": 1}] and torn.forgotten == 1
    queries.close()
    queries = StoreQueries(cast(Store, Torn(MemoryError(), IndexError("x"))), 1 << 30)
    with pytest.raises(Unavailable, match="its answer cannot be read: IndexError"):
        await queries.rows("SELECT 1 AS one")
    queries.close()
