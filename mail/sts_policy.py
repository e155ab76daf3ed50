"""MTA-STS policies: what a domain demands of whoever delivers to it (RFC 8461 section 3.2). Pure."""

from dataclasses import dataclass

MODES = ("enforce", "testing", "none")
MOST_AGE = 31_557_600  # seconds (section 3.2)


@dataclass(frozen=True)
class StsPolicy:
    """One policy. `hosts` are names, or patterns whose `*` stands for exactly one label."""

    mode: str
    hosts: tuple[str, ...]
    max_age: int  # seconds for which it holds

    def covers(self, host: str) -> bool:
        """Whether mail may go to this server (section 4.1)."""
        name = host.lower().rstrip(".")
        return any(
            name == pattern or (pattern.startswith("*.") and name.partition(".")[2] == pattern[2:])
            for pattern in self.hosts
        )


def parse_policy(text: str) -> StsPolicy | None:
    """The policy that a text is; None where it is none. The first of each field counts, and every mx."""
    pairs = [line.partition(":") for line in text.splitlines() if ":" in line]
    fields = {name.strip(): value.strip() for name, _, value in reversed(pairs)}
    age = fields.get("max_age", "")
    if fields.get("version") != "STSv1" or fields.get("mode") not in MODES or not (age.isascii() and age.isdigit()):
        return None
    hosts = tuple(value.strip().lower().rstrip(".") for name, _, value in pairs if name.strip() == "mx")
    return StsPolicy(fields["mode"], hosts, min(int(age[:9]), MOST_AGE))
