"""Large messages whose senders' names are slow do not wait for one another."""

import asyncio
import re
from pathlib import Path

from contracts import clock
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType
from contracts.settings import Settings
from contracts.statuses import Direction
from mail.parse_headers import split_message
from processors.authenticate_received import LARGE, Authenticator
from tests.conftest import find_free_port

MAILS = 12


class Silent(asyncio.DatagramProtocol):
    """A name server that answers nobody, and notes which mail's domain is asked for."""

    def __init__(self) -> None:
        self.asked: set[bytes] = set()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.asked.update(re.findall(rb"\x02d\d|\x03d\d\d", data.lower()))


async def test_large_messages_wait_for_dns_side_by_side(tmp_path: Path) -> None:
    port = find_free_port()
    server = Silent()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, ("127.0.0.1", port))
    settings = Settings.model_validate(
        {"data_dir": str(tmp_path), "dns": {"nameservers": [f"127.0.0.1:{port}"], "timeout": "1s"}}
    )
    authenticator = Authenticator(settings)

    async def one(number: int) -> int:
        """The names of how many mails were asked for when this one had its result."""
        raw = f"From: a@d{number}.test\r\n\r\n".encode() + b"x" * LARGE
        envelope = Envelope(
            mail_id=new_mail_id(),
            type=RawType.ACCEPTED,
            direction=Direction.INBOUND,
            received_at=clock.now(),
            envelope_from=f"a@d{number}.test",
            recipients=["a@x.test"],
            size=len(raw),
            peer_ip="192.0.2.1",
        )
        result = await authenticator.authenticate(envelope, raw, split_message(raw))
        assert result.dmarc_word == "temperror"
        return len(server.asked)

    try:
        asked = await asyncio.gather(*(one(number) for number in range(MAILS)))
    finally:
        transport.close()
    assert max(asked) == MAILS
    assert min(asked) > MAILS / 2  # one after the other, the first would have its result when one was asked for
