"""Live traffic: real SMTP sessions from the addresses of the demo internet, briskly at first, then more slowly."""

import asyncio
import random
from collections.abc import Callable, Iterator

import aiosmtplib

from local.demo.compose_mail import Sending, Writer

BRISK = 2.0  # mails a second at first
BRISK_FOR = 40  # mails
STEADY = 0.5  # mails a second from then on
TRIES = (3.0, 8.0, 20.0)  # seconds between the tries of a mail that met a temporary refusal
TIMEOUT = 30.0
AT_ONCE = 8


def mails(writer: Writer, dice: random.Random) -> Iterator[Sending]:
    """Endless mail: first one of each kind, so that everything is seen within seconds; then as often as in life."""
    kinds = list(writer.kinds)
    for kind in kinds:
        yield kind()
    while True:
        yield dice.choices(kinds, list(writer.kinds.values()))[0]()


def pause(sent: int, dice: random.Random) -> float:
    """Seconds until the next mail; people do not write by the clock."""
    return dice.expovariate(BRISK if sent < BRISK_FOR else STEADY)


async def send(sending: Sending, port: int) -> str:
    """Lead one SMTP dialogue and return the server's last word. Raises SMTPException or OSError when there was none."""
    smtp = aiosmtplib.SMTP(
        hostname="127.0.0.1", port=port, local_hostname=sending.helo, source_address=(sending.source, 0),
        start_tls=False, timeout=TIMEOUT,
    )  # fmt: skip
    async with smtp:
        try:
            _, text = await smtp.sendmail(sending.envelope_from, [sending.to], sending.content)
            return f"250 {text}"
        except aiosmtplib.SMTPRecipientsRefused as refused:
            error = refused.recipients[0]
            return f"{error.code} {error.message}"
        except aiosmtplib.SMTPResponseException as error:
            return f"{error.code} {error.message}"


async def send_patiently(sending: Sending, port: int, say: Callable[[str], None]) -> None:
    """As a mail server does: a temporary refusal, or no server at all, is tried again later."""
    for wait in (*TRIES, None):
        try:
            reply = await send(sending, port)
        except (aiosmtplib.SMTPException, OSError) as error:
            reply = f"4xx no answer: {error}"
        say(f"{sending.envelope_from or '<>'} → {sending.to} ({sending.kind}): {' '.join(reply.split())}")
        if not reply.startswith("4") or wait is None:
            return
        await asyncio.sleep(wait)


async def write_for_ever(writer: Writer, port: int, dice: random.Random, say: Callable[[str], None]) -> None:
    """Send mail until cancelled."""
    room = asyncio.Semaphore(AT_ONCE)

    async with asyncio.TaskGroup() as group:
        for sent, sending in enumerate(mails(writer, dice)):
            await room.acquire()  # the pipeline is down or slow: do not pile up
            group.create_task(send_patiently(sending, port, say)).add_done_callback(lambda task: room.release())
            await asyncio.sleep(pause(sent, dice))
