"""What lines of Postfix's log say, as Postfix writes them."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.attempts.read_postfix_log import PostfixLog

NOW = datetime(2026, 11, 27, 18, tzinfo=UTC)
HEAD = "Nov 27 17:45:01 app postfix/"
MAIL = [
    HEAD + "cleanup[1]: 21EC399E6A3: info: header Subject: hello there from local; from=<a@ours.test> to=<b@far.test>",
    HEAD + "cleanup[1]: 21EC399E6A3: message-id=<f2@ours.test>",
    HEAD + "qmgr[1]: 21EC399E6A3: from=<a@ours.test>, size=277, nrcpt=1 (queue active)",
]


def read(*lines: str) -> list[Any]:
    log = PostfixLog()
    return [item for line in lines for item in log.read(line, NOW)]


def test_what_is_known_of_a_queue_id_stands_beside_each_attempt() -> None:
    (item,) = read(
        *MAIL,
        HEAD + "smtp[7]: Untrusted TLS connection established to mx.far.test[192.0.2.1]:25: TLSv1.3 with cipher X_Y (256/256 bits) z",
        HEAD + "smtp[7]: 21EC399E6A3: to=<b@far.test>, orig_to=<c@ours.test>, relay=mx.far.test[192.0.2.1]:25, conn_use=2, delay=0.07, "
        "delays=0.05/0.02/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9C19D0003)",
    )  # fmt: skip
    assert (item.sender, item.to, item.message_id, item.subject, item.size) == (
        "a@ours.test", "b@far.test", "f2@ours.test", "hello there", 277,
    )  # fmt: skip
    assert (item.outcome, item.code, item.enhanced_code, item.host, item.ip, item.tls, item.command) == (
        "accepted", 250, "2.0.0", "mx.far.test", "192.0.2.1", "TLSv1.3 X_Y", "end-of-data",
    )  # fmt: skip
    assert item.id == "21EC399E6A3-20261127174501" and item.text == "2.0.0 Ok: queued as 9C19D0003"
    assert item.time == datetime(2026, 11, 27, 17, 45, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "outcome", "code", "command", "text"),
    [
        ("dsn=5.1.1, status=bounced (host mx.far.test[192.0.2.1] said: 550 5.1.1 <b@far.test>: unknown (in reply to RCPT TO command))",
         "permanent", 550, "RCPT", "5.1.1 <b@far.test>: unknown"),
        ("dsn=4.4.1, status=deferred (connect to mx.far.test[192.0.2.1]:25: Connection refused)",
         "temporary", 0, "connect", "connect to mx.far.test[192.0.2.1]:25: Connection refused"),
        ("dsn=4.7.1, status=deferred (host mx.far.test[192.0.2.1] refused to talk to me: 421 4.7.0 too many)",
         "temporary", 421, "", "4.7.0 too many"),
        ("dsn=5.6.0, status=bounced (host mx.far.test[192.0.2.1] said: 554 5.6.0 spam (in reply to end of DATA command))",
         "permanent", 554, "end-of-data", "5.6.0 spam"),
        ("dsn=5.4.4, status=bounced (unable to look up host far.test: Name or service not known)",
         "permanent", 0, "connect", "unable to look up host far.test: Name or service not known"),
    ],
)  # fmt: skip
def test_a_refusal_has_the_servers_words(said: str, outcome: str, code: int, command: str, text: str) -> None:
    (item,) = read(*MAIL, HEAD + f"smtp[7]: 21EC399E6A3: to=<b@far.test>, relay=none, delay=1, delays=0/0/0/0, {said}")
    assert (item.outcome, item.code, item.command, item.text) == (outcome, code, command, text)


@pytest.mark.parametrize(
    ("line", "outcome", "code", "text"),
    [
        ("smtpd[9]: NOQUEUE: reject: RCPT from bad.test[192.0.2.9]: 554 5.7.1 <n@far.test>: Relay access denied; from=<x@bad.test> "
         "to=<n@far.test> proto=ESMTP helo=<bad>", "permanent", 554, "5.7.1 <n@far.test>: Relay access denied"),
        ("smtpd[9]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 450 4.7.1 <n@far.test>: greylisted; from=<x@bad.test> to=<n@far.test> "
         "proto=ESMTP helo=<bad>", "temporary", 450, "4.7.1 <n@far.test>: greylisted"),
        ("postscreen[9]: NOQUEUE: reject: RCPT from [192.0.2.9]:5678: 550 5.7.1 Service unavailable; client [192.0.2.9] blocked; "
         "from=<x@bad.test>, to=<n@far.test>, proto=ESMTP, helo=<bad>", "permanent", 550,
         "5.7.1 Service unavailable; client [192.0.2.9] blocked"),
        ("cleanup[9]: 3FC2D99E6A3: milter-reject: END-OF-MESSAGE from bad.test[192.0.2.9]: 5.7.1 virus found; from=<x@bad.test> "
         "to=<n@far.test> proto=ESMTP helo=<bad>", "permanent", 0, "5.7.1 virus found"),
        ("cleanup[9]: 3FC2D99E6A3: discard: header Subject: drop me from local; from=<x@bad.test> to=<n@far.test>: unwanted",
         "permanent", 0, "discarded: unwanted"),
    ],
)  # fmt: skip
def test_refusals_before_the_queue_and_discards_are_told(line: str, outcome: str, code: int, text: str) -> None:
    (item,) = read(HEAD + line)
    assert (item.sender, item.to, item.outcome, item.code, item.text) == (
        "x@bad.test",
        "n@far.test",
        outcome,
        code,
        text,
    )


def test_who_still_waits_when_a_mail_expires_or_is_removed_gets_nothing_any_more() -> None:
    waits = "smtp[7]: 21EC399E6A3: to=<{}>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, status=deferred (no route)"
    both = [HEAD + waits.format(to) for to in ("b@far.test", "c@far.test")]
    gone = (
        HEAD
        + "smtp[7]: 21EC399E6A3: to=<b@far.test>, relay=none, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)"
    )
    expired = HEAD + "qmgr[1]: 21EC399E6A3: from=<a@ours.test>, status=expired, returned to sender"
    *_, last = read(*MAIL, *both, gone, expired)
    assert (last.to, last.outcome, last.text) == ("c@far.test", "permanent", "expired, returned to sender")
    *_, last = read(*MAIL, *both, gone, HEAD + "postsuper[1]: 21EC399E6A3: removed")
    assert (last.to, last.outcome) == ("c@far.test", "permanent")
    assert len(read(*MAIL, *both, gone, expired, HEAD + "qmgr[1]: 21EC399E6A3: removed")) == 4


@pytest.mark.parametrize(
    ("stamp", "wanted"),
    [
        ("2026-11-27T17:45:01.123456+01:00", "2026-11-27T16:45:01.123456+00:00"),
        ("Nov 27 17:45:01", "2026-11-27T17:45:01+00:00"),
        ("Dec 31 23:59:59", "2025-12-31T23:59:59+00:00"),
        ("Feb  3 01:02:03", "2026-02-03T01:02:03+00:00"),
    ],
)
def test_times_of_both_kinds_of_log(stamp: str, wanted: str) -> None:
    (item,) = read(
        f"{stamp} app postfix/submission/smtpd[9]: NOQUEUE: reject: RCPT from x[1]: 550 no; from=<> to=<n@far.test>"
    )
    assert item.time == datetime.fromisoformat(wanted)


def test_lines_of_others_and_rubbish_say_nothing_and_cost_nothing() -> None:
    lines = [
        "",
        "x",
        HEAD,
        HEAD + "smtpd[1]: connect from x[1]",
        "Nov 27 17:45:01 app sshd[1]: Failed",
        HEAD + "smtpd[1]: NOQUEUE: " + "reject: " * 2000,
    ]
    lines += [
        HEAD + "cleanup[1]: ABCDEF123: discard: header " + " from a; from=" * 3000,
        HEAD + "smtp[1]: ABCDEF123: to=<" + "a" * 50_000,
    ]
    began = time.process_time()
    assert read(*lines) == []
    assert time.process_time() - began < 5


def test_an_answer_of_many_brackets_is_read_in_linear_time() -> None:
    start = (
        HEAD + "smtp[12]: 4cK1xz3n2Kz: to=<a@b.test>, relay=x[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host "
    )
    began = time.process_time()
    (item,) = PostfixLog().read(start + "[" * 15_000 + ")", NOW)
    assert item.outcome == "permanent" and time.process_time() - began < 0.5
