"""The one durable write: a message is held when Kafka has acknowledged the one record that holds all of it."""

from dataclasses import dataclass

import msgspec

from contracts import topics
from contracts.raw_message import Envelope, encode_headers
from contracts.records import Record
from runtime.blobs import BlobStore
from runtime.publish import Publisher

SOURCE = "mailscope/ingest"


@dataclass(frozen=True)
class MessageHolder:
    """Publishes to `mail.raw`. Messages above `threshold` octets go to the blob store first (claim check)."""

    publisher: Publisher
    blobs: BlobStore
    threshold: int

    async def hold(self, envelope: Envelope, message: bytes) -> None:
        """Returns when the message is durable. Unavailable when it is not; then nobody may be told that it is."""
        value: bytes = message
        if len(message) > self.threshold:
            envelope = msgspec.structs.replace(envelope, blob=await self.blobs.put(message))
            value = b""
        await self.publisher.publish(Record(topics.RAW, envelope.mail_id, value, encode_headers(envelope, SOURCE)))
