"""Records of Kafka as the stages hand them on: one to publish, and one that was read. No client's type gets past `runtime/`."""

from dataclasses import dataclass

Headers = list[tuple[str, bytes]]
Place = tuple[str, int]  # topic and partition
Position = tuple[int, int]  # partition and offset, of a topic that is known


@dataclass(frozen=True, slots=True)
class Record:
    """A record to publish. `partition` None lets the key decide (murmur2, as every Kafka client does)."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers
    partition: int | None = None

    @property
    def size(self) -> int:
        """Octets of value and headers."""
        return len(self.value or b"") + sum(len(name) + len(value) for name, value in self.headers)


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """A record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int = 0  # when it was written, milliseconds since 1970 UTC; 0 when the broker does not say

    @property
    def size(self) -> int:
        """Octets of value and headers."""
        return len(self.value or b"") + sum(len(name) + len(value) for name, value in self.headers)

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"
