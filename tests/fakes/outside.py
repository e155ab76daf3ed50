"""The world outside of the pipeline, for end-to-end tests: DNS zones, remote mail servers, a webhook. All on loopback."""

import base64
import http.server
import json
import threading
import time
from dataclasses import dataclass, field

import dnslib
import dnslib.server
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


class Zones(dnslib.server.BaseResolver):
    """`records[name][type]` is a list of values; a name that is absent is NXDOMAIN."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, list]] = {}

    def add(self, name: str, kind: str, value: object) -> None:
        self.records.setdefault(name.lower(), {}).setdefault(kind, []).append(value)

    def resolve(self, request: dnslib.DNSRecord, handler: object) -> dnslib.DNSRecord:
        reply = request.reply()
        name = str(request.q.qname).lower().rstrip(".")
        found = self.records.get(name)
        if found is None:
            if not any(known.endswith("." + name) for known in self.records):
                reply.header.rcode = dnslib.RCODE.NXDOMAIN
            return reply
        kind = dnslib.QTYPE[request.q.qtype]
        for value in found.get(kind, []):
            if kind == "TXT":
                data = dnslib.TXT([value[i : i + 250].encode() for i in range(0, len(value), 250)])
            elif kind == "MX":
                data = dnslib.MX(value[1], value[0])
            else:
                data = {"A": dnslib.A, "AAAA": dnslib.AAAA, "PTR": dnslib.PTR}[kind](value)
            reply.add_answer(dnslib.RR(request.q.qname, request.q.qtype, rdata=data, ttl=30))
        return reply


@dataclass
class Arrived:
    """A message that a remote server took."""

    mail_from: str
    recipients: list[str]
    content: bytes


class RemoteServer:
    """A remote mail server. `plan[recipient]` is a list of replies to RCPT, used up one by one, or a reply for good."""

    def __init__(self, host: str, port: int) -> None:
        self.arrived: list[Arrived] = []
        self.plan: dict[str, list[str] | str | bytes] = {}
        self.utf8 = True
        outer = self

        class Handler:
            async def handle_RCPT(self, server, session, envelope, address, options):  # type: ignore[no-untyped-def]
                plan = outer.plan.get(address.lower())
                reply = (
                    plan.pop(0) if isinstance(plan, list) and plan else plan if isinstance(plan, str | bytes) else None
                )
                if reply:
                    return reply
                envelope.rcpt_tos.append(address)
                return "250 2.1.5 ok"

            async def handle_DATA(self, server, session, envelope):  # type: ignore[no-untyped-def]
                outer.arrived.append(Arrived(envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
                return f"250 2.0.0 queued as remote-{len(outer.arrived)}"

        class Server(Controller):
            def factory(self) -> SMTP:
                return SMTP(self.handler, hostname="remote.test", enable_SMTPUTF8=True, data_size_limit=80_000_000)

        self._controller = Server(Handler(), hostname=host, port=port)
        self._controller.start()

    def got(self, mark: bytes) -> list[Arrived]:
        """What arrived with this in it."""
        return [one for one in self.arrived if mark in one.content]

    def stop(self) -> None:
        self._controller.stop()


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
    """The webhook. It answers by the subject: `skip ...`, `fail ...`, `down ...` (503 until `up`), else with a new key."""

    port: int
    calls: list[Call] = field(default_factory=list)
    up: bool = False
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
        if subject.startswith("fail"):
            return 200, {"status": "failed", "reason": "the field priority is missing"}
        # As a good handler does: a repetition (same webhook-id) gets the key of the first call.
        identity = call.headers["webhook-id"]
        return 200, {"status": "processed", "reference": self.keys.setdefault(identity, f"IT-{len(self.keys) + 1}")}

    def called(self, subject: str) -> list[Call]:
        """The calls for mails with this subject."""
        return [call for call in self.calls if call.mail.get("subject") == subject]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def rsa_key() -> tuple[bytes, str]:
    """A private key in PEM and its DKIM record."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return pem, "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()


class Outside:
    """good.test signs and asks for rejection; partner.test and slow.test take mail; ours.test is ours."""

    def __init__(self, base: int) -> None:
        self.zones = zones = Zones()
        self.keys: dict[str, bytes] = {}
        for domain, policy in (("good.test", "reject"), ("soft.test", "quarantine"), ("ours.test", "reject")):
            self.keys[domain], record = rsa_key()
            zones.add(domain, "TXT", "v=spf1 ip4:127.0.0.1 -all")
            zones.add(f"s1._domainkey.{domain}", "TXT", record)
            zones.add(f"_dmarc.{domain}", "TXT", f"v=DMARC1; p={policy}")
        for number, domain in enumerate(("good.test", "partner.test", "slow.test", "dead.test", "wire.test"), 1):
            zones.add(domain, "MX", (10, f"mx.{domain}"))
            zones.add(f"mx.{domain}", "A", f"127.0.1.{number}")
        zones.add("nomail.test", "MX", (0, "."))
        self._dns = [
            dnslib.server.DNSServer(
                zones,
                address="127.0.0.1",
                port=base + 153,
                tcp=tcp,
                logger=dnslib.server.DNSLogger(log="-request,-reply,-truncated,-error", prefix=False),
            )
            for tcp in (False, True)
        ]
        for server in self._dns:
            server.start_thread()
        self.good, self.partner, self.slow = (RemoteServer(f"127.0.1.{number}", base + 150) for number in (1, 2, 3))
        self.desk = Desk(base + 190).start()

    def stop(self) -> None:
        for server in self._dns:
            server.stop()
            server.server.server_close()
        for remote in (self.good, self.partner, self.slow):
            remote.stop()
        self.desk.stop()


def wait_for(what, timeout: float = 30.0, every: float = 0.05):  # type: ignore[no-untyped-def]
    """The first true value that `what()` gives; the last one when `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    while True:
        value = what()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(every)
