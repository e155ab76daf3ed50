"""Three workers of every stage: they share the work, and killing, joining and leaving loses and doubles nothing."""

import signal
import threading
import time

import pytest

from tests.chaos.conftest import Brew
from tests.chaos.storm import Storm
from tests.wait_for import wait_for

EXPECTED = {"desk@ours.test": "processed", "drop@ours.test": "dropped", "fwd-k@ours.test": "forwarded"}
STAGES = (
    ("processors", "inbound"),
    ("processors", "outcomes"),
    ("sinks", "delivery"),
    ("sinks", "handlers"),
)


def start_more(storm: Storm) -> list[tuple[str, tuple[str, ...], int]]:
    """Two workers more of each; (name, command, health port)."""
    workers = []
    for number, command in enumerate(STAGES):
        for nth in (2, 3):
            workers.append((f"{command[1]}-{nth}", command, 60 + 2 * number + nth))
    for name, command, port in workers:
        storm.worker(*command, name=name, port=port)
    return workers


@pytest.mark.long
def test_three_workers_of_every_stage(brew: Brew) -> None:
    storm = brew()
    workers = start_more(storm)
    stop = threading.Event()
    inbound: dict[str, str] = {}
    outbound: list[str] = []

    def receive() -> None:
        number = 0
        while not stop.is_set():
            to = list(EXPECTED)[number % len(EXPECTED)]
            raw, message_id = storm.mail(to, f"in {number}")
            if storm.send(raw, to)[0] == 250:
                inbound[message_id] = to
            number += 1
            time.sleep(0.08)

    def submit() -> None:
        number = 0
        while not stop.is_set():
            outbound.append(storm.submit(f"k{number}@partner.test", subject=f"out {number}"))
            number += 1
            time.sleep(0.08)

    threads = [threading.Thread(target=receive), threading.Thread(target=submit)]
    for thread in threads:
        thread.start()
    time.sleep(6.0)
    for _ in range(6):
        name, command, port = storm.random.choice(workers)
        process = storm.processes[name]
        process.send_signal(storm.random.choice([signal.SIGKILL, signal.SIGTERM]))
        process.wait(20)
        time.sleep(storm.random.uniform(0.2, 1.5))
        storm.worker(*command, name=name, port=port)
        storm.kill(storm.random.choice(["inbound", "outcomes", "delivery", "handlers"]))
        time.sleep(storm.random.uniform(0.5, 2.0))
    stop.set()
    for thread in threads:
        thread.join()
    storm.all_are(outbound, "delivered", 120)

    def wrong() -> list[str]:
        rows = {one: storm.rows(one) for one in inbound}
        return [one for one, found in rows.items() if [row["status"] for row in found] != [EXPECTED[inbound[one]]]]

    wait_for(lambda: not wrong(), 90, 2.0)
    assert not wrong(), [(inbound[one], storm.rows(one)) for one in wrong()[:3]]
    arrived = [storm.outside.partner.got(f"Subject: out {n}\r\n".encode()) for n in range(len(outbound))]
    doubled = sum(len(found) > 1 for found in arrived)
    print(
        f"{len(inbound)} in, {len(outbound)} out, 12 killed or stopped: all right, {doubled} delivered twice (on the wire at a kill)"
    )
    assert all(arrived), "a mail did not arrive"
    assert doubled <= 30
