"""Postfix's log, line by line, to what became of each recipient: pure (postconf(5), qmgr(8), smtp(8), smtpd(8), cleanup(8), bounce(8)).

What a line says of a queue id is remembered until Postfix says `removed`: its sender, Message-ID, subject and recipients. Refusals before
the queue (NOQUEUE) and discards after it are attempts too: the log shows what nobody else would tell.
"""

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from contracts.events import Outcome
from ingest.attempts.attempt_items import AttemptItem

MOST_MAILS = 50_000  # that are remembered; the oldest go first
MOST_RECIPIENTS = 1000  # of one mail
MOST_SESSIONS = 1000  # of delivery agents, whose TLS is remembered
LONGEST = 16_384  # characters of a line that are read

_LINE = re.compile(
    r"(?P<when>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) (?P<host>\S+) [\w-]*postfix[\w-]*(?:/[\w-]+)*?/(?P<daemon>[\w-]+)"
    r"\[(?P<pid>\d+)\]: (?P<rest>.*)"
)
_QUEUED = re.compile(r"(?P<id>NOQUEUE|[0-9A-Za-z]{5,20}): (?P<rest>.*)")
_FROM = re.compile(r"from=<(?P<from>[^>]*)>, size=(?P<size>\d+)")
_DELIVERY = re.compile(
    r"to=<(?P<to>[^>]+)>,(?: orig_to=<(?P<orig>[^>]*)>,)? relay=(?P<relay>[^,]+),.*? dsn=(?P<dsn>[245]\.\d+\.\d+), "
    r"status=(?P<status>\w+) \((?P<text>.*)\)$"
)
_RELAY = re.compile(r"(?P<host>[^\[]*)\[(?P<ip>[^\]]*)\](?::\d+)?")
_SAID = re.compile(
    r"host (?P<host>[^\s\[]+)\[(?P<ip>[^\]]*)\] (?:said|refused to talk to me): (?P<text>.*?)"
    r"(?: \(in reply to (?:end of )?(?P<command>[A-Z]+)[^)]*\))?$"
)
_ANSWER = re.compile(r"(?P<code>[245]\d\d)[ -](?P<text>.*)")
_REJECT = re.compile(
    r"(?P<what>milter-reject|reject|milter-discard|discard): (?P<stage>[\w-]+)(?: .*?)? from \S+?(?:\[[^\]]*\])?(?::\d+)?"
    r"(?:: (?P<answer>.*?))?; from=<(?P<from>[^>]*)>,?(?: to=<(?P<to>[^>]*)>,?)?(?: proto=\S+)?(?: helo=<[^>]*>)?(?:: (?P<text>.*))?$"
)
_TLS = re.compile(r"(?:\w+ )*TLS connection established to (?P<peer>\S+?)\[(?P<ip>[^\]]*)\]:\d+: (?P<tls>.*)")
_HEADER = re.compile(r"(?:info|warning): header (?P<name>[\w-]+): (?P<value>.*?) from \S+; from=<")
_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_COMMANDS = {
    "MAIL": "MAIL",
    "RCPT": "RCPT",
    "DATA": "end-of-data",
    "EHLO": "EHLO",
    "HELO": "EHLO",
    "END-OF-MESSAGE": "end-of-data",
}
_OUTCOMES = {
    "sent": Outcome.ACCEPTED,
    "deferred": Outcome.TEMPORARY,
    "bounced": Outcome.PERMANENT,
    "expired": Outcome.PERMANENT,
}  # fmt: skip


class QueuedMail(msgspec.Struct):
    """What is known of a queue id."""

    first: datetime
    sender: str = ""
    message_id: str = ""
    subject: str = ""
    size: int = 0
    waiting: list[str] = msgspec.field(default_factory=list)  # recipients that are deferred


class State(msgspec.Struct):
    """All that is remembered between two lines."""

    mails: dict[str, QueuedMail] = msgspec.field(default_factory=dict)


