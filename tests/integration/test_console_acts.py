"""What people do with the log through the API: it is written down before it is done, and nobody does more than they may."""

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest

from contracts import clock, topics
from contracts.audit import AuditEntry
from contracts.codec import decode
from contracts.dead_letter import dead_letter
from contracts.errors import InvalidEvent
from contracts.raw_message import decode_headers
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Status
from contracts.suppressions import SuppressionChange, SuppressionReason
from sinks.clickhouse.to_rows import audit_rows, dead_letter_rows
from tests.integration.console_log import Log

OCTETS = b"not\x00 an event\xff"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    log = Log(tmp_path_factory.mktemp("acts"))
    yield log
    log.close()


@pytest.fixture(autouse=True)
def fresh(log: Log) -> Iterator[None]:
    log.written.records.clear()
    yield
    log.written.away = False


def acts(log: Log) -> list[tuple[str, str]]:
    """(action, detail) of what was written down, uses of tokens aside."""
    entries = [decode(one.value, AuditEntry) for one in log.written.of(topics.AUDIT)]
    return [(one.action, one.detail) for one in entries if one.action != "token_used"]


def letter(log: Log, offset: int, reason: str = "wrong_data") -> str:
    source = ConsumedRecord("mail.attempts", 2, offset, b"key", OCTETS, [("content-type", b"x"), ("odd", b"\xfe")])
    record = dead_letter("outcomes", InvalidEvent(reason, "it is none"), source)
    put_aside = ConsumedRecord(
        topics.DEADLETTER, 0, offset, b"key", record.value, record.headers, clock.to_ms(clock.now()) + offset
    )
    log.insert(dead_letter_rows(put_aside))
    return f"0-{offset}"


def keep_acts(log: Log) -> None:
    """What the sink does with what was written down."""
    for number, one in enumerate(log.written.of(topics.AUDIT)):
        log.insert(audit_rows(ConsumedRecord(topics.AUDIT, 0, number, None, one.value, one.headers)))


def test_a_message_is_read_only_when_that_is_written_down(log: Log) -> None:
    mail_id = log.add(raw=b"From: a@b.test\r\n\r\nhello\r\n")
    assert log.http.get(f"/api/v1/mails/{mail_id}/raw").status_code == 200
    assert acts(log) == [("read_raw", "whole")]
    log.written.away = True
    assert log.http.get(f"/api/v1/mails/{mail_id}/raw").status_code == 503
    page = log.browser(log.token).get(f"/mails/{mail_id}")
    assert "hello" not in page.text
    assert log.http.get("/api/v1/export").status_code == 503
    log.written.away = False
    assert "hello" in log.browser(log.token).get(f"/mails/{mail_id}").text
    assert log.http.get("/api/v1/export?q=hello").status_code == 200
    assert acts(log)[1:] == [("read_raw", "on its page"), ("exported", "the log: q=hello")]


def test_the_audit_log_is_read_newest_first_and_page_after_page(log: Log) -> None:
    mail_ids = [log.add(raw=b"Subject: x\r\n\r\n") for _ in range(3)]
    for mail_id in mail_ids:
        log.http.get(f"/api/v1/mails/{mail_id}/raw")
    keep_acts(log)
    found, cursor = [], ""
    while True:
        answer = log.http.get("/api/v1/audit", params={"action": "read_raw", "limit": 2, "cursor": cursor}).json()
        found += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert [one["mail_id"] for one in found][:3] == mail_ids[::-1]
    only = log.http.get("/api/v1/audit", params={"mail_id": mail_ids[0], "actor": "TEST"}).json()["items"]
    assert [one["action"] for one in only] == ["read_raw"]
    assert log.http.get("/api/v1/audit", params={"cursor": "x"}).status_code == 422
    later = clock.rfc3339(clock.now() + timedelta(hours=1))
    assert log.http.get("/api/v1/audit", params={"since": later}).json()["items"] == []
    for scopes, domains in ((("read", "raw"), ()), (("manage",), ("example.com",))):
        token = log.new_token(scopes, domains)
        assert log.http.get("/api/v1/audit", headers={"Authorization": f"Bearer {token}"}).status_code == 403


