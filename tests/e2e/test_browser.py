"""The console in a real Chromium, above the running pipeline: log in, find the mail, read why, download it."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.pipeline import Pipeline

CHROMIUM = shutil.which("chromium")
ARGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")


@pytest.fixture
def page(pipeline: Pipeline) -> Iterator[Page]:
    """A page of a browser that is not logged in; it must ask nobody but the console."""
    asked: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("response", lambda response: asked.append(response.url))
        yield page
        browser.close()
    assert all(url.startswith((pipeline.api, "data:")) for url in asked), asked


def log_in(page: Page, pipeline: Pipeline, path: str = "/") -> None:
    page.goto(pipeline.api + path)
    page.get_by_label("API token").fill(pipeline.token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(pipeline.api + path)


def test_a_person_finds_a_mail_reads_why_and_downloads_it(pipeline: Pipeline, page: Page, tmp_path: Path) -> None:
    html = (
        "<p id=said>Salut</p><img src='http://tracker.test/pixel.gif'><script>parent.document.title = 'owned'</script>"
    )
    raw, message_id = pipeline.mail("desk@ours.test", "Le café est froid", body="Salut\n")
    raw = raw.replace(b"Content-Type: text/plain", b"Content-Type: text/html").replace(
        b"Salut\r\n", html.encode() + b"\r\n"
    )
    assert pipeline.send(raw, "desk@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)

    log_in(page, pipeline)
    page.get_by_label("Search the log").fill(f"message_id:<{message_id}>")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tr.mail")).to_have_count(1)
    expect(page.locator("tr.mail")).to_contain_text("processed")
    page.locator("tr.mail .when").click()  # anywhere on the row
    expect(page.locator(".unfolded .verdict")).to_contain_text(row["reference"])
    page.get_by_role("link", name="Open", exact=True).click()
    page.wait_for_url(f"**/mails/{row['mail_id']}")

    expect(page.locator("h1")).to_have_text("Le café est froid")
    expect(page.locator(".verdict")).to_contain_text(row["reference"])
    expect(page.locator(".auth").nth(0)).to_contain_text("DMARC")
    expect(page.frame_locator("iframe").locator("#said")).to_have_text("Salut")
    assert page.title() == "Le café est froid · Mailscope"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the message").click()
    assert download.value.suggested_filename == f"{row['mail_id']}.eml"
    download.value.save_as(tmp_path / "mail.eml")
    assert (tmp_path / "mail.eml").read_bytes() == raw


def test_a_mail_that_is_looked_at_connects_to_nobody(pipeline: Pipeline, page: Page) -> None:
    """A browser connects for a frame before it asks the content policy: the sender would see who reads it, and when."""
    with socket.create_server(("127.0.0.1", 0)) as tracker:
        there = f"http://127.0.0.1:{tracker.getsockname()[1]}/"
        html = (
            f'<link rel=preconnect href="{there}"><LINK/rel="dns-prefetch preconnect" href="{there}">'
            f'<svg><link rel=preconnect href="{there}"></svg><link rel=stylesheet href="{there}"><IFRAME\t src="{there}"></iframe>'
            f'<meta http-equiv=refresh content="0;url={there}"><style>@import url({there})</style><img src="{there}" srcset="{there} 1x">'
            f'<object data="{there}"><embed src="{there}"></object><p id=said>Salut</p>'
        )
        _, message_id = pipeline.mail()
        head = f"From: a@plain.test\r\nMessage-ID: <{message_id}>\r\nContent-Type: text/html\r\n\r\n"
        assert pipeline.send((head + html.replace("<", "\r\n<") + "\r\n").encode(), "drop@ours.test")[0] == 250
        (row,) = pipeline.settled(message_id)
        log_in(page, pipeline, f"/mails/{row['mail_id']}")
        expect(page.frame_locator("iframe").locator("#said")).to_have_text("Salut")
        tracker.settimeout(3)
        with pytest.raises(TimeoutError):
            tracker.accept()


def test_the_page_of_a_refused_mail_says_what_failed_and_the_cure(pipeline: Pipeline, page: Page) -> None:
    raw, message_id = pipeline.mail(sign=False)
    code, _ = pipeline.send(raw, "desk@ours.test", source="127.0.0.66")
    assert code == 550
    (row,) = pipeline.settled(message_id)
    log_in(page, pipeline, f"/mails/{row['mail_id']}")
    expect(page.locator(".outcome")).to_contain_text("Refused in the SMTP dialogue: DMARC failed")
    dmarc = page.locator("details.auth", has_text="DMARC").first
    expect(dmarc).to_have_attribute("open", "")
    expect(dmarc).to_contain_text("Cure")


def test_the_live_list_announces_new_mail_and_shows_it_when_asked(pipeline: Pipeline, page: Page) -> None:
    log_in(page, pipeline, "/?direction=inbound&live=1")
    raw, message_id = pipeline.mail("drop@ours.test", f"live {pipeline.base}")
    pipeline.send(raw, "drop@ours.test")
    pipeline.settled(message_id)
    page.get_by_role("link", name="1 new: show").click(timeout=10_000)
    expect(page.locator("tr.mail").first).to_contain_text(f"live {pipeline.base}", timeout=10_000)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto(pipeline.api + "/")
    expect(page.get_by_label("API token")).to_be_visible()


def test_a_person_sees_why_an_invitation_failed_unblocks_the_address_and_the_next_one_goes_out(
    pipeline: Pipeline, page: Page
) -> None:
    address = f"blocked{pipeline.base}@partner.test"
    log_in(page, pipeline, "/suppressions/import")
    page.get_by_label("Addresses").fill(address)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("status")).to_contain_text("1 added")
    stopped = pipeline.submit(address, stream="invitation", template="Invite")
    assert pipeline.outcome(stopped)["recipients"][0]["reason"] == "suppressed"

    page.get_by_role("link", name="Notifications").click()
    page.get_by_role("link", name=address).click()
    expect(page.locator("tr.unfolded")).to_contain_text("Not sent: the address is on the suppression list.")
    page.get_by_role("button", name="Unblock email address").click()
    expect(page.locator("tr.unfolded")).to_contain_text("admin unblocked it")
    sent = pipeline.submit(address, stream="invitation", template="Invite")
    assert pipeline.outcome(sent)["recipients"][0]["status"] == "delivered"
    assert pipeline.outcome(stopped)["recipients"][0]["status"] == "rejected"  # unblocking sends nothing again

    page.goto(f"{pipeline.api}/suppressions?address={address}&open={address}")
    page.get_by_text("It is not on the list: mail is sent to it.").wait_for()
    expect(page.locator(".changes li")).to_have_count(2)
    expect(page.locator(".changes li").first).to_contain_text("Unblocked by admin")
