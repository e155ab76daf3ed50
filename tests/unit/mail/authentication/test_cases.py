"""Golden cases: drop NAME.msg, NAME.dns and NAME.result into cases/ and they are tested.

NAME.msg     the message, with LF line ends (CRLF when it is tested)
NAME.dns     one record a line: name, type, value. SERVFAIL and TIMEOUT as a value are how the question fails; {rsa} and {ed25519}
             are the public keys of the folder
NAME.result  what the case shows (#), the envelope (`from:`, `peer:`, `helo:`), and what has to be found (`spf = pass`, `dkim[1].reason =
             key_revoked`, `dmarc.policy = reject`, `flags = multiple_from`). The four words must stand there, and the reason of each that
             neither passed nor has nothing to say.
"""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.auth_results import AuthResults
from mail.authentication import ReceivedMail, authenticate
from tests.fakes.signed_mail import NOW
from tests.fakes.zone import FAILURES, Zone
from tests.unit.mail.authentication.sign_case import FOLDER, case_key, read_message

CASES = sorted(path.stem for path in FOLDER.glob("*.msg"))
WORDS = ("spf", "dkim", "dmarc", "arc")
ENVELOPE = {"from": "envelope_from", "peer": "peer_ip", "helo": "helo"}


def read_zone(path: Path) -> Zone:
    records: dict[str, dict[str, Any]] = {}
    for line in lines_of(path):
        name, rtype, value = line.split(None, 2)
        for kind in ("rsa", "ed25519"):
            value = value.replace(f"{{{kind}}}", public_key(kind))
        types = records.setdefault(name, {})
        if value in FAILURES or rtype == "CNAME":
            types[rtype] = value
        else:
            types.setdefault(rtype, []).append(value)
    return Zone(records)


def public_key(kind: str) -> str:
    found = case_key(kind).key_record().rpartition("p=")[2]
    assert base64.b64decode(found)
    return found


def read_result(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The envelope and what is expected."""
    envelope, expected = {}, {}
    for line in lines_of(path):
        name, sign, value = re.fullmatch(r"([\w.\[\]]+) ?([:=]) ?(.*)", line).groups()  # type: ignore[union-attr]
        (envelope if sign == ":" else expected)[name] = value
    return envelope, expected


def lines_of(path: Path) -> list[str]:
    return [line.rstrip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def look_up(found: AuthResults, name: str) -> str:
    if name in (*WORDS, "iprev"):
        return str(getattr(found, f"{name}_word"))
    value: Any = found
    for part in re.findall(r"\w+", name):
        value = value[int(part)] if part.isdigit() else getattr(value, part)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


async def judge(name: str) -> AuthResults:
    envelope, _ = read_result(FOLDER / f"{name}.result")
    given = {ENVELOPE[key]: value for key, value in envelope.items()}
    mail = ReceivedMail(read_message(FOLDER / f"{name}.msg"), authserv_id="mx.example.com", now=NOW, **given)
    return await authenticate(mail, read_zone(FOLDER / f"{name}.dns"))


@pytest.mark.parametrize("name", CASES)
async def test_a_case_is_found_as_it_is_written(name: str) -> None:
    found = await judge(name)
    _, expected = read_result(FOLDER / f"{name}.result")
    assert {key: look_up(found, key) for key in expected} == expected


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_all_that_matters(name: str) -> None:
    envelope, expected = read_result(FOLDER / f"{name}.result")
    assert set(envelope) == set(ENVELOPE)
    assert set(WORDS) <= set(expected)
    for word in WORDS:
        if expected[word] not in ("pass", "none"):
            assert any(re.fullmatch(rf"{word}(\[\d+\])?\.reason", key) for key in expected), f"why {word}?"


def test_every_file_belongs_to_a_case() -> None:
    assert len(CASES) >= 15
    names = {path.name for path in FOLDER.iterdir()} - {"rsa.pem", "ed25519.pem"}
    assert names == {f"{case}.{kind}" for case in CASES for kind in ("msg", "dns", "result")}
