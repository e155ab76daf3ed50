"""What must not be seen, and what must not run: limited tokens (attack 18), SQL in every filter (attack 14), spreadsheets (16)."""

import base64
import csv
import io
import json
from collections.abc import Iterator

import pytest

from console.conditions import COLUMNS
from contracts.statuses import Direction, Status
from tests.integration.console_log import Log

RAW = b"Subject: secret\r\n\r\nbody\r\n"
INJECTIONS = [
    "'", "' OR 1=1 --", "') OR ('1'='1", '" OR ""="', "\\", "\\' OR 1=1 --", "'; DROP TABLE mails; --", "{p0:String}", "%(p0)s",
    "a' UNION ALL SELECT data FROM events --", "/*", "\x00", "`", "1) FORMAT JSON --", "%", "_", "*'*", "🙂'",
]  # fmt: skip


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    log = Log(tmp_path_factory.mktemp("safety"))
    log.add("a@one.example", subject='=HYPERLINK("http://evil")', from_name="+cmd", reference="@SUM(1)", raw=RAW)
    log.add(
        "b@two.example", subject="for two", from_="x@one.example", raw=RAW
    )  # inbound: the sender's domain is not ours
    log.add(
        "c@far.example", Status.SENT, direction=Direction.OUTBOUND, subject="from one", from_="app@one.example", raw=RAW
    )
    log.add(
        "d@one.example", Status.SENT, direction=Direction.OUTBOUND, subject="from two", from_="app@two.example", raw=RAW
    )
    both = log.add("e@one.example", subject="for both", raw=RAW, headers=[("To", "e@one.example")], detail="for one")
    log.add("f@two.example", subject="for both", mail_id=both, detail="for two")
    yield log
    log.close()


@pytest.fixture(scope="module")
def of_one(log: Log) -> dict[str, str]:
    token = log.new_token(("read", "raw"), ("One.Example",))
    return {"Authorization": f"Bearer {token}"}


def test_a_limited_token_sees_its_own_side_of_the_log_only(log: Log, of_one: dict[str, str]) -> None:
    items = log.http.get("/api/v1/mails", headers=of_one).json()["items"]
    assert {item["recipient"] for item in items} == {"a@one.example", "c@far.example", "e@one.example"}
    searched = log.http.get("/api/v1/mails", params={"q": "two"}, headers=of_one).json()["items"]
    assert searched == []
    exported = log.http.get("/api/v1/export", headers=of_one).text
    assert "two.example" not in exported and exported.count("\n") == 3


def test_a_limited_token_gets_404_for_anothers_mail(log: Log, of_one: dict[str, str]) -> None:
    everything = log.http.get("/api/v1/mails").json()["items"]
    for item in everything:
        own = item["recipient"] in ("a@one.example", "c@far.example", "e@one.example", "f@two.example")
        for path in ("", "/raw"):
            answer = log.http.get(f"/api/v1/mails/{item['mail_id']}{path}", headers=of_one)
            assert answer.status_code == (200 if own else 404), item
        for path in ("", "/html"):
            page = log.http.get(f"/mails/{item['mail_id']}{path}", headers={**of_one, "Accept": "text/html"})
            assert page.status_code == (200 if own else 404), item


def test_a_shared_mail_shows_a_limited_token_its_own_recipient_only(log: Log, of_one: dict[str, str]) -> None:
    mail_id = log.http.get("/api/v1/mails", params={"to": "e@one.example"}).json()["items"][0]["mail_id"]
    for path in ("/api/v1/mails/", "/mails/"):
        text = log.http.get(path + mail_id, headers=of_one).text
        assert "e@one.example" in text
        assert "two.example" not in text and "for two" not in text


def test_the_list_page_counts_only_what_a_limited_token_sees(log: Log, of_one: dict[str, str]) -> None:
    page = log.http.get("/", headers={**of_one, "Accept": "text/html"}).text
    assert "two.example" not in page
    assert 'processed<span class="count" title="in the last 24 hours">2</span>' in page


@pytest.mark.parametrize("name", [*COLUMNS, "q", "since", "until", "cursor", "limit"])
def test_sql_in_a_filter_is_data(log: Log, name: str) -> None:
    for text in INJECTIONS:
        for value in (text, f"!{text}"):
            answer = log.http.get("/api/v1/mails", params={name: value})
            assert answer.status_code in (200, 422), (value, answer.text)
            if answer.status_code == 200 and not value.startswith("!") and name not in ("subject", "from", "to", "q"):
                assert answer.json()["items"] == [], value
    assert len(log.http.get("/api/v1/mails").json()["items"]) == 6


def test_sql_in_a_cursor_is_data(log: Log) -> None:
    mail_id = log.http.get("/api/v1/mails").json()["items"][0]["mail_id"]
    moment = 32_503_680_000_000
    for text in INJECTIONS:
        for parts in (
            [moment, mail_id, text],
            [text, mail_id, "a"],
            [moment, text, "a"],
            text,
            [1],
            {"a": 1},
            [1e400, mail_id, ""],
        ):
            cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()
            answer = log.http.get("/api/v1/mails", params={"cursor": cursor})
            assert answer.status_code in (200, 422), (parts, answer.text)
    for cursor in ("%00", "=", "🙂", "a" * 5000, "W1tb" * 400, base64.urlsafe_b64encode(b"\xff\xfe").decode()):
        assert log.http.get("/api/v1/mails", params={"cursor": cursor}).status_code == 422
    lone = base64.urlsafe_b64encode(f'[{moment}, "{mail_id}", "\\ud800"]'.encode()).decode()
    assert log.http.get("/api/v1/mails", params={"cursor": lone}).status_code == 422
    for moment in (-1, 10**15, 10**18, 10**30, 1.5, True):
        cursor = base64.urlsafe_b64encode(json.dumps([moment, mail_id, "a"]).encode()).decode()
        assert log.http.get("/api/v1/mails", params={"cursor": cursor}).status_code in (200, 422)


@pytest.mark.parametrize("text", ["'; DROP TABLE mails; --", "..%2f..%2fetc", "0" * 36, "a" * 9000])
def test_sql_in_a_mail_id_is_not_found(log: Log, text: str) -> None:
    for path in ("", "/raw"):
        assert log.http.get(f"/api/v1/mails/{text}{path}").status_code == 404


def test_a_spreadsheet_sees_no_formula(log: Log) -> None:
    answer = log.http.get("/api/v1/export", params={"format": "csv"})
    assert answer.headers["content-disposition"] == 'attachment; filename="mailscope.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == 6
    cells = [cell for row in rows for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert '\'=HYPERLINK("http://evil")' in cells and "'@SUM(1)" in cells
