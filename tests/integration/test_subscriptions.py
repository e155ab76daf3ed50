"""Status webhooks from a real broker: called once for each change, whoever else is dead, and again when killed in between."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from commands.look_at_subscribers import look_at_subscribers
from contracts import metrics, topics
from contracts.codec import decode
from contracts.dead_letter import read_dead_letter, replayed_headers
from contracts.events import StatusChange
from contracts.records import Record
from contracts.settings import Settings
from contracts.subscriptions import CallOutcome, SubscriberCall, SubscriberHealth, SubscriberState
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from runtime.expose_metrics import counter
from runtime.health import Readiness
from runtime.load_settings import load_settings
from sinks.subscriptions.run_subscriptions import run_subscriptions
from tests.conftest import find_free_port
from tests.fakes.broker import publishing, read_topic, settings_of, wait_until
from tests.fakes.status_change import status_change, status_record
from tests.fakes.status_subscriber import StatusSubscriber
from tests.wait_for import wait_for

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_" + "c3Vi" * 8
FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "failed": {"events": ["delivery_failed", "failed"]},
    "inbound": {"directions": ["inbound"], "domains": ["ours.test"]},
    "down": {"pause_after": "3s", "paused_retry": "1s", "timeout": "1s", "domains": ["down.test"]},
    "example": {"events": ["delivered"], "domains": ["example.test"]},
    "gone": {"paused_retry": "2s", "domains": ["gone.test"]},
}


class Stage:
    """`mailscope sinks subscriptions` and those that it calls."""

    def __init__(self, kafka: LocalKafka, folder: Path) -> None:
        self.bootstrap = kafka.bootstrap
        self.subscribers = {name: StatusSubscriber(find_free_port(), SECRET) for name in FILTERS}
        subscriptions = {
            name: {"url": f"http://127.0.0.1:{self.subscribers[name].port}/status", "secret": SECRET, **filters}
            for name, filters in FILTERS.items()
        }
        (folder / "secret").write_text(f"whsec_{'b2xk' * 8}\n{SECRET}\n")  # one that goes out of use, and its successor
        del subscriptions["failed"]["secret"]
        subscriptions["failed"]["secret_file"] = str(folder / "secret")
        self._health = find_free_port()
        config = {
            "data_dir": str(folder / "data"),
            "kafka": {"bootstrap": kafka.bootstrap},
            "delivery": {"retry": ["500ms", "1s"]},
            "metrics": {"port": self._health},
            "subscriptions": subscriptions,
        }
        (folder / "mailscope.yaml").write_text(json.dumps(config))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILSCOPE_")}
        self.environ = {**kept, "MAILSCOPE_CONFIG": str(folder / "mailscope.yaml"), "MAILSCOPE_INSTANCE": "subs"}
        self._log = folder / "log"

    def start(self) -> None:
        command = [sys.executable, "-m", "mailscope", "sinks", "subscriptions", "--health-port", "0"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdout=log, stderr=log)
        assert wait_for(lambda: self.ask("/readyz"), 30), self._log.read_text()

    def ask(self, path: str) -> str:
        assert self.process.poll() is None, self._log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._health}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(20)

    async def publish(self, *changes: StatusChange) -> None:
        async with publishing(self.bootstrap) as publisher:
            await publisher.publish_all([status_record(one, number % 2) for number, one in enumerate(changes)])

    def got(self, name: str, what: Callable[[StatusSubscriber], bool]) -> StatusSubscriber:
        one = self.subscribers[name]
        assert wait_for(lambda: what(one), 40), (
            name,
            [call.event for call in one.calls],
            self._log.read_text()[-4000:],
        )
        return one

    def states(self, name: str) -> list[SubscriberHealth]:
        """All that was said of how a subscriber is doing."""
        told = read_topic(self.bootstrap, topics.SUBSCRIPTIONS)
        return [decode(one.value(), SubscriberState).health for one in told if one.key() == name.encode()]

    def calls(self, name: str) -> list[SubscriberCall]:
        told = read_topic(self.bootstrap, topics.CALLS)
        return [decode(one.value(), SubscriberCall) for one in told if one.key() == name.encode()]


@pytest.fixture(scope="module")
def stage(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("subscriptions")
    apply_topics(settings_of(kafka.bootstrap, folder))
    running = Stage(kafka, folder)
    for name in ("all", "failed", "inbound"):
        running.subscribers[name].start()
    running.start()
    try:
        yield running
    finally:
        running.stop()
        for name in ("all", "failed", "inbound"):
            running.subscribers[name].stop()


def names(subscriber: StatusSubscriber) -> list[str]:
    return [call.event["data"]["subject"] for call in subscriber.calls]


async def test_each_subscriber_gets_what_it_asked_for_once_and_signed_while_another_one_is_dead(stage: Stage) -> None:
    changes = [
        status_change(subject="delivered"),
        status_change(subject="failed", status="delivery_failed", recipient="anna@down.test"),
        status_change(subject="to us", direction="inbound", status="received", recipient="desk@ours.test"),
        status_change(subject="to others", direction="inbound", status="received", recipient="desk@second.test"),
        status_change(subject="from down", from_="desk@down.test"),
    ]
    await stage.publish(*changes)
    everything = stage.got("all", lambda one: len(one.calls) >= 5)
    stage.got("failed", lambda one: bool(one.calls))
    stage.got("inbound", lambda one: bool(one.calls))
    assert sorted(names(everything)) == sorted(one.subject for one in changes)
    assert names(stage.subscribers["failed"]) == ["failed"] and names(stage.subscribers["inbound"]) == ["to us"]
    records = {one.mail_id: status_record(one).value for one in changes}
    for call in everything.calls:
        assert call.body == records[call.event["data"]["mail_id"]] and call.id == call.event["id"]
        assert call.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert not everything.forged and not stage.subscribers["failed"].forged
    assert wait_for(lambda: len(stage.calls("all")) == 5, 10)
    assert {one.outcome for one in stage.calls("all")} == {CallOutcome.TAKEN}


async def test_a_dead_subscriber_is_paused_and_gets_all_it_missed_once_it_is_back(stage: Stage) -> None:
    """The event of the test before has been tried since."""
    assert wait_for(lambda: SubscriberHealth.PAUSED in stage.states("down"), 40)
    assert 'mailscope_subscription_paused{subscription="down"} 1.0' in stage.ask("/metrics")
    await stage.publish(*[status_change(subject=f"missed {number}", from_="a@down.test") for number in range(3)])
    down = stage.subscribers["down"].start()
    try:
        stage.got("down", lambda one: len(one.calls) >= 4)
        assert sorted(names(down)) == ["from down", "missed 0", "missed 1", "missed 2"]
        assert wait_for(lambda: stage.states("down")[-1] is SubscriberHealth.ACTIVE, 10)
        assert wait_for(lambda: 'mailscope_subscription_up{subscription="down"} 1.0' in stage.ask("/metrics"), 10)
    finally:
        down.stop()
    away = [one for one in stage.calls("down") if one.outcome is CallOutcome.AWAY]
    assert away[-1].health is SubscriberHealth.PAUSED and away[-1].next_attempt_at is not None


async def test_410_pauses_at_once_and_the_event_is_not_lost(stage: Stage) -> None:
    gone = stage.subscribers["gone"]
    gone.answer = lambda call: 410
    gone.start()
    try:
        await stage.publish(status_change(subject="gone", from_="a@gone.test"))
        assert wait_for(lambda: stage.states("gone")[-1] is SubscriberHealth.PAUSED, 20)
        gone.answer = lambda call: 200
        assert wait_for(lambda: stage.states("gone")[-1] is SubscriberHealth.ACTIVE, 20)
    finally:
        gone.stop()
    assert len({call.id for call in gone.calls}) == 1 and len(gone.calls) >= 2


async def test_one_that_fails_once_comes_again_by_its_id_and_one_refused_for_ever_becomes_a_dead_letter(
    stage: Stage,
) -> None:
    subscriber, wanted = stage.subscribers["all"], len(stage.subscribers["all"].calls) + 6
    failed: set[str] = set()

    def answer(call: Any) -> int:
        subject = call.event["data"]["subject"]
        if subject == "once" and call.id not in failed:
            failed.add(call.id)
            return 500
        return {"poison": 400, "moved": 302}.get(subject, 204)

    subscriber.answer = answer
    subjects = ("once", "poison", "fine")
    changes = [status_change(subject=subject) for subject in subjects]
    await stage.publish(*changes)
    stage.got("all", lambda one: len(one.calls) >= wanted)
    tried = {one.subject: subscriber.about(one.mail_id) for one in changes}
    assert {subject: len(calls) for subject, calls in tried.items()} == {"once": 2, "poison": 3, "fine": 1}
    of_poison = [call for call in subscriber.calls if call.event["data"]["subject"] == "poison"]
    assert len({call.id for call in of_poison}) == 1

    def letters() -> list[Any]:
        return [one for one in read_topic(stage.bootstrap, topics.DEADLETTER) if one.value() == of_poison[0].body]

    assert wait_for(letters, 20)
    (letter,) = letters()
    told = read_dead_letter(letter.headers())
    assert told.stage == "sinks.subscriptions" and told.reason == "refused_by_subscriber"
    assert told.detail == "all: 3 times, at last: 400 no, said [address]"
    subscriber.answer = lambda call: 204
    async with publishing(stage.bootstrap) as publisher:  # as `mailscope replay` does
        headers = replayed_headers(told.topic, letter.headers())
        await publisher.publish(Record(told.topic, letter.key().decode(), letter.value(), headers))
    before = len(stage.subscribers["failed"].calls)
    stage.got("all", lambda one: len(one.calls) > wanted)
    assert wait_for(lambda: stage.calls("all")[-1].outcome is CallOutcome.TAKEN, 10)
    assert len(stage.subscribers["failed"].calls) == before, "a dead letter is for the subscription that it is of"


async def test_killed_in_the_middle_of_a_call_it_calls_again_with_the_same_id(stage: Stage) -> None:
    subscriber = stage.subscribers["all"]
    done = status_change(subject="done")
    await stage.publish(done)
    stage.got("all", lambda one: bool(one.about(done.mail_id)))
    assert wait_for(lambda: any(one.mail_id == done.mail_id for one in stage.calls("all")), 10)
    first = stage.process

    def kill(call: Any) -> int:
        if call.event["data"]["subject"] == "killed" and stage.process is first:
            stage.stop(signal.SIGKILL)
        return 204

    subscriber.answer = kill
    killed = status_change(subject="killed")
    await stage.publish(killed)
    assert wait_for(lambda: first.poll() is not None, 20)
    stage.start()
    stage.got("all", lambda one: len(one.about(killed.mail_id)) == 2)
    assert len({call.id for call in subscriber.calls if call.event["data"]["subject"] == "killed"}) == 1
    assert wait_for(lambda: stage.calls("all")[-1].mail_id == killed.mail_id, 10)
    assert len(subscriber.about(done.mail_id)) == 1 and not subscriber.forged


async def test_the_example_of_the_documents_prints_each_change_once(stage: Stage) -> None:
    """examples/receive_status.py, as docs/status-topics.md says."""
    page = (ROOT / "docs" / "status-topics.md").read_text()
    shown = yaml.safe_load("subscriptions:" + page.partition("    subscriptions:")[2].partition("\n\n")[0])
    assert Settings.model_validate(shown).subscriptions["warehouse"].events == ["delivered", "delivery_failed"]
    change = status_change(subject="shown", from_="desk@example.test")
    command = [sys.executable, "examples/receive_status.py", str(stage.subscribers["example"].port)]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "SECRET": SECRET}, stdout=subprocess.PIPE, text=True
    ) as example:
        assert example.stdout is not None
        giving_up = threading.Timer(60, example.kill)
        giving_up.start()
        try:
            await stage.publish(change, change)
            told = json.loads(await asyncio.to_thread(example.stdout.readline))
            assert wait_for(lambda: len([one for one in stage.calls("example") if one.code == 204]) == 2, 20)
        finally:
            giving_up.cancel()
            example.kill()
        assert (told["mail_id"], told["status"]) == (change.mail_id, "delivered") and not example.stdout.read()


async def test_doctor_names_a_subscriber_that_takes_nothing(stage: Stage) -> None:
    await stage.publish(*[status_change(from_="a@gone.test") for _ in range(3)])  # nobody listens any more
    assert wait_for(lambda: stage.states("gone")[-1] is SubscriberHealth.FAILING, 20)
    looked = await asyncio.to_thread(lambda: list(look_at_subscribers(load_settings(stage.environ))))
    told = {name: (seen, advice) for name, seen, advice in looked}
    assert told["all"] == ("active", "") and told["gone"][0].startswith("takes nothing since ") and told["gone"][1]


async def test_an_event_that_is_tried_again_does_not_hold_up_its_partition(
    kafka: LocalKafka, tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, where no more than 40 records can be read beyond one that is not done."""
    monkeypatch.setattr("sinks.dispatch.track_offsets.MAX_SPAN", 40)
    apply_topics(settings_of(kafka.bootstrap, tmp_path))
    subscriber = StatusSubscriber(free_port(), SECRET).start()
    subscriber.answer = lambda call: 400 if call.event["data"]["subject"] == "stuck" else 204
    own = {"url": f"http://127.0.0.1:{subscriber.port}/", "secret": SECRET, "domains": ["held.test"]}
    settings = settings_of(kafka.bootstrap, tmp_path, delivery={"retry": ["1h"]}, subscriptions={"held": own})

    async def publish(*subjects: str) -> list[StatusChange]:
        changes = [status_change(subject=subject, from_="a@held.test") for subject in subjects]
        async with publishing(kafka.bootstrap) as publisher:
            await publisher.publish_all([status_record(one) for one in changes])
        return changes

    try:
        async with calling(settings):
            stuck, *_ = await publish("stuck", *map(str, range(100)))
            await wait_until(lambda: len(subscriber.calls) == 101)
            assert len(subscriber.about(stuck.mail_id)) == 1
            value = status_record(stuck).value
            await wait_until(lambda: value in [one.value() for one in read_topic(kafka.bootstrap, topics.DEADLETTER)])
        # What expires while nobody calls is missed, and counted.
        await publish("expired", "expired")
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        (deleted,) = admin.delete_records([TopicPartition(topics.STATUS_OUTBOUND, 0, OFFSET_END)]).values()
        await asyncio.to_thread(deleted.result, 20)
        missed = counter(metrics.SUBSCRIPTION_MISSED).labels("held")
        async with calling(settings):
            (last,) = await publish("last")
            await wait_until(lambda: bool(subscriber.about(last.mail_id)))
        assert missed._value.get() == 2 and len(subscriber.calls) == 102
    finally:
        subscriber.stop()


@contextlib.asynccontextmanager
async def calling(settings: Settings) -> AsyncIterator[None]:
    """The stage, in this process."""
    stop, readiness = asyncio.Event(), Readiness()
    running = asyncio.create_task(run_subscriptions(settings, stop, readiness))
    try:
        await wait_until(lambda: not readiness())
        yield
    finally:
        stop.set()
        await running
