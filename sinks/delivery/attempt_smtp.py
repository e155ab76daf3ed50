"""One SMTP transaction over an open session: what the server answered for each recipient (RFC 5321, RFC 6531)."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiosmtplib.email import quote_address
from aiosmtplib.errors import SMTPResponseException
from aiosmtplib.response import SMTPResponse
from msgspec.structs import replace

from contracts import clock
from contracts.events import Attempt, Outcome
from contracts.statuses import Reason
from sinks.delivery.open_session import TROUBLE, NotOpened, Session

ANSWER = 600.0  # seconds for the answer to the end of DATA (RFC 5321 section 4.5.3.2.6)
SLOWEST = 16 << 10  # octets a second that a line must carry, beyond which the transfer is given up
MOST_AHEAD = 50  # recipients whose commands go in one write
MAX_TEXT = 4096  # octets of an answer that are kept
NO_UTF8 = "the server does not offer SMTPUTF8, which this mail's addresses or headers need"
_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True)
class SmtpTransaction:
    """What is said in a transaction. The content, as it travels (`to_wire`), is asked for when a recipient was accepted; with
    PIPELINING, when the session is open."""

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

    def doubt(self) -> None:
        """What was refused for good may have been refused to another one: it is tried again."""
        for recipient, attempt in self._results.items():
            if attempt.outcome is Outcome.PERMANENT:
                self._results[recipient] = replace(attempt, outcome=Outcome.TEMPORARY)

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
        # Several commands in one write, DATA last (RFC 2920 section 3.1): then the content is at hand before anything is said.
        self._ahead = session.supports_extension("pipelining") and len(transaction.recipients) <= MOST_AHEAD
        self.step = "MAIL"
        self.clean = False  # the session is where it was before

    async def run(self) -> None:
        if self._transaction.smtputf8 and not self._session.supports_extension("smtputf8"):
            self._answers.add_for_the_rest("EHLO", 0, NO_UTF8, Outcome.PERMANENT)
            self.clean = True
            return
        mail = self._mail()
        recipients = [self._rcpt(recipient) for recipient in self._transaction.recipients]
        content = None
        if self._ahead:
            content = await self._content()
            self._session.say(mail, *recipients, b"DATA")
        answer = await self._ask(mail)
        if answer.code // 100 != 2:
            raise SMTPResponseException(answer.code, answer.message)
        accepted = await self._recipients(recipients)
        if accepted:
            await self._data(accepted, content)
        else:
            await self._without_recipients()

    async def _ask(self, command: bytes) -> SMTPResponse:
        """The answer to a command, which was sent already where commands go ahead."""
        if not self._ahead:
            self._session.say(command)
        return await self._session.hear()

    def _mail(self) -> bytes:
        offers = self._session.supports_extension
        options = [b"SIZE=%d" % self._transaction.size] if offers("size") else []
        options += [b"BODY=8BITMIME"] if offers("8bitmime") else []
        options += [b"SMTPUTF8"] if self._transaction.smtputf8 else []
        return b" ".join(
            [b"MAIL FROM:" + quote_address(self._transaction.envelope_from).encode(self._encoding), *options]
        )

    def _rcpt(self, recipient: str) -> bytes:
        return b"RCPT TO:" + quote_address(recipient).encode(self._encoding)

    async def _recipients(self, commands: list[bytes]) -> list[str]:
        self.step = "RCPT"
        accepted = []
        for recipient, command in zip(self._transaction.recipients, commands, strict=True):
            answer = await self._ask(command)
            if answer.code // 100 == 2:  # 252 is a yes too (RFC 5321 section 4.3.2): the first digit decides
                accepted.append(recipient)
                continue
            self._answers.add(recipient, self.step, answer.code, answer.message)
            if answer.code == 421:
                raise SMTPResponseException(answer.code, answer.message)
        return accepted

    async def _content(self) -> bytes:
        """How long our own store takes says nothing about the destination."""
        if self._deadline is None:
            return await self._transaction.content()
        until, now = self._deadline.when(), asyncio.get_running_loop().time
        left = until - now() if until is not None else ANSWER
        self._deadline.reschedule(None)
        content = await self._transaction.content()
        self._deadline.reschedule(now() + left)
        return content

    async def _data(self, accepted: list[str], content: bytes | None) -> None:
        if content is None:
            content = await self._content()
        self.step = "DATA"
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + ANSWER)
        begun = await self._ask(b"DATA")
        self._weigh(begun)
        if begun.code != 354:
            raise SMTPResponseException(begun.code, begun.message)
        allowed = ANSWER + len(content) / SLOWEST
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + allowed + 5.0)
        self._begin()
        self._session.send(content)
        answer = await self._session.hear(allowed)
        for recipient in accepted:
            self._answers.add(recipient, self.step, answer.code, answer.message)
        self.clean = answer.code != 421

    def _weigh(self, begun: SMTPResponse) -> None:
        """DATA has one answer, or is refused. Any other is that of a server that has said one thing too many: whose refusals these are,
        nobody knows."""
        if self._ahead and begun.code != 354 and begun.code // 100 not in (4, 5):
            self._answers.doubt()

    async def _without_recipients(self) -> None:
        """No recipient was accepted. A server may ask for content all the same, and gets none (RFC 2920 section 3.1)."""
        if self._ahead:
            begun = await self._session.hear()
            self._weigh(begun)
            if begun.code == 354:
                self._session.send(b".\r\n")
                await self._session.hear()
        self._session.say(b"RSET")
        self.clean = (await self._session.hear()).code // 100 == 2


def refused_here(number: int, target: str, outcome: Outcome, text: str, reason: Reason | None, step: str) -> Attempt:
    """An attempt that no server was asked for."""
    return Attempt(
        number=number, target=target, outcome=outcome, started_at=clock.now(), command=step, text=text, reason=reason
    )
