"""How long the content of one message may take: its deadline, the silence of its sender, its pace. Pure; times in seconds."""

GRACE = 60.0  # until the pace is looked at, and from one look to the next


class ContentClock:
    """From DATA to the end of the content."""

    def __init__(self, now: float, at_most: float, silence: float, min_rate: int) -> None:
        """`at_most` for all of it, `silence` between two pieces; `min_rate` in octets a second."""
        self._began = self._heard = now
        self._at_most = at_most
        self._silence = silence
        self._min_rate = min_rate
        self._octets = 0

    def hear(self, now: float, octets: int) -> None:
        """A piece has come."""
        self._heard = now
        self._octets += octets

    def is_silent(self, now: float) -> bool:
        """Whether nothing came for too long."""
        return now >= self._heard + self._silence

    def is_late(self, now: float) -> bool:
        """Whether its time is up, or it trickles."""
        lasted = now - self._began
        return lasted >= self._at_most or (lasted >= GRACE and self._octets < lasted * self._min_rate)

    def next_look(self, now: float) -> float:
        """Seconds until one of these may be so."""
        return max(min(self._heard + self._silence, self._began + self._at_most, now + GRACE) - now, 0.001)
