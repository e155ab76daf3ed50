"""Delivery when partitions move, Kafka falls silent and destinations do not answer: nothing is lost, and nothing is delivered twice."""

import time

import pytest

from tests.chaos.conftest import Brew
from tests.chaos.storm import Storm
from tests.wait_for import wait_for


def with_delivery(brew: Brew, **changes: object) -> Storm:
    """A pipeline with these settings of its delivery."""
    return brew(delivery={"expire": "600s", **changes})


def test_kafka_silent_16s(brew: Brew) -> None:
    """A deferred mail is tried again when it is due, and what was in work is not begun again."""
    storm = with_delivery(brew, retry=["12s"])
    partner, slow = storm.remote("later.test", 1), storm.remote("slow.test2", 2, delay=10.0)
    partner.refuse = "451 4.3.0 come back"
    deferred = storm.submit("a@later.test", subject="deferred")
    assert wait_for(lambda: [row for row in storm.rows_of({deferred}) if row["status"] == "deferred"], 20)
    in_work = storm.backlog("slow.test2", 5, "in work")
    assert wait_for(lambda: slow.begun, 20)
    partner.refuse = ""
    with storm.silent_kafka(16.0):
        pass
    storm.all_are([deferred], "delivered", 40)
    storm.all_are(in_work, "delivered", 90)
    assert partner.came["deferred"] == 1 and not slow.doubled()


def test_worker_joins_and_leaves_during_a_backlog(brew: Brew) -> None:
    storm = with_delivery(brew)
    remotes = [storm.remote(f"d{n}.test", n, delay=0.4) for n in range(1, 9)]
    sent = {}
    for n in range(1, 9):
        sent |= storm.backlog(f"d{n}.test", 25, f"d{n}")
    assert wait_for(lambda: sum(remote.came.total() for remote in remotes) > 20, 30)
    second = storm.worker("sinks", "delivery", name="delivery-2", port=60)
    assert wait_for(lambda: storm.works("delivery-2"), 60)
    time.sleep(1.5)
    second.terminate()
    assert second.wait(20) == 0
    storm.all_are(sent, "delivered", 120)
    doubled = {subject: times for remote in remotes for subject, times in remote.doubled().items()}
    assert not doubled, f"{len(doubled)} of {len(sent)} were delivered twice"


@pytest.mark.long
def test_the_old_worker_is_stopped_while_another_one_joins(brew: Brew) -> None:
    """Its client is closed in a rebalance, and takes no commit any more: a stop does not wait for one."""
    storm = with_delivery(brew)
    remotes = [storm.remote(f"d{n}.test", n, delay=0.6) for n in range(1, 9)]
    sent = {}
    for n in range(1, 9):
        sent |= storm.backlog(f"d{n}.test", 25, f"d{n}")
    for number in range(2):
        name = f"delivery-{number + 2}"
        storm.worker("sinks", "delivery", name=name, port=60 + number)
        assert wait_for(lambda: "delivering" in (storm.folder / f"{name}.log").read_text(), 60)  # noqa: B023
        time.sleep(storm.random.uniform(0.0, 1.5))
        storm.restart("delivery")
    storm.all_are(sent, "delivered", 120)
    logs = storm.log() + "".join(log.read_text() for log in storm.folder.glob("delivery-*.log"))
    assert "Timeout (0:00:05)!" not in logs and "could not commit" not in logs, "a stop that hangs"
    assert not {subject for remote in remotes for subject in remote.doubled()}


@pytest.mark.long
def test_killed_in_a_rebalance(brew: Brew) -> None:
    """A worker that waits for a slow answer before it gives partitions away, and is killed there: every partition has an owner again."""
    storm = with_delivery(brew)
    slow = [storm.remote(f"d{n}.test", n, delay=6.0) for n in range(1, 13)]
    quick = [storm.remote(f"q{n}.test", 20 + n) for n in range(1, 9)]
    on_the_wire: dict[str, str] = {}
    for n in range(1, 13):
        on_the_wire |= storm.backlog(f"d{n}.test", 1, f"slow {n}")
    assert wait_for(lambda: sum(remote.begun.total() for remote in slow) >= 12, 40)
    storm.worker("sinks", "delivery", name="delivery-2", port=60)
    time.sleep(4.0)  # it has joined, and the first one waits
    storm.kill("delivery")
    sent: dict[str, str] = {}
    for n in range(1, 9):
        sent |= storm.backlog(f"q{n}.test", 3, f"quick {n}")
    storm.all_are(sent, "delivered", 60)
    assert not any(remote.doubled() for remote in quick)
    for remote in slow:
        remote.delay = 0.0
    storm.all_are(on_the_wire, "delivered", 90)  # some of them twice: they were on the wire at a kill


def test_a_rebalance_that_waits_is_no_standstill_and_a_stop_does_not_wait_for_it(brew: Brew) -> None:
    storm = with_delivery(brew, drain_timeout="1s")
    slow = [storm.remote(f"d{n}.test", n, delay=40.0) for n in range(1, 7)]
    for n in range(1, 7):
        storm.backlog(f"d{n}.test", 1, f"slow {n}")
    assert wait_for(lambda: sum(remote.begun.total() for remote in slow) >= 6, 40)
    storm.worker("sinks", "delivery", name="delivery-2", port=60)
    time.sleep(5.0)
    began = time.monotonic()
    storm.restart("delivery")
    assert time.monotonic() - began < 35  # without being told to hurry it waits for the whole 40 s
    assert "did not end" not in storm.log() and "stands still" not in storm.log()
    for remote in slow:
        remote.delay = 0.0


