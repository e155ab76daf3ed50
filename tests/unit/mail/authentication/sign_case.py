"""Sign a message of cases/ with the test keys that lie there. From the project's root:

    python -m tests.unit.mail.authentication.sign_case cases/x.msg d=example.org s=s1 [c=simple/simple h=from:to ...]
    python -m tests.unit.mail.authentication.sign_case cases/x.msg --seal d=forwarder.example s=s1 results="spf=pass"

The field is put above the message. `a=ed25519-sha256` takes the other key; `--seal` adds an ARC set (RFC 8617), and says cv=pass
above another one.
"""

import sys
from functools import cache
from pathlib import Path

from contracts.auth_results import ArcResult, ArcWord
from mail.authentication.seal_arc import seal_arc
from mail.authentication.sign_dkim import SigningKey, load_signing_key
from tests.fakes.signed_mail import NOW, sign

FOLDER = Path(__file__).parent / "cases"


@cache
def case_key(kind: str) -> SigningKey:
    """`rsa` or `ed25519`."""
    return load_signing_key((FOLDER / f"{kind}.pem").read_bytes())


def read_message(path: Path) -> bytes:
    """A message of a case, with CRLF line ends: in its file they are LF."""
    return path.read_bytes().replace(b"\n", b"\r\n")


def sign_case(message: bytes, **tags: str) -> bytes:
    """The message under a DKIM-Signature of these tags."""
    kind = "ed25519" if tags.get("a", "").startswith("ed25519") else "rsa"
    return sign(message, tags={**tags}, key=case_key(kind), names=tags.get("h", "from:to:subject:date:message-id"))


def seal_case(message: bytes, *, d: str, s: str, results: str) -> bytes:
    """The message under one more ARC set."""
    chain = ArcResult(ArcWord.PASS if b"ARC-Seal:" in message else ArcWord.NONE)
    written = f"Authentication-Results: {d}; {results}\r\n".encode()
    return seal_arc(message, written, chain, d, s, case_key("rsa"), NOW) + message


def main(arguments: list[str]) -> None:
    path, sealing = Path(arguments[0]), "--seal" in arguments
    tags = dict(argument.split("=", 1) for argument in arguments[1:] if argument != "--seal")
    message = read_message(path)
    signed = seal_case(message, **tags) if sealing else sign_case(message, **tags)
    path.write_bytes(signed.replace(b"\r\n", b"\n"))


if __name__ == "__main__":
    main(sys.argv[1:])
