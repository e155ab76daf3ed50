"""What large receivers ask of the mail that they get: whether a mail of ours does it. Pure.

Sources: the "Email sender guidelines" of Google and the "Sender best practices" of Yahoo (since February 2024): SPF and DKIM, one of them
aligned with From (DMARC, RFC 9989 section 4.4), a connection with TLS, and for mail that was subscribed to a one-click unsubscription
(RFC 8058) that the signature covers.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mail.addresses import split_address
from mail.authentication.parse_tags import parse_tags, split_list

ONE_CLICK = "list-unsubscribe=one-click"
_COVERED = {"list-unsubscribe", "list-unsubscribe-post"}


@dataclass(frozen=True)
class Guideline:
    """One of them; `met` None: it cannot be said of this mail, or not yet."""

    name: str  # dkim_aligned, spf_aligned, tls or one_click
    met: bool | None
    detail: str


def judge_guidelines(mail: dict[str, Any], offering: Collection[str]) -> list[Guideline]:
    """Of a mail as the API tells it; none for inbound mail, or while its headers are not known. `offering`: the streams whose mail gets an
    unsubscription put on (`outbound.streams`)."""
    headers = [(one["name"].lower(), one["value"]) for one in mail["headers"]]
    if mail["direction"] != "outbound" or not headers:
        return []
    author = split_address(mail["from"] or "")[1].lower()
    signatures = [_tags(value) for name, value in headers if name == "dkim-signature"]
    aligned = [tags for tags in signatures if _is_aligned(tags.get("d", ""), author)]
    first = mail["recipients"][0]
    return [
        _dkim(aligned, signatures, author),
        _spf(split_address(first["envelope_from"] or "")[1].lower(), author),
        _tls(mail["attempts"]),
        _one_click(dict(headers), aligned, first["stream"] or "", offering),
    ]


def _dkim(aligned: list[dict[str, str]], signatures: list[dict[str, str]], author: str) -> Guideline:
    if aligned:
        signed = ", ".join(f"{tags.get('s', '')}._domainkey.{tags['d']} ({tags.get('a', '')})" for tags in aligned)
        return Guideline("dkim_aligned", True, f"signed by {signed}")
    others = ", ".join(sorted({tags.get("d", "") for tags in signatures}))
    why = f"signed by {others} alone" if others else "there is no signature"
    return Guideline("dkim_aligned", False, f"{why}: add a key of {author} to outbound.domains")


def _spf(envelope_domain: str, author: str) -> Guideline:
    if not envelope_domain:
        return Guideline("spf_aligned", None, "the null sender: receivers look at the name that we greet with")
    if not _is_aligned(envelope_domain, author):
        return Guideline("spf_aligned", False, f"the envelope sender is of {envelope_domain}, From of {author}")
    check = f"mailscope check-domain {envelope_domain}"
    return Guideline("spf_aligned", True, f"the envelope sender is of {envelope_domain}; its record: {check}")


def _tls(attempts: list[dict[str, Any]]) -> Guideline:
    accepted = [one for one in attempts if one["outcome"] == "accepted"]
    if not accepted:
        return Guideline("tls", None, "no server has taken it yet")
    clear = next((one for one in accepted if not one["tls"]), None)
    if clear is not None:
        return Guideline("tls", False, f"{clear['host'] or clear['ip']} got it in the clear")
    return Guideline("tls", True, accepted[-1]["tls"])


def _one_click(
    headers: dict[str, str], aligned: list[dict[str, str]], stream: str, offering: Collection[str]
) -> Guideline:
    if "list-unsubscribe" not in headers:
        if stream in offering:
            return Guideline("one_click", True, f"put on for each recipient, and signed (stream {stream})")
        return Guideline("one_click", None, "asked of mail that was subscribed to: outbound.streams puts it on")
    if headers.get("list-unsubscribe-post", "").replace(" ", "").lower() != ONE_CLICK:
        return Guideline("one_click", False, "List-Unsubscribe-Post: List-Unsubscribe=One-Click is missing")
    if "https://" not in headers["list-unsubscribe"].lower():
        return Guideline("one_click", False, "List-Unsubscribe has no https address")
    if not any(set(split_list(tags.get("h", "").lower().encode())) >= _COVERED for tags in aligned):
        return Guideline("one_click", False, "no aligned signature covers both headers")
    return Guideline("one_click", True, "in the message, and covered by the signature")


def _tags(value: str) -> dict[str, str]:
    try:
        found = parse_tags(value.encode("utf-8", "surrogateescape"))
    except ValueError:
        return {}
    return {name: text.decode("utf-8", "replace").strip() for name, text in found.items()}


def _is_aligned(domain: str, author: str) -> bool:
    """Of one domain, or one below the other. Relaxed alignment (RFC 9989 section 4.4) also holds between siblings, and asks DNS for that:
    what we sign and send by ourselves is never one."""
    domain = domain.lower().rstrip(".")
    return bool(domain and author) and (
        domain == author or domain.endswith(f".{author}") or author.endswith(f".{domain}")
    )
