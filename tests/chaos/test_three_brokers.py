"""Three brokers and two or three workers of every stage: brokers die, one after another, and nothing is lost or doubled."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.storm import Storm
from tests.chaos.traffic import Traffic, start_more
from tests.fakes.kafka_cluster import NODES, KafkaCluster

PORT = 180  # from the pipeline's port base


@pytest.fixture
def on_three_brokers(tmp_path: Path) -> Iterator[tuple[Storm, KafkaCluster]]:
    storm = Storm(tmp_path)
    cluster = KafkaCluster(tmp_path, storm.base + PORT)
    try:
        storm.change(kafka={"bootstrap": cluster.bootstrap, "replication": NODES})
        cluster.start()
        storm.start(120)
        yield storm, cluster
    finally:
        storm.close()
        cluster.stop()


def kill_brokers(storm: Storm, cluster: KafkaCluster, kills: int) -> Traffic:
    """Mail in both directions while brokers die, each one coming back before the next one goes."""
    with Traffic(storm) as traffic:
        time.sleep(3.0)
        for node in storm.random.sample(range(NODES), kills):
            cluster.kill(node)
            time.sleep(8.0)
            assert traffic.goes_on(), "two of three brokers, and no mail is accepted"
            cluster.start(node)
            time.sleep(5.0)
    return traffic


@pytest.mark.long
def test_one_of_three_brokers_is_killed(on_three_brokers: tuple[Storm, KafkaCluster]) -> None:
    storm, cluster = on_three_brokers
    assert "kafka" not in storm.stages, "a broker of its own beside those that it was given"
    start_more(storm, 1)
    traffic = kill_brokers(storm, cluster, 1)
    doubled = traffic.check()
    print(f"{traffic}, two workers of every stage, one of three brokers killed: {doubled} delivered twice")
    assert not doubled  # no process was killed


@pytest.mark.long
def test_each_of_three_brokers_is_killed(on_three_brokers: tuple[Storm, KafkaCluster]) -> None:
    storm, cluster = on_three_brokers
    start_more(storm, 2)
    traffic = kill_brokers(storm, cluster, NODES)
    doubled = traffic.check()
    print(f"{traffic}, three workers of every stage, each of three brokers killed: {doubled} delivered twice")
    assert not doubled
