"""The life of one polled mailbox: connect, take what is new, be told of more, and connect again.

A mail is taken in this order, one at a time: fetch it, note it (`note_taken.py`), write it to `mail.raw`, and, when Kafka has acknowledged
that, flag or move it. What is killed in between is taken again under the same mail_id.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

import msgspec

from contracts import metrics
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import ChannelState
from contracts.ids import new_mail_id
from contracts.raw_message import Refusal
from contracts.setting_types import split_mailbox
from contracts.settings import Channel, Settings
from contracts.shared_state import TakenMail
from contracts.statuses import Reason
from ingest.hold_message import MessageHolder
from ingest.mailboxes.get_login import LoginSource
from ingest.mailboxes.make_envelope import Envelopes, digest_of, name_mailbox
from ingest.mailboxes.note_taken import Folder, Superseded, TakenMails
from ingest.mailboxes.speak_imap import FoundMail, Mailbox, MailboxTrouble, OpenFolder, UnreadableMail
from ingest.mailboxes.tell_connectivity import ChannelHealth, tell
from mail.parse_headers import split_message
from runtime.budget_octets import OctetBudget
from runtime.expose_metrics import counter
from runtime.watch_disk import DiskRoom

OPEN = 60.0  # seconds to connect, log in and open the folder
COMMAND = 60.0  # seconds for a command
RATE = 64 << 10  # octets of a message that have to come in a second, beside that
RECLAIM = (
    60.0  # seconds until a mailbox that another process has taken is polled again, if it is still ours by the group
)
LEAVING = 3.0  # seconds that a command may still take once the poller is told to stop
IDLE = 240.0  # seconds after which a silent IDLE is begun anew: some networks forget a connection after five minutes
AT_LEAST = 0.2  # seconds between two looks, whatever the server tells
AGAIN = (1.0, 60.0)  # seconds until the mailbox is tried again, doubled each time, and at most
LOGIN_AGAIN = (60.0, 3600.0)  # the same where the login is refused: too many tries lock an account
SLACK = 1 << 20  # octets by which a message may be larger than its server says, beside a quarter of it
TRIES = 3  # of a mail that the server does not give
DROPS = 10  # of the connection, one after the other, over the same mail
NO_ROOM = 10.0  # seconds until the disk is looked at again

_log = logging.getLogger("mailscope.mailboxes")
Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")


class MailboxPoller:
    """Polls one mailbox for as long as it is this process's."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        settings: Settings,
        holder: MessageHolder,
        notes: TakenMails,
        memory: OctetBudget,
    ) -> None:
        assert channel.imap is not None
        self._name = name
        self._channel = channel
        self._settings = settings
        self._holder = holder
        self._notes = notes
        self._memory = memory
        self._place = split_mailbox(channel.imap)
        self._mailbox_id = name_mailbox(self._place)
        self._envelopes = Envelopes(name, channel.recipient, settings.authserv_id)
        self._health = ChannelHealth(name, notes, holder.publisher)
        self._login = LoginSource(channel)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"mailbox {name}")
        self._has_room = DiskRoom(settings.data_dir, settings.min_free_disk)
        self._box: Mailbox | None = None
        self._passed: dict[Folder, int] = {}  # the highest UID that is done with
        self._held = ""  # mail_id of the last mail that Kafka has acknowledged to us
        self._unread: tuple[int, int] = (0, 0)  # a mail that the server does not give, and how often
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Take no other mail; `run` returns within seconds."""
        self._stop.set()
        asyncio.get_running_loop().call_later(LEAVING, self._cut)

    def _cut(self) -> None:
        if self._box is not None:
            self._box.cut()

    async def run(self) -> None:
        """Poll until told to stop."""
        pauses = _Pauses(AGAIN)
        owned = False
        try:
            while not self._stop.is_set():
                try:
                    if not owned:
                        await self._notes.own(self._name)
                        owned = True
                    await self._try_session(pauses)
                except Unavailable as error:
                    _log.warning("channel %s waits: %s", self._name, error)
                    await self._rest(pauses.next(AGAIN))
                except Superseded:
                    _log.warning("channel %s is polled by another process", self._name)
                    owned = False
                    await self._rest(RECLAIM)  # by then the group has told us to stop, or it is ours all the same
        finally:
            self._health.leave()
            self._thread.shutdown(wait=False)

    async def _try_session(self, pauses: "_Pauses") -> None:
        """A session, and the pause after it where it ended in trouble. Superseded, Unavailable."""
        try:
            await self._session(pauses)
        except MailboxTrouble as trouble:
            if self._stop.is_set():
                return
            await tell(self._health, trouble)
            if trouble.state is ChannelState.AUTH_FAILED:
                self._login.forget()
                await self._rest(pauses.next(LOGIN_AGAIN), until_changed=True)
            else:
                await self._rest(pauses.next(AGAIN))

    async def _session(self, pauses: "_Pauses") -> None:
        self._box = box = Mailbox(self._place, self._channel.ca_file)
        try:
            login = await self._call(OPEN, self._login.get)
            folder = await self._call(OPEN, box.open, login)
            await self._health.works()
            while not self._stop.is_set():
                began = time.monotonic()
                settled = await self._take_all(box, folder)
                pauses.reset()
                await self._health.caught_up()
                if settled:
                    await self._notes.settle(self._name)
                if self._stop.is_set():
                    return
                await self._await_news(box)
                await self._rest(AT_LEAST - (time.monotonic() - began))
        finally:
            self._box = None
            await asyncio.get_running_loop().run_in_executor(self._thread, box.close)

    async def _take_all(self, box: Mailbox, folder: OpenFolder) -> bool:
        """Take what is new. Whether nothing is in doubt then: told to stop, it may not have come to a mail whose UID has changed."""
        where = (self._mailbox_id, folder.uid_validity)
        doubt = self._notes.in_doubt(self._name)
        here = doubt is not None and (doubt.mailbox, doubt.uid_validity) == where
        if doubt is not None and doubt.mail_id == self._held:  # it was acknowledged to us, and perhaps is not flagged
            if here:
                await self._mark(box, doubt.uid)
            doubt = None
        elif doubt is not None and here:
            await self._take(box, where, doubt.uid, doubt)
            doubt = None
        elif doubt is not None:
            await self._notes.forget(self._name, doubt)
        while not self._stop.is_set():
            last = max(self._notes.last_uid(self._name, where), self._passed.get(where, 0))
            uids = await self._call(COMMAND, box.uids_after, last, folder)
            if not uids:
                return True
            known: TakenMail | None = None
            for uid in uids:
                if self._stop.is_set():
                    break
                known = await self._take(box, where, uid, None, doubt)
                self._passed = {where: uid}
            if known is not None and doubt is None:  # so that it is not read again after a restart
                await self._notes.take(self._name, known)
        return doubt is None

    async def _take(
        self, box: Mailbox, where: Folder, uid: int, doubt: TakenMail | None, elsewhere: TakenMail | None = None
    ) -> TakenMail | None:
        """Take one mail; what is returned was known already. `doubt` is this mail's own note, `elsewhere` that of a mail which may be this
        one, where UIDs have changed."""
        await self._await_room()
        try:
            found = await self._call(COMMAND, box.describe, uid)
            if found is None:
                return None
            largest = self._settings.smtp.max_size
            if found.size > largest:
                await self._refuse(
                    where, uid, found, doubt, "too_large", f"{found.size} octets are more than smtp.max_size"
                )
                return None
            at_most = found.size + found.size // 4 + SLACK
            async with self._memory.hold(2 * at_most):
                octets = await self._call(COMMAND + at_most / RATE, box.fetch, uid, at_most)
                if octets is None:
                    return None
                if len(octets) > largest:
                    await self._refuse(
                        where, uid, found, doubt, "too_large", f"{len(octets)} octets are more than smtp.max_size"
                    )
                    return None
                known = await self._hold(where, found, octets, doubt, elsewhere)
        except UnreadableMail as error:
            if self._give_up(uid, TRIES):
                arrived = FoundMail(uid, 0, None)
                await self._refuse(where, uid, arrived, doubt, "unreadable", f"the server does not give it: {error}")
                return None
            raise MailboxTrouble(ChannelState.CONNECTION_DROPPED, f"mail {uid}: {error}") from error
        except MailboxTrouble as trouble:
            if not self._stop.is_set() and self._give_up(uid, DROPS):
                arrived = FoundMail(uid, 0, None)
                await self._refuse(where, uid, arrived, doubt, "unreadable", f"each time: {trouble.detail}")
            raise
        await self._mark(box, uid)
        return known

    async def _hold(
        self, where: Folder, found: FoundMail, octets: bytes, doubt: TakenMail | None, elsewhere: TakenMail | None
    ) -> TakenMail | None:
        """The durable write. What is returned was known already, and is not written."""
        message = await asyncio.to_thread(split_message, octets)
        digest = await asyncio.to_thread(digest_of, message, octets)
        mailbox, validity = where
        taken = TakenMail(mailbox=mailbox, uid_validity=validity, uid=found.uid, mail_id="", digest=digest)
        repeated = doubt or (elsewhere if elsewhere is not None and elsewhere.digest == digest else None)
        if repeated is None and self._notes.knows(self._name, where, digest):
            counter(metrics.MAILBOX_MAILS).labels("known").inc()
            return taken
        mail_id = repeated.mail_id if repeated is not None else new_mail_id()
        if doubt is None:
            await self._notes.take(self._name, msgspec.structs.replace(taken, mail_id=mail_id))
        envelope = self._envelopes.accepted(mail_id, message, len(octets), repeated=repeated is not None)
        try:
            await self._holder.hold(envelope, octets)
        except InvalidEvent as error:  # its envelope and itself are more than a record may have
            raise UnreadableMail(str(error)) from error
        self._held = mail_id
        counter(metrics.MAILBOX_MAILS).labels("taken").inc()
        self._health.took(mail_id, found.arrived_at)
        return None

    async def _refuse(
        self, where: Folder, uid: int, found: FoundMail, doubt: TakenMail | None, result: str, why: str
    ) -> None:
        """A mail that is not taken is a row of the log as well, and stays in the mailbox as it is."""
        mailbox, validity = where
        mail_id = doubt.mail_id if doubt is not None else new_mail_id()
        if doubt is None:
            taken = TakenMail(mailbox=mailbox, uid_validity=validity, uid=uid, mail_id=mail_id, digest="")
            await self._notes.take(self._name, taken)
        reason = Reason.MESSAGE_TOO_LARGE if result == "too_large" else Reason.INTERNAL_ERROR
        text = f"UID {uid} of {self._place.folder} is left in the mailbox: {why}"[:500]
        envelope = self._envelopes.refused(
            mail_id, found.size, Refusal(reply=text, reason=reason), repeated=doubt is not None
        )
        await self._holder.hold(envelope, b"")
        await self._notes.settle(self._name)  # so that it is not tried again as one in doubt
        _log.warning("channel %s: %s", self._name, text)
        counter(metrics.MAILBOX_MAILS).labels(result).inc()

    async def _mark(self, box: Mailbox, uid: int) -> None:
        if not (self._channel.mark_seen or self._channel.move_to):
            return
        try:
            await self._call(COMMAND, _mark(box, uid, self._channel))
        except UnreadableMail as error:
            _log.warning("channel %s: UID %d was taken, and could not be flagged or moved: %s", self._name, uid, error)

    async def _await_news(self, box: Mailbox) -> None:
        if not box.tells:
            await self._rest(self._channel.poll.total_seconds())
            if not self._stop.is_set():
                await self._call(COMMAND, box.ask)
            return
        await self._call(COMMAND, box.begin_idle)
        waiting = asyncio.ensure_future(self._call(IDLE + COMMAND, box.await_news, IDLE))
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._stop.is_set():
            box.cut()
            await asyncio.wait({waiting})
            waiting.exception()
            return
        await waiting
        await self._call(COMMAND, box.end_idle)

    async def _call(self, seconds: float, work: Callable[[*Arguments], Answer], *arguments: *Arguments) -> Answer:
        """In this mailbox's thread. After so many seconds the connection is cut, and with it what waits."""
        box = self._box
        done = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(done)
        except TimeoutError:
            if box is not None:
                box.cut(f"no answer within {seconds:.0f} s")
            return await done
        except asyncio.CancelledError:
            if box is not None:
                box.cut()
            raise

    def _give_up(self, uid: int, tries: int) -> bool:
        """Whether a mail has been tried often enough, one after the other."""
        before, count = self._unread
        count = count + 1 if before == uid else 1
        self._unread = (uid, count)
        return count >= tries

    async def _await_room(self) -> None:
        while not self._has_room() and not self._stop.is_set():
            _log.warning("channel %s waits: the disk is nearly full", self._name)
            await self._rest(NO_ROOM)

    async def _rest(self, seconds: float, *, until_changed: bool = False) -> None:
        """Wait, or until told to stop, or until a file of the login has changed."""
        until, stamp = time.monotonic() + seconds, self._login.stamp()
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            if until_changed and self._login.stamp() != stamp:
                return
            try:
                await asyncio.wait_for(self._stop.wait(), min(left, 1.0))
            except TimeoutError:
                continue


class _Pauses:
    """How long to wait before the next try: twice as long as before, within bounds."""

    def __init__(self, bounds: tuple[float, float]) -> None:
        self._bounds = bounds
        self._last = 0.0

    def next(self, bounds: tuple[float, float]) -> float:
        """Seconds. Other bounds begin anew."""
        self._last = min(max(2 * self._last, bounds[0]), bounds[1]) if bounds == self._bounds else bounds[0]
        self._bounds = bounds
        return self._last

    def reset(self) -> None:
        """It works."""
        self._last = 0.0


def _mark(box: Mailbox, uid: int, channel: Channel) -> Callable[[], None]:
    return lambda: box.mark(uid, seen=channel.mark_seen, move_to=channel.move_to)
