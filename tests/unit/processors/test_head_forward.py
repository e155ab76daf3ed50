"""What stands before a forwarded message."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracts.auth_results import AuthResults
from contracts.dns_answers import DnsAnswer, DnsStatus
from contracts.raw_message import Envelope, RawType
from contracts.settings import Settings
from contracts.statuses import Direction
from mail.authentication import ReceivedMail, authenticate
from mail.authentication.sign_dkim import load_signing_key
from processors import head_forward
from processors.head_forward import ForwardHead

MESSAGE = b"From: anna@good.test\r\nTo: team@ours.test\r\nSubject: x\r\n\r\nhello\r\n"
ENVELOPE = Envelope(
    mail_id="01a206f7-6b43-7745-9bab-87fa221dd751",
    type=RawType.ACCEPTED,
    direction=Direction.INBOUND,
    received_at=datetime(2026, 11, 3, 12, tzinfo=UTC),
    envelope_from="anna@good.test",
    recipients=["team@ours.test"],
    peer_ip="192.0.2.7",
    helo="mail.good.test",
    protocol="ESMTP",
)


class Names:
    """A resolver of one TXT record."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text

    async def query(self, name: str, rtype: str) -> DnsAnswer:
        if (name.rstrip("."), rtype) == (self._name, "TXT"):
            return DnsAnswer(name, rtype, DnsStatus.OK, (self._text.encode(),))
        return DnsAnswer(name, rtype, DnsStatus.NXDOMAIN)


def _settings(tmp_path: Path) -> tuple[Settings, str]:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "arc.pem").write_bytes(pem)
    seal = {"domain": "ours.test", "selector": "arc", "key_file": str(tmp_path / "arc.pem")}
    return Settings.model_validate({"authserv_id": "mx.ours.test", "inbound": {"arc_seal": seal}}), load_signing_key(
        pem
    ).key_record()


def test_without_a_key_nothing_is_sealed() -> None:
    lines, cut = ForwardHead(Settings(authserv_id="mx.ours.test")).of(ENVELOPE, AuthResults(), MESSAGE)(
        "team@ours.test"
    )
    assert lines.startswith("Delivered-To: team@ours.test\r\nAuthentication-Results: mx.ours.test;") and cut == []


async def test_a_sealed_forward_has_a_valid_arc_chain_even_after_a_forged_result_was_left_out(tmp_path: Path) -> None:
    settings, record = _settings(tmp_path)
    forged = b"Authentication-Results: mx.ours.test; dmarc=pass\r\n"
    lines, cut = ForwardHead(settings).of(ENVELOPE, AuthResults(), forged + MESSAGE)("team@ours.test")
    assert cut == [(0, len(forged))]
    sent_on = lines.encode() + MESSAGE
    results = await authenticate(
        ReceivedMail(raw=sent_on, peer_ip="192.0.2.1"), Names("arc._domainkey.ours.test", record)
    )
    assert (results.arc_word, results.arc.instances, results.arc.domain) == ("pass", 1, "ours.test")


def test_a_message_is_sealed_once_however_many_recipients_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = _settings(tmp_path)
    sealed: list[bytes] = []
    monkeypatch.setattr(head_forward, "seal_arc", lambda raw, *_: sealed.append(raw) or b"ARC-Seal: x\r\n")
    head = ForwardHead(settings).of(ENVELOPE, AuthResults(), MESSAGE)
    assert [head(one)[0].count("ARC-Seal") for one in ("a@ours.test", "b@ours.test", "c@ours.test")] == [1, 1, 1]
    assert len(sealed) == 1
