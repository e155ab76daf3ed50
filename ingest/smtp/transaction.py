"""The seam between SMTP and what a server is there for: `speak_smtp.py` speaks, a Transaction decides what is answered.

`receive_mail.py` takes mail from other servers. Submission (RFC 6409) is another purpose of the same protocol.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from contracts.raw_message import Refusal
from ingest.smtp.read_notices import Options

TROUBLE = "451 4.3.0 Temporary trouble here, try again later"


class Peer(NamedTuple):
    """Who speaks, as far as the protocol knows when a transaction begins."""

    ip: str
    helo: str
    protocol: str  # SMTP, ESMTP, ESMTPS, UTF8SMTPS ... (RFC 3848, RFC 6531 section 4.3)
    tls: str  # version and cipher; "" is a connection in the clear
    smtputf8: bool  # asked for in MAIL
    user: str = ""  # who authenticated


class Transaction(Protocol):
    """One mail transaction (RFC 5321 section 3.3): from an accepted MAIL to the reply to its content."""

    @property
    def recipients(self) -> Sequence[str]:
        """Those that were accepted."""

    def rcpt(self, address: str, options: Options) -> str | Refusal:
        """The reply to RCPT; `options` ask for reports. A connection that collects many Refusals is closed
        (`smtp.max_unknown_recipients`)."""

    async def hold(self, message: bytes) -> str:
        """Take responsibility for the message: "" when it is held and `verdict` gives the reply, else the reply. Any exception is
        answered 451: the message is not held."""

    async def verdict(self) -> str:
        """The reply to the message that is held. It has to come soon, and never raises."""


class Purpose(Protocol):
    """What a server is there for. One for all its connections."""

    offers_notices: bool  # whether a client may ask for reports about the delivery (RFC 3461)

    def mail(self, peer: Peer, envelope_from: str, options: Options) -> Transaction | str:
        """What MAIL begins, or the reply that refuses it. `envelope_from` is "" for the null sender."""
