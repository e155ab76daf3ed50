"""`make bench`: speeds as ratios within one run, the time from a 250 to the API, and delivery beside Postfix. Nothing here is asserted."""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from local.run_kafka import LocalKafka
from tests.benchmarks.bench_delivery import measure_delivery
from tests.conftest import find_free_port
from tests.e2e.pipeline import ROOT, Pipeline
from tests.wait_for import wait_for

ROUNDS = 5
SECONDS = 4.0
CONNECTIONS = 32
SIZE = 5_000  # octets
RATE = 50  # messages a second
DURATION = 20.0


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mailscope-bench-") as folder:
        measure_receiver(Path(folder) / "receiver")
        measure_visibility(Path(folder) / "visibility")
        measure_delivery(Path(folder) / "delivery")


def measure_receiver(folder: Path) -> None:
    """One receiver process that answers after Kafka's acknowledgement, beside bare aiosmtpd that discards."""
    folder.mkdir()
    print(
        f"receiver: {SIZE} octet messages over {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s each, in turn"
    )
    with LocalKafka(folder / "kafka", find_free_port(), find_free_port()) as kafka:
        config = folder / "mailscope.yaml"
        config.write_text('inbound: {domains: {ours.test: {}}, routes: [{match: {to: "drop@ours.test"}, drop: "x"}]}\n')
        environ = {
            **os.environ,
            "MAILSCOPE_CONFIG": str(config),
            "MAILSCOPE_DATA_DIR": str(folder / "data"),
            "MAILSCOPE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "MAILSCOPE_SMTP__VERDICT_TIMEOUT": "0s",
            "MAILSCOPE_METRICS__PORT": str(find_free_port()),
        }
        subprocess.run(
            [sys.executable, "-m", "mailscope", "topics", "apply"],
            cwd=ROOT,
            env=environ,
            check=True,
            capture_output=True,
        )
        ours, bare = find_free_port(), find_free_port()
        with (
            _server(
                [sys.executable, "-m", "mailscope", "ingest", "smtp"], {**environ, "MAILSCOPE_SMTP__PORT": str(ours)}
            ),
            _server([sys.executable, "-m", "tests.benchmarks.discard_smtp", str(bare)], environ),
        ):
            _load(ours, 2.0), _load(bare, 2.0)
            pairs = [(_load(ours), _load(bare)) for _ in range(ROUNDS)]
    ratios = [mine / other for mine, other in pairs]
    print(f"  accepted and acked by Kafka  {statistics.median(mine for mine, _ in pairs):8.0f} /s")
    print(f"  bare aiosmtpd, discarding    {statistics.median(other for _, other in pairs):8.0f} /s")
    print(f"  ratio                        {statistics.median(ratios):8.2f}   ({min(ratios):.2f} to {max(ratios):.2f})")


def measure_visibility(folder: Path) -> None:
    """The whole pipeline: from the 250 to the row in the API's answer, and what it bears with verdicts."""
    folder.mkdir()
    pipeline = Pipeline(folder)
    try:
        pipeline.start()
        latencies = _visible(pipeline)
        latencies.sort()
        print(
            f"visible: SMTP 250 to the row in the API, {RATE} messages/s for {DURATION:g} s, {len(latencies)} messages"
        )
        for share in (50, 90, 99):
            print(f"  p{share}  {latencies[min(len(latencies) - 1, len(latencies) * share // 100)] * 1000:8.0f} ms")
        full = _load(pipeline.base + 25, 6.0)
        print(f"whole pipeline: 250 after the verdict, {CONNECTIONS} connections: {full:.0f} messages/s")
    finally:
        pipeline.close()


def _visible(pipeline: Pipeline) -> list[float]:
    told: dict[str, float] = {}
    seen: dict[str, float] = {}
    done = threading.Event()
    since = datetime.now(UTC).isoformat()

    def watch() -> None:
        while not done.is_set():
            items = pipeline.get("/mails", since=since, limit=100).json()["items"]
            now = time.monotonic()
            for item in items:
                seen.setdefault(item["message_id"], now)
            time.sleep(0.005)

    def talk(worker: int, workers: int) -> None:
        with pipeline.smtp() as connection:
            connection.ehlo()
            for turn in range(int(RATE * DURATION / workers)):
                raw, message_id = pipeline.mail("drop@ours.test", body="x" * 70 + "\n" + ("y" * 70 + "\n") * 65)
                due = began + (turn * workers + worker) / RATE
                time.sleep(max(0.0, due - time.monotonic()))
                connection.sendmail("anna@good.test", ["drop@ours.test"], raw)
                told[message_id] = time.monotonic()

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic() + 0.5
    talkers = [threading.Thread(target=talk, args=(number, 5)) for number in range(5)]
    for thread in talkers:
        thread.start()
    for thread in talkers:
        thread.join()
    wait_for(lambda: set(told) <= set(seen), 20)
    done.set()
    watcher.join()
    missing = set(told) - set(seen)
    if missing:
        print(f"  {len(missing)} messages were not seen within 20 s")
    # A row may be there before the client has read the 250.
    return [max(0.0, seen[key] - told[key]) for key in told if key in seen]


def _load(port: int, seconds: float = SECONDS) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.load_smtp", str(port), str(CONNECTIONS), str(seconds), str(SIZE)]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@contextmanager
def _server(command: list[str], environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2.5)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
