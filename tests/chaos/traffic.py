"""Mail in both directions while a storm blows, and whether each was told once and truly."""

import smtplib
import threading
import time
from collections.abc import Callable
from typing import Self

import httpx

from tests.chaos.storm import Storm
from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for

EXPECTED = {"desk@ours.test": "processed", "drop@ours.test": "dropped", "fwd-k@ours.test": "forwarded"}
STAGES = (
    ("processors", "inbound"),
    ("processors", "outbound"),
    ("processors", "outcomes"),
    ("sinks", "delivery"),
    ("sinks", "handlers"),
)


def start_more(storm: Storm, count: int) -> list[tuple[str, tuple[str, ...], int]]:
    """So many workers more of each stage; (name, command, health port)."""
    workers = []
    for number, command in enumerate(STAGES):
        for nth in range(count):
            workers.append((f"{command[1]}-{nth + 2}", command, 60 + 2 * number + nth))
    for name, command, port in workers:
        storm.worker(*command, name=name, port=port)
    return workers


class Traffic:
    """Two senders, one in each direction, while its block runs. What is refused for a while (4xx, 5xx of HTTP, no answer) counts as not
    accepted: its sender would come again."""

    def __init__(self, storm: Pipeline, pause: float = 0.08) -> None:
        self._storm = storm
        self._pause = pause
        self._stop = threading.Event()
        self.inbound: dict[str, str] = {}  # recipient by Message-ID
        self.outbound: dict[str, str] = {}  # subject by mail_id
        self.refused = 0
        self._threads = [
            threading.Thread(target=self._run, args=(one,), daemon=True) for one in (self._receive, self._submit)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, send_one: Callable[[int], bool]) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                accepted = send_one(number)
            except (OSError, smtplib.SMTPException, httpx.HTTPError):
                accepted = False
            self.refused += not accepted
            number += 1
            time.sleep(self._pause)

    def _receive(self, number: int) -> bool:
        to = list(EXPECTED)[number % len(EXPECTED)]
        raw, message_id = self._storm.mail(to, f"in {number}")
        accepted = self._storm.send(raw, to)[0] == 250
        if accepted:
            self.inbound[message_id] = to
        return accepted

    def _submit(self, number: int) -> bool:
        subject = f"out {number}"
        body = {"from": "desk@ours.test", "to": [f"k{number}@partner.test"], "subject": subject, "text": "hi\n"}
        answer = self._storm.post("/send", body)
        if answer.status_code == 202:
            self.outbound[answer.json()["mail_id"]] = subject
        return answer.status_code == 202

    def goes_on(self) -> bool:
        """Whether mail is accepted in both directions; waits for it."""
        inbound, outbound = len(self.inbound), len(self.outbound)
        return wait_for(lambda: len(self.inbound) > inbound and len(self.outbound) > outbound, 60)

    def check(self, timeout: float = 120) -> int:
        """Everything that was accepted is in the log once, with its true status, and has arrived; how many arrived twice."""
        assert self.inbound and self.outbound
        self._storm.all_are(self.outbound, "delivered", timeout)

        def wrong() -> list[str]:
            rows = {one: self._storm.rows(one) for one in self.inbound}
            return [
                one for one, found in rows.items() if [row["status"] for row in found] != [EXPECTED[self.inbound[one]]]
            ]

        wait_for(lambda: not wrong(), timeout, 2.0)
        assert not wrong(), [(self.inbound[one], self._storm.rows(one)) for one in wrong()[:3]]
        arrived = [
            self._storm.outside.partner.got(f"Subject: {subject}\r\n".encode()) for subject in self.outbound.values()
        ]
        assert all(arrived), "a mail did not arrive"
        return sum(len(found) > 1 for found in arrived)

    def __str__(self) -> str:
        return f"{len(self.inbound)} in, {len(self.outbound)} out, {self.refused} not accepted"
