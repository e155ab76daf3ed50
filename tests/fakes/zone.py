"""A resolver that answers from a dictionary, for tests, scores and benchmarks."""

from typing import Any

from contracts.dns_answers import DnsAnswer, DnsStatus

FAILURES = {"TIMEOUT": DnsStatus.TIMEOUT, "SERVFAIL": DnsStatus.SERVFAIL}


class Zone:
    """`{"example.org": {"TXT": ["v=spf1 -all"], "MX": ["10 mx.example.org"]}}`; a type may also be one of FAILURES.

    CNAMEs are followed; what was asked is kept in `asked`."""

    def __init__(self, records: dict[str, dict[str, Any]]) -> None:
        self.records = {name.lower().rstrip("."): types for name, types in records.items()}
        self.asked: list[tuple[str, str]] = []

    async def query(self, name: str, rtype: str) -> DnsAnswer:
        self.asked.append((name, rtype))
        host = name.lower().rstrip(".")
        for _ in range(8):
            types = self.records.get(host)
            if types is None:
                exists = any(other.endswith("." + host) for other in self.records)
                return DnsAnswer(name, rtype, DnsStatus.NODATA if exists else DnsStatus.NXDOMAIN)
            found = [types["CNAME"]] if rtype == "CNAME" and "CNAME" in types else types.get(rtype)
            if isinstance(found, str):
                return DnsAnswer(name, rtype, FAILURES[found])
            if found:
                values = [value.encode() if rtype == "TXT" and isinstance(value, str) else value for value in found]
                return DnsAnswer(name, rtype, DnsStatus.OK, tuple(values))
            if "CNAME" not in types:
                return DnsAnswer(name, rtype, DnsStatus.NODATA)
            host = types["CNAME"].lower().rstrip(".")
        return DnsAnswer(name, rtype, DnsStatus.SERVFAIL)
