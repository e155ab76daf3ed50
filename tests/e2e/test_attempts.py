"""Mail that another server delivers: each attempt is in the log once, under one mail, with the words that ours have."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for

NOW = datetime.now(UTC)


def at(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def item(id: str, outcome: str, minutes: float = -5, to: str = "anna@far.test", **fields: Any) -> dict[str, Any]:
    return {
        "id": id, "time": at(minutes), "from": "news@ours.test", "to": to, "outcome": outcome, "message_id": f"<{id}@ours.test>",
        "subject": "told by mx1", "host": "mx.far.test", "ip": "192.0.2.7", "tls": "TLSv1.3", **fields,
    }  # fmt: skip


def report(pipeline: Pipeline, *items: dict[str, Any], source: str = "mx1") -> dict[str, Any]:
    answer = pipeline.post("/attempts", {"source": source, "items": list(items)})
    assert answer.status_code == 202, answer.text
    return answer.json()


def rows(pipeline: Pipeline, id: str, count: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = pipeline.rows(f"{id}@ours.test")
        return len(found) >= count

    assert wait_for(there, 15), found
    return found


def test_deferred_then_delivered_is_one_mail_however_often_it_is_told(pipeline: Pipeline) -> None:
    told = [
        item("Q1", "temporary", -9, code=451, enhanced_code="4.7.1", text="4.7.1 Greylisted", command="RCPT"),
        item("Q1", "temporary", -7, code=451, enhanced_code="4.7.1", text="4.7.1 Greylisted", command="RCPT"),
        item("Q1", "accepted", -5, code=250, enhanced_code="2.0.0", text="2.0.0 queued"),
    ]
    assert report(pipeline, told[0]) == {"accepted": 1, "rejected": []}
    for _ in range(3):
        assert report(pipeline, *told)["accepted"] == 3
    assert wait_for(lambda: rows(pipeline, "Q1")[0]["status"] == "delivered", 15)
    (row,) = rows(pipeline, "Q1")
    assert (row["source"], row["attempts"], row["direction"], row["from"]) == ("mx1", 3, "outbound", "news@ours.test")
    mail = pipeline.detail(row["mail_id"])
    assert [event["status"] for event in mail["events"]] == ["deferred", "deferred", "delivered"]
    assert [attempt["code"] for attempt in mail["attempts"]] == [451, 451, 250]
    assert mail["events"][0]["bounce"]["bounce_class"] == "greylisted" and not mail["raw_available"]
    assert row["received_at"] == at(-9)


def test_a_refusal_has_its_class_and_suppresses_as_one_of_ours(pipeline: Pipeline) -> None:
    said = "5.1.1 <gone@far.test>: Recipient address rejected: User unknown"
    report(
        pipeline,
        item("Q2", "permanent", to="gone@far.test", code=550, enhanced_code="5.1.1", text=said, command="RCPT"),
    )
    (row,) = rows(pipeline, "Q2")
    assert (row["status"], row["reason"], row["bounce_class"]) == (
        "delivery_failed",
        "invalid_address",
        "invalid_recipient",
    )
    assert row["smtp_text"] == said
    entry = pipeline.get("/suppressions/gone@far.test").json()
    assert entry["active"] and entry["mail_id"] == row["mail_id"]


def test_two_servers_may_use_one_name_and_the_source_is_a_filter(pipeline: Pipeline) -> None:
    for source in ("mx1", "mx2"):
        report(pipeline, item("Q3", "accepted"), source=source)
    rows(pipeline, "Q3", 2)
    for source in ("mx1", "mx2"):
        (row,) = pipeline.get("/mails", source=source, message_id="Q3@ours.test").json()["items"]
        assert row["source"] == source
    assert all(not row["source"] for row in pipeline.get("/mails", source="!mx1,mx2", limit=20).json()["items"])


def test_a_domain_does_not_reach_the_mail_of_another_one_by_its_name(pipeline: Pipeline) -> None:
    report(pipeline, item("Q7", "temporary", -9, code=451, text="a secret"))
    (ours,) = rows(pipeline, "Q7")
    limited = pipeline.make_token("send", "read", domain="second.test")
    theirs = item("Q7", "permanent", -5, code=550, text="overwritten", **{"from": "x@second.test"})
    answer = pipeline.post("/attempts", {"source": "mx1", "items": [theirs]}, limited)
    assert answer.json() == {"accepted": 1, "rejected": []}
    (row,) = [one for one in rows(pipeline, "Q7", 2) if one["from"] == "x@second.test"]
    assert row["mail_id"] != ours["mail_id"] and "a secret" not in str(pipeline.detail(row["mail_id"]))
    kept = pipeline.detail(ours["mail_id"])
    assert (kept["from"], [event["status"] for event in kept["events"]]) == ("news@ours.test", ["deferred"])


def test_a_wrong_item_is_told_and_the_others_are_taken(pipeline: Pipeline) -> None:
    answer = report(
        pipeline,
        item("Q4", "accepted"),
        item("", "accepted"),
        item("Q5", "perhaps"),
        item("Q5", "accepted", to="nobody"),
        item("Q5", "accepted", minutes=60),
        item("Q5", "accepted", minutes=-60 * 24 * 30),
        item("Q5", "accepted", colour="red"),
        item("Q5", "accepted", code="550"),
        {**item("Q5", "accepted"), "time": "2026-11-27T12:00:00"},
    )
    assert answer["accepted"] == 1 and [one["index"] for one in answer["rejected"]] == list(range(1, 9))
    words = ["id", "outcome", "to", "time", "time", "colour", "code", "time"]
    assert [one["message"].partition(":")[0] for one in answer["rejected"]] == words
    rows(pipeline, "Q4")
    assert pipeline.rows("Q5@ours.test") == []


def test_what_is_told_while_the_pipeline_works_in_two_requests_at_once_is_one_mail(pipeline: Pipeline) -> None:
    items = [item("Q6", "temporary", -20 + n, to=f"u{n % 4}@far.test", code=450, text="later") for n in range(12)]
    threads = [threading.Thread(target=report, args=(pipeline, *items[start::3], *items[:3])) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = rows(pipeline, "Q6", 4)
    assert len({row["mail_id"] for row in found}) == 1 and len(found) == 4
    assert wait_for(lambda: len(pipeline.detail(found[0]["mail_id"])["events"]) == 12, 10)


def test_a_thousand_items_are_taken_at_once(pipeline: Pipeline) -> None:
    began = time.monotonic()
    answer = report(pipeline, *[item(f"T{n}", "accepted", to=f"t{n}@far.test") for n in range(1000)])
    assert answer["accepted"] == 1000
    print(f"1000 items in {time.monotonic() - began:.1f} s")
    rows(pipeline, "T999")
