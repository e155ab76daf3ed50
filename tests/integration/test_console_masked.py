"""Who sees addresses masked: no answer of any route has one, no search tells one, and what is revealed is written down first."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from contracts import clock, topics
from contracts.audit import AuditAction, AuditEntry, new_act
from contracts.codec import HEADERS, decode, encode_audit_entry
from contracts.dead_letter import dead_letter
from contracts.errors import InvalidEvent
from contracts.ids import new_mail_id
from contracts.records import ConsumedRecord
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from contracts.suppressions import SuppressionChange, SuppressionReason
from sinks.clickhouse.to_rows import audit_rows, dead_letter_rows
from tests.integration.console_log import Log

OURS = "ours.example"
SECRET = ("anna.kowalska", "zbigniew", "kontakt+billing", "kowalska")  # of the people outside, in lower case
PAGES = [
    "/",
    "/notifications",
    "/incoming",
    "/incoming?log=connectivity",
    "/suppressions",
    "/trends",
    "/system",
    "/activity/rows",
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    log = Log(
        tmp_path_factory.mktemp("masked"),
        {
            "inbound": {"domains": {OURS: {}}}, "outbound": {"domains": {OURS: {}}},
            "dns": {"nameservers": ["127.0.0.1:1"], "timeout": "50ms"},
            "channels": {"desk": {"address": f"desk@{OURS}"}},
        },
    )  # fmt: skip
    yield log
    log.close()


@pytest.fixture(scope="module")
def mails(log: Log) -> list[str]:
    """A log that has the addresses in every field that can have one."""
    said = (
        '550 5.1.1 <Anna.Kowalska@acme.example> "kontakt+billing"@acme.example: no such user, ask zbigniew@acme.example'
    )
    out = log.add(
        "anna.kowalska@acme.example", Status.FAILED, direction=Direction.OUTBOUND, reason=Reason.EXPIRED, detail=f"refused: {said}",
        attempt=1, bounce=(BounceType.HARD, BounceClass.INVALID_RECIPIENT), answer=said, enhanced_code="5.1.1", from_=f"desk@{OURS}",
        subject="for zbigniew@acme.example", message_id="kontakt+billing@acme.example", reference="IT-1", template="invite",
        envelope_from=f"b+anna.kowalska=acme.example@{OURS}", headers=[("Reply-To", "Anna <anna.kowalska@acme.example>")],
    )  # fmt: skip
    into = log.add(
        f"desk@{OURS}", from_="zbigniew@acme.example", from_name="zbigniew@acme.example", envelope_from="anna.kowalska@acme.example",
        subject="Re: kontakt+billing@acme.example", channel="desk", raw=b"From: zbigniew@acme.example\r\n\r\nhello\r\n",
        age=timedelta(minutes=2),
    )  # fmt: skip
    names = ("zbigniew", "anna.kowalska", "kontakt+billing")
    for name in names:
        log.add(
            f"{name}@acme.example",
            Status.DELIVERED,
            direction=Direction.OUTBOUND,
            from_=f"desk@{OURS}",
            age=timedelta(minutes=3),
        )
    for name in names:
        change = SuppressionChange(
            action="added", at=clock.now(), by="zbigniew@acme.example", reason=SuppressionReason.MANUAL, note=said
        )
        log.suppressions.put(f"{name}@acme.example", change)
    log.suppressions.put("bo@x.example", change)
    act = new_act(AuditAction.UNBLOCKED, "anna.kowalska@acme.example", recipient="zbigniew@acme.example", detail=said)
    log.insert(audit_rows(ConsumedRecord("mail.audit", 0, 0, None, encode_audit_entry(act, "test"), HEADERS)))
    broken = ConsumedRecord("mail.attempts", 0, 0, b"anna.kowalska@acme.example", said.encode(), [])
    letter = dead_letter("outcomes", InvalidEvent("wrong_data", f"of {said}"), broken)
    log.insert(
        dead_letter_rows(
            ConsumedRecord(topics.DEADLETTER, 0, 0, b"k", letter.value, letter.headers, clock.to_ms(clock.now()))
        )
    )
    return [out, into]


def _client(log: Log, *scopes: str, masked: bool = True) -> TestClient:
    client = log.browser()
    client.headers["Authorization"] = f"Bearer {log.tokens.create('support', list(scopes), [], masked=masked)}"
    return client


def _leaks(text: str) -> list[str]:
    told = unquote(text).lower()
    return [told[max(0, place - 60) : place + 40] for one in SECRET for place in [told.find(one)] if place >= 0]


def _routes(routes: Sequence[Any]) -> Iterator[APIRoute]:
    for one in routes:
        if isinstance(one, APIRoute):
            yield one
        elif hasattr(one, "original_router"):
            yield from _routes(one.original_router.routes)


def test_no_route_answers_with_an_address(log: Log, mails: list[str]) -> None:
    plain, masked = (
        _client(log, "read", "manage", "send", masked=False),
        _client(log, "read", "manage", "send", "reveal"),
    )
    seen = 0
    paths = [*PAGES]
    for route in _routes(log.app.routes):
        if "GET" in route.methods and not route.path.startswith(("/login", "/logout")):
            path = (
                route.path.replace("{address:path}", "bo@x.example")
                .replace("stats/{name}", "stats/volume?by=template")
                .replace("{name}", "desk")
            )
            paths += [re.sub(r"\{\w+\}", "1", path.replace("{mail_id}", mail)) for mail in mails]
    paths += [f"/api/v1/export?format={one}" for one in ("csv", "ndjson")] + [
        "/api/v1/mails?limit=1",
        "/?limit=1",
        "/api/v1/mails?q=anna&x=1",
    ]
    for path in dict.fromkeys(paths):
        accept = {"Accept": "application/json" if path.startswith("/api/") else "text/html"}
        seen += bool(_leaks(plain.get(path, headers=accept).text))
        answer = masked.get(path, headers=accept)
        assert not _leaks(answer.text) and not _leaks(str(answer.headers)), path
        if answer.headers.get("content-type", "").startswith("application/json"):
            answer.json()
    assert seen >= 20  # without the mask they are there


def test_masked_rows_say_the_same_of_the_same_address_and_leave_ours(log: Log, mails: list[str]) -> None:
    items = {one["mail_id"]: one for one in _client(log, "read").get("/api/v1/mails").json()["items"]}
    assert items[mails[0]]["recipient"] == "an…@acme.example" and items[mails[0]]["from"] == f"desk@{OURS}"
    assert items[mails[1]]["from"] == "zb…@acme.example" and items[mails[1]]["recipient"] == f"desk@{OURS}"


def test_a_whole_address_is_found_and_shown_to_who_knows_it(log: Log, mails: list[str]) -> None:
    client = _client(log, "read")
    for line in ("anna.kowalska@acme.example", "to:anna.kowalska@acme.example", "Anna <anna.kowalska@acme.example>"):
        found = client.get("/api/v1/mails", params={"q": line}).json()["items"]
        assert {one["recipient"] for one in found} == {"anna.kowalska@acme.example"}, line
    assert "anna.kowalska@acme.example" in client.get("/", params={"q": "anna.kowalska@acme.example"}).text
    assert len(client.get("/api/v1/mails", params={"to": "@acme.example"}).json()["items"]) >= 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("to", "anna"), ("to", "anna*"), ("from", "zb*@acme.example"), ("to", "anna.kowalska@*"), ("message_id", "kontakt*"),
        ("q", "to:kowal"), ("q", "NOT from:zbig"), ("q", "zbig*@acme.example status:failed"),
    ],
)  # fmt: skip
def test_a_part_of_an_address_is_no_search(log: Log, mails: list[str], name: str, value: str) -> None:
    answer = _client(log, "read").get("/api/v1/mails", params={name: value})
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "masked"


@pytest.mark.parametrize(
    "value",
    [
        "kowalska",
        "zbigniew",
        "subject:zbig",
        "smtp_text:anna",
        "from_name:zbigniew",
        "smtp_text:kontakt",
        "kontakt+billing",
    ],
)
def test_a_text_is_searched_without_the_addresses_in_it(log: Log, mails: list[str], value: str) -> None:
    assert _client(log, "read", masked=False).get("/api/v1/mails", params={"q": value}).json()["items"]
    assert not _client(log, "read").get("/api/v1/mails", params={"q": value}).json()["items"]
    assert (
        _client(log, "read").get("/api/v1/mails", params={"q": 'smtp_text:"no such user" subject:for'}).json()["items"]
    )


def test_a_cursor_goes_on_and_tells_nothing(log: Log, mails: list[str]) -> None:
    client, seen, cursor = _client(log, "read"), [], None
    while True:
        page: dict[str, Any] = client.get(
            "/api/v1/mails", params={"limit": 1, **({"cursor": cursor} if cursor else {})}
        ).json()
        seen += [one["mail_id"] for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
        assert cursor.startswith("gAAAA")  # Fernet
        assert (
            _client(log, "read").get("/api/v1/mails", params={"cursor": cursor}).status_code == 422
        )  # of another token
    assert len(seen) == len(set(seen)) >= 5


def test_what_is_revealed_is_written_down_first_and_for_this_answer_alone(log: Log, mails: list[str]) -> None:
    client = _client(log, "read", "reveal")
    for path in (f"/api/v1/mails/{mails[0]}/reveal", f"/mails/{mails[0]}/reveal"):
        before = len(log.written.of("mail.audit"))
        answer = client.post(path)
        assert answer.status_code == 200 and "anna.kowalska@acme.example" in answer.text
        acts = [decode(one.value, AuditEntry) for one in log.written.of("mail.audit")[before:] if one.value]
        assert [(one.action, one.mail_id) for one in acts if one.action != "token_used"] == [
            ("addresses_revealed", mails[0])
        ]
    assert not _leaks(client.get(f"/mails/{mails[0]}").text)
    log.written.away = True
    try:
        answer = client.post(f"/api/v1/mails/{mails[0]}/reveal")
    finally:
        log.written.away = False
    assert answer.status_code == 503 and not _leaks(answer.text)
    assert client.post(f"/api/v1/mails/{new_mail_id()}/reveal").status_code == 404
    assert _client(log, "read").post(f"/api/v1/mails/{mails[0]}/reveal").status_code == 403


def test_a_masked_token_has_no_raw_and_makes_masked_tokens_only(log: Log, mails: list[str]) -> None:
    with pytest.raises(ValueError, match="raw"):
        log.tokens.create("x", ["raw"], [], masked=True)
    client = _client(log, "read", "manage")
    assert client.get(f"/api/v1/mails/{mails[1]}/raw").status_code == 403
    made = client.post("/api/v1/tokens", json={"name": "more", "scopes": ["read"]})
    (shown,) = [one for one in log.http.get("/api/v1/tokens").json()["items"] if one["id"] == made.json()["id"]]
    assert shown["masked"] is True
    body = {"name": "x", "scopes": ["read", "raw"], "masked": True}
    assert log.http.post("/api/v1/tokens", json=body).json()["error"]["field"] == "masked"


def test_no_form_is_offered_that_would_send_a_mask(log: Log, mails: list[str]) -> None:
    """A masked manager's form would name `an…@acme.example`, which nobody has."""
    browser = log.browser(log.tokens.create("masked manager", ["read", "manage"], [], masked=True))
    for path in ("/suppressions", "/notifications", "/incoming"):
        page = browser.get(path)
        assert page.status_code == 200 and not re.search(
            r'(?:value|href)="[^"]*(?:…|%E2%80%A6)@[^"]*"[^>]*>(?:Re-run|Unblock)', page.text
        )
        assert 'name="addresses"' not in page.text, path
    assert 'name="addresses"' in log.browser(log.token).get("/suppressions").text
