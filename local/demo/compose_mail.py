"""The mails that people, newsletters and impostors of the demo write. Builds bytes and an envelope; sends nothing."""

import base64
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, localtime, make_msgid

import dkim

from local.demo.cast import (
    DOMAINS,
    HIJACKER_ADDRESS,
    IMPOSTOR_ADDRESS,
    LURES,
    MAILBOX_ADDRESS,
    MAILBOX_HOST,
    NEWSLETTERS,
    OURS,
    QUESTIONS,
    SALES_QUESTIONS,
    SELECTOR,
    Domain,
    Person,
    domain,
)

POLICY = SMTP.clone(cte_type="7bit")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CUSTOMERS = ("acme.example", "shop.example", "partner.example")


@dataclass(frozen=True)
class Sending:
    """One SMTP transaction to make: from which address, as whom, to whom, what."""

    kind: str
    source: str
    helo: str
    envelope_from: str
    to: str
    content: bytes


@dataclass(frozen=True)
class Notification:
    """A mail of ours that arrived at a remote server, which somebody may answer."""

    recipient: str
    subject: str
    message_id: str


class Writer:
    """Composes mail of every kind. `answerable` holds notifications that wait for a reply, `keys` what the desk has made lately."""

    def __init__(self, keys: Mapping[str, bytes], dice: random.Random) -> None:
        self._keys = keys
        self._dice = dice
        self.answerable: deque[Notification] = deque(maxlen=50)
        self.keys: deque[str] = deque(maxlen=20)  # of requests that the desk has made lately

    @property
    def kinds(self) -> dict[Callable[[], Sending], int]:
        """Every kind of mail with how often it is written."""
        return {
            self.question: 8,
            self.question_with_attachment: 3,
            self.reply: 5,
            self.sales: 4,
            self.newsletter: 3,
            self.spoof: 3,
            self.automatic_reply: 2,
            self.unknown_recipient: 2,
            self.order: 2,
            self.bank_letter: 2,
            self.unprotected_spoof: 1,
            self.broken_signature: 1,
            self.without_subject: 1,
            self.spam: 1,
            self.to_a_dead_forward: 1,
            self.as_a_blind_copy: 1,
        }

    def question(self) -> Sending:
        """A customer asks support: authenticated, becomes a request."""
        subject, text = self._dice.choice(QUESTIONS)
        return self._send("question", *self._customer(), f"support@{OURS}", self._text(subject, text))

    def question_with_attachment(self) -> Sending:
        """The same with an HTML part and two attachments."""
        subject, text = self._dice.choice(QUESTIONS)
        mail = self._text(subject, text)
        mail.add_alternative(f"<p>{text}</p><p>Regards</p>", subtype="html")
        mail.add_attachment(PIXEL, "image", "png", filename="Bildschirmfoto größer.png")
        mail.add_attachment(b"%PDF-1.4\n" + self._dice.randbytes(6000), "application", "pdf", filename="statement.pdf")
        return self._send("attachment", *self._customer(), f"support@{OURS}", mail)

    def reply(self) -> Sending:
        """An answer to a notification of ours, which names the request; a question while nobody can answer."""
        if not self.answerable:
            return self.question()
        heard = self.answerable.popleft()
        local_part, _, name = heard.recipient.partition("@")
        person = next((p for p in domain(name).people if p.local_part == local_part), Person(local_part, local_part))
        mail = self._text(f"Re: {heard.subject}", "Thank you, that helped. One more thing: it is still slow.")
        mail["In-Reply-To"] = mail["References"] = heard.message_id
        return self._send("reply", domain(name), person, f"support@{OURS}", mail)

    def sales(self) -> Sending:
        """A question to sales, which is forwarded to a partner."""
        subject, text = self._dice.choice(SALES_QUESTIONS)
        to = self._dice.choice(("sales-emea", "sales-us", "sales-apac"))
        return self._send(
            "sales", domain("acme.example"), self._person("acme.example"), f"{to}@{OURS}", self._text(subject, text)
        )

    def order(self) -> Sending:
        """An order, whose forward is greylisted first."""
        mail = self._text(f"Order {self._dice.randrange(1000, 9999)}", "12 chairs, oak, delivery as always.")
        return self._send("order", *self._customer(), f"orders@{OURS}", mail)

    def to_a_dead_forward(self) -> Sending:
        """Mail for an address whose forward bounces."""
        mail = self._text("Parking permits", "Please send two for Thursday.")
        return self._send("dead forward", *self._customer(), f"office@{OURS}", mail)

    def as_a_blind_copy(self) -> Sending:
        """A question that no visible recipient shows: the envelope alone says that it is for us."""
        subject, text = self._dice.choice(QUESTIONS)
        mail = self._text(subject, text)
        mail["To"] = "undisclosed-recipients:;"
        return self._send("blind copy", *self._customer(), f"support@{OURS}", mail)

    def newsletter(self) -> Sending:
        """A newsletter with List-Id and one-click unsubscription: dropped by a rule."""
        mail = self._text(self._dice.choice(NEWSLETTERS), "See all offers in our shop.")
        mail["List-Id"] = "Shop News <news.shop.example>"
        mail["List-Unsubscribe"] = "<https://shop.example/unsubscribe/1>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail["Precedence"] = "bulk"
        shop = domain("shop.example")
        return self._send("newsletter", shop, shop.people[0], f"news@{OURS}", mail)

    def automatic_reply(self) -> Sending:
        """An out-of-office answer (RFC 3834) with the null sender."""
        mail = self._text("Out of office: back on Monday", "I am on leave. In urgent cases call my colleague.")
        mail["Auto-Submitted"] = "auto-replied"
        return self._send("automatic reply", *self._customer(), f"support@{OURS}", mail, envelope_from="")

    def without_subject(self) -> Sending:
        """A mail that the desk cannot take: no subject."""
        return self._send("no subject", *self._customer(), f"support@{OURS}", self._text("", "call me back"))

    def unknown_recipient(self) -> Sending:
        """A mistyped address: refused at RCPT."""
        to = self._dice.choice(("suport", "info.old", "jon.smith", "helpdsk"))
        return self._send("unknown", *self._customer(), f"{to}@{OURS}", self._text("Hello?", "Is anybody there?"))

    def spam(self) -> Sending:
        """Mail for an address that a rule refuses."""
        return self._send(
            "spam", *self._customer(), f"spam@{OURS}", self._text("You have won", "Claim your prize now.")
        )

    def bank_letter(self) -> Sending:
        """The bank itself, from its own host and signed: what the spoof pretends to be."""
        bank = domain("bank.example")
        mail = self._text("Your statement of October is ready", "Please find it in your mailbox at the bank.")
        return self._send("bank", bank, bank.people[0], f"support@{OURS}", mail)

    def spoof(self) -> Sending:
        """Somebody who is not the bank writes as the bank: refused by its DMARC policy."""
        bank = domain("bank.example")
        mail = self._text(*self._dice.choice(LURES))
        return self._send(
            "spoof",
            bank,
            bank.people[0],
            f"support@{OURS}",
            mail,
            sign=False,
            source=IMPOSTOR_ADDRESS,
            helo="host.evil.example",
        )

    def unprotected_spoof(self) -> Sending:
        """The same with a domain that asks for no policy: accepted, and the log shows dmarc=fail."""
        shop = domain("shop.example")
        mail = self._text("Your parcel could not be delivered", "Pay the fee of 1.99 at http://pool.evil.example/fee")
        return self._send(
            "hijack",
            shop,
            shop.people[0],
            f"support@{OURS}",
            mail,
            sign=False,
            source=HIJACKER_ADDRESS,
            helo="pool.evil.example",
        )

    def broken_signature(self) -> Sending:
        """A relay added a footer: DKIM fails, SPF passes, and so does DMARC."""
        sending = self._send("footer", *self._customer(), f"support@{OURS}", self._text(*self._dice.choice(QUESTIONS)))
        return Sending(**{**vars(sending), "content": sending.content + b"-- \r\nScanned by MailGuard\r\n"})

    def to_mailbox(self) -> bytes:
        """A mail as it lies in the polled mailbox: its server has written on top who sent it, and what it found out about that."""
        kinds = {
            self.question: 6, self.question_with_attachment: 1, self.by_its_key: 4, self.automatic_reply: 1, self.newsletter: 1,
            self.without_subject: 1,
        }  # fmt: skip
        sending = self._dice.choices(list(kinds), list(kinds.values()))[0]()
        domain_name = sending.envelope_from.rpartition("@")[2]
        found = (
            f"spf=pass smtp.mailfrom={sending.envelope_from}; dmarc=pass header.from={domain_name}"
            if domain_name
            else "spf=none"
        )
        head = (
            f"Return-Path: <{sending.envelope_from}>\r\n"
            f"Authentication-Results: {MAILBOX_HOST}; {found}\r\n"
            f"Received: from {sending.helo} ([{sending.source}]) by {MAILBOX_HOST} with ESMTPS for <{MAILBOX_ADDRESS}>;\r\n"
            f" {format_datetime(localtime())}\r\n"
        )
        return head.encode() + sending.content

    def by_its_key(self) -> Sending:
        """A comment on a request, of which nothing but the key in its subject tells."""
        text = "Any news? It still happens every morning."
        key = self._dice.choice(self.keys) if self.keys else "IT-1"
        return self._send("key", *self._customer(), MAILBOX_ADDRESS, self._text(f"Re: {key} still open?", text))

    def _customer(self) -> tuple[Domain, Person]:
        name = self._dice.choice(CUSTOMERS)
        return domain(name), self._person(name)

    def _person(self, name: str) -> Person:
        return self._dice.choice([person for person in domain(name).people if not person.role])

    def _text(self, subject: str, text: str) -> EmailMessage:
        mail = EmailMessage(policy=POLICY)
        if subject:
            mail["Subject"] = subject
        mail.set_content(f"Hello,\n\n{text}\n\nRegards\n")
        return mail

    def _send(
        self, kind: str, sender: Domain, person: Person, to: str, mail: EmailMessage, *, sign: bool = True,
        source: str | None = None, helo: str | None = None, envelope_from: str | None = None,
    ) -> Sending:  # fmt: skip
        address = f"{person.local_part}@{sender.name}"
        mail["From"] = formataddr((person.name, address))
        if "To" not in mail:
            mail["To"] = to
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = make_msgid(domain=sender.name)
        content = mail.as_bytes()
        if sign:
            content = dkim.sign(content, SELECTOR.encode(), sender.name.encode(), self._keys[sender.name]) + content
        return Sending(
            kind, source or sender.sends_from, helo or f"out.{sender.name}",
            address if envelope_from is None else envelope_from, to, content,
        )  # fmt: skip


def is_known(address: str) -> bool:
    """Whether the address belongs to one of the people of the cast."""
    return any(address == f"{p.local_part}@{d.name}" for d in DOMAINS for p in d.people if not p.role)
