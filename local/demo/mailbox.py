"""The custom mailbox of the demo: an IMAP server (pymap, in memory) on loopback that gets mail, drops connections and changes its password.

By turns (`SOON`, then `LATER`) it shows every state of a channel within two minutes: it hangs up and refuses for a while, so that what
arrives meanwhile comes late; then its password changes, and the file that the pipeline reads is mended some time after.
"""

import asyncio
import contextlib
import itertools
import random
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import Config, Login
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.user import Passwords, UserMetadata
from pysasl.hashing import BuiltinHash

from local.demo.cast import MAILBOX_USER
from local.demo.compose_mail import Writer

FIRST_MAILS = 6  # that lie in the mailbox when it is first opened
PAUSE = 9.0  # seconds between two mails, on average
# (seconds that it works, then what happens, seconds that this lasts)
SOON = ((20.0, "drop", 12.0), (25.0, "password", 15.0))
LATER = ((240.0, "drop", 20.0), (420.0, "password", 25.0))


class DemoMailbox:
    """The server. `password_file` holds what the pipeline logs in with, and what the server takes at first."""

    def __init__(self, port: int, password_file: Path, writer: Writer, dice: random.Random) -> None:
        self.port = port
        self._password_file = password_file
        self._writer = writer
        self._dice = dice
        self._closed = False
        self._sessions: set[asyncio.StreamWriter] = set()
        # No TLS: it is on this machine. Passwords are for one demo, so that the cheapest hash will do.
        self._config = Config(
            Namespace(passlib_cfg=None, proxy_protocol=None), host=None, port=port, tls_enabled=False, secure_auth=False, demo_data=False,
            demo_user=MAILBOX_USER, demo_password="", hash_context=BuiltinHash(rounds=1),
        )  # fmt: skip
        self._login = Login(self._config)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, with some mail in the mailbox. Raises OSError when the port is taken."""
        self._config.apply_context()
        self._serve = IMAPServer(self._login, self._config)
        await self._set_password(self._password_file.read_text().strip())
        for _ in range(FIRST_MAILS):
            await self._deliver()
        self._server = await asyncio.start_server(self._session, "127.0.0.1", self.port)

    def stop(self) -> None:
        """Stop listening, and hang up."""
        if self._server is not None:
            self._server.close()
        self._hang_up()

    async def live(self, say: Callable[[str], None]) -> None:
        """Get mail, and have trouble, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._get_mail())
            group.create_task(self._have_trouble(say))

    async def _get_mail(self) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / PAUSE))
            await self._deliver()

    async def _have_trouble(self, say: Callable[[str], None]) -> None:
        for works, what, lasts in itertools.chain(SOON, itertools.cycle(LATER)):
            await asyncio.sleep(works)
            say(f"mailbox {MAILBOX_USER}: {'hangs up' if what == 'drop' else 'has another password'} for {lasts:.0f} s")
            if what == "drop":
                await self._be_away(lasts)
            else:
                await self._change_password(lasts)

    async def _be_away(self, seconds: float) -> None:
        self._closed = True
        self._hang_up()
        await self._deliver()  # at least one mail is late by it
        await asyncio.sleep(seconds)
        self._closed = False

    async def _change_password(self, seconds: float) -> None:
        """As in life: the server has the new one first, and who keeps the file hears of it later."""
        password = f"{self._dice.randrange(1 << 64):016x}"
        await self._set_password(password)
        self._hang_up()
        await self._deliver()
        await asyncio.sleep(seconds)
        self._password_file.write_text(password + "\n")

    async def _set_password(self, password: str) -> None:
        hashed = await Passwords(self._config).hash_password(password)
        user = UserMetadata(self._config, MAILBOX_USER, password=hashed, previous_entity_tag=UserMetadata.REPLACE_ANY)
        await self._login.demo_user_identity.set(user)

    async def _deliver(self) -> None:
        """Put one mail into the mailbox, as its mail server does."""
        mail = AppendMessage(self._writer.to_mailbox(), datetime.now(UTC), frozenset())
        async with self._login.demo_user_identity.new_session() as session:
            await session.append_messages("INBOX", [mail])

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        self._sessions.add(writer)
        try:
            with contextlib.suppress(OSError, EOFError):
                await self._serve(reader, writer, SocketInfo.get(writer, None))
        finally:
            self._sessions.discard(writer)
            writer.close()

    def _hang_up(self) -> None:
        for writer in list(self._sessions):
            writer.transport.abort()
