"""What a check of a domain reports."""

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"  # as it should be
    WARNING = "warning"  # works, but should be better
    ERROR = "error"  # mail suffers from it


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sentence about one check, and one about the cure."""

    check: str  # mx | spf | dkim | dmarc | mta-sts | domain
    level: Level
    text: str
    cure: str = ""
    record: str = ""


class DomainReport(msgspec.Struct, frozen=True):
    """All findings about one domain."""

    domain: str
    findings: tuple[Finding, ...] = ()

    @property
    def level(self) -> Level:
        """The worst of them."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in (Level.ERROR, Level.WARNING) if level in levels), Level.OK)
