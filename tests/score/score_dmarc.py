"""Score DMARC against the cases of another implementation (corpora/dmarc_cases)."""

import json
from pathlib import Path
from typing import Any

from contracts.auth_results import DkimResult, DkimWord, SpfResult, SpfWord
from mail.authentication.check_dmarc import check_dmarc
from mail.authentication.dmarc_record import parse_dmarc
from mail.authentication.walk_tree import TreeWalk
from mail.parse_addresses import parse_addresses, to_ascii_domain
from tests.fakes.zone import Zone

# Asserts about that implementation's own objects, which have no counterpart in ours: they are not counted.
FOREIGN = ("status.comment", "alignment.dkim.underSized")


async def score_dmarc(folder: Path) -> tuple[int, int, list[str]]:
    """(right, total, one line for each miss). A case is right when every assert that applies to us is."""
    right, total, misses = 0, 0, []
    for case in json.loads((folder / "cases.json").read_text(encoding="utf-8")):
        total += 1
        wrong = []
        for check in case["asserts"]:
            call = case["calls"][check["call"]]
            path = check["path"]
            if not isinstance(path, str) or path in FOREIGN:
                continue
            found = await (_verify(call) if call["fn"] == "verifyDmarc" else _record(call))
            got = found if path == "$" else _follow(found, path)
            if not _holds(check, got):
                wrong.append(f"{path} is {got!r}, wanted {check['op']} {check.get('value', '')}")
        if wrong:
            misses.append(f"dmarc {case['name']}: {'; '.join(wrong)}")
        else:
            right += 1
    return right, total, misses


def _zone(call: dict[str, Any]) -> Zone:
    records: dict[str, dict[str, Any]] = {}
    for name, types in call["zone"].items():
        own = records.setdefault(name, {})
        for rtype, values in types.items():
            match rtype:
                case "TXT":
                    own[rtype] = ["".join(value) for value in values]
                case "MX":
                    own[rtype] = [f"{value['priority']} {value['exchange']}" for value in values]
                case _:
                    own[rtype] = values
    return Zone(records)


async def _verify(call: dict[str, Any]) -> dict[str, Any]:
    given = call["input"]
    addresses = parse_addresses(given["headerFrom"])
    author = addresses[0].domain if addresses else to_ascii_domain(given["headerFrom"])
    spf = [_domain(entry) for entry in given.get("spfDomains", [])]
    dkim = [DkimResult(DkimWord.PASS, domain=_domain(entry)) for entry in given.get("dkimDomains", [])]
    zone = _zone(call)
    sender = SpfResult(SpfWord.PASS, domain=spf[0]) if spf else SpfResult()
    found = (await check_dmarc(author, sender, dkim, zone)).result
    record = parse_dmarc(found.record)
    return {
        "status": {
            "result": found.result.value,
            "header": {"from": found.domain, "d": found.record_domain},
        },
        "policy": found.policy.value,
        "domain": found.record_domain,
        "p": record.p.value if record else None,
        "sp": record.sp.value if record and record.sp else None,
        "pct": record.pct if record else None,
        "rr": found.record,
        "alignment": {"dkim": {"strict": found.strict_dkim}, "spf": {"strict": found.strict_spf}},
        "dmarcQueries": [name for name, rtype in zone.asked if name.startswith("_dmarc.") and rtype == "TXT"],
    }


async def _record(call: dict[str, Any]) -> dict[str, Any] | None:
    domain = call["input"]["domain"]
    record = await TreeWalk(_zone(call)).record_at(domain)
    if record is None:
        return None
    tags = dict(part.strip().split("=", 1) for part in record.text.split(";") if "=" in part)
    tags = {name.strip().lower(): value.strip() for name, value in tags.items()}
    fields: dict[str, Any] = dict(tags)
    for name in ("pct", "ri"):
        if name in tags:
            fields[name] = int(tags[name]) if tags[name].isdigit() else 0
    fields |= {"rr": record.text, "isOrgRecord": False, "p": record.p.value}
    return fields


def _domain(entry: Any) -> str:
    return str(entry["domain"] if isinstance(entry, dict) else entry)


def _follow(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _holds(check: dict[str, Any], got: Any) -> bool:
    wanted = check.get("value")
    if isinstance(wanted, list) and len(wanted) == 1:
        wanted = wanted[0]
    match check["op"]:
        case "equal":
            held = got == wanted
        case "is_true":
            held = bool(got)
        case "is_false":
            held = not got
        case "type":
            held = isinstance(got, dict) == (wanted == "object")
        case "contain" | "include":
            held = wanted in (got or "")
        case _:
            held = False
    return held is not bool(check.get("neg"))
