"""Two replicas of the console on one Kafka agree: on tokens, on the one admin token, and on what an Idempotency-Key has sent."""

import asyncio
import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest

from console.authorise import authorised
from console.ensure_admin_token import ensure_admin_token
from console.serve_console import create_app
from console.sessions import Sessions
from console.tokens import SCOPES, Tokens, new_token, open_tokens, token_record
from contracts.errors import ConfigurationError
from contracts.raw_message import decode_headers
from contracts.settings import Settings
from ingest.send.claim_keys import IdempotencyKeys
from ingest.send.send import Sender
from ingest.send.send_http import send_router
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from runtime.claim import Claims
from runtime.open_store import Store
from runtime.publish import Publisher
from tests.conftest import find_free_port
from tests.fakes.broker import read_topic, settings_of
from tests.fakes.record_list import EmptyBlockList

ROOT = Path(__file__).resolve().parents[2]
MAIL = {"from": "desk@ours.test", "to": ["a@far.test"], "subject": "once", "text": "x"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path / "kafka", find_free_port(), find_free_port()) as running:
        apply_topics(settings_of(running.bootstrap, tmp_path))
        yield running


class Replica:
    """A console on the broker, with a data folder of its own, as `mailscope console` puts it together."""

    def __init__(self, bootstrap: str, folder: Path, instance: str) -> None:
        self.settings = settings_of(bootstrap, folder, outbound={"domains": {"ours.test": {}}})
        kafka = self.settings.kafka_client
        self.publisher = Publisher(kafka, timeout=3.0)
        self.table = open_tokens(kafka)
        self.claims = Claims(kafka, self.publisher, instance)
        self.tokens = Tokens(self.table)
        keys = IdempotencyKeys(self.claims)
        routers = [send_router(Sender(self.settings, self.publisher), keys, authorised("send"))]
        app = create_app(
            self.settings,
            cast(Store, None),
            self.tokens,
            Sessions(self.table, self.publisher),
            self.publisher,
            EmptyBlockList(),
            routers=routers,
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console")

    async def ensure_admin(self, file: Path | None = None) -> None:
        console = self.settings.console.model_copy(update={"admin_token_file": file})
        settings = self.settings.model_copy(update={"console": console})
        await ensure_admin_token(settings, self.table, self.claims, self.publisher)

    @property
    def admin_token(self) -> str:
        path = self.settings.data_dir / "admin-token"
        return path.read_text().strip() if path.exists() else ""

    async def send(self, token: str, key: str = "", **changes: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **({"Idempotency-Key": key} if key else {})}
        return await self.http.post("/api/v1/send", json={**MAIL, **changes}, headers=headers)

    async def close(self) -> None:
        await self.http.aclose()
        await asyncio.gather(self.table.close(), self.claims.close(), self.publisher.close(1))


@pytest.fixture
async def replicas(broker: LocalKafka, tmp_path: Path) -> AsyncIterator[list[Replica]]:
    started = [Replica(broker.bootstrap, tmp_path / name, name) for name in ("one", "two")]
    yield started
    for each in started:
        await each.close()


def mailscope(settings: Settings, *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILSCOPE_")}
    environ = {
        **kept,
        "MAILSCOPE_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "MAILSCOPE_DATA_DIR": str(settings.data_dir),
    }
    done = subprocess.run(
        [sys.executable, "-m", "mailscope", *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_however_many_start_at_once_there_is_one_admin_token_and_it_works_everywhere(
    replicas: list[Replica],
) -> None:
    await asyncio.gather(*(one.ensure_admin() for one in replicas))
    await asyncio.gather(*(one.ensure_admin() for one in replicas))
    (token,) = {one.admin_token for one in replicas} - {""}
    (folder,) = [one.settings.data_dir for one in replicas if one.admin_token]
    assert stat.S_IMODE((folder / "admin-token").stat().st_mode) == 0o600
    for one in replicas:
        assert list(one.table.snapshot()) == ["admin"]
        found = one.tokens.find(token)
        assert found is not None and found.scopes == set(SCOPES)


async def test_a_token_file_that_was_there_goes_on_working_and_a_revoked_one_is_not_made_anew(
    replicas: list[Replica],
) -> None:
    one, two = replicas
    one.settings.data_dir.mkdir(parents=True, exist_ok=True)
    (one.settings.data_dir / "admin-token").write_text("ms_of_before\n")
    await one.ensure_admin()
    assert one.tokens.find("ms_of_before") is not None
    await asyncio.to_thread(mailscope, one.settings, "token", "revoke", "admin")
    await one.ensure_admin()
    await two.ensure_admin()
    assert one.tokens.find("ms_of_before") is None and two.admin_token == ""


async def test_a_token_that_is_created_or_revoked_is_so_within_a_second_on_every_replica(
    replicas: list[Replica], broker: LocalKafka
) -> None:
    one, two = replicas
    await asyncio.gather(one.table.ready(), two.table.ready())
    words = ("token", "create", "app", "--scope", "send", "--domain", "Ours.Test")
    token = (await asyncio.to_thread(mailscope, one.settings, *words)).strip()

    async def statuses(expected: int) -> None:
        deadline = time.monotonic() + 1
        while [(await each.send(token)).status_code for each in replicas] != [expected] * 2:
            assert time.monotonic() < deadline

    await statuses(202)
    listed = await asyncio.to_thread(mailscope, one.settings, "token", "list")
    assert "app  send  ours.test" in listed and token not in listed and "revoked" not in listed
    broker.kill()
    assert one.tokens.find(token) is not None, "Kafka is away, and what is known goes on working"
    broker.start()
    await asyncio.to_thread(mailscope, one.settings, "token", "revoke", "app")
    await statuses(401)
    assert "revoked" in await asyncio.to_thread(mailscope, one.settings, "token", "list")


async def test_before_kafka_answers_a_token_is_not_called_unknown(tmp_path: Path) -> None:
    lonely = Replica(f"127.0.0.1:{find_free_port()}", tmp_path / "lonely", "lonely")
    answer = await lonely.send("ms_x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    await lonely.close()


async def test_one_key_at_two_replicas_is_one_mail(replicas: list[Replica], broker: LocalKafka) -> None:
    one, two = replicas
    await asyncio.gather(*(each.ensure_admin() for each in replicas))
    token = one.admin_token or two.admin_token
    answers = await asyncio.gather(*(replicas[number % 2].send(token, "k") for number in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    (mail_id,) = {answer.json()["mail_id"] for answer in answers}
    (record,) = read_topic(broker.bootstrap, "mail.raw")
    assert decode_headers(record.headers()).mail_id == mail_id

    other = await two.send(token, "k", text="another body")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    refused = await one.send(token, "wrong", to=[" "])
    assert refused.status_code == 422
    assert (await two.send(token, "wrong")).status_code == 202, "a refused request frees its key"


async def test_two_tokens_of_one_name_do_not_share_their_keys(replicas: list[Replica], broker: LocalKafka) -> None:
    one = replicas[0]
    await one.table.ready()
    for _ in range(2):
        text, token = new_token("app", ["send"], [])
        await one.table.read_up_to(await one.publisher.publish_at(token_record(token)))
        answer = await one.send(text, "k", text=text[-5:])
        assert answer.status_code == 202, answer.text
    assert len(read_topic(broker.bootstrap, "mail.raw")) == 2


async def test_a_session_holds_on_every_replica_and_over_restarts_and_ends_everywhere(
    replicas: list[Replica], tmp_path: Path
) -> None:
    one, two = replicas
    await asyncio.gather(*(each.ensure_admin() for each in replicas))
    token = one.admin_token or two.admin_token
    headers = {"Accept": "text/html"}
    cookie = (await one.http.post("/login", data={"token": token}, headers=headers)).cookies["mailscope_session"]
    one.http.cookies.clear()
    listed = await asyncio.to_thread(mailscope, one.settings, "token", "list")
    assert "session of admin until" in listed and cookie not in listed

    async def logged_in(at: Replica) -> bool:
        answer = await at.http.get("/login", headers={**headers, "Cookie": f"mailscope_session={cookie}"})
        return answer.status_code == 303

    async def wait_until_logged_in(at: Replica, expected: bool) -> None:
        deadline = time.monotonic() + 10
        while await logged_in(at) != expected:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    await wait_until_logged_in(two, True)
    restarted = Replica(one.settings.kafka.bootstrap, tmp_path / "restarted", "three")
    await restarted.table.ready()
    assert await logged_in(restarted)
    await two.http.post("/logout", headers={**headers, "Cookie": f"mailscope_session={cookie}"})
    for each in (one, two, restarted):
        await wait_until_logged_in(each, False)
    await restarted.close()


async def test_kafka_away_in_the_middle_is_503_and_the_request_repeated_elsewhere_has_one_id(
    replicas: list[Replica], broker: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = replicas
    await asyncio.gather(*(each.ensure_admin() for each in replicas))
    token = one.admin_token or two.admin_token
    claimed: list[str] = []
    begin = IdempotencyKeys.begin

    async def begin_and_lose_kafka(self: IdempotencyKeys, name: str, key: str, request: bytes) -> object:
        claim = await begin(self, name, key, request)
        claimed.append(claim.claimant)
        await asyncio.to_thread(broker.kill)
        return claim

    monkeypatch.setattr(IdempotencyKeys, "begin", begin_and_lose_kafka)
    assert (await one.send(token, "k")).status_code == 503
    monkeypatch.undo()
    await asyncio.to_thread(broker.start)
    monkeypatch.setattr("runtime.claim.LEASE", timedelta(seconds=1))
    for _ in range(20):
        answer = await two.send(token, "k")
        if answer.status_code == 202:
            break
        await asyncio.sleep(0.5)
    assert answer.json()["mail_id"] == claimed[0]
    assert {decode_headers(one.headers()).mail_id for one in read_topic(broker.bootstrap, "mail.raw")} == {claimed[0]}


async def test_a_token_that_is_given_is_the_one_and_another_one_replaces_it(
    replicas: list[Replica], tmp_path: Path
) -> None:
    file = tmp_path / "given"
    one, other = replicas
    file.write_text("too short\n")
    with pytest.raises(ConfigurationError, match="at least 32 characters"):
        await one.ensure_admin(file)
    first, second = "a" * 40, "b" * 40
    file.write_text(first + "\n")
    await asyncio.gather(one.ensure_admin(file), other.ensure_admin(file))
    for replica in replicas:
        assert (await replica.send(first)).status_code == 202
    principal = one.tokens.find(first)
    assert principal is not None
    cookie = await Sessions(one.table, one.publisher).begin(principal)
    assert one.tokens.find_session(cookie) is not None
    file.write_text(second + "\n")
    await one.ensure_admin(file)
    assert one.tokens.find_session(cookie) is None, "what the old one began ends with it"
    await other.table.catch_up()
    for replica in replicas:
        assert (await replica.send(second)).status_code == 202 and (await replica.send(first)).status_code == 401
