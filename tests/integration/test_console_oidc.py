"""People log in by a real identity provider, in Chromium; and what does not end a log-in that this browser began ends none."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page

from console.ask_provider import ProviderTrouble
from console.serve_login import local_path
from contracts.audit import AuditEntry
from contracts.codec import decode
from tests.fakes.browser import CHROMIUM, chromium, violations
from tests.fakes.identity_provider import CLIENT, PASSWORD, identity_provider
from tests.integration.console_log import Log

SECRET = "of mailscope and the provider alone"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[tuple[Log, str, str]]:
    """A log, where its console listens, and the issuer of its people."""
    folder = tmp_path_factory.mktemp("oidc")
    (folder / "client").write_text(f"{SECRET}\n")
    port = free_port()
    console = f"http://127.0.0.1:{port}"
    with identity_provider(free_port(), console, SECRET) as issuer:
        oidc = {
            "issuer": issuer, "client_id": CLIENT, "client_secret_file": folder / "client", "name": "Example ID",
            "scopes": ["openid", "email", "profile", "groups"],
            "roles": [
                {"group": "mail-admins", "scopes": ["read", "raw", "manage"]},
                {"group": "support", "scopes": ["read"], "domains": ["example.com"], "masked": True},
            ],
        }  # fmt: skip
        log = Log(folder / "log", {"console": {"public_url": console, "oidc": oidc}})
        server = uvicorn.Server(uvicorn.Config(log.app, "127.0.0.1", port, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield log, console, issuer
        server.should_exit = True
        thread.join()
        log.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with chromium() as found:
        yield found


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


def _log_in(page: Page, console: str, name: str, start: str = "/login") -> None:
    page.goto(f"{console}{start}")
    page.click("text=Log in with Example ID")
    page.fill("input[name=login]", name)
    page.press("input[name=login]", "Enter")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(f"{console}/**")


def test_an_admin_logs_in_is_named_in_the_audit_log_and_logs_out(
    place: tuple[Log, str, str], context: BrowserContext
) -> None:
    log, console, issuer = place
    page = context.new_page()
    page.goto(f"{console}/login")
    assert not violations(page)
    _log_in(page, console, "lena", "/login?next=/system")
    page.wait_for_url(f"{console}/system")
    assert "lena@staff.example" in page.inner_text(".who")
    (cookie,) = [one for one in context.cookies() if one["name"].startswith("mailscope")]
    assert cookie["name"] == "mailscope_session" and cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    acts = [decode(one.value, AuditEntry) for one in log.written.of("mail.audit") if one.value]
    (act,) = [one for one in acts if one.action == "logged_in"]
    assert act.actor == f"lena@staff.example ({issuer})" and act.detail == "group mail-admins"
    shown = log.http.get("/api/v1/tokens").json()["items"]
    (session,) = [one for one in shown if one["issuer"] == issuer]
    assert (
        session["name"] == act.actor
        and session["scopes"] == ["manage", "raw", "read"]
        and session["session_of"] == act.actor_id
    )
    page.click("text=Log out")
    page.click("text=Log out of Example ID too")
    assert page.url.startswith((f"{issuer}/", f"{console}/login"))
    page.goto(f"{console}/system")
    assert urlsplit(page.url).path == "/login"


def test_support_sees_the_mail_of_its_domains_and_its_session_ends_when_it_is_revoked(
    place: tuple[Log, str, str], context: BrowserContext
) -> None:
    log, console, issuer = place
    ours, other = log.add("support@example.com"), log.add("desk@elsewhere.example")
    page = context.new_page()
    _log_in(page, console, "sam")
    page.wait_for_url(f"{console}/")
    assert "an…@partner.example" in page.inner_text("main") and "anna@" not in page.content()
    assert context.request.get(f"{console}/api/v1/mails/{ours}").status == 200
    assert context.request.get(f"{console}/api/v1/mails/{other}").status == 404
    assert context.request.get(f"{console}/api/v1/mails/{ours}/raw").status == 403
    assert context.request.get(f"{console}/api/v1/audit").status == 403
    (session,) = [
        one
        for one in log.http.get("/api/v1/tokens").json()["items"]
        if one["issuer"] == issuer and "sam" in one["name"]
    ]
    assert log.http.delete(f"/api/v1/tokens/{session['id']}").status_code == 200
    page.goto(f"{console}/")
    assert urlsplit(page.url).path == "/login"


def test_who_has_no_role_is_told_so_and_gets_nothing(place: tuple[Log, str, str], context: BrowserContext) -> None:
    _, console, _ = place
    page = context.new_page()
    _log_in(page, console, "nora")
    page.wait_for_selector("text=You have no role here")
    assert "cooks" in page.inner_text("main") and not violations(page)
    assert not [one for one in context.cookies() if one["name"].startswith("mailscope")]


def _begin(client: httpx.Client) -> dict[str, str]:
    """A log-in of this client that has begun: what the provider is asked."""
    answer = client.get("/login/oidc", params={"next": "/system"})
    assert answer.status_code == 303
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def _code(asked: dict[str, str], issuer: str, name: str = "lena") -> dict[str, str]:
    """What the provider answers when this person logs in there."""
    with httpx.Client(base_url=issuer, follow_redirects=True, trust_env=False) as person:
        page = person.get("/oauth/authorize", params=asked)
        for field, value in (("login", name), ("password", PASSWORD)):
            found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
            person.follow_redirects = field == "login"
            page = person.post(page.url, data={field: value, "csrf_token": found[1] if found else ""})
        while not page.headers["location"].startswith(asked["redirect_uri"]):
            page = person.get(page.headers["location"])
        return {name: values[0] for name, values in parse_qs(urlsplit(page.headers["location"]).query).items()}


def _client(console: str) -> httpx.Client:
    return httpx.Client(base_url=console, trust_env=False, headers={"Accept": "text/html"})


def test_an_answer_ends_only_the_log_in_that_this_browser_began_and_only_once(place: tuple[Log, str, str]) -> None:
    _, console, issuer = place
    with _client(console) as mine, _client(console) as other, _client(console) as bare, _client(console) as again:
        asked = _begin(mine)
        assert asked["code_challenge_method"] == "S256" and asked["redirect_uri"] == f"{console}/login/oidc/callback"
        answer = _code(asked, issuer)
        _begin(other)
        for browser, given in (
            (other, answer),  # the answer of somebody else, in a browser that has a log-in of its own (log-in CSRF)
            (bare, answer),  # and in one that has none
            (mine, {**answer, "state": "guessed"}),
            (mine, {**answer, "iss": "https://evil.example"}),  # mix-up
            (mine, {"code": answer["code"], "state": answer["state"]}),  # the provider says that it always names itself
        ):
            kept = dict(browser.cookies)
            refused = browser.get("/login/oidc/callback", params=given)
            assert refused.status_code == 400 and "An API token works" in refused.text
            assert "mailscope_session" not in browser.cookies
            for name, value in kept.items():  # as whoever plays it would
                browser.cookies.set(name, value)
        state = mine.cookies["mailscope_login"]
        mine.cookies.set("mailscope_session", "fixed by somebody")
        done = mine.get("/login/oidc/callback", params=answer)
        assert done.status_code == 200 and 'content="0;url=/system"' in done.text
        (session,) = [one for one in done.headers.get_list("set-cookie") if one.startswith("mailscope_session=")]
        assert "fixed by somebody" not in session
        again.cookies.set("mailscope_login", state)  # all that the browser had: the provider takes no code twice
        assert again.get("/login/oidc/callback", params=answer).status_code == 400
        assert "mailscope_session" not in again.cookies


def test_a_code_of_another_log_in_is_of_no_use(place: tuple[Log, str, str]) -> None:
    """Code injection: the verifier (PKCE) of this browser is not the one that the code was asked for with."""
    _, console, issuer = place
    with _client(console) as thief, _client(console) as victim:
        stolen, own = _code(_begin(victim), issuer), _begin(thief)
        answer = thief.get("/login/oidc/callback", params={**stolen, "state": own["state"]})
        assert answer.status_code == 400 and "mailscope_session" not in thief.cookies


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/login/oidc",
        "javascript:alert(1)",
        "/logout",
        "\t//evil.example",
    ],
)
def test_a_log_in_leads_nowhere_else(target: str) -> None:
    assert local_path(target) == "/"


def test_a_log_in_begins_on_our_own_page(place: tuple[Log, str, str]) -> None:
    _, console, _ = place
    with _client(console) as client:
        answer = client.get("/login/oidc", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.headers["location"].startswith("/login?") and "mailscope_login" not in client.cookies


def test_a_provider_that_is_away_keeps_nobody_from_a_token(
    place: tuple[Log, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, console, _ = place

    async def away(*_: object, **__: object) -> None:
        raise ProviderTrouble("it cannot be reached")

    monkeypatch.setattr(log.app.state.provider, "metadata", away)
    with _client(console) as client:
        page = client.get("/login/oidc")
        assert page.status_code == 503 and "Example ID: it cannot be reached" in page.text
        assert client.post("/login", data={"token": log.token}).status_code == 303
        assert client.get("/").status_code == 200
