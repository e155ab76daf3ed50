"""An authoritative name server over UDP and TCP (RFC 1035): for the zones of the demo, and for what a test makes up."""

import asyncio
import struct
from collections.abc import Sequence
from typing import Protocol

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.zone

SMALLEST_UDP = 512  # octets that a client takes when it says nothing else (RFC 1035 §4.2.1)


class Names(Protocol):
    """Who knows the answers."""

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        """The answer to one question; None: silence."""


class Zones:
    """Answers questions from zones, and NXDOMAIN to all others. Does no I/O."""

    def __init__(self, zones: Sequence[dns.zone.Zone]) -> None:
        self._zones = {zone.origin: zone for zone in zones}

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The authoritative answer: the records; none but the SOA when the name has no such record; NXDOMAIN."""
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        question = query.question[0]
        zone = self._zone_of(question.name)
        if zone is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response
        try:
            found = zone.find_rrset(question.name, question.rdtype)
            response.answer.append(found)
            return response
        except KeyError:
            pass
        origin = zone.origin
        assert origin is not None
        if not any(name.is_subdomain(question.name) for name in zone.nodes):
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(zone.find_rrset(origin, dns.rdatatype.SOA))
        return response

    def _zone_of(self, name: dns.name.Name) -> dns.zone.Zone | None:
        while True:
            if zone := self._zones.get(name):
                return zone
            if name == dns.name.root:
                return None
            name = name.parent()


def answer_wire(names: Names, wire: bytes, largest: int | None = None) -> bytes | None:
    """The answer in wire format, truncated to what the client takes when `largest` is given; None for rubbish."""
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        return None
    if query.flags & dns.flags.QR or len(query.question) != 1:
        return None
    response = names.answer(query)
    if response is None:
        return None
    try:
        return response.to_wire(max_size=65535 if largest is None else max(largest, query.payload))
    except dns.exception.TooBig:
        short = dns.message.make_response(query)
        short.flags |= dns.flags.TC
        return short.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (answer := answer_wire(self._names, data, SMALLEST_UDP)) is not None:
            self._transport.sendto(answer, addr)


class NameServer:
    """Serves names on one port until `stop`; port 0 means a free one, which is `port` once it listens."""

    def __init__(self, names: Names, port: int, host: str = "127.0.0.1") -> None:
        self._names = names
        self._host = host
        self.port = port

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_stream, self._host, self.port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        try:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self._names), local_addr=(self._host, self.port)
            )
        except OSError:
            self._tcp.close()
            raise

    def stop(self) -> None:
        """Stop listening."""
        self._udp.close()
        self._tcp.close()

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), 10))
                answer = answer_wire(self._names, await asyncio.wait_for(reader.readexactly(length), 10))
                if answer is None:
                    return
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            pass
        finally:
            writer.close()