@pytest.mark.long
def test_rolling_restart_under_backlog(brew: Brew) -> None:
    """A restart during a backlog of one slow domain repeats nothing: a stop lets end what is on the wire."""
    storm = with_delivery(brew, per_domain=5, drain_timeout="8s")  # a busy machine must not turn a second into three
    slow, quick = storm.remote("crawl.test", 1, delay=1.0), storm.remote("quick.test", 2)
    sent = storm.backlog("crawl.test", 200, "crawl") | storm.backlog("quick.test", 60, "quick")
    for _ in range(3):
        slow.wait_for_more(3)
        storm.restart("delivery")
    slow.delay = 0.0
    storm.all_are(sent, "delivered", 120)
    assert not slow.doubled() and not quick.doubled()


def test_killed_under_backlog_repeats_only_what_was_on_the_wire(brew: Brew) -> None:
    storm = with_delivery(brew, per_domain=5)
    slow, quick = storm.remote("crawl.test", 1, delay=1.0), storm.remote("quick.test", 2)
    sent = storm.backlog("crawl.test", 200, "crawl") | storm.backlog("quick.test", 100, "quick")
    kills = 3
    for _ in range(kills):
        slow.wait_for_more(5)
        storm.kill("delivery")
    slow.delay = 0.0
    storm.all_are(sent, "delivered", 120)
    doubled = {**slow.doubled(), **quick.doubled()}
    print(f"{len(doubled)} of {len(sent)} were on the wire, or not yet written down, at {kills} kills")
    # Of the slow domain 5 at a time, and as many more within a commit's interval.
    assert len(slow.doubled()) <= 10 * kills, slow.doubled()
    assert slow.came.total() - len(slow.came) <= 10 * kills, (
        "a mail that was parked, or deferred, was delivered from two commands"
    )


@pytest.mark.long
def test_slow_destination(brew: Brew) -> None:
    """One destination with a backlog of minutes: mail to the others takes as long as in calm weather."""
    storm = with_delivery(brew, per_domain=2)
    storm.remote("snail.test", 1, delay=2.0)
    quick = storm.remote("quick.test", 2)

    def round_trip(mark: str) -> float:
        began = time.monotonic()
        sent = storm.backlog("quick.test", 20, mark)
        assert wait_for(lambda: sum(quick.came[subject] for subject in sent.values()) == 20, 60, 0.02)
        return time.monotonic() - began

    round_trip("warm")
    calm = min(round_trip(f"calm {n}") for n in range(3))
    storm.backlog("snail.test", 300, "snail")
    stormy = min(round_trip(f"storm {n}") for n in range(3))
    print(
        f"20 mails to a quick destination: {calm:.2f} s in calm, {stormy:.2f} s beside 300 for a slow one ({stormy / calm:.1f} times)"
    )
    assert stormy < 20 and not quick.doubled()


def test_a_server_whose_answers_are_long(brew: Brew) -> None:
    """What a remote server says must not make records that Kafka does not take: they would end delivery, or outcomes, at every start."""
    addresses = [f"a{n}@babble.test" for n in range(40)]
    inbound = {
        "domains": {"ours.test": {"reject_on": []}},
        "routes": [
            {"match": {"to": "many@ours.test"}, "forward": [*addresses, "team@partner.test"]},
            {"match": {"to": "one@ours.test"}, "forward": ["team@partner.test"]},
        ],
    }
    storm = brew(inbound=inbound)
    storm.remote("babble.test", 1).refuse = "550 5.1.1 " + "\x01" * 3900
    before = {stage: storm.stage_pid(stage) for stage in ("delivery", "outcomes")}
    many, many_id = storm.mail("many@ours.test", "many")
    one, one_id = storm.mail("one@ours.test", "one")
    assert storm.send(many, "many@ours.test")[0] == storm.send(one, "one@ours.test")[0] == 250
    assert storm.settled(many_id, 60)[0]["status"] == "delivery_failed"
    assert storm.settled(one_id, 60)[0]["status"] == "forwarded"
    assert {stage: storm.stage_pid(stage) for stage in before} == before
    assert len(storm.outside.partner.got(b"Subject: many")) == len(storm.outside.partner.got(b"Subject: one")) == 1


@pytest.mark.long
def test_black_hole(brew: Brew) -> None:
    """Destinations that take connections and never greet: everybody else is served, and the log says why they wait."""
    storm = with_delivery(brew, retry=["5s", "10s"], timeout="2s")
    holes = [storm.remote(f"hole{n}.test", n, greets=False) for n in range(1, 31)]
    storm.remote("quick.test", 99)
    stuck = {}
    for n in range(1, 31):
        stuck |= storm.backlog(f"hole{n}.test", 6, f"hole{n}")
    began = time.monotonic()
    sent = storm.backlog("quick.test", 30, "quick")
    storm.all_are(sent, "delivered", 30)
    print(f"30 mails beside thirty black holes with 180: {time.monotonic() - began:.1f} s")
    storm.all_are(stuck, "deferred", 60)
    waits = [row for row in storm.rows_of(set(stuck)) if row["attempts"] == 0]
    assert waits and all("not tried yet: mx.hole" in row["detail"] for row in waits)
    for hole in holes:
        hole.greets = True
    storm.all_are(stuck, "delivered", 90)
    assert not any(hole.doubled() for hole in holes)


@pytest.mark.long
def test_two_workers_of_one_name_do_not_put_each_other_out(brew: Brew) -> None:
    storm = with_delivery(brew)
    twin = storm.worker("sinks", "delivery", name="delivery", port=61)
    assert twin.wait(30) == 78
    assert "another name in MAILSCOPE_INSTANCE" in (storm.folder / "delivery.log").read_text()
    partner = storm.remote("still.test", 1)
    storm.all_are(storm.backlog("still.test", 5, "still"), "delivered", 30)
    assert not partner.doubled()
