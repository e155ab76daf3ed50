"""Write the header fields that a forwarded mail gets in front: Authentication-Results (RFC 8601 §2.2) and
Received (RFC 5321 §4.4).

What the peer said (HELO, addresses, selectors) cannot leave its place: control characters are dropped, and a
value that is no token is quoted."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime

from contracts.auth_results import ArcWord, AuthResults, DkimResult, SpfResult

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")
_ADDRESS = re.compile(r"(?:[A-Za-z0-9!#$%&'*+.^_`{|}~/=?-]+)?@[A-Za-z0-9._-]+")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[A-Za-z0-9.:]{1,60}\]")
_UNSAFE = re.compile(r"[^\x20-\x7e]")
MAX_VALUE = 320


def write_auth_results(results: AuthResults, authserv_id: str) -> bytes:
    """One Authentication-Results field, folded, CRLF included."""
    methods = [_spf(results.spf)]
    methods += [_dkim(one) for one in results.dkim] or ["dkim=none"]
    methods.append(_dmarc(results))
    if results.arc.result is not ArcWord.NONE:
        methods.append(_arc(results))
    methods.append(f"iprev={results.iprev_word} policy.iprev={_pvalue(results.iprev.peer_ip)}")
    lines = ";\r\n\t".join([_pvalue(authserv_id), *methods])
    return b"Authentication-Results: " + lines.encode("ascii") + b"\r\n"


def write_received(
    *, helo: str, peer_ip: str, peer_name: str, by: str, protocol: str, mail_id: str, now: float, recipient: str = ""
) -> bytes:
    """One Received field, CRLF included. `protocol` is SMTP, ESMTP, ESMTPS or ESMTPSA (RFC 3848).

    `recipient` only where the mail has a single one: a list would show blind copies (RFC 5321 §7.6)."""
    said = helo if _HOST.fullmatch(helo) else "unknown"
    literal = f"IPv6:{peer_ip}" if ":" in peer_ip else peer_ip
    address = literal if re.fullmatch(r"[A-Za-z0-9.:]{1,60}", literal) else "unknown"
    name = f"{peer_name} " if _HOST.fullmatch(peer_name) else ""
    target = f"\r\n\tfor <{recipient}>" if _ADDRESS.fullmatch(recipient) and len(recipient) <= MAX_VALUE else ""
    date = format_datetime(datetime.fromtimestamp(now, UTC))
    text = (
        f"Received: from {said} ({name}[{address}])\r\n\tby {_host(by)} with {_word(protocol)} id {_word(mail_id)}"
        f"{target};\r\n\t{date}\r\n"
    )
    return text.encode("ascii")


def _spf(spf: SpfResult) -> str:
    comment = f" ({_comment(spf.mechanism)})" if spf.mechanism else ""
    if spf.identity == "helo":
        return f"spf={spf.result}{comment} smtp.helo={_pvalue(spf.domain)}"
    return f"spf={spf.result}{comment} smtp.mailfrom={_pvalue(spf.sender)}"


def _dkim(one: DkimResult) -> str:
    reason = f" reason={_pvalue(one.reason.value)}" if one.reason else ""
    parts = [f"dkim={one.result}{reason}"]
    for name, value in (
        ("header.d", one.domain),
        ("header.s", one.selector),
        ("header.i", one.identity),
        ("header.a", one.algorithm),
        ("header.b", one.signature_start),
    ):
        if value:
            parts.append(f"{name}={_pvalue(value)}")
    return " ".join(parts)


def _dmarc(results: AuthResults) -> str:
    dmarc = results.dmarc
    parts = [f"dmarc={dmarc.result}"]
    if dmarc.reason:
        parts.append(f"reason={_pvalue(dmarc.reason.value)}")
    if dmarc.domain:
        parts.append(f"header.from={_pvalue(dmarc.domain)}")
    if dmarc.record:
        parts.append(f"polrec.p={dmarc.policy}")
        if dmarc.record_domain != dmarc.domain:
            parts.append(f"polrec.domain={_pvalue(dmarc.record_domain)}")
    return " ".join(parts)


def _arc(results: AuthResults) -> str:
    arc = results.arc
    oldest = f" header.oldest-pass={arc.oldest_pass}" if arc.oldest_pass >= 0 else ""
    return f"arc={arc.result} (i={arc.instances}){oldest} smtp.remote-ip={_pvalue(results.iprev.peer_ip)}"


def _pvalue(value: str) -> str:
    """A token, an address, or a quoted string (RFC 8601 §2.2 pvalue); always on one line and in ASCII."""
    value = _UNSAFE.sub("", value)[:MAX_VALUE]
    if _TOKEN.fullmatch(value) or _ADDRESS.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _comment(value: str) -> str:
    """A term of an SPF record; what a careless reader could take for syntax is left out."""
    return re.sub(r"[^A-Za-z0-9:./%{}_+~? -]", "", value)[:MAX_VALUE]


def _host(value: str) -> str:
    return value if _HOST.fullmatch(value) else "unknown"


def _word(value: str) -> str:
    return value if _TOKEN.fullmatch(value) and len(value) < 100 else "unknown"
