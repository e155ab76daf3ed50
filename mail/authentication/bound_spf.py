"""What one SPF record may cost: sizes beyond which it is a permanent error, and answers cut to what is evaluated (RFC 7208 §11.1)."""

from typing import Any

from contracts.dns_answers import DnsAnswer

MAX_RECORD = 4096  # octets of one record; RFC 7208 §3.4 advises 450
MAX_TERMS = 256
MAX_TERM = 512  # octets of one term; a domain name has 253
MAX_EXPLANATION = 1024  # octets before macros are expanded; a longer one is ignored as any broken one is (§6.2)
MAX_ADDRESSES = 256  # of one host


def is_too_long(record: str) -> bool:
    """A record that nobody needs: evaluating it would cost more than a mail is worth."""
    terms = record[: MAX_RECORD + 1].split()
    return len(record) > MAX_RECORD or len(terms) > MAX_TERMS or any(len(term) > MAX_TERM for term in terms)


def usable_name(name: Any) -> str:
    """A name as it is asked; "" for one that no DNS can hold."""
    name = str(name).rstrip(".").lower()
    usable = name and len(name) <= 253 and all(0 < len(label) < 64 for label in name.split("."))
    return name if usable else ""


def to_records(answer: DnsAnswer, qtype: str, explanation: bool) -> tuple[list[Any], bool]:
    """The records as pyspf takes them, and whether there are none at all. Only SPF records and explanations are TXT."""
    if qtype == "TXT":
        texts = answer.texts()
        wanted = texts[:2] if explanation else [text for text in texts if text[:6].lower() == b"v=spf1"]
        return [[text] for text in wanted], not texts
    if qtype == "MX":
        exchanges = [pair for pair in answer.exchanges() if pair[1]]
        return exchanges, not exchanges
    values = list(answer.values()[:MAX_ADDRESSES])
    return values, not values