def test_dead_letters_are_listed_shown_and_replayed_once(log: Log) -> None:
    names = [letter(log, offset) for offset in range(1, 4)] + [letter(log, 9, "odd")]
    listed = log.http.get("/api/v1/dead-letters", params={"reason": "wrong_data", "limit": 2}).json()
    assert [one["id"] for one in listed["items"]] == ["0-3", "0-2"]
    (last,) = log.http.get(
        "/api/v1/dead-letters", params={"reason": "wrong_data", "limit": 2, "cursor": listed["next_cursor"]}
    ).json()["items"]
    assert (last["id"], last["topic"], last["partition"], last["offset"]) == ("0-1", "mail.attempts", 2, 1)
    assert (last["size"], last["replayed_at"], last["detail"]) == (len(OCTETS), None, "it is none")
    assert log.http.get("/api/v1/dead-letters/0-1/value").content == OCTETS
    replay = "/api/v1/dead-letters:replay"
    told = log.http.post(replay, json={"reason": "wrong_data", "preview": True}).json()
    assert (told["replayed"], told["more"]) == (3, False) and not log.written.of("mail.attempts")
    assert log.http.post(replay, json={"ids": ["0-1"]}).status_code == 202
    (record,) = log.written.of("mail.attempts")
    assert (record.key, record.value, record.headers) == (
        "key",
        OCTETS,
        [("content-type", b"x"), ("odd", b"\xfe")],
    )
    assert ("replayed", "0-1") in acts(log)
    keep_acts(log)
    done = log.http.post(replay, json={"reason": "wrong_data"}).json()
    assert sorted(done["ids"]) == ["0-2", "0-3"], "what was replayed is not replayed with the rest"
    keep_acts(log)
    waiting = log.http.get("/api/v1/dead-letters", params={"waiting": True}).json()["items"]
    assert [one["id"] for one in waiting] == [names[-1]]
    assert log.http.get("/api/v1/dead-letters/0-1/value", headers={"Authorization": "Bearer x"}).status_code == 401
    for wrong in ("0-77", "x", "1", "-", "0-" + "9" * 40):
        assert log.http.post(replay, json={"ids": [wrong]}).status_code == 404
    assert log.http.get("/api/v1/dead-letters", params={"cursor": "1-2"}).status_code == 422


def test_who_replays_the_rest_again_at_once_replays_none_twice(log: Log) -> None:
    """There are more than one call takes, and its caller is told to call again: the log does not know yet what was replayed."""
    for offset in range(1000, 1600):
        letter(log, offset, "many")
    replay = "/api/v1/dead-letters:replay"
    answers = [log.http.post(replay, json={"reason": "many"}).json() for _ in range(3)]
    assert [(one["replayed"], one["more"]) for one in answers] == [(500, True), (100, False), (0, False)]
    assert len(log.written.of("mail.attempts")) == 600
    assert log.http.post(replay, json={"ids": ["0-1000"]}).json()["replayed"] == 1, "by its name, as often as one likes"


def test_a_token_is_made_used_and_revoked_and_makes_none_that_may_more(log: Log) -> None:
    made = log.http.post("/api/v1/tokens", json={"name": "support", "scopes": ["read", "manage"]})
    assert made.status_code == 201
    text, name = made.json()["token"], made.json()["id"]
    own = {"Authorization": f"Bearer {text}"}
    assert log.http.get("/api/v1/mails", headers=own).status_code == 200
    assert log.http.post("/api/v1/tokens", json={"name": "x", "scopes": ["raw"]}, headers=own).status_code == 403
    listed = log.http.get("/api/v1/tokens", headers=own).json()["items"]
    assert next(one for one in listed if one["id"] == name)["scopes"] == ["read", "manage"]
    assert text not in log.http.get("/api/v1/tokens").text
    assert log.http.delete(f"/api/v1/tokens/{name}").json()["revoked_at"]
    assert log.http.get("/api/v1/mails", headers=own).status_code == 401
    assert log.http.delete("/api/v1/tokens/none").status_code == 404
    assert [action for action, _ in acts(log)] == ["token_created", "token_revoked"]
    uses = [decode(one.value, AuditEntry) for one in log.written.of(topics.AUDIT)]
    assert [one.actor for one in uses if one.action == "token_used" and one.actor_id == name] == ["support"], "once"


