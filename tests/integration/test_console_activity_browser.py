"""Activity and Trends in a real Chromium, over a console that is a process of its own, so that it can freeze."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fakes.browser import CHROMIUM, chromium, log_in, violations

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
ROOT = Path(__file__).resolve().parents[2]
PATHS = (
    "/", "/?since=1h&live=1", "/?domain=good.example&domain=!mail.example&template=Digest", "/?q=nothing-like-this", "/?q=status:wrong",
    "/trends", "/trends?by=provider&since=24h", "/trends?by=domain&direction=inbound", "/trends?template=nothing", "/trends?since=wrong",
)  # fmt: skip


class Console:
    """The process, and what it is told."""

    def __init__(self, folder: Path, port: int) -> None:
        argv = [sys.executable, "-W", "ignore", "-m", "tests.integration.console_process", str(folder), str(port)]
        self.process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = f"http://127.0.0.1:{port}"
        self.token = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the console has ended"
        return line

    def tell(self, line: str) -> None:
        """One mail more, with this subject; or how it shall be from now on."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self._line() == "done"

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Console]:
    running = Console(tmp_path_factory.mktemp("activity"), free_port())
    yield running
    running.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser: Browser, console: Console) -> Iterator[Callable[..., Page]]:
    """Opens a page that is logged in. It must complain of nothing, and ask nobody else."""
    complaints: list[str] = []
    contexts = []

    def open_page(watch: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=console.address)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if watch:  # axe-core applies styles, which the policy keeps from it
            page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        page.on(
            "request", lambda asked: None if asked.url.startswith(console.address) else complaints.append(asked.url)
        )
        log_in(page, console.address, console.token)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def domains(page: Page) -> set[str]:
    """The other side's domains in the list."""
    found = " ".join(page.locator("tr.mail .people").all_inner_texts())
    return set(re.findall(r"@((?:good|shop|mail)\.example)", found))


def test_a_facet_shows_only_then_hides_then_neither_and_back_goes_back(opened: Callable[..., Page]) -> None:
    page = opened()
    facet = page.locator("#facets a", has_text="good.example")
    facet.click()
    expect(facet).to_have_class("included")
    assert "domain=good.example" in page.url and domains(page) == {"good.example"}
    counted = page.locator("#facets a.included .count").inner_text()
    facet.click()
    expect(facet).to_have_class("excluded")
    assert "domain=%21good.example" in page.url and domains(page) == {"shop.example", "mail.example"}
    facet.click()
    expect(facet).to_have_class("")
    assert "domain" not in page.url and len(domains(page)) == 3
    page.go_back()
    expect(facet).to_have_class("excluded")
    page.go_back()
    expect(page.locator("#facets a.included .count")).to_have_text(counted)


def test_a_drag_over_the_bars_chooses_a_time(opened: Callable[..., Page]) -> None:
    page = opened()
    box = page.locator("#volume").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 50, steps=4)
    assert float(page.locator(".chosen").get_attribute("width") or 0) > 150
    page.mouse.up()
    page.wait_for_url("**since=*until=*")
    times = [
        datetime.fromisoformat(one)
        for one in page.locator("tr.mail time").evaluate_all("all => all.map(one => one.dateTime)")
    ]
    hours = (max(times) - min(times)).total_seconds() / 3600
    assert times and 2 < hours <= 7
    page.get_by_role("link", name="Show all times").click()
    expect(page.get_by_role("heading", name="Last 24 hours")).to_be_visible()


