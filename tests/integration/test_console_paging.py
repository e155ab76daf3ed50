"""Pages of a search: each mail once, newest first, over windows of every length and while new mail arrives."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest

from console import search_mails
from contracts.statuses import Status
from tests.integration.console_log import Log

AGES = [timedelta(seconds=20 * n) for n in range(40)]
AGES += [timedelta(minutes=29, seconds=n) for n in range(0, 120, 7)]  # around the end of the first window
AGES += [timedelta(hours=n) for n in range(1, 30)]
AGES += [timedelta(days=n, hours=1) for n in range(2, 21)]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """Mails of 0 min to 20 days, some with several recipients and some superseded; every third has a subject of its own."""
    log = Log(tmp_path_factory.mktemp("paging"))
    dice = random.Random(7)
    for number, age in enumerate(AGES):
        subject = "Rare thing" if number % 3 == 0 else "Other"
        mail_id = log.add("a@example.com", Status.RECEIVED, age=age, subject=subject)
        for recipient in ["a@example.com"] + (["b@example.com", "c@example.com"] if number % 5 == 0 else []):
            status = dice.choice([Status.PROCESSED, Status.SKIPPED])
            log.add(recipient, status, mail_id=mail_id, age=age, subject=subject)
    yield log
    log.close()


def keys(pages: list[list[dict]]) -> list[tuple[str, str]]:
    return [(item["mail_id"], item["recipient"]) for page in pages for item in page]


SEARCHES = [{}, {"subject": "rare"}, {"status": "processed"}, {"subject": "rare", "status": "!processed"}]


@pytest.mark.parametrize(
    ("limit", "parameters"), [(1, SEARCHES[3]), *[(limit, search) for limit in (7, 50, 500) for search in SEARCHES]]
)
def test_pages_hold_every_row_once_and_newest_first(log: Log, limit: int, parameters: dict[str, str]) -> None:
    whole = keys(log.pages(500, **parameters))
    pages = log.pages(limit, **parameters)
    assert keys(pages) == whole
    assert len(set(whole)) == len(whole) > 10
    moments = [item["received_at"] for page in pages for item in page]
    assert moments == sorted(moments, reverse=True)
    assert all(len(page) == limit for page in pages[:-1])


def test_all_statuses_together_are_the_whole_log(log: Log) -> None:
    parts = [keys(log.pages(500, status=status)) for status in ("processed", "skipped", "received")]
    whole = keys(log.pages(500))
    assert sorted(key for part in parts for key in part) == sorted(whole)
    assert parts[2] == []  # superseded rows are never shown
    assert len(whole) == len(AGES) + 2 * len(AGES[::5])


def test_by_keys_finds_the_same_as_the_plain_windows(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    searches = [{"subject": "rare"}, {"to": "B@example.com"}, {"to": "c@*,b@example.com"}, {"to": "!a@*", "subject": "rare"},
                {"to": "b@exam*,a@example.com", "status": "skipped"}, {"from": "anna@partner.example", "status": "skipped"},
                {"domain": "example.com", "status": "!skipped"}]  # fmt: skip
    by_keys = [keys(log.pages(11, **search)) for search in searches]
    monkeypatch.setattr(search_mails, "has_indexed", lambda conditions: False)
    plain = [keys(log.pages(11, **search)) for search in searches]
    assert by_keys == plain
    assert all(by_keys)


def test_too_many_keys_fall_back_to_the_plain_windows(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = keys(log.pages(500, subject="rare"))
    monkeypatch.setattr(search_mails, "MAX_KEYS", 3)
    for limit in (1, 2, 4):  # with 1, three keys are enough for a page
        assert keys(log.pages(limit, subject="rare")) == expected


def test_mail_that_arrives_between_two_pages_moves_nothing(log: Log) -> None:
    first = log.http.get("/api/v1/mails", params={"limit": 20}).json()
    expected = keys(
        [log.http.get("/api/v1/mails", params={"limit": 20, "cursor": first["next_cursor"]}).json()["items"]]
    )
    log.add("new@example.com", age=timedelta(0), subject="Newer")
    again = log.http.get("/api/v1/mails", params={"limit": 20, "cursor": first["next_cursor"]}).json()
    assert keys([again["items"]]) == expected


def test_since_and_until_cut_through_windows(log: Log) -> None:
    items = [item for page in log.pages(9, since="36h", until="40m") for item in page]
    whole = [item for page in log.pages(500) for item in page]
    first, last = items[0]["received_at"], items[-1]["received_at"]
    assert [i for i in whole if last <= i["received_at"] <= first] == items
    assert 20 < len(items) < len(whole)


def test_an_export_has_the_same_rows_as_the_pages(log: Log) -> None:
    lines = log.http.get("/api/v1/export", params={"format": "ndjson", "subject": "rare"}).text.splitlines()
    exported = [(item["mail_id"], item["recipient"]) for item in map(json.loads, lines)]
    assert exported == keys(log.pages(500, subject="rare"))
