from typing import Any

import pytest

from console.explain_mail import auth_tone, author, tone, what_happened, why_line
from contracts.auth_results import DkimWord, DmarcWord, SpfWord
from contracts.statuses import INBOUND_STATUSES, OUTBOUND_STATUSES, Status

LIMIT = "Whether it reached the inbox, no server tells."


def item(status: str, direction: str = "outbound", **values: Any) -> dict[str, Any]:
    return {
        "status": status, "direction": direction, "late": False, "reason": None, "detail": None, "host": None, "attempts": 1,
        "reference": None, "from": None, "from_name": None, "envelope_from": "", **values,
    }  # fmt: skip


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_every_status_is_one_sentence_and_has_a_tone(direction: str) -> None:
    for status in INBOUND_STATUSES if direction == "inbound" else OUTBOUND_STATUSES:
        sentence = what_happened(item(status, direction))
        assert sentence.endswith(".") and sentence[0].isupper() and "_" not in sentence and "None" not in sentence
        assert tone(status) in {"good", "wait", "bad", "stop", "info", "calm"}


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (
            item("delivered", host="mx.a.example"),
            "Delivered: mx.a.example accepted it. Whether it reached the inbox, no server tells.",
        ),
        (
            item("delivered", host="mx.a.example", attempts=3),
            "Delivered: mx.a.example accepted it at attempt 3. Whether it reached the inbox, no server tells.",
        ),
        (item("deferred", attempts=2), "Not there yet after attempt 2; it is being tried again."),
        (item("delivery_failed", late=True), "It bounced later: the server had accepted it first."),
        (
            item("delivery_failed", reason="expired", attempts=9),
            "Given up after attempt 9: the time to deliver it ran out.",
        ),
        (item("delivery_failed", "inbound"), "The forward bounced."),
        (item("processed", "inbound", reference="IT-42"), "The application took it: it became IT-42."),
        (
            item("processed", "inbound", reference="IT-42", detail="added to IT-42"),
            "The application took it: it was added to IT-42.",
        ),
        (
            item("rejected", "inbound", reason="unknown_recipient"),
            "Refused in the SMTP dialogue: there is no such address here.",
        ),
        (
            item("rejected", "inbound", reason="spf_fail", late=True),
            "Refused too late, when the sender had been told that we took it: SPF failed.",
        ),
        (item("dropped", "inbound", reason="rule"), "Accepted and dropped on purpose: a rule of ours says so."),
        (item("rejected"), "Not sent: the address is on the suppression list."),
    ],
)
def test_the_sentence_says_what_matters(what: dict[str, Any], sentence: str) -> None:
    assert what_happened(what) == sentence


def test_why_is_what_was_said_or_else_what_it_means() -> None:
    assert why_line(item("delivered", detail="mx answered 250")) == "mx answered 250"
    assert why_line(item("sent")) == "Accepted and queued; the first delivery attempt comes next."


def test_words_of_a_later_version_do_not_break_a_page() -> None:
    assert (tone("teleported"), auth_tone("maybe")) == ("calm", "calm")
    assert what_happened(item("teleported_home")) == "Teleported home."


def test_every_word_of_authentication_has_a_tone() -> None:
    for word in {*SpfWord, *DkimWord, *DmarcWord}:
        assert auth_tone(word) in {"good", "wait", "bad", "calm"}
    assert auth_tone(SpfWord.PASS) == "good" and auth_tone(DmarcWord.FAIL) == "bad" and tone(Status.FAILED) == "bad"


def test_who_wrote_it_is_as_much_as_the_mail_says() -> None:
    assert author(item("sent", from_name="Anna", **{"from": "a@b"})) == "Anna"
    assert author(item("rejected", envelope_from="e@f")) == "e@f"
    assert author(item("rejected")) == "null sender <>"
