"""The service desk that Mailscope hands incoming mail to: a webhook that turns mail into requests IT-1, IT-2 …

It checks the Standard Webhooks signature and answers a repeated `webhook-id` as it did the first time, as every
receiver of webhooks should.
"""

import json
import random
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request, Response
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

REMEMBERED = 5000  # answers
REFERENCE = re.compile(r"\bIT-\d+\b")
ANSWERED_AUTOMATICALLY = re.compile(r"(?i)^(out of office|automatic reply|abwesenheit)")

Answer = dict[str, str]
Mail = Mapping[str, object]


class Desk:
    """Turns mail into answers. `created(mail, reference)` hears of each new request."""

    def __init__(self, created: Callable[[Mail, str], None] = lambda mail, reference: None) -> None:
        self._created = created
        self._next = 1
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def take(self, mail: Mail, webhook_id: str) -> Answer:
        """The answer to one mail: processed, skipped or failed."""
        if webhook_id not in self._answers:
            self._answers[webhook_id] = self._decide(mail)
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        return self._answers[webhook_id]

    def _decide(self, mail: Mail) -> Answer:
        subject, text = str(mail.get("subject") or ""), str(mail.get("text") or mail.get("html") or "")
        if ANSWERED_AUTOMATICALLY.match(subject):
            return {"status": "skipped", "reason": "automatic reply"}
        if answered := mail.get("reference"):  # a key of ours, which Mailscope found
            return {"status": "processed", "reference": str(answered)}
        if known := REFERENCE.search(subject):
            return {"status": "processed", "reference": known.group()}
        if not subject.strip():
            return {"status": "failed", "reason": "required field 'summary' is missing: the mail has no subject"}
        if not text.strip():
            return {"status": "failed", "reason": "required field 'description' is missing: the mail has no text"}
        reference, self._next = f"IT-{self._next}", self._next + 1
        self._created(mail, reference)
        return {"status": "processed", "reference": reference}


def application(desk: Desk, secret: str, hiccup: float = 0.04, chance: Callable[[], float] = random.random) -> FastAPI:
    """The desk's HTTP side. One call in 1/`hiccup` finds it restarting (503), so that retries can be seen."""
    app = FastAPI(openapi_url=None)
    webhook = Webhook(secret)

    @app.post("/mail")
    async def take_mail(request: Request) -> Response:
        body = await request.body()
        try:
            webhook.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            return _json(401, {"error": f"signature: {error}"})
        if chance() < hiccup:
            return _json(503, {"error": "the desk is restarting"})
        return _json(200, desk.take(json.loads(body), request.headers["webhook-id"]))

    return app


def _json(status: int, content: Answer) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
