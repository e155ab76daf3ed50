"""How one peer is held to what a mail server does: it connects to bring messages, to recipients most of which exist.

What a peer does in vain is counted over time, and each message that it brings pays for some of it. For one process."""

import ipaddress

from contracts import metrics
from contracts.settings import Smtp
from ingest.smtp.limit_rates import A_MINUTE, AN_HOUR, RateLimit
from runtime.expose_metrics import counter
from runtime.name_peer import name_peer

PAYS = 0.2  # refused recipients that a message which was taken pays for: guesses would cost nothing beside one good address
FORGIVEN = 5  # refused recipients of a peer that are answered at once


class PeerLimits:
    """The peers of a process. Those of `smtp.trusted` have no limit."""

    def __init__(self, settings: Smtp) -> None:
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in settings.trusted]
        self._connects = RateLimit(settings.connects_per_peer, A_MINUTE)
        self._refused = RateLimit(settings.unknown_recipients_per_peer, AN_HOUR)
        self._delay = settings.refusal_delay.total_seconds()

    def is_trusted(self, ip: str) -> bool:
        """Whether it is one of ours: a gateway in front of us, a monitor, a load test."""
        if not self._trusted:
            return False
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    def may_connect(self, ip: str) -> bool:
        """Whether it may connect once more; counted."""
        peer = name_peer(ip)
        if self.is_trusted(ip):
            return True
        if self._refused.is_spent(peer):
            counter(metrics.SMTP_LIMITED).labels("recipients").inc()
            return False
        if not self._connects.take(peer):
            counter(metrics.SMTP_LIMITED).labels("connections").inc()
            return False
        return True

    def refuse_recipient(self, ip: str) -> bool:
        """One more of its recipients does not exist. False when it has guessed enough."""
        return self.is_trusted(ip) or self._refused.take(name_peer(ip))

    def has_guessed(self, ip: str) -> bool:
        """Whether it has guessed enough, at recipients or passwords."""
        return not self.is_trusted(ip) and self._refused.is_spent(name_peer(ip))

    def bring_message(self, ip: str, taken: bool) -> None:
        """It brought a whole message. One that was not taken pays for its connection only."""
        self._connects.give_back(name_peer(ip))
        if taken:
            self._refused.give_back(name_peer(ip), PAYS)

    def delay(self, ip: str) -> float:
        """Seconds that the answer to a refused recipient takes: who guesses, waits."""
        return self._delay if self._refused.level(name_peer(ip)) > FORGIVEN else 0.0
