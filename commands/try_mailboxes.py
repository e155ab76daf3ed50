"""Log in to the mailboxes that the channels poll, once, without taking or marking anything."""

import threading
from collections.abc import Iterator

from contracts.events import ChannelState
from contracts.setting_types import split_mailbox
from contracts.settings import Channel, Settings
from ingest.mailboxes.get_login import LoginSource
from ingest.mailboxes.speak_imap import Mailbox, MailboxTrouble

SECONDS = 20.0  # for one mailbox
ADVICE = {
    ChannelState.AUTH_FAILED: "check the password or the token, and that the account allows IMAP",
    ChannelState.DNS_FAILED: "check the host name",
    ChannelState.TLS_FAILED: "check the server's certificate; name its authority in ca_file where it is your own",
    ChannelState.CONNECTION_DROPPED: "check host, port and firewall",
    ChannelState.THROTTLED: "the server asks for less: try again later",
    ChannelState.REFUSED: "check the folder at the end of the URL",
}


def try_mailboxes(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(channel, what was found, what to do) of each; nothing to do where it works."""
    for name, channel in settings.mailboxes.items():
        yield name, *_try(channel)


def _try(channel: Channel) -> tuple[str, str]:
    assert channel.imap is not None
    place = split_mailbox(channel.imap)
    box = Mailbox(place, channel.ca_file)
    ending = threading.Timer(SECONDS, box.cut, [f"no answer within {SECONDS:.0f} s"])
    ending.daemon = True
    ending.start()
    try:
        folder = box.open(LoginSource(channel).get(), read_only=True)
        idle = "" if box.tells else ", without IDLE"
        return f"{place.host} lets {place.user} into {place.folder} ({folder.exists} mails{idle})", ""
    except MailboxTrouble as trouble:
        return f"{place.host}: {trouble.state}: {trouble.detail}", ADVICE.get(trouble.state, "")
    finally:
        ending.cancel()
        box.close()