def test_a_row_unfolds_in_place_and_tells_it_all(opened: Callable[..., Page]) -> None:
    page = opened(timezone_id="Asia/Kolkata")
    row = page.locator("tr.mail", has_text="It bounced")
    before = page.locator("tr.mail").count()
    row.locator(".when").click()
    unfolded = page.locator(".unfolded")
    expect(unfolded).to_contain_text("Bounced: mx.partner.example refused it for good")
    expect(unfolded).to_contain_text("Recipient mail server response")
    expect(unfolded).to_contain_text("550 5.1.1 The account does not exist: see https://mx.partner.example/help")
    expect(unfolded.locator(".attempts tbody tr")).to_have_count(1)
    assert page.locator("tr.mail").count() == before and row.locator(".unfold").get_attribute("aria-expanded") == "true"
    moment = datetime.fromisoformat(str(row.locator("time").get_attribute("datetime")))
    shown = page.evaluate("moment => new Date(moment).toLocaleTimeString('en-GB').slice(3)", moment.isoformat())
    assert shown in row.locator("time").inner_text() or ":" in row.locator("time").inner_text()
    assert f"{moment:%H:%M:%S}" in str(row.locator("time").get_attribute("title"))
    expect(page.locator("thead [data-zone]").first).to_have_text("GMT+5:30")
    unfolded.get_by_role("button", name="Copy").click()
    expect(unfolded).to_contain_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "Status: delivery failed" in copied and "550 5.1.1" in copied and "/mails/" in copied
    with page.expect_download() as download:
        unfolded.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".eml")
    row.locator(".when").click()
    expect(unfolded).to_have_count(0)
    row.locator(".to").click()
    page.wait_for_url("**/?q=gone%40shop.example")
    expect(page.locator("tr.mail")).to_have_count(1)


def test_all_of_it_by_the_keyboard_alone(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator(".unfold").first.focus()
    page.keyboard.press("Space")
    expect(page.locator(".unfolded")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".unfolded")).to_have_count(0)
    page.locator("tr.mail button.badge").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".means:popover-open")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".means:popover-open")).to_have_count(0)
    page.locator("#facets a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**domain=*")
    page.locator(".numbers summary").focus()
    page.keyboard.press("Enter")
    page.locator(".numbers tbody a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**since=*")


def test_new_mail_is_announced_and_a_frozen_console_never_looks_live(
    opened: Callable[..., Page], console: Console
) -> None:
    page = opened()
    page.get_by_role("switch", name="Live").click()
    page.wait_for_url("**live=1")
    rows = page.locator("tr.mail").count()
    first = page.locator("tr.mail").first.get_attribute("data-key")
    console.tell("Fresh from the press")
    show = page.get_by_role("link", name="1 new: show")
    expect(show).to_be_visible(timeout=20_000)
    assert page.locator("tr.mail").count() == rows and page.locator("tr.mail").first.get_attribute("data-key") == first
    os.kill(console.process.pid, signal.SIGSTOP)
    try:
        state = page.locator("#link-state")
        expect(state).to_contain_text(re.compile(r"Connection lost since \d\d:\d\d:\d\d"), timeout=30_000)
        expect(page.get_by_role("switch", name="Live")).to_have_attribute("aria-checked", "false")
        assert state.get_attribute("aria-live") == "polite"
    finally:
        os.kill(console.process.pid, signal.SIGCONT)
    expect(state).to_contain_text("Connected again", timeout=30_000)
    expect(page.get_by_role("switch", name="Live")).to_have_attribute("aria-checked", "true")
    show.click()
    expect(page.locator("tr.mail").first).to_contain_text("Fresh from the press")


def test_without_javascript_every_part_is_a_link(opened: Callable[..., Page]) -> None:
    page = opened(java_script_enabled=False)
    page.locator(".unfold").first.click()
    page.wait_for_url("**/mails/*")
    page.go_back()
    page.get_by_role("link", name="6 h", exact=True).click()
    page.wait_for_url("**since=6h")
    expect(page.get_by_role("heading", name="Last 6 hours")).to_be_visible()
    page.locator("#facets a", has_text="shop.example").click()
    page.wait_for_url("**since=6h&domain=shop.example")
    page.get_by_text("As a table").click()
    page.locator(".numbers tbody a").last.click()
    page.wait_for_url("**until=*")


