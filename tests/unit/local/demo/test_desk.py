import json
from datetime import UTC, datetime

import httpx
from standardwebhooks.webhooks import Webhook

from local.demo.desk import Desk, Mail, application

SECRET = "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"


async def post(
    mail: Mail, webhook_id: str = "1", secret: str = SECRET, desk: Desk | None = None, chance: float = 1.0
) -> httpx.Response:
    now, body = datetime.now(UTC), json.dumps(mail)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, body),
    }
    app = application(desk or Desk(), SECRET, chance=lambda: chance)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        return await client.post("/mail", content=body, headers=headers)


async def test_a_mail_becomes_a_request_once_however_often_it_is_delivered() -> None:
    created: list[str] = []
    desk = Desk(lambda mail, reference: created.append(reference))
    mail = {"subject": "printer on fire", "text": "help"}
    answers = [(await post(mail, "same", desk=desk)).json() for _ in range(2)]
    assert answers == [{"status": "processed", "reference": "IT-1"}] * 2
    assert created == ["IT-1"]
    assert (await post(mail, "other", desk=desk)).json()["reference"] == "IT-2"


async def test_a_reply_belongs_to_its_request() -> None:
    assert (await post({"subject": "Re: [IT-42] printer", "text": "thanks"})).json()["reference"] == "IT-42"


async def test_an_automatic_reply_is_skipped_with_its_reason() -> None:
    answer = (await post({"subject": "Out of office: back on Monday", "text": "x"})).json()
    assert answer == {"status": "skipped", "reason": "automatic reply"}


async def test_a_mail_without_subject_fails_and_says_which_field() -> None:
    answer = (await post({"subject": None, "text": "call me"})).json()
    assert answer["status"] == "failed" and "'summary'" in answer["reason"]


async def test_a_wrong_signature_is_refused() -> None:
    other = "whsec_MTExMTExMTExMTExMTExMTExMTExMTEx"
    assert (await post({"subject": "x", "text": "y"}, secret=other)).status_code == 401


async def test_sometimes_the_desk_is_restarting() -> None:
    assert (await post({"subject": "x", "text": "y"}, chance=0.0)).status_code == 503
