"""Mail of our own by every door, and what comes back about it, while Kafka falls silent and processes are killed."""

import contextlib
import smtplib
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.chaos.conftest import Brew
from tests.chaos.storm import Storm
from tests.e2e.test_attempts import item
from tests.e2e.test_late_news import dsn
from tests.e2e.test_submission import mail_id_of, message, submit, submitting
from tests.wait_for import wait_for

COUNT = 60
TROUBLE = (OSError, smtplib.SMTPException, httpx.TransportError, AssertionError)


def until_it_works(stop: float, work: Callable[[], bool]) -> bool:
    """As a client of ours does: again, until it is taken."""
    while time.monotonic() < stop:
        with contextlib.suppress(*TROUBLE):
            if work():
                return True
        time.sleep(0.5)
    return False


def submit_one(storm: Storm, number: int, taken: dict[int, str]) -> bool:
    address = f"door{number}@partner.test"
    with submitting(storm) as connection:
        code, reply = submit(connection, message(address), address)
    if code == 250:
        taken[number] = mail_id_of(reply)
    return code == 250


def tell_one(storm: Storm, number: int) -> bool:
    """Two attempts of another server, the first of which is told again each time."""
    items = [item(f"S{number}", "temporary", -9, code=451, text="later"), item(f"S{number}", "accepted", -5, code=250)]
    answer = storm.post("/attempts", {"source": "mx1", "items": items})
    return answer.status_code == 202 and answer.json() == {"accepted": 2, "rejected": []}


def bounce_one(storm: Storm, address: str, recipient: str) -> bool:
    raw = dsn(storm, address, recipient, "failed", "5.1.1", f"550 5.1.1 <{recipient}> no such user here")
    return storm.send(raw, address, sender="")[0] == 250


@pytest.mark.long
def test_every_door_and_the_way_back_in_a_storm(brew: Brew) -> None:
    storm = brew()
    early = {number: storm.submit(f"early{number}@partner.test") for number in range(COUNT)}
    storm.all_are(early.values(), "delivered", 60)
    wire = {one.recipients[0]: one.mail_from for one in storm.outside.partner.arrived}
    taken: dict[int, str] = {}
    stop, failed = time.monotonic() + 150, list[str]()

    def run(name: str, work: Callable[[int], bool]) -> None:
        for number in range(COUNT):
            if not until_it_works(stop, lambda: work(number)):  # noqa: B023
                failed.append(f"{name} {number}")
            time.sleep(0.3)

    def came_back(number: int) -> bool:
        recipient = f"early{number}@partner.test"
        return bounce_one(storm, wire[recipient], recipient)

    jobs: list[tuple[str, Callable[[int], bool]]] = [
        ("submission", lambda number: submit_one(storm, number, taken)),
        ("attempts", lambda number: tell_one(storm, number)),
        ("report", came_back),
    ]
    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for stage in ("submission", "console", "outcomes", "inbound", "outbound", "outcomes", "console"):
        time.sleep(storm.random.uniform(0.5, 2.0))
        storm.kill(stage)
    with storm.silent_kafka(15.0):
        pass
    for thread in threads:
        thread.join(160)
    assert not failed and len(taken) == COUNT
    storm.all_are(taken.values(), "delivered", 90)
    storm.all_are(early.values(), "delivery_failed", 90)
    for mail_id in early.values():
        events = storm.detail(mail_id)["events"]
        assert [event["late"] for event in events if event["status"] == "delivery_failed"] == [True], events

    def told() -> list[dict[str, Any]]:
        found = storm.get("/mails", source="mx1", limit=500)
        return found.json()["items"] if found.status_code == 200 else []

    assert wait_for(lambda: sum(row["status"] == "delivered" for row in told()) == COUNT, 60)
    rows = told()
    assert len(rows) == COUNT and {row["attempts"] for row in rows} == {2}
    again = len(storm.outside.partner.arrived) - 2 * COUNT
    print(
        f"{COUNT} of each by three doors, 7 kills, Kafka silent for 15 s: {again} mails came more than once at their server"
    )
