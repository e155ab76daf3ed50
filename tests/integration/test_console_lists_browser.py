"""Incoming mail, notifications and suppressions in a real Chromium: filters, actions, by the keyboard alone, in dark, on a phone, with
hostile mail in every field, and nothing that axe-core finds wrong."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from contracts import clock
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from contracts.suppressions import SuppressionChange, SuppressionReason
from tests.fakes.browser import CHROMIUM, chromium, log_in, violations
from tests.integration.console_log import Log

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e" + "w" * 120
LONG = f"{'a' * 60}@{'b' * 60}.example"
PATHS = (
    "/incoming", "/incoming?channel=legacy", "/incoming?channel=legacy&log=connectivity", "/incoming?subject=nothing-like-this",
    "/incoming?status=wrong", "/notifications?stream=all&show=all", "/notifications?stream=request-notification",
    "/suppressions", "/suppressions?address=nobody%40x.test", "/suppressions/import",
)  # fmt: skip


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "password").write_text("x\n")
    imap = {"imap": "imap://it@127.0.0.1:1143", "password_file": str(folder / "password"), "address": "it@mail.test"}
    settings = {
        "inbound": {
            "domains": {"example.com": {}},
            "routes": [{"match": {"to": "support@example.com"}, "drop": "no"}],
        },
        "channels": {"helpdesk": {"address": "support@example.com"}, "legacy": imap},
    }
    log = Log(folder, settings)
    fill(log)
    yield log
    log.close()


def fill(log: Log) -> None:
    evil = {
        "subject": EVIL,
        "from_": EVIL,
        "from_name": EVIL,
        "envelope_from": EVIL,
        "reference": EVIL,
        "template": EVIL,
    }
    raw = b"Subject: Broken\r\n\r\nx"
    log.add(channel="helpdesk", status=Status.FAILED, detail=EVIL, raw=raw, **evil)
    log.add(
        channel="helpdesk",
        status=Status.FAILED,
        reason=Reason.HANDLER_ERROR,
        detail="no summary",
        raw=raw,
        subject="Broken",
    )
    log.add(channel="helpdesk", reference="IT-7", subject="Printer", from_="tom@shop.example", raw=raw)
    log.add("suport@example.com", Status.REJECTED, reason=Reason.UNKNOWN_RECIPIENT, raw_size=0, subject="")
    log.add(f"{EVIL}@example.com", Status.REJECTED, reason=Reason.UNKNOWN_RECIPIENT, raw_size=0, subject="")
    late = log.add("it@mail.test", channel="legacy", subject="Late")
    log.add("it@mail.test", channel="legacy", subject="On time")
    log.add_gap("legacy", "connected", timedelta(days=5))
    gap = {"lasts": timedelta(minutes=5), "detail": EVIL, "delayed": 1, "delayed_mails": [late]}
    log.add_gap("legacy", "connection_dropped", timedelta(minutes=10), **gap)
    log.add_gap("legacy", "auth_failed", timedelta(minutes=1), detail=EVIL)
    sent = {"direction": Direction.OUTBOUND, "from_": "app@example.com", "stream": "invitation", "raw": raw}
    bounce = (BounceType.HARD, BounceClass.INVALID_RECIPIENT)
    log.add("gone@shop.example", Status.DELIVERY_FAILED, reason=Reason.INVALID_ADDRESS, bounce=bounce, answer=EVIL, attempt=1,
            template="Invite", subject="First", age=timedelta(hours=1), **sent)  # fmt: skip
    log.add("gone@shop.example", Status.REJECTED, reason=Reason.SUPPRESSED, template="Invite", subject="Second", **sent)
    log.add(
        LONG, Status.FAILED, reason=Reason.QUOTA_EXCEEDED, detail=EVIL, **{**sent, **evil, "from_": "app@example.com"}
    )
    log.add("anna@good.example", Status.DELIVERED, subject="Arrived", reference="IT-7", **sent)
    for address, note in (("gone@shop.example", EVIL), ("two@shop.example", ""), (LONG, EVIL)):
        change = SuppressionChange(
            action="added", at=clock.now() - timedelta(hours=2), by=EVIL if note else "admin", note=note[:300],
            reason=SuppressionReason.INVALID_RECIPIENT, mail_id=late,
        )  # fmt: skip
        log.suppressions.put(address, change)


@pytest.fixture(scope="module")
def address(log: Log, free_port: Callable[[], int]) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(log.app, "127.0.0.1", port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, address: str, log: Log) -> Iterator[Page]:
    """Somebody who is logged in; nothing goes wrong in the background."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    log_in(page, address, log.token)
    yield page
    context.close()
    assert [one for one in complaints if "422" not in one] == []  # a page that says that a filter is wrong


def rows(page: Page) -> list[str]:
    return [one.inner_text() for one in page.locator("tbody tr:not(.unfolded)").all()]


