"""Which channel a recipient belongs to (`channels:` of mailscope.yaml)."""

from collections.abc import Mapping

from contracts.settings import Channel
from mail.addresses import matches


def find_channel(recipient: str, channels: Mapping[str, Channel]) -> str:
    """The name of the first channel whose address matches; "" for none."""
    for name, channel in channels.items():
        if channel.address is not None and matches(channel.address, recipient):
            return name
    return ""
