"""Seal a forwarded message with an ARC set (RFC 8617 §5.1). Off unless the settings ask for it."""

import hashlib

from contracts.auth_results import ArcResult, ArcWord
from mail.authentication.arc_sets import MAX_SETS, ArcBroken, collect_sets
from mail.authentication.canonicalize import relaxed_field
from mail.authentication.sign_dkim import SigningKey, fold_base64, hash_of, sign_fields, signed_names
from mail.parse_headers import Field, split_message


def seal_arc(
    raw: bytes, auth_results: bytes, arc: ArcResult, domain: str, selector: str, key: SigningKey, now: float
) -> bytes:
    """The three fields of a new set, to put before `raw`; b"" where a seal would only add to a broken chain.

    `auth_results` is our own Authentication-Results field; `arc` is what `check_arc` found in `raw`."""
    message = split_message(raw)
    try:
        sets = collect_sets(message)
    except ArcBroken:
        return b""
    instance = len(sets) + 1
    names = signed_names(message)
    if instance > MAX_SETS or b"from" not in names or (sets and arc.result is not ArcWord.PASS):
        return b""
    status = "pass" if sets else "none"
    value = auth_results.partition(b":")[2].strip()
    results = f"ARC-Authentication-Results: i={instance}; ".encode("ascii") + value
    names += [field.name for field in message.fields if field.name == b"dkim-signature"]
    tags = f"i={instance}; a={key.algorithm}; c=relaxed/relaxed; d={domain}; s={selector}; t={int(now)}"
    signature = sign_fields(b"ARC-Message-Signature", tags, message, names, key, hash_of(message)).removesuffix(b"\r\n")
    text = f"i={instance}; a={key.algorithm}; cv={status}; d={domain}; s={selector}; t={int(now)};\r\n\tb="
    seal = b"ARC-Seal: " + text.encode("ascii")
    hashed = hashlib.sha256()
    for one in sets:
        for field in one.fields:
            hashed.update(relaxed_field(field) + b"\r\n")
    hashed.update(relaxed_field(_field(results)) + b"\r\n" + relaxed_field(_field(signature)) + b"\r\n")
    hashed.update(relaxed_field(_field(seal)))
    seal += fold_base64(key.sign(hashed.digest()))
    return b"\r\n".join((seal, signature, results)) + b"\r\n"


def _field(raw: bytes) -> Field:
    colon = raw.index(b":")
    return Field(raw[:colon].lower(), raw, colon)
