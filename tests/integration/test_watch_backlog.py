"""Mail that waits for hours closes the door, and opens it again, by what a real group has committed on a real broker."""

import asyncio
import time
from pathlib import Path

from confluent_kafka import Producer, TopicPartition

from contracts.settings import Settings
from ingest.smtp.receive_mail import BEHIND, MailReceiver
from ingest.smtp.transaction import Peer
from ingest.smtp.watch_backlog import watch_backlog
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from runtime.connect_kafka import observer
from tests.conftest import find_free_port
from tests.fakes.broker import settings_of, wait_until

PEER = Peer("192.0.2.1", "client.test", "ESMTP", "", False)


def receiver_of(settings: Settings) -> MailReceiver:
    return MailReceiver(settings, None, None, None)  # type: ignore[arg-type]  # MAIL asks none of them


async def test_mail_that_waits_too_long_for_the_processors_closes_the_door(tmp_path: Path) -> None:
    with LocalKafka(tmp_path / "kafka", find_free_port(), find_free_port()) as kafka:
        settings = settings_of(kafka.bootstrap, tmp_path, smtp={"max_backlog": "1h"})
        apply_topics(settings)
        receiver = receiver_of(settings)
        watching = asyncio.create_task(watch_backlog(settings, receiver, 0.2))
        await asyncio.sleep(1.0)
        assert not isinstance(receiver.mail(PEER, "a@b.test"), str)
        producer = Producer({"bootstrap.servers": kafka.bootstrap})
        for age in (7200, 60):  # two hours old; a minute old
            producer.produce("mail.raw", b"", partition=0, timestamp=int((time.time() - age) * 1000))
        producer.flush(10)
        await wait_until(lambda: receiver.closed)
        assert receiver.mail(PEER, "a@b.test") == BEHIND and BEHIND.startswith("451 ")
        kafka.kill()
        await asyncio.sleep(0.5)
        assert receiver.closed  # nobody answers: what was known still holds
        kafka.start()
        passed = observer(settings.kafka_client, "mailscope-inbound")
        await asyncio.to_thread(passed.commit, offsets=[TopicPartition("mail.raw", 0, 1)], asynchronous=False)
        await wait_until(lambda: not receiver.closed)
        passed.close()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
