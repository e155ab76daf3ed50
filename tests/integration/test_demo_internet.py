"""The demo internet against stand-ins for the pipeline: every kind of traffic flows, over real sockets."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiosmtplib
import dns.asyncresolver
import pytest
from aiosmtpd.smtp import SMTP

from contracts.events import ChannelState
from contracts.setting_types import split_mailbox
from ingest.mailboxes.speak_imap import Login, Mailbox, MailboxTrouble, OpenFolder
from local.demo import mailbox as demo_mailbox
from local.demo.cast import OUTBOUND_TROUBLE, domain
from local.demo.compose_mail import Writer
from local.demo.config import DemoPorts, prepare, read_keys, read_secret
from local.demo.dns_zones import zones
from local.demo.mailbox import FIRST_MAILS, DemoMailbox
from local.demo.remote_servers import RemoteServer, demo_server
from local.demo.serve_dns import NameServer, Zones

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8")


@pytest.fixture
def ports(free_port: Callable[[], int]) -> DemoPorts:
    return DemoPorts(*(free_port() for _ in range(6)))


@pytest.fixture
def folder(tmp_path: Path, ports: DemoPorts) -> Path:
    prepare(tmp_path, ports)
    return tmp_path


@pytest.fixture
async def remote(folder: Path, ports: DemoPorts) -> AsyncIterator[RemoteServer]:
    server = demo_server(domain("acme.example"), ports.remote_smtp, folder / "tls" / "mx.pem", lambda arrived: None)
    await server.start()
    yield server
    server.stop()


async def reply(port: int, to: str, start_tls: bool | None = None) -> str:
    async with aiosmtplib.SMTP(
        hostname="127.0.1.11", port=port, start_tls=start_tls, validate_certs=False, local_hostname="mx.example.com"
    ) as smtp:
        try:
            return "250 " + (await smtp.sendmail("a@example.com", [to], b"Subject: x\r\n\r\nx\r\n"))[1]
        except aiosmtplib.SMTPRecipientsRefused as error:
            return f"{error.recipients[0].code} {error.recipients[0].message}"
        except aiosmtplib.SMTPResponseException as error:
            return f"{error.code} {error.message}"


async def test_names_resolve_over_udp_and_tcp(folder: Path, ports: DemoPorts) -> None:
    server = NameServer(Zones(zones(read_keys(folder))), ports.dns)
    await server.start()
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], ports.dns
    for tcp in (False, True):
        answer = await resolver.resolve("bank.example", "MX", tcp=tcp)
        assert answer[0].exchange.to_text() == "mx.bank.example."
    server.stop()


async def test_the_mailbox_hangs_up_and_changes_its_password(
    folder: Path, ports: DemoPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_mailbox, "SOON", ((0.0, "drop", 1.0), (1.0, "password", 1.0)))
    dice = random.Random(1)
    server = DemoMailbox(ports.mailbox, folder / "secrets" / "mailbox", Writer(read_keys(folder), dice), dice)
    await server.start()
    place = split_mailbox(f"imap://it-help@127.0.0.1:{ports.mailbox}")

    def look() -> OpenFolder | ChannelState:
        box = Mailbox(place, None)
        try:
            folder_found = box.open(Login(read_secret(folder, "mailbox")))
            octets = box.fetch(box.uids_after(0, folder_found)[0], 1 << 20)
            assert octets is not None and b"\r\nAuthentication-Results: mail.example.net; " in octets
            return folder_found
        except MailboxTrouble as trouble:
            return trouble.state
        finally:
            box.close()

    before = await asyncio.to_thread(look)
    assert isinstance(before, OpenFolder) and before.exists == FIRST_MAILS
    seen = []
    async with asyncio.timeout(30):
        living = asyncio.create_task(server.live(lambda line: None))
        while ChannelState.AUTH_FAILED not in seen or not isinstance(seen[-1], OpenFolder):
            seen.append(await asyncio.to_thread(look))
            await asyncio.sleep(0.1)
    living.cancel()
    server.stop()
    assert ChannelState.CONNECTION_DROPPED in seen
    assert seen[-1].exists >= FIRST_MAILS + 2  # what came meanwhile waits


@pytest.mark.parametrize(
    "local_part, expected",
    [
        ("anna", ["250 2.0.0 Ok: queued as"]),
        ("gone.x", ["550 5.1.1"]),
        ("full.x", ["552 5.2.2"]),
        ("greylist.x", ["451 4.7.1", "451 4.7.1", "250 2.0.0"]),
        ("slow.x", ["421 4.7.0", "250 2.0.0"]),
        ("blocked.x", ["550 5.7.1 Service unavailable, client host [127.0.0.1] blocked"]),
    ],
)
async def test_a_remote_server_answers_by_the_local_part(
    remote: RemoteServer, ports: DemoPorts, local_part: str, expected: list[str]
) -> None:
    for words in expected:
        assert (await reply(ports.remote_smtp, f"{local_part}@acme.example")).startswith(words)


async def test_a_remote_server_offers_tls_and_never_relays(remote: RemoteServer, ports: DemoPorts) -> None:
    assert (await reply(ports.remote_smtp, "anna@acme.example", start_tls=True)).startswith("250")
    assert (await reply(ports.remote_smtp, "anna@elsewhere.example")).startswith("554 5.7.1")


class Receiver:
    """Stands in for the pipeline's SMTP receiver."""

    def __init__(self) -> None:
        self.taken: Counter[tuple[str, str]] = Counter()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append(address)
        self.taken[session.peer[0], address] += 1
        return "250 ok"


async def test_traffic_of_every_kind_starts_when_the_pipeline_is_ready_and_ends_on_sigterm(
    folder: Path, ports: DemoPorts
) -> None:
    receiver, posts, ready = Receiver(), [], False

    async def api(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("GET /readyz"):
            status = "200 OK" if ready else "503 Not yet"
        else:
            assert "authorization: bearer secret" in head.lower()
            length = int(head.lower().partition("content-length:")[2].split()[0])
            posts.append((await reader.readexactly(length)).decode())
            status = "202 Accepted"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    token = folder / "token"
    token.write_text("secret\n")
    smtp = await asyncio.get_running_loop().create_server(
        lambda: SMTP(receiver, hostname="mx"), "127.0.0.1", ports.smtp
    )
    http = await asyncio.start_server(api, "127.0.0.1", ports.api)
    command = [sys.executable, "-m", "local.demo.run", "--smtp-port", str(ports.smtp), "--token-file", str(token),
               "--api-url", f"http://127.0.0.1:{ports.api}", "--dns-port", str(ports.dns), "--remote-port",
               str(ports.remote_smtp), "--desk-port", str(ports.desk), "--mailbox-port", str(ports.mailbox),
               "--dir", str(folder)]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        await asyncio.sleep(2.5)
        assert not receiver.taken and not posts
        ready = True
        for _ in range(300):
            if len({to for _, to in receiver.taken}) >= 7 and len(posts) >= 2 * len(OUTBOUND_TROUBLE):
                break
            await asyncio.sleep(0.1)
        assert ("127.0.0.66", "support@example.com") in receiver.taken  # the impostor
        assert {"news@example.com", "spam@example.com", "orders@example.com"} <= {to for _, to in receiver.taken}
        assert all(any(address in post for post in posts) for address in OUTBOUND_TROUBLE)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 5)
        smtp.close()
        http.close()
    assert process.returncode == 0, output.decode()
    assert "Traceback" not in output.decode()
