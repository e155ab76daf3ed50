"""A process that claims: `python -m tests.integration.claimant BOOTSTRAP INSTANCE NAME …`. One line for each name: the name, whose it is,
and whether the work is this process's. With `wait` as its last name it then stays until it is killed, with its work undone."""

import asyncio
import sys

from runtime.claim import Claims
from runtime.publish import Publisher


async def claim(bootstrap: str, instance: str, names: list[str]) -> None:
    kafka = {"bootstrap.servers": bootstrap}
    publisher = Publisher(kafka, timeout=20.0)
    claims = Claims(kafka, publisher, instance)
    wait = names[-1] == "wait"

    async def one(name: str) -> None:
        first = await claims.claim(name, f"{instance}-{name}")
        print(name, first.claimant, claims.take_up(first), flush=True)

    await claims.claim(f"warm up {instance}", instance)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for name in names[:-1] if wait else names:
        await one(name)
    if wait:
        await asyncio.sleep(600)
    await claims.close()
    await publisher.close()


if __name__ == "__main__":
    asyncio.run(claim(sys.argv[1], sys.argv[2], sys.argv[3:]))
