"""Score SPF against the RFC 7208 suite (corpora/spf_rfc7208)."""

from pathlib import Path
from typing import Any

import yaml

from mail.authentication.check_spf import check_spf
from tests.fakes.zone import Zone

DEFAULT_EXPLANATION = "DEFAULT"


async def score_spf(folder: Path) -> tuple[int, int, list[str]]:
    """(right, total, one line for each miss)."""
    right, total, misses = 0, 0, []
    for document in yaml.safe_load_all((folder / "rfc7208-tests.yml").read_text(encoding="utf-8")):
        if not document:
            continue
        records = to_records(document["zonedata"])
        for name, case in document["tests"].items():
            total += 1
            found = await check_spf(
                str(case["host"]), str(case.get("helo") or ""), str(case.get("mailfrom") or ""), Zone(records)
            )
            wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
            explained = case.get("explanation", DEFAULT_EXPLANATION)
            fits = explained == DEFAULT_EXPLANATION or found.result != "fail" or found.explanation == explained
            if found.result.value in wanted and fits:
                right += 1
            else:
                misses.append(
                    f"spf {name}: {found.result.value} {found.explanation!r}, wanted {wanted} {explained!r} "
                    f"({found.detail})"
                )
    return right, total, misses


def to_records(zonedata: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """The suite's zone: SPF entries stand for TXT where a host has no TXT entry of its own."""
    records: dict[str, dict[str, Any]] = {}
    for host, entries in zonedata.items():
        types: dict[str, Any] = {}
        spf: list[bytes] = []
        timeout = False
        for entry in entries:
            if entry == "TIMEOUT":
                timeout = True
                continue
            ((rtype, value),) = entry.items()
            if value == "TIMEOUT":
                types[rtype] = "TIMEOUT"
            elif rtype == "SPF":
                spf.append(_text(value))
            elif rtype == "TXT":
                types.setdefault("TXT", [])
                if value != "NONE":
                    types["TXT"].append(_text(value))
            elif rtype == "MX":
                types.setdefault("MX", []).append(f"{value[0]} {value[1]}")
            elif rtype == "CNAME":
                types["CNAME"] = str(value)
            else:
                types.setdefault(rtype, []).append(str(value))
        if spf and "TXT" not in types:
            types["TXT"] = spf
        if timeout:
            for rtype in ("A", "AAAA", "MX", "TXT", "PTR"):
                types[rtype] = types.get(rtype) or "TIMEOUT"  # what it cannot answer, it does not answer at all
        records[str(host)] = types
    return records


def _text(value: Any) -> bytes:
    parts = value if isinstance(value, list) else [value]
    return b"".join(str(part).encode("utf-8") for part in parts)
