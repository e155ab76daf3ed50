"""Facets and time series over the real engine: the same numbers from the table of hours and from the log, whatever is inserted twice."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts import clock
from contracts.statuses import BounceClass, BounceType, Direction, Status
from sinks.clickhouse.build_hours import build_once, stale_hours
from tests.integration.console_log import Log, mail_id_at

HARD = (BounceType.HARD, BounceClass.INVALID_RECIPIENT)
FULL = (BounceType.SOFT, BounceClass.MAILBOX_FULL)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    log = Log(tmp_path_factory.mktemp("stats"))
    yield log
    log.close()


def ask(log: Log, path: str, token: str = "", **parameters: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = log.http.get(f"/api/v1/{path}", params=parameters, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def facet(log: Log, field: str, token: str = "", **parameters: Any) -> dict[str, int]:
    values = ask(log, "facets", token, fields=field, **parameters)["fields"][field]
    return {one["value"]: one["count"] for one in values}


def by_status(log: Log, **parameters: Any) -> Counter[str]:
    total: Counter[str] = Counter()
    for item in ask(log, "stats/volume", **parameters)["items"]:
        total.update(item["counts"])
    return total


@pytest.fixture(scope="module")
def filled(log: Log) -> Log:
    """Three days of mail, one of it inserted twice, and one that bounced late; counted but for the newest."""
    for hours in range(0, 72, 2):
        age = timedelta(hours=hours, minutes=5)
        log.add(
            f"u{hours}@shop.example", Status.DELIVERED, direction=Direction.OUTBOUND, from_="app@ours.example",
            age=age, attempt=1, template="Invitation" if hours % 4 else "Digest", channel="mailer",
        )  # fmt: skip
        log.add(
            "desk@ours.example", Status.REJECTED if hours % 6 else Status.PROCESSED, from_="eve@evil.example",
            age=age, spf="fail", dmarc="fail" if hours % 6 else "pass",
        )  # fmt: skip
    gone = mail_id_at(clock.now() - timedelta(hours=30, minutes=5))
    for status, late, bounce in ((Status.DELIVERED, False, None), (Status.DELIVERY_FAILED, True, HARD)):
        for _ in range(2):  # a replay
            log.add(
                "gone@shop.example", status, direction=Direction.OUTBOUND, from_="app@ours.example", mail_id=gone,
                attempt=1, late=late, bounce=bounce, template="Invitation",
            )  # fmt: skip
            while build_once(log.store):
                pass
    log.add("late@shop.example", Status.DEFERRED, direction=Direction.OUTBOUND, from_="app@ours.example", bounce=FULL)
    return log


FILTERS: list[dict[str, str]] = [
    {},
    {"direction": "outbound"},
    {"status": "!delivered"},
    {"since": "25h"},
    {"since": "50h", "until": "3h"},
    {"provider": "partner.example", "direction": "outbound"},
    {"domain": "shop.example"},
    {"q": "app@ours.example"},
    {"to": "desk@ours.example,u4@shop.example"},
    {"domain": "shop.example,evil.example", "since": "20h"},
    {"template": "invitation"},
    {"q": "from:eve@evil.example OR template:Digest"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_counts_are_those_of_the_list(filled: Log, filters: dict[str, str]) -> None:
    """Whichever way they come: by the table of hours, from the log, or from both."""
    items = [item for page in filled.pages(500, **filters) for item in page]
    assert items
    expected = Counter(item["status"] for item in items)
    assert facet(filled, "status", **filters) == expected
    for bucket in ("5m", "1h", "6h", "1d"):
        if bucket != "5m" or "since" in filters:
            assert by_status(filled, bucket=bucket, **filters) == expected, bucket
    templates = Counter(item["template"] for item in items if item["template"])
    assert facet(filled, "template", **filters) == templates
    domains: Counter[str] = Counter()
    for item in items:
        domains.update({item["from"].partition("@")[2], item["recipient"].partition("@")[2]})
    assert facet(filled, "domain", **filters) == domains
    classes = Counter(item["bounce_class"] for item in items if item["bounce_class"])
    assert facet(filled, "class", **filters) == classes
    assert facet(filled, "provider", **filters) == Counter(item["provider"] for item in items if item["provider"])


def test_a_late_bounce_counts_in_the_hour_in_which_its_mail_was_received(filled: Log) -> None:
    items = ask(filled, "stats/bounces", bucket="1h", since="3d", by="class")["items"]
    found = {(item["by"], item["time"]): item["total"] for item in items if item["total"]}
    received = (clock.now() - timedelta(hours=30, minutes=5)).replace(minute=0, second=0, microsecond=0)
    assert found[("invalid_recipient", clock.rfc3339(received))] == 1
    assert {value for value, _ in found} == {"invalid_recipient", "mailbox_full"}
    whole = ask(filled, "stats/delivery_rate", bucket="1d", direction="outbound")["items"]
    assert sum(item["counts"].get("failed", 0) for item in whole) == 1
    assert sum(item["counts"].get("succeeded", 0) for item in whole) == 36


def test_an_hour_is_counted_anew_after_its_marks_and_what_has_gone_is_gone(log: Log, filled: Log) -> None:
    while build_once(log.store):
        pass
    assert stale_hours(log.store) == []
    mail_id = mail_id_at(clock.now() - timedelta(hours=200))
    bounces = "SELECT sum(arraySum(mails)) FROM hours FINAL WHERE measure = 'bounce_class' AND dimension = ''"
    before = log.store.client.query(bounces).result_rows
    log.add("slow@x.example", Status.DEFERRED, mail_id=mail_id, attempt=1, bounce=FULL)
    assert build_once(log.store) == 1
    assert log.store.client.query(bounces).result_rows[0][0] == before[0][0] + 1
    log.add("slow@x.example", Status.FORWARDED, mail_id=mail_id, attempt=2)
    assert build_once(log.store) == 1 and build_once(log.store) == 0
    assert log.store.client.query(bounces).result_rows == before


def test_authentication_failures_are_of_inbound_mail(filled: Log) -> None:
    items = ask(filled, "stats/auth_failures", bucket="1d", by="domain", domain="evil.example")["items"]
    evil = [item for item in items if item["by"] == "evil.example"]
    assert sum(item["total"] for item in evil) == 36
    assert sum(item["counts"]["spf"] for item in evil if item["counts"]) == 36
    assert sum(item["counts"]["dmarc"] for item in evil if item["counts"]) == 24
    assert sum(item["counts"]["dkim"] for item in evil if item["counts"]) == 0


def test_latency_is_told_in_milliseconds(filled: Log) -> None:
    items = ask(filled, "stats/latency", bucket="1d", direction="outbound")["items"]
    told = [item for item in items if item["total"]]
    assert told and all(4 <= item["p50"] <= 6 and item["p50"] <= item["p95"] <= item["p99"] for item in told)


def test_a_token_for_one_domain_counts_the_mail_of_that_domain_alone(filled: Log) -> None:
    token = filled.new_token(("read",), ("evil.example",))
    assert facet(filled, "status", token) == {}
    token = filled.new_token(("read",), ("ours.example",))
    assert facet(filled, "domain", token)["ours.example"] == 74
    filled.add("x@other.example", Status.PROCESSED, from_="y@third.example")
    assert facet(filled, "status", token)["processed"] == 12
    assert facet(filled, "status")["processed"] == 13
    items = ask(filled, "stats/volume", token, bucket="1d")["items"]
    assert sum(item["counts"].get("processed", 0) for item in items) == 12


def test_buckets_are_whole_and_begin_where_people_expect(filled: Log) -> None:
    answer = ask(filled, "stats/volume", since="7d")
    times = [datetime.fromisoformat(item["time"]) for item in answer["items"]]
    assert answer["bucket"] == "6h" and {time.hour % 6 for time in times} == {0} and len(times) in (28, 29)
    assert times == sorted(times) and len(set(times)) == len(times)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("facets?fields=colour", "fields"),
        ("facets?since=never", "since"),
        ("stats/volume?bucket=7m", "bucket"),
        ("stats/volume?bucket=1m", "bucket"),
        ("stats/volume?colour=red", "colour"),
        ("stats/weather", "name"),
    ],
)
def test_what_is_wrong_is_named(log: Log, path: str, field: str) -> None:
    answer = log.http.get(f"/api/v1/{path}")
    assert answer.status_code == 422 and answer.json()["error"]["field"] == field
