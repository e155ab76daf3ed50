"""A mailbox whose server is hostile, broken or silent: what it can cost is bounded, and what is wrong has a word."""

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from contracts.events import ChannelState
from contracts.setting_types import split_mailbox
from ingest.mailboxes.bound_imap import ANSWER, LONGEST_LINE
from ingest.mailboxes.speak_imap import Login, Mailbox, MailboxTrouble, OpenFolder, UnreadableMail
from tests.fakes.scripted_imap import Line, ScriptedImap

PASSWORD = Login("correct horse")


@pytest.fixture
def server() -> Iterator[ScriptedImap]:
    running = ScriptedImap()
    yield running
    running.stop()


@pytest.fixture
def box(server: ScriptedImap) -> Iterator[Mailbox]:
    mailbox = Mailbox(split_mailbox(f"imap://app@127.0.0.1:{server.port}"), None)
    yield mailbox
    mailbox.close()


def trouble(what: Callable[[], object]) -> MailboxTrouble:
    with pytest.raises(MailboxTrouble) as caught:
        what()
    return caught.value


def test_an_honest_server_is_read(box: Mailbox) -> None:
    folder = box.open(PASSWORD)
    assert folder == OpenFolder(7, 1, 6)
    assert box.uids_after(0, folder) == [5] and box.uids_after(5, folder) == []
    found = box.describe(5)
    assert found is not None and found.size == 9 and found.arrived_at is not None and found.arrived_at.hour == 12
    assert box.fetch(5, 100) == b"A: b\r\n\r\nc"
    assert box.describe(6) is None and box.fetch(6, 100) is None


@pytest.mark.parametrize(
    "said",
    [
        b"* 1 FETCH (UID 5 BODY[] {99999999999}\r\n" + b"x" * 1000,  # a literal larger than was asked for
        b"* 1 FETCH (UID 5 BODY[] {" + b"9" * 5000 + b"}\r\n",
        b"* 1 FETCH (UID 5 BODY[] {-5}\r\nabc)\r\n",
        b"* 1 FETCH (" + b"(" * 5000 + b"\r\n",
        b"* OK " + b"x" * (LONGEST_LINE + 10) + b"\r\n",  # a line without end
        b"* 9 EXPUNGE\r\n" * (ANSWER // 10),  # an answer without end
        b"* 1 FETCH (UID 5 BODY[] {3}\r\nabc",  # and nothing more
        b"\x00\xff\xfe\r\n",
        b"+ go on\r\n",
        b"zzz OK that is no tag of ours\r\n",
        b"* BYE going down\r\n",
    ],
    ids=[
        "literal",
        "digits",
        "negative",
        "nested",
        "line",
        "lines",
        "unfinished",
        "octets",
        "continuation",
        "tag",
        "bye",
    ],
)
def test_what_no_server_may_say_ends_the_connection_in_bounds(server: ScriptedImap, box: Mailbox, said: bytes) -> None:
    server.on(r"BODY\.PEEK", lambda line: said + line.tag + b" OK\r\n")
    box.open(PASSWORD)
    ending = threading.Timer(5.0, box.cut)  # of those that let us wait
    ending.start()
    tracemalloc.start()
    try:
        with pytest.raises((MailboxTrouble, UnreadableMail)):
            box.fetch(5, 1000)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
        ending.cancel()


def test_uids_that_were_not_asked_for_are_left_out(server: ScriptedImap, box: Mailbox) -> None:
    server.on("UID SEARCH", b"* SEARCH 99999999999 5 0 9 9 3 8 4294967295\r\n")
    folder = box.open(PASSWORD)
    assert box.uids_after(4, folder) == [5, 8, 9, 4294967295]
    server.on(r"BODY\.PEEK", b"* 1 FETCH (UID 6 BODY[] {1}\r\nx)\r\n")
    assert box.fetch(5, 100) is None


def test_a_large_folder_is_searched_in_windows(server: ScriptedImap, box: Mailbox) -> None:
    server.on("SELECT", b"* 3000000 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 200001] ok\r\n")
    server.on("UID SEARCH UID", b"* SEARCH\r\n").on("UID SEARCH UID 100001:", b"* SEARCH 100007\r\n")
    assert box.uids_after(0, box.open(PASSWORD)) == [100007]
    assert next(one for one in server.heard if "SEARCH" in one).endswith("UID 1:50000")


@pytest.mark.parametrize("validity", [b"0", b"-1", b"99999999999", b"x", b""])
def test_a_uidvalidity_that_is_none_is_not_worked_with(server: ScriptedImap, box: Mailbox, validity: bytes) -> None:
    server.on("SELECT", b"* 1 EXISTS\r\n* OK [UIDVALIDITY " + validity + b"] ok\r\n")
    assert trouble(lambda: box.open(PASSWORD)).state is ChannelState.CONNECTION_DROPPED


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (lambda line: line.tag + b" NO [AUTHENTICATIONFAILED] wrong: correct horse\r\n", ChannelState.AUTH_FAILED),
        (lambda line: line.tag + b" NO [UNAVAILABLE] try again later\r\n", ChannelState.THROTTLED),
        (lambda line: line.tag + b" NO too many connections\r\n", ChannelState.THROTTLED),
        (lambda line: line.tag + b" BAD what\r\n", ChannelState.AUTH_FAILED),
        (lambda line: None, ChannelState.CONNECTION_DROPPED),
        (lambda line: b"* BYE shutting down\r\n", ChannelState.CONNECTION_DROPPED),
    ],
)
def test_a_log_in_that_fails_has_a_word_and_shows_no_password(
    server: ScriptedImap, box: Mailbox, answer: Callable[[Line], bytes | None], state: ChannelState
) -> None:
    server.on("LOGIN", answer)
    told = trouble(lambda: box.open(PASSWORD))
    assert told.state is state and "horse" not in told.detail