@dataclass
class PostfixLog:
    """Reads lines in their order. `now` of a call is the year that a line without one means, and the zone of its clock."""

    state: State = field(default_factory=State)
    _tls: OrderedDict[str, tuple[str, str]] = field(default_factory=OrderedDict)  # by process: address, TLS

    def read(self, line: str, now: datetime) -> list[AttemptItem]:
        """The attempts that a line tells of; [] for most lines, and for what is no line of Postfix."""
        match = _LINE.match(line[:LONGEST])
        moment = _moment(match["when"], now) if match is not None else None
        if match is None or moment is None:
            return []
        rest, pid, daemon = match["rest"].rstrip(), match["pid"], match["daemon"]
        if (tls := _TLS.match(rest)) is not None:
            self._tls[pid] = (tls["ip"], _cipher(tls["tls"]))
            while len(self._tls) > MOST_SESSIONS:
                self._tls.popitem(last=False)
            return []
        queued = _QUEUED.match(rest)
        if queued is None:
            return []
        id, said = queued["id"], queued["rest"]
        if (rejected := _REJECT.match(said)) is not None:
            return self._rejected(id, rejected, moment, match["host"], line)
        if id == "NOQUEUE":
            return []
        return self._queued(id, said, daemon, pid, moment)

    def _queued(self, id: str, said: str, daemon: str, pid: str, moment: datetime) -> list[AttemptItem]:
        if said == "removed":
            mail = self.state.mails.pop(id, None)
            cancelled = daemon == "postsuper" and mail is not None
            return self._end(id, mail, moment, "removed from the queue by an administrator") if cancelled else []
        mail = self._mail(id, moment)
        if said.startswith("message-id="):
            mail.message_id = said.removeprefix("message-id=").strip("<>")[:998]
        elif (sender := _FROM.match(said)) is not None:
            mail.sender, mail.size = sender["from"], int(sender["size"])
        elif (header := _HEADER.match(said)) is not None:
            if header["name"].lower() == "subject":
                mail.subject = header["value"][:998]
        elif "status=expired" in said and said.startswith("from=<"):
            return self._end(id, mail, moment, "expired, returned to sender")
        elif (delivery := _DELIVERY.match(said)) is not None and delivery["status"] in _OUTCOMES:
            return [self._delivered(id, mail, delivery, pid, moment)]
        return []

    def _mail(self, id: str, moment: datetime) -> QueuedMail:
        mail = self.state.mails.get(id)
        if mail is None:
            mail = self.state.mails[id] = QueuedMail(moment)
            while len(self.state.mails) > MOST_MAILS:
                del self.state.mails[next(iter(self.state.mails))]
        return mail

    def _delivered(self, id: str, mail: QueuedMail, found: re.Match[str], pid: str, moment: datetime) -> AttemptItem:
        to, outcome = found["to"], _OUTCOMES[found["status"]]
        if to in mail.waiting:
            mail.waiting.remove(to)
        if outcome is Outcome.TEMPORARY and len(mail.waiting) < MOST_RECIPIENTS:
            mail.waiting.append(to)
        relay, said = _RELAY.match(found["relay"]), _SAID.search(found["text"])
        host, ip = (relay["host"], relay["ip"]) if relay is not None else ("", "")
        text = found["text"]
        if said is not None:
            host, ip, text = said["host"], said["ip"], said["text"]
        answer = _ANSWER.match(text)
        known_ip, tls = self._tls.get(pid, ("", ""))
        command = _COMMANDS.get(said["command"] or "", "") if said is not None else ""
        if not command:
            command = "end-of-data" if outcome is Outcome.ACCEPTED else "" if answer else "connect"
        return _item(
            id, mail, to, moment, outcome,
            host=host, ip=ip, tls=tls if ip and ip == known_ip else "", command=command,
            code=int(answer["code"]) if answer is not None else 0, enhanced_code=found["dsn"],
            text=answer["text"] if answer is not None else text,
        )  # fmt: skip

    def _end(self, id: str, mail: QueuedMail | None, moment: datetime, text: str) -> list[AttemptItem]:
        """Those that were still waiting get nothing any more."""
        if mail is None:
            return []
        waiting, mail.waiting = mail.waiting, []
        return [_item(id, mail, to, moment, Outcome.PERMANENT, command="wait", text=text) for to in waiting]

    def _rejected(self, id: str, found: re.Match[str], moment: datetime, host: str, line: str) -> list[AttemptItem]:
        mail = self.state.mails.get(id) if id != "NOQUEUE" else None
        if not found["to"]:
            return []
        if mail is None:
            name = (
                id if id != "NOQUEUE" else "NOQUEUE-" + hashlib.sha256(line.encode("utf-8", "replace")).hexdigest()[:16]
            )
            id, mail = name, QueuedMail(moment, sender=found["from"])
        text = found["answer"] or found["text"] or found["what"]
        answer = _ANSWER.match(text)
        enhanced = _ENHANCED.search(text)
        code = int(answer["code"]) if answer is not None else 0
        temporary = code // 100 == 4 or (not code and enhanced is not None and enhanced[1][0] == "4")
        discarded = "discard" in found["what"]
        return [
            _item(
                id, mail, found["to"], moment, Outcome.TEMPORARY if temporary else Outcome.PERMANENT,
                host=host, command="discard" if discarded else _COMMANDS.get(found["stage"], "end-of-data"), code=code,
                enhanced_code=enhanced[1] if enhanced is not None else "",
                text=f"discarded: {text}" if discarded else answer["text"] if answer is not None else text,
            )
        ]  # fmt: skip


def _item(
    id: str, mail: QueuedMail, to: str, moment: datetime, outcome: Outcome, *, code: int = 0, **texts: str
) -> AttemptItem:
    return AttemptItem(
        id=_name(id, mail.first),
        time=moment,
        sender=mail.sender,
        to=to,
        outcome=outcome,
        message_id=mail.message_id,
        subject=mail.subject,
        size=mail.size,
        code=code,
        **texts,
    )


def _name(id: str, first: datetime) -> str:
    """A queue id of the short kind is given out again (`enable_long_queue_ids`): it gets the time at which it was first seen."""
    short = re.fullmatch(r"[0-9A-F]+", id) is not None
    return f"{id}-{first:%Y%m%d%H%M%S}" if short else id


def _cipher(text: str) -> str:
    """`TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) ...` as ours is written."""
    version, _, rest = text.partition(" with cipher ")
    return f"{version} {rest.split(' ')[0]}".strip()


def _moment(text: str, now: datetime) -> datetime | None:
    try:
        if text[:1].isdigit():
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)
        moment = datetime.strptime(f"{now.year} {text}", "%Y %b %d %H:%M:%S").replace(tzinfo=now.tzinfo)
    except ValueError:
        return None
    return moment.replace(year=now.year - 1) if moment > now + timedelta(days=1) else moment
