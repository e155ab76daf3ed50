"""The disk fills, the blob store is away, a client is put out of its group: what was taken stays, and all goes on when it can."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from local.run_kafka import LocalKafka
from runtime.end_process import EX_SOFTWARE
from tests.chaos.conftest import Brew
from tests.chaos.storm import Storm
from tests.conftest import find_free_port
from tests.e2e.pipeline import ROOT
from tests.wait_for import wait_for


def test_blob_store_away(brew: Brew) -> None:
    """Large mail waits for its octets; small mail, and the refusal of spoofed mail in the dialogue, do not wait for it."""
    storm = brew(smtp={"verdict_timeout": "2s", "verdict_misses": 1000})
    blobs, gone = storm.data / "blobs", storm.data / "blobs.gone"
    large = [
        storm.mail("drop@ours.test", f"large {n}", body="x" * 70 + "\n" * 1, headers={"X-Fill": "y" * 60})
        for n in range(4)
    ]
    large = [(raw + b"fill " * 80_000 + b"\r\n", message_id) for raw, message_id in large]
    inbound = storm.stage_pid("inbound")
    os.kill(inbound, signal.SIGSTOP)
    try:
        for raw, _ in large:
            assert storm.send(raw, "drop@ours.test")[0] == 250
        blobs.rename(gone)
    finally:
        os.kill(inbound, signal.SIGCONT)
    try:
        assert wait_for(lambda: "waiting at mail.raw" in storm.log(), 20)
        for n in range(5):
            spoof, _ = storm.mail("desk@ours.test", "spoof", sign=False)
            assert storm.send(spoof, "desk@ours.test", source="127.0.0.3")[0] == 550
            small, message_id = storm.mail("drop@ours.test", f"small {n}")
            assert storm.send(small, "drop@ours.test")[0] == 250
            assert storm.settled(message_id)[0]["status"] == "dropped"
        assert not any(storm.rows(message_id) for _, message_id in large)
    finally:
        gone.rename(blobs)
    for _, message_id in large:
        assert storm.settled(message_id, 60)[0]["status"] == "dropped"


def test_a_fenced_worker_ends_and_is_started_anew(brew: Brew, tmp_path: Path) -> None:
    """Somebody takes its name (on another machine, where no lock can stop them): it does not stay alive, ready and useless."""
    storm = brew()
    remote = storm.remote("still.test", 1)
    before = storm.stage_pid("delivery")
    assert wait_for(lambda: "sinks delivery works on" in storm.log(), 30)  # else it is the twin that is put out
    twin = storm.worker("sinks", "delivery", name="delivery", port=61, data=tmp_path / "elsewhere")
    try:
        assert wait_for(lambda: storm.pid_or_none("delivery") not in (None, before), 60), storm.log()[-2000:]
    finally:
        twin.terminate()
        twin.wait(20)
    assert "must be started anew" in storm.log()
    storm.all_are(storm.backlog("still.test", 10, "still"), "delivered", 60)
    assert not remote.doubled()


def test_producer_broken(tmp_path: Path) -> None:
    """A broker that comes back with less than it has acknowledged breaks an idempotent producer for good (KIP-360): the process ends, and
    does not stay alive, ready and useless."""
    kafka = LocalKafka(tmp_path / "kafka", find_free_port(), find_free_port())
    partition, before = kafka.broker.data / "acked-0", tmp_path / "before"
    argv = [sys.executable, "-m", "tests.chaos.broken_producer", kafka.bootstrap, "acked"]
    with kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        admin.create_topics([NewTopic("acked", 1, 1)])["acked"].result(20)
        with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                for goes_back in (False, True):
                    process.stdin.write(b"\n")
                    assert process.stdout.readline() == b"published\n"
                    kafka.kill()
                    if goes_back:
                        shutil.rmtree(partition)
                        shutil.copytree(before, partition)
                    else:
                        shutil.copytree(partition, before)
                    kafka.start()
                process.stdin.write(b"\n")
                assert process.wait(60) == EX_SOFTWARE
            finally:
                process.kill()


def test_a_mail_that_kills_its_handler(brew: Brew) -> None:
    """A function of the configuration runs in the sink's process, which may die of it: that mail fails, the others are processed."""
    storm = brew(handlers={"desk": {"python": "tests.fakes.deadly_handler:handle"}})
    sent = {}
    for subject in ("one", "two", "poison", "three", "four"):
        raw, sent[subject] = storm.mail("desk@ours.test", subject)
        assert storm.send(raw, "desk@ours.test")[0] == 250
    (row,) = storm.settled(sent.pop("poison"), 120)
    assert (row["status"], row["reason"]) == ("failed", "internal_error"), row
    for subject, message_id in sent.items():
        (row,) = storm.settled(message_id, 60)
        assert (row["status"], row["reference"]) == ("processed", subject)


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 700 MB."""
    folder = tmp_path_factory.mktemp("small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.long
def test_disk_full(small_disk: Path) -> None:
    """Below the mark senders hear 452 and applications 507; where it is full all the same, everything comes back with the room."""
    storm = Storm(small_disk, {"min_free_disk": "200MiB"})
    try:
        storm.start()
        accepted = _send_one(storm)
        fill = small_disk / "fill"
        _leave_free(small_disk, fill, 100 << 20)
        assert wait_for(lambda: _answer(storm) == 452, 10)
        assert storm.post("/send", {"from": "desk@ours.test", "to": ["a@partner.test"], "text": "x"}).status_code == 507
        _leave_free(small_disk, fill, 0)
        time.sleep(10.0)
        fill.unlink()
        assert wait_for(storm.is_ready, 90), storm.log()[-3000:]
        assert wait_for(lambda: _answer(storm) == 250, 30)
        assert storm.settled(accepted)[0]["status"] == "dropped"
        assert storm.settled(_send_one(storm), 60)[0]["status"] == "dropped"
    finally:
        storm.close()


def _send_one(storm: Storm) -> str:
    raw, message_id = storm.mail("drop@ours.test", "one")
    assert storm.send(raw, "drop@ours.test")[0] == 250
    return message_id


def _answer(storm: Storm) -> int:
    raw, _ = storm.mail("drop@ours.test", "probe")
    try:
        return storm.send(raw, "drop@ours.test")[0]
    except OSError:
        return 0


def _leave_free(disk: Path, fill: Path, octets: int) -> None:
    room = os.statvfs(disk)
    free = room.f_bavail * room.f_frsize
    with fill.open("ab", buffering=0) as file:  # unbuffered: closing it writes nothing more
        try:
            while free > octets:
                free -= file.write(b"\0" * min(1 << 20, free - octets))
        except OSError:
            pass
