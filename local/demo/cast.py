"""Who plays: the domains of the demo internet, their hosts, their people, and what they write about. Data only."""

from dataclasses import dataclass

OURS = "example.com"
SELECTOR = "s1"
MAILBOX_USER = "it-help"  # whose mailbox is polled, at a provider of ours
MAILBOX_ADDRESS = "it-help@example.net"
MAILBOX_HOST = "mail.example.net"  # the server that takes its mail, and writes the Authentication-Results on top
MAIL_HOST_ADDRESS = "127.0.0.1"  # where Mailscope itself sends from


@dataclass(frozen=True)
class Person:
    """Somebody with a mailbox."""

    name: str
    local_part: str
    role: bool = False  # a shared mailbox: it asks no questions


@dataclass(frozen=True)
class Domain:
    """One remote domain: what it publishes, where it sends from, where its mail server listens, who lives there."""

    name: str
    sends_from: str
    receives_at: str
    dmarc: str
    spf_all: str
    starttls: bool
    people: tuple[Person, ...]


DOMAINS = (
    Domain(
        "acme.example", "127.0.0.11", "127.0.1.11", "v=DMARC1; p=quarantine", "-all", True,
        (
            Person("Anna Kowalska", "anna.kowalska"), Person("Tom Baker", "tom.baker"),
            Person("Mei Lin 林美", "mei.lin"), Person("Luis Ortega", "luis.ortega"),
        ),
    ),
    Domain(
        "partner.example", "127.0.0.12", "127.0.1.12", "v=DMARC1; p=reject", "-all", False,
        (
            Person("Joanna Weber", "joanna.weber"), Person("Ravi Patel", "ravi.patel"),
            Person("Sales Team", "team", role=True),
        ),
    ),
    Domain(
        "shop.example", "127.0.0.13", "127.0.1.13", "v=DMARC1; p=none", "~all", False,
        (
            Person("Shop News", "news", role=True), Person("Zoë Dupont", "zoe.dupont"),
            Person("Igor Novak", "igor.novak"),
        ),
    ),
    Domain(
        "bank.example", "127.0.0.14", "127.0.1.14", "v=DMARC1; p=reject", "-all", False,
        (Person("Bank Service", "service", role=True), Person("Klára Horák", "klara.horak")),
    ),
)  # fmt: skip

IMPOSTOR_ADDRESS = "127.0.0.66"  # writes as bank.example, which never named it
HIJACKER_ADDRESS = "127.0.0.67"  # writes as shop.example, which asks for no policy

QUESTIONS = (
    ("Printer on the third floor prints blank pages", "It started this morning after the paper was changed."),
    ("Cannot log in since the password change", "The page says 'session expired' right after I sign in."),
    ("VPN drops every ten minutes", "Windows 11, client 5.2. It worked until last week."),
    ("New laptop for a colleague", "She starts on the first; could it be here a day earlier?"),
    ("Access to the shared drive «Finanzen»", "Bitte Lesezugriff für mich und Frau Müller. Vielen Dank! Grüße"),
    ("Rechnung fehlt für Auftrag 4711", "Könnten Sie uns die Rechnung noch einmal schicken?"),
    ("無法開啟附件", "附件無法開啟,請協助處理。謝謝!"),
    ("Monitor flickers 😵", "Only on the docking station. A photo is attached."),
    ("Invoice 2026-1043 seems to be doubled", "We were charged twice, see the attached statement."),
    ("How do I invite an external guest?", "I found no button for it in the portal."),
)

SALES_QUESTIONS = (
    ("Offer for 250 seats", "We would like to extend our contract. Whom should we talk to?"),
    ("Question about prices in Europe", "Is VAT included in the list prices?"),
    ("Meeting next Tuesday?", "We could come to your office at 10:00."),
)

LURES = (
    ("Your account has been locked", "Confirm your card at once: http://bank.example.evil.example/unlock"),
    ("Unusual sign-in: act now", "We noticed a sign-in from a new device. Verify your identity."),
    ("Payment of EUR 4,980.00 is waiting", "Open the attached form to release it."),
)

NEWSLETTERS = (
    "Deals of the week: up to 40% off",
    "New arrivals: everything for the home office",
    "Last chance: free shipping ends tonight",
)

# Addresses at the remote servers whose local part decides what they answer (see habits.py).
OUTBOUND_TROUBLE = (
    "gone.hansen@acme.example",  # 550 5.1.1, then on our suppression list
    "full.mailbox@partner.example",  # 552 5.2.2
    "greylist.maria@shop.example",  # 451 4.7.1 twice, then 250
    "blocked.desk@bank.example",  # 550 5.7.1: our reputation, not the address
    "busy.office@shop.example",  # 421 4.3.2 until it expires
    "slow.peter@partner.example",  # 421 4.7.0 once, then 250
    "someone@nowhere.example",  # no such domain
    "nobody@nomail.example",  # null MX: takes no mail (RFC 7505)
)


def domain(name: str) -> Domain:
    """The remote domain of that name. Raises KeyError."""
    return {each.name: each for each in DOMAINS}[name]