def test_the_pages_are_safe_and_fit_and_nobody_is_shut_out(page: Page) -> None:
    """Hostile mail stands in every field; light and dark, wide and on a phone, folded and unfolded."""
    found = []
    for scheme, width in (("light", 1280), ("dark", 375)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        for path in PATHS:
            page.goto(path)
            if page.locator("a.unfold").count():
                page.locator("a.unfold").first.click()
                page.locator("tr.unfolded").wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            assert "owned" not in page.title().replace(EVIL, ""), path
            assert page.locator("main script, main img").count() == 0, path
            found += [f"{path} {scheme}: {one}" for one in violations(page)]
    assert found == [], "\n".join(found)


def test_incoming_mail_is_filtered_and_a_failed_one_offers_to_be_run_again(page: Page) -> None:
    page.get_by_role("link", name="Incoming").click()
    expect(page.locator("tbody tr")).to_have_count(5)
    expect(page.locator("tbody")).to_contain_text("did you mean support@example.com?")
    for label, value, seen in (
        ("Sender", "tom@", "Printer"),
        ("Subject line", "broken", "Broken"),
        ("Request key", "it-7", "Printer"),
    ):
        page.goto("/incoming")
        page.get_by_label(label).fill(value)
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody")).to_contain_text(seen)
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Status").select_option("rejected")
    page.get_by_label("From day").fill((clock.now() - timedelta(days=1)).date().isoformat())
    page.get_by_label("To day").fill(clock.now().date().isoformat())
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.goto("/incoming?subject=broken")
    again = page.get_by_role("link", name="Re-run: Broken").get_attribute("href") or ""
    assert re.match(r"/mails/[0-9a-f-]+/redeliver\?", again)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the message Broken").click()
    assert download.value.suggested_filename.endswith(".eml")


def test_a_gap_leads_to_the_mail_that_it_delayed(page: Page) -> None:
    page.goto("/incoming?channel=legacy")
    expect(page.locator(".channel[aria-current]")).to_contain_text("auth failed since")
    expect(page.locator(".day")).to_have_count(21)
    page.locator(".day").first.click()  # today
    expect(page.get_by_role("link", name="Connectivity log")).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Show all days").click()
    page.get_by_role("link", name="1 mail", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text("Late")
    page.get_by_role("link", name="Show all mail").click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_why_an_invitation_failed_is_read_and_its_address_unblocked_by_the_keyboard(page: Page, log: Log) -> None:
    page.goto("/notifications?to=gone@")
    expect(page.locator("tbody tr")).to_have_count(2)
    assert "Suppression list" in rows(page)[0] and "Email validation error · invalid recipient" in rows(page)[1]
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('a.unfold')"):
            break
    page.keyboard.press("Enter")
    inside = page.locator("tr.unfolded")
    expect(inside).to_contain_text("The recipient’s last mails")
    expect(inside.locator(".last")).to_contain_text("First")
    again = inside.get_by_role("link", name="Redeliver these…").get_attribute("href") or ""
    assert "delivery_failed" in again and "gone%40" in again
    page.keyboard.press("Enter")  # folds it
    expect(inside).to_have_count(0)
    page.keyboard.press("Enter")
    button = inside.get_by_role("button", name="Unblock email address")
    expect(button).to_be_visible()
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent === 'Unblock email address'"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("tr.unfolded")).to_contain_text("is not on the suppression list: test unblocked it")
    entry = log.suppressions.get("gone@shop.example")
    assert entry is not None and not entry.holds(clock.now())
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_role("link", name="Clear").click()
    expect(page.locator("tbody")).to_contain_text("anna@good.example")
    page.get_by_label("Work item key").fill("IT-7")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_addresses_are_imported_found_and_unblocked_after_a_preview(page: Page, log: Log) -> None:
    page.goto("/suppressions")
    page.get_by_role("link", name="Import…").click()
    page.get_by_label("Addresses").fill("one@import.test\nnot an address\ntwo@import.test\n")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("status")).to_contain_text("2 added")
    expect(page.locator("tbody tr").first).to_contain_text("this is no mail address")
    page.get_by_role("link", name="← Suppressions").click()
    page.get_by_label("Address").first.fill("@import.test")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Choose one@import.test").check()
    page.get_by_role("button", name="Unblock the chosen…").click()
    expect(page.locator("h1")).to_have_text("Unblock 1 address?")
    page.get_by_label("Why, for the history").fill("it works again")
    page.get_by_role("button", name="Unblock it").click()
    expect(page.get_by_role("status")).to_contain_text("1 unblocked")
    page.goto("/suppressions?address=%40import.test")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="two@import.test").click()
    expect(page.locator("tr.unfolded")).to_contain_text("Blocked: manual by test")
    page.get_by_role("button", name="Unblock email address…").click()
    page.get_by_role("button", name="Unblock it").click()
    assert not any(log.suppressions.get(f"{one}@import.test").holds(clock.now()) for one in ("one", "two"))
