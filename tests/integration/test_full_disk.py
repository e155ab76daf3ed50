"""A disk that is full: the supervisor goes on and says so; nothing is taken that could not be kept."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httpx
import pytest

from console.authorise import authorised
from console.serve_console import create_app
from console.sessions import Sessions
from console.tokens import Tokens
from ingest.await_verdict import VerdictWaiter
from ingest.hold_message import MessageHolder
from ingest.send.claim_keys import IdempotencyKeys
from ingest.send.send import Sender
from ingest.send.send_http import send_router
from ingest.smtp.receive_mail import InboundTransaction, MailReceiver
from ingest.smtp.transaction import Peer
from local.run_files import RunFiles
from mail.bounce_address import BounceAddresses
from runtime.open_store import Store
from runtime.watch_disk import DiskRoom
from tests.fakes.broker import settings_of
from tests.fakes.record_list import EmptyBlockList, RecordList
from tests.fakes.token_table import TokenTable
from tests.integration.test_supervise import SLEEPER, Running
from tests.wait_for import wait_for

NO_ROOM = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a tiny disk is root's to make")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


@NO_ROOM
def test_a_full_disk_does_not_end_the_supervisor_and_is_written_to_again(tiny_disk: Path, tmp_path: Path) -> None:
    up = Running(tiny_disk, [{"name": "one", "code": SLEEPER}, {"name": "two", "code": SLEEPER}])
    try:
        up.wait_for("WELCOME")
        up.wait_for("hello", times=2)
        ballast = fill(tiny_disk)
        first = up.pid("one")
        for times in (2, 3):
            children = {child.pid for child in up.children()}
            os.kill(first, signal.SIGKILL)
            up.wait_for("one was killed by SIGKILL", times=times - 1)
            up.wait_for("hello", times=times + 1)
            (first,) = {child.pid for child in up.children()} - children
        assert up.process.poll() is None
        assert up.text().count("cannot be written (No space left on device)") == 1
        ballast.unlink()
        up.wait_for("can be written again")
        assert wait_for(lambda: up.stages()["one"]["restarts"] == 2, 5) and up.pid("one") == first
        up.ctrl_c()
        assert up.process.wait(9) == 0
    finally:
        up.process.kill()
        up.process.wait()


@NO_ROOM
def test_with_a_full_disk_it_starts_and_stops_all_the_same(tiny_disk: Path) -> None:
    (tiny_disk / "run").mkdir()
    fill(tiny_disk)
    up = Running(tiny_disk, [{"name": "one", "code": SLEEPER}])
    try:
        up.wait_for("WELCOME")
        up.ctrl_c()
        assert up.process.wait(9) == 0
    finally:
        up.process.kill()
        up.process.wait()


@NO_ROOM
def test_below_the_low_water_mark_nothing_is_taken_and_above_it_again(tiny_disk: Path) -> None:
    now = 0.0
    has_room = DiskRoom(tiny_disk / "not" / "there" / "yet", 128 << 10, lambda: now)
    assert has_room()
    ballast = fill(tiny_disk)
    assert has_room(), "an answer is good for a second"
    now = 1.0
    assert not has_room()
    ballast.unlink()
    assert not has_room()
    now = 2.0
    assert has_room()


@NO_ROOM
async def test_the_send_hook_answers_507_and_smtp_452(tiny_disk: Path) -> None:
    settings = settings_of("127.0.0.1:1", tiny_disk, min_free_disk="128KiB")
    has_room = DiskRoom(settings.data_dir, settings.min_free_disk)
    tokens = TokenTable()
    router = send_router(cast(Sender, None), cast(IdempotencyKeys, None), authorised("send"), has_room)
    app = create_app(
        settings,
        cast(Store, None),
        Tokens(tokens),
        Sessions(tokens, tokens),
        RecordList(),
        EmptyBlockList(),
        routers=[router],
    )
    receiver = MailReceiver(settings, cast(MessageHolder, None), VerdictWaiter(0, 0.0, 3), BounceAddresses(b"k"))
    peer = Peer("192.0.2.1", "client.test", "ESMTP", "", smtputf8=False)
    assert isinstance(receiver.mail(peer, "anna@good.test"), InboundTransaction)
    fill(tiny_disk)
    receiver = MailReceiver(settings, cast(MessageHolder, None), VerdictWaiter(0, 0.0, 3), BounceAddresses(b"k"))
    assert str(receiver.mail(peer, "anna@good.test")).startswith("452 4.3.1 ")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as http:
        headers = {"Authorization": f"Bearer {tokens.create('app', ['send'], [])}"}
        answer = await http.post("/api/v1/send", json={"from": "a@ours.test", "to": ["b@far.test"]}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "insufficient_storage")


def test_without_a_low_water_mark_everything_is_taken(tmp_path: Path) -> None:
    assert DiskRoom(tmp_path, 0)() and not DiskRoom(tmp_path, 1 << 60)()
    assert settings_of("127.0.0.1:1", tmp_path).min_free_disk == 500 << 20


def test_what_could_not_be_written_is_said_once_and_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.run_files.CALM", 0.0)
    said: list[str] = []
    files = RunFiles(said.append)
    folder = tmp_path / "run"
    folder.write_text("a file in the way")  # which root may not write below either
    for number in range(3):
        files.write(folder / "a", str(number))
        files.write(folder / "b", str(number))
    files.remove(folder / "b")
    assert len(said) == 1 and "cannot be written" in said[0]
    folder.unlink()
    files.retry()
    assert (folder / "a").read_text() == "2" and not (folder / "b").exists() and not list(folder.glob("*.part"))
    assert len(said) == 2 and "can be written again" in said[1]
