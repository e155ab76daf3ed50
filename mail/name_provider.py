"""Who runs a mail server, by its name."""

from contracts.setting_types import is_address
from mail.authentication.rfc7489 import suffix_organizational

OTHER = "other"  # a server without a name of the public DNS


def name_provider(host: str) -> str:
    """The registrable domain of the server (`google.com` for `aspmx.l.google.com`); OTHER for an IP address and a bare name, "" for
    no server."""
    name = host.strip().rstrip(".").lower()
    if not name:
        return ""
    if "." not in name or ":" in name or is_address(name):
        return OTHER
    return suffix_organizational(name)
