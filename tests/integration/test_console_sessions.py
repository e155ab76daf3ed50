"""Logging in and out: the cookie is a session of its own, forms of other sites are refused, and guessing is slow."""

import time
from collections.abc import Iterator

import pytest

from console import serve_login
from console.slow_guesses import FREE
from tests.integration.console_log import Log

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    log = Log(tmp_path_factory.mktemp("sessions"), {"console": {"public_url": "https://mail.example.com"}})
    yield log
    log.close()


@pytest.fixture(autouse=True)
def _forget_guesses(log: Log) -> None:
    log.app.state.guesses.__init__()


def test_the_cookie_is_a_session_that_ends_with_the_log_out(log: Log) -> None:
    browser = log.browser()
    assert browser.post("/login", data={"token": log.token}).status_code == 303
    cookie = browser.cookies["mailscope_session"]
    assert cookie != log.token
    assert log.http.get("/api/v1/mails", headers={"Authorization": f"Bearer {cookie}"}).status_code == 401
    assert browser.get("/").status_code == 200
    browser.post("/logout")
    browser.cookies.set("mailscope_session", cookie)  # whoever kept it
    assert browser.get("/").status_code == 303
    assert log.http.get("/api/v1/mails").status_code == 200  # the token lives


def test_a_token_is_no_cookie(log: Log) -> None:
    browser = log.browser()
    for name in ("mailscope_session", "mailscope_token"):
        browser.cookies.set(name, log.token)
    assert browser.get("/api/v1/mails", headers=JSON).status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://testserver", 303), ("https://mail.example.com", 303), ("http://TESTSERVER", 303), ("http://evil.example", 403),
        ("http://testserver.evil.example", 403), ("http://testserver:81", 403), ("null", 403), ("", 403), (None, 303),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_a_form_of_another_origin_is_refused(log: Log, path: str, origin: str | None, status: int) -> None:
    browser = log.browser(log.token)
    headers = {"Origin": origin} if origin is not None else {}
    answer = browser.post(path, data={"token": log.token}, headers={**headers, **JSON})
    assert answer.status_code == status
    assert (browser.get("/").status_code == 200) is (path == "/login" or status == 403)


def test_who_guesses_has_to_wait_and_who_knows_gets_in(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_login, "SLOW_GUESS", 0.3)
    browser = log.browser()
    began = time.monotonic()
    answers = [browser.post("/login", data={"token": f"ms_{n}"}, headers=JSON) for n in range(FREE + 5)]
    assert time.monotonic() - began > 0.5  # three that waited, at least
    assert [one.status_code for one in answers].count(429) >= 3
    refused = [one for one in answers if one.status_code == 429]
    assert refused[-1].json()["error"]["code"] == "too_many_requests" and int(refused[-1].headers["retry-after"]) >= 1
    # Who shares an address with a guesser, such as that of a proxy, is not locked out.
    assert browser.post("/login", data={"token": log.token}, headers=JSON).status_code == 303
    guessed = log.http.get("/api/v1/mails", headers={"Authorization": "Bearer ms_x"})
    assert guessed.status_code == 429 and "retry-after" in guessed.headers
    assert log.http.get("/api/v1/mails").status_code == 200


def test_a_download_is_named_by_the_canonical_id_whatever_was_asked_for(log: Log) -> None:
    mail_id = log.add(raw=b"Subject: x\r\n\r\ny\r\n")
    for asked in (mail_id.upper(), mail_id.replace("-", ""), f"{{{mail_id}}}", f"urn:uuid:{mail_id}"):
        answer = log.http.get(f"/api/v1/mails/{asked}/raw")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == f'attachment; filename="{mail_id}.eml"'
