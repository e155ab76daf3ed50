"""Reading messages with few readers, some of whose askers have gone."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from contracts.errors import Unavailable
from contracts.events import RawPointer
from contracts.records import ConsumedRecord
from runtime.blobs import BlobStore
from sinks.dispatch import fetch_raw
from sinks.dispatch.fetch_raw import READERS, RawReader


async def test_a_reader_whose_asker_was_cancelled_is_used_by_nobody_else_until_its_thread_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy: set[int] = set()
    shared = threading.Event()

    def fetch(consumer: Consumer, pointer: RawPointer) -> list[ConsumedRecord]:
        if id(consumer) in busy:
            shared.set()
        busy.add(id(consumer))
        time.sleep(0.2)
        busy.discard(id(consumer))
        if pointer.offset == 0:
            raise Unavailable("Kafka", "slow")
        return [ConsumedRecord(pointer.topic, pointer.partition, pointer.offset, b"", b"", [])]

    monkeypatch.setattr(fetch_raw, "_fetch", fetch)
    raw = RawReader({"bootstrap.servers": "127.0.0.1:1"}, BlobStore(f"file://{tmp_path}"), "test")
    try:
        gone = [
            asyncio.create_task(raw._find(RawPointer(topic="mail.raw", partition=partition, offset=0)))
            for partition in range(READERS)
        ]
        await asyncio.sleep(0.05)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        await asyncio.gather(
            *(
                raw._find(RawPointer(topic="mail.raw", partition=partition, offset=100))
                for partition in range(2 * READERS)
            )
        )
    finally:
        raw.close()
    assert not shared.is_set(), "one thread gets what another asked for: that message would be taken to be gone"


async def test_of_many_who_ask_for_what_stands_together_one_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[tuple[int, int]] = []

    def fetch(consumer: Consumer, pointer: RawPointer) -> list[ConsumedRecord]:
        fetched.append((pointer.partition, pointer.offset))
        time.sleep(0.05)
        offsets = range(pointer.offset, pointer.offset + 50)
        return [ConsumedRecord(pointer.topic, pointer.partition, offset, b"", b"", []) for offset in offsets]

    monkeypatch.setattr(fetch_raw, "_fetch", fetch)
    raw = RawReader({"bootstrap.servers": "127.0.0.1:1"}, BlobStore(f"file://{tmp_path}"), "test")
    try:
        asked = [(partition, offset) for offset in range(60) for partition in range(2)]
        found = await asyncio.gather(
            *(
                raw._find(RawPointer(topic="mail.raw", partition=partition, offset=offset))
                for partition, offset in asked
            )
        )
    finally:
        raw.close()
    assert [(one.partition, one.offset) for one in found] == asked
    assert sorted(fetched) == [(0, 0), (0, 50), (1, 0), (1, 50)]
