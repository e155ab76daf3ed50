"""Whether a recipient gets a mail of ours, from what is known of its address: pure. The quota is counted after it (count_quotas.py)."""

from dataclasses import dataclass
from datetime import datetime

from contracts import clock
from contracts.preferences import Preference
from contracts.raw_message import Envelope
from contracts.settings import Outbound
from contracts.statuses import Reason, Status
from contracts.suppressions import Suppression
from mail.addresses import is_address, split_address
from mail.authentication.rfc7489 import suffix_organizational
from processors.decision import Decision


@dataclass(frozen=True)
class Known:
    """What is known of an address."""

    suppression: Suppression | None = None
    preference: Preference | None = None


def judge_mail(envelope: Envelope, domain: str, outbound: Outbound, key_fault: str) -> Decision | None:
    """What keeps a mail from every recipient; None when nothing does. `domain` is its author's, `key_fault` what is wrong with the key that
    signs for it. A report that we write ourselves has none of these limits; what an application sends from the null sender has all."""
    if envelope.is_own_report:
        return None
    if domain not in outbound.domains:
        detail = f"{domain or 'the author'} is not under outbound.domains of the processors' configuration"
        return Decision(Status.FAILED, detail, reason=Reason.CONFIGURATION_ERROR)
    if envelope.size > outbound.max_size:
        detail = f"the message has {envelope.size} octets: {outbound.max_size} are the most (outbound.max_size)"
        return Decision(Status.FAILED, detail, reason=Reason.MESSAGE_TOO_LARGE)
    if not outbound.domains[domain].dkim and not _is_aligned(domain, split_address(envelope.envelope_from)[1]):
        detail = f"nothing of it is aligned with its From: {domain} has no DKIM key, and the envelope is not of its organization"
        return Decision(Status.FAILED, detail, reason=Reason.AUTHENTICATION_ERROR)
    if key_fault:
        return Decision(Status.FAILED, key_fault, reason=Reason.AUTHENTICATION_ERROR)
    return None


def judge_recipient(recipient: str, envelope: Envelope, known: Known, now: datetime) -> Decision | None:
    """What keeps a mail from this recipient; None when nothing does."""
    if not is_address(recipient):
        return Decision(Status.FAILED, f"'{recipient}' is no mail address", reason=Reason.INVALID_ADDRESS)
    suppression, preference = known.suppression, known.preference
    if suppression is not None and suppression.holds(now):
        return Decision(Status.REJECTED, _suppressed(suppression), reason=Reason.SUPPRESSED)
    if preference is None or envelope.is_own_report:
        return None
    if preference.private:
        detail = f"{recipient} has been private since {clock.rfc3339(preference.updated_at)}"
        return Decision(Status.FAILED, detail, reason=Reason.PRIVATE_ADDRESS)
    if preference.declines(envelope.stream):
        what = f"the stream {envelope.stream}" if envelope.stream in preference.unsubscribed else "every stream"
        detail = f"{recipient} has unsubscribed from {what}"
        return Decision(Status.FAILED, detail, reason=Reason.UNSUBSCRIBED)
    return None


def _is_aligned(author: str, other: str) -> bool:
    """Relaxed alignment (RFC 9989 section 4.10.1), as far as the public suffix list tells."""
    return suffix_organizational(author) == suffix_organizational(other)


def _suppressed(entry: Suppression) -> str:
    until = f", until {clock.rfc3339(entry.expires_at)}" if entry.expires_at is not None else ""
    evidence = f" (mail {entry.mail_id})" if entry.mail_id else ""
    note = f": {entry.note}" if entry.note else ""
    why = entry.reason.replace("_", " ")
    return f"suppressed since {clock.rfc3339(entry.since)} by {entry.by} ({why}){evidence}{until}{note}"
