"""One SMTP transaction with one remote server: what it answered for each recipient (RFC 5321, RFC 3207, RFC 6531)."""

import asyncio
import re
import ssl
import time
from dataclasses import dataclass

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPResponseException

from contracts import clock
from contracts.events import Attempt, Outcome
from contracts.statuses import Reason
from sinks.delivery.find_servers import Server

DATA_TIMEOUT = 600.0  # seconds; RFC 5321 section 4.5.3.2.6
MAX_TEXT = 4096  # characters of an answer that are kept
NO_UTF8 = "the server does not offer SMTPUTF8, which this mail's addresses or headers need"
_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True)
class SmtpTransaction:
    """What is said in a transaction."""

    envelope_from: str
    recipients: tuple[str, ...]
    content: bytes
    smtputf8: bool  # an address or a header needs it


@dataclass(frozen=True)
class Client:
    """How we present ourselves. Durations in seconds."""

    helo: str
    timeout: float
    bind: str | None


async def attempt_smtp(server: Server, transaction: SmtpTransaction, client: Client, number: int) -> list[Attempt]:
    """One attempt for each recipient, in their order. Never raises for what a server or the network does."""
    attempts: list[Attempt] = []
    for address in server.addresses:
        dialogue = _Dialogue(server, address, transaction, client, number)
        attempts = await dialogue.run(tls=True)
        if dialogue.step == "STARTTLS":
            # Opportunistic TLS (RFC 7435): encryption that cannot be had must not stop the mail.
            attempts = await _Dialogue(server, address, transaction, client, number).run(tls=False)
        if not _nobody_there(attempts):
            break
    return attempts


def _nobody_there(attempts: list[Attempt]) -> bool:
    return all(attempt.command == "connect" and not attempt.code for attempt in attempts)


class _Dialogue:
    def __init__(self, server: Server, address: str, transaction: SmtpTransaction, client: Client, number: int) -> None:
        self._server = server
        self._address = address
        self._transaction = transaction
        self._client = client
        self._number = number
        self._tls = ""
        self._started = clock.now()
        self._clock = time.monotonic()
        self._results: dict[str, Attempt] = {}
        self.step = "connect"

    async def run(self, *, tls: bool) -> list[Attempt]:
        smtp = SMTP(
            hostname=self._address,
            port=self._server.port,
            local_hostname=self._client.helo,
            timeout=self._client.timeout,
            source_address=(self._client.bind, 0) if self._client.bind else None,
            start_tls=False,
        )
        try:
            await self._talk(smtp, tls)
        except SMTPResponseException as error:
            # A 2yz or 3yz where it has no place (250 to DATA) took nothing: only the answer after the last octet does.
            self._for_the_rest(error.code, error.message, Outcome.TEMPORARY if error.code < 400 else None)
        except (SMTPException, OSError, asyncio.IncompleteReadError, ssl.SSLError, ValueError) as error:
            self._for_the_rest(0, f"{type(error).__name__}: {error}")
        finally:
            smtp.close()
        return [self._results[recipient] for recipient in self._transaction.recipients]

    async def _talk(self, smtp: SMTP, tls: bool) -> None:
        await smtp.connect()
        self.step = "EHLO"
        await smtp._ehlo_or_helo_if_needed()
        if tls and smtp.supports_extension("starttls"):
            self.step = "STARTTLS"
            await smtp.starttls(tls_context=_opportunistic(), server_hostname=self._server.host)
            self._tls = _describe_tls(smtp)
            self.step = "EHLO"
            await smtp.ehlo()
        transaction = self._transaction
        options = [f"SIZE={len(transaction.content)}"] if smtp.supports_extension("size") else []
        if smtp.supports_extension("8bitmime") and not transaction.content.isascii():
            options.append("BODY=8BITMIME")
        encoding = "ascii"
        if transaction.smtputf8:
            if not smtp.supports_extension("smtputf8"):
                self.step = "EHLO"
                self._for_the_rest(0, NO_UTF8, Outcome.PERMANENT)
                await smtp.quit()
                return
            options.append("SMTPUTF8")
            encoding = "utf-8"
        self.step = "MAIL"
        try:
            await smtp.mail(transaction.envelope_from, options=options, encoding=encoding)
        except SMTPResponseException as error:
            if error.code // 100 != 2:
                raise
        self.step = "RCPT"
        accepted = []
        for recipient in transaction.recipients:
            try:
                await smtp.rcpt(recipient, encoding=encoding)
                accepted.append(recipient)
            except SMTPResponseException as error:
                if error.code // 100 == 2:  # 252 is a yes too (RFC 5321 section 4.3.2): the first digit decides
                    accepted.append(recipient)
                    continue
                self._record(recipient, error.code, error.message)
                if error.code == 421:
                    raise
        if accepted:
            self.step = "DATA"
            answer = await smtp.data(transaction.content, timeout=max(DATA_TIMEOUT, self._client.timeout))
            for recipient in accepted:
                self._record(recipient, answer.code, answer.message)
        try:
            await smtp.quit(timeout=2.0)
        except (SMTPException, OSError):
            pass  # the answer to DATA counts; how the connection ends does not

    def _for_the_rest(self, code: int, text: str, outcome: Outcome | None = None) -> None:
        for recipient in self._transaction.recipients:
            if recipient not in self._results:
                self._record(recipient, code, text, outcome)

    def _record(self, recipient: str, code: int, text: str, outcome: Outcome | None = None) -> None:
        # Octets that are not UTF-8 arrive as surrogates, which JSON does not have.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:MAX_TEXT]
        enhanced = _ENHANCED.match(text)
        outcome = outcome or {2: Outcome.ACCEPTED, 5: Outcome.PERMANENT}.get(code // 100, Outcome.TEMPORARY)
        self._results[recipient] = Attempt(
            number=self._number,
            target=recipient,
            outcome=outcome,
            started_at=self._started,
            duration_ms=int((time.monotonic() - self._clock) * 1000),
            host=self._server.host,
            ip=self._address,
            port=self._server.port,
            tls=self._tls,
            command=self.step,
            code=code if 0 <= code <= 999 else 0,
            enhanced_code=enhanced[1] if enhanced else "",
            text=text,
        )


def refused_here(number: int, target: str, outcome: Outcome, text: str, reason: Reason | None, step: str) -> Attempt:
    """An attempt that no server was asked for."""
    return Attempt(
        number=number, target=target, outcome=outcome, started_at=clock.now(), command=step, text=text, reason=reason
    )


def _opportunistic() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _describe_tls(smtp: SMTP) -> str:
    cipher = smtp.get_transport_info("cipher")
    return f"{cipher[1]} {cipher[0]}" if cipher else ""
