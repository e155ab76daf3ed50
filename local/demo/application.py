"""An application that sends mail through Mailscope's API: invitations, and a notification for each new request."""

import asyncio
import itertools
import random
from collections.abc import Callable
from email.utils import parseaddr
from typing import Any

import httpx

from local.demo.cast import DOMAINS, OURS, OUTBOUND_TROUBLE
from local.demo.compose_mail import is_known
from local.demo.desk import Mail

FIRST_PAUSE = 0.7  # seconds between the first mails, one to each kind of trouble
PAUSE = 5.0  # seconds from then on
TROUBLE = 0.35  # share of invitations that go to an address with trouble
WAITING = 100  # notifications that are not sent yet; more are forgotten

Fields = dict[str, Any]


def invitation(address: str, inviter: str) -> Fields:
    """An invitation to the customer portal."""
    name = address.partition("@")[0].replace(".", " ").title()
    return {
        "from": f"Example Portal <portal@{OURS}>",
        "to": [address],
        "reply_to": f"support@{OURS}",
        "subject": f"{inviter} invites you to the customer portal",
        "text": f"Hello {name},\n\n{inviter} invites you. Follow the link to join.\n",
        "html": f"<p>Hello {name},</p><p>{inviter} invites you. <a href='https://portal.{OURS}/join'>Join</a></p>",
        "stream": "invitation",
        "template": "Customer invitation",
        "tag": "demo",
    }


def notification(mail: Mail, reference: str) -> Fields:
    """What a requester gets when a request was made of a mail."""
    return {
        "from": f"Example Support <support@{OURS}>",
        "to": [str(mail["from"])],
        "subject": f"[{reference}] {mail.get('subject')}",
        "text": f"Your request {reference} has been created. We will be in touch.\n",
        "headers": {"Auto-Submitted": "auto-generated"},
        "stream": "request-notification",
        "template": "Request created",
        "reference": reference,
        "tag": "demo",
    }


class Application:
    """Sends through the API. `created` is what the desk calls for each new request."""

    def __init__(self, api_url: str, token: str, dice: random.Random, say: Callable[[str], None]) -> None:
        self._client = httpx.AsyncClient(
            base_url=api_url, headers={"Authorization": f"Bearer {token}"}, timeout=20, trust_env=False
        )
        self._dice = dice
        self._say = say
        self._requests: asyncio.Queue[Fields] = asyncio.Queue(WAITING)

    def created(self, mail: Mail, reference: str) -> None:
        """Notify the requester, if it is one who can be: an impostor's victim asked for nothing."""
        if is_known(parseaddr(str(mail.get("from")))[1]) and not self._requests.full():
            self._requests.put_nowait(notification(mail, reference))

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._invite())
            group.create_task(self._notify())

    async def _invite(self) -> None:
        people = [f"{person.local_part}@{each.name}" for each in DOMAINS for person in each.people if not person.role]
        inviters = [person.name for each in DOMAINS for person in each.people if not person.role]
        troubles = itertools.cycle(OUTBOUND_TROUBLE)
        for number in itertools.count():
            first = number < 2 * len(OUTBOUND_TROUBLE)
            trouble = number % 2 == 1 if first else self._dice.random() < TROUBLE
            address = next(troubles) if trouble else self._dice.choice(people)
            await self._post(invitation(address, self._dice.choice(inviters)))
            await asyncio.sleep(FIRST_PAUSE if first else self._dice.expovariate(1 / PAUSE))

    async def _notify(self) -> None:
        while True:
            await self._post(await self._requests.get())

    async def _post(self, fields: Fields) -> None:
        try:
            answer = await self._client.post("/api/v1/send", json=fields)
        except httpx.HTTPError as error:
            self._say(f"send API does not answer: {error!r}")
            return
        outcome = "accepted" if answer.status_code == 202 else f"{answer.status_code} {answer.text[:200]}"
        self._say(f"{fields['stream']} to {', '.join(fields['to'])}: {outcome}")
