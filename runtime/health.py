"""The small HTTP server of every process: /metrics (Prometheus), /healthz (it lives), /readyz (it can do its work)."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Readiness:
    """Whether this process can do its work, and if not, why."""

    def __init__(self, why_not: str = "starting") -> None:
        self.why_not = why_not
        self.was_ready = not why_not

    def set(self, why_not: str = "") -> None:
        """Ready, or not ready for this reason."""
        self.why_not = why_not
        self.was_ready = self.was_ready or not why_not

    def __call__(self) -> str:
        return self.why_not


def serve_health(host: str, port: int, why_not_ready: Callable[[], str]) -> ThreadingHTTPServer:
    """Serve in a daemon thread. OSError when the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif path == "/healthz":
                self._answer(200, b"ok\n")
            elif path == "/readyz":
                reason = why_not_ready()
                self._answer(503 if reason else 200, (reason or "ok").encode() + b"\n")
            else:
                self._answer(404, b"try /metrics, /healthz or /readyz\n")

        def _answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise OSError(f"/metrics cannot be served on {host}:{port} ({error.strerror}): set metrics.port") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
