"""Decisions when processors are killed, replay, and find DNS changed: the log tells the story that the sender heard."""

import threading
import time

import pytest

from tests.chaos.conftest import Brew
from tests.chaos.storm import Storm
from tests.wait_for import wait_for


def row_of(storm: Storm, message_id: str) -> dict[str, object]:
    """The one row of a mail."""
    rows = storm.rows(message_id)
    assert len(rows) == 1, rows
    return rows[0]


@pytest.mark.long
def test_dns_flips_in_replay(brew: Brew) -> None:
    """A refusal that was heard stays one, and a mail that was dispatched stays accepted, whatever DNS says when they are read again."""
    storm = brew()
    records = storm.outside.zones.records
    key = records["s1._domainkey.good.test"]
    for round in range(4):
        # From 127.0.0.3 mail of good.test passes by its signature only; ours.test asks for rejection.
        spoof, spoof_id = storm.mail("fwd-x@ours.test", f"spoof {round}", sender="boss@ours.test", sign=False)
        good, good_id = storm.mail("fwd-x@ours.test", f"good {round}")
        assert storm.send(spoof, "fwd-x@ours.test", source="127.0.0.3")[0] == 550
        assert storm.send(good, "fwd-x@ours.test", source="127.0.0.3")[0] == 250
        records["_dmarc.ours.test"] = {"TXT": ["v=DMARC1; p=none"]}
        records["s1._domainkey.good.test"] = {}
        storm.kill("inbound")  # within the commit's interval: both are read again
        after, after_id = storm.mail("drop@ours.test", "after", sender="x@nowhere.test", sign=False)
        assert storm.send(after, "drop@ours.test")[0] == 250
        assert storm.settled(after_id)[0]["status"] == "dropped"
        assert storm.settled(good_id)[0]["status"] == "forwarded"
        time.sleep(1.0)
        row = row_of(storm, spoof_id)
        assert (row["status"], row["late"]) == ("rejected", False), row
        assert "answered 550" in str(row["detail"])
        assert row_of(storm, good_id)["status"] == "forwarded"
        records["_dmarc.ours.test"] = {"TXT": ["v=DMARC1; p=reject"]}
        records["s1._domainkey.good.test"] = key
        storm.kill("inbound")  # with a cache that knows the names as they are
        assert wait_for(storm.is_ready, 30)
    assert not storm.outside.partner.got(b"Subject: spoof")
    assert len(storm.outside.partner.got(b"Subject: good")) == 4


@pytest.mark.long
def test_rejected_under_kill(brew: Brew) -> None:
    """What the sender heard is what the log says: 550 is `rejected`, 250 is `rejected` and late."""
    storm = brew(smtp={"verdict_timeout": "2s", "verdict_misses": 1000})
    heard: dict[str, int] = {}
    stop = threading.Event()

    def spoof() -> None:
        while not stop.is_set():
            raw, message_id = storm.mail("desk@ours.test", "spoof", sign=False)
            code = storm.send(raw, "desk@ours.test", source="127.0.0.3")[0]
            if code in (250, 550):
                heard[message_id] = code

    threads = [threading.Thread(target=spoof) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(storm.random.uniform(1.0, 3.0))
        storm.kill("inbound")
        if storm.random.random() < 0.5:  # and keep it away for longer than the sender waits
            storm.kill("inbound")
    time.sleep(3.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert 550 in heard.values()

    def told() -> bool:
        return all(storm.rows(one) and storm.rows(one)[0]["late"] == (code == 250) for one, code in heard.items())

    assert wait_for(told, 60, 1.0), [
        (code, storm.rows(one))
        for one, code in heard.items()
        if not storm.rows(one) or storm.rows(one)[0]["late"] != (code == 250)
    ][:3]
    assert all(row_of(storm, one)["status"] == "rejected" for one in heard)
    assert not storm.outside.desk.calls
    late = sum(code == 250 for code in heard.values())
    print(f"{len(heard)} spoofed mails, {late} of them answered without a verdict")


@pytest.mark.long
def test_big_mail(brew: Brew) -> None:
    """Twenty mails of 25 MB at once: memory is bounded, and small mail does not wait for them."""
    storm = brew()
    body = "x" * 76 + "\n"
    big = [storm.mail("drop@ours.test", f"big {n}", body=body * (25_000_000 // 77)) for n in range(3)]
    codes: list[int] = []

    def send(n: int) -> None:
        codes.append(storm.send(big[n % 3][0], "drop@ours.test")[0])

    before = {stage: storm.memory(stage) for stage in ("inbound", "smtp-1", "smtp-2", "delivery", "handlers")}
    threads = [threading.Thread(target=send, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    peak = dict(before)
    slowest = 0.0
    while any(thread.is_alive() for thread in threads):
        raw, message_id = storm.mail("drop@ours.test", "small")
        began = time.monotonic()
        assert storm.send(raw, "drop@ours.test")[0] == 250
        slowest = max(slowest, time.monotonic() - began)
        for stage in peak:
            peak[stage] = max(peak[stage], storm.memory(stage))
        time.sleep(0.05)
    assert set(codes) <= {250, 452} and codes.count(250) >= 3, codes
    for stage, octets in peak.items():
        print(f"{stage}: {before[stage] >> 20} MiB, {octets >> 20} MiB at most")
        assert octets - before[stage] < 700 << 20, f"{stage} took {(octets - before[stage]) >> 20} MiB more"
    print(f"{codes.count(250)} of 20 accepted; the slowest small mail took {slowest:.1f} s")
    assert storm.settled(message_id)[0]["status"] == "dropped"


@pytest.mark.long
def test_a_thousand_recipients_again_and_again(brew: Brew) -> None:
    """One application within its quota: mail of others is decided meanwhile, and what is in memory is bounded."""
    storm = brew(delivery={"expire": "600s"})
    storm.remote("many.test", 1, greets=False)
    before = peak = storm.memory("inbound")
    headers = {f"X-Note-{n}": "word " * 380 for n in range(30)}
    waits: list[float] = []
    stop = threading.Event()

    def receive() -> None:
        while not stop.is_set():
            raw, _ = storm.mail("drop@ours.test", "meanwhile")
            began = time.monotonic()
            assert storm.send(raw, "drop@ours.test")[0] == 250
            waits.append(time.monotonic() - began)
            time.sleep(0.2)

    receiving = threading.Thread(target=receive)
    receiving.start()
    try:
        for request in range(30):
            to = [f"a{n}@many.test" for n in range(1000)]
            answer = storm.post("/send", {"from": "desk@ours.test", "to": to, "text": f"{request}", "headers": headers})
            assert answer.status_code == 202, answer.text
            peak = max(peak, storm.memory("inbound"))
        end = time.monotonic() + 15
        while time.monotonic() < end:
            peak = max(peak, storm.memory("inbound"))
            time.sleep(0.1)
    finally:
        stop.set()
        receiving.join()
    print(f"inbound {before >> 20} MiB, at most {peak >> 20} MiB; a mail waited {max(waits):.1f} s at most")
    assert peak - before < 500 << 20
