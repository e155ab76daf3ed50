"""The application that incoming mail is given to: a webhook that does what a subject asks for, and keeps every call.

A thread for each call, so that a test can hold an answer back (the demo's desk, `local/demo/desk.py`, serves in one loop)."""

import http.server
import json
import threading
from dataclasses import dataclass, field


@dataclass
class Call:
    """One POST to the webhook."""

    headers: dict[str, str]
    body: bytes

    @property
    def mail(self) -> dict:
        return json.loads(self.body)


@dataclass
class Desk:
    """The webhook. It answers by the subject: `skip ...`, `fail ...` (until `mended`), `down ...` (503 until `up`), `odd ...`,
    `comment ...` with the key that the mail came with, else with a new key."""

    port: int
    calls: list[Call] = field(default_factory=list)
    up: bool = False
    mended: set[str] = field(default_factory=set)  # subjects, in lower case
    keys: dict[str, str] = field(default_factory=dict)

    def start(self) -> "Desk":
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                call = Call({name.lower(): value for name, value in self.headers.items()}, body)
                outer.calls.append(call)
                status, answer = outer.answer(call)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def answer(self, call: Call) -> tuple[int, dict]:
        subject = (call.mail.get("subject") or "").lower()
        if subject.startswith("down") and not self.up:
            return 503, {}
        if subject.startswith("skip"):
            return 200, {"status": "skipped", "reason": "not for the desk"}
        if subject.startswith("odd"):  # a key that UTF-8 cannot carry, on two lines
            return 200, {"status": "processed", "reference": "IT-\ud800\r\n7"}
        if subject.startswith("fail") and subject not in self.mended:
            return 200, {"status": "failed", "reason": "the field priority is missing"}
        if subject.startswith("comment") and call.mail["reference"]:  # on the request that the mail is said to be about
            return 200, {"status": "processed", "reference": call.mail["reference"]}
        # As a good handler does: a repetition (same webhook-id) gets the key of the first call.
        identity = call.headers["webhook-id"]
        return 200, {"status": "processed", "reference": self.keys.setdefault(identity, f"IT-{len(self.keys) + 1}")}

    def called(self, subject: str) -> list[Call]:
        """The calls for mails with this subject."""
        return [call for call in self.calls if call.mail.get("subject") == subject]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