@pytest.fixture
def impatient(console: Console) -> Iterator[None]:
    """No number is counted by the time that a page is sent."""
    console.tell("counts within 0")
    yield
    console.tell("counts within 15")


def test_what_is_not_counted_in_time_comes_when_it_is(
    opened: Callable[..., Page], console: Console, impatient: None
) -> None:
    page = opened()
    expect(page.get_by_role("heading", name="Last 24 hours")).to_be_visible()
    expect(page.locator("nav.chips .count").first).to_be_visible()
    box = page.locator("#volume").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 50)
    page.mouse.up()
    page.wait_for_url("**since=*until=*")
    page.locator("#facets a", has_text="good.example").click()
    page.wait_for_url("**domain=good.example")
    page.goto(f"{console.address}/trends?by=domain&since=24h")
    expect(page.locator("#delivery_rate .legend")).to_contain_text("good.example")
    assert page.locator("#heat td a[tabindex='0']").count() == 1
    assert "wait" not in page.url


def test_without_javascript_a_link_waits_for_the_numbers(opened: Callable[..., Page], impatient: None) -> None:
    page = opened(java_script_enabled=False)
    assert page.locator("tr.mail").count() > 10 and page.locator("#facets a.included").count() == 0
    page.get_by_role("link", name="Wait for the numbers").click()
    expect(page.get_by_role("heading", name="Last 24 hours")).to_be_visible()
    page.locator("#facets a", has_text="shop.example").click()
    page.wait_for_url("**/?domain=shop.example")


def test_trends_lead_to_the_mails_that_they_count(opened: Callable[..., Page], console: Console) -> None:
    page = opened()
    page.get_by_role("link", name="Trends").click()
    expect(page.locator("figure")).to_have_count(4)
    expect(page.locator("#delivery_rate .legend")).to_contain_text("%")
    expect(page.locator("#latency .legend")).to_contain_text("p95")
    expect(page.locator(".marks")).to_contain_text("delivery, inbound")
    expect(page.locator("#delivery_rate line.mark")).to_have_count(1)
    page.locator("#bounces .legend a", has_text="invalid recipient").click()
    page.wait_for_url("**bounce_class=invalid_recipient*")
    assert {"delivery failed"} == set(page.locator("tr.mail .badge").all_inner_texts())
    page.goto(f"{console.address}/trends?since=24h")
    cells = page.locator("#heat td a")
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    place = page.evaluate("[...document.querySelectorAll('#heat td a')].indexOf(document.activeElement)")
    assert place == 1
    title = str(cells.nth(1).get_attribute("title"))
    page.keyboard.press("Enter")
    page.wait_for_url("**provider=partner.example*")
    many = re.search(r"of (\d+)", title)
    assert many is not None and page.locator("tr.mail").count() == int(many[1])
    page.goto(f"{console.address}/trends?by=template")
    page.locator("#bounces g[data-opens]").last.click()
    page.wait_for_url("**since=*until=*")
    page.go_back()
    expect(page.locator("#delivery_rate .legend li")).to_have_count(3)
    page.locator("#bounces").get_by_text("As a table").click()
    page.locator("#bounces tbody a").last.click()
    page.wait_for_url(re.compile(r"/\?.*bounce_type"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wrong_for_a_screen_reader_or_a_phone(
    opened: Callable[..., Page], console: Console, scheme: str
) -> None:
    page = opened(watch=False, color_scheme=scheme)
    for path in PATHS:
        page.goto(console.address + path)
        if path == "/":
            page.locator("tr.mail", has_text="It bounced").locator(".unfold").click()
            page.locator("tr.mail", has_text="script").first.locator(".unfold").click()
            expect(page.locator(".unfolded")).to_have_count(2)
        assert violations(page) == [], path
        assert "owned" not in page.title().replace("script", "")
        page.set_viewport_size({"width": 375, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
        page.set_viewport_size({"width": 1280, "height": 900})
