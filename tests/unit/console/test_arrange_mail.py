from typing import Any

import msgspec
import pytest

from console.arrange_mail import arrange_checks, arrange_timeline, elapsed
from contracts.auth_results import AuthResults, DkimResult, DkimWord, DmarcAnswer, DmarcResult, SpfResult, SpfWord


def event(status: str, recipient: str, attempt: int, second: int) -> dict[str, Any]:
    return {
        "status": status,
        "recipient": recipient,
        "attempt": attempt,
        "occurred_at": f"2026-11-03T12:00:{second:02d}.000Z",
    }


def test_attempts_stand_below_the_event_that_they_caused() -> None:
    attempts = [
        {"recipient": "a@x", "number": 1, "target": "a@x"},
        {"recipient": "b@x", "number": 1, "target": "t1"},
        {"recipient": "b@x", "number": 1, "target": "t2"},
        {"recipient": "a@x", "number": 2, "target": "a@x"},
    ]
    events = [
        event("sent", "a@x", 0, 0),
        event("deferred", "a@x", 1, 1),
        event("forwarded", "b@x", 1, 2),
        event("delivered", "a@x", 2, 9),
    ]
    lines = arrange_timeline({"received_at": "2026-11-03T12:00:00.000Z", "attempts": attempts, "events": events}, 300)
    assert [[one["target"] for one in line["tries"]] for line in lines] == [[], ["a@x"], ["t1", "t2"], ["a@x"]]
    assert [line["after"] for line in lines] == ["+0 ms", "+1 s", "+2 s", "+9 s"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "+0 ms"), (0.0404, "+40 ms"), (2.52, "+2.5 s"), (180, "+3 min"), (5400, "+1.5 h"), (345_600, "+4 d")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_each_signature_has_a_panel_and_each_failure_its_cause_and_cure() -> None:
    found = AuthResults(
        spf=SpfResult(
            result=SpfWord.FAIL, domain="a.example", cause="not listed", cure="list it", record="v=spf1 -all"
        ),
        dkim=(
            DkimResult(result=DkimWord.PASS, domain="a.example", selector="s1", key_bits=2048),
            DkimResult(result=DkimWord.FAIL),
        ),
        dmarc=DmarcResult(rfc7489=DmarcAnswer()),
    )
    checks = arrange_checks(msgspec.to_builtins(found))
    assert [check["kind"] for check in checks] == ["dmarc", "spf", "dkim", "dkim", "arc", "iprev"]
    spf = checks[1]
    assert (spf["summary"], spf["cure"], spf["record"]) == ("not listed", "list it", "v=spf1 -all")
    assert ("Key bits", "2048") in checks[2]["facts"]
    assert "signature of a.example is right" in checks[2]["summary"]
    assert checks[0]["rfc7489"]["result"] == "none"


def test_an_unsigned_mail_says_so() -> None:
    checks = arrange_checks(msgspec.to_builtins(AuthResults()))
    assert [check["summary"] for check in checks if check["kind"] == "dkim"] == ["The mail carries no DKIM signature."]


def test_a_mail_without_authentication_has_no_panel() -> None:
    assert arrange_checks(None) == []
