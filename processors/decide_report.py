"""What becomes of mail to a bounce address of ours: pure."""

from contracts.auth_results import AuthResults
from contracts.events import Action, LateNews
from contracts.raw_message import Envelope
from contracts.settings import InboundDomain, Settings
from contracts.statuses import Reason, Status
from mail.addresses import split_address
from mail.authentication.find_author import MAX_FIELDS, MAX_FROM, find_author
from mail.authentication.find_shown_domains import shows_domain
from mail.bounce_address import BounceAddresses, BounceOf
from mail.reports.is_report import is_report
from mail.reports.report import Report, ReportKind
from processors.apply_policy import is_allowed
from processors.decision import Decision, ReadMail
from processors.read_news import describe_report, read_news

_SHOWN = (b"from", b"sender", b"reply-to", b"resent-from", b"resent-sender")  # as whose mail a reader may show it
_ORDINARY = "550 5.7.1 This address takes reports only"
_OUR_NAME = "550 5.7.1 A report in our own name does not come from outside"


def takes_reports(recipient: str, envelope: Envelope, settings: Settings, bounces: BounceAddresses) -> bool:
    """Whether what comes to this address is read as a report about mail of ours."""
    return _is_report_address(recipient, settings) or bounces.read_verp(recipient, envelope.received_at) is not None


def decide_report(
    mail: ReadMail, auth: AuthResults, recipient: str, settings: Settings, bounces: BounceAddresses
) -> Decision | None:
    """None for an ordinary address. Reports about outbound mail (VERP, `inbound.reports`) end here, and what they say becomes news of that
    mail; those about a forward (SRS) are passed on to its first sender, from our host and so in our name: nothing else is (RFC 5321
    section 4.5.5), and no report that claims to be ours."""
    received_at = mail.envelope.received_at
    if (leaving := bounces.read_unsubscribe(recipient, received_at)) is not None:
        return _unsubscribe(mail, leaving)
    bounce = bounces.read_verp(recipient, received_at)
    origin = bounces.read_srs(recipient, received_at)
    if bounce is None and origin is None:
        return _read(mail, None, bounces) if _is_report_address(recipient, settings) else None
    if mail.envelope.envelope_from or not is_report(mail.message):
        return _refuse(
            _ORDINARY, "a bounce address takes reports only: DSN, MDN or automatic answer, from the null sender"
        )
    if _claims_our_name(mail, auth, recipient, settings):
        return _refuse(_OUR_NAME, "a report that claims to be of a domain of ours, and is not authenticated")
    if bounce is not None:
        return _read(mail, bounce, bounces)
    arrival = f"a report about a forward: passed on to its first sender {origin}"
    return Decision(Status.RECEIVED, arrival=arrival, action=Action.FORWARD, targets=(origin or "",))


def _is_report_address(recipient: str, settings: Settings) -> bool:
    return recipient.lower() in {one.lower() for one in settings.inbound.reports}


def _unsubscribe(mail: ReadMail, leaving: BounceOf) -> Decision:
    """Who has the address has the mail; an automatic answer to it is nobody's wish."""
    if not mail.envelope.envelope_from or is_report(mail.message):
        detail = f"an automatic answer to the unsubscribe address of mail {leaving.mail_id}: nothing follows from it"
        return Decision(Status.DROPPED, detail, detail, Reason.REPORT)
    news = LateNews(
        mail_id=leaving.mail_id,
        recipient_digest=leaving.recipient_digest,
        status=Status.UNSUBSCRIBED,
        occurred_at=mail.envelope.received_at,
        report_id=mail.envelope.mail_id,
        detail="the recipient unsubscribed by a mail",
    )
    detail = f"unsubscribes from the stream of outbound mail {leaving.mail_id}"
    return Decision(Status.DROPPED, detail, detail, Reason.REPORT, news=(news,))


def _read(mail: ReadMail, named: BounceOf | None, bounces: BounceAddresses) -> Decision:
    report = mail.report or Report(ReportKind.NONE)
    news = read_news(report, named, bounces, mail.envelope.received_at, mail.envelope.mail_id)
    mail_id = named.mail_id if named is not None else news[0].mail_id if news else ""
    detail = describe_report(report, news, mail_id)
    reason = Reason.REPORT if mail_id else Reason.UNMATCHED
    return Decision(Status.DROPPED, detail, detail, reason, news=tuple(news))


def _claims_our_name(mail: ReadMail, auth: AuthResults, recipient: str, settings: Settings) -> bool:
    """A From that programs read differently may be ours for some of them, and a name or a Sender is what a person sees of it. DMARC
    answers for the domain in From only: what else is ours and shown is not authenticated by it."""
    author = find_author(mail.message)
    vouched = f".{auth.dmarc.domain}" if auth.dmarc_word == "pass" else ""
    ours = {one for one in (*settings.inbound.domains, *settings.outbound.domains) if not vouched.endswith(f".{one}")}
    fields = [field for name in _SHOWN for field in mail.message.all(name)]
    claimed = (
        author.doubtful
        or len(fields) > MAX_FIELDS
        or any(len(field.value) > MAX_FROM or shows_domain(field.text(), ours) for field in fields)
    )
    policy = settings.inbound.domains.get(split_address(recipient)[1], InboundDomain())
    return claimed and not is_allowed(auth, policy.allow)


def _refuse(reply: str, detail: str) -> Decision:
    return Decision(Status.REJECTED, detail, reason=Reason.POLICY, reply=reply)
