"""Class-data archives of the Java runtime and of the broker: with them the broker listens in half the time.

Both are made once, when the broker is installed. Without them everything works, more slowly, so a failure here is
reported and nothing else. An archive that a running broker wrote at its end would make its first stop slow instead.
"""

import socket
import subprocess
import tempfile
from pathlib import Path

from confluent_kafka.admin import NewTopic

from local import find_kafka
from local.run_kafka import KafkaFailed, LocalKafka
from runtime.connect_kafka import admin


def archive_runtime(java: Path) -> None:
    """Write the runtime's base archive, which its wheel leaves out. Raises OSError."""
    archive = java.parent.parent / "lib" / "server" / "classes.jsa"
    if archive.exists() and archive.stat().st_mtime > java.stat().st_mtime:  # else it is of a Java that was replaced
        return
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        part = Path(folder) / archive.name
        done = subprocess.run(
            [str(java), "-Xshare:dump", f"-XX:SharedArchiveFile={part}"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise OSError((done.stderr or done.stdout).strip()[-300:])
        part.replace(archive)


def archive_broker(home: Path) -> None:
    """Run a broker in a temporary folder for a moment and archive the classes it used. Raises KafkaFailed, OSError.

    It also proves that the installed broker runs on this machine.
    """
    archive = find_kafka.archive_file(home)
    if archive.exists():
        return
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=home) as beside:
        part = Path(beside) / archive.name
        kafka = LocalKafka(Path(folder), *_two_free_ports(), sharing=[f"-XX:ArchiveClassesAtExit={part}"])
        with kafka:
            client = admin({"bootstrap.servers": kafka.bootstrap}, quiet=True)
            client.create_topics([NewTopic("try", 1, 1)])["try"].result(20)
        if not part.exists():
            raise KafkaFailed("the runtime wrote no archive of the broker's classes")
        for old in home.glob("broker*.jsa"):
            old.unlink()
        part.replace(archive)


def _two_free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