def test_a_folder_that_is_not_given_is_no_wrong_password(server: ScriptedImap, box: Mailbox) -> None:
    server.on("SELECT", lambda line: line.tag + b" NO no such folder\r\n")
    told = trouble(lambda: box.open(PASSWORD))
    assert told.state is ChannelState.REFUSED and "no such folder" in told.detail


def test_a_mail_that_the_server_does_not_give_is_not_the_end_of_the_connection(
    server: ScriptedImap, box: Mailbox
) -> None:
    server.on(r"BODY\.PEEK", lambda line: line.tag + b" NO it is broken\r\n")
    folder = box.open(PASSWORD)
    with pytest.raises(UnreadableMail, match="it is broken"):
        box.fetch(5, 100)
    assert box.uids_after(0, folder) == [5]


def test_a_silent_server_is_cut(server: ScriptedImap, box: Mailbox) -> None:
    server.on("SELECT", lambda line: b"")
    threading.Timer(0.3, box.cut, ["no answer within 60 s"]).start()
    assert trouble(lambda: box.open(PASSWORD)).detail == "no answer within 60 s"


def test_a_server_that_never_greets_is_cut() -> None:
    mute = ScriptedImap(b"")
    mailbox = Mailbox(split_mailbox(f"imap://app@127.0.0.1:{mute.port}"), None)
    threading.Timer(0.3, mailbox.cut).start()
    assert trouble(lambda: mailbox.open(PASSWORD)).state is ChannelState.CONNECTION_DROPPED
    mailbox.close()
    mute.stop()


def test_news_that_comes_with_the_beginning_of_idle_is_not_missed(server: ScriptedImap, box: Mailbox) -> None:
    idle: list[bytes] = []
    server.on("^IDLE", lambda line: idle.append(line.tag) or b"+ idling\r\n* 2 EXISTS\r\n")
    server.on("^$", lambda line: idle[-1] + b" OK idled\r\n")  # DONE has no tag
    box.open(PASSWORD)
    box.begin_idle()
    began = time.monotonic()
    box.await_news(120)
    assert time.monotonic() - began < 60
    box.end_idle()


def test_nobody_there_and_no_such_name() -> None:
    mailbox = Mailbox(split_mailbox("imaps://app@no-such-host.invalid"), None)
    assert trouble(lambda: mailbox.open(PASSWORD)).state is ChannelState.DNS_FAILED
    gone = ScriptedImap()
    gone.stop()
    mailbox = Mailbox(split_mailbox(f"imap://app@127.0.0.1:{gone.port}"), None)
    assert trouble(lambda: mailbox.open(PASSWORD)).state is ChannelState.CONNECTION_DROPPED


def test_who_speaks_no_tls_is_a_tls_failure(server: ScriptedImap) -> None:
    mailbox = Mailbox(split_mailbox(f"imaps://app@127.0.0.1:{server.port}"), None)
    assert trouble(lambda: mailbox.open(PASSWORD)).state is ChannelState.TLS_FAILED
    mailbox.close()
