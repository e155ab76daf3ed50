"""The real broker: what it acknowledged is there after any death, and nothing is made that nobody declared."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from local.run_kafka import KafkaFailed, LocalKafka


def create_topic(kafka: LocalKafka, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])[name].result(20)


def read_all(kafka: LocalKafka, topic: str) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "reader",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    try:
        while True:
            message = consumer.poll(20)
            assert message is not None, "the broker went silent"
            if error := message.error():
                if error.code() == KafkaError._PARTITION_EOF:
                    return values
                assert error.retriable(), error
                continue
            values.append(message.value() or b"")
    finally:
        consumer.close()


def test_killed_under_load_loses_and_doubles_nothing_acknowledged(tmp_path: Path, free_port: Callable[[], int]) -> None:
    kafka = LocalKafka(tmp_path / "kafka", free_port(), free_port())
    kafka.start()
    create_topic(kafka, "load")
    acknowledged: list[bytes] = []
    stop = threading.Event()

    def write() -> None:
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True, "linger.ms": 1})
        number = 0
        while not stop.is_set():
            number += 1
            value = b"%d" % number
            producer.produce(
                "load", value, on_delivery=lambda error, message: error or acknowledged.append(message.value())
            )
            producer.poll(0.001)
        producer.flush(30)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            seen = len(acknowledged)
            deadline = time.monotonic() + 30
            while len(acknowledged) < seen + 200 and time.monotonic() < deadline:
                time.sleep(0.05)
            kafka.kill()
            kafka.start()
    finally:
        stop.set()
        writer.join()
    assert len(acknowledged) > 400
    kafka.stop()
    kafka.start()
    stored = read_all(kafka, "load")
    kafka.stop()
    assert sorted(stored) == sorted(acknowledged)


def test_an_undeclared_topic_is_not_created(kafka: LocalKafka) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.timeout.ms": 3000, "log_level": 0})
    errors: list[KafkaError] = []
    producer.produce("never.declared", b"x", on_delivery=lambda error, message: errors.append(error))
    producer.flush(10)
    assert errors and errors[0] is not None


def test_stopped_broker_leaves_no_process_and_no_listener(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with LocalKafka(tmp_path, free_port(), free_port()) as kafka:
        process = psutil.Process(kafka.pid)
        bootstrap = kafka.bootstrap
    assert not process.is_running()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=1)


def test_same_data_comes_up_on_other_ports(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with LocalKafka(tmp_path, free_port(), free_port()) as first:
        create_topic(first, "kept")
    with LocalKafka(tmp_path, free_port(), free_port()) as second:
        assert "kept" in AdminClient({"bootstrap.servers": second.bootstrap}).list_topics(timeout=10).topics


def test_a_taken_port_is_named_in_the_failure(tmp_path: Path, kafka: LocalKafka, free_port: Callable[[], int]) -> None:
    # The port answers (another broker does), so the controller's port is the one taken here.
    taken = LocalKafka(tmp_path, free_port(), kafka.broker.controller_port)
    with pytest.raises(KafkaFailed, match=r"(?i)address already in use|kafka\.log"):
        taken.start(timeout=30)
