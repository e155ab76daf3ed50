"""What to answer at RCPT: pure decisions on one address (RFC 5321 section 3.3)."""

import re
from dataclasses import dataclass
from datetime import datetime

from contracts.raw_message import Refusal
from contracts.settings import Settings
from contracts.statuses import Reason
from mail.addresses import asks_for_relay, matches, split_address
from mail.bounce_address import BounceAddresses

REPORTS_ONLY = "550 5.7.1 This address takes reports only, from the null sender"
RELAY = "550 5.7.1 Relaying denied"
_SRS = re.compile(r"SRS[01][=+-]", re.IGNORECASE)  # a rewritten sender that is not one of ours, or has expired
UNKNOWN = "550 5.1.1 Recipient address rejected: no such user here"


@dataclass(frozen=True)
class Recipient:
    """An address that we take. Recipients of one transaction must share `policy`: one reply is for all of them."""

    address: str
    policy: tuple[object, ...]
    origin: str = ""  # whom a report to it is passed on to: it is a rewritten sender (SRS)


def accept_recipient(
    address: str, envelope_from: str, settings: Settings, bounces: BounceAddresses, now: datetime
) -> Recipient | Refusal:
    """Whether we take mail for this address. Never relays, in whatever spelling it is asked to. `postmaster` alone is that of
    our first domain (RFC 5321 section 4.5.1)."""
    if address.lower() == "postmaster" and settings.inbound.domains:
        address = f"postmaster@{next(iter(settings.inbound.domains))}"
    local, domain = split_address(address)
    ours = settings.inbound.domains.get(domain)
    if ours is None:
        return Refusal(reply=RELAY, reason=Reason.RELAY_DENIED)
    policy = (frozenset(ours.reject_on), ours.monitor, tuple(ours.allow))
    # Bounce addresses take reports only (RFC 5321 section 4.5.5): nobody else gets mail passed on by having seen one.
    origin = bounces.read_srs(address, now)
    if origin is not None or bounces.read_verp(address, now) is not None:
        if envelope_from:
            return Refusal(reply=REPORTS_ONLY, reason=Reason.POLICY)
        return Recipient(address, ("bounce", *policy), origin or "")
    if asks_for_relay(address) or _SRS.match(local):
        return Refusal(reply=RELAY, reason=Reason.RELAY_DENIED)
    if bounces.read_unsubscribe(address, now) is not None:
        return Recipient(address, ("unsubscribe", *policy))
    if address.lower() in {one.lower() for one in settings.inbound.reports}:
        return Recipient(address, ("reports", *policy))
    for route in settings.inbound.routes:
        if route.match.to is None or matches(route.match.to, address):
            certain = route.reject is not None and _needs_only_recipient(route.match)
            return Recipient(address, (*policy, route.reject if certain else None))
    return Refusal(reply=UNKNOWN, reason=Reason.UNKNOWN_RECIPIENT)


def _needs_only_recipient(match: object) -> bool:
    return not any(getattr(match, name) for name in ("from_", "header", "auth", "max_size", "min_size"))
