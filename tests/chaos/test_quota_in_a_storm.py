"""A quota is exact, whoever counts and whatever is killed meanwhile."""

import random
import threading
import time

from tests.chaos.conftest import Brew
from tests.wait_for import wait_for

LIMIT, MAILS, MOST = 60, 50, 3


def test_a_quota_is_exact_with_two_workers_and_kills_in_the_middle(brew: Brew) -> None:
    storm = brew(
        outbound={"domains": {"few.test": {}}, "quotas": [{"domain": "few.test", "per": "day", "limit": LIMIT}]}
    )
    storm.worker("processors", "outbound", name="outbound-2", port=81)
    sent: dict[str, list[str]] = {}
    lock = threading.Lock()

    def hand_over(numbers: range) -> None:
        for number in numbers:
            to = [f"n{number}-{one}@partner.test" for one in range(random.randint(1, MOST))]
            body = {"from": "news@few.test", "to": to, "subject": f"quota {number}", "text": "x"}
            answer = storm.post("/send", body)
            assert answer.status_code == 202, answer.text
            with lock:
                sent[answer.json()["mail_id"]] = to
            time.sleep(0.05)

    senders = [threading.Thread(target=hand_over, args=(range(start, MAILS, 2),)) for start in (0, 1)]
    for sender in senders:
        sender.start()
    for _ in range(3):
        time.sleep(0.5)
        storm.kill("outbound")
        other = storm.processes["outbound-2"]
        other.kill()
        other.wait()
        storm.worker("processors", "outbound", name="outbound-2", port=81)
    for sender in senders:
        sender.join(60)
    wanted = sum(len(to) for to in sent.values())
    rows: list[dict[str, object]] = []

    def settled() -> bool:
        rows[:] = storm.rows_of(set(sent))
        return len(rows) == wanted and all(row["terminal"] for row in rows)

    assert len(sent) == MAILS and wait_for(settled, 90, 0.5), f"{len(rows)} of {wanted}"
    delivered = {row["recipient"] for row in rows if row["status"] == "delivered"}
    refused = [row for row in rows if row["reason"] == "quota_exceeded"]
    arrived = [one for mail in storm.outside.partner.arrived for one in mail.recipients]
    assert len(delivered) == LIMIT and len(delivered) + len(refused) == wanted
    assert set(arrived) == delivered
    print(f"{wanted} recipients, 6 kills: {len(delivered)} delivered, {len(arrived) - len(delivered)} of them twice")
