"""A real DNS server on 127.0.0.1, UDP and TCP, that answers from records as `Zone` does."""

from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

from local.demo.serve_dns import NameServer
from tests.fakes.loop_thread import LoopThread

Records = dict[str, dict[str, Any]]


class ZoneServer:
    """Runs until `stop()`, on a free port unless one is given; its records may change meanwhile. A type that is
    "SERVFAIL" answers so, "TIMEOUT" answers nothing at all. What was asked is kept in `asked`."""

    def __init__(self, records: Records, ttl: int = 3600, port: int = 0) -> None:
        self.records: Records = {name.lower().rstrip("."): types for name, types in records.items()}
        self.asked: list[tuple[str, str]] = []
        self.signed = False  # answers say that their signatures were verified (AD)
        self._ttl = ttl
        self._thread = LoopThread()
        self._server = NameServer(self, port)
        self._thread.run(self._server.start())
        self.port = self._server.port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, name: str, rtype: str, value: str) -> None:
        """One more record."""
        self.records.setdefault(name.lower(), {}).setdefault(rtype, []).append(value)

    def stop(self) -> None:
        self._thread.stop(self._server.stop)

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name, rtype = question.name.to_text().lower().rstrip("."), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, rtype))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | (dns.flags.AD if self.signed else 0)
        types = self.records.get(name)
        if types is None:
            if not any(other.endswith("." + name) for other in self.records):
                response.set_rcode(dns.rcode.NXDOMAIN)
            return response
        if "CNAME" in types and not types.get(rtype):
            rtype = "CNAME"  # the target is left to the resolver
        found = [types["CNAME"]] if rtype == "CNAME" and "CNAME" in types else types.get(rtype)
        if found == "TIMEOUT":
            return None
        if found == "SERVFAIL":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif found:
            rdatas = [_to_rdata(rtype, value) for value in found]
            response.answer.append(dns.rrset.from_rdata_list(question.name, self._ttl, rdatas))
        return response


def _to_rdata(rtype: str, value: str | bytes) -> dns.rdata.Rdata:
    """TXT values are split into character strings (RFC 1035 §3.3) and may be octets; all others are as in master files."""
    if rtype == "TXT":
        data = value.encode() if isinstance(value, str) else value
        strings = [data[start : start + 255] for start in range(0, len(data), 255)] or [b""]
        return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings)
    return dns.rdata.from_text(dns.rdataclass.IN, rtype, str(value), origin=dns.name.root, relativize=False)
