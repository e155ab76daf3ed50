"""Delivery beside Postfix: a backlog of the same mail to the same smtp-sink, and what a dead destination costs the others.

Nothing is asserted. Only delivery counts: the mail is in Kafka, or in Postfix's hold queue, before the clock starts, which it does with
the first mail that the sink takes. Neither waits for DNS: delivery has its answers in memory after the first mail of a domain, and
Postfix has a table.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts import clock, topics
from contracts.codec import HEADERS, encode_dispatch
from contracts.events import Action, Dispatch, RawPointer, Summary, Target
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType, encode_headers
from contracts.records import Record
from contracts.statuses import Direction
from local.run_kafka import LocalKafka
from runtime.publish import Publisher
from tests.benchmarks.smtp_sink import SMTP_SINK, SmtpSink
from tests.conftest import find_free_port
from tests.e2e.pipeline import ROOT
from tests.fakes.counting_mta import CountingMta
from tests.fakes.postfix import POSTFIX, Postfix
from tests.fakes.zone_server import ZoneServer
from tests.wait_for import wait_for

ROUNDS = 5
MAILS = 4_000  # of one backlog
MANY = 50  # destinations
SIZE = 5_000  # octets
WAITING = 10_000  # for the dead destination
QUICK = 16  # destinations beside it, spread over all partitions
RATE = 20  # mails a second to them
DURATION = 10.0  # seconds

# As many at a time as delivery has (delivery.concurrency, delivery.per_domain, and the two with which a lane begins).
OUR_LIMITS = {
    "default_process_limit": "300",
    "smtp_destination_concurrency_limit": "10",
    "initial_destination_concurrency": "2",
}


def measure_delivery(folder: Path) -> None:
    """Both measurements; they need Debian's Postfix, and root."""
    if SMTP_SINK is None or POSTFIX is None or os.geteuid() != 0:
        print("delivery: not measured, that needs Debian's postfix, and root")
        return
    folder.mkdir()
    with _Delivery(folder) as delivery:
        measure_backlog(folder, delivery)
        measure_dead_destination(delivery)


def measure_backlog(folder: Path, delivery: "_Delivery", rounds: int = ROUNDS) -> None:
    """A backlog for one destination and for many, through delivery and through Postfix, in turn."""
    with SmtpSink(delivery.port) as sink:
        postfixes = {}
        for name, limits in (("postfix", {}), ("limited", OUR_LIMITS)):
            (folder / name).mkdir()
            settings, tables = _postfix(limits), _transports(delivery.port)
            postfixes[name] = Postfix(folder / name, "127.0.0.1", find_free_port(), settings, tables)
        try:
            for destinations in (1, MANY):
                _compare(delivery, postfixes, sink, destinations, rounds)
        finally:
            for postfix in postfixes.values():
                postfix.stop()


def _compare(
    delivery: "_Delivery", postfixes: dict[str, Postfix], sink: SmtpSink, destinations: int, rounds: int
) -> None:
    what = "one destination" if destinations == 1 else f"{destinations} destinations"
    print(f"delivery: a backlog of {MAILS} mails of {SIZE} octets to {what}, {rounds} rounds, in turn")
    domains = [f"d{number}.test" for number in range(1, destinations + 1)]
    rates: dict[str, list[float]] = {"ours": [], **{name: [] for name in postfixes}}
    cores = []
    for _ in range(rounds):
        rate, used = _our_rate(delivery, sink, domains)
        rates["ours"].append(rate)
        cores.append(used)
        for name, postfix in postfixes.items():
            rates[name].append(_postfix_rate(postfix, sink, domains))
    print(
        f"  delivery                     {statistics.median(rates['ours']):8.0f} /s  ({statistics.median(cores):.2f} of a core)"
    )
    for name, label in (("postfix", "Postfix as it is"), ("limited", "Postfix with our limits")):
        print(f"  {label:<28} {statistics.median(rates[name]):8.0f} /s")
        print(f"    ratio                          {_spread(rates['ours'], rates[name])}")


