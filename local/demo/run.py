"""The demo internet as one process: `python -m local.demo.run`. Traffic starts once the pipeline is ready."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import click
import httpx
import uvicorn

from local.demo import desk as desks
from local.demo.application import Application
from local.demo.cast import DOMAINS
from local.demo.compose_mail import Notification, Writer
from local.demo.config import DemoPorts, read_keys, read_secret
from local.demo.desk import Desk, Mail
from local.demo.dns_zones import zones
from local.demo.mailbox import DemoMailbox
from local.demo.remote_servers import Arrived, demo_server
from local.demo.senders import write_for_ever
from local.demo.serve_dns import NameServer, Zones


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are for the whole world, see `live`


class World:
    """Everything outside of the pipeline. `start` makes it reachable, `live` makes it write."""

    def __init__(self, folder: Path, ports: DemoPorts, seed: int | None = None) -> None:
        self._ports = ports
        self._dice = random.Random(seed)
        keys = read_keys(folder)
        self.writer = Writer(keys, self._dice)
        self._names = NameServer(Zones(zones(keys)), ports.dns)
        certificate = folder / "tls" / "mx.pem"
        self._remotes = [demo_server(each, ports.remote_smtp, certificate, self._arrived) for each in DOMAINS]
        self._mailbox = DemoMailbox(ports.mailbox, folder / "secrets" / "mailbox", self.writer, self._dice)
        self._application: Application | None = None
        app = desks.application(Desk(self._created), read_secret(folder, "desk"))
        config = uvicorn.Config(app, "127.0.0.1", ports.desk, log_level="warning", access_log=False, lifespan="off")
        self._desk = _Server(config)

    async def start(self) -> None:
        """Listen everywhere. Raises OSError when a port is taken."""
        await self._names.start()
        for remote in self._remotes:
            await remote.start()
        await self._mailbox.start()

    def stop(self) -> None:
        """Stop listening."""
        self._names.stop()
        for remote in self._remotes:
            remote.stop()
        self._mailbox.stop()
        self._desk.should_exit = True

    async def live(self, api_url: str, token_file: Path) -> None:
        """Serve the desk, wait for the pipeline, then write until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desk.serve())
            token = await wait_until_ready(api_url, token_file)
            self._application = Application(api_url, token, self._dice, _say)
            group.create_task(self._application.run())
            group.create_task(self._mailbox.live(_say))
            group.create_task(write_for_ever(self.writer, self._ports.smtp, self._dice, _say))

    def _created(self, mail: Mail, reference: str) -> None:
        self.writer.keys.append(reference)
        if self._application is not None:
            self._application.created(mail, reference)

    def _arrived(self, arrived: Arrived) -> None:
        mail = message_from_bytes(arrived.content.partition(b"\r\n\r\n")[0], policy=policy.default)
        subject, message_id = str(mail["Subject"] or ""), str(mail["Message-ID"] or "")
        if subject.startswith("[IT-") and message_id:
            self.writer.answerable.append(Notification(arrived.recipients[0], subject, message_id))


async def wait_until_ready(api_url: str, token_file: Path) -> str:
    """Wait until the pipeline says that it is ready and has written the token, and return the token."""
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                ready = (await client.get(f"{api_url}/readyz")).status_code == 200
                if ready and (token := _read_token(token_file)):
                    return token
            await asyncio.sleep(0.25)


def _read_token(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def _say(line: str) -> None:
    print(line, flush=True)


async def play(folder: Path, ports: DemoPorts, api_url: str, token_file: Path) -> None:
    """Run the world until SIGTERM or SIGINT."""
    world = World(folder, ports)
    await world.start()
    living = asyncio.create_task(world.live(api_url, token_file))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, living.cancel)
    try:
        await living
    except asyncio.CancelledError:
        pass
    finally:
        world.stop()


@click.command(help="A small internet on loopback, with live traffic for the pipeline.")
@click.option("--smtp-port", type=int, required=True, help="Where the pipeline receives mail.")
@click.option("--api-url", required=True, help="The pipeline's API, such as http://127.0.0.1:8025.")
@click.option("--token-file", type=click.Path(path_type=Path), required=True, help="A token with the scope `send`.")
@click.option("--dns-port", type=int, required=True, help="Where to serve DNS.")
@click.option("--remote-port", type=int, required=True, help="Where the remote mail servers listen.")
@click.option("--desk-port", type=int, required=True, help="Where the desk's webhook listens.")
@click.option("--mailbox-port", type=int, required=True, help="Where the custom mailbox's IMAP server listens.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), required=True, help="What `prepare` wrote to.")
def main(
    smtp_port: int,
    api_url: str,
    token_file: Path,
    dns_port: int,
    remote_port: int,
    desk_port: int,
    mailbox_port: int,
    folder: Path,
) -> None:
    """Run the world."""
    api_port = int(api_url.rpartition(":")[2].strip("/"))
    ports = DemoPorts(smtp_port, api_port, dns_port, remote_port, desk_port, mailbox_port)
    asyncio.run(play(folder, ports, api_url.rstrip("/"), token_file))


if __name__ == "__main__":
    main()
