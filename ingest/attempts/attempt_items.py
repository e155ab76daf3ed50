"""What another mail server says of an attempt of its own (`POST /api/v1/attempts`), and the report that becomes of it: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from contracts.cut_text import cut_text
from contracts.events import Action, Attempt, AttemptReport, Outcome, Summary, Target
from contracts.statuses import Direction
from mail.addresses import is_address, normalise, split_address
from mail.decode_text import decode_words

MAX_ID = 200  # characters
MAX_SUBJECT = 998
MAX_TEXT = 4096  # octets of the answer
AHEAD = timedelta(minutes=10)  # by which another machine's clock may be ahead of ours
_OUTCOMES = frozenset({Outcome.ACCEPTED, Outcome.TEMPORARY, Outcome.PERMANENT})
_TEXTS = ("message_id", "subject", "host", "ip", "tls", "command", "enhanced_code", "text")


class InvalidItem(ValueError):
    """What is wrong with an item, in one sentence."""


@dataclass(frozen=True)
class AttemptItem:
    """One attempt for one recipient, as the other server tells it."""

    id: str  # the source's own name of the mail, such as a queue id
    time: datetime
    sender: str  # envelope sender; "" is the null sender
    to: str
    outcome: Outcome
    message_id: str = ""
    subject: str = ""
    host: str = ""
    ip: str = ""
    tls: str = ""
    command: str = ""
    code: int = 0
    enhanced_code: str = ""
    text: str = ""
    size: int = 0
    reference: str = ""
    tag: str = ""


def read_item(given: Any, now: datetime, oldest: datetime) -> AttemptItem:
    """The item that JSON says. InvalidItem names the field that is wrong; `oldest`: what is older is kept nowhere."""
    if not isinstance(given, dict):
        raise InvalidItem("an item is an object")
    known = {*AttemptItem.__dataclass_fields__, "from"} - {"sender"}
    if unknown := sorted(map(str, set(given) - known)):
        raise InvalidItem(f"{unknown[0][:100]}: there is no such field")
    texts = {name: _text(given, name) for name in ("id", "time", "from", "to", "outcome", "reference", "tag", *_TEXTS)}
    if not texts["id"] or len(texts["id"]) > MAX_ID:
        raise InvalidItem(f"id: give one of at most {MAX_ID} characters")
    if not is_address(texts["to"]):
        raise InvalidItem(f"to: '{texts['to'][:200]}' is no mail address")
    sender = "" if texts["from"] in ("", "<>") else texts["from"]
    if sender and not is_address(sender):
        raise InvalidItem(f"from: '{sender[:200]}' is no mail address")
    if texts["outcome"] not in _OUTCOMES:
        raise InvalidItem(f"outcome: '{texts['outcome'][:50]}' is none of accepted, temporary, permanent")
    moment = _moment(texts["time"])
    if not oldest < moment <= now + AHEAD:
        raise InvalidItem("time: it is in the future, or older than the log keeps mails")
    return AttemptItem(
        id=texts["id"],
        time=moment,
        sender=sender,
        to=normalise(texts["to"]),
        outcome=Outcome(texts["outcome"]),
        code=_number(given, "code", 999),
        size=_number(given, "size", 1 << 40),
        **{name: texts[name] for name in ("reference", "tag", *_TEXTS)},
    )


def to_report(item: AttemptItem, source: str, mail_id: str, received_at: datetime, number: int) -> AttemptReport:
    """The report for `mail.attempts`: the `number`-th attempt for this recipient."""
    attempt = Attempt(
        number=number,
        target=item.to,
        outcome=item.outcome,
        started_at=item.time,
        host=item.host[:255],
        ip=item.ip[:100],
        tls=item.tls[:200],
        command=item.command[:50],
        code=item.code,
        enhanced_code=item.enhanced_code[:20],
        text=cut_text(item.text, MAX_TEXT),
    )
    done = item.outcome is not Outcome.TEMPORARY
    return AttemptReport(
        mail_id=mail_id,
        recipient=item.to,
        direction=Direction.OUTBOUND,
        action=Action.DELIVER,
        attempt=number,
        occurred_at=item.time,
        mail=Summary(
            from_=item.sender,
            envelope_from=item.sender,
            subject=decode_words(item.subject[: 4 * MAX_SUBJECT])[:MAX_SUBJECT],
            message_id=item.message_id[:998].strip().strip("<>"),
            received_at=received_at,
            size=item.size,
            reference=item.reference[:200],
            tag=item.tag[:200],
            source=source,
            source_id=item.id,
        ),
        raw=None,
        attempts=[attempt],
        targets=[Target(address=item.to, settled=attempt if done else None)],
    )


def sender_domain(item: AttemptItem) -> str:
    """The domain that the mail was sent from; "" of the null sender."""
    return split_address(item.sender)[1]


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidItem(f"{name}: this is no text")
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _number(given: dict[str, Any], name: str, most: int) -> int:
    value = given.get(name) or 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidItem(f"{name}: this is no number from 0 to {most}")
    return value


def _moment(text: str) -> datetime:
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise InvalidItem("time: write it like 2026-11-27T12:00:00Z") from None
    if moment.tzinfo is None:
        raise InvalidItem("time: it has no time zone, such as Z")
    return moment
