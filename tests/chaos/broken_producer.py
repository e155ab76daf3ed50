"""A process that publishes: `python -m tests.chaos.broken_producer BOOTSTRAP TOPIC`. For each line that it reads, five records, one by
one, each as often as it takes."""

import asyncio
import sys

from contracts.records import Record
from runtime.publish import Publisher


async def main(bootstrap: str, topic: str) -> None:
    publisher = Publisher({"bootstrap.servers": bootstrap}, timeout=20.0)
    while await asyncio.to_thread(sys.stdin.readline):
        for _ in range(5):
            await publisher.publish_until_done([Record(topic, "key", b"value", [], 0)], "broken_producer")
        print("published", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
