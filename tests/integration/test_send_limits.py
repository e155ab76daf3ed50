"""What a token may do with the send hook, over HTTP and without Kafka."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from console.authorise import authorised
from console.serve_console import create_app
from console.sessions import Sessions
from console.tokens import Tokens
from contracts.settings import Settings
from ingest.send.claim_keys import IdempotencyKeys
from ingest.send.limit_tokens import TokenRates
from ingest.send.outgoing import Outgoing
from ingest.send.send import Sender, Sent
from ingest.send.send_http import send_router
from runtime.open_store import Store
from tests.fakes.record_list import EmptyBlockList, RecordList
from tests.fakes.token_table import TokenTable

MAIL = {"from": "desk@ours.test", "to": ["a@x.test"], "text": "x"}


class Taker:
    """Takes every mail."""

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []

    async def send(self, mail: Outgoing, **_: object) -> Sent:
        self.taken.append(mail)
        return Sent("0", [])


class Hook:
    def __init__(self, folder: Path) -> None:
        self.tokens, self.sender = TokenTable(), Taker()
        rates = TokenRates(requests=3, recipients=10)
        router = send_router(cast(Sender, self.sender), cast(IdempotencyKeys, None), authorised("send"), None, rates)
        settings = Settings(data_dir=folder)
        app = create_app(
            settings,
            cast(Store, None),
            Tokens(self.tokens),
            Sessions(self.tokens, self.tokens),
            RecordList(),
            EmptyBlockList(),
            routers=[router],
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console")

    async def send(self, token: str, **changes: Any) -> httpx.Response:
        return await self.http.post(
            "/api/v1/send", json={**MAIL, **changes}, headers={"Authorization": f"Bearer {token}"}
        )


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    hook = Hook(tmp_path)
    yield hook
    await hook.http.aclose()


async def test_a_token_has_so_many_requests_a_minute_and_its_namesake_as_many(hook: Hook) -> None:
    one, two = (hook.tokens.create("app", ["send"], []) for _ in range(2))
    answers = [await hook.send(one) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
    assert answers[-1].json()["error"]["code"] == "too_many_requests"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert (await hook.send(two)).status_code == 202 and len(hook.sender.taken) == 4


async def test_a_token_reaches_so_many_recipients_a_minute(hook: Hook) -> None:
    token = hook.tokens.create("app", ["send"], [])
    assert (await hook.send(token, to=["a@x.test"] * 4, cc=["b@x.test"], bcc=["c@x.test"] * 4)).status_code == 202
    refused = await hook.send(token, to=["a@x.test"] * 5)
    assert refused.status_code == 429 and "recipients" in refused.json()["error"]["message"]
    assert (await hook.send(token)).status_code == 202


async def test_a_body_that_is_no_request_is_refused_in_the_one_shape(hook: Hook) -> None:
    token = hook.tokens.create("app", ["send"], [])
    for body, field in (
        (b"{", None),
        (b"[]", None),
        (b'{"to": 1}', "to"),
        (b'{"to": [' + b"1," * 20_000 + b"1]}", "to"),
    ):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = await hook.http.post("/api/v1/send", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
        assert field is None or answer.json()["error"]["field"] in (field, "from")
    assert hook.sender.taken == []
