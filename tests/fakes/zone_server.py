"""A real DNS server on a free port of 127.0.0.1, UDP and TCP, that answers from a zone like `Zone` does."""

from typing import Any

from dnslib import AAAA, CNAME, MX, PTR, QTYPE, RCODE, RR, TXT, A
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer


class ZoneServer:
    """Runs until `stop()`. A type that is "SERVFAIL" answers so, "TIMEOUT" answers nothing at all."""

    def __init__(self, records: dict[str, dict[str, Any]], ttl: int = 3600) -> None:
        self.answerer = _Answerer(records, ttl)
        quiet = DNSLogger(log="-request,-reply,-truncated,-error")
        udp = DNSServer(self.answerer, address="127.0.0.1", port=0, logger=quiet, handler=_Silent)
        self.port: int = udp.server.server_address[1]
        tcp = DNSServer(self.answerer, address="127.0.0.1", port=self.port, tcp=True, logger=quiet, handler=_Silent)
        self._servers = [udp, tcp]
        for server in self._servers:
            server.start_thread()

    @property
    def asked(self) -> list[tuple[str, str]]:
        return self.answerer.asked

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        for server in self._servers:
            server.stop()
            server.server.server_close()


class _TimesOut(Exception):
    """Answer nothing."""


class _Silent(DNSHandler):  # type: ignore[misc]
    """dnslib's handler, without its trace for a question that is to stay unanswered."""

    def handle(self) -> None:
        try:
            super().handle()
        except _TimesOut:
            pass


class _Answerer(BaseResolver):  # type: ignore[misc]
    def __init__(self, records: dict[str, dict[str, Any]], ttl: int) -> None:
        self.records = {name.lower().rstrip("."): types for name, types in records.items()}
        self.ttl = ttl
        self.asked: list[tuple[str, str]] = []

    def resolve(self, request: Any, handler: Any) -> Any:
        name, rtype = str(request.q.qname).lower().rstrip("."), QTYPE[request.q.qtype]
        self.asked.append((name, rtype))
        reply = request.reply()
        types = self.records.get(name)
        if types is None:
            exists = any(other.endswith("." + name) for other in self.records)
            reply.header.rcode = RCODE.NOERROR if exists else RCODE.NXDOMAIN
            return reply
        found = [types["CNAME"]] if rtype == "CNAME" and "CNAME" in types else types.get(rtype)
        if found == "TIMEOUT":
            raise _TimesOut
        if found == "SERVFAIL":
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        if not found and "CNAME" in types:
            reply.add_answer(RR(request.q.qname, QTYPE.CNAME, rdata=CNAME(types["CNAME"]), ttl=self.ttl))
            return reply  # the target is left to the resolver
        for value in found or []:
            reply.add_answer(RR(request.q.qname, request.q.qtype, rdata=_to_rdata(rtype, value), ttl=self.ttl))
        return reply


def _to_rdata(rtype: str, value: Any) -> Any:
    match rtype:
        case "TXT":
            data = value.encode() if isinstance(value, str) else value
            return TXT([data[start : start + 255] for start in range(0, len(data), 255)] or [b""])
        case "MX":
            preference, _, host = value.partition(" ")
            return MX(host, int(preference))
        case "A":
            return A(value)
        case "AAAA":
            return AAAA(value)
        case "PTR":
            return PTR(value)
        case _:
            return CNAME(value)
