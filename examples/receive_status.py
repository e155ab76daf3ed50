"""Hear what becomes of mail, without Kafka and without asking: SECRET=whsec_… python examples/receive_status.py [PORT]

Takes the calls of a status webhook, verifies who calls, and prints each change once, as a line of JSON (docs/status-topics.md).
Needs standardwebhooks.
"""

import json
import os
import sys
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from standardwebhooks import Webhook, WebhookVerificationError

REMEMBERED = 100_000  # ids; the same change may come again
signature = Webhook(os.environ["SECRET"])
done: OrderedDict[str, None] = OrderedDict()
one_at_a_time = Lock()  # several calls come at once, perhaps of the same change


class Status(BaseHTTPRequestHandler):
    """Answers 204 when a change is taken; anything else brings it again."""

    def do_POST(self) -> None:
        """One change of status."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            signature.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            self.send_error(401)
            return
        event = json.loads(body)
        with one_at_a_time:
            if event["id"] not in done:
                wanted = ("mail_id", "recipient", "status", "reason", "detail")
                change = event["data"]
                print(json.dumps({"time": event["time"], **{name: change.get(name) for name in wanted}}), flush=True)
            done[event["id"]] = None
            if len(done) > REMEMBERED:
                done.popitem(last=False)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what comes is printed above."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9001), Status).serve_forever()
