"""Records that were written down, without Kafka."""

from contracts.errors import Unavailable
from contracts.records import Record


class RecordList:
    """Takes every record. `away` is the test's to set: then none is taken."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.away = False

    async def publish(self, record: Record) -> None:
        if self.away:
            raise Unavailable("Kafka", "it is away")
        self.records.append(record)

    def of(self, topic: str) -> list[Record]:
        return [one for one in self.records if one.topic == topic]


class EmptyBlockList:
    """Nobody is on it."""

    async def blocks(self, _: str) -> bool:
        return False

    async def remove(self, address: str, by: str, note: str) -> None:
        raise AssertionError(f"{address} is not on it")
