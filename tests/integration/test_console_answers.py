"""What the API answers when there is nothing to answer with, and the octets of a message as they came."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from console.answer_errors import Problem
from console.query_store import StoreQueries
from console.read_mail import MailReader
from console.send_held import HeldResponse
from contracts.errors import Unavailable
from contracts.raw_message import Blob
from contracts.statuses import Reason, Status
from runtime.blobs import BlobStore
from runtime.budget_octets import OctetBudget
from tests.integration.console_log import Log

OCTETS = (
    b"Subject: \xff\xfe\x00 raw\r\nX: 'quote' \\ {p0:String}\r\n\r\n"
    + bytes(range(256)) * 3
    + b"\nbare LF\rbare CR\r\n"
)
SHAPE = {"code", "message", "field"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    log = Log(tmp_path_factory.mktemp("answers"), {"store": {"raw_retention": timedelta(days=7)}})
    broken = APIRouter()

    @broken.get("/api/v1/broken")
    async def fail() -> None:
        raise RuntimeError("secret detail")

    log.app.include_router(broken)
    yield log
    log.close()


@pytest.mark.parametrize(
    "octets", [OCTETS, b"", b"\x00", b"\r\n", b"a" * 200_000], ids=["all", "none", "nul", "crlf", "long"]
)
def test_the_raw_message_is_what_came_octet_for_octet(log: Log, octets: bytes) -> None:
    mail_id = log.add(raw=octets, raw_size=len(octets) or 1)
    answer = log.http.get(f"/api/v1/mails/{mail_id}/raw")
    assert (answer.status_code, answer.content) == (200, octets)
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == f'attachment; filename="{mail_id}.eml"'
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_message_in_the_blob_store_is_what_came(log: Log) -> None:
    octets = OCTETS * 400
    blob = asyncio.run(BlobStore(log.settings.blobs_url).put(octets))
    mail_id = log.add(raw_size=len(octets))
    log.add_raw(mail_id, octets, blob)
    assert log.http.get(f"/api/v1/mails/{mail_id}/raw").content == octets
    assert hashlib.sha256(octets).hexdigest() == blob.sha256


async def test_messages_that_are_downloaded_at_a_time_have_a_limit_of_memory(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.read_mail.PATIENCE", 0.05)
    queries, memory = StoreQueries(log.store, 1 << 30), OctetBudget(300_000)
    reader = MailReader(queries, log.settings, BlobStore(log.settings.blobs_url), memory)
    mail_id = log.add(raw=b"x" * 100_000)
    octets, hold = await reader.held_raw(mail_id, frozenset())
    with pytest.raises(Problem) as caught:
        await reader.held_raw(mail_id, frozenset())
    assert (caught.value.status, caught.value.code) == (503, "unavailable")
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        assert memory.used == 200_000, "it counts until it is sent"

    async def receive() -> Any:
        await asyncio.Event().wait()

    await HeldResponse(octets, hold, "message/rfc822", {})({"type": "http", "asgi": {}}, receive, send)
    assert b"".join(sent) == octets and max(map(len, sent)) <= 65_536 and memory.used == 0
    with pytest.raises(Problem):
        await reader.held_raw(log.add(raw_size=5), frozenset())
    assert memory.used == 0
    queries.close()


def test_a_message_that_is_gone_answers_410(log: Log) -> None:
    old = log.add(age=timedelta(days=9))
    lost = log.add(raw_size=9)
    log.add_raw(lost, b"gone away", Blob(url=f"{log.settings.blobs_url}/raw/00/{'0' * 64}", sha256="0" * 64))
    for mail_id in (old, lost):
        answer = log.http.get(f"/api/v1/mails/{mail_id}/raw")
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "gone"), answer.text
    item = log.http.get(f"/api/v1/mails/{old}").json()
    assert item["raw_available"] is False


def test_a_mail_refused_before_its_message_came_has_none(log: Log) -> None:
    mail_id = log.add("nobody@example.com", Status.REJECTED, reason=Reason.UNKNOWN_RECIPIENT, raw_size=0)
    answer = log.http.get(f"/api/v1/mails/{mail_id}/raw")
    assert answer.status_code == 404
    assert log.http.get(f"/api/v1/mails/{mail_id}").json()["raw_available"] is False


@pytest.mark.parametrize(
    "mail_id", ["nope", "1f114c35-0033-41e6-bf4c-a14aae903dad", "018bcfe5-6800-7000-8000-000000000000"]
)
def test_an_unknown_mail_answers_404(log: Log, mail_id: str) -> None:
    for path in ("", "/raw"):
        answer = log.http.get(f"/api/v1/mails/{mail_id}{path}")
        assert answer.status_code == 404
        assert answer.json() == {
            "error": {"code": "not_found", "message": "there is no such mail, or it has expired", "field": None}
        }


def test_every_error_has_the_one_shape(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the log store", "connection refused")

    limited = {"Authorization": f"Bearer {log.new_token(('read',))}"}
    mail_id = log.add(raw=b"x")
    answers = {
        401: log.http.get("/api/v1/mails", headers={"Authorization": "Bearer wrong"}),
        403: log.http.get(f"/api/v1/mails/{mail_id}/raw", headers=limited),
        404: log.http.get("/api/v1/nothing"),
        405: log.http.delete("/api/v1/mails"),
        422: log.http.get("/api/v1/mails", params={"limit": "many"}),
        500: log.http.get("/api/v1/broken"),
    }
    monkeypatch.setattr(StoreQueries, "rows", away)
    answers[503] = log.http.get("/api/v1/mails")
    codes = {}
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert set(answer.json()) == {"error"} and set(answer.json()["error"]) == SHAPE
        codes[status] = answer.json()["error"]["code"]
    assert codes == {
        401: "unauthorized", 403: "missing_scope", 404: "not_found", 405: "method_not_allowed", 422: "invalid",
        500: "internal_error", 503: "store_unavailable",
    }  # fmt: skip
    assert answers[401].headers["www-authenticate"] == "Bearer"
    assert answers[422].json()["error"]["field"] == "limit"
    assert "secret detail" not in answers[500].text


def test_a_cookie_reads_but_does_not_write(log: Log) -> None:
    cookie = {"Cookie": f"mailscope_session={log.tokens.log_in(log.token)}", "Authorization": ""}
    assert log.http.get("/api/v1/mails", headers=cookie).status_code == 200
    router = APIRouter()
    from fastapi import Depends

    from console.authorise import authorised

    @router.post("/api/v1/act")
    async def act(_: object = Depends(authorised("manage"))) -> str:
        return "done"

    log.app.include_router(router)
    assert log.http.post("/api/v1/act", headers=cookie).status_code == 401
    assert log.http.post("/api/v1/act").status_code == 200


def test_a_token_counts_from_the_moment_it_is_made(log: Log, tmp_path: Path) -> None:
    fresh = log.new_token(("read",))
    assert log.http.get("/api/v1/mails", headers={"Authorization": f"bearer {fresh}"}).status_code == 200
    assert log.http.get("/api/v1/mails", headers={"Authorization": "Basic abc"}).status_code == 401
    assert log.http.get("/api/v1/mails", headers={"Authorization": ""}).status_code == 401


async def test_a_search_that_takes_too_long_is_stopped(log: Log) -> None:
    queries = StoreQueries(log.store, 1 << 30)
    began = time.monotonic()
    with pytest.raises(Problem) as caught:
        await queries.rows("SELECT sum(sipHash64(number)) FROM numbers(100000000000)", seconds=0.5)
    assert (caught.value.status, caught.value.code) == (503, "too_expensive")
    assert time.monotonic() - began < 60
    assert await queries.rows("SELECT 1 AS one") == [{"one": 1}]
    queries.close()
