"""Which servers take mail for a domain (RFC 5321 section 5.1, RFC 7505), and which of their addresses we may connect to."""

import random
from dataclasses import dataclass

from contracts.dns_answers import DnsStatus, Resolver
from runtime.is_public import is_public
from sinks.delivery.dane import Dane, DaneUnknown, find_dane

MAX_SERVERS = 5


@dataclass(frozen=True)
class Server:
    """One host to try: its name, for the log and for TLS, and its addresses."""

    host: str
    addresses: tuple[str, ...]
    port: int
    dane: Dane | None = None  # what its domain demands of its certificate


class NoServer(Exception):
    """There is no server to try: for good (`permanent`), or only now."""

    def __init__(self, text: str, *, permanent: bool, private: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.permanent = permanent
        self.private = private


async def find_servers(
    domain: str, resolver: Resolver, port: int, *, allow_private: bool, dane: bool = False
) -> list[Server]:
    """The domain's servers, best first, with `dane` those alone of which it is known what holds for them. NoServer says why there are
    none."""
    answer = await resolver.query(domain, "MX")
    if answer.failed:
        raise NoServer(f"the MX records of {domain} could not be read ({answer.status.value})", permanent=False)
    if answer.status is DnsStatus.NXDOMAIN:
        raise NoServer(f"the domain {domain} does not exist", permanent=True)
    hosts = _in_order(answer.exchanges()) if answer.status is DnsStatus.OK else [domain]
    if hosts == [""] or hosts == ["."]:
        raise NoServer(f"{domain} does not accept mail (null MX)", permanent=True)
    signed = dane and answer.authentic
    return await find_addresses(
        hosts[:MAX_SERVERS], resolver, port, allow_private=allow_private, dane_of=domain if signed else ""
    )


async def find_addresses(
    hosts: list[str], resolver: Resolver, port: int, *, allow_private: bool, dane_of: str = ""
) -> list[Server]:
    """The hosts with those of their addresses that we may use. The address that was checked is the one that is used, so that
    a name cannot point elsewhere a moment later. `dane_of`: the domain, where its signed MX records name them."""
    servers, failed, private, unknown = [], False, False, ""
    for host in hosts:
        answers = [await resolver.query(host, kind) for kind in ("A", "AAAA")]
        failed |= any(answer.failed for answer in answers)
        if dane_of and any(answer.failed for answer in answers) and any(answer.authentic for answer in answers):
            unknown = f"not all addresses of {host} could be read, nor what certificates it has"
            continue  # to go on would let whoever suppresses an answer take encryption off (RFC 7672 section 2.1.1)
        found = [address for answer in answers for address in answer.values()]
        usable = [address for address in found if allow_private or is_public(address)]
        private |= len(usable) < len(found)
        signed = dane_of and all(answer.authentic for answer in answers)
        if usable:
            try:
                demanded = await find_dane(host, port, resolver, dane_of) if signed else None
            except DaneUnknown as why:
                unknown = str(why)
                continue
            servers.append(Server(host, tuple(usable), port, demanded))
    if servers:
        return servers
    if unknown:
        raise NoServer(unknown, permanent=False)
    names = ", ".join(hosts)
    if private:
        raise NoServer(f"{names} is at a private address, where no mail is sent", permanent=True, private=True)
    if failed:
        raise NoServer(f"the address of {names} could not be read", permanent=False)
    raise NoServer(f"no address for {names}", permanent=True)


def _in_order(exchanges: list[tuple[int, str]]) -> list[str]:
    """By preference; equals in random order, to spread the load."""
    return [host for _, _, host in sorted((preference, random.random(), host) for preference, host in exchanges)]
