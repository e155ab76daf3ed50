"""The processing log and the connectivity log of channels, over the API and as pages, and the forms of the suppression list."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient

from contracts import clock
from contracts.statuses import Direction, Reason, Status
from contracts.suppressions import SuppressionChange, SuppressionReason
from tests.integration.console_log import Log

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202e{{7*7}}'
UNBLOCKING = "Unblocking an address allows future notifications to be sent to it. It doesn't resend any previously failed notifications."
REFUSED = {"reason": Reason.UNKNOWN_RECIPIENT, "raw_size": 0, "subject": ""}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    folder = tmp_path_factory.mktemp("channels")
    (folder / "password").write_text("x\n")
    settings = {
        "inbound": {
            "domains": {"example.com": {}, "other.test": {}},
            "routes": [{"match": {"to": "support@example.com"}, "drop": "no"}],
        },
        "channels": {
            "helpdesk": {"address": "support@example.com"},
            "legacy": {
                "imap": "imap://it@127.0.0.1:1143", "password_file": str(folder / "password"), "address": "it@mail.test",
            },
            "silent": {
                "imap": "imap://no@127.0.0.1:1143", "password_file": str(folder / "password"), "address": "no@mail.test",
            },
        },
    }  # fmt: skip
    log = Log(folder, settings)
    yield log
    log.close()


@pytest.fixture(scope="module")
def mails(log: Log) -> dict[str, str]:
    """Mails by a name."""
    hours = [timedelta(hours=number) for number in range(8)]
    return {
        "taken": log.add(channel="helpdesk", reference="IT-7", subject="Printer", raw=b"Subject: Printer\r\n\r\nx", age=hours[1]),
        "failed": log.add(
            channel="helpdesk", status=Status.FAILED, reason=Reason.HANDLER_ERROR, detail="no summary", subject="Broken",
            raw=b"Subject: Broken\r\n\r\nx", from_="tom@shop.example", from_name="Tom Baker", age=hours[2],
        ),
        "refused": log.add("suport@example.com", Status.REJECTED, age=hours[3], **REFUSED),
        "far": log.add("jon.smith@example.com", Status.REJECTED, age=hours[4], **REFUSED),
        "elsewhere": log.add("suport@other.test", Status.REJECTED, age=hours[3], **REFUSED),
        "late": log.add("it@mail.test", channel="legacy", subject="Late", age=hours[2]),
        "on time": log.add("it@mail.test", channel="legacy", subject="On time", age=hours[2]),
    }  # fmt: skip


def subjects(log: Log, channel: str, **filters: Any) -> list[str]:
    named = {name.rstrip("_"): value for name, value in filters.items()}
    answer = log.http.get(f"/api/v1/channels/{channel}/mails", params=named)
    assert answer.status_code == 200, answer.text
    return [one["subject"] or one["recipient"] for one in answer.json()["items"]]


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_a_channels_log_has_what_was_refused_in_its_domain_with_what_was_meant(log: Log, mails: dict[str, str]) -> None:
    assert subjects(log, "helpdesk") == ["Printer", "Broken", "suport@example.com", "jon.smith@example.com"]
    items = log.http.get("/api/v1/channels/helpdesk/mails").json()["items"]
    assert [one["nearest"] for one in items] == [None, None, "support@example.com", None]
    assert subjects(log, "legacy") in (["Late", "On time"], ["On time", "Late"])
    page = text_of(log.browser(log.token).get("/incoming").text)
    assert "There is no suport@example.com ; did you mean support@example.com ?" in page
    assert "There is no jon.smith@example.com" in page and "other.test" not in page


def test_each_filter_narrows_it(log: Log, mails: dict[str, str]) -> None:
    assert subjects(log, "helpdesk", from_="tom@") == ["Broken"]
    assert subjects(log, "helpdesk", from_="shop") == subjects(log, "helpdesk", from_="baker") == ["Broken"]
    assert subjects(log, "helpdesk", from_="!baker", status="failed,processed") == ["Printer"]
    assert subjects(log, "helpdesk", from_="*@shop.example") == ["Broken"]
    assert subjects(log, "helpdesk", subject="print") == ["Printer"]
    assert subjects(log, "helpdesk", reference="it-7") == ["Printer"]
    assert subjects(log, "helpdesk", status="failed") == ["Broken"]
    assert subjects(log, "helpdesk", status="rejected") == ["suport@example.com", "jon.smith@example.com"]
    assert subjects(log, "helpdesk", since="150m") == ["Printer", "Broken"]
    assert subjects(log, "helpdesk", until="150m") == ["suport@example.com", "jon.smith@example.com"]
    first = log.http.get("/api/v1/channels/helpdesk/mails", params={"limit": 3}).json()
    rest = log.http.get("/api/v1/channels/helpdesk/mails", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [one["recipient"] for one in rest["items"]] == ["jon.smith@example.com"] and rest["next_cursor"] is None
    day = clock.now().date().isoformat()
    page = log.browser(log.token).get(f"/incoming?since=2026-01-01&until={day}").text
    assert "Printer" in page  # the last day is meant whole
    wrong = log.browser(log.token).get("/incoming?status=deliverd")
    assert wrong.status_code == 422 and "did you mean" in wrong.text


def test_a_gap_lists_the_mails_that_were_late_by_it_and_no_others(log: Log, mails: dict[str, str]) -> None:
    log.add_gap("legacy", "connected", timedelta(days=3))
    log.add_gap("legacy", "connection_dropped", timedelta(hours=5), timedelta(hours=1), detail="EOF", delayed=0)
    began = log.add_gap("legacy", "auth_failed", timedelta(hours=4), timedelta(hours=2), detail=EVIL)
    ended = {"channel": "legacy", "state": "auth_failed", "lasts": timedelta(hours=2), "detail": EVIL}
    again = log.add_gap(age=clock.now() - began, delayed=1, delayed_mails=[mails["late"]], **ended)
    log.add_gap("legacy", "recovered", timedelta(hours=2), detail="after 7200 s")
    rows = log.http.get("/api/v1/channels/legacy/connectivity").json()["items"]
    gap = next(one for one in rows if one["delayed"])
    assert gap["occurred_at"] == clock.rfc3339(again)
    assert subjects(log, "legacy", gap=gap["occurred_at"]) == ["Late"]
    assert subjects(log, "legacy", gap=gap["occurred_at"], subject="time") == []
    for wrong, status in (("2026-01-01T00:00:00Z", 404), ("yesterday", 422), (rows[0]["occurred_at"], 404)):
        answer = log.http.get("/api/v1/channels/legacy/mails", params={"gap": wrong})
        assert answer.status_code == status, answer.text
    quiet = next(one for one in rows if one["state"] == "connection_dropped")
    assert subjects(log, "legacy", gap=quiet["occurred_at"]) == []

    browser = log.browser(log.token)
    page = browser.get("/incoming?channel=legacy&log=connectivity").text
    assert "<script>alert" not in page and "1 mail" in text_of(page) and "2 h" in page
    link = re.search(r'href="(\?channel=legacy&amp;gap=[^"]+)"', page)
    assert link is not None
    late = browser.get(f"/incoming{unescape(link[1])}").text
    assert ">Late<" in late and ">On time<" not in late
    today = clock.now().date()
    assert (
        "Nothing happened" in browser.get(f"/incoming?channel=legacy&log=connectivity&day={today - timedelta(9)}").text
    )
    assert "nothing is known" in browser.get("/incoming?channel=silent").text


def test_who_may_not_see_a_channel_sees_none_of_its_mail(log: Log, mails: dict[str, str]) -> None:
    limited = {"Authorization": f"Bearer {log.new_token(('read',), ('other.test',))}"}
    assert log.http.get("/api/v1/channels/helpdesk/mails", headers=limited).status_code == 404
    assert log.http.get("/api/v1/channels/nothing/mails").status_code == 404
    browser = log.browser(log.new_token(("read",), ("other.test",)))
    assert "No channels" in browser.get("/incoming").text
    assert browser.get("/incoming?channel=helpdesk").status_code in (200, 404)
    assert browser.get("/suppressions").status_code == 403
    reader = log.browser(log.new_token(("read",))).get("/incoming").text
    assert "Printer" in reader and "Re-run" not in reader and "/raw" not in reader
    whole = log.browser(log.token).get("/incoming").text
    assert f'href="/mails/{mails["failed"]}/redeliver?' in whole and f"/api/v1/mails/{mails['failed']}/raw" in whole


def block(log: Log, address: str, mail_id: str = "", **more: Any) -> None:
    change = {"action": "added", "at": clock.now() - timedelta(hours=3), "by": "outcomes", "mail_id": mail_id}
    log.suppressions.put(
        address, SuppressionChange(**{**change, "reason": SuppressionReason.INVALID_RECIPIENT, **more})
    )


def test_a_notification_says_why_it_failed_and_its_address_is_unblocked_from_its_row(log: Log) -> None:
    sent = {"direction": Direction.OUTBOUND, "from_": "app@example.com", "stream": "invitation", "template": "Invite"}
    mail_id = log.add("Gone@shop.example", Status.REJECTED, reason=Reason.SUPPRESSED, **sent)
    log.add("gone@shop.example", Status.DELIVERED, subject="Before that", age=timedelta(hours=4), **sent)
    block(log, "gone@shop.example")
    browser = log.browser(log.token)
    listed = browser.get("/notifications")
    assert "Suppression list" in listed.text and "Before that" not in listed.text
    assert listed.text.count("<tr>") == 2  # the heading, and the one that failed
    opened = browser.get("/notifications", params={"open": f"{mail_id} Gone@shop.example"}).text
    assert UNBLOCKING in text_of(opened) and "Before that" in opened
    limited = log.browser(log.new_token(("read", "manage"), ("example.com",)))
    assert UNBLOCKING not in text_of(
        limited.get("/notifications", params={"open": f"{mail_id} Gone@shop.example"}).text
    )

    form = {"addresses": "gone@shop.example", "next": "/notifications?stream=all"}
    for client, headers, status in (
        (browser, {"Sec-Fetch-Site": "cross-site"}, 403),
        (browser, {"Origin": "http://evil.example"}, 403),
        (log.browser(), {}, 303),  # to the log-in
        (log.browser(log.new_token(("read",))), {}, 403),
        (limited, {}, 403),
    ):
        answer = client.post("/suppressions/unblock", data=form, headers=headers)
        assert answer.status_code == status and log.suppressions.get("gone@shop.example").holds(clock.now())
    answer = browser.post("/suppressions/unblock", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/notifications?stream=all")
    assert not log.suppressions.get("gone@shop.example").holds(clock.now())
    assert log.suppressions.get("gone@shop.example").by == "test"
    told = text_of(browser.get("/notifications", params={"open": f"{mail_id} Gone@shop.example"}).text)
    assert "gone@shop.example is not on the suppression list: test unblocked it" in told
    away = browser.post("/suppressions/unblock", data={**form, "next": "//evil.example"})
    assert away.headers["location"] == "/"


def test_the_list_counts_what_it_stopped_and_is_unblocked_after_a_preview(log: Log) -> None:
    sent = {"direction": Direction.OUTBOUND, "from_": "app@example.com"}
    for age in (1, 2, 9):  # two since it is on the list
        log.add("Full@list.test", Status.REJECTED, reason=Reason.SUPPRESSED, age=timedelta(hours=age), **sent)
    log.add("full@list.test", Status.DELIVERED, age=timedelta(hours=1), **sent)
    block(log, "full@list.test", note=EVIL, mail_id="0/x")
    block(log, "two@list.test")
    block(log, "three@else.test", expires_at=clock.now() + timedelta(hours=1))
    browser = log.browser(log.token)
    items = log.http.get("/api/v1/suppressions", params={"address": "@list.test"}).json()["items"]
    assert {one["address"]: one["stopped"] for one in items} == {"full@list.test": 2, "two@list.test": 0}
    page = browser.get("/suppressions", params={"address": "@list.test"}).text
    assert re.search(r'reason=suppressed">2<', page) and "three@" not in page and "<script>alert" not in page
    assert "1 of 1" in text_of(browser.get("/suppressions", params={"address": "three@"}).text)
    assert "Not on the list" in browser.get("/suppressions", params={"address": "nobody@x.test"}).text
    assert browser.get("/suppressions", params={"reason": "no"}).status_code == 422

    preview = browser.post("/suppressions/preview", data={"all": "true", "address": "@list.test"}).text
    assert "Unblock 2 addresses?" in preview and UNBLOCKING in text_of(preview)
    assert log.suppressions.get("two@list.test").holds(clock.now())  # a preview changes nothing
    assert "Nothing to unblock" in browser.post("/suppressions/preview", data={"addresses": ["nobody@x.test"]}).text
    done = browser.post("/suppressions/unblock", data={"all": "true", "address": "@list.test", "note": "works again"})
    assert "2 unblocked" in text_of(done.text)
    history = text_of(browser.get("/suppressions", params={"open": "two@list.test"}).text)
    assert "Unblocked by test" in history and "works again" in history and "It is not on the list" in history
    assert log.suppressions.get("three@else.test").holds(clock.now())


def test_an_import_answers_one_result_a_line(log: Log) -> None:
    browser = log.browser(log.token)
    plain = browser.post("/suppressions/import", data={"text": "new@import.test\nnot an address\nnew2@import.test\n"})
    assert "2 added" in text_of(plain.text) and "1 not taken" in text_of(plain.text)
    assert re.search(r"3 not an address not taken this is no mail address", text_of(plain.text))
    csv = f'address,note\nnew@import.test,"x"\nnew3@import.test,"{EVIL.replace(chr(34), "")}"\n'.encode()
    again = browser.post("/suppressions/import", files={"file": ("list.csv", csv, "text/csv")})
    assert "1 on the list before" in text_of(again.text) and "1 added" in text_of(again.text)
    wrong = browser.post("/suppressions/import", data={"text": EVIL})
    assert wrong.status_code == 422 and "the first line names the columns" in text_of(wrong.text)
    assert "<script>alert" not in wrong.text
    stranger: TestClient = log.browser()
    large = {"file": ("list.csv", b"a" * 500_000, "text/csv")}
    assert stranger.post("/suppressions/import", files=large).status_code == 303
    assert stranger.post("/suppressions/import", content=b"x", headers={"Accept": "*/*"}).status_code == 401


def test_whatever_an_address_line_says_is_answered_and_is_no_markup(log: Log, mails: dict[str, str]) -> None:
    browser = log.browser(log.token)
    odd = (EVIL, "x" * 3000, "2026-99-99", "9999-12-31", "\x00", "'\"\\")
    pages = {
        "/incoming": (
            "channel",
            "log",
            "from",
            "subject",
            "reference",
            "status",
            "since",
            "until",
            "gap",
            "day",
            "cursor",
        ),
        "/incoming?channel=legacy&log=connectivity": ("day",),
        "/notifications": ("stream", "show", "to", "reference", "open", "cursor", "since", "until"),
        "/suppressions": ("address", "reason", "open", "cursor"),
    }
    for path, names in pages.items():
        for name in names:
            for value in odd:
                answer = browser.get(
                    path, params={**({"channel": "legacy", "log": "connectivity"} if "?" in path else {}), name: value}
                )
                assert answer.status_code in (200, 400, 404, 422), (path, name, value[:20], answer.text[:300])
                assert "<script>alert" not in answer.text, (path, name)
    for value in odd:
        for form in ({"all": value}, {"only": value}, {"addresses": [value] * 3}, {"all": "1", "address": value}):
            for step in ("preview", "unblock"):
                answer = browser.post(f"/suppressions/{step}", data=form)
                assert answer.status_code in (200, 413, 422), (step, form, answer.text[:300])
                assert "<script>alert" not in answer.text
