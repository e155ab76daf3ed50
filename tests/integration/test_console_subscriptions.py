"""Status webhooks in the API and on the System page: how each subscriber is doing, and what it was called for."""

import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, expect

from contracts import clock
from contracts.codec import encode_subscriber_call
from contracts.records import ConsumedRecord
from contracts.statuses import Status
from contracts.subscriptions import CallOutcome, SubscriberCall, SubscriberHealth
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from sinks.clickhouse.to_rows import call_rows
from tests.fakes.broker import settings_of
from tests.fakes.browser import CHROMIUM, chromium, log_in, violations
from tests.integration.console_log import Log, mail_id_at
from tests.wait_for import wait_for

SECRET = "whsec_" + "c3Vi" * 8
EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e" + "w" * 90
API = "/api/v1/subscriptions"
_numbers = itertools.count()


def add_call(
    log: Log, name: str, age: timedelta, outcome: CallOutcome = CallOutcome.TAKEN, **more: Any
) -> SubscriberCall:
    known = {
        "event_id": str(uuid.uuid4()),
        "mail_id": mail_id_at(clock.now() - age),
        "status": Status.DELIVERED,
        "attempt": 1,
        "code": 204,
        **more,
    }
    call = SubscriberCall(subscription=name, started_at=clock.now() - age, outcome=outcome, **known)
    record = ConsumedRecord("mail.calls", 0, next(_numbers), None, encode_subscriber_call(call, "test"), [])
    log.insert(call_rows(record))
    return call


@pytest.fixture(scope="module")
def log(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    folder = tmp_path_factory.mktemp("subscriptions")
    apply_topics(settings_of(kafka.bootstrap, folder))
    url = "https://user:hush@hooks.example.net:8443/T0/hush?token=hush"
    settings = {
        "kafka": {"bootstrap": kafka.bootstrap},
        "inbound": {"domains": {"example.com": {}}},
        "subscriptions": {
            "warehouse": {"url": url, "secret": SECRET, "events": ["delivered", "delivery_failed"], "domains": ["example.com"]},
            "pager": {"url": "http://127.0.0.1:9/", "secret": SECRET},
            "new": {"url": "http://127.0.0.1:9/", "secret": SECRET},
        },
    }  # fmt: skip
    log = Log(folder, settings)
    yield log
    log.close()


@pytest.fixture(scope="module")
def calls(log: Log) -> list[SubscriberCall]:
    """Of `warehouse`, the oldest first; `pager` has been failing for two days and is paused."""
    since = clock.now() - timedelta(days=2)
    failing = {"health": SubscriberHealth.PAUSED, "failing_since": since, "code": 0, "next_attempt_at": clock.now()}
    for minutes, text in ((61, "All connection attempts failed"), (1, EVIL)):
        add_call(log, "pager", timedelta(minutes=minutes), CallOutcome.AWAY, text=text, **failing)
    made = [add_call(log, "warehouse", timedelta(minutes=100.5 - number)) for number in range(60)]
    refused = {"event_id": made[-1].event_id, "mail_id": made[-1].mail_id, "code": 400, "text": EVIL}
    made.append(add_call(log, "warehouse", timedelta(minutes=3), CallOutcome.REFUSED, attempt=2, **refused))
    made.append(add_call(log, "warehouse", timedelta(minutes=2), CallOutcome.PUT_ASIDE, attempt=3, **refused))
    # It began first and ended last.
    made.append(add_call(log, "warehouse", timedelta(minutes=3), duration_ms=170_000))
    return made


def get(log: Log, path: str, **parameters: Any) -> Any:
    answer = log.http.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_subscription_says_how_it_is_doing_and_tells_no_secret(log: Log, calls: list[SubscriberCall]) -> None:
    answer = log.http.get(API)
    assert "hush" not in answer.text and "whsec" not in answer.text
    warehouse, pager, new = answer.json()["items"]
    assert (warehouse["health"], pager["health"], new["health"]) == ("active", "paused", None)
    assert warehouse["host"] == "hooks.example.net:8443" and warehouse["events"] == ["delivered", "delivery_failed"]
    assert warehouse["last_call"]["event_id"] == calls[-1].event_id
    assert warehouse["last_hour"] == {"taken": 20, "failed": 1, "put_aside": 1}
    assert pager["failing_since"] and pager["last_call"]["code"] is None and new["last_call"] is None
    # A broker that has never had a group makes what it needs for one first.
    assert wait_for(lambda: get(log, API)["items"][0]["waiting"] is not None, 30), "Kafka was asked"


def test_the_log_of_deliveries_comes_in_pages_and_is_filtered(log: Log, calls: list[SubscriberCall]) -> None:
    found, cursor = [], ""
    while True:
        page = get(log, f"{API}/warehouse/deliveries", limit=25, cursor=cursor)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(calls) and {one["event_id"] for one in found} == {one.event_id for one in calls}
    assert [one["started_at"] for one in found] == sorted((one["started_at"] for one in found), reverse=True)
    (aside,) = get(log, f"{API}/warehouse/deliveries", outcome="put_aside")["items"]
    assert (aside["attempt"], aside["code"], aside["status"]) == (3, 400, "delivered")
    assert len(get(log, f"{API}/warehouse/deliveries", mail_id=calls[59].mail_id)["items"]) == 3
    since = clock.rfc3339(clock.now() - timedelta(minutes=10))
    assert len(get(log, f"{API}/warehouse/deliveries", since=since)["items"]) == 3
    assert get(log, f"{API}/new/deliveries") == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("path", "status"),
    [("nobody/deliveries", 404), ("warehouse/deliveries?cursor=x", 422), ("warehouse/deliveries?mail_id=x", 422)],
)
def test_what_is_not_there_or_not_meant_is_said(log: Log, path: str, status: int) -> None:
    assert log.http.get(f"{API}/{path}").status_code == status


