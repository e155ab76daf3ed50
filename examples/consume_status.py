"""Follow what becomes of mail, without asking Mailscope: python examples/consume_status.py BOOTSTRAP [STATUS ...]

Prints each change of status once, as a line of JSON (docs/status-topics.md). Needs confluent-kafka.
"""

import json
import sys
from collections import OrderedDict

from confluent_kafka import Consumer

REMEMBERED = 100_000  # ids; the same change may come again


def main(bootstrap: str, *statuses: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "example-status",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["mail.status.inbound", "mail.status.outbound"])
    done: OrderedDict[str, None] = OrderedDict()
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None or message.error():
                continue
            event = json.loads(message.value())
            change = event["data"]
            if event["id"] not in done and (not statuses or change["status"] in statuses):
                wanted = ("mail_id", "recipient", "status", "reason", "detail")
                print(json.dumps({"time": event["time"], **{name: change.get(name) for name in wanted}}), flush=True)
            done[event["id"]] = None
            if len(done) > REMEMBERED:
                done.popitem(last=False)
            consumer.commit(
                message, asynchronous=True
            )  # after it was done: nothing is missed, and something may come twice
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
