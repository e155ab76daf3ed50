"""One SMTP transaction over an open session: what the server answered for each recipient (RFC 5321, RFC 6531)."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiosmtplib.errors import SMTPResponseException

from contracts import clock
from contracts.events import Attempt, Outcome
from contracts.statuses import Reason
from sinks.delivery.open_session import TROUBLE, NotOpened, Session

ANSWER = 600.0  # seconds for the answer to the end of DATA (RFC 5321 section 4.5.3.2.6)
SLOWEST = 16 << 10  # octets a second that a line must carry, beyond which the transfer is given up
MAX_TEXT = 4096  # octets of an answer that are kept
NO_UTF8 = "the server does not offer SMTPUTF8, which this mail's addresses or headers need"
_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True)
class SmtpTransaction:
    """What is said in a transaction. The content, as it travels (`to_wire`), is asked for when a recipient was accepted."""

    envelope_from: str
    recipients: tuple[str, ...]
    size: int  # octets of the content, about
    content: Callable[[], Awaitable[bytes]]
    smtputf8: bool  # an address or a header needs it


class Answers:
    """What was answered for each recipient of one attempt."""

    def __init__(self, recipients: tuple[str, ...], number: int, host: str, address: str, port: int, tls: str) -> None:
        self._recipients = recipients
        self._number = number
        self._host = host
        self._address = address
        self._port = port
        self._tls = tls
        self._started = clock.now()
        self._clock = time.monotonic()
        self._results: dict[str, Attempt] = {}

    @property
    def attempts(self) -> list[Attempt]:
        """One for each recipient, in their order."""
        return [self._results[recipient] for recipient in self._recipients]

    def add(self, recipient: str, step: str, code: int, text: str, outcome: Outcome | None = None) -> None:
        """The server's answer for one recipient; its first digit decides where `outcome` does not."""
        # Octets that are not UTF-8 arrive as surrogates, which JSON does not have.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        text = text.encode()[:MAX_TEXT].decode("utf-8", "ignore")
        enhanced = _ENHANCED.match(text)
        outcome = outcome or {2: Outcome.ACCEPTED, 5: Outcome.PERMANENT}.get(code // 100, Outcome.TEMPORARY)
        self._results[recipient] = Attempt(
            number=self._number,
            target=recipient,
            outcome=outcome,
            started_at=self._started,
            duration_ms=int((time.monotonic() - self._clock) * 1000),
            host=self._host,
            ip=self._address,
            port=self._port,
            tls=self._tls,
            command=step,
            code=code if 0 <= code <= 999 else 0,
            enhanced_code=enhanced[1] if enhanced else "",
            text=text,
        )

    def add_for_the_rest(self, step: str, code: int, text: str, outcome: Outcome | None = None) -> None:
        """The answer for every recipient that has none yet."""
        for recipient in self._recipients:
            if recipient not in self._results:
                self.add(recipient, step, code, text, outcome)


def not_opened(
    error: NotOpened, recipients: tuple[str, ...], number: int, host: str, ip: str, port: int
) -> list[Attempt]:
    """An attempt that did not get as far as a transaction."""
    answers = Answers(recipients, number, host, ip, port, "")
    ours = error.step == "AUTH"  # our password is wrong: nothing against the mail, and somebody will mend it
    answers.add_for_the_rest(
        error.step, error.code, error.text, Outcome.TEMPORARY if ours or 0 < error.code < 400 else None
    )
    return answers.attempts


async def attempt_smtp(
    session: Session,
    transaction: SmtpTransaction,
    number: int,
    begin: Callable[[], None],
    deadline: "asyncio.Timeout | None" = None,
) -> tuple[list[Attempt], bool]:
    """(one attempt for each recipient in their order, whether the session can carry another transaction). Never raises for what a server
    or the network does. `begin` is called when the content begins to leave; from then on `deadline` is that of the transfer."""
    answers = Answers(transaction.recipients, number, session.host, session.address, session.port or 0, session.tls)
    talk = _Transaction(session, transaction, answers, begin, deadline)
    try:
        await talk.run()
        return answers.attempts, talk.clean
    except SMTPResponseException as error:
        # A 2yz or 3yz where it has no place (250 to DATA) took nothing: only the answer after the last octet does.
        answers.add_for_the_rest(talk.step, error.code, error.message, Outcome.TEMPORARY if error.code < 400 else None)
    except TROUBLE as error:
        answers.add_for_the_rest(talk.step, 0, f"{type(error).__name__}: {error}")
    return answers.attempts, False


class _Transaction:
    def __init__(
        self,
        session: Session,
        transaction: SmtpTransaction,
        answers: Answers,
        begin: Callable[[], None],
        deadline: "asyncio.Timeout | None",
    ) -> None:
        self._session = session
        self._transaction = transaction
        self._answers = answers
        self._begin = begin
        self._deadline = deadline
        self._encoding = "utf-8" if transaction.smtputf8 else "ascii"
        self.step = "MAIL"
        self.clean = False  # the session is where it was before

    async def run(self) -> None:
        if self._transaction.smtputf8 and not self._session.supports_extension("smtputf8"):
            self._answers.add_for_the_rest("EHLO", 0, NO_UTF8, Outcome.PERMANENT)
            self.clean = True
            return
        await self._mail()
        accepted = await self._recipients()
        if accepted:
            await self._data(accepted)
            self.clean = True
        else:
            await self._session.rset()
            self.clean = True

    async def _mail(self) -> None:
        offers = self._session.supports_extension
        options = [f"SIZE={self._transaction.size}"] if offers("size") else []
        options += ["BODY=8BITMIME"] if offers("8bitmime") else []
        options += ["SMTPUTF8"] if self._transaction.smtputf8 else []
        try:
            await self._session.mail(self._transaction.envelope_from, options=options, encoding=self._encoding)
        except SMTPResponseException as error:
            if error.code // 100 != 2:
                raise

    async def _recipients(self) -> list[str]:
        self.step = "RCPT"
        accepted = []
        for recipient in self._transaction.recipients:
            try:
                await self._session.rcpt(recipient, encoding=self._encoding)
                accepted.append(recipient)
            except SMTPResponseException as error:
                if error.code // 100 == 2:  # 252 is a yes too (RFC 5321 section 4.3.2): the first digit decides
                    accepted.append(recipient)
                    continue
                self._answers.add(recipient, self.step, error.code, error.message)
                if error.code == 421:
                    raise
        return accepted

    async def _data(self, accepted: list[str]) -> None:
        if self._deadline is not None:  # how long our own store takes says nothing about the destination
            self._deadline.reschedule(None)
        content = await self._transaction.content()
        self.step = "DATA"
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + ANSWER)
        begun = await self._session.begin_data()
        if begun.code != 354:
            raise SMTPResponseException(begun.code, begun.message)
        allowed = ANSWER + len(content) / SLOWEST
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + allowed + 5.0)
        self._begin()
        answer = await self._session.send_content(content, allowed)
        for recipient in accepted:
            self._answers.add(recipient, self.step, answer.code, answer.message)


def refused_here(number: int, target: str, outcome: Outcome, text: str, reason: Reason | None, step: str) -> Attempt:
    """An attempt that no server was asked for."""
    return Attempt(
        number=number, target=target, outcome=outcome, started_at=clock.now(), command=step, text=text, reason=reason
    )