def test_a_token_of_some_domains_may_not_see_them(log: Log) -> None:
    limited = {"Authorization": f"Bearer {log.new_token(('read',), ('example.com',))}"}
    for path in (API, f"{API}/warehouse/deliveries", "/system/subscriptions/warehouse"):
        assert log.http.get(path, headers=limited).status_code == 403


def test_a_paused_subscriber_is_a_trouble_of_the_system(log: Log, calls: list[SubscriberCall]) -> None:
    system = get(log, "/api/v1/system")
    (trouble,) = [one for one in system["troubles"] if "webhook" in one["what"]]
    assert trouble["what"].startswith("webhook pager is paused: it takes nothing since ")
    assert [one["name"] for one in system["subscriptions"]] == ["warehouse", "pager", "new"]
    (stage,) = [one for one in system["stages"] if one["name"] == "subscriptions"]
    assert stage["members"] == 0 and stage["waiting"] is not None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_the_pages_are_safe_and_fit_and_lead_to_each_other(
    log: Log, calls: list[SubscriberCall], browser: Browser, free_port: Callable[[], int]
) -> None:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(log.app, "127.0.0.1", port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    page = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=f"http://127.0.0.1:{port}").new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    try:
        log_in(page, f"http://127.0.0.1:{port}", log.token)
        found = []
        for scheme, width in (("light", 1280), ("dark", 375)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            for path in ("/system", "/system/subscriptions/warehouse", "/system/subscriptions/new?outcome=gone"):
                page.goto(path)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                assert "owned" not in page.title() and page.locator("main script, main img").count() == 0
                found += [f"{path} {scheme}: {one}" for one in violations(page)]
                if shots := os.environ.get("SCREENSHOTS"):
                    name = f"{path.strip('/').replace('/', '-').partition('?')[0]}-{scheme}-{width}.png"
                    page.screenshot(path=Path(shots) / name, full_page=True)
        assert found == [], "\n".join(found)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto("/system")
        page.get_by_role("link", name="Deliveries of warehouse").click()
        expect(page.locator("tbody tr")).to_have_count(50)
        page.get_by_role("link", name="Older").click()
        expect(page.locator("tbody tr")).to_have_count(13)
        page.get_by_role("link", name="put aside").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody")).to_contain_text("400 <script>")
    finally:
        page.context.close()
        server.should_exit = True
        thread.join()
    assert complaints == []
