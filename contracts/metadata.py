"""What an application says of its mail, carried through every event: JSON fields over HTTP, `X-Mailscope-...` headers over SMTP."""

from typing import Any

from msgspec import Struct


class Metadata(Struct, frozen=True, kw_only=True):
    """The four words. Structs that carry them extend this one, so that they stand flat in its JSON."""

    stream: str = ""  # kind of mail: invitation, request-notification, or any word
    template: str = ""  # the template's name, such as "Request created"
    reference: str = ""  # the application's key, such as IT-42
    tag: str = ""


FIELDS = Metadata.__struct_fields__
HEADERS = {name: f"x-mailscope-{name}" for name in FIELDS}


def metadata_of(source: Metadata) -> dict[str, Any]:
    """The four words of whatever carries them, by name."""
    return {name: getattr(source, name) for name in FIELDS}