def test_a_token_of_a_network_is_refused_from_elsewhere_and_ends_when_it_should(log: Log) -> None:
    body = {"name": "near", "scopes": ["read", "manage"], "networks": ["192.0.2.0/24"]}
    text = log.http.post("/api/v1/tokens", json=body).json()["token"]
    answer = log.http.get("/api/v1/mails", headers={"Authorization": f"Bearer {text}"})  # from "testclient"
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_network")
    assert log.http.post("/login", data={"token": text}).status_code == 403
    for wrong in (["192.0.2.1/24"], ["x"]):
        assert log.http.post("/api/v1/tokens", json={**body, "networks": wrong}).status_code == 422
    past = clock.rfc3339(clock.now() - timedelta(seconds=1))
    assert log.http.post("/api/v1/tokens", json={**body, "expires_at": past}).status_code == 422
    soon = clock.rfc3339(clock.now() + timedelta(hours=1))
    ends = log.http.post("/api/v1/tokens", json={"name": "e", "scopes": ["read"], "expires_at": soon}).json()["id"]
    listed = {one["id"]: one for one in log.http.get("/api/v1/tokens").json()["items"]}
    assert listed[ends]["expires_at"]
    guest = {"name": "guest", "scopes": ["manage"], "expires_at": soon}
    own = {"Authorization": f"Bearer {log.http.post('/api/v1/tokens', json=guest).json()['token']}"}
    longer = {"name": "heir", "scopes": ["manage"], "expires_at": clock.rfc3339(clock.now() + timedelta(hours=2))}
    assert log.http.post("/api/v1/tokens", json=longer, headers=own).status_code == 422
    heir = log.http.post("/api/v1/tokens", json={"name": "heir", "scopes": ["manage"]}, headers=own).json()["id"]
    listed = {one["id"]: one for one in log.http.get("/api/v1/tokens").json()["items"]}
    assert listed[heir]["expires_at"] == listed[ends]["expires_at"], "it ends with who makes it"


def test_a_receipt_is_for_whoever_has_its_link_and_tells_of_nobody(log: Log) -> None:
    mail_id = log.add(
        "anna.kowalska@x.test",
        Status.DELIVERED,
        direction=Direction.OUTBOUND,
        attempt=1,
        subject="Your secret order",
        from_="desk@example.com",
        answer="2.0.0 from 192.0.2.77",
    )
    browser = log.browser(log.token)
    url = f"/mails/{mail_id}/receipt"
    foreign = browser.post(url, data={"recipient": "anna.kowalska@x.test"}, headers={"Origin": "https://evil.test"})
    assert foreign.status_code == 403
    assert browser.post(url, data={"recipient": "other@x.test"}).status_code == 404
    made = browser.post(url, data={"recipient": "anna.kowalska@x.test"}).text
    assert ("receipt_made", "") in acts(log)
    link = made.partition("<pre>")[2].partition("</pre>")[0]
    stranger = log.browser()
    page = stranger.get("/r/" + link.rpartition("/")[2])
    assert page.status_code == 200 and "a…@x.test" in page.text and "accepted it on" in page.text
    for word in ("kowalska", "secret", "desk@", "mx.partner", "192.0.2"):
        assert word not in page.text
    assert stranger.get("/r/" + link.rpartition("/")[2][:-1] + "0").status_code == 404
    assert stranger.get(f"/mails/{mail_id}").status_code == 303


