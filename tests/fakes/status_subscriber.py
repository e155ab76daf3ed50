"""A subscriber of status webhooks that keeps every call and answers as it is told; it verifies signatures as its owner would."""

import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from standardwebhooks import Webhook


@dataclass
class Call:
    """One POST."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict:
        return json.loads(self.body)


@dataclass
class StatusSubscriber:
    """Serves on a port of 127.0.0.1. `answer` gives the status code for a call."""

    port: int
    secret: str
    answer: Callable[[Call], int] = lambda call: 204
    calls: list[Call] = field(default_factory=list)
    forged: list[Exception] = field(default_factory=list)  # calls whose signature is wrong

    def start(self) -> "StatusSubscriber":
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                call = Call({name.lower(): value for name, value in self.headers.items()}, body)
                try:
                    Webhook(outer.secret).verify(body, call.headers)
                except Exception as error:
                    outer.forged.append(error)
                outer.calls.append(call)
                code = outer.answer(call)
                text = b"" if code < 300 else b"no, said bob@corp.example\r\n"
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("location", f"http://127.0.0.1:{outer.port}/elsewhere")
                if code != 204:
                    self.send_header("content-length", str(len(text)))
                self.end_headers()
                if code != 204:
                    self.wfile.write(text)

            def log_message(self, *arguments: object) -> None:
                return

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64  # of 5, many calls at once would be refused

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def about(self, mail_id: str) -> list[str]:
        """The statuses that it was told of a mail, in the order of the calls."""
        return [call.event["data"]["status"] for call in self.calls if call.event["data"]["mail_id"] == mail_id]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
