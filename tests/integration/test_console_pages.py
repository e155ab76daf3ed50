"""The pages as a browser gets them: log-in, the answer to "what happened and why", and mail that means harm (attacks 13, 17)."""

import re
from collections.abc import Iterator
from email.message import EmailMessage

import msgspec
import pytest

from console.answer_errors import Problem
from console.query_store import StoreQueries
from console.search_mails import Search
from contracts.auth_results import AuthResults, DkimResult, DkimWord, SpfResult, SpfWord
from contracts.errors import Unavailable
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from tests.integration.console_log import Log

SCRIPT = "<script>alert(1)</script>"
EVIL = f'{SCRIPT}"><img src=x onerror=alert(2)>\u202e{{{{7*7}}}}'
HTML = (
    f"<h1>Hi</h1>{SCRIPT}<img src=http://tracker.example/pixel.gif><a href='javascript:alert(3)'>x</a>"
    "<meta http-equiv=refresh content='0;url=http://evil.example/'><img src='cid:logo@x'><form action=http://evil.example></form>"
)
PNG = b"\x89PNG\r\n\x1a\nnot really"


def hostile() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@b.example", "x"
    mail.set_content("text " + SCRIPT)
    mail.add_alternative(HTML, subtype="html")
    mail.get_payload()[1].add_related(PNG, "image", "png", cid="<logo@x>")
    mail.add_attachment(f"<html>{SCRIPT}</html>".encode(), "text", "html", filename='"><svg onload=alert(4)>.html')
    mail.add_attachment(b"\x00\xff", "application", "octet-stream", filename="../../etc/pässwd")
    return mail.as_bytes()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    settings = {
        "inbound": {"domains": {"example.com": {}}, "routes": [{"match": {"to": "help@example.com"}, "drop": "no"}]}
    }
    log = Log(tmp_path_factory.mktemp("pages"), settings)
    yield log
    log.close()


@pytest.fixture(scope="module")
def evil(log: Log) -> str:
    """A mail that is hostile wherever a sender can write."""
    auth = AuthResults(
        spf=SpfResult(result=SpfWord.FAIL, domain=EVIL, record=EVIL, cause=EVIL, cure=EVIL),
        dkim=(DkimResult(result=DkimWord.FAIL, domain=EVIL, selector=EVIL, cause=EVIL),),
    )
    return log.add(
        f"{SCRIPT}@example.com", Status.DELIVERY_FAILED, raw=hostile(), subject=EVIL, from_=EVIL, from_name=EVIL, envelope_from=EVIL,
        message_id=EVIL, reference=EVIL, channel=EVIL, stream=EVIL, template=EVIL, tag=EVIL, helo=EVIL, detail=EVIL, auth=auth,
        headers=[(EVIL, EVIL), ("List-Unsubscribe", "<javascript:alert(5)>"), ("References", f"<{SCRIPT}@x>")], attempt=1, answer=EVIL,
        reason=Reason.INVALID_ADDRESS, bounce=(BounceType.HARD, BounceClass.INVALID_RECIPIENT),
    )  # fmt: skip


def test_an_empty_log_says_how_to_fill_it(log: Log) -> None:
    page = log.browser(log.token).get("/")
    assert page.status_code == 200
    assert "swaks --to help@example.com --server 127.0.0.1:2525" in page.text


