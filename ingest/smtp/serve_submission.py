"""The submission server's process: as `serve_smtp.py`, for our own applications."""

import asyncio
import logging
import os

from contracts import topics
from contracts.settings import Settings
from ingest.await_verdict import VerdictReader, VerdictWaiter
from ingest.send.send import Sender
from ingest.smtp.connections import Connections
from ingest.smtp.know_users import Logins
from ingest.smtp.read_content import ContentReader
from ingest.smtp.read_proxy_header import behind_proxies
from ingest.smtp.serve_smtp import ACK_TIMEOUT, LAST_WAIT
from ingest.smtp.serve_tls import tls_context
from ingest.smtp.speak_smtp import SmtpConnection
from ingest.smtp.spool import Spool
from ingest.smtp.submit_mail import Submission
from runtime.health import Readiness
from runtime.publish import Publisher

_log = logging.getLogger("mailscope.submission")


async def serve_submission(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Take what is submitted until told to stop. ConfigurationError when a password or a key is missing, Unavailable when Kafka does not
    answer at the start."""
    logins, tls = Logins(settings.outbound.credentials), tls_context(settings)
    publisher = Publisher(settings.kafka_client, timeout=ACK_TIMEOUT, linger_ms=0.5)
    await publisher.warm_up(topics.RAW)
    verdicts = VerdictWaiter(None, settings.outbound.verdict_timeout.total_seconds(), settings.smtp.verdict_misses)
    verdict_reader = VerdictReader(settings.kafka_client, verdicts, os.environ.get("MAILSCOPE_INSTANCE"))
    await verdict_reader.start()
    purpose = Submission(settings, Sender(settings, publisher, verdicts), logins)
    connections = Connections(settings.smtp)
    content = ContentReader(Spool(settings.data_dir / "spool", settings.smtp.max_size), settings.smtp.max_size)
    server = await asyncio.get_running_loop().create_server(
        behind_proxies(
            lambda: SmtpConnection(purpose, settings.smtp, connections, content, settings.authserv_id, tls, logins),
            settings.smtp.proxies,
        ),
        settings.submission.host,
        settings.submission.port,
        reuse_port=True,
        backlog=512,
    )
    _log.info("taking submissions on %s:%d", settings.submission.host, settings.submission.port)
    readiness.set()
    await stop.wait()
    readiness.set("stopping")
    server.close()
    verdicts.leave(LAST_WAIT)
    await connections.drain()
    verdict_reader.close()
    await publisher.close(2)
