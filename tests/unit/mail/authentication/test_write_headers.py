"""Header fields for forwarded mail: exact where the world is well, harmless where it is not."""

import re

import msgspec
import pytest

from mail.authentication.write_headers import write_auth_results, write_received
from mail.parse_headers import split_message
from tests.fakes.signed_mail import MESSAGE, check, ed25519_key, sign


async def test_authentication_results_name_every_check() -> None:
    found = await check(sign(sign(key=ed25519_key())))
    lines = write_auth_results(found, "mx.example.com").decode().split("\r\n\t")
    assert lines[0] == "Authentication-Results: mx.example.com;"
    assert lines[1] == "spf=pass (ip4:192.0.2.1) smtp.mailfrom=joe@example.org;"
    assert lines[2].startswith("dkim=pass header.d=example.org header.s=s1 header.a=rsa-sha256 header.b=")
    assert lines[3].startswith("dkim=pass header.d=example.org header.s=ed header.a=ed25519-sha256 header.b=")
    assert lines[4] == "dmarc=pass header.from=example.org polrec.p=reject;"
    assert lines[5] == "iprev=pass policy.iprev=192.0.2.1\r\n"


async def test_unsigned_mail_says_dkim_none() -> None:
    assert b"dkim=none" in write_auth_results(await check(MESSAGE), "mx.example.com")


@pytest.mark.parametrize(
    "evil", ["x\r\nEvil: y", 'x"; dmarc=pass', "x\x00\x1b[31m", "x (comment", "‮x", "a b; spf=pass", "\n"]
)
async def test_nothing_the_peer_says_leaves_its_place(evil: str) -> None:
    found = await check(
        sign(tags={"s": re.sub(r"[\r\n;]", " ", evil)}),
        envelope_from=f"{evil}@example.org",
        helo=evil,
    )
    spf = msgspec.structs.replace(found.spf, sender=evil, mechanism=evil, domain=evil)
    dkim = tuple(msgspec.structs.replace(one, selector=evil, identity=evil, domain=evil) for one in found.dkim)
    found = msgspec.structs.replace(found, spf=spf, dkim=dkim)
    received = write_received(
        helo=evil,
        peer_ip=evil,
        peer_name=evil,
        by="mx.example.com",
        protocol="ESMTP",
        mail_id="1",
        now=0.0,
        recipient=evil,
    )
    for written in (write_auth_results(found, "mx.example.com"), received):
        message = split_message(written + MESSAGE)
        assert [field.name for field in message.fields][1] == b"from"
        assert written.endswith(b"\r\n") and written.isascii() and b"\x00" not in written
        outside = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', written)
        assert outside.count(b"dmarc=") <= 1 and outside.count(b"spf=") <= 1


def test_received_is_traced_as_rfc_5321_says() -> None:
    written = write_received(
        helo="mx.example.org",
        peer_ip="2001:db8::1",
        peer_name="mx.example.org",
        by="mx.example.com",
        protocol="ESMTPS",
        mail_id="0198c0de-0000-7000-8000-000000000001",
        now=0.0,
        recipient="ann@example.com",
    ).decode()
    assert written == (
        "Received: from mx.example.org (mx.example.org [IPv6:2001:db8::1])\r\n"
        "\tby mx.example.com with ESMTPS id 0198c0de-0000-7000-8000-000000000001\r\n"
        "\tfor <ann@example.com>;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"
    )