def test_what_is_related_to_a_mail_is_found_and_only_what_one_may_see(log: Log) -> None:
    first = log.add(
        "kim@x.test", Status.DELIVERED, direction=Direction.OUTBOUND, reference="IT-77", from_="d@example.com"
    )
    log.add("lee@x.test", Status.DELIVERED, direction=Direction.OUTBOUND, reference="IT-77", from_="d@other.test")
    log.add("kim@x.test", Status.DELIVERED, direction=Direction.OUTBOUND, subject="To Kim", from_="d@example.com")
    page = log.browser(log.token).get(f"/mails/{first}/related").text
    assert "All of IT-77" in page and "To Kim" in page and f'href="/mails/{first}"' in page.partition("related-mail")[0]
    limited = log.browser(log.new_token(("read",), ("example.com",))).get(f"/mails/{first}/related").text
    assert "All of IT-77" not in limited and "To Kim" in limited
    odd = log.add("*,!x@x.test", Status.DELIVERED, direction=Direction.OUTBOUND, from_="d@example.com")
    assert log.browser(log.token).get(f"/mails/{odd}/related").status_code == 200


def test_the_page_of_a_mail_draws_waits_and_has_texts_to_copy(log: Log) -> None:
    mail_id = log.add(
        "mia@x.test", Status.SENT, direction=Direction.OUTBOUND, age=timedelta(hours=3), from_="d@example.com"
    )
    page = log.browser(log.token).get(f"/mails/{mail_id}").text
    assert "Copy for" in page and "Our mail" in page and "gap-" not in page


def test_a_redelivery_carries_the_message_and_the_state_of_each_recipient(log: Log) -> None:
    raw = "From: a@b.test\r\nSubject: gr\u00fc\u00df\r\n\r\nhello\r\n".encode()
    mail_id = log.add("anna@x.test", Status.SENT, direction=Direction.OUTBOUND, raw=raw)
    log.add("anna@x.test", Status.DELIVERY_FAILED, direction=Direction.OUTBOUND, mail_id=mail_id, attempt=3)
    change = SuppressionChange(action="added", at=clock.now(), by="anna", reason=SuppressionReason.MANUAL)
    log.suppressions.put("anna@x.test", change)
    url = f"/api/v1/mails/{mail_id}/redeliver"
    assert "unblock" in log.http.post(url, json={}).json()["items"][0]["message"]
    page = log.browser(log.token).get(f"/mails/{mail_id}/redeliver").text
    assert "Unblock and redeliver?" in page and "future notifications" in page
    told = log.http.post(url, json={"preview": True, "unblock": True}).json()["items"][0]
    assert (told["result"], told["blocked"]) == ("would_be_redelivered", True)
    assert log.suppressions.get("anna@x.test").holds(clock.now()), "a preview does nothing"  # type: ignore[union-attr]
    assert "no recipient" in log.http.post(url, json={"recipients": ["x@x.test"]}).json()["items"][0]["message"]
    assert not log.written.of(topics.RAW)
    assert log.http.post(url, json={"unblock": True}).json()["redelivered"] == 1
    assert not log.suppressions.get("anna@x.test").holds(clock.now())  # type: ignore[union-attr]
    assert [action for action, _ in acts(log)] == ["unblocked", "redelivered"]
    (record,) = log.written.of(topics.RAW)
    envelope = decode_headers(record.headers)
    again = envelope.again["anna@x.test"]
    assert (record.value, record.key, envelope.type, envelope.smtputf8) == (
        raw,
        mail_id,
        "mailscope.raw.again.v1",
        True,
    )
    assert (again.number, again.attempts, again.by) == (1, 3, "test")
    log.written.away = True
    assert log.http.post(url, json={}).status_code == 503
    assert json.loads(log.http.post("/api/v1/mails/x/redeliver", json={}).text)["error"]["code"] == "not_found"


def test_what_a_recipient_wishes_is_changed_only_when_that_is_written_down(log: Log) -> None:
    url = "/api/v1/preferences/pia@x.test"
    assert log.http.put(url, json={"private": True, "unsubscribed": ["news"]}).status_code == 200
    log.written.away = True
    assert log.http.delete(url).status_code == 503
    assert log.http.get(url).json()["private"]
    log.written.away = False
    assert log.http.delete(url).status_code == 200
    assert acts(log) == [("preference_changed", "private, no news"), ("preference_changed", "forgotten")]


