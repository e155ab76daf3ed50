"""A desk: the smallest application that takes mail. Each mail becomes a request with a key; an answer to it finds the same one.

python3 examples/desk.py [PORT]
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen: dict[str, str] = {}  # webhook-id, which is the same on every retry -> key


class Desk(BaseHTTPRequestHandler):
    """Answers each mail with its key."""

    def do_POST(self) -> None:
        """One mail (docs/events.md, Webhooks)."""
        mail = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = mail["reference"] or seen.setdefault(self.headers["webhook-id"], f"IT-{len(seen) + 1}")
        print(f"{key}: {mail['from']}: {mail['subject']}", flush=True)
        answer = json.dumps({"status": "processed", "reference": key}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what comes is printed above."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9000), Desk).serve_forever()
