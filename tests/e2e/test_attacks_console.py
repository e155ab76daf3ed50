"""Attacks on the console's port: bodies, slow clients, searches, pages and log-ins, each tried on the running pipeline."""

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.measure_memory import IS_KNOWN, forget_peak, peak
from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for

MEBI = 1 << 20
HELD_UP = 20  # seconds; before it was mended, health waited for 50 and more
UNREAD = 8 * MEBI  # octets that may be in buffers on the way when a request is refused


def connect(pipeline: Pipeline) -> socket.socket:
    return socket.create_connection(("127.0.0.1", pipeline.base + 80), 60)


def answer_of(connection: socket.socket) -> tuple[int, Any]:
    """The status and the JSON of the answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    body = response.read()
    return response.status, json.loads(body)


def pour(connection: socket.socket, octets: int, chunk: bytes = b"x" * 65_536) -> int:
    """Send so many octets, or as many as the other side takes before it answers; how many those were."""
    connection.setblocking(False)
    sent, until = 0, time.monotonic() + 30
    while sent < octets and time.monotonic() < until:
        try:
            if connection.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            pass
        except OSError:
            break
        try:
            sent += connection.send(chunk)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            break
    connection.settimeout(60)
    return sent


@contextmanager
def watching_health(pipeline: Pipeline) -> Iterator[list[float]]:
    """How long each answer to /healthz and /readyz took meanwhile."""
    took: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for path in ("/healthz", "/readyz"):
                began = time.monotonic()
                answer = httpx.get(f"{pipeline.api}{path}", timeout=60, trust_env=False)
                took.append(time.monotonic() - began)
                assert answer.status_code == 200, answer.text
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("authorization", ["", "Authorization: Bearer ms_nobodys\r\n"])
def test_without_a_token_no_body_is_read(pipeline: Pipeline, authorization: str) -> None:
    with connect(pipeline) as connection:
        head = f"POST /api/v1/send HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {60 * MEBI}\r\n\r\n"
        connection.sendall(head.encode())
        assert pour(connection, 60 * MEBI) < UNREAD
        status, body = answer_of(connection)
    assert (status, body["error"]["code"]) in ((401, "unauthorized"), (429, "too_many_requests"))


@pytest.mark.parametrize("length", ["Content-Length: 60000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", ["/login", "/logout", "/api/v1/nothing"])
def test_a_body_that_is_too_large_is_not_read(pipeline: Pipeline, path: str, length: str) -> None:
    with connect(pipeline) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pipeline.token}\r\n{length}\r\n\r\n"
        connection.sendall(head.encode())
        chunk = b"x" * 65_536 if "Length" in length else b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        assert pour(connection, 60 * MEBI, chunk) < UNREAD
        status, body = answer_of(connection)
    assert (status, body["error"]["code"]) == (413, "too_large")


def test_a_body_of_two_lengths_is_refused_with_what_follows_it(pipeline: Pipeline) -> None:
    """One of them would let a large body past the memory that large ones share, or a second request past a proxy."""
    hidden = b"GET /api/v1/mails HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST /api/v1/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pipeline.token}\r\n"
    lengths = "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with connect(pipeline) as connection:
        connection.sendall((head + lengths).encode() + hidden)
        status, body = answer_of(connection)
        assert (status, body["error"]["code"]) == (400, "bad_request") and connection.recv(1) == b""


def test_who_says_nothing_or_too_slowly_is_hung_up_on(pipeline: Pipeline) -> None:
    said = {
        "nothing": b"",
        "half a header": b"GET / HTTP/1.1\r\nHost: x\r\nX-",
        "half a body": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ntoken=",
        "half a body with a token": f"POST /api/v1/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pipeline.token}\r\n"
        "Content-Length: 1000000\r\n\r\n{".encode(),
    }
    connections = {name: [connect(pipeline) for _ in range(50)] for name in said}
    with watching_health(pipeline) as took:
        for name, opened in connections.items():
            for connection in opened:
                connection.sendall(said[name])
        statuses = {}
        for name, opened in connections.items():
            answers = {b"".join(iter(lambda one=one: one.recv(65_536), b""))[:12] for one in opened}  # type: ignore[misc]
            statuses[name] = answers
            for connection in opened:
                connection.close()
    timeout = {b"HTTP/1.1 408"}
    assert statuses == {
        "nothing": {b""}, "half a header": timeout, "half a body": timeout, "half a body with a token": timeout,
    }  # fmt: skip
    assert max(took) < HELD_UP


def test_a_header_without_an_end_is_refused(pipeline: Pipeline) -> None:
    with connect(pipeline) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert pour(connection, 60 * MEBI) < UNREAD
        assert connection.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 431")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "[" + "1," * 10_000_000 + "1]"),
        ("attachments", "[" + "{}," * 7_000_000 + "{}]"),
        ("headers", "{" + '"a":"",' * 3_000_000 + '"a":""}'),
    ],
    ids=["integers", "objects", "keys"],
)
def test_millions_of_values_in_a_request_hold_up_nobody(pipeline: Pipeline, field: str, value: str) -> None:
    body = f'{{"from": "desk@ours.test", "text": "x", "{field}": {value}}}'.encode()
    with watching_health(pipeline) as took:
        answer = httpx.post(
            f"{pipeline.api}/api/v1/send", content=body, timeout=60, trust_env=False,
            headers={"Authorization": f"Bearer {pipeline.token}", "Content-Type": "application/json"},
        )  # fmt: skip
    assert answer.status_code == 422 and answer.json()["error"]["field"] == field, answer.text
    assert max(took) < HELD_UP


def test_a_search_has_so_many_conditions_and_patterns(pipeline: Pipeline) -> None:
    def search(pairs: list[tuple[str, str]]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {pipeline.token}"}
        return httpx.get(f"{pipeline.api}/api/v1/mails", params=pairs, headers=headers, timeout=60, trust_env=False)

    assert search([("subject", "*a%b*")] * 30).status_code == 200
    for pairs in (
        [("subject", "*a%b*")] * 31, [("subject", "*a%b*")] * 1500, [("q", "a " * 900)], [("q", "-a " * 31)],
        [("to", ",".join(f"*{n}*" for n in range(61)))], [("subject", "*a" * 11)],
        [("reference", ",".join(f"*{n}*" for n in range(40)))] * 2,
        [("subject", ",".join("a@b.test" for n in range(61)))], [("domain", "a.test")] * 31,
    ):  # fmt: skip
        answer = search(pairs)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_filter"), answer.text
        assert answer.json()["error"]["field"] == pairs[0][0]


def test_health_waits_for_no_search_and_no_page(pipeline: Pipeline) -> None:
    headers = {"Authorization": f"Bearer {pipeline.token}", "Accept": "text/html"}
    pairs = [("subject", f"*a%{n}*b*") for n in range(30)]
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            httpx.get(f"{pipeline.api}/", params=pairs, headers=headers, timeout=60, trust_env=False)

    threads = [threading.Thread(target=search) for _ in range(8)]
    with watching_health(pipeline) as took:
        for thread in threads:
            thread.start()
        time.sleep(4)
        stop.set()
        for thread in threads:
            thread.join()
    assert len(took) > 5 and max(took) < HELD_UP


@pytest.mark.skipif(not IS_KNOWN, reason="memory is read from /proc")
def test_exports_that_are_read_slowly_hold_little_memory(pipeline: Pipeline) -> None:
    """Thirty readers of some kilobytes a second: each held a page of the log, 70 MB."""
    began = datetime.now(UTC)
    for batch in range(2):
        items = [
            {"id": f"slow{batch}-{n}", "time": (began - timedelta(seconds=n)).isoformat(), "from": "news@ours.test",
             "to": f"u{n}@far.test", "outcome": "permanent", "code": 550, "text": "\U0001f600" * 700, "subject": "\U0001f600" * 450}
            for n in range(1000)
        ]  # fmt: skip
        assert pipeline.post("/attempts", {"source": "slow", "items": items}).status_code == 202
    assert wait_for(lambda: pipeline.get("/export", source="slow").text.count("\n") == 2000, 60)
    console = pipeline.stage_pid("console")
    before, held = forget_peak(console), []
    request = f"GET /api/v1/export?source=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pipeline.token}\r\n\r\n"
    try:
        for _ in range(30):
            held.append(socket.socket())
            held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before it connects: then it holds
            held[-1].connect(("127.0.0.1", pipeline.base + 80))
            held[-1].sendall(request.encode())
        assert wait_for(lambda: pipeline.get("/export", source="slow").status_code == 503, 60), "all places are taken"
        assert pipeline.get("/mails", limit=1).status_code == 200
        grown = peak(console) - before
    finally:
        for one in held:
            one.close()
    print(f"30 exports read slowly: {grown // MEBI} MB more")
    assert grown < 600 * MEBI
    assert wait_for(
        lambda: pipeline.get("/export", source="none").status_code == 200, 20
    )  # their places are free again


@pytest.mark.skipif(not IS_KNOWN, reason="memory is read from /proc")
def test_large_answers_that_are_read_slowly_hold_little_memory(pipeline: Pipeline) -> None:
    """Each of 200 readers of a mail of a thousand recipients held 4 MB."""
    sent = pipeline.post(
        "/send",
        {
            "from": "desk@ours.test",
            "to": [f"u{n}@{'y' * 50}{n}.test" for n in range(1000)],
            "subject": "\U0001f600" * 400,
            "text": "x",
            "headers": {f"X-{n}": "z" * 900 for n in range(60)},
        },
    )
    path = f"/mails/{sent.json()['mail_id']}"
    assert wait_for(lambda: len(pipeline.get(path).content) > 3 * MEBI, 60)
    console = pipeline.stage_pid("console")
    before, held = forget_peak(console), []
    request = f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pipeline.token}\r\n\r\n"
    try:
        for _ in range(150):
            held.append(socket.socket())
            held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            held[-1].connect(("127.0.0.1", pipeline.base + 80))
            held[-1].sendall(request.encode())
        assert wait_for(lambda: pipeline.get(path).status_code == 503, 60), "all room is taken"
        time.sleep(5)
        assert pipeline.get("/mails", limit=1).status_code == 200
        grown = peak(console) - before
    finally:
        for one in held:
            one.close()
    print(f"150 mails read slowly: {grown // MEBI} MB more")
    assert grown < 500 * MEBI
    assert wait_for(lambda: pipeline.get(path).status_code == 200, 20)


def test_a_picture_named_600_times_makes_no_large_page(pipeline: Pipeline) -> None:
    mark = f"pictures{time.time_ns()}"
    picture = base64.encodebytes(b"\x89PNG\r\n\x1a\n" + b"x" * 860_000).replace(b"\n", b"\r\n")
    raw = (
        b"From: anna@good.test\r\nSubject: " + mark.encode() + b"\r\nContent-Type: multipart/related; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n" + b'<img src="cid:x">\r\n' * 600 + b"\r\n--b\r\nContent-Type: image/png\r\n"
        b"Content-ID: <x>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + picture + b"\r\n--b--\r\n"
    )  # fmt: skip
    assert pipeline.send(raw, "any@open.test")[0] == 250
    (row,) = wait_for(lambda: pipeline.get("/mails", subject=mark).json()["items"])
    headers = {"Authorization": f"Bearer {pipeline.token}"}

    def page() -> httpx.Response | None:
        answer = httpx.get(f"{pipeline.api}/mails/{row['mail_id']}/html", headers=headers, timeout=60, trust_env=False)
        return answer if answer.status_code == 200 else None

    answer = wait_for(page)
    assert len(answer.content) < MEBI and answer.text.count("/pictures/") == 600
    link = answer.text.partition('src="')[2].partition('"')[0]
    shown = httpx.get(
        f"{pipeline.api}{link}", timeout=60, trust_env=False
    )  # as from within the sandbox: without a cookie
    assert (shown.headers["content-type"], len(shown.content)) == ("image/png", 860_008)


def as_browser(pipeline: Pipeline, source: str = "127.0.0.1") -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=source)
    return httpx.Client(base_url=pipeline.api, transport=transport, headers={"Accept": "text/html"}, timeout=60)


def test_the_cookie_is_no_token_and_ends_with_the_log_out(pipeline: Pipeline) -> None:
    with as_browser(pipeline) as browser:
        assert (
            browser.post("/login", data={"token": pipeline.token}, headers={"Origin": "http://evil.test"}).status_code
            == 403
        )
        assert (
            browser.post("/login", data={"token": pipeline.token}, headers={"Origin": pipeline.api}).status_code == 303
        )
        cookie = browser.cookies["mailscope_session"]
        assert cookie != pipeline.token and browser.get("/").status_code == 200
        assert browser.get("/api/v1/mails", headers={"Authorization": f"Bearer {cookie}"}).status_code in (401, 429)
        assert (
            browser.post("/login", data={"token": pipeline.token}).status_code == 303
        )  # once more: the first one ends
        first, cookie = cookie, browser.cookies["mailscope_session"]
        assert browser.get("/", headers={"Cookie": f"mailscope_session={first}"}).status_code == 303
        assert browser.post("/logout", headers={"Origin": "null"}).status_code == 403
        assert browser.post("/logout", headers={"Origin": pipeline.api}).status_code == 303
        assert browser.get("/", headers={"Cookie": f"mailscope_session={cookie}"}).status_code == 303


@pytest.mark.parametrize("guess", ["log-in", "bearer"])
def test_guessing_is_slow_and_hurts_nobody_else(pipeline: Pipeline, guess: str) -> None:
    with as_browser(pipeline, "127.0.0.66" if guess == "bearer" else "127.0.0.67") as browser:
        tries: dict[str, Callable[[int], httpx.Response]] = {
            "log-in": lambda n: browser.post("/login", data={"token": f"ms_{n}"}),
            "bearer": lambda n: browser.get("/api/v1/mails", headers={"Authorization": f"Bearer ms_{n}"}),
        }
        statuses = [tries[guess](number).status_code for number in range(16)]
        assert statuses[:10] == [401] * 10 and statuses.count(429) >= 3
        assert int(tries[guess](0).headers.get("retry-after", "1")) >= 1
        known = browser.get("/api/v1/mails", headers={"Authorization": f"Bearer {pipeline.token}"})
        assert known.status_code == 200
    assert pipeline.get("/mails").status_code == 200
