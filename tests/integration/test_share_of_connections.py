"""What connections take of a process: its memory stays within a budget, and no client takes the place of others."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from contracts.raw_message import Envelope
from contracts.settings import Settings
from ingest.await_verdict import VerdictWaiter
from ingest.smtp import time_content
from ingest.smtp.connections import Connections
from ingest.smtp.read_content import ContentReader
from ingest.smtp.receive_mail import MailReceiver
from ingest.smtp.speak_smtp import SmtpConnection
from ingest.smtp.spool import Spool
from mail.bounce_address import BounceAddresses

MIB = 1 << 20


@dataclass
class GatedHolder:
    """Kafka, as slow as the test wants it: a message is held once the gate is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    held: list[int] = field(default_factory=list)
    holding: int = 0
    most: int = 0  # octets at a time

    async def hold(self, envelope: Envelope, message: bytes) -> None:
        self.holding += len(message)
        self.most = max(self.most, self.holding)
        try:
            await self.gate.wait()
            await asyncio.sleep(0.01)
        finally:
            self.holding -= len(message)
        self.held.append(len(message))


class Server:
    """The receiver in this process."""

    def __init__(self, folder: Path, patience: float, smtp: dict[str, Any]) -> None:
        self.settings = Settings.model_validate(
            {
                "smtp": {"verdict_timeout": "0s", **smtp},
                "inbound": {"domains": {"ours.test": {}}, "routes": [{"match": {"to": "*@ours.test"}, "drop": "x"}]},
            }
        )
        self.holder = GatedHolder()
        self.connections = Connections(self.settings.smtp)
        size = self.settings.smtp.max_size
        content = ContentReader(Spool(folder, size), size, patience)
        waiter = VerdictWaiter(0, self.settings.smtp.verdict_timeout.total_seconds(), 3)
        receiver = MailReceiver(self.settings, self.holder, waiter, BounceAddresses(b"key"))
        self.made: list[SmtpConnection] = []

        def make() -> SmtpConnection:
            arguments = (receiver, self.settings.smtp, self.connections, content, "mx.ours.test", None)
            self.made.append(SmtpConnection(*arguments))
            return self.made[-1]

        self.make = make

    @property
    def used(self) -> int:
        return self.connections._memory.used

    async def send(self, octets: int, source: str = "127.0.0.1") -> str:
        """The reply to a message of this size."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        await reader.readline()
        for line in (b"HELO x.test", b"MAIL FROM:<a@x.test>", b"RCPT TO:<desk@ours.test>", b"DATA"):
            writer.write(line + b"\r\n")
            assert (await reader.readline())[:1] in b"23"
        for _ in range(octets // 50_000):
            writer.write(b"x" * 49_998 + b"\r\n")
            await writer.drain()
        writer.write(b".\r\n")
        reply = (await reader.readline()).decode()
        writer.close()
        return reply


@asynccontextmanager
async def serving(folder: Path, patience: float = 60, **smtp: Any) -> AsyncIterator[Server]:
    server = Server(folder, patience, smtp)
    listening = await asyncio.get_running_loop().create_server(server.make, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


async def until(what: Any) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


async def test_messages_come_into_memory_only_under_the_budget(tmp_path: Path) -> None:
    async with serving(tmp_path, memory="16MiB", max_size="8MiB") as server:
        server.holder.gate.set()
        replies = await asyncio.gather(*(server.send(3 * MIB, f"127.0.0.{1 + n % 8}") for n in range(30)))
        assert all(reply.startswith("250") for reply in replies), replies
        assert len(server.holder.held) == 30
        assert 3 * MIB < server.holder.most <= 16 * MIB
        assert server.used == 0


async def test_one_client_has_its_share_and_others_go_past_it(tmp_path: Path) -> None:
    async with serving(tmp_path, memory="16MiB", max_size="8MiB") as server:
        greedy = [asyncio.create_task(server.send(3 * MIB)) for _ in range(10)]
        await until(lambda: server.used)
        await asyncio.sleep(0.3)
        assert server.used < 4 * MIB  # a quarter, however long its queue is
        others = [asyncio.create_task(server.send(3 * MIB, f"127.0.0.{n}")) for n in (2, 3)]
        await until(lambda: server.holder.holding > 8 * MIB)
        small = asyncio.create_task(server.send(50_000))
        server.holder.gate.set()
        replies = await asyncio.gather(small, *others, *greedy)
        assert all(reply.startswith("250") for reply in replies), replies


async def test_a_budget_that_stays_full_says_come_back_later(tmp_path: Path) -> None:
    async with serving(tmp_path, patience=0.2, memory="8MiB", max_size="8MiB") as server:
        first = asyncio.create_task(server.send(3 * MIB))
        await until(lambda: server.holder.holding)
        assert (await server.send(3 * MIB)).startswith("452 4.3.1")
        small = asyncio.create_task(server.send(50_000))  # small ones need no budget
        await until(lambda: server.holder.holding > 3 * MIB)
        server.holder.gate.set()
        assert (await first).startswith("250") and (await small).startswith("250")
        assert (await server.send(3 * MIB)).startswith("250")
        assert server.used == 0


async def test_content_that_trickles_in_is_ended_and_what_flows_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_content, "GRACE", 0.3)
    async with serving(tmp_path, min_rate="1KiB") as server:
        server.holder.gate.set()

        async def drip(octets: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await reader.readline()
            for line in (b"HELO x.test", b"MAIL FROM:<a@x.test>", b"RCPT TO:<desk@ours.test>", b"DATA"):
                writer.write(line + b"\r\n")
                assert (await reader.readline())[:1] in b"23"
            answered = asyncio.create_task(reader.readline())
            for _ in range(20):
                if answered.done():
                    break
                writer.write(octets + b"\r\n")
                await asyncio.sleep(0.05)
            else:
                writer.write(b".\r\n")
            reply = await answered
            writer.close()
            return reply

        slow, flowing = await asyncio.gather(drip(b"x"), drip(b"x" * 1000))
        assert slow.startswith(b"421 4.4.2") and flowing.startswith(b"250")


async def test_who_waits_for_a_verdict_holds_no_memory(tmp_path: Path) -> None:
    async with serving(tmp_path, memory="16MiB", max_size="8MiB", verdict_timeout="1s") as server:
        server.holder.gate.set()
        sending = asyncio.create_task(server.send(3 * MIB))
        await until(lambda: server.holder.held)
        await asyncio.sleep(0.05)
        assert not sending.done() and server.used == 0
        assert (await sending).startswith("250")


def test_a_client_that_leaves_at_once_takes_no_place(tmp_path: Path) -> None:
    async def connect() -> None:
        async with serving(tmp_path) as server:
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", server.port)):
                    pass  # its end is there before it is greeted
            await until(lambda: len(server.made) == 20)
            await until(lambda: not server.connections._open)

    uvloop.run(connect())  # the loop of the stages: asyncio's own sees the end of a connection otherwise
