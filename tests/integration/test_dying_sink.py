"""A record that kills the ClickHouse sink is put aside, those beside it are in the log; what waits for the store is no suspect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.records import ConsumedRecord
from contracts.statuses import Status
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from runtime.suspect_records import DEATHS, SuspectRecords
from tests.conftest import find_free_port
from tests.fakes.broker import publishing, read_topic, settings_of
from tests.fakes.mail_events import event, record

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = ["beside 0", "beside 1", "poison", "beside 2", "beside 3"]


async def test_a_record_that_kills_the_sink_is_put_aside_and_those_beside_it_are_inserted(tmp_path: Path) -> None:
    with LocalKafka(tmp_path / "kafka", find_free_port(), find_free_port()) as kafka:
        apply_topics(settings_of(kafka.bootstrap, tmp_path / "data"))
        async with publishing(kafka.bootstrap) as publisher:
            await publisher.publish_all([record(event(Status.SENT, subject=subject)) for subject in SUBJECTS])
        argv = [sys.executable, "-m", "tests.integration.dying_sink", kafka.bootstrap, str(tmp_path / "data"), "dying"]
        argv.append(str(len(SUBJECTS)))
        deaths = 0
        while (done := subprocess.run(argv, cwd=ROOT, env=os.environ, capture_output=True, timeout=90)).returncode:
            deaths += 1
            assert done.returncode == -9 and deaths < 20, done.stderr.decode()[-2000:]
        assert deaths == DEATHS
        assert json.loads(done.stdout) == sorted(one for one in SUBJECTS if one != "poison")
        assert [b"poison" in letter.value() for letter in read_topic(kafka.bootstrap, "mail.deadletter")] == [True]


def test_who_is_told_to_end_blames_no_record(tmp_path: Path) -> None:
    source = ConsumedRecord("mail.events", 0, 7, b"k", b"v", [])
    for _ in range(DEATHS + 1):
        journal = SuspectRecords(tmp_path / "suspects")
        assert journal.deaths(source) == 0
        journal.begin(source)
        journal.forgive()
        journal.close()  # killed, with the record in work


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_journal_on_a_full_disk_ends_no_process(tmp_path: Path) -> None:
    """A file with holes has no room to be written into: on ext4 the first touch of a page is a SIGBUS."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    image.write_bytes(bytes(8 << 20))
    disk.mkdir()
    if subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True).returncode:
        pytest.skip("no mkfs.ext4")
    if subprocess.run(["mount", "-o", "loop", str(image), str(disk)], capture_output=True).returncode:
        pytest.skip("no loop devices")
    try:
        script = (
            "import sys; from pathlib import Path; from contracts.records import ConsumedRecord as R\n"
            "from runtime.suspect_records import SuspectRecords\n"
            "journals = [SuspectRecords(Path(sys.argv[1]) / 'before')]\n"
            "fill = open(sys.argv[1] + '/fill', 'wb', buffering=0)\n"
            "try:\n while fill.write(bytes(4096)): pass\n"
            "except OSError: pass\n"
            "journals.append(SuspectRecords(Path(sys.argv[1]) / 'after'))\n"
            "for journal in journals:\n for n in range(1000): journal.begin(R('t', 0, n, b'', b'', []))\n"
        )
        assert subprocess.run([sys.executable, "-c", script, str(disk)], cwd=ROOT, timeout=60).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
