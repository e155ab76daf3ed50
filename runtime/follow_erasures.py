"""The erasures that were asked for, done or not, from `mail.erasures`."""

from contracts import topics
from contracts.codec import decode
from contracts.erasures import Erasure
from runtime.connect_kafka import Properties
from runtime.follow_table import FollowedTable


def follow_erasures(kafka: Properties) -> FollowedTable[Erasure]:
    """By digest of the address, followed from now on; close it."""
    return FollowedTable(kafka, topics.ERASURES, lambda value: decode(value, Erasure))
