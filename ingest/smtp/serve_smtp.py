"""The receiver's process: listen, receive, and on SIGTERM let open transactions end before leaving."""

import asyncio
import logging
import os

from contracts import topics
from contracts.settings import Settings
from ingest.await_verdict import VerdictReader, VerdictWaiter
from ingest.hold_message import MessageHolder
from ingest.smtp.connections import Connections
from ingest.smtp.read_content import ContentReader
from ingest.smtp.read_proxy_header import behind_proxies
from ingest.smtp.receive_mail import MailReceiver
from ingest.smtp.serve_tls import tls_context
from ingest.smtp.speak_smtp import SmtpConnection
from ingest.smtp.spool import Spool
from ingest.smtp.watch_backlog import watch_backlog
from mail.bounce_address import BounceAddresses
from runtime.blobs import open_blobs
from runtime.health import Readiness
from runtime.load_secret import load_secret
from runtime.publish import Publisher

_log = logging.getLogger("mailscope.smtp")
ACK_TIMEOUT = 20.0  # seconds until the sender hears 451; RFC 5321 section 4.5.3.2.6 gives us 10 minutes
LAST_WAIT = 0.5  # seconds that a verdict may still take once the process stops; then 250, since the message is held


async def serve_smtp(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Receive mail until told to stop. ConfigurationError when a key is missing, Unavailable when Kafka does not answer at the start."""
    tls = tls_context(settings)
    bounces = BounceAddresses(load_secret(settings))
    publisher = Publisher(settings.kafka_client, timeout=ACK_TIMEOUT, linger_ms=0.5)
    await publisher.warm_up(topics.RAW)
    verdicts = VerdictWaiter(None, settings.smtp.verdict_timeout.total_seconds(), settings.smtp.verdict_misses)
    verdict_reader = VerdictReader(settings.kafka_client, verdicts, os.environ.get("MAILSCOPE_INSTANCE"))
    await verdict_reader.start()
    holder = MessageHolder(publisher, open_blobs(settings), settings.blobs.threshold)
    receiver = MailReceiver(settings, holder, verdicts, bounces)
    connections = Connections(settings.smtp)
    content = ContentReader(Spool(settings.data_dir / "spool", settings.smtp.max_size), settings.smtp.max_size)
    server = await asyncio.get_running_loop().create_server(
        behind_proxies(
            lambda: SmtpConnection(receiver, settings.smtp, connections, content, settings.authserv_id, tls),
            settings.smtp.proxies,
        ),
        settings.smtp.host,
        settings.smtp.port,
        reuse_port=True,
        backlog=512,
    )
    _log.info("receiving on %s:%d", settings.smtp.host, settings.smtp.port)
    backlog = asyncio.create_task(watch_backlog(settings, receiver))
    readiness.set()
    await stop.wait()
    backlog.cancel()
    readiness.set("stopping")
    server.close()
    verdicts.leave(LAST_WAIT)
    await connections.drain()
    await receiver.drain()
    verdict_reader.close()
    await publisher.close(2)
