"""Large messages whose senders' names are slow do not wait for one another."""

import asyncio
import time
from pathlib import Path

from contracts import clock
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType
from contracts.settings import Settings
from contracts.statuses import Direction
from mail.parse_headers import split_message
from processors.authenticate_received import LARGE, Authenticator
from runtime.expose_metrics import expose
from tests.conftest import find_free_port

MAILS = 12


class Silent(asyncio.DatagramProtocol):
    """A name server that answers nobody, and counts who asks."""

    def __init__(self) -> None:
        self.asked = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.asked += 1


async def test_large_messages_wait_for_dns_side_by_side(tmp_path: Path) -> None:
    port = find_free_port()
    server = Silent()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, ("127.0.0.1", port))
    expose("inbound")
    settings = Settings.model_validate(
        {"data_dir": str(tmp_path), "dns": {"nameservers": [f"127.0.0.1:{port}"], "timeout": "1s"}}
    )
    authenticator = Authenticator(settings)

    async def one(number: int) -> float:
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
        began = time.monotonic()
        result = await authenticator.authenticate(envelope, raw, split_message(raw))
        assert result.dmarc_word == "temperror"
        return time.monotonic() - began

    alone = await one(0)
    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(1, MAILS)))
    transport.close()
    assert server.asked >= MAILS
    assert time.monotonic() - began < alone * MAILS / 2  # one after the other it would be all of it
