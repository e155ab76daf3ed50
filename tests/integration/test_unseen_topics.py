"""A topic that is not there, or that a user may not see, holds nothing that is known: nobody takes it for an empty one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import KafkaException

from commands.replay import replay
from commands.tail import tail
from contracts.errors import Unavailable
from contracts.ids import new_mail_id
from contracts.statuses import Direction
from local.run_kafka import LocalKafka
from processors.recall_decisions import Decisions
from runtime.apply_topics import apply_topics
from runtime.watch_lag import Lag
from sinks.clickhouse.track_completeness import Completeness
from tests.conftest import find_free_port
from tests.fakes.broker import settings_of
from tests.wait_for import wait_for


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka"), find_free_port(), find_free_port()) as running:
        yield running


@pytest.mark.parametrize(("command", "topic"), [(replay, "mail.deadletter"), (tail, "status topics")])
def test_a_command_says_so_and_ends(broker: LocalKafka, tmp_path: Path, command: object, topic: str) -> None:
    environ = {"MAILSCOPE_KAFKA__BOOTSTRAP": broker.bootstrap, "MAILSCOPE_DATA_DIR": str(tmp_path)}
    done = CliRunner().invoke(command, [], env=environ)  # type: ignore[arg-type]
    assert done.exit_code == 69 and topic in done.output and "Unknown topic" in done.output, done.output


def test_a_stage_does_not_take_it_for_nothing(broker: LocalKafka, tmp_path: Path) -> None:
    settings = settings_of(broker.bootstrap, tmp_path)
    assert Lag(settings.kafka_client, "mailscope-inbound", ["mail.raw"]).measure() is None
    recall = Decisions(settings.kafka_client, Direction.INBOUND)
    with pytest.raises(Unavailable, match="Unknown topic"):
        asyncio.run(recall.look_up(new_mail_id(), 0))
    tracker = Completeness(settings)
    for _ in range(2):  # the second time there would be a moment, and no sources that it waits for
        with pytest.raises(KafkaException):
            tracker.advance()
    tracker.close()
    apply_topics(settings)
    lag = Lag(settings.kafka_client, "mailscope-inbound", ["mail.raw"])
    assert wait_for(lambda: lag.measure() is not None)
