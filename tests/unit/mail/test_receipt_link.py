"""A receipt's link names one mail and recipient until it ends, and nobody else can make one."""

from datetime import UTC, datetime, timedelta

from contracts.ids import new_mail_id
from mail.bounce_address import recipient_digest
from mail.receipt_link import LASTS, MAX_TOKEN, ReceiptLinks

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
OURS = ReceiptLinks(b"one")


def test_a_link_leads_to_its_mail_until_it_ends() -> None:
    mail_id = new_mail_id()
    token = OURS.token(mail_id, "Anna@x.test", NOW)
    found = OURS.read(token, NOW)
    assert found is not None and len(token) <= MAX_TOKEN
    assert (found.mail_id, found.recipient_digest) == (mail_id, recipient_digest("anna@x.test"))
    assert OURS.read(token, NOW + LASTS - timedelta(minutes=2)) is not None
    assert OURS.read(token, NOW + LASTS) is None


def test_a_link_that_was_made_up_or_changed_leads_nowhere() -> None:
    token = OURS.token(new_mail_id(), "anna@x.test", NOW)
    assert ReceiptLinks(b"two").read(token, NOW) is None
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert OURS.read(token[:place] + other + token[place + 1 :], NOW) is None
    for junk in ("", ".", "x", "é.é", "a." + "b" * 20, "A" * 5000):
        assert OURS.read(junk, NOW) is None
