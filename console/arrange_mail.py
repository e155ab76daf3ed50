"""From what the API says of a mail to what its page shows: the timeline with its attempts, one panel a check. Pure."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from console.explain_mail import words

# Facts of a check worth a line of their own, in this order; empty ones are left out.
FACTS = {
    "identity": "Identity",
    "sender": "Sender",
    "peer_ip": "Peer",
    "domain": "Domain",
    "selector": "Selector",
    "alignment": "Alignment",
    "mechanism": "Decided by",
    "explanation": "Domain's words",
    "algorithm": "Algorithm",
    "key_bits": "Key bits",
    "canonicalization": "Canonicalization",
    "signed_headers": "Signed headers",
    "organizational_domain": "Organizational domain",
    "record_domain": "Record found at",
    "published_policy": "Published policy",
    "policy": "Policy that applies",
    "spf_alignment": "SPF alignment",
    "dkim_alignment": "DKIM alignment",
    "instances": "ARC sets",
    "sealers": "Sealed by",
    "authentication_results": "Claimed results",
    "detail": "Detail",
}
WAITS = (5, 120, 3600, 6 * 3600)  # seconds from which a wait is drawn, and drawn longer
RULES = {"spf": "SPF", "dkim": "DKIM", "dmarc": "DMARC", "arc": "ARC", "iprev": "rDNS"}


def arrange_timeline(mail: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """The events, oldest first and at most so many, each with its attempts, how long after the mail came it was, and how long nothing
    happened for its recipient before it (`waited`, with a `length` of 1 to 4), where that is worth a line."""
    attempts: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for attempt in mail["attempts"]:
        attempts[(attempt["recipient"], attempt["number"])].append(attempt)
    start = datetime.fromisoformat(mail["received_at"])
    lines, last = [], dict[str, datetime]()
    for event in mail["events"][:most]:
        moment = datetime.fromisoformat(event["occurred_at"])
        waited = (moment - last.get(event["recipient"], moment)).total_seconds()
        last[event["recipient"]] = moment
        key = (event["recipient"], event["attempt"])
        lines.append(
            {
                **event,
                "after": elapsed((moment - start).total_seconds()),
                "tries": attempts.pop(key, []) if event["attempt"] else [],
                "waited": elapsed(waited).removeprefix("+") if waited >= WAITS[0] else "",
                "length": sum(waited >= one for one in WAITS),
            }
        )
    return lines


def arrange_checks(auth: dict[str, Any] | None) -> list[dict[str, Any]]:
    """One panel for each check that was made: what it found, its facts, and the evidence."""
    if auth is None:
        return []
    checks = [_check("dmarc", auth["dmarc"]), _check("spf", auth["spf"])]
    checks += [_check("dkim", signature) for signature in auth["dkim"]]
    if not auth["dkim"]:
        nothing = {"result": "none", "cause": "The mail carries no DKIM signature."}
        checks.append(_check("dkim", nothing))
    return [*checks, _check("arc", auth["arc"]), _check("iprev", auth["iprev"])]


def _check(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    facts = [(label, _text(found.get(name))) for name, label in FACTS.items()]
    return {
        "kind": kind,
        "title": RULES[kind],
        "result": found["result"],
        "domain": found.get("domain", ""),
        "selector": found.get("selector", ""),
        "summary": found.get("cause") or _good_news(kind, found),
        "cause": found.get("cause", ""),
        "cure": found.get("cure", ""),
        "reason": words(found.get("reason", "")),
        "facts": [(label, text) for label, text in facts if text],
        "record": found.get("record", ""),
        "dns": found.get("dns", []),
        "rfc7489": found.get("rfc7489"),
    }


def _good_news(kind: str, found: dict[str, Any]) -> str:
    if found["result"] != "pass":
        return "There is no ARC chain." if kind == "arc" and found["result"] == "none" else ""
    domain = found.get("domain", "")
    return {
        "spf": f"{found.get('peer_ip', 'The host')} may send for {domain}.",
        "dkim": f"The signature of {domain} is right: what it covers is unchanged.",
        "dmarc": f"The author's domain {domain} is authenticated.",
        "arc": "Every seal of the chain is right.",
        "iprev": f"{found.get('peer_ip', 'The host')} is {domain}, both ways.",
    }[kind]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "" if value in (None, 0, False, "unknown") else str(value)


def elapsed(seconds: float) -> str:
    """`+40 ms`, `+2.5 s`, `+3 min`, `+2 h`, `+4 d`."""
    if seconds < 1:
        return f"+{max(0, round(seconds * 1000))} ms"
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"+{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"+{seconds / 86_400:.1f}".removesuffix(".0") + " d"
