"""A DMARC record, read (RFC 9989 §4.7, §4.8)."""

import re
from functools import lru_cache

import msgspec

from contracts.auth_results import DmarcPolicy

_TAG_NAME = re.compile(r"[A-Za-z]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s!,;]+(?:![0-9]+[kmgtKMGT]?)?")


class DmarcRecord(msgspec.Struct, frozen=True):
    """Tags of one record, defaults filled in. `usable` is False where no DMARC processing may follow."""

    text: str
    p: DmarcPolicy = DmarcPolicy.NONE
    sp: DmarcPolicy | None = None
    np: DmarcPolicy | None = None
    psd: str = "u"
    testing: bool = False
    strict_dkim: bool = False
    strict_spf: bool = False
    pct: int = 100
    rua: tuple[str, ...] = ()
    usable: bool = True


@lru_cache(maxsize=1024)
def parse_dmarc(text: str) -> DmarcRecord | None:
    """None where the text is no DMARC record: `v=DMARC1` must come first, exactly so (§4.7).

    Errors in the other tags leave their defaults. Without a valid p= (or with an invalid sp= or np=) the record
    counts as p=none where rua= names a place to report to, and is not usable otherwise (§4.10.1)."""
    first, *rest = text.split(";")
    name, _, version = first.partition("=")
    if name.strip(" \t").lower() != "v" or version.strip(" \t") != "DMARC1":
        return None
    tags: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        key = key.strip(" \t").lower()
        if equals and _TAG_NAME.fullmatch(key):
            tags.setdefault(key, value.strip(" \t"))
    policies = {key: _policy(tags[key]) for key in ("p", "sp", "np") if key in tags}
    valid = policies.get("p") is not None and None not in policies.values()
    rua = tuple(uri.strip() for uri in tags.get("rua", "").split(",") if _URI.fullmatch(uri.strip()))
    psd = tags.get("psd", "u").lower()
    return DmarcRecord(
        text=text,
        p=(policies.get("p") if valid else None) or DmarcPolicy.NONE,
        sp=policies.get("sp") if valid else None,
        np=policies.get("np") if valid else None,
        psd=psd if psd in ("y", "n") else "u",
        testing=tags.get("t", "").lower() == "y",
        strict_dkim=tags.get("adkim", "").lower() == "s",
        strict_spf=tags.get("aspf", "").lower() == "s",
        pct=_percent(tags.get("pct", "100")),
        rua=rua,
        usable=valid or bool(rua),
    )


def lower(policy: DmarcPolicy) -> DmarcPolicy:
    """One step down, what t=y asks for (§4.7 t)."""
    return DmarcPolicy.QUARANTINE if policy is DmarcPolicy.REJECT else DmarcPolicy.NONE


def _policy(value: str) -> DmarcPolicy | None:
    try:
        return DmarcPolicy(value.lower())
    except ValueError:
        return None


def _percent(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 4 and int(value) <= 100 else 100