def _our_rate(delivery: "_Delivery", sink: SmtpSink, domains: list[str]) -> tuple[float, float]:
    """Mails a second, and of how many cores the process made use meanwhile."""
    before = sink.mails
    asyncio.run(delivery.publish([f"user{n}@{domains[n % len(domains)]}" for n in range(MAILS)]))
    with delivery.running() as process:
        sink.wait_for(before + 1)
        began, used = time.monotonic(), _cpu_seconds(process.pid)
        sink.wait_for(before + MAILS)
        cores = (_cpu_seconds(process.pid) - used) / (time.monotonic() - began)
    return sink.rate_since(before), cores


def _postfix_rate(postfix: Postfix, sink: SmtpSink, domains: list[str]) -> float:
    before = sink.mails
    for domain in domains:
        source = ["smtp-source", "-s", "10", "-m", str(MAILS // len(domains)), "-l", str(SIZE)]
        route = ["-f", "anna@ours.test", "-t", f"user@{domain}", f"{postfix.address}:{postfix.port}"]
        subprocess.run([*source, *route], check=True, capture_output=True)
    for command in (["postsuper", "-H", "ALL"], ["postqueue", "-f"]):
        subprocess.run([command[0], "-c", str(postfix.config), *command[1:]], check=True, capture_output=True)
    sink.wait_for(before + MAILS)
    return sink.rate_since(before)


def measure_dead_destination(delivery: "_Delivery", rounds: int = 3) -> None:
    """From the command in Kafka to the mail at its server, calm and beside mail for a server that takes connections and never greets."""
    print(
        f"dead destination: mail to {QUICK} others, {RATE}/s for {DURATION:g} s each, {rounds} rounds: calm, from the moment when"
    )
    print(
        f"  {WAITING} mails have come for a server that takes connections and never greets, and after that, while they wait"
    )
    others = CountingMta("127.0.2.1", delivery.port)
    hole = CountingMta("127.0.2.250", delivery.port, greets=False)
    calm, coming, waiting = [], [], []
    try:
        with delivery.running():
            delivery.delays(others, 2.0)
            for number in range(rounds):
                calm.append(sorted(delivery.delays(others, DURATION)))
                asyncio.run(delivery.publish([f"user@hole{number}.test"] * WAITING))
                coming.append(sorted(delivery.delays(others, DURATION)))
                waiting.append(sorted(delivery.delays(others, DURATION)))
    finally:
        others.stop()
        hole.stop()
    for share in (50, 90, 99):
        quiet = [delays[len(delays) * share // 100] for delays in calm]
        print(f"  p{share}  calm        {statistics.median(quiet) * 1000:6.0f} ms")
        for name, beside in (("they come", coming), ("they wait", waiting)):
            loud = [delays[len(delays) * share // 100] for delays in beside]
            print(f"       {name}   {statistics.median(loud) * 1000:6.0f} ms   ratio {_spread(loud, quiet)}")


def _spread(ours: list[float], others: list[float]) -> str:
    """Median and range of the ratios of what was measured in turn."""
    ratios = [one / other for one, other in zip(ours, others, strict=True)]
    return f"{statistics.median(ratios):.2f}   ({min(ratios):.2f} to {max(ratios):.2f})"


class _Delivery:
    """A broker, DNS, and a delivery process that is started when it is to be measured."""

    def __init__(self, folder: Path) -> None:
        self.port = find_free_port()
        self._kafka = LocalKafka(folder / "kafka", find_free_port(), find_free_port())
        self._zones = ZoneServer({})
        for number in range(1, MANY + 1):
            self._add(f"d{number}.test", f"127.0.2.{number}")
        for number in range(QUICK):
            self._add(f"q{number}.test", "127.0.2.1")
        for number in range(10):
            self._add(f"hole{number}.test", "127.0.2.250")
        config = folder / "mailscope.yaml"
        config.write_text("delivery: {allow_private: true, retry: [30m]}\n")
        self._log = folder / "delivery.log"
        self._environ = {
            **os.environ,
            "MAILSCOPE_CONFIG": str(config),
            "MAILSCOPE_DATA_DIR": str(folder / "data"),
            "MAILSCOPE_KAFKA__BOOTSTRAP": self._kafka.bootstrap,
            "MAILSCOPE_DNS__NAMESERVERS": f'["{self._zones.address}"]',
            "MAILSCOPE_DELIVERY__PORT": str(self.port),
            "MAILSCOPE_METRICS__PORT": str(find_free_port()),
        }

    def _add(self, domain: str, address: str) -> None:
        self._zones.add(domain, "MX", f"10 mx.{domain}")
        self._zones.add(f"mx.{domain}", "A", address)

    def __enter__(self) -> Self:
        self._kafka.start()
        apply = [sys.executable, "-m", "mailscope", "topics", "apply"]
        subprocess.run(apply, cwd=ROOT, env=self._environ, check=True, capture_output=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kafka.stop()
        self._zones.stop()

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The delivery process, from its start on."""
        argv = [sys.executable, "-m", "mailscope", "sinks", "delivery"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(argv, cwd=ROOT, env=self._environ, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)

    async def publish(self, recipients: list[str], subjects: list[str] | None = None) -> None:
        """A mail for each, and the command to deliver it."""
        publisher = Publisher({"bootstrap.servers": self._kafka.bootstrap})
        try:
            for start in range(0, len(recipients), 1000):
                some = recipients[start : start + 1000]
                named = subjects[start : start + 1000] if subjects else ["load"] * len(some)
                await asyncio.gather(*map(partial(_publish, publisher), some, named))
        finally:
            await publisher.close()

    def delays(self, at: CountingMta, seconds: float) -> list[float]:
        """Of mails to the quick destinations, sent at RATE for so long."""
        return asyncio.run(self._delays(at, seconds))

    async def _delays(self, at: CountingMta, seconds: float) -> list[float]:
        publisher = Publisher({"bootstrap.servers": self._kafka.bootstrap})
        sent: dict[str, float] = {}
        began = time.monotonic() + 1.0
        try:
            await publisher.warm_up(topics.DISPATCH)
            for number in range(int(seconds * RATE)):
                await asyncio.sleep(began + number / RATE - time.monotonic())
                subject = new_mail_id()
                sent[subject] = time.monotonic()
                await _publish(publisher, f"user@q{number % QUICK}.test", subject)
        finally:
            await publisher.close()
        arrived = await asyncio.to_thread(wait_for, lambda: all(subject in at.came_at for subject in sent), 60)
        if not arrived:
            print(
                f"  {sum(subject not in at.came_at for subject in sent)} of {len(sent)} mails did not come within 60 s"
            )
        return [at.came_at.get(subject, time.monotonic()) - when for subject, when in sent.items()]


async def _publish(publisher: Publisher, recipient: str, subject: str) -> None:
    """What `outbound` leaves in Kafka: the mail, then the command."""
    now, mail_id, domain = clock.now(), new_mail_id(), recipient.partition("@")[2]
    head = f"From: anna@ours.test\r\nTo: {recipient}\r\nSubject: {subject}\r\nMessage-ID: <{mail_id}@ours.test>\r\n\r\n"
    content = head.encode() + (b"x" * 70 + b"\r\n") * ((SIZE - len(head)) // 72)
    envelope = Envelope(
        mail_id=mail_id,
        type=RawType.SUBMITTED,
        direction=Direction.OUTBOUND,
        received_at=now,
        envelope_from="anna@ours.test",
        recipients=[recipient],
        size=len(content),
    )
    partition, offset = await publisher.publish_at(
        Record(topics.RAW, mail_id, content, encode_headers(envelope, "bench"))
    )
    command = Dispatch(
        mail_id=mail_id,
        recipient=recipient,
        direction=Direction.OUTBOUND,
        action=Action.DELIVER,
        expires_at=now + timedelta(hours=1),
        raw=RawPointer(topic=topics.RAW, partition=partition, offset=offset),
        mail=Summary(received_at=now, size=len(content), subject=subject),
        envelope_from="anna@ours.test",
        targets=[Target(address=recipient)],
    )
    await publisher.publish(Record(topics.DISPATCH, domain, encode_dispatch(command, "bench"), HEADERS))


def _postfix(limits: dict[str, str]) -> dict[str, str]:
    """Takes mail for everybody, and holds it until it is let go."""
    return {
        "myhostname": "mx.ours.test",
        "smtpd_recipient_restrictions": "check_client_access static:HOLD, permit_mynetworks, reject",
        "transport_maps": "texthash:$maps/transport",
        **limits,
    }


def _transports(port: int) -> dict[str, dict[str, str]]:
    return {"transport": {f"d{number}.test": f"smtp:[127.0.2.{number}]:{port}" for number in range(1, MANY + 1)}}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mailscope-bench-") as where:
        measure_delivery(Path(where) / "delivery")
