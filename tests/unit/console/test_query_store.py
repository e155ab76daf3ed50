"""An answer of the store that cannot be read is no error of ours."""

from typing import Any, cast

import pytest

from console.query_store import StoreQueries
from contracts.errors import Unavailable
from runtime.open_store import Store


class Torn:
    """A store whose answer cannot be read, and what it gives as one."""

    forgotten = 0

    @property
    def client(self) -> "Torn":
        return self

    def query(self, sql: str, **_more: Any) -> "Torn":
        return self

    def named_results(self) -> list[dict[str, Any]]:
        raise MemoryError

    def forget(self) -> None:
        self.forgotten += 1


async def test_it_is_the_store_that_is_unavailable_and_the_client_is_dropped() -> None:
    torn = Torn()
    queries = StoreQueries(cast(Store, torn), 1 << 30)
    with pytest.raises(Unavailable, match="its answer cannot be read: MemoryError"):
        await queries.rows("SELECT 1 AS one")
    assert torn.forgotten == 1
    queries.close()
