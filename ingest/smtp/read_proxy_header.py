"""Behind a load balancer the peer is whoever its PROXY header names (HAProxy's PROXY protocol, versions 1 and 2): the address is evidence
for SPF and limits, so it is believed from the networks of `smtp.proxies` alone, and they have to say it."""

import asyncio
import ipaddress
import logging
import struct
from collections.abc import Callable, Sequence
from typing import Any

from proxyprotocol import ProxyProtocolChecksumError, ProxyProtocolIncompleteError
from proxyprotocol.detect import ProxyProtocolDetect

from ingest.smtp.speak_smtp import SmtpConnection

_log = logging.getLogger("mailscope.smtp")
DEADLINE = 5.0  # seconds for the header
LARGEST = 2048  # octets of a header: version 1 has 107 at most, version 2 more only by what nobody here asks for


def behind_proxies(make: Callable[[], SmtpConnection], proxies: Sequence[str]) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of a new connection, where those of `proxies` begin with a header."""
    if not proxies:
        return make
    networks = [ipaddress.ip_network(one, strict=False) for one in proxies]
    return lambda: ProxyHeader(make, networks)


class ProxyHeader(asyncio.Protocol):
    """Reads the header of a connection and hands it over to the dialogue. A proxy that sends none in time, or something else, is hung up
    on without a word: it would be taken for the peer."""

    def __init__(
        self,
        make: Callable[[], SmtpConnection],
        proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network],
    ) -> None:
        self._make = make
        self._proxies = proxies
        self._header = b""
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        peer = ipaddress.ip_address((transport.get_extra_info("peername") or ("::",))[0].partition("%")[0])
        if any(peer in network for network in self._proxies):
            self._timer = asyncio.get_running_loop().call_later(DEADLINE, self._refuse, "sends no PROXY header")
        else:
            self._hand_over("", b"")

    def data_received(self, data: bytes) -> None:
        while True:
            try:
                found = ProxyProtocolDetect().unpack(self._header)
                break
            except ProxyProtocolIncompleteError as more:
                if not data:
                    return
                wanted = more.want_read.want_bytes or data.find(b"\n") + 1 or len(data)
                self._header, data = self._header + data[:wanted], data[wanted:]
                if len(self._header) > LARGEST:
                    self._refuse("sends a PROXY header without an end")
                    return
            except (ValueError, struct.error, ProxyProtocolChecksumError):
                self._refuse("sends something else than a PROXY header")
                return
        # Of a connection of its own (LOCAL: it looks whether we live) and of what it does not know, the proxy is the peer.
        source = found.peername if found.proxied else None
        self._hand_over(_plain(str(source[0])) if isinstance(source, tuple) else "", data)

    def connection_lost(self, error: Exception | None) -> None:
        self._let_go()

    def _hand_over(self, source: str, rest: bytes) -> None:
        self._let_go()
        connection = self._make()
        connection.source = source
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        if rest:
            connection.data_received(rest)

    def _refuse(self, what: str) -> None:
        self._let_go()
        _log.warning("%s, one of smtp.proxies, %s", self._transport.get_extra_info("peername"), what)
        self._transport.abort()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _plain(address: str) -> str:
    """A proxy that listens for both families names an IPv4 peer as an IPv6 one (`::ffff:192.0.2.7`): SPF would not know it, and all of them
    would be one peer to the limits."""
    mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None)
    return str(mapped or address)