def test_nothing_is_redelivered_by_a_log_that_does_not_know_what_was(log: Log) -> None:
    mail_id = log.add("ole@x.test", Status.FAILED, direction=Direction.OUTBOUND, raw=b"Subject: x\r\n\r\n", attempt=1)
    url = f"/api/v1/mails/{mail_id}/redeliver"

    def told(behind: int) -> list[int]:
        now = clock.now()
        log.store.client.insert(
            "progress",
            [["log", now - timedelta(seconds=behind), now]],
            column_names=["name", "complete_until", "written_at"],
        )
        whole = ("/api/v1/redeliver", {"q": "to:ole@x.test"})
        return [log.http.post(where, json=body).status_code for where, body in ((url, {}), whole)]

    assert told(behind=40) == [503, 503] and not log.written.of(topics.RAW)
    assert log.http.post(url, json={"preview": True}).json()["redelivered"] == 1
    assert told(behind=1) == [202, 202]
    log.store.client.command("TRUNCATE TABLE progress")


def test_however_much_happened_to_a_mail_its_last_round_is_known(log: Log) -> None:
    """More events than its page shows: 1,000 recipients and six attempts each are 7,000."""
    raw = b"Subject: x\r\n\r\n"
    mail_id = log.add("zoe@x.test", Status.SENT, direction=Direction.OUTBOUND, raw=raw)
    for attempt in range(1, 4):
        log.add("zoe@x.test", Status.DEFERRED, direction=Direction.OUTBOUND, mail_id=mail_id, attempt=attempt)
    log.add("zoe@x.test", Status.DELIVERY_FAILED, direction=Direction.OUTBOUND, mail_id=mail_id, attempt=4)
    rows = log.store.client.query(
        "SELECT * EXCEPT (event_id), generateUUIDv4() AS event_id FROM events WHERE recipient = 'zoe@x.test' LIMIT 1"
    )
    row = dict(zip(rows.column_names, rows.result_rows[0], strict=True))
    row["occurred_at"] -= timedelta(seconds=1)
    many = [{**row, "event_id": uuid.uuid4()} for _ in range(5100)]
    log.store.client.insert("events", [list(one.values()) for one in many], column_names=list(row))
    assert log.http.post(f"/api/v1/mails/{mail_id}/redeliver", json={}).json()["redelivered"] == 1
    (record,) = log.written.of(topics.RAW)
    again = decode_headers(record.headers).again["zoe@x.test"]
    assert (again.number, again.attempts, again.done) == (1, 4, ["zoe@x.test"])


def test_what_a_search_finds_is_redelivered_as_it_was_shown(log: Log) -> None:
    for number in range(3):
        log.add(
            f"n{number}@redo.test", Status.FAILED, direction=Direction.OUTBOUND, raw=b"Subject: x\r\n\r\n", attempt=1
        )
    log.add("done@redo.test", Status.DELIVERED, direction=Direction.OUTBOUND, raw=b"Subject: x\r\n\r\n", attempt=1)
    browser = log.browser(log.token)
    listed = browser.get("/?q=to:*@redo.test").text
    assert "/redeliver?q=to%3A%2A%40redo.test" in listed
    page = browser.get("/redeliver?q=to:*@redo.test").text
    assert "Redeliver 3 mails?" in page and "1 stays as it is" in page and "second copy" in page
    address = unescape(page.partition('<form method="post" action="/redeliver')[2].partition('"')[0])
    assert "until=" in address
    log.add(
        "later@redo.test", Status.FAILED, direction=Direction.OUTBOUND, age=-timedelta(seconds=30), raw=b"x", attempt=1
    )
    address = "/redeliver" + address
    assert browser.post(address, headers={"Origin": "https://evil.test"}).status_code == 403
    assert "3 mails are being redelivered" in browser.post(address).text
    assert sum(action == "redelivered" for action, _ in acts(log)) == 3 == len(log.written.of(topics.RAW))
    assert log.browser(log.new_token(("read",))).get("/redeliver?q=x").status_code == 403
