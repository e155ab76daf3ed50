"""Quotas: what the tickets of a topic amount to, for whoever reads them."""

from datetime import UTC, datetime, timedelta

from contracts.codec import encode_quota_ticket
from contracts.ids import new_mail_id
from contracts.records import ConsumedRecord
from contracts.shared_state import QuotaLimit, QuotaTicket
from processors.count_quotas import QuotaCounts

NOW = datetime(2026, 11, 27, 12, 40, tzinfo=UTC)
HOURLY, DAILY = QuotaLimit(per="hour", limit=10), QuotaLimit(per="day", limit=25)


class Topic:
    """`mail.quotas`, as one worker reads it."""

    def __init__(self) -> None:
        self.records: list[ConsumedRecord] = []

    def ticket(self, recipients: int, at: datetime = NOW, mail_id: str = "", domain: str = "ours.test") -> str:
        """Write one; its mail_id."""
        mail_id = mail_id or new_mail_id()
        limits = [HOURLY, DAILY]
        ticket = QuotaTicket(domain=domain, mail_id=mail_id, at=at, recipients=recipients, limits=limits)
        value = encode_quota_ticket(ticket, "test")
        self.records.append(ConsumedRecord("mail.quotas", 0, len(self.records), domain.encode(), value, []))
        return mail_id

    def granted(self, *mails: str, at: datetime = NOW, domain: str = "ours.test") -> list[int]:
        counts = QuotaCounts()
        for record in self.records:
            counts.take(record)
        found = [counts.of(domain, at, mail) for mail in mails]
        return [one.recipients if one is not None else -1 for one in found]


def test_mails_take_what_is_left_in_the_order_of_the_topic() -> None:
    topic = Topic()
    mails = [topic.ticket(recipients) for recipients in (4, 5, 3, 1)]
    assert topic.granted(*mails) == [4, 5, 1, 0]


def test_the_first_ticket_of_a_mail_counts_however_often_it_is_decided() -> None:
    topic = Topic()
    first = topic.ticket(4)
    second = topic.ticket(7)
    topic.ticket(9, mail_id=first)
    last = topic.ticket(1)
    assert topic.granted(first, second, last) == [4, 6, 0]


def test_an_hour_renews_and_the_day_goes_on() -> None:
    topic = Topic()
    mails = [topic.ticket(10, NOW + hours * timedelta(hours=1)) for hours in range(4)]
    assert topic.granted(*mails) == [10, 10, 5, 0]
    (tomorrow,) = [topic.ticket(10, NOW + timedelta(days=1))]
    assert topic.granted(tomorrow, at=NOW + timedelta(days=1)) == [10]


def test_a_domain_does_not_take_from_another_and_rubbish_takes_nothing() -> None:
    topic = Topic()
    topic.ticket(10)
    topic.records.append(ConsumedRecord("mail.quotas", 0, 1, b"ours.test", b"{", []))
    other = topic.ticket(10, domain="second.test")
    assert topic.granted(other, domain="second.test") == [10]


def test_a_late_mail_counts_in_the_window_in_which_it_was_handed_over() -> None:
    topic = Topic()
    topic.ticket(10, NOW + timedelta(hours=1))
    late = topic.ticket(8, NOW)
    assert topic.granted(late) == [8]


def test_old_windows_are_forgotten() -> None:
    counts, topic = QuotaCounts(), Topic()
    for day in range(10):
        topic.ticket(1, NOW + timedelta(days=day))
    for record in topic.records:
        counts.take(record)
    assert len(counts._grants) <= 4
