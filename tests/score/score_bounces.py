"""`make score-bounces CORPORA=folder`: how many of other people's labelled bounces are read and classified as they say.

Hard or not, and the class, for delivery status notifications, complaints and bounces in words apart. The labels are Sisimai's reasons
(https://libsisimai.org/en/reason/); two words for the same count as agreement only where they stand in `AGREE`. Prints every miss;
exits 1 below the floor.

Hard or not is scored without two reasons, and once more with them: what is a filter of the recipient to them (`filtered`) is mostly a
reply that says "user unknown", and a disabled account (`suspend`) is not hard to them, though it is to us.

A label of a recipient whom we do not find, or a report that we do not recognise, is a miss of both.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from contracts.statuses import BounceClass as C
from contracts.statuses import BounceType
from mail.bounces.classify_finding import classify_finding
from mail.reports.read_report import read_report
from mail.reports.report import Report, ReportKind

FLOORS = {"hard": 0.97, "class": 0.92}
APART = frozenset({"filtered", "suspend"})
KINDS = ("dsn", "arf", "freeform")

# Sisimai's reason: our classes that mean the same (first), or where one cause has two names.
AGREE: dict[str, set[str]] = {
    "authfailure": {C.AUTH_FAILED},
    "badreputation": {C.REPUTATION_BLOCKED},
    "blocked": {
        C.REPUTATION_BLOCKED,
        C.AUTH_FAILED,
        C.POLICY_REJECTED,
    },  # theirs has a missing PTR and a bad HELO in it
    "contenterror": {C.CONTENT_REJECTED, C.ATTACHMENT_REJECTED},
    "delivered": {"delivered"},
    "exceedlimit": {C.MESSAGE_TOO_LARGE},  # of a mailbox
    "mesgtoobig": {C.MESSAGE_TOO_LARGE},  # of a server
    "emailtoolarge": {C.MESSAGE_TOO_LARGE},
    "expired": {C.EXPIRED, C.CONNECTION_FAILED},  # theirs has "connection timed out" in it
    "feedback": {"arf"},
    # Refused after DATA, by a filter of the recipient; or an unknown user whom they could not tell from that.
    "filtered": {C.POLICY_REJECTED, C.INVALID_RECIPIENT},
    "hasmoved": {C.INVALID_RECIPIENT},
    "hostunknown": {C.INVALID_DOMAIN},
    "mailboxfull": {C.MAILBOX_FULL},
    "mailererror": {C.PROTOCOL_ERROR},  # theirs: a program of the server failed
    # Theirs has "unrouteable mail domain" and "host not found" in it.
    "networkerror": {C.CONNECTION_FAILED, C.DNS_FAILURE, C.ROUTING_ERROR, C.INVALID_DOMAIN},
    "norelaying": {C.RELAY_DENIED},
    "notaccept": {C.INVALID_DOMAIN, C.PROTOCOL_ERROR},  # the host takes no mail, for good or at the moment
    "notcompliantrfc": {C.CONTENT_REJECTED},
    "onhold": {C.UNKNOWN},  # they could not tell either
    "policyviolation": {C.POLICY_REJECTED, C.CONTENT_REJECTED, C.ATTACHMENT_REJECTED},
    "rejected": {C.SENDER_REJECTED, C.POLICY_REJECTED},  # theirs has "administrative prohibition" in it
    "requireptr": {C.AUTH_FAILED},  # reverse DNS, with x.7.25 among the codes of authentication (RFC 7372)
    "securityerror": {C.POLICY_REJECTED, C.AUTH_FAILED, C.TLS_FAILURE},  # x.7.2 to x.7.9: logging in, encryption
    "spamdetected": {C.SPAM_CONTENT, C.CONTENT_REJECTED},  # theirs has "message content rejected" in it
    "speeding": {C.RATE_LIMITED},
    "ratelimited": {C.RATE_LIMITED},
    "suppressed": {C.SUPPRESSED},
    "suspend": {C.INACTIVE_MAILBOX},
    "syntaxerror": {C.PROTOCOL_ERROR},
    "systemerror": {C.PROTOCOL_ERROR, C.CONNECTION_FAILED, C.DNS_FAILURE, C.ROUTING_ERROR},
    "systemfull": {C.MAILBOX_FULL},
    "toomanyconn": {C.RATE_LIMITED},
    "undefined": {C.UNKNOWN},
    "userunknown": {C.INVALID_RECIPIENT},
    "vacation": {C.AUTO_REPLY},
    "virusdetected": {C.VIRUS},
}


class Scored(NamedTuple):
    """One recipient of one message."""

    file: str
    kind: str
    reason: str  # the label
    hard: bool  # agreement
    bounce_class: bool  # agreement
    miss: str


def score(folder: Path, files: Iterable[str] | None = None) -> Iterator[Scored]:
    """Each labelled recipient."""
    labels = json.loads((folder / "expected.json").read_text("utf-8"))
    for file in sorted(files if files is not None else labels):
        raw = (folder / "messages" / file).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        yield from _score_file(file, labels[file]["mime_kind"], labels[file]["expected"], read_report(raw))


def _score_file(file: str, kind: str, expected: list[dict[str, Any]], report: Report) -> Iterator[Scored]:
    found = _classes(report)
    for place, label in enumerate(expected):
        word, hard, evidence = found[place] if place < len(found) else ("nothing", None, "")
        right = hard is bool(label["hardbounce"])
        agrees = word in AGREE[label["reason"]]
        miss = f"{file}: {label['reason']}, hard={label['hardbounce']}: we say {word}, hard={hard} {evidence}"
        yield Scored(file, kind, label["reason"], right, agrees, "" if right and agrees else miss)


def _classes(report: Report) -> list[tuple[str, bool, str]]:
    if report.kind is ReportKind.ARF:
        return [("arf", False, "")] * max(1, len(report.findings))
    classes: list[tuple[str, bool, str]] = []
    for finding in report.findings:
        bounce = classify_finding(report.kind, finding)
        if bounce is None:
            classes.append((finding.action or report.kind, False, ""))
            continue
        evidence = f"({bounce.rule}: {' '.join(bounce.text.split())[:160]!r} {bounce.command})"
        classes.append((bounce.bounce_class, bounce.bounce_type is BounceType.HARD, evidence))
    return classes


def _share(agreements: list[bool]) -> float:
    return sum(agreements) / max(1, len(agreements))


def main(folder: Path) -> int:
    scored = list(score(folder))
    for one in scored:
        if one.miss:
            print(f"    {'' if one.hard else 'H'}{'' if one.bounce_class else 'C'} {one.miss}")
    groups: dict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        groups[one.kind].append(one)
    failed = not scored
    for name, members in [*((kind, groups[kind]) for kind in KINDS), ("all", scored)]:
        shares = {
            "hard": _share([one.hard for one in members if one.reason not in APART]),
            "class": _share([one.bounce_class for one in members]),
        }
        strict = _share([one.hard for one in members])
        print(
            f"{name:9} {len(members):4}  hard/not hard {shares['hard']:.1%} (with filtered and suspend {strict:.1%})"
            f"  class {shares['class']:.1%}"
        )
        failed = failed or (name == "all" and any(shares[word] < floor for word, floor in FLOORS.items()))
    return 1 if failed else 0


if __name__ == "__main__":
    corpus = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/corpora") / "bounces"
    if not corpus.is_dir():
        sys.exit(f"no folder {corpus}")
    sys.exit(main(corpus))