def test_who_is_not_logged_in_is_led_to_the_log_in_and_back(log: Log) -> None:
    browser = log.browser()
    answer = browser.get("/?q=a%26b")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2F%3Fq%3Da%2526b")
    form = browser.get(answer.headers["location"])
    assert 'name="next" value="/?q=a%26b"' in form.text
    wrong = browser.post("/login", data={"token": "ms_wrong", "next": "/"})
    assert wrong.status_code == 401 and "This token is not known" in wrong.text
    answer = browser.post("/login", data={"token": f" {log.token} ", "next": "/?q=a%26b"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=a%26b")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
    assert browser.get("/").status_code == 200
    assert browser.get("/login").headers["location"] == "/"
    assert browser.post("/logout").headers["location"] == "/login"
    assert browser.get("/").status_code == 303


def test_another_site_can_neither_log_in_nor_out(log: Log) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    browser = log.browser(log.token)
    assert browser.post("/logout", headers=elsewhere).status_code == 403
    assert browser.post("/login", data={"token": log.token}, headers=elsewhere).status_code == 403
    once_more = browser.get("/login?next=/mails/1", headers=elsewhere)
    assert 'content="0;url=/mails/1"' in once_more.text  # a strict cookie stays behind on a link from elsewhere


def test_a_page_says_what_happened_and_what_to_do(log: Log) -> None:
    mail_id = log.add(
        "gone@shop.example", Status.DELIVERY_FAILED, direction=Direction.OUTBOUND, from_="app@example.com", subject="Invitation",
        reason=Reason.INVALID_ADDRESS, detail="mx.shop.example answered 550 5.1.1 User unknown", attempt=1,
        answer="5.1.1 User unknown", bounce=(BounceType.HARD, BounceClass.INVALID_RECIPIENT),
    )  # fmt: skip
    page = log.browser(log.token).get(f"/mails/{mail_id}").text
    assert "Bounced: mx.partner.example refused it for good." in page
    assert "mx.shop.example answered 550 5.1.1 User unknown" in page
    assert "The recipient’s turn" in page and "check the address with the recipient" in page
    assert "550 5.1.1 User unknown" in page and "192.0.2.1" in page and "RCPT" in page
    listed = log.browser(log.token).get("/?q=to:gone@shop.example").text
    assert f'href="/mails/{mail_id}"' in listed and "delivery failed" in listed


def test_a_wrong_search_is_explained_on_the_page(log: Log) -> None:
    page = log.browser(log.token).get("/?q=status:deliverd")
    assert page.status_code == 422
    assert "did you mean &#39;delivered&#39;" in page.text and 'value="status:deliverd"' in page.text


def test_nothing_that_mail_says_is_markup(log: Log, evil: str) -> None:
    for path in ("/", f"/mails/{evil}", f"/?q={EVIL}", f"/?status={EVIL}", f"/mails/{EVIL}", f"/login?next=/{SCRIPT}"):
        page = log.browser("" if "login" in path else log.token).get(path)
        text = page.text
        assert "<script>alert" not in text, path
        assert "<img" not in text and "<svg onload" not in text, path
        assert "\u202e" not in re.sub(r'value="[^"]*"', "", text), path
        assert "{{7*7}}" in text or path not in ("/", f"/mails/{evil}")
        assert not re.search(r"href=\"(javascript|data|//|https?:)", text), path
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff" and page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "private, no-store"


def test_the_html_of_a_mail_is_caged(log: Log, evil: str) -> None:
    page = log.browser(log.token).get(f"/mails/{evil}").text
    assert f'<iframe sandbox src="/mails/{evil}/html"' in page
    frame = log.browser(log.token).get(f"/mails/{evil}/html")
    policy = [part.strip() for part in frame.headers["content-security-policy"].split(";")]
    assert {
        "sandbox",
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"img-src testserver/mails/{evil}/pictures/ 127.0.0.1:8025/mails/{evil}/pictures/ data:",
        "frame-ancestors 'self'",
    } <= set(policy)
    assert "script" not in frame.headers["content-security-policy"]
    (picture,) = re.findall(rf"src='(/mails/{evil}/pictures/[^/]+/\d+)'", frame.text)  # its own picture, and no other
    shown = log.browser().get(picture)  # from within the sandbox a browser sends no cookie
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    assert (
        shown.headers["x-content-type-options"] == "nosniff" and "sandbox" in shown.headers["content-security-policy"]
    )
    assert shown.headers["cache-control"] == "private, no-store"
    assert frame.headers["x-content-type-options"] == "nosniff"


def test_only_a_picture_is_shown_as_a_part_and_only_to_who_may_see_the_message(log: Log, evil: str) -> None:
    browser, other = log.browser(log.token), log.add(raw=hostile())

    def link(mail_id: str) -> str:
        (found,) = re.findall(rf"/mails/{mail_id}/pictures/[^/]+/", browser.get(f"/mails/{mail_id}/html").text)
        return str(found)

    def status(path: str) -> int:
        return int(log.browser().get(path, headers={"Accept": "*/*"}).status_code)

    ours = link(evil)
    assert [status(f"{ours}{number}") for number in range(5)] == [404, 200, 404, 404, 404]
    assert status(link(other).replace(other, evil) + "1") == 403  # a link is for one mail
    id, expires, seal = ours.split("/")[4].split(".")
    for forged in (
        f"{id}.{int(expires) + 1}.{seal}",
        f"{id}.{expires}.{'0' * 64}",
        f"x.{expires}.{seal}",
        "x",
        f"{id}.1.{seal}",
    ):
        assert status(f"/mails/{evil}/pictures/{forged}/1") == 403, forged
    for limited in (("read",), ("read", "raw")):
        token = log.new_token(limited, () if "raw" not in limited else ("other.example",))
        assert log.browser(token).get(f"/mails/{evil}/html").status_code in (403, 404)
    session = log.tokens.tokens[id]
    log.tokens.put(msgspec.structs.replace(session, networks=["192.0.2.0/24"]))
    assert status(f"{ours}1") == 403, "from elsewhere it shows nothing"
    log.tokens.put(session)
    browser.post("/logout")
    assert status(f"{ours}1") == 403, "the link ends with its session"


@pytest.mark.parametrize("host", ["evil.example; script-src *", "a'b", "[::1]:80"])
def test_a_host_that_is_no_name_stands_in_no_policy(log: Log, evil: str, host: str) -> None:
    frame = log.browser(log.token).get(f"/mails/{evil}/html", headers={"Host": host})
    assert f"img-src 127.0.0.1:8025/mails/{evil}/pictures/ data:" in frame.headers["content-security-policy"]


def test_a_page_is_small_however_long_the_mail_is(log: Log) -> None:
    mail_id = log.add(raw=b"Content-Type: text/plain\r\n\r\n" + b"'" * 1_100_000)
    page = log.browser(log.token).get(f"/mails/{mail_id}").text
    assert len(page) < 2_000_000 and "The text is long" in page


def test_attachments_are_downloads_under_a_safe_name(log: Log, evil: str) -> None:
    browser = log.browser(log.token)
    page = browser.get(f"/mails/{evil}").text
    links = re.findall(rf'href="(/mails/{evil}/attachments/\d+)"', page)
    assert len(links) == 3
    names = []
    for link in links:
        answer = browser.get(link)
        assert answer.headers["content-type"] == "application/octet-stream"
        disposition = answer.headers["content-disposition"]
        assert re.fullmatch(r"attachment; filename\*=UTF-8''[A-Za-z0-9._%~-]+", disposition)
        assert "%2F" not in disposition and "sandbox" in answer.headers["content-security-policy"]
        names.append(disposition)
    assert browser.get(links[2]).content == b"\x00\xff"
    for number in ("0", "4", "-1", "x"):
        assert browser.get(f"/mails/{evil}/attachments/{number}").status_code in (404, 422)


def test_without_the_scope_raw_the_message_stays_shut(log: Log, evil: str) -> None:
    browser = log.browser(log.new_token(("read",)))
    page = browser.get(f"/mails/{evil}").text
    assert "does not have the scope raw" in page and "iframe" not in page and "/raw" not in page
    for path in ("html", "attachments/1"):
        answer = browser.get(f"/mails/{evil}/{path}")
        assert answer.status_code == 403 and "Not allowed" in answer.text
    assert log.browser(log.new_token(("raw",))).get("/").status_code == 403


def test_errors_are_pages_for_browsers_and_json_for_programs(log: Log) -> None:
    browser = log.browser(log.token)
    page = browser.get("/mails/nope")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such mail" in page.text and "<h1>Not found</h1>" in page.text
    assert browser.get("/api/v1/mails/nope").json()["error"]["code"] == "not_found"
    assert log.http.get("/mails/nope").json()["error"]["code"] == "not_found"
    assert log.http.get("/", headers={"Authorization": ""}).status_code == 401


def test_live_pages_renew_without_javascript(log: Log) -> None:
    browser = log.browser(log.token)
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in browser.get("/?live=1").text
    assert "http-equiv" not in browser.get("/").text


def test_static_files_are_ours_alone(log: Log) -> None:
    for name in ("console.css", "console.js", "logo.svg"):
        text = log.browser().get(f"/static/{name}")
        assert text.status_code == 200
        assert "http" not in text.text.replace("http://www.w3.org/2000/svg", "")
    assert log.browser().get("/static/../serve_pages.py").status_code in (303, 404)


def test_a_list_has_its_twins_for_programs_and_spreadsheets(log: Log, evil: str) -> None:
    browser = log.browser(log.token)
    page = browser.get("/?status=delivery_failed&live=1").text
    twin, export = re.findall(r'href="(/api/v1/[^"]+)"', page)
    items = browser.get(twin.replace("&amp;", "&")).json()["items"]
    assert evil in {item["mail_id"] for item in items}
    csv = browser.get(export.replace("&amp;", "&"))
    assert csv.headers["content-type"].startswith("text/csv") and csv.text.count("delivery_failed") == len(items)


def test_chips_choose_statuses_and_keep_the_search(log: Log, evil: str) -> None:
    page = log.browser(log.token).get("/?q=since:1h&status=delivery_failed").text
    assert 'href="?q=since%3A1h&amp;status=delivery_failed%2Cfailed"' in page  # one more
    assert 'href="?q=since%3A1h"' in page  # and off again
    assert "aria-current=true" in page


def test_a_log_that_is_away_is_a_page_too(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the log store", "connection refused")

    async def slow(*_: object, **__: object) -> None:
        raise Problem(503, "the search takes too long", code="too_expensive")

    browser = log.browser(log.token)
    monkeypatch.setattr(Search, "page", slow)
    page = browser.get("/?q=subject:x")
    assert (page.status_code, "The search takes too long" in page.text) == (503, False)
    assert "the search takes too long" in page.text and 'value="subject:x"' in page.text
    monkeypatch.setattr(StoreQueries, "rows", away)
    page = browser.get("/")
    assert page.status_code == 503 and "The log is away for a moment" in page.text


def test_nothing_of_the_log_is_cached(log: Log) -> None:
    for path in ("/", "/api/v1/mails", "/login"):
        assert log.http.get(path).headers["cache-control"] == "private, no-store"
    assert log.http.get("/static/console.css").headers["cache-control"] == "no-cache"
