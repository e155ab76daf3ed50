"""Score DKIM and ARC against signed messages of another implementation (corpora/dkim_messages)."""

from pathlib import Path
from typing import Any

from mail.authentication import ReceivedMail, authenticate
from tests.fakes.zone import Zone

NOW = {"dkim": 1667843664.0, "arc": 1674137914.0}  # when the corpus says that its messages are valid


async def score_dkim(folder: Path, kind: str) -> tuple[int, int, list[str]]:
    """(right, total, one line for each miss). DKIM: the last signature passes; ARC: the chain passes."""
    right, total, misses = 0, 0, []
    for file in list_cases(folder, kind):
        total += 1
        records, raw = read_case(file)
        mail = ReceivedMail(raw, "192.0.2.1", "mx.example.org", "a@example.org", now=NOW[kind])
        found = await authenticate(mail, Zone(records))
        if kind == "arc":
            passed, detail = found.arc_word == "pass", f"{found.arc_word} {found.arc.detail}"
        else:
            passed = bool(found.dkim) and found.dkim[-1].result == "pass"
            detail = ", ".join(f"{one.domain}={one.result} {one.detail}" for one in found.dkim)
        if passed:
            right += 1
        else:
            misses.append(f"{kind} {file.name}: {detail}")
    return right, total, misses


def list_cases(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{kind}-*.txt"))


def read_case(file: Path) -> tuple[dict[str, dict[str, Any]], bytes]:
    """`name record` lines, an empty line, the message."""
    head, _, message = file.read_bytes().partition(b"\n\n")
    records: dict[str, dict[str, Any]] = {}
    for line in head.splitlines():
        name, _, record = line.partition(b" ")
        records.setdefault(name.decode().lower(), {}).setdefault("TXT", []).append(record)
    return records, message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
